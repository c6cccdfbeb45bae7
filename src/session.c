/*
 * session.c: TLS sessions as Lua objects: taken from a client's connection, given to a later one, carried as a string from
 * process to process. What contexts keep by themselves is in sessions.c.
 */
#include "material.h"
#include "session.h"

#include <limits.h>
#include <time.h>

#include <openssl/pem.h>

static const tls_type session_type = {"SSL:Session"};

typedef struct session {
  SSL_SESSION *p; /* NULL once closed */
} session;

/* ---- objects ---- */

static session *self(lua_State *L)
{
  session *s = tls_self(L, &session_type);
  luaL_argcheck(L, s->p != NULL, 1, "session is closed");
  return s;
}

static int close_session(lua_State *L)
{
  session *s = tls_self(L, &session_type);
  SSL_SESSION *p = s->p;
  s->p = NULL;
  SSL_SESSION_free(p);
  return 0;
}

static int tostring(lua_State *L)
{
  lua_pushfstring(L, "SSL session: %p", tls_self(L, &session_type));
  return 1;
}

static void release(void *p)
{
  OPENSSL_free(p);
}

/* session:export() -> data: string | nil, message, detail
   The session as a string for ssl.loadsession. It holds the keys of the session: whoever has it can read what a
   resumed connection says. i2d_SSL_SESSION(3). */
static int export_session(lua_State *L)
{
  tls_box *box = tls_newbox(L, release);
  unsigned char *der = NULL;
  tls_error_clear();
  int n = i2d_SSL_SESSION(self(L)->p, &der);
  box->p = der;
  if (n <= 0) {
    return tls_fail_nil(L, tls_fail_queue(L, "error exporting session", NULL));
  }
  lua_pushlstring(L, (const char *)der, (size_t)n);
  OPENSSL_cleanse(der, (size_t)n);
  tls_emptybox(box);
  return 1;
}

static void release_bio(void *p)
{
  BIO_free(p);
}

/* session:pem() -> pem: string | nil, message, detail
   The same as export as text, which the openssl program reads too. PEM_write_bio_SSL_SESSION(3). */
static int session_pem(lua_State *L)
{
  SSL_SESSION *p = self(L)->p;
  tls_box *box = tls_newbox(L, release_bio);
  char *text = NULL;
  tls_error_clear();
  box->p = BIO_new(BIO_s_secmem()); /* wipes what it held */
  if (box->p == NULL || PEM_write_bio_SSL_SESSION(box->p, p) != 1) {
    return tls_fail_nil(L, tls_fail_queue(L, "error exporting session", NULL));
  }
  size_t n = (size_t)BIO_get_mem_data(box->p, &text);
  lua_pushlstring(L, text, n);
  tls_emptybox(box);
  return 1;
}

/* session:lifetime() -> seconds: integer
   Seconds from now until it is no longer accepted; 0 when that is past. SSL_SESSION_get_timeout(3). */
static int lifetime(lua_State *L)
{
  const SSL_SESSION *p = self(L)->p;
  time_t left = SSL_SESSION_get_timeout(p) - (time(NULL) - SSL_SESSION_get_time_ex(p));
  lua_pushinteger(L, left > 0 ? (lua_Integer)left : 0);
  return 1;
}

static void open_type(lua_State *L)
{
  static const luaL_Reg methods[] = {{"export", export_session}, {"lifetime", lifetime}, {"pem", session_pem}, {NULL, NULL}};
  static const luaL_Reg meta[] = {
    {"__gc", close_session}, {"__close", close_session}, {"__tostring", tostring}, {NULL, NULL},
  };
  tls_newtype(L, &session_type, methods, meta);
  lua_pop(L, 1);
}

/* Pushes an object without a session yet: making it may raise, so the session comes after. */
static session *push_session(lua_State *L)
{
  open_type(L);
  return tls_newobject(L, &session_type, sizeof(session));
}

SSL_SESSION *tls_session_parse(const unsigned char *data, size_t n)
{
  const unsigned char *p = data;
  SSL_SESSION *s = n <= LONG_MAX ? d2i_SSL_SESSION(NULL, &p, (long)n) : NULL;
  if (s != NULL && p != data + n) {
    SSL_SESSION_free(s);
    s = NULL;
  }
  return s;
}

static SSL_SESSION *parse_text(const char *text, size_t n)
{
  SSL_SESSION *s = tls_session_parse((const unsigned char *)text, n);
  if (s == NULL && n <= INT_MAX) {
    tls_error_clear();
    BIO *bio = BIO_new_mem_buf(text, (int)n);
    s = bio != NULL ? PEM_read_bio_SSL_SESSION(bio, NULL, tls_no_password, NULL) : NULL;
    BIO_free(bio);
  }
  return s;
}

/* ssl.loadsession(text: string) -> session: ssl.Session | nil, message, detail
   A session out of what export gave, or out of PEM as `openssl s_client -sess_out` writes it; anything else is a
   failure. */
int tls_session_load(lua_State *L)
{
  size_t n;
  const char *text = luaL_checklstring(L, 1, &n);
  session *s = push_session(L);
  tls_error_clear();
  s->p = parse_text(text, n);
  if (s->p == NULL) {
    return tls_fail_nil(L, tls_fail_queue(L, "error loading session", NULL));
  }
  tls_error_clear();
  return 1;
}

/* ---- connections ---- */

void tls_session_free(tls_connection *c)
{
  SSL_SESSION_free(c->session);
  c->session = NULL;
}

/* A copy of what can be resumed later, NULL if nothing can. A resumed connection of TLS 1.2 may go without a new session, and
   its own then serves again; TLS 1.3 has one use for each. OpenSSL spoils the connection's own when that ends without
   close_notify, as many do. */
static SSL_SESSION *resumable(const tls_connection *c)
{
  SSL_SESSION *s = c->session;
  if (s == NULL && SSL_version(c->ssl) != TLS1_3_VERSION) {
    s = SSL_get_session(c->ssl);
  }
  return s != NULL && SSL_SESSION_is_resumable(s) == 1 ? SSL_SESSION_dup(s) : NULL;
}

/* conn:getsession() -> session: ssl.Session | nil | nil, message, detail
   A client's session to resume later, nil alone when the server has sent none yet: with TLS 1.3 it comes with the
   first data, and a new one for each connection. SSL_CTX_sess_set_new_cb(3). */
static int getsession(lua_State *L)
{
  const tls_connection *c = tls_checkconnection(L, 1);
  if (tls_connected(L) == NULL) {
    return tls_fail_closed(L);
  }
  session *s = push_session(L);
  if (c->ssl == NULL) { /* a finalizer has closed it */
    return tls_fail_closed(L);
  }
  s->p = c->server ? NULL : resumable(c);
  tls_error_clear();
  if (s->p == NULL) {
    lua_pushnil(L);
  }
  return 1;
}

/* conn:setsession(session: ssl.Session) -> true | nil, message, detail
   Tries to resume it in the handshake to come, which is a full one if the server refuses, or its certificate, which
   was verified, has expired. A failure when the context verifies in another way than the session's did.
   SSL_set_session(3). */
static int setsession(lua_State *L)
{
  tls_connection *c = tls_checkconnection(L, 1);
  const session *s = tls_checkobject(L, 2, &session_type);
  luaL_argcheck(L, s->p != NULL, 2, "session is closed");
  if (c->state != TLS_STATE_NEW || c->failed || c->server || c->call != NULL) {
    return tls_fail_nil(L, tls_refuse(L, "a session can only be set on a client before its handshake"));
  }
  tls_error_clear();
  if (!tls_session_fits(c->ssl, s->p)) {
    return tls_fail_nil(L, tls_refuse(L, "the session is of a context that verifies in another way"));
  }
  if (SSL_set_session(c->ssl, s->p) != 1) {
    return tls_fail_nil(L, tls_fail_queue(L, "error setting session", NULL));
  }
  lua_pushboolean(L, 1);
  return 1;
}

/* conn:sessionreused() -> boolean
   Was a session resumed? SSL_session_reused(3). */
static int sessionreused(lua_State *L)
{
  const SSL *ssl = tls_connected(L);
  lua_pushboolean(L, ssl != NULL && SSL_session_reused(ssl));
  return 1;
}

const luaL_Reg tls_session_methods[] = {
  {"getsession", getsession},
  {"sessionreused", sessionreused},
  {"setsession", setsession},
  {NULL, NULL},
};
