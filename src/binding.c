/*
 * binding.c: what ties another protocol to one TLS connection: channel bindings, the Finished messages that the oldest of
 * them is made of, and exported keying material.
 */
#include "live.h"

#include <string.h>

#include <openssl/evp.h>

static int push_finished(lua_State *L, size_t (*get)(const SSL *, void *, size_t))
{
  const SSL *ssl = tls_connected(L);
  unsigned char message[EVP_MAX_MD_SIZE];
  if (ssl == NULL) {
    return tls_fail_closed(L);
  }
  size_t n = get(ssl, message, sizeof message);
  if (n == 0 || n > sizeof message) {
    return 0;
  }
  lua_pushlstring(L, (const char *)message, n);
  return 1;
}

/* conn:getfinished() -> bytes: string | nothing
   The Finished message of the handshake that we sent; nothing before there is one. SSL_get_finished(3). */
static int getfinished(lua_State *L)
{
  return push_finished(L, SSL_get_finished);
}

/* conn:getpeerfinished() -> bytes: string | nothing
   The Finished message of the handshake that the peer sent; nothing before there is one. SSL_get_peer_finished(3). */
static int getpeerfinished(lua_State *L)
{
  return push_finished(L, SSL_get_peer_finished);
}

static int refused(lua_State *L, const char *why)
{
  return tls_fail_nil(L, tls_refuse(L, "%s", why));
}

/* conn:exportkeyingmaterial(label: string, n: integer [, context: string]) -> bytes: string | nil, message, detail
   N bytes, at most 1 MiB, that only the two ends of this connection can compute; other labels and contexts give
   others. SSL_export_keying_material(3), RFC 5705, RFC 8446 section 7.5. */
static int exportkeyingmaterial(lua_State *L)
{
  SSL *ssl = tls_connected(L);
  size_t nlabel, ncontext = 0;
  if (ssl == NULL) {
    return tls_fail_closed(L);
  }
  const char *label = luaL_checklstring(L, 2, &nlabel);
  luaL_checkinteger(L, 3); /* which has 32 bits in some Lua */
  lua_Number n = lua_tonumber(L, 3);
  const char *context = luaL_optlstring(L, 4, NULL, &ncontext);
  luaL_argcheck(L, n >= 0 && n <= 1 << 20, 3, "length out of range");
  tls_error_clear();
  unsigned char *out = lua_newuserdata(L, (size_t)n + 1);
  ssl = tls_connected(L); /* a finalizer may have closed it */
  if (ssl == NULL) {
    return tls_fail_closed(L);
  }
  /* The length of the context has two bytes in TLS 1.2, which OpenSSL would cut to. */
  int ok = n > 0 && ncontext <= 65535 &&
           SSL_export_keying_material(ssl, out, (size_t)n, label, nlabel, (const unsigned char *)context, ncontext,
                                      context != NULL) == 1;
  tls_error_clear();
  if (!ok) {
    return refused(L, "error exporting keying material");
  }
  lua_pushlstring(L, (const char *)out, (size_t)n);
  OPENSSL_cleanse(out, (size_t)n);
  return 1;
}

/* The first Finished message of the handshake: the client's in a full one, the server's in a resumed one. */
static size_t tls_unique(SSL *ssl, unsigned char *out, size_t n)
{
  bool ours = (SSL_is_server(ssl) != 0) == (SSL_session_reused(ssl) != 0);
  return ours ? SSL_get_finished(ssl, out, n) : SSL_get_peer_finished(ssl, out, n);
}

/* The server certificate's hash by the algorithm of its signature, SHA-256 instead of MD5 and SHA-1. */
static size_t tls_server_end_point(SSL *ssl, unsigned char *out)
{
  X509 *cert = SSL_is_server(ssl) ? SSL_get_certificate(ssl) : SSL_get0_peer_certificate(ssl);
  int nid = NID_undef;
  unsigned int n = 0;
  if (cert == NULL || X509_get_signature_info(cert, &nid, NULL, NULL, NULL) != 1) {
    return 0;
  }
  if (nid == NID_md5 || nid == NID_sha1) {
    nid = NID_sha256;
  }
  const EVP_MD *md = EVP_get_digestbynid(nid);
  return md != NULL && X509_digest(cert, md, out, &n) == 1 ? n : 0;
}

static size_t tls_exporter(SSL *ssl, unsigned char *out)
{
  static const char label[] = "EXPORTER-Channel-Binding";
  static const unsigned char context[1];
  return SSL_export_keying_material(ssl, out, 32, label, sizeof label - 1, context, 0, 1) == 1 ? 32 : 0;
}

/* conn:getchannelbinding(type: "tls-exporter"|"tls-unique"|"tls-server-end-point") -> bytes: string |
     nil, message, detail
   What binds a login to this connection; a failure when the connection has none of that type, as tls-unique of TLS
   1.3. RFC 9266, RFC 5929. */
static int getchannelbinding(lua_State *L)
{
  static const char *const types[] = {"tls-exporter", "tls-unique", "tls-server-end-point", NULL};
  unsigned char out[EVP_MAX_MD_SIZE];
  size_t n;
  SSL *ssl = tls_connected(L);
  int type = luaL_checkoption(L, 2, NULL, types);
  if (ssl == NULL) {
    return tls_fail_closed(L);
  }
  bool old = SSL_version(ssl) < TLS1_3_VERSION;
  /* Without it a man in the middle can give two connections the same keys and Finished messages: RFC 7627. */
  if (type != 2 && old && SSL_get_extms_support(ssl) != 1) {
    return refused(L, "no channel binding of this type without the extended master secret");
  }
  tls_error_clear();
  switch (type) {
  case 0:
    n = tls_exporter(ssl, out);
    break;
  case 1:
    if (!old) {
      return refused(L, "tls-unique is not defined for TLS 1.3");
    }
    n = tls_unique(ssl, out, sizeof out);
    break;
  default:
    n = tls_server_end_point(ssl, out);
    break;
  }
  tls_error_clear();
  if (n == 0) {
    return refused(L, "this connection has no channel binding of this type");
  }
  lua_pushlstring(L, (const char *)out, n);
  return 1;
}

const luaL_Reg tls_binding_methods[] = {
  {"exportkeyingmaterial", exportkeyingmaterial},
  {"getchannelbinding", getchannelbinding},
  {"getfinished", getfinished},
  {"getpeerfinished", getpeerfinished},
  {NULL, NULL},
};
