/*
 * error.c: turns a failure into what Lua programs get: a message and a detail table. The only reader of OpenSSL's error
 * queue, and the only place that knows the words of system errors. Nothing here decides what happens after a failure.
 */
#include "live.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/err.h>

static const char *const kinds[] = {
  [TLS_KIND_NONE] = "none",         [TLS_KIND_VERIFY] = "verify",       [TLS_KIND_ALERT] = "alert",
  [TLS_KIND_PROTOCOL] = "protocol", [TLS_KIND_SYSTEM] = "system",       [TLS_KIND_CLOSED] = "closed",
  [TLS_KIND_TRUNCATED] = "truncated", [TLS_KIND_TIMEOUT] = "timeout",   [TLS_KIND_WANT] = "want",
  [TLS_KIND_CONFIG] = "config",     [TLS_KIND_CALLBACK] = "callback",
};

void tls_error_clear(void)
{
  if (ERR_peek_error() != 0) {
    ERR_clear_error();
  }
}

/* Not a memset: the struct is large, and most of it is meaningful only up to a count or a NUL. */
void tls_error_init(tls_error *e)
{
  e->kind = TLS_KIND_NONE;
  e->code = 0;
  e->sys = 0;
  e->verify = X509_V_OK;
  e->depth = 0;
  e->parked = 0;
  e->nstack = 0;
  e->who = e->file = e->host = e->hint = e->text = NULL;
  e->buf[0] = e->subject[0] = e->names[0] = '\0';
}

void tls_error_set(tls_error *e, enum tls_kind kind, const char *text)
{
  tls_error_init(e);
  e->kind = kind;
  e->text = text;
}

static void system_words(tls_error *e, int sys)
{
  e->sys = sys;
  if (strerror_r(sys, e->buf, sizeof e->buf) != 0) {
    snprintf(e->buf, sizeof e->buf, "system error %d", sys);
  }
  e->text = e->buf;
}

/* LuaSocket's words, which programs compare with. */
void tls_error_system(tls_error *e, int sys)
{
  tls_error_init(e);
  e->kind = TLS_KIND_SYSTEM;
  system_words(e, sys);
  switch (sys) {
  case ECONNRESET: case ECONNABORTED: case EPIPE: e->text = "closed"; break;
  case ETIMEDOUT: e->text = "timeout"; break;
  case ECONNREFUSED: e->text = "connection refused"; break;
  case EACCES: e->text = "permission denied"; break;
  case EADDRINUSE: e->text = "address already in use"; break;
  case EISCONN: e->text = "already connected"; break;
  default: break;
  }
}

static enum tls_kind kind_of(unsigned long code, enum tls_kind fallback)
{
  if (ERR_SYSTEM_ERROR(code)) {
    return TLS_KIND_SYSTEM;
  }
  if (ERR_GET_LIB(code) != ERR_LIB_SSL) {
    return fallback;
  }
  int reason = ERR_GET_REASON(code);
  if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
    return TLS_KIND_VERIFY;
  }
  if (reason == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
    return TLS_KIND_TRUNCATED;
  }
  return reason > SSL_AD_REASON_OFFSET ? TLS_KIND_ALERT : fallback;
}

static void push_entry(tls_error *e, unsigned long code, const char *data, int flags)
{
  if (e->nstack == TLS_ERROR_STACK) {
    return;
  }
  e->stack[e->nstack].code = code;
  bool text = data != NULL && (flags & ERR_TXT_STRING) != 0;
  snprintf(e->stack[e->nstack].data, sizeof e->stack[0].data, "%s", text ? data : "");
  e->nstack++;
}

static bool is_verdict(unsigned long code)
{
  return ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED;
}

void tls_error_queue(tls_error *e, enum tls_kind kind)
{
  const char *data;
  int flags;
  unsigned long code;
  tls_error_init(e);
  while ((code = ERR_get_error_all(NULL, NULL, NULL, &data, &flags)) != 0) {
    push_entry(e, code, data, flags);
    /* The oldest entry says most, but for a certificate whose signature is wrong it is only the arithmetic's. */
    if (e->code == 0 || is_verdict(code)) {
      e->code = code;
    }
  }
  if (e->nstack == 0) {
    e->kind = kind;
    e->text = "no reason given by OpenSSL";
    return;
  }
  e->kind = kind_of(e->code, kind);
  if (ERR_SYSTEM_ERROR(e->code)) {
    system_words(e, ERR_GET_REASON(e->code));
    return;
  }
  if (ERR_GET_LIB(e->code) == ERR_LIB_SSL && ERR_GET_REASON(e->code) == SSL_R_PROTOCOL_IS_SHUTDOWN) {
    e->kind = TLS_KIND_CLOSED;
    e->text = "closed"; /* we have sent close_notify */
    return;
  }
  e->text = ERR_reason_error_string(e->code);
  if (e->text == NULL && tls_alert(e) >= 0) {
    snprintf(e->buf, sizeof e->buf, "the peer sent alert number %d", tls_alert(e));
    e->text = e->buf;
  } else if (e->text == NULL) {
    snprintf(e->buf, sizeof e->buf, "OpenSSL error %08lX", e->code);
    e->text = e->buf;
  }
}

static void syscall_failed(tls_error *e, int sys)
{
  unsigned long code = ERR_peek_error();
  if (ERR_SYSTEM_ERROR(code)) { /* later releases leave errno there: 3.0 does not, 3.5 does */
    tls_error_system(e, ERR_GET_REASON(code));
  } else if (code != 0) {
    tls_error_queue(e, TLS_KIND_PROTOCOL);
  } else if (sys != 0) {
    tls_error_system(e, sys);
  } else {
    /* The peer ended the connection without close_notify, in the way of OpenSSL releases that name no reason. */
    tls_error_set(e, TLS_KIND_TRUNCATED, "closed");
  }
}

enum tls_status tls_error_ssl(tls_error *e, const SSL *ssl, int ret, int sys)
{
  int outcome = SSL_get_error(ssl, ret);
  if ((outcome == SSL_ERROR_WANT_READ || outcome == SSL_ERROR_WANT_WRITE) && sys == ENOTCONN && !tls_wait_connecting(ssl)) {
    tls_error_system(e, sys);
    e->hint = "the socket is not connected: wrap what accept or connect gave, not the socket that listens";
    return TLS_FAILED;
  }
  switch (outcome) {
  case SSL_ERROR_WANT_READ:
    return TLS_WANT_READ;
  case SSL_ERROR_WANT_WRITE:
    return TLS_WANT_WRITE;
  case SSL_ERROR_ZERO_RETURN:
    tls_error_set(e, TLS_KIND_CLOSED, "closed");
    break;
  case SSL_ERROR_SYSCALL:
    syscall_failed(e, sys);
    break;
  case SSL_ERROR_SSL:
    tls_error_queue(e, TLS_KIND_PROTOCOL);
    break;
  default:
    /* Asynchronous engines, certificate and ClientHello callbacks: none is ever installed by this library. */
    tls_error_set(e, TLS_KIND_PROTOCOL, "OpenSSL waits for a callback");
    break;
  }
  tls_error_clear();
  return TLS_FAILED;
}

static int tostring_protected(lua_State *L)
{
  if (luaL_callmeta(L, 1, "__tostring") && lua_isstring(L, -1)) {
    return 1;
  }
  lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
  return 1;
}

/* Pushes the value at a stack index as a string, whatever it is and whatever its __tostring does. */
static void push_value(lua_State *L, int i)
{
  if (lua_isstring(L, i)) {
    lua_pushvalue(L, i);
    lua_tostring(L, -1);
    return;
  }
  lua_pushcfunction(L, tostring_protected);
  lua_pushvalue(L, i);
  if (lua_pcall(L, 1, 1, 0) != 0) {
    lua_pop(L, 1);
    lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, i));
  }
}

void tls_error_message(lua_State *L, const tls_error *e)
{
  if (e->parked == 0) {
    lua_pushstring(L, e->text);
    return;
  }
  lua_pushfstring(L, "%s callback failed: ", e->who);
  push_value(L, e->parked);
  lua_concat(L, 2); /* the value may have NULs in it */
}

static void set_string(lua_State *L, const char *key, const char *value)
{
  if (value != NULL && *value != '\0') {
    lua_pushstring(L, value);
    lua_setfield(L, -2, key);
  }
}

static void set_number(lua_State *L, const char *key, unsigned long value)
{
  lua_pushnumber(L, (lua_Number)value);
  lua_setfield(L, -2, key);
}

static void set_stack(lua_State *L, const tls_error *e)
{
  char text[256];
  lua_createtable(L, e->nstack, 0);
  for (int i = 0; i < e->nstack; i++) {
    ERR_error_string_n(e->stack[i].code, text, sizeof text);
    const char *data = e->stack[i].data;
    lua_pushfstring(L, *data ? "%s:%s" : "%s%s", text, data);
    lua_rawseti(L, -2, i + 1);
  }
  lua_setfield(L, -2, "stack");
}

static void set_hint(lua_State *L, const tls_error *e)
{
  if (e->names[0] != '\0' && e->host != NULL) {
    lua_pushfstring(L, "expected %s, the certificate is for %s", e->host, e->names);
    lua_setfield(L, -2, "hint");
  } else {
    set_string(L, "hint", e->hint != NULL ? e->hint : tls_hint(e));
  }
}

/* table ssl.Detail
   What a failure returns behind its message: the fields that apply.
   - kind: "verify"|"alert"|"protocol"|"system"|"closed"|"truncated"|"timeout"|"want"|"config"|"callback" -- what failed:
     "closed" is the peer's close_notify or our own close, "truncated" a connection that ended without close_notify, "want" a
     timeout or a non-blocking call that has to be made again, "callback" a function of the program
   - reason: any -- why: a text; of a callback the value that it raised
   - hint: string -- what is usually behind it, and what to do
   - code: number -- the alert's number, OpenSSL's code, errno, or of a verification X509_V_ERR_*
   - alert: string -- name of the alert that the peer sent, RFC 8446 section 6
   - lib: string -- the part of OpenSSL that failed
   - depth: number -- place in the chain of the certificate that was refused, 0 is the peer's own
   - subject: string -- that certificate's subject
   - host: string -- the name that was expected or could not be reached
   - names: string -- the names that the certificate is for
   - file: string -- the file that could not be used
   - status: number -- the status code of an HTTP answer that ended a request
   - location: string -- where an HTTP answer redirects to
   - proxy: string -- the proxy that failed
   - stack: string[] -- OpenSSL's error queue, oldest first, ERR_error_string_n(3) */
void tls_error_detail(lua_State *L, const tls_error *e)
{
  lua_createtable(L, 0, 8);
  set_string(L, "kind", kinds[e->kind]);
  if (e->parked != 0) {
    push_value(L, e->parked);
    lua_setfield(L, -2, "reason");
  } else {
    set_string(L, "reason", e->text);
  }
  if (e->code != 0 && !ERR_SYSTEM_ERROR(e->code)) {
    set_number(L, "code", tls_alert(e) >= 0 ? (unsigned long)tls_alert(e) : e->code);
    set_string(L, "alert", tls_alert_name(e));
    set_string(L, "lib", ERR_lib_error_string(e->code));
  } else if (e->sys != 0) {
    set_number(L, "code", (unsigned long)e->sys);
  }
  if (e->verify != X509_V_OK) {
    set_number(L, "code", (unsigned long)e->verify);
    set_number(L, "depth", (unsigned long)e->depth);
    set_string(L, "reason", X509_verify_cert_error_string(e->verify));
    set_string(L, "subject", e->subject);
  }
  set_string(L, "file", e->file);
  set_string(L, "host", e->host);
  set_string(L, "names", e->names);
  set_hint(L, e);
  if (e->nstack > 0) {
    set_stack(L, e);
  }
}

/* OpenSSL opens directories like files and then finds no data in them. */
void tls_error_file(tls_error *e, const char *file)
{
  struct stat st;
  e->file = file;
  if (e->kind == TLS_KIND_CONFIG && stat(file, &st) == 0 && S_ISDIR(st.st_mode)) {
    e->kind = TLS_KIND_SYSTEM;
    e->code = 0;
    system_words(e, EISDIR);
  }
}

int tls_fail_queue(lua_State *L, const char *prefix, const char *file)
{
  tls_error e;
  tls_error_queue(&e, TLS_KIND_CONFIG);
  if (file != NULL) {
    tls_error_file(&e, file);
  }
  return tls_fail_config(L, &e, prefix);
}

int tls_fail_text(lua_State *L, const char *prefix, const char *text)
{
  tls_error e;
  tls_error_clear();
  tls_error_set(&e, TLS_KIND_CONFIG, text);
  return tls_fail_config(L, &e, prefix);
}

int tls_fail_config(lua_State *L, const tls_error *e, const char *prefix)
{
  lua_pushboolean(L, 0);
  if (prefix == NULL) {
    tls_error_message(L, e);
  } else {
    lua_pushfstring(L, "%s (", prefix);
    tls_error_message(L, e);
    lua_pushliteral(L, ")");
    lua_concat(L, 3);
  }
  tls_error_detail(L, e);
  return 3;
}

const char *tls_checkname(lua_State *L, int arg)
{
  size_t n;
  const char *s = luaL_checklstring(L, arg, &n);
  if (strlen(s) == n) {
    return s;
  }
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (size_t i = 0; i < n; i++) {
    if (s[i] == '\0') {
      luaL_addlstring(&b, "\\0", 2);
    } else {
      luaL_addchar(&b, s[i]);
    }
  }
  luaL_pushresult(&b);
  lua_replace(L, arg);
  return lua_tostring(L, arg);
}

int tls_answer(lua_State *L, int ok, const char *prefix)
{
  if (!ok) {
    return tls_fail_queue(L, prefix, NULL);
  }
  tls_error_clear();
  lua_pushboolean(L, 1);
  return 1;
}

int tls_fail_closed(lua_State *L)
{
  tls_error e;
  const tls_connection *c = tls_toobject(L, 1, &tls_connection_type);
  tls_error_set(&e, TLS_KIND_CLOSED, "closed");
  e.hint = c != NULL ? tls_hint_closed(c) : NULL;
  return tls_fail_nil(L, tls_fail_config(L, &e, NULL));
}

int tls_fail_nil(lua_State *L, int n)
{
  lua_pushnil(L);
  lua_replace(L, -n - 1);
  return n;
}

int tls_refuse(lua_State *L, const char *fmt, ...)
{
  tls_error e;
  va_list ap;
  tls_error_clear();
  tls_error_init(&e);
  e.kind = TLS_KIND_CONFIG;
  lua_pushboolean(L, 0);
  va_start(ap, fmt);
  e.text = lua_pushvfstring(L, fmt, ap);
  va_end(ap);
  tls_error_detail(L, &e);
  return 3;
}
