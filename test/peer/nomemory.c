/*
 * nomemory.c: an allocator that fails, for a process of its own: preloaded, it stands in front of libc's. It counts what ssl.so
 * and OpenSSL allocate; Lua's own and everybody else's is none of its business. A site is a place in ssl.so that calls what
 * allocates; what is allocated below it, down to the next place in ssl.so, is its own. The program talks to it by os.getenv:
 * "NOMEMORY watch" counts from now on; "NOMEMORY n" fails the n-th allocation from now on, "NOMEMORY +n" that and all after it;
 * "NOMEMORY" ends either. Its answer: how many allocations failed; after watch also the number of sites, and the numbers of the
 * first, third, ninth and so on allocation of each.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SITES 4096
#define POINTS 4096
#define DEPTH 60

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
extern char **environ;

static struct {
  void *address;
  long n, next;
} sites[SITES];

static long points[POINTS];
static int nsites, npoints;
static long count, target, failed;
static bool watching, sticky, inside;

/* 'o': ssl.so, 's': OpenSSL, '-': other code. */
static char owner(void *address)
{
  static struct {
    void *address;
    char owner;
  } known[SITES];
  size_t slot = ((size_t)address >> 1) % SITES;
  if (known[slot].address != address) {
    Dl_info info;
    const char *name = dladdr(address, &info) != 0 && info.dli_fname != NULL ? info.dli_fname : "";
    known[slot].address = address;
    known[slot].owner = strstr(name, "/ssl.so") != NULL ? 'o' :
      strstr(name, "/libssl.") != NULL || strstr(name, "/libcrypto.") != NULL ? 's' : '-';
  }
  return known[slot].owner;
}

/* Notes the allocation under the innermost place in ssl.so that is on the stack. */
static void note(void)
{
  void *stack[DEPTH];
  int n = backtrace(stack, DEPTH), i = 0, k = 0;
  while (i < n && owner(stack[i]) != 'o') {
    i++;
  }
  while (i < n && k < nsites && sites[k].address != stack[i]) {
    k++;
  }
  if (i == n || k == SITES || npoints == POINTS) {
    return;
  }
  if (k == nsites) {
    nsites++;
    sites[k].address = stack[i];
    sites[k].n = 0;
    sites[k].next = 1;
  }
  if (++sites[k].n == sites[k].next) {
    sites[k].next *= 3;
    points[npoints++] = count;
  }
}

static bool fails(void *caller)
{
  if (inside || (!watching && target == 0)) {
    return false;
  }
  inside = true;
  bool meant = owner(caller) != '-';
  count += meant;
  if (meant && watching) {
    note();
  }
  inside = false;
  if (!meant || target == 0 || !(count == target || (sticky && count > target))) {
    return false;
  }
  failed++;
  errno = ENOMEM;
  return true;
}

void *malloc(size_t n)
{
  return fails(__builtin_return_address(0)) ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
  return fails(__builtin_return_address(0)) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
  return fails(__builtin_return_address(0)) ? NULL : __libc_realloc(p, n);
}

static char *command(const char *what)
{
  static char answer[POINTS * 8 + 64];
  int used = snprintf(answer, sizeof answer, "%ld", failed);
  if (watching) {
    used += snprintf(answer + used, sizeof answer - (size_t)used, " %d", nsites);
    for (int i = 0; i < npoints && used < (int)sizeof answer - 16; i++) {
      used += snprintf(answer + used, sizeof answer - (size_t)used, " %ld", points[i]);
    }
  }
  watching = strcmp(what, " watch") == 0;
  sticky = strchr(what, '+') != NULL;
  target = watching ? 0 : atol(what);
  nsites = npoints = 0;
  count = failed = 0;
  return answer;
}

char *getenv(const char *name)
{
  size_t n = strlen(name);
  if (strncmp(name, "NOMEMORY", 8) == 0) {
    return command(name + 8);
  }
  for (char **e = environ; e != NULL && *e != NULL; e++) {
    if (strncmp(*e, name, n) == 0 && (*e)[n] == '=') {
      return *e + n + 1;
    }
  }
  return NULL;
}
