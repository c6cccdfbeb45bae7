/*
 * pemfile.c: files of many PEM blocks, which end where there is no more: for OpenSSL that is also where a read fails, and what
 * was not read is missing without a word. Here such a file is refused.
 */
#include "material.h"

#include <errno.h>
#include <stdio.h>

#include <openssl/err.h>
#include <openssl/pem.h>

/* True, and an error of the system in the queue, when reading has stopped because the system could not go on. ferror(3) */
bool tls_pem_cut(BIO *bio)
{
  FILE *f = NULL;
  int code = errno; /* of the last call that failed, which was the read, or one that OpenSSL made for want of it */
  if (BIO_method_type(bio) != BIO_TYPE_FILE || BIO_get_fp(bio, &f) <= 0 || f == NULL || ferror(f) == 0) {
    return false;
  }
  tls_error_clear();
  ERR_raise(ERR_LIB_SYS, code != 0 ? code : EIO);
  return true;
}

static bool add(X509_STORE *store, STACK_OF(X509_INFO) *list)
{
  int n = 0;
  for (int i = 0; i < sk_X509_INFO_num(list); i++) {
    const X509_INFO *info = sk_X509_INFO_value(list, i);
    if ((info->x509 != NULL && X509_STORE_add_cert(store, info->x509) != 1) ||
        (info->crl != NULL && X509_STORE_add_crl(store, info->crl) != 1)) {
      return false;
    }
    n += info->x509 != NULL || info->crl != NULL;
  }
  if (n == 0) {
    ERR_raise(ERR_LIB_X509, X509_R_NO_CERTIFICATE_OR_CRL_FOUND);
  }
  return n > 0;
}

/* Adds all certificates and lists of a file to a store, as X509_STORE_load_file(3) does; false, with OpenSSL's queue, when there
   is none or the file cannot be read to its end. Encrypted keys in it, which nobody needs, ask for no password. */
bool tls_pem_trust(X509_STORE *store, const char *path)
{
  BIO *bio = BIO_new_file(path, "r");
  STACK_OF(X509_INFO) *list = bio != NULL ? PEM_X509_INFO_read_bio(bio, NULL, NULL, (void *)"") : NULL;
  bool ok = bio != NULL && !tls_pem_cut(bio) && list != NULL && add(store, list);
  sk_X509_INFO_pop_free(list, X509_INFO_free);
  BIO_free(bio);
  return ok;
}
