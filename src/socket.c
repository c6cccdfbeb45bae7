/*
 * socket.c: what a connection still answers for the socket it was made of: its addresses, its
 * options and its timeouts, with LuaSocket's arguments and results, and how much is there to read
 * without asking the socket. Sending is in send.c, receiving in receive.c, waiting in wait.c.
 */
#include "tls.h"

#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define LINGER_MAX 65535 /* seconds; more does not fit in every system's struct linger */

/* ---- failures ---- */

/* nil, message, detail. `text` is LuaSocket's message where it is not the error's own. What ended a
   connection stays its last error, for later calls tell of it. */
static int failure(lua_State *L, const tls_connection *c, const tls_error *e, const char *text)
{
  lua_pushnil(L);
  if (text != NULL) {
    lua_pushstring(L, text);
  } else {
    tls_error_message(L, e);
  }
  tls_error_detail(L, e);
  if (!c->broken && !c->failed) {
    lua_pushvalue(L, -1);
    tls_setslot(L, 1, TLS_SLOT_ERROR);
  }
  return 3;
}

static int system_failure(lua_State *L, const tls_connection *c, int sys, const char *text)
{
  tls_error e;
  tls_error_system(&e, sys);
  return failure(L, c, &e, text);
}

/* ---- addresses ---- */

enum end { LOCAL, PEER };

typedef union address {
  struct sockaddr any;
  struct sockaddr_un un;
  struct sockaddr_storage room;
} address;

/* The address of one end in *a, its length in *len. False, with errno, when there is none. */
static bool take_address(const tls_connection *c, enum end end, address *a, socklen_t *len)
{
  memset(a, 0, sizeof *a);
  *len = sizeof *a;
  if ((end == PEER ? getpeername(c->fd, &a->any, len) : getsockname(c->fd, &a->any, len)) != 0) {
    return false;
  }
  *len = *len < (socklen_t)sizeof *a ? *len : (socklen_t)sizeof *a;
  return true;
}

/* A path ends at its NUL, which the length may count or not. A name that begins with NUL is Linux's
   abstract kind and made of bytes, unix(7). An unnamed socket has the empty one. */
static int push_path(lua_State *L, const address *a, socklen_t len)
{
  size_t start = offsetof(struct sockaddr_un, sun_path);
  const char *path = (const char *)a + start;
  size_t n = len > start ? len - start : 0;
  lua_pushlstring(L, path, n > 0 && path[0] != '\0' ? strnlen(path, n) : n);
  return 1;
}

/* Numeric address, port, family. LuaSocket gives the port of our end as a string, that of the
   peer's as a number. */
static int push_inet(lua_State *L, const tls_connection *c, enum end end, const address *a,
                     socklen_t len)
{
  char host[128], port[16];
  int flags = NI_NUMERICHOST | NI_NUMERICSERV;
  int ret = getnameinfo(&a->any, len, host, sizeof host, port, sizeof port, flags);
  if (ret == EAI_SYSTEM) {
    return system_failure(L, c, errno, NULL);
  }
  if (ret != 0) {
    tls_error e;
    tls_error_set(&e, TLS_KIND_SYSTEM, gai_strerror(ret));
    return failure(L, c, &e, NULL);
  }
  lua_pushstring(L, host);
  if (end == PEER) {
    lua_pushinteger(L, (lua_Integer)strtol(port, NULL, 10));
  } else {
    lua_pushstring(L, port);
  }
  lua_pushstring(L, a->any.sa_family == AF_INET6 ? "inet6" : "inet");
  return 3;
}

static int push_address(lua_State *L, enum end end)
{
  const tls_connection *c = tls_checkconnection(L, 1);
  address a;
  socklen_t len;
  if (c->state == TLS_STATE_CLOSED) {
    return tls_fail_closed(L);
  }
  if (!take_address(c, end, &a, &len)) {
    return system_failure(L, c, errno, NULL);
  }
  return a.any.sa_family == AF_UNIX ? push_path(L, &a, len) : push_inet(L, c, end, &a, len);
}

/* conn:getsockname() -> address: string, port: string, family: "inet"|"inet6" | path: string | nil, message, detail
   Our end: its address, its port in digits, and the family; of a Unix socket its path alone. LuaSocket's
   tcp:getsockname, getsockname(2). */
static int conn_getsockname(lua_State *L)
{
  return push_address(L, LOCAL);
}

/* conn:getpeername() -> address: string, port: integer, family: "inet"|"inet6" | path: string | nil, message, detail
   The other end: its address, its port, and the family; of a Unix socket its path alone. LuaSocket's tcp:getpeername,
   getpeername(2). */
static int conn_getpeername(lua_State *L)
{
  return push_address(L, PEER);
}

/* conn:getfamily() -> family: "inet4"|"inet6"|"unix" | nil, message, detail
   The family of the socket; a failure when there is none. LuaSocket's tcp:getfamily. */
static int getfamily(lua_State *L)
{
  const tls_connection *c = tls_checkconnection(L, 1);
  address a;
  socklen_t len;
  if (c->state == TLS_STATE_CLOSED) {
    return tls_fail_closed(L);
  }
  if (!take_address(c, LOCAL, &a, &len)) {
    return system_failure(L, c, errno, NULL);
  }
  switch (a.any.sa_family) {
  case AF_INET:
    lua_pushliteral(L, "inet4");
    break;
  case AF_INET6:
    lua_pushliteral(L, "inet6");
    break;
  case AF_UNIX:
    lua_pushliteral(L, "unix");
    break;
  default:
    lua_pushliteral(L, "unknown");
    break;
  }
  return 1;
}

/* ---- options ---- */

enum access { READ = 1, WRITE = 2, BOTH = 3 };

enum kind {
  FLAG,      /* boolean */
  NUMBER,
  LINGER,    /* {on = boolean, timeout = seconds} */
  ERROR,     /* the message of what the socket has pending, nil if nothing */
  /* ours, no options of the socket: bytes */
  MAXRECEIVE,
  MAXINPUT, /* of an engine */
  MAXOUTPUT
};

typedef struct option {
  const char *name;
  enum kind kind;
  enum access access;
  int level, id;
} option;

/* Those of LuaSocket's TCP objects, readable and writable as there, as far as the system has them;
   and maxreceive. */
static const option options[] = {
  {"error", ERROR, READ, SOL_SOCKET, SO_ERROR},
#ifdef IPV6_V6ONLY
  {"ipv6-v6only", FLAG, WRITE, IPPROTO_IPV6, IPV6_V6ONLY},
#endif
  {"keepalive", FLAG, BOTH, SOL_SOCKET, SO_KEEPALIVE},
  {"linger", LINGER, BOTH, SOL_SOCKET, SO_LINGER},
  {"maxinput", MAXINPUT, BOTH, 0, 0},
  {"maxoutput", MAXOUTPUT, BOTH, 0, 0},
  {"maxreceive", MAXRECEIVE, BOTH, 0, 0},
  {"recv-buffer-size", NUMBER, BOTH, SOL_SOCKET, SO_RCVBUF},
  {"reuseaddr", FLAG, BOTH, SOL_SOCKET, SO_REUSEADDR},
#ifdef SO_REUSEPORT
  {"reuseport", FLAG, BOTH, SOL_SOCKET, SO_REUSEPORT},
#endif
  {"send-buffer-size", NUMBER, BOTH, SOL_SOCKET, SO_SNDBUF},
#ifdef TCP_DEFER_ACCEPT
  {"tcp-defer-accept", NUMBER, WRITE, IPPROTO_TCP, TCP_DEFER_ACCEPT},
#endif
#ifdef TCP_FASTOPEN
  {"tcp-fastopen", NUMBER, WRITE, IPPROTO_TCP, TCP_FASTOPEN},
#endif
#ifdef TCP_FASTOPEN_CONNECT
  {"tcp-fastopen-connect", NUMBER, WRITE, IPPROTO_TCP, TCP_FASTOPEN_CONNECT},
#endif
#ifdef TCP_KEEPCNT
  {"tcp-keepcnt", NUMBER, BOTH, IPPROTO_TCP, TCP_KEEPCNT},
#endif
#if defined TCP_KEEPIDLE
  {"tcp-keepidle", NUMBER, BOTH, IPPROTO_TCP, TCP_KEEPIDLE},
#elif defined TCP_KEEPALIVE
  {"tcp-keepidle", NUMBER, BOTH, IPPROTO_TCP, TCP_KEEPALIVE},
#endif
#ifdef TCP_KEEPINTVL
  {"tcp-keepintvl", NUMBER, BOTH, IPPROTO_TCP, TCP_KEEPINTVL},
#endif
  {"tcp-nodelay", FLAG, BOTH, IPPROTO_TCP, TCP_NODELAY},
};

/* The option that argument 2 names. Raises, in LuaSocket's words, when there is none that can be
   read (or written). */
static const option *check_option(lua_State *L, enum access access)
{
  const char *name = tls_checkname(L, 2);
  char message[64];
  for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
    if (strcmp(options[i].name, name) == 0 && (options[i].access & access) != 0) {
      return &options[i];
    }
  }
  snprintf(message, sizeof message, "unsupported option `%.35s'", name);
  luaL_argerror(L, 2, message);
  return NULL;
}

static void push_linger(lua_State *L, const struct linger *li)
{
  lua_createtable(L, 0, 2);
  lua_pushboolean(L, li->l_onoff);
  lua_setfield(L, -2, "on");
  lua_pushinteger(L, li->l_linger);
  lua_setfield(L, -2, "timeout");
}

static void push_pending_error(lua_State *L, int sys)
{
  tls_error e;
  if (sys == 0) {
    lua_pushnil(L);
    return;
  }
  tls_error_system(&e, sys);
  tls_error_message(L, &e);
}

typedef union optvalue {
  int n;
  struct linger linger;
} optvalue;

static void push_optvalue(lua_State *L, enum kind kind, const optvalue *v)
{
  switch (kind) {
  case FLAG:
    lua_pushboolean(L, v->n);
    break;
  case LINGER:
    push_linger(L, &v->linger);
    break;
  case ERROR:
    push_pending_error(L, v->n);
    break;
  default:
    lua_pushnumber(L, v->n);
    break;
  }
}

static size_t *limit_of(tls_connection *c, const option *o)
{
  if (o->kind == MAXRECEIVE) {
    return &c->maxreceive;
  }
  return c->memory != NULL ? tls_memory_limit(c, o->kind == MAXOUTPUT) : NULL;
}

static int get_limit(lua_State *L, tls_connection *c, const option *o)
{
  const size_t *limit = limit_of(c, o);
  if (limit == NULL) {
    return system_failure(L, c, ENOPROTOOPT, "only an engine has this option");
  }
  lua_pushinteger(L, (lua_Integer)*limit);
  return 1;
}

/* conn:getoption(name: string) -> value: boolean|number|table|string | nil | nil, message, detail
   The value of an option of the socket, as LuaSocket's tcp:getoption: a boolean, a number, for "linger" a table, for
   "error" a message or nil; "maxreceive": bytes, 0 for no limit; "maxinput", "maxoutput" of an engine: bytes.
   getsockopt(2), socket(7), tcp(7). */
static int getoption(lua_State *L)
{
  tls_connection *c = tls_checkconnection(L, 1);
  const option *o = check_option(L, READ);
  optvalue v;
  if (c->state == TLS_STATE_CLOSED) {
    return tls_fail_closed(L);
  }
  if (o->kind >= MAXRECEIVE) {
    return get_limit(L, c, o);
  }
  memset(&v, 0, sizeof v);
  socklen_t len = o->kind == LINGER ? sizeof v.linger : sizeof v.n;
  if (getsockopt(c->fd, o->level, o->id, &v, &len) != 0) {
    return system_failure(L, c, errno, "getsockopt failed");
  }
  push_optvalue(L, o->kind, &v);
  return 1;
}

/* Argument 3 as a whole number, cut to what an int holds; what is too much for it, the system
   refuses. */
static int check_int(lua_State *L)
{
  lua_Number n = luaL_checknumber(L, 3);
  if (n >= INT_MAX) {
    return INT_MAX;
  }
  return n > INT_MIN ? (int)n : INT_MIN;
}

static void check_linger(lua_State *L, struct linger *li)
{
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_getfield(L, 3, "on");
  luaL_argcheck(L, lua_isboolean(L, -1), 3, "boolean 'on' field expected");
  li->l_onoff = lua_toboolean(L, -1);
  lua_getfield(L, 3, "timeout");
  luaL_argcheck(L, lua_isnumber(L, -1), 3, "number 'timeout' field expected");
  lua_Number seconds = lua_tonumber(L, -1);
  /* Negative is as long as can be: so it is with LuaSocket's timeouts. */
  li->l_linger = seconds >= 0 && seconds < LINGER_MAX ? (int)seconds : LINGER_MAX;
}

static int set_limit(lua_State *L, tls_connection *c, const option *o)
{
  size_t max = o->kind == MAXRECEIVE && lua_isnoneornil(L, 3) ? 0 : tls_checksize(L, 3);
  if (c->state == TLS_STATE_CLOSED) {
    return tls_fail_closed(L);
  }
  size_t *limit = limit_of(c, o);
  if (limit == NULL) {
    return system_failure(L, c, ENOPROTOOPT, "only an engine has this option");
  }
  *limit = max;
  lua_pushnumber(L, 1);
  return 1;
}

/* conn:setoption(name: string [, value: boolean|number|table]) -> 1 | nil, message, detail
   As LuaSocket's tcp:setoption, but a number option refuses what is no number; "maxreceive": the most bytes that one
   receive of a line or of all may gather, 0 or nil: any number; "maxinput", "maxoutput": the most bytes that may wait
   in an engine to be read, and to be drained (1 MiB); a record more when it is read while a send waits. setsockopt(2). */
static int setoption(lua_State *L)
{
  tls_connection *c = tls_checkconnection(L, 1);
  const option *o = check_option(L, WRITE);
  optvalue v;
  memset(&v, 0, sizeof v);
  if (o->kind >= MAXRECEIVE) {
    return set_limit(L, c, o);
  }
  if (o->kind == LINGER) {
    check_linger(L, &v.linger);
  } else if (o->kind == FLAG) {
    luaL_checktype(L, 3, LUA_TBOOLEAN);
    v.n = lua_toboolean(L, 3);
  } else {
    v.n = check_int(L);
  }
  /* Only now: a field's metamethod may have closed the connection. */
  if (c->state == TLS_STATE_CLOSED) {
    return tls_fail_closed(L);
  }
  socklen_t len = o->kind == LINGER ? sizeof v.linger : sizeof v.n;
  if (setsockopt(c->fd, o->level, o->id, &v, len) != 0) {
    return system_failure(L, c, errno, "setsockopt failed");
  }
  lua_pushnumber(L, 1);
  return 1;
}

/* ---- timeouts, and what waits ---- */

/* conn:gettimeout() -> block: number, total: number
   The two timeouts that settimeout sets, "b" then "t", in seconds; negative: none. In every state. LuaSocket's
   tcp:gettimeout. */
static int gettimeout(lua_State *L)
{
  const tls_connection *c = tls_checkconnection(L, 1);
  lua_pushnumber(L, c->block);
  lua_pushnumber(L, c->total);
  return 2;
}

/* conn:pending() -> bytes: integer
   How many bytes of plaintext receive would find without asking the socket. Records that were read ahead and not
   decrypted yet are not counted, though dirty() tells of them. 0 when not connected. SSL_pending(3). */
static int pending(lua_State *L)
{
  const tls_connection *c = tls_checkconnection(L, 1);
  size_t n = c->tail - c->head;
  if (c->state == TLS_STATE_CONNECTED && !c->broken) {
    n += (size_t)SSL_pending(c->ssl);
  }
  lua_pushinteger(L, (lua_Integer)n);
  return 1;
}

const luaL_Reg tls_socket_methods[] = {
  {"getfamily", getfamily},
  {"getoption", getoption},
  {"getpeername", conn_getpeername},
  {"getsockname", conn_getsockname},
  {"gettimeout", gettimeout},
  {"pending", pending},
  {"setoption", setoption},
  {NULL, NULL},
};
