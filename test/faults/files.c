/*
 * files.c: fopen, in front of libc's, whoever calls it. While files are what fails, one that is opened to be read comes in
 * small pieces, and the opening and each piece are calls that can fail: EMFILE and EIO, as from a disk or a server that has
 * gone. stdio has the rest of it: the error stays with the stream, and fgets and fread only say that there is no more.
 */
#define _GNU_SOURCE
#include "faults.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PIECE 256 /* smaller than any certificate */

int faults_files;

/* The descriptor is the cookie, since what a file needs beside it must not be counted as somebody's allocation. */
static int fd_of(void *cookie)
{
  return (int)(intptr_t)cookie - 1;
}

static ssize_t piece(void *cookie, char *p, size_t n)
{
  if (faults_due(FAULTS_FILE, "read", 0)) {
    errno = EIO;
    return -1;
  }
  return (ssize_t)syscall(SYS_read, fd_of(cookie), p, n < PIECE ? n : PIECE);
}

static int jump(void *cookie, off64_t *at, int whence)
{
  off64_t now = lseek64(fd_of(cookie), *at, whence);
  if (now >= 0) {
    *at = now;
  }
  return now < 0 ? -1 : 0;
}

static int done(void *cookie)
{
  faults_files--;
  return close(fd_of(cookie));
}

static FILE *tapped(const char *path)
{
  if (faults_due(FAULTS_FILE, "fopen", 0)) {
    errno = EMFILE;
    return NULL;
  }
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return NULL;
  }
  cookie_io_functions_t calls = {.read = piece, .seek = jump, .close = done};
  FILE *f = fopencookie((void *)((intptr_t)fd + 1), "r", calls);
  if (f == NULL) {
    close(fd);
    return NULL;
  }
  faults_files++;
  return f;
}

static FILE *opened(const char *name, const char *path, const char *mode)
{
  FILE *(*real)(const char *, const char *) = NULL;
  if (faults_plan.armed && faults_plan.kind == FAULTS_FILE && mode[0] == 'r' && strchr(mode, '+') == NULL) {
    return tapped(path);
  }
  *(void **)&real = dlsym(RTLD_NEXT, name);
  return real(path, mode);
}

FILE *fopen(const char *path, const char *mode)
{
  return opened("fopen", path, mode);
}

FILE *fopen64(const char *path, const char *mode)
{
  return opened("fopen64", path, mode);
}
