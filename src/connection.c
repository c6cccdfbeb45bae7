/*
 * connection.c: ssl.core, the life of a connection and its single steps: one OpenSSL call, never waiting, its outcome
 * taken at once. What Lua programs call send and receive is built on these steps in stream.c.
 */
#include "borrowed.h"
#include "live.h"
#include "cookie.h"
#include "readahead.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>

#include <openssl/err.h>

#define CONNECTION_KIB 24 /* what a connection costs OpenSSL, for the collector */

static int ex_index = -1;
static CRYPTO_ONCE ex_once = CRYPTO_ONCE_STATIC_INIT;

static void make_index(void)
{
  ex_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

tls_connection *tls_connectionof(const SSL *ssl)
{
  return SSL_get_ex_data(ssl, ex_index);
}

tls_connection *tls_checkconnection(lua_State *L, int arg)
{
  return tls_checkobject(L, arg, &tls_connection_type);
}

SSL *tls_connected(lua_State *L)
{
  const tls_connection *c = tls_checkconnection(L, 1);
  return c->state == TLS_STATE_CONNECTED ? c->ssl : NULL;
}

/* ---- steps ---- */

bool tls_enter(tls_connection *c, tls_call *call, lua_State *L, int object, tls_error *e)
{
  if (c->call != NULL) {
    tls_error_set(e, TLS_KIND_CALLBACK, "the connection is busy: one of its own callbacks called it");
    return false;
  }
  tls_error_clear();
  *call = (tls_call){L, object, 0, NULL};
  c->call = call;
  return true;
}

static void close_now(tls_connection *c);

void tls_leave(tls_connection *c)
{
  c->call = NULL;
  if (c->closing) {
    close_now(c);
  }
}

/* What a callback did counts for more than what OpenSSL made of it: its error, or the program closing the connection. */
bool tls_interrupted(tls_connection *c, tls_error *e)
{
  if (tls_callback_error(c->call, e)) {
    c->broken = true;
  } else if (c->closing) {
    tls_error_set(e, TLS_KIND_CLOSED, "closed");
  } else {
    return false;
  }
  return true;
}

/* The outcome of an OpenSSL call, taken at once; `sys` is its errno. */
enum tls_status tls_outcome(tls_connection *c, int ret, int sys, tls_error *e)
{
  c->forks = tls_forks;
  tls_readahead_step(c->ssl);
  c->taken = 0;
  if (ret == 1 && c->call->parked == 0 && !c->closing) {
    c->starved = false;
    return TLS_DONE;
  }
  enum tls_status status = ret == 1 ? TLS_DONE : tls_error_ssl(e, c->ssl, ret, sys);
  c->starved = status == TLS_WANT_READ;
  if (tls_interrupted(c, e)) {
    return TLS_FAILED;
  }
  if (status == TLS_FAILED && (e->kind != TLS_KIND_CLOSED)) {
    c->broken = true;
    if (e->kind == TLS_KIND_ALERT || e->kind == TLS_KIND_PROTOCOL) {
      tls_sessions_spoil(c);
    }
  }
  return status;
}

enum tls_status tls_step_handshake(tls_connection *c, tls_error *e)
{
  errno = 0;
  int ret = SSL_do_handshake(c->ssl);
  return tls_outcome(c, ret, errno, e);
}

enum tls_status tls_step_read(tls_connection *c, void *p, size_t n, size_t *got, tls_error *e)
{
  errno = 0;
  int ret = SSL_read_ex(c->ssl, p, n, got);
  return tls_outcome(c, ret, errno, e);
}

enum tls_status tls_step_write(tls_connection *c, const void *p, size_t n, size_t *put, tls_error *e)
{
  errno = 0;
  int ret = SSL_write_ex(c->ssl, p, n, put);
  return tls_outcome(c, ret, errno, e);
}

/* ---- life ---- */

static void *foreign(lua_State *L, int arg, const char *name)
{
  void **p = lua_touserdata(L, arg);
  bool same = false;
  if (p != NULL && lua_type(L, arg) == LUA_TUSERDATA && lua_rawlen(L, arg) >= sizeof *p && lua_getmetatable(L, arg)) {
    lua_getfield(L, LUA_REGISTRYINDEX, name);
    same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
  }
  return same ? *p : NULL;
}

/* A new reference to an SSL made from argument 1: a context of ours, or luaossl's SSL_CTX* or SSL*. NULL when OpenSSL
   fails; raises for other values. `state` says what the handshake of a borrowed SSL has come to. */
static SSL *make_ssl(lua_State *L, bool *server)
{
  tls_context *ctx = tls_toobject(L, 1, &tls_context_type);
  if (ctx != NULL && ctx->ctx != NULL) {
    *server = ctx->mode == TLS_MODE_SERVER;
    return tls_context_ssl(ctx);
  }
  SSL_CTX *sslctx = foreign(L, 1, "SSL_CTX*");
  SSL *ssl = foreign(L, 1, "SSL*");
  if (sslctx != NULL) {
    ssl = SSL_new(sslctx);
  } else if (ssl != NULL) {
    SSL_up_ref(ssl);
  } else {
    luaL_argerror(L, 1, "invalid context");
  }
  *server = ssl != NULL && SSL_is_server(ssl);
  return ssl;
}

/* False when memory is short: an SSL that does not know its connection would have no callbacks. */
static bool prepare(lua_State *L, tls_connection *c)
{
  if (SSL_set_ex_data(c->ssl, ex_index, c) != 1) {
    return false;
  }
  c->sessions = tls_sessionsof(SSL_get_SSL_CTX(c->ssl));
  c->offered = false;
  /* Not during the handshake: event loops that wait for the socket afterwards would not know of data that came along with
     its last message. The first read switches it on. */
  c->readahead = SSL_get_read_ahead(c->ssl);
  SSL_set_read_ahead(c->ssl, 0);
  SSL_set_mode(c->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (SSL_is_init_finished(c->ssl)) {
    c->state = TLS_STATE_CONNECTED;
  } else if (!SSL_in_before(c->ssl)) {
    return true; /* luaossl has begun the handshake */
  } else if (c->server) {
    SSL_set_accept_state(c->ssl);
  } else {
    SSL_set_connect_state(c->ssl);
  }
  /* Since OpenSSL 3.2 both make new record layers. Short of memory they answer nothing, and the next call would crash. */
  if (c->state != TLS_STATE_CONNECTED && !SSL_in_before(c->ssl)) {
    return false;
  }
  tls_psk_prepare(c, tls_contextof(c->ssl));
  if (c->server || tls_toobject(L, 1, &tls_context_type) == NULL) {
    return true;
  }
  tls_getslot(L, 1, TLS_SLOT_SERVERNAME);
  bool ok = !lua_isstring(L, -1) || SSL_set_tlsext_host_name(c->ssl, lua_tostring(L, -1)) == 1;
  lua_pop(L, 1);
  return ok;
}

/* Lets go of all that belongs to one SSL, and of what the connection keeps beside it. */
static void forget(tls_connection *c, SSL *ssl)
{
  tls_memory_close(c, ssl);
  if (tls_connectionof(ssl) == c) { /* a borrowed SSL may be another connection's by now */
    SSL_set_ex_data(ssl, ex_index, NULL);
  }
  tls_dtls_free(c, ssl);
  SSL_free(ssl);
  tls_error_clear();
  tls_stream_free(c);
  tls_verify_free(c);
  tls_session_free(c);
  tls_psk_forget(c);
}

/* The context of the connection at 1 comes to 1, as create has it, the connection to 2. False when no SSL can be made of it. */
static bool context_first(lua_State *L, tls_error *e)
{
  lua_settop(L, 1);
  tls_getslot(L, 1, TLS_SLOT_CONTEXT);
  lua_insert(L, 1);
  const tls_context *ctx = tls_toobject(L, 1, &tls_context_type);
  if (ctx != NULL ? ctx->ctx != NULL : foreign(L, 1, "SSL_CTX*") != NULL) {
    return true;
  }
  tls_error_set(e, TLS_KIND_CONFIG, "the context is closed, or not a context");
  return false;
}

/* What the handshake that was has left; the next client's name is decided by anew. */
static void forget_handshake(lua_State *L, tls_connection *c)
{
  const tls_context *ctx = tls_toobject(L, 1, &tls_context_type);
  if (c->known && ctx != NULL) {
    c->maxreceive = ctx->maxreceive; /* sni has brought another one */
  }
  c->state = TLS_STATE_NEW;
  c->failed = c->broken = c->starved = c->notifying = c->updating = false;
  c->named = c->known = c->unknown = false;
  c->ocsp = 0;
  c->ahead = 0;
}

bool tls_connection_renew(lua_State *L, tls_connection *c, tls_error *e)
{
  SSL *old = c->ssl;
  if (!context_first(L, e)) {
    return false;
  }
  tls_error_clear();
  SSL *ssl = make_ssl(L, &c->server);
  if (ssl == NULL) {
    tls_error_queue(e, TLS_KIND_SYSTEM);
    return false;
  }
  c->ssl = ssl;
  forget_handshake(L, c);
  const char *name = c->server ? NULL : SSL_get_servername(old, TLSEXT_NAMETYPE_host_name);
  if (!prepare(L, c) || (name != NULL && SSL_set_tlsext_host_name(ssl, name) != 1)) {
    tls_error_queue(e, TLS_KIND_SYSTEM);
    SSL_free(ssl);
    c->ssl = old;
    c->failed = c->broken = true;
    return false;
  }
  forget(c, old);
  static const enum tls_slot past[] = {TLS_SLOT_SELECTED, TLS_SLOT_NAME, TLS_SLOT_FAILURE, TLS_SLOT_ERROR};
  for (size_t i = 0; i < sizeof past / sizeof *past; i++) {
    lua_pushnil(L);
    tls_setslot(L, 2, past[i]);
  }
  tls_error_clear();
  return true;
}

/* create(context): a connection without a descriptor, or nil, message, detail. Takes luaossl's SSL_CTX* and SSL* too. The
   context lives as long as the connection. SSL_new(3). */
static int create(lua_State *L)
{
  const tls_context *ctx = tls_toobject(L, 1, &tls_context_type);
  bool server = false;
  lua_settop(L, 1);
  if (ctx != NULL && ctx->ctx != NULL && ctx->mode == TLS_MODE_UNSET) {
    return tls_fail_nil(L, tls_refuse(L, "invalid mode"));
  }
  tls_census *census = tls_nudge_connection(L, CONNECTION_KIB);
  tls_connection *c = tls_newobject(L, &tls_connection_type, sizeof *c);
  c->census = census;
  c->state = TLS_STATE_CLOSED; /* until there is an SSL: the collector may see it before */
  c->fd = -1;
  c->block = c->total = -1;
  c->created = tls_now();
  c->forks = tls_forks;
  lua_pushvalue(L, 1);
  tls_setslot(L, 2, TLS_SLOT_CONTEXT);
  tls_error_clear();
  c->ssl = make_ssl(L, &server);
  tls_count(census, c->ssl != NULL);
  c->state = c->ssl != NULL ? TLS_STATE_NEW : TLS_STATE_CLOSED;
  c->server = server;
  c->maxreceive = ctx != NULL ? ctx->maxreceive : 0;
  c->byname = ctx != NULL && ctx->byname;
  if (c->ssl == NULL || !prepare(L, c)) {
    return tls_fail_nil(L, tls_fail_queue(L, "error creating SSL object", NULL));
  }
  tls_error_clear();
  return 1;
}

/* close_notify is tried once and never waited for: the descriptor does not block. A child of fork(2) that drops what it
   inherited says nothing: the connection is its parent's. */
static void close_now(tls_connection *c)
{
  SSL *ssl = c->ssl;
  bool alert = c->state == TLS_STATE_CONNECTED && !c->broken && !c->borrowed && (c->fd < 0 || c->forks == tls_forks);
  c->state = TLS_STATE_CLOSED;
  c->ssl = NULL;
  c->closing = false;
  if (ssl != NULL) {
    tls_error_clear();
    if (alert && (SSL_get_shutdown(ssl) & SSL_SENT_SHUTDOWN) == 0) {
      SSL_shutdown(ssl);
    }
    forget(c, ssl);
    tls_count(c->census, -1);
  }
  tls_transport_close(c);
}

/* conn:close() -> nothing
   Sends close_notify when that needs no waiting, closes the descriptor; so do __gc and __close. May be called again.
   Inside a callback of the connection it takes effect when the call that runs ends. A child of fork(2) that did not use
   the connection sends nothing: it is its parent's. SSL_shutdown(3). */
static int close_connection(lua_State *L)
{
  tls_connection *c = tls_checkconnection(L, 1);
  if (c->call != NULL) {
    c->closing = true;
  } else if (c->state != TLS_STATE_CLOSED || c->fd >= 0) {
    close_now(c);
  }
  return 0;
}

/* __gc: what an engine has to say last can be drained no more. */
static int collect_connection(lua_State *L)
{
  tls_connection *c = tls_checkconnection(L, 1);
  c->census->open += c->ssl != NULL; /* as nobody has closed it */
  close_connection(L);
  if (c->call == NULL) {
    tls_memory_free(c);
  }
  return 0;
}

static int tostring(lua_State *L)
{
  const tls_connection *c = tls_checkconnection(L, 1);
  lua_pushfstring(L, c->state == TLS_STATE_CLOSED ? "SSL connection: %p (closed)" : "SSL connection: %p", (const void *)c);
  return 1;
}

/* setfd(conn, fd): gives a new connection the descriptor it reads, writes and, from now on, owns; it is made non-blocking.
   Returns nothing. SSL_set_fd(3). */
static int setfd(lua_State *L)
{
  tls_connection *c = tls_checkconnection(L, 1);
  luaL_argcheck(L, c->state == TLS_STATE_NEW && c->call == NULL, 1, "invalid SSL object state");
  lua_Number fd = luaL_checknumber(L, 2);
  luaL_argcheck(L, fd >= INT_MIN && fd <= INT_MAX, 2, "invalid file descriptor");
  tls_error_clear();
  bool ok = tls_transport_attach(c, (int)fd);
  tls_error_clear();
  if (!ok) {
    return luaL_error(L, "not enough memory");
  }
  return 0;
}

/* conn:getfd() -> fd: integer
   The descriptor; -1 after close and of an engine. */
static int getfd(lua_State *L)
{
  lua_pushnumber(L, tls_checkconnection(L, 1)->fd);
  return 1;
}

/* ---- module ---- */

/* conn:lasterror() -> detail | nil
   The detail table of the last failure, nil if there was none. */
static int lasterror(lua_State *L)
{
  tls_checkconnection(L, 1);
  tls_getslot(L, 1, TLS_SLOT_ERROR);
  return 1;
}

/* setmethod(name, f): gives every connection a method. Returns nothing. */
static int setmethod(lua_State *L)
{
  return tls_setmethod(L, &tls_connection_type);
}

static int copyright(lua_State *L)
{
  lua_pushliteral(L, "luasec: TLS for Lua on OpenSSL 3\nCopyright (C) 2026 the luasec authors");
  return 1;
}

static const luaL_Reg functions[] = {
  {"create", create},
  {"setfd", setfd},
  {"setmemory", tls_engine_attach},
  {"setmethod", setmethod},
  {"copyright", copyright},
  {"now", tls_wait_now},
  {"cookie", tls_cookie},
  {"checkcookie", tls_checkcookie},
  {"compression", tls_inspect_compression},
  {"info", tls_inspect_cipher},
  {"filestamp", tls_filestamp},
  {"fingerprint", tls_fingerprint},
  {"resolve", tls_resolve},
  {"loadsession", tls_session_load},
  {NULL, NULL},
};

static const luaL_Reg methods[] = {
  {"close", close_connection},
  {"getfd", getfd},
  {"lasterror", lasterror},
  {NULL, NULL},
};

static const luaL_Reg meta[] = {
  {"__gc", collect_connection},
  {"__close", close_connection},
  {"__tostring", tostring},
  {NULL, NULL},
};

TLS_EXPORT int luaopen_ssl_core(lua_State *L)
{
  CRYPTO_THREAD_run_once(&ex_once, make_index);
  tls_transport_open();
  tls_callback_open(L);
  if (tls_newtype(L, &tls_connection_type, methods, meta)) {
    tls_stream_open(L);
    tls_addmethods(L, tls_handshake_methods);
    tls_addmethods(L, tls_wait_methods);
    tls_addmethods(L, tls_socket_methods);
    tls_addmethods(L, tls_verify_methods);
    tls_addmethods(L, tls_inspect_methods);
    tls_addmethods(L, tls_binding_methods);
    tls_addmethods(L, tls_session_methods);
    tls_addmethods(L, tls_sendfile_methods);
    tls_addmethods(L, tls_keyupdate_methods);
    tls_addmethods(L, tls_engine_methods);
    tls_addmethods(L, tls_dtls_methods);
    tls_addmethods(L, tls_psk_methods);
    tls_addmethods(L, tls_ocsp_methods);
  }
  luaopen_ssl_x509(L);
  lua_pop(L, 1);
  lua_newtable(L);
  tls_setfuncs(L, functions, 0);
  tls_setfuncs(L, tls_borrowed_functions, 0);
  tls_setfuncs(L, tls_secrets_functions, 0);
  lua_pushinteger(L, -1);
  lua_setfield(L, -2, "SOCKET_INVALID");
  return 1;
}
