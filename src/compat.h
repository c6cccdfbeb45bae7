/*
 * compat.h: what differs between Lua 5.1 to 5.5 and LuaJIT, and between releases of OpenSSL, is settled here and nowhere
 * else. Code elsewhere is written for Lua 5.4 and tests HAVE_* names, never a version number.
 */
#ifndef TLS_COMPAT_H
#define TLS_COMPAT_H

#include <stdio.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <openssl/opensslv.h>

#if OPENSSL_VERSION_NUMBER < 0x30000000L
#error "luasec needs OpenSSL 3.0 or newer; the headers found belong to an older release"
#endif

#if LUA_VERSION_NUM < 501
#error "luasec needs Lua 5.1 or newer"
#endif

/* The only symbols that the shared object shows. */
#define TLS_EXPORT __attribute__((visibility("default")))
#define TLS_NOINLINE __attribute__((noinline))

/* OpenSSL 3.3 gave sessions a time_t, 3.4 deprecated the long. SSL_SESSION_get_time(3). */
#if OPENSSL_VERSION_NUMBER < 0x30300000L
#define SSL_SESSION_get_time_ex(s) ((time_t)SSL_SESSION_get_time(s))
#endif

#if LUA_VERSION_NUM == 501

#define lua_rawlen(L, i) lua_objlen(L, i)
#define lua_absindex(L, i) \
  (((i) > 0 || (i) <= LUA_REGISTRYINDEX) ? (i) : lua_gettop(L) + (i) + 1)

static inline void tls_rawgetp(lua_State *L, int i, const void *key)
{
  i = lua_absindex(L, i);
  lua_pushlightuserdata(L, (void *)key);
  lua_rawget(L, i);
}

static inline void tls_rawsetp(lua_State *L, int i, const void *key)
{
  i = lua_absindex(L, i);
  lua_pushlightuserdata(L, (void *)key);
  lua_insert(L, -2);
  lua_rawset(L, i);
}

static inline void tls_setfuncs(lua_State *L, const luaL_Reg *regs, int nup)
{
  luaL_checkstack(L, nup + 2, "too many upvalues");
  for (; regs->name != NULL; regs++) {
    for (int i = 0; i < nup; i++) {
      lua_pushvalue(L, -nup);
    }
    lua_pushcclosure(L, regs->func, nup);
    lua_setfield(L, -(nup + 2), regs->name);
  }
  lua_pop(L, nup);
}

#else

#define tls_rawgetp(L, i, key) ((void)lua_rawgetp(L, i, key))
#define tls_rawsetp(L, i, key) lua_rawsetp(L, i, key)
#define tls_setfuncs(L, regs, nup) luaL_setfuncs(L, regs, nup)

#endif

/* lua_pushlstring copies before it lets the collector run. */
#if LUA_VERSION_NUM >= 503
#define HAVE_COPY_BEFORE_COLLECT 1
#endif

/* A full userdata with one user value, which is a table from the start (in 5.1: its environment). */
static inline void *tls_newuserdata(lua_State *L, size_t size)
{
#if LUA_VERSION_NUM >= 504
  void *p = lua_newuserdatauv(L, size, 1);
  lua_newtable(L);
  lua_setiuservalue(L, -2, 1);
#elif LUA_VERSION_NUM >= 502
  void *p = lua_newuserdata(L, size);
  lua_newtable(L);
  lua_setuservalue(L, -2);
#else
  void *p = lua_newuserdata(L, size);
  lua_newtable(L);
  lua_setfenv(L, -2);
#endif
  return p;
}

/* Pushes the table made by tls_newuserdata. */
static inline void tls_getuservalue(lua_State *L, int i)
{
#if LUA_VERSION_NUM >= 504
  lua_getiuservalue(L, i, 1);
#elif LUA_VERSION_NUM >= 502
  lua_getuservalue(L, i);
#else
  lua_getfenv(L, i);
#endif
}

/* Is the value at stack index i a file handle of Lua's io library? Its FILE, NULL once it is closed. */
static inline int tls_tofile(lua_State *L, int i, FILE **file)
{
  void *p = lua_touserdata(L, i);
  if (p == NULL || !lua_getmetatable(L, i)) {
    return 0;
  }
  luaL_getmetatable(L, LUA_FILEHANDLE);
  int same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  if (same) {
#if LUA_VERSION_NUM >= 502
    luaL_Stream *stream = p;
    *file = stream->closef != NULL ? stream->f : NULL;
#else
    *file = *(FILE **)p;
#endif
  }
  return same;
}

/* A step of the collector as if so much had been allocated. Lua 5.5 counts bytes, and in a size_t; the steps of 5.1 do more
   than was asked for. */
static inline void tls_gcstep(lua_State *L, int kib)
{
#if LUA_VERSION_NUM >= 505
  lua_gc(L, LUA_GCSTEP, (size_t)kib * 1024);
#elif LUA_VERSION_NUM == 501
  lua_gc(L, LUA_GCSTEP, kib / 4);
#else
  lua_gc(L, LUA_GCSTEP, kib);
#endif
}

/* The collector stopped by the program stays stopped. Lua 5.1 cannot tell; there the answer is always yes. */
static inline int tls_gcrunning(lua_State *L)
{
#ifdef LUA_GCISRUNNING
  return lua_gc(L, LUA_GCISRUNNING, 0);
#else
  (void)L;
  return 1;
#endif
}

#endif
