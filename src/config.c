/*
 * config.c: ssl.config: what this build of the library and the OpenSSL it runs on can do, as
 * plain tables. Nothing is configured here.
 */
#include "tls.h"

#include <string.h>

#include <openssl/ec.h>
#include <openssl/obj_mac.h>
#include <openssl/objects.h>

/* Far more than OpenSSL has; a release with even more would show the first ones. */
#define MAX_CURVES 256

/* Names beside OpenSSL's short names of its curves. */
static const struct {
  const char *name;
  int nid;
} more_curves[] = {
  {"P-256", NID_X9_62_prime256v1}, {"P-384", NID_secp384r1}, {"P-521", NID_secp521r1},
  {"X25519", NID_X25519},          {"X448", NID_X448}
};

#define MORE_CURVES (sizeof more_curves / sizeof more_curves[0])

static size_t builtin_curves(EC_builtin_curve *curves)
{
  size_t count = EC_get_builtin_curves(curves, MAX_CURVES);
  return count < MAX_CURVES ? count : MAX_CURVES;
}

int tls_curve_nid(const char *name)
{
  EC_builtin_curve curves[MAX_CURVES];
  for (size_t i = 0; i < MORE_CURVES; i++) {
    if (strcmp(more_curves[i].name, name) == 0) {
      return more_curves[i].nid;
    }
  }
  size_t count = builtin_curves(curves);
  for (size_t i = 0; i < count; i++) {
    const char *known = OBJ_nid2sn(curves[i].nid);
    if (known != NULL && strcmp(known, name) == 0) {
      return curves[i].nid;
    }
  }
  return NID_undef;
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
    set_true(L, option->name);
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

static void push_capabilities(lua_State *L)
{
  lua_newtable(L);
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
    set_true(L, more_curves[i].name);
  }
}

/* require "ssl.config" -> { options=, protocols=, algorithms=, capabilities=, curves= }, each a set
   of names */
TLS_EXPORT int luaopen_ssl_config(lua_State *L)
{
  lua_newtable(L);
  push_options(L);
  lua_setfield(L, -2, "options");
  push_protocols(L);
  lua_setfield(L, -2, "protocols");
  push_algorithms(L);
  lua_setfield(L, -2, "algorithms");
  push_capabilities(L);
  lua_setfield(L, -2, "capabilities");
  push_curves(L);
  lua_setfield(L, -2, "curves");
  tls_error_clear();
  return 1;
}
