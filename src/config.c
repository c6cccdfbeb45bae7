/*
 * config.c: ssl.config: what this build of the library and the OpenSSL it runs on can do, as
 * plain tables. Nothing is configured here.
 */
#include "tls.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/obj_mac.h>
#include <openssl/objects.h>

/* Far more than OpenSSL has; a release with even more would show the first ones. */
#define MAX_CURVES 256

/* Names beside OpenSSL's short names of its curves. */
static const char *const more_curves[] = {"P-256", "P-384", "P-521", "X25519", "X448"};

#define MORE_CURVES (sizeof more_curves / sizeof more_curves[0])

static size_t builtin_curves(EC_builtin_curve *curves)
{
  size_t count = EC_get_builtin_curves(curves, MAX_CURVES);
  return count < MAX_CURVES ? count : MAX_CURVES;
}

bool tls_curve_known(const char *name)
{
  EC_builtin_curve curves[MAX_CURVES];
  for (size_t i = 0; i < MORE_CURVES; i++) {
    if (strcmp(more_curves[i], name) == 0) {
      return true;
    }
  }
  size_t count = builtin_curves(curves);
  for (size_t i = 0; i < count; i++) {
    const char *known = OBJ_nid2sn(curves[i].nid);
    if (known != NULL && strcmp(known, name) == 0) {
      return true;
    }
  }
  return tls_group_kem(name);
}

bool tls_has_release(unsigned long release)
{
  return OpenSSL_version_num() >= release;
}

int tls_refuse_release(lua_State *L, const char *name, unsigned long release)
{
  return tls_refuse(L, "%s is not supported by OpenSSL %s (needs %d.%d)", name, OpenSSL_version(OPENSSL_VERSION_STRING),
                    (int)(release >> 28), (int)(release >> 20 & 0xff));
}

static void set_true(lua_State *L, const char *key)
{
  lua_pushboolean(L, 1);
  lua_setfield(L, -2, key);
}

static void push_options(lua_State *L)
{
  lua_newtable(L);
  for (const tls_option *option = tls_options; option->name != NULL; option++) {
    if (tls_has_release(option->release)) {
      set_true(L, option->name);
    }
  }
}

/* Not probed: what a system's policy forbids is still a name that settings may hold. */
static void push_protocols(lua_State *L)
{
  lua_newtable(L);
  set_true(L, "tlsv1");
  set_true(L, "tlsv1_1");
  set_true(L, "tlsv1_2");
  set_true(L, "tlsv1_3");
}

static void push_algorithms(lua_State *L)
{
  EC_builtin_curve curve;
  lua_newtable(L);
  if (EC_get_builtin_curves(&curve, 1) > 0) {
    set_true(L, "ec");
  }
}

/* OpenSSL's own signature algorithms by their names in TLS, RFC 8446 section 4.2.3. */
static const char *const sigalgs[] = {
  "ecdsa_secp256r1_sha256", "ecdsa_secp384r1_sha384", "ecdsa_secp521r1_sha512", "ed25519", "ed448", "rsa_pss_rsae_sha256",
  "rsa_pss_rsae_sha384", "rsa_pss_rsae_sha512", "rsa_pss_pss_sha256", "rsa_pss_pss_sha384", "rsa_pss_pss_sha512",
  "rsa_pkcs1_sha256", "rsa_pkcs1_sha384", "rsa_pkcs1_sha512", "rsa_pkcs1_sha224", "rsa_pkcs1_sha1", "ecdsa_sha224",
  "ecdsa_sha1", "ecdsa_brainpoolP256r1tls13_sha256", "ecdsa_brainpoolP384r1tls13_sha384",
  "ecdsa_brainpoolP512r1tls13_sha512"
};

static void release_context(void *ctx)
{
  SSL_CTX_free(ctx);
}

/* Tried one by one: OpenSSL has no list of its own ones. */
static void push_sigalgs(lua_State *L)
{
  tls_box *box = tls_newbox(L, release_context);
  box->p = SSL_CTX_new(TLS_method());
  lua_newtable(L);
  for (size_t i = 0; box->p != NULL && i < sizeof sigalgs / sizeof *sigalgs; i++) {
    if (SSL_CTX_set1_sigalgs_list(box->p, sigalgs[i]) == 1) {
      set_true(L, sigalgs[i]);
    }
  }
  tls_emptybox(box);
  tls_add_sigalgs(L);
  lua_remove(L, -2);
}

/* LuaSec's, and what depends on the OpenSSL that is running. */
static void push_capabilities(lua_State *L)
{
  lua_newtable(L);
  if (tls_group_kem("X25519MLKEM768")) {
    set_true(L, "mlkem");
  }
  set_true(L, "alpn");
  set_true(L, "curves_list");
  set_true(L, "ecdh_auto");
  set_true(L, "psk");
  lua_newtable(L);
  set_true(L, "no_ee_namechecks");
  lua_setfield(L, -2, "dane");
}

static void push_curves(lua_State *L)
{
  EC_builtin_curve curves[MAX_CURVES];
  size_t count = builtin_curves(curves);
  lua_newtable(L);
  for (size_t i = 0; i < count; i++) {
    const char *name = OBJ_nid2sn(curves[i].nid);
    if (name != NULL) {
      set_true(L, name);
    }
  }
  for (size_t i = 0; i < MORE_CURVES; i++) {
    set_true(L, more_curves[i]);
  }
}

static void push_table(lua_State *L, const char *key, void (*push)(lua_State *))
{
  push(L);
  lua_setfield(L, -2, key);
}

/* table ssl.Config
   What this library and the OpenSSL that runs can do; sets of names, each of which is true. Looked up at the first
   require "ssl.config".
   - options: table<string, boolean> -- names for the setting options
   - protocols: table<string, boolean>
   - algorithms: table<string, boolean> -- "ec"
   - capabilities: table<string, boolean|table> -- what LuaSec's has, and "mlkem"
   - curves: table<string, boolean> -- groups by LuaSec's name
   - groups: table<string, ssl.GroupInfo> -- names for the setting groups, OSSL_PROVIDER_get_capabilities(3)
   - sigalgs: table<string, boolean> -- names for the setting sigalgs

   table ssl.GroupInfo
   What a provider tells of a group, provider-base(7).
   - id: integer -- its number in TLS, RFC 8446 section 4.2.7
   - bits: integer -- its security
   - min: string -- the oldest version of the protocol that it is for
   - max: string -- the newest */
TLS_EXPORT int luaopen_ssl_config(lua_State *L)
{
  lua_newtable(L);
  push_table(L, "options", push_options);
  push_table(L, "protocols", push_protocols);
  push_table(L, "algorithms", push_algorithms);
  push_table(L, "capabilities", push_capabilities);
  push_table(L, "sigalgs", push_sigalgs);
  push_curves(L);
  tls_push_groups(L, -1);
  lua_setfield(L, -3, "groups");
  lua_setfield(L, -2, "curves");
  tls_error_clear();
  return 1;
}
