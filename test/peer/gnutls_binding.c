/*
 * gnutls_binding.c: one TLS connection of GnuTLS's on loopback; prints its three channel bindings in hexadecimal, or what
 * GnuTLS says, a line each: tls-exporter, tls-unique, tls-server-end-point. An independent implementation of RFC 5929 and
 * RFC 9266 to compare with.
 *
 *   gnutls_binding client PRIORITY PORT
 *   gnutls_binding server PRIORITY CERTIFICATE KEY      prints its port first
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gnutls/gnutls.h>

#define LIMIT_SECONDS 20

static void check(int rc, const char *what)
{
  if (rc < 0) {
    printf("%s: %s\n", what, gnutls_strerror(rc));
    exit(1);
  }
}

static struct sockaddr_in loopback(int port)
{
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return a;
}

static int dial(int port)
{
  struct sockaddr_in a = loopback(port);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
    perror("connect");
    exit(1);
  }
  return fd;
}

static int serve(void)
{
  struct sockaddr_in a = loopback(0);
  socklen_t n = sizeof a;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  if (listener < 0 || bind(listener, (struct sockaddr *)&a, n) != 0 || listen(listener, 1) != 0 ||
      getsockname(listener, (struct sockaddr *)&a, &n) != 0) {
    perror("listen");
    exit(1);
  }
  printf("%d\n", ntohs(a.sin_port));
  fflush(stdout);
  return accept(listener, NULL, NULL);
}

static void show(gnutls_session_t session, gnutls_channel_binding_t type)
{
  gnutls_datum_t out = {NULL, 0};
  int rc = gnutls_session_channel_binding(session, type, &out);
  if (rc < 0) {
    printf("%s\n", gnutls_strerror(rc));
    return;
  }
  for (unsigned i = 0; i < out.size; i++) {
    printf("%02x", out.data[i]);
  }
  printf("\n");
  gnutls_free(out.data);
}

int main(int argc, char **argv)
{
  int server = argc == 5 && strcmp(argv[1], "server") == 0;
  if (!server && (argc != 4 || strcmp(argv[1], "client") != 0)) {
    return 2;
  }
  alarm(LIMIT_SECONDS);
  gnutls_certificate_credentials_t credentials;
  gnutls_session_t session;
  check(gnutls_certificate_allocate_credentials(&credentials), "credentials");
  if (server) {
    check(gnutls_certificate_set_x509_key_file(credentials, argv[3], argv[4], GNUTLS_X509_FMT_PEM), "key");
  }
  int fd = server ? serve() : dial(atoi(argv[3]));
  check(gnutls_init(&session, server ? GNUTLS_SERVER : GNUTLS_CLIENT), "session");
  check(gnutls_priority_set_direct(session, argv[2], NULL), "priority");
  check(gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials), "credentials");
  gnutls_transport_set_int(session, fd);
  int rc;
  do {
    rc = gnutls_handshake(session);
  } while (rc < 0 && gnutls_error_is_fatal(rc) == 0);
  check(rc, "handshake");
  show(session, GNUTLS_CB_TLS_EXPORTER);
  show(session, GNUTLS_CB_TLS_UNIQUE);
  show(session, GNUTLS_CB_TLS_SERVER_END_POINT);
  fflush(stdout);
  gnutls_bye(session, GNUTLS_SHUT_WR);
  char byte;
  while (read(fd, &byte, 1) > 0) {
  }
  gnutls_deinit(session);
  gnutls_certificate_free_credentials(credentials);
  close(fd);
  return 0;
}
