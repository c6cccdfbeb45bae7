/*
 * wait.c: the only place that waits: poll on a connection's descriptor until a deadline, and the timeouts that set it.
 */
#include "live.h"

#include "stream.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <time.h>

double tls_now(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* now(): seconds of a clock that is never set. clock_gettime(2). */
int tls_wait_now(lua_State *L)
{
  lua_pushnumber(L, tls_now());
  return 1;
}

/* Both timeouts count from the first wait of the call; the shorter one ends it. Negative: for ever. */
static double budget(const tls_connection *c)
{
  if (c->block < 0 || c->total < 0) {
    return c->block < 0 ? c->total : c->block;
  }
  return c->block < c->total ? c->block : c->total;
}

/* Milliseconds left, cut to whole ones; -1: for ever, -2: none left. */
static int remaining(const tls_connection *c, tls_deadline *d)
{
  bool first = !d->started;
  if (first) {
    double seconds = budget(c);
    d->started = true;
    d->at = seconds < 0 ? -1 : tls_now() + seconds;
  }
  if (d->at < 0) {
    return -1;
  }
  double left = d->at - tls_now();
  if (left <= 0) {
    return first ? 0 : -2;
  }
  return left * 1000 >= INT_MAX ? INT_MAX : (int)(left * 1000);
}

bool tls_wait(const tls_connection *c, enum tls_status want, tls_deadline *d)
{
  struct pollfd p = {.fd = c->fd, .events = want == TLS_WANT_WRITE ? POLLOUT : POLLIN};
  int ms, timer;
  if (c->block == 0 || c->fd < 0) {
    return false;
  }
  while ((ms = remaining(c, d)) != -2) {
    timer = tls_dtls_timer(c);
    bool again = timer >= 0 && (ms < 0 || timer < ms);
    int n = poll(&p, 1, again ? timer : ms);
    if (n > 0 || (n == 0 && again)) { /* the next step sends the last flight again */
      return true;
    }
    if (n < 0 && errno != EINTR) {
      return false;
    }
    if (n == 0 && ms < INT_MAX) {
      return false;
    }
  }
  return false;
}

bool tls_wait_connecting(const SSL *ssl)
{
  struct pollfd p = {.fd = SSL_get_fd(ssl), .events = POLLIN | POLLOUT};
  return poll(&p, 1, 0) == 0;
}

bool tls_overdue(const tls_connection *c, tls_deadline *d)
{
  if (c->total <= 0) {
    return false;
  }
  double now = tls_now();
  if (d->over == 0) {
    d->over = now + c->total;
  }
  return now > d->over;
}

/* conn:settimeout([seconds: number [, mode: "b"|"t"|"r"]]) -> 1
   How long dohandshake, send and receive wait; nil or negative: for ever. mode "b" (default): each wait for the peer;
   "t" or "r": the whole call; only the first letter counts. Each mode has its own value. LuaSocket's tcp:settimeout.
   */
static int settimeout(lua_State *L)
{
  tls_connection *c = tls_checkconnection(L, 1);
  double seconds = luaL_optnumber(L, 2, -1);
  const char *mode = luaL_optstring(L, 3, "b");
  if (seconds != seconds) {
    return luaL_argerror(L, 2, "not a number");
  }
  switch (*mode) {
  case 'b':
    c->block = seconds;
    break;
  case 't': case 'r':
    c->total = seconds;
    break;
  default:
    return luaL_argerror(L, 3, "invalid timeout mode");
  }
  lua_pushnumber(L, 1);
  return 1;
}

const luaL_Reg tls_wait_methods[] = {
  {"settimeout", settimeout},
  {NULL, NULL},
};
