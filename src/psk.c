/*
 * psk.c: pre-shared keys, out of a Lua function or fixed in the settings, for TLS 1.2 (RFC 4279, RFC 5489), 1.3 and DTLS. A fixed
 * key is meant to authenticate the peer: where nothing else does, a certificate must not take its place.
 */
#include "session.h"

#include <limits.h>
#include <string.h>

#include <openssl/obj_mac.h>

/* One key for all connections of a context. */
struct tls_psk {
  char identity[PSK_MAX_IDENTITY_LEN]; /* ends with NUL */
  unsigned char key[PSK_MAX_PSK_LEN];
  size_t nkey;
};

/* Remembers whose key of `n` bytes was given to OpenSSL, for getpskidentity, and gives n back: OpenSSL tells it of TLS 1.2 only.
   Without memory there is no handshake: a server that asks who has come must not hear "nobody". With TLS 1.3 a client may offer
   several identities, and OpenSSL passes over those whose hash is not the cipher's before they are proved: the last one counts,
   and none, for 0 bytes, is one as well. */
static unsigned int note_identity(const SSL *ssl, const char *identity, unsigned int n, unsigned int maxpsk)
{
  tls_connection *c = tls_connectionof(ssl);
  if (c == NULL) {
    return n;
  }
  tls_psk_forget(c);
  if (n > 0 && n <= maxpsk && (c->pskidentity = OPENSSL_strdup(identity)) == NULL) {
    return UINT_MAX;
  }
  return n;
}

/* ---- keys of a function ---- */

typedef struct psk_query {
  SSL *ssl;
  const char *offered; /* the server's hint or the client's identity */
  char *identity;      /* room for the client's answer, NULL on a server */
  unsigned int maxidentity;
  unsigned char *psk;
  unsigned int maxpsk, npsk;
} psk_query;

/* An answer that does not fit, or an identity that a C string cannot hold, counts as no answer. */
static void take_psk(lua_State *L, psk_query *q, int i)
{
  size_t n, nid = 0;
  const char *psk = lua_isstring(L, i) ? lua_tolstring(L, i, &n) : NULL;
  if (psk == NULL || n > q->maxpsk) {
    return;
  }
  if (q->identity != NULL) {
    const char *id = lua_isstring(L, i - 1) ? lua_tolstring(L, i - 1, &nid) : NULL;
    if (id == NULL || nid >= q->maxidentity || strlen(id) != nid) {
      return;
    }
    memcpy(q->identity, id, nid + 1);
  }
  memcpy(q->psk, psk, n);
  q->npsk = (unsigned int)n;
}

static int psk_body(lua_State *L)
{
  psk_query *q = lua_touserdata(L, 2);
  tls_callback_function(L, q->ssl, TLS_SLOT_PSK);
  if (lua_isnil(L, -1)) {
    return 0;
  }
  lua_pushstring(L, q->offered); /* NULL becomes nil */
  if (q->identity != NULL) {
    lua_pushnumber(L, q->maxidentity - 1); /* without the NUL */
  }
  lua_pushnumber(L, q->maxpsk);
  lua_call(L, q->identity != NULL ? 3 : 2, 2);
  if (q->identity == NULL) {
    lua_pop(L, 1);
  }
  take_psk(L, q, lua_gettop(L));
  return 0;
}

/* No answer is 0 and leaves the peers to agree on a certificate; an error is a length that OpenSSL refuses. */
static unsigned int ask_psk(psk_query *q)
{
  tls_connection *c = tls_callback_driven(q->ssl);
  if (c == NULL) {
    return 0;
  }
  return tls_callback_ask(c, "PSK", psk_body, q) ? q->npsk : UINT_MAX;
}

static unsigned int psk_client_cb(SSL *ssl, const char *hint, char *identity, unsigned int maxidentity, unsigned char *psk,
                                  unsigned int maxpsk)
{
  psk_query q = {ssl, hint, identity, maxidentity, psk, maxpsk, 0};
  return note_identity(ssl, identity, ask_psk(&q), maxpsk);
}

static unsigned int psk_server_cb(SSL *ssl, const char *identity, unsigned char *psk, unsigned int maxpsk)
{
  psk_query q = {ssl, identity, NULL, 0, psk, maxpsk, 0};
  return note_identity(ssl, identity, ask_psk(&q), maxpsk);
}

void tls_callback_psk(SSL_CTX *ctx, bool server)
{
  SSL_CTX_set_psk_client_callback(ctx, server ? NULL : psk_client_cb);
  SSL_CTX_set_psk_server_callback(ctx, server ? psk_server_cb : NULL);
}

/* ---- fixed keys ---- */

static unsigned int give_key(const struct tls_psk *p, unsigned char *psk, unsigned int maxpsk)
{
  if (p->nkey > maxpsk) {
    return 0;
  }
  memcpy(psk, p->key, p->nkey);
  return (unsigned int)p->nkey;
}

static unsigned int fixed_client_cb(SSL *ssl, const char *hint, char *identity, unsigned int maxidentity, unsigned char *psk,
                                    unsigned int maxpsk)
{
  const tls_context *ctx = tls_contextof(ssl);
  (void)hint;
  if (ctx == NULL || ctx->psk == NULL || maxidentity < sizeof ctx->psk->identity) {
    return 0;
  }
  memcpy(identity, ctx->psk->identity, sizeof ctx->psk->identity);
  return note_identity(ssl, identity, give_key(ctx->psk, psk, maxpsk), maxpsk);
}

static unsigned int fixed_server_cb(SSL *ssl, const char *identity, unsigned char *psk, unsigned int maxpsk)
{
  const tls_context *ctx = tls_contextof(ssl);
  bool known = ctx != NULL && ctx->psk != NULL && strcmp(identity, ctx->psk->identity) == 0;
  return note_identity(ssl, identity, known ? give_key(ctx->psk, psk, maxpsk) : 0, maxpsk);
}

/* setpsk(ctx, identity, key): the one key of a context, of 1 to 512 bytes, known to the peer by its identity, 1 to 255 bytes.
   true; false, message, detail for others. SSL_CTX_set_psk_client_callback(3), SSL_CTX_set_psk_server_callback(3). */
int tls_psk_set(lua_State *L)
{
  tls_context *ctx = tls_checkcontext(L, 1);
  size_t nidentity, nkey;
  const char *identity = luaL_checklstring(L, 2, &nidentity);
  const char *key = luaL_checklstring(L, 3, &nkey);
  if (nidentity == 0 || nidentity >= PSK_MAX_IDENTITY_LEN || strlen(identity) != nidentity) {
    return tls_refuse(L, "invalid psk (the identity must have 1 to 255 bytes, none of them NUL)");
  }
  if (nkey == 0 || nkey > PSK_MAX_PSK_LEN) {
    return tls_refuse(L, "invalid psk (the key must have 1 to 512 bytes)");
  }
  struct tls_psk *p = OPENSSL_zalloc(sizeof *p);
  if (p == NULL) {
    return tls_refuse(L, "not enough memory");
  }
  memcpy(p->identity, identity, nidentity);
  memcpy(p->key, key, nkey);
  p->nkey = nkey;
  tls_psk_free(ctx);
  ctx->psk = p;
  tls_trust_remember(ctx, 'k', p, sizeof *p); /* a session made with another key is not for those who know this one */
  ctx->pskserver = ctx->mode == TLS_MODE_SERVER;
  ctx->pskclient = !ctx->pskserver;
  SSL_CTX_set_psk_client_callback(ctx->ctx, ctx->pskclient ? fixed_client_cb : NULL);
  SSL_CTX_set_psk_server_callback(ctx->ctx, ctx->pskclient ? NULL : fixed_server_cb);
  lua_pushboolean(L, 1);
  return 1;
}

void tls_psk_free(tls_context *ctx)
{
  OPENSSL_clear_free(ctx->psk, sizeof *ctx->psk);
  ctx->psk = NULL;
}

/* ---- nothing but the key ---- */

/* The key has to authenticate the peer when no certificate does: on a client that verifies none, on a server that lets
   clients in without one. */
static bool alone(const tls_connection *c, const tls_context *ctx)
{
  int must = c->server ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_PEER;
  return ctx != NULL && ctx->psk != NULL && (SSL_get_verify_mode(c->ssl) & must) != must;
}

/* Names with a colon before each, as many as there is room for. */
typedef struct cipher_list {
  char names[8192];
  size_t n;
} cipher_list;

static void append(cipher_list *list, const SSL_CIPHER *cipher)
{
  const char *name = SSL_CIPHER_get_name(cipher);
  size_t length = strlen(name);
  if (list->n + length + 2 <= sizeof list->names) {
    list->names[list->n] = ':';
    memcpy(list->names + list->n + 1, name, length + 1);
    list->n += length + 1;
  }
}

static bool is_tls13(const SSL_CIPHER *cipher)
{
  return strcmp(SSL_CIPHER_get_version(cipher), "TLSv1.3") == 0;
}

/* Of TLS 1.2's ciphers those that use the key and no certificate; of 1.3's those with SHA-256, which is the hash of such keys:
   with a certificate at hand OpenSSL may choose another one first, and then find that the key does not go with it. */
static bool by_key_alone(const SSL_CIPHER *cipher)
{
  int kx = SSL_CIPHER_get_kx_nid(cipher);
  const EVP_MD *digest = SSL_CIPHER_get_handshake_digest(cipher);
  if (is_tls13(cipher)) {
    return digest != NULL && EVP_MD_is_a(digest, "SHA256");
  }
  return kx == NID_kx_psk || kx == NID_kx_ecdhe_psk || kx == NID_kx_dhe_psk;
}

static bool any_cipher(const SSL_CIPHER *cipher)
{
  (void)cipher;
  return true;
}

static void set_ciphers(SSL *ssl, const STACK_OF(SSL_CIPHER) *all, bool (*wanted)(const SSL_CIPHER *))
{
  cipher_list old = {"", 0}, suites = {"", 0};
  for (int i = 0; i < sk_SSL_CIPHER_num(all); i++) {
    const SSL_CIPHER *cipher = sk_SSL_CIPHER_value(all, i);
    if (wanted(cipher)) {
      append(is_tls13(cipher) ? &suites : &old, cipher);
    }
  }
  if (suites.n > 0) {
    SSL_set_ciphersuites(ssl, suites.names + 1);
  }
  if (old.n > 0) {
    SSL_set_cipher_list(ssl, old.names + 1);
  }
}

/* TLS 1.3 falls back on a certificate when the client has no key, or another: there must be none then. */
static int without_certificates(SSL *ssl, void *arg)
{
  (void)arg;
  SSL_certs_clear(ssl);
  return 1;
}

void tls_psk_prepare(tls_connection *c, const tls_context *ctx)
{
  c->pskonly = alone(c, ctx);
  c->changes = ctx != NULL ? ctx->changes : 0;
  if (!c->pskonly) {
    return;
  }
  set_ciphers(c->ssl, SSL_get_ciphers(c->ssl), by_key_alone);
  if (c->server) {
    SSL_set_cert_cb(c->ssl, without_certificates, NULL);
  } else {
    SSL_set_verify(c->ssl, SSL_VERIFY_PEER, NULL); /* tls_verify_chain refuses any certificate */
  }
}

/* The certificates, and the callback for them, have moved with the context; lists of the connection's own have not. */
void tls_psk_adopt(tls_connection *c, const tls_context *ctx)
{
  SSL_psk_server_cb_func f = ctx->psk != NULL ? fixed_server_cb : psk_server_cb;
  SSL_set_psk_server_callback(c->ssl, ctx->pskserver ? f : NULL);
  if (c->pskonly) {
    set_ciphers(c->ssl, SSL_CTX_get_ciphers(ctx->ctx), any_cipher);
  }
  tls_psk_prepare(c, ctx);
}

/* ---- whose key it was ---- */

/* Of TLS 1.3: the one whose key was used in this handshake, or in the one that made the session which was resumed in it. */
static const char *find_identity(const tls_connection *c, size_t *n)
{
  SSL_SESSION *s = SSL_get_session(c->ssl);
  size_t skip = c->server ? 0 : sizeof ((tls_context *)NULL)->sessionid;
  void *data = NULL;
  *n = 0;
  if (s == NULL || SSL_version(c->ssl) != TLS1_3_VERSION || SSL_session_reused(c->ssl) != 1) {
    return NULL;
  }
  if (c->pskidentity != NULL) {
    *n = strlen(c->pskidentity);
    return c->pskidentity;
  }
  /* With a certificate of the peer's the data is something else: tls_verify_label. */
  if (SSL_SESSION_get0_peer(s) != NULL || SSL_SESSION_get0_ticket_appdata(s, &data, n) != 1 || *n <= skip) {
    *n = 0;
    return NULL;
  }
  *n -= skip;
  return (const char *)data + skip;
}

void tls_psk_label(const tls_connection *c, SSL_SESSION *s)
{
  tls_context *ctx = tls_contextof(c->ssl);
  unsigned char data[sizeof ctx->sessionid + PSK_MAX_IDENTITY_LEN + 1];
  size_t skip = 0, n = 0;
  const char *identity = find_identity(c, &n);
  if (ctx == NULL || n > PSK_MAX_IDENTITY_LEN || (c->server ? n == 0 : ctx->nsessionid != 0)) {
    return;
  }
  if (!c->server) {
    tls_context_identify(ctx);
    memcpy(data, ctx->sessionid, skip = sizeof ctx->sessionid);
  }
  if (n > 0) {
    memcpy(data + skip, identity, n);
  }
  /* Settings that have changed since the connection was made are not those that it verified by: no label, no resumption. */
  bool same = c->server || c->changes == ctx->changes;
  SSL_SESSION_set1_ticket_appdata(s, data, same ? skip + n : 0);
}

/* A client offers its session and its key, and the server takes one of the two: a session has a ticket, the key none. Without a
   certificate there is nothing wrong with one, as in TLS 1.2; here OpenSSL says that nobody has looked, or what was wrong in a
   session that was offered in vain. */
void tls_psk_end(tls_connection *c)
{
  const SSL_SESSION *s = SSL_get_session(c->ssl);
  size_t n;
  if (!c->server && SSL_version(c->ssl) == TLS1_3_VERSION && s != NULL && SSL_SESSION_has_ticket(s)) {
    tls_psk_forget(c);
  }
  if (find_identity(c, &n) != NULL && SSL_get0_peer_certificate(c->ssl) == NULL) {
    SSL_set_verify_result(c->ssl, X509_V_OK);
  }
}

/* conn:getpskidentity() -> identity: string | nil
   The identity of the pre-shared key that the peers agreed on, in this handshake or in the one whose session was
   resumed; nil when they use none, or the handshake is not done. SSL_get_psk_identity(3). */
static int getpskidentity(lua_State *L)
{
  char copy[PSK_MAX_IDENTITY_LEN + 1]; /* a finalizer may close the connection while it is pushed */
  const SSL *ssl = tls_connected(L);
  const tls_connection *c = tls_checkconnection(L, 1);
  const char *identity = NULL;
  size_t n = 0;
  if (ssl != NULL && SSL_version(ssl) != TLS1_3_VERSION) {
    identity = SSL_get_psk_identity(ssl);
    n = identity != NULL ? strlen(identity) : 0;
  } else if (ssl != NULL) {
    identity = find_identity(c, &n);
  }
  if (identity == NULL || n > sizeof copy) {
    lua_pushnil(L);
    return 1;
  }
  memcpy(copy, identity, n);
  lua_pushlstring(L, copy, n);
  return 1;
}

void tls_psk_forget(tls_connection *c)
{
  OPENSSL_free(c->pskidentity);
  c->pskidentity = NULL;
}

const luaL_Reg tls_psk_methods[] = {
  {"getpskidentity", getpskidentity},
  {NULL, NULL},
};
