/*
 * once.c: pthread_once as valgrind's helgrind and DRD can follow it. They know mutexes, but not this; and so what was made
 * once, by OpenSSL or by us, is a race to them wherever another thread reads it. Here libc's is called, and what it promises
 * is told: the end of the function happens before each return. The program's comes before libc's for libraries too. CHECKER
 * is the header that has the words of the one that looks.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>

#include CHECKER

typedef void (*function)(void);
typedef int (*once_function)(pthread_once_t *, function);

/* What this thread is in, since the function is told nothing; one may call another. */
static _Thread_local struct {
  pthread_once_t *control;
  function run;
} now;

static void run(void)
{
  pthread_once_t *control = now.control;
  now.run();
  ANNOTATE_HAPPENS_BEFORE(control);
}

__attribute__((visibility("default"))) int pthread_once(pthread_once_t *control, function f)
{
  once_function real;
  *(void **)&real = dlsym(RTLD_NEXT, "pthread_once");
  if (real == NULL) {
    abort();
  }
  pthread_once_t *outer = now.control;
  function outer_run = now.run;
  now.control = control;
  now.run = f;
  int status = real(control, run);
  now.control = outer;
  now.run = outer_run;
  ANNOTATE_HAPPENS_AFTER(control);
  return status;
}
