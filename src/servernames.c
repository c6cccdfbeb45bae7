/*
 * servernames.c: which context serves a connection, by the name that the client sends (SNI): looked up in conn:sni's map or
 * by the context's own setting `sni`. Which certificate of one context is sent is decided in keypairs.c, by the same name.
 *
 * It is done when the ClientHello comes, before OpenSSL looks for a session to resume. OpenSSL's own callback for names
 * comes after that, when TLS 1.3 has resumed already: a session of one name would get in under another one, which trusts
 * other CAs or asks for a client certificate. SSL_CTX_set_client_hello_cb(3).
 */
#include "live.h"

#include <string.h>

#include <openssl/evp.h>

/* One ClientHello. */
typedef struct hello {
  SSL *ssl;
  const char *name; /* not terminated; NULL when the client sent none */
  size_t n;
  tls_context *base;       /* what the connection was made from; NULL when it is luaossl's */
  tls_context *hit;        /* the context for the name, NULL when there is none */
  bool map;                /* conn:sni's map decides, not the setting */
  bool strict;             /* an unknown name ends the handshake */
  bool same;               /* a later ClientHello has the name of the first */
  bool adopted;
} hello;

/* The name in the extension, as OpenSSL takes it: what is malformed counts as none, and ends the handshake some steps later.
   RFC 6066 section 3. */
static void read_name(hello *h)
{
  const unsigned char *p;
  size_t size;
  if (SSL_client_hello_get0_ext(h->ssl, TLSEXT_TYPE_server_name, &p, &size) != 1 || size < 5) {
    return;
  }
  size_t list = ((size_t)p[0] << 8) + p[1], n = ((size_t)p[3] << 8) + p[4];
  if (list == size - 2 && p[2] == TLSEXT_NAMETYPE_host_name && n == size - 5 && n <= TLSEXT_MAXLEN_host_name &&
      memchr(p + 5, '\0', n) == NULL) {
    h->name = (const char *)p + 5;
    h->n = n;
  }
}

/* ---- looking up ---- */

static void push_name(lua_State *L, const hello *h)
{
  if (h->name != NULL) {
    lua_pushlstring(L, h->name, h->n);
  } else {
    lua_pushnil(L);
  }
}

/* Takes the value on top of the stack, what was found for the name. */
static void take_context(lua_State *L, hello *h)
{
  if (!lua_toboolean(L, -1)) {
    return;
  }
  tls_context *ctx = tls_toobject(L, -1, &tls_context_type);
  push_name(L, h);
  const char *name = lua_isnil(L, -1) ? "(no name)" : lua_tostring(L, -1);
  if (ctx == NULL || ctx->ctx == NULL) {
    luaL_error(L, "the value for '%s' is not an open SSL:Context but a %s", name, luaL_typename(L, -2));
  } else if (!h->map && ctx->mode != TLS_MODE_SERVER) { /* LuaSec does not look at the mode in a connection's map */
    luaL_error(L, "the value for '%s' is a context with another mode than server", name);
  } else if (!h->map && SSL_CTX_get_ssl_method(ctx->ctx) != SSL_CTX_get_ssl_method(SSL_get_SSL_CTX(h->ssl))) {
    luaL_error(L, "the value for '%s' is a context of DTLS, or the connection's is, and the other is one of TLS", name);
  }
  lua_pop(L, 1);
  tls_setslot(L, 1, TLS_SLOT_SELECTED);
  h->hit = ctx;
}

static void ask_map(lua_State *L, hello *h)
{
  if (h->name != NULL) {
    push_name(L, h);
    lua_gettable(L, -2);
    take_context(L, h);
  }
}

/* The context that the connection was made from is on top of the stack. */
static void ask_setting(lua_State *L, hello *h)
{
  tls_getslot(L, -1, TLS_SLOT_NAMES);
  if (lua_isfunction(L, -1)) {
    push_name(L, h);
    lua_pushvalue(L, 1);
    lua_call(L, 2, 1);
    take_context(L, h);
  }
}

static int choose_body(lua_State *L)
{
  hello *h = lua_touserdata(L, 2);
  const tls_connection *c = lua_touserdata(L, 1);
  push_name(L, h);
  tls_setslot(L, 1, TLS_SLOT_NAME);
  tls_getslot(L, 1, TLS_SLOT_CONTEXT);
  h->base = tls_toobject(L, -1, &tls_context_type);
  if (h->base != NULL && h->base->ctx != NULL) {
    tls_context_identify(h->base); /* its settings may have changed since the connection was made */
  }
  tls_getslot(L, 1, TLS_SLOT_SNI);
  h->map = !lua_isnil(L, -1);
  if (h->map) {
    h->strict = c->snistrict && h->name != NULL;
    ask_map(L, h);
  } else if (h->base != NULL) {
    h->strict = h->base->snistrict;
    lua_pop(L, 1);
    ask_setting(L, h);
  }
  return 0;
}

/* What was decided for the first ClientHello holds: a client that could change its name after it, when the server asks for
   another key share or in a renegotiation, would be served under a name whose context never saw it. */
static int compare_body(lua_State *L)
{
  hello *h = lua_touserdata(L, 2);
  tls_getslot(L, 1, TLS_SLOT_NAME);
  push_name(L, h);
  h->same = lua_rawequal(L, -1, -2);
  return 0;
}

/* ---- moving a connection to another context ---- */

/* The peer's certificates are checked by the parameters of the new context alone. */
static bool adopt_param(SSL *ssl, SSL_CTX *ctx)
{
  X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
  uint32_t flags = X509_VERIFY_PARAM_get_inh_flags(param);
  X509_VERIFY_PARAM_set_inh_flags(param, X509_VP_FLAG_DEFAULT | X509_VP_FLAG_OVERWRITE | X509_VP_FLAG_RESET_FLAGS);
  bool ok = SSL_set1_param(ssl, SSL_CTX_get0_param(ctx)) == 1;
  X509_VERIFY_PARAM_set_inh_flags(param, flags);
  return ok;
}

/* What was set on the connection itself stays. Kernel TLS belongs to the descriptor, which is attached already; sessions to
   the first context, of whose tickets the other one can only have none. */
static void adopt_options(SSL *ssl, const SSL_CTX *from, const SSL_CTX *to)
{
  SSL_clear_options(ssl, SSL_CTX_get_options(from) & ~(uint64_t)(SSL_OP_ENABLE_KTLS | SSL_OP_NO_TICKET));
  SSL_set_options(ssl, SSL_CTX_get_options(to) & ~(uint64_t)SSL_OP_ENABLE_KTLS);
}

static bool adopt_versions(SSL *ssl, SSL_CTX *ctx)
{
  return SSL_set_max_proto_version(ssl, 0) == 1 &&
         SSL_set_min_proto_version(ssl, SSL_CTX_get_min_proto_version(ctx)) == 1 &&
         SSL_set_max_proto_version(ssl, SSL_CTX_get_max_proto_version(ctx)) == 1;
}

/* OpenSSL's own list, which nothing can put back; a word for it came with 3.5. */
static bool default_groups(SSL *ssl)
{
  bool ok = SSL_set1_groups_list(ssl, "DEFAULT") == 1 ||
            SSL_set1_groups_list(ssl, "X25519:P-256:X448:P-521:P-384:ffdhe2048:ffdhe3072:ffdhe4096:ffdhe6144:ffdhe8192") == 1;
  tls_error_clear();
  return ok;
}

/* The lists of the two contexts are on top of the stack, nil where a context has none. */
static bool adopt_groups(lua_State *L, SSL *ssl)
{
  if (lua_isstring(L, -1)) {
    return SSL_set1_groups_list(ssl, lua_tostring(L, -1)) == 1;
  }
  return lua_isnil(L, -2) || default_groups(ssl);
}

/* What SSL_set_SSL_CTX leaves as the first context had it, copied by SSL_new. */
static bool adopt_settings(tls_connection *c, const SSL_CTX *from, const tls_context *ctx)
{
  SSL_set_verify(c->ssl, SSL_CTX_get_verify_mode(ctx->ctx), NULL);
  adopt_options(c->ssl, from, ctx->ctx);
  tls_psk_adopt(c, ctx);
  c->maxreceive = ctx->maxreceive;
  return adopt_param(c->ssl, ctx->ctx) && adopt_versions(c->ssl, ctx->ctx);
}

/* SSL_set_SSL_CTX moves certificates, ciphers, signature algorithms, security level, DH parameters, trusted CAs and the
   callbacks; LuaSec's conn:sni does no more than that. The setting `sni` moves all the rest as well. */
static int adopt_body(lua_State *L)
{
  hello *h = lua_touserdata(L, 2);
  tls_connection *c = lua_touserdata(L, 1);
  tls_context *ctx = h->hit;
  SSL_CTX *from = SSL_get_SSL_CTX(c->ssl); /* the connection keeps it, for its sessions */
  tls_context_identify(ctx);
  tls_names_watch(ctx->ctx); /* a client's context in a connection's map does not have it yet */
  tls_keylog_follow(from, ctx->ctx);
  h->adopted = SSL_set_SSL_CTX(c->ssl, ctx->ctx) != NULL;
  if (h->adopted && h->map && ctx->psk != NULL) {
    tls_psk_adopt(c, ctx); /* LuaSec has no fixed keys: they demand what they demand everywhere */
  } else if (h->adopted && !h->map) {
    tls_getslot(L, 1, TLS_SLOT_CONTEXT);
    tls_getslot(L, -1, TLS_SLOT_GROUPS);
    tls_getslot(L, 1, TLS_SLOT_SELECTED);
    tls_getslot(L, -1, TLS_SLOT_GROUPS);
    lua_remove(L, -2);
    h->adopted = adopt_settings(c, from, ctx) && adopt_groups(L, c->ssl);
  }
  return 0;
}

/* A session resumes only under the name that it was made under, where clients are still verified as they were then. OpenSSL
   would let it resume under others, against RFC 6066 section 3. */
static bool identify(tls_connection *c, const hello *h)
{
  unsigned char id[EVP_MAX_MD_SIZE];
  unsigned int n = 0;
  struct {
    unsigned char base[sizeof h->base->sessionid], hit[sizeof h->base->sessionid];
    uint64_t verify, named;
    char name[TLSEXT_MAXLEN_host_name];
  } all;
  memset(&all, 0, sizeof all);
  if (h->base != NULL && (h->hit == NULL || h->map)) {
    memcpy(all.base, h->base->sessionid, sizeof all.base);
  }
  if (h->hit != NULL) {
    memcpy(all.hit, h->hit->sessionid, sizeof all.hit);
  }
  all.verify = (uint64_t)SSL_get_verify_mode(c->ssl);
  all.named = h->name != NULL;
  if (h->name != NULL) {
    memcpy(all.name, h->name, h->n);
  }
  return EVP_Digest(&all, sizeof all, id, &n, EVP_sha256(), NULL) == 1 && SSL_set_session_id_context(c->ssl, id, n) == 1;
}

/* ---- OpenSSL's callbacks ---- */

static bool select_context(tls_connection *c, hello *h)
{
  return tls_callback_dh_selected(c, h->hit) && tls_callback_ask(c, "SNI", adopt_body, h) && h->adopted;
}

/* The first ClientHello. False: the handshake ends with *alert. */
static bool decide(tls_connection *c, hello *h, int *alert)
{
  if (!tls_callback_ask(c, "SNI", choose_body, h) || (h->hit != NULL && !select_context(c, h))) {
    return false;
  }
  c->named = true;
  enum tls_keypairs found = tls_keypairs_choose(h->ssl, h->name, h->n);
  c->known = h->hit != NULL || found == TLS_KEYPAIRS_CHOSEN;
  if (h->strict && !c->known) {
    c->unknown = !h->map; /* conn:sni says what LuaSec says */
    *alert = SSL_AD_UNRECOGNIZED_NAME;
    return false;
  }
  return found != TLS_KEYPAIRS_FAILED && identify(c, h);
}

static int on_hello(SSL *ssl, int *alert, void *arg)
{
  tls_connection *c = tls_callback_driven(ssl);
  hello h = {.ssl = ssl};
  (void)arg;
  if (c == NULL || !c->server || !c->byname) {
    return SSL_CLIENT_HELLO_SUCCESS;
  }
  *alert = SSL_AD_INTERNAL_ERROR;
  read_name(&h);
  if (!c->named) {
    return decide(c, &h, alert) ? SSL_CLIENT_HELLO_SUCCESS : SSL_CLIENT_HELLO_ERROR;
  }
  if (!tls_callback_ask(c, "SNI", compare_body, &h)) {
    return SSL_CLIENT_HELLO_ERROR;
  }
  *alert = SSL_AD_ILLEGAL_PARAMETER;
  return h.same ? SSL_CLIENT_HELLO_SUCCESS : SSL_CLIENT_HELLO_ERROR;
}

/* Tells the client that its name counted. */
static int on_name(SSL *ssl, int *alert, void *arg)
{
  const tls_connection *c = tls_callback_driven(ssl);
  (void)alert;
  (void)arg;
  return c != NULL && c->server && c->known ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

void tls_names_watch(SSL_CTX *ctx)
{
  SSL_CTX_set_client_hello_cb(ctx, on_hello, NULL);
  SSL_CTX_set_tlsext_servername_callback(ctx, on_name);
}

/* A name may have anything in it but NUL. */
static void show_name(lua_State *L, char *buf, size_t size)
{
  size_t n = 0;
  tls_getslot(L, 1, TLS_SLOT_NAME);
  const char *s = lua_tolstring(L, -1, &n);
  n = n < size ? n : size - 1;
  for (size_t i = 0; i < n; i++) {
    buf[i] = (char)(s[i] > ' ' && s[i] < 127 ? s[i] : '?');
  }
  buf[n] = '\0';
  lua_pop(L, 1);
}

void tls_names_explain(lua_State *L, const tls_connection *c, tls_error *e)
{
  if (!c->unknown || e->kind != TLS_KIND_PROTOCOL) {
    return;
  }
  show_name(L, e->buf, sizeof e->buf);
  if (*e->buf == '\0') {
    e->text = "the client sent no server name, and snistrict asks for one";
    return;
  }
  e->text = lua_pushfstring(L, "the client asked for the server name '%s', which is unknown here", e->buf);
  e->host = e->buf;
  e->hint = "names are known by the settings sni and keypairs; snistrict refuses all others";
}

/* ---- functions of ssl.context ---- */

/* setsni(ctx, f, strict): f(name or nil, connection) -> context or nil, called with each connection's first ClientHello;
   f may be nil. strict: a name that neither f nor a key pair knows ends the handshake with the alert unrecognized_name. */
static int setsni(lua_State *L)
{
  tls_context *ctx = tls_checkcontext(L, 1);
  if (!lua_isnoneornil(L, 2)) {
    luaL_checktype(L, 2, LUA_TFUNCTION);
  }
  lua_settop(L, 3);
  ctx->snistrict = lua_toboolean(L, 3);
  ctx->byname = true;
  lua_settop(L, 2);
  tls_setslot(L, 1, TLS_SLOT_NAMES);
  return tls_answer(L, 1, NULL);
}

/* modeof(value): "client" or "server" for an open context with a mode, nil for anything else. */
static int modeof(lua_State *L)
{
  const tls_context *ctx = tls_toobject(L, 1, &tls_context_type);
  if (ctx == NULL || ctx->ctx == NULL || ctx->mode == TLS_MODE_UNSET) {
    lua_pushnil(L);
  } else {
    lua_pushstring(L, ctx->mode == TLS_MODE_SERVER ? "server" : "client");
  }
  return 1;
}

const luaL_Reg tls_names_functions[] = {
  {"setsni", setsni},
  {"modeof", modeof},
  {NULL, NULL},
};
