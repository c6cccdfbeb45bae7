/*
 * floor.c: what Lua itself costs in receive: a method that does nothing but push the next string of random bytes. No
 * binding can be faster than this plus plain C's share of the TLS.
 */
#include <stdint.h>
#include <string.h>

#include <lauxlib.h>
#include <lua.h>

#define BLOCK 16384
#define LONG 4096 /* longer strings differ in their first bytes only, which costs nothing */

typedef struct strings {
  size_t len, at;
  uint64_t seed;
  unsigned char block[]; /* BLOCK bytes, or one string that is longer */
} strings;

/* Fresh bytes for each block: a string that comes again would be found in Lua's string table. */
static void refill(strings *f)
{
  uint64_t x = f->seed;
  for (size_t i = 0; i < BLOCK; i += sizeof x) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    memcpy(f->block + i, &x, sizeof x);
  }
  f->seed = x;
  f->at = 0;
}

/* f:receive(pattern): len bytes; pattern is not looked at. */
static int receive(lua_State *L)
{
  strings *f = lua_touserdata(L, 1);
  if (f->len >= LONG) {
    f->seed++;
    memcpy(f->block, &f->seed, sizeof f->seed);
    f->at = 0;
  } else if (BLOCK - f->at < f->len) {
    refill(f);
  }
  const char *p = (const char *)f->block + f->at;
  f->at += f->len;
  lua_pushlstring(L, p, f->len);
  return 1;
}

/* f:refill(n): the work for n short strings' bytes alone, to be subtracted. */
static int refill_blocks(lua_State *L)
{
  strings *f = lua_touserdata(L, 1);
  lua_Number n = luaL_checknumber(L, 2);
  uint64_t blocks = f->len >= LONG ? 0 : (uint64_t)(n * (lua_Number)f->len / BLOCK);
  for (; blocks > 0; blocks--) {
    refill(f);
  }
  return 0;
}

/* floor(len): an object whose receive gives strings of len bytes. */
static int new_strings(lua_State *L)
{
  lua_Integer len = luaL_checkinteger(L, 1);
  luaL_argcheck(L, len > 0 && len <= 1 << 30, 1, "1 to 2^30 expected");
  strings *f = lua_newuserdata(L, sizeof *f + (len > BLOCK ? (size_t)len : BLOCK));
  f->len = (size_t)len;
  f->seed = 0x9e3779b97f4a7c15u;
  refill(f);
  lua_createtable(L, 0, 3);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, receive);
  lua_setfield(L, -2, "receive");
  lua_pushcfunction(L, refill_blocks);
  lua_setfield(L, -2, "refill");
  lua_setmetatable(L, -2);
  return 1;
}

__attribute__((visibility("default"))) int luaopen_floor(lua_State *L)
{
  lua_pushcfunction(L, new_strings);
  return 1;
}
