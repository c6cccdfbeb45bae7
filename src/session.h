/*
 * session.h: what the files about sessions share: session.c (objects, methods of connections), sessions.c (what hangs on a
 * context), cache.c (a client's sessions by peer), sessionstore.c (a server's, in a store of the program's), tickets.c (the
 * keys of a server's tickets).
 */
#ifndef TLS_SESSION_H
#define TLS_SESSION_H

#include "tls.h"

typedef struct tls_cache tls_cache;
typedef struct tls_ticketkeys tls_ticketkeys;
typedef struct tls_removals tls_removals;

/* Hangs on an SSL_CTX and is freed with it, so that connections which outlive their context object still find it. On a server
   OpenSSL asks the context that a connection began with, whatever SNI selected; that is the one a connection points to. */
typedef struct tls_sessions {
  tls_cache *cache;       /* a client's, NULL: none */
  tls_ticketkeys *keys;   /* a server's, NULL: OpenSSL's own */
  bool store;             /* functions in TLS_SLOT_STORE keep a server's sessions */
  tls_removals *removals; /* ids of sessions that the store should forget */
  uint64_t handshakes, resumed, hits, misses;
} tls_sessions;

/* sessions.c */
/* Could this connection have verified the session's peer with the same outcome? OpenSSL finds out about other settings in
   the middle of the handshake and then ends it; about other names it never asks. */
bool tls_session_fits(SSL *ssl, SSL_SESSION *s);
/* Ends a session no later than the peer's certificate. */
void tls_session_clamp(const SSL *ssl, SSL_SESSION *s);

/* verify.c */
void tls_verify_label(const tls_connection *c, SSL_SESSION *s); /* the log goes with a server's session */

/* psk.c */
/* The application data of a session: on a server the identity of the key that it was made by, if it was; on a client with a key
   the context's session id, which it may not have as a session id context, and then the identity. */
void tls_psk_label(const tls_connection *c, SSL_SESSION *s);
void tls_psk_end(tls_connection *c); /* a handshake is done: was it the key, or a session? */

/* session.c */
/* All n bytes as one session in DER; NULL for anything else. */
SSL_SESSION *tls_session_parse(const unsigned char *data, size_t n);

/* cache.c */
tls_cache *tls_cache_new(size_t max); /* at most so many sessions; NULL when memory is short */
void tls_cache_free(tls_cache *cache);
/* Keeps a copy of a session that a client's connection was sent. */
void tls_cache_put(tls_cache *cache, const tls_connection *c, SSL_SESSION *fresh);
/* Sets a session of the connection's peer for its handshake; false when there is none. */
bool tls_cache_offer(tls_cache *cache, const tls_connection *c);
/* Forgets the sessions of the connection's peer. */
void tls_cache_drop(tls_cache *cache, const tls_connection *c);

/* sessionstore.c */
void tls_sessionstore_watch(SSL_CTX *ctx);
void tls_sessionstore_put(tls_connection *c, SSL_SESSION *fresh);
void tls_sessionstore_forget(tls_connection *c); /* tells the store of the sessions that have become bad */
void tls_sessionstore_release(tls_sessions *s);

/* tickets.c */
void tls_tickets_free(tls_ticketkeys *keys);

#endif
