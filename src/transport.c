/*
 * transport.c: where a connection's bytes come from and go to. A file descriptor is read and written by OpenSSL's own
 * socket BIO, so that kernel TLS stays possible. Waiting for a descriptor is in wait.c.
 */
#include "tls.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

bool tls_transport_attach(tls_connection *c, int fd)
{
  if (SSL_set_fd(c->ssl, fd) != 1) {
    return false;
  }
  c->fd = fd;
  int flags = fcntl(fd, F_GETFL);
  if (flags >= 0 && (flags & O_NONBLOCK) == 0) {
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  }
  return true;
}

void tls_transport_close(tls_connection *c)
{
  int fd = c->fd;
  c->fd = -1;
  if (fd >= 0) {
    close(fd);
  }
}

/* OpenSSL's socket BIO writes with write(2), which kills the process when the peer has gone; a handler that the program
   has set is left alone. */
void tls_transport_open(void)
{
  struct sigaction now;
  if (sigaction(SIGPIPE, NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == SIG_DFL) {
    now.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &now, NULL);
  }
}
