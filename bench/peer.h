/*
 * peer.h: what the C parts of the benchmark share, all of it in tls.c but raw_main.
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

#define RECORD 16384

/* Prints what failed, with errno and OpenSSL's queue, and ends the process with status 1. */
_Noreturn void die(const char *what);
void *allocate(size_t n);

/* The only suite and group that either side offers, so that every subject ends up with the same ones. */
SSL_CTX *make_context(bool server);
/* The path of a file of the test PKI, in a static buffer. */
const char *cert_path(const char *name);

int listen_loopback(int *port);
int accept_tcp(int listener);
int connect_tcp(int port);
/* A finished handshake on fd, which may block or not. Failures end the process. */
SSL *handshake(SSL_CTX *ctx, int fd, bool server, SSL_SESSION *session);
/* Sends close_notify, closes the descriptor, frees. */
void hang_up(SSL *ssl);
void write_all(SSL *ssl, const void *p, size_t n);
/* What is there, at least a byte and at most n; false when the stream ended. */
bool read_some(SSL *ssl, void *p, size_t n, size_t *got);
/* Exactly n bytes; false when the stream ended before. */
bool read_full(SSL *ssl, void *p, size_t n);

/* Bytes that do not repeat. */
void fill_random(void *p, size_t n);

int raw_main(int argc, char **argv, const char *self, bool read_ahead);

#endif
