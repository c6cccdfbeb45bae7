/*
 * inspect.c: what a connection can tell about itself: the negotiated protocol and cipher, names, certificates of both
 * sides. What binds other protocols to it is in binding.c. Nothing here changes a connection.
 */
#include "live.h"

#include <limits.h>
#include <string.h>

static void set_string(lua_State *L, const char *key, const char *value, size_t n)
{
  lua_pushlstring(L, value, n);
  lua_setfield(L, -2, key);
}

/* ---- cipher ---- */

/* Copies the word behind "Kx=" and the like out of OpenSSL's line on a cipher. SSL_CIPHER_description(3). */
static void set_word(lua_State *L, const char *line, const char *label, const char *key)
{
  const char *word = strstr(line, label);
  if (word != NULL) {
    word += strlen(label);
    set_string(L, key, word, strcspn(word, " \n"));
  }
}

static void set_name(lua_State *L, const char *key, const char *name)
{
  if (name != NULL) {
    set_string(L, key, name, strlen(name));
  }
}

/* A signature algorithm in the words of the setting sigalgs: "ECDSA+SHA256", "RSA-PSS+SHA256", "ed25519". */
static void set_sigalg(lua_State *L, const char *key, int type, int digest)
{
  const char *name = NULL;
  switch (type) {
  case EVP_PKEY_RSA:
    name = "RSA";
    break;
  case EVP_PKEY_RSA_PSS:
    name = "RSA-PSS";
    break;
  case EVP_PKEY_EC:
    name = "ECDSA";
    break;
  case EVP_PKEY_ED25519:
    name = "ed25519";
    break;
  case EVP_PKEY_ED448:
    name = "ed448";
    break;
  default:
    name = OBJ_nid2sn(type);
    break;
  }
  if (digest != NID_undef) {
    lua_pushfstring(L, "%s+%s", name, OBJ_nid2sn(digest));
  } else {
    lua_pushstring(L, name);
  }
  lua_setfield(L, -2, key);
}

static void set_signatures(lua_State *L, const SSL *ssl)
{
  int type = NID_undef, digest = NID_undef;
  if (SSL_get_signature_type_nid(ssl, &type) == 1) {
    SSL_get_signature_nid((SSL *)ssl, &digest);
    set_sigalg(L, "sigalg", type, digest);
  }
  type = digest = NID_undef;
  if (SSL_get_peer_signature_type_nid(ssl, &type) == 1) {
    SSL_get_peer_signature_nid((SSL *)ssl, &digest);
    set_sigalg(L, "peersigalg", type, digest);
  }
}

static const char *ktls(const SSL *ssl)
{
  bool send = BIO_get_ktls_send(SSL_get_wbio(ssl)) != 0;
  bool receive = BIO_get_ktls_recv(SSL_get_rbio(ssl)) != 0;
  if (send && receive) {
    return "both";
  }
  return send ? "send" : receive ? "receive" : NULL;
}

/* The name of the group of the key exchange; NULL when there is none. After a HelloRetryRequest a server has a cipher and no
   session yet, of which OpenSSL would read the group without a look. */
static const char *agreed_group(const SSL *ssl)
{
  int group = SSL_get_session(ssl) != NULL ? (int)SSL_get_negotiated_group((SSL *)ssl) : 0;
  return group != 0 ? SSL_group_to_name((SSL *)ssl, group) : NULL;
}

/* What LuaSec's info does not tell. */
static void push_more(lua_State *L, const SSL *ssl)
{
  const unsigned char *alpn = NULL;
  unsigned int n = 0;
  SSL_get0_alpn_selected(ssl, &alpn, &n);
  if (n > 0) {
    set_string(L, "alpn", (const char *)alpn, n);
  }
  set_name(L, "servername", SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
  set_name(L, "group", agreed_group(ssl));
  set_name(L, "ktls", ktls(ssl));
  set_signatures(L, ssl);
  lua_pushboolean(L, SSL_session_reused(ssl));
  lua_setfield(L, -2, "resumed");
}

/* The connection at argument 1 once its handshake is over, well or not; NULL before that, and when it is closed. */
static const tls_connection *shaken(lua_State *L)
{
  const tls_connection *c = tls_checkconnection(L, 1);
  return c->ssl != NULL && (c->state == TLS_STATE_CONNECTED || c->failed) ? c : NULL;
}

static void release(void *p)
{
  SSL_free(p);
}

tls_box *tls_keep_ssl(lua_State *L, const tls_connection *c)
{
  tls_box *box = tls_newbox(L, release);
  if (c->ssl != NULL && SSL_up_ref(c->ssl) == 1) {
    box->p = c->ssl;
  }
  return box;
}

/* A handshake that failed may have got as far as a cipher, but not be in use; what is offered for resumption is not it. */
static const SSL_CIPHER *agreed_cipher(const tls_connection *c)
{
  return c->state == TLS_STATE_CONNECTED ? SSL_get_current_cipher(c->ssl) : SSL_get_pending_cipher(c->ssl);
}

/* table ssl.Info
   What was negotiated; the fields that apply.
   - cipher: string -- OpenSSL's name of the cipher suite
   - protocol: string -- "TLSv1.3"
   - key: string -- key exchange, "any" with TLS 1.3
   - authentication: string
   - encryption: string
   - mac: string
   - bits: number -- bits of the key in use
   - algbits: number -- bits of the algorithm
   - export: boolean -- false
   - compression: string
   - alpn: string -- the protocol agreed on
   - servername: string -- the name that the client sent
   - group: string -- the group of the key exchange
   - sigalg: string -- what we signed with, "rsa_pss_rsae+SHA256"
   - peersigalg: string -- what the peer signed with
   - resumed: boolean -- a session was resumed
   - ktls: "send"|"receive"|"both" -- the directions that the kernel encrypts */
static void push_info(lua_State *L, const SSL *ssl, const SSL_CIPHER *cipher)
{
  char line[256];
  int algbits = 0;
  int bits = SSL_CIPHER_get_bits(cipher, &algbits);
  const char *compression = SSL_COMP_get_name(SSL_get_current_compression(ssl));
  lua_newtable(L);
  set_string(L, "cipher", SSL_CIPHER_get_name(cipher), strlen(SSL_CIPHER_get_name(cipher)));
  set_string(L, "protocol", SSL_get_version(ssl), strlen(SSL_get_version(ssl)));
  if (SSL_CIPHER_description(cipher, line, sizeof line) != NULL) {
    set_word(L, line, "Kx=", "key");
    set_word(L, line, "Au=", "authentication");
    set_word(L, line, "Enc=", "encryption");
    set_word(L, line, "Mac=", "mac");
  }
  lua_pushnumber(L, bits);
  lua_setfield(L, -2, "bits");
  lua_pushnumber(L, algbits);
  lua_setfield(L, -2, "algbits");
  lua_pushboolean(L, 0); /* export ciphers are gone from OpenSSL */
  lua_setfield(L, -2, "export");
  set_name(L, "compression", compression);
  push_more(L, ssl);
}

/* conn:info([field: string]) -> info: ssl.Info|string|number|boolean | nil | nil, message, detail
   A table of what was negotiated, or one field of it. After a failed handshake: what it got to. "closed" before the
   handshake and when closed. SSL_get_current_cipher(3), SSL_get_pending_cipher(3). */
static int info(lua_State *L)
{
  const tls_connection *self = tls_checkconnection(L, 1);
  lua_settop(L, 2);
  tls_box *box = tls_keep_ssl(L, self);
  const tls_connection *c = shaken(L);
  const SSL *ssl = box->p;
  const SSL_CIPHER *cipher = c != NULL ? agreed_cipher(c) : NULL;
  if (c == NULL || ssl == NULL || (cipher == NULL && !c->failed)) {
    tls_emptybox(box);
    return tls_fail_closed(L);
  }
  if (cipher != NULL) {
    push_info(L, ssl, cipher);
  } else {
    lua_newtable(L);
    set_name(L, "servername", SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
  }
  if (lua_toboolean(L, 2)) {
    lua_pushvalue(L, 2);
    lua_rawget(L, -2);
  }
  tls_emptybox(box);
  return 1;
}

/* ssl.core.compression(conn): name or nil; nil, "closed" when not connected. SSL_get_current_compression(3). */
int tls_inspect_compression(lua_State *L)
{
  const SSL *ssl = tls_connected(L);
  if (ssl == NULL) {
    return tls_fail_closed(L);
  }
  lua_pushstring(L, SSL_COMP_get_name(SSL_get_current_compression(ssl)));
  return 1;
}

/* ssl.core.info(conn): OpenSSL's line on the cipher, bits, bits of the algorithm, protocol; nothing before there is one. */
int tls_inspect_cipher(lua_State *L)
{
  const tls_connection *c = tls_checkconnection(L, 1);
  const SSL_CIPHER *cipher = c->ssl != NULL ? SSL_get_current_cipher(c->ssl) : NULL;
  const char *version = c->ssl != NULL ? SSL_get_version(c->ssl) : NULL;
  char line[256];
  int algbits = 0;
  if (cipher == NULL || SSL_CIPHER_description(cipher, line, sizeof line) == NULL) {
    return 0;
  }
  lua_pushstring(L, line);
  lua_pushnumber(L, SSL_CIPHER_get_bits(cipher, &algbits));
  lua_pushnumber(L, algbits);
  lua_pushstring(L, version);
  return 4;
}

/* ---- names ---- */

/* A copy on the stack: some Lua runs finalizers before it copies, and one may close the connection. nil for none. */
static void push_short(lua_State *L, const char *s, size_t n)
{
  char copy[256];
  if (s == NULL || n >= sizeof copy) {
    lua_pushnil(L);
    return;
  }
  memcpy(copy, s, n);
  lua_pushlstring(L, copy, n);
}

/* conn:getalpn() -> protocol: string | nil
   The protocol agreed on, nil if none. SSL_get0_alpn_selected(3). */
static int getalpn(lua_State *L)
{
  const tls_connection *c = tls_checkconnection(L, 1);
  const unsigned char *name = NULL;
  unsigned int n = 0;
  if (c->ssl != NULL) {
    SSL_get0_alpn_selected(c->ssl, &name, &n);
  }
  push_short(L, (const char *)name, n);
  return 1;
}

/* conn:getsniname() -> name: string | nil
   The name the client sent, nil if none. SSL_get_servername(3). */
static int getsniname(lua_State *L)
{
  const tls_connection *c = tls_checkconnection(L, 1);
  const char *name = c->ssl != NULL ? SSL_get_servername(c->ssl, TLSEXT_NAMETYPE_host_name) : NULL;
  push_short(L, name, name != NULL ? strlen(name) : 0);
  return 1;
}

/* conn:want() -> "nothing"|"read"|"write"|"x509lookup"
   What the last step waited for. SSL_want(3). */
static int want(lua_State *L)
{
  const tls_connection *c = tls_checkconnection(L, 1);
  switch (c->ssl != NULL ? SSL_want(c->ssl) : SSL_NOTHING) {
  case SSL_READING:
    lua_pushliteral(L, "read");
    break;
  case SSL_WRITING:
    lua_pushliteral(L, "write");
    break;
  case SSL_X509_LOOKUP:
    lua_pushliteral(L, "x509lookup");
    break;
  default:
    lua_pushliteral(L, "nothing");
    break;
  }
  return 1;
}

/* ---- certificates ---- */

/* A side's certificates: the leaf, and a stack that may hold the leaf again as its first member. Borrowed. */
typedef struct chain {
  X509 *leaf;
  STACK_OF(X509) *rest;
  int skip; /* members of rest that are the leaf */
} chain;

static chain peer_chain(const tls_connection *conn)
{
  SSL *ssl = conn->ssl;
  STACK_OF(X509) *refused = conn->failed ? tls_verify_refused(conn) : NULL;
  if (refused != NULL) {
    return (chain){sk_X509_value(refused, 0), refused, 1};
  }
  /* A client's stack has the leaf in it, a server's has not. */
  chain c = {SSL_get0_peer_certificate(ssl), SSL_get_peer_cert_chain(ssl), SSL_is_server(ssl) ? 0 : 1};
  return c;
}

static chain local_chain(const tls_connection *conn)
{
  SSL *ssl = conn->ssl;
  chain c = {SSL_get_certificate(ssl), NULL, 0};
  if (c.leaf != NULL) {
    SSL_get0_chain_certs(ssl, &c.rest);
    if (c.rest == NULL) {
      SSL_CTX_get_extra_chain_certs(SSL_get_SSL_CTX(ssl), &c.rest);
    }
  }
  return c;
}

/* The i-th certificate from 1, NULL past the end. */
static X509 *chain_at(const chain *c, int i)
{
  if (c->leaf == NULL || i == 1) {
    return c->leaf;
  }
  i += c->skip - 2;
  return i < sk_X509_num(c->rest) ? sk_X509_value(c->rest, i) : NULL;
}

static void push_borrowed(lua_State *L, X509 *cert)
{
  X509_up_ref(cert);
  tls_pushcertificate(L, cert);
}

static int push_certificate(lua_State *L, chain (*get)(const tls_connection *))
{
  const tls_connection *conn = shaken(L);
  if (conn == NULL) {
    return tls_fail_closed(L);
  }
  luaL_optinteger(L, 2, 1); /* which has 32 bits in some Lua */
  lua_Number n = luaL_optnumber(L, 2, 1);
  if (!(n >= 1)) {
    lua_pushnil(L);
    lua_pushliteral(L, "invalid certificate index");
    return 2;
  }
  chain c = get(conn);
  X509 *cert = n <= INT_MAX - 2 ? chain_at(&c, (int)n) : NULL;
  if (cert == NULL) {
    lua_pushnil(L);
  } else {
    push_borrowed(L, cert);
  }
  return 1;
}

static int push_chain(lua_State *L, chain (*get)(const tls_connection *))
{
  X509 *cert;
  tls_checkconnection(L, 1);
  lua_newtable(L);
  for (int i = 1;; i++) {
    const tls_connection *conn = shaken(L); /* asked each time: a finalizer may close it while an object is made */
    if (conn == NULL) {
      return tls_fail_closed(L);
    }
    chain c = get(conn);
    if ((cert = chain_at(&c, i)) == NULL) {
      return 1;
    }
    push_borrowed(L, cert);
    lua_rawseti(L, -2, i);
  }
}

/* conn:getpeercertificate([n: integer]) -> certificate: ssl.Certificate | nil | nil, message, detail
   The n-th certificate that the peer sent, its own is 1; nil past the end. After a failed handshake too: what is
   wrong with it may be the reason. SSL_get0_peer_certificate(3). */
static int getpeercertificate(lua_State *L)
{
  return push_certificate(L, peer_chain);
}

/* conn:getpeerchain() -> chain: ssl.Certificate[] | nil, message, detail
   Array of all certificates that the peer sent, its own first. SSL_get_peer_cert_chain(3). */
static int getpeerchain(lua_State *L)
{
  return push_chain(L, peer_chain);
}

/* conn:getlocalcertificate([n: integer]) -> certificate: ssl.Certificate | nil | nil, message, detail
   The n-th certificate of our own chain, 1 is the leaf; nil past the end. SSL_get_certificate(3). */
static int getlocalcertificate(lua_State *L)
{
  return push_certificate(L, local_chain);
}

/* conn:getlocalchain() -> chain: ssl.Certificate[] | nil, message, detail
   Array of our own certificate and what is sent with it. SSL_get0_chain_certs(3). */
static int getlocalchain(lua_State *L)
{
  return push_chain(L, local_chain);
}

const luaL_Reg tls_inspect_methods[] = {
  {"info", info},
  {"getalpn", getalpn},
  {"getsniname", getsniname},
  {"want", want},
  {"getpeercertificate", getpeercertificate},
  {"getpeerchain", getpeerchain},
  {"getlocalcertificate", getlocalcertificate},
  {"getlocalchain", getlocalchain},
  {NULL, NULL},
};
