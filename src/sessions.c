/*
 * sessions.c: what a context knows of sessions: it hangs on the SSL_CTX, is told of each new session and of the end of each
 * handshake, and counts. Where sessions are kept is the business of cache.c (clients), sessionstore.c and tickets.c (servers).
 */
#include "session.h"

#include <limits.h>
#include <string.h>
#include <time.h>

#define CACHE_DEFAULT 256   /* sessions = true */
#define CACHE_MAX 65536
#define TICKETS_MAX 16      /* of TLS 1.3, a handshake */
#define TIMEOUT_MAX 604800  /* a week: RFC 8446 section 4.6.1 */

static int ex_index = -1;
static CRYPTO_ONCE ex_once = CRYPTO_ONCE_STATIC_INIT;

static void release(void *parent, void *p, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
  tls_sessions *s = p;
  (void)parent, (void)ad, (void)index, (void)argl, (void)argp;
  if (s != NULL) {
    tls_cache_free(s->cache);
    tls_tickets_free(s->keys);
    tls_sessionstore_release(s);
    OPENSSL_free(s);
  }
}

static void make_index(void)
{
  ex_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, release);
}

tls_sessions *tls_sessionsof(const SSL_CTX *ctx)
{
  return ex_index >= 0 ? SSL_CTX_get_ex_data(ctx, ex_index) : NULL;
}

/* ---- verification ---- */

/* The names that verification would look for, in the certificate that was verified then. */
static bool names_fit(SSL *ssl, X509 *cert, bool byaddress)
{
  X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
  const char *host = X509_VERIFY_PARAM_get0_host(param, 0);
  char *ip = byaddress ? X509_VERIFY_PARAM_get1_ip_asc(param) : NULL;
  bool fits = host == NULL && !byaddress;
  if (cert != NULL && !fits) {
    unsigned int flags = X509_VERIFY_PARAM_get_hostflags(param);
    fits = (host == NULL || X509_check_host(cert, host, 0, flags, NULL) == 1) &&
           (!byaddress || (ip != NULL && X509_check_ip_asc(cert, ip, 0) == 1));
  }
  OPENSSL_free(ip);
  tls_error_clear();
  return fits;
}

/* A client with a pre-shared key has no session id context: tls_psk_label. */
static bool same_settings(const tls_context *ctx, SSL_SESSION *s)
{
  unsigned int n = 0;
  size_t nlabel = 0;
  void *labelled = NULL;
  const unsigned char *id = SSL_SESSION_get0_id_context(s, &n);
  if (n != ctx->nsessionid) {
    return false;
  }
  if (n > 0) {
    return memcmp(id, ctx->sessionid, n) == 0;
  }
  return SSL_SESSION_get0_ticket_appdata(s, &labelled, &nlabel) == 1 && nlabel >= sizeof ctx->sessionid &&
         memcmp(labelled, ctx->sessionid, sizeof ctx->sessionid) == 0;
}

bool tls_session_fits(SSL *ssl, SSL_SESSION *s)
{
  const tls_context *ctx = tls_contextof(ssl);
  /* TLSA records can be others by now, and a session does not say which it was verified by. */
  if (ctx == NULL || ctx->dane || !same_settings(ctx, s)) {
    return false;
  }
  return (SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER) == 0 || names_fit(ssl, SSL_SESSION_get0_peer(s), ctx->byaddress);
}

/* Only where the certificate counts: one that was let pass although expired says nothing about the session's end. */
void tls_session_clamp(const SSL *ssl, SSL_SESSION *s)
{
  X509 *cert = SSL_SESSION_get0_peer(s);
  int days, seconds;
  if (cert == NULL || (SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER) == 0 || SSL_get_verify_result(ssl) != X509_V_OK ||
      ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(cert)) != 1 || days > TIMEOUT_MAX / 86400) {
    return;
  }
  time_t left = time(NULL) - SSL_SESSION_get_time_ex(s) + (long)days * 86400 + seconds;
  if (left < SSL_SESSION_get_timeout(s)) {
    SSL_SESSION_set_timeout(s, left > 0 ? (long)left : 0);
  }
}

/* ---- what OpenSSL tells ---- */

/* TLS 1.3 servers send theirs after the handshake, mostly several. A client's connection keeps the newest. Runs no Lua on
   clients. */
static int on_session(SSL *ssl, SSL_SESSION *fresh)
{
  tls_connection *c = tls_connectionof(ssl);
  if (c == NULL) {
    return 0;
  }
  tls_session_clamp(ssl, fresh);
  if (c->server) {
    tls_verify_label(c, fresh);
    tls_psk_label(c, fresh);
    tls_sessionstore_put(c, fresh);
    return 0;
  }
  tls_verify_keep(c, fresh);
  tls_psk_label(c, fresh);
  tls_error_clear(); /* without them it is not resumed */
  if (c->sessions != NULL && c->sessions->cache != NULL) {
    tls_cache_put(c->sessions->cache, c, fresh);
  }
  SSL_SESSION_free(c->session);
  c->session = fresh;
  return 1; /* the reference is ours now */
}

static int on_ticket(SSL *ssl, void *arg)
{
  const tls_connection *c = tls_connectionof(ssl);
  (void)arg;
  tls_session_clamp(ssl, SSL_get_session(ssl));
  if (c != NULL) {
    tls_verify_label(c, SSL_get_session(ssl));
    tls_psk_label(c, SSL_get_session(ssl));
  }
  return 1;
}

/* Counts, and does what OpenSSL does without it. */
static SSL_TICKET_RETURN on_offer(SSL *ssl, SSL_SESSION *s, const unsigned char *name, size_t n, SSL_TICKET_STATUS status,
                                  void *arg)
{
  tls_connection *c = tls_connectionof(ssl);
  (void)s, (void)name, (void)n, (void)arg;
  if (c != NULL && status != SSL_TICKET_EMPTY) {
    c->offered = true;
  }
  if (c != NULL && (status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW)) {
    tls_psk_forget(c); /* a key that was offered before it has been passed over */
  }
  switch (status) {
  case SSL_TICKET_SUCCESS:
    return SSL_TICKET_RETURN_USE;
  case SSL_TICKET_SUCCESS_RENEW:
    return SSL_TICKET_RETURN_USE_RENEW;
  default:
    tls_error_clear(); /* what a wrong key left there would be taken for the handshake's failure */
    return SSL_TICKET_RETURN_IGNORE_RENEW;
  }
}

bool tls_sessions_attach(SSL_CTX *ctx, bool server)
{
  CRYPTO_THREAD_run_once(&ex_once, make_index);
  tls_sessions *s = tls_sessionsof(ctx);
  if (s == NULL) {
    s = OPENSSL_zalloc(sizeof *s);
    if (s == NULL || SSL_CTX_set_ex_data(ctx, ex_index, s) != 1) {
      OPENSSL_free(s);
      return false;
    }
  }
  if (server) {
    SSL_CTX_set_session_ticket_cb(ctx, on_ticket, on_offer, NULL);
  } else {
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  }
  SSL_CTX_sess_set_new_cb(ctx, on_session);
  return true;
}

/* ---- the course of a connection ---- */

/* OpenSSL's clients offer a session however long its certificate has been out of date, and a server that resumes it shows no
   other: the verdict would be the one of then. */
static bool outlived(SSL *ssl)
{
  SSL_SESSION *s = SSL_get_session(ssl);
  X509 *cert = s != NULL ? SSL_SESSION_get0_peer(s) : NULL;
  bool timed = (X509_VERIFY_PARAM_get_flags(SSL_get0_param(ssl)) & X509_V_FLAG_NO_CHECK_TIME) == 0;
  return cert != NULL && timed && SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE &&
         X509_cmp_current_time(X509_get0_notAfter(cert)) <= 0;
}

void tls_sessions_begin(tls_connection *c)
{
  tls_sessions *s = c->sessions;
  if (s == NULL || c->server || !SSL_in_before(c->ssl)) {
    return;
  }
  if (outlived(c->ssl)) {
    SSL_set_session(c->ssl, NULL);
  }
  if (s->cache == NULL || SSL_get_session(c->ssl) != NULL) {
    return;
  }
  if (tls_cache_offer(s->cache, c)) {
    s->hits++;
  } else {
    s->misses++;
  }
}

void tls_sessions_end(tls_connection *c, bool done)
{
  tls_sessions *s = c->sessions;
  if (done) {
    tls_psk_end(c);
  }
  if (s == NULL) {
    return;
  }
  bool resumed = done && SSL_session_reused(c->ssl) == 1;
  s->handshakes += done ? 1 : 0;
  s->resumed += resumed ? 1 : 0;
  if (c->server && done) {
    s->hits += resumed ? 1 : 0;
    s->misses += c->offered && !resumed ? 1 : 0;
  }
  tls_sessionstore_forget(c);
}

void tls_sessions_spoil(const tls_connection *c)
{
  if (c->sessions != NULL && c->sessions->cache != NULL && !c->server) {
    tls_cache_drop(c->sessions->cache, c);
  }
}

/* ---- functions of ssl.context ---- */

/* The sessions of a context of this mode; when it is another, false and the refusal is pushed. */
static bool checkmode(const tls_context *ctx, enum tls_mode mode)
{
  return ctx->mode == mode && tls_sessionsof(ctx->ctx) != NULL;
}

/* setsessioncache(ctx, n): a client keeps up to n sessions and offers them to the peers they came from: the same server name
   and port, or where no name is sent the same address and port. true: 256. SSL_CTX_sess_set_new_cb(3). */
static int setsessioncache(lua_State *L)
{
  const tls_context *ctx = tls_checkcontext(L, 1);
  lua_Number n = lua_isboolean(L, 2) && lua_toboolean(L, 2) ? CACHE_DEFAULT : luaL_checknumber(L, 2);
  if (!checkmode(ctx, TLS_MODE_CLIENT)) {
    return tls_refuse(L, "a cache of sessions is for clients");
  }
  if (!(n >= 1 && n <= CACHE_MAX)) {
    return tls_refuse(L, "invalid sessions (true or a number from 1 to %d expected)", CACHE_MAX);
  }
  tls_sessions *s = tls_sessionsof(ctx->ctx);
  tls_cache_free(s->cache);
  s->cache = tls_cache_new((size_t)n);
  return tls_answer(L, s->cache != NULL, "error making the cache of sessions");
}

/* setsessionid(ctx, id): only contexts with the same id, a string, resume each other's sessions, and only when they verify
   clients in the same way. SSL_CTX_set_session_id_context(3). */
static int setsessionid(lua_State *L)
{
  tls_context *ctx = tls_checkcontext(L, 1);
  size_t n;
  const char *id = luaL_checklstring(L, 2, &n);
  tls_trust_remember(ctx, 'i', id, n);
  return tls_answer(L, 1, NULL);
}

/* setsessiontimeout(ctx, seconds): how long a server's sessions can be resumed. SSL_CTX_set_timeout(3). */
static int setsessiontimeout(lua_State *L)
{
  const tls_context *ctx = tls_checkcontext(L, 1);
  lua_Number seconds = luaL_checknumber(L, 2);
  if (!(seconds >= 1 && seconds <= TIMEOUT_MAX)) {
    return tls_refuse(L, "invalid sessions.timeout (1 to %d seconds expected)", TIMEOUT_MAX);
  }
  SSL_CTX_set_timeout(ctx->ctx, (long)seconds);
  return tls_answer(L, 1, NULL);
}

/* settickets(ctx, tickets): true: the sessions are in the tickets, encrypted; false: they stay on the server, in OpenSSL's
   cache or the program's store, and tickets only name them; a number: that many of TLS 1.3 a handshake.
   SSL_CTX_set_num_tickets(3), SSL_CTX_set_session_cache_mode(3). */
static int settickets(lua_State *L)
{
  const tls_context *ctx = tls_checkcontext(L, 1);
  luaL_checkany(L, 2);
  if (lua_type(L, 2) == LUA_TNUMBER) {
    lua_Number n = lua_tonumber(L, 2);
    if (!(n >= 0 && n <= TICKETS_MAX)) {
      return tls_refuse(L, "invalid sessions.tickets (0 to %d expected)", TICKETS_MAX);
    }
    SSL_CTX_set_num_tickets(ctx->ctx, (size_t)n);
  } else if (lua_toboolean(L, 2)) {
    SSL_CTX_clear_options(ctx->ctx, SSL_OP_NO_TICKET);
  } else {
    SSL_CTX_set_options(ctx->ctx, SSL_OP_NO_TICKET);
    tls_sessionstore_watch(ctx->ctx);
  }
  return tls_answer(L, 1, NULL);
}

/* table ssl.Stats
   - handshakes: integer -- those that succeeded
   - full: integer
   - resumed: integer
   - hits: integer -- client with a cache: handshakes that found a session in it; server: offered sessions that were resumed
   - misses: integer -- client: handshakes that found none; server: offered sessions that were not resumed */
static void set_count(lua_State *L, const char *name, uint64_t n)
{
  lua_pushnumber(L, (lua_Number)n);
  lua_setfield(L, -2, name);
}

/* ctx:stats() -> stats: ssl.Stats
   What became of the handshakes of the context's connections since it was made. */
static int stats(lua_State *L)
{
  static const tls_sessions none;
  const tls_context *ctx = tls_checkcontext(L, 1);
  const tls_sessions *s = tls_sessionsof(ctx->ctx);
  s = s != NULL ? s : &none;
  lua_createtable(L, 0, 5);
  set_count(L, "handshakes", s->handshakes);
  set_count(L, "full", s->handshakes - s->resumed);
  set_count(L, "resumed", s->resumed);
  set_count(L, "hits", s->hits);
  set_count(L, "misses", s->misses);
  return 1;
}

const luaL_Reg tls_sessions_functions[] = {
  {"setsessioncache", setsessioncache},
  {"setsessionid", setsessionid},
  {"setsessiontimeout", setsessiontimeout},
  {"settickets", settickets},
  {NULL, NULL},
};

const luaL_Reg tls_sessions_methods[] = {
  {"stats", stats},
  {NULL, NULL},
};
