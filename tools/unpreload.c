/*
 * unpreload.c: preloaded into an interpreter beside the sanitizers' runtimes, it takes LD_PRELOAD out of the
 * environment again, so that the programs which specs start (openssl, shells, Python) run as they are.
 */
#include <stdlib.h>

__attribute__((constructor)) static void unpreload(void)
{
  unsetenv("LD_PRELOAD");
}
