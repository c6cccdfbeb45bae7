/*
 * verify.c: certificate verification inside the handshake. OpenSSL decides; here its verdicts are logged, so that a
 * program can ask afterwards what was wrong at which depth, and LuaSec's lsec_ flags are honoured. DANE is here too.
 */
#include "live.h"
#include "session.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

/* A hostile chain can have many certificates with many errors each; what comes later than these is not told. */
#define LOG_MAX 64

typedef struct refusal {
  char subject[256];     /* of the first certificate refused */
  char names[192];       /* those that the peer's certificate is for, when it was refused for its names */
  STACK_OF(X509) *chain; /* what the peer sent: OpenSSL forgets it */
} refusal;

/* Made with its first entry, and as long as its entries: connections that go on in spite of them keep it. */
typedef struct tls_verify_log {
  bool table;   /* getpeerverification answers with a table: an lsec_ flag was set */
  int n;
  refusal *why; /* NULL where a refusal does not end the handshake, or memory is short */
  struct {
    int depth, error;
  } entry[];
} tls_verify_log;

static size_t log_size(int n)
{
  return sizeof(tls_verify_log) + (size_t)n * sizeof ((tls_verify_log *)NULL)->entry[0];
}

/* A hostile certificate can have anything in its names, and 10,000 of them: what is shown is printable, and short. */
static void add_name(char *names, size_t size, const unsigned char *s, int n)
{
  size_t len = strlen(names);
  if (n <= 0 || len + (size_t)n + 8 > size) {
    if (len > 0 && len + 5 < size && names[len - 1] != '.') {
      memcpy(names + len, ", ...", 6);
    }
    return;
  }
  if (len > 0) {
    memcpy(names + len, ", ", 3);
    len += 2;
  }
  for (int i = 0; i < n; i++) {
    names[len++] = (char)(s[i] > ' ' && s[i] < 127 ? s[i] : (unsigned char)'?');
  }
  names[len] = '\0';
}

static void log_names(char *names, size_t size, X509 *leaf)
{
  GENERAL_NAMES *list = leaf != NULL ? X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL) : NULL;
  for (int i = 0; i < sk_GENERAL_NAME_num(list); i++) {
    const GENERAL_NAME *name = sk_GENERAL_NAME_value(list, i);
    char text[INET6_ADDRSTRLEN];
    if (name->type == GEN_DNS) {
      add_name(names, size, ASN1_STRING_get0_data(name->d.dNSName), ASN1_STRING_length(name->d.dNSName));
    } else if (name->type == GEN_IPADD) {
      int n = ASN1_STRING_length(name->d.iPAddress);
      int family = n == 4 ? AF_INET : AF_INET6;
      if ((n == 4 || n == 16) && inet_ntop(family, ASN1_STRING_get0_data(name->d.iPAddress), text, sizeof text) != NULL) {
        add_name(names, size, (const unsigned char *)text, (int)strlen(text));
      }
    }
  }
  GENERAL_NAMES_free(list);
}

/* False when memory is short. */
static bool add_entry(tls_connection *c, int depth, int error)
{
  tls_verify_log *log = c->log;
  int n = log != NULL ? log->n : 0;
  if (n == LOG_MAX) {
    return true;
  }
  log = realloc(log, log_size(n + 1));
  if (log == NULL) {
    return false;
  }
  c->log = log;
  if (n == 0) {
    const tls_context *ctx = tls_contextof(c->ssl);
    log->table = ctx != NULL && ctx->verifyext != 0;
    log->why = NULL;
  }
  log->entry[n].depth = depth;
  log->entry[n].error = error;
  log->n = n + 1;
  return true;
}

/* What the failure of the handshake will tell of the certificates, besides the error. */
static void explain(tls_verify_log *log, X509_STORE_CTX *store, int error)
{
  X509 *cert = X509_STORE_CTX_get_current_cert(store);
  if (log->n == 1) {
    log->why = calloc(1, sizeof *log->why);
    if (log->why != NULL && cert != NULL) {
      X509_NAME_oneline(X509_get_subject_name(cert), log->why->subject, sizeof log->why->subject);
    }
  }
  if (log->why != NULL && (error == X509_V_ERR_HOSTNAME_MISMATCH || error == X509_V_ERR_IP_ADDRESS_MISMATCH)) {
    log_names(log->why->names, sizeof log->why->names, X509_STORE_CTX_get0_cert(store));
  }
}

/* False when memory is short. A connection that is not verified keeps its verdict, not a log: there may be thousands. */
static bool log_error(tls_connection *c, unsigned flags, X509_STORE_CTX *store)
{
  int error = X509_STORE_CTX_get_error(store);
  bool fatal = SSL_get_verify_mode(c->ssl) != SSL_VERIFY_NONE;
  bool ok = (!fatal && flags == 0) || add_entry(c, X509_STORE_CTX_get_error_depth(store), error);
  if (ok && fatal) {
    explain(c->log, store, error);
  }
  return ok;
}

static SSL *ssl_of(X509_STORE_CTX *store)
{
  return X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
}

static int on_error(int ok, X509_STORE_CTX *store)
{
  const SSL *ssl = ssl_of(store);
  tls_connection *c = tls_connectionof(ssl);
  const tls_context *ctx = tls_contextof(ssl);
  if (ok) {
    return 1;
  }
  unsigned flags = ctx != NULL ? ctx->verifyext : 0;
  /* An error that cannot be remembered is not passed over. */
  bool logged = c == NULL || log_error(c, flags, store);
  return logged && (flags & TLS_LSEC_CONTINUE) != 0;
}

/* Settings that have changed since the connection was made count in this verification, and its session has the mark of what
   they were: it would resume where they are that again. */
static void disown(const SSL *ssl, const tls_connection *c, tls_context *ctx)
{
  static const unsigned char nobody[] = "verified by other settings";
  SSL_SESSION *s = SSL_get_session(ssl);
  unsigned int n = 0;
  if (s == NULL || c == NULL || ctx == NULL || c->named) { /* the mark of a server's name is no older than its ClientHello */
    return;
  }
  tls_context_identify(ctx);
  const unsigned char *id = SSL_SESSION_get0_id_context(s, &n);
  if (n != ctx->nsessionid || memcmp(id, ctx->sessionid, n) != 0) {
    SSL_SESSION_set1_id_context(s, nobody, sizeof nobody);
  }
}

static int refuse(tls_connection *c, X509_STORE_CTX *store, int error)
{
  X509_STORE_CTX_set_error(store, error);
  if (c != NULL) {
    tls_verify_note(c, error);
  }
  return 0;
}

bool tls_verify_copied(X509_VERIFY_PARAM *to, X509_VERIFY_PARAM *from, bool byaddress)
{
  const char *wanted = X509_VERIFY_PARAM_get0_host(from, 0), *host = X509_VERIFY_PARAM_get0_host(to, 0);
  char *ip = byaddress ? X509_VERIFY_PARAM_get1_ip_asc(to) : NULL;
  bool same = (wanted == NULL || (host != NULL && strcmp(wanted, host) == 0)) && (!byaddress || ip != NULL);
  OPENSSL_free(ip);
  return same;
}

/* The context in use now decides, not the one the connection was made from: SNI may have changed it. */
int tls_verify_chain(X509_STORE_CTX *store, void *arg)
{
  SSL *ssl = ssl_of(store);
  tls_connection *c = tls_connectionof(ssl);
  tls_context *ctx = tls_contextof(ssl);
  unsigned flags = ctx != NULL ? ctx->verifyext : 0;
  (void)arg;
  disown(ssl, c, ctx);
  if (c != NULL) {
    tls_verify_free(c);
  }
  if (c != NULL && c->pskonly) {
    return refuse(c, store, X509_V_ERR_APPLICATION_VERIFICATION);
  }
  if (!tls_verify_copied(X509_STORE_CTX_get0_param(store), SSL_get0_param(ssl), ctx != NULL && ctx->byaddress)) {
    return refuse(c, store, X509_V_ERR_OUT_OF_MEM);
  }
  if ((flags & TLS_LSEC_IGNORE_PURPOSE) != 0) {
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(store);
    X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER);
    X509_VERIFY_PARAM_set_trust(param, X509_TRUST_SSL_SERVER);
  }
  X509_STORE_CTX_set_verify_cb(store, on_error);
  int ok = X509_verify_cert(store);
  /* An error that was passed over must not be forgotten by what came after it. */
  if (c != NULL && c->log != NULL && X509_STORE_CTX_get_error(store) == X509_V_OK) {
    X509_STORE_CTX_set_error(store, c->log->entry[0].error);
  }
  STACK_OF(X509) *sent = X509_STORE_CTX_get0_untrusted(store);
  if (c != NULL && c->log != NULL && c->log->why != NULL && ok <= 0 && sent != NULL) {
    c->log->why->chain = X509_chain_up_ref(sent);
  }
  return ok;
}

void tls_verify_note(tls_connection *c, int error)
{
  add_entry(c, 0, error);
}

STACK_OF(X509) *tls_verify_refused(const tls_connection *c)
{
  return c->log != NULL && c->log->why != NULL ? c->log->why->chain : NULL;
}

void tls_verify_free(tls_connection *c)
{
  if (c->log == NULL) {
    return;
  }
  if (c->log->why != NULL) {
    sk_X509_pop_free(c->log->why->chain, X509_free);
    free(c->log->why);
  }
  free(c->log);
  c->log = NULL;
}

void tls_verify_error(const tls_connection *c, tls_error *e)
{
  if (e->kind != TLS_KIND_VERIFY || c->log == NULL) {
    return;
  }
  e->verify = c->log->entry[0].error;
  e->depth = c->log->entry[0].depth;
  if (c->log->why != NULL) {
    memcpy(e->subject, c->log->why->subject, sizeof e->subject);
    memcpy(e->names, c->log->why->names, sizeof e->names);
  }
  const tls_context *ctx = c->ssl != NULL ? tls_contextof(c->ssl) : NULL;
  if (c->server && ctx != NULL && !ctx->trusting) {
    e->hint = "this server trusts no CA: name that of its clients by cafile";
  }
  if (c->ssl != NULL) {
    const char *host = X509_VERIFY_PARAM_get0_host(SSL_get0_param(c->ssl), 0);
    char *ip = host == NULL ? X509_VERIFY_PARAM_get1_ip_asc(SSL_get0_param(c->ssl)) : NULL;
    /* A copy, for a finalizer may close the connection before it is used. OpenSSL's reason, the text, is not in buf. */
    snprintf(e->buf, sizeof e->buf, "%s", host != NULL ? host : ip != NULL ? ip : "");
    OPENSSL_free(ip);
    tls_error_clear(); /* no address is an error to OpenSSL */
    e->host = *e->buf != '\0' ? e->buf : NULL;
  }
}

/* ---- the log of a session ---- */

static int session_index = -1;
static CRYPTO_ONCE session_once = CRYPTO_ONCE_STATIC_INIT;

static int dup_log(CRYPTO_EX_DATA *to, const CRYPTO_EX_DATA *from, void **log, int index, long argl, void *argp)
{
  (void)to, (void)from, (void)index, (void)argl, (void)argp;
  if (*log != NULL) {
    *log = OPENSSL_memdup(*log, log_size(((tls_verify_log *)*log)->n));
  }
  return 1; /* without it the verdict is still there */
}

static void free_log(void *parent, void *log, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
  (void)parent, (void)ad, (void)index, (void)argl, (void)argp;
  OPENSSL_free(log);
}

static void make_index(void)
{
  session_index = SSL_SESSION_get_ex_new_index(0, NULL, NULL, dup_log, free_log);
}

void tls_verify_keep(const tls_connection *c, SSL_SESSION *s)
{
  CRYPTO_THREAD_run_once(&session_once, make_index);
  if (c->log == NULL || SSL_SESSION_get_ex_data(s, session_index) != NULL) {
    return;
  }
  tls_verify_log *copy = OPENSSL_memdup(c->log, log_size(c->log->n));
  if (copy != NULL) {
    copy->why = NULL;
  }
  if (copy != NULL && SSL_SESSION_set_ex_data(s, session_index, copy) != 1) {
    OPENSSL_free(copy);
  }
}

/* In a server's session the log is application data, which goes into tickets and to stores as well: a byte of depth and two of
   error an entry. */
#define LABEL_ENTRY 3

void tls_verify_label(const tls_connection *c, SSL_SESSION *s)
{
  unsigned char data[LOG_MAX * LABEL_ENTRY], *p = data;
  for (int i = 0; c->log != NULL && i < c->log->n; i++) {
    int depth = c->log->entry[i].depth, error = c->log->entry[i].error;
    *p++ = (unsigned char)(depth < 255 ? depth : 255);
    *p++ = (unsigned char)(error >> 8);
    *p++ = (unsigned char)error;
  }
  if (p > data) {
    SSL_SESSION_set1_ticket_appdata(s, data, (size_t)(p - data)); /* without it the verdict is still there */
  }
}

static void recall(tls_connection *c)
{
  SSL_SESSION *s = SSL_get_session(c->ssl);
  void *data = NULL;
  size_t n = 0;
  if (s == NULL || SSL_SESSION_get0_ticket_appdata(s, &data, &n) != 1) {
    return;
  }
  const unsigned char *p = data;
  for (; n >= LABEL_ENTRY; n -= LABEL_ENTRY, p += LABEL_ENTRY) {
    add_entry(c, p[0], p[1] << 8 | p[2]);
  }
}

/* Of this verification, or of the one that the resumed session was made by. */
static const tls_verify_log *log_of(const tls_connection *c)
{
  if (c->log != NULL || session_index < 0 || SSL_session_reused(c->ssl) != 1) {
    return c->log;
  }
  const SSL_SESSION *s = SSL_get_session(c->ssl);
  return s != NULL ? SSL_SESSION_get_ex_data(s, session_index) : NULL;
}

/* Pushes { [depth + 1] = { text, ... } }. A finalizer may close the connection meanwhile: what is pushed comes from a copy. */
static void push_log(lua_State *L, const tls_verify_log *from)
{
  _Alignas(tls_verify_log) unsigned char copy[sizeof *from + LOG_MAX * sizeof from->entry[0]];
  const tls_verify_log *log = memcpy(copy, from, log_size(from->n));
  lua_newtable(L);
  for (int i = 0; i < log->n; i++) {
    int slot = log->entry[i].depth + 1;
    lua_rawgeti(L, -1, slot);
    if (lua_isnil(L, -1)) {
      lua_pop(L, 1);
      lua_newtable(L);
      lua_pushvalue(L, -1);
      lua_rawseti(L, -3, slot);
    }
    lua_pushstring(L, X509_verify_cert_error_string(log->entry[i].error));
    lua_rawseti(L, -2, (int)lua_rawlen(L, -2) + 1);
    lua_pop(L, 1);
  }
}

/* Pushes what was wrong: text, or a table of texts where an lsec_ flag is set. */
static void push_verdict(lua_State *L, tls_connection *c, long result)
{
  const tls_context *ctx = tls_contextof(c->ssl);
  if (c->server && c->log == NULL && SSL_session_reused(c->ssl) == 1) {
    recall(c);
  }
  const tls_verify_log *log = log_of(c);
  bool table = log != NULL ? log->table : ctx != NULL && ctx->verifyext != 0;
  if (!table) {
    lua_pushstring(L, X509_verify_cert_error_string(result));
  } else if (log != NULL) {
    push_log(L, log);
  } else {
    /* A session that was exported brings the result, but not the log. */
    lua_newtable(L);
    lua_newtable(L);
    lua_pushstring(L, X509_verify_cert_error_string(result));
    lua_rawseti(L, -2, 1);
    lua_rawseti(L, -2, 1);
  }
}

/* conn:getpeerverification() -> true | false, problems: string|table<integer, string[]>
   true when OpenSSL found nothing wrong, also when no certificate was asked for. problems: what was wrong, a text, or
   with lsec_continue or lsec_ignore_purpose { [depth + 1] = { text, ... } }. Answers after a failed handshake too.
   SSL_get_verify_result(3). */
static int getpeerverification(lua_State *L)
{
  tls_connection *c = tls_checkconnection(L, 1);
  if (c->state == TLS_STATE_CLOSED || (c->state == TLS_STATE_NEW && !c->failed)) {
    lua_pushboolean(L, 0);
    lua_pushliteral(L, "closed");
    return 2;
  }
  long result = SSL_get_verify_result(c->ssl);
  if (result != X509_V_OK) {
    lua_pushboolean(L, 0);
    push_verdict(L, c, result);
    return 2;
  }
  lua_pushboolean(L, c->state == TLS_STATE_CONNECTED);
  if (c->state == TLS_STATE_CONNECTED) {
    return 1;
  }
  tls_getslot(L, 1, TLS_SLOT_FAILURE);
  return 2;
}

/* conn:setdane(host: string) -> boolean
   Verify by TLSA records, for this name, which is sent as SNI too. Needs a context with dane. false: it cannot be.
   SSL_dane_enable(3), RFC 7671. */
static int setdane(lua_State *L)
{
  tls_connection *c = tls_checkconnection(L, 1);
  size_t n;
  const char *host = luaL_checklstring(L, 2, &n);
  /* A leading dot would mean any subdomain to OpenSSL, an empty name no check at all. */
  bool ok = n > 0 && n <= TLSEXT_MAXLEN_host_name && *host != '.' && strlen(host) == n;
  tls_error_clear();
  ok = ok && c->state == TLS_STATE_NEW && c->call == NULL && SSL_dane_enable(c->ssl, host) > 0;
  c->dane = c->dane || ok;
  lua_pushboolean(L, ok);
  tls_error_clear();
  return 1;
}

/* An argument that must be a byte; false when it is another number. */
static bool check_byte(lua_State *L, int arg, uint8_t *out)
{
  lua_Number n = luaL_checknumber(L, arg);
  if (!(n >= 0 && n <= 255)) {
    return false;
  }
  *out = (uint8_t)n;
  return (lua_Number)*out >= n; /* no fraction */
}

/* conn:settlsa(usage: integer, selector: integer, matchingtype: integer, data: string) -> boolean
   One TLSA record to verify by; data: bytes. false: OpenSSL takes no such record, or setdane was not called.
   SSL_dane_tlsa_add(3), RFC 6698. */
static int settlsa(lua_State *L)
{
  tls_connection *c = tls_checkconnection(L, 1);
  uint8_t usage = 0, selector = 0, mtype = 0;
  size_t n;
  bool ok = check_byte(L, 2, &usage);
  ok = check_byte(L, 3, &selector) && ok;
  ok = check_byte(L, 4, &mtype) && ok;
  const char *data = luaL_checklstring(L, 5, &n);
  tls_error_clear();
  ok = ok && c->state == TLS_STATE_NEW && c->call == NULL &&
       SSL_dane_tlsa_add(c->ssl, usage, selector, mtype, (const unsigned char *)data, n) > 0;
  tls_error_clear();
  lua_pushboolean(L, ok);
  return 1;
}

const luaL_Reg tls_verify_methods[] = {
  {"getpeerverification", getpeerverification},
  {"setdane", setdane},
  {"settlsa", settlsa},
  {NULL, NULL},
};
