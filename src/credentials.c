/*
 * credentials.c: a context's own certificate, chain and private key. How they are read is in material.c; what the peer's
 * certificate is checked against is in trust.c.
 */
#include "material.h"

#include <string.h>

#include <openssl/err.h>

/* Tried on a connection first: a chain that the security level forbids would else leave its leaf behind in the context. */
static bool use_chain(SSL_CTX *ctx, const tls_material *m)
{
  SSL *ssl = SSL_new(ctx);
  bool ok = ssl != NULL && SSL_use_certificate(ssl, m->leaf) == 1 && SSL_set1_chain(ssl, m->rest) == 1;
  SSL_free(ssl);
  return ok && SSL_CTX_use_certificate(ctx, m->leaf) == 1 && SSL_CTX_set1_chain(ctx, m->rest) == 1;
}

/* ---- what loading has in common ---- */

/* One call: its source, its password, what was read. The stack is the method's, cut to `arg` values, the last of which is
   the password; above it is kept the function of a call whose password function made this one. */
typedef struct loading {
  tls_context *ctx;
  tls_source source;
  tls_password password;
  tls_material material;
} loading;

static void begin(lua_State *L, loading *l, int arg)
{
  lua_settop(L, arg);
  lua_tostring(L, arg); /* of a number, here and not under OpenSSL: it may raise */
  l->password = (tls_password){{L, 1, 0, NULL}, arg, false, false};
  l->material = (tls_material){NULL, NULL, NULL, NULL};
  tls_getslot(L, 1, TLS_SLOT_PASSWORD);
  lua_pushvalue(L, arg);
  tls_setslot(L, 1, TLS_SLOT_PASSWORD);
  tls_error_clear();
}

/* A wrong password shows where the deciphered bytes are taken apart, unless their padding shows it before: once in some
   hundred times it is right by chance, and the decoder then says that it does not know such a key. */
static bool is_undecipherable(const tls_error *e)
{
  int lib = ERR_GET_LIB(e->code);
  return lib == ERR_LIB_OSSL_DECODER || lib == ERR_LIB_ASN1;
}

/* Why it failed: the callback's own error, words of ours, the missing password, or what OpenSSL says. */
static int failed(lua_State *L, const loading *l, const char *prefix)
{
  const tls_password *p = &l->password;
  tls_error e;
  if (tls_callback_error(&p->call, &e)) {
    tls_error_clear();
  } else {
    tls_error_queue(&e, TLS_KIND_CONFIG);
    if (l->source.name != NULL) {
      tls_error_file(&e, l->source.name);
    }
    if (l->ctx->ctx == NULL) {
      e.text = "the password function closed the context";
    } else if (l->material.why != NULL) {
      e.text = l->material.why;
    } else if (p->asked && !lua_isstring(L, p->value) && !lua_isfunction(L, p->value)) {
      e.text = "the key is encrypted and no password was given";
      e.hint = "the setting password takes a string, or a function that returns one";
    } else if (p->asked && is_undecipherable(&e)) {
      e.text = "bad decrypt";
    }
  }
  e.file = l->source.name;
  if (l->source.kind == TLS_SOURCE_STORE && strstr(l->source.text, "pin-value") != NULL) {
    e.file = NULL; /* the URI, which OpenSSL's entries repeat, has the token's PIN in it: RFC 7512 section 2.3 */
    e.nstack = 0;
  }
  return tls_fail_config(L, &e, prefix);
}

static int end(lua_State *L, loading *l, bool ok, const char *prefix)
{
  const char *why = l->material.why;
  tls_material_free(&l->material);
  l->material.why = why;
  lua_pushvalue(L, l->password.value + 1);
  tls_setslot(L, 1, TLS_SLOT_PASSWORD);
  if (!ok) {
    return failed(L, l, prefix);
  }
  tls_error_clear();
  lua_pushboolean(L, 1);
  return 1;
}

static void check_password(lua_State *L, int arg)
{
  int type = lua_type(L, arg);
  luaL_argcheck(L, lua_isnoneornil(L, arg) || type == LUA_TFUNCTION || lua_isstring(L, arg), arg, "invalid callback value");
}

/* ---- the functions ---- */

/* loadcert(ctx, source [, password]): our certificate and the intermediates to send. source: the path of a file with PEM,
   the leaf first, or with one certificate in DER; PEM itself; "store:URI", for which alone the password is, and of whose
   certificates the one that belongs to the key loaded before is the leaf. SSL_CTX_use_certificate(3),
   SSL_CTX_set1_chain(3), ossl_store(7). */
static int loadcert(lua_State *L)
{
  static const char prefix[] = "error loading certificate";
  loading l = {.ctx = tls_checkcontext(L, 1)};
  const char *why = tls_source_sniff(&l.source, L, 2);
  if (why != NULL) {
    return tls_fail_text(L, prefix, why);
  }
  begin(L, &l, 3);
  EVP_PKEY *key = SSL_CTX_get0_privatekey(l.ctx->ctx);
  if (key != NULL) {
    EVP_PKEY_up_ref(key);
  }
  bool ok = tls_material_certificate(&l.source, &l.password, key, &l.material);
  EVP_PKEY_free(key);
  /* The password function may have closed the context. */
  ok = ok && l.ctx->ctx != NULL && use_chain(l.ctx->ctx, &l.material);
  return end(L, &l, ok, prefix);
}

/* loadkey(ctx, source [, password]): a private key. source: the path of a file with PEM or DER; PEM itself; "store:URI".
   password: string, or function() -> string. SSL_CTX_use_PrivateKey(3), pem_password_cb(3), ossl_store(7). */
static int loadkey(lua_State *L)
{
  static const char prefix[] = "error loading private key";
  loading l = {.ctx = tls_checkcontext(L, 1)};
  const char *why = tls_source_sniff(&l.source, L, 2);
  check_password(L, 3);
  if (why != NULL) {
    return tls_fail_text(L, prefix, why);
  }
  begin(L, &l, 3);
  bool ok = tls_material_key(&l.source, &l.password, &l.material);
  ok = ok && l.ctx->ctx != NULL && SSL_CTX_use_PrivateKey(l.ctx->ctx, l.material.key) == 1;
  return end(L, &l, ok, prefix);
}

/* loadpkcs12(ctx, file, data [, password]): key, certificate and chain out of PKCS#12, all of them or nothing: from a file,
   or, when that is nil, from a string of bytes. PKCS12_parse(3), SSL_CTX_use_cert_and_key(3). */
static int loadpkcs12(lua_State *L)
{
  static const char prefix[] = "error loading PKCS#12";
  loading l = {.ctx = tls_checkcontext(L, 1)};
  const char *why = lua_isnoneornil(L, 2) ? tls_source_take(&l.source, L, 3, TLS_SOURCE_DATA)
                                          : tls_source_take(&l.source, L, 2, TLS_SOURCE_FILE);
  check_password(L, 4);
  if (why != NULL) {
    return tls_fail_text(L, prefix, why);
  }
  begin(L, &l, 4);
  const tls_material *m = &l.material;
  bool ok = tls_material_pkcs12(&l.source, &l.password, &l.material);
  ok = ok && l.ctx->ctx != NULL && SSL_CTX_use_cert_and_key(l.ctx->ctx, m->leaf, m->key, m->rest, 1) == 1;
  return end(L, &l, ok, prefix);
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
  {"loadpkcs12", loadpkcs12},
  {"checkkey", checkkey},
  {NULL, NULL},
};
