/*
 * linehook.c: which lines of lua/ ran, for `make coverage`. Each interpreter loads it by LUA_INIT; coroutines have the hook of
 * the thread that made them. At the end of the process the lines are written to a file of its own in $LINES_OUT: one line for
 * each source, its name and the numbers. What is killed writes none. Nothing else belongs here.
 */
#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SOURCES 100
#define LINES 512 /* a file has 500 at most */

static struct {
  char name[256];
  unsigned char hit[LINES];
} sources[SOURCES];

static const char *skip(const char *source)
{
  source += *source == '@';
  source += strncmp(source, "./", 2) == 0 ? 2 : 0;
  return strncmp(source, "lua/", 4) == 0 ? source : NULL;
}

static void hook(lua_State *L, lua_Debug *ar)
{
  lua_getinfo(L, "Sl", ar);
  const char *name = skip(ar->source);
  if (name == NULL || strlen(name) >= sizeof sources->name || ar->currentline <= 0 || ar->currentline >= LINES) {
    return;
  }
  for (int i = 0; i < SOURCES; i++) {
    if (sources[i].name[0] == '\0') {
      strcpy(sources[i].name, name);
    }
    if (strcmp(sources[i].name, name) == 0) {
      sources[i].hit[ar->currentline] = 1;
      return;
    }
  }
  abort();
}

static void save(void)
{
  char path[1024];
  const char *dir = getenv("LINES_OUT");
  snprintf(path, sizeof path, "%s/%ld.lines", dir != NULL ? dir : ".", (long)getpid());
  FILE *f = sources[0].name[0] != '\0' ? fopen(path, "a") : NULL;
  if (f == NULL) {
    return;
  }
  for (int i = 0; i < SOURCES && sources[i].name[0] != '\0'; i++) {
    fprintf(f, "%s", sources[i].name);
    for (int line = 1; line < LINES; line++) {
      if (sources[i].hit[line]) {
        fprintf(f, " %d", line);
      }
    }
    fprintf(f, "\n");
  }
  fclose(f);
}

int luaopen_linehook(lua_State *L);

int luaopen_linehook(lua_State *L)
{
  static int registered;
  if (!registered) {
    registered = 1;
    atexit(save);
  }
  lua_sethook(L, hook, LUA_MASKLINE, 0);
  return 0;
}
