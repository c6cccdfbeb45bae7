/*
 * scratch.c: the block of memory that a receive gathers its bytes in.
 */
#include "stream.h"

#include <stdlib.h>
#include <string.h>

#define KEEP (1u << 20) /* a larger block is not kept for the next call */

static const tls_type scratch_type = {"SSL:Scratch"};

void tls_scratch_release(tls_scratch *s)
{
  s->busy = false;
  s->len = 0;
  if (s->cap > KEEP) {
    free(s->p);
    s->p = NULL;
    s->cap = 0;
  }
}

static int scratch_gc(lua_State *L)
{
  tls_scratch *s = tls_self(L, &scratch_type);
  free(s->p);
  s->p = NULL;
  s->cap = 0;
  return 0;
}

tls_scratch *tls_scratch_take(lua_State *L)
{
  tls_scratch *s = lua_touserdata(L, lua_upvalueindex(1));
  if (s->busy) {
    s = tls_newobject(L, &scratch_type, sizeof *s);
    lua_pushvalue(L, -1);
    lua_replace(L, lua_upvalueindex(1));
  } else {
    lua_pushvalue(L, lua_upvalueindex(1));
  }
  s->len = 0;
  s->busy = true;
  return s;
}

bool tls_scratch_reserve(tls_scratch *s, size_t n)
{
  size_t cap = s->cap < TLS_RECORD ? TLS_RECORD : s->cap;
  if (n > SIZE_MAX / 4 - s->len) {
    return false;
  }
  while (cap - s->len < n) {
    cap *= 2;
  }
  if (cap != s->cap) {
    unsigned char *p = realloc(s->p, cap);
    if (p == NULL) {
      return false;
    }
    s->p = p;
    s->cap = cap;
  }
  return true;
}

bool tls_scratch_append(tls_scratch *s, const void *p, size_t n)
{
  if (n > 0) {
    if (!tls_scratch_reserve(s, n)) {
      return false;
    }
    memcpy(s->p + s->len, p, n);
    s->len += n;
  }
  return true;
}

static const luaL_Reg methods[] = {{NULL, NULL}};
static const luaL_Reg meta[] = {{"__gc", scratch_gc}, {NULL, NULL}};

void tls_scratch_open(lua_State *L)
{
  tls_newtype(L, &scratch_type, methods, meta);
  lua_pop(L, 1);
  tls_newobject(L, &scratch_type, sizeof(tls_scratch));
}
