/*
 * stamp.c: short strings that are the same as long as something is the same: a file on disk, or a text that is too long or
 * too secret to be kept. ssl.contexts finds out with them whether a context made earlier is still the one that is wanted.
 */
#include "tls.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <openssl/evp.h>

/* A file this young may change again without its times telling. */
#define YOUNG_SECONDS 2

/* ssl.core.filestamp(path): a string that differs after the file or directory was changed or replaced; nil when there is none,
   when it is neither, or when it was changed so lately that the next change might not show. stat(2). */
int tls_filestamp(lua_State *L)
{
  struct stat st;
  char text[160];
  size_t n;
  const char *path = luaL_checklstring(L, 1, &n);
  time_t latest = time(NULL) - YOUNG_SECONDS;
  if (strlen(path) != n || stat(path, &st) != 0 || !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) ||
      st.st_mtim.tv_sec >= latest || st.st_ctim.tv_sec >= latest) {
    lua_pushnil(L);
    return 1;
  }
  snprintf(text, sizeof text, "%ju:%ju:%jd:%jd.%ld:%jd.%ld", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino,
           (intmax_t)st.st_size, (intmax_t)st.st_mtim.tv_sec, (long)st.st_mtim.tv_nsec, (intmax_t)st.st_ctim.tv_sec,
           (long)st.st_ctim.tv_nsec);
  lua_pushstring(L, text);
  return 1;
}

/* ssl.core.fingerprint(text): 32 bytes, SHA-256; nil, message, detail where the library has no SHA-256. EVP_Q_digest(3). */
int tls_fingerprint(lua_State *L)
{
  size_t n, size = 0;
  unsigned char md[EVP_MAX_MD_SIZE];
  const char *text = luaL_checklstring(L, 1, &n);
  tls_error_clear();
  if (EVP_Q_digest(NULL, "SHA256", NULL, text, n, md, &size) != 1) {
    return tls_fail_nil(L, tls_fail_queue(L, "error hashing", NULL));
  }
  lua_pushlstring(L, (const char *)md, size);
  return 1;
}
