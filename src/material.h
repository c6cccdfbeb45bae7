/*
 * material.h: keys, certificates and revocation lists as they come from a source; what credentials.c, trust.c,
 * session.c and x509.c share.
 */
#ifndef TLS_MATERIAL_H
#define TLS_MATERIAL_H

#include "tls.h"

enum tls_source_kind {
  TLS_SOURCE_FILE,  /* text is a path */
  TLS_SOURCE_PEM,   /* text is the PEM itself */
  TLS_SOURCE_DATA,  /* text is the bytes of PKCS#12 */
  TLS_SOURCE_STORE  /* text is a URI for OSSL_STORE */
};

/* The text belongs to Lua, and lives as long as its value stays on the stack. */
typedef struct tls_source {
  enum tls_source_kind kind;
  const char *text;
  size_t n;
  const char *name; /* what messages call it; NULL for text in memory */
} tls_source;

typedef struct tls_material {
  EVP_PKEY *key;
  X509 *leaf;
  STACK_OF(X509) *rest; /* what is sent after the leaf, in its order */
  const char *why;      /* why reading failed, static text; NULL: OpenSSL's queue says */
} tls_material;

void tls_material_free(tls_material *m);

/* The string at a stack index: text that begins with "-----BEGIN" (white space may come first) is PEM, "store:URI" is a
   store, all else is a path. Raises when it is no string. Returns what is wrong with it, static text, or NULL. */
const char *tls_source_sniff(tls_source *s, lua_State *L, int arg);
/* The same when its kind is known. */
const char *tls_source_take(tls_source *s, lua_State *L, int arg, enum tls_source_kind kind);

/* Each reads into an empty m and answers false on failure, with m->why or OpenSSL's queue. A password is asked for where
   the source needs one; its call must be that of the context's method, as for tls_password_cb. */
bool tls_material_key(const tls_source *s, tls_password *p, tls_material *m);
/* The leaf and its chain; of several in a store the one for `key` is the leaf, when there is one. */
bool tls_material_certificate(const tls_source *s, tls_password *p, const EVP_PKEY *key, tls_material *m);
bool tls_material_pkcs12(const tls_source *s, tls_password *p, tls_material *m);

/* All certificates, all revocation lists of a source, at least one; NULL on failure, with *why or OpenSSL's queue. */
STACK_OF(X509) *tls_material_cas(const tls_source *s, const char **why);
STACK_OF(X509_CRL) *tls_material_crls(const tls_source *s, const char **why);

/* The callback for PEM that has no password: OpenSSL's own would ask at the terminal for that of an encrypted block. */
int tls_no_password(char *buf, int size, int rwflag, void *arg);

/* ---- pemfile.c */

/* True, and an error in OpenSSL's queue, when reading stopped at an error of the system and not at the end. */
bool tls_pem_cut(BIO *bio);
/* Adds what a file of certificates and lists has to a store, all of it; false, with OpenSSL's queue. */
bool tls_pem_trust(X509_STORE *store, const char *path);

#endif
