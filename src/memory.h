/*
 * memory.h: the transport of an engine, a connection without a socket: two queues, filled and emptied by the program.
 */
#ifndef TLS_MEMORY_H
#define TLS_MEMORY_H

#include "tls.h"

/* Bytes that wait, p[head..tail); of datagrams each has its length before it. */
typedef struct tls_queue {
  unsigned char *p;
  size_t head, tail, cap;
  size_t max;    /* most bytes that may wait */
  size_t taken;  /* how often bytes were dropped */
  bool packets;
} tls_queue;

struct tls_memory {
  tls_queue in, out;
  bool ended; /* nothing more will be fed */
  bool keeping; /* what is written is taken, though it is more than may wait */
};

void tls_queue_free(tls_queue *q); /* wipes nothing: what waits is encrypted */
size_t tls_queue_length(const tls_queue *q);
bool tls_queue_fits(const tls_queue *q, size_t n);
bool tls_queue_put(tls_queue *q, const void *p, size_t n); /* all of it; false when memory is short */
size_t tls_queue_next(const tls_queue *q);                     /* how many bytes wait in one piece: a datagram's, or all */
const unsigned char *tls_queue_peek(const tls_queue *q);       /* where they are, until the queue changes */
void tls_queue_drop(tls_queue *q, size_t n);                   /* n of them; of a datagram always all */
/* Moves what waits in one queue to another of its kind, as much as that may hold; false when memory is short. */
bool tls_queue_move(tls_queue *to, tls_queue *from);

/* Until it is called with false, all that OpenSSL writes is taken. False when the connection has a descriptor. */
bool tls_memory_keep(tls_connection *c, bool on);
/* Does more wait to be drained than may, because of that? */
bool tls_memory_overfull(const tls_connection *c);

/* Gives a new connection the memory transport; false when memory is short. */
bool tls_memory_attach(tls_connection *c, bool packets);

#endif
