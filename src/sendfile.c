/*
 * sendfile.c: conn:sendfile, the bytes of a file without a Lua string in between: by the kernel where it does the TLS, by
 * reading and sending elsewhere. What the stream keeps of a record that waits is send.c's.
 */
#include "live.h"
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK ((size_t)4 * TLS_RECORD) /* read at a time */
#define KERNEL_BLOCK ((size_t)1 << 30) /* most that one system call is asked to send */
#define LARGEST 9007199254740992.0 /* every whole number up to here is one of Lua's, 2^53 */

typedef struct transfer {
  int fd;
  off_t offset; /* of the first byte */
  uint64_t count; /* bytes to send; a file may have more than a size_t counts */
  uint64_t sent;
} transfer;

/* ---- the file ---- */

static bool check_kind(const struct stat *st, tls_error *e)
{
  if (S_ISREG(st->st_mode)) {
    return true;
  }
  if (S_ISDIR(st->st_mode)) {
    tls_error_system(e, EISDIR);
  } else {
    tls_error_set(e, TLS_KIND_CONFIG, "sendfile sends regular files: read a pipe, a socket or a device and send what comes");
  }
  return false;
}

/* The part to send: from t->offset on, `count` bytes, or all that there are when it is negative. */
static bool measure(transfer *t, double count, tls_error *e)
{
  struct stat st;
  if (fstat(t->fd, &st) != 0) {
    tls_error_system(e, errno);
    return false;
  }
  if (!check_kind(&st, e)) {
    return false;
  }
  if (t->offset > st.st_size) {
    tls_error_set(e, TLS_KIND_CONFIG, "the offset is beyond the end of the file");
    return false;
  }
  double left = (double)(st.st_size - t->offset);
  if (count > left) {
    tls_error_set(e, TLS_KIND_CONFIG, "the file has fewer bytes than are to be sent");
    return false;
  }
  t->count = (uint64_t)(count < 0 ? left : count);
  return true;
}

/* The descriptor of the handle or number at argument 2, what was written to the handle flushed. -1, and e says why, when
   there is none; raises for other values. */
static int descriptor(lua_State *L, tls_error *e)
{
  FILE *f;
  if (!tls_tofile(L, 2, &f)) {
    luaL_argcheck(L, lua_type(L, 2) == LUA_TNUMBER, 2, "file handle or descriptor expected");
    lua_Number n = lua_tonumber(L, 2);
    luaL_argcheck(L, n >= 0 && n <= INT_MAX, 2, "invalid file descriptor");
    return (int)n;
  }
  if (f == NULL) {
    tls_error_set(e, TLS_KIND_CONFIG, "the file is closed");
    return -1;
  }
  int fd = fileno(f);
  int flags = fd >= 0 ? fcntl(fd, F_GETFL) : -1;
  if (flags < 0 || ((flags & O_ACCMODE) != O_RDONLY && fflush(f) != 0)) {
    tls_error_system(e, errno);
    return -1;
  }
  return fd;
}

/* ---- sending ---- */

static enum tls_status ended_early(tls_error *e)
{
  tls_error_set(e, TLS_KIND_SYSTEM, "the file ended early: it was cut short while it was sent");
  return TLS_FAILED;
}

/* Reads one block and sends it. pread leaves the position of the file to its owner. */
static enum tls_status send_block(tls_connection *c, transfer *t, unsigned char *buf, size_t n, tls_deadline *d,
                                  tls_error *e)
{
  ssize_t got;
  do {
    got = pread(t->fd, buf, n, t->offset + (off_t)t->sent);
  } while (got < 0 && errno == EINTR);
  if (got < 0) {
    tls_error_system(e, errno);
    return TLS_FAILED;
  }
  if (got == 0) {
    return ended_early(e);
  }
  size_t done = 0;
  enum tls_status status = tls_send_range(c, buf, (size_t)got, false, &done, d, e);
  t->sent += done;
  return status;
}

static enum tls_status send_blocks(tls_connection *c, transfer *t, tls_deadline *d, tls_error *e)
{
  size_t size = t->count < BLOCK ? (size_t)t->count : BLOCK;
  unsigned char *buf = malloc(size);
  enum tls_status status = buf != NULL ? TLS_DONE : tls_stream_nomemory(e);
  while (status == TLS_DONE && t->sent < t->count) {
    uint64_t left = t->count - t->sent;
    status = send_block(c, t, buf, left < size ? (size_t)left : size, d, e);
  }
  if (buf != NULL) {
    OPENSSL_cleanse(buf, size);
    free(buf);
  }
  return status;
}

/* The kernel reads the file and encrypts it. SSL_sendfile(3). */
static enum tls_status kernel_step(tls_connection *c, transfer *t, tls_error *e)
{
  uint64_t left = t->count - t->sent;
  size_t most = left < KERNEL_BLOCK ? (size_t)left : KERNEL_BLOCK;
  errno = 0;
  ossl_ssize_t n = SSL_sendfile(c->ssl, t->fd, t->offset + (off_t)t->sent, most, 0);
  int sys = errno;
  if (n == 0) {
    return ended_early(e);
  }
  if (n > 0) {
    t->sent += (size_t)n;
  }
  return tls_outcome(c, n > 0 ? 1 : -1, sys, e);
}

static enum tls_status send_kernel(tls_connection *c, transfer *t, tls_deadline *d, tls_error *e)
{
  enum tls_status status = TLS_DONE;
  if (c->broken) {
    tls_error_set(e, TLS_KIND_CLOSED, "closed");
    return TLS_FAILED;
  }
  while (t->sent < t->count && status != TLS_FAILED) {
    if (status == TLS_DONE && tls_overdue(c, d)) {
      return TLS_WANT_WRITE;
    }
    status = tls_send_flush(c, e);
    if (status == TLS_DONE && c->ahead > 0) { /* sent by a call that reported less */
      size_t n = c->ahead < t->count - t->sent ? c->ahead : (size_t)(t->count - t->sent);
      c->ahead -= n;
      t->sent += n;
    } else if (status == TLS_DONE) {
      status = kernel_step(c, t, e);
    }
    if (status != TLS_DONE && status != TLS_FAILED && !tls_wait(c, status, d)) {
      return status;
    }
  }
  return status;
}

static enum tls_status run(tls_connection *c, transfer *t, tls_error *e)
{
  tls_deadline deadline = {false, 0, 0};
  if (SSL_is_dtls(c->ssl)) {
    tls_error_set(e, TLS_KIND_CONFIG, "sendfile needs a stream: DTLS sends datagrams");
    return TLS_FAILED;
  }
  if (BIO_get_ktls_send(SSL_get_wbio(c->ssl)) != 0) {
    return send_kernel(c, t, &deadline, e);
  }
  return send_blocks(c, t, &deadline, e);
}

/* ---- the method ---- */

static lua_Number check_whole(lua_State *L, int arg, lua_Number def)
{
  lua_Number n = luaL_optnumber(L, arg, def);
  luaL_argcheck(L, n == def || (n >= 0 && n <= LARGEST && n == (lua_Number)(int64_t)n), arg, "number of bytes expected");
  return n;
}

/* conn:sendfile(file: file*|integer [, offset: integer [, count: integer]]) -> sent: integer |
     nil, message, sent: integer, detail
   Sends `count` bytes of a regular file from `offset` on (0 is its first byte); without count all that the file has
   when the call begins. file: a handle of Lua's io library, whose position stays what it is, or the number of a
   descriptor. sent: how many bytes were. After a timeout ("wantwrite") call again with the offset and count of the
   rest. info("ktls") tells whether the kernel does the work. SSL_sendfile(3), pread(2). */
static int conn_sendfile(lua_State *L)
{
  tls_connection *c = tls_checkconnection(L, 1);
  tls_call call;
  tls_error e;
  transfer t = {-1, 0, 0, 0};
  t.offset = (off_t)check_whole(L, 3, 0);
  lua_Number count = check_whole(L, 4, -1);
  t.fd = descriptor(L, &e);
  enum tls_status status = t.fd >= 0 ? tls_stream_enter(c, &call, L, &e) : TLS_FAILED;
  if (status == TLS_DONE) {
    status = measure(&t, count, &e) ? run(c, &t, &e) : TLS_FAILED;
    c->sent += (double)t.sent;
    tls_leave(c);
  }
  if (status == TLS_DONE) {
    lua_pushnumber(L, (lua_Number)t.sent);
    return 1;
  }
  lua_pushnil(L);
  tls_stream_failure(L, c, status, &e);
  lua_pushnumber(L, (lua_Number)t.sent);
  lua_insert(L, -2);
  return 4;
}

const luaL_Reg tls_sendfile_methods[] = {
  {"sendfile", conn_sendfile},
  {NULL, NULL},
};
