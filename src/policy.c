/*
 * policy.c: switches of a context that settings of ssl.newcontext do not have, and that may be turned while connections run:
 * OpenSSL's own Diffie-Hellman parameters, certificates of any age, names in the subject, servers without sessions, servers
 * that begin or cease to ask for certificates.
 */
#include "borrowed.h"

#include <openssl/x509v3.h>

#define TICKETS_DEFAULT 2 /* OpenSSL's own, a handshake of TLS 1.3 */

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

/* setsubjectnames(ctx, on): true: a certificate without DNS names may have its host in the subject's common name, which CAs'
   name constraints then bind; false, as contexts are made: the common name is no name. It does not say that any name is checked.
   X509_VERIFY_PARAM_set_hostflags(3). */
static int setsubjectnames(lua_State *L)
{
  tls_context *ctx = tls_checkcontext(L, 1);
  luaL_checktype(L, 2, LUA_TBOOLEAN);
  unsigned never = lua_toboolean(L, 2) ? 0 : X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;
  X509_VERIFY_PARAM_set_hostflags(SSL_CTX_get0_param(ctx->ctx), never | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return tls_answer(L, 1, NULL);
}

/* setclientauth(ctx, how): whether a server asks clients for a certificate, in connections made from now on: "none";
   "optional"; "required". SSL_CTX_set_verify(3). */
static int setclientauth(lua_State *L)
{
  static const char *const names[] = {"none", "optional", "required", NULL};
  static const int modes[] = {SSL_VERIFY_NONE, SSL_VERIFY_PEER, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT};
  tls_context *ctx = tls_checkcontext(L, 1);
  SSL_CTX_set_verify(ctx->ctx, modes[luaL_checkoption(L, 2, NULL, names)], NULL);
  return tls_answer(L, 1, NULL);
}

/* setnosessions(ctx [, none]): true, or left out: a server gives out no tickets and keeps no sessions; false: it gives out
   tickets again. SSL_CTX_set_num_tickets(3), SSL_CTX_set_session_cache_mode(3). */
static int setnosessions(lua_State *L)
{
  const tls_context *ctx = tls_checkcontext(L, 1);
  bool none = lua_isnone(L, 2) || lua_toboolean(L, 2);
  if (none) {
    SSL_CTX_set_options(ctx->ctx, SSL_OP_NO_TICKET);
  } else {
    SSL_CTX_clear_options(ctx->ctx, SSL_OP_NO_TICKET);
  }
  SSL_CTX_set_session_cache_mode(ctx->ctx, SSL_SESS_CACHE_OFF);
  return tls_answer(L, SSL_CTX_set_num_tickets(ctx->ctx, none ? 0 : TICKETS_DEFAULT) == 1, "error setting sessions");
}

const luaL_Reg tls_policy_functions[] = {
  {"setdhauto", setdhauto},
  {"setchecktime", setchecktime},
  {"setsubjectnames", setsubjectnames},
  {"setclientauth", setclientauth},
  {"setnosessions", setnosessions},
  {NULL, NULL},
};
