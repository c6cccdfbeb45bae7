/*
 * driver.c: runs each scenario of scenarios.lua again and again, with another call failing each time: the first, the
 * second, and so on to the last; each time in a process of its own, forked from one in which all went well. What may come
 * of it: success, a returned error, a memory error. What may not: a crash, a hang, any other raised error, an answer that
 * is wrong, a block of memory that is still there when the state is closed and was not without the fault.
 *
 * Arguments: -k KIND (lua, openssl, own, socket, file; several), -m once|sticky, -w WAY (of sockets: EINTR, EAGAIN, short, end,
 * ECONNRESET, EPIPE, errno-0), -o SCENARIO, -e N (every N-th call), -p N (that call alone, and the stack there),
 * -t SECONDS (how long one may take), -x FILE (OpenSSL's own). With FAULTS_TRACE set, lost blocks tell where they are from.
 */
#include "faults.h"

#include <execinfo.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

int luaopen_ssl_core(lua_State *L);
int luaopen_ssl_context(lua_State *L);
int luaopen_ssl_x509(lua_State *L);
int luaopen_ssl_config(lua_State *L);

struct faults_plan faults_plan;
struct faults_result *faults_result;

/* What the command line asks for. */
static struct {
  const char *script, *only, *known;
  bool kinds[FAULTS_KINDS];
  long every, point;
  int way, mode; /* -1: all */
  unsigned limit;
} want = {.every = 1, .way = -1, .mode = -1, .limit = 20};

static long passed, failed, skipped;
static pid_t parent;

/* ---- in the child */

bool faults_due(enum faults_kind kind, const char *file, int line)
{
  if (!faults_plan.armed || faults_plan.kind != kind) {
    return false;
  }
  long call = ++faults_result->calls;
  if (faults_plan.at == 0 || call < faults_plan.at || (call > faults_plan.at && !faults_plan.sticky)) {
    return false;
  }
  if (!faults_result->struck) {
    faults_plan.armed = false; /* snprintf and backtrace are not tried */
    faults_result->struck = true;
    snprintf(faults_result->site, sizeof faults_result->site, "%s:%d", file != NULL ? file : "?", line);
    faults_result->nfault = backtrace(faults_result->fault, FAULTS_FRAMES);
    faults_plan.armed = true;
  }
  return true;
}

_Noreturn static void leave(const char *outcome, const char *text)
{
  faults_plan.armed = false;
  snprintf(faults_result->outcome, sizeof faults_result->outcome, "%s", outcome);
  snprintf(faults_result->text, sizeof faults_result->text, "%s", text);
  faults_result->finished = true;
  fflush(NULL);
  if (getpid() == parent) {
    fprintf(stderr, "faults: without any fault: %s\n", text);
    _exit(1);
  }
  _exit(0);
}

static void killed(int signal)
{
  faults_plan.armed = false;
  if (faults_result->ncrash == 0) {
    faults_result->ncrash = backtrace(faults_result->crash, FAULTS_FRAMES);
  }
  struct sigaction usual = {.sa_handler = SIG_DFL};
  sigaction(signal, &usual, NULL);
  raise(signal);
}

static int violated(lua_State *L)
{
  leave("wrong", luaL_checkstring(L, 1));
}

static int clean(lua_State *L)
{
  lua_pushboolean(L, ERR_peek_error() == 0);
  return 1;
}

static int pausing(lua_State *L)
{
  lua_pushboolean(L, faults_plan.armed);
  faults_plan.armed = false;
  return 1;
}

static int resuming(lua_State *L)
{
  faults_plan.armed = lua_toboolean(L, 1);
  return 0;
}

static bool whole;

/* whole(): what was read has been looked at, and nothing is missing. */
static int looked(lua_State *L)
{
  (void)L;
  whole = true;
  return 0;
}

static lua_State *newlibs(void);

/* fresh(chunk): runs it in a state of its own, which nothing of ours is loaded in yet; true, or its message. */
static int fresh(lua_State *L)
{
  const char *chunk = luaL_checkstring(L, 1);
  char text[256] = "done";
  bool armed = faults_plan.armed;
  faults_plan.armed = false;
  lua_State *own = newlibs();
  int status = luaL_loadstring(own, chunk);
  faults_plan.armed = armed;
  status = status != 0 ? status : lua_pcall(own, 0, 1, 0);
  faults_plan.armed = false;
  bool ok = status == 0 && lua_isboolean(own, -1);
  if (!ok) {
    snprintf(text, sizeof text, "%s", lua_tostring(own, -1) ? lua_tostring(own, -1) : "no message");
  }
  lua_close(own);
  bool memory = strstr(text, "not enough memory") != NULL;
  if (status != 0 && !memory) {
    leave("wrong", text);
  }
  if (memory) {
    lua_pushstring(L, text);
    return lua_error(L);
  }
  faults_plan.armed = armed;
  lua_pushboolean(L, ok);
  lua_pushstring(L, text);
  return 2;
}

/* Calls field `name` of the script's table, at 1, with a number. */
static int call(lua_State *L, const char *name, int i, int nresults)
{
  lua_getfield(L, 1, name);
  lua_pushinteger(L, i);
  faults_plan.armed = strcmp(name, "run") == 0;
  int status = lua_pcall(L, 1, nresults, 0);
  faults_plan.armed = false;
  return status;
}

_Noreturn static void child(lua_State *L, int scenario)
{
  static const int signals[] = {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGALRM};
  struct sigaction action = {.sa_handler = killed, .sa_flags = SA_ONSTACK};
  static char text[512], other[64], altstack[65536];
  stack_t stack = {.ss_sp = altstack, .ss_size = sizeof altstack};
  sigaltstack(&stack, NULL);
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
    sigaction(signals[i], &action, NULL);
  }
  alarm(want.limit);
  faults_alloc_mark();
  int status = call(L, "run", scenario, 1);
  snprintf(text, sizeof text, "%s", lua_tostring(L, -1) ? lua_tostring(L, -1) : "no message");
  if (status != 0 && status != LUA_ERRMEM && strstr(text, "not enough memory") == NULL) {
    memmove(text + 7, text, sizeof text - 8);
    leave("wrong", memcpy(text, "raised ", 7));
  }
  strcpy(other, status != 0 ? "memory" : strcmp(text, "done") == 0 ? "done" : "error");
  lua_settop(L, 1);
  if (call(L, "finish", scenario, 0) != 0) {
    leave("wrong", lua_tostring(L, -1) ? lua_tostring(L, -1) : "finish failed");
  }
  lua_close(L);
  OPENSSL_thread_stop();
  static char lost[400];
  faults_leaks(lost, sizeof lost);
  if (faults_lua_blocks != 0) {
    snprintf(text, sizeof text, "%ld blocks of Lua's are alive after lua_close", faults_lua_blocks);
    leave("wrong", text);
  }
  if (faults_files != 0) {
    leave("leak", "a file is open");
  }
  if (faults_plan.kind == FAULTS_FILE && faults_result->struck && !whole && strcmp(other, "done") == 0) {
    leave("wrong", "all went well without the whole of a file");
  }
  if (lost[0] != '\0') {
    leave("leak", lost);
  }
  leave(other, text);
}

/* ---- in the parent */

void *faults_shared(size_t n)
{
  void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) {
    perror("mmap");
    exit(1);
  }
  return p;
}

static const char *outcome_of(int status)
{
  if (WIFSIGNALED(status)) {
    return WTERMSIG(status) == SIGALRM ? "hang" : "crash";
  }
  return WEXITSTATUS(status) != 0 || !faults_result->finished ? "crash" : faults_result->outcome;
}

static const char *run(lua_State *L, int scenario)
{
  memset(faults_result, 0, sizeof *faults_result);
  fflush(NULL);
  pid_t pid = fork();
  if (pid == 0) {
    child(L, scenario);
  }
  int status = 0;
  if (pid < 0 || waitpid(pid, &status, 0) != pid) {
    perror("fork");
    exit(1);
  }
  return outcome_of(status);
}

/* All points of one scenario, one kind, one way, once or sticky. */
static void sweep(lua_State *L, int scenario, const char *name)
{
  long counts[4] = {0}, bad = 0, left = 0;
  static const char *const good[] = {"done", "error", "memory"};
  time_t began = time(NULL);
  faults_plan.at = 0;
  const char *outcome = run(L, scenario);
  if (strcmp(outcome, "done") != 0) {
    faults_show(name, outcome);
    failed++;
    return;
  }
  long calls = faults_result->calls;
  for (long at = want.point > 0 ? want.point : 1; at <= calls; at += want.point > 0 ? calls : want.every) {
    faults_plan.at = at;
    outcome = run(L, scenario);
    int i = 0;
    while (i < 3 && strcmp(outcome, good[i]) != 0) {
      i++;
    }
    if (i < 3 && want.point > 0) {
      printf("%s: %s\n", outcome, faults_result->text);
      faults_frames(faults_result->site, faults_result->fault, faults_result->nfault);
    }
    if (i < 3) {
      counts[i]++;
    } else if (faults_known(outcome, want.known)) {
      left++;
    } else {
      bad++;
      faults_show(name, outcome);
    }
  }
  passed += counts[0] + counts[1] + counts[2];
  failed += bad;
  skipped += left;
  printf("%s %-14s %s%s%s%s: %ld calls: %ld done, %ld errors, %ld memory, %ld OpenSSL's, %ld bad; %ld s\n",
         bad ? "FAILED" : "ok    ", name, faults_kinds[faults_plan.kind], faults_plan.way ? " " : "", faults_ways[faults_plan.way],
         faults_plan.sticky ? " sticky" : "", calls, counts[0], counts[1], counts[2], left, bad, (long)(time(NULL) - began));
}

static void sweeps(lua_State *L, int scenario, const char *name, bool sockets, bool files)
{
  for (int kind = 0; kind < FAULTS_KINDS; kind++) {
    bool many = kind == FAULTS_SOCKET;
    int last = many ? FAULTS_WAYS - 1 : FAULTS_NOMEM;
    for (int way = many ? FAULTS_EINTR : FAULTS_NOMEM; want.kinds[kind] && (!many || sockets) && (kind != FAULTS_FILE || files) && way <= last;
         way++) {
      for (int sticky = 0; sticky < 2; sticky++) {
        if ((want.way < 0 || want.way == way) && (want.mode < 0 || want.mode == sticky)) {
          faults_plan = (struct faults_plan){.kind = (enum faults_kind)kind, .way = (enum faults_way)way, .sticky = sticky};
          sweep(L, scenario, name);
        }
      }
    }
  }
}

/* ---- the state */

static void preload(lua_State *L, const char *name, lua_CFunction f)
{
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "preload");
  lua_pushcfunction(L, f);
  lua_setfield(L, -2, name);
  lua_pop(L, 2);
}

static void check(lua_State *L, int status)
{
  if (status != 0) {
    fprintf(stderr, "faults: %s\n", lua_tostring(L, -1));
    exit(1);
  }
}

static lua_State *newlibs(void)
{
  lua_State *L = lua_newstate(faults_lua_alloc, NULL);
  if (L == NULL) {
    fprintf(stderr, "faults: no state\n");
    exit(1);
  }
  luaL_openlibs(L);
  preload(L, "ssl.core", luaopen_ssl_core);
  preload(L, "ssl.context", luaopen_ssl_context);
  preload(L, "ssl.x509", luaopen_ssl_x509);
  preload(L, "ssl.config", luaopen_ssl_config);
  return L;
}

static lua_State *newstate(void)
{
  static const luaL_Reg functions[] = {{"violated", violated}, {"clean", clean}, {"pause", pausing}, {"resume", resuming},
                                      {"fresh", fresh}, {"whole", looked},
                                      {NULL, NULL}};
  lua_State *L = newlibs();
  lua_newtable(L);
  for (const luaL_Reg *f = functions; f->name != NULL; f++) {
    lua_pushcfunction(L, f->func);
    lua_setfield(L, -2, f->name);
  }
  lua_setglobal(L, "faults");
  lua_settop(L, 0);
  check(L, luaL_loadfile(L, want.script) != 0 ? 1 : lua_pcall(L, 0, 1, 0));
  return L;
}

static void try(lua_State *L, int i)
{
  lua_rawgeti(L, 1, i);
  lua_getfield(L, -1, "name");
  lua_getfield(L, -2, "sockets");
  char name[64];
  snprintf(name, sizeof name, "%s", lua_tostring(L, -2));
  bool sockets = lua_toboolean(L, -1);
  lua_getfield(L, -3, "files");
  bool files = lua_toboolean(L, -1);
  lua_settop(L, 1);
  if (want.only != NULL && strcmp(want.only, name) != 0) {
    return;
  }
  check(L, call(L, "prepare", i, 0));
  sweeps(L, i, name, sockets, files);
  check(L, call(L, "forget", i, 0));
}

static int index_of(const char *const *names, int n, const char *name)
{
  for (int i = 0; i < n; i++) {
    if (strcmp(names[i], name) == 0) {
      return i;
    }
  }
  fprintf(stderr, "faults: %s is not known\n", name);
  exit(2);
}

static void options(int argc, char **argv)
{
  static const char *const modes[] = {"once", "sticky"};
  int c;
  while ((c = getopt(argc, argv, "k:e:p:o:w:m:x:t:")) != -1) {
    switch (c) {
    case 'k': want.kinds[index_of(faults_kinds, FAULTS_KINDS, optarg)] = true; break;
    case 'w': want.way = index_of(faults_ways, FAULTS_WAYS, optarg); break;
    case 'm': want.mode = index_of(modes, 2, optarg); break;
    case 'e': want.every = atol(optarg); break;
    case 'p': want.point = atol(optarg); break;
    case 'o': want.only = optarg; break;
    case 'x': want.known = optarg; break;
    case 't': want.limit = (unsigned)atoi(optarg); break;
    default: exit(2);
    }
  }
  want.script = optind < argc ? argv[optind] : "test/faults/scenarios.lua";
  bool any = false;
  for (int i = 0; i < FAULTS_KINDS; i++) {
    any = any || want.kinds[i];
  }
  for (int i = 0; i < FAULTS_KINDS; i++) {
    want.kinds[i] = want.kinds[i] || !any;
  }
}

int main(int argc, char **argv)
{
  void *frame[4];
  faults_alloc_start();
  parent = getpid();
  setvbuf(stdout, NULL, _IOLBF, 0);
  options(argc, argv);
  backtrace(frame, 4); /* its first call allocates */
  faults_result = faults_shared(sizeof *faults_result);
  faults_leaks_start();
  OPENSSL_init_ssl(OPENSSL_INIT_LOAD_SSL_STRINGS | OPENSSL_INIT_LOAD_CRYPTO_STRINGS, NULL);
  lua_State *L = newstate();
  int n = 0;
  for (;; n++) {
    lua_rawgeti(L, 1, n + 1);
    bool end = lua_isnil(L, -1);
    lua_settop(L, 1);
    if (end) {
      break;
    }
  }
  for (int i = 1; i <= n; i++) {
    try(L, i);
  }
  lua_close(L);
  printf("%ld passed, %ld failed, %ld skipped\n", passed, failed, skipped);
  return failed > 0;
}
