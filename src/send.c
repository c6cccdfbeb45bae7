/*
 * send.c: LuaSocket's send over the single steps of connection.c: ranges, partial results, and what is kept of a record
 * that the socket did not take.
 */
#include "memory.h"
#include "readahead.h"
#include "stream.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* After "wantwrite" OpenSSL holds the record that the socket did not take and insists on being offered the same bytes again.
   They are kept here, so that the program may come back with fewer of them: `ahead` counts what it has yet to offer of
   what is on the wire already. */
static void keep_unsent(tls_connection *c, const unsigned char *p, size_t n)
{
  n = n < TLS_RECORD ? n : TLS_RECORD;
  if (c->unsent == NULL && !c->overflowing && n > 0 && c->ssl != NULL && (c->unsent = malloc(n)) != NULL) {
    memcpy(c->unsent, p, n);
    c->nunsent = n;
  }
}

void tls_send_free(tls_connection *c)
{
  if (c->unsent != NULL) {
    OPENSSL_cleanse(c->unsent, c->nunsent);
    free(c->unsent);
    c->unsent = NULL;
  }
}

/* What the BIO has kept goes first. */
static enum tls_status flush_kept(tls_connection *c, tls_error *e)
{
  if (c->overflowing && tls_memory_overfull(c)) {
    return TLS_WANT_WRITE;
  }
  if (c->overflowing && !tls_readahead_flush(c->ssl)) {
    if (BIO_sock_non_fatal_error(errno)) {
      return TLS_WANT_WRITE;
    }
    tls_error_system(e, errno);
    c->broken = true;
    return TLS_FAILED;
  }
  c->overflowing = false;
  return TLS_DONE;
}

/* OpenSSL answers a key update of a peer's that asks for it in the read that it came with, which fails for good when a record
   waits for the socket. So what is left of one is kept by the BIO while the connection is read; it counts as sent once it is. */
bool tls_send_settle(tls_connection *c, tls_error *e)
{
  if (c->unsent == NULL || SSL_version(c->ssl) != TLS1_3_VERSION) {
    return true;
  }
  bool memory = tls_memory_keep(c, true);
  if (!memory && !tls_readahead_keep(c->ssl, true)) {
    return true;
  }
  enum tls_status status = tls_send_flush(c, e);
  c->overflowing = true;
  tls_memory_keep(c, false);
  tls_readahead_keep(c->ssl, false);
  return status != TLS_FAILED;
}

enum tls_status tls_send_flush(tls_connection *c, tls_error *e)
{
  size_t put = 0;
  enum tls_status status = flush_kept(c, e);
  if (status != TLS_DONE) {
    return status;
  }
  if (c->unsent == NULL) {
    return TLS_DONE;
  }
  status = tls_step_write(c, c->unsent, c->nunsent, &put, e);
  if (status == TLS_DONE) {
    tls_send_free(c);
    c->ahead += put;
  }
  return status;
}

/* One step of sending p[0..n); *done grows by what counts as sent. */
static enum tls_status send_step(tls_connection *c, const unsigned char *p, size_t n, size_t *done, tls_error *e)
{
  size_t put = 0;
  if (c->unsent != NULL || c->overflowing) {
    return tls_send_flush(c, e);
  }
  if (c->ahead > 0) {
    put = c->ahead < n ? c->ahead : n;
    c->ahead -= put;
    *done += put;
    return TLS_DONE;
  }
  enum tls_status status = tls_step_write(c, p, n, &put, e);
  if (status == TLS_DONE) {
    *done += put;
  }
  return status;
}

enum tls_status tls_send_range(tls_connection *c, const unsigned char *p, size_t n, bool once, size_t *done,
                               tls_deadline *deadline, tls_error *e)
{
  enum tls_status status = TLS_DONE;
  if (c->broken) {
    tls_error_set(e, TLS_KIND_CLOSED, "closed");
    return TLS_FAILED;
  }
  if (n > TLS_RECORD && SSL_is_dtls(c->ssl)) {
    tls_error_set(e, TLS_KIND_CONFIG, "a datagram of DTLS holds 16384 bytes at most");
    return TLS_FAILED;
  }
  while (*done < n && !(once && *done > 0)) {
    if (status == TLS_DONE && tls_overdue(c, deadline)) { /* a step that waits has to be finished */
      return TLS_WANT_WRITE;
    }
    status = send_step(c, p + *done, n - *done, done, e);
    if (status == TLS_FAILED) {
      return status;
    }
    if (status != TLS_DONE && !tls_wait(c, status, deadline)) {
      keep_unsent(c, p + *done, n - *done);
      return status;
    }
  }
  return TLS_DONE;
}

/* An index of LuaSocket's send: negative from the end, cut to the string. */
static lua_Number check_index(lua_State *L, int arg, lua_Number def, size_t len)
{
  lua_Number i = luaL_optnumber(L, arg, def);
  luaL_argcheck(L, i == i, arg, "not a number");
  if (i > -9e15 && i < 9e15) {
    i = (lua_Number)(int64_t)i;
  }
  return i < 0 ? i + (lua_Number)len + 1 : i;
}

static int send_data(lua_State *L, bool once)
{
  tls_connection *c = tls_self(L, &tls_connection_type);
  size_t len, done = 0;
  const unsigned char *data = (const unsigned char *)luaL_checklstring(L, 2, &len);
  lua_Number i = check_index(L, 3, 1, len);
  lua_Number j = check_index(L, 4, -1, len);
  tls_call call;
  tls_error e;
  tls_deadline deadline = {false, 0, 0};
  enum tls_status status = TLS_DONE;
  i = i < 1 ? 1 : i;
  j = j > (lua_Number)len ? (lua_Number)len : j;
  if (i <= j) {
    status = tls_stream_enter(c, &call, L, &e);
    if (status == TLS_DONE) {
      status = tls_send_range(c, data + (size_t)i - 1, (size_t)(j - i) + 1, once, &done, &deadline, &e);
      c->sent += (double)done;
      tls_leave(c);
    }
  }
  lua_Number last = i - 1 + (lua_Number)done;
  if (status == TLS_DONE) {
    lua_pushnumber(L, last);
    lua_pushnil(L);
    lua_pushnil(L);
    return 3;
  }
  lua_pushnil(L);
  tls_stream_failure(L, c, status, &e);
  lua_pushnumber(L, last);
  lua_insert(L, -2);
  return 4;
}

/* conn:send(data: string [, i: integer [, j: integer]]) -> last: integer, nil, nil |
     nil, message, last: integer, detail
   Sends data:sub(i, j). last: the index of the last byte sent; after a timeout, "wantread" or "wantwrite", call again
   from the next one. LuaSocket's tcp:send, SSL_write(3). */
int tls_send(lua_State *L)
{
  return send_data(L, false);
}

/* conn:write(data: string [, i: integer [, j: integer]]) -> last: integer, nil, nil |
     nil, message, last: integer, detail
   One step of sending data:sub(i, j), a record at the most. Returns what send does. SSL_write(3). */
int tls_write(lua_State *L)
{
  return send_data(L, true);
}
