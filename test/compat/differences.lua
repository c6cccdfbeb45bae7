-- What the installed lua-sec 1.2.0 answers otherwise than this library, or does not survive. One row a test of the
-- compat specs, read by run.lua:
--   name    the test's full name
--   kind    "fix": LuaSec's answer was wrong; "newer": LuaSec has it since 1.3; "crash": a fault or an endless loop
--           there, the test runs in a child of its own with a bound on its time
--   reason  one sentence
--   quirk   a number under which quirks of one cause go together, or none
--   file    the spec, for a "crash"
--   varies  true where LuaSec's answer depends on memory that nobody set: the test may pass by luck
-- A row whose test passes on lua-sec is stale, and an error of the run.

local rows = {}

--- Adds a row for each name; the names go on from `prefix`.
local function add(row, prefix, names)
  for _, name in ipairs(names) do
    rows[#rows + 1] = { name = prefix .. " " .. name, kind = row.kind, reason = row.reason, quirk = row.quirk,
      file = row.file, varies = row.varies }
  end
end

local function fix(quirk, reason) return { kind = "fix", reason = reason, quirk = quirk } end
local function varying(quirk, reason) return { kind = "fix", reason = reason, quirk = quirk, varies = true } end
local function newer(reason) return { kind = "newer", reason = reason } end
local function crash(file, quirk, reason) return { kind = "crash", file = file, reason = reason, quirk = quirk } end

-- loading

add(fix("Q31", "ssl.config reads a table that only ssl.context makes, and crashes without it."), "compat loading", {
  "loads ssl.config alone in a fresh interpreter",
  "may be loaded in any order",
})
add(fix(nil, "Built on the system's LuaSocket it leaves SIGPIPE to LuaSocket: ssl.core alone does not ignore it."),
  "compat loading", { "keeps SIGPIPE from ending the process once ssl is loaded" })
add(newer "Pre-shared keys came with LuaSec 1.3.", "compat module ssl.context",
  { "has LuaSec 1.3's functions for pre-shared keys" })
add(newer "getlocalcertificate and getlocalchain came with LuaSec 1.3.", "compat objects",
  { "have the methods that came with LuaSec 1.3" })

-- newcontext and ssl.context

add(fix("Q7", "setmode returns its message as the only, true value, so that wrap fails instead."), "compat", {
  "newcontext mode refuses an unknown mode by its name",
  "ssl.context setmode refuses others",
})
add(fix("Q9", "OpenSSL 3 has no reason text for errors of the system, and LuaSec prints (null)."), "compat", {
  "newcontext certificate and key report a missing certificate in the system's words",
  "newcontext certificate and key report a missing key in the system's words",
  "newcontext cafile and capath report a missing file in the system's words",
})
add(fix("Q9", "The error queue is not cleared before a call: the entry of an earlier failure is reported."), "compat", {
  "newcontext certificate and key report no stale error of an earlier call",
  "x509 load leaves no stale error behind",
})
add(fix("Q10", "An error in a password function jumps through OpenSSL and comes out of newcontext as raised."),
  "compat newcontext password", { "function that raises fails the call and names itself" })
add(fix("Q10", "Password functions run under OpenSSL unprotected: a yield raises through it."),
  "compat newcontext password", { "function that yields fails the call instead of crossing C" })
add(fix(nil, "loadkey demands a third value that is nil, a string or a function, and raises otherwise."), "compat", {
  "newcontext password counts as none when false",
  "ssl.context loadkey may be called without a password",
})
add(fix("Q28", "X25519 is listed in config.curves, but setcurve takes curves of the old interface only."), "compat", {
  "newcontext curves take X25519 as the one curve",
  "ssl.context setcurve takes X25519, which config.curves lists",
})
add(fix("Q29", "An array with a member that is no string answers nil without a message."), "compat alpn of a client",
  { "is refused with a reason when an array has a member that is no string" })
add(crash("context_spec.lua", nil, "A closed context goes to OpenSSL as a null pointer."), "compat closed context",
  { "raises from every setter" })

-- wrap

add(varying("Q20", "A connection in place of a socket loses its descriptor to the failed attempt."), "compat wrap",
  { "takes no descriptor from a connection in place of a socket" })
add(varying(nil, "A connection without descriptor answers memory that was never set."), "compat core.create and setfd",
  { "make a connection without descriptor first" })
add(fix("Q13", "core.create keeps no reference to the context, so that its callbacks are collected with it."),
  "compat core.create and setfd", { "keep a context's callbacks working for a connection that outlives it" })
for _, name in ipairs { "contexts shake hands with each other", "contexts shake hands with ours",
  "connections shake hands", "contexts take a map of names", "contexts may be collected before the connections" } do
  add(crash("luaossl_spec.lua", "Q5", "Contexts of others lack the Lua data that the handshake dereferences."),
    "compat luaossl", { name })
end

-- handshake and callbacks

add(varying("Q30", "A failed handshake is not remembered: a later call answers from stale state, even true."),
  "compat failed handshake", { "keeps its first error for later calls" })
add(fix("Q10", "An error in a callback jumps through OpenSSL and comes out of dohandshake as raised."), "compat", {
  "dhparam function that raises ends the handshake and is named",
  "alpn callback that raises ends the handshake and is named",
  "sni of a server names an error of __index and ends the handshake",
})
add(fix("Q10", "Callbacks run under OpenSSL unprotected: a yield raises through it."), "compat alpn callback",
  { "that yields ends the handshake instead of crossing C" })
add(fix("Q13", "The callback for names stays on the context, and raises for a connection that set no map."),
  "compat sni of a server", { "does not concern a later connection of the same context that sets no map" })
add(fix(nil, "A failed connection counts as not connected, and the result of verification is lost."),
  "compat verify peer", { "explains itself after the failed handshake" })

-- data

add(fix(nil, "A broken pipe comes out in the system's words, where LuaSocket says closed."), "compat send",
  { "answers 'closed' once the peer is gone" })
add(fix("Q2", "After a blocked write fewer bytes than before are refused with bad length."), "compat send",
  { "may be retried with fewer bytes than before" })
add(fix(nil, "Decrypted data that was not read yet is still delivered after close."), "compat receive",
  { "discards the buffer at close" })
add(crash("receive_spec.lua", "Q3", "A lost connection is taken for success with no data, and receive spins for ever."),
  "compat end of stream without close_notify", {
    "is 'unexpected eof while reading' once, then 'closed'",
    "makes receive return each time, whatever the pattern",
  })

-- states

add(fix("Q8", "The method returns nothing at all when it is not connected."), "compat", {
  "new connection answers getpeerfinished()",
  "new connection answers exportkeyingmaterial(label)",
  "closed connection answers getpeerfinished()",
  "closed connection answers exportkeyingmaterial(label)",
})
add(newer "getlocalcertificate and getlocalchain came with LuaSec 1.3.", "compat", {
  "new connection answers getlocalcertificate()",
  "new connection answers getlocalchain()",
  "closed connection answers getlocalcertificate()",
  "closed connection answers getlocalchain()",
  "chains of a connection of the own side begin with the own certificate, on servers and clients",
  "chains of a connection of the own side are counted references",
  "chains of a connection of the own side are empty without a certificate",
})
add(crash("states_spec.lua", "Q4", "Methods use the freed connection after close."), "compat closed connection", {
  "answers dohandshake()",
  "answers getalpn()",
  "answers getsniname()",
  "answers setdane(server.test)",
  "answers settlsa(3)",
  "takes sni of a client without harm",
  "takes sni of a server without harm",
  "answers every method when it was closed before the handshake",
  "answers ssl.core's info",
})

-- PSK and DANE

add(newer "Pre-shared keys came with LuaSec 1.3.", "compat psk", {
  "is a capability",
  "connects without any certificate",
  "gives the client's function the hint and both limits",
  "gives the server's function the identity and the limit",
  "carries the server's hint",
  "fails when the keys differ",
  "fails when the server does not know the identity",
  "names an error of the client's function",
  "names an error of the server's function",
  "is refused in any other form",
  "refuses a hint that is too long with a message",
})
add(newer "Pre-shared keys came with LuaSec 1.3.", "compat ssl.context psk", { "sets the functions and the hint" })
add(fix("Q26", "settlsa cuts its numbers to a byte."), "compat dane",
  { "refuses numbers beyond a byte instead of cutting them" })
add(fix(nil, "setdane answers whether there were flags before, not whether it set them."), "compat dane",
  { "answers true when ssl.context sets its flags" })

-- certificates

add(crash("x509_spec.lua", "Q22", "The value of an otherName is read as a string whatever its type."),
  "compat certificate", { "passes over names of other types" })
add(crash("x509_spec.lua", nil, "Methods use the freed certificate after it was closed."), "compat closed certificate",
  { "crashes in no method" })
add(fix("Q6", "A server puts a null certificate into the chain of a client that sent none."),
  "compat chains of a connection", { "are empty when the client sent none" })

-- https

add(fix("Q24", "Requests verify nothing unless they are told to."), "compat https", { "verifies when it is not told" })
add(fix("Q24", "The host name is never compared with the certificate."), "compat https",
  { "checks the name of the host" })
add(fix("Q24", "Settings are written into the caller's table, which can then not be used again."), "compat https",
  { "leaves the request's table as it was, to be used again" })
add(fix("Q24", "The scheme is not looked at: TLS is spoken to http addresses."), "compat https",
  { "speaks https alone" })

return rows
