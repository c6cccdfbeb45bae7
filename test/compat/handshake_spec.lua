-- dohandshake: results in each situation, the words of the failures, what a failed connection answers, and that errors
-- are kept. Verification failures have verify_spec; timeouts have timeouts_spec.

local T = require "compat.tools"
local support = require "support"
local ssl = require "ssl"
local release = require "release"

local pack, join = support.pack, T.join

--- Both handshakes to their end; returns the two results.
local function shake(clientcfg, servercfg)
  local c, s = support.wrapped(clientcfg, servercfg)
  local cr, sr = support.shake(c, s)
  return cr, sr, c, s
end

describe("compat dohandshake", function()
  it("returns exactly true, and again when called again", function()
    local c, s = support.wrapped()
    local cr, sr
    support.poll(function()
      if not (cr and cr[1]) then cr = pack(c:dohandshake()) end
      if not (sr and sr[1]) then sr = pack(s:dohandshake()) end
      return cr[1] and sr[1]
    end)
    T.returned(cr, true)
    T.returned(sr, true)
    T.returned(pack(c:dohandshake()), true)
    T.returned(pack(s:dohandshake()), true)
    T.close(c, s)
  end)

  it("answers false and 'wantread' for a step that needs the peer", function()
    local c, s = support.wrapped()
    T.begins(pack(s:dohandshake()), false, "wantread")
    T.begins(pack(c:dohandshake()), false, "wantread")
    T.begins(pack(c:dohandshake()), false, "wantread")
    T.close(c, s)
  end)

  for _, version in ipairs { "tlsv1_2", "tlsv1_3" } do
    it("works with " .. version .. " alone", function()
      local c, s = support.connected(support.client { protocol = version }, support.server { protocol = version })
      local name = "TLSv1." .. version:sub(-1)
      assert.equal(name, c:info("protocol"))
      assert.equal(name, s:info("protocol"))
      assert.equal("to and fro", support.transfer(c, s, "to and fro"))
      assert.equal("fro and to", support.transfer(s, c, "fro and to"))
      T.close(c, s)
    end)
  end

  for _, version in ipairs { "tlsv1", "tlsv1_1" } do
    it("works with " .. version .. " at security level 0", function()
      local extra = { protocol = version, ciphers = "DEFAULT:@SECLEVEL=0" }
      local c, s = support.connected(support.client(extra), support.server(extra))
      assert.equal(version == "tlsv1" and "TLSv1" or "TLSv1.1", c:info("protocol"))
      T.close(c, s)
    end)
  end

  it("takes the best version that options leave", function()
    local c, s = support.connected(support.client { options = "no_tlsv1_3" }, support.server())
    assert.equal("TLSv1.2", c:info("protocol"))
    T.close(c, s)
  end)

  it("pins the version that protocol names", function()
    local c, s = support.connected(support.client { protocol = "sslv23" }, support.server(T.TLS12))
    assert.equal("TLSv1.2", s:info("protocol"))
    T.close(c, s)
  end)

  it("of protocol any is not bound by the system's configuration", function()
    local name = os.tmpname()
    local f = assert(io.open(name, "w"))
    f:write("openssl_conf = all\n[all]\nssl_conf = ssl\n[ssl]\nsystem_default = sys\n[sys]\nMinProtocol = TLSv1.3\n")
    f:close()
    local out, status = T.child([[
      local support = require "support"
      local c, s = support.connected(support.client(), support.server { protocol = "tlsv1_2" })
      assert(c:info("protocol") == "TLSv1.2")
    ]], 20, "OPENSSL_CONF=" .. name)
    os.remove(name)
    assert.equal(0, status, out)
  end)

  it("may begin in a coroutine that ends, and go on in another", function()
    local called = 0
    local c, s = support.wrapped(support.client { alpn = "a" }, support.server { alpn = function()
      called = called + 1
      return "a"
    end })
    local function step(conn)
      local thread = coroutine.create(function() return conn:dohandshake() end)
      local _, ok = assert(coroutine.resume(thread))
      support.collect()
      return ok
    end
    support.poll(function()
      local one, two = step(c), step(s)
      return one and two
    end, "both handshakes")
    assert.equal(1, called)
    assert.equal("a", c:getalpn())
    T.close(c, s)
  end)

  it("obeys ciphers and ciphersuites", function()
    local c, s = support.connected(support.client(join(T.TLS12, { ciphers = "ECDHE-ECDSA-CHACHA20-POLY1305" })))
    assert.equal("ECDHE-ECDSA-CHACHA20-POLY1305", s:info("cipher"))
    T.close(c, s)
    c, s = support.connected(support.client { ciphersuites = "TLS_CHACHA20_POLY1305_SHA256", protocol = "tlsv1_3" })
    assert.equal("TLS_CHACHA20_POLY1305_SHA256", s:info("cipher"))
    T.close(c, s)
  end)

  it("obeys the server's order of ciphers with cipher_server_preference", function()
    local names = { "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384" }
    local c, s = support.connected(
      support.client(join(T.TLS12, { ciphers = names[1] .. ":" .. names[2] })),
      support.server(join(T.TLS12, { ciphers = names[2] .. ":" .. names[1], options = "cipher_server_preference" })))
    assert.equal(names[2], c:info("cipher"))
    T.close(c, s)
  end)

  it("obeys curve and curveslist", function()
    local _, _, c, s = shake(support.client { curveslist = "P-384" }, support.server { curveslist = "P-521" })
    T.close(c, s)
    c, s = support.connected(support.client { curveslist = "P-384" }, support.server { curve = "secp384r1" })
    T.close(c, s)
  end)

  it("fails without a common group", function()
    local cr, sr, c, s = shake(support.client { curve = "prime256v1" }, support.server { curve = "secp384r1" })
    T.failed(sr, false, "^no s")
    T.begins(cr, false, release.alert("handshake failure"))
    T.close(c, s)
  end)

  it("chooses among certificates of different kinds", function()
    local certs = {}
    for i, name in ipairs { "rsa", "serverA" } do
      certs[i] = { certificate = support.cert(name), key = support.cert(name .. "key") }
    end
    local cfg = support.server(join(T.TLS12, { certificates = certs }))
    for auth, ciphers in pairs { RSA = "ECDHE-RSA-AES128-GCM-SHA256", ECDSA = "ECDHE-ECDSA-AES128-GCM-SHA256" } do
      local c, s = support.connected(support.client(join(T.TLS12, { ciphers = ciphers })), cfg)
      assert.equal(auth, c:info("authentication"))
      T.close(c, s)
    end
  end)

  it("of one connection does not depend on another's on the same context", function()
    local cctx, sctx = ssl.newcontext(support.client { alpn = "a" }), ssl.newcontext(support.server { alpn = { "a" } })
    local pairs_ = {}
    for i = 1, 5 do pairs_[i] = { support.wrapped(cctx, sctx) } end
    support.poll(function()
      local done = 0
      for _, p in ipairs(pairs_) do
        local cok, sok = p[1]:dohandshake(), p[2]:dohandshake()
        if cok and sok then done = done + 1 end
      end
      return done == 5
    end)
    for _, p in ipairs(pairs_) do
      assert.equal("a", p[1]:getalpn())
      T.close(p[1], p[2])
    end
  end)
end)

describe("compat failed handshake", function()
  it("without a common version", function()
    local cr, sr, c, s = shake(support.client { protocol = "tlsv1_2" }, support.server { protocol = "tlsv1_3" })
    T.begins(sr, false, "unsupported protocol")
    T.begins(cr, false, "tlsv1 alert protocol version")
    T.close(c, s)
  end)

  it("without a common cipher", function()
    local cr, sr, c, s = shake(support.client(join(T.TLS12, { ciphers = "ECDHE-RSA-AES128-GCM-SHA256" })),
      support.server(T.TLS12))
    T.begins(sr, false, "no shared cipher")
    T.begins(cr, false, release.alert("handshake failure"))
    T.close(c, s)
  end)

  it("of a server without certificate", function()
    local none = { certificate = support.NONE, key = support.NONE }
    local cr, sr, c, s = shake(support.client(T.TLS12), support.server(join(T.TLS12, none)))
    T.begins(sr, false, "no shared cipher")
    T.begins(cr, false, release.alert("handshake failure"))
    T.close(c, s)
  end)

  it("with a peer that speaks plain text", function()
    local c, s = T.halfwrapped()
    c:dohandshake()
    s:send("220 mail.example.test ESMTP ready\r\n")
    T.begins(T.finish(c), false, "wrong version number")
    T.close(c, s)
  end)

  it("with a client that speaks HTTP", function()
    local c, s = support.tcp()
    s = assert(ssl.wrap(s, support.server()))
    s:settimeout(0)
    c:send("GET / HTTP/1.0\r\n\r\n")
    T.begins(T.finish(s), false, "http request")
    T.close(c, s)
  end)

  it("with a peer that closes in the middle", function()
    local c, s = T.halfwrapped()
    c:dohandshake()
    s:receive(5)
    s:settimeout(0.05)
    s:receive(100000)
    s:close()
    local r = T.finish(c)
    T.begins(r, false, "unexpected eof while reading")
    c:close()
  end)

  it("with a peer that resets the connection", function()
    local c, s = T.halfwrapped()
    s:setoption("linger", { on = true, timeout = 0 })
    c:dohandshake()
    s:close()
    T.begins(T.finish(c), false, "closed")
    c:close()
  end)

  it("keeps its first error for later calls", function()
    local c, s = T.halfwrapped()
    s:send("no TLS here at all\r\n")
    local first = T.finish(c)
    for _ = 1, 3 do T.begins(pack(c:dohandshake()), false, first[2]) end
    s:close()
    T.begins(pack(c:dohandshake()), false, first[2])
    c:close()
  end)

  it("leaves a connection that is not connected", function()
    local c, s = T.halfwrapped()
    s:send("no TLS here at all\r\n")
    T.finish(c)
    T.begins(pack(c:send("x")), nil, "closed", 0)
    T.begins(pack(c:receive()), nil, "closed", "")
    assert.is_nil((c:getpeercertificate()))
    assert.is_truthy(c:getfd() >= 0)
    assert.is_false(c:dirty())
    T.close(c, s)
    assert.equal(-1, c:getfd())
  end)

  it("is repeated by no other connection of the context", function()
    local ctx = ssl.newcontext(support.client())
    local c, s = T.halfwrapped(ctx)
    s:send("no TLS here at all\r\n")
    T.finish(c)
    T.close(c, s)
    c, s = support.connected(ctx)
    T.close(c, s)
  end)

  it("leaves no stale error behind when it is closed", function()
    local c, s = T.halfwrapped()
    s:send("no TLS here at all\r\n")
    T.finish(c)
    T.close(c, s)
    T.begins(pack(ssl.newcontext(support.client { ciphers = "nosuchcipher" })), nil,
      "error setting cipher list (no cipher match)")
  end)

  it("has an answer for every method afterwards", function()
    local c, s = T.halfwrapped()
    s:send("no TLS here at all\r\n")
    T.finish(c)
    for _, name in ipairs { "dirty", "want", "getstats", "getalpn", "getsniname", "getpeerchain", "getfinished",
      "getpeerverification", "settimeout", "getfd", "getpeerfinished" } do
      assert.is_true((pcall(c[name], c)), name)
    end
    T.close(c, s)
  end)
end)

describe("compat client certificate", function()
  local function clientcert(extra)
    return support.client(join({ certificate = support.cert "clientA", key = support.cert "clientAkey" }, extra))
  end

  local demand = { verify = { "peer", "fail_if_no_peer_cert" }, cafile = support.cert "rootA" }

  it("is accepted from a CA the server knows", function()
    local c, s = support.connected(clientcert(), support.server(demand))
    assert.is_true(s:getpeerverification())
    assert.is_truthy(s:getpeercertificate())
    T.close(c, s)
  end)

  it("is demanded by fail_if_no_peer_cert", function()
    local cr, sr, c, s = shake(support.client(T.TLS12), support.server(join(T.TLS12, demand)))
    T.begins(sr, false, "peer did not return a certificate")
    T.failed(cr, false, "alert handshake failure")
    T.close(c, s)
  end)

  it("that is missing shows itself to a TLS 1.3 client at the next receive", function()
    local cr, sr, c, s = shake(support.client { protocol = "tlsv1_3" }, support.server(demand))
    T.begins(sr, false, "peer did not return a certificate")
    assert.is_true(cr[1])
    T.begins(pack(support.receive(c)), nil, "tlsv13 alert certificate required")
    T.close(c, s)
  end)

  it("of an unknown CA is refused", function()
    local _, sr, c, s = shake(
      clientcert { certificate = support.cert "clientB", key = support.cert "clientBkey" }, support.server(demand))
    T.begins(sr, false, "certificate verify failed")
    T.close(c, s)
  end)
end)

describe("compat dhparam", function()
  local function dhe(f)
    local both = join(T.TLS12, { ciphers = "DHE-RSA-AES128-GCM-SHA256" })
    return shake(support.client(both), support.server(join(both, {
      certificate = support.cert "rsa", key = support.cert "rsakey", dhparam = f })))
  end

  it("function supplies parameters for DHE", function()
    local args
    local cr, sr, c, s = dhe(function(...)
      args = pack(...)
      return support.pem "dhparam2048"
    end)
    assert.is_true(cr[1])
    assert.is_true(sr[1])
    assert.equal("DHE-RSA-AES128-GCM-SHA256", c:info("cipher"))
    T.returned(args, false, 1024)
    T.close(c, s)
  end)

  it("function that gives nothing leaves no DHE", function()
    local cr, sr, c, s = dhe(function() return nil end)
    T.failed(sr, false, "^%a")
    assert.is_false(cr[1])
    T.close(c, s)
  end)

  it("function that gives junk leaves no DHE", function()
    local cr, sr, c, s = dhe(function() return "junk" end)
    T.failed(sr, false, "^%a")
    assert.is_false(cr[1])
    T.close(c, s)
  end)

  it("function that raises ends the handshake and is named", function()
    local _, sr, c, s = dhe(function() error("no parameters today") end)
    local msg = T.failed(sr, false, "dhparam")
    assert.is_truthy(msg:find("no parameters today", 1, true))
    T.close(c, s)
  end)
end)
