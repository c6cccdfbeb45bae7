/*
 * secrets.c: random bytes, and private keys as text without their password. What is in a Lua string can no longer be wiped;
 * the copies that are made on the way are.
 */
#include "borrowed.h"

#include <limits.h>
#include <string.h>

#include <openssl/pem.h>
#include <openssl/rand.h>

#define RANDOM_MAX 1024
#define PASSWORD_MAX 1023 /* OpenSSL cuts longer ones */

/* random(n): n bytes that nobody can guess, at most 1024; nil, message, detail when there are none. RAND_priv_bytes(3). */
static int random_bytes(lua_State *L)
{
  unsigned char bytes[RANDOM_MAX];
  lua_Number n = luaL_checknumber(L, 1);
  luaL_argcheck(L, n >= 0 && n <= RANDOM_MAX, 1, "0 to 1024 bytes expected");
  tls_error_clear();
  if (RAND_priv_bytes(bytes, (int)n) != 1) {
    return tls_fail_nil(L, tls_fail_queue(L, "error making random bytes", NULL));
  }
  lua_pushlstring(L, (const char *)bytes, (size_t)n);
  OPENSSL_cleanse(bytes, sizeof bytes);
  return 1;
}

/* A BIO that wipes what it held. */
static void release(void *p)
{
  BIO_free(p);
}

/* Writes the key of one to the other. */
static bool convert(BIO *in, BIO *out, const char *password)
{
  EVP_PKEY *key = PEM_read_bio_PrivateKey(in, NULL, NULL, (void *)password);
  bool ok = key != NULL && PEM_write_bio_PKCS8PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) == 1;
  EVP_PKEY_free(key);
  return ok;
}

/* decryptkey(pem, password): a private key, encrypted or not, as PKCS#8 in PEM without encryption; nil, message, detail when
   there is none or the password is wrong. PEM_read_bio_PrivateKey(3). */
static int decryptkey(lua_State *L)
{
  size_t n, npassword, size = 0;
  const char *pem = luaL_checklstring(L, 1, &n);
  const char *password = luaL_checklstring(L, 2, &npassword);
  if (strlen(password) != npassword || npassword > PASSWORD_MAX || n > INT_MAX) {
    return tls_fail_nil(L, tls_refuse(L, "invalid password or key (a NUL in it, or too long)"));
  }
  tls_box *box = tls_newbox(L, release);
  tls_error_clear();
  BIO *in = BIO_new_mem_buf(pem, (int)n);
  BIO *out = box->p = BIO_new(BIO_s_secmem());
  bool ok = in != NULL && out != NULL && convert(in, out, password);
  BIO_free(in);
  if (!ok) {
    return tls_fail_nil(L, tls_fail_queue(L, "error loading private key", NULL));
  }
  char *text = NULL;
  size = (size_t)BIO_get_mem_data(out, &text);
  lua_pushlstring(L, text, size);
  tls_emptybox(box);
  tls_error_clear();
  return 1;
}

const luaL_Reg tls_secrets_functions[] = {
  {"random", random_bytes},
  {"decryptkey", decryptkey},
  {NULL, NULL},
};
