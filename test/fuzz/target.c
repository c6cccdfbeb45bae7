/*
 * target.c: libFuzzer's entry to every target. A Lua state lives as long as the process, with this library linked in; what
 * an input does there is decided by test/fuzz/NAME.lua, NAME being in the environment as FUZZ_TARGET, which returns a table:
 *   run(bytes)                      what an input does; an error that it raises ends the process as a finding
 *   mutate(bytes, max, seed, native) optional: another input made of this one, at most max bytes; native(bytes, max) is
 *                                   libFuzzer's own way to do so
 *   lines                           true: lines of lua/ that an input reaches count as coverage too
 * Random numbers are the same for each input (random.c), so that what is found happens again.
 * `make fuzz SECONDS=n` builds and runs it under AddressSanitizer and UndefinedBehaviorSanitizer.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "random.h"

int luaopen_ssl_core(lua_State *L);
int luaopen_ssl_context(lua_State *L);
int luaopen_ssl_x509(lua_State *L);
int luaopen_ssl_config(lua_State *L);
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
size_t LLVMFuzzerMutate(uint8_t *p, size_t n, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *p, size_t n, size_t max, unsigned seed);

static const luaL_Reg modules[] = {
  {"ssl.core", luaopen_ssl_core},
  {"ssl.context", luaopen_ssl_context},
  {"ssl.x509", luaopen_ssl_x509},
  {"ssl.config", luaopen_ssl_config},
  {NULL, NULL},
};

/* What stands on the stack between two calls. */
enum slot { TRACEBACK = 1, RUN, MUTATE, NATIVE };

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

/* ---- lines of Lua as coverage ---- */

#define LINES 16384

/* libFuzzer looks for counters beside its own in the section of this name. */
__attribute__((section("__libfuzzer_extra_counters"))) static uint8_t lines[LINES];

static void count_line(lua_State *L, lua_Debug *ar)
{
  if (lua_getinfo(L, "S", ar) && strncmp(ar->source, "@lua/", 5) == 0) {
    unsigned hash = (unsigned)ar->currentline;
    for (const char *s = ar->source + 5; *s != '\0'; s++) {
      hash = hash * 31 + (unsigned char)*s;
    }
    uint8_t *counter = &lines[hash % LINES];
    *counter = (uint8_t)(*counter + (*counter < UINT8_MAX));
  }
}

/* ---- mutation ---- */

/* native(bytes, max): the bytes changed in libFuzzer's way. */
static int native(lua_State *L)
{
  size_t n;
  const char *bytes = luaL_checklstring(L, 1, &n);
  size_t max = (size_t)luaL_checkinteger(L, 2);
  if (max < n) {
    max = n;
  }
  uint8_t *copy = lua_newuserdatauv(L, max + 1, 0);
  memcpy(copy, bytes, n);
  lua_pushlstring(L, (char *)copy, max == 0 ? 0 : LLVMFuzzerMutate(copy, n, max));
  return 1;
}

size_t LLVMFuzzerCustomMutator(uint8_t *p, size_t n, size_t max, unsigned seed)
{
  size_t made;
  if (lua_isnil(state, MUTATE)) {
    return LLVMFuzzerMutate(p, n, max);
  }
  lua_pushvalue(state, MUTATE);
  lua_pushlstring(state, (const char *)p, n);
  lua_pushinteger(state, (lua_Integer)max);
  lua_pushinteger(state, (lua_Integer)seed);
  lua_pushvalue(state, NATIVE);
  if (lua_pcall(state, 4, 1, TRACEBACK) != LUA_OK) {
    stop();
  }
  const char *bytes = lua_tolstring(state, -1, &made);
  if (made > max) {
    made = max;
  }
  memcpy(p, bytes, made);
  lua_settop(state, NATIVE);
  return made;
}

/* ---- the target ---- */

static void load_target(void)
{
  char path[256];
  const char *name = getenv("FUZZ_TARGET");
  snprintf(path, sizeof path, "test/fuzz/%s.lua", name != NULL ? name : "");
  if (luaL_loadfile(state, path) != LUA_OK || lua_pcall(state, 0, 1, TRACEBACK) != LUA_OK) {
    stop();
  }
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
  (void)argc;
  (void)argv;
  state = luaL_newstate();
  if (state == NULL || !fuzz_random_start()) {
    fprintf(stderr, "no Lua state, or no random numbers of our own\n");
    abort();
  }
  luaL_openlibs(state);
  luaL_getsubtable(state, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  luaL_setfuncs(state, modules, 0);
  lua_settop(state, 0);
  lua_pushcfunction(state, with_traceback);
  load_target();
  lua_getfield(state, 2, "run");
  lua_getfield(state, 2, "mutate");
  lua_pushcfunction(state, native);
  if (lua_getfield(state, 2, "lines") == LUA_TBOOLEAN) {
    lua_sethook(state, count_line, LUA_MASKLINE, 0);
  }
  lua_pop(state, 1);
  lua_remove(state, 2);
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
  fuzz_random_restart();
  lua_pushvalue(state, RUN);
  lua_pushlstring(state, (const char *)p, n);
  if (lua_pcall(state, 1, 0, TRACEBACK) != LUA_OK) {
    stop();
  }
  return 0;
}
