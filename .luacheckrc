std = "max"
max_line_length = 120
cache = false
exclude_files = { "build", "types" } -- types are declarations, made and checked by the specs
files["test"] = { std = "max+busted" }
files["*.rockspec"] = { std = "none+rockspec" }
-- Each example is a program by itself; what it finds is test/exampleset.lua's.
files["doc/examples"] = {
  globals = { "https" },
  read_globals = {
    "ca", "cert", "certfile", "cfg", "config", "conn", "ctx", "fd", "issuer", "key16", "key32", "keyfile", "libtls",
    "mbed", "mbedtls", "other", "peer", "peerfd", "pem", "port", "receive", "send", "session", "sock", "ssl", "tls",
    "url",
  },
  ignore = { "211", "212", "411", "421", "431", "432" },
}
