/*
 * x509.h: what x509.c (the certificate object), x509_names.c (its names) and x509_check.c
 * (questions to it) share. Nothing else includes it; other files make certificate objects with
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

/* Methods in x509_names.c and x509_check.c. */
int tls_names_subject(lua_State *L);
int tls_names_issuer(lua_State *L);
int tls_names_extensions(lua_State *L);
int tls_names_ocspurl(lua_State *L);
int tls_check_host(lua_State *L);
int tls_check_ip(lua_State *L);
int tls_check_email(lua_State *L);
int tls_check_validat(lua_State *L);
int tls_check_notbeforetime(lua_State *L);
int tls_check_notaftertime(lua_State *L);
int tls_check_issued(lua_State *L);

#endif
