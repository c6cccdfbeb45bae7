rockspec_format = "3.0"
package = "luasec"
version = "scm-1"
source = {
  url = "git+https://github.com/luasec/luasec.git",
  branch = "main",
}
description = {
  summary = "TLS for Lua on OpenSSL 3",
  detailed = [[
    A drop-in replacement for LuaSec: the same modules, functions and settings, on OpenSSL 3 or newer,
    for Lua 5.1 to 5.4 and LuaJIT. It installs ssl.lua and ssl.so, so it cannot share a tree with the
    rock of the original.
  ]],
  license = "MIT",
  homepage = "https://github.com/luasec/luasec",
}
supported_platforms = { "unix" }
dependencies = {
  "lua >= 5.1, < 5.5",
  "luasocket >= 3.0",
}
external_dependencies = {
  OPENSSL = { header = "openssl/ssl.h", library = "ssl" },
  CRYPTO = { header = "openssl/crypto.h", library = "crypto" },
}
build = {
  type = "builtin",
  copy_directories = {},
  modules = {
    ssl = {
      defines = { "_DEFAULT_SOURCE", "_POSIX_C_SOURCE=200809L", "OPENSSL_NO_DEPRECATED" },
      incdirs = { "$(OPENSSL_INCDIR)", "$(CRYPTO_INCDIR)" },
      libdirs = { "$(OPENSSL_LIBDIR)", "$(CRYPTO_LIBDIR)" },
      libraries = { "ssl", "crypto" },
      sources = {
        "src/algorithms.c",
        "src/binding.c",
        "src/cache.c",
        "src/callback.c",
        "src/config.c",
        "src/connection.c",
        "src/context.c",
        "src/cookie.c",
        "src/credentials.c",
        "src/dtls.c",
        "src/engine.c",
        "src/error.c",
        "src/groups.c",
        "src/handshake.c",
        "src/hint.c",
        "src/inspect.c",
        "src/keylog.c",
        "src/keypairs.c",
        "src/keyupdate.c",
        "src/material.c",
        "src/memory.c",
        "src/object.c",
        "src/ocsp.c",
        "src/ocsp_check.c",
        "src/options.c",
        "src/psk.c",
        "src/readahead.c",
        "src/receive.c",
        "src/reload.c",
        "src/resolve.c",
        "src/scratch.c",
        "src/selfsigned.c",
        "src/send.c",
        "src/sendfile.c",
        "src/servernames.c",
        "src/session.c",
        "src/sessions.c",
        "src/sessionstore.c",
        "src/socket.c",
        "src/stamp.c",
        "src/staple.c",
        "src/store.c",
        "src/stream.c",
        "src/tickets.c",
        "src/transport.c",
        "src/trust.c",
        "src/verify.c",
        "src/wait.c",
        "src/x509.c",
        "src/x509_check.c",
        "src/x509_names.c",
      },
    },
  },
  install = {
    lua = {
      ["ssl"] = "lua/ssl.lua",
      ["ssl.address"] = "lua/ssl/address.lua",
      ["ssl.check"] = "lua/ssl/check.lua",
      ["ssl.connect"] = "lua/ssl/connect.lua",
      ["ssl.contexts"] = "lua/ssl/contexts.lua",
      ["ssl.dial"] = "lua/ssl/dial.lua",
      ["ssl.http1"] = "lua/ssl/http1.lua",
      ["ssl.https"] = "lua/ssl/https.lua",
      ["ssl.options"] = "lua/ssl/options.lua",
      ["ssl.proxy"] = "lua/ssl/proxy.lua",
      ["ssl.reload"] = "lua/ssl/reload.lua",
      ["ssl.servernames"] = "lua/ssl/servernames.lua",
      ["ssl.sessions"] = "lua/ssl/sessions.lua",
      ["ssl.spelling"] = "lua/ssl/spelling.lua",
      ["ssl.stapling"] = "lua/ssl/stapling.lua",
      ["ssl.systemca"] = "lua/ssl/systemca.lua",
      ["ssl.tunnel"] = "lua/ssl/tunnel.lua",
    },
  },
}
