/*
 * borrowed.h: what borrowed.c, secrets.c and policy.c give to ssl.core and ssl.context: the parts of OpenSSL and the system
 * that modules in Lua stand on which speak for another binding.
 */
#ifndef TLS_BORROWED_H
#define TLS_BORROWED_H

#include "tls.h"

extern const luaL_Reg tls_borrowed_functions[]; /* of ssl.core: setfds, filestatus, readat, rewrite, handle */
extern const luaL_Reg tls_secrets_functions[];  /* of ssl.core: random, decryptkey */
extern const luaL_Reg tls_policy_functions[];   /* of ssl.context: those in policy.c */

#endif
