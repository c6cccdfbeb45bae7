/*
 * reload.c: a context's certificates and keys replaced while connections run: the new ones are loaded into another context
 * first, and move over together or not at all. Loading is credentials.c's; what reload takes is in lua/ssl/reload.lua.
 */
#include "live.h"

/* One certificate of a context, its key and what is sent along; all of them the context's. */
typedef struct pair {
  X509 *leaf;
  EVP_PKEY *key;
  STACK_OF(X509) *chain;
} pair;

/* Moves to the first or next certificate that has a key. SSL_CTX_set_current_cert(3). */
static bool find_pair(SSL_CTX *ctx, long where, pair *p)
{
  if (SSL_CTX_set_current_cert(ctx, where) != 1) {
    return false;
  }
  p->leaf = SSL_CTX_get0_certificate(ctx);
  p->key = SSL_CTX_get0_privatekey(ctx);
  p->chain = NULL;
  SSL_CTX_get0_chain_certs(ctx, &p->chain);
  return true;
}

/* All pairs of one context, into another one, or into a connection of it where nothing is lost by a failure. */
static bool put_pairs(SSL_CTX *from, SSL_CTX *ctx, SSL *ssl)
{
  pair p;
  bool ok = true;
  for (long where = SSL_CERT_SET_FIRST; ok && find_pair(from, where, &p); where = SSL_CERT_SET_NEXT) {
    ok = ssl != NULL ? SSL_use_cert_and_key(ssl, p.leaf, p.key, p.chain, 1) == 1
                     : SSL_CTX_use_cert_and_key(ctx, p.leaf, p.key, p.chain, 1) == 1;
  }
  return ok;
}

/* preparereload(ctx, fresh): makes `fresh`, a new context, judge certificates as ctx does. SSL_CTX_set_security_level(3). */
static int preparereload(lua_State *L)
{
  const tls_context *ctx = tls_checkcontext(L, 1);
  const tls_context *fresh = tls_checkcontext(L, 2);
  SSL_CTX_set_security_level(fresh->ctx, SSL_CTX_get_security_level(ctx->ctx));
  return tls_answer(L, 1, NULL);
}

/* takeover(ctx, fresh): every certificate of `fresh`, with its key and chain, in place of the one of the same key type; true,
   or false, message, detail, and ctx is what it was. Connections that exist keep theirs. SSL_CTX_use_cert_and_key(3). */
static int takeover(lua_State *L)
{
  const tls_context *ctx = tls_checkobject(L, 1, &tls_context_type);
  const tls_context *fresh = tls_checkcontext(L, 2);
  if (ctx->ctx == NULL) {
    return tls_refuse(L, "the context was closed while its certificate was loaded");
  }
  tls_error_clear();
  SSL *trial = SSL_new(ctx->ctx);
  bool ok = trial != NULL && put_pairs(fresh->ctx, NULL, trial) && put_pairs(fresh->ctx, ctx->ctx, NULL);
  SSL_free(trial);
  return tls_answer(L, ok, "error replacing certificate");
}

/* setmethod(name, f): gives every context a method. Returns nothing. */
static int setmethod(lua_State *L)
{
  return tls_setmethod(L, &tls_context_type);
}

const luaL_Reg tls_reload_functions[] = {
  {"preparereload", preparereload},
  {"takeover", takeover},
  {"setmethod", setmethod},
  {NULL, NULL},
};
