/*
 * tickets.c: the keys that a server's session tickets are encrypted with, where several servers share them or they change
 * while it runs. RFC 5077 section 4; AES-256-CBC and HMAC-SHA-256. No Lua runs under OpenSSL here.
 */
#include "session.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#define KEYS_MAX 64

typedef struct ticket_key {
  unsigned char name[16], aes[32], hmac[32];
} ticket_key;

struct tls_ticketkeys {
  size_t n;
  ticket_key key[]; /* the first encrypts */
};

void tls_tickets_free(tls_ticketkeys *keys)
{
  if (keys != NULL) {
    OPENSSL_clear_free(keys, sizeof *keys + keys->n * sizeof(ticket_key));
  }
}

static bool use_key(const ticket_key *k, const unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt)
{
  char digest[] = "SHA256";
  unsigned char secret[sizeof k->hmac];
  memcpy(secret, k->hmac, sizeof secret);
  OSSL_PARAM params[] = {
    OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, secret, sizeof secret),
    OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
    OSSL_PARAM_construct_end(),
  };
  bool ok = EVP_MAC_CTX_set_params(mac, params) == 1 &&
            EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, k->aes, iv, encrypt) == 1;
  OPENSSL_cleanse(secret, sizeof secret);
  return ok;
}

/* OpenSSL asks the context that the connection began with, which SSL_get_SSL_CTX does not give after SNI. */
static int on_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt)
{
  const tls_connection *c = tls_connectionof(ssl);
  const tls_sessions *s = c != NULL && c->sessions != NULL ? c->sessions : tls_sessionsof(SSL_get_SSL_CTX(ssl));
  const tls_ticketkeys *keys = s != NULL ? s->keys : NULL;
  if (keys == NULL) {
    return -1;
  }
  if (encrypt) {
    memcpy(name, keys->key[0].name, sizeof keys->key[0].name);
    return RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) == 1 && use_key(&keys->key[0], iv, cipher, mac, 1) ? 1 : -1;
  }
  for (size_t i = 0; i < keys->n; i++) {
    if (memcmp(keys->key[i].name, name, sizeof keys->key[i].name) == 0) {
      /* 2: send a new ticket, by the new key; in TLS 1.3 always, since there each is for one use. */
      int ok = i == 0 && SSL_version(ssl) != TLS1_3_VERSION ? 1 : 2;
      return use_key(&keys->key[i], iv, cipher, mac, 0) ? ok : -1;
    }
  }
  return 0;
}

/* ---- reading the list ---- */

/* The field of the key at the stack's top; 0, or the number of values pushed to say what is wrong. */
static int take_field(lua_State *L, int i, const char *field, unsigned char *out, size_t want)
{
  size_t n = 0;
  lua_getfield(L, -1, field);
  if (lua_type(L, -1) != LUA_TSTRING) {
    return tls_refuse(L, "invalid ticketkeys[%d].%s (string of %d bytes expected, got %s)", i, field, (int)want,
                      luaL_typename(L, -1));
  }
  const char *bytes = lua_tolstring(L, -1, &n);
  if (n != want) {
    return tls_refuse(L, "invalid ticketkeys[%d].%s (%d bytes expected, got %d)", i, field, (int)want, (int)n);
  }
  memcpy(out, bytes, n);
  lua_pop(L, 1);
  return 0;
}

static int take_key(lua_State *L, tls_ticketkeys *keys, size_t i)
{
  ticket_key *k = &keys->key[i];
  int at = (int)i + 1, bad;
  lua_rawgeti(L, 2, at);
  if (!lua_istable(L, -1)) {
    return tls_refuse(L, "invalid ticketkeys[%d] (table expected, got %s)", at, luaL_typename(L, -1));
  }
  if ((bad = take_field(L, at, "name", k->name, sizeof k->name)) != 0 ||
      (bad = take_field(L, at, "aes", k->aes, sizeof k->aes)) != 0 ||
      (bad = take_field(L, at, "hmac", k->hmac, sizeof k->hmac)) != 0) {
    return bad;
  }
  for (size_t j = 0; j < i; j++) {
    if (memcmp(keys->key[j].name, k->name, sizeof k->name) == 0) {
      return tls_refuse(L, "invalid ticketkeys[%d] (the same name as ticketkeys[%d])", at, (int)j + 1);
    }
  }
  lua_pop(L, 1);
  return 0;
}

static void release(void *p)
{
  tls_tickets_free(p);
}

/* table ssl.TicketKey
   - name: string -- 16 bytes
   - aes: string -- 32 bytes
   - hmac: string -- 32 bytes */
/* ctx:setticketkeys(keys: ssl.TicketKey[]) -> true | false, message, detail
   From now on a server's session tickets are encrypted with the first key of the list and accepted by all of them;
   tickets of any other key mean a full handshake. Each is a table with name (16 bytes), aes and hmac (32 bytes each).
   To change keys put the new one in front and keep the old one as long as sessions last. All or nothing.
   SSL_CTX_set_tlsext_ticket_key_evp_cb(3). */
static int setticketkeys(lua_State *L)
{
  const tls_context *ctx = tls_checkcontext(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  size_t n = (size_t)lua_rawlen(L, 2);
  tls_sessions *s = tls_sessionsof(ctx->ctx);
  if (ctx->mode != TLS_MODE_SERVER || s == NULL) {
    return tls_refuse(L, "ticket keys are for servers");
  }
  if (n < 1 || n > KEYS_MAX) {
    return tls_refuse(L, "invalid ticketkeys (1 to %d keys expected, got %d)", KEYS_MAX, (int)n);
  }
  tls_box *box = tls_newbox(L, release);
  tls_ticketkeys *keys = OPENSSL_zalloc(sizeof *keys + n * sizeof(ticket_key));
  if (keys == NULL) {
    return tls_fail_text(L, "error setting ticket keys", "not enough memory");
  }
  keys->n = n;
  box->p = keys;
  for (size_t i = 0; i < n; i++) {
    int bad = take_key(L, keys, i);
    if (bad != 0) {
      return bad;
    }
  }
  if (ctx->ctx == NULL) { /* by a metamethod of the tables */
    return tls_refuse(L, "the context was closed while its ticket keys were read");
  }
  box->p = s->keys;
  s->keys = keys;
  tls_emptybox(box);
  return tls_answer(L, SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx->ctx, on_key) == 1, "error setting ticket keys");
}

const luaL_Reg tls_tickets_methods[] = {
  {"setticketkeys", setticketkeys},
  {NULL, NULL},
};
