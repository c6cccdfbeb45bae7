/*
 * readahead.h: reading a socket ahead of what OpenSSL asks for, whichever BIO the connection has.
 */
#ifndef TLS_READAHEAD_H
#define TLS_READAHEAD_H

#include "tls.h"

/* A BIO that reads and writes a socket, which it does not close: OpenSSL's socket BIO, but that it can read ahead and that
   writing to a peer that has gone sends no signal. NULL when memory is short. */
BIO *tls_readahead_bio(int fd);
/* Has OpenSSL's own BIO of a descriptor keep to a step's share of it. */
void tls_readahead_watch(tls_connection *c, BIO *bio);
/* From now on, or no more, when what was read is there still. OpenSSL's own way of it on its socket BIO, none of memory. */
void tls_readahead(SSL *ssl, bool on);
void tls_readahead_step(const SSL *ssl);    /* a step has ended: the next one may take its share of the socket again */
bool tls_readahead_pending(const SSL *ssl); /* are there bytes read ahead that OpenSSL has not asked for yet? */
/* Until it is called with false, what OpenSSL writes is kept and not sent. False for a BIO that cannot. */
bool tls_readahead_keep(SSL *ssl, bool on);
/* Sends what was kept, if anything was. False, with errno, when the socket does not take it all. */
bool tls_readahead_flush(SSL *ssl);
void tls_readahead_release(SSL *ssl);       /* frees the buffer when it is empty; the next read makes a new one */

#endif
