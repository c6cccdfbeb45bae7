/*
 * policy.c: switches of a context that settings of ssl.newcontext do not have: OpenSSL's own Diffie-Hellman parameters,
 * certificates of any age, servers without sessions.
 */
#include "borrowed.h"

/* setdhauto(ctx, how): parameters for Diffie-Hellman of TLS 1.2 and older: "none"; "auto": as strong as the certificate's key;
   "legacy": 1024 bits, which the security level may refuse. SSL_CTX_set_dh_auto(3). */
static int setdhauto(lua_State *L)
{
  static const char *const names[] = {"none", "auto", "legacy", NULL};
  const tls_context *ctx = tls_checkcontext(L, 1);
  luaL_checkstring(L, 2);
  int how = luaL_checkoption(L, 2, NULL, names);
  tls_error_clear();
  return tls_answer(L, SSL_CTX_set_dh_auto(ctx->ctx, how) == 1, "error setting DH parameters");
}

/* setchecktime(ctx, check): false: certificates are good before and after their time. X509_VERIFY_PARAM_set_flags(3). */
static int setchecktime(lua_State *L)
{
  tls_context *ctx = tls_checkcontext(L, 1);
  luaL_checktype(L, 2, LUA_TBOOLEAN);
  X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx->ctx);
  bool ok = lua_toboolean(L, 2) ? X509_VERIFY_PARAM_clear_flags(param, X509_V_FLAG_NO_CHECK_TIME) == 1
                                : X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_NO_CHECK_TIME) == 1;
  return tls_answer(L, ok, "error setting verification");
}

/* setnosessions(ctx): a server gives out no tickets and keeps no sessions. SSL_CTX_set_session_cache_mode(3). */
static int setnosessions(lua_State *L)
{
  const tls_context *ctx = tls_checkcontext(L, 1);
  SSL_CTX_set_options(ctx->ctx, SSL_OP_NO_TICKET);
  SSL_CTX_set_session_cache_mode(ctx->ctx, SSL_SESS_CACHE_OFF);
  return tls_answer(L, SSL_CTX_set_num_tickets(ctx->ctx, 0) == 1, "error setting sessions");
}

const luaL_Reg tls_policy_functions[] = {
  {"setdhauto", setdhauto},
  {"setchecktime", setchecktime},
  {"setnosessions", setnosessions},
  {NULL, NULL},
};
