/*
 * engine.c: libFuzzer's entry to engines. A Lua state lives as long as the process, with this library linked in; what an input
 * does there is decided by engine.lua, a function from bytes to nothing. An error that it raises ends the process as a finding.
 * `make fuzz SECONDS=n` builds and runs it under AddressSanitizer and UndefinedBehaviorSanitizer.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#define SCRIPT "test/fuzz/engine.lua"

int luaopen_ssl_core(lua_State *L);
int luaopen_ssl_context(lua_State *L);
int luaopen_ssl_x509(lua_State *L);
int luaopen_ssl_config(lua_State *L);
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static const luaL_Reg modules[] = {
  {"ssl.core", luaopen_ssl_core},
  {"ssl.context", luaopen_ssl_context},
  {"ssl.x509", luaopen_ssl_x509},
  {"ssl.config", luaopen_ssl_config},
  {NULL, NULL},
};

static lua_State *state;

_Noreturn static void stop(void)
{
  fprintf(stderr, "%s\n", lua_tostring(state, -1));
  abort();
}

static int with_traceback(lua_State *L)
{
  luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
  return 1;
}

/* Leaves with_traceback at 1 and the script's function at 2. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
  (void)argc;
  (void)argv;
  state = luaL_newstate();
  if (state == NULL) {
    abort();
  }
  luaL_openlibs(state);
  luaL_getsubtable(state, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  luaL_setfuncs(state, modules, 0);
  lua_settop(state, 0);
  lua_pushcfunction(state, with_traceback);
  if (luaL_loadfile(state, SCRIPT) != LUA_OK || lua_pcall(state, 0, 1, 1) != LUA_OK) {
    stop();
  }
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
  lua_pushvalue(state, 2);
  lua_pushlstring(state, (const char *)p, n);
  if (lua_pcall(state, 1, 0, 1) != LUA_OK) {
    stop();
  }
  return 0;
}
