/*
 * tls.c: plain C on OpenSSL that all parts of the benchmark share: peer.c, raw.c and bare.c. What it has is said in peer.h.
 */
#include "peer.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <unistd.h>

#include <openssl/err.h>

_Noreturn void die(const char *what)
{
  fprintf(stderr, "peer: %s: %s\n", what, strerror(errno));
  ERR_print_errors_fp(stderr);
  exit(1);
}

void *allocate(size_t n)
{
  void *p = malloc(n > 0 ? n : 1);
  if (p == NULL) {
    die("malloc");
  }
  return p;
}

const char *cert_path(const char *name)
{
  static char path[4096];
  const char *dir = getenv("CERTS");
  snprintf(path, sizeof path, "%s/%s", dir != NULL ? dir : "build/certs", name);
  return path;
}

SSL_CTX *make_context(bool server)
{
  SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
  if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
      SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256") != 1 || SSL_CTX_set1_groups_list(ctx, "X25519") != 1) {
    die("SSL_CTX_new");
  }
  if (server && (SSL_CTX_use_certificate_chain_file(ctx, cert_path("serverA.pem")) != 1 ||
                 SSL_CTX_use_PrivateKey_file(ctx, cert_path("serverAkey.pem"), SSL_FILETYPE_PEM) != 1)) {
    die(cert_path("serverA.pem and serverAkey.pem"));
  }
  return ctx;
}

static struct sockaddr_in loopback(int port)
{
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return a;
}

int listen_loopback(int *port)
{
  struct sockaddr_in a = loopback(0);
  socklen_t n = sizeof a;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&a, n) != 0 || listen(fd, 128) != 0 ||
      getsockname(fd, (struct sockaddr *)&a, &n) != 0) {
    die("listen");
  }
  *port = ntohs(a.sin_port);
  return fd;
}

int accept_tcp(int listener)
{
  int fd = accept(listener, NULL, NULL);
  if (fd < 0) {
    die("accept");
  }
  return fd;
}

int connect_tcp(int port)
{
  struct sockaddr_in a = loopback(port);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
    die("connect");
  }
  return fd;
}

/* Waits as long as a call on a descriptor that does not block has to; false when that is not why it failed. */
static bool waited(SSL *ssl, int ret)
{
  struct pollfd p = {.fd = SSL_get_fd(ssl)};
  int why = SSL_get_error(ssl, ret);
  p.events = why == SSL_ERROR_WANT_READ ? POLLIN : why == SSL_ERROR_WANT_WRITE ? POLLOUT : 0;
  return p.events != 0 && poll(&p, 1, -1) == 1;
}

SSL *handshake(SSL_CTX *ctx, int fd, bool server, SSL_SESSION *session)
{
  SSL *ssl = SSL_new(ctx);
  if (ssl == NULL || SSL_set_fd(ssl, fd) != 1 || (session != NULL && SSL_set_session(ssl, session) != 1)) {
    die("SSL_new");
  }
  for (int ret; (ret = server ? SSL_accept(ssl) : SSL_connect(ssl)) != 1;) {
    if (!waited(ssl, ret)) {
      die(server ? "SSL_accept" : "SSL_connect");
    }
  }
  return ssl;
}

void hang_up(SSL *ssl)
{
  int fd = SSL_get_fd(ssl);
  ERR_clear_error();
  SSL_shutdown(ssl);
  SSL_free(ssl);
  close(fd);
}

void write_all(SSL *ssl, const void *p, size_t n)
{
  size_t put;
  if (SSL_write_ex(ssl, p, n, &put) != 1 || put != n) {
    die("SSL_write");
  }
}

bool read_some(SSL *ssl, void *p, size_t n, size_t *got)
{
  while (SSL_read_ex(ssl, p, n, got) != 1) {
    if (!waited(ssl, 0)) {
      return false;
    }
  }
  return true;
}

bool read_full(SSL *ssl, void *p, size_t n)
{
  size_t got, done = 0;
  while (done < n) {
    if (!read_some(ssl, (char *)p + done, n - done, &got)) {
      return false;
    }
    done += got;
  }
  return true;
}

static uint64_t next_random(void)
{
  static uint64_t x = 0x9e3779b97f4a7c15u; /* xorshift64: fast, and the same in every run */
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  return x;
}

void fill_random(void *p, size_t n)
{
  unsigned char *out = p;
  while (n > 0) {
    uint64_t x = next_random();
    size_t m = n < sizeof x ? n : sizeof x;
    memcpy(out, &x, m);
    out += m;
    n -= m;
  }
}
