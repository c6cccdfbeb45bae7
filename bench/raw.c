/*
 * raw.c: each workload in plain C on OpenSSL, blocking sockets and OpenSSL's own defaults: the limit that a binding is
 * measured against. It prints the same report as bench.lua.
 *
 *   peer raw WORKLOAD SIZE N [RECORD]    rawra: the same with read-ahead, as a second limit
 */
#include "peer.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define READ_AHEAD 34000
#define LOOP_SECONDS 0.5 /* CPU that an open-ended loop may take; bench.lua has the same */

typedef struct run {
  const char *lib, *workload, *self;
  size_t size, record;
  unsigned long n;
  double cpu, wall;   /* at the start, then the difference */
  double rss;         /* KiB that the workload added */
  FILE *peer;
  bool read_ahead;
} run;

/* ---- figures ---- */

static double clock_seconds(clockid_t which)
{
  struct timespec t;
  clock_gettime(which, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void start(run *r)
{
  r->wall = clock_seconds(CLOCK_MONOTONIC);
  r->cpu = clock_seconds(CLOCK_PROCESS_CPUTIME_ID);
}

static void stop(run *r)
{
  r->cpu = clock_seconds(CLOCK_PROCESS_CPUTIME_ID) - r->cpu;
  r->wall = clock_seconds(CLOCK_MONOTONIC) - r->wall;
}

static bool time_left(const run *r)
{
  return clock_seconds(CLOCK_PROCESS_CPUTIME_ID) - r->cpu < LOOP_SECONDS;
}

/* VmRSS or VmHWM in KiB, 0 where /proc is missing. */
static double memory(const char *key)
{
  char line[256];
  double value = 0;
  FILE *f = fopen("/proc/self/status", "r");
  while (f != NULL && fgets(line, sizeof line, f) != NULL) {
    if (strncmp(line, key, strlen(key)) == 0) {
      value = strtod(line + strlen(key) + 1, NULL);
    }
  }
  if (f != NULL) {
    fclose(f);
  }
  return value;
}

/* ---- the peer ---- */

/* Starts this program again as a peer. Its first line says its port, its last what it saw. */
static int spawn(run *r, const char *arguments)
{
  char command[4200], line[256];
  int port = 0;
  snprintf(command, sizeof command, "exec %s %s", r->self, arguments);
  r->peer = popen(command, "r");
  if (r->peer == NULL) {
    die("popen");
  }
  if (strncmp(arguments, "serve", 5) == 0 &&
      (fgets(line, sizeof line, r->peer) == NULL || sscanf(line, "port %d", &port) != 1)) {
    die("the peer did not start");
  }
  return port;
}

static void finish(run *r)
{
  char line[256] = "\n";
  if (r->peer != NULL) {
    if (fgets(line, sizeof line, r->peer) == NULL) {
      line[0] = '\0';
    }
    pclose(r->peer);
  }
  printf("R lib=%s wl=%s cpu=%.6f wall=%.6f n=%lu bytes=%.0f hwm=%.0f rss=%.0f peer=%s\n", r->lib, r->workload, r->cpu,
         r->wall, r->n, (double)r->size * (double)r->n, memory("VmHWM"), r->rss, strtok(line, "\n"));
}

static SSL_CTX *client_context(const run *r)
{
  SSL_CTX *ctx = make_context(false);
  if (r->read_ahead) {
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_default_read_buffer_len(ctx, READ_AHEAD);
  }
  return ctx;
}

static SSL *connect_peer(run *r, const char *arguments)
{
  return handshake(client_context(r), connect_tcp(spawn(r, arguments)), false, NULL);
}

static SSL *connect_source(run *r, size_t line)
{
  char arguments[128];
  unsigned long long bytes = (unsigned long long)r->size * r->n;
  snprintf(arguments, sizeof arguments, "serve source %llu %zu %zu", bytes, r->record > 0 ? r->record : RECORD, line);
  return connect_peer(r, arguments);
}

/* ---- streams ---- */

static void send_strings(run *r)
{
  SSL *ssl = connect_peer(r, "serve sink");
  unsigned char *data = allocate(r->size);
  fill_random(data, r->size);
  start(r);
  for (unsigned long i = 0; i < r->n; i++) {
    write_all(ssl, data, r->size);
  }
  stop(r);
  free(data);
  hang_up(ssl);
}

static void receive_blocks(run *r)
{
  SSL *ssl = connect_source(r, 0);
  unsigned char *buf = allocate(r->size);
  start(r);
  for (unsigned long i = 0; i < r->n; i++) {
    if (!read_full(ssl, buf, r->size)) {
      die("SSL_read");
    }
  }
  stop(r);
  free(buf);
  hang_up(ssl);
}

/* Lines are counted, not copied. */
static void receive_lines(run *r)
{
  static char buf[RECORD];
  SSL *ssl = connect_source(r, r->size);
  unsigned long lines = 0;
  size_t got;
  start(r);
  while (lines < r->n && SSL_read_ex(ssl, buf, sizeof buf, &got) == 1) {
    for (const char *p = buf, *end = buf + got; (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++) {
      lines++;
    }
  }
  stop(r);
  if (lines != r->n) {
    die("lines are missing");
  }
  hang_up(ssl);
}

static void ping(run *r)
{
  char arguments[64];
  unsigned char *buf = allocate(r->size);
  snprintf(arguments, sizeof arguments, "serve echo %zu", r->size);
  SSL *ssl = connect_peer(r, arguments);
  fill_random(buf, r->size);
  start(r);
  for (unsigned long i = 0; i < r->n; i++) {
    write_all(ssl, buf, r->size);
    if (!read_full(ssl, buf, r->size)) {
      die("SSL_read");
    }
  }
  stop(r);
  free(buf);
  hang_up(ssl);
}

/* ---- handshakes ---- */

/* Copy number i of the CA file; BENCH_CA names their folder. */
static void trust(SSL_CTX *ctx, unsigned long i)
{
  char path[4096];
  const char *dir = getenv("BENCH_CA");
  snprintf(path, sizeof path, "%s/ca-%lu.pem", dir != NULL ? dir : "build/bench/ca", i);
  if (SSL_CTX_load_verify_file(ctx, path) != 1) {
    die(path);
  }
}

static void client(run *r)
{
  bool resume = strcmp(r->workload, "resumed") == 0;
  SSL_CTX *ctx = client_context(r);
  SSL_SESSION *session = NULL;
  char c;
  int port = spawn(r, resume ? "serve resumed" : "serve hs");
  if (strcmp(r->workload, "ctxconn") == 0) { /* the context is shared here: what a binding's cache can reach */
    trust(ctx, 0);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
  }
  for (unsigned long i = 0; i <= r->n; i++) { /* the first warms up */
    if (i == 1) {
      start(r);
    }
    SSL *ssl = handshake(ctx, connect_tcp(port), false, session);
    if (resume) {
      if (!read_full(ssl, &c, 1)) {
        die("SSL_read");
      }
      SSL_SESSION_free(session);
      session = SSL_get1_session(ssl);
    }
    hang_up(ssl);
  }
  stop(r);
  close(connect_tcp(port));
}

static void server(run *r)
{
  char arguments[128];
  int port;
  SSL_CTX *ctx = make_context(true);
  int listener = listen_loopback(&port);
  snprintf(arguments, sizeof arguments, "call %s %d %lu", strcmp(r->workload, "server") == 0 ? "hs" : "resumed", port,
           r->n + 1);
  spawn(r, arguments);
  for (unsigned long i = 0; i <= r->n; i++) {
    if (i == 1) {
      start(r);
    }
    hang_up(handshake(ctx, accept_tcp(listener), true, NULL));
  }
  stop(r);
}

/* ---- contexts ---- */

/* newctx parses a CA file of its own for each context; newctx2 makes bare contexts. */
static void contexts(run *r)
{
  bool parse = strcmp(r->workload, "newctx") == 0;
  SSL_CTX_free(make_context(false)); /* loads OpenSSL's tables */
  unsigned long i = 0;
  start(r);
  for (; i < r->n && time_left(r); i++) {
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (parse) {
      trust(ctx, i);
    }
    SSL_CTX_free(ctx);
  }
  stop(r);
  r->n = i;
}

/* ---- memory ---- */

static void idle(run *r)
{
  char arguments[64], c;
  size_t got;
  SSL_CTX *ctx = client_context(r);
  SSL **all = allocate(r->n * sizeof *all);
  SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
  snprintf(arguments, sizeof arguments, "serve hold %lu", r->n);
  int port = spawn(r, arguments);
  start(r);
  all[0] = handshake(ctx, connect_tcp(port), false, NULL);
  double before = memory("VmRSS");
  for (unsigned long i = 1; i < r->n; i++) {
    all[i] = handshake(ctx, connect_tcp(port), false, NULL);
  }
  for (unsigned long i = 0; i < r->n; i++) { /* takes the tickets */
    int fd = SSL_get_fd(all[i]);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    SSL_read_ex(all[i], &c, 1, &got);
  }
  r->rss = memory("VmRSS") - before;
  stop(r);
  for (unsigned long i = 0; i < r->n; i++) {
    hang_up(all[i]);
  }
  free(all);
}

/* ---- without sockets ---- */

static SSL *on_bio(SSL_CTX *ctx, BIO *bio)
{
  SSL *ssl = SSL_new(ctx);
  if (ssl == NULL) {
    die("SSL_new");
  }
  SSL_set_bio(ssl, bio, bio);
  return ssl;
}

/* Two ends of a BIO pair, as large as what an engine may hold: strings go from one to the other. BIO_s_bio(3). */
static void engines(run *r)
{
  BIO *left = NULL, *right = NULL;
  if (BIO_new_bio_pair(&left, 1 << 20, &right, 1 << 20) != 1) {
    die("BIO_new_bio_pair");
  }
  SSL *sender = on_bio(client_context(r), left), *receiver = on_bio(make_context(true), right);
  unsigned char *data = allocate(r->size), *got = allocate(r->size);
  SSL_set_connect_state(sender);
  SSL_set_accept_state(receiver);
  for (int i = 0; i < 10 && (SSL_do_handshake(sender) != 1 || SSL_do_handshake(receiver) != 1); i++) {
    SSL_do_handshake(receiver);
  }
  fill_random(data, r->size);
  start(r);
  for (unsigned long i = 0; i < r->n; i++) {
    write_all(sender, data, r->size);
    if (!read_full(receiver, got, r->size)) {
      die("SSL_read");
    }
  }
  stop(r);
  SSL_free(sender);
  SSL_free(receiver);
  free(data);
  free(got);
}

int raw_main(int argc, char **argv, const char *self, bool read_ahead)
{
  static const struct {
    const char *name;
    void (*body)(run *r);
  } workloads[] = {
    {"send", send_strings}, {"recv", receive_blocks}, {"line", receive_lines}, {"all", receive_blocks},
    {"ping", ping},         {"client", client},       {"resumed", client},     {"ctxconn", client},
    {"server", server},     {"sresumed", server},     {"newctx", contexts},    {"newctx2", contexts},
    {"idle", idle},         {"engines", engines},
  };
  run r = {.lib = argv[1], .workload = argv[2], .self = self, .read_ahead = read_ahead};
  r.size = (size_t)strtoull(argv[3], NULL, 10);
  r.n = strtoul(argv[4], NULL, 10);
  r.record = argc > 5 ? (size_t)strtoull(argv[5], NULL, 10) : 0;
  for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++) {
    if (strcmp(workloads[i].name, r.workload) == 0) {
      workloads[i].body(&r);
      finish(&r);
      return 0;
    }
  }
  fprintf(stderr, "peer: no workload named %s\n", r.workload);
  return 2;
}
