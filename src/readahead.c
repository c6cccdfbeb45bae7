/*
 * readahead.c: the BIO of a socket, which takes more from it than OpenSSL asks for. OpenSSL reads a record in two steps,
 * its header of 5 bytes and then its body: here one readv gives OpenSSL what it wants where it wants it, and puts what else
 * there is into a buffer that the next steps are served from. OpenSSL's own read-ahead moves all that it has to the front
 * of its buffer once a record, which costs as much as it saves where records are small.
 *
 * Nothing here knows TLS, waits, or keeps an error but in errno.
 */
#include "readahead.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* transport.c ignores SIGPIPE */
#endif

/* Two whole records of TLS 1.2 or 1.3 and the next one's header: of full records every third one goes straight to OpenSSL.
   With less there are more system calls, with more there is more to copy. */
#define AHEAD (2 * (5 + 8 + 16384 + 16) + 5)

/* Bytes that one step takes from the socket. OpenSSL reads on until it has plaintext: a peer that sends messages without any
   (tickets, key updates, attempts to renegotiate) as fast as they are worked off would keep it there, past every timeout. */
#define STEP_MAX 65536
#define READ_COST 128 /* bytes that a read of OpenSSL's own BIO counts for beside what it gives */

typedef struct readahead {
  int fd;
  bool on;
  size_t taken; /* bytes, in this step */
  unsigned char *buf; /* what was read ahead: buf[head..tail); NULL when there is none */
  size_t head, tail;
  bool keeping;        /* what is written goes to `out` */
  unsigned char *out;  /* what was kept: out[sent..nout), which goes before all else; NULL when there is none */
  size_t sent, nout;
} readahead;

static BIO_METHOD *method;
static int type; /* of the BIOs made by it */
static CRYPTO_ONCE once = CRYPTO_ONCE_STATIC_INIT;

static size_t serve(readahead *a, char *p, size_t n)
{
  size_t avail = a->tail - a->head;
  n = n < avail ? n : avail;
  memcpy(p, a->buf + a->head, n);
  a->head += n;
  return n;
}

/* One system call: p[0..n) first, and what else there is into the buffer, which is empty. */
static ssize_t refill(readahead *a, char *p, size_t n)
{
  struct iovec parts[2] = {{p, n}, {NULL, 0}};
  if (a->on && a->buf == NULL) {
    a->buf = malloc(AHEAD); /* without memory it goes on without */
  }
  bool ahead = a->on && a->buf != NULL;
  if (ahead) {
    parts[1] = (struct iovec){a->buf, AHEAD};
  }
  a->head = a->tail = 0;
  ssize_t got = readv(a->fd, parts, ahead ? 2 : 1);
  a->taken += got > 0 ? (size_t)got : 0;
  if (got > 0 && (size_t)got > n) {
    a->tail = (size_t)got - n;
    got = (ssize_t)n;
  }
  return got;
}

/* Retry and end of file are told as OpenSSL's socket BIO tells them, BIO_s_socket(3). */
static int read_socket(BIO *bio, char *p, size_t n, size_t *got)
{
  readahead *a = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  *got = 0;
  if (a->head < a->tail) {
    *got = serve(a, p, n);
    return 1;
  }
  if (a->taken >= STEP_MAX) { /* as if there were nothing more: who waits for the socket finds that there is */
    errno = EAGAIN;
    BIO_set_retry_read(bio);
    return -1;
  }
  ssize_t count = refill(a, p, n);
  if (count > 0) {
    *got = (size_t)count;
    return 1;
  }
  if (count == 0) {
    BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
  } else if (BIO_sock_non_fatal_error(errno)) {
    BIO_set_retry_read(bio);
  }
  return (int)count;
}

static ssize_t send_socket(const readahead *a, const void *p, size_t n)
{
  ssize_t count = send(a->fd, p, n, MSG_NOSIGNAL);
  if (count < 0 && errno == ENOTSOCK) {
    count = write(a->fd, p, n); /* a terminal or a pipe of two ways */
  }
  return count;
}

/* Sends what was kept; false, with errno, when it is not all gone. */
static bool send_kept(readahead *a)
{
  while (a->sent < a->nout) {
    ssize_t count = send_socket(a, a->out + a->sent, a->nout - a->sent);
    if (count <= 0) {
      return false;
    }
    a->sent += (size_t)count;
  }
  free(a->out);
  a->out = NULL;
  a->sent = a->nout = 0;
  return true;
}

static bool keep(readahead *a, const char *p, size_t n)
{
  unsigned char *out = realloc(a->out, a->nout + n);
  if (out == NULL) {
    errno = EAGAIN; /* then it goes on waiting where it is */
    return false;
  }
  memcpy(out + a->nout, p, n);
  a->out = out;
  a->nout += n;
  return true;
}

static int write_socket(BIO *bio, const char *p, size_t n, size_t *put)
{
  readahead *a = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  *put = 0;
  ssize_t count;
  if (a->keeping) {
    count = keep(a, p, n) ? (ssize_t)n : -1;
  } else {
    count = a->out == NULL || send_kept(a) ? send_socket(a, p, n) : -1;
  }
  if (count > 0) {
    *put = (size_t)count;
    return 1;
  }
  if (count < 0 && BIO_sock_non_fatal_error(errno)) {
    BIO_set_retry_write(bio);
  }
  return (int)count;
}

/* What OpenSSL asks of a socket's BIO; 0, for the rest, means that it cannot. */
static long control(BIO *bio, int command, long n, void *p)
{
  const readahead *a = BIO_get_data(bio);
  (void)n;
  switch (command) {
  case BIO_CTRL_FLUSH:
    return 1;
  case BIO_CTRL_EOF:
    return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
  case BIO_CTRL_PENDING:
    return (long)(a->tail - a->head);
  case BIO_C_GET_FD:
    if (p != NULL) {
      *(int *)p = a->fd;
    }
    return a->fd;
  default:
    return 0;
  }
}

static int destroy(BIO *bio)
{
  readahead *a = BIO_get_data(bio);
  if (a != NULL) {
    free(a->buf);
    free(a->out);
    free(a);
  }
  return 1;
}

static void make_method(void)
{
  int index = BIO_get_new_index();
  type = index | BIO_TYPE_SOURCE_SINK | BIO_TYPE_DESCRIPTOR;
  BIO_METHOD *m = index != -1 ? BIO_meth_new(type, "socket read ahead") : NULL;
  if (m != NULL && BIO_meth_set_read_ex(m, read_socket) && BIO_meth_set_write_ex(m, write_socket) &&
      BIO_meth_set_ctrl(m, control) && BIO_meth_set_destroy(m, destroy)) {
    method = m;
  } else {
    BIO_meth_free(m);
  }
}

BIO *tls_readahead_bio(int fd)
{
  CRYPTO_THREAD_run_once(&once, make_method);
  readahead *a = calloc(1, sizeof *a);
  BIO *bio = a != NULL && method != NULL ? BIO_new(method) : NULL;
  if (bio == NULL) {
    free(a);
    return NULL;
  }
  a->fd = fd;
  BIO_set_data(bio, a);
  BIO_set_init(bio, 1);
  return bio;
}

/* ---- OpenSSL's own BIOs ---- */

/* A descriptor that blocks has nobody waiting for the step to end. */
static bool blocks(BIO *bio)
{
  int fd = -1;
  int flags = BIO_get_fd(bio, &fd) >= 0 ? fcntl(fd, F_GETFL) : -1;
  return flags >= 0 && (flags & O_NONBLOCK) == 0;
}

/* BIO_set_callback_ex(3): called before each read and after it, when ret is what it answers. */
static long watch(BIO *bio, int oper, const char *p, size_t n, int argi, long argl, int ret, size_t *done)
{
  size_t *taken = (size_t *)(void *)BIO_get_callback_arg(bio);
  (void)p, (void)n, (void)argi, (void)argl;
  if (oper == BIO_CB_READ && *taken >= STEP_MAX && !blocks(bio)) {
    errno = EAGAIN;
    BIO_set_retry_read(bio);
    return -1;
  }
  if (oper == (BIO_CB_READ | BIO_CB_RETURN) && ret >= 0) {
    *taken += READ_COST + (ret > 0 ? *done : 0);
  }
  return ret;
}

/* A datagram with nothing in it, which anybody may send, looks to OpenSSL like the end of a stream. It is passed over as all else
   that is no record: RFC 6347 section 4.1.2.7. */
static long watch_datagrams(BIO *bio, int oper, const char *p, size_t n, int argi, long argl, int ret, size_t *done)
{
  long answer = watch(bio, oper, p, n, argi, argl, ret, done);
  if (oper == (BIO_CB_READ | BIO_CB_RETURN) && ret == 0 && n > 0) {
    BIO_set_retry_read(bio);
    return -1;
  }
  return answer;
}

void tls_readahead_watch(tls_connection *c, BIO *bio)
{
  int fd = -1, kind = 0;
  socklen_t n = sizeof kind;
  if (tls_contextof(c->ssl) == NULL) {
    return; /* an SSL of luaossl's, which may outlive the connection */
  }
  bool datagrams = BIO_get_fd(bio, &fd) >= 0 && getsockopt(fd, SOL_SOCKET, SO_TYPE, &kind, &n) == 0 && kind == SOCK_DGRAM;
  BIO_set_callback_arg(bio, (char *)(void *)&c->taken);
  BIO_set_callback_ex(bio, datagrams ? watch_datagrams : watch);
}

/* ---- connections ---- */

/* NULL when the connection has another BIO. */
static readahead *of(const SSL *ssl)
{
  BIO *bio = SSL_get_rbio(ssl);
  return bio != NULL && method != NULL && BIO_method_type(bio) == type ? BIO_get_data(bio) : NULL;
}

void tls_readahead_step(const SSL *ssl)
{
  readahead *a = of(ssl);
  if (a != NULL) {
    a->taken = 0;
  }
}

void tls_readahead(SSL *ssl, bool on)
{
  readahead *a = of(ssl);
  if (a != NULL) {
    a->on = on;
  } else if (BIO_find_type(SSL_get_rbio(ssl), BIO_TYPE_DESCRIPTOR) != NULL) {
    SSL_set_read_ahead(ssl, on);
  }
}

bool tls_readahead_keep(SSL *ssl, bool on)
{
  readahead *a = of(ssl);
  if (a != NULL) {
    a->keeping = on;
  }
  return a != NULL;
}

bool tls_readahead_flush(SSL *ssl)
{
  readahead *a = of(ssl);
  return a == NULL || a->out == NULL || send_kept(a);
}

bool tls_readahead_pending(const SSL *ssl)
{
  const readahead *a = of(ssl);
  return a != NULL && a->head < a->tail;
}

void tls_readahead_release(SSL *ssl)
{
  readahead *a = of(ssl);
  if (a != NULL && a->head == a->tail) {
    free(a->buf);
    a->buf = NULL;
  }
}
