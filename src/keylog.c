/*
 * keylog.c: the secrets of a context's connections for programs that decrypt captures (Wireshark), in the format of
 * NSS: to a file, or to a Lua function through the barrier. Nothing is ever logged that the setting did not ask for.
 */
#include "live.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static const tls_type file_type = {"SSL:KeyLog"};

#define SLOT_PATH ((enum tls_slot)1) /* of a file's user value */

typedef struct keylog_file {
  bool open;
  int fd;
} keylog_file;

static int close_file(lua_State *L)
{
  keylog_file *f = tls_self(L, &file_type);
  if (f->open) {
    f->open = false;
    close(f->fd);
  }
  return 0;
}

/* Pushes an object for a file that is not open yet: making it may raise. */
static keylog_file *push_file(lua_State *L)
{
  static const luaL_Reg methods[] = {{NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", close_file}, {NULL, NULL}};
  tls_newtype(L, &file_type, methods, meta);
  lua_pop(L, 1);
  return tls_newobject(L, &file_type, sizeof(keylog_file));
}

/* One write a line, at the end of the file wherever that is by now: several processes may log to the same file. */
static bool write_line(const keylog_file *f, const char *line, tls_error *e)
{
  struct iovec parts[2] = {{(void *)line, strlen(line)}, {(void *)"\n", 1}};
  ssize_t n;
  do {
    n = writev(f->fd, parts, 2);
  } while (n < 0 && errno == EINTR);
  if (n < 0) {
    tls_error_system(e, errno);
  } else if ((size_t)n <= parts[0].iov_len) {
    tls_error_set(e, TLS_KIND_SYSTEM, "only a part of a line could be written");
  } else {
    return true;
  }
  return false;
}

/* What the context in use now logs to; when SNI selected one that logs nothing, the one before it. */
static void push_target(lua_State *L, const SSL *ssl)
{
  tls_callback_function(L, ssl, TLS_SLOT_KEYLOG);
  if (lua_isnil(L, -1)) {
    tls_getslot(L, 1, TLS_SLOT_CONTEXT);
    if (tls_toobject(L, -1, &tls_context_type) != NULL) {
      tls_getslot(L, -1, TLS_SLOT_KEYLOG);
    }
  }
}

static int log_body(lua_State *L)
{
  const char *line = lua_touserdata(L, 2);
  const tls_connection *c = lua_touserdata(L, 1);
  push_target(L, c->ssl);
  const keylog_file *f = tls_toobject(L, -1, &file_type);
  tls_error e;
  if (f != NULL && f->open) {
    if (!write_line(f, line, &e)) {
      tls_getslot(L, -1, SLOT_PATH);
      return luaL_error(L, "error writing to '%s' (%s)", lua_tostring(L, -1), e.text);
    }
  } else if (lua_isfunction(L, -1)) {
    lua_pushstring(L, line);
    lua_call(L, 1, 0);
  }
  return 0;
}

/* OpenSSL goes on whatever happens here; the step that runs fails when the error is parked. */
static void log_line(const SSL *ssl, const char *line)
{
  tls_connection *c = tls_callback_driven(ssl);
  if (c != NULL && c->call->parked == 0 && !c->closing) {
    tls_callback_ask(c, "keylog", log_body, (void *)line);
  }
}

void tls_keylog_follow(const SSL_CTX *from, SSL_CTX *to)
{
  if (SSL_CTX_get_keylog_callback(from) != NULL) {
    SSL_CTX_set_keylog_callback(to, log_line);
  }
}

/* Opening must not wait for the reader of a pipe. Pushes the file, or false, message, detail. */
static int open_file(lua_State *L, const char *path)
{
  tls_error e;
  keylog_file *f = push_file(L);
  lua_pushstring(L, path);
  tls_setslot(L, -2, SLOT_PATH);
  f->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
  f->open = f->fd >= 0;
  if (f->open) {
    return 1;
  }
  tls_error_system(&e, errno);
  e.file = path;
  lua_pushfstring(L, "error opening key log '%s'", path);
  return tls_fail_config(L, &e, lua_tostring(L, -1));
}

/* setkeylog(ctx, path | function(line)): logs the secrets of every connection of the context from now on. A file is
   appended to, and made with mode 0600 when there is none; it stays open as long as the context is referred to.
   SSL_CTX_set_keylog_callback(3). */
static int setkeylog(lua_State *L)
{
  tls_context *ctx = tls_checkcontext(L, 1);
  lua_settop(L, 2);
  if (!lua_isfunction(L, 2)) {
    const char *path = luaL_checkstring(L, 2);
    if (strlen(path) != lua_rawlen(L, 2)) {
      return tls_fail_text(L, "error opening key log", "the path contains a NUL byte");
    }
    int n = open_file(L, path);
    if (n != 1) {
      return n;
    }
    lua_replace(L, 2);
  }
  tls_setslot(L, 1, TLS_SLOT_KEYLOG);
  SSL_CTX_set_keylog_callback(ctx->ctx, log_line);
  return tls_answer(L, 1, NULL);
}

const luaL_Reg tls_keylog_functions[] = {
  {"setkeylog", setkeylog},
  {NULL, NULL},
};
