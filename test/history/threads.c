/*
 * threads.c: one Lua state in each of several threads, all running the same program at once, twice in a row: so the
 * library is loaded, and left, by several at a time. threads N PROGRAM; the exit status is the number that failed.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#define MOST 64

static void *run(void *program)
{
  for (int i = 0; i < 2; i++) {
    lua_State *L = luaL_newstate();
    if (L == NULL) {
      return program;
    }
    luaL_openlibs(L);
    int failed = luaL_dofile(L, program);
    if (failed) {
      fprintf(stderr, "%s\n", lua_tostring(L, -1));
    }
    lua_close(L);
    if (failed) {
      return program;
    }
  }
  return NULL;
}

int main(int argc, char **argv)
{
  pthread_t threads[MOST];
  int n = argc == 3 ? atoi(argv[1]) : 0, failed = 0;
  for (int i = 0; i < n && i < MOST; i++) {
    if (pthread_create(&threads[i], NULL, run, argv[2]) != 0) {
      return MOST;
    }
  }
  for (int i = 0; i < n && i < MOST; i++) {
    void *result = NULL;
    pthread_join(threads[i], &result);
    failed += result != NULL;
  }
  return n < 1 ? MOST : failed;
}
