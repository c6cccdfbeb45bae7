/*
 * credentials.c: a context's own certificate, chain and private key. What the peer's certificate is checked against is in
 * trust.c.
 */
#include "tls.h"

#include <openssl/pem.h>

/* loadcert(ctx, path): a PEM file with the leaf first, then the intermediates to send. SSL_CTX_use_certificate_chain_file(3). */
static int loadcert(lua_State *L)
{
  tls_context *ctx = tls_checkcontext(L, 1);
  const char *path = luaL_checkstring(L, 2);
  tls_error_clear();
  if (SSL_CTX_use_certificate_chain_file(ctx->ctx, path) != 1) {
    return tls_fail_queue(L, "error loading certificate", path);
  }
  tls_error_clear();
  lua_pushboolean(L, 1);
  return 1;
}

/* Why a key was not loaded: the callback's own error, the missing password, or what OpenSSL says. */
static int key_failed(lua_State *L, const tls_password *p, const char *path)
{
  static const char prefix[] = "error loading private key";
  tls_error e;
  if (tls_callback_error(&p->call, &e)) {
    tls_error_clear();
  } else {
    tls_error_queue(&e, TLS_KIND_CONFIG);
    if (p->asked && !lua_isstring(L, p->value) && !lua_isfunction(L, p->value)) {
      e.text = "the key is encrypted and no password was given";
    }
  }
  e.file = path;
  return tls_fail_config(L, &e, prefix);
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
  tls_password p = {{L, 1, 0, NULL}, 3, false};
  lua_pushvalue(L, 3);
  tls_setslot(L, 1, TLS_SLOT_PASSWORD);
  tls_error_clear();
  EVP_PKEY *key = read_key(path, &p);
  /* The password function may have closed the context. */
  int ok = key != NULL && ctx->ctx != NULL && SSL_CTX_use_PrivateKey(ctx->ctx, key) == 1;
  EVP_PKEY_free(key);
  lua_pushnil(L);
  tls_setslot(L, 1, TLS_SLOT_PASSWORD);
  if (!ok) {
    return key_failed(L, &p, path);
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
