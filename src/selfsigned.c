/*
 * selfsigned.c: makes a private key and a certificate signed by itself, for tests, development, and servers whose peers are
 * told the certificate by other ways than a CA. It makes no CAs and signs nothing else.
 */
#include "tls.h"

#include <ctype.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

/* The upper bound of a common name in characters, RFC 5280 appendix A.1. */
#define COMMON_NAME_MAX 64
#define SERIAL_BITS 128
#define RSA_BITS 2048
/* The peer's clock may be slow. */
#define BACKDATE_SECONDS 3600L
#define DAYS_MAX 1000000

static EVP_PKEY *new_key(int kind)
{
  switch (kind) {
  case 0:
    return EVP_EC_gen("P-256");
  case 1:
    return EVP_RSA_gen(RSA_BITS);
  default:
    return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
  }
}

/* A DNS name as certificates have it (RFC 5280 section 4.2.1.6): letters, digits, hyphens, and what is met in practice. */
static bool is_dns(const char *s, size_t n)
{
  if (n == 0 || n > 253 || s[0] == '.' || s[n - 1] == '.') {
    return false;
  }
  for (size_t i = 0; i < n; i++) {
    unsigned char c = (unsigned char)s[i];
    if (c == '\0' || c > 127 || (!isalnum(c) && strchr("-_.*", c) == NULL)) {
      return false;
    }
  }
  return true;
}

static ASN1_OCTET_STRING *to_ip(const char *s, size_t n)
{
  ASN1_OCTET_STRING *ip = s != NULL && strlen(s) == n ? a2i_IPADDRESS(s) : NULL;
  tls_error_clear();
  return ip;
}

/* Raises unless the array at a stack index has only names. */
static int check_names(lua_State *L, int arg)
{
  int n = lua_istable(L, arg) ? (int)lua_rawlen(L, arg) : 0;
  luaL_argcheck(L, n > 0, 1, "names: array of names expected");
  for (int i = 1; i <= n; i++) {
    lua_rawgeti(L, arg, i);
    size_t size = 0;
    luaL_argcheck(L, lua_type(L, -1) == LUA_TSTRING, 1, "names: array of strings expected");
    const char *name = luaL_checklstring(L, -1, &size);
    ASN1_OCTET_STRING *ip = to_ip(name, size);
    ASN1_OCTET_STRING_free(ip);
    if (ip == NULL && !is_dns(name, size)) {
      luaL_argerror(L, 1, lua_pushfstring(L, "names: '%s' is neither a DNS name in ASCII nor an IP address", name));
    }
    lua_pop(L, 1);
  }
  return n;
}

static GENERAL_NAME *to_general_name(const char *name, size_t size)
{
  GENERAL_NAME *gen = GENERAL_NAME_new();
  ASN1_OCTET_STRING *ip = to_ip(name, size);
  if (gen != NULL && ip != NULL) {
    GENERAL_NAME_set0_value(gen, GEN_IPADD, ip);
    return gen;
  }
  ASN1_OCTET_STRING_free(ip);
  ASN1_IA5STRING *dns = ASN1_IA5STRING_new();
  if (gen == NULL || dns == NULL || ASN1_STRING_set(dns, name, (int)size) != 1) {
    ASN1_IA5STRING_free(dns);
    GENERAL_NAME_free(gen);
    return NULL;
  }
  GENERAL_NAME_set0_value(gen, GEN_DNS, dns);
  return gen;
}

/* The alternative names are critical when there is no subject, RFC 5280 section 4.1.2.6. */
static bool add_names(lua_State *L, int arg, int n, X509 *cert)
{
  GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
  bool ok = names != NULL;
  for (int i = 1; i <= n && ok; i++) {
    size_t size;
    lua_rawgeti(L, arg, i);
    const char *name = lua_tolstring(L, -1, &size);
    GENERAL_NAME *gen = to_general_name(name, size);
    ok = gen != NULL && sk_GENERAL_NAME_push(names, gen) > 0;
    if (!ok) {
      GENERAL_NAME_free(gen);
    }
    lua_pop(L, 1);
  }
  int critical = X509_NAME_entry_count(X509_get_subject_name(cert)) == 0;
  ok = ok && X509_add1_ext_i2d(cert, NID_subject_alt_name, names, critical, X509V3_ADD_DEFAULT) == 1;
  GENERAL_NAMES_free(names);
  return ok;
}

static bool set_subject(X509 *cert, const char *name, size_t n)
{
  X509_NAME *subject = X509_get_subject_name(cert);
  if (n <= COMMON_NAME_MAX &&
      X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, (int)n, -1, 0) != 1) {
    return false;
  }
  return X509_set_issuer_name(cert, subject) == 1;
}

static bool set_serial(X509 *cert)
{
  BIGNUM *bn = BN_new();
  bool ok = bn != NULL && BN_rand(bn, SERIAL_BITS, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
            BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(cert)) != NULL;
  BN_free(bn);
  return ok;
}

/* Not X509V3_EXT_conf_nid: it sets a variable of the process, without a lock, though there is nothing to read from. */
static bool add_extension(X509 *cert, int nid, const char *value)
{
  X509V3_CTX v3;
  X509V3_set_ctx_nodb(&v3);
  X509V3_set_ctx(&v3, cert, cert, NULL, NULL, 0);
  X509_EXTENSION *ext = X509V3_EXT_nconf_nid(NULL, &v3, nid, value);
  bool ok = ext != NULL && X509_add_ext(cert, ext, -1) == 1;
  X509_EXTENSION_free(ext);
  return ok;
}

/* Server and client alike; no CA. */
static bool add_extensions(X509 *cert, bool rsa)
{
  return add_extension(cert, NID_basic_constraints, "critical,CA:FALSE") &&
         add_extension(cert, NID_key_usage,
                       rsa ? "critical,digitalSignature,keyEncipherment" : "critical,digitalSignature") &&
         add_extension(cert, NID_ext_key_usage, "serverAuth,clientAuth") &&
         add_extension(cert, NID_subject_key_identifier, "hash");
}

/* Fills in all but the subject and the alternative names. */
static bool fill(X509 *cert, EVP_PKEY *key, int days)
{
  return X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) &&
         X509_gmtime_adj(X509_getm_notBefore(cert), -BACKDATE_SECONDS) != NULL &&
         X509_time_adj_ex(X509_getm_notAfter(cert), days, 0, NULL) != NULL && X509_set_pubkey(cert, key) == 1 &&
         add_extensions(cert, EVP_PKEY_is_a(key, "RSA") == 1);
}

/* Ed25519 signs the message itself. */
static bool sign(X509 *cert, EVP_PKEY *key)
{
  return X509_sign(cert, key, EVP_PKEY_is_a(key, "ED25519") == 1 ? NULL : EVP_sha256()) > 0;
}

static void free_key(void *p)
{
  EVP_PKEY_free(p);
}

static void free_cert(void *p)
{
  X509_free(p);
}

static void free_bio(void *p)
{
  BIO_free(p);
}

/* OpenSSL wipes the memory of a BIO when it frees it. */
static void push_bio(lua_State *L, BIO *bio)
{
  char *data;
  long n = BIO_get_mem_data(bio, &data);
  lua_pushlstring(L, data, (size_t)n);
}

static int check_days(lua_State *L, int arg)
{
  lua_Number days = lua_type(L, arg) == LUA_TNUMBER ? lua_tonumber(L, arg) : 0;
  luaL_argcheck(L, days >= 1 && days <= DAYS_MAX && days == (lua_Number)(int)days, 1,
                "days: whole number from 1 to 1000000 expected");
  return (int)days;
}

static int check_kind(lua_State *L, int arg)
{
  static const char *const kinds[] = {"ec", "rsa", "ed25519"};
  size_t n = 0;
  const char *name = lua_tolstring(L, arg, &n);
  for (int i = 0; name != NULL && i < 3; i++) {
    if (strlen(kinds[i]) == n && memcmp(name, kinds[i], n) == 0) {
      return i;
    }
  }
  return luaL_argerror(L, 1, "key: ec, rsa or ed25519 expected");
}

int tls_selfsigned(lua_State *L)
{
  int n = check_names(L, 1);
  int days = check_days(L, 2);
  int kind = check_kind(L, 3);
  tls_box *key = tls_newbox(L, free_key);
  tls_box *cert = tls_newbox(L, free_cert);
  tls_box *certpem = tls_newbox(L, free_bio);
  tls_box *keypem = tls_newbox(L, free_bio);
  size_t size;
  lua_rawgeti(L, 1, 1);
  const char *first = lua_tolstring(L, -1, &size);
  tls_error_clear();
  bool ok = (key->p = new_key(kind)) != NULL && (cert->p = X509_new()) != NULL &&
            (certpem->p = BIO_new(BIO_s_mem())) != NULL && (keypem->p = BIO_new(BIO_s_mem())) != NULL &&
            set_subject(cert->p, first, size) && fill(cert->p, key->p, days) && add_names(L, 1, n, cert->p) &&
            sign(cert->p, key->p) && PEM_write_bio_X509(certpem->p, cert->p) == 1 &&
            PEM_write_bio_PrivateKey(keypem->p, key->p, NULL, NULL, 0, NULL, NULL) == 1;
  tls_emptybox(key);
  tls_emptybox(cert);
  if (!ok) {
    return tls_fail_nil(L, tls_fail_queue(L, "error making certificate", NULL));
  }
  tls_error_clear(); /* of what OpenSSL tried and did not need */
  push_bio(L, certpem->p);
  push_bio(L, keypem->p);
  tls_emptybox(certpem);
  tls_emptybox(keypem);
  return 2;
}
