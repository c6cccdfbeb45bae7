/*
 * faults.h: what the parts of the fault driver share: which call is to fail in this process, and what came of it.
 */
#ifndef FAULTS_H
#define FAULTS_H

#include <stdbool.h>
#include <stddef.h>

/* What can fail. LUA: the interpreter's allocations. OPENSSL: OpenSSL's. OWN: malloc and its kin in src/. SOCKET: calls on
   sockets, by whomever. FILE: opening and reading files. */
enum faults_kind { FAULTS_LUA, FAULTS_OPENSSL, FAULTS_OWN, FAULTS_SOCKET, FAULTS_FILE, FAULTS_KINDS };

/* How a call on a socket fails; the first value is for allocations, which know one way only. */
enum faults_way { FAULTS_NOMEM, FAULTS_EINTR, FAULTS_EAGAIN, FAULTS_SHORT, FAULTS_END, FAULTS_RESET, FAULTS_PIPE,
                  FAULTS_ERRNO0, FAULTS_WAYS };

struct faults_plan {
  enum faults_kind kind;
  enum faults_way way;
  long at;     /* the call that fails, 1 for the first; 0: none */
  bool sticky; /* so do all after it */
  bool armed;  /* calls are counted, and fail */
};

#define FAULTS_FRAMES 40

/* In memory that parent and child share. */
struct faults_result {
  long calls;           /* of the plan's kind */
  bool struck;          /* the call was reached */
  char site[128];       /* what failed: file and line of the caller, where it tells */
  int nfault, ncrash;
  void *fault[FAULTS_FRAMES]; /* the stack when it failed */
  void *crash[FAULTS_FRAMES]; /* the stack when the child was killed */
  bool finished;        /* the child came to its end */
  char outcome[16];     /* "done", "error", "memory" or "wrong" */
  char text[512];
  long blocks;          /* OpenSSL's and ours alive then, from before the child */
};

extern struct faults_plan faults_plan;
extern struct faults_result *faults_result;

/* Whether this call of a kind is to fail. `site` says who asks, NULL when that is not known. */
bool faults_due(enum faults_kind kind, const char *file, int line);

/* ---- alloc.c */

void faults_alloc_start(void);                                      /* before anything else */
void *faults_lua_alloc(void *ud, void *p, size_t osize, size_t nsize);
extern long faults_lua_blocks;

struct faults_site {
  const char *file; /* NULL: of src/, at the address in `line` */
  long line;
  long count;
  void *stack[8];
};

void faults_alloc_mark(void);                                       /* blocks made from now on are the child's */
long faults_alloc_old(void);                                        /* blocks alive from before the mark */
int faults_alloc_new(struct faults_site *sites, int max);           /* those made since, by where */

/* ---- leaks.c: at the end of a child */

void faults_leaks_start(void);
/* In words, what a fault has kept from being freed; empty when that is nothing. A child without faults is measured. */
void faults_leaks(char *text, size_t size);

/* ---- files.c */

extern int faults_files; /* open for reading */

/* ---- report.c */

extern const char *const faults_kinds[], *const faults_ways[];
void faults_frames(const char *title, void *const *stack, int n);
void faults_show(const char *scenario, const char *outcome); /* the first of its kind only */
/* Whether a bad end is one of OpenSSL's own: a file lists them, each an outcome, a tab, what failed, a tab, where it ended. */
bool faults_known(const char *outcome, const char *file);

/* ---- driver.c */

void *faults_shared(size_t n); /* memory that parent and children share */

#endif
