/*
 * libtls_peer.c: a peer on the C library libtls, of either role, for one connection that echoes one message.
 *   libtls_peer client PORT CA         connects to localhost
 *   libtls_peer server CERT KEY        prints its port first
 * Prints what it knows of the connection, a line each. Ends with 1 and the reason when something fails.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <tls.h>
#include <unistd.h>

static void die(const char *what, struct tls *ctx)
{
  const char *why = ctx != NULL ? tls_error(ctx) : NULL;
  printf("%s: %s\n", what, why != NULL ? why : "failed");
  exit(1);
}

static void show(const char *what, const char *value)
{
  printf("%s %s\n", what, value != NULL ? value : "-");
}

static void describe(struct tls *ctx)
{
  show("version", tls_conn_version(ctx));
  show("cipher", tls_conn_cipher(ctx));
  show("alpn", tls_conn_alpn_selected(ctx));
  show("servername", tls_conn_servername(ctx));
  show("hash", tls_peer_cert_hash(ctx));
  show("subject", tls_peer_cert_subject(ctx));
}

static ssize_t receive(struct tls *ctx, char *buf, size_t n)
{
  ssize_t got;
  do {
    got = tls_read(ctx, buf, n);
  } while (got == TLS_WANT_POLLIN || got == TLS_WANT_POLLOUT);
  if (got < 0) {
    die("read", ctx);
  }
  return got;
}

static void transmit(struct tls *ctx, const char *p, size_t n)
{
  while (n > 0) {
    ssize_t put = tls_write(ctx, p, n);
    if (put == TLS_WANT_POLLIN || put == TLS_WANT_POLLOUT) {
      continue;
    }
    if (put <= 0) {
      die("write", ctx);
    }
    p += put;
    n -= (size_t)put;
  }
}

static void client(const char *port, const char *ca)
{
  char buf[100];
  struct tls_config *cfg = tls_config_new();
  struct tls *ctx = tls_client();
  if (tls_config_set_ca_file(cfg, ca) != 0 || tls_config_set_alpn(cfg, "h2,http/1.1") != 0 || tls_configure(ctx, cfg) != 0) {
    die("configure", ctx);
  }
  if (tls_connect(ctx, "localhost", port) != 0 || tls_handshake(ctx) != 0) {
    die("connect", ctx);
  }
  describe(ctx);
  transmit(ctx, "hello", 5);
  printf("got %.*s\n", (int)receive(ctx, buf, sizeof buf), buf);
  printf("end %d\n", (int)receive(ctx, buf, sizeof buf));
  printf("close %d\n", tls_close(ctx));
}

static int listener(void)
{
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t n = sizeof at;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&at, n) != 0 || listen(fd, 1) != 0 ||
      getsockname(fd, (struct sockaddr *)&at, &n) != 0) {
    die("listen", NULL);
  }
  printf("%d\n", ntohs(at.sin_port));
  return fd;
}

static void server(const char *cert, const char *key)
{
  char buf[100];
  struct tls_config *cfg = tls_config_new();
  struct tls *ctx = tls_server(), *conn;
  if (tls_config_set_keypair_file(cfg, cert, key) != 0 || tls_config_set_alpn(cfg, "http/1.1") != 0 ||
      tls_configure(ctx, cfg) != 0) {
    die("configure", ctx);
  }
  int fd = accept(listener(), NULL, NULL);
  if (tls_accept_socket(ctx, &conn, fd) != 0 || tls_handshake(conn) != 0) {
    die("accept", conn);
  }
  describe(conn);
  ssize_t n = receive(conn, buf, sizeof buf);
  transmit(conn, buf, (size_t)n);
  printf("close %d\n", tls_close(conn));
  close(fd);
}

int main(int argc, char **argv)
{
  setvbuf(stdout, NULL, _IOLBF, 0);
  alarm(60);
  if (argc != 4) {
    die("usage", NULL);
  }
  if (strcmp(argv[1], "client") == 0) {
    client(argv[2], argv[3]);
  } else {
    server(argv[2], argv[3]);
  }
  return 0;
}
