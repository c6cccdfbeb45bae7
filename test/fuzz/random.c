/*
 * random.c: a provider whose random generator is a counter, scrambled: the same keys and nonces for every input, so that
 * what an input does can be repeated. provider-rand(7), RAND_set_DRBG_type(3).
 */
#include "random.h"

#include <stdint.h>

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/rand.h>

#define NAME "fuzz-random"

static uint64_t counter;
static char instance;

/* ---- the generator: there is one, whatever OpenSSL makes of it ---- */

static void *newctx(void *provctx, void *parent, const OSSL_DISPATCH *calls)
{
  (void)provctx;
  (void)parent;
  (void)calls;
  return &instance;
}

static void freectx(void *ctx)
{
  (void)ctx;
}

static int instantiate(void *ctx, unsigned strength, int resistance, const unsigned char *p, size_t n,
                       const OSSL_PARAM params[])
{
  (void)ctx;
  (void)strength;
  (void)resistance;
  (void)p;
  (void)n;
  (void)params;
  return 1;
}

static int uninstantiate(void *ctx)
{
  (void)ctx;
  return 1;
}

/* Steele and others' SplitMix64, a byte a step. */
static int generate(void *ctx, unsigned char *out, size_t n, unsigned strength, int resistance, const unsigned char *more,
                    size_t nmore)
{
  (void)ctx;
  (void)strength;
  (void)resistance;
  (void)more;
  (void)nmore;
  for (size_t i = 0; i < n; i++) {
    uint64_t z = counter += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    out[i] = (unsigned char)(z >> 56);
  }
  return 1;
}

static int enable_locking(void *ctx)
{
  (void)ctx;
  return 1;
}

static int get_params(void *ctx, OSSL_PARAM params[])
{
  OSSL_PARAM *p;
  (void)ctx;
  if ((p = OSSL_PARAM_locate(params, OSSL_RAND_PARAM_STATE)) != NULL && !OSSL_PARAM_set_int(p, EVP_RAND_STATE_READY)) {
    return 0;
  }
  if ((p = OSSL_PARAM_locate(params, OSSL_RAND_PARAM_STRENGTH)) != NULL && !OSSL_PARAM_set_int(p, 512)) {
    return 0;
  }
  p = OSSL_PARAM_locate(params, OSSL_RAND_PARAM_MAX_REQUEST);
  return p == NULL || OSSL_PARAM_set_size_t(p, INT32_MAX);
}

static const OSSL_PARAM *gettable(void *ctx, void *provctx)
{
  static const OSSL_PARAM known[] = {
    OSSL_PARAM_int(OSSL_RAND_PARAM_STATE, NULL), OSSL_PARAM_uint(OSSL_RAND_PARAM_STRENGTH, NULL),
    OSSL_PARAM_size_t(OSSL_RAND_PARAM_MAX_REQUEST, NULL), OSSL_PARAM_END,
  };
  (void)ctx;
  (void)provctx;
  return known;
}

/* ---- the provider ---- */

static const OSSL_DISPATCH generator[] = {
  {OSSL_FUNC_RAND_NEWCTX, (void (*)(void))newctx},
  {OSSL_FUNC_RAND_FREECTX, (void (*)(void))freectx},
  {OSSL_FUNC_RAND_INSTANTIATE, (void (*)(void))instantiate},
  {OSSL_FUNC_RAND_UNINSTANTIATE, (void (*)(void))uninstantiate},
  {OSSL_FUNC_RAND_GENERATE, (void (*)(void))generate},
  {OSSL_FUNC_RAND_ENABLE_LOCKING, (void (*)(void))enable_locking},
  {OSSL_FUNC_RAND_GETTABLE_CTX_PARAMS, (void (*)(void))gettable},
  {OSSL_FUNC_RAND_GET_CTX_PARAMS, (void (*)(void))get_params},
  {0, NULL},
};

static const OSSL_ALGORITHM *query(void *provctx, int operation, int *no_cache)
{
  static const OSSL_ALGORITHM all[] = {{NAME, "provider=" NAME, generator, "a counter"}, {NULL, NULL, NULL, NULL}};
  (void)provctx;
  *no_cache = 0;
  return operation == OSSL_OP_RAND ? all : NULL;
}

static int start(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out, void **provctx)
{
  static const OSSL_DISPATCH functions[] = {{OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query}, {0, NULL}};
  (void)handle;
  (void)in;
  *out = functions;
  *provctx = &instance;
  return 1;
}

bool fuzz_random_start(void)
{
  static OSSL_PROVIDER *provider; /* kept, so that it does not look lost at the end */
  unsigned char first[8], second[8];
  if (!RAND_set_DRBG_type(NULL, NAME, NULL, NULL, NULL) || !OSSL_PROVIDER_add_builtin(NULL, NAME, start) ||
      (provider = OSSL_PROVIDER_try_load(NULL, NAME, 1)) == NULL) {
    return false;
  }
  fuzz_random_restart();
  bool made = RAND_bytes(first, sizeof first) == 1;
  fuzz_random_restart();
  made = made && RAND_bytes(second, sizeof second) == 1;
  for (size_t i = 0; i < sizeof first; i++) {
    made = made && first[i] == second[i];
  }
  return made;
}

void fuzz_random_restart(void)
{
  counter = 0;
}
