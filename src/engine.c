/*
 * engine.c: what an engine, a connection on memory, has beyond the other connections: the program feeds it what came from the
 * peer and drains what is to go there. TLS itself goes through the same methods as on a socket. The queues are memory.c's.
 */
#include "memory.h"

#include <limits.h>
#include <string.h>

/* The engine at argument 1; NULL, with nil, message, detail pushed, when it is a socket's connection. */
static tls_connection *check_engine(lua_State *L)
{
  tls_connection *c = tls_checkconnection(L, 1);
  if (c->memory != NULL) {
    return c;
  }
  tls_fail_nil(L, tls_refuse(L, "the connection has a socket; only an engine is fed and drained"));
  return NULL;
}

static int refuse(lua_State *L, enum tls_kind kind, const char *text)
{
  tls_error e;
  tls_error_set(&e, kind, text);
  lua_pushnil(L);
  tls_error_message(L, &e);
  tls_error_detail(L, &e);
  return 3;
}

/* setmemory(conn): makes an engine of a new connection. Returns nothing. BIO_meth_new(3). */
int tls_engine_attach(lua_State *L)
{
  tls_connection *c = tls_checkconnection(L, 1);
  luaL_argcheck(L, c->state == TLS_STATE_NEW && c->call == NULL && c->fd < 0, 1, "invalid SSL object state");
  tls_error_clear();
  bool ok = tls_memory_attach(c, SSL_is_dtls(c->ssl));
  tls_error_clear();
  if (!ok) {
    return luaL_error(L, "not enough memory");
  }
  if (SSL_is_dtls(c->ssl)) {
    tls_dtls_engine(c);
  }
  c->readahead = false; /* what was fed is at hand anyhow */
  return 0;
}

/* What the engine at argument 2 has to send, as much as fits; nothing is copied when all that was fed before is used up. */
static int feed_engine(lua_State *L, tls_connection *c, tls_connection *other)
{
  if (c->state == TLS_STATE_CLOSED || c->memory->ended) {
    return tls_fail_closed(L);
  }
  if (other->memory == NULL || other->memory->out.packets != c->memory->in.packets) {
    return tls_fail_nil(L, tls_refuse(L, "the other connection is no engine of the same kind, TLS or DTLS"));
  }
  if (!tls_queue_move(&c->memory->in, &other->memory->out)) {
    return refuse(L, TLS_KIND_SYSTEM, "not enough memory");
  }
  c->starved = false;
  if (tls_queue_length(&other->memory->out) > 0) {
    return refuse(L, TLS_KIND_WANT, "more input than maxinput allows; read what was fed before");
  }
  lua_pushboolean(L, 1);
  return 1;
}

/* conn:feed(from: string|ssl.Connection) -> true | nil, message, detail
   Hands an engine what came from the peer; of DTLS one datagram. All of it is taken, or nothing. A failure has the
   kind "want" when more would wait than `maxinput` allows: read first; or "closed" after close or feedeof.
   conn:feed(engine) takes what another engine has to send, instead of its drain; what does not fit stays there. */
static int feed(lua_State *L)
{
  size_t n;
  tls_connection *c = check_engine(L);
  if (c == NULL) {
    return 3;
  }
  tls_connection *other = tls_toobject(L, 2, &tls_connection_type);
  if (other != NULL) {
    return feed_engine(L, c, other);
  }
  const char *bytes = luaL_checklstring(L, 2, &n);
  if (c->state == TLS_STATE_CLOSED || c->memory->ended) {
    return tls_fail_closed(L);
  }
  if (n > 0 && !tls_queue_fits(&c->memory->in, n)) {
    return refuse(L, TLS_KIND_WANT, "more input than maxinput allows; read what was fed before");
  }
  if (n > 0 && !tls_queue_put(&c->memory->in, bytes, n)) {
    return refuse(L, TLS_KIND_SYSTEM, "not enough memory");
  }
  c->starved = false;
  lua_pushboolean(L, 1);
  return 1;
}

/* conn:feedeof() -> true | nil, message, detail
   Says that the peer's transport has ended: once what was fed is used up, reading fails as on a closed socket. A
   failure on a connection with a socket. */
static int feedeof(lua_State *L)
{
  tls_connection *c = check_engine(L);
  if (c == NULL) {
    return 3;
  }
  c->memory->ended = true;
  c->starved = false;
  lua_pushboolean(L, 1);
  return 1;
}

/* Pushes n bytes of a queue and drops them. Making the string may raise, and may run finalizers: bytes leave the queue only
   once they are a string, and not when somebody else has taken them meanwhile. */
static void push_out(lua_State *L, tls_queue *q, size_t n)
{
  const unsigned char *p = tls_queue_peek(q);
  size_t taken = q->taken;
#ifndef HAVE_COPY_BEFORE_COLLECT
  unsigned char *copy = lua_newuserdata(L, n);
  if (q->taken == taken) {
    memcpy(copy, tls_queue_peek(q), n);
  } else {
    n = 0;
  }
  p = copy;
#endif
  lua_pushlstring(L, (const char *)p, n);
  if (n > 0 && q->taken == taken) {
    tls_queue_drop(q, n);
  } else {
    lua_pushliteral(L, "");
  }
}

/* conn:drain([max: integer]) -> bytes: string
   Takes what an engine has to send, at most max bytes; of DTLS one whole datagram, whatever max says. Works after a
   failed handshake and after close, whose alerts the peer should get. "" when there is nothing. */
static int drain(lua_State *L)
{
  tls_connection *c = check_engine(L);
  if (c == NULL) {
    return 3;
  }
  size_t max = lua_isnoneornil(L, 2) ? SIZE_MAX : tls_checksize(L, 2);
  tls_queue *q = &c->memory->out;
  size_t n = tls_queue_next(q);
  n = q->packets || n < max ? n : max;
  if (n == 0) {
    lua_pushliteral(L, "");
  } else {
    push_out(L, q, n);
  }
  return 1;
}

/* conn:pendingout() -> bytes: integer
   How many bytes an engine has to send; of DTLS the length of the next datagram. */
static int pendingout(lua_State *L)
{
  const tls_connection *c = check_engine(L);
  if (c == NULL) {
    return 3;
  }
  lua_pushinteger(L, (lua_Integer)tls_queue_next(&c->memory->out));
  return 1;
}

/* conn:reset() -> true | nil, message, detail
   Makes an engine new: no handshake, no session, nothing fed or to be drained; the context, the server name and the
   timeouts stay. A failure when it is closed or busy, or verifies by TLSA records. SSL_new(3). */
static int reset(lua_State *L)
{
  tls_error e;
  tls_connection *c = check_engine(L);
  if (c == NULL) {
    return 3;
  }
  if (c->state == TLS_STATE_CLOSED) {
    return tls_fail_closed(L);
  }
  if (c->call != NULL) {
    return refuse(L, TLS_KIND_CONFIG, "the connection is busy: one of its own callbacks called it");
  }
  if (c->dane) { /* a new SSL would verify without the name and the records that were set */
    return refuse(L, TLS_KIND_CONFIG, "TLSA records are for one handshake; make another engine and set them there");
  }
  bool packets = c->memory->in.packets;
  if (!tls_connection_renew(L, c, &e)) {
    return refuse(L, e.kind, e.text);
  }
  tls_queue_free(&c->memory->in);
  tls_queue_free(&c->memory->out);
  c->memory->ended = false;
  c->readahead = false;
  if (!tls_memory_attach(c, packets)) {
    return luaL_error(L, "not enough memory");
  }
  if (packets) {
    tls_dtls_engine(c);
  }
  lua_pushboolean(L, 1);
  return 1;
}

const luaL_Reg tls_engine_methods[] = {
  {"drain", drain},
  {"feed", feed},
  {"feedeof", feedeof},
  {"pendingout", pendingout},
  {"reset", reset},
  {NULL, NULL},
};
