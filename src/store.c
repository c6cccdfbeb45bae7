/*
 * store.c: the process-wide cache of parsed CA files. Parsing a system's bundle takes OpenSSL many milliseconds, and
 * programs make a context a connection. A store in the cache is never changed: what a context adds of its own (a directory,
 * a second file, CRLs) goes into a private store, and its flags into its own verify parameters.
 *
 * The cache belongs to the process and not to a lua_State because the stores are OpenSSL's, which locks them; so states in
 * other threads share them too. An entry is good for a path as long as the file's device, inode, size and times are the
 * same, which is asked of the system at each use.
 */
#include "material.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <openssl/evp.h>

/* How many stores that no context uses are kept: a program that makes a context a connection may have none between two. */
#define IDLE_MAX 2
/* A file this young may change again without its times telling: it is not shared yet. */
#define YOUNG_SECONDS 2

typedef struct identity {
  dev_t dev;
  ino_t ino;
  off_t size;
  struct timespec mtime, ctime;
} identity;

struct tls_store {
  struct tls_store *next; /* the most recently used one first */
  char *path;
  identity id;
  X509_STORE *store;
  unsigned char digest[TLS_STORE_DIGEST];
  int users;
};

static struct tls_store *cache;
static CRYPTO_RWLOCK *lock;
static CRYPTO_ONCE once = CRYPTO_ONCE_STATIC_INIT;

static void make_lock(void)
{
  lock = CRYPTO_THREAD_lock_new();
}

/* Exclusive. False when there is no lock, and so no cache. */
static bool acquire(void)
{
  return CRYPTO_THREAD_run_once(&once, make_lock) && lock != NULL && CRYPTO_THREAD_write_lock(lock);
}

static void release(void)
{
  CRYPTO_THREAD_unlock(lock);
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
  return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool same(const identity *a, const identity *b)
{
  return a->dev == b->dev && a->ino == b->ino && a->size == b->size && same_time(&a->mtime, &b->mtime) &&
         same_time(&a->ctime, &b->ctime);
}

static bool identify(const char *path, identity *id)
{
  struct stat st;
  if (stat(path, &st) != 0 || !S_ISREG(st.st_mode)) {
    return false;
  }
  *id = (identity){st.st_dev, st.st_ino, st.st_size, st.st_mtim, st.st_ctim};
  return true;
}

static bool settled(const identity *id)
{
  time_t now = time(NULL);
  return id->mtime.tv_sec < now - YOUNG_SECONDS && id->ctime.tv_sec < now - YOUNG_SECONDS;
}

static void free_entry(tls_store *s)
{
  X509_STORE_free(s->store);
  free(s->path);
  free(s);
}

/* Takes an entry out of the list. */
static void detach(tls_store *s)
{
  tls_store **p = &cache;
  while (*p != NULL && *p != s) {
    p = &(*p)->next;
  }
  if (*p != NULL) {
    *p = s->next;
  }
}

/* Drops unused entries: all of `path`, when given, for its file has changed; of the others all but the latest few. */
static void drop_unused(const char *path)
{
  int idle = 0;
  tls_store *next;
  for (tls_store *s = cache; s != NULL; s = next) {
    next = s->next;
    if (s->users > 0) {
      continue;
    }
    if (++idle > IDLE_MAX || (path != NULL && strcmp(s->path, path) == 0)) {
      detach(s);
      free_entry(s);
    }
  }
}

/* Moves an entry to the front for one user more. */
static tls_store *use(tls_store *s)
{
  detach(s);
  s->next = cache;
  cache = s;
  s->users++;
  return s;
}

static tls_store *find(const char *path, const identity *id)
{
  tls_store *s = cache;
  while (s != NULL && !(strcmp(s->path, path) == 0 && same(&s->id, id))) {
    s = s->next;
  }
  return s != NULL ? use(s) : NULL;
}

/* Of what is in a store that nobody has looked into yet: looking sorts it. */
static bool digest_of(X509_STORE *store, unsigned char *digest)
{
  STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(store);
  EVP_MD_CTX *md = EVP_MD_CTX_new();
  unsigned char one[EVP_MAX_MD_SIZE], all[EVP_MAX_MD_SIZE];
  unsigned int n = 0;
  bool ok = md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;
  for (int i = 0; ok && i < sk_X509_OBJECT_num(objects); i++) {
    const X509_OBJECT *object = sk_X509_OBJECT_value(objects, i);
    const X509 *cert = X509_OBJECT_get0_X509(object);
    const X509_CRL *crl = X509_OBJECT_get0_X509_CRL(object);
    ok = (cert != NULL ? X509_digest(cert, EVP_sha256(), one, &n) == 1 : X509_CRL_digest(crl, EVP_sha256(), one, &n) == 1) &&
         EVP_DigestUpdate(md, one, n) == 1;
  }
  ok = ok && EVP_DigestFinal_ex(md, all, &n) == 1;
  EVP_MD_CTX_free(md);
  if (ok) {
    memcpy(digest, all, TLS_STORE_DIGEST);
  }
  return ok;
}

static tls_store *new_entry(const char *path, const identity *id, X509_STORE *store)
{
  tls_store *s = malloc(sizeof *s);
  char *copy = malloc(strlen(path) + 1);
  if (s == NULL || copy == NULL || !digest_of(store, s->digest) || X509_STORE_up_ref(store) != 1) {
    free(s);
    free(copy);
    return NULL;
  }
  memcpy(copy, path, strlen(path) + 1);
  s->next = NULL;
  s->path = copy;
  s->id = *id;
  s->store = store;
  s->users = 0;
  return s;
}

/* Puts a parsed store into the cache, unless another thread was faster, whose store is then as good. */
static tls_store *share(const char *path, const identity *id, X509_STORE *store)
{
  tls_store *s = NULL;
  if (acquire()) {
    s = find(path, id);
    if (s == NULL && (s = new_entry(path, id, store)) != NULL) {
      drop_unused(path);
      use(s);
    }
    release();
  }
  return s;
}

static X509_STORE *parse(const char *path)
{
  X509_STORE *store = X509_STORE_new();
  if (store != NULL && !tls_pem_trust(store, path)) {
    X509_STORE_free(store);
    store = NULL;
  }
  return store;
}

X509_STORE *tls_store_open(const char *path, tls_store **shared, unsigned char *digest)
{
  identity before, after;
  bool known = identify(path, &before) && settled(&before);
  *shared = NULL;
  if (known && acquire()) {
    *shared = find(path, &before);
    release();
  }
  X509_STORE *store = NULL;
  if (*shared == NULL) {
    store = parse(path);
    if (store != NULL && known && identify(path, &after) && same(&before, &after)) {
      *shared = share(path, &before, store);
    }
  }
  if (*shared != NULL) {
    X509_STORE_up_ref((*shared)->store);
    X509_STORE_free(store);
    store = (*shared)->store;
    memcpy(digest, (*shared)->digest, TLS_STORE_DIGEST);
  } else if (store != NULL && !digest_of(store, digest)) {
    X509_STORE_free(store);
    store = NULL;
  }
  return store;
}

bool tls_store_copy(X509_STORE *from, X509_STORE *to)
{
  if (X509_STORE_lock(from) != 1) {
    return false;
  }
  STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(from);
  bool ok = true;
  for (int i = 0; ok && i < sk_X509_OBJECT_num(objects); i++) {
    const X509_OBJECT *object = sk_X509_OBJECT_value(objects, i);
    X509 *cert = X509_OBJECT_get0_X509(object);
    ok = (cert != NULL ? X509_STORE_add_cert(to, cert) : X509_STORE_add_crl(to, X509_OBJECT_get0_X509_CRL(object))) == 1;
  }
  X509_STORE_unlock(from);
  return ok;
}

void tls_store_close(tls_store *s)
{
  if (s != NULL && acquire()) {
    s->users--;
    drop_unused(NULL);
    release();
  }
}
