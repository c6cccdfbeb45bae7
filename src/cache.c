/*
 * cache.c: a client's sessions, by the peer that sent them: its name and port, or its address and port where no name was sent
 * to it. The least recently used go first. What may be resumed where is decided in sessions.c.
 */
#include "session.h"

#include <ctype.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define PER_PEER 4        /* TLS 1.3 has one use for each, and programs open several connections at once */
#define SIZE_LIMIT 65536  /* of one session: ticket, certificates of the peer */
#define BUCKETS_MAX 1024
#define KEY_MAX (256 + 20)
#define OWN_MAX 16        /* OpenSSL has room for a certificate of each of fewer types of keys */

typedef struct peer {
  uint32_t hash;
  size_t n;
  unsigned char bytes[KEY_MAX];
} peer;

typedef struct entry {
  struct entry *next;          /* in its bucket, newest first */
  struct entry *newer, *older; /* in the order of their last use */
  SSL_SESSION *session;
  uint32_t hash;
  size_t n;
  unsigned char bytes[];       /* of the peer */
} entry;

/* The certificates that a client could show. */
typedef struct identity {
  int n;
  X509 *cert[OWN_MAX];
} identity;

struct tls_cache {
  size_t max, n;
  size_t mask;      /* number of buckets - 1 */
  entry *newest, *oldest;
  identity own;     /* whom the sessions were made as */
  entry *buckets[];
};

/* ---- peers ---- */

static void add_bytes(peer *p, const void *bytes, size_t n)
{
  memcpy(p->bytes + p->n, bytes, n);
  p->n += n;
}

/* The address of the other end, its port alone when the name is known. */
static bool add_address(peer *p, int fd, bool named)
{
  struct sockaddr_storage a;
  socklen_t n = sizeof a;
  memset(&a, 0, sizeof a);
  if (fd < 0 || getpeername(fd, (struct sockaddr *)&a, &n) != 0) {
    return named && fd < 0; /* a transport of the program's own has no port */
  }
  if (a.ss_family == AF_INET) {
    const struct sockaddr_in *in = (const void *)&a;
    add_bytes(p, &in->sin_port, sizeof in->sin_port);
    add_bytes(p, &in->sin_addr, named ? 0 : sizeof in->sin_addr);
  } else if (a.ss_family == AF_INET6) {
    const struct sockaddr_in6 *in6 = (const void *)&a;
    add_bytes(p, &in6->sin6_port, sizeof in6->sin6_port);
    add_bytes(p, &in6->sin6_addr, named ? 0 : sizeof in6->sin6_addr);
  } else {
    return named;
  }
  return true;
}

static bool peer_of(const tls_connection *c, peer *p)
{
  const char *name = SSL_get_servername(c->ssl, TLSEXT_NAMETYPE_host_name);
  size_t n = name != NULL ? strlen(name) : 0;
  p->n = 0;
  if (n > TLSEXT_MAXLEN_host_name) {
    return false;
  }
  for (size_t i = 0; i < n; i++) {
    p->bytes[p->n++] = (unsigned char)tolower((unsigned char)name[i]);
  }
  p->bytes[p->n++] = '\0';
  if (!add_address(p, c->fd, n > 0)) {
    return false;
  }
  p->hash = 2166136261u; /* FNV-1a */
  for (size_t i = 0; i < p->n; i++) {
    p->hash = (p->hash ^ p->bytes[i]) * 16777619u;
  }
  return true;
}

static bool is_of(const entry *e, const peer *p)
{
  return e->hash == p->hash && e->n == p->n && memcmp(e->bytes, p->bytes, p->n) == 0;
}

/* ---- entries ---- */

static void unlink_use(tls_cache *cache, entry *e)
{
  *(e->newer != NULL ? &e->newer->older : &cache->newest) = e->older;
  *(e->older != NULL ? &e->older->newer : &cache->oldest) = e->newer;
}

static void link_use(tls_cache *cache, entry *e)
{
  e->newer = NULL;
  e->older = cache->newest;
  *(cache->newest != NULL ? &cache->newest->newer : &cache->oldest) = e;
  cache->newest = e;
}

/* Takes out the entry that a link of its bucket points to. */
static void drop(tls_cache *cache, entry **link)
{
  entry *e = *link;
  *link = e->next;
  unlink_use(cache, e);
  SSL_SESSION_free(e->session);
  OPENSSL_free(e);
  cache->n--;
}

static entry **bucket_of(tls_cache *cache, uint32_t hash)
{
  return &cache->buckets[hash & cache->mask];
}

static void drop_oldest(tls_cache *cache)
{
  entry **link = bucket_of(cache, cache->oldest->hash);
  while (*link != cache->oldest) {
    link = &(*link)->next;
  }
  drop(cache, link);
}

/* Leaves at most `most` sessions of a peer, the newest. */
static void thin(tls_cache *cache, const peer *p, int most)
{
  int n = 0;
  for (entry **link = bucket_of(cache, p->hash); *link != NULL;) {
    if (is_of(*link, p) && ++n > most) {
      drop(cache, link);
    } else {
      link = &(*link)->next;
    }
  }
}

/* ---- sessions ---- */

/* What a peer makes us keep. Certificates are counted with each session, though those of one connection share them. */
static bool is_small(const SSL *ssl, const SSL_SESSION *s)
{
  size_t ticket = 0;
  const unsigned char *bytes;
  STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
  SSL_SESSION_get0_ticket(s, &bytes, &ticket);
  for (int i = 0; i < sk_X509_num(chain); i++) {
    int n = i2d_X509(sk_X509_value(chain, i), NULL);
    ticket += n > 0 ? (size_t)n : SIZE_LIMIT;
  }
  return ticket < SIZE_LIMIT;
}

/* The end that the server announced counts as well as the session's own. */
static bool is_alive(const SSL_SESSION *s)
{
  long timeout = SSL_SESSION_get_timeout(s);
  unsigned long hint = SSL_SESSION_get_ticket_lifetime_hint(s);
  if (hint > 0 && hint < (unsigned long)timeout) {
    timeout = (long)hint;
  }
  return time(NULL) - SSL_SESSION_get_time_ex(s) < timeout && SSL_SESSION_is_resumable(s) == 1;
}

/* All certificates, not the one in use: a handshake changes that. The connection looks at them one by one, and at the former
   again when this is over. SSL_set_current_cert(3). */
static void identify(SSL *ssl, identity *id)
{
  X509 *now = SSL_get_certificate(ssl);
  id->n = 0;
  for (long more = SSL_set_current_cert(ssl, SSL_CERT_SET_FIRST); more == 1 && id->n < OWN_MAX;
       more = SSL_set_current_cert(ssl, SSL_CERT_SET_NEXT)) {
    id->cert[id->n++] = SSL_get_certificate(ssl);
  }
  if (now != NULL) {
    SSL_select_current_cert(ssl, now);
  }
  tls_error_clear();
}

static bool is_self(const identity *a, const identity *b)
{
  bool same = a->n == b->n;
  for (int i = 0; same && i < a->n; i++) {
    same = a->cert[i] == b->cert[i];
  }
  return same;
}

static void forget_self(tls_cache *cache)
{
  while (cache->oldest != NULL) {
    drop_oldest(cache);
  }
  while (cache->own.n > 0) {
    X509_free(cache->own.cert[--cache->own.n]);
  }
}

/* Sessions made as one client are not for another, which the context may have become by a new certificate. */
static void forget_other_self(tls_cache *cache, SSL *ssl)
{
  identity self;
  identify(ssl, &self);
  if (is_self(&cache->own, &self)) {
    return;
  }
  forget_self(cache);
  for (int i = 0; i < self.n; i++) {
    X509_up_ref(self.cert[i]);
  }
  cache->own = self;
}

static void insert(tls_cache *cache, const peer *p, SSL_SESSION *s)
{
  entry *e = OPENSSL_zalloc(sizeof *e + p->n);
  if (e == NULL) {
    SSL_SESSION_free(s);
    return;
  }
  entry **bucket = bucket_of(cache, p->hash);
  e->session = s;
  e->hash = p->hash;
  e->n = p->n;
  memcpy(e->bytes, p->bytes, p->n);
  e->next = *bucket;
  *bucket = e;
  link_use(cache, e);
  cache->n++;
}

void tls_cache_put(tls_cache *cache, const tls_connection *c, SSL_SESSION *fresh)
{
  peer p;
  if (SSL_SESSION_is_resumable(fresh) != 1 || !is_small(c->ssl, fresh) || !peer_of(c, &p)) {
    return;
  }
  forget_other_self(cache, c->ssl);
  /* OpenSSL would spoil the connection's own when that ends without close_notify, as many do. */
  SSL_SESSION *copy = SSL_SESSION_dup(fresh);
  if (copy == NULL) {
    tls_error_clear();
    return;
  }
  /* Of TLS 1.2 the newest serves any number of times. */
  thin(cache, &p, SSL_SESSION_get_protocol_version(fresh) != TLS1_3_VERSION ? 0 : PER_PEER - 1);
  while (cache->n >= cache->max) {
    drop_oldest(cache);
  }
  insert(cache, &p, copy);
}

/* A copy, which the end of the connection may spoil; one of TLS 1.3 is not used again. */
static bool offer(SSL *ssl, SSL_SESSION *s)
{
  SSL_SESSION *copy = SSL_SESSION_get_protocol_version(s) != TLS1_3_VERSION ? SSL_SESSION_dup(s) : NULL;
  bool ok = SSL_set_session(ssl, copy != NULL ? copy : s) == 1;
  SSL_SESSION_free(copy);
  return ok;
}

bool tls_cache_offer(tls_cache *cache, const tls_connection *c)
{
  peer p;
  if (!peer_of(c, &p)) {
    return false;
  }
  forget_other_self(cache, c->ssl);
  for (entry **link = bucket_of(cache, p.hash); *link != NULL;) {
    entry *e = *link;
    if (!is_of(e, &p)) {
      link = &e->next;
    } else if (!is_alive(e->session) || !tls_session_fits(c->ssl, e->session) || !offer(c->ssl, e->session)) {
      drop(cache, link);
    } else {
      if (SSL_SESSION_get_protocol_version(e->session) == TLS1_3_VERSION) {
        drop(cache, link);
      } else {
        unlink_use(cache, e);
        link_use(cache, e);
      }
      return true;
    }
  }
  return false;
}

void tls_cache_drop(tls_cache *cache, const tls_connection *c)
{
  peer p;
  if (peer_of(c, &p)) {
    thin(cache, &p, 0);
  }
}

/* ---- life ---- */

tls_cache *tls_cache_new(size_t max)
{
  size_t buckets = 1;
  while (buckets < max && buckets < BUCKETS_MAX) {
    buckets *= 2;
  }
  tls_cache *cache = OPENSSL_zalloc(sizeof *cache + buckets * sizeof(entry *));
  if (cache != NULL) {
    cache->max = max;
    cache->mask = buckets - 1;
  }
  return cache;
}

void tls_cache_free(tls_cache *cache)
{
  if (cache != NULL) {
    forget_self(cache);
    OPENSSL_free(cache);
  }
}
