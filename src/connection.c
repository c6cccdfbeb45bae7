/*
 * connection.c: ssl.core, the life of a connection and its single steps: one OpenSSL call, never waiting, its outcome
 * taken at once. What Lua programs call send and receive is built on these steps in stream.c.
 */
#include "tls.h"

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
static bool interrupted(tls_connection *c, tls_error *e)
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
static enum tls_status outcome(tls_connection *c, int ret, int sys, tls_error *e)
{
  enum tls_status status = ret == 1 ? TLS_DONE : tls_error_ssl(e, c->ssl, ret, sys);
  c->starved = status == TLS_WANT_READ;
  if (interrupted(c, e)) {
    return TLS_FAILED;
  }
  if (status == TLS_FAILED && (e->kind != TLS_KIND_CLOSED)) {
    c->broken = true;
  }
  return status;
}

enum tls_status tls_step_handshake(tls_connection *c, tls_error *e)
{
  errno = 0;
  int ret = SSL_do_handshake(c->ssl);
  return outcome(c, ret, errno, e);
}

enum tls_status tls_step_read(tls_connection *c, void *p, size_t n, size_t *got, tls_error *e)
{
  errno = 0;
  int ret = SSL_read_ex(c->ssl, p, n, got);
  return outcome(c, ret, errno, e);
}

enum tls_status tls_step_write(tls_connection *c, const void *p, size_t n, size_t *put, tls_error *e)
{
  errno = 0;
  int ret = SSL_write_ex(c->ssl, p, n, put);
  return outcome(c, ret, errno, e);
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
    tls_context_identify(ctx);
    return SSL_new(ctx->ctx);
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

static void prepare(lua_State *L, tls_connection *c)
{
  SSL_set_ex_data(c->ssl, ex_index, c);
  SSL_set_mode(c->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (SSL_is_init_finished(c->ssl)) {
    c->state = TLS_STATE_CONNECTED;
  } else if (!SSL_in_before(c->ssl)) {
    return; /* luaossl has begun the handshake */
  } else if (c->server) {
    SSL_set_accept_state(c->ssl);
  } else {
    SSL_set_connect_state(c->ssl);
  }
  if (!c->server && tls_toobject(L, 1, &tls_context_type) != NULL) {
    tls_getslot(L, 1, TLS_SLOT_SERVERNAME);
    if (lua_isstring(L, -1)) {
      SSL_set_tlsext_host_name(c->ssl, lua_tostring(L, -1));
    }
    lua_pop(L, 1);
  }
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
  tls_nudge(L, CONNECTION_KIB);
  tls_connection *c = tls_newobject(L, &tls_connection_type, sizeof *c);
  c->state = TLS_STATE_CLOSED; /* until there is an SSL: the collector may see it before */
  c->fd = -1;
  c->block = c->total = -1;
  c->created = tls_now();
  lua_pushvalue(L, 1);
  tls_setslot(L, 2, TLS_SLOT_CONTEXT);
  tls_error_clear();
  c->ssl = make_ssl(L, &server);
  if (c->ssl == NULL) {
    return tls_fail_nil(L, tls_fail_queue(L, "error creating SSL object", NULL));
  }
  c->state = TLS_STATE_NEW;
  c->server = server;
  c->maxreceive = ctx != NULL ? ctx->maxreceive : 0;
  prepare(L, c);
  tls_error_clear();
  return 1;
}

/* close_notify is tried once and never waited for: the descriptor does not block. */
static void close_now(tls_connection *c)
{
  SSL *ssl = c->ssl;
  bool alert = c->state == TLS_STATE_CONNECTED && !c->broken;
  c->state = TLS_STATE_CLOSED;
  c->ssl = NULL;
  c->closing = false;
  if (ssl != NULL) {
    tls_error_clear();
    if (alert && (SSL_get_shutdown(ssl) & SSL_SENT_SHUTDOWN) == 0) {
      SSL_shutdown(ssl);
    }
    if (tls_connectionof(ssl) == c) { /* a borrowed SSL may be another connection's by now */
      SSL_set_ex_data(ssl, ex_index, NULL);
    }
    SSL_free(ssl);
    tls_error_clear();
  }
  tls_transport_close(c);
  tls_stream_free(c);
  tls_verify_free(c);
}

/* conn:close(), __gc and __close: sends close_notify when that needs no waiting, closes the descriptor. Returns nothing.
   Inside a callback of the connection it takes effect when the call that runs ends. SSL_shutdown(3). */
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

/* conn:getfd(): the descriptor, -1 after close. */
static int getfd(lua_State *L)
{
  lua_pushnumber(L, tls_checkconnection(L, 1)->fd);
  return 1;
}

/* ---- handshake ---- */

static enum tls_status run_handshake(tls_connection *c, tls_error *e)
{
  tls_deadline deadline = {false, 0};
  enum tls_status status;
  if (c->server) {
    tls_callback_dh(c);
  }
  if (interrupted(c, e)) {
    return TLS_FAILED;
  }
  do {
    status = tls_step_handshake(c, e);
  } while ((status == TLS_WANT_READ || status == TLS_WANT_WRITE) && tls_wait(c, status, &deadline));
  return status;
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

/* Remembers the handshake's first error, which every later dohandshake repeats. */
static int handshake_failed(lua_State *L, tls_connection *c, tls_error *e)
{
  if (c->server) {
    explain_dh(c, e);
  }
  tls_verify_error(c, e);
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

/* conn:dohandshake(): true; or false, message, detail. "wantread" or "wantwrite": the timeout is over, call again. Any other
   failure is final and repeated by later calls. SSL_do_handshake(3). */
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
    SSL_free_buffers(c->ssl);
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

/* conn:sni(name) on a client: the name to send. conn:sni(map [, strict]) on a server: contexts by name, looked up when the
   client's name comes, so later changes of the map count; with strict a name that is not in it ends the handshake.
   Returns nothing; false, message, detail for a name that cannot be sent. SSL_set_tlsext_host_name(3), RFC 6066 section 3. */
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
  lua_pushvalue(L, 2);
  tls_setslot(L, 1, TLS_SLOT_SNI);
  if (tls_contextof(c->ssl) == NULL) {
    tls_callback_sni(SSL_get_SSL_CTX(c->ssl)); /* a context of luaossl's; ours have it from the start */
  }
  return 0;
}

/* conn:lasterror(): the detail table of the last failure, nil if there was none. */
static int lasterror(lua_State *L)
{
  tls_checkconnection(L, 1);
  tls_getslot(L, 1, TLS_SLOT_ERROR);
  return 1;
}

/* ---- module ---- */

/* setmethod(name, f): gives every connection a method. Returns nothing. */
static int setmethod(lua_State *L)
{
  luaL_checkstring(L, 1);
  luaL_checkany(L, 2);
  lua_settop(L, 2);
  tls_rawgetp(L, LUA_REGISTRYINDEX, &tls_connection_type);
  lua_getfield(L, -1, "__index");
  lua_insert(L, 1);
  lua_pop(L, 1);
  lua_rawset(L, 1);
  return 0;
}

static int copyright(lua_State *L)
{
  lua_pushliteral(L, "luasec: TLS for Lua on OpenSSL 3\nCopyright (C) 2026 the luasec authors");
  return 1;
}

static const luaL_Reg functions[] = {
  {"create", create},
  {"setfd", setfd},
  {"setmethod", setmethod},
  {"copyright", copyright},
  {"compression", tls_inspect_compression},
  {"info", tls_inspect_cipher},
  {"resolve", tls_resolve},
  {NULL, NULL},
};

static const luaL_Reg methods[] = {
  {"close", close_connection},
  {"dohandshake", dohandshake},
  {"getfd", getfd},
  {"lasterror", lasterror},
  {"sni", sni},
  {NULL, NULL},
};

static const luaL_Reg meta[] = {
  {"__gc", close_connection},
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
    tls_addmethods(L, tls_wait_methods);
    tls_addmethods(L, tls_socket_methods);
    tls_addmethods(L, tls_verify_methods);
    tls_addmethods(L, tls_inspect_methods);
    tls_addmethods(L, tls_binding_methods);
  }
  luaopen_ssl_x509(L);
  lua_pop(L, 1);
  lua_newtable(L);
  tls_setfuncs(L, functions, 0);
  lua_pushinteger(L, -1);
  lua_setfield(L, -2, "SOCKET_INVALID");
  return 1;
}
