/*
 * live.h: what reload.c, keylog.c, sendfile.c, keyupdate.c, binding.c, transport.c, wait.c and inspect.c add to contexts and
 * connections, and what object.c counts of these.
 */
#ifndef TLS_LIVE_H
#define TLS_LIVE_H

#include "tls.h"

/* Functions of ssl.context. */
extern const luaL_Reg tls_reload_functions[];
extern const luaL_Reg tls_keylog_functions[];

/* Methods of connections. */
extern const luaL_Reg tls_sendfile_methods[];
extern const luaL_Reg tls_keyupdate_methods[];
extern const luaL_Reg tls_binding_methods[];

int tls_wait_now(lua_State *L); /* a function of ssl.core */
/* A socket has said ENOTCONN, which OpenSSL takes for a connection that is being made. False when it is ready all the same: to
   wait for it would be to ask again and again. */
bool tls_wait_connecting(const SSL *ssl);

/* A new SSL of a context's, which verifies as the context says; NULL when memory is short. */
SSL *tls_context_ssl(tls_context *ctx);
/* Whether verification by `to` looks for the names that it is to look for by `from`: OpenSSL copies them, and says nothing when
   memory is too short for it. byaddress: an IP address is among them. */
bool tls_verify_copied(X509_VERIFY_PARAM *to, X509_VERIFY_PARAM *from, bool byaddress);

/* Of a state, by which the collector is driven: the connections that hold C memory; those made that no program has closed, though
   the collector may have; the most of them that were open at once lately; and the number of living ones that is too many. */
typedef struct tls_census {
  long live, open, most, limit;
} tls_census;

static inline void tls_count(tls_census *n, int by)
{
  n->live += by;
  n->open += by;
}

/* Pushes a box that keeps the connection's SSL, if it has one, until tls_emptybox: each value pushed meanwhile may run a finalizer,
   which may close the connection. It must be emptied: a connection that is closed gives its memory back at once. */
tls_box *tls_keep_ssl(lua_State *L, const tls_connection *c);

/* A connection moves to another context: what the first one logs is logged there too. */
void tls_keylog_follow(const SSL_CTX *from, SSL_CTX *to);

/* Forks between the first process and this one. A connection whose last step was in another process is that one's still:
   what is dropped here must not end it for both. pthread_atfork(3). */
extern unsigned int tls_forks;

#endif
