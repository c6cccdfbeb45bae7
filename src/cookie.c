/*
 * cookie.c: return routability: a cookie made for a peer's address, which it can only send back when it receives there. For
 * DTLS (RFC 6347 section 4.2.1) and for programs with protocols of their own on UDP. Nothing is kept for a cookie: it holds
 * the time, and a MAC of time and peer under a secret of the process.
 */
#include "cookie.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#define LIFETIME 60u /* seconds */
#define TIME_BYTES 4
#define TEXT_LENGTH 44 /* of TLS_COOKIE_LENGTH bytes in base64 */

static unsigned char secret[32];
static bool have_secret;
static CRYPTO_ONCE secret_once = CRYPTO_ONCE_STATIC_INIT;

static void make_secret(void)
{
  have_secret = RAND_priv_bytes(secret, (int)sizeof secret) == 1;
}

/* HMAC-SHA-256 of time and peer. EVP_MAC(3). */
static bool sign(const unsigned char *at, const void *peer, size_t n, unsigned char mac[32])
{
  char digest[] = "SHA256";
  const OSSL_PARAM params[] = {
    OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
    OSSL_PARAM_construct_end(),
  };
  size_t length = 0;
  EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
  EVP_MAC_CTX *ctx = hmac != NULL ? EVP_MAC_CTX_new(hmac) : NULL;
  bool ok = ctx != NULL && EVP_MAC_init(ctx, secret, sizeof secret, params) == 1 &&
    EVP_MAC_update(ctx, at, TIME_BYTES) == 1 && EVP_MAC_update(ctx, peer, n) == 1 &&
    EVP_MAC_final(ctx, mac, &length, 32) == 1;
  EVP_MAC_CTX_free(ctx);
  EVP_MAC_free(hmac);
  return ok;
}

/* Of a clock that is never set, so that nobody makes a cookie old or new by setting it. */
static uint32_t seconds(void)
{
  return (uint32_t)tls_now();
}

static bool make_at(uint32_t at, const void *peer, size_t n, unsigned char cookie[TLS_COOKIE_LENGTH])
{
  unsigned char mac[32];
  CRYPTO_THREAD_run_once(&secret_once, make_secret);
  for (int i = 0; i < TIME_BYTES; i++) {
    cookie[i] = (unsigned char)(at >> (8 * (TIME_BYTES - 1 - i)));
  }
  if (!have_secret || !sign(cookie, peer, n, mac)) {
    return false;
  }
  memcpy(cookie + TIME_BYTES, mac, TLS_COOKIE_LENGTH - TIME_BYTES);
  return true;
}

bool tls_cookie_make(const void *peer, size_t n, unsigned char cookie[TLS_COOKIE_LENGTH])
{
  return make_at(seconds(), peer, n, cookie);
}

/* What a cookie with the time of this one has to be; false when that time is over, or with `*failed` when it cannot be made. */
static bool expect(const void *peer, size_t n, const unsigned char *cookie, unsigned char *expected, bool *failed)
{
  uint32_t at = 0;
  for (int i = 0; i < TIME_BYTES; i++) {
    at = at << 8 | cookie[i];
  }
  if (seconds() - at > LIFETIME) {
    return false;
  }
  *failed = !make_at(at, peer, n, expected);
  return !*failed;
}

bool tls_cookie_check(const void *peer, size_t n, const unsigned char *cookie, size_t length, bool *failed)
{
  unsigned char expected[TLS_COOKIE_LENGTH];
  *failed = false;
  return length == TLS_COOKIE_LENGTH && expect(peer, n, cookie, expected, failed) &&
         CRYPTO_memcmp(expected, cookie, TLS_COOKIE_LENGTH) == 0;
}

/* ssl.cookie(peerid: string) -> cookie: string | nil, message, detail
   44 letters of base64 for a peer, told apart by any string such as its address and port. It is good for a minute, in
   this process. A failure when there is no randomness. */
int tls_cookie(lua_State *L)
{
  size_t n;
  const char *peer = luaL_checklstring(L, 1, &n);
  unsigned char cookie[TLS_COOKIE_LENGTH], text[TEXT_LENGTH + 1];
  tls_error_clear();
  if (!tls_cookie_make(peer, n, cookie)) {
    return tls_fail_nil(L, tls_fail_queue(L, "error making a cookie", NULL));
  }
  EVP_EncodeBlock(text, cookie, TLS_COOKIE_LENGTH);
  lua_pushlstring(L, (const char *)text, TEXT_LENGTH);
  return 1;
}

/* ssl.checkcookie(peerid: string, cookie: string) -> boolean | false, message, detail
   Was the cookie made for this peer, by this process, in the last minute? false for anything else. A failure when memory
   is too short to tell. */
int tls_checkcookie(lua_State *L)
{
  size_t n, length;
  const char *peer = luaL_checklstring(L, 1, &n);
  const char *text = luaL_checklstring(L, 2, &length);
  unsigned char cookie[TEXT_LENGTH], again[TEXT_LENGTH + 1];
  bool good = false, failed = false;
  tls_error_clear();
  if (length == TEXT_LENGTH && EVP_DecodeBlock(cookie, (const unsigned char *)text, TEXT_LENGTH) > 0) {
    EVP_EncodeBlock(again, cookie, TLS_COOKIE_LENGTH); /* there are other letters for the same bytes */
    good = memcmp(again, text, TEXT_LENGTH) == 0 && tls_cookie_check(peer, n, cookie, TLS_COOKIE_LENGTH, &failed);
  }
  if (failed) {
    return tls_fail_queue(L, "error checking a cookie", NULL);
  }
  tls_error_clear();
  lua_pushboolean(L, good);
  return 1;
}
