/*
 * receive.c: LuaSocket's receive over the single steps of connection.c: patterns, prefixes, partial results, and the
 * buffer of plaintext that was decrypted and not yet taken. OpenSSL is not called here, but to free its buffers.
 */
#include "stream.h"

#include "readahead.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUICK_MAX 1024 /* bytes of a line or count that is worth a shortcut */

/* A receive that runs now. */
typedef struct reader {
  lua_State *L;
  tls_connection *c;
  tls_scratch *s;
  tls_call call;
  tls_deadline deadline;
  const unsigned char *direct; /* the result, when it is in the plaintext buffer as it is; NULL: it is in the scratch */
  size_t ndirect, used;        /* its length, and how much of the buffer it takes */
  tls_error error;
} reader;

/* ---- plaintext buffer ---- */

void tls_receive_free(tls_connection *c)
{
  free(c->buf);
  c->buf = NULL;
  c->head = c->tail = 0;
}

/* A connection that waits for its peer holds no buffers: neither ours nor OpenSSL's nor the transport's. */
static void release_idle(tls_connection *c)
{
  if (c->ssl != NULL && c->head == c->tail) {
    free(c->buf);
    c->buf = NULL;
    tls_transport_idle(c);
    tls_readahead_release(c->ssl);
  }
}

static size_t take(tls_connection *c, size_t n)
{
  c->head += n;
  c->received += (double)n;
  return n;
}

static enum tls_status read_wait(reader *r, void *p, size_t n, size_t *got)
{
  tls_connection *c = r->c;
  enum tls_status status;
  if (c->broken) {
    tls_error_set(&r->error, TLS_KIND_CLOSED, "closed");
    return TLS_FAILED;
  }
  if (c->readahead) {
    tls_readahead(c->ssl, true);
    c->readahead = false;
  }
  if (tls_overdue(c, &r->deadline)) {
    return TLS_WANT_READ;
  }
  if (!tls_send_settle(c, &r->error)) {
    return TLS_FAILED;
  }
  do {
    status = tls_step_read(c, p, n, got, &r->error);
  } while ((status == TLS_WANT_READ || status == TLS_WANT_WRITE) && tls_wait(c, status, &r->deadline));
  return status;
}

/* At least one byte in the plaintext buffer. */
static enum tls_status fill(reader *r)
{
  tls_connection *c = r->c;
  size_t got = 0;
  if (c->head < c->tail) {
    return TLS_DONE;
  }
  if (c->buf == NULL && (c->buf = malloc(TLS_RECORD)) == NULL) {
    return tls_stream_nomemory(&r->error);
  }
  c->head = c->tail = 0;
  enum tls_status status = read_wait(r, c->buf, TLS_RECORD, &got);
  if (status == TLS_DONE) {
    c->tail = got;
  }
  return status;
}

/* Moves up to n bytes to the scratch: what the buffer has, or a whole record straight from OpenSSL. */
static enum tls_status gather(reader *r, size_t n)
{
  tls_connection *c = r->c;
  size_t got = 0;
  if (c->head == c->tail && n >= TLS_RECORD) {
    if (!tls_scratch_reserve(r->s, TLS_RECORD)) {
      return tls_stream_nomemory(&r->error);
    }
    enum tls_status status = read_wait(r, r->s->p + r->s->len, TLS_RECORD, &got);
    if (status == TLS_DONE) {
      r->s->len += got;
      c->received += (double)got;
    }
    return status;
  }
  enum tls_status status = fill(r);
  if (status != TLS_DONE) {
    return status;
  }
  size_t avail = c->tail - c->head;
  size_t m = n < avail ? n : avail;
  if (!tls_scratch_append(r->s, c->buf + c->head, m)) {
    return tls_stream_nomemory(&r->error);
  }
  take(c, m);
  return TLS_DONE;
}

/* ---- patterns: each leaves its bytes in the scratch or, untouched, in the plaintext buffer ---- */

/* The string is pushed when no call is inside OpenSSL any more: Lua may raise. */
static enum tls_status leave_in_buffer(reader *r, size_t n, size_t used)
{
  r->direct = r->c->buf + r->c->head;
  r->ndirect = n;
  r->used = used;
  return TLS_DONE;
}

/* How many bytes a line, or everything, may still grow by. */
static size_t room(const reader *r)
{
  size_t max = r->c->maxreceive != 0 ? r->c->maxreceive : SIZE_MAX / 4;
  return max > r->s->len ? max - r->s->len : 0;
}

static enum tls_status too_long(reader *r)
{
  tls_error *e = &r->error;
  tls_error_set(e, TLS_KIND_CONFIG, e->buf);
  snprintf(e->buf, sizeof e->buf, "more than the %zu bytes that maxreceive allows", r->c->maxreceive);
  return TLS_FAILED;
}

/* n bytes, those in the scratch counted. With n = 0 something must be there to read all the same. */
static enum tls_status receive_count(reader *r, size_t n)
{
  const tls_connection *c = r->c;
  enum tls_status status = TLS_DONE;
  if (r->s->len == 0 && n < TLS_RECORD) {
    status = fill(r);
    if (status == TLS_DONE && n <= c->tail - c->head) {
      return leave_in_buffer(r, n, n);
    }
  }
  while (status == TLS_DONE && r->s->len < n) {
    status = gather(r, n - r->s->len);
  }
  return status;
}

/* Appends up to `max` bytes of p[0..n) without carriage returns: LuaSocket drops every one of them in a line. *used is how
   many of the n that were; less than n when there are more than fit. False when memory is short. */
static bool append_line(tls_scratch *s, const unsigned char *p, size_t n, size_t max, size_t *used)
{
  const unsigned char *from = p, *end = p + n, *cr;
  if (!tls_scratch_reserve(s, n < max ? n : max)) {
    return false;
  }
  do {
    cr = memchr(from, '\r', (size_t)(end - from));
    size_t m = (size_t)((cr != NULL ? cr : end) - from);
    if (m > max) {
      m = max;
      cr = NULL;
    }
    memcpy(s->p + s->len, from, m);
    s->len += m;
    max -= m;
    from += m + (cr != NULL);
  } while (cr != NULL);
  *used = (size_t)(from - p);
  return true;
}

static enum tls_status receive_line(reader *r)
{
  tls_connection *c = r->c;
  for (;;) {
    enum tls_status status = fill(r);
    if (status != TLS_DONE) {
      return status;
    }
    const unsigned char *p = c->buf + c->head;
    size_t avail = c->tail - c->head;
    const unsigned char *nl = memchr(p, '\n', avail);
    size_t n = nl != NULL ? (size_t)(nl - p) : avail;
    if (nl != NULL && r->s->len == 0 && n <= room(r) && memchr(p, '\r', n) == NULL) {
      return leave_in_buffer(r, n, n + 1);
    }
    size_t used;
    if (!append_line(r->s, p, n, room(r), &used)) {
      return tls_stream_nomemory(&r->error);
    }
    if (used < n) {
      take(c, used);
      return too_long(r);
    }
    take(c, n + (nl != NULL));
    if (nl != NULL) {
      return TLS_DONE;
    }
  }
}

/* Until the peer's close_notify, which is success when anything came. */
static enum tls_status receive_all(reader *r)
{
  size_t before = r->s->len;
  enum tls_status status;
  do {
    size_t n = room(r);
    /* At the limit only the end may follow. */
    status = n > 0 ? gather(r, n) : fill(r);
    if (n == 0 && status == TLS_DONE) {
      return too_long(r);
    }
  } while (status == TLS_DONE);
  if (status == TLS_FAILED && r->error.kind == TLS_KIND_CLOSED && r->error.sys == 0 && !r->c->broken &&
      r->s->len > before) {
    return TLS_DONE;
  }
  return status;
}

/* ---- receive ---- */

enum pattern { PATTERN_LINE, PATTERN_ALL, PATTERN_COUNT };

/* Argument 2: "*l" (default), "*a", or a number of bytes. Only two letters of a string count. */
static enum pattern check_pattern(lua_State *L, size_t *count)
{
  int type = lua_type(L, 2);
  if (type == LUA_TNONE || type == LUA_TNIL) {
    return PATTERN_LINE;
  }
  if (type == LUA_TSTRING) {
    const char *s = lua_tostring(L, 2);
    if (s[0] == '*' && (s[1] == 'l' || s[1] == 'a')) {
      return s[1] == 'l' ? PATTERN_LINE : PATTERN_ALL;
    }
  }
  lua_Number n = lua_tonumber(L, 2);
  luaL_argcheck(L, lua_isnumber(L, 2) && n >= 0, 2, "invalid receive pattern");
  *count = n >= (lua_Number)(SIZE_MAX / 4) ? SIZE_MAX / 4 : (size_t)n;
  return PATTERN_COUNT;
}

static enum tls_status receive_pattern(reader *r, enum pattern pattern, size_t count)
{
  switch (pattern) {
  case PATTERN_LINE:
    return receive_line(r);
  case PATTERN_ALL:
    return receive_all(r);
  default:
    return receive_count(r, count);
  }
}

static void push_scratch(lua_State *L, const tls_scratch *s)
{
  lua_pushlstring(L, s->len > 0 ? (const char *)s->p : "", s->len);
}

/* Making a string may raise, and may run finalizers, which may close or read this very connection. So bytes are taken only
   once they are a string, if they are still there; and where Lua collects before it copies, they are copied before. */
static void push_result(const reader *r)
{
  tls_connection *c = r->c;
  const unsigned char *p = r->direct;
  if (p == NULL) {
    push_scratch(r->L, r->s);
    return;
  }
#ifndef HAVE_COPY_BEFORE_COLLECT
  if (tls_scratch_append(r->s, p, r->ndirect)) {
    p = r->s->p;
  }
#endif
  lua_pushlstring(r->L, (const char *)p, r->ndirect);
  if (c->buf != NULL && c->buf + c->head == r->direct) {
    take(c, r->used);
  }
}

static int receive_done(reader *r, enum tls_status status)
{
  lua_State *L = r->L;
  int n = 3;
  if (status == TLS_DONE) {
    push_result(r);
    lua_pushnil(L);
    lua_pushnil(L);
  } else {
    lua_pushnil(L);
    tls_stream_failure(L, r->c, status, &r->error);
    push_scratch(L, r->s);
    lua_insert(L, -2);
    n = 4;
  }
  tls_scratch_release(r->s);
  return n;
}

/* A string out of the plaintext buffer, as push_result makes it. */
#ifdef HAVE_COPY_BEFORE_COLLECT
#define push_copy(L, p, n) lua_pushlstring(L, (const char *)(p), n)
#else
static void push_copy(lua_State *L, const unsigned char *p, size_t n)
{
  char copy[QUICK_MAX];
  memcpy(copy, p, n);
  lua_pushlstring(L, copy, n);
}
#endif

/* The length of the short line that the buffer holds whole, without a CR in it; SIZE_MAX when there is none. */
static size_t short_line(const tls_connection *c)
{
  const unsigned char *p = c->buf + c->head;
  size_t avail = c->tail - c->head;
  const unsigned char *nl = memchr(p, '\n', avail < QUICK_MAX ? avail : QUICK_MAX);
  size_t n = nl != NULL ? (size_t)(nl - p) : SIZE_MAX;
  if (nl == NULL || memchr(p, '\r', n) != NULL || (c->maxreceive != 0 && n > c->maxreceive)) {
    return SIZE_MAX;
  }
  return n;
}

/* Most receives of short lines and counts find what they want in the buffer: those need neither OpenSSL nor a scratch. */
static bool quick(lua_State *L, tls_connection *c, enum pattern pattern, size_t count)
{
  bool line = pattern == PATTERN_LINE;
  if (c->head == c->tail || c->state != TLS_STATE_CONNECTED || c->call != NULL || pattern == PATTERN_ALL) {
    return false;
  }
  size_t n = line ? short_line(c) : count;
  if (n > QUICK_MAX || n > c->tail - c->head || (n == 0 && !line)) {
    return false;
  }
  const unsigned char *p = c->buf + c->head;
  push_copy(L, p, n);
  if (c->buf != NULL && c->buf + c->head == p) {
    take(c, n + line);
  }
  lua_pushnil(L);
  lua_pushnil(L);
  return true;
}

/* A receive that the buffer alone cannot answer. Not inlined: a reader on the stack would slow down those that it can. */
TLS_NOINLINE static int receive_more(lua_State *L, tls_connection *c, enum pattern pattern, size_t count)
{
  reader r;
  size_t nprefix = 0;
  const char *prefix = luaL_optlstring(L, 3, "", &nprefix);
  if (pattern == PATTERN_COUNT && nprefix > 0 && nprefix >= count) {
    lua_settop(L, 3);
    lua_settop(L, 5);
    return 3;
  }
  r.L = L;
  r.c = c;
  r.direct = NULL;
  r.s = tls_scratch_take(L);
  r.deadline = (tls_deadline){false, 0, 0};
  enum tls_status status = tls_stream_enter(c, &r.call, L, &r.error);
  bool entered = status == TLS_DONE;
  if (entered && nprefix > 0 && !tls_scratch_append(r.s, prefix, nprefix)) {
    status = tls_stream_nomemory(&r.error);
  } else if (entered) {
    status = receive_pattern(&r, pattern, count);
  } else if (nprefix > 0) {
    tls_scratch_append(r.s, prefix, nprefix);
  }
  if (entered) {
    tls_leave(c);
    if (status == TLS_WANT_READ) {
      release_idle(c);
    }
  }
  return receive_done(&r, status);
}

/* conn:receive([pattern: "*l"|"*a"|integer [, prefix: string]]) -> data: string, nil, nil |
     nil, message, partial: string, detail
   "*l" a line without its end (default), "*a" all until the peer closes, or a number of bytes; what is received is
   put behind prefix, which counts. partial: what came so far, to be given back as prefix. "wantread" or "wantwrite":
   the timeout is over. LuaSocket's tcp:receive, SSL_read(3). */
int tls_receive(lua_State *L)
{
  size_t count = 0;
  tls_connection *c = tls_self(L, &tls_connection_type);
  enum pattern pattern = check_pattern(L, &count);
  bool prefix = lua_gettop(L) >= 3 && !lua_isnil(L, 3);
  return !prefix && quick(L, c, pattern, count) ? 3 : receive_more(L, c, pattern, count);
}

/* conn:read([max: integer]) -> data: string | nil, message, detail
   What is there to read, at least one byte and at most max (16384); waits for the first. SSL_read(3). */
int tls_read(lua_State *L)
{
  reader r;
  r.L = L;
  r.direct = NULL;
  r.c = tls_self(L, &tls_connection_type);
  size_t max = lua_isnoneornil(L, 2) ? TLS_RECORD : tls_checksize(L, 2);
  luaL_argcheck(L, max > 0, 2, "at least one byte expected");
  r.s = tls_scratch_take(L);
  r.deadline = (tls_deadline){false, 0, 0};
  enum tls_status status = tls_stream_enter(r.c, &r.call, L, &r.error);
  if (status == TLS_DONE) {
    status = gather(&r, max < TLS_RECORD ? max : TLS_RECORD);
    tls_leave(r.c);
    if (status == TLS_WANT_READ) {
      release_idle(r.c);
    }
  }
  if (status == TLS_DONE) {
    push_scratch(L, r.s);
  } else {
    lua_pushnil(L);
    tls_stream_failure(L, r.c, status, &r.error);
  }
  tls_scratch_release(r.s);
  return status == TLS_DONE ? 1 : 3;
}
