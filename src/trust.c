/*
 * trust.c: what a context trusts: CA files, directories and PEM text, revocation lists, DANE, and the name that a peer's
 * certificate must carry. The check itself, inside the handshake, is in verify.c.
 */
#include "material.h"

#include <string.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

/* Folds a trust setting into the digest that becomes part of the session id context. When memory is too short for that, the
   context shares its sessions with no other: it could not be told from one that verifies differently. */
void tls_trust_remember(tls_context *ctx, char kind, const void *value, size_t size)
{
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int n = 0;
  EVP_MD_CTX *md = EVP_MD_CTX_new();
  if (md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
      EVP_DigestUpdate(md, ctx->trustid, sizeof ctx->trustid) == 1 && EVP_DigestUpdate(md, &kind, 1) == 1 &&
      EVP_DigestUpdate(md, value, size) == 1 && EVP_DigestFinal_ex(md, digest, &n) == 1 && n == sizeof ctx->trustid) {
    memcpy(ctx->trustid, digest, n);
  } else {
    RAND_bytes(ctx->trustid, sizeof ctx->trustid); /* without random bytes there is no handshake either */
    tls_error_clear();
  }
  EVP_MD_CTX_free(md);
}

/* Gives a context that trusts nobody yet the store of a file, which other contexts may use too. */
static int load_shared(tls_context *ctx, const char *file, unsigned char *digest)
{
  X509_STORE *store = tls_store_open(file, &ctx->store, digest);
  if (store == NULL) {
    return 0;
  }
  SSL_CTX_set_cert_store(ctx->ctx, store); /* takes over the reference */
  return 1;
}

/* Before a context adds something of its own: its store must not be one that others use. */
static int make_private(tls_context *ctx)
{
  if (ctx->store == NULL) {
    return 1;
  }
  X509_STORE *store = X509_STORE_new();
  if (store == NULL || !tls_store_copy(SSL_CTX_get_cert_store(ctx->ctx), store)) {
    X509_STORE_free(store);
    return 0;
  }
  SSL_CTX_set_cert_store(ctx->ctx, store);
  tls_store_close(ctx->store);
  ctx->store = NULL;
  return 1;
}

static int load_file(tls_context *ctx, const char *file, const char *dir, unsigned char *digest)
{
  if (!ctx->trusting && !ctx->ownstore && dir == NULL) {
    return load_shared(ctx, file, digest);
  }
  tls_store *shared = NULL;
  X509_STORE *store = tls_store_open(file, &shared, digest);
  int ok = store != NULL && make_private(ctx) && tls_store_copy(store, SSL_CTX_get_cert_store(ctx->ctx));
  X509_STORE_free(store);
  tls_store_close(shared);
  return ok;
}

static bool has_nul(lua_State *L, int arg)
{
  size_t n;
  const char *s = luaL_optlstring(L, arg, "", &n);
  return strlen(s) != n;
}

/* locations(ctx [, cafile [, capath]]): trusts the certificates in a PEM file and in a directory of hashed names; at least
   one must be given. SSL_CTX_load_verify_locations(3). */
static int locations(lua_State *L)
{
  static const char prefix[] = "error loading CA locations";
  tls_context *ctx = tls_checkcontext(L, 1);
  const char *file = luaL_optstring(L, 2, NULL);
  const char *dir = luaL_optstring(L, 3, NULL);
  unsigned char digest[TLS_STORE_DIGEST]; /* the certificates, not the path, tell the trust in them from another */
  tls_error_clear();
  if (file == NULL && dir == NULL) {
    return tls_fail_text(L, prefix, "neither a file nor a directory was given");
  }
  if (has_nul(L, 2) || has_nul(L, 3)) {
    return tls_fail_text(L, prefix, "the path contains a NUL byte");
  }
  if (file != NULL && !load_file(ctx, file, dir, digest)) {
    return tls_fail_queue(L, prefix, file);
  }
  if (dir != NULL && !(make_private(ctx) && SSL_CTX_load_verify_dir(ctx->ctx, dir) == 1)) {
    return tls_fail_queue(L, prefix, dir);
  }
  ctx->trusting = true;
  if (file != NULL) {
    tls_trust_remember(ctx, 'f', digest, sizeof digest);
  }
  if (dir != NULL) {
    tls_trust_remember(ctx, 'd', dir, strlen(dir));
  }
  tls_error_clear();
  lua_pushboolean(L, 1);
  return 1;
}

/* What the queue holds, in words of ours when there are some. */
static int fail_reading(lua_State *L, const char *prefix, const char *file, const char *why)
{
  tls_error e;
  tls_error_queue(&e, TLS_KIND_CONFIG);
  if (file != NULL) {
    tls_error_file(&e, file);
  }
  if (why != NULL && e.kind == TLS_KIND_CONFIG) {
    e.text = why;
  }
  return tls_fail_config(L, &e, prefix);
}

/* Adds certificates to the context's own store, all of them or, when memory is short, some. */
static bool add_certificates(tls_context *ctx, STACK_OF(X509) *list)
{
  X509_STORE *store = SSL_CTX_get_cert_store(ctx->ctx);
  for (int i = 0; i < sk_X509_num(list); i++) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int n = 0;
    X509 *cert = sk_X509_value(list, i);
    if (X509_STORE_add_cert(store, cert) != 1 || X509_digest(cert, EVP_sha256(), digest, &n) != 1) {
      return false;
    }
    tls_trust_remember(ctx, 'c', digest, n);
  }
  return true;
}

/* cadata(ctx, pem): trusts the certificates in PEM text, beside what is trusted already. */
static int cadata(lua_State *L)
{
  static const char prefix[] = "error loading CA data";
  tls_context *ctx = tls_checkcontext(L, 1);
  tls_source source;
  const char *why = tls_source_take(&source, L, 2, TLS_SOURCE_PEM);
  if (why != NULL) {
    return tls_fail_text(L, prefix, why);
  }
  tls_error_clear();
  STACK_OF(X509) *list = tls_material_cas(&source, &why);
  bool ok = list != NULL && make_private(ctx) && add_certificates(ctx, list);
  sk_X509_pop_free(list, X509_free);
  if (!ok) {
    return fail_reading(L, prefix, NULL, why);
  }
  ctx->trusting = ctx->ownstore = true;
  tls_error_clear();
  lua_pushboolean(L, 1);
  return 1;
}

static bool add_crls(tls_context *ctx, STACK_OF(X509_CRL) *list)
{
  X509_STORE *store = SSL_CTX_get_cert_store(ctx->ctx);
  for (int i = 0; i < sk_X509_CRL_num(list); i++) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int n = 0;
    X509_CRL *crl = sk_X509_CRL_value(list, i);
    if (X509_STORE_add_crl(store, crl) != 1 || X509_CRL_digest(crl, EVP_sha256(), digest, &n) != 1) {
      return false;
    }
    tls_trust_remember(ctx, 'r', digest, n);
  }
  return true;
}

/* crls(ctx, file, pem): revocation lists from a file with PEM or one in DER, or, when that is nil, from PEM text. From then
   on a peer's certificate is refused when no list tells of it. X509_VERIFY_PARAM_set_flags(3), X509_V_FLAG_CRL_CHECK. */
static int crls(lua_State *L)
{
  static const char prefix[] = "error loading revocation list";
  tls_context *ctx = tls_checkcontext(L, 1);
  tls_source source;
  const char *why = lua_isnoneornil(L, 2) ? tls_source_take(&source, L, 3, TLS_SOURCE_PEM)
                                          : tls_source_take(&source, L, 2, TLS_SOURCE_FILE);
  if (why != NULL) {
    return tls_fail_text(L, prefix, why);
  }
  tls_error_clear();
  STACK_OF(X509_CRL) *list = tls_material_crls(&source, &why);
  bool ok = list != NULL && make_private(ctx) && add_crls(ctx, list);
  sk_X509_CRL_pop_free(list, X509_CRL_free);
  if (!ok) {
    return fail_reading(L, prefix, source.name, why);
  }
  ctx->ownstore = true;
  X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx->ctx), X509_V_FLAG_CRL_CHECK);
  tls_error_clear();
  lua_pushboolean(L, 1);
  return 1;
}

/* One kind of name takes the place of the other. OpenSSL would check both; its own reading of addresses takes blanks and
   leading zeros, which the resolver understands differently. */
static int set_name(tls_context *ctx, const char *name, size_t n)
{
  X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx->ctx);
  unsigned char ip[16];
  size_t size = tls_ip(name, ip);
  ctx->byaddress = size > 0;
  if (size > 0) {
    return X509_VERIFY_PARAM_set1_ip(param, ip, size) == 1 && X509_VERIFY_PARAM_set1_host(param, NULL, 0) == 1;
  }
  return X509_VERIFY_PARAM_set1_host(param, name, tls_hostlength(name, n)) == 1 &&
         X509_VERIFY_PARAM_set1_ip(param, NULL, 0) == 1;
}

/* setverifyname(ctx, name): the DNS name or IP address that the peer's certificate must be for, checked inside each
   handshake that verifies. An IP literal is held against IP SANs only; one trailing dot is passed over. false, message,
   detail for a name that no certificate could carry. X509_VERIFY_PARAM_set1_host(3), RFC 9525. */
static int setverifyname(lua_State *L)
{
  tls_context *ctx = tls_checkcontext(L, 1);
  size_t n;
  const char *name = luaL_checklstring(L, 2, &n);
  tls_error_clear();
  /* A leading dot would mean any subdomain to OpenSSL, an empty name no check at all. */
  if (n == 0 || *name == '.' || strlen(name) != n) {
    return tls_refuse(L, "invalid host name (%s)", tls_checkname(L, 2));
  }
  if (set_name(ctx, name, n) != 1) {
    return tls_fail_queue(L, "error setting host name", NULL);
  }
  tls_trust_remember(ctx, 'n', name, n);
  lua_pushboolean(L, 1);
  return 1;
}

/* setdane(ctx, ...): lets connections use conn:setdane; flag "no_ee_namechecks". Returns a boolean alone.
   SSL_CTX_dane_enable(3). */
static int setdane(lua_State *L)
{
  static const char *const names[] = {"no_ee_namechecks", NULL};
  tls_context *ctx = tls_checkcontext(L, 1);
  int n = lua_gettop(L);
  for (int i = 2; i <= n; i++) {
    luaL_checkoption(L, i, NULL, names);
  }
  tls_error_clear();
  int ok = SSL_CTX_dane_enable(ctx->ctx) > 0;
  ctx->dane = ok;
  tls_trust_remember(ctx, 't', "", 0); /* a session that TLSA records vouched for is not for those who go by CAs */
  if (ok && n >= 2) {
    SSL_CTX_dane_set_flags(ctx->ctx, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
  }
  tls_error_clear();
  lua_pushboolean(L, ok);
  return 1;
}

/* isip(text): is it an IPv4 or IPv6 literal? inet_pton(3). */
static int isip(lua_State *L)
{
  size_t n;
  unsigned char ip[16];
  const char *text = luaL_checklstring(L, 1, &n);
  tls_error_clear();
  lua_pushboolean(L, strlen(text) == n && tls_ip(text, ip) > 0);
  return 1;
}

/* defaultlocations(): the CA file and the CA directory that this OpenSSL was built to look at, whether they exist or not.
   X509_get_default_cert_file(3). */
static int defaultlocations(lua_State *L)
{
  lua_pushstring(L, X509_get_default_cert_file());
  lua_pushstring(L, X509_get_default_cert_dir());
  return 2;
}

const luaL_Reg tls_trust_functions[] = {
  {"locations", locations},
  {"cadata", cadata},
  {"crls", crls},
  {"setverifyname", setverifyname},
  {"setdane", setdane},
  {"isip", isip},
  {"defaultlocations", defaultlocations},
  {NULL, NULL},
};
