/*
 * staple.c: the OCSP responses that a server's context sends with its certificates: held as DER, or asked of the program's
 * function. The setting itself is in ocsp.c, what a response says in ocsp_check.c.
 */
#include "ocsp.h"

/* In TLS 1.3 an extension holds a response, of at most 65535 bytes with its headers. Before, it is a message of its own,
   which OpenSSL's clients refuse when it is larger than a record. */
#define LARGEST_TLS13 65527
#define LARGEST_TLS12 16380

struct tls_staple {
  tls_staple *next;
  OCSP_BASICRESP *basic;
  size_t n;
  unsigned char *der;
};

void tls_staple_free(tls_staple *s)
{
  while (s != NULL) {
    tls_staple *next = s->next;
    OCSP_BASICRESP_free(s->basic);
    OPENSSL_free(s->der);
    OPENSSL_free(s);
    s = next;
  }
}

/* ---- what is sent ---- */

static bool is_current(OCSP_SINGLERESP *single)
{
  ASN1_GENERALIZEDTIME *from = NULL, *until = NULL;
  OCSP_single_get0_status(single, NULL, NULL, &from, &until);
  bool current = until == NULL || X509_cmp_current_time(until) > 0;
  tls_error_clear();
  return current;
}

/* A response that may be stapled, or NULL and *why. */
static OCSP_BASICRESP *parse(const unsigned char *der, size_t n, const char **why)
{
  int response;
  OCSP_BASICRESP *basic = tls_ocsp_parse(der, n, &response);
  if (basic == NULL) {
    *why = tls_ocsp_words(response < 0 ? TLS_OCSP_UNREADABLE : TLS_OCSP_REFUSED);
  } else if (n > LARGEST_TLS13) {
    *why = "the OCSP response is larger than TLS can carry";
    OCSP_BASICRESP_free(basic);
    basic = NULL;
  }
  return basic;
}

/* What it is worth beside a certificate: GOOD, FOREIGN or STALE. */
static enum tls_ocsp_verdict beside(OCSP_BASICRESP *basic, X509 *cert)
{
  OCSP_SINGLERESP *single = tls_ocsp_find(basic, cert, NULL);
  if (single == NULL) {
    return TLS_OCSP_FOREIGN;
  }
  return is_current(single) ? TLS_OCSP_GOOD : TLS_OCSP_STALE;
}

/* Clients refuse a response that is out of date, and most go on without any. */
static const tls_staple *find_staple(const tls_staple *list, X509 *cert)
{
  for (const tls_staple *at = list; at != NULL; at = at->next) {
    if (beside(at->basic, cert) == TLS_OCSP_GOOD) {
      return at;
    }
  }
  return NULL;
}

/* Why the program's answer cannot be stapled to a certificate, NULL when it can; *usable: it is not out of date. */
static const char *unusable(const unsigned char *der, size_t n, X509 *cert, bool *usable)
{
  const char *why = NULL;
  OCSP_BASICRESP *basic = parse(der, n, &why);
  if (basic != NULL) {
    enum tls_ocsp_verdict verdict = beside(basic, cert);
    *usable = verdict == TLS_OCSP_GOOD;
    why = verdict == TLS_OCSP_FOREIGN ? tls_ocsp_words(verdict) : NULL;
  }
  OCSP_BASICRESP_free(basic);
  return why;
}

typedef struct query {
  SSL *ssl;
  X509 *cert;
  unsigned char *der; /* the answer, a copy */
  size_t n;
} query;

/* Asks the function in TLS_SLOT_OCSP, if there is one. */
static int ask_body(lua_State *L)
{
  query *q = lua_touserdata(L, 2);
  bool usable = false;
  tls_callback_function(L, q->ssl, TLS_SLOT_OCSP);
  if (lua_isnil(L, -1)) {
    return 0;
  }
  lua_pushvalue(L, 1);
  X509_up_ref(q->cert);
  tls_pushcertificate(L, q->cert);
  lua_pushinteger(L, tls_keypairs_index(q->ssl));
  lua_call(L, 3, 1);
  if (!lua_toboolean(L, -1)) {
    return 0;
  }
  if (lua_type(L, -1) != LUA_TSTRING) {
    return luaL_error(L, "a string expected, got %s", luaL_typename(L, -1));
  }
  const unsigned char *der = (const unsigned char *)lua_tolstring(L, -1, &q->n);
  const char *why = unusable(der, q->n, q->cert, &usable);
  if (why != NULL) {
    lua_pushstring(L, why);
    return lua_error(L);
  }
  q->der = usable ? OPENSSL_memdup(der, q->n) : NULL;
  return 0;
}

/* False when the handshake must end. */
static bool ask_program(query *q)
{
  tls_connection *c = tls_callback_driven(q->ssl);
  if (c == NULL) {
    return true;
  }
  if (!tls_callback_ask(c, "OCSP", ask_body, q)) {
    OPENSSL_free(q->der);
    return false;
  }
  return true;
}

int tls_staple_give(SSL *ssl)
{
  query q = {ssl, SSL_get_certificate(ssl), NULL, 0};
  if (q.cert == NULL) {
    return SSL_TLSEXT_ERR_NOACK;
  }
  const tls_staple *found = find_staple(tls_ocsp_staples(SSL_get_SSL_CTX(ssl)), q.cert);
  if (found != NULL) {
    q.n = found->n;
    q.der = OPENSSL_memdup(found->der, found->n);
  } else if (!ask_program(&q)) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  size_t largest = SSL_version(ssl) == TLS1_3_VERSION ? LARGEST_TLS13 : LARGEST_TLS12; /* DTLS counts otherwise */
  if (q.der == NULL || q.n > largest || SSL_set_tlsext_status_ocsp_resp(ssl, q.der, (long)q.n) != 1) {
    OPENSSL_free(q.der);
    return SSL_TLSEXT_ERR_NOACK;
  }
  return SSL_TLSEXT_ERR_OK; /* the copy is the connection's now */
}

/* ---- what is held ---- */

/* The context looks at its certificates one by one, and at the former again when this is over. */
static enum tls_ocsp_verdict beside_any(SSL_CTX *ctx, OCSP_BASICRESP *basic)
{
  enum tls_ocsp_verdict verdict = TLS_OCSP_FOREIGN;
  X509 *now = SSL_CTX_get0_certificate(ctx);
  for (long more = SSL_CTX_set_current_cert(ctx, SSL_CERT_SET_FIRST); more == 1 && verdict == TLS_OCSP_FOREIGN;
       more = SSL_CTX_set_current_cert(ctx, SSL_CERT_SET_NEXT)) {
    verdict = beside(basic, SSL_CTX_get0_certificate(ctx));
  }
  for (int i = 1; verdict == TLS_OCSP_FOREIGN && tls_keypairs_leaf(ctx, i) != NULL; i++) {
    verdict = beside(basic, tls_keypairs_leaf(ctx, i));
  }
  if (now != NULL) {
    SSL_CTX_select_current_cert(ctx, now);
  }
  tls_error_clear();
  return verdict;
}

/* Can it be stapled to one of the context's certificates? NULL, or why not. */
static const char *fits_none(SSL_CTX *ctx, const unsigned char *der, size_t n)
{
  const char *why = NULL;
  if (SSL_CTX_get0_certificate(ctx) == NULL) {
    return "the context has no certificate that it could be about";
  }
  OCSP_BASICRESP *basic = parse(der, n, &why);
  if (basic != NULL) {
    enum tls_ocsp_verdict verdict = beside_any(ctx, basic);
    why = verdict == TLS_OCSP_GOOD ? NULL : tls_ocsp_words(verdict);
  }
  OCSP_BASICRESP_free(basic);
  return why;
}

static tls_staple *new_staple(const char *der, size_t n)
{
  int response;
  tls_staple *s = OPENSSL_zalloc(sizeof *s);
  if (s != NULL) {
    s->basic = tls_ocsp_parse((const unsigned char *)der, n, &response);
    s->der = OPENSSL_memdup(der, n);
    s->n = n;
    if (s->basic == NULL || s->der == NULL) {
      tls_staple_free(s);
      s = NULL;
    }
  }
  return s;
}

/* A chain of staples out of the strings at index 3 on; NULL when memory is short. */
static tls_staple *new_staples(lua_State *L)
{
  tls_staple *list = NULL;
  for (int i = lua_gettop(L); i >= 3; i--) {
    size_t n;
    const char *der = lua_tolstring(L, i, &n);
    tls_staple *fresh = new_staple(der, n);
    if (fresh == NULL) {
      tls_staple_free(list);
      return NULL;
    }
    fresh->next = list;
    list = fresh;
  }
  return list;
}

/* Nothing of OpenSSL's is in hand while these may raise. */
tls_staple *tls_staple_make(lua_State *L, const tls_context *ctx)
{
  static const char prefix[] = "error setting OCSP response";
  for (int i = 3; i <= lua_gettop(L); i++) {
    size_t n;
    if (lua_type(L, i) != LUA_TSTRING) {
      tls_refuse(L, "invalid ocsp (OCSP response in DER or function expected, got %s)", luaL_typename(L, i));
      return NULL;
    }
    const unsigned char *der = (const unsigned char *)lua_tolstring(L, i, &n);
    const char *why = fits_none(ctx->ctx, der, n);
    if (why != NULL) {
      tls_fail_text(L, prefix, why);
      return NULL;
    }
  }
  tls_staple *list = new_staples(L);
  if (list == NULL && lua_gettop(L) > 2) {
    tls_fail_text(L, prefix, "not enough memory");
  }
  return list;
}
