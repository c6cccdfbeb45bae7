/*
 * resolve.c: host names to addresses within a time limit, which LuaSocket's look-up does not have. Only ssl.connect needs it.
 */
#define _GNU_SOURCE /* getaddrinfo_a */
#include "tls.h"

#include <errno.h>
#include <math.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#if defined(__GLIBC__) && defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 34)
#define HAVE_GETADDRINFO_A 1
#endif
#endif

/* One look-up; in one block, because a look-up that cannot be cancelled outlives the call that gave it up. */
typedef struct lookup {
  struct addrinfo hints;
  struct addrinfo *result;
#ifdef HAVE_GETADDRINFO_A
  struct gaicb request;
#endif
  struct lookup *next; /* among the abandoned */
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

#ifdef HAVE_GETADDRINFO_A

static lookup *abandoned;
static CRYPTO_RWLOCK *lock;
static CRYPTO_ONCE once = CRYPTO_ONCE_STATIC_INIT;

static void make_lock(void)
{
  lock = CRYPTO_THREAD_lock_new();
}

/* Frees those of the abandoned look-ups that have ended, and remembers one more (or none). */
static void reap(lookup *more)
{
  if (!CRYPTO_THREAD_run_once(&once, make_lock) || lock == NULL || !CRYPTO_THREAD_write_lock(lock)) {
    return;
  }
  lookup **p = &abandoned;
  while (*p != NULL) {
    lookup *l = *p;
    if (gai_error(&l->request) == EAI_INPROGRESS) {
      p = &l->next;
      continue;
    }
    *p = l->next;
    l->result = l->request.ar_result;
    free_lookup(l);
  }
  if (more != NULL) {
    more->next = abandoned;
    abandoned = more;
  }
  CRYPTO_THREAD_unlock(lock);
}

/* EAI_AGAIN with errno ETIMEDOUT when the time is over; the look-up is then no longer the caller's. */
static int run(lookup **l, double seconds)
{
  struct gaicb *list[1] = {&(*l)->request};
  double until = tls_now() + seconds;
  reap(NULL);
  (*l)->request.ar_name = (*l)->host;
  (*l)->request.ar_request = &(*l)->hints;
  int rc = getaddrinfo_a(GAI_NOWAIT, list, 1, NULL);
  while (rc == 0 && (rc = gai_error(list[0])) == EAI_INPROGRESS) {
    double left = until - tls_now();
    if (left <= 0) {
      if (gai_cancel(list[0]) == EAI_CANCELED) {
        free_lookup(*l);
      } else {
        reap(*l);
      }
      *l = NULL;
      errno = ETIMEDOUT;
      return EAI_AGAIN;
    }
    struct timespec wait = {(time_t)left, (long)((left - floor(left)) * 1e9)};
    gai_suspend((const struct gaicb *const *)list, 1, &wait);
    rc = 0;
  }
  (*l)->result = (*l)->request.ar_result;
  return rc;
}

#else

/* This system can only look a name up for as long as it takes. */
static int run(lookup **l, double seconds)
{
  (void)seconds;
  return getaddrinfo((*l)->host, NULL, &(*l)->hints, &(*l)->result);
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
  free_lookup(p);
}

/* ssl.core.resolve(host, seconds): array of { address=, family="inet"|"inet6" } in the system's order of preference; or nil,
   message, detail. getaddrinfo(3), getaddrinfo_a(3). */
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
  errno = 0;
  int rc = numeric(l);
  if (rc != 0) {
    rc = run(&l, seconds < 1e6 ? seconds : 1e6);
  }
  int sys = errno;
  box->p = l;
  if (rc != 0) {
    return lookup_failed(L, rc, sys);
  }
  push_addresses(L, l->result);
  tls_emptybox(box);
  return 1;
}
