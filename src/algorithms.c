/*
 * algorithms.c: which ciphers, key exchange groups and signature algorithms a context may use. What they are worth is
 * OpenSSL's and the user's to decide; here names are checked, all or nothing.
 */
#include "tls.h"

#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

/* Tried on a connection first: a list without any cipher would else empty the context's. */
static int set_ciphers(SSL_CTX *ctx, const char *list)
{
  SSL *ssl = SSL_new(ctx);
  int ok = ssl != NULL && SSL_set_cipher_list(ssl, list) == 1;
  SSL_free(ssl);
  return ok && SSL_CTX_set_cipher_list(ctx, list) == 1;
}

/* setcipher(ctx, list): TLS 1.2 and older, openssl-ciphers(1). SSL_CTX_set_cipher_list(3). */
static int setcipher(lua_State *L)
{
  tls_context *ctx = tls_checkcontext(L, 1);
  const char *list = tls_checkname(L, 2);
  tls_error_clear();
  return tls_answer(L, set_ciphers(ctx->ctx, list), "error setting cipher list");
}

/* setciphersuites(ctx, list): TLS 1.3. SSL_CTX_set_ciphersuites(3). */
static int setciphersuites(lua_State *L)
{
  tls_context *ctx = tls_checkcontext(L, 1);
  const char *list = tls_checkname(L, 2);
  tls_error_clear();
  return tls_answer(L, SSL_CTX_set_ciphersuites(ctx->ctx, list), "error setting cipher list");
}

/* The release that first knew a group or signature algorithm, 0 when nothing is known about it. */
static unsigned long first_release(const char *name)
{
  static const struct {
    const char *name;
    unsigned long release;
  } rows[] = {
    {"X25519MLKEM768", TLS_RELEASE(3, 5)}, {"SecP256r1MLKEM768", TLS_RELEASE(3, 5)},
    {"SecP384r1MLKEM1024", TLS_RELEASE(3, 5)}, {"MLKEM512", TLS_RELEASE(3, 5)}, {"MLKEM768", TLS_RELEASE(3, 5)},
    {"MLKEM1024", TLS_RELEASE(3, 5)}, {"mldsa44", TLS_RELEASE(3, 5)}, {"mldsa65", TLS_RELEASE(3, 5)},
    {"mldsa87", TLS_RELEASE(3, 5)}, {"brainpoolP256r1tls13", TLS_RELEASE(3, 2)},
    {"brainpoolP384r1tls13", TLS_RELEASE(3, 2)}, {"brainpoolP512r1tls13", TLS_RELEASE(3, 2)},
    {"ecdsa_brainpoolP256r1tls13_sha256", TLS_RELEASE(3, 2)}, {"ecdsa_brainpoolP384r1tls13_sha384", TLS_RELEASE(3, 2)},
    {"ecdsa_brainpoolP512r1tls13_sha512", TLS_RELEASE(3, 2)},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    if (OPENSSL_strcasecmp(rows[i].name, name) == 0) {
      return rows[i].release;
    }
  }
  return 0;
}

/* Adds to the refusal of a list of curves, which is in LuaSec's words, that a later OpenSSL knows one of them. */
static int hint_release(lua_State *L, const char *list, int refusal)
{
  char name[64];
  size_t n;
  for (const char *p = list; *p != '\0'; p += n + (p[n] == ':')) {
    n = strcspn(p, ":");
    snprintf(name, sizeof name, "%.*s", n < sizeof name ? (int)n : 0, p);
    unsigned long release = first_release(name);
    if (!tls_has_release(release)) {
      tls_refuse_release(L, name, release);
      lua_pop(L, 1);
      lua_setfield(L, -3, "hint");
      lua_pop(L, 1);
    }
  }
  return refusal;
}

/* Success. The list at stack index 2 is remembered: a connection that moves here cannot ask OpenSSL for it. */
static int keep_groups(lua_State *L)
{
  lua_settop(L, 2);
  tls_setslot(L, 1, TLS_SLOT_GROUPS);
  return tls_answer(L, 1, NULL);
}

/* setcurve(ctx, name): one curve of ssl.config.curves, and no other group. SSL_CTX_set1_groups_list(3). */
static int setcurve(lua_State *L)
{
  tls_context *ctx = tls_checkcontext(L, 1);
  const char *name = tls_checkname(L, 2);
  tls_error_clear();
  if (!tls_curve_known(name) || !SSL_CTX_set1_groups_list(ctx->ctx, name)) {
    tls_error_clear();
    return hint_release(L, name, tls_refuse(L, "elliptic curve '%s' not supported", name));
  }
  return keep_groups(L);
}

/* From 3.5 on OpenSSL takes the empty list too, for its defaults. */
static bool set_group_list(SSL_CTX *ctx, const char *list)
{
  return *list != '\0' && SSL_CTX_set1_groups_list(ctx, list) == 1;
}

/* setcurveslist(ctx, list): groups in order of preference, "X25519:P-256". SSL_CTX_set1_groups_list(3). */
static int setcurveslist(lua_State *L)
{
  tls_context *ctx = tls_checkcontext(L, 1);
  const char *list = tls_checkname(L, 2);
  tls_error_clear();
  if (!set_group_list(ctx->ctx, list)) {
    tls_error_clear();
    return hint_release(L, list, tls_refuse(L, "unknown elliptic curve in \"%s\"", list));
  }
  return keep_groups(L);
}

/* ---- lists of names ---- */

typedef int list_setter(SSL *ssl, const char *list);

static int set_groups(SSL *ssl, const char *list)
{
  return *list != '\0' && SSL_set1_groups_list(ssl, list) == 1;
}

static int set_sigalgs(SSL *ssl, const char *list)
{
  return SSL_set1_sigalgs_list(ssl, list) == 1;
}

/* false, message, detail for a list that was refused: names the first member that is refused by itself. */
static int refuse_list(lua_State *L, const tls_context *ctx, const char *what, const char *list, list_setter *set)
{
  SSL *ssl = SSL_new(ctx->ctx);
  const char *bad = NULL;
  char one[128];
  size_t n = 0;
  for (const char *p = list; ssl != NULL && bad == NULL && *p != '\0'; p += n + (p[n] == ':')) {
    n = strcspn(p, ":");
    memcpy(one, p, n < sizeof one ? n : 0);
    one[n < sizeof one ? n : 0] = '\0';
    if (!set(ssl, one)) {
      bad = p;
    }
  }
  SSL_free(ssl);
  if (bad == NULL) {
    return tls_refuse(L, "invalid list of %ss (%s)", what, list);
  }
  lua_pushlstring(L, bad, n);
  const char *name = lua_tostring(L, -1);
  unsigned long release = first_release(name);
  if (!tls_has_release(release)) {
    return tls_refuse_release(L, name, release);
  }
  return tls_refuse(L, "unknown %s '%s'", what, name);
}

/* setgroups(ctx, list): key exchange groups in order of preference, with colons. SSL_CTX_set1_groups_list(3). */
static int setgroups(lua_State *L)
{
  const tls_context *ctx = tls_checkcontext(L, 1);
  const char *list = tls_checkname(L, 2);
  tls_error_clear();
  if (!set_group_list(ctx->ctx, list)) {
    return refuse_list(L, ctx, "group", list, set_groups);
  }
  return keep_groups(L);
}

/* setsigalgs(ctx, list): signature algorithms in order of preference, with colons: "ECDSA+SHA256", "ed25519",
   "rsa_pss_rsae_sha256". SSL_CTX_set1_sigalgs_list(3). */
static int setsigalgs(lua_State *L)
{
  const tls_context *ctx = tls_checkcontext(L, 1);
  const char *list = tls_checkname(L, 2);
  tls_error_clear();
  if (SSL_CTX_set1_sigalgs_list(ctx->ctx, list) != 1) {
    return refuse_list(L, ctx, "signature algorithm", list, set_sigalgs);
  }
  return tls_answer(L, 1, NULL);
}

const luaL_Reg tls_algorithms_functions[] = {
  {"setcipher", setcipher},
  {"setciphersuites", setciphersuites},
  {"setcurve", setcurve},
  {"setcurveslist", setcurveslist},
  {"setgroups", setgroups},
  {"setsigalgs", setsigalgs},
  {NULL, NULL},
};
