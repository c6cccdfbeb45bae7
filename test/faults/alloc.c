/*
 * alloc.c: allocators that count, fail when the plan says so, and know each block that is alive: Lua's, OpenSSL's, and
 * malloc as src/ calls it (the linker puts __wrap_malloc in its place).
 */
#include "faults.h"

#include <execinfo.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#define MAGIC 0x7fa017ed5eed5eedu
#define HEAD 128

/* In front of each block of OpenSSL's and ours, newest first. */
struct block {
  struct block *next, *prev;
  size_t n;
  const char *file;
  long line;
  unsigned long serial;
  uint64_t magic;
  void *stack[8];
};

_Static_assert(sizeof(struct block) <= HEAD, "the head of a block is too long");

long faults_lua_blocks;
static struct block *newest;
static unsigned long serial, marked;

void *__real_malloc(size_t n);
void *__real_realloc(void *p, size_t n);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void __wrap_free(void *p);

static void trace(struct block *b)
{
  if (marked != 0 && getenv("FAULTS_TRACE") != NULL) {
    void *frames[12];
    int n = backtrace(frames, 12);
    for (int i = 4; i < n; i++) {
      b->stack[i - 4] = frames[i];
    }
  }
}

static void *make(size_t n, const char *file, long line)
{
  struct block *b = __real_malloc(HEAD + n);
  if (b == NULL) {
    return NULL;
  }
  memset(b, 0, sizeof *b);
  b->next = newest;
  if (newest != NULL) {
    newest->prev = b;
  }
  newest = b;
  b->n = n;
  b->file = file;
  b->line = line;
  b->serial = ++serial;
  b->magic = MAGIC;
  trace(b);
  return (char *)b + HEAD;
}

static struct block *head(void *p)
{
  struct block *b = (struct block *)(void *)((char *)p - HEAD);
  if (b->magic != MAGIC) {
    fprintf(stderr, "faults: a block that is freed twice, or never was one\n");
    abort();
  }
  return b;
}

static void drop(void *p)
{
  struct block *b = head(p);
  if (b->next != NULL) {
    b->next->prev = b->prev;
  }
  if (b->prev != NULL) {
    b->prev->next = b->next;
  } else {
    newest = b->next;
  }
  b->magic = 0;
  __real_free(b);
}

static void *move(void *p, size_t n, const char *file, long line)
{
  size_t old = head(p)->n;
  void *q = make(n, file, line);
  if (q != NULL) {
    memcpy(q, p, n < old ? n : old);
    drop(p);
  }
  return q;
}

/* ---- OpenSSL's */

static void *crypto_malloc(size_t n, const char *file, int line)
{
  if (n == 0 || faults_due(FAULTS_OPENSSL, file, line)) {
    return NULL;
  }
  return make(n, file, line);
}

static void crypto_free(void *p, const char *file, int line)
{
  (void)file;
  (void)line;
  if (p != NULL) {
    drop(p);
  }
}

static void *crypto_realloc(void *p, size_t n, const char *file, int line)
{
  if (p == NULL) {
    return crypto_malloc(n, file, line);
  }
  if (n == 0) {
    drop(p);
    return NULL;
  }
  return faults_due(FAULTS_OPENSSL, file, line) ? NULL : move(p, n, file, line);
}

void faults_alloc_start(void)
{
  if (CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free) != 1) {
    fprintf(stderr, "faults: OpenSSL has allocated something already\n");
    exit(1);
  }
}

/* ---- ours */

void *__wrap_malloc(size_t n)
{
  return faults_due(FAULTS_OWN, NULL, 0) ? NULL : make(n, NULL, (long)(intptr_t)__builtin_return_address(0));
}

void *__wrap_calloc(size_t n, size_t size)
{
  if (faults_due(FAULTS_OWN, NULL, 0)) {
    return NULL;
  }
  void *p = make(n * size, NULL, (long)(intptr_t)__builtin_return_address(0));
  return p != NULL ? memset(p, 0, n * size) : NULL;
}

void *__wrap_realloc(void *p, size_t n)
{
  if (faults_due(FAULTS_OWN, NULL, 0)) {
    return NULL;
  }
  long from = (long)(intptr_t)__builtin_return_address(0);
  return p == NULL ? make(n, NULL, from) : move(p, n, NULL, from);
}

void __wrap_free(void *p)
{
  if (p != NULL) {
    drop(p);
  }
}

/* ---- Lua's: those that make a block smaller may not fail. Blocks are counted, not bytes: LuaJIT gives back a closure that it
   had no memory to finish with a smaller size than it took. */

void *faults_lua_alloc(void *ud, void *p, size_t osize, size_t nsize)
{
  (void)ud;
  if (p == NULL) {
    osize = 0; /* what kind of object it is for */
  }
  if (nsize == 0) {
    __real_free(p);
    faults_lua_blocks -= p != NULL;
    return NULL;
  }
  if (nsize > osize && faults_due(FAULTS_LUA, NULL, 0)) {
    return NULL;
  }
  void *q = __real_realloc(p, nsize);
  if (q != NULL) {
    faults_lua_blocks += p == NULL;
  }
  return q;
}

/* ---- what is alive */

void faults_alloc_mark(void)
{
  marked = serial;
}

long faults_alloc_old(void)
{
  long n = 0;
  for (const struct block *b = newest; b != NULL; b = b->next) {
    n += b->serial <= marked;
  }
  return n;
}

static bool same(const struct faults_site *s, const struct block *b)
{
  return s->line == b->line && (s->file == b->file || (s->file != NULL && b->file != NULL && strcmp(s->file, b->file) == 0));
}

int faults_alloc_new(struct faults_site *sites, int max)
{
  int n = 0, i;
  for (const struct block *b = newest; b != NULL && b->serial > marked; b = b->next) {
    for (i = 0; i < n && !same(&sites[i], b); i++) {
    }
    if (i == max) {
      continue;
    }
    if (i == n) {
      memset(&sites[n], 0, sizeof sites[n]);
      sites[n].file = b->file;
      sites[n].line = b->line;
      memcpy(sites[n].stack, b->stack, sizeof b->stack);
      n++;
    }
    sites[i].count++;
  }
  return n;
}
