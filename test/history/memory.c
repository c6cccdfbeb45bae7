/*
 * memory.c: Lua out of memory with OpenSSL's objects in hand. memory PROGRAM STEP: the program's function run() is called
 * in fresh states, in which the n-th allocation of Lua's fails, and all that follow, for every STEP-th n until it succeeds.
 * Each n is tried twice: the second time must leave no more of OpenSSL's allocations than the first, but for those that it
 * leaves without any failure. Prints the n tried.
 */
#include <stdio.h>
#include <stdlib.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <openssl/crypto.h>

static long left = -1; /* allocations until they fail; negative: none fails */
static long live;      /* of OpenSSL's */

static void *allocate(void *ud, void *p, size_t old, size_t n)
{
  (void)ud;
  if (n == 0) {
    free(p);
    return NULL;
  }
  if (left == 0 && (p == NULL || n > old)) {
    return NULL;
  }
  if (left > 0 && (p == NULL || n > old)) {
    left--;
  }
  return realloc(p, n);
}

static void *make(size_t n, const char *file, int line)
{
  (void)file, (void)line;
  void *p = malloc(n);
  live += p != NULL;
  return p;
}

static void drop(void *p, const char *file, int line)
{
  (void)file, (void)line;
  live -= p != NULL;
  free(p);
}

static void *change(void *p, size_t n, const char *file, int line)
{
  if (p == NULL) {
    return make(n, file, line);
  }
  if (n == 0) {
    drop(p, file, line);
    return NULL;
  }
  return realloc(p, n);
}

/* One state; `n` allocations of its run() succeed, all of them when it is negative. True when run() did. */
static int once(const char *program, long n)
{
  left = -1;
#if LUA_VERSION_NUM >= 505
  lua_State *L = lua_newstate(allocate, NULL, 0);
#else
  lua_State *L = lua_newstate(allocate, NULL);
#endif
  if (L == NULL) {
    abort();
  }
  luaL_openlibs(L);
  if (luaL_dofile(L, program)) {
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    exit(2);
  }
  lua_getglobal(L, "run");
  left = n;
  int ok = lua_pcall(L, 0, 0, 0) == 0;
  left = -1;
  if (!ok && n < 0) {
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    exit(3);
  }
  lua_close(L);
  return ok;
}

int main(int argc, char **argv)
{
  if (argc != 3 || CRYPTO_set_mem_functions(make, change, drop) != 1) {
    return 1;
  }
  once(argv[1], -1);
  once(argv[1], -1);
  long usual = live;
  once(argv[1], -1);
  usual = live - usual;
  for (long n = 0, step = atol(argv[2]);; n += step) {
    int ok = once(argv[1], n);
    long before = live;
    once(argv[1], n);
    if (live - before > usual) {
      printf("allocation %ld: %ld of OpenSSL's are lost, where %ld are without\n", n, live - before, usual);
      return 4;
    }
    if (ok) {
      printf("done %ld\n", n);
      return 0;
    }
  }
}
