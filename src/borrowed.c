/*
 * borrowed.c: descriptors that stay the program's: connections on two of them, whose flags are left as they are, and small
 * files that are known by their descriptor. Nothing here opens or closes one. And the userdata that such modules hand out.
 */
#include "borrowed.h"
#include "readahead.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_MAX ((lua_Number)(1 << 30)) /* bytes of one readat */
#define OFFSET_MAX 9007199254740992.0    /* every whole number up to here is one of Lua's, 2^53 */

static int check_fd(lua_State *L, int arg)
{
  lua_Number n = luaL_checknumber(L, arg);
  luaL_argcheck(L, n >= 0 && n <= INT_MAX && n == (lua_Number)(int)n, arg, "invalid file descriptor");
  return (int)n;
}

static int fail_system(lua_State *L, int sys)
{
  tls_error e;
  tls_error_system(&e, sys);
  lua_pushnil(L);
  tls_error_message(L, &e);
  tls_error_detail(L, &e);
  return 3;
}

/* setfds(conn, r, w): gives a new connection the descriptors to read from and to write to, which may be one and the same. They
   stay the program's: their flags are not changed, so that a blocking one blocks; the connection waits for them nowhere
   else; close() and the collector neither close them nor write to them, as the numbers may be another file's by then.
   conn:shutdown says close_notify. Returns nothing. SSL_set_rfd(3). */
static int setfds(lua_State *L)
{
  tls_connection *c = tls_checkconnection(L, 1);
  luaL_argcheck(L, c->state == TLS_STATE_NEW && c->call == NULL && c->fd < 0 && c->memory == NULL &&
                SSL_get_rbio(c->ssl) == NULL && !SSL_is_dtls(c->ssl), 1, "invalid SSL object state");
  int r = check_fd(L, 2), w = check_fd(L, 3);
  tls_error_clear();
  bool ok = SSL_set_rfd(c->ssl, r) == 1 && SSL_set_wfd(c->ssl, w) == 1;
  tls_error_clear();
  if (!ok) {
    return luaL_error(L, "not enough memory");
  }
  tls_readahead_watch(c, SSL_get_rbio(c->ssl));
  c->borrowed = true;
  c->readahead = false;
  return 0;
}

/* The descriptor of the handle or number at argument 1, what was written to the handle flushed; -1 when it is closed. */
static int descriptor(lua_State *L)
{
  FILE *f;
  if (!tls_tofile(L, 1, &f)) {
    luaL_argcheck(L, lua_type(L, 1) == LUA_TNUMBER, 1, "file handle or descriptor expected");
    return check_fd(L, 1);
  }
  if (f != NULL) {
    fflush(f);
  }
  return f != NULL ? fileno(f) : -1;
}

/* filestatus(file): a table with regular, is it an ordinary file?; uid, its owner; mode, its permissions; size; mine, does it
   belong to the user that runs this?; me, that user. file: as for readat. nil, message, detail when it is no descriptor.
   fstat(2). */
static int filestatus(lua_State *L)
{
  struct stat st;
  if (fstat(descriptor(L), &st) != 0) {
    return fail_system(L, errno);
  }
  lua_createtable(L, 0, 6);
  lua_pushboolean(L, S_ISREG(st.st_mode));
  lua_setfield(L, -2, "regular");
  lua_pushboolean(L, st.st_uid == getuid());
  lua_setfield(L, -2, "mine");
  lua_pushnumber(L, (lua_Number)st.st_uid);
  lua_setfield(L, -2, "uid");
  lua_pushnumber(L, (lua_Number)getuid());
  lua_setfield(L, -2, "me");
  lua_pushinteger(L, (lua_Integer)(st.st_mode & 07777));
  lua_setfield(L, -2, "mode");
  lua_pushnumber(L, (lua_Number)st.st_size);
  lua_setfield(L, -2, "size");
  return 1;
}

static void release(void *p)
{
  OPENSSL_free(p);
}

/* readat(file, count, offset): up to count bytes from offset on, "" at the end; one system call. file: a handle of Lua's io
   library or the number of a descriptor; its position stays what it is. nil, message, detail on failure. pread(2). */
static int readat(lua_State *L)
{
  lua_Number count = luaL_checknumber(L, 2), offset = luaL_checknumber(L, 3);
  luaL_argcheck(L, count >= 0 && count <= READ_MAX, 2, "number of bytes expected");
  luaL_argcheck(L, offset >= 0 && offset <= OFFSET_MAX, 3, "offset expected");
  int fd = descriptor(L);
  tls_box *box = tls_newbox(L, release);
  unsigned char *buf = box->p = OPENSSL_malloc((size_t)count + 1);
  ssize_t got;
  if (buf == NULL) {
    return fail_system(L, ENOMEM);
  }
  do {
    got = pread(fd, buf, (size_t)count, (off_t)offset);
  } while (got < 0 && errno == EINTR);
  if (got < 0) {
    return fail_system(L, errno);
  }
  lua_pushlstring(L, (const char *)buf, (size_t)got);
  OPENSSL_cleanse(buf, (size_t)got);
  tls_emptybox(box);
  return 1;
}

/* rewrite(fd, data): makes data all that a file holds; its position stays what it is. Returns true; nil, message, detail when
   that fails, after which the file may be cut. pwrite(2), ftruncate(2). */
static int rewrite(lua_State *L)
{
  size_t n, done = 0;
  int fd = check_fd(L, 1);
  const char *data = luaL_checklstring(L, 2, &n);
  if (ftruncate(fd, 0) != 0) {
    return fail_system(L, errno);
  }
  while (done < n) {
    ssize_t put = pwrite(fd, data + done, n - done, (off_t)done);
    if (put < 0 && errno != EINTR) {
      return fail_system(L, errno);
    }
    done += put > 0 ? (size_t)put : 0;
  }
  lua_pushboolean(L, 1);
  return 1;
}

/* handle(metatable): a userdata with nothing in it, for modules in Lua whose objects must be of that type. */
static int handle(lua_State *L)
{
  luaL_checktype(L, 1, LUA_TTABLE);
  tls_newuserdata(L, 1);
  lua_pushvalue(L, 1);
  lua_setmetatable(L, -2);
  return 1;
}

const luaL_Reg tls_borrowed_functions[] = {
  {"handle", handle},
  {"setfds", setfds},
  {"filestatus", filestatus},
  {"readat", readat},
  {"rewrite", rewrite},
  {NULL, NULL},
};
