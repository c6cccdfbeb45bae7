/*
 * threads.c: Lua states in threads of one process, each of which runs the same script on the same library at the same time.
 * `make tsan` builds it and ssl.so with ThreadSanitizer, `make helgrind` with a pthread_once that valgrind's checkers of
 * threads understand; it is a plain program otherwise, for the speed.
 *
 *   threads SCRIPT THREADS ROUNDS       the script's arguments are its thread's number and ROUNDS
 *
 * Ends with status 1 when a script raised; what it raised is printed.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#define THREADS_MAX 64

typedef struct job {
  pthread_t thread;
  const char *script;
  lua_Integer number, rounds;
  int failed;
} job;

static pthread_barrier_t barrier;

static int with_traceback(lua_State *L)
{
  luaL_traceback(L, L, lua_tostring(L, 1), 1);
  return 1;
}

/* All states are there before the first of them loads the library. */
static void *run(void *data)
{
  job *j = data;
  lua_State *L = luaL_newstate();
  pthread_barrier_wait(&barrier);
  if (L == NULL) {
    j->failed = 1;
    return NULL;
  }
  luaL_openlibs(L);
  lua_pushcfunction(L, with_traceback);
  j->failed = luaL_loadfile(L, j->script);
  if (!j->failed) {
    lua_pushinteger(L, j->number);
    lua_pushinteger(L, j->rounds);
    j->failed = lua_pcall(L, 2, 0, 1);
  }
  if (j->failed) {
    fprintf(stderr, "thread %d: %s\n", (int)j->number, lua_tostring(L, -1));
  }
  lua_close(L);
  return NULL;
}

int main(int argc, char **argv)
{
  static job jobs[THREADS_MAX];
  int failed = 0, count = argc == 4 ? atoi(argv[2]) : 0;
  if (count < 1 || count > THREADS_MAX) {
    fprintf(stderr, "usage: threads SCRIPT THREADS ROUNDS\n");
    return 2;
  }
  pthread_barrier_init(&barrier, NULL, (unsigned)count);
  for (int i = 0; i < count; i++) {
    jobs[i] = (job){.script = argv[1], .number = i + 1, .rounds = atoi(argv[3])};
    if (pthread_create(&jobs[i].thread, NULL, run, &jobs[i]) != 0) {
      fprintf(stderr, "no thread could be started\n");
      return 2; /* the others wait for it for ever */
    }
  }
  for (int i = 0; i < count; i++) {
    pthread_join(jobs[i].thread, NULL);
    failed |= jobs[i].failed != 0;
  }
  printf("%d of %d threads\n", count, count);
  return failed;
}
