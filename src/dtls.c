/*
 * dtls.c: what DTLS has beyond TLS: the cookie exchange before a server keeps anything of a client, the timer after which a
 * flight is sent again, and the size of datagrams. Handshakes, reading and writing are those of every connection. RFC 6347.
 */
#include "cookie.h"
#include "memory.h"
#include "readahead.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <openssl/bio.h>

#define TIMER_MAX 60000000u /* microseconds */
#define ENGINE_MTU 1232 /* what the smallest link of IPv6 has left for UDP's data: 1280 - 40 - 8, RFC 8200 section 5 */

/* ---- cookies ---- */

static int generate_cookie(SSL *ssl, unsigned char *cookie, unsigned int *length)
{
  const tls_connection *c = tls_connectionof(ssl);
  if (c == NULL || c->peer == NULL) {
    return 0;
  }
  *length = TLS_COOKIE_LENGTH;
  return tls_cookie_make(c->peer, c->npeer, cookie);
}

static int verify_cookie(SSL *ssl, const unsigned char *cookie, unsigned int length)
{
  const tls_connection *c = tls_connectionof(ssl);
  bool failed;
  return c != NULL && c->peer != NULL && tls_cookie_check(c->peer, c->npeer, cookie, length, &failed);
}

void tls_dtls_prepare(SSL_CTX *ctx)
{
  SSL_CTX_set_cookie_generate_cb(ctx, generate_cookie);
  SSL_CTX_set_cookie_verify_cb(ctx, verify_cookie);
}

/* ---- transport ---- */

/* The address that the socket is connected to; false when there is none. */
static bool take_peer(int fd, BIO_ADDR *peer)
{
  union {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_storage room;
  } a;
  socklen_t n = sizeof a;
  if (getpeername(fd, &a.any, &n) != 0) {
    return false;
  }
  if (a.any.sa_family == AF_INET6) {
    return BIO_ADDR_rawmake(peer, AF_INET6, &a.in6.sin6_addr, sizeof a.in6.sin6_addr, a.in6.sin6_port) == 1;
  }
  return a.any.sa_family == AF_INET &&
    BIO_ADDR_rawmake(peer, AF_INET, &a.in.sin_addr, sizeof a.in.sin_addr, a.in.sin_port) == 1;
}

/* Over a socket datagrams go to the peer that it is connected to; over one that is not, to whoever sent the last. */
bool tls_dtls_attach(tls_connection *c, int fd)
{
  BIO *bio = BIO_new_dgram(fd, BIO_NOCLOSE);
  BIO_ADDR *peer = BIO_ADDR_new();
  if (bio == NULL || peer == NULL) {
    BIO_free(bio);
    BIO_ADDR_free(peer);
    return false;
  }
  if (take_peer(fd, peer)) {
    BIO_ctrl_set_connected(bio, peer);
  }
  BIO_ADDR_free(peer);
  tls_readahead_watch(c, bio);
  SSL_set_bio(c->ssl, bio, bio);
  return true;
}

/* Each wait is twice the one before, up to a minute: RFC 6347 section 4.2.4.1. */
static unsigned int next_timer(SSL *ssl, unsigned int before)
{
  const tls_connection *c = tls_connectionof(ssl);
  if (before == 0) {
    return c != NULL && c->retransmit > 0 ? c->retransmit : 1000000;
  }
  return before < TIMER_MAX / 2 ? before * 2 : TIMER_MAX;
}

void tls_dtls_engine(tls_connection *c)
{
  if (c->retransmit > 0) { /* a reset one */
    DTLS_set_timer_cb(c->ssl, next_timer);
  }
  SSL_set_options(c->ssl, SSL_OP_NO_QUERY_MTU);
  DTLS_set_link_mtu(c->ssl, ENGINE_MTU);
}

int tls_dtls_timer(const tls_connection *c)
{
  struct timeval t;
  if (!SSL_is_dtls(c->ssl) || DTLSv1_get_timeout(c->ssl, &t) != 1) {
    return -1;
  }
  return t.tv_sec >= INT_MAX / 1000 - 1 ? INT_MAX : (int)(t.tv_sec * 1000 + t.tv_usec / 1000 + 1);
}

/* Since OpenSSL 3.2 a handshake that ends between a change of cipher and the new keys, for want of memory as an example,
   leaves a layer of records both in use and in the flight to be sent again, and SSL_free(3) would free it twice;
   SSL_clear(3) drops the flight first. Not for an SSL that is another library's. */
void tls_dtls_free(tls_connection *c, SSL *ssl)
{
  if (c->sessions != NULL && SSL_is_dtls(ssl) && !SSL_is_init_finished(ssl)) {
    SSL_clear(ssl);
  }
  OPENSSL_free(c->peer);
  c->peer = NULL;
}

/* ---- methods ---- */

/* The DTLS connection at argument 1 that is not closed; NULL with nil, message, detail pushed for any other. */
static tls_connection *check_dtls(lua_State *L)
{
  tls_connection *c = tls_checkconnection(L, 1);
  if (c->state == TLS_STATE_CLOSED) {
    tls_fail_closed(L);
    return NULL;
  }
  if (!SSL_is_dtls(c->ssl)) {
    tls_fail_nil(L, tls_refuse(L, "the connection does not speak DTLS; the context's protocol says what it speaks"));
    return NULL;
  }
  return c;
}

static int failure(lua_State *L, const tls_error *e)
{
  lua_pushnil(L);
  tls_error_message(L, e);
  tls_error_detail(L, e);
  return 3;
}

static bool remember_peer(tls_connection *c, const char *id, size_t n)
{
  unsigned char *copy = OPENSSL_memdup(id, n > 0 ? n : 1);
  if (copy != NULL) {
    OPENSSL_free(c->peer);
    c->peer = copy;
    c->npeer = n;
  }
  return copy != NULL;
}

static size_t waiting_out(const tls_connection *c)
{
  return c->memory != NULL ? tls_queue_length(&c->memory->out) : 0;
}

/* What DTLSv1_listen came to. It answers 0 for nothing there and for a cookie sent alike. */
static int listened(lua_State *L, const tls_connection *c, int ret, size_t before)
{
  if (ret > 0) {
    lua_pushboolean(L, 1);
    return 1;
  }
  lua_pushnil(L);
  if (waiting_out(c) == before) {
    return 1 + tls_stream_want(L, TLS_WANT_READ);
  }
  lua_pushliteral(L, "retry");
  return 2;
}

/* conn:listen(peerid: string) -> true | nil, message, detail
   Begins a server's handshake with a client that is shown to receive at its address; peerid is any string that tells
   clients apart, such as address and port. true: call dohandshake; nil, "retry": a cookie is to be drained, the
   client will come back with it, to this connection or another; nil, "wantread": nothing there; any other message is
   a failure. Never waits. DTLSv1_listen(3). */
static int conn_listen(lua_State *L)
{
  size_t n;
  tls_call call;
  tls_error e;
  tls_connection *c = check_dtls(L);
  const char *peer = luaL_checklstring(L, 2, &n);
  if (c == NULL) {
    return 3;
  }
  if (!c->server || c->state != TLS_STATE_NEW || c->failed) {
    return tls_fail_nil(L, tls_refuse(L, "only a server listens, before its handshake"));
  }
  BIO_ADDR *address = BIO_ADDR_new();
  size_t before = waiting_out(c);
  if (address == NULL || !remember_peer(c, peer, n)) {
    BIO_ADDR_free(address);
    tls_error_clear();
    tls_error_set(&e, TLS_KIND_SYSTEM, "not enough memory");
    return failure(L, &e);
  }
  if (!tls_enter(c, &call, L, 1, &e)) {
    BIO_ADDR_free(address);
    return failure(L, &e);
  }
  errno = 0;
  int ret = DTLSv1_listen(c->ssl, address);
  int sys = errno;
  c->taken = 0;
  BIO_ADDR_free(address);
  bool failed = ret < 0 && tls_error_ssl(&e, c->ssl, ret, sys) == TLS_FAILED;
  failed = tls_interrupted(c, &e) || failed;
  tls_error_clear();
  tls_leave(c);
  return failed ? failure(L, &e) : listened(L, c, ret, before);
}

/* conn:dtlstimeout() -> seconds: number | nil
   Seconds until the last flight is to be sent again: call handletimeout, or dohandshake, then. nil when no timer
   runs. DTLSv1_get_timeout(3). */
static int dtlstimeout(lua_State *L)
{
  struct timeval t;
  const tls_connection *c = check_dtls(L);
  if (c == NULL) {
    return 3;
  }
  if (DTLSv1_get_timeout(c->ssl, &t) == 1) {
    lua_pushnumber(L, (lua_Number)t.tv_sec + (lua_Number)t.tv_usec / 1e6);
  } else {
    lua_pushnil(L);
  }
  return 1;
}

/* conn:handletimeout() -> done: boolean | nil, message, detail
   Sends the last flight again when its timer is over. true if it did, false if there was nothing to do; a failure
   when the peer has not answered for too long. DTLSv1_handle_timeout(3). */
static int handletimeout(lua_State *L)
{
  tls_call call;
  tls_error e;
  tls_connection *c = check_dtls(L);
  if (c == NULL) {
    return 3;
  }
  if (!tls_enter(c, &call, L, 1, &e)) {
    return failure(L, &e);
  }
  errno = 0;
  int ret = (int)DTLSv1_handle_timeout(c->ssl);
  int sys = errno;
  bool failed = ret < 0 && tls_error_ssl(&e, c->ssl, ret, sys) == TLS_FAILED;
  c->broken = c->broken || failed;
  tls_error_clear();
  tls_leave(c);
  if (failed) {
    return failure(L, &e);
  }
  lua_pushboolean(L, ret > 0);
  return 1;
}

/* conn:setmtu(bytes: integer) -> true | nil, message, detail
   The largest datagram that a handshake sends, and stops asking the system for it. A size that cannot be is a
   failure. An engine begins with 1232. DTLS_set_link_mtu(3). */
static int setmtu(lua_State *L)
{
  tls_connection *c = check_dtls(L);
  size_t mtu = tls_checksize(L, 2);
  if (c == NULL) {
    return 3;
  }
  tls_error_clear();
  SSL_set_options(c->ssl, SSL_OP_NO_QUERY_MTU);
  bool ok = mtu <= 65535 && DTLS_set_link_mtu(c->ssl, (long)mtu) == 1;
  tls_error_clear();
  if (!ok) {
    return tls_fail_nil(L, tls_refuse(L, "a datagram cannot have this size; between 256 and 65535 bytes will do"));
  }
  lua_pushboolean(L, 1);
  return 1;
}

/* conn:setretransmit(seconds: number) -> true | nil, message, detail
   After what time without an answer a handshake sends a flight again for the first time, from a millisecond to a
   minute; the waits after that double. Counts for timers that start later. Other times are a failure.
   DTLS_set_timer_cb(3). */
static int setretransmit(lua_State *L)
{
  tls_connection *c = check_dtls(L);
  lua_Number seconds = luaL_checknumber(L, 2);
  if (c == NULL) {
    return 3;
  }
  if (!(seconds >= 0.001 && seconds * 1000000 <= TIMER_MAX)) {
    return tls_fail_nil(L, tls_refuse(L, "the first timer of DTLS runs from 0.001 to 60 seconds"));
  }
  c->retransmit = (unsigned int)(seconds * 1000000);
  DTLS_set_timer_cb(c->ssl, next_timer);
  lua_pushboolean(L, 1);
  return 1;
}

const luaL_Reg tls_dtls_methods[] = {
  {"dtlstimeout", dtlstimeout},
  {"handletimeout", handletimeout},
  {"listen", conn_listen},
  {"setmtu", setmtu},
  {"setretransmit", setretransmit},
  {NULL, NULL},
};
