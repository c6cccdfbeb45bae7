/*
 * x509_check.c: questions that a certificate answers: when it is valid, who issued it, and
 * whether a host, address or mailbox is among its names. OpenSSL decides all of them; nothing
 * here compares names.
 */
#include "x509.h"

#include <arpa/inet.h>
#include <math.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

/* ---- dates ------------------------------------------------------------------------------------*/

bool tls_epoch(const ASN1_TIME *t, int64_t *at)
{
  int days = 0, seconds = 0;
  ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
  bool ok = epoch != NULL && ASN1_TIME_diff(&days, &seconds, epoch, t);
  ASN1_TIME_free(epoch);
  tls_error_clear();
  *at = (int64_t)days * 86400 + seconds;
  return ok;
}

void tls_pushepoch(lua_State *L, int64_t at)
{
  if ((int64_t)(lua_Integer)at == at) {
    lua_pushinteger(L, (lua_Integer)at);
  } else {
    lua_pushnumber(L, (lua_Number)at);
  }
}

static int pushtime(lua_State *L, const ASN1_TIME *t)
{
  int64_t at;
  if (!tls_epoch(t, &at)) {
    return tls_fail_nil(L, tls_refuse(L, "bad time value in the certificate"));
  }
  tls_pushepoch(L, at);
  return 1;
}

/* cert:notbeforetime() -> time: integer | nil, message, detail
   cert:notaftertime() -> time: integer | nil, message, detail
   The beginning and the end of the certificate's time in seconds since 1970. */
int tls_check_notbeforetime(lua_State *L)
{
  return pushtime(L, X509_get0_notBefore(tls_selfcertificate(L)->cert));
}

int tls_check_notaftertime(lua_State *L)
{
  return pushtime(L, X509_get0_notAfter(tls_selfcertificate(L)->cert));
}

/* Where a time_t has 32 bits, dates are compared beyond it all the same; NULL for a year that has not four digits. */
static ASN1_TIME *time_at(lua_Number seconds)
{
  double day = floor((double)seconds / 86400);
  return fabs(day) < 1e8 ? ASN1_TIME_adj(NULL, 0, (int)day, (long)((double)seconds - day * 86400)) : NULL;
}

/* X509_cmp_time says 0 for a date that RFC 5280 does not allow. */
static bool allowed(const ASN1_TIME *date)
{
  time_t any = 0;
  return X509_cmp_time(date, &any) != 0;
}

static bool valid_at(const X509 *cert, lua_Number seconds)
{
  const ASN1_TIME *first = X509_get0_notBefore(cert);
  const ASN1_TIME *last = X509_get0_notAfter(cert);
  ASN1_TIME *at = time_at(seconds);
  int before = at != NULL ? ASN1_TIME_compare(first, at) : -2;
  int after = at != NULL ? ASN1_TIME_compare(at, last) : -2;
  ASN1_TIME_free(at);
  return allowed(first) && allowed(last) && (before == -1 || before == 0) && (after == -1 || after == 0);
}

/* cert:validat(seconds: number) -> boolean
   notBefore <= seconds <= notAfter, in seconds since 1970. */
int tls_check_validat(lua_State *L)
{
  luaL_checkinteger(L, 2); /* which has 32 bits in some Lua */
  lua_pushboolean(L, valid_at(tls_selfcertificate(L)->cert, lua_tonumber(L, 2)));
  tls_error_clear();
  return 1;
}

/* ---- who issued it ----------------------------------------------------------------------------*/

/* Certificates 3 to the top, all checked; the stack owns none. NULL when memory runs out. */
static STACK_OF(X509) *untrusted(lua_State *L)
{
  STACK_OF(X509) *chain = sk_X509_new_null();
  for (int i = 3; chain != NULL && i <= lua_gettop(L); i++) {
    if (!sk_X509_push(chain, tls_checkcertificate(L, i))) {
      sk_X509_free(chain);
      chain = NULL;
    }
  }
  return chain;
}

/* Verifies subject with issuer as the only root: X509_V_OK or the error, and its depth. */
static int verify_issued(X509 *issuer, X509 *subject, STACK_OF(X509) *chain, int *depth)
{
  int err = X509_V_ERR_OUT_OF_MEM;
  X509_STORE *store = X509_STORE_new();
  X509_STORE_CTX *ctx = X509_STORE_CTX_new();
  if (store != NULL && ctx != NULL && chain != NULL && X509_STORE_add_cert(store, issuer) &&
      X509_STORE_CTX_init(ctx, store, subject, chain)) {
    int ok = X509_verify_cert(ctx);
    err = X509_STORE_CTX_get_error(ctx);
    *depth = X509_STORE_CTX_get_error_depth(ctx);
    if (ok <= 0 && err == X509_V_OK) {
      err = X509_V_ERR_UNSPECIFIED;
    }
  }
  X509_STORE_CTX_free(ctx);
  X509_STORE_free(store);
  return err;
}

/* cert:issued(subject: ssl.Certificate [, ...: ssl.Certificate]) -> true | nil, message, detail
   Has this certificate issued the subject, by way of the intermediates that follow it? X509_verify_cert(3) with this
   certificate as the only root, dates included, purposes not; one that is no root itself ends no chain. */
int tls_check_issued(lua_State *L)
{
  tls_certificate *issuer = tls_selfcertificate(L);
  X509 *subject = tls_checkcertificate(L, 2);
  for (int i = 3; i <= lua_gettop(L); i++) {
    tls_checkcertificate(L, i);
  }
  int depth = 0;
  STACK_OF(X509) *chain = untrusted(L);
  int err = verify_issued(issuer->cert, subject, chain, &depth);
  sk_X509_free(chain);
  tls_error_clear();
  if (err == X509_V_OK) {
    lua_pushboolean(L, 1);
    return 1;
  }
  tls_error e;
  tls_error_set(&e, TLS_KIND_VERIFY, X509_verify_cert_error_string(err));
  e.verify = err;
  e.depth = depth;
  return tls_fail_nil(L, tls_fail_config(L, &e, NULL));
}

/* ---- matching ---------------------------------------------------------------------------------*/

size_t tls_ip(const char *text, unsigned char ip[16])
{
  if (inet_pton(AF_INET, text, ip) == 1) {
    return 4;
  }
  return inet_pton(AF_INET6, text, ip) == 1 ? 16 : 0;
}

size_t tls_hostlength(const char *name, size_t n)
{
  char text[INET6_ADDRSTRLEN];
  unsigned char ip[16];
  if (n < 2 || name[n - 1] != '.' || name[n - 2] == '.') {
    return n;
  }
  if (n > sizeof text) {
    return n - 1;
  }
  memcpy(text, name, n - 1);
  text[n - 1] = '\0';
  return tls_ip(text, ip) == 0 ? n - 1 : n;
}

/* A name worth asking about: X509_check_host(3) takes an empty one to have no length, and a leading
   dot for "any subdomain". */
static const char *check_name(lua_State *L, size_t *len)
{
  const char *name = luaL_checklstring(L, 2, len);
  return *len == 0 || memchr(name, '\0', *len) != NULL || name[0] == '.' ? NULL : name;
}

static unsigned check_flags(lua_State *L)
{
  static const char *const names[] = {
    "always_check_subject",  "never_check_subject",     "no_partial_wildcards", "no_wildcards",
    "multi_label_wildcards", "single_label_subdomains", NULL
  };
  static const unsigned flags[] = {
    X509_CHECK_FLAG_ALWAYS_CHECK_SUBJECT,  X509_CHECK_FLAG_NEVER_CHECK_SUBJECT,
    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS,  X509_CHECK_FLAG_NO_WILDCARDS,
    X509_CHECK_FLAG_MULTI_LABEL_WILDCARDS, X509_CHECK_FLAG_SINGLE_LABEL_SUBDOMAINS
  };
  unsigned set = X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;
  for (int i = 3; i <= lua_gettop(L); i++) {
    set |= flags[luaL_checkoption(L, i, NULL, names)];
  }
  bool subject = (set & X509_CHECK_FLAG_ALWAYS_CHECK_SUBJECT) != 0;
  return subject ? set : set | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;
}

/* cert:checkhost(name: string [, ...: string]) -> boolean
   Is it for this DNS name? The strings after it are flags, those of X509_check_host(3) in lower case. Partial
   wildcards never match, the subject's common name only with "always_check_subject", IP literals not at all (see
   checkip). One trailing dot of the name is passed over. */
int tls_check_host(lua_State *L)
{
  size_t len;
  unsigned char ip[16];
  const char *name = check_name(L, &len);
  unsigned flags = check_flags(L);
  X509 *cert = tls_selfcertificate(L)->cert;
  bool host = name != NULL && tls_ip(name, ip) == 0;
  lua_pushboolean(L, host && X509_check_host(cert, name, tls_hostlength(name, len), flags, NULL) == 1);
  tls_error_clear();
  return 1;
}

/* cert:checkip(address: string) -> boolean
   Is this IP literal an address among the alternative names? X509_check_ip(3). */
int tls_check_ip(lua_State *L)
{
  size_t len;
  unsigned char ip[16];
  const char *text = check_name(L, &len);
  X509 *cert = tls_selfcertificate(L)->cert;
  size_t n = text == NULL ? 0 : tls_ip(text, ip);
  lua_pushboolean(L, n > 0 && X509_check_ip(cert, ip, n, 0) == 1);
  tls_error_clear();
  return 1;
}

/* cert:checkemail(address: string) -> boolean
   Is it one of the alternative names? X509_check_email(3). */
int tls_check_email(lua_State *L)
{
  size_t len;
  const char *address = check_name(L, &len);
  X509 *cert = tls_selfcertificate(L)->cert;
  unsigned flags = X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;
  lua_pushboolean(L, address != NULL && X509_check_email(cert, address, len, flags) == 1);
  tls_error_clear();
  return 1;
}
