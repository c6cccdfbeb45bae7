/*
 * memory.c: the second transport: a BIO whose bytes, or datagrams, come out of one queue and go into another. What Lua
 * programs do with the queues is in engine.c. No call here waits, and none runs Lua.
 */
#include "memory.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>

#define QUEUE_MAX ((size_t)1024 * 1024)   /* bytes that may wait, until setoption says otherwise */
#define QUEUE_KEPT ((size_t)256 * 1024)   /* an empty queue keeps this much of its memory while the connection is busy */
#define LENGTH_BYTES sizeof(uint32_t)     /* before each datagram */

/* ---- queues ---- */

void tls_queue_free(tls_queue *q)
{
  free(q->p);
  q->p = NULL;
  q->head = q->tail = q->cap = 0;
  q->taken++;
}

size_t tls_queue_length(const tls_queue *q)
{
  return q->tail - q->head;
}

bool tls_queue_fits(const tls_queue *q, size_t n)
{
  size_t waiting = tls_queue_length(q);
  return waiting < q->max && n <= q->max - waiting;
}

static bool reserve(tls_queue *q, size_t n)
{
  if (n <= q->cap - q->tail) {
    return true;
  }
  size_t waiting = tls_queue_length(q);
  if (waiting <= q->cap / 2 && n <= q->cap - waiting) {
    memmove(q->p, q->p + q->head, waiting);
  } else {
    size_t cap = q->cap * 2 > waiting + n ? q->cap * 2 : waiting + n;
    unsigned char *p = malloc(cap);
    if (p == NULL) {
      return false;
    }
    if (waiting > 0) {
      memcpy(p, q->p + q->head, waiting);
    }
    free(q->p);
    q->p = p;
    q->cap = cap;
  }
  q->head = 0;
  q->tail = waiting;
  return true;
}

static void append(tls_queue *q, const void *p, size_t n)
{
  memcpy(q->p + q->tail, p, n);
  q->tail += n;
}

bool tls_queue_put(tls_queue *q, const void *p, size_t n)
{
  uint32_t length = (uint32_t)n;
  if (n > UINT32_MAX || !reserve(q, n + LENGTH_BYTES)) {
    return false;
  }
  if (q->packets) {
    append(q, &length, LENGTH_BYTES);
  }
  append(q, p, n);
  return true;
}

static uint32_t next_length(const tls_queue *q)
{
  uint32_t length;
  memcpy(&length, q->p + q->head, LENGTH_BYTES);
  return length;
}

size_t tls_queue_next(const tls_queue *q)
{
  size_t waiting = tls_queue_length(q);
  return waiting > 0 && q->packets ? next_length(q) : waiting;
}

const unsigned char *tls_queue_peek(const tls_queue *q)
{
  return q->p + q->head + (q->packets ? LENGTH_BYTES : 0);
}

void tls_queue_drop(tls_queue *q, size_t n)
{
  q->head += q->packets ? LENGTH_BYTES + next_length(q) : n;
  q->taken++;
  if (q->head == q->tail) {
    q->head = q->tail = 0;
    if (q->cap > QUEUE_KEPT) {
      tls_queue_free(q);
    }
  }
}

static size_t room(const tls_queue *q)
{
  size_t waiting = tls_queue_length(q);
  return waiting < q->max ? q->max - waiting : 0;
}

/* An empty queue takes the other's memory for its own, with what is in it. */
static void swap(tls_queue *to, tls_queue *from)
{
  tls_queue old = *to;
  to->p = from->p;
  to->head = from->head;
  to->tail = from->tail;
  to->cap = from->cap;
  from->p = old.p;
  from->head = from->tail = 0;
  from->cap = old.cap;
  from->taken++;
}

bool tls_queue_move(tls_queue *to, tls_queue *from)
{
  if (tls_queue_length(to) == 0 && tls_queue_length(from) <= to->max) {
    swap(to, from);
    return true;
  }
  while (tls_queue_length(from) > 0) {
    size_t n = tls_queue_next(from), space = room(to);
    if (n > space && (space == 0 || from->packets)) {
      return true;
    }
    n = n < space ? n : space;
    if (!tls_queue_put(to, tls_queue_peek(from), n)) {
      return false;
    }
    tls_queue_drop(from, n);
  }
  return true;
}

/* ---- the BIO ---- */

static int bio_read(BIO *bio, char *p, int n)
{
  struct tls_memory *m = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  if (m == NULL || n <= 0) {
    return 0;
  }
  if (tls_queue_length(&m->in) > 0) {
    size_t next = tls_queue_next(&m->in);
    size_t got = next < (size_t)n ? next : (size_t)n;
    memcpy(p, tls_queue_peek(&m->in), got);
    tls_queue_drop(&m->in, got);
    return (int)got;
  }
  if (m->ended) {
    return 0;
  }
  BIO_set_retry_read(bio);
  return -1;
}

/* A full queue takes nothing: the caller has to empty it first. Bytes may be taken in part, a datagram not. */
static int bio_write(BIO *bio, const char *p, int n)
{
  struct tls_memory *m = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  if (m == NULL || n <= 0) {
    return m == NULL ? -1 : 0;
  }
  size_t space = m->keeping ? SIZE_MAX / 4 : room(&m->out);
  size_t put = m->out.packets || (size_t)n < space ? (size_t)n : space;
  if (put > space || put == 0) {
    BIO_set_retry_write(bio);
    return -1;
  }
  return tls_queue_put(&m->out, p, put) ? (int)put : -1;
}

static long bio_ctrl(BIO *bio, int cmd, long arg, void *ptr)
{
  struct tls_memory *m = BIO_get_data(bio);
  (void)arg;
  (void)ptr;
  switch (cmd) {
  case BIO_CTRL_FLUSH: case BIO_CTRL_DUP:
    return 1;
  case BIO_CTRL_EOF:
    return m == NULL || (m->ended && tls_queue_length(&m->in) == 0);
  case BIO_CTRL_WPENDING:
    return m != NULL ? (long)tls_queue_length(&m->out) : 0;
  default:
    return 0;
  }
}

static int bio_create(BIO *bio)
{
  BIO_set_init(bio, 1);
  return 1;
}

static BIO_METHOD *method;
static CRYPTO_ONCE method_once = CRYPTO_ONCE_STATIC_INIT;

static void make_method(void)
{
  BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "memory of an engine");
  if (m == NULL || BIO_meth_set_read(m, bio_read) != 1 || BIO_meth_set_write(m, bio_write) != 1 ||
      BIO_meth_set_ctrl(m, bio_ctrl) != 1 || BIO_meth_set_create(m, bio_create) != 1) {
    BIO_meth_free(m);
    m = NULL;
  }
  method = m;
}

/* ---- connections ---- */

bool tls_memory_attach(tls_connection *c, bool packets)
{
  CRYPTO_THREAD_run_once(&method_once, make_method);
  BIO *bio = method != NULL ? BIO_new(method) : NULL;
  if (bio == NULL) {
    return false;
  }
  if (c->memory == NULL) {
    c->memory = calloc(1, sizeof *c->memory);
    if (c->memory == NULL) {
      BIO_free(bio);
      return false;
    }
    c->memory->in.max = c->memory->out.max = QUEUE_MAX;
  }
  c->memory->in.packets = c->memory->out.packets = packets;
  BIO_set_data(bio, c->memory);
  SSL_set_bio(c->ssl, bio, bio);
  return true;
}

void tls_memory_close(tls_connection *c, SSL *ssl)
{
  if (c->memory != NULL) {
    BIO *bio = SSL_get_rbio(ssl);
    if (bio != NULL) {
      BIO_set_data(bio, NULL); /* the SSL may be luaossl's too, and outlive us */
    }
    tls_queue_free(&c->memory->in);
  }
}

size_t *tls_memory_limit(tls_connection *c, bool out)
{
  return out ? &c->memory->out.max : &c->memory->in.max;
}

bool tls_memory_keep(tls_connection *c, bool on)
{
  if (c->memory != NULL) {
    c->memory->keeping = on;
  }
  return c->memory != NULL;
}

bool tls_memory_overfull(const tls_connection *c)
{
  return c->memory != NULL && tls_queue_length(&c->memory->out) > c->memory->out.max;
}

bool tls_memory_readable(const tls_connection *c)
{
  return c->memory != NULL && tls_queue_length(&c->memory->in) > 0;
}

void tls_memory_idle(tls_connection *c)
{
  struct tls_memory *m = c->memory;
  if (m != NULL && tls_queue_length(&m->in) == 0) {
    tls_queue_free(&m->in);
  }
  if (m != NULL && tls_queue_length(&m->out) == 0) {
    tls_queue_free(&m->out);
  }
}

void tls_memory_free(tls_connection *c)
{
  struct tls_memory *m = c->memory;
  c->memory = NULL;
  if (m != NULL) {
    tls_queue_free(&m->in);
    tls_queue_free(&m->out);
    free(m);
  }
}
