/*
 * tls.h: the structs and functions that cross files. Each section belongs to the file named in its heading; what is used
 * in one file only is declared there.
 */
#ifndef TLS_TLS_H
#define TLS_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "compat.h"

/* Objects: userdata types, told apart by a metatable in the registry under the address of their tls_type. The name is
   what error messages call them; it is LuaSec's, the registry key is not, so that both libraries can be loaded. */
typedef struct tls_type {
  const char *name;
} tls_type;

extern const tls_type tls_context_type;     /* "SSL:Context" */
extern const tls_type tls_connection_type;  /* "SSL:Connection" */
extern const tls_type tls_certificate_type; /* "SSL:Certificate" */

enum tls_mode { TLS_MODE_UNSET, TLS_MODE_CLIENT, TLS_MODE_SERVER };
enum tls_state { TLS_STATE_NEW, TLS_STATE_CONNECTED, TLS_STATE_CLOSED };

/* What one step or one wait can end in. */
enum tls_status { TLS_DONE, TLS_WANT_READ, TLS_WANT_WRITE, TLS_FAILED };

/* Slots of an object's user value: Lua values that live as long as the object. */
enum tls_slot {
  /* of a context */
  TLS_SLOT_ALPN = 1,   /* function(wire) -> wire */
  TLS_SLOT_PSK,        /* function, server's or client's */
  TLS_SLOT_DHPARAM,    /* function(is_export, bits) -> PEM */
  TLS_SLOT_PASSWORD,   /* function() -> password, while a key is loaded */
  TLS_SLOT_SERVERNAME, /* name that client connections send as SNI */
  TLS_SLOT_STORE,      /* table of functions that keep a server's sessions */
  TLS_SLOT_OCSP,       /* function(conn, certificate) -> DER */
  TLS_SLOT_KEYLOG,     /* function(line), or the file */
  TLS_SLOT_NAMES,      /* function(name, connection) -> context for that server name */
  TLS_SLOT_GROUPS,     /* list of key exchange groups, as it was set */
  /* of a connection */
  TLS_SLOT_CONTEXT,    /* the context given at its creation */
  TLS_SLOT_SELECTED,   /* the context that SNI selected */
  TLS_SLOT_SNI,        /* map of names to contexts */
  TLS_SLOT_NAME,       /* the server name that the context was selected by, nil for none */
  TLS_SLOT_FAILURE,    /* message of the handshake's first error */
  TLS_SLOT_ERROR       /* detail table of the last error */
};

/* ---- object.c: userdata types and their user values ---------------------------------------------------------------*/

/* Leaves the metatable of a type on the stack; true when this call made it, with its methods in __index. */
bool tls_newtype(lua_State *L, const tls_type *type, const luaL_Reg *methods, const luaL_Reg *meta);
/* Adds methods to the metatable on top of the stack. */
void tls_addmethods(lua_State *L, const luaL_Reg *methods);
/* setmethod(name, f), arguments 1 and 2: gives every object of a type a method. Returns nothing. */
int tls_setmethod(lua_State *L, const tls_type *type);
/* Pushes a new zeroed userdata of a type. Raises when memory runs out. */
void *tls_newobject(lua_State *L, const tls_type *type, size_t size);
void *tls_toobject(lua_State *L, int arg, const tls_type *type);    /* NULL when it is something else */
void *tls_checkobject(lua_State *L, int arg, const tls_type *type); /* raises luaL_argerror */
void *tls_self(lua_State *L, const tls_type *type); /* the same for argument 1 */
size_t tls_checksize(lua_State *L, int arg); /* a number of bytes; raises for a negative one */
void tls_getslot(lua_State *L, int object, enum tls_slot slot);     /* pushes */
void tls_setslot(lua_State *L, int object, enum tls_slot slot);     /* pops */
/* Lets the collector work for `kib` KiB of C memory that it cannot see. */
void tls_nudge(lua_State *L, int kib);
struct tls_census *tls_nudge_connection(lua_State *L, int kib); /* for one more connection; live.h */

/* An object of another library in the hands of Lua's collector: every lua_push* can raise when memory runs out, and can run
   finalizers. What must live across such a call is kept in a box. */
typedef struct tls_box {
  void *p;
  void (*release)(void *);
} tls_box;

/* Pushes an empty box, whose content is released by tls_emptybox or the collector. Raises when memory runs out. */
tls_box *tls_newbox(lua_State *L, void (*release)(void *));
void tls_emptybox(tls_box *box);

/* ---- error.c: OpenSSL's queue and errno -> message and detail -----------------------------------------------------*/

enum tls_kind {
  TLS_KIND_NONE,
  TLS_KIND_VERIFY,
  TLS_KIND_ALERT,
  TLS_KIND_PROTOCOL,
  TLS_KIND_SYSTEM,
  TLS_KIND_CLOSED,
  TLS_KIND_TRUNCATED,
  TLS_KIND_TIMEOUT,
  TLS_KIND_WANT,
  TLS_KIND_CONFIG,
  TLS_KIND_CALLBACK
};

#define TLS_ERROR_STACK 8

/* One failure, taken from errno and the queue at once after the call that failed. It lives on the C stack. */
typedef struct tls_error {
  enum tls_kind kind;
  unsigned long code; /* OpenSSL's oldest queued code, 0 if none */
  int sys;            /* errno, 0 if none */
  int verify;         /* X509_V_ERR_*, X509_V_OK if none */
  int depth;          /* of the certificate refused, with verify */
  int parked;         /* stack index of the value a callback raised, 0 if none */
  const char *who;    /* the callback that raised */
  const char *file;   /* the file that could not be read */
  const char *host;   /* the name that was expected */
  const char *hint;
  const char *text;   /* the reason in words; points to static text or to buf */
  char buf[256];
  char subject[256];  /* of the certificate refused */
  char names[192];    /* those that it is for, when the host is none of them */
  int nstack;
  struct {
    unsigned long code;
    char data[96];
  } stack[TLS_ERROR_STACK];
} tls_error;

void tls_error_clear(void);                 /* empties the queue; cheap when it is empty */
void tls_error_init(tls_error *e);
void tls_error_set(tls_error *e, enum tls_kind kind, const char *text);
void tls_error_system(tls_error *e, int sys);
/* Takes the queue (and leaves it empty): the oldest entry decides text and kind, `kind` when it names none. */
void tls_error_queue(tls_error *e, enum tls_kind kind);
/* Takes the outcome of an SSL_* call that returned `ret`; errno must be that call's, saved by the caller. */
enum tls_status tls_error_ssl(tls_error *e, const SSL *ssl, int ret, int sys);
void tls_error_message(lua_State *L, const tls_error *e);   /* pushes the message */
void tls_error_detail(lua_State *L, const tls_error *e);    /* pushes the detail table */
/* What a context setter returns: true, or the failure of an OpenSSL call, "PREFIX (REASON)". */
int tls_answer(lua_State *L, int ok, const char *prefix);
/* The failures of context setters, as they return them: false, message, detail. */
int tls_fail_config(lua_State *L, const tls_error *e, const char *prefix); /* "PREFIX (REASON)", or the reason alone */
int tls_fail_queue(lua_State *L, const char *prefix, const char *file);    /* the same with what the queue holds */
int tls_fail_text(lua_State *L, const char *prefix, const char *text);     /* the same with words of our own */
void tls_error_file(tls_error *e, const char *file);                       /* names the file, and says if it is a directory */
/* A name among the arguments. One with a NUL, which no name has, is shown and compared with "\0" in its place. */
const char *tls_checkname(lua_State *L, int arg);
int tls_refuse(lua_State *L, const char *fmt, ...);                        /* a sentence of our own, as lua_pushfstring */
int tls_fail_closed(lua_State *L); /* nil, "closed", detail: what methods answer when there is no connection */
int tls_fail_nil(lua_State *L, int n); /* makes nil of the false among the n values that one of these pushed; returns n */

/* ---- hint.c -------------------------------------------------------------------------------------------------------*/

const char *tls_hint(const tls_error *e);       /* what to do about it, NULL when there is nothing to say */
struct tls_connection;
const char *tls_hint_closed(const struct tls_connection *c); /* why there is no connection, by its state */
int tls_alert(const tls_error *e);              /* number of the alert that the peer sent, -1 for other failures */
const char *tls_alert_name(const tls_error *e); /* "unknown_ca"; NULL for other failures */

/* ---- callback.c: the barrier between OpenSSL and Lua functions ----------------------------------------------------*/

/* A Lua call that is inside OpenSSL now. It lives on the C stack of the method; nothing longer-lived may hold L. */
typedef struct tls_call {
  lua_State *L;
  int object;      /* stack index of the object that the method was called on */
  int parked;      /* stack index of the first value raised by a callback, 0 if none */
  const char *who; /* the callback that raised it */
} tls_call;

struct tls_context;
struct tls_connection;

void tls_callback_open(lua_State *L); /* once a state */
/* Runs body(L) protected, with the call's object at index 1 and `arg` as light userdata at index 2. False when it raised;
   the first error of a call stays on the stack as `parked`. Never allocates outside the protection. */
bool tls_callback(tls_call *call, const char *who, lua_CFunction body, void *arg);
/* Puts the error parked by a call into e; false when there is none. */
bool tls_callback_error(const tls_call *call, tls_error *e);
/* The connection of a handshake that a Lua call drives now; NULL when it is not ours or somebody else drives it. */
struct tls_connection *tls_callback_driven(const SSL *ssl);
/* tls_callback for a connection's own callbacks. False when the function raised, and when it closed the connection: the
   handshake must end here. */
bool tls_callback_ask(struct tls_connection *c, const char *who, lua_CFunction body, void *arg);
/* Pushes the function in a slot of the context that the connection at index 1 uses now, which SNI may have changed; nil
   when there is none. */
void tls_callback_function(lua_State *L, const SSL *ssl, enum tls_slot slot);
/* What a connection in a call was made from, open or not; NULL for a context of luaossl's. */
const struct tls_context *tls_callback_context(const struct tls_connection *c);
/* Calls the dhparam function of the connection's context if it still waits. */
void tls_callback_dh(struct tls_connection *c);
/* The same for the context in TLS_SLOT_SELECTED. False when it raised, or closed the connection or the context. */
bool tls_callback_dh_selected(struct tls_connection *c, struct tls_context *ctx);
void tls_callback_alpn(SSL_CTX *ctx);

/* What tls_password_cb is given: the context is the call's object, a function is in its TLS_SLOT_PASSWORD. */
typedef struct tls_password {
  tls_call call;
  int value;  /* stack index of the string or function; of anything else when none was given */
  bool asked; /* OpenSSL wanted a password */
  bool whole; /* OpenSSL takes it as a C string: one with a NUL, or too long for it, is refused and not cut */
} tls_password;

int tls_password_cb(char *buf, int size, int rwflag, void *arg);

/* ---- store.c: the cache of parsed CA files ------------------------------------------------------------------------*/

typedef struct tls_store tls_store;

/* A store with the certificates of a PEM file, which is read once: a reference for the caller, and their digest. NULL on failure,
   with OpenSSL's queue. One of the cache's must not be changed, and `*shared` is to be closed once it is no longer used. */
#define TLS_STORE_DIGEST 32
X509_STORE *tls_store_open(const char *path, tls_store **shared, unsigned char *digest);
/* Adds all that is in one store to another, which is nobody else's; false, with OpenSSL's queue, when memory is short. */
bool tls_store_copy(X509_STORE *from, X509_STORE *to);
void tls_store_close(tls_store *s); /* NULL is fine */

/* ---- context.c ----------------------------------------------------------------------------------------------------*/

#define TLS_LSEC_CONTINUE 1u
#define TLS_LSEC_IGNORE_PURPOSE 2u

typedef struct tls_context {
  SSL_CTX *ctx; /* NULL once closed */
  enum tls_mode mode;
  unsigned verifyext;          /* TLS_LSEC_* */
  bool pskclient;              /* the function in TLS_SLOT_PSK, or the fixed key, is a client's */
  bool pskserver;              /* it is a server's */
  struct tls_psk *psk;         /* the fixed key, NULL if none */
  bool dhparam;                /* a function in TLS_SLOT_DHPARAM waits to be called */
  EVP_PKEY *dh;                /* what it gave */
  const char *dherror;         /* why it gave nothing; static text */
  size_t maxreceive;           /* of its connections */
  bool alpnstrict;             /* no protocol in common ends the handshake */
  bool byname;                 /* the name that a client sends counts: a function in TLS_SLOT_NAMES, key pairs */
  bool snistrict;              /* an unknown name ends the handshake */
  bool trusting;               /* a CA was loaded */
  bool byaddress;              /* the peer's certificate must be for an IP address */
  bool dane;                   /* its connections may verify by TLSA records */
  bool ownstore;               /* its store has what no file has: CA data, revocation lists */
  tls_store *store;            /* the cache's store that it uses, NULL when it has its own */
  unsigned char trustid[32];   /* digest of the trust settings, for the session id context */
  unsigned char sessionid[32]; /* the session id context */
  unsigned int nsessionid, changes; /* its length; how often it has become another */
  unsigned char identified[88]; /* the settings that it was made from last */
} tls_context;

tls_context *tls_checkcontext(lua_State *L, int arg); /* raises when it is none or closed */
tls_context *tls_contextof(const SSL *ssl);           /* of the SSL_CTX in use now; NULL for a foreign or dead one */
void tls_context_identify(tls_context *ctx);          /* brings the session id context up to the verify settings */

/* ---- connection.c -------------------------------------------------------------------------------------------------*/

struct tls_verify_log;

typedef struct tls_connection {
  SSL *ssl; /* NULL once closed */
  enum tls_state state;
  bool server;
  bool failed;          /* the handshake failed; TLS_SLOT_FAILURE says why */
  bool broken;          /* a fatal error ended reading and writing */
  bool closing;         /* close() came while a call was inside OpenSSL */
  bool snistrict;       /* of the map in TLS_SLOT_SNI */
  bool byname;          /* the name that the client sends counts */
  bool named;           /* it came, and was decided by */
  bool known;           /* it was found */
  bool unknown;         /* it was not, which ended the handshake */
  bool readahead;       /* to be switched on by the first read */
  unsigned char ocsp;   /* what the peer's OCSP response was worth: enum tls_ocsp_verdict */
  bool dane;            /* TLSA records were asked for by conn:setdane */
  bool offered;         /* the client of a server had a session to resume */
  bool notifying;       /* close_notify waits for the socket */
  bool updating;        /* a key update of ours does */
  bool starved;         /* the last step could not go on for want of bytes from the peer */
  size_t taken;         /* bytes that this step took from the socket by a BIO of OpenSSL's */
  bool borrowed;        /* its descriptors are the program's: closing does not write to them */
  int fd;               /* -1: none */
  double block, total;  /* timeouts in seconds, negative: none */
  tls_call *call;       /* the Lua call that is inside OpenSSL now, NULL if none */
  unsigned char *buf;   /* plaintext that was decrypted and not yet taken: buf[head..tail) */
  size_t head, tail;
  unsigned char *unsent; /* copy of a record that waits in OpenSSL for the socket */
  size_t nunsent;
  bool overflowing;     /* what is left of a record waits in the BIO */
  size_t ahead;         /* bytes sent beyond what send() reported */
  size_t maxreceive;    /* most bytes that one receive of a line or of all may gather, 0: any number */
  double created, received, sent;
  struct tls_census *census; /* where it is counted until it is closed */
  struct tls_verify_log *log;
  SSL_SESSION *session; /* a client's newest, to resume later */
  struct tls_sessions *sessions; /* of the SSL_CTX it was made from, NULL for a foreign one */
  struct tls_memory *memory; /* of an engine; NULL when there is a descriptor */
  char *pskidentity;    /* of the key that the peers may agree on, NULL if none */
  bool pskonly;         /* no certificate is taken instead of the key */
  unsigned int retransmit; /* microseconds until a flight of DTLS goes again for the first time, 0: OpenSSL's second */
  unsigned char *peer;  /* what tells a DTLS server's client from others, for its cookie; NULL before listen */
  size_t npeer;
  unsigned int forks, changes; /* tls_forks at its last step; its context's `changes` when it was made */
} tls_connection;

/* One OpenSSL call on a connection: entered, left, and its outcome. `object` is the connection's stack index. False (and
   e says so) when a callback of this very connection called back into it. */
bool tls_enter(tls_connection *c, tls_call *call, lua_State *L, int object, tls_error *e);
void tls_leave(tls_connection *c);
enum tls_status tls_step_handshake(tls_connection *c, tls_error *e);
enum tls_status tls_step_read(tls_connection *c, void *p, size_t n, size_t *got, tls_error *e);
enum tls_status tls_step_write(tls_connection *c, const void *p, size_t n, size_t *put, tls_error *e);
/* The outcome of an OpenSSL call, taken at once; `sys` is its errno. */
enum tls_status tls_outcome(tls_connection *c, int ret, int sys, tls_error *e);
/* Did a callback of the call that runs raise or close the connection? Then e says so. */
bool tls_interrupted(tls_connection *c, tls_error *e);
tls_connection *tls_connectionof(const SSL *ssl); /* NULL for a foreign one */
tls_connection *tls_checkconnection(lua_State *L, int arg);
/* Starts an engine anew with the same context: a new SSL, nothing read or sent. False, and e says so, when it cannot. */
bool tls_connection_renew(lua_State *L, tls_connection *c, tls_error *e);
SSL *tls_connected(lua_State *L); /* of the connection at argument 1, NULL when its handshake is not done */

/* ---- handshake.c --------------------------------------------------------------------------------------------------*/

extern const luaL_Reg tls_handshake_methods[];

/* ---- servernames.c ------------------------------------------------------------------------------------------------*/

void tls_names_watch(SSL_CTX *ctx); /* once a server context: its connections may be told apart by the client's name */
/* Says why the handshake ended, if it was for an unknown name. May leave a value on the stack. */
void tls_names_explain(lua_State *L, const tls_connection *c, tls_error *e);
extern const luaL_Reg tls_names_functions[];

/* ---- keypairs.c ---------------------------------------------------------------------------------------------------*/

enum tls_keypairs { TLS_KEYPAIRS_NONE, TLS_KEYPAIRS_CHOSEN, TLS_KEYPAIRS_FAILED };

/* Gives a connection the key pairs of its context that are for a name, NULL for none; without any, it keeps what it has. */
enum tls_keypairs tls_keypairs_choose(SSL *ssl, const char *name, size_t n);
/* Which of its context's key pairs the connection sends, or sent, counted from 1; 0: a certificate that is in none. */
int tls_keypairs_index(const SSL *ssl);
/* The certificate of a context's pair, counted from 1, NULL after the last. The response that ocsp.c staples to it needs no
   more than SSL_get_certificate(3): a pair's certificate is the same object on every connection. */
X509 *tls_keypairs_leaf(SSL_CTX *ctx, int i);
extern const luaL_Reg tls_keypairs_functions[];

/* ---- stream.c -----------------------------------------------------------------------------------------------------*/

void tls_stream_open(lua_State *L);                         /* once a state, the connections' metatable on the stack */
void tls_stream_free(tls_connection *c);
/* Sends the record that waits in OpenSSL for the socket, without which no other can go; TLS_DONE when there is none. */
enum tls_status tls_send_flush(tls_connection *c, tls_error *e);
int tls_stream_want(lua_State *L, enum tls_status status);  /* pushes "wantread" or "wantwrite" and its detail */

/* ---- transport.c --------------------------------------------------------------------------------------------------*/

void tls_transport_open(void); /* once a process: a peer that has gone must not kill it */
bool tls_transport_attach(tls_connection *c, int fd); /* false when memory is short */
void tls_transport_idle(tls_connection *c);            /* lets go of buffers that have nothing in them */
void tls_transport_close(tls_connection *c);

/* ---- memory.c, engine.c ------------------------------------------------------------------------------------------*/

void tls_memory_close(tls_connection *c, SSL *ssl); /* before the SSL goes; what was not drained stays */
void tls_memory_free(tls_connection *c);
void tls_memory_idle(tls_connection *c);       /* lets go of memory that is not in use */
size_t *tls_memory_limit(tls_connection *c, bool out); /* most bytes that may wait */
bool tls_memory_readable(const tls_connection *c); /* was something fed that OpenSSL has not seen? */
int tls_engine_attach(lua_State *L);           /* ssl.core.setmemory */
extern const luaL_Reg tls_engine_methods[];

/* ---- psk.c --------------------------------------------------------------------------------------------------------*/

void tls_callback_psk(SSL_CTX *ctx, bool server);                    /* a Lua function has the keys */
int tls_psk_set(lua_State *L);                                       /* ssl.context.setpsk */
void tls_psk_free(tls_context *ctx);
void tls_psk_prepare(tls_connection *c, const tls_context *ctx);     /* a new connection; ctx may be NULL */
void tls_psk_adopt(tls_connection *c, const tls_context *ctx);       /* a server's connection has moved to this context */
void tls_psk_forget(tls_connection *c);
extern const luaL_Reg tls_psk_methods[];

/* ---- dtls.c -------------------------------------------------------------------------------------------------------*/

void tls_dtls_prepare(SSL_CTX *ctx);                /* a new context of DTLS */
bool tls_dtls_attach(tls_connection *c, int fd);    /* false when memory is short */
void tls_dtls_engine(tls_connection *c);            /* a new engine of DTLS: nobody can be asked for its MTU */
int tls_dtls_timer(const tls_connection *c);        /* milliseconds until the last flight goes again, -1: no timer runs */
void tls_dtls_free(tls_connection *c, SSL *ssl);    /* before SSL_free */
extern const luaL_Reg tls_dtls_methods[];

/* ---- wait.c -------------------------------------------------------------------------------------------------------*/

/* When one Lua call must stop waiting; filled at its first wait. */
typedef struct tls_deadline {
  bool started;
  double at, over; /* seconds of tls_now; at is of waits, negative: never; over is tls_overdue's, 0: not asked yet */
} tls_deadline;

double tls_now(void); /* monotonic seconds */
/* Waits until the descriptor can do what `want` asks. False when the time is over, or there is none. */
bool tls_wait(const tls_connection *c, enum tls_status want, tls_deadline *d);
extern const luaL_Reg tls_wait_methods[];

/* ---- socket.c -----------------------------------------------------------------------------------------------------*/

extern const luaL_Reg tls_socket_methods[];

/* ---- resolve.c, stamp.c: functions of ssl.core ----------------------------------------------------------------*/

int tls_resolve(lua_State *L);     /* ssl.core.resolve */
int tls_filestamp(lua_State *L);   /* ssl.core.filestamp */
int tls_fingerprint(lua_State *L); /* ssl.core.fingerprint */

/* ---- verify.c: certificate verification inside the handshake ------------------------------------------------------*/

int tls_verify_chain(X509_STORE_CTX *store, void *arg); /* cert_verify_callback of every context */
void tls_verify_free(tls_connection *c);
void tls_verify_keep(const tls_connection *c, SSL_SESSION *s); /* the log goes with the session */
void tls_verify_note(tls_connection *c, int error); /* logs an error of the peer's own certificate, X509_V_ERR_* */
void tls_verify_error(const tls_connection *c, tls_error *e); /* adds depth, subject and code of the refusal */
STACK_OF(X509) *tls_verify_refused(const tls_connection *c);  /* the chain that was refused, leaf first; NULL if none was */
extern const luaL_Reg tls_verify_methods[];

/* ---- x509_check.c: host names as all checks read them --------------------------------------------------------------*/

size_t tls_ip(const char *text, unsigned char ip[16]);  /* bytes of an IP literal: 4 or 16; 0 for anything else */
size_t tls_hostlength(const char *name, size_t n);      /* without the one trailing dot that a DNS name may have */

/* ---- inspect.c ----------------------------------------------------------------------------------------------------*/

extern const luaL_Reg tls_inspect_methods[];
int tls_inspect_compression(lua_State *L); /* ssl.core.compression */
int tls_inspect_cipher(lua_State *L);      /* ssl.core.info */

/* ---- session.c, sessions.c, tickets.c, sessionstore.c; session.h has what they share ------------------------------*/

int tls_session_load(lua_State *L); /* ssl.core.loadsession */
bool tls_sessions_attach(SSL_CTX *ctx, bool server); /* once its mode is known; false when memory is short */
struct tls_sessions *tls_sessionsof(const SSL_CTX *ctx);
void tls_sessions_begin(tls_connection *c);           /* before each step of the handshake */
void tls_sessions_end(tls_connection *c, bool done);  /* after the last */
void tls_sessions_spoil(const tls_connection *c);     /* TLS failed: its peer's sessions are not to be resumed */
void tls_session_free(tls_connection *c);
extern const luaL_Reg tls_session_methods[];   /* of connections */
extern const luaL_Reg tls_sessions_functions[]; /* of ssl.context */
extern const luaL_Reg tls_sessionstore_functions[];
extern const luaL_Reg tls_sessions_methods[];  /* of contexts */
extern const luaL_Reg tls_tickets_methods[];

/* ---- ocsp.c -------------------------------------------------------------------------------------------------------*/

void tls_ocsp_open(void);                       /* once a process */
unsigned tls_ocsp_demand(const SSL_CTX *ctx);   /* what a client demands of its servers' OCSP responses; 0: nothing */
void tls_ocsp_error(const tls_connection *c, tls_error *e); /* says what the response was when that ended the handshake */
extern const luaL_Reg tls_ocsp_context_methods[];
extern const luaL_Reg tls_ocsp_methods[];

/* ---- x509.c -------------------------------------------------------------------------------------------------------*/

/* Pushes a certificate object that owns `cert` (a reference of its own). cert must not be NULL. When memory runs out it
   frees the reference and raises. */
void tls_pushcertificate(lua_State *L, X509 *cert);
int luaopen_ssl_x509(lua_State *L); /* makes the type of certificates, which tls_pushcertificate needs */

/* Makes a setting part of what sessions are verified under; kind: a letter for each. */
void tls_trust_remember(tls_context *ctx, char kind, const void *value, size_t size);

/* ---- algorithms.c, credentials.c, trust.c: functions of ssl.context -------------------------------------------------------------*/

extern const luaL_Reg tls_algorithms_functions[];
extern const luaL_Reg tls_credentials_functions[];
extern const luaL_Reg tls_trust_functions[];

/* ---- selfsigned.c -------------------------------------------------------------------------------------------------*/

/* selfsigned(names, days, "ec" | "rsa" | "ed25519") -> certificate, key, both in PEM; nil, message, detail. names: an array
   of DNS names and IP addresses, all of them alternative names, the first also the common name. Raises for bad ones. */
int tls_selfsigned(lua_State *L);

/* ---- options.c, config.c ------------------------------------------------------------------------------------------*/

/* A release of OpenSSL in the form of OpenSSL_version_num(3). */
#define TLS_RELEASE(major, minor) ((major##ul << 28) | (minor##ul << 20))

bool tls_has_release(unsigned long release); /* does the program run on it, or on a later one? */
/* false, message, detail: a name that only later releases know. */
int tls_refuse_release(lua_State *L, const char *name, unsigned long release);

typedef struct tls_option {
  const char *name;
  uint64_t flag;
  unsigned long release; /* the first one to know it, 0: all */
} tls_option;

extern const tls_option tls_options[]; /* sorted by name, ended by a NULL name */
const tls_option *tls_option_find(const char *name);
bool tls_curve_known(const char *name); /* is it one of ssl.config.curves? */

/* ---- groups.c -----------------------------------------------------------------------------------------------------*/

/* Pushes the table of key exchange groups, and adds the key encapsulation mechanisms to the set at index `curves`. */
void tls_push_groups(lua_State *L, int curves);
/* Adds the signature algorithms that are providers' own, from OpenSSL 3.2 on, to the set on top of the stack. */
void tls_add_sigalgs(lua_State *L);
bool tls_group_kem(const char *name); /* does a provider have this key encapsulation mechanism? */

#endif
