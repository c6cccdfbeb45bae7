/*
 * ocsp_check.c: what an OCSP response says about a certificate and whether that can be believed; the request for one. Where
 * responses come from is not known here: a handshake brings them to ocsp.c, a program by HTTP.
 */
#include "ocsp.h"
#include "x509.h"

#include <limits.h>
#include <string.h>
#include <time.h>

#define SKEW 300                 /* seconds that two clocks may differ */
#define MAX_AGE (7L * 24 * 3600) /* of a response that does not say when the next one comes */

/* ---- verdicts ---- */

static const struct {
  int code;
  const char *words, *hint;
} verdicts[] = {
  [TLS_OCSP_UNCHECKED] = {X509_V_OK, "the OCSP response was not checked", NULL},
  [TLS_OCSP_GOOD] = {X509_V_OK, "the certificate is not revoked", NULL},
  [TLS_OCSP_REVOKED] = {X509_V_ERR_CERT_REVOKED, "the certificate is revoked, says its CA's OCSP response",
                        "its CA has revoked it: the server needs a new one"},
  [TLS_OCSP_UNKNOWN] = {X509_V_ERR_OCSP_CERT_UNKNOWN, "the OCSP responder does not know the certificate",
                        "was the responder asked that its CA names?"},
  [TLS_OCSP_MISSING] = {X509_V_ERR_OCSP_VERIFY_NEEDED, "the server sent no OCSP response",
                        "the server has to staple one; with ocsp=\"request\" it may be missing, unless the certificate "
                        "itself demands it"},
  [TLS_OCSP_UNREADABLE] = {X509_V_ERR_OCSP_VERIFY_FAILED, "the OCSP response cannot be read", NULL},
  [TLS_OCSP_REFUSED] = {X509_V_ERR_OCSP_VERIFY_FAILED, "the OCSP responder gave an error instead of an answer", NULL},
  [TLS_OCSP_FOREIGN] = {X509_V_ERR_OCSP_VERIFY_FAILED, "the OCSP response is about another certificate",
                        "was it fetched for the certificate in use, and with its issuer?"},
  [TLS_OCSP_NO_ISSUER] = {X509_V_ERR_OCSP_VERIFY_FAILED,
                          "the OCSP response cannot be checked without the certificate's issuer",
                          "name the CA by cafile, or have the peer send its intermediate certificates"},
  [TLS_OCSP_UNSIGNED] = {X509_V_ERR_OCSP_VERIFY_FAILED,
                         "the OCSP response is not signed by the certificate's issuer or a responder that it delegated", NULL},
  [TLS_OCSP_EARLY] = {X509_V_ERR_OCSP_VERIFY_FAILED, "the OCSP response is not valid yet",
                      "is the clock of this machine right?"},
  [TLS_OCSP_STALE] = {X509_V_ERR_OCSP_VERIFY_FAILED, "the OCSP response is out of date",
                      "the server has to fetch a new one, or the clock of this machine is wrong"},
};

const char *tls_ocsp_words(enum tls_ocsp_verdict verdict)
{
  return verdicts[verdict].words;
}

const char *tls_ocsp_hint(enum tls_ocsp_verdict verdict)
{
  return verdicts[verdict].hint;
}

int tls_ocsp_code(enum tls_ocsp_verdict verdict)
{
  return verdicts[verdict].code;
}

/* ---- reading ---- */

OCSP_BASICRESP *tls_ocsp_parse(const unsigned char *der, size_t n, int *response)
{
  const unsigned char *p = der;
  OCSP_BASICRESP *basic = NULL;
  *response = -1;
  OCSP_RESPONSE *r = n <= LONG_MAX ? d2i_OCSP_RESPONSE(NULL, &p, (long)n) : NULL;
  if (r != NULL && p == der + n) {
    *response = OCSP_response_status(r);
    if (*response == OCSP_RESPONSE_STATUS_SUCCESSFUL) {
      basic = OCSP_response_get1_basic(r);
      *response = basic != NULL ? *response : -1;
    }
  }
  OCSP_RESPONSE_free(r);
  tls_error_clear();
  return basic;
}

/* The issuer's name is there in the certificate, its key is not. */
static bool same_name_and_serial(ASN1_OCTET_STRING *name, const EVP_MD *md, ASN1_INTEGER *serial, X509 *cert)
{
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int n = 0;
  return ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(cert)) == 0 &&
         X509_NAME_digest(X509_get_issuer_name(cert), md, digest, &n) == 1 && ASN1_STRING_length(name) == (int)n &&
         memcmp(ASN1_STRING_get0_data(name), digest, n) == 0;
}

static bool is_about(OCSP_SINGLERESP *single, X509 *cert, X509 *issuer)
{
  ASN1_OCTET_STRING *name = NULL;
  ASN1_OBJECT *algorithm = NULL;
  ASN1_INTEGER *serial = NULL;
  OCSP_CERTID *id = (OCSP_CERTID *)OCSP_SINGLERESP_get0_id(single);
  const EVP_MD *md = OCSP_id_get0_info(&name, &algorithm, NULL, &serial, id) == 1 ? EVP_get_digestbyobj(algorithm) : NULL;
  if (md == NULL) {
    return false;
  }
  if (issuer == NULL) {
    return same_name_and_serial(name, md, serial, cert);
  }
  OCSP_CERTID *wanted = OCSP_cert_to_id(md, cert, issuer);
  bool same = wanted != NULL && OCSP_id_cmp(wanted, id) == 0;
  OCSP_CERTID_free(wanted);
  return same;
}

/* Of several answers about one certificate, a revocation counts. */
OCSP_SINGLERESP *tls_ocsp_find(OCSP_BASICRESP *basic, X509 *cert, X509 *issuer)
{
  OCSP_SINGLERESP *found = NULL;
  for (int i = 0; i < OCSP_resp_count(basic); i++) {
    OCSP_SINGLERESP *single = OCSP_resp_get0(basic, i);
    bool revoked = OCSP_single_get0_status(single, NULL, NULL, NULL, NULL) == V_OCSP_CERTSTATUS_REVOKED;
    if ((found == NULL || revoked) && is_about(single, cert, issuer)) {
      found = single;
    }
  }
  tls_error_clear();
  return found;
}

static int64_t seconds_of(const ASN1_GENERALIZEDTIME *t)
{
  int64_t at;
  return t != NULL && tls_epoch(t, &at) ? at : TLS_OCSP_NEVER;
}

static void read_single(tls_ocsp_facts *f, OCSP_SINGLERESP *single)
{
  ASN1_GENERALIZEDTIME *revoked = NULL, *from = NULL, *until = NULL;
  f->status = OCSP_single_get0_status(single, &f->reason, &revoked, &from, &until);
  f->thisupdate = seconds_of(from);
  f->nextupdate = seconds_of(until);
  if (f->status == V_OCSP_CERTSTATUS_REVOKED) {
    f->revocationtime = seconds_of(revoked);
  } else {
    f->reason = -1;
  }
}

/* ---- judging ---- */

/* Signed by the issuer, or by a certificate that the issuer made for signing OCSP responses: RFC 6960 section 4.2.2.2. The
   issuer is all that is trusted for it; whether it deserves that is decided where the chain is verified. */
static bool is_signed(OCSP_BASICRESP *basic, X509 *issuer, int level)
{
  STACK_OF(X509) *signers = sk_X509_new_null();
  X509_STORE *store = X509_STORE_new();
  bool ok = false;
  if (signers != NULL && store != NULL && sk_X509_push(signers, issuer) > 0 && X509_STORE_add_cert(store, issuer) == 1) {
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    X509_VERIFY_PARAM_set_auth_level(X509_STORE_get0_param(store), level);
    ok = OCSP_basic_verify(basic, signers, store, OCSP_NOEXPLICIT) == 1;
  }
  sk_X509_free(signers);
  X509_STORE_free(store);
  tls_error_clear();
  return ok;
}

static enum tls_ocsp_verdict judge_times(const tls_ocsp_facts *f)
{
  int64_t now = (int64_t)time(NULL);
  if (f->thisupdate == TLS_OCSP_NEVER) {
    return TLS_OCSP_UNREADABLE;
  }
  if (f->thisupdate > now + SKEW) {
    return TLS_OCSP_EARLY;
  }
  int64_t last = f->nextupdate != TLS_OCSP_NEVER ? f->nextupdate : f->thisupdate + MAX_AGE;
  return last < now - SKEW ? TLS_OCSP_STALE : TLS_OCSP_GOOD;
}

/* A revocation that was true once is believed after its time too: few are ever taken back. */
static enum tls_ocsp_verdict judge(OCSP_BASICRESP *basic, const tls_ocsp_facts *f, X509 *issuer, int level)
{
  if (f->status < 0) {
    return TLS_OCSP_FOREIGN;
  }
  if (issuer == NULL) {
    return TLS_OCSP_NO_ISSUER;
  }
  if (!is_signed(basic, issuer, level)) {
    return TLS_OCSP_UNSIGNED;
  }
  if (f->status == V_OCSP_CERTSTATUS_REVOKED) {
    return TLS_OCSP_REVOKED;
  }
  enum tls_ocsp_verdict verdict = judge_times(f);
  return verdict == TLS_OCSP_GOOD && f->status != V_OCSP_CERTSTATUS_GOOD ? TLS_OCSP_UNKNOWN : verdict;
}

void tls_ocsp_examine(tls_ocsp_facts *f, const unsigned char *der, size_t n, X509 *cert, X509 *issuer, int level)
{
  *f = (tls_ocsp_facts){TLS_OCSP_UNCHECKED, -1, -1, -1, TLS_OCSP_NEVER, TLS_OCSP_NEVER, TLS_OCSP_NEVER};
  OCSP_BASICRESP *basic = tls_ocsp_parse(der, n, &f->response);
  if (basic == NULL) {
    f->verdict = f->response < 0 ? TLS_OCSP_UNREADABLE : TLS_OCSP_REFUSED;
    return;
  }
  OCSP_SINGLERESP *single = tls_ocsp_find(basic, cert, issuer);
  if (single != NULL) {
    read_single(f, single);
  }
  if (level >= 0) {
    f->verdict = judge(basic, f, issuer, level);
  }
  OCSP_BASICRESP_free(basic);
  tls_error_clear();
}

/* ---- for Lua ---- */

static void set_time(lua_State *L, const char *key, int64_t at)
{
  if (at != TLS_OCSP_NEVER) {
    tls_pushepoch(L, at);
    lua_setfield(L, -2, key);
  }
}

static void set_text(lua_State *L, const char *key, const char *text)
{
  lua_pushstring(L, text);
  lua_setfield(L, -2, key);
}

/* table ssl.OcspStatus
   What an OCSP response says of a certificate; times in seconds since 1970.
   - response: string -- "successful", the responder's error, or "unreadable"
   - status: "good"|"revoked"|"unknown"
   - reason: string -- why it was revoked
   - reasoncode: number -- the same as a number, RFC 5280 section 5.3.1
   - thisupdate: number
   - nextupdate: number
   - revocationtime: number
   - verified: boolean -- it is about the certificate, in its time, and signed for its issuer
   - message: string -- what is wrong with it
   - verdict: string -- the same in a word: "good", "revoked", "unknown", "missing", "unreadable", "refused", "foreign",
     "noissuer", "unsigned", "early", "stale", "unchecked"
   - der: string -- the response itself */
void tls_ocsp_push(lua_State *L, const tls_ocsp_facts *f, const unsigned char *der, size_t n)
{
  static const char *const status[] = {"good", "revoked", "unknown"};
  static const char *const verdict[] = {
    [TLS_OCSP_UNCHECKED] = "unchecked",
    [TLS_OCSP_GOOD] = "good",
    [TLS_OCSP_REVOKED] = "revoked",
    [TLS_OCSP_UNKNOWN] = "unknown",
    [TLS_OCSP_MISSING] = "missing",
    [TLS_OCSP_UNREADABLE] = "unreadable",
    [TLS_OCSP_REFUSED] = "refused",
    [TLS_OCSP_FOREIGN] = "foreign",
    [TLS_OCSP_NO_ISSUER] = "noissuer",
    [TLS_OCSP_UNSIGNED] = "unsigned",
    [TLS_OCSP_EARLY] = "early",
    [TLS_OCSP_STALE] = "stale",
  };
  bool verified = f->verdict == TLS_OCSP_GOOD || f->verdict == TLS_OCSP_REVOKED || f->verdict == TLS_OCSP_UNKNOWN;
  lua_createtable(L, 0, 10);
  set_text(L, "response", f->response < 0 ? "unreadable" : OCSP_response_status_str(f->response));
  if (f->status >= 0) {
    set_text(L, "status", status[f->status]);
  }
  if (f->reason >= 0) {
    set_text(L, "reason", OCSP_crl_reason_str(f->reason));
    lua_pushinteger(L, f->reason);
    lua_setfield(L, -2, "reasoncode");
  }
  set_text(L, "verdict", verdict[f->verdict]);
  set_time(L, "thisupdate", f->thisupdate);
  set_time(L, "nextupdate", f->nextupdate);
  set_time(L, "revocationtime", f->revocationtime);
  lua_pushlstring(L, (const char *)der, n);
  lua_setfield(L, -2, "der");
  lua_pushboolean(L, verified);
  lua_setfield(L, -2, "verified");
  if (!verified) {
    set_text(L, "message", tls_ocsp_words(f->verdict));
  }
}

/* The request in DER, NULL with OpenSSL's queue. The id belongs to the request once it is in it. */
static unsigned char *make_request(X509 *cert, X509 *issuer, int *n)
{
  unsigned char *der = NULL;
  OCSP_REQUEST *request = OCSP_REQUEST_new();
  OCSP_CERTID *id = OCSP_cert_to_id(NULL, cert, issuer);
  if (request != NULL && id != NULL && OCSP_request_add0_id(request, id) != NULL) {
    id = NULL;
    *n = i2d_OCSP_REQUEST(request, &der);
  }
  OCSP_CERTID_free(id);
  OCSP_REQUEST_free(request);
  return *n > 0 ? der : NULL;
}

static void release(void *p)
{
  OPENSSL_free(p);
}

/* cert:ocsprequest(issuer: ssl.Certificate) -> der: string | nil, message, detail
   The DER to POST as application/ocsp-request to cert:ocspurl(), without a nonce. issuer: the certificate of the CA
   that issued cert. OCSP_request_add0_id(3), RFC 6960 appendix A. */
int tls_ocsp_request(lua_State *L)
{
  int n = 0;
  tls_selfcertificate(L);
  tls_checkcertificate(L, 2);
  tls_box *box = tls_newbox(L, release);
  X509 *cert = tls_selfcertificate(L)->cert; /* only now: a finalizer may have closed it */
  X509 *issuer = tls_checkcertificate(L, 2);
  tls_error_clear();
  int issued = X509_check_issued(issuer, cert);
  if (issued != X509_V_OK) {
    tls_error_clear();
    return tls_fail_nil(L, tls_refuse(L, "the certificate was not issued by this issuer (%s)",
                                      X509_verify_cert_error_string(issued)));
  }
  box->p = make_request(cert, issuer, &n);
  if (box->p == NULL) {
    return tls_fail_nil(L, tls_fail_queue(L, "error making OCSP request", NULL));
  }
  lua_pushlstring(L, box->p, (size_t)n);
  tls_emptybox(box);
  tls_error_clear();
  return 1;
}

/* cert:ocspcheck(issuer: ssl.Certificate, der: string) -> status: ssl.OcspStatus
   The table that conn:getocsp() gives, for a responder's answer about cert: believed (its field `verified`) when it
   is signed for the issuer, in its time, and about cert. OCSP_basic_verify(3). */
int tls_ocsp_checkcert(lua_State *L)
{
  size_t n;
  tls_ocsp_facts facts;
  tls_selfcertificate(L);
  tls_checkcertificate(L, 2);
  const unsigned char *der = (const unsigned char *)luaL_checklstring(L, 3, &n); /* of a number it makes a string */
  X509 *cert = tls_selfcertificate(L)->cert;
  X509 *issuer = tls_checkcertificate(L, 2);
  tls_error_clear();
  tls_ocsp_examine(&facts, der, n, cert, issuer, 1);
  tls_ocsp_push(L, &facts, der, n);
  return 1;
}
