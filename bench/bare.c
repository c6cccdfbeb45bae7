/*
 * bare.c: the least that a binding can do: plain C's handshakes and lines, as in raw.c, on LuaSocket's descriptors and called
 * from Lua. What it costs beyond raw.c is Lua's and LuaSocket's, and no binding on LuaSocket is without it.
 */
#include <string.h>

#include <lauxlib.h>
#include <lua.h>

#include "peer.h"

/* Objects are light userdata: nothing here is collected, because a collector's share is the binding's own. */
static void *pointer(lua_State *L, int at)
{
  luaL_checktype(L, at, LUA_TLIGHTUSERDATA);
  return lua_touserdata(L, at);
}

/* context(server) */
static int context(lua_State *L)
{
  lua_pushlightuserdata(L, make_context(lua_toboolean(L, 1)));
  return 1;
}

/* handshake(context, descriptor, server [, session]): a connection, which the descriptor is closed with. */
static int shake(lua_State *L)
{
  SSL_SESSION *session = lua_isnoneornil(L, 4) ? NULL : pointer(L, 4);
  lua_pushlightuserdata(L, handshake(pointer(L, 1), (int)luaL_checkinteger(L, 2), lua_toboolean(L, 3), session));
  return 1;
}

/* One line without its end: a connection a process. Lines that do not end in the record they begin in are put together. */
static int receive_line(lua_State *L)
{
  static char buf[2 * RECORD];
  static size_t head, tail;
  SSL *ssl = pointer(L, 1);
  const char *end;
  while ((end = memchr(buf + head, '\n', tail - head)) == NULL) {
    size_t got;
    memmove(buf, buf + head, tail - head);
    tail -= head;
    head = 0;
    if (sizeof buf - tail < RECORD || !read_some(ssl, buf + tail, RECORD, &got)) {
      die("SSL_read");
    }
    tail += got;
  }
  size_t n = (size_t)(end - buf) - head;
  const char *line = buf + head;
  head += n + 1;
  if (memchr(line, '\r', n) != NULL) { /* LuaSocket leaves them out; ours and LuaSec look for them too */
    die("a line with CR");
  }
  lua_pushlstring(L, line, n);
  return 1;
}

/* receive(connection, n): n bytes, at most 64. receive(connection, "*l"): a line. */
static int receive(lua_State *L)
{
  char buf[64];
  if (lua_type(L, 2) == LUA_TSTRING) {
    return receive_line(L);
  }
  lua_Integer n = luaL_checkinteger(L, 2);
  luaL_argcheck(L, n >= 0 && n <= (lua_Integer)sizeof buf, 2, "too much");
  if (!read_full(pointer(L, 1), buf, (size_t)n)) {
    die("SSL_read");
  }
  lua_pushlstring(L, buf, (size_t)n);
  return 1;
}

/* session(connection [, old]): the session to resume; the one before it is freed. */
static int session(lua_State *L)
{
  SSL_SESSION *s = SSL_get1_session(pointer(L, 1));
  if (!lua_isnoneornil(L, 2)) {
    SSL_SESSION_free(pointer(L, 2));
  }
  lua_pushlightuserdata(L, s);
  return 1;
}

static int close_connection(lua_State *L)
{
  hang_up(pointer(L, 1));
  return 0;
}

__attribute__((visibility("default"))) int luaopen_bare(lua_State *L)
{
  static const luaL_Reg functions[] = {
    {"context", context}, {"handshake", shake}, {"receive", receive}, {"session", session}, {"close", close_connection},
  };
  lua_createtable(L, 0, sizeof functions / sizeof *functions);
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    lua_pushcfunction(L, functions[i].func);
    lua_setfield(L, -2, functions[i].name);
  }
  return 1;
}
