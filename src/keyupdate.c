/*
 * keyupdate.c: conn:keyupdate, fresh keys in the middle of a TLS 1.3 connection. What the peer asks for is answered by
 * OpenSSL itself, in any read or write.
 */
#include "live.h"
#include "stream.h"

/* Runs until our own update is out. A message of OpenSSL's that is on its way first, such as the answer to the peer's
   update, comes before it. */
static enum tls_status step(tls_connection *c, int type, tls_error *e)
{
  enum tls_status status = tls_send_flush(c, e);
  if (status == TLS_DONE && SSL_in_init(c->ssl)) {
    status = tls_step_handshake(c, e);
  }
  if (status == TLS_DONE && !c->updating) {
    if (SSL_key_update(c->ssl, type) != 1) {
      tls_error_queue(e, TLS_KIND_PROTOCOL);
      return TLS_FAILED;
    }
    c->updating = true;
    status = tls_step_handshake(c, e);
  }
  if (status == TLS_DONE) {
    c->updating = false;
  }
  return status;
}

static enum tls_status run(tls_connection *c, int type, tls_error *e)
{
  tls_deadline deadline = {false, 0, 0};
  enum tls_status status;
  if (c->broken || (SSL_get_shutdown(c->ssl) & SSL_SENT_SHUTDOWN) != 0) {
    tls_error_set(e, TLS_KIND_CLOSED, "closed");
    return TLS_FAILED;
  }
  if (SSL_version(c->ssl) != TLS1_3_VERSION) {
    tls_error_set(e, TLS_KIND_CONFIG, "key updates need TLS 1.3, and another version was negotiated");
    return TLS_FAILED;
  }
  do {
    status = step(c, type, e);
  } while ((status == TLS_WANT_READ || status == TLS_WANT_WRITE) && tls_wait(c, status, &deadline));
  return status;
}

/* conn:keyupdate([which: "both"|"send"]) -> true | nil, message, detail
   Changes the keys of a TLS 1.3 connection: "both" (the default) sends with new keys from now on and asks the peer to
   do the same, "send" changes our own alone. A send that waits is finished first. "wantread" or "wantwrite": the
   timeout is over, call again. SSL_key_update(3), RFC 8446 section 4.6.3. */
static int keyupdate(lua_State *L)
{
  static const char *const names[] = {"both", "send", NULL};
  static const int types[] = {SSL_KEY_UPDATE_REQUESTED, SSL_KEY_UPDATE_NOT_REQUESTED};
  tls_connection *c = tls_checkconnection(L, 1);
  luaL_optstring(L, 2, NULL); /* LuaJIT's luaL_checkoption takes the default for any other type */
  int type = types[luaL_checkoption(L, 2, "both", names)];
  tls_call call;
  tls_error e;
  lua_settop(L, 1);
  enum tls_status status = tls_stream_enter(c, &call, L, &e);
  if (status == TLS_DONE) {
    status = run(c, type, &e);
    tls_leave(c);
  }
  if (status == TLS_DONE) {
    lua_pushboolean(L, 1);
    return 1;
  }
  lua_pushnil(L);
  tls_stream_failure(L, c, status, &e);
  return 3;
}

const luaL_Reg tls_keyupdate_methods[] = {
  {"keyupdate", keyupdate},
  {NULL, NULL},
};
