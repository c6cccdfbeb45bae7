/*
 * credentials.c: a context's own certificate, chain and private key. What the peer's certificate is checked against is in
 * trust.c.
 */
#include "tls.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>

/* A path that C would cut short names another file. */
static bool is_path(lua_State *L, int arg)
{
  size_t n;
  return strlen(luaL_checklstring(L, arg, &n)) == n;
}

typedef struct chain {
  X509 *leaf;
  STACK_OF(X509) *rest;
} chain;

static void free_chain(chain *c)
{
  X509_free(c->leaf);
  sk_X509_pop_free(c->rest, X509_free);
}

/* OpenSSL's default callback would ask on the terminal for the password of an encrypted certificate. */
static int no_password(char *buf, int size, int rwflag, void *arg)
{
  (void)buf;
  (void)size;
  (void)rwflag;
  (void)arg;
  return -1;
}

/* The leaf and what follows it in a PEM file; false, and OpenSSL's queue says why. */
static bool read_chain(BIO *bio, chain *c)
{
  X509 *cert;
  c->leaf = PEM_read_bio_X509_AUX(bio, NULL, no_password, NULL);
  if (c->leaf == NULL || (c->rest = sk_X509_new_null()) == NULL) {
    return false;
  }
  while ((cert = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL) {
    if (sk_X509_push(c->rest, cert) == 0) {
      X509_free(cert);
      return false;
    }
  }
  /* The end of the file shows as a missing start line. */
  unsigned long code = ERR_peek_last_error();
  if (ERR_GET_LIB(code) != ERR_LIB_PEM || ERR_GET_REASON(code) != PEM_R_NO_START_LINE) {
    return false;
  }
  tls_error_clear();
  return true;
}

/* Tried on a connection first: a chain that the security level forbids would else leave its leaf behind in the context. */
static bool use_chain(SSL_CTX *ctx, const chain *c)
{
  SSL *ssl = SSL_new(ctx);
  bool ok = ssl != NULL && SSL_use_certificate(ssl, c->leaf) == 1 && SSL_set1_chain(ssl, c->rest) == 1;
  SSL_free(ssl);
  return ok && SSL_CTX_use_certificate(ctx, c->leaf) == 1 && SSL_CTX_set1_chain(ctx, c->rest) == 1;
}

/* loadcert(ctx, path): a PEM file with the leaf first, then the intermediates to send. SSL_CTX_use_certificate(3),
   SSL_CTX_set1_chain(3). */
static int loadcert(lua_State *L)
{
  static const char prefix[] = "error loading certificate";
  tls_context *ctx = tls_checkcontext(L, 1);
  const char *path = luaL_checkstring(L, 2);
  chain c = {NULL, NULL};
  if (!is_path(L, 2)) {
    return tls_fail_text(L, prefix, "the path contains a NUL byte");
  }
  tls_error_clear();
  BIO *bio = BIO_new_file(path, "r");
  bool ok = bio != NULL && read_chain(bio, &c) && use_chain(ctx->ctx, &c);
  BIO_free(bio);
  free_chain(&c);
  if (!ok) {
    return tls_fail_queue(L, prefix, path);
  }
  tls_error_clear();
  lua_pushboolean(L, 1);
  return 1;
}

static const char key_prefix[] = "error loading private key";

/* Why a key was not loaded: the callback's own error, the missing password, or what OpenSSL says. */
static int key_failed(lua_State *L, const tls_context *ctx, const tls_password *p, const char *path)
{
  tls_error e;
  if (tls_callback_error(&p->call, &e)) {
    tls_error_clear();
  } else {
    tls_error_queue(&e, TLS_KIND_CONFIG);
    tls_error_file(&e, path);
    if (ctx->ctx == NULL) {
      e.text = "the password function closed the context";
    } else if (p->asked && !lua_isstring(L, p->value) && !lua_isfunction(L, p->value)) {
      e.text = "the key is encrypted and no password was given";
    }
  }
  e.file = path;
  return tls_fail_config(L, &e, key_prefix);
}

/* The key is parsed with the password callback, never with OpenSSL's own, which would ask on the terminal. */
static EVP_PKEY *read_key(const char *path, tls_password *p)
{
  BIO *bio = BIO_new_file(path, "r");
  EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, tls_password_cb, p) : NULL;
  BIO_free(bio);
  return key;
}

/* loadkey(ctx, path [, password]): a private key in PEM; password: string, or function() -> string.
   SSL_CTX_use_PrivateKey(3), pem_password_cb(3). */
static int loadkey(lua_State *L)
{
  tls_context *ctx = tls_checkcontext(L, 1);
  const char *path = luaL_checkstring(L, 2);
  int type = lua_type(L, 3);
  luaL_argcheck(L, lua_isnoneornil(L, 3) || type == LUA_TFUNCTION || lua_isstring(L, 3), 3, "invalid callback value");
  lua_settop(L, 3);
  if (!is_path(L, 2)) {
    return tls_fail_text(L, key_prefix, "the path contains a NUL byte");
  }
  tls_password p = {{L, 1, 0, NULL}, 3, false};
  tls_getslot(L, 1, TLS_SLOT_PASSWORD); /* of a loadkey whose password function called this one */
  lua_pushvalue(L, 3);
  tls_setslot(L, 1, TLS_SLOT_PASSWORD);
  tls_error_clear();
  EVP_PKEY *key = read_key(path, &p);
  /* The password function may have closed the context. */
  int ok = key != NULL && ctx->ctx != NULL && SSL_CTX_use_PrivateKey(ctx->ctx, key) == 1;
  EVP_PKEY_free(key);
  lua_pushvalue(L, 4);
  tls_setslot(L, 1, TLS_SLOT_PASSWORD);
  if (!ok) {
    return key_failed(L, ctx, &p, path);
  }
  tls_error_clear();
  lua_pushboolean(L, 1);
  return 1;
}

/* checkkey(ctx): does the private key belong to the certificate? A boolean alone. SSL_CTX_check_private_key(3). */
static int checkkey(lua_State *L)
{
  tls_context *ctx = tls_checkcontext(L, 1);
  tls_error_clear();
  int ok = SSL_CTX_check_private_key(ctx->ctx) == 1;
  tls_error_clear();
  lua_pushboolean(L, ok);
  return 1;
}

const luaL_Reg tls_credentials_functions[] = {
  {"loadcert", loadcert},
  {"loadkey", loadkey},
  {"checkkey", checkkey},
  {NULL, NULL},
};
