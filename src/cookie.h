/*
 * cookie.h: cookies that show that a peer receives what is sent to its address.
 */
#ifndef TLS_COOKIE_H
#define TLS_COOKIE_H

#include "tls.h"

#define TLS_COOKIE_LENGTH 32

/* Makes one for a peer; false when there is no randomness, or memory is short. */
bool tls_cookie_make(const void *peer, size_t n, unsigned char cookie[TLS_COOKIE_LENGTH]);
/* Is it one that was made for this peer lately, by this process? `*failed`: nobody can tell, see OpenSSL's queue. */
bool tls_cookie_check(const void *peer, size_t n, const unsigned char *cookie, size_t length, bool *failed);

int tls_cookie(lua_State *L);       /* ssl.core.cookie */
int tls_checkcookie(lua_State *L);  /* ssl.core.checkcookie */

#endif
