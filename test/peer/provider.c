/*
 * provider.c: an OpenSSL provider without any algorithm, which says of some that TLS may use them, as the provider of a newer
 * OpenSSL would: what ssl.config shows of them can be tested on any release. Never more than a test's. provider(7).
 */
#include <string.h>

#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/params.h>

static unsigned int ids[] = {65100, 65101, 65102, 0x11ec}, bits = 128, yes = 1, no = 0;
static int none = 0, never = -1, tls1 = 0x0301, tls12 = 0x0303, tls13 = 0x0304;

#define TEXT(key, value) OSSL_PARAM_utf8_string(key, (char *)(value), sizeof(value))

#define GROUP(i, name, internal, kem, min, max) \
  {TEXT(OSSL_CAPABILITY_TLS_GROUP_NAME, name), TEXT(OSSL_CAPABILITY_TLS_GROUP_NAME_INTERNAL, internal), \
   TEXT(OSSL_CAPABILITY_TLS_GROUP_ALG, "NONE"), OSSL_PARAM_uint(OSSL_CAPABILITY_TLS_GROUP_ID, &ids[i]), \
   OSSL_PARAM_uint(OSSL_CAPABILITY_TLS_GROUP_SECURITY_BITS, &bits), \
   OSSL_PARAM_uint(OSSL_CAPABILITY_TLS_GROUP_IS_KEM, kem), OSSL_PARAM_int(OSSL_CAPABILITY_TLS_GROUP_MIN_TLS, min), \
   OSSL_PARAM_int(OSSL_CAPABILITY_TLS_GROUP_MAX_TLS, max), OSSL_PARAM_int(OSSL_CAPABILITY_TLS_GROUP_MIN_DTLS, &never), \
   OSSL_PARAM_int(OSSL_CAPABILITY_TLS_GROUP_MAX_DTLS, &never), OSSL_PARAM_END}

static const OSSL_PARAM groups[][11] = {
  GROUP(0, "testgroup", "testinternal", &no, &tls1, &tls12),
  GROUP(1, "testkem", "testkem", &yes, &tls13, &none),
  GROUP(2, "testnottls", "testnottls", &no, &never, &never),
  GROUP(3, "X25519MLKEM768", "X25519MLKEM768", &yes, &tls13, &none),
};

static const OSSL_PARAM sigalg[] = {TEXT("tls-sigalg-name", "testsig"), OSSL_PARAM_END};

static int capabilities(void *context, const char *what, OSSL_CALLBACK *answer, void *arg)
{
  (void)context;
  if (strcmp(what, "TLS-SIGALG") == 0) {
    return answer(sigalg, arg);
  }
  for (size_t i = 0; strcmp(what, "TLS-GROUP") == 0 && i < sizeof groups / sizeof groups[0]; i++) {
    if (!answer(groups[i], arg)) {
      return 0;
    }
  }
  return 1;
}

static const OSSL_DISPATCH functions[] = {{OSSL_FUNC_PROVIDER_GET_CAPABILITIES, (void (*)(void))capabilities}, {0, NULL}};

int OSSL_provider_init(const OSSL_CORE_HANDLE *core, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out, void **context)
{
  (void)in;
  *out = functions;
  *context = (void *)core;
  return 1;
}
