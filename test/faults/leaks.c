/*
 * leaks.c: what is alive at the end of a child that was not in one without faults.
 */
#include "faults.h"

#include <execinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#define SITES 1024

/* What is alive at the end of a child without faults; shared. */
struct base {
  long old;
  int n;
  struct faults_site sites[SITES];
};

static struct base *base; /* one before, one after OpenSSL has given up all that it keeps */
static struct faults_site found[SITES];

void faults_leaks_start(void)
{
  base = faults_shared(2 * sizeof *base);
}

static bool same(const struct faults_site *a, const struct faults_site *b)
{
  return a->line == b->line && (a->file == b->file || (a->file != NULL && b->file != NULL && strcmp(a->file, b->file) == 0));
}

static long usual(const struct base *b, const struct faults_site *s)
{
  for (int i = 0; i < b->n; i++) {
    if (same(&b->sites[i], s)) {
      return b->sites[i].count;
    }
  }
  return 0;
}

static size_t tell(char *text, size_t size, const struct faults_site *s, long more)
{
  if (getenv("FAULTS_TRACE") != NULL) {
    backtrace_symbols_fd(s->stack, 8, 2);
  }
  if (s->file == NULL) {
    return (size_t)snprintf(text, size, "src/ at %#lx (%ld) ", s->line, more);
  }
  return (size_t)snprintf(text, size, "%s:%ld (%ld) ", s->file, s->line, more);
}

/* What is alive and was not without faults, in words; empty when there is nothing. */
static void compare(struct base *b, char *text, size_t size)
{
  size_t at = 0;
  text[0] = '\0';
  int n = faults_alloc_new(found, SITES);
  long old = faults_alloc_old();
  if (faults_plan.at == 0) {
    b->old = old;
    b->n = n;
    memcpy(b->sites, found, sizeof found);
    return;
  }
  if (old > b->old) {
    at += (size_t)snprintf(text, size, "%ld old blocks; ", old - b->old);
  }
  for (int i = 0; i < n && at + 100 < size; i++) {
    long more = found[i].count - usual(b, &found[i]);
    at += more > 0 ? tell(text + at, size - at, &found[i], more) : 0;
  }
}

/* OpenSSL may keep more than usual, in a cache that a fault made it fill another way: what it gives back at its end is no
   leak. */
void faults_leaks(char *text, size_t size)
{
  compare(&base[0], text, size);
  if (faults_plan.at == 0 || text[0] != '\0') {
    OPENSSL_cleanup();
    compare(&base[1], text, size);
  }
}
