/*
 * peer.c: the other side of every workload of the benchmark, always this program, so that only the library under test is
 * counted. Each process ends by itself: at its peer's end, or at an alarm. The plain-C subjects are in raw.c.
 *
 *   peer serve sink|echo LEN|source BYTES RECORD LINE|hs|resumed|hold N  [check]     prints "port N", then a report
 *   peer call hs|resumed PORT N                                        N handshakes one after the other
 *   peer raw|rawra WORKLOAD ...                                        raw.c; rawra reads ahead
 *
 * LINE 0 is binary data, otherwise lines of LINE bytes. `check` adds up the bytes. CERTS names the folder of the test PKI.
 */
#include "peer.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <openssl/err.h>

#define ALARM_SECONDS 300 /* valgrind's subjects are slow */

/* ---- servers ---- */

/* What went through: its length and, when `on`, the sum h = h * 31 + byte modulo 2^32. */
typedef struct tally {
  bool on;
  unsigned long long bytes;
  uint32_t sum;
} tally;

static void add(tally *t, const unsigned char *p, size_t n)
{
  t->bytes += n;
  for (size_t i = 0; t->on && i < n; i++) {
    t->sum = t->sum * 31 + p[i];
  }
}

static void sink(SSL *ssl, tally *t)
{
  static unsigned char buf[RECORD];
  size_t got;
  while (SSL_read_ex(ssl, buf, sizeof buf, &got) == 1) {
    add(t, buf, got);
  }
}

/* Printable bytes with a newline at the end of each line; `at` is the position in the stream of p[0]. */
static void make_lines(unsigned char *p, size_t n, unsigned long long at, size_t line)
{
  for (size_t i = 0; i < n; i++) {
    p[i] = (unsigned char)('0' + (p[i] & 63));
  }
  for (size_t i = (size_t)((line - 1 + line - at % line) % line); i < n; i += line) {
    p[i] = '\n';
  }
}

static void source(SSL *ssl, unsigned long long bytes, size_t record, size_t line, tally *t)
{
  static unsigned char buf[RECORD];
  record = record < sizeof buf ? record : sizeof buf;
  while (t->bytes < bytes) {
    size_t n = bytes - t->bytes < record ? (size_t)(bytes - t->bytes) : record;
    fill_random(buf, n);
    if (line > 0) {
      make_lines(buf, n, t->bytes, line);
    }
    size_t put;
    if (SSL_write_ex(ssl, buf, n, &put) != 1) {
      return; /* the subject has what it wanted */
    }
    add(t, buf, n);
  }
}

static void echo(SSL *ssl, size_t n, tally *t)
{
  unsigned char *buf = allocate(n);
  while (read_full(ssl, buf, n)) {
    add(t, buf, n);
    write_all(ssl, buf, n);
  }
  free(buf);
}

/* Tickets and the byte behind them are two small writes. */
static int no_delay(int fd)
{
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

/* False when the other side left without a byte. */
static bool talks(int fd)
{
  char first;
  return recv(fd, &first, 1, MSG_PEEK) == 1;
}

/* Handshakes until one side connects and leaves without a byte. `resumed` sends one byte, behind the tickets. */
static void serve_handshakes(SSL_CTX *ctx, int listener, bool byte)
{
  unsigned long full = 0, resumed = 0;
  char buf[64];
  size_t got;
  int fd;
  while (talks(fd = no_delay(accept_tcp(listener)))) {
    SSL *ssl = handshake(ctx, fd, true, NULL);
    if (SSL_session_reused(ssl)) {
      resumed++;
    } else {
      full++;
    }
    if (byte) {
      write_all(ssl, "x", 1);
    }
    while (SSL_read_ex(ssl, buf, sizeof buf, &got) == 1) {
    }
    hang_up(ssl);
  }
  close(fd);
  printf("full %lu resumed %lu\n", full, resumed);
}

/* Holds n connections until the first of them ends. */
static void hold(SSL_CTX *ctx, int listener, int n)
{
  struct rlimit limit;
  SSL *first = NULL;
  char c;
  size_t got;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
  for (int i = 0; i < n; i++) {
    SSL *ssl = handshake(ctx, accept_tcp(listener), true, NULL);
    if (ssl == NULL) {
      return;
    }
    first = first != NULL ? first : ssl;
  }
  SSL_read_ex(first, &c, 1, &got);
}

static unsigned long long number(int argc, char **argv, int i)
{
  return argc > i ? strtoull(argv[i], NULL, 10) : 0;
}

static int serve_stream(SSL_CTX *ctx, int listener, int argc, char **argv)
{
  const char *what = argv[2];
  tally t = {.on = strcmp(argv[argc - 1], "check") == 0};
  SSL *ssl = handshake(ctx, accept_tcp(listener), true, NULL);
  if (ssl == NULL) {
    return 1;
  }
  if (strcmp(what, "sink") == 0) {
    sink(ssl, &t);
  } else if (strcmp(what, "echo") == 0) {
    echo(ssl, (size_t)number(argc, argv, 3), &t);
  } else {
    source(ssl, number(argc, argv, 3), (size_t)number(argc, argv, 4), (size_t)number(argc, argv, 5), &t);
  }
  hang_up(ssl);
  printf("bytes %llu sum %lu\n", t.bytes, (unsigned long)t.sum);
  return 0;
}

static int serve(int argc, char **argv)
{
  const char *what = argv[2];
  int port;
  SSL_CTX *ctx = make_context(true);
  int listener = listen_loopback(&port);
  printf("port %d\n", port);
  fflush(stdout);
  if (strcmp(what, "resumed") != 0 && strcmp(what, "hs") != 0) {
    /* A subject that only sends would close with unread tickets, and the reset would eat what it sent. */
    SSL_CTX_set_num_tickets(ctx, 0);
  }
  if (strcmp(what, "hs") == 0 || strcmp(what, "resumed") == 0) {
    serve_handshakes(ctx, listener, *what == 'r');
  } else if (strcmp(what, "hold") == 0) {
    hold(ctx, listener, (int)number(argc, argv, 3));
  } else {
    return serve_stream(ctx, listener, argc, argv);
  }
  return 0;
}

/* ---- clients ---- */

/* n connections that end when the server closes, each resuming the one before if asked. */
static int call(int argc, char **argv)
{
  bool resume = strcmp(argv[2], "resumed") == 0;
  int port = (int)number(argc, argv, 3);
  unsigned long full = 0, resumed = 0, n = (unsigned long)number(argc, argv, 4);
  SSL_CTX *ctx = make_context(false);
  SSL_SESSION *session = NULL;
  char buf[64];
  size_t got;
  for (unsigned long i = 0; i < n; i++) {
    SSL *ssl = handshake(ctx, connect_tcp(port), false, session);
    if (SSL_session_reused(ssl)) {
      resumed++;
    } else {
      full++;
    }
    while (SSL_read_ex(ssl, buf, sizeof buf, &got) == 1) {
    }
    if (resume) {
      SSL_SESSION_free(session);
      session = SSL_get1_session(ssl);
    }
    hang_up(ssl);
  }
  printf("full %lu resumed %lu\n", full, resumed);
  return 0;
}

int main(int argc, char **argv)
{
  signal(SIGPIPE, SIG_IGN);
  alarm(ALARM_SECONDS);
  if (argc >= 3 && strcmp(argv[1], "serve") == 0) {
    return serve(argc, argv);
  }
  if (argc >= 5 && strcmp(argv[1], "call") == 0) {
    return call(argc, argv);
  }
  if (argc >= 5 && strncmp(argv[1], "raw", 3) == 0) {
    return raw_main(argc, argv, argv[0], strcmp(argv[1], "rawra") == 0);
  }
  fprintf(stderr, "usage: see the head of bench/peer.c\n");
  return 2;
}
