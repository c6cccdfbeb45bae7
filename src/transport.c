/*
 * transport.c: where a connection's bytes come from and go to. A file descriptor is read and written by the BIO of
 * readahead.c; by OpenSSL's own where the kernel may be asked to do the TLS, which needs that one, and for an SSL that is
 * luaossl's, which may outlive the connection. Waiting for a descriptor is in wait.c.
 */
#include "live.h"
#include "readahead.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static bool set_bio(tls_connection *c, int fd)
{
  SSL *ssl = c->ssl;
  if ((SSL_get_options(ssl) & SSL_OP_ENABLE_KTLS) != 0 || tls_contextof(ssl) == NULL) {
    bool ok = SSL_set_fd(ssl, fd) == 1;
    if (ok) {
      tls_readahead_watch(c, SSL_get_rbio(ssl));
    }
    return ok;
  }
  BIO *bio = tls_readahead_bio(fd);
  if (bio != NULL) {
    SSL_set_bio(ssl, bio, bio);
  }
  return bio != NULL;
}

bool tls_transport_attach(tls_connection *c, int fd)
{
  if (!(SSL_is_dtls(c->ssl) ? tls_dtls_attach(c, fd) : set_bio(c, fd))) {
    return false;
  }
  c->fd = fd;
  int flags = fcntl(fd, F_GETFL);
  if (flags >= 0 && (flags & O_NONBLOCK) == 0) {
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  }
  return true;
}

/* OpenSSL writes DTLS into the buffer that it has, and would not make a new one. Before 3.0.14, 3.1.6, 3.2.2 and 3.3.1 it freed
   buffers whose record was half read, and used them afterwards (CVE-2024-4741): there they stay between header and body. */
void tls_transport_idle(tls_connection *c)
{
  if (!SSL_is_dtls(c->ssl) && strcmp(SSL_rstate_string(c->ssl), "RH") == 0) {
    SSL_free_buffers(c->ssl);
  }
  tls_memory_idle(c);
}

void tls_transport_close(tls_connection *c)
{
  int fd = c->fd;
  c->fd = -1;
  if (fd >= 0) {
    close(fd);
  }
}

/* ---- processes ---- */

unsigned int tls_forks;

static CRYPTO_ONCE fork_once = CRYPTO_ONCE_STATIC_INIT;

static void count_fork(void)
{
  tls_forks++;
}

static void watch_forks(void)
{
  pthread_atfork(NULL, NULL, count_fork);
}

/* OpenSSL's socket BIO writes with write(2), which kills the process when the peer has gone; a handler that the program
   has set is left alone. */
void tls_transport_open(void)
{
  struct sigaction now;
  CRYPTO_THREAD_run_once(&fork_once, watch_forks);
  if (sigaction(SIGPIPE, NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == SIG_DFL) {
    now.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &now, NULL);
  }
}
