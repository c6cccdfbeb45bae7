/*
 * object.c: the userdata types that Lua sees (context, connection, certificate): making them, checking them, and the Lua
 * values that hang on them. What the objects do lives elsewhere.
 */
#include "live.h"

#include <string.h>

#define LIVE_MIN 256 /* connections */

const tls_type tls_context_type = {"SSL:Context"};
const tls_type tls_connection_type = {"SSL:Connection"};
const tls_type tls_certificate_type = {"SSL:Certificate"};

void tls_addmethods(lua_State *L, const luaL_Reg *methods)
{
  lua_getfield(L, -1, "__index");
  tls_setfuncs(L, methods, 0);
  lua_pop(L, 1);
}

int tls_setmethod(lua_State *L, const tls_type *type)
{
  luaL_checkstring(L, 1);
  luaL_checkany(L, 2);
  lua_settop(L, 2);
  tls_rawgetp(L, LUA_REGISTRYINDEX, type);
  lua_getfield(L, -1, "__index");
  lua_insert(L, 1);
  lua_pop(L, 1);
  lua_rawset(L, 1);
  return 0;
}

bool tls_newtype(lua_State *L, const tls_type *type, const luaL_Reg *methods, const luaL_Reg *meta)
{
  tls_rawgetp(L, LUA_REGISTRYINDEX, type);
  if (!lua_isnil(L, -1)) {
    return false;
  }
  lua_pop(L, 1);
  lua_newtable(L);
  lua_pushstring(L, type->name);
  lua_setfield(L, -2, "__name");
  lua_pushvalue(L, -1);
  tls_rawsetp(L, LUA_REGISTRYINDEX, type);
  tls_setfuncs(L, meta, 0);
  lua_newtable(L);
  lua_setfield(L, -2, "__index");
  tls_addmethods(L, methods);
  return true;
}

/* The last word of an object is the address of its type: looking there is much cheaper than looking at the metatable, and
   stays true whatever debug.setmetatable does. No other userdata has our addresses in it. */
void *tls_newobject(lua_State *L, const tls_type *type, size_t size)
{
  const void *mark = type;
  char *p = tls_newuserdata(L, size + sizeof mark);
  memset(p, 0, size);
  memcpy(p + size, &mark, sizeof mark);
  tls_rawgetp(L, LUA_REGISTRYINDEX, type);
  lua_setmetatable(L, -2);
  return p;
}

static inline void *find(lua_State *L, int arg, const tls_type *type)
{
  char *p = lua_touserdata(L, arg);
  size_t size = p != NULL ? (size_t)lua_rawlen(L, arg) : 0; /* 0 for light userdata */
  const void *mark = NULL;
  if (size >= sizeof mark) {
    memcpy(&mark, p + size - sizeof mark, sizeof mark);
  }
  return mark == type ? p : NULL;
}

void *tls_toobject(lua_State *L, int arg, const tls_type *type)
{
  return find(L, arg, type);
}

/* Lua's own words for a value of the wrong type; luaL_typeerror does not exist before 5.4. */
static int typeerror(lua_State *L, int arg, const tls_type *type)
{
  const char *got = luaL_typename(L, arg);
  if (luaL_getmetafield(L, arg, "__name") && lua_type(L, -1) == LUA_TSTRING) {
    got = lua_tostring(L, -1);
  } else if (lua_type(L, arg) == LUA_TLIGHTUSERDATA) {
    got = "light userdata";
  }
  return luaL_argerror(L, arg, lua_pushfstring(L, "%s expected, got %s", type->name, got));
}

void *tls_checkobject(lua_State *L, int arg, const tls_type *type)
{
  void *p = find(L, arg, type);
  if (p == NULL) {
    typeerror(L, arg, type);
  }
  return p;
}

void *tls_self(lua_State *L, const tls_type *type)
{
  void *p = find(L, 1, type);
  if (p == NULL) {
    typeerror(L, 1, type);
  }
  return p;
}

size_t tls_checksize(lua_State *L, int arg)
{
  lua_Number n = luaL_checknumber(L, arg);
  luaL_argcheck(L, n >= 0, arg, "number of bytes expected");
  return n >= (lua_Number)(SIZE_MAX / 4) ? SIZE_MAX / 4 : (size_t)n;
}

void tls_getslot(lua_State *L, int object, enum tls_slot slot)
{
  tls_getuservalue(L, object);
  lua_rawgeti(L, -1, (int)slot);
  lua_remove(L, -2);
}

void tls_setslot(lua_State *L, int object, enum tls_slot slot)
{
  object = lua_absindex(L, object);
  tls_getuservalue(L, object);
  lua_insert(L, -2);
  lua_rawseti(L, -2, (int)slot);
  lua_pop(L, 1);
}

/* ---- boxes ---- */

static const tls_type box_type = {"SSL:Box"};

static int box_gc(lua_State *L)
{
  tls_emptybox(tls_self(L, &box_type));
  return 0;
}

tls_box *tls_newbox(lua_State *L, void (*release)(void *))
{
  static const luaL_Reg methods[] = {{NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", box_gc}, {NULL, NULL}};
  tls_newtype(L, &box_type, methods, meta);
  lua_pop(L, 1);
  tls_box *box = tls_newobject(L, &box_type, sizeof *box);
  box->release = release;
  return box;
}

void tls_emptybox(tls_box *box)
{
  void *p = box->p;
  box->p = NULL;
  if (p != NULL) {
    box->release(p);
  }
}

/* ---- the collector ---- */

void tls_nudge(lua_State *L, int kib)
{
  if (tls_gcrunning(L)) {
    tls_gcstep(L, kib);
  }
}

static const char census_key;

static tls_census *get_census(lua_State *L)
{
  tls_rawgetp(L, LUA_REGISTRYINDEX, &census_key);
  tls_census *n = lua_touserdata(L, -1);
  if (n == NULL) {
    n = lua_newuserdata(L, sizeof *n);
    *n = (tls_census){0, 0, 0, LIVE_MIN};
    tls_rawsetp(L, LUA_REGISTRYINDEX, &census_key);
  }
  lua_pop(L, 1);
  return n;
}

/* A program that closes its connections pays for no nudges, which are 3 % of a handshake: only where more are open than ever
   before, or than lately, may some have been dropped. And a nudge does not reach what a generational collector holds for old,
   which waits until Lua's own heap has doubled: hundreds of connections per 100 KiB of it. So a full collection comes
   whenever their number has doubled since the last one. */
tls_census *tls_nudge_connection(lua_State *L, int kib)
{
  tls_census *n = get_census(L);
  if (n->open >= n->most) {
    n->most = n->open + 1;
    tls_nudge(L, kib);
  } else if (n->open < n->most / 2) {
    n->most--;
  }
  if (n->live < n->limit / 4 && n->limit > LIVE_MIN) {
    n->limit /= 2;
  }
  if (n->live >= n->limit && tls_gcrunning(L)) {
    lua_gc(L, LUA_GCCOLLECT, 0);
    n->limit = n->live < LIVE_MIN / 2 ? LIVE_MIN : 2 * n->live;
  }
  return n;
}
