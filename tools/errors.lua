-- Makes doc/errors.md: provokes each of the commonest mistakes and prints, in Markdown, what a program gets to see.
-- `make errors-doc` runs it. Nothing in the output depends on the machine: no paths, ports or times.

local socket = require "socket"
local S = require "support"
local ssl = S.ssl

local cases = {}
local section

local function case(title, text, run, remedy)
  if not run then return end
  cases[#cases + 1] = { section = section, title = title, text = text, run = run, remedy = remedy }
  section = nil
end

-- ---- ways to provoke

local function own(name, more)
  local cfg = { certificate = S.cert(name), key = S.cert(name .. "key") }
  for k, v in pairs(more or {}) do cfg[k] = v end
  return cfg
end

local function view(who, message, detail) return { who = who, message = message, detail = detail } end

-- What the ends of a handshake see, those that fail. In TLS 1.3 a client may be done before the server looks at what it
-- sent, and sees the refusal at its first receive.
local function handshake(client, server)
  return function()
    local c, s = S.wrapped(S.client(client), S.server(server))
    local ends = { { c, "client: dohandshake" }, { s, "server: dohandshake" } }
    local views = {}
    S.poll(function()
      for _, e in ipairs(ends) do
        local ok, message, detail = e[1]:dohandshake()
        if not ok and not S.wants(message) then e.seen = view(e[2], message, detail) end
        e.done = ok or e.seen
      end
      return (ends[1].done and ends[2].done) or (ends[1].seen or ends[2].seen)
    end)
    for _ = 1, 200 do
      for _, e in ipairs(ends) do
        local ok, message, detail = e[1]:dohandshake()
        if not ok and not S.wants(message) then e.seen = view(e[2], message, detail) end
      end
    end
    if not ends[1].seen then
      S.poll(function()
        local data, message, _, detail = c:receive(1)
        if not data and not S.wants(message) then ends[1].seen = view("client: receive", message, detail) end
        return ends[1].seen
      end)
    end
    for _, e in ipairs(ends) do views[#views + 1] = e.seen end
    c:close()
    s:close()
    return views
  end
end

local function newcontext(cfg)
  return function()
    local _, message, detail = ssl.newcontext(type(cfg) == "function" and cfg() or cfg)
    return { view("ssl.newcontext", message, detail) }
  end
end

local function raising(who, f)
  return function()
    local _, message = pcall(f)
    return { view(who .. " raises", (tostring(message):gsub("^[^ ]+:%d+: ", ""))) }
  end
end

-- A listener that serves nobody, and the port it has.
local function listener()
  local l = assert(socket.bind("127.0.0.1", 0))
  return l, select(2, l:getsockname())
end

local function connect(prepare, flags)
  return function()
    local l, port = listener()
    local done = prepare(l)
    local _, message, detail = ssl.connect("127.0.0.1", port, flags)
    if done then done() end
    l:close()
    return { view("ssl.connect", message, detail) }
  end
end

-- One end of TLS, and a peer that is none.
local function against(bytes, cfg)
  return function()
    local a, b = S.tcp()
    local conn = assert(ssl.wrap(a, cfg))
    conn:settimeout(5)
    b:send(bytes)
    local _, message, detail = conn:dohandshake()
    conn:close()
    b:close()
    return { view(cfg.mode .. ": dohandshake", message, detail) }
  end
end

-- ---- the mistakes

section = "Certificates of servers, as a client with `verify = \"peer\"` sees them"

case("The certificate is for another name",
  "The client has `servername = \"shop.example\"`; the server's certificate is for localhost.",
  handshake({ servername = "shop.example" }, own "serverA"),
  "Connect by a name that the certificate has, or get a certificate for this one. `verifyname` is for servers that " ..
  "are reached by another name than their own.")

case("The certificate is for names only, and the server is reached by its address",
  "The client has `servername = \"10.0.0.1\"`: an IP address must be in the certificate as one.",
  handshake({ servername = "10.0.0.1" }, own "serverA"),
  "Connect by name, or name the host by `verifyname`.")

case("The certificate has only a common name",
  "It has no subject alternative names, and browsers refuse it too (RFC 9525).",
  handshake({ servername = "nosan" }, own "nosan"),
  "Have the certificate made anew with subjectAltName.")

case("The certificate has expired", "", handshake({}, own "expired"),
  "Renew it; if it is fresh, set the clock of the machine that complains.")

case("The certificate is not valid yet", "", handshake({}, own "notyet"),
  "Set the clock: it is behind on one of the two machines.")

case("The certificate is self-signed", "", handshake({}, own "selfsigned"),
  "Copy the certificate to the client and name it by `cafile` or `cadata`.")

case("The CA is not trusted", "The client's `cafile` names another CA than the one that signed.",
  handshake({ cafile = S.cert "rootB" }, own "serverA"),
  "Name the right CA by `cafile`; without `cafile`, `capath` and `cadata` a client trusts the system's CAs.")

case("The server does not send its intermediate certificate",
  "`certificate` names a file with the server's own certificate alone.",
  handshake({}, { certificate = S.cert "chainA-leaf", key = S.cert "chainAkey" }),
  "On the server: put the intermediate certificates into the file of `certificate`, behind its own (often called " ..
  "fullchain.pem). Browsers hide this mistake, since they remember intermediates from elsewhere.")

case("The certificate was revoked", "The client has a revocation list (`crlfile`) with it.",
  handshake({ crlfile = S.cert "crlA" }, own "revoked"),
  "Get a new certificate with a new key, and find out why it was revoked.")

case("Revocation is checked without a list", "`verifyext = \"crl_check\"`, but neither `crlfile` nor `crldata`.",
  handshake({ verifyext = "crl_check" }, own "serverA"),
  "Load the CA's current list by `crlfile` or `crldata`.")

case("A client's certificate on a server", "Its extended key usage is for clients.", handshake({}, own "clientA"),
  "Use a certificate with serverAuth.")

case("The signature is too weak", "The certificate's signature uses SHA-1; OpenSSL's security level forbids that.",
  not ssl.newcontext(S.server(own "sha1")) and newcontext(S.server(own "sha1")), -- OpenSSL 3.6 has the client refuse it
  "Have it signed with SHA-256. Lowering the level, `ciphers = \"DEFAULT@SECLEVEL=0\"`, is for tests.")

case("The key is too weak", "RSA of 1024 bits.", newcontext(S.server(own "rsa1024")),
  "Make a new key: RSA of 2048 bits or more, or EC.")

section = "Certificates of clients"

case("The client has no certificate",
  "The server has `verify = {\"peer\", \"fail_if_no_peer_cert\"}`. In TLS 1.3 the client is done before the server " ..
  "looks, and learns of it when it reads.",
  handshake({}, { verify = { "peer", "fail_if_no_peer_cert" }, cafile = S.cert "rootA" }),
  "Give the client `certificate` and `key`, or take \"fail_if_no_peer_cert\" from the server.")

case("The client's certificate is from a CA that the server does not trust", "",
  handshake(own "clientB", { verify = { "peer", "fail_if_no_peer_cert" }, cafile = S.cert "rootA" }),
  "Name the CA of the clients by the server's `cafile`.")

case("The server names no CA",
  "It has `verify = \"peer\"` and no `cafile`: a server trusts nobody by itself, the system's CAs least of all.",
  handshake(own "clientA", { verify = "peer" }),
  "Name the CA that makes your clients' certificates by `cafile`.")

section = "Keys and files"

case("Key and certificate do not belong together", "",
  newcontext(S.server { certificate = S.cert "rsa", key = S.cert "serverAkey" }),
  "Name the two that were made together; `openssl x509 -pubkey` and `openssl pkey -pubout` print the same for them.")

case("The password of the key is wrong", "",
  newcontext(S.server { key = S.cert "rsakey-legacy", password = "guess" }),
  "Give the right one: a string, or a function that returns one.")

case("The key is encrypted, and there is no password", "Nothing is ever asked for on the terminal.",
  newcontext(S.server { key = S.cert "serverAkey-encrypted" }),
  "Set `password`.")

case("The file does not exist", "", newcontext(S.server { certificate = S.certdir .. "/server.pem" }),
  "Check the path; a relative one starts where the program was started.")

case("The path is a directory", "", newcontext(S.client { cafile = S.certdir .. "/capath" }),
  "Directories of CAs, with names by hash, go into `capath`.")

case("The file holds something else", "The key's file is named as `certificate`.",
  newcontext(S.server { certificate = S.cert "serverAkey" }),
  "Name the file with the certificate.")

case("The file is no PEM", "", newcontext(S.client { cafile = S.cert "junk" }),
  "CAs are read from PEM; `openssl x509 -inform DER` makes it from DER.")

case("The file is cut short", "", newcontext(S.server { certificate = S.cert "cut" }),
  "Copy it again.")

section = "Settings"

case("A misspelt setting", "`verfy = \"peer\"`.", newcontext { mode = "client", protocol = "any", verfy = "peer" },
  "Correct it. `strict = true` refuses every key that is no setting.")

case("A value of the wrong type", "`maxreceive = \"1 MB\"`.",
  newcontext { mode = "client", protocol = "any", maxreceive = "1 MB" },
  "Give the type that is expected.")

case("The mode is missing", "", raising("ssl.newcontext", function() return ssl.newcontext { protocol = "any" } end),
  "Set `mode` to \"client\" or \"server\": it has no default, nor has `protocol`.")

case("The mode is misspelt", "", newcontext { mode = "sever", protocol = "any" }, "Set \"client\" or \"server\".")

case("The protocol is misspelt", "", newcontext { mode = "client", protocol = "tls1.2" },
  "Set \"any\", \"tlsv1_2\", \"tlsv1_3\", or \"tlsv1_2+\" for that and newer.")

case("An option that does not exist", "", newcontext { mode = "client", protocol = "any", options = "no_tls1" },
  "`ssl.config.options` lists them.")

case("No cipher in the list exists", "", newcontext { mode = "client", protocol = "any", ciphers = "AES_256_GCM" },
  "`openssl ciphers -v` lists them.")

-- No mistake from OpenSSL 3.5 on.
case("A group that this OpenSSL lacks", "", not ssl.config.groups.X25519MLKEM768 and
  newcontext { mode = "client", protocol = "any", groups = "X25519MLKEM768" },
  "`ssl.config.groups` lists those there are.")

case("No CA for a client that verifies", "The system has none, or `ssl.set_system_ca(false)` forbids them.",
  function()
    ssl.set_system_ca(false)
    local views = newcontext { mode = "client", protocol = "any", verify = "peer" }()
    ssl.set_system_ca(nil)
    return views
  end, "Name one by `cafile`, or install the package ca-certificates.")

section = "Two ends that do not fit"

case("No protocol version in common", "The client has TLS 1.2 only, the server TLS 1.3 only.",
  handshake({ protocol = "tlsv1_2" }, { protocol = "tlsv1_3" }),
  "Use `protocol = \"tlsv1_2+\"` on both.")

case("No cipher in common", "",
  handshake({ protocol = "tlsv1_2", ciphers = "ECDHE-RSA-AES128-GCM-SHA256" }, own "serverA"),
  "Here the client takes RSA certificates only, and the server's is EC: allow ECDSA, or give the server both kinds.")

case("No group in common", "", handshake({ groups = "P-256" }, { groups = "P-384" }),
  "Leave `groups` out, or let both lists have one in common.")

case("No application protocol in common", "ALPN with `alpnstrict`.",
  handshake({ alpn = "h2" }, { alpn = { "http/1.1" }, alpnstrict = true }),
  "Offer what the other side speaks.")

case("A server name that is not served", "The server has `conn:sni(map, true)`.",
  function()
    local c, s = S.wrapped(S.client { servername = "b.test" })
    s:sni({ ["a.test"] = assert(ssl.newcontext(S.server())) }, true)
    local cr, sr = S.shake(c, s)
    return { view("client: dohandshake", cr[2], cr[3]), view("server: dohandshake", sr[2], sr[3]) }
  end, "Add the name to the map, or leave out the second argument for a default.")

case("Plain HTTP to a TLS port", "", against("GET / HTTP/1.1\r\n\r\n", S.server()), "Use https:// in the client's URL.")

case("TLS to a port that speaks plainly", "A mail server's greeting.", against("220 mail.test ESMTP\r\n", S.client()),
  "Use the port for TLS, or send the protocol's STARTTLS command before `ssl.wrap`.")

section = "Connections"

case("Nobody listens", "", connect(function(l) l:close() end, { verify = "none" }),
  "Start the server, or name the right port.")

case("The server does not answer in time", "`timeout = 0.1`, and a server that accepts and is silent.",
  connect(function() end, { verify = "none", timeout = 0.1 }),
  "Allow more time; `timeout` is for the look-up of the name, the connection and the handshake together.")

case("The handshake waits", "A connection with `settimeout(0)` or a timeout that is over.",
  function()
    local c, s = S.wrapped()
    local _, message, detail = c:dohandshake()
    s:close()
    return { view("client: dohandshake", message, detail) }
  end, "No failure: call again when the socket is readable, or, for \"wantwrite\", writable.")

case("The peer goes in the middle of the handshake", "",
  function()
    local a, b = S.tcp()
    local conn = assert(ssl.wrap(a, S.client()))
    conn:settimeout(5)
    b:shutdown "send"
    local _, message, detail = conn:dohandshake()
    conn:close()
    b:close()
    return { view("client: dohandshake", message, detail) }
  end, "See the peer's log: it crashed, refuses this address, or is no TLS server.")

case("The stream is cut", "The connection ends without close_notify.",
  function()
    local c, s, r = S.relayed()
    S.poll(function()
      r:pump()
      local client, server = c:dohandshake(), s:dohandshake()
      return client and server
    end)
    r:cut "fin"
    local _, message, _, detail = S.receive(c, "*a")
    c:close()
    s:close()
    r:close()
    return { view("client: receive", message, detail) }
  end, "What came is `receive`'s third value. It is whole only if the protocol above says so, such as HTTP's " ..
  "content-length.")

case("A closed connection is used", "",
  function()
    local c, s = S.connected()
    c:close()
    s:close()
    local _, message, _, detail = c:send "x"
    return { view("client: send", message, detail) }
  end, "The program closed it, or the peer did.")

case("Data before the handshake", "",
  function()
    local c, s = S.wrapped()
    local _, message, _, detail = c:send "x"
    c:close()
    s:close()
    return { view("client: send", message, detail) }
  end, "Call `conn:dohandshake()` first: nothing does that by itself.")

case("A callback raises", "`alpn = function() error(\"no luck\") end` on the server.",
  handshake({ alpn = "h2" }, { alpn = function() error("no luck", 0) end }),
  "Mend the function; it is called with an error handler around it, so the handshake fails and nothing else.")

case("https.request of an http:// URL", "",
  function()
    local results = S.pack(require("ssl.https").request("http://localhost/"))
    return { view("https.request", results[2], results[results.n]) }
  end, "Use LuaSocket's socket.http, or https://.")

-- ---- printing

local function printview(v)
  local d = v.detail or {}
  print("    " .. v.who)
  print("      message  " .. tostring(v.message):gsub("OpenSSL 3%.0%.%d+", "OpenSSL 3.0.x"))
  local kind = d.kind
  if d.alert then kind = ("%s, %s (%d)"):format(kind, d.alert, d.code) end
  if d.kind then print("      kind     " .. kind) end
  if d.reason and not v.message:find(d.reason, 1, true) then print("      reason   " .. d.reason) end
  if d.file then print("      file     " .. d.file:match("[^/]*$")) end
  if d.hint then print("      hint     " .. d.hint) end
end

-- Paragraphs of at most 118 columns.
local function wrap(text)
  local lines, line = {}, ""
  for word in text:gmatch("%S+") do
    if #line + #word > 117 then
      lines[#lines + 1] = line
      line = word
    else
      line = line == "" and word or line .. " " .. word
    end
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n")
end

print [[
# What went wrong

The commonest mistakes and what a program sees of them, made by `make errors-doc`, which commits every one of them. A
failure has a message and a detail table: `kind`, `reason`, `hint` and more. The OpenSSL here is 3.0; later releases
word some reasons in another way, `kind`, `alert` and `code` stay.]]

for _, c in ipairs(cases) do
  if c.section then print("\n## " .. c.section) end
  print("\n### " .. c.title .. "\n")
  if c.text ~= "" then print(wrap(c.text) .. "\n") end
  for _, v in ipairs(c.run()) do printview(v) end
  print("\n" .. wrap(c.remedy))
end
