/*
 * stream.h: what send.c, receive.c and stream.c, the three files of a connection's byte streams, share.
 */
#ifndef TLS_STREAM_H
#define TLS_STREAM_H

#include "tls.h"

#define TLS_RECORD 16384 /* most plaintext in one TLS record, RFC 8446 section 5.1 */

/* ---- scratch.c ---- */

/* Bytes that one receive gathers before they become a Lua string. In malloc's memory, not Lua's: growth by realloc moves
   no Lua string about, and in a userdata, so that a Lua error on the way frees it. One is shared by the calls of a state. */
typedef struct tls_scratch {
  unsigned char *p;
  size_t len, cap;
  bool busy;
} tls_scratch;

void tls_scratch_open(lua_State *L); /* once a state; pushes the one that its calls share */
/* Pushes an empty one for a call whose upvalue is the shared one. When that is in use, by a receive that runs this
   call in a callback or that a Lua error ended, a fresh one takes its place. */
tls_scratch *tls_scratch_take(lua_State *L);
void tls_scratch_release(tls_scratch *s);
bool tls_scratch_reserve(tls_scratch *s, size_t n); /* room for n more bytes; false when memory is short */
bool tls_scratch_append(tls_scratch *s, const void *p, size_t n);

/* ---- stream.c ---- */

/* Begins a send or receive: TLS_FAILED, and e says why, when the connection is not connected or busy. */
enum tls_status tls_stream_enter(tls_connection *c, tls_call *call, lua_State *L, tls_error *e);
/* Pushes message and detail, and keeps the detail of a real failure for lasterror. */
void tls_stream_failure(lua_State *L, const tls_connection *c, enum tls_status status, const tls_error *e);
enum tls_status tls_stream_nomemory(tls_error *e);
bool tls_stream_at_hand(const tls_connection *c); /* are there bytes that the socket has given and OpenSSL has not read? */

/* ---- wait.c ---- */

/* Whether the time for the whole call is over, counted from the first time that this is asked: asked between steps, since a
   peer that never pauses lets nobody wait. Never of a call that is not to wait at all. */
bool tls_overdue(const tls_connection *c, tls_deadline *d);

/* ---- send.c, receive.c: methods with the shared scratch as upvalue ---- */

int tls_send(lua_State *L);
int tls_receive(lua_State *L);
int tls_read(lua_State *L);
int tls_write(lua_State *L);
/* Sends all of p[0..n), or with `once` no more than one step takes; *done grows from 0. */
enum tls_status tls_send_range(tls_connection *c, const unsigned char *p, size_t n, bool once, size_t *done,
                               tls_deadline *deadline, tls_error *e);
/* Before reading: nothing of a record waits in OpenSSL for the socket any more. False, and e says why, when the connection fails. */
bool tls_send_settle(tls_connection *c, tls_error *e);
void tls_send_free(tls_connection *c);    /* what send keeps on a connection */
void tls_receive_free(tls_connection *c); /* what receive keeps on it */

#endif
