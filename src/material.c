/*
 * material.c: reading keys, certificates and revocation lists from any source: a file in PEM or DER, PEM text, PKCS#12, a
 * store of OSSL_STORE's. What a context does with them is in credentials.c and trust.c; nothing here touches a context.
 */
#include "material.h"

#include <ctype.h>
#include <limits.h>
#include <string.h>

#include <openssl/core_dispatch.h>
#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/store.h>
#include <openssl/ui.h>

/* A store may list a whole token or directory. */
#define STORE_MAX 10000
#define PASSWORD_MAX 1024

void tls_material_free(tls_material *m)
{
  EVP_PKEY_free(m->key);
  X509_free(m->leaf);
  sk_X509_pop_free(m->rest, X509_free);
  *m = (tls_material){NULL, NULL, NULL, NULL};
}

/* ---- sources ---- */

const char *tls_source_take(tls_source *s, lua_State *L, int arg, enum tls_source_kind kind)
{
  s->kind = kind;
  s->text = luaL_checklstring(L, arg, &s->n);
  s->name = NULL;
  if (kind == TLS_SOURCE_PEM || kind == TLS_SOURCE_DATA) {
    return s->n > INT_MAX ? "the text is longer than 2 GiB" : NULL;
  }
  /* One that C would cut short names something else. */
  if (strlen(s->text) != s->n) {
    return kind == TLS_SOURCE_FILE ? "the path contains a NUL byte" : "the URI contains a NUL byte";
  }
  s->name = s->text;
  return NULL;
}

const char *tls_source_sniff(tls_source *s, lua_State *L, int arg)
{
  static const char begin[] = "-----BEGIN";
  static const char scheme[] = "store:";
  const char *text = luaL_checkstring(L, arg);
  const char *first = text;
  while (isspace((unsigned char)*first)) {
    first++;
  }
  if (strncmp(first, begin, sizeof begin - 1) == 0) {
    const char *bad = tls_source_take(s, L, arg, TLS_SOURCE_PEM);
    s->n -= (size_t)(first - text); /* a line that begins with a blank is no PEM to OpenSSL */
    s->text = first;
    return bad;
  }
  if (strncmp(text, scheme, sizeof scheme - 1) != 0) {
    return tls_source_take(s, L, arg, TLS_SOURCE_FILE);
  }
  const char *why = tls_source_take(s, L, arg, TLS_SOURCE_STORE);
  s->text += sizeof scheme - 1;
  s->n -= sizeof scheme - 1;
  return why;
}

static BIO *open_source(const tls_source *s)
{
  return s->kind == TLS_SOURCE_FILE ? BIO_new_file(s->text, "rb") : BIO_new_mem_buf(s->text, (int)s->n);
}

/* Goes back to the start of a file in which no PEM was found: is it DER? A SEQUENCE in the long form begins with bytes that
   no text has; a short one must be all there is. */
static bool rewind_der(const tls_source *s, BIO *bio)
{
  unsigned char head[2 + 128];
  if (s->kind != TLS_SOURCE_FILE || BIO_seek(bio, 0) != 0) {
    return false;
  }
  int n = BIO_read(bio, head, sizeof head);
  bool der = n >= 2 && head[0] == 0x30 && (head[1] > 0x80 ? head[1] <= 0x84 : n == 2 + head[1]);
  OPENSSL_cleanse(head, sizeof head);
  return der && BIO_seek(bio, 0) == 0;
}

/* What to say of DER that is not what was looked for. */
static const char *not_der(BIO *bio, const char *why)
{
  PKCS12 *p12 = BIO_seek(bio, 0) == 0 ? d2i_PKCS12_bio(bio, NULL) : NULL;
  if (p12 != NULL) {
    why = "the file is PKCS#12: name it in the setting pkcs12";
  }
  PKCS12_free(p12);
  return why;
}

/* ---- certificates and revocation lists ---- */

int tls_no_password(char *buf, int size, int rwflag, void *arg)
{
  (void)buf;
  (void)size;
  (void)rwflag;
  (void)arg;
  return -1;
}

/* Does the last failure mean that there is no more PEM of the kind asked for? The end of the file shows like this too. */
static bool no_start_line(void)
{
  unsigned long code = ERR_peek_last_error();
  return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

static bool pem_ends(BIO *bio)
{
  bool end = !tls_pem_cut(bio) && no_start_line();
  if (end) {
    tls_error_clear();
  }
  return end;
}

/* Adds the certificates that follow in PEM. */
static bool read_certificates(BIO *bio, STACK_OF(X509) *list)
{
  X509 *cert;
  while ((cert = PEM_read_bio_X509_AUX(bio, NULL, tls_no_password, NULL)) != NULL) {
    if (sk_X509_push(list, cert) == 0) {
      X509_free(cert);
      return false;
    }
  }
  return pem_ends(bio);
}

/* OpenSSL reads one value and leaves what follows, which may be the intermediates that somebody expects to be sent. */
static bool ends(BIO *bio)
{
  unsigned char more;
  return BIO_read(bio, &more, 1) <= 0 && !tls_pem_cut(bio);
}

/* The leaf and what follows it. */
static bool read_chain(const tls_source *s, BIO *bio, tls_material *m)
{
  if ((m->rest = sk_X509_new_null()) == NULL) {
    return false;
  }
  m->leaf = PEM_read_bio_X509_AUX(bio, NULL, tls_no_password, NULL);
  if (m->leaf != NULL) {
    return read_certificates(bio, m->rest);
  }
  if (tls_pem_cut(bio) || !no_start_line() || !rewind_der(s, bio)) {
    return false;
  }
  tls_error_clear();
  m->leaf = d2i_X509_bio(bio, NULL);
  if (m->leaf == NULL) {
    m->why = not_der(bio, "the file is neither PEM nor one whole certificate in DER");
  } else if (!ends(bio)) {
    m->why = "the file has more in it than one certificate in DER: use PEM";
  }
  return m->why == NULL;
}

STACK_OF(X509) *tls_material_cas(const tls_source *s, const char **why)
{
  BIO *bio = open_source(s);
  STACK_OF(X509) *list = sk_X509_new_null();
  bool ok = bio != NULL && list != NULL && read_certificates(bio, list);
  *why = ok && sk_X509_num(list) == 0 ? "no certificate in PEM found" : NULL;
  BIO_free(bio);
  if (!ok || *why != NULL) {
    sk_X509_pop_free(list, X509_free);
    list = NULL;
  }
  return list;
}

static bool read_crls(BIO *bio, STACK_OF(X509_CRL) *list)
{
  X509_CRL *crl;
  while ((crl = PEM_read_bio_X509_CRL(bio, NULL, tls_no_password, NULL)) != NULL) {
    if (sk_X509_CRL_push(list, crl) == 0) {
      X509_CRL_free(crl);
      return false;
    }
  }
  return pem_ends(bio);
}

/* Certification authorities publish their lists in DER. */
static bool read_der_crl(BIO *bio, STACK_OF(X509_CRL) *list)
{
  X509_CRL *crl = d2i_X509_CRL_bio(bio, NULL);
  if (crl != NULL && sk_X509_CRL_push(list, crl) == 0) {
    X509_CRL_free(crl);
    crl = NULL;
  }
  return crl != NULL && ends(bio);
}

STACK_OF(X509_CRL) *tls_material_crls(const tls_source *s, const char **why)
{
  BIO *bio = open_source(s);
  STACK_OF(X509_CRL) *list = sk_X509_CRL_new_null();
  bool ok = bio != NULL && list != NULL && read_crls(bio, list);
  *why = NULL;
  if (ok && sk_X509_CRL_num(list) == 0) {
    bool der = rewind_der(s, bio);
    ok = der && read_der_crl(bio, list);
    *why = ok ? NULL : der ? "the file is neither PEM nor one whole revocation list in DER" : "no revocation list found";
  }
  BIO_free(bio);
  if (!ok) {
    sk_X509_CRL_pop_free(list, X509_CRL_free);
    list = NULL;
  }
  return list;
}

/* ---- private keys ---- */

/* PKCS#8, encrypted or not, and the traditional forms. */
static EVP_PKEY *decode_der_key(BIO *bio, tls_password *p)
{
  EVP_PKEY *key = NULL;
  OSSL_DECODER_CTX *d =
    OSSL_DECODER_CTX_new_for_pkey(&key, "DER", NULL, NULL, OSSL_KEYMGMT_SELECT_PRIVATE_KEY, NULL, NULL);
  bool ok = d != NULL && OSSL_DECODER_CTX_set_pem_password_cb(d, tls_password_cb, p) == 1 &&
            OSSL_DECODER_from_bio(d, bio) == 1;
  OSSL_DECODER_CTX_free(d);
  if (!ok) {
    EVP_PKEY_free(key);
    key = NULL;
  }
  return key;
}

/* The password callback is never OpenSSL's own, which would ask on the terminal. */
static bool read_key(const tls_source *s, BIO *bio, tls_password *p, tls_material *m)
{
  m->key = PEM_read_bio_PrivateKey(bio, NULL, tls_password_cb, p);
  if (m->key != NULL || p->asked || !rewind_der(s, bio)) {
    return m->key != NULL;
  }
  tls_error_clear();
  p->whole = true;
  m->key = decode_der_key(bio, p);
  if (m->key == NULL && !p->asked) {
    m->why = not_der(bio, "the file is neither PEM nor a whole private key in DER");
  }
  return m->key != NULL;
}

/* ---- stores ---- */

static bool take(OSSL_STORE_INFO *info, tls_material *m)
{
  X509 *cert;
  switch (OSSL_STORE_INFO_get_type(info)) {
  case OSSL_STORE_INFO_PKEY:
    if (m->key == NULL) {
      m->key = OSSL_STORE_INFO_get1_PKEY(info);
    }
    return m->key != NULL;
  case OSSL_STORE_INFO_CERT:
    cert = OSSL_STORE_INFO_get1_CERT(info);
    if (cert == NULL || sk_X509_push(m->rest, cert) == 0) {
      X509_free(cert);
      return false;
    }
    return true;
  default:
    return true;
  }
}

static bool take_all(OSSL_STORE_CTX *store, tls_material *m)
{
  for (int i = 0; i < STORE_MAX && m->key == NULL && OSSL_STORE_eof(store) == 0; i++) {
    /* NULL is the end, or something that is not what was expected, or a failure: only the queue tells which. */
    OSSL_STORE_INFO *info = OSSL_STORE_load(store);
    bool ok = info == NULL || take(info, m);
    OSSL_STORE_INFO_free(info);
    if (!ok) {
      return false;
    }
  }
  return true;
}

/* OpenSSL tries the URI as a path first; what it says of that is not what is wrong with the URI, unless it was a path. */
static void open_failed(tls_material *m)
{
  unsigned long last = ERR_peek_last_error();
  while (ERR_peek_error() != last && (ERR_SYSTEM_ERROR(last) || ERR_SYSTEM_ERROR(ERR_peek_error()))) {
    ERR_get_error();
  }
  if (ERR_GET_LIB(ERR_peek_error()) == ERR_LIB_OSSL_STORE) {
    m->why = "no provider is loaded that knows stores of this kind";
  }
}

/* Takes the first key, or all certificates into m->rest. */
static bool read_store(const tls_source *s, tls_password *p, int what, tls_material *m)
{
  p->whole = true;
  UI_METHOD *ui = UI_UTIL_wrap_read_pem_callback(tls_password_cb, 0);
  OSSL_STORE_CTX *store = NULL;
  if (ui != NULL && (m->rest = sk_X509_new_null()) != NULL) {
    store = OSSL_STORE_open(s->text, ui, p, NULL, NULL);
    if (store == NULL) {
      open_failed(m);
    }
  }
  bool ok = store != NULL && OSSL_STORE_expect(store, what) == 1 && take_all(store, m);
  /* A store passes over what it cannot decrypt. */
  if (ok && p->asked && m->key == NULL && sk_X509_num(m->rest) == 0) {
    ok = false;
    if (!lua_isnoneornil(p->call.L, p->value)) {
      m->why = "nothing in the store could be decrypted with the password";
    }
  }
  OSSL_STORE_close(store);
  UI_destroy_method(ui);
  if (ok) {
    tls_error_clear();
  }
  return ok;
}

/* Brings what leads from the leaf to its root into order, and drops all else: stores keep no order, and have other
   certificates too. */
static void arrange(const X509 *leaf, STACK_OF(X509) *pool)
{
  X509 *last = (X509 *)leaf;
  int done = 0;
  while (X509_check_issued(last, last) != X509_V_OK) {
    int i = done;
    while (i < sk_X509_num(pool) && X509_check_issued(sk_X509_value(pool, i), last) != X509_V_OK) {
      i++;
    }
    if (i == sk_X509_num(pool)) {
      break;
    }
    last = sk_X509_value(pool, i);
    sk_X509_set(pool, i, sk_X509_value(pool, done));
    sk_X509_set(pool, done++, last);
  }
  while (sk_X509_num(pool) > done) {
    X509_free(sk_X509_pop(pool));
  }
}

/* The one that belongs to the key, else the first. */
static X509 *pick_leaf(STACK_OF(X509) *pool, const EVP_PKEY *key)
{
  int i = 0;
  while (key != NULL && i < sk_X509_num(pool) && EVP_PKEY_eq(X509_get0_pubkey(sk_X509_value(pool, i)), key) != 1) {
    i++;
  }
  return sk_X509_delete(pool, i < sk_X509_num(pool) ? i : 0);
}

static bool store_certificate(const tls_source *s, tls_password *p, const EVP_PKEY *key, tls_material *m)
{
  if (!read_store(s, p, OSSL_STORE_INFO_CERT, m)) {
    return false;
  }
  m->leaf = pick_leaf(m->rest, key);
  tls_error_clear();
  if (m->leaf == NULL) {
    m->why = "no certificate in the store";
    return false;
  }
  arrange(m->leaf, m->rest);
  tls_error_clear();
  return true;
}

static bool store_key(const tls_source *s, tls_password *p, tls_material *m)
{
  if (!read_store(s, p, OSSL_STORE_INFO_PKEY, m)) {
    return false;
  }
  if (m->key == NULL) {
    m->why = "no private key in the store";
  }
  return m->key != NULL;
}

bool tls_material_certificate(const tls_source *s, tls_password *p, const EVP_PKEY *key, tls_material *m)
{
  if (s->kind == TLS_SOURCE_STORE) {
    return store_certificate(s, p, key, m);
  }
  BIO *bio = open_source(s);
  bool ok = bio != NULL && read_chain(s, bio, m);
  BIO_free(bio);
  return ok;
}

bool tls_material_key(const tls_source *s, tls_password *p, tls_material *m)
{
  if (s->kind == TLS_SOURCE_STORE) {
    return store_key(s, p, m);
  }
  BIO *bio = open_source(s);
  bool ok = bio != NULL && read_key(s, bio, p, m);
  BIO_free(bio);
  return ok;
}

/* ---- PKCS#12 ---- */

static PKCS12 *open_pkcs12(const tls_source *s, tls_material *m)
{
  BIO *bio = open_source(s);
  PKCS12 *p12 = bio != NULL ? d2i_PKCS12_bio(bio, NULL) : NULL;
  unsigned long code = ERR_peek_error();
  if (bio != NULL && p12 == NULL && (code == 0 || ERR_GET_LIB(code) == ERR_LIB_ASN1)) {
    m->why = "no PKCS#12, or cut short";
  }
  BIO_free(bio);
  return p12;
}

/* Without any, PKCS#12 is protected by the empty password, of which there are two forms. */
static bool needs_password(PKCS12 *p12)
{
  bool needs = PKCS12_mac_present(p12) != 1 || (PKCS12_verify_mac(p12, NULL, 0) != 1 && PKCS12_verify_mac(p12, "", 0) != 1);
  tls_error_clear();
  return needs;
}

/* Puts the password into buf. OpenSSL ends it at the first NUL, and takes what is left for the password. */
static bool get_password(tls_password *p, char *buf, int size, bool *given, tls_material *m)
{
  int n = tls_password_cb(buf, size, 0, p);
  *given = n >= 0;
  if (n < 0) {
    return p->call.parked == 0;
  }
  if (n == size) {
    m->why = "the password is too long";
    return false;
  }
  buf[n] = '\0';
  if (strlen(buf) != (size_t)n) {
    m->why = "the password contains a NUL byte";
    return false;
  }
  return true;
}

static bool parse_pkcs12(PKCS12 *p12, const char *password, tls_material *m)
{
  if (PKCS12_parse(p12, password, &m->key, &m->leaf, &m->rest) != 1) {
    if (ERR_GET_REASON(ERR_peek_error()) == PKCS12_R_MAC_VERIFY_FAILURE) {
      m->why = password != NULL ? "wrong password" : "it is encrypted and no password was given";
    }
    return false;
  }
  if (m->rest == NULL) {
    m->rest = sk_X509_new_null();
  }
  if (m->key == NULL) {
    m->why = "no private key inside";
  } else if (m->leaf == NULL) {
    m->why = "no certificate inside that belongs to the private key";
  }
  return m->rest != NULL && m->why == NULL;
}

bool tls_material_pkcs12(const tls_source *s, tls_password *p, tls_material *m)
{
  char password[PASSWORD_MAX + 1];
  bool given = false;
  PKCS12 *p12 = open_pkcs12(s, m);
  bool ok = p12 != NULL && (!needs_password(p12) || get_password(p, password, sizeof password, &given, m)) &&
            parse_pkcs12(p12, given ? password : NULL, m);
  OPENSSL_cleanse(password, sizeof password);
  PKCS12_free(p12);
  if (ok) {
    arrange(m->leaf, m->rest);
    tls_error_clear();
  }
  return ok;
}
