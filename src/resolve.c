/*
 * resolve.c: host names to addresses within a time limit, which LuaSocket's look-up does not have. Only ssl.connect needs it.
 */
#define _GNU_SOURCE /* dladdr */
#include "tls.h"

#include <errno.h>
#include <math.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#if defined(__GLIBC__) && defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 34) /* has threads and dlopen in its libc */
#define HAVE_THREADS 1
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#endif
#endif

/* One look-up, in one block: nothing can end it, so it may outlive the call that gave it up. Then its thread frees it. Not
   getaddrinfo_a(3), whose threads a child of fork(2) does not have but believes in: there all look-ups would time out. */
typedef struct lookup {
  struct addrinfo hints;
  struct addrinfo *result;
#ifdef HAVE_THREADS
  pthread_mutex_t mutex;
  pthread_cond_t ended;
  bool done;
  int users; /* the caller and the thread */
  int rc, sys;
#endif
  char host[];
} lookup;

static void free_lookup(lookup *l)
{
  if (l->result != NULL) {
    freeaddrinfo(l->result);
  }
  free(l);
}

static lookup *new_lookup(const char *host)
{
  lookup *l = calloc(1, sizeof *l + strlen(host) + 1);
  if (l != NULL) {
    memcpy(l->host, host, strlen(host) + 1);
    l->hints.ai_socktype = SOCK_STREAM;
  }
  return l;
}

#ifdef HAVE_THREADS

/* The thread returns into this library, which Lua would unload at its end. */
static void stay_loaded(void)
{
  static const char here;
  Dl_info info;
  if (dladdr(&here, &info) != 0) {
    dlopen(info.dli_fname, RTLD_NOW | RTLD_NODELETE);
  }
}

/* One user less; the last one frees. */
static void drop(lookup *l)
{
  pthread_mutex_lock(&l->mutex);
  int left = --l->users;
  pthread_mutex_unlock(&l->mutex);
  if (left == 0) {
    pthread_cond_destroy(&l->ended);
    pthread_mutex_destroy(&l->mutex);
    free_lookup(l);
  }
}

static void *look_up(void *arg)
{
  lookup *l = arg;
  struct addrinfo *result = NULL;
  int rc = getaddrinfo(l->host, NULL, &l->hints, &result);
  int sys = errno;
  pthread_mutex_lock(&l->mutex);
  l->result = result;
  l->rc = rc;
  l->sys = sys;
  l->done = true;
  pthread_cond_signal(&l->ended);
  pthread_mutex_unlock(&l->mutex);
  drop(l);
  return NULL;
}

/* The program's signals are for its own threads. */
static int start(lookup *l)
{
  pthread_t thread;
  pthread_attr_t attr;
  sigset_t all, before;
  sigfillset(&all);
  pthread_attr_init(&attr);
  pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  l->users++;
  int sys = pthread_create(&thread, &attr, look_up, l);
  if (sys != 0) {
    l->users--;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attr);
  return sys;
}

static void prepare(lookup *l)
{
  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_mutex_init(&l->mutex, NULL);
  pthread_cond_init(&l->ended, &attr);
  pthread_condattr_destroy(&attr);
  l->users = 1;
}

static struct timespec after(double seconds)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  double whole = floor(seconds);
  t.tv_sec += (time_t)whole;
  t.tv_nsec += (long)((seconds - whole) * 1e9);
  if (t.tv_nsec >= 1000000000L) {
    t.tv_sec++;
    t.tv_nsec -= 1000000000L;
  }
  return t;
}

/* EAI_AGAIN with errno ETIMEDOUT when the time is over. The lookup is good until it is dropped. */
static int run(lookup *l, double seconds)
{
  struct timespec until = after(seconds);
  stay_loaded();
  errno = start(l);
  if (errno != 0) {
    return EAI_SYSTEM;
  }
  pthread_mutex_lock(&l->mutex);
  int timedout = 0;
  while (!l->done && timedout == 0) {
    timedout = pthread_cond_timedwait(&l->ended, &l->mutex, &until);
  }
  int rc = l->done ? l->rc : EAI_AGAIN;
  int sys = l->done ? l->sys : ETIMEDOUT;
  pthread_mutex_unlock(&l->mutex);
  errno = sys;
  return rc;
}

#else

static void drop(lookup *l)
{
  free_lookup(l);
}

static void prepare(lookup *l)
{
  (void)l;
}

/* This system can only look a name up for as long as it takes. */
static int run(lookup *l, double seconds)
{
  (void)seconds;
  return getaddrinfo(l->host, NULL, &l->hints, &l->result);
}

#endif

static int numeric(lookup *l)
{
  l->hints.ai_flags = AI_NUMERICHOST;
  int rc = getaddrinfo(l->host, NULL, &l->hints, &l->result);
  l->hints.ai_flags = 0;
  return rc;
}

static void push_addresses(lua_State *L, const struct addrinfo *a)
{
  char text[NI_MAXHOST];
  lua_newtable(L);
  for (int i = 1; a != NULL; a = a->ai_next) {
    bool known = a->ai_family == AF_INET || a->ai_family == AF_INET6;
    if (!known || getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST) != 0) {
      continue;
    }
    lua_createtable(L, 0, 2);
    lua_pushstring(L, text);
    lua_setfield(L, -2, "address");
    lua_pushstring(L, a->ai_family == AF_INET6 ? "inet6" : "inet");
    lua_setfield(L, -2, "family");
    lua_rawseti(L, -2, i++);
  }
}

static int lookup_failed(lua_State *L, int rc, int sys)
{
  tls_error e;
  if (rc == EAI_SYSTEM) {
    tls_error_system(&e, sys);
  } else if (rc == EAI_AGAIN && sys == ETIMEDOUT) {
    tls_error_set(&e, TLS_KIND_TIMEOUT, "timeout");
  } else if (rc == EAI_NONAME) {
    tls_error_set(&e, TLS_KIND_SYSTEM, "host not found"); /* LuaSocket's words */
  } else {
    tls_error_set(&e, TLS_KIND_SYSTEM, gai_strerror(rc));
  }
  return tls_fail_nil(L, tls_fail_config(L, &e, NULL));
}

static void release(void *p)
{
  drop(p);
}

/* ssl.core.resolve(host, seconds): array of { address=, family="inet"|"inet6" } in the system's order of preference; or nil,
   message, detail. getaddrinfo(3). */
int tls_resolve(lua_State *L)
{
  size_t n;
  const char *host = luaL_checklstring(L, 1, &n);
  double seconds = luaL_checknumber(L, 2);
  luaL_argcheck(L, strlen(host) == n, 1, "name has a NUL");
  luaL_argcheck(L, seconds >= 0, 2, "seconds expected");
  tls_box *box = tls_newbox(L, release);
  lookup *l = new_lookup(host);
  if (l == NULL) {
    return luaL_error(L, "not enough memory");
  }
  prepare(l);
  box->p = l;
  errno = 0;
  int rc = numeric(l);
  if (rc != 0) {
    rc = run(l, seconds < 1e6 ? seconds : 1e6);
  }
  int sys = errno;
  if (rc != 0) {
    tls_emptybox(box);
    return lookup_failed(L, rc, sys);
  }
  push_addresses(L, l->result);
  tls_emptybox(box);
  return 1;
}
