/*
 * sockets.c: recv, send and their kin, in front of libc's: what Lua's libraries, OpenSSL and src/ call comes here first.
 * On a socket they fail when the plan says so; otherwise they are the system's own.
 */
#include "faults.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static bool due(int fd, const char *name)
{
  struct stat st;
  int saved = errno;
  bool is = faults_plan.armed && faults_plan.kind == FAULTS_SOCKET && fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) &&
            faults_due(FAULTS_SOCKET, name, 0);
  errno = saved;
  return is;
}

/* What a call that fails answers; -2 when it is to do less than was asked for. */
static ssize_t fail(void)
{
  static const int codes[FAULTS_WAYS] = {[FAULTS_EINTR] = EINTR, [FAULTS_EAGAIN] = EAGAIN, [FAULTS_RESET] = ECONNRESET,
                                         [FAULTS_PIPE] = EPIPE, [FAULTS_ERRNO0] = 0};
  if (faults_plan.way == FAULTS_SHORT) {
    return -2;
  }
  if (faults_plan.way == FAULTS_END) {
    return 0;
  }
  errno = codes[faults_plan.way];
  return -1;
}

/* The system call, with `shorter` bytes at most when the fault says so. */
#define CALL(fd, name, n, ...)                          \
  do {                                                  \
    if (due(fd, #name)) {                               \
      ssize_t answer = fail();                          \
      if (answer != -2) {                               \
        return answer;                                  \
      }                                                 \
      n = n > 1 ? 1 : n;                                \
    }                                                   \
    return (ssize_t)syscall(__VA_ARGS__);               \
  } while (0)

ssize_t read(int fd, void *p, size_t n)
{
  CALL(fd, read, n, SYS_read, fd, p, n);
}

ssize_t write(int fd, const void *p, size_t n)
{
  CALL(fd, write, n, SYS_write, fd, p, n);
}

ssize_t recvfrom(int fd, void *restrict p, size_t n, int flags, struct sockaddr *restrict from, socklen_t *restrict length)
{
  CALL(fd, recvfrom, n, SYS_recvfrom, fd, p, n, flags, from, length);
}

ssize_t sendto(int fd, const void *p, size_t n, int flags, const struct sockaddr *to, socklen_t length)
{
  CALL(fd, sendto, n, SYS_sendto, fd, p, n, flags, to, length);
}

ssize_t recv(int fd, void *p, size_t n, int flags)
{
  CALL(fd, recv, n, SYS_recvfrom, fd, p, n, flags, NULL, NULL);
}

ssize_t send(int fd, const void *p, size_t n, int flags)
{
  CALL(fd, send, n, SYS_sendto, fd, p, n, flags, NULL, 0);
}

ssize_t readv(int fd, const struct iovec *parts, int count)
{
  struct iovec one = parts[0];
  if (due(fd, "readv")) {
    ssize_t answer = fail();
    if (answer != -2) {
      return answer;
    }
    one.iov_len = one.iov_len > 1 ? 1 : one.iov_len;
    return (ssize_t)syscall(SYS_readv, fd, &one, 1);
  }
  return (ssize_t)syscall(SYS_readv, fd, parts, count);
}

/* By another name, since the compiler believes that poll only writes to the descriptors. */
int tapped_poll(struct pollfd *fds, nfds_t count, int ms) __asm__("poll");

/* Waiting is neither short nor at its end: then it is over early. */
int tapped_poll(struct pollfd *fds, nfds_t count, int ms)
{
  if (count > 0 && due(fds[0].fd, "poll")) {
    ssize_t answer = fail();
    if (answer == -1 && errno != EAGAIN) {
      return -1;
    }
    return 0;
  }
  struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};
  return (int)syscall(SYS_ppoll, fds, count, ms < 0 ? NULL : &t, NULL, (size_t)_NSIG / 8);
}
