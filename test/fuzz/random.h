/*
 * random.h: OpenSSL's random numbers in a fuzzer: a sequence that begins anew with each input. Never for anything else.
 */
#ifndef FUZZ_RANDOM_H
#define FUZZ_RANDOM_H

#include <stdbool.h>

/* To be called before OpenSSL is asked for anything. False: the numbers are still random. */
bool fuzz_random_start(void);

void fuzz_random_restart(void);

#endif
