/*
 * ocsp.c: OCSP stapling, RFC 6066 section 8: ctx:setocsp(), what a client makes of the response that comes, and
 * conn:getocsp(). What servers send is in staple.c, what a response is worth is judged in ocsp_check.c.
 */
#include "live.h"
#include "ocsp.h"

#include <string.h>

#include <openssl/err.h>

#define MOST_STAPLES 4000 /* of a context; all of them are on the Lua stack at once */

enum demand { DEMAND_NOTHING, DEMAND_REQUEST, DEMAND_REQUIRE };

/* Hangs on the SSL_CTX, which connections keep alive, and not on the Lua object, which a program may close. */
typedef struct settings {
  enum demand demand; /* of a client */
  tls_staple *staples;   /* of a server */
} settings;

static int ex_index = -1;
static CRYPTO_ONCE ex_once = CRYPTO_ONCE_STATIC_INIT;

/* ---- what hangs on an SSL_CTX ---- */

static void free_settings(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx, long argl, void *argp)
{
  settings *s = ptr;
  (void)parent;
  (void)ad;
  (void)idx;
  (void)argl;
  (void)argp;
  if (s != NULL) {
    tls_staple_free(s->staples);
    OPENSSL_free(s);
  }
}

static void make_index(void)
{
  ex_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_settings);
}

void tls_ocsp_open(void)
{
  CRYPTO_THREAD_run_once(&ex_once, make_index);
}

static settings *find_settings(const SSL_CTX *ctx)
{
  return SSL_CTX_get_ex_data(ctx, ex_index);
}

tls_staple *tls_ocsp_staples(const SSL_CTX *ctx)
{
  const settings *s = find_settings(ctx);
  return s != NULL ? s->staples : NULL;
}

/* NULL when memory is short. */
static settings *need_settings(SSL_CTX *ctx)
{
  settings *s = find_settings(ctx);
  if (s == NULL) {
    s = OPENSSL_zalloc(sizeof *s);
    if (s != NULL && SSL_CTX_set_ex_data(ctx, ex_index, s) != 1) {
      OPENSSL_free(s);
      s = NULL;
    }
  }
  return s;
}

unsigned tls_ocsp_demand(const SSL_CTX *ctx)
{
  const settings *s = find_settings(ctx);
  return s != NULL ? (unsigned)s->demand : DEMAND_NOTHING;
}

/* ---- clients ---- */

static bool signed_by(X509 *cert, X509 *issuer)
{
  EVP_PKEY *key = X509_get0_pubkey(issuer);
  return X509_check_issued(issuer, cert) == X509_V_OK && key != NULL && X509_verify(cert, key) == 1;
}

/* What the peer sent when it was refused: no certificate of the peer's is in the SSL then, though its response may be. */
static STACK_OF(X509) *refused_chain(const SSL *ssl)
{
  const tls_connection *c = tls_connectionof(ssl);
  return c != NULL && c->failed ? tls_verify_refused(c) : NULL;
}

static X509 *leaf_of(const SSL *ssl)
{
  STACK_OF(X509) *refused = refused_chain(ssl);
  return refused != NULL ? sk_X509_value(refused, 0) : SSL_get0_peer_certificate(ssl);
}

/* Above the leaf in the chain that verification has built; or, where that is the leaf alone, among what the peer sent. */
static X509 *issuer_of(const SSL *ssl, X509 *leaf)
{
  STACK_OF(X509) *chain = SSL_get0_verified_chain(ssl);
  if (sk_X509_num(chain) > 1) {
    return sk_X509_value(chain, 1);
  }
  chain = refused_chain(ssl);
  chain = chain != NULL ? chain : SSL_get_peer_cert_chain(ssl);
  for (int i = 0; i < sk_X509_num(chain); i++) {
    if (signed_by(leaf, sk_X509_value(chain, i))) {
      return sk_X509_value(chain, i);
    }
  }
  return NULL;
}

static size_t stapled(SSL *ssl, const unsigned char **der)
{
  long n = SSL_get_tlsext_status_ocsp_resp(ssl, der);
  return n > 0 && *der != NULL ? (size_t)n : 0;
}

/* A response about the peer; the verdict is MISSING when there is none. */
static void examine_bytes(SSL *ssl, tls_ocsp_facts *facts, const unsigned char *der, size_t n, bool judge)
{
  X509 *leaf = leaf_of(ssl);
  *facts = (tls_ocsp_facts){TLS_OCSP_MISSING, -1, -1, -1, TLS_OCSP_NEVER, TLS_OCSP_NEVER, TLS_OCSP_NEVER};
  if (n > 0 && leaf != NULL) {
    tls_ocsp_examine(facts, der, n, leaf, issuer_of(ssl, leaf), judge ? SSL_get_security_level(ssl) : -1);
  }
  tls_error_clear();
}

/* RFC 7633: a certificate may say that it counts only together with a response. */
static bool demands_staple(const X509 *cert)
{
  int there = -1;
  TLS_FEATURE *features = cert != NULL ? X509_get_ext_d2i(cert, NID_tlsfeature, &there, NULL) : NULL;
  bool found = features == NULL && there != -1; /* it cannot be read */
  for (int i = 0; i < sk_ASN1_INTEGER_num(features); i++) {
    found = found || ASN1_INTEGER_get(sk_ASN1_INTEGER_value(features, i)) == TLSEXT_TYPE_status_request;
  }
  TLS_FEATURE_free(features);
  tls_error_clear();
  return found;
}

static bool acceptable(const SSL *ssl, enum tls_ocsp_verdict verdict)
{
  if (verdict == TLS_OCSP_GOOD) {
    return true;
  }
  return verdict != TLS_OCSP_REVOKED && tls_ocsp_demand(SSL_get_SSL_CTX(ssl)) != DEMAND_REQUIRE &&
         !demands_staple(SSL_get0_peer_certificate(ssl));
}

/* With lsec_continue the handshake goes on. Its session could not tell of the refusal, and so is never resumed. */
static int refuse(SSL *ssl, enum tls_ocsp_verdict verdict)
{
  static const unsigned char nobody[] = "refused for its OCSP response";
  tls_connection *c = tls_connectionof(ssl);
  const tls_context *ctx = tls_contextof(ssl);
  if (c != NULL) {
    tls_verify_note(c, tls_ocsp_code(verdict));
  }
  SSL_set_verify_result(ssl, tls_ocsp_code(verdict));
  if (ctx == NULL || (ctx->verifyext & TLS_LSEC_CONTINUE) == 0) {
    return 0;
  }
  return SSL_SESSION_set1_id_context(SSL_get_session(ssl), nobody, sizeof nobody);
}

/* Called when the server's part of the handshake is over, also when nothing came. A resumed session was checked when it was
   made, under the same demand (tls_context_identify), and comes without a response. */
static int check_staple(SSL *ssl)
{
  tls_connection *c = tls_connectionof(ssl);
  const unsigned char *der = NULL;
  tls_ocsp_facts facts;
  if (SSL_session_reused(ssl) && SSL_get0_peer_certificate(ssl) != NULL) {
    return 1;
  }
  size_t n = stapled(ssl, &der);
  examine_bytes(ssl, &facts, der, n, true);
  if (c != NULL) {
    c->ocsp = (unsigned char)facts.verdict;
  }
  return acceptable(ssl, facts.verdict) ? 1 : refuse(ssl, facts.verdict);
}

static bool is_reason(unsigned long code, int reason)
{
  return ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == reason;
}

/* From 3.6 on OpenSSL reads the response itself, before anybody is asked, and the oldest entry is the parser's. */
static enum tls_ocsp_verdict verdict_of(const tls_connection *c, const tls_error *e)
{
  if (is_reason(e->code, SSL_R_INVALID_STATUS_RESPONSE)) {
    return c->ocsp;
  }
  bool parser = e->nstack > 1 && ERR_GET_LIB(e->code) != ERR_LIB_SSL &&
                is_reason(e->stack[e->nstack - 1].code, SSL_R_TLSV1_BAD_CERTIFICATE_STATUS_RESPONSE);
  return parser ? TLS_OCSP_UNREADABLE : TLS_OCSP_UNCHECKED;
}

void tls_ocsp_error(const tls_connection *c, tls_error *e)
{
  enum tls_ocsp_verdict verdict = verdict_of(c, e);
  if (verdict == TLS_OCSP_UNCHECKED || c->ssl == NULL) {
    return;
  }
  const X509 *leaf = SSL_get0_peer_certificate(c->ssl);
  e->kind = TLS_KIND_VERIFY;
  e->text = tls_ocsp_words(verdict);
  e->hint = tls_ocsp_hint(verdict);
  e->verify = tls_ocsp_code(verdict);
  e->depth = 0;
  if (leaf != NULL) {
    X509_NAME_oneline(X509_get_subject_name(leaf), e->subject, sizeof e->subject);
  }
}

/* conn:getocsp() -> status: ssl.OcspStatus | nil | nil, message, detail
   On a client what the server's OCSP response says about its certificate, nil alone when none came, which is so on a
   resumed connection too; "closed" when there is no connection. Answers after a failed handshake too.
   SSL_get_tlsext_status_ocsp_resp(3). */
static int getocsp(lua_State *L)
{
  const tls_connection *c = tls_checkconnection(L, 1);
  const unsigned char *der = NULL;
  tls_ocsp_facts facts;
  tls_box *box = tls_keep_ssl(L, c); /* and with it the response */
  if (box->p == NULL || c->state == TLS_STATE_CLOSED || (c->state == TLS_STATE_NEW && !c->failed)) {
    tls_emptybox(box);
    return tls_fail_closed(L);
  }
  tls_error_clear();
  size_t n = c->server ? 0 : stapled(c->ssl, &der);
  if (n == 0) {
    tls_emptybox(box);
    lua_pushnil(L);
    return 1;
  }
  /* A context of luaossl's has no check of ours. OpenSSL 3.6 frees `der` when it is asked for it again. */
  examine_bytes(c->ssl, &facts, der, n, c->ocsp == TLS_OCSP_UNCHECKED);
  if (c->ocsp != TLS_OCSP_UNCHECKED) {
    facts.verdict = c->ocsp;
  }
  tls_ocsp_push(L, &facts, der, n);
  tls_emptybox(box);
  return 1;
}

/* conn:ocspcheck(der: string) -> status: ssl.OcspStatus | nil | nil, message, detail
   The table that getocsp gives, for a response about the peer's certificate that the program got in another way. nil
   alone when the peer has shown no certificate; "closed" when there is no connection. OCSP_basic_verify(3). */
static int ocspcheck(lua_State *L)
{
  size_t n;
  tls_ocsp_facts facts;
  SSL *ssl = tls_connected(L);
  const unsigned char *der = (const unsigned char *)luaL_checklstring(L, 2, &n);
  if (ssl == NULL) {
    return tls_fail_closed(L);
  }
  tls_error_clear();
  if (SSL_get0_peer_certificate(ssl) == NULL) {
    lua_pushnil(L);
    return 1;
  }
  /* Not even an empty string is a missing response here. */
  examine_bytes(ssl, &facts, der, n, true);
  if (n == 0) {
    facts.verdict = TLS_OCSP_UNREADABLE;
  }
  tls_ocsp_push(L, &facts, der, n);
  return 1;
}

static int status_cb(SSL *ssl, void *arg)
{
  (void)arg;
  return SSL_is_server(ssl) ? tls_staple_give(ssl) : check_staple(ssl);
}

/* ---- the setting ---- */

static int set_demand(lua_State *L, tls_context *ctx, const char *name)
{
  enum demand demand = DEMAND_NOTHING;
  if (name != NULL && strcmp(name, "request") == 0) {
    demand = DEMAND_REQUEST;
  } else if (name != NULL && strcmp(name, "require") == 0) {
    demand = DEMAND_REQUIRE;
  } else if (name != NULL) {
    return tls_refuse(L, "invalid ocsp (request or require expected, got %s)", name);
  }
  settings *s = need_settings(ctx->ctx);
  if (s == NULL) {
    return tls_fail_queue(L, "error setting OCSP", NULL);
  }
  s->demand = demand;
  /* -1 is what OpenSSL itself sets at first. */
  SSL_CTX_set_tlsext_status_type(ctx->ctx, demand != DEMAND_NOTHING ? TLSEXT_STATUSTYPE_ocsp : -1);
  SSL_CTX_set_tlsext_status_cb(ctx->ctx, status_cb);
  return tls_answer(L, 1, NULL);
}

/* Takes the place of all that was set before; the function, or nil, is at index 2. */
static int replace(lua_State *L, tls_context *ctx, tls_staple *list)
{
  settings *s = need_settings(ctx->ctx);
  if (s == NULL) {
    tls_staple_free(list);
    return tls_fail_text(L, "error setting OCSP response", "not enough memory");
  }
  tls_staple_free(s->staples);
  s->staples = list;
  SSL_CTX_set_tlsext_status_cb(ctx->ctx, status_cb);
  lua_pushvalue(L, 2);
  tls_setslot(L, 1, TLS_SLOT_OCSP);
  return tls_answer(L, 1, NULL);
}

/* Puts the members of the array at index 2 in its place, the function among them, or nil, first. False when there is
   another. */
static bool spread(lua_State *L, int n)
{
  luaL_checkstack(L, n + 4, "too many OCSP responses");
  lua_pushnil(L);
  for (int i = 1; i <= n; i++) {
    lua_rawgeti(L, 2, i);
    if (lua_isfunction(L, -1)) {
      if (!lua_isnil(L, 3)) {
        return false;
      }
      lua_replace(L, 3);
    }
  }
  lua_remove(L, 2);
  return true;
}

static int set_responses(lua_State *L, tls_context *ctx)
{
  if (lua_istable(L, 2)) {
    size_t n = (size_t)lua_rawlen(L, 2);
    if (n > MOST_STAPLES) {
      return tls_refuse(L, "invalid ocsp (more than %d OCSP responses)", MOST_STAPLES);
    }
    if (!spread(L, (int)n)) {
      return tls_refuse(L, "invalid ocsp (more than one function)");
    }
  } else if (!lua_isfunction(L, 2)) {
    lua_pushnil(L);
    lua_insert(L, 2);
  }
  int top = lua_gettop(L);
  tls_staple *list = tls_staple_make(L, ctx);
  return lua_gettop(L) > top ? lua_gettop(L) - top : replace(L, ctx, list);
}

/* ctx:setocsp(value: string|function|(string|function)[]|nil) -> true | false, message, detail
   At any time, for the connections to come (a server's: for handshakes to come); nil: nothing any more. A client's:
   "request": ask the server for an OCSP response, and end the handshake when it says that the certificate is revoked;
   "require": when there is none that says that it is good. A server's: the response in DER to send with its
   certificate, which it must be about; function(conn, certificate, pair) returning one, or nil, where pair is the
   index among keypairs, 0 for a certificate that is not from there; or an array, of responses for several
   certificates and of a function that is asked where none of them fits. SSL_CTX_set_tlsext_status_cb(3). */
static int setocsp(lua_State *L)
{
  tls_context *ctx = tls_checkcontext(L, 1);
  lua_settop(L, 2);
  tls_error_clear();
  bool nothing = !lua_toboolean(L, 2);
  if (ctx->mode == TLS_MODE_UNSET) {
    return tls_refuse(L, "the context needs a mode before ocsp");
  }
  if (ctx->mode == TLS_MODE_CLIENT) {
    if (!nothing && lua_type(L, 2) != LUA_TSTRING) {
      return tls_refuse(L, "invalid ocsp (request or require expected, got %s)", luaL_typename(L, 2));
    }
    return set_demand(L, ctx, nothing ? NULL : tls_checkname(L, 2));
  }
  if (nothing) {
    lua_pushnil(L);
    lua_replace(L, 2);
    return replace(L, ctx, NULL);
  }
  return set_responses(L, ctx);
}

const luaL_Reg tls_ocsp_context_methods[] = {
  {"setocsp", setocsp},
  {NULL, NULL},
};

const luaL_Reg tls_ocsp_methods[] = {
  {"getocsp", getocsp},
  {"ocspcheck", ocspcheck},
  {NULL, NULL},
};
