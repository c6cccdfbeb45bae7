/*
 * stream.c: LuaSocket's send and receive over the single steps of connection.c: patterns, prefixes, partial results and
 * the buffer of plaintext that was decrypted and not yet taken. OpenSSL is not called here, but for what it has pending.
 */
#include "tls.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define RECORD 16384            /* most plaintext in one TLS record, RFC 8446 section 5.1 */
#define SCRATCH_KEEP (1u << 20) /* a larger scratch block is not kept for the next call */

/* Bytes that one receive gathers before they become a Lua string. In malloc's memory, not Lua's: growth by realloc moves
   no Lua string about, and in a userdata, so that a Lua error on the way frees it. One is shared by the calls of a state. */
typedef struct scratch {
  unsigned char *p;
  size_t len, cap;
  bool busy;
} scratch;

static const tls_type scratch_type = {"SSL:Scratch"};

/* A receive that runs now. */
typedef struct reader {
  lua_State *L;
  tls_connection *c;
  scratch *s;
  tls_call call;
  tls_deadline deadline;
  tls_error error;
} reader;

static const char want_keys[2]; /* registry: the detail tables of "wantread" and "wantwrite" */

/* ---- scratch ---- */

static void scratch_trim(scratch *s)
{
  s->busy = false;
  s->len = 0;
  if (s->cap > SCRATCH_KEEP) {
    free(s->p);
    s->p = NULL;
    s->cap = 0;
  }
}

static int scratch_gc(lua_State *L)
{
  scratch *s = tls_self(L, &scratch_type);
  free(s->p);
  s->p = NULL;
  s->cap = 0;
  return 0;
}

/* The state's scratch, or a fresh one (left on the stack) when a receive that runs a callback has it. An error may have
   left an old call's bytes in it. */
static scratch *scratch_take(lua_State *L, bool shared)
{
  scratch *s = lua_touserdata(L, lua_upvalueindex(2));
  if (!shared) {
    s = tls_newobject(L, &scratch_type, sizeof *s);
  }
  s->len = 0;
  s->busy = true;
  return s;
}

/* Room for n more bytes; false when memory is short. */
static bool scratch_reserve(scratch *s, size_t n)
{
  size_t cap = s->cap < RECORD ? RECORD : s->cap;
  if (n > SIZE_MAX / 4 - s->len) {
    return false;
  }
  while (cap - s->len < n) {
    cap *= 2;
  }
  if (cap != s->cap) {
    unsigned char *p = realloc(s->p, cap);
    if (p == NULL) {
      return false;
    }
    s->p = p;
    s->cap = cap;
  }
  return true;
}

static bool scratch_append(scratch *s, const void *p, size_t n)
{
  if (n > 0) {
    if (!scratch_reserve(s, n)) {
      return false;
    }
    memcpy(s->p + s->len, p, n);
    s->len += n;
  }
  return true;
}

/* ---- plaintext buffer ---- */

void tls_stream_free(tls_connection *c)
{
  free(c->buf);
  c->buf = NULL;
  c->head = c->tail = 0;
  if (c->unsent != NULL) {
    OPENSSL_cleanse(c->unsent, c->nunsent);
    free(c->unsent);
    c->unsent = NULL;
  }
}

/* A connection that waits for its peer holds no buffers: neither ours nor OpenSSL's. */
static void release_idle(tls_connection *c)
{
  if (c->ssl != NULL && c->head == c->tail) {
    free(c->buf);
    c->buf = NULL;
    SSL_free_buffers(c->ssl);
  }
}

static size_t take(tls_connection *c, size_t n)
{
  c->head += n;
  c->received += (double)n;
  return n;
}

static enum tls_status out_of_memory(tls_error *e)
{
  tls_error_set(e, TLS_KIND_SYSTEM, "not enough memory");
  return TLS_FAILED;
}

static enum tls_status read_wait(reader *r, void *p, size_t n, size_t *got)
{
  tls_connection *c = r->c;
  enum tls_status status;
  if (c->broken) {
    tls_error_set(&r->error, TLS_KIND_CLOSED, "closed");
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
  if (c->buf == NULL && (c->buf = malloc(RECORD)) == NULL) {
    return out_of_memory(&r->error);
  }
  c->head = c->tail = 0;
  enum tls_status status = read_wait(r, c->buf, RECORD, &got);
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
  if (c->head == c->tail && n >= RECORD) {
    if (!scratch_reserve(r->s, RECORD)) {
      return out_of_memory(&r->error);
    }
    enum tls_status status = read_wait(r, r->s->p + r->s->len, RECORD, &got);
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
  if (!scratch_append(r->s, c->buf + c->head, m)) {
    return out_of_memory(&r->error);
  }
  take(c, m);
  return TLS_DONE;
}

/* ---- patterns: each leaves its bytes in the scratch, or pushes a string at once and says so ---- */

/* n bytes, those in the scratch counted. With n = 0 something must be there to read all the same. */
static enum tls_status receive_count(reader *r, size_t n, bool *pushed)
{
  tls_connection *c = r->c;
  if (r->s->len == 0 && n <= c->tail - c->head && n > 0) {
    lua_pushlstring(r->L, (const char *)c->buf + c->head, n);
    take(c, n);
    *pushed = true;
    return TLS_DONE;
  }
  if (n == 0) {
    return fill(r);
  }
  while (r->s->len < n) {
    enum tls_status status = gather(r, n - r->s->len);
    if (status != TLS_DONE) {
      return status;
    }
  }
  return TLS_DONE;
}

/* Appends without carriage returns: LuaSocket drops every one of them in a line. */
static bool append_line(scratch *s, const unsigned char *p, size_t n)
{
  if (!scratch_reserve(s, n)) {
    return false;
  }
  while (n > 0) {
    const unsigned char *cr = memchr(p, '\r', n);
    size_t m = cr != NULL ? (size_t)(cr - p) : n;
    memcpy(s->p + s->len, p, m);
    s->len += m;
    m += cr != NULL;
    p += m;
    n -= m;
  }
  return true;
}

static enum tls_status receive_line(reader *r, bool *pushed)
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
    if (nl != NULL && r->s->len == 0 && memchr(p, '\r', n) == NULL) {
      lua_pushlstring(r->L, (const char *)p, n);
      take(c, n + 1);
      *pushed = true;
      return TLS_DONE;
    }
    if (!append_line(r->s, p, n)) {
      return out_of_memory(&r->error);
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
    status = gather(r, SIZE_MAX);
  } while (status == TLS_DONE);
  if (status == TLS_FAILED && r->error.kind == TLS_KIND_CLOSED && r->error.sys == 0 && !r->c->broken &&
      r->s->len > before) {
    return TLS_DONE;
  }
  return status;
}

/* ---- receive ---- */

static const char *want_text(enum tls_status status)
{
  return status == TLS_WANT_READ ? "wantread" : "wantwrite";
}

int tls_stream_want(lua_State *L, enum tls_status status)
{
  lua_pushstring(L, want_text(status));
  tls_rawgetp(L, LUA_REGISTRYINDEX, &want_keys[status == TLS_WANT_WRITE]);
  return 2;
}

/* Pushes message and detail, and keeps the detail of a real failure for lasterror. Of a connection that an error has ended
   the message is "closed" from then on, but the detail goes on telling what that error was. */
static void push_failure(lua_State *L, const tls_connection *c, enum tls_status status, const tls_error *e)
{
  if (status != TLS_FAILED) {
    tls_stream_want(L, status);
    return;
  }
  tls_error_message(L, e);
  if (e->kind == TLS_KIND_CLOSED && c->state != TLS_STATE_CLOSED && (c->broken || c->failed)) {
    tls_getslot(L, 1, TLS_SLOT_ERROR);
    if (!lua_isnil(L, -1)) {
      return;
    }
    lua_pop(L, 1);
  }
  tls_error_detail(L, e);
  lua_pushvalue(L, -1);
  tls_setslot(L, 1, TLS_SLOT_ERROR);
}

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

static enum tls_status receive_pattern(reader *r, enum pattern pattern, size_t count, bool *pushed)
{
  switch (pattern) {
  case PATTERN_LINE:
    return receive_line(r, pushed);
  case PATTERN_ALL:
    return receive_all(r);
  default:
    return receive_count(r, count, pushed);
  }
}

/* What send and receive say of a connection that is not connected, or whose own callback called it. */
static enum tls_status enter(tls_connection *c, tls_call *call, lua_State *L, tls_error *e)
{
  if (c->state != TLS_STATE_CONNECTED) {
    tls_error_set(e, TLS_KIND_CLOSED, "closed");
    return TLS_FAILED;
  }
  return tls_enter(c, call, L, 1, e) ? TLS_DONE : TLS_FAILED;
}

static void push_scratch(lua_State *L, const scratch *s)
{
  lua_pushlstring(L, s->len > 0 ? (const char *)s->p : "", s->len);
}

static int receive_done(reader *r, enum tls_status status, bool pushed)
{
  lua_State *L = r->L;
  int n = 3;
  if (status == TLS_DONE) {
    if (!pushed) {
      push_scratch(L, r->s);
    }
    lua_pushnil(L);
    lua_pushnil(L);
  } else {
    lua_pushnil(L);
    push_failure(L, r->c, status, &r->error);
    push_scratch(L, r->s);
    lua_insert(L, -2);
    n = 4;
  }
  scratch_trim(r->s);
  return n;
}

/* conn:receive([pattern [, prefix]]): "*l" a line without its end (default), "*a" all until the peer closes, or a number
   of bytes; what is received is put behind prefix, which counts. Returns the string, nil, nil; or nil, message, what came
   so far, detail. "wantread" or "wantwrite": the timeout is over. LuaSocket's tcp:receive, SSL_read(3). */
static int conn_receive(lua_State *L)
{
  reader r;
  size_t count = 0, nprefix = 0;
  bool pushed = false;
  r.L = L;
  r.c = tls_self(L, &tls_connection_type);
  enum pattern pattern = check_pattern(L, &count);
  const char *prefix = luaL_optlstring(L, 3, "", &nprefix);
  if (pattern == PATTERN_COUNT && nprefix > 0 && nprefix >= count) {
    lua_settop(L, 3);
    lua_pushnil(L);
    lua_pushnil(L);
    return 3;
  }
  scratch *shared = lua_touserdata(L, lua_upvalueindex(2));
  r.s = scratch_take(L, !shared->busy);
  r.deadline.started = false;
  enum tls_status status = enter(r.c, &r.call, L, &r.error);
  bool entered = status == TLS_DONE;
  if (entered && nprefix > 0 && !scratch_append(r.s, prefix, nprefix)) {
    status = out_of_memory(&r.error);
  } else if (entered) {
    status = receive_pattern(&r, pattern, count, &pushed);
  } else if (nprefix > 0) {
    scratch_append(r.s, prefix, nprefix);
  }
  if (entered) {
    tls_leave(r.c);
    if (status == TLS_WANT_READ) {
      release_idle(r.c);
    }
  }
  return receive_done(&r, status, pushed);
}

/* ---- send ---- */

/* After "wantwrite" OpenSSL holds the record that the socket did not take and insists on being offered the same bytes again.
   They are kept here, so that the program may come back with fewer of them: `ahead` counts what it has yet to offer of
   what is on the wire already. */
static void keep_unsent(tls_connection *c, const unsigned char *p, size_t n)
{
  n = n < RECORD ? n : RECORD;
  if (c->unsent == NULL && n > 0 && c->ssl != NULL && (c->unsent = malloc(n)) != NULL) {
    memcpy(c->unsent, p, n);
    c->nunsent = n;
  }
}

static void drop_unsent(tls_connection *c)
{
  OPENSSL_cleanse(c->unsent, c->nunsent);
  free(c->unsent);
  c->unsent = NULL;
}

/* One step of sending p[0..n); *done grows by what counts as sent. */
static enum tls_status send_step(tls_connection *c, const unsigned char *p, size_t n, size_t *done, tls_error *e)
{
  size_t put = 0;
  if (c->unsent != NULL) {
    enum tls_status status = tls_step_write(c, c->unsent, c->nunsent, &put, e);
    if (status == TLS_DONE) {
      drop_unsent(c);
      c->ahead += put;
    }
    return status;
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

static enum tls_status send_range(tls_connection *c, const unsigned char *p, size_t n, size_t *done, tls_error *e)
{
  tls_deadline deadline = {false, 0};
  enum tls_status status = TLS_DONE;
  if (c->broken) {
    tls_error_set(e, TLS_KIND_CLOSED, "closed");
    return TLS_FAILED;
  }
  while (*done < n) {
    status = send_step(c, p + *done, n - *done, done, e);
    if (status == TLS_FAILED) {
      return status;
    }
    if (status != TLS_DONE && !tls_wait(c, status, &deadline)) {
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

/* conn:send(data [, i [, j]]): sends data:sub(i, j). Returns the index of the last byte sent, nil, nil; or nil, message,
   the index of the last byte sent, detail: call again from the next one. LuaSocket's tcp:send, SSL_write(3). */
static int conn_send(lua_State *L)
{
  tls_connection *c = tls_self(L, &tls_connection_type);
  size_t len, done = 0;
  const unsigned char *data = (const unsigned char *)luaL_checklstring(L, 2, &len);
  lua_Number i = check_index(L, 3, 1, len);
  lua_Number j = check_index(L, 4, -1, len);
  tls_call call;
  tls_error e;
  enum tls_status status = TLS_DONE;
  i = i < 1 ? 1 : i;
  j = j > (lua_Number)len ? (lua_Number)len : j;
  if (i <= j) {
    status = enter(c, &call, L, &e);
    if (status == TLS_DONE) {
      status = send_range(c, data + (size_t)i - 1, (size_t)(j - i) + 1, &done, &e);
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
  push_failure(L, c, status, &e);
  lua_pushnumber(L, last);
  lua_insert(L, -2);
  return 4;
}

/* ---- what waits, and statistics ---- */

/* conn:dirty(): is there plaintext that select on the descriptor would not tell of? LuaSocket's tcp:dirty. */
static int dirty(lua_State *L)
{
  const tls_connection *c = tls_checkconnection(L, 1);
  lua_pushboolean(L, c->head < c->tail || (c->state == TLS_STATE_CONNECTED && SSL_pending(c->ssl) > 0));
  return 1;
}

/* conn:getstats(): bytes received, bytes sent, age in seconds. LuaSocket's tcp:getstats. */
static int getstats(lua_State *L)
{
  const tls_connection *c = tls_checkconnection(L, 1);
  lua_pushnumber(L, c->received);
  lua_pushnumber(L, c->sent);
  lua_pushnumber(L, tls_now() - c->created);
  return 3;
}

/* conn:setstats([received [, sent [, age]]]): absent ones stay. Returns 1. LuaSocket's tcp:setstats. */
static int setstats(lua_State *L)
{
  tls_connection *c = tls_checkconnection(L, 1);
  c->received = luaL_optnumber(L, 2, c->received);
  c->sent = luaL_optnumber(L, 3, c->sent);
  if (!lua_isnoneornil(L, 4)) {
    c->created = tls_now() - luaL_checknumber(L, 4);
  }
  lua_pushnumber(L, 1);
  return 1;
}

static const luaL_Reg methods[] = {
  {"receive", conn_receive},
  {"send", conn_send},
  {"dirty", dirty},
  {"getstats", getstats},
  {"setstats", setstats},
  {NULL, NULL},
};

static const luaL_Reg scratch_methods[] = {{NULL, NULL}};
static const luaL_Reg scratch_meta[] = {{"__gc", scratch_gc}, {NULL, NULL}};

static void make_want(lua_State *L, enum tls_status status)
{
  lua_createtable(L, 0, 2);
  lua_pushliteral(L, "want");
  lua_setfield(L, -2, "kind");
  lua_pushstring(L, want_text(status));
  lua_setfield(L, -2, "reason");
  tls_rawsetp(L, LUA_REGISTRYINDEX, &want_keys[status == TLS_WANT_WRITE]);
}

/* With the connections' metatable on the stack: adds the methods, whose second upvalue is the state's scratch. */
void tls_stream_open(lua_State *L)
{
  make_want(L, TLS_WANT_READ);
  make_want(L, TLS_WANT_WRITE);
  tls_newtype(L, &scratch_type, scratch_methods, scratch_meta);
  lua_pop(L, 1);
  lua_getfield(L, -1, "__index");
  lua_pushvalue(L, -2);
  tls_newobject(L, &scratch_type, sizeof(scratch));
  tls_setfuncs(L, methods, 2);
  lua_pop(L, 1);
}
