/*
 * context.c: ssl.context, the settings that connections are made from: life, protocol versions, options, verify modes,
 * ALPN, PSK. Ciphers and groups are in algorithms.c, certificates and keys in credentials.c, trust in trust.c.
 *
 * Every function answers true, or false, message, detail. Wrong argument types raise, as does a closed context.
 */
#include "borrowed.h"
#include "live.h"

#include <limits.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#define CONTEXT_KIB 32 /* what a context with a certificate costs OpenSSL, for the collector */

static int ex_index = -1;
static CRYPTO_ONCE ex_once = CRYPTO_ONCE_STATIC_INIT;

static void make_index(void)
{
  ex_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

tls_context *tls_contextof(const SSL *ssl)
{
  return SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), ex_index);
}

tls_context *tls_checkcontext(lua_State *L, int arg)
{
  tls_context *ctx = tls_checkobject(L, arg, &tls_context_type);
  luaL_argcheck(L, ctx->ctx != NULL, arg, "context is closed");
  return ctx;
}

/* ---- life ---- */

typedef struct protocol {
  const char *name;
  int min, max;
  bool dtls;
} protocol;

/* NULL for an unknown name. 0 leaves an end of the range to OpenSSL. */
static const protocol *find_protocol(const char *name)
{
  static const protocol protocols[] = {
    {"any", 0, 0, false},
    {"sslv23", 0, 0, false},
    {"tlsv1", TLS1_VERSION, TLS1_VERSION, false},
    {"tlsv1+", TLS1_VERSION, 0, false},
    {"tlsv1_1", TLS1_1_VERSION, TLS1_1_VERSION, false},
    {"tlsv1_1+", TLS1_1_VERSION, 0, false},
    {"tlsv1_2", TLS1_2_VERSION, TLS1_2_VERSION, false},
    {"tlsv1_2+", TLS1_2_VERSION, 0, false},
    {"tlsv1_3", TLS1_3_VERSION, TLS1_3_VERSION, false},
    {"tlsv1_3+", TLS1_3_VERSION, 0, false},
    {"dtls", DTLS1_2_VERSION, 0, true},
    {"dtlsv1_2", DTLS1_2_VERSION, DTLS1_2_VERSION, true},
  };
  for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++) {
    if (strcmp(name, protocols[i].name) == 0) {
      return &protocols[i];
    }
  }
  return NULL;
}

static void set_defaults(tls_context *ctx, const protocol *range)
{
  X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx->ctx);
  SSL_CTX_set_min_proto_version(ctx->ctx, range->min);
  SSL_CTX_set_max_proto_version(ctx->ctx, range->max);
  SSL_CTX_set_mode(ctx->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_session_cache_mode(ctx->ctx, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_read_ahead(ctx->ctx, 1);
  SSL_CTX_set_cert_verify_callback(ctx->ctx, tls_verify_chain, NULL);
  /* Without this, name constraints would be applied to the subject's common name even where no name is checked. */
  X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
}

/* create(protocol): "any", "sslv23", or "tlsv1", "tlsv1_1", "tlsv1_2", "tlsv1_3", which with a "+" stand for that version
   and newer ones; "dtls" (1.2 or newer) or "dtlsv1_2". Returns a context without a mode, or nil, message, detail. SSL_CTX_new(3), SSL_CTX_set_min_proto_version(3). */
static int create(lua_State *L)
{
  const char *name = tls_checkname(L, 1);
  const protocol *range = find_protocol(name);
  if (range == NULL) {
    return tls_fail_nil(L, tls_refuse(L, "invalid protocol (%s)", name));
  }
  tls_error_clear();
  tls_nudge(L, CONTEXT_KIB);
  tls_context *ctx = tls_newobject(L, &tls_context_type, sizeof *ctx);
  ctx->ctx = SSL_CTX_new(range->dtls ? DTLS_method() : TLS_method());
  if (ctx->ctx == NULL || SSL_CTX_set_ex_data(ctx->ctx, ex_index, ctx) != 1) {
    return tls_fail_nil(L, tls_fail_queue(L, "error creating context", NULL));
  }
  set_defaults(ctx, range);
  if (range->dtls) {
    tls_dtls_prepare(ctx->ctx);
  }
  return 1;
}

/* __gc and __close. Connections made from the context keep working, its Lua callbacks included. */
static int close_context(lua_State *L)
{
  tls_context *ctx = tls_self(L, &tls_context_type);
  SSL_CTX *old = ctx->ctx;
  ctx->ctx = NULL;
  if (old != NULL) {
    SSL_CTX_set_ex_data(old, ex_index, NULL);
    EVP_PKEY_free(ctx->dh);
    ctx->dh = NULL;
    tls_psk_free(ctx);
    tls_store_close(ctx->store);
    ctx->store = NULL;
    SSL_CTX_free(old);
  }
  return 0;
}

static int tostring(lua_State *L)
{
  lua_pushfstring(L, "SSL context: %p", tls_self(L, &tls_context_type));
  return 1;
}

/* What a session was verified under goes into the session id context: a session never resumes where peers are verified in
   another way, and one does resume where client certificates are asked for, which OpenSSL refuses without any id. */
void tls_context_identify(tls_context *ctx)
{
  unsigned char id[EVP_MAX_MD_SIZE];
  unsigned int n = 0;
  X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx->ctx);
  struct {
    unsigned char trust[sizeof ctx->trustid];
    uint64_t flags, verify, lsec, depth, ocsp, level, psk;
  } settings;
  _Static_assert(sizeof settings == sizeof ctx->identified, "as long as what is remembered");
  memset(&settings, 0, sizeof settings);
  memcpy(settings.trust, ctx->trustid, sizeof ctx->trustid);
  settings.flags = X509_VERIFY_PARAM_get_flags(param);
  settings.verify = (uint64_t)SSL_CTX_get_verify_mode(ctx->ctx);
  settings.lsec = ctx->verifyext;
  settings.depth = (uint64_t)X509_VERIFY_PARAM_get_depth(param);
  settings.ocsp = tls_ocsp_demand(ctx->ctx);
  settings.level = (uint64_t)SSL_CTX_get_security_level(ctx->ctx);
  settings.psk = ctx->pskclient || ctx->pskserver; /* it may be all that the peer shows; which key: tls_psk_set */
  /* In TLS 1.3 a client's pre-shared key is a session without any id, which a client with one refuses. */
  const unsigned int length = ctx->pskclient ? 0 : sizeof ctx->sessionid;
  if (length == ctx->nsessionid && memcmp(&settings, ctx->identified, sizeof settings) == 0) {
    return; /* each connection asks, and a digest is as long as a fifth of SSL_new */
  }
  if (EVP_Digest(&settings, sizeof settings, id, &n, EVP_sha256(), NULL) == 1 && n == sizeof ctx->sessionid) {
    memcpy(ctx->identified, &settings, sizeof settings);
  } else { /* short of memory: nobody's sessions for now, as in tls_trust_remember */
    RAND_bytes(id, sizeof ctx->sessionid);
    memset(ctx->identified, 0, sizeof ctx->identified);
    tls_error_clear();
  }
  memcpy(ctx->sessionid, id, sizeof ctx->sessionid);
  ctx->nsessionid = length;
  ctx->changes++;
  SSL_CTX_set_session_id_context(ctx->ctx, id, length);
}

SSL *tls_context_ssl(tls_context *ctx)
{
  tls_context_identify(ctx);
  SSL *ssl = SSL_new(ctx->ctx);
  if (ssl != NULL && !tls_verify_copied(SSL_get0_param(ssl), SSL_CTX_get0_param(ctx->ctx), ctx->byaddress)) {
    SSL_free(ssl);
    return NULL;
  }
  return ssl;
}

/* ---- settings ---- */

/* setmode(ctx, "client"|"server") */
static int setmode(lua_State *L)
{
  tls_context *ctx = tls_checkcontext(L, 1);
  const char *name = tls_checkname(L, 2);
  if (strcmp(name, "client") == 0) {
    ctx->mode = TLS_MODE_CLIENT;
  } else if (strcmp(name, "server") == 0) {
    ctx->mode = TLS_MODE_SERVER;
    SSL_CTX_set_options(ctx->ctx, SSL_OP_NO_RENEGOTIATION); /* whatever OpenSSL's configuration file allows */
    tls_names_watch(ctx->ctx);
  } else {
    return tls_refuse(L, "invalid mode (%s)", name);
  }
  return tls_answer(L, tls_sessions_attach(ctx->ctx, ctx->mode == TLS_MODE_SERVER), "error setting mode");
}

/* setdepth(ctx, n): most intermediate certificates in a chain. SSL_CTX_set_verify_depth(3). */
static int setdepth(lua_State *L)
{
  tls_context *ctx = tls_checkcontext(L, 1);
  luaL_checkinteger(L, 2); /* which has 32 bits in some Lua */
  lua_Number n = lua_tonumber(L, 2);
  luaL_argcheck(L, n >= -1 && n <= INT_MAX, 2, "depth out of range");
  SSL_CTX_set_verify_depth(ctx->ctx, (int)n);
  return tls_answer(L, 1, NULL);
}

typedef struct flag_name {
  const char *name;
  unsigned long flag;
} flag_name;

/* ORs the flags that arguments from 2 on name. The index of the first argument that names none, or 0. */
static int collect_flags(lua_State *L, const flag_name *names, unsigned long *flags)
{
  for (int i = 2; i <= lua_gettop(L); i++) {
    const char *s = tls_checkname(L, i);
    const flag_name *f = names;
    while (f->name != NULL && strcmp(f->name, s) != 0) {
      f++;
    }
    if (f->name == NULL) {
      return i;
    }
    *flags |= f->flag;
  }
  return 0;
}

/* setverify(ctx, ...): "none", "peer", "client_once", "fail_if_no_peer_cert"; all or nothing. No names, or "none" alone,
   change nothing. SSL_CTX_set_verify(3). */
static int setverify(lua_State *L)
{
  static const flag_name names[] = {
    {"none", SSL_VERIFY_NONE}, {"peer", SSL_VERIFY_PEER}, {"client_once", SSL_VERIFY_CLIENT_ONCE},
    {"fail_if_no_peer_cert", SSL_VERIFY_FAIL_IF_NO_PEER_CERT}, {NULL, 0},
  };
  tls_context *ctx = tls_checkcontext(L, 1);
  unsigned long flags = 0;
  int bad = collect_flags(L, names, &flags);
  if (bad != 0) {
    return tls_refuse(L, "invalid verify option (%s)", lua_tostring(L, bad));
  }
  if (flags != 0) {
    SSL_CTX_set_verify(ctx->ctx, (int)flags, NULL);
  }
  return tls_answer(L, 1, NULL);
}

/* setoptions(ctx, ...): names of ssl.config.options; all or nothing, and only ever added. SSL_CTX_set_options(3). */
static int setoptions(lua_State *L)
{
  tls_context *ctx = tls_checkcontext(L, 1);
  uint64_t flags = 0;
  for (int i = 2; i <= lua_gettop(L); i++) {
    const char *name = tls_checkname(L, i);
    const tls_option *option = tls_option_find(name);
    if (option == NULL) {
      return tls_refuse(L, "invalid option (%s)", name);
    }
    if (!tls_has_release(option->release)) {
      return tls_refuse_release(L, name, option->release);
    }
    flags |= option->flag;
  }
  if ((flags & SSL_OP_ALLOW_CLIENT_RENEGOTIATION) != 0) {
    SSL_CTX_clear_options(ctx->ctx, SSL_OP_NO_RENEGOTIATION); /* a server's default; kept when it is named too */
  }
  SSL_CTX_set_options(ctx->ctx, flags);
  if ((flags & SSL_OP_ENABLE_KTLS) != 0) {
    SSL_CTX_set_read_ahead(ctx->ctx, 0); /* the kernel cannot take over in the middle of what was read ahead */
  }
  return tls_answer(L, 1, NULL);
}

/* Keeps the value at stack index 2 in a slot of the context; nil takes it out. */
static void keep_value(lua_State *L, enum tls_slot slot)
{
  lua_settop(L, 2);
  tls_setslot(L, 1, slot);
}

/* setdhparam(ctx, f): f(false, 1024) -> Diffie-Hellman parameters in PEM, called before the first server handshake.
   Returns nothing. SSL_CTX_set0_tmp_dh_pkey(3). */
static int setdhparam(lua_State *L)
{
  tls_context *ctx = tls_checkcontext(L, 1);
  keep_value(L, TLS_SLOT_DHPARAM);
  tls_getslot(L, 1, TLS_SLOT_DHPARAM);
  ctx->dhparam = lua_toboolean(L, -1);
  ctx->dherror = NULL;
  return 0;
}

/* setalpn(ctx, wire): protocols that a client offers, each behind a length byte; "" offers none.
   SSL_CTX_set_alpn_protos(3). */
static int setalpn(lua_State *L)
{
  tls_context *ctx = tls_checkcontext(L, 1);
  size_t n;
  const char *wire = luaL_checklstring(L, 2, &n);
  tls_error_clear();
  /* This function alone answers 0 for success, and gives no reasons. */
  if (n > 65535 || SSL_CTX_set_alpn_protos(ctx->ctx, (const unsigned char *)wire, (unsigned int)n) != 0) {
    tls_error_clear();
    return tls_fail_text(L, "error setting ALPN", n > 65535 ? "longer than 65535 bytes" : "malformed list of protocols");
  }
  return tls_answer(L, 1, NULL);
}

/* setalpnstrict(ctx, on): without a protocol in common the handshake fails. RFC 7301 section 3.2. */
static int setalpnstrict(lua_State *L)
{
  tls_context *ctx = tls_checkcontext(L, 1);
  luaL_checkany(L, 2);
  ctx->alpnstrict = lua_toboolean(L, 2);
  return tls_answer(L, 1, NULL);
}

/* setalpncb(ctx, f): f(wire offered by the client) -> wire of protocols in order of preference; any other value: none. */
static int setalpncb(lua_State *L)
{
  tls_context *ctx = tls_checkcontext(L, 1);
  keep_value(L, TLS_SLOT_ALPN);
  tls_callback_alpn(ctx->ctx);
  return tls_answer(L, 1, NULL);
}

/* setserverpskcb(ctx, f): f(identity, maxpsk) -> psk or nil. SSL_CTX_set_psk_server_callback(3). */
static int setserverpskcb(lua_State *L)
{
  tls_context *ctx = tls_checkcontext(L, 1);
  keep_value(L, TLS_SLOT_PSK);
  tls_callback_psk(ctx->ctx, true);
  ctx->pskclient = false;
  ctx->pskserver = true;
  return tls_answer(L, 1, NULL);
}

/* setclientpskcb(ctx, f): f(hint or nil, maxidentity, maxpsk) -> identity, psk. SSL_CTX_set_psk_client_callback(3). */
static int setclientpskcb(lua_State *L)
{
  tls_context *ctx = tls_checkcontext(L, 1);
  keep_value(L, TLS_SLOT_PSK);
  tls_callback_psk(ctx->ctx, false);
  ctx->pskclient = true;
  ctx->pskserver = false;
  return tls_answer(L, 1, NULL);
}

/* setpskhint(ctx, hint): what the server tells TLS 1.2 clients. SSL_CTX_use_psk_identity_hint(3). */
static int setpskhint(lua_State *L)
{
  tls_context *ctx = tls_checkcontext(L, 1);
  size_t n;
  const char *hint = luaL_checklstring(L, 2, &n);
  if (strlen(hint) != n) {
    return tls_fail_text(L, "error setting PSK hint", "the hint contains a NUL byte");
  }
  tls_error_clear();
  return tls_answer(L, SSL_CTX_use_psk_identity_hint(ctx->ctx, hint), "error setting PSK hint");
}

/* setservername(ctx, name): what each client connection of the context sends as SNI. SSL_set_tlsext_host_name(3). */
static int setservername(lua_State *L)
{
  size_t n;
  tls_checkcontext(L, 1);
  const char *name = luaL_checklstring(L, 2, &n);
  if (n == 0 || n > TLSEXT_MAXLEN_host_name || strlen(name) != n) {
    return tls_refuse(L, "invalid server name (%s)",
                      n <= TLSEXT_MAXLEN_host_name ? tls_checkname(L, 2) : "longer than 255 bytes");
  }
  keep_value(L, TLS_SLOT_SERVERNAME);
  lua_pushboolean(L, 1);
  return 1;
}

/* setreadahead(ctx, on): with it (the default) more than one record is taken from the socket at a time; off is for programs
   that go on without TLS on the same socket. SSL_CTX_set_read_ahead(3). */
static int setreadahead(lua_State *L)
{
  tls_context *ctx = tls_checkcontext(L, 1);
  luaL_checkany(L, 2);
  SSL_CTX_set_read_ahead(ctx->ctx, lua_toboolean(L, 2));
  return tls_answer(L, 1, NULL);
}

/* setmaxreceive(ctx, n): the most bytes that one receive("*l") or receive("*a") of a connection may gather; 0: no limit. */
static int setmaxreceive(lua_State *L)
{
  tls_context *ctx = tls_checkcontext(L, 1);
  ctx->maxreceive = tls_checksize(L, 2);
  return tls_answer(L, 1, NULL);
}

static const char *verifyext_bits(lua_State *L, unsigned *lsec, unsigned long *crl)
{
  static const flag_name names[] = {
    {"lsec_continue", 1}, {"lsec_ignore_purpose", 2}, {"crl_check", 4}, {"crl_check_chain", 8}, {NULL, 0},
  };
  unsigned long bits = 0;
  int bad = collect_flags(L, names, &bits);
  if (bad != 0) {
    return lua_tostring(L, bad);
  }
  *lsec = ((bits & 1) != 0 ? TLS_LSEC_CONTINUE : 0) | ((bits & 2) != 0 ? TLS_LSEC_IGNORE_PURPOSE : 0);
  *crl = ((bits & 4) != 0 ? X509_V_FLAG_CRL_CHECK : 0ul) |
         ((bits & 8) != 0 ? X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL : 0ul);
  return NULL;
}

/* ctx:setverifyext(...: "lsec_continue"|"lsec_ignore_purpose"|"crl_check"|"crl_check_chain") -> true |
     false, message, detail
   "lsec_continue" (go on in spite of verify errors, all of them logged), "lsec_ignore_purpose" (verify whatever comes
   as a server's certificate), "crl_check", "crl_check_chain". The lsec_ flags are replaced, the CRL flags only ever
   added. X509_VERIFY_PARAM_set_flags(3). */
static int setverifyext(lua_State *L)
{
  tls_context *ctx = tls_checkcontext(L, 1);
  unsigned lsec = 0;
  unsigned long crl = 0;
  const char *bad = verifyext_bits(L, &lsec, &crl);
  if (bad != NULL) {
    return tls_refuse(L, "invalid verify option (%s)", bad);
  }
  ctx->verifyext = lsec;
  X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx->ctx), crl);
  return tls_answer(L, 1, NULL);
}

static const luaL_Reg functions[] = {
  {"create", create},
  {"setmode", setmode},
  {"setdepth", setdepth},
  {"setverify", setverify},
  {"setoptions", setoptions},
  {"setdhparam", setdhparam},
  {"setalpn", setalpn},
  {"setalpncb", setalpncb},
  {"setalpnstrict", setalpnstrict},
  {"setserverpskcb", setserverpskcb},
  {"setclientpskcb", setclientpskcb},
  {"setpskhint", setpskhint},
  {"setpsk", tls_psk_set},
  {"setservername", setservername},
  {"setreadahead", setreadahead},
  {"setmaxreceive", setmaxreceive},
  {NULL, NULL},
};

static const luaL_Reg methods[] = {
  {"setverifyext", setverifyext},
  {NULL, NULL},
};

static const luaL_Reg meta[] = {
  {"__gc", close_context},
  {"__close", close_context},
  {"__tostring", tostring},
  {NULL, NULL},
};

TLS_EXPORT int luaopen_ssl_context(lua_State *L)
{
  CRYPTO_THREAD_run_once(&ex_once, make_index);
  tls_callback_open(L);
  tls_ocsp_open();
  if (tls_newtype(L, &tls_context_type, methods, meta)) {
    tls_addmethods(L, tls_sessions_methods);
    tls_addmethods(L, tls_tickets_methods);
  }
  tls_addmethods(L, tls_ocsp_context_methods);
  lua_newtable(L);
  tls_setfuncs(L, functions, 0);
  tls_setfuncs(L, tls_algorithms_functions, 0);
  tls_setfuncs(L, tls_credentials_functions, 0);
  tls_setfuncs(L, tls_trust_functions, 0);
  tls_setfuncs(L, tls_sessions_functions, 0);
  tls_setfuncs(L, tls_sessionstore_functions, 0);
  tls_setfuncs(L, tls_names_functions, 0);
  tls_setfuncs(L, tls_keypairs_functions, 0);
  tls_setfuncs(L, tls_reload_functions, 0);
  tls_setfuncs(L, tls_keylog_functions, 0);
  tls_setfuncs(L, tls_policy_functions, 0);
  return 1;
}
