/*
 * ocsp.h: what ocsp.c (the setting, and clients), staple.c (servers) and ocsp_check.c (reading and judging OCSP responses)
 * share. Nothing else includes it.
 */
#ifndef TLS_OCSP_H
#define TLS_OCSP_H

#include "tls.h"

#include <openssl/ocsp.h>

/* What an OCSP response is worth to the one who asked about a certificate. */
enum tls_ocsp_verdict {
  TLS_OCSP_UNCHECKED,
  TLS_OCSP_GOOD,
  TLS_OCSP_REVOKED,
  TLS_OCSP_UNKNOWN,
  TLS_OCSP_MISSING,   /* there is none */
  TLS_OCSP_UNREADABLE,
  TLS_OCSP_REFUSED,   /* the responder gave an error instead of an answer */
  TLS_OCSP_FOREIGN,   /* it is about another certificate */
  TLS_OCSP_NO_ISSUER, /* it cannot be checked without the issuer */
  TLS_OCSP_UNSIGNED,  /* not by the issuer, nor by one that it has delegated */
  TLS_OCSP_EARLY,
  TLS_OCSP_STALE
};

#define TLS_OCSP_NEVER INT64_MIN

/* What a response says, by value: nothing of OpenSSL's has to be freed after it. Times in seconds since 1970. */
typedef struct tls_ocsp_facts {
  enum tls_ocsp_verdict verdict;
  int response; /* OCSP_RESPONSE_STATUS_*, -1: unreadable */
  int status;   /* V_OCSP_CERTSTATUS_*, -1: it says nothing about the certificate */
  int reason;   /* OCSP_REVOKED_STATUS_*, -1: none given */
  int64_t thisupdate, nextupdate, revocationtime; /* TLS_OCSP_NEVER: not given */
} tls_ocsp_facts;

/* The basic response in DER, NULL (and nothing in OpenSSL's queue) when there is none; `response` as in the facts. */
OCSP_BASICRESP *tls_ocsp_parse(const unsigned char *der, size_t n, int *response);
/* What a basic response says about a certificate; with an issuer its key counts too. NULL: nothing. */
OCSP_SINGLERESP *tls_ocsp_find(OCSP_BASICRESP *basic, X509 *cert, X509 *issuer);
/* Reads a response and, unless `level` is -1, judges it: the signature, by the issuer and certificates of at least this
   security level; the times; the status. */
void tls_ocsp_examine(tls_ocsp_facts *facts, const unsigned char *der, size_t n, X509 *cert, X509 *issuer, int level);

const char *tls_ocsp_words(enum tls_ocsp_verdict verdict); /* a sentence */
const char *tls_ocsp_hint(enum tls_ocsp_verdict verdict);  /* what to do, or NULL */
int tls_ocsp_code(enum tls_ocsp_verdict verdict);          /* X509_V_ERR_*, X509_V_OK for a good one */
void tls_ocsp_push(lua_State *L, const tls_ocsp_facts *facts, const unsigned char *der, size_t n); /* the table */

/* ---- staple.c ---- */

typedef struct tls_staple tls_staple; /* a response in a chain of them */

void tls_staple_free(tls_staple *list);
/* A chain of the strings at index 3 on. NULL: a refusal (false, message, detail) was pushed, unless there are none. */
tls_staple *tls_staple_make(lua_State *L, const tls_context *ctx);
/* The status callback of a server: the response that goes with the certificate that is about to be sent. */
int tls_staple_give(SSL *ssl);

/* ---- ocsp.c ---- */

tls_staple *tls_ocsp_staples(const SSL_CTX *ctx); /* those of a context, NULL when there are none */

#endif
