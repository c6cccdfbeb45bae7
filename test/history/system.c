/*
 * system.c: what Lua cannot ask of the system: fork, a pair of sockets without LuaSocket, the default of SIGPIPE, and,
 * where it is preloaded, a call on a socket that fails with errno 0. Loaded by package.loadlib, one function a name.
 */
#undef _FORTIFY_SOURCE /* it has inline functions of these names */
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>

/* fork(): 0 in the child, its number in the parent. */
int sys_fork(lua_State *L)
{
  lua_pushinteger(L, (lua_Integer)fork());
  return 1;
}

/* wait(pid): its exit status, or 128 and its signal. */
int sys_wait(lua_State *L)
{
  int status = 0;
  waitpid((pid_t)luaL_checkinteger(L, 1), &status, 0);
  lua_pushinteger(L, WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
  return 1;
}

/* quit(status): ends the process without any clean-up. */
int sys_quit(lua_State *L)
{
  _exit((int)luaL_checkinteger(L, 1));
}

/* pair(): two connected stream sockets. */
int sys_pair(lua_State *L)
{
  int fd[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd) != 0) {
    return luaL_error(L, "no pair of sockets");
  }
  lua_pushinteger(L, fd[0]);
  lua_pushinteger(L, fd[1]);
  return 2;
}

/* shut(fd): closes a descriptor. */
int sys_shut(lua_State *L)
{
  close((int)luaL_checkinteger(L, 1));
  return 0;
}

/* pipedefault(): SIGPIPE ends the process again. */
int sys_pipedefault(lua_State *L)
{
  (void)L;
  signal(SIGPIPE, SIG_DFL);
  return 0;
}

/* ---- calls that fail ---- */

static long left = -1, seen; /* calls until one fails, calls on the descriptor so far */
static int watched = -1;

/* failat(fd, n): the n-th of the calls to come on this descriptor fails, with errno 0. */
int sys_failat(lua_State *L)
{
  watched = (int)luaL_checkinteger(L, 1);
  left = (long)luaL_checkinteger(L, 2);
  seen = 0;
  return 0;
}

/* calls(): how many there were since failat. */
int sys_calls(lua_State *L)
{
  lua_pushinteger(L, (lua_Integer)seen);
  return 1;
}

static bool fails(int fd)
{
  if (fd != watched || left < 0) {
    return false;
  }
  seen++;
  if (--left == 0) {
    errno = 0;
    return true;
  }
  return false;
}

#define WRAP(name, parameters, arguments)                               \
  ssize_t name parameters                                               \
  {                                                                     \
    static ssize_t(*real) parameters;                                   \
    if (real == NULL) {                                                 \
      *(void **)&real = dlsym(RTLD_NEXT, #name);                        \
    }                                                                   \
    return fails(fd) ? -1 : real arguments;                             \
  }

WRAP(read, (int fd, void *p, size_t n), (fd, p, n))
WRAP(recv, (int fd, void *p, size_t n, int flags), (fd, p, n, flags))
WRAP(readv, (int fd, const struct iovec *v, int n), (fd, v, n))
WRAP(write, (int fd, const void *p, size_t n), (fd, p, n))
WRAP(send, (int fd, const void *p, size_t n, int flags), (fd, p, n, flags))
WRAP(writev, (int fd, const struct iovec *v, int n), (fd, v, n))
