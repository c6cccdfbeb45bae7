/*
 * stream.c: what a connection's two byte streams have in common: how a call begins and fails, what is there to read, and
 * the statistics. Receiving is in receive.c, sending in send.c.
 */
#include "stream.h"

#include "readahead.h"

static const char want_keys[2]; /* registry: the detail tables of "wantread" and "wantwrite" */

void tls_stream_free(tls_connection *c)
{
  tls_receive_free(c);
  tls_send_free(c);
}

enum tls_status tls_stream_nomemory(tls_error *e)
{
  tls_error_set(e, TLS_KIND_SYSTEM, "not enough memory");
  return TLS_FAILED;
}

static const char *want_text(enum tls_status status)
{
  return status == TLS_WANT_READ ? "wantread" : "wantwrite";
}

int tls_stream_want(lua_State *L, enum tls_status status)
{
  lua_pushstring(L, want_text(status));
  tls_rawgetp(L, LUA_REGISTRYINDEX, &want_keys[status == TLS_WANT_WRITE]);
  return 2;
}

/* Pushes message and detail, and keeps the detail of a real failure for lasterror. Of a connection that an error has ended
   the message is "closed" from then on, but the detail goes on telling what that error was. */
void tls_stream_failure(lua_State *L, const tls_connection *c, enum tls_status status, const tls_error *e)
{
  if (status != TLS_FAILED) {
    tls_stream_want(L, status);
    return;
  }
  tls_error_message(L, e);
  if (e->kind == TLS_KIND_CLOSED && c->state != TLS_STATE_CLOSED && (c->broken || c->failed)) {
    tls_getslot(L, 1, TLS_SLOT_ERROR);
    if (!lua_isnil(L, -1)) {
      return;
    }
    lua_pop(L, 1);
  }
  tls_error_detail(L, e);
  lua_pushvalue(L, -1);
  tls_setslot(L, 1, TLS_SLOT_ERROR);
}

enum tls_status tls_stream_enter(tls_connection *c, tls_call *call, lua_State *L, tls_error *e)
{
  if (c->state != TLS_STATE_CONNECTED) {
    tls_error_set(e, TLS_KIND_CLOSED, "closed");
    e->hint = tls_hint_closed(c);
    return TLS_FAILED;
  }
  return tls_enter(c, call, L, 1, e) ? TLS_DONE : TLS_FAILED;
}

bool tls_stream_at_hand(const tls_connection *c)
{
  return SSL_has_pending(c->ssl) || tls_readahead_pending(c->ssl) || tls_memory_readable(c);
}

/* Bytes read ahead count as something to read until a step has found that they are not yet a whole record. After the peer's
   close_notify nothing comes, though OpenSSL 3.2 and later count that record itself. */
static bool readable(const tls_connection *c)
{
  if ((SSL_get_shutdown(c->ssl) & SSL_RECEIVED_SHUTDOWN) != 0) {
    return false;
  }
  return SSL_pending(c->ssl) > 0 || (!c->starved && tls_stream_at_hand(c));
}

/* conn:dirty() -> boolean
   Is there something to read that select on the descriptor would not tell of? LuaSocket's tcp:dirty. */
static int dirty(lua_State *L)
{
  const tls_connection *c = tls_checkconnection(L, 1);
  lua_pushboolean(L, c->head < c->tail || (c->state == TLS_STATE_CONNECTED && !c->broken && readable(c)));
  return 1;
}

/* conn:getstats() -> received: number, sent: number, age: number
   Bytes of plaintext received and sent, and the connection's age in seconds. LuaSocket's tcp:getstats. */
static int getstats(lua_State *L)
{
  const tls_connection *c = tls_checkconnection(L, 1);
  lua_pushnumber(L, c->received);
  lua_pushnumber(L, c->sent);
  lua_pushnumber(L, tls_now() - c->created);
  return 3;
}

/* conn:setstats([received: number [, sent: number [, age: number]]]) -> 1
   What getstats is to count from; absent ones stay. LuaSocket's tcp:setstats. */
static int setstats(lua_State *L)
{
  tls_connection *c = tls_checkconnection(L, 1);
  double received = luaL_optnumber(L, 2, c->received);
  double sent = luaL_optnumber(L, 3, c->sent);
  double created = lua_isnoneornil(L, 4) ? c->created : tls_now() - luaL_checknumber(L, 4);
  c->received = received; /* only now, when no argument can raise any more */
  c->sent = sent;
  c->created = created;
  lua_pushnumber(L, 1);
  return 1;
}

static const luaL_Reg methods[] = {
  {"receive", tls_receive},
  {"send", tls_send},
  {"read", tls_read},
  {"write", tls_write},
  {"dirty", dirty},
  {"getstats", getstats},
  {"setstats", setstats},
  {NULL, NULL},
};

static void make_want(lua_State *L, enum tls_status status)
{
  lua_createtable(L, 0, 2);
  lua_pushliteral(L, "want");
  lua_setfield(L, -2, "kind");
  lua_pushstring(L, want_text(status));
  lua_setfield(L, -2, "reason");
  tls_rawsetp(L, LUA_REGISTRYINDEX, &want_keys[status == TLS_WANT_WRITE]);
}

/* With the connections' metatable on the stack: adds the methods, whose upvalue is the state's scratch. */
void tls_stream_open(lua_State *L)
{
  make_want(L, TLS_WANT_READ);
  make_want(L, TLS_WANT_WRITE);
  lua_getfield(L, -1, "__index");
  tls_scratch_open(L);
  tls_setfuncs(L, methods, 1);
  lua_pop(L, 1);
}
