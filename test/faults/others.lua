-- Scenarios that are no life of two engines: contexts made of everything, certificates, datagrams, sockets, objects in
-- between, the facades, and a state in which nothing is loaded yet.

local H = require "harness"
local socket = require "socket"
local ssl = H.ssl
local cert, client, server = H.cert, H.client, H.server

local function read(name)
  local f = assert(io.open(cert(name), "rb"))
  local text = f:read("*a")
  f:close()
  return text
end

local function context(cfg) return H.keep(H.must(H.call("newcontext", ssl.newcontext, cfg))) end

-- ---- contexts

local rootA, serverA, serverAkey, crlA = read "rootA", read "serverA", read "serverAkey", read "crlA"

H.scenario { name = "client-context", run = function()
  local ctx = context(client { protocol = "tlsv1_2+", certificate = cert "clientA", key = cert "clientAkey",
    cadata = rootA, crldata = crlA, options = { "all", "no_compression" }, ciphers = "ECDHE+AESGCM",
    ciphersuites = "TLS_AES_128_GCM_SHA256",
    groups = { "X25519", "P-256" }, sigalgs = "ECDSA+SHA256:RSA-PSS+SHA256", alpn = { "h2", "http/1.1" }, sessions = 10,
    verifyext = { "crl_check" }, depth = 4, ocsp = "request", keylog = function() end, maxreceive = 1000 })
  H.look(ctx, "stats")
end }

H.scenario { name = "server-context", run = function()
  local inner = context(server())
  local ctx = context(server { verify = { "peer", "client_once" }, cafile = cert "rootA", alpn = { "h2" },
    dhparam = function() return nil end, curve = "P-384", sni = { ["a.test"] = inner },
    keypairs = { { certificate = cert "serverA", key = cert "serverAkey" },
      { certificate = cert "rsa", key = cert "rsakey" } }, certificate = false, key = false,
    ticketkeys = { { name = ("n"):rep(16), aes = ("a"):rep(32), hmac = ("h"):rep(32) } },
    sessions = { id = "shop", timeout = 100, tickets = 2 } })
  H.look(ctx, "stats")
end }

H.scenario { name = "reload", setup = function()
  return { ctx = assert(ssl.newcontext(server())) }
end, run = function(t)
  H.must(H.ask(t.ctx, "reload", { certificate = serverA, key = serverAkey }))
  H.must(H.ask(t.ctx, "setticketkeys", { { name = ("n"):rep(16), aes = ("a"):rep(32), hmac = ("h"):rep(32) } }))
end }

H.scenario { name = "credentials", run = function()
  context(server { key = cert "rsakey-encrypted", certificate = cert "rsa", password = function() return "secret" end })
  local pkcs12 = { file = "build/certs/serverA.p12", password = "secret" }
  context(server { key = false, certificate = false, pkcs12 = pkcs12 })
end }

H.scenario { name = "selfsigned", run = function()
  local pem, key = H.must(H.call("selfsigned", ssl.selfsigned, { names = { "a.test", "127.0.0.1" }, key = "ec" }))
  context(server { certificate = pem, key = key })
end }

-- Files of more than one certificate or list, of which none may be left out. So young a file is not in the cache.
local BUNDLE = "build/faults-bundle.pem"

local function bundle(...)
  local armed = H.faults.pause()
  local f = assert(io.open(BUNDLE, "wb"))
  for _, name in ipairs { ... } do f:write(read(name)) end
  f:close()
  H.faults.resume(armed)
  return BUNDLE
end

H.scenario { name = "cafile", files = true, run = function() context(client { cafile = bundle("rootB", "rootA") }) end }

H.scenario { name = "cafile-and-capath", files = true, run = function()
  context(client { cafile = bundle("rootB", "rootA"), capath = cert "capath" })
end }

H.scenario { name = "crlfile", files = true, run = function()
  context(client { crlfile = bundle("crlA", "crlA") })
end }

-- OpenSSL reads keys, and what is in stores, once more when it could not the first time: what counts is what is sent.
local function sends(n, cfg)
  local c, s = H.engine(client { servername = "chain.test" }), H.engine(context(server(cfg)))
  H.shake(c, s)
  H.hold(#H.look(c, "getpeerchain") == n, "a part of the chain is missing")
  H.faults.whole()
end

H.scenario { name = "chain", files = true, run = function()
  sends(3, { certificate = bundle("chainA", "rootA"), key = cert "chainAkey" })
end }

H.scenario { name = "store", files = true, run = function()
  sends(2, { certificate = "store:" .. cert "chainA", key = "store:" .. cert "chainAkey" })
end }

H.scenario { name = "pkcs12", files = true, run = function()
  sends(2, { key = false, certificate = false, pkcs12 = { file = "build/certs/chainA.p12", password = "secret" } })
end }

-- ---- certificates

local methods = { "der", "digest", "extensions", "getsignaturename", "issuer", "notafter", "notaftertime", "notbefore",
  "notbeforetime", "ocspurl", "oneline", "pem", "pubkey", "serial", "subject", "validat" }

H.scenario { name = "certificates", run = function()
  for _, name in ipairs { "serverA", "altname", "ip", "bmp" } do
    local certificate = H.keep(H.must(H.call("loadcertificate", ssl.loadcertificate, read(name))))
    H.look(certificate, "setencode", "utf8")
    for _, method in ipairs(methods) do H.look(certificate, method, method == "validat" and 0 or nil) end
    H.look(certificate, "checkhost", "localhost")
    H.look(certificate, "checkip", "127.0.0.1")
    H.look(certificate, "checkemail", "a@b.test")
    H.hold(H.look(certificate, "checkhost", "wrong.test") ~= true, "the wrong name fits")
    H.hold(H.look(ssl, "checkhostname", certificate, "wrong.test") ~= true, "the wrong name fits")
  end
end }

H.scenario { name = "issued", setup = function()
  local root, leaf = assert(ssl.loadcertificate(rootA)), assert(ssl.loadcertificate(serverA))
  local wrong = assert(ssl.loadcertificate(read "rootB"))
  return { root = root, leaf = leaf, wrong = wrong, response = require("ocspkit").respond { cert = "serverA" } }
end, run = function(t)
  H.must(H.ask(t.root, "issued", t.leaf))
  H.hold(H.look(t.wrong, "issued", t.leaf) ~= true, "issued by a stranger")
  H.must(H.ask(t.leaf, "ocsprequest", t.root))
  H.must(H.ask(t.leaf, "ocspcheck", t.root, t.response))
  H.hold(H.look(t.leaf, "ocspcheck", t.wrong, t.response) ~= true, "a stranger's response is good")
end }

-- ---- datagrams

H.scenario { name = "dtls", setup = function()
  return { c = assert(ssl.newcontext(client { protocol = "dtls" })),
    s = assert(ssl.newcontext(server { protocol = "dtls" })) }
end, run = function(t)
  local c, s = H.engine(t.c), H.engine(t.s)
  H.must(H.ask(c, "setmtu", 1200))
  local heard
  for _ = 1, 6 do
    local ok, message = H.ask(c, "dohandshake")
    if not ok and not H.wants(message) then H.stop(message) end
    H.carry(c, s)
    heard, message = H.ask(s, "listen", "peer")
    if heard then break end
    if message ~= "retry" and not H.wants(message) then H.stop(message) end
    H.carry(s, c)
  end
  if not heard then H.stop("the cookie does not come") end
  H.shake(c, s)
  H.look(c, "dtlstimeout")
  H.look(c, "handletimeout")
  H.transfer(c, s, "datagram")
  H.transfer(s, c, "back")
end }

H.scenario { name = "cookie", run = function()
  local cookie = H.must(H.call("cookie", ssl.cookie, "peer"))
  H.must(H.call("checkcookie", ssl.checkcookie, "peer", cookie), "the cookie is not known")
  H.hold(H.look(ssl, "checkcookie", "other", cookie) ~= true, "another's cookie is good")
end }

-- ---- sockets

local data = ("sixteen bytes..\n"):rep(4000)

local function tcp()
  local listener = assert(socket.bind("127.0.0.1", 0))
  local host, port = listener:getsockname()
  local a = assert(socket.connect(host, port))
  local b = assert(listener:accept())
  listener:close()
  a:setoption("tcp-nodelay", true)
  b:setoption("tcp-nodelay", true)
  return a, b
end

local rounds = 400 -- of two that take turns; fewer where each waits

-- Two wrapped ends that do not block; LuaSocket's part of it is not tried.
local function pair(t, timeout)
  local armed = H.faults.pause()
  local a, b = tcp()
  t.a, t.b = a, b
  rounds = timeout > 0 and 25 or 400
  H.faults.resume(armed)
  local c = H.keep(H.must(H.call("wrap", ssl.wrap, a, t.c)))
  local s = H.keep(H.must(H.call("wrap", ssl.wrap, b, t.s)))
  H.ask(c, "settimeout", timeout)
  H.ask(s, "settimeout", timeout)
  return c, s
end

-- Steps that wait for the other side, in turn, until both are done.
local function together(first, second)
  local one, two
  for _ = 1, rounds do
    one = one or first()
    two = two or second()
    if one and two then return end
  end
  H.stop("it does not end")
end

local function wanted(result, message)
  if not result and not H.wants(message) and message ~= "timeout" then H.stop(message) end
  return result
end

local function handshake(c, s)
  local function shaking(conn)
    return function() return (wanted(H.ask(conn, "dohandshake"))) end
  end
  together(shaking(c), shaking(s))
end

-- All of `text` from one to the other.
local function across(from, to, text, sender)
  local last, got = 0, ""
  together(function()
    local n, message, sofar = sender(from, text, last)
    if n then return true end
    wanted(n, message)
    last = sofar
  end, function()
    local part, message, partial = H.ask(to, "receive", #text - #got)
    wanted(part, message)
    got = got .. (part or partial)
    return #got >= #text
  end)
  H.hold(got == text, "other bytes came than were sent")
end

local function sending(conn, text, last) return H.ask(conn, "send", text, last + 1) end

local function settle(t)
  if t.a then t.a:close() end
  if t.b then t.b:close() end
end

for _, version in ipairs { "tlsv1_3", "tlsv1_2" } do
  for name, timeout in pairs { sockets = 0, waiting = 0.004 } do
    H.scenario { name = name .. "-" .. version, sockets = true, setup = function()
      local file = assert(io.tmpfile())
      file:write(data)
      file:flush()
      return { file = file, c = assert(ssl.newcontext(client { protocol = version })),
        s = assert(ssl.newcontext(server())) }
    end, run = function(t)
      local c, s = pair(t, timeout)
      handshake(c, s)
      H.hold(H.look(c, "getpeerverification") == true, "connected, but not verified")
      across(c, s, data, sending)
      across(s, c, data, sending)
      across(s, c, data, function(conn, _, last)
        local n, message, sofar = H.ask(conn, "sendfile", t.file, last, #data - last)
        return n, message, n and n or last + (sofar or 0)
      end)
      H.must(H.ask(s, "send", "one\r\ntwo\n"))
      local line, prefix, message
      together(function()
        line, message, prefix = H.ask(c, "receive", "*l", prefix)
        return wanted(line, message)
      end, function() return true end)
      H.hold(line == "one", "another line came")
      H.look(c, "getpeername")
      H.look(c, "getsockname")
      together(function() return wanted(H.ask(c, "shutdown")) end, function() return wanted(H.ask(s, "shutdown")) end)
    end, settle = settle }
  end
end

-- ---- TLS over an object

local function channel()
  local function object()
    local o = { got = "" }
    function o:send(text, i)
      self.other.got = self.other.got .. text:sub(i or 1)
      return #text
    end
    function o:receive(n)
      local part = self.got:sub(1, n)
      self.got = self.got:sub(#part + 1)
      if #part < n then return nil, "timeout", part end
      return part
    end
    function o.settimeout() return 1 end
    function o:close() self.got = "" end
    return o
  end
  local a, b = object(), object()
  a.other, b.other = b, a
  return a, b
end

H.scenario { name = "tunnel", setup = function()
  return { c = assert(ssl.newcontext(client())), s = assert(ssl.newcontext(server())) }
end, run = function(t)
  local a, b = channel()
  local c = H.keep(H.must(H.call("wrap", ssl.wrap, a, t.c)))
  local s = H.keep(H.must(H.call("wrap", ssl.wrap, b, t.s)))
  H.ask(c, "settimeout", 0)
  H.ask(s, "settimeout", 0)
  handshake(c, s)
  H.hold(H.look(c, "getpeerverification") == true, "connected, but not verified")
  across(c, s, data, sending)
end }

-- ---- the facades

local tls, libconfig, mbedtls = require "libtls", require "libtls.config", require "mbedtls".ssl

local function config(change)
  local cfg = H.must(H.call("libtls.config.new", libconfig.new))
  change(cfg)
  return cfg
end

H.scenario { name = "libtls", run = function(t)
  local armed = H.faults.pause()
  local a, b = tcp()
  t.a, t.b = a, b
  H.faults.resume(armed)
  local c = H.must(H.call("libtls.client", tls.client, config(function(cfg)
    H.must(H.ask(cfg, "set_ca_file", cert "rootA"))
  end)))
  local s = H.must(H.call("libtls.server", tls.server, config(function(cfg)
    H.must(H.ask(cfg, "set_keypair_file", cert "serverA", cert "serverAkey"))
  end)))
  H.must(H.ask(c, "connect_socket", a:getfd(), "localhost"))
  local peer = H.must(H.ask(s, "accept_socket", b:getfd()))
  local function shaking(ctx)
    return function()
      local ok, message, want = H.ask(ctx, "handshake")
      if not ok and not want then H.stop(message) end
      return ok
    end
  end
  together(shaking(c), shaking(peer))
  H.hold(H.look(c, "peer_cert_provided") == true, "connected without a certificate")
  H.must(H.ask(c, "write", "ping"))
  local got
  together(function()
    local text, message, want = H.ask(peer, "read", 10)
    if not text and not want then H.stop(message) end
    got = text
    return text
  end, function() return true end)
  H.hold(got == "ping", "other bytes came than were sent")
  H.look(c, "conn_cipher")
  H.look(c, "peer_cert_hash")
  H.ask(c, "close")
end, setup = function() return {} end, settle = settle }

local function queues()
  local one, two = "", ""
  local function reader(get, set)
    return function(n)
      local part = get():sub(1, n)
      set(get():sub(#part + 1))
      return part
    end
  end
  local rcb1 = reader(function() return one end, function(rest) one = rest end)
  local rcb2 = reader(function() return two end, function(rest) two = rest end)
  local function wcb1(text)
    two = two .. text
    return #text
  end
  local function wcb2(text)
    one = one .. text
    return #text
  end
  return rcb1, wcb1, rcb2, wcb2
end

H.scenario { name = "mbedtls", run = function()
  local rc, wc, rs, ws = queues()
  local ccfg = H.build("newconfig", mbedtls.newconfig, "tls-client", rootA)
  local scfg = H.build("newconfig", mbedtls.newconfig, "tls-server", nil, serverA, serverAkey)
  local c = H.build("newcontext", mbedtls.newcontext, ccfg, rc, wc)
  local s = H.build("newcontext", mbedtls.newcontext, scfg, rs, ws)
  local function shaking(ctx)
    return function()
      local ok, message = H.ask(ctx, "handshake")
      if not ok and message ~= "want-read" and message ~= "want-write" then H.stop(message) end
      return ok
    end
  end
  together(shaking(c), shaking(s))
  H.must(H.ask(c, "write", "ping"))
  H.hold(H.must(H.ask(s, "read", 10)) == "ping", "other bytes came than were sent")
end }

-- ---- a state of its own, with nothing loaded

H.scenario { name = "load", run = function()
  local ok, message = H.call("fresh", H.faults.fresh, [[
    package.path = "lua/?.lua;" .. package.path
    local ssl = require "ssl"
    require "ssl.https"
    require "libtls"
    require "mbedtls"
    local ctx, message = ssl.newcontext { mode = "client", protocol = "any", verify = "peer",
      cafile = "build/certs/rootA.pem" }
    if not ctx then return message end
    local conn
    conn, message = ssl.engine(ctx)
    if not conn then return message end
    local done, why = conn:dohandshake()
    if done == nil or why ~= "wantread" then return why end
    return true
  ]])
  if not ok then H.stop(message) end
end }
