/*
 * callback.c: the barrier between OpenSSL and Lua functions. Every Lua function that OpenSSL has to call, or that
 * must run before a handshake (dhparam), is called by tls_callback and in no other way: protected, in the state that
 * called into OpenSSL, its error parked on that call's stack. No Lua error ever jumps through an OpenSSL frame.
 */
#include "tls.h"

#include <limits.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/pem.h>

static const char barrier_key; /* registry: the C function `run`, which Lua 5.1 could not push without allocating */

typedef struct barrier {
  lua_CFunction body;
  void *arg;
} barrier;

static int run(lua_State *L)
{
  const barrier *b = lua_touserdata(L, 2);
  lua_pop(L, 1);
  lua_pushlightuserdata(L, b->arg);
  return b->body(L);
}

void tls_callback_open(lua_State *L)
{
  lua_pushcfunction(L, run);
  tls_rawsetp(L, LUA_REGISTRYINDEX, &barrier_key);
}

bool tls_callback(tls_call *call, const char *who, lua_CFunction body, void *arg)
{
  lua_State *L = call->L;
  barrier b = {body, arg};
  tls_rawgetp(L, LUA_REGISTRYINDEX, &barrier_key);
  lua_pushvalue(L, call->object);
  lua_pushlightuserdata(L, &b);
  if (lua_pcall(L, 2, 0, 0) == 0) {
    return true;
  }
  if (call->parked == 0) {
    call->parked = lua_gettop(L);
    call->who = who;
  } else {
    lua_pop(L, 1);
  }
  return false;
}

bool tls_callback_error(const tls_call *call, tls_error *e)
{
  if (call->parked == 0) {
    return false;
  }
  tls_error_set(e, TLS_KIND_CALLBACK, NULL);
  e->parked = call->parked;
  e->who = call->who;
  return true;
}

/* ---- password ---- */

typedef struct password_answer {
  tls_password *password;
  char *buf;
  int size, length;
} password_answer;

static int copy_password(const tls_password *p, int i, char *buf, int size)
{
  size_t n;
  const char *s = lua_tolstring(p->call.L, i, &n);
  if (p->whole && (n >= (size_t)size || memchr(s, '\0', n) != NULL)) {
    return -1;
  }
  if (n > (size_t)size) {
    n = (size_t)size;
  }
  memcpy(buf, s, n);
  return (int)n;
}

/* A value other than a string stands for the empty password. */
static int password_body(lua_State *L)
{
  password_answer *a = lua_touserdata(L, 2);
  tls_getslot(L, 1, TLS_SLOT_PASSWORD);
  lua_call(L, 0, 1);
  if (lua_type(L, -1) == LUA_TSTRING) {
    a->length = copy_password(a->password, -1, a->buf, a->size);
  }
  return 0;
}

int tls_password_cb(char *buf, int size, int rwflag, void *arg)
{
  tls_password *p = arg;
  lua_State *L = p->call.L;
  (void)rwflag;
  p->asked = true;
  if (p->call.parked != 0) { /* OpenSSL tries another decoder; the function has had its say */
    return -1;
  }
  if (lua_isfunction(L, p->value)) {
    password_answer a = {p, buf, size, 0};
    return tls_callback(&p->call, "password", password_body, &a) ? a.length : -1;
  }
  return lua_isstring(L, p->value) ? copy_password(p, p->value, buf, size) : -1;
}

/* ---- what the callbacks of a handshake share ---- */

tls_connection *tls_callback_driven(const SSL *ssl)
{
  tls_connection *c = tls_connectionof(ssl);
  return c != NULL && c->call != NULL ? c : NULL;
}

bool tls_callback_ask(tls_connection *c, const char *who, lua_CFunction body, void *arg)
{
  return tls_callback(c->call, who, body, arg) && !c->closing;
}

void tls_callback_function(lua_State *L, const SSL *ssl, enum tls_slot slot)
{
  const tls_context *now = tls_contextof(ssl);
  tls_getslot(L, 1, TLS_SLOT_SELECTED);
  if (now == NULL || tls_toobject(L, -1, &tls_context_type) != now) {
    lua_pop(L, 1);
    tls_getslot(L, 1, TLS_SLOT_CONTEXT);
  }
  if (tls_toobject(L, -1, &tls_context_type) == NULL) {
    lua_pushnil(L);
  } else {
    tls_getslot(L, -1, slot);
  }
  lua_remove(L, -2);
}

const tls_context *tls_callback_context(const tls_connection *c)
{
  tls_getslot(c->call->L, c->call->object, TLS_SLOT_CONTEXT);
  const tls_context *ctx = tls_toobject(c->call->L, -1, &tls_context_type);
  lua_pop(c->call->L, 1);
  return ctx;
}

/* ---- dhparam ---- */

static EVP_PKEY *parse_dh(const char *pem, size_t n)
{
  BIO *bio = n <= INT_MAX ? BIO_new_mem_buf(pem, (int)n) : NULL;
  EVP_PKEY *pkey = bio != NULL ? PEM_read_bio_Parameters(bio, NULL) : NULL;
  BIO_free(bio);
  if (pkey != NULL && !EVP_PKEY_is_a(pkey, "DH") && !EVP_PKEY_is_a(pkey, "DHX")) {
    EVP_PKEY_free(pkey);
    pkey = NULL;
  }
  return pkey;
}

static const char *install_dh(tls_context *ctx, EVP_PKEY *pkey)
{
  if (pkey == NULL) {
    return "dhparam callback gave no Diffie-Hellman parameters in PEM";
  }
  EVP_PKEY_up_ref(pkey);
  if (SSL_CTX_set0_tmp_dh_pkey(ctx->ctx, pkey) != 1) {
    EVP_PKEY_free(pkey);
    EVP_PKEY_free(pkey);
    return "dhparam callback gave Diffie-Hellman parameters that are too weak for the security level";
  }
  EVP_PKEY_free(ctx->dh);
  ctx->dh = pkey;
  return NULL;
}

/* Calls the dhparam function of the context at index i, once for all connections. A function that answers nothing useful
   leaves the context without finite-field Diffie-Hellman; one that raises is asked again by the next handshake. */
static void load_dh(lua_State *L, int i, tls_context *ctx)
{
  size_t n = 0;
  if (!ctx->dhparam) {
    return;
  }
  tls_getslot(L, i, TLS_SLOT_DHPARAM);
  lua_pushboolean(L, 0);
  /* The key length that OpenSSL's former callback asked for, whatever the key: programs index tables with it. */
  lua_pushnumber(L, 1024);
  lua_call(L, 2, 1);
  if (ctx->ctx != NULL && ctx->dhparam) { /* the function may have closed the context */
    const char *pem = lua_tolstring(L, -1, &n);
    ctx->dherror = install_dh(ctx, pem != NULL ? parse_dh(pem, n) : NULL);
    ctx->dhparam = false;
    tls_error_clear();
  }
  lua_pop(L, 1);
}

typedef struct dh_query {
  enum tls_slot slot; /* where the connection keeps the context */
  tls_context *ctx;
} dh_query;

static int dh_body(lua_State *L)
{
  dh_query *q = lua_touserdata(L, 2);
  tls_getslot(L, 1, q->slot);
  load_dh(L, lua_gettop(L), q->ctx);
  return 0;
}

void tls_callback_dh(tls_connection *c)
{
  tls_context *ctx = tls_contextof(c->ssl);
  if (ctx == NULL || (!ctx->dhparam && ctx->dh == NULL)) {
    return;
  }
  dh_query q = {TLS_SLOT_CONTEXT, ctx};
  /* The connection may be older than its context's parameters. */
  if (!tls_callback(c->call, "dhparam", dh_body, &q) || ctx->dh == NULL || EVP_PKEY_up_ref(ctx->dh) != 1) {
    return;
  }
  if (SSL_set0_tmp_dh_pkey(c->ssl, ctx->dh) != 1) {
    EVP_PKEY_free(ctx->dh);
    tls_error_clear();
  }
}

bool tls_callback_dh_selected(tls_connection *c, tls_context *ctx)
{
  dh_query q = {TLS_SLOT_SELECTED, ctx};
  return tls_callback_ask(c, "dhparam", dh_body, &q) && ctx->ctx != NULL;
}

/* ---- ALPN ---- */

typedef struct alpn_query {
  SSL *ssl;
  const unsigned char *offered;
  unsigned int noffered;
  const unsigned char *selected; /* points into offered */
  unsigned char nselected;
} alpn_query;

/* OpenSSL before 3.0.15 reads past the end of a list whose lengths do not add up. RFC 7301 section 3.1. */
static bool well_formed(const unsigned char *wire, size_t n)
{
  size_t i = 0;
  while (i < n && wire[i] != 0) {
    i += wire[i] + 1u;
  }
  return n > 0 && n <= INT_MAX && i == n;
}

/* SSL_select_next_proto points into the server's list, a Lua string that may be gone when OpenSSL reads it; asking again
   with the sides swapped gives the same name inside the client's. */
static void select_protocol(alpn_query *q, const unsigned char *wire, size_t n)
{
  unsigned char *out;
  unsigned char len;
  if (!well_formed(wire, n) || q->noffered == 0 ||
      SSL_select_next_proto(&out, &len, wire, (unsigned int)n, q->offered, q->noffered) != OPENSSL_NPN_NEGOTIATED) {
    return;
  }
  const unsigned char *name = out - 1;
  if (SSL_select_next_proto(&out, &len, q->offered, q->noffered, name, len + 1u) == OPENSSL_NPN_NEGOTIATED) {
    q->selected = out;
    q->nselected = len;
  }
}

static int alpn_body(lua_State *L)
{
  alpn_query *q = lua_touserdata(L, 2);
  size_t n;
  tls_callback_function(L, q->ssl, TLS_SLOT_ALPN);
  if (lua_isnil(L, -1)) {
    return 0;
  }
  lua_pushlstring(L, (const char *)q->offered, q->noffered);
  lua_call(L, 1, 1);
  if (lua_type(L, -1) == LUA_TSTRING) {
    const char *wire = lua_tolstring(L, -1, &n);
    select_protocol(q, (const unsigned char *)wire, n);
  }
  return 0;
}

static int alpn_cb(SSL *ssl, const unsigned char **out, unsigned char *outlen, const unsigned char *in, unsigned int inlen,
                   void *arg)
{
  tls_connection *c = tls_callback_driven(ssl);
  alpn_query q = {ssl, in, inlen, NULL, 0};
  (void)arg;
  if (c == NULL) {
    return SSL_TLSEXT_ERR_NOACK;
  }
  if (!tls_callback_ask(c, "ALPN", alpn_body, &q)) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  if (q.selected == NULL) {
    const tls_context *now = tls_contextof(ssl), *ctx = now != NULL ? now : tls_callback_context(c);
    return ctx != NULL && ctx->alpnstrict ? SSL_TLSEXT_ERR_ALERT_FATAL : SSL_TLSEXT_ERR_NOACK;
  }
  *out = q.selected;
  *outlen = q.nselected;
  return SSL_TLSEXT_ERR_OK;
}

void tls_callback_alpn(SSL_CTX *ctx)
{
  SSL_CTX_set_alpn_select_cb(ctx, alpn_cb, NULL);
}
