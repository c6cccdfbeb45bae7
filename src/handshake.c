/*
 * handshake.c: how TLS begins and ends on a connection: the server name, the handshake and its first error, which is kept,
 * and shutdown. The steps themselves are in connection.c; closing without shutdown is there too.
 */
#include "readahead.h"
#include "stream.h"

#include <errno.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/objects.h>

#define DROPPED_MAX 64 /* reads of what a peer sends after our close_notify, a step */

/* With an anonymous cipher there is no certificate, and OpenSSL verifies none then, whatever it was told. */
static bool lacks_certificate(tls_connection *c, const tls_context *ctx, tls_error *e)
{
  const SSL_CIPHER *cipher = SSL_get_current_cipher(c->ssl);
  if (ctx == NULL || cipher == NULL || SSL_CIPHER_get_auth_nid(cipher) != NID_auth_null ||
      SSL_get_verify_mode(c->ssl) == SSL_VERIFY_NONE) {
    return false;
  }
  tls_verify_note(c, X509_V_ERR_APPLICATION_VERIFICATION);
  SSL_set_verify_result(c->ssl, X509_V_ERR_APPLICATION_VERIFICATION);
  if ((ctx->verifyext & TLS_LSEC_CONTINUE) != 0) {
    return false;
  }
  tls_error_set(e, TLS_KIND_VERIFY, "the server sent no certificate");
  e->hint = "the cipher that was agreed on is anonymous: add !aNULL to the setting ciphers";
  c->broken = true;
  return true;
}

/* A server may go on without any of the protocols that a client offers; a strict client does not. */
static bool lacks_protocol(tls_connection *c, const tls_context *ctx, tls_error *e)
{
  const unsigned char *name = NULL;
  unsigned int n = 0;
  if (ctx == NULL || !ctx->alpnstrict) {
    return false;
  }
  SSL_get0_alpn_selected(c->ssl, &name, &n);
  if (n == 0) {
    tls_error_set(e, TLS_KIND_PROTOCOL, "no application protocol in common with the server");
    c->broken = true;
  }
  return n == 0;
}

/* What a client demands that OpenSSL does not look at. */
static bool lacks(tls_connection *c, tls_error *e)
{
  const tls_context *ctx = c->server ? NULL : tls_callback_context(c);
  return lacks_certificate(c, ctx, e) || lacks_protocol(c, ctx, e);
}

static enum tls_status run_handshake(tls_connection *c, tls_error *e)
{
  tls_deadline deadline = {false, 0, 0};
  enum tls_status status;
  if (c->server) {
    tls_callback_dh(c);
  }
  if (tls_interrupted(c, e)) {
    return TLS_FAILED;
  }
  tls_sessions_begin(c);
  do {
    status = tls_step_handshake(c, e);
  } while ((status == TLS_WANT_READ || status == TLS_WANT_WRITE) && tls_wait(c, status, &deadline));
  if (status == TLS_DONE || status == TLS_FAILED) {
    tls_sessions_end(c, status == TLS_DONE);
    tls_error_clear(); /* of what OpenSSL tried and did not need */
    if (status == TLS_DONE && tls_interrupted(c, e)) { /* a session store's function has closed the connection */
      return TLS_FAILED;
    }
  }
  return status == TLS_DONE && lacks(c, e) ? TLS_FAILED : status;
}

/* The parameters that a dhparam function did not give may be what is missing. */
static void explain_dh(const tls_connection *c, tls_error *e)
{
  const tls_context *ctx = c->ssl != NULL ? tls_contextof(c->ssl) : NULL;
  if (ctx != NULL && ctx->dherror != NULL && ERR_GET_LIB(e->code) == ERR_LIB_SSL &&
      ERR_GET_REASON(e->code) == SSL_R_NO_SHARED_CIPHER) {
    e->text = ctx->dherror;
  }
}

static void explain_end(tls_error *e)
{
  bool reset = e->kind == TLS_KIND_SYSTEM && strcmp(e->text, "closed") == 0;
  if (e->hint == NULL && (e->kind == TLS_KIND_TRUNCATED || reset)) {
    e->hint = "the peer ended the connection in the middle of the handshake: its log may say why";
  }
}

/* Remembers the handshake's first error, which every later dohandshake repeats. */
static int handshake_failed(lua_State *L, tls_connection *c, tls_error *e)
{
  if (c->server) {
    explain_dh(c, e);
    tls_names_explain(L, c, e);
  }
  tls_verify_error(c, e);
  tls_ocsp_error(c, e);
  explain_end(e);
  lua_pushboolean(L, 0);
  tls_error_message(L, e);
  tls_error_detail(L, e);
  if (c->state == TLS_STATE_NEW) {
    c->failed = true;
    lua_pushvalue(L, -2);
    tls_setslot(L, 1, TLS_SLOT_FAILURE);
    lua_pushvalue(L, -1);
    tls_setslot(L, 1, TLS_SLOT_ERROR);
  }
  return 3;
}

static int simple_failure(lua_State *L, enum tls_kind kind, const char *text)
{
  tls_error e;
  tls_error_set(&e, kind, text);
  lua_pushboolean(L, 0);
  tls_error_message(L, &e);
  tls_error_detail(L, &e);
  return 3;
}

/* conn:dohandshake() -> true | false, message, detail
   Shakes hands, with verification and the check of the name where the context asks for them. "wantread" or
   "wantwrite": the timeout is over, call again. Any other failure is final and repeated by later calls.
   SSL_do_handshake(3). */
static int dohandshake(lua_State *L)
{
  tls_connection *c = tls_checkconnection(L, 1);
  tls_call call;
  tls_error e;
  lua_settop(L, 1);
  if (c->state == TLS_STATE_CLOSED) {
    return simple_failure(L, TLS_KIND_CLOSED, "closed");
  }
  if (c->failed) {
    lua_pushboolean(L, 0);
    tls_getslot(L, 1, TLS_SLOT_FAILURE);
    tls_getslot(L, 1, TLS_SLOT_ERROR);
    return 3;
  }
  if (c->state == TLS_STATE_CONNECTED) {
    lua_pushboolean(L, 1);
    return 1;
  }
  enum tls_status status = TLS_FAILED;
  bool entered = tls_enter(c, &call, L, 1, &e);
  if (entered) {
    status = run_handshake(c, &e);
    tls_leave(c);
  }
  if (status == TLS_DONE) {
    c->state = TLS_STATE_CONNECTED;
    tls_transport_idle(c);
    lua_pushboolean(L, 1);
    return 1;
  }
  if (status != TLS_FAILED) {
    lua_pushboolean(L, 0);
    return 1 + tls_stream_want(L, status);
  }
  return entered ? handshake_failed(L, c, &e) : simple_failure(L, e.kind, e.text);
}

static int send_name(lua_State *L, tls_connection *c)
{
  size_t n;
  const char *name = luaL_checklstring(L, 2, &n);
  tls_error_clear();
  bool ok = strlen(name) == n && (c->state != TLS_STATE_NEW || c->call != NULL || SSL_set_tlsext_host_name(c->ssl, name) == 1);
  tls_error_clear();
  return ok ? 0 : tls_refuse(L, "invalid server name (%s)", n <= 255 ? name : "longer than 255 bytes");
}

/* conn:sni(names: string|table<string, ssl.Context> [, strict: boolean]) -> nothing | false, message, detail
   On a client: the name to send. On a server: contexts by name, looked up when the client's name comes, so later
   changes of the map count; with strict a name that is not in it ends the handshake. A name that cannot be sent is a
   failure. SSL_set_tlsext_host_name(3), RFC 6066 section 3. */
static int sni(lua_State *L)
{
  tls_connection *c = tls_checkconnection(L, 1);
  if (!c->server) {
    return send_name(L, c);
  }
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_pushnil(L);
  while (lua_next(L, 2)) {
    luaL_argcheck(L, lua_type(L, -2) == LUA_TSTRING, 2, "the names in the map must be strings");
    luaL_argcheck(L, tls_toobject(L, -1, &tls_context_type) != NULL, 2, "the values in the map must be contexts");
    lua_pop(L, 1);
  }
  if (c->state != TLS_STATE_NEW) {
    return 0;
  }
  c->snistrict = lua_toboolean(L, 3);
  c->byname = true;
  lua_pushvalue(L, 2);
  tls_setslot(L, 1, TLS_SLOT_SNI);
  if (tls_contextof(c->ssl) == NULL) {
    tls_names_watch(SSL_get_SSL_CTX(c->ssl)); /* a context of luaossl's; ours have it from the start */
  }
  return 0;
}

/* OpenSSL refuses close_notify while another message, such as a key update, is on its way. It counts close_notify as sent when the
   socket has not yet taken it, and then would not send it any more. */
static enum tls_status notify(tls_connection *c, tls_error *e)
{
  if ((SSL_get_shutdown(c->ssl) & SSL_SENT_SHUTDOWN) != 0 && !c->notifying) {
    return TLS_DONE;
  }
  enum tls_status status = SSL_in_init(c->ssl) ? tls_step_handshake(c, e) : TLS_DONE;
  if (status != TLS_DONE) {
    return status;
  }
  errno = 0;
  int ret = SSL_shutdown(c->ssl);
  status = tls_outcome(c, ret >= 0 ? 1 : ret, errno, e);
  c->notifying = status == TLS_WANT_WRITE;
  return status;
}

/* Reads until the peer's close_notify and drops what comes before it. A peer that goes on sending holds no step for ever, but
   what has left the socket is read to its end: nobody would be told of it. */
static enum tls_status drop(tls_connection *c, tls_error *e)
{
  unsigned char dropped[1024];
  size_t got;
  if (!tls_send_settle(c, e)) {
    return TLS_FAILED;
  }
  for (int i = 0; i < DROPPED_MAX || tls_stream_at_hand(c); i++) {
    if ((SSL_get_shutdown(c->ssl) & SSL_RECEIVED_SHUTDOWN) != 0) {
      return TLS_DONE;
    }
    if (i == DROPPED_MAX) {
      tls_readahead(c->ssl, false);
      c->readahead = true; /* a receive may follow */
    }
    enum tls_status status = tls_step_read(c, dropped, sizeof dropped, &got, e);
    if (status != TLS_DONE) {
      return status == TLS_FAILED && e->kind == TLS_KIND_CLOSED && !c->closing ? TLS_DONE : status;
    }
  }
  return TLS_WANT_READ;
}

/* What shutdown answers for anything but success: nil, message, detail. */
static int shutdown_failed(lua_State *L, enum tls_status status, const tls_error *e)
{
  lua_pushnil(L);
  if (status != TLS_FAILED) {
    return 1 + tls_stream_want(L, status);
  }
  tls_error_message(L, e);
  tls_error_detail(L, e);
  return 3;
}

enum direction { BOTH, SEND, RECEIVE }; /* in the order of their names */

/* A record that waits for the socket goes before close_notify. */
static enum tls_status shutdown_step(tls_connection *c, enum direction which, tls_error *e)
{
  enum tls_status status = TLS_DONE;
  if (which != RECEIVE) {
    status = tls_send_flush(c, e);
    if (status == TLS_DONE) {
      status = notify(c, e);
    }
  }
  return status == TLS_DONE && which != SEND ? drop(c, e) : status;
}

/* conn:shutdown([which: "both"|"send"|"receive"]) -> true | nil, message, detail
   Ends TLS in both directions ("both", the default): sends close_notify and reads up to the peer's, dropping what
   comes before it. "send" sends close_notify alone: nothing can be sent from then on, and receive goes on to the
   peer's end of the stream. "receive" reads up to the peer's close_notify alone. "wantread" or "wantwrite": the
   timeout is over, call again. receive still works between two calls. The descriptor stays open. SSL_shutdown(3). */
static int conn_shutdown(lua_State *L)
{
  static const char *const names[] = {"both", "send", "receive", NULL};
  tls_connection *c = tls_checkconnection(L, 1);
  luaL_optstring(L, 2, NULL); /* LuaJIT's luaL_checkoption takes the default for any other type */
  enum direction which = (enum direction)luaL_checkoption(L, 2, "both", names);
  tls_deadline deadline = {false, 0, 0};
  tls_call call;
  tls_error e;
  enum tls_status status = TLS_FAILED;
  lua_settop(L, 1);
  if (c->state != TLS_STATE_CONNECTED || c->broken) {
    return tls_fail_closed(L);
  }
  if (tls_enter(c, &call, L, 1, &e)) {
    do {
      status = shutdown_step(c, which, &e);
    } while ((status == TLS_WANT_READ || status == TLS_WANT_WRITE) && tls_wait(c, status, &deadline));
    tls_leave(c);
  }
  if (status != TLS_DONE) {
    return shutdown_failed(L, status, &e);
  }
  lua_pushboolean(L, 1);
  return 1;
}

const luaL_Reg tls_handshake_methods[] = {
  {"dohandshake", dohandshake},
  {"shutdown", conn_shutdown},
  {"sni", sni},
  {NULL, NULL},
};
