/*
 * x509.h: what x509.c (the certificate object), x509_names.c (its names), x509_check.c
 * (questions to it) and ocsp_check.c share. Nothing else includes it; other files make certificate objects with
 * tls_pushcertificate.
 */
#ifndef TLS_X509_H
#define TLS_X509_H

#include "tls.h"

typedef struct tls_certificate {
  X509 *cert; /* NULL once closed */
  bool utf8;  /* setencode: names as UTF-8 instead of the bytes they are stored in */
} tls_certificate;

/* The certificate at argument 1 of a method. Raises when it is none or closed. */
tls_certificate *tls_selfcertificate(lua_State *L);
/* The same, and pushes a box with a reference of its own. */
X509 *tls_holdcertificate(lua_State *L);

X509 *tls_checkcertificate(lua_State *L, int arg); /* any argument */

/* Seconds since 1970, in C and for Lua; false for a time that is none. */
bool tls_epoch(const ASN1_TIME *t, int64_t *at);
void tls_pushepoch(lua_State *L, int64_t at);

/* Methods in x509_names.c, x509_check.c and ocsp_check.c. */
int tls_names_subject(lua_State *L);
int tls_names_issuer(lua_State *L);
int tls_names_extensions(lua_State *L);
int tls_names_ocspurl(lua_State *L);
int tls_names_oneline(lua_State *L);
int tls_check_host(lua_State *L);
int tls_check_ip(lua_State *L);
int tls_check_email(lua_State *L);
int tls_check_validat(lua_State *L);
int tls_check_notbeforetime(lua_State *L);
int tls_check_notaftertime(lua_State *L);
int tls_check_issued(lua_State *L);
int tls_ocsp_request(lua_State *L);
int tls_ocsp_checkcert(lua_State *L);

#endif
