/*
 * groups.c: the key exchange groups and signature algorithms that the loaded providers offer to TLS, asked for at run time,
 * so that those of a newer OpenSSL are there without a change here. Choosing among them is algorithms.c's.
 */
#include "tls.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/provider.h>

/* Far more than OpenSSL has; with even more the first ones are shown. */
#define MAX_GROUPS 256
#define MAX_SIGALGS 128

/* The headers of OpenSSL 3.0 do not have it. provider-base(7) of 3.2. */
#define SIGALG_NAME "tls-sigalg-name"

typedef struct group {
  char name[64], other[64]; /* the name in TLS, and the provider's own, which is as good */
  unsigned int id, bits;
  int min, max; /* TLS versions; 0: no bound, -1: not for TLS */
  bool kem;
} group;

typedef struct group_list {
  int n;
  group at[MAX_GROUPS];
} group_list;

static bool read_string(const OSSL_PARAM params[], const char *key, char *value, size_t size)
{
  const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, key);
  *value = '\0';
  return p != NULL && OSSL_PARAM_get_utf8_string(p, &value, size);
}

/* 0 where the provider does not say. */
static unsigned int read_number(const OSSL_PARAM params[], const char *key)
{
  unsigned int value = 0;
  const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, key);
  return p != NULL && OSSL_PARAM_get_uint(p, &value) ? value : 0;
}

static int read_version(const OSSL_PARAM params[], const char *key)
{
  int value = 0;
  const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, key);
  return p != NULL && OSSL_PARAM_get_int(p, &value) ? value : 0;
}

/* False for what is no group of TLS. */
static bool read_group(group *g, const OSSL_PARAM params[])
{
  bool named = read_string(params, OSSL_CAPABILITY_TLS_GROUP_NAME, g->name, sizeof g->name);
  read_string(params, OSSL_CAPABILITY_TLS_GROUP_NAME_INTERNAL, g->other, sizeof g->other);
  g->id = read_number(params, OSSL_CAPABILITY_TLS_GROUP_ID);
  g->bits = read_number(params, OSSL_CAPABILITY_TLS_GROUP_SECURITY_BITS);
  g->kem = read_number(params, OSSL_CAPABILITY_TLS_GROUP_IS_KEM) != 0;
  g->min = read_version(params, OSSL_CAPABILITY_TLS_GROUP_MIN_TLS);
  g->max = read_version(params, OSSL_CAPABILITY_TLS_GROUP_MAX_TLS);
  return named && g->id != 0 && g->min >= 0 && g->max >= 0;
}

typedef struct search {
  const char *name;
  bool found;
} search;

static int on_wanted(const OSSL_PARAM params[], void *arg)
{
  search *s = arg;
  group g;
  s->found = s->found || (read_group(&g, params) && g.kem && strcmp(g.name, s->name) == 0);
  return 1;
}

static int search_provider(OSSL_PROVIDER *provider, void *arg)
{
  OSSL_PROVIDER_get_capabilities(provider, "TLS-GROUP", on_wanted, arg);
  return 1;
}

bool tls_group_kem(const char *name)
{
  search s = {name, false};
  OSSL_PROVIDER_do_all(NULL, search_provider, &s);
  tls_error_clear();
  return s.found;
}

static int on_group(const OSSL_PARAM params[], void *arg)
{
  group_list *list = arg;
  if (list->n < MAX_GROUPS && read_group(&list->at[list->n], params)) {
    list->n++;
  }
  return 1;
}

/* A provider without groups answers 0, which must not end the walk. */
static int on_provider(OSSL_PROVIDER *provider, void *arg)
{
  OSSL_PROVIDER_get_capabilities(provider, "TLS-GROUP", on_group, arg);
  return 1;
}

/* A version in the words of the setting protocol; nothing where there is no bound. */
static void set_version(lua_State *L, const char *key, int version)
{
  static const char *const names[] = {"tlsv1", "tlsv1_1", "tlsv1_2", "tlsv1_3"};
  if (version >= TLS1_VERSION && version <= TLS1_3_VERSION) {
    lua_pushstring(L, names[version - TLS1_VERSION]);
    lua_setfield(L, -2, key);
  }
}

static void push_group(lua_State *L, const group *g)
{
  lua_createtable(L, 0, 4);
  lua_pushinteger(L, (lua_Integer)g->id);
  lua_setfield(L, -2, "id");
  lua_pushinteger(L, (lua_Integer)g->bits);
  lua_setfield(L, -2, "bits");
  set_version(L, "min", g->min);
  set_version(L, "max", g->max);
}

/* Under both its names, with a table each: programs may change them. The second name may be the first of another group:
   that of brainpoolP256r1tls13 is. */
static void add_group(lua_State *L, const group *g)
{
  push_group(L, g);
  lua_setfield(L, -2, g->name);
  lua_getfield(L, -1, g->other);
  if (*g->other != '\0' && lua_isnil(L, -1)) {
    push_group(L, g);
    lua_setfield(L, -3, g->other);
  }
  lua_pop(L, 1);
}

/* The list is filled first: OpenSSL holds locks while it walks over its providers, and Lua may raise. */
void tls_push_groups(lua_State *L, int curves)
{
  curves = lua_absindex(L, curves);
  group_list *list = lua_newuserdata(L, sizeof *list);
  list->n = 0;
  OSSL_PROVIDER_do_all(NULL, on_provider, list);
  tls_error_clear();
  lua_newtable(L);
  for (int i = 0; i < list->n; i++) {
    add_group(L, &list->at[i]);
    if (list->at[i].kem) {
      lua_pushboolean(L, 1);
      lua_setfield(L, curves, list->at[i].name);
    }
  }
  lua_remove(L, -2);
}

typedef struct name_list {
  int n;
  char at[MAX_SIGALGS][64];
} name_list;

static int on_sigalg(const OSSL_PARAM params[], void *arg)
{
  name_list *list = arg;
  if (list->n < MAX_SIGALGS && read_string(params, SIGALG_NAME, list->at[list->n], sizeof list->at[0])) {
    list->n++;
  }
  return 1;
}

static int sigalgs_of_provider(OSSL_PROVIDER *provider, void *arg)
{
  OSSL_PROVIDER_get_capabilities(provider, "TLS-SIGALG", on_sigalg, arg);
  return 1;
}

void tls_add_sigalgs(lua_State *L)
{
  name_list *list = lua_newuserdata(L, sizeof *list);
  list->n = 0;
  OSSL_PROVIDER_do_all(NULL, sigalgs_of_provider, list);
  tls_error_clear();
  for (int i = 0; i < list->n; i++) {
    lua_pushboolean(L, 1);
    lua_setfield(L, -3, list->at[i]);
  }
  lua_pop(L, 1);
}
