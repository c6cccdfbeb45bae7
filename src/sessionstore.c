/*
 * sessionstore.c: a server's sessions in a store of the program's (a table, a file, Redis), behind three Lua functions. A
 * store that fails costs a full handshake and nothing else: the client sees no error, conn:lasterror() on the server does.
 */
#include "session.h"

#include <string.h>

#define REMOVALS_MAX 64 /* a flood of bad sessions is not remembered; those end by themselves */

struct tls_removals {
  size_t n;
  struct {
    unsigned int n;
    unsigned char bytes[SSL_MAX_SSL_SESSION_ID_LENGTH];
  } id[REMOVALS_MAX];
};

/* ---- calling the functions ---- */

typedef struct query {
  const char *name; /* of the function */
  const char *who;  /* what errors call it */
  const unsigned char *id;
  unsigned int nid;
  const unsigned char *data; /* for set */
  size_t ndata;
  long seconds;
  SSL_SESSION *found; /* by get */
} query;

/* What conn:lasterror() answers from now on. */
static void note(lua_State *L, tls_error *e)
{
  tls_error_detail(L, e);
  tls_setslot(L, 1, TLS_SLOT_ERROR);
}

static void note_text(lua_State *L, const char *text)
{
  tls_error e;
  tls_error_set(&e, TLS_KIND_CALLBACK, text);
  note(L, &e);
}

/* Anything but this very session is as good as none: OpenSSL checks the rest of what is in it. */
static void take(lua_State *L, query *q)
{
  size_t n;
  unsigned int nid = 0;
  if (!lua_toboolean(L, -1)) {
    return;
  }
  if (lua_type(L, -1) != LUA_TSTRING) {
    note_text(L, "the session store's get gave something else than a string or nil");
    return;
  }
  const char *data = lua_tolstring(L, -1, &n);
  SSL_SESSION *s = tls_session_parse((const unsigned char *)data, n);
  tls_error_clear();
  const unsigned char *id = s != NULL ? SSL_SESSION_get_id(s, &nid) : NULL;
  if (s == NULL || nid != q->nid || memcmp(id, q->id, nid) != 0) {
    SSL_SESSION_free(s);
    note_text(L, s == NULL ? "the session store's get gave what is no session"
                           : "the session store's get gave another session than the one asked for");
    return;
  }
  q->found = s;
}

/* Runs behind the barrier, and has one of its own: the handshake shall not end with what the function raises. */
static int body(lua_State *L)
{
  query *q = lua_touserdata(L, 2);
  int arguments = 1;
  tls_getslot(L, 1, TLS_SLOT_CONTEXT);
  tls_getslot(L, -1, TLS_SLOT_STORE);
  if (!lua_istable(L, -1)) {
    return 0;
  }
  lua_getfield(L, -1, q->name);
  if (!lua_isfunction(L, -1)) {
    return 0;
  }
  lua_pushlstring(L, (const char *)q->id, q->nid);
  if (q->data != NULL) {
    lua_pushlstring(L, (const char *)q->data, q->ndata);
    lua_pushinteger(L, q->seconds);
    arguments = 3;
  }
  if (lua_pcall(L, arguments, 1, 0) != 0) {
    tls_error e;
    tls_error_set(&e, TLS_KIND_CALLBACK, NULL);
    e.parked = lua_gettop(L);
    e.who = q->who;
    note(L, &e);
  } else if (q->data == NULL) {
    take(L, q);
  }
  return 0;
}

/* A call of its own: an error would be parked on the handshake's and end it. Only memory that ran out gets here. */
static void ask(const tls_connection *c, query *q)
{
  tls_call call = {c->call->L, c->call->object, 0, NULL};
  int top = lua_gettop(call.L);
  tls_callback(&call, q->who, body, q);
  lua_settop(call.L, top);
  tls_error_clear();
}

/* ---- what OpenSSL asks for ---- */

static SSL_SESSION *on_get(SSL *ssl, const unsigned char *id, int n, int *copy)
{
  tls_connection *c = tls_connectionof(ssl);
  *copy = 0; /* the reference is OpenSSL's */
  if (c == NULL || c->call == NULL || c->sessions == NULL || n <= 0) {
    return NULL;
  }
  c->offered = true;
  query q = {"get", "session store's get", id, (unsigned int)n, NULL, 0, 0, NULL};
  if (c->sessions->store) {
    ask(c, &q);
  }
  return q.found;
}

/* Comes inside SSL_free and SSL_CTX_free too, where no Lua may run. */
static void on_remove(SSL_CTX *ctx, SSL_SESSION *s)
{
  tls_sessions *state = tls_sessionsof(ctx);
  unsigned int n;
  const unsigned char *id = SSL_SESSION_get_id(s, &n);
  if (state == NULL || !state->store) {
    return;
  }
  if (state->removals == NULL) {
    state->removals = OPENSSL_zalloc(sizeof *state->removals);
  }
  tls_removals *r = state->removals;
  if (r != NULL && r->n < REMOVALS_MAX && n > 0 && n <= sizeof r->id[0].bytes) {
    r->id[r->n].n = n;
    memcpy(r->id[r->n++].bytes, id, n);
  }
}

void tls_sessionstore_put(tls_connection *c, SSL_SESSION *fresh)
{
  unsigned int n;
  const unsigned char *id = SSL_SESSION_get_id(fresh, &n);
  /* What is all in the ticket of TLS 1.3 has no use for a store. */
  bool stateless = SSL_version(c->ssl) == TLS1_3_VERSION && (SSL_get_options(c->ssl) & SSL_OP_NO_TICKET) == 0;
  if (c->call == NULL || c->sessions == NULL || !c->sessions->store || stateless || n == 0) {
    return;
  }
  unsigned char *der = NULL;
  int size = i2d_SSL_SESSION(fresh, &der);
  if (size > 0) {
    query q = {"set", "session store's set", id, n, der, (size_t)size, SSL_SESSION_get_timeout(fresh), NULL};
    ask(c, &q);
    OPENSSL_clear_free(der, (size_t)size);
  }
  tls_error_clear();
}

void tls_sessionstore_forget(tls_connection *c)
{
  if (c->sessions == NULL || c->sessions->removals == NULL || c->call == NULL) {
    return;
  }
  tls_removals *r = c->sessions->removals;
  c->sessions->removals = NULL; /* handshakes inside the functions have lists of their own */
  for (size_t i = 0; i < r->n; i++) {
    query q = {"remove", "session store's remove", r->id[i].bytes, r->id[i].n, NULL, 0, 0, NULL};
    ask(c, &q);
    SSL_SESSION_free(q.found);
  }
  OPENSSL_free(r);
}

void tls_sessionstore_release(tls_sessions *s)
{
  OPENSSL_free(s->removals);
  s->removals = NULL;
}

/* ---- settings ---- */

/* Without a store the sessions are in OpenSSL's own cache, 20,480 of them. */
void tls_sessionstore_watch(SSL_CTX *ctx)
{
  const tls_sessions *s = tls_sessionsof(ctx);
  bool store = s != NULL && s->store;
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_SERVER | (store ? SSL_SESS_CACHE_NO_INTERNAL : 0));
  SSL_CTX_sess_set_get_cb(ctx, on_get);
  SSL_CTX_sess_set_remove_cb(ctx, on_remove);
}

/* setsessionstore(ctx, functions): a table with get(id) -> data or nil, set(id, data, seconds) and remove(id), all strings of
   bytes; each may be missing. Whatever they raise, and data that is no session, means a full handshake, and is what
   conn:lasterror() then tells; a yield inside is such an error. They run in the middle of the handshake, so what they wait
   for needs a time limit. SSL_CTX_sess_set_get_cb(3). */
static int setsessionstore(lua_State *L)
{
  const tls_context *ctx = tls_checkcontext(L, 1);
  tls_sessions *s = tls_sessionsof(ctx->ctx);
  luaL_checktype(L, 2, LUA_TTABLE);
  if (ctx->mode != TLS_MODE_SERVER || s == NULL) {
    return tls_refuse(L, "a session store is for servers");
  }
  lua_settop(L, 2);
  tls_setslot(L, 1, TLS_SLOT_STORE);
  s->store = true;
  tls_sessionstore_watch(ctx->ctx);
  return tls_answer(L, 1, NULL);
}

const luaL_Reg tls_sessionstore_functions[] = {
  {"setsessionstore", setsessionstore},
  {NULL, NULL},
};
