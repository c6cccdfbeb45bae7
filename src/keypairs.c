/*
 * keypairs.c: the setting `keypairs`, several certificates with their keys on one server context, of which the connection
 * uses those that are for the name the client sends. OpenSSL matches the names, and chooses among keys of different types by
 * what the client can do. How the pairs are read is credentials.c's business. No Lua runs here in a handshake.
 */
#include "tls.h"

#include <stdlib.h>
#include <string.h>

#define TYPES_MAX 8 /* kinds of keys among the pairs of one name; OpenSSL has room for one of each */

typedef struct keypair {
  X509 *leaf;
  EVP_PKEY *key;
  STACK_OF(X509) *chain; /* NULL when there are no intermediates */
} keypair;

/* They belong to the SSL_CTX: connections go on when the context of Lua's is closed. */
typedef struct keypairs {
  int n;
  bool inorder; /* the first that is for the name is the only one */
  keypair *list;
} keypairs;

/* The pairs that one connection may use. */
typedef struct choice {
  int n;
  const keypair *pair[TYPES_MAX];
} choice;

static int ex_index = -1;
static CRYPTO_ONCE ex_once = CRYPTO_ONCE_STATIC_INIT;

static void free_pairs(keypairs *all)
{
  if (all == NULL) {
    return;
  }
  for (int i = 0; i < all->n; i++) {
    X509_free(all->list[i].leaf);
    EVP_PKEY_free(all->list[i].key);
    sk_X509_pop_free(all->list[i].chain, X509_free);
  }
  free(all->list);
  free(all);
}

static void on_free(void *parent, void *p, CRYPTO_EX_DATA *data, int index, long argl, void *argp)
{
  (void)parent;
  (void)data;
  (void)index;
  (void)argl;
  (void)argp;
  free_pairs(p);
}

static void make_index(void)
{
  ex_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, on_free);
}

static keypairs *pairs_of(SSL_CTX *ctx)
{
  CRYPTO_THREAD_run_once(&ex_once, make_index);
  return ex_index >= 0 ? SSL_CTX_get_ex_data(ctx, ex_index) : NULL;
}

/* ---- choosing ---- */

static bool has_type(const choice *chosen, const keypair *pair)
{
  for (int i = 0; i < chosen->n; i++) {
    if (EVP_PKEY_get_base_id(chosen->pair[i]->key) == EVP_PKEY_get_base_id(pair->key)) {
      return true;
    }
  }
  return chosen->n == TYPES_MAX;
}

static bool is_for(const keypair *pair, const char *name, size_t n, unsigned flags)
{
  return X509_check_host(pair->leaf, name, n, flags, NULL) == 1;
}

/* The pairs whose certificate is for the name, the first of each type of key; those that have the very name, if there are any,
   go before those with a wildcard. In order, the first pair alone, wildcard or not. A leading dot would mean any subdomain to OpenSSL, and of an empty name it would look for
   the end by itself. */
static void match(const keypairs *all, const char *name, size_t n, choice *chosen)
{
  choice exact = {0, {NULL}}, wild = {0, {NULL}};
  for (int i = 0; n > 0 && *name != '.' && i < all->n; i++) {
    const keypair *pair = &all->list[i];
    if (has_type(&exact, pair) || !is_for(pair, name, n, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS)) {
      continue;
    }
    if (all->inorder || is_for(pair, name, n, X509_CHECK_FLAG_NO_WILDCARDS)) {
      exact.pair[exact.n++] = pair;
      if (all->inorder) {
        break;
      }
    } else if (!has_type(&wild, pair)) {
      wild.pair[wild.n++] = pair;
    }
  }
  *chosen = exact.n > 0 ? exact : wild;
  tls_error_clear();
}

enum tls_keypairs tls_keypairs_choose(SSL *ssl, const char *name, size_t n)
{
  const keypairs *all = pairs_of(SSL_get_SSL_CTX(ssl));
  choice chosen = {0, {NULL}};
  if (all == NULL || name == NULL) {
    return TLS_KEYPAIRS_NONE;
  }
  match(all, name, n > 1 && name[n - 1] == '.' ? n - 1 : n, &chosen);
  if (chosen.n == 0) {
    return TLS_KEYPAIRS_NONE;
  }
  SSL_certs_clear(ssl);
  for (int i = 0; i < chosen.n; i++) {
    const keypair *pair = chosen.pair[i];
    if (SSL_use_cert_and_key(ssl, pair->leaf, pair->key, pair->chain, 1) != 1) {
      return TLS_KEYPAIRS_FAILED;
    }
  }
  return TLS_KEYPAIRS_CHOSEN;
}

X509 *tls_keypairs_leaf(SSL_CTX *ctx, int i)
{
  const keypairs *all = pairs_of(ctx);
  return all != NULL && i >= 1 && i <= all->n ? all->list[i - 1].leaf : NULL;
}

int tls_keypairs_index(const SSL *ssl)
{
  const keypairs *all = pairs_of(SSL_get_SSL_CTX(ssl));
  const X509 *leaf = SSL_get_certificate(ssl);
  for (int i = 0; all != NULL && leaf != NULL && i < all->n; i++) {
    if (all->list[i].leaf == leaf) {
      return i + 1;
    }
  }
  return 0;
}

/* ---- adding ---- */

/* A higher security level than the one it was read under may refuse it. */
static bool usable(SSL_CTX *ctx, const keypair *pair)
{
  SSL *ssl = SSL_new(ctx);
  bool ok = ssl != NULL && SSL_use_cert_and_key(ssl, pair->leaf, pair->key, pair->chain, 1) == 1;
  SSL_free(ssl);
  return ok;
}

static bool append(SSL_CTX *ctx, const keypair *pair)
{
  keypairs *all = pairs_of(ctx);
  if (all == NULL) {
    all = calloc(1, sizeof *all);
    if (all == NULL || ex_index < 0 || SSL_CTX_set_ex_data(ctx, ex_index, all) != 1) {
      free(all);
      return false;
    }
  }
  keypair *list = realloc(all->list, sizeof *list * ((size_t)all->n + 1));
  if (list == NULL) {
    return false;
  }
  all->list = list;
  keypair *mine = &list[all->n];
  *mine = (keypair){pair->leaf, pair->key, NULL};
  if (pair->chain != NULL && (mine->chain = X509_chain_up_ref(pair->chain)) == NULL) {
    return false;
  }
  X509_up_ref(mine->leaf);
  EVP_PKEY_up_ref(mine->key);
  all->n++;
  return true;
}

/* addpair(ctx, from): adds the certificate, key and chain of another context, which may be thrown away then.
   SSL_use_cert_and_key(3). */
static int addpair(lua_State *L)
{
  tls_context *ctx = tls_checkcontext(L, 1);
  const tls_context *from = tls_checkcontext(L, 2);
  keypair pair = {SSL_CTX_get0_certificate(from->ctx), SSL_CTX_get0_privatekey(from->ctx), NULL};
  tls_error_clear();
  if (pair.leaf == NULL || pair.key == NULL) {
    return tls_refuse(L, "a key pair needs both a certificate and a key");
  }
  SSL_CTX_get0_chain_certs(from->ctx, &pair.chain);
  if (!usable(ctx->ctx, &pair)) {
    return tls_fail_queue(L, "error loading certificate", NULL);
  }
  if (!append(ctx->ctx, &pair)) {
    return tls_fail_text(L, "error loading certificate", "not enough memory");
  }
  ctx->byname = true;
  return tls_answer(L, 1, NULL);
}

/* The first DNS name of a certificate, a reference for the caller; NULL when it has none. */
static ASN1_STRING *first_name(X509 *leaf)
{
  ASN1_STRING *found = NULL;
  GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
  for (int i = 0; found == NULL && i < sk_GENERAL_NAME_num(names); i++) {
    const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
    if (name->type == GEN_DNS) {
      found = ASN1_STRING_dup(name->d.dNSName);
    }
  }
  GENERAL_NAMES_free(names);
  return found;
}

/* The first pair, and those of other types of key for its first name. A name with a NUL finds nobody. */
static void choose_default(const keypairs *all, choice *chosen)
{
  ASN1_STRING *name = first_name(all->list[0].leaf);
  if (name != NULL) {
    match(all, (const char *)ASN1_STRING_get0_data(name), (size_t)ASN1_STRING_length(name), chosen);
  }
  ASN1_STRING_free(name);
  if (chosen->n == 0 || chosen->pair[0] != &all->list[0]) {
    *chosen = (choice){1, {&all->list[0]}};
  }
}

/* defaultpair(ctx): clients that ask for no name of a pair's get the first pair, where the context has no certificate. */
static int defaultpair(lua_State *L)
{
  tls_context *ctx = tls_checkcontext(L, 1);
  const keypairs *all = pairs_of(ctx->ctx);
  choice chosen = {0, {NULL}};
  bool ok = true;
  tls_error_clear();
  if (all != NULL && SSL_CTX_get0_certificate(ctx->ctx) == NULL) {
    choose_default(all, &chosen);
    tls_error_clear();
    for (int i = 0; ok && i < chosen.n; i++) {
      const keypair *pair = chosen.pair[i];
      ok = SSL_CTX_use_cert_and_key(ctx->ctx, pair->leaf, pair->key, pair->chain, 1) == 1;
    }
  }
  return tls_answer(L, ok, "error loading certificate");
}

/* pairsinorder(ctx): of the pairs there are, clients get the first whose certificate is for their name, whatever its key and
   whether by a wildcard or not. libtls chooses so. */
static int pairsinorder(lua_State *L)
{
  keypairs *all = pairs_of(tls_checkcontext(L, 1)->ctx);
  if (all != NULL) {
    all->inorder = true;
  }
  return tls_answer(L, 1, NULL);
}

const luaL_Reg tls_keypairs_functions[] = {
  {"addpair", addpair},
  {"defaultpair", defaultpair},
  {"pairsinorder", pairsinorder},
  {NULL, NULL},
};
