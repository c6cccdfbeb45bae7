/*
 * x509.c: ssl.x509 and the certificate object: its life, its encodings, key, digest, dates and
 * signature. The names that a certificate holds are read in x509_names.c; how a peer's
 * certificate is verified is not decided here.
 */
#include "material.h"
#include "x509.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/pem.h>

static const char adopt_key;

/* ---- life -------------------------------------------------------------------------------------*/

static tls_certificate *newcertificate(lua_State *L)
{
  return tls_newobject(L, &tls_certificate_type, sizeof(tls_certificate));
}

X509 *tls_checkcertificate(lua_State *L, int arg)
{
  const tls_certificate *c = tls_checkobject(L, arg, &tls_certificate_type);
  luaL_argcheck(L, c->cert != NULL, arg, "certificate is closed");
  return c->cert;
}

tls_certificate *tls_selfcertificate(lua_State *L)
{
  tls_certificate *c = tls_self(L, &tls_certificate_type);
  luaL_argcheck(L, c->cert != NULL, 1, "certificate is closed");
  return c;
}

static void free_x509(void *p)
{
  X509_free(p);
}

X509 *tls_holdcertificate(lua_State *L)
{
  tls_box *box = tls_newbox(L, free_x509);
  X509 *cert = tls_selfcertificate(L)->cert;
  if (X509_up_ref(cert)) {
    box->p = cert;
  }
  return cert;
}

/* __gc and __close. */
static int close_certificate(lua_State *L)
{
  tls_certificate *c = tls_self(L, &tls_certificate_type);
  X509 *cert = c->cert;
  c->cert = NULL;
  X509_free(cert);
  return 0;
}

static int tostring(lua_State *L)
{
  const tls_certificate *c = tls_self(L, &tls_certificate_type);
  char text[64];
  if (c->cert == NULL) {
    lua_pushliteral(L, "X509 certificate: (nil)");
    return 1;
  }
  snprintf(text, sizeof text, "X509 certificate: %p", (void *)c->cert);
  lua_pushstring(L, text);
  return 1;
}

/* ---- encodings --------------------------------------------------------------------------------*/

static void free_bio(void *p)
{
  BIO_free(p);
}

/* Pushes what print writes, or nil when it fails. */
static int pushprinted(lua_State *L, int (*print)(BIO *, const X509 *))
{
  char *text;
  tls_box *box = tls_newbox(L, free_bio);
  const X509 *cert = tls_selfcertificate(L)->cert;
  box->p = BIO_new(BIO_s_mem());
  if (box->p != NULL && print(box->p, cert)) {
    long len = BIO_get_mem_data(box->p, &text);
    lua_pushlstring(L, text, (size_t)len);
  } else {
    lua_pushnil(L);
  }
  tls_emptybox(box);
  tls_error_clear();
  return 1;
}

static int print_pem(BIO *out, const X509 *cert)
{
  return PEM_write_bio_X509(out, cert);
}

/* cert:pem() -> pem: string | nil
   The certificate in PEM. */
static int meth_pem(lua_State *L)
{
  return pushprinted(L, print_pem);
}

/* cert:der() -> der: string | nil
   The certificate's bytes, i2d_X509(3). */
static int meth_der(lua_State *L)
{
  X509 *cert = tls_holdcertificate(L);
  int len = i2d_X509(cert, NULL);
  if (len > 0) {
    unsigned char *der = lua_newuserdata(L, (size_t)len);
    unsigned char *end = der;
    len = i2d_X509(cert, &end);
    lua_pushlstring(L, (char *)der, (size_t)(end - der));
  }
  if (len <= 0) {
    lua_pushnil(L);
  }
  tls_error_clear();
  return 1;
}

static int print_pubkey(BIO *out, const X509 *cert)
{
  const EVP_PKEY *key = X509_get0_pubkey(cert);
  return key != NULL && PEM_write_bio_PUBKEY(out, key);
}

static const char *keytype(const EVP_PKEY *key)
{
  switch (EVP_PKEY_get_base_id(key)) {
  case EVP_PKEY_RSA: return "RSA";
  case EVP_PKEY_DSA: return "DSA";
  case EVP_PKEY_DH: return "DH";
  case EVP_PKEY_EC: return "EC";
  default: return "Unknown";
  }
}

/* cert:pubkey() -> pem: string, type: "RSA"|"DSA"|"DH"|"EC"|"Unknown", bits: integer | nil
   The public key in PEM, its type (Ed25519 is Unknown, as in LuaSec) and its size in bits. */
static int meth_pubkey(lua_State *L)
{
  pushprinted(L, print_pubkey);
  if (lua_isnil(L, -1)) {
    return 1;
  }
  const EVP_PKEY *key = X509_get0_pubkey(tls_selfcertificate(L)->cert);
  const char *type = keytype(key);
  int bits = EVP_PKEY_get_bits(key);
  lua_pushstring(L, type);
  lua_pushinteger(L, bits);
  return 3;
}

/* cert:setencode(encoding: "ai5"|"utf8") -> known: boolean
   How names are given from now on. Only the beginning counts. */
static int meth_setencode(lua_State *L)
{
  const char *name = luaL_checkstring(L, 2);
  tls_certificate *c = tls_selfcertificate(L);
  bool utf8 = strncmp(name, "utf8", 4) == 0;
  bool known = utf8 || strncmp(name, "ai5", 3) == 0;
  if (known) {
    c->utf8 = utf8;
  }
  lua_pushboolean(L, known);
  return 1;
}

/* ---- serial number, digest, signature, dates as text ------------------------------------------*/

static void tohex(char *out, const unsigned char *p, size_t n, const char *digits)
{
  for (size_t i = 0; i < n; i++) {
    out[2 * i] = digits[p[i] >> 4];
    out[2 * i + 1] = digits[p[i] & 15];
  }
}

/* cert:serial() -> serial: string
   The serial number: upper-case hexadecimal, whole bytes; "0" for zero; "-" in front of a negative one */
static int meth_serial(lua_State *L)
{
  const ASN1_INTEGER *serial = X509_get0_serialNumber(tls_holdcertificate(L));
  const unsigned char *p = ASN1_STRING_get0_data(serial);
  size_t n = (size_t)ASN1_STRING_length(serial);
  size_t sign = ASN1_STRING_type(serial) == V_ASN1_NEG_INTEGER;
  while (n > 0 && *p == 0) {
    p++;
    n--;
  }
  if (n == 0) {
    lua_pushliteral(L, "0");
    return 1;
  }
  char *text = lua_newuserdata(L, sign + 2 * n);
  text[0] = '-';
  tohex(text + sign, p, n, "0123456789ABCDEF");
  lua_pushlstring(L, text, sign + 2 * n);
  return 1;
}

static const EVP_MD *digest_named(const char *name)
{
  if (strcmp(name, "sha1") == 0) {
    return EVP_sha1();
  }
  if (strcmp(name, "sha256") == 0) {
    return EVP_sha256();
  }
  return strcmp(name, "sha512") == 0 ? EVP_sha512() : NULL;
}

/* cert:digest([algorithm: "sha1"|"sha256"|"sha512"]) -> hex: string | nil, message, detail
   The fingerprint in lower-case hexadecimal, by SHA-1 unless told otherwise. X509_digest(3). */
static int meth_digest(lua_State *L)
{
  const char *name = luaL_optstring(L, 2, "sha1");
  const X509 *cert = tls_selfcertificate(L)->cert;
  const EVP_MD *md = digest_named(name);
  unsigned char digest[EVP_MAX_MD_SIZE];
  char text[2 * EVP_MAX_MD_SIZE];
  unsigned len = 0;
  if (md == NULL) {
    return tls_fail_nil(L, tls_refuse(L, "digest algorithm not supported (%s)", name));
  }
  tls_error_clear();
  if (!X509_digest(cert, md, digest, &len)) {
    return tls_fail_nil(L, tls_fail_queue(L, "error processing the certificate", NULL));
  }
  tohex(text, digest, len, "0123456789abcdef");
  lua_pushlstring(L, text, 2 * (size_t)len);
  return 1;
}

/* cert:getsignaturename() -> name: string
   OpenSSL's short name of the signature algorithm, "RSA-SHA256" */
static int meth_getsignaturename(lua_State *L)
{
  int nid = X509_get_signature_nid(tls_selfcertificate(L)->cert);
  lua_pushstring(L, OBJ_nid2sn(nid));
  tls_error_clear();
  return 1;
}

/* For a date that is none it prints "Bad time value" and fails; here that is the answer. */
static int print_notbefore(BIO *out, const X509 *cert)
{
  return ASN1_TIME_print(out, X509_get0_notBefore(cert)) || BIO_pending(out) > 0;
}

static int print_notafter(BIO *out, const X509 *cert)
{
  return ASN1_TIME_print(out, X509_get0_notAfter(cert)) || BIO_pending(out) > 0;
}

/* cert:notbefore() -> date: string
   cert:notafter() -> date: string
   The beginning and the end of the certificate's time as text: "Nov 21 01:46:50 2026 GMT", or "Bad time value". */
static int meth_notbefore(lua_State *L)
{
  return pushprinted(L, print_notbefore);
}

static int meth_notafter(lua_State *L)
{
  return pushprinted(L, print_notafter);
}

/* ---- module -----------------------------------------------------------------------------------*/

static X509 *read_pem(const char *pem, size_t len)
{
  BIO *in = BIO_new_mem_buf(pem, (int)len);
  X509 *cert = in == NULL ? NULL : PEM_read_bio_X509(in, NULL, tls_no_password, NULL);
  BIO_free(in);
  return cert;
}

/* ssl.x509.load(pem: string) -> certificate: ssl.Certificate | nil, message, detail
   Reads the first certificate in the text. ssl.loadcertificate is the same function. */
static int load(lua_State *L)
{
  size_t len;
  const char *pem = luaL_checklstring(L, 1, &len);
  luaL_argcheck(L, len <= INT_MAX, 1, "string too long");
  tls_certificate *c = newcertificate(L);
  tls_error_clear();
  c->cert = read_pem(pem, len);
  if (c->cert == NULL) {
    return tls_fail_nil(L, tls_fail_queue(L, "error loading certificate", NULL));
  }
  tls_error_clear();
  /* Decoded, a certificate takes several times its encoded size. */
  tls_nudge(L, 4 + i2d_X509(c->cert, NULL) / 256);
  return 1;
}

static const luaL_Reg methods[] = {
  {"checkemail", tls_check_email},
  {"checkhost", tls_check_host},
  {"checkip", tls_check_ip},
  {"der", meth_der},
  {"digest", meth_digest},
  {"extensions", tls_names_extensions},
  {"getsignaturename", meth_getsignaturename},
  {"issued", tls_check_issued},
  {"issuer", tls_names_issuer},
  {"notafter", meth_notafter},
  {"notaftertime", tls_check_notaftertime},
  {"notbefore", meth_notbefore},
  {"notbeforetime", tls_check_notbeforetime},
  {"ocspcheck", tls_ocsp_checkcert},
  {"ocsprequest", tls_ocsp_request},
  {"ocspurl", tls_names_ocspurl},
  {"oneline", tls_names_oneline},
  {"pem", meth_pem},
  {"pubkey", meth_pubkey},
  {"serial", meth_serial},
  {"setencode", meth_setencode},
  {"subject", tls_names_subject},
  {"validat", tls_check_validat},
  {NULL, NULL}
};

static const luaL_Reg metamethods[] = {
  {"__close", close_certificate},
  {"__gc", close_certificate},
  {"__tostring", tostring},
  {NULL, NULL}
};

static int adopt(lua_State *L);

/* Once a state; what programs put into the metatable survives a second luaopen. */
static void opentypes(lua_State *L)
{
  tls_rawgetp(L, LUA_REGISTRYINDEX, &adopt_key);
  if (lua_isnil(L, -1)) {
    tls_newtype(L, &tls_certificate_type, methods, metamethods);
    lua_pushcfunction(L, adopt);
    tls_rawsetp(L, LUA_REGISTRYINDEX, &adopt_key);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

/* Makes the object of an X509 given as light userdata. The last step takes it over, so a failure
   leaves it alone. */
static int adopt(lua_State *L)
{
  X509 *cert = lua_touserdata(L, 1);
  opentypes(L);
  newcertificate(L)->cert = cert;
  return 1;
}

void tls_pushcertificate(lua_State *L, X509 *cert)
{
  /* To push a C function allocates in Lua 5.1, unprotected: luaopen_ssl_core has called luaopen_ssl_x509, which keeps it. */
  tls_rawgetp(L, LUA_REGISTRYINDEX, &adopt_key);
  lua_pushlightuserdata(L, cert);
  if (lua_pcall(L, 1, 1, 0) != 0) {
    X509_free(cert);
    lua_error(L);
  }
}

TLS_EXPORT int luaopen_ssl_x509(lua_State *L)
{
  static const luaL_Reg functions[] = {{"load", load}, {"selfsigned", tls_selfsigned}, {NULL, NULL}};
  opentypes(L);
  lua_newtable(L);
  tls_setfuncs(L, functions, 0);
  return 1;
}
