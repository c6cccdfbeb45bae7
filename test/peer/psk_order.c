/*
 * psk_order.c: a client of TLS 1.3 that offers a server two pre-shared keys in an order that no library has: first an identity
 * whose key it does not know, then a ticket of its own. Their hashes differ, so that the server passes over the first before it
 * would see that the proof of its key is none. RFC 8446 sections 4.2.11 and 7.1, with TLS_AES_256_GCM_SHA384 and X25519.
 *
 *   psk_order PORT IDENTITY SESSION PROOF
 *
 * SESSION: one with that cipher, in DER and hexadecimal. PROOF: "res binder", or "ext binder", which OpenSSL 3.0 expects of a
 * ticket behind another key. Prints "done" when the server has said Finished.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/ssl.h>

#define HASH 48
#define LIMIT_SECONDS 20

typedef struct bytes {
  unsigned char p[20000];
  size_t n;
} bytes;

static bytes transcript;

static void must(int ok, const char *what)
{
  if (!ok) {
    printf("%s\n", what);
    exit(1);
  }
}

static void add(bytes *b, const void *p, size_t n)
{
  must(b->n + n <= sizeof b->p, "too long");
  memcpy(b->p + b->n, p, n);
  b->n += n;
}

static void add_int(bytes *b, size_t value, int size)
{
  while (size-- > 0) {
    unsigned char byte = (unsigned char)(value >> (8 * size));
    add(b, &byte, 1);
  }
}

static void add_hex(bytes *b, const char *hex)
{
  unsigned int byte;
  for (; sscanf(hex, "%2x", &byte) == 1; hex += 2) {
    add_int(b, byte, 1);
  }
}

/* ---- the key schedule ---- */

static void hmac(const unsigned char *key, const void *data, size_t n, unsigned char *out)
{
  must(HMAC(EVP_sha384(), key, HASH, data, n, out, NULL) != NULL, "HMAC");
}

static void hash(const bytes *b, unsigned char *out)
{
  must(EVP_Digest(b->p, b->n, out, NULL, EVP_sha384(), NULL), "SHA-384");
}

/* HKDF-Expand-Label; context: HASH bytes, or NULL for none. */
static void expand(const unsigned char *secret, const char *label, const unsigned char *context, unsigned char *out, size_t n)
{
  bytes info = {.n = 0};
  unsigned char block[HASH];
  add_int(&info, n, 2);
  add_int(&info, 6 + strlen(label), 1);
  add(&info, "tls13 ", 6);
  add(&info, label, strlen(label));
  add_int(&info, context != NULL ? HASH : 0, 1);
  add(&info, context, context != NULL ? HASH : 0);
  add_int(&info, 1, 1);
  hmac(secret, info.p, info.n, block);
  memcpy(out, block, n);
}

static void finished(const unsigned char *secret, const unsigned char *digest, unsigned char *out)
{
  unsigned char key[HASH];
  expand(secret, "finished", NULL, key, HASH);
  hmac(key, digest, HASH, out);
}

/* ---- messages ---- */

static void add_extension(bytes *b, int type, const char *hex)
{
  add_int(b, (size_t)type, 2);
  add_int(b, strlen(hex) / 2, 2);
  add_hex(b, hex);
}

/* A ClientHello with both keys. */
static void client_hello(const char *identity, const bytes *ticket, const char *proof, const unsigned char *early,
                         const unsigned char *share)
{
  bytes *b = &transcript, rest = {.n = 0};
  unsigned char none[HASH], binderkey[HASH], digest[HASH];
  const bytes empty = {.n = 0};
  size_t nidentities = 12 + strlen(identity) + ticket->n, nbinders = 1 + 32 + 1 + HASH;
  add_hex(&rest, "0303");
  add(&rest, share, 32); /* a random number as good as any */
  add_hex(&rest, "000002130201" "00");
  add_int(&rest, 7 + 8 + 10 + 6 + 42 + 4 + 2 + nidentities + 2 + nbinders, 2);
  add_extension(&rest, 43, "020304");
  add_extension(&rest, 10, "0002001d");
  add_extension(&rest, 13, "000404030804");
  add_extension(&rest, 45, "0101");
  add_hex(&rest, "003300260024" "001d0020");
  add(&rest, share, 32);
  add_int(&rest, 41, 2);
  add_int(&rest, 2 + nidentities + 2 + nbinders, 2);
  add_int(&rest, nidentities, 2);
  add_int(&rest, strlen(identity), 2);
  add(&rest, identity, strlen(identity));
  add_int(&rest, 0, 4);
  add_int(&rest, ticket->n, 2);
  add(&rest, ticket->p, ticket->n);
  add_int(&rest, 0, 4);
  add_int(b, 1, 1);
  add_int(b, rest.n + 2 + nbinders, 3);
  add(b, rest.p, rest.n);
  hash(&empty, none);
  expand(early, proof, none, binderkey, HASH);
  hash(b, digest);
  finished(binderkey, digest, digest);
  add_int(b, nbinders, 2);
  add_int(b, 32, 1);
  for (int i = 0; i < 32; i++) {
    add_int(b, 0, 1);
  }
  add_int(b, HASH, 1);
  add(b, digest, HASH);
}

static void take(int fd, void *p, size_t n)
{
  for (size_t got = 0; got < n;) {
    ssize_t more = read(fd, (char *)p + got, n - got);
    must(more > 0, "the server has gone");
    got += (size_t)more;
  }
}

static int read_record(int fd, bytes *b)
{
  unsigned char head[5];
  take(fd, head, 5);
  b->n = (size_t)head[3] << 8 | head[4];
  must(b->n <= sizeof b->p && head[0] != 21, "an alert");
  take(fd, b->p, b->n);
  return head[0];
}

static void write_record(int fd, int type, const bytes *b)
{
  bytes r = {.n = 0};
  add_int(&r, (size_t)type, 1);
  add_hex(&r, "0303");
  add_int(&r, b->n, 2);
  add(&r, b->p, b->n);
  must(write(fd, r.p, r.n) == (ssize_t)r.n, "write");
}

/* ---- records in cipher ---- */

static void cipher(const unsigned char *secret, int seq, int encrypt, bytes *b)
{
  unsigned char key[32], iv[12], head[5] = {23, 3, 3, 0, 0};
  int n;
  size_t whole = b->n + (encrypt ? 16 : 0), inner = whole - 16;
  EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
  expand(secret, "key", NULL, key, sizeof key);
  expand(secret, "iv", NULL, iv, sizeof iv);
  iv[11] ^= (unsigned char)seq;
  head[3] = (unsigned char)(whole >> 8);
  head[4] = (unsigned char)whole;
  int ok = EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, iv, encrypt) &&
           EVP_CipherUpdate(ctx, NULL, &n, head, 5) && EVP_CipherUpdate(ctx, b->p, &n, b->p, (int)inner) &&
           (encrypt || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, 16, b->p + inner)) &&
           EVP_CipherFinal_ex(ctx, b->p + inner, &n) &&
           (!encrypt || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, b->p + inner));
  must(ok, "a record that does not decrypt");
  b->n = encrypt ? whole : inner;
  EVP_CIPHER_CTX_free(ctx);
}

/* Reads the server's messages up to its Finished. */
static void read_flight(int fd, const unsigned char *secret)
{
  for (int seq = 0;;) {
    bytes r;
    if (read_record(fd, &r) != 23) {
      continue; /* change_cipher_spec */
    }
    cipher(secret, seq++, 0, &r);
    while (r.n > 0 && r.p[r.n - 1] == 0) {
      r.n--;
    }
    must(r.n > 1 && r.p[r.n - 1] == 22, "no message of the handshake");
    add(&transcript, r.p, r.n - 1);
    if (r.n > HASH + 4 && r.p[r.n - 1 - HASH - 4] == 20) {
      return;
    }
  }
}

/* The server's share of the key exchange, the 32 bytes in its extension 51. */
static EVP_PKEY *peer_share(const bytes *hello)
{
  static const unsigned char head[] = {0, 51, 0, 36, 0, 29, 0, 32};
  for (size_t i = 0; i + sizeof head + 32 <= hello->n; i++) {
    if (memcmp(hello->p + i, head, sizeof head) == 0) {
      return EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, hello->p + i + sizeof head, 32);
    }
  }
  return NULL;
}

static void shake(int fd, const char *identity, const bytes *ticket, const char *proof, const unsigned char *psk)
{
  static const unsigned char zeros[HASH];
  unsigned char early[HASH], none[HASH], secret[HASH], client[HASH], server[HASH], digest[HASH], share[32], shared[32];
  size_t n = sizeof share;
  bytes hello, last = {.n = 0};
  const bytes empty = {.n = 0};
  EVP_PKEY *mine = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
  must(mine != NULL && EVP_PKEY_get_raw_public_key(mine, share, &n), "X25519");
  hmac(zeros, psk, HASH, early);
  client_hello(identity, ticket, proof, early, share);
  write_record(fd, 22, &transcript);
  must(read_record(fd, &hello) == 22, "no ServerHello");
  add(&transcript, hello.p, hello.n);
  EVP_PKEY *theirs = peer_share(&hello);
  EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(mine, NULL);
  must(theirs != NULL && EVP_PKEY_derive_init(ctx) > 0 && EVP_PKEY_derive_set_peer(ctx, theirs) > 0 &&
         EVP_PKEY_derive(ctx, shared, &n) > 0, "no common key");
  hash(&empty, none);
  expand(early, "derived", none, secret, HASH);
  hmac(secret, shared, sizeof shared, secret);
  hash(&transcript, digest);
  expand(secret, "c hs traffic", digest, client, HASH);
  expand(secret, "s hs traffic", digest, server, HASH);
  read_flight(fd, server);
  hash(&transcript, digest);
  finished(client, digest, digest);
  add_hex(&last, "14000030");
  add(&last, digest, HASH);
  add_int(&last, 22, 1);
  cipher(client, 0, 1, &last);
  write_record(fd, 23, &last);
  EVP_PKEY_CTX_free(ctx);
  EVP_PKEY_free(mine);
  EVP_PKEY_free(theirs);
}

int main(int argc, char **argv)
{
  struct sockaddr_in a = {.sin_family = AF_INET};
  bytes der = {.n = 0}, ticket = {.n = 0};
  const unsigned char *p = der.p;
  unsigned char key[SSL_MAX_MASTER_KEY_LENGTH];
  char more;
  must(argc == 5, "psk_order PORT IDENTITY SESSION PROOF");
  alarm(LIMIT_SECONDS);
  add_hex(&der, argv[3]);
  SSL_SESSION *session = d2i_SSL_SESSION(NULL, &p, (long)der.n);
  must(session != NULL && SSL_SESSION_get_master_key(session, key, sizeof key) == HASH, "a session with SHA-384 expected");
  SSL_SESSION_get0_ticket(session, &p, &ticket.n);
  memcpy(ticket.p, p, ticket.n);
  a.sin_port = htons((unsigned short)atoi(argv[1]));
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  must(fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0, "connect");
  shake(fd, argv[2], &ticket, argv[4], key);
  printf("done\n");
  fflush(stdout);
  while (read(fd, &more, 1) > 0) {
  }
  SSL_SESSION_free(session);
  return 0;
}
