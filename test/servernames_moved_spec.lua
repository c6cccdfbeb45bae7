-- What the context that sni chose brings along: all its settings; that no session and no second ClientHello gets round
-- them; openssl s_client; memory.

local socket = require "socket"
local E = require "engines"
local N = require "names"
local S = require "support"
local release = require "release"
local ssl = S.ssl

local VERSIONS = { "tlsv1_2", "tlsv1_3" }
local MUTUAL = { "peer", "fail_if_no_peer_cert" }
local CLIENT = { certificate = S.cert("clientA"), key = S.cert("clientAkey") }
local ask, newcontext, seen, with = N.ask, N.newcontext, N.seen, N.with

local b = newcontext("serverB")

describe("the context that sni chose", function()
  local function each(f)
    for _, version in ipairs(VERSIONS) do f(version) end
  end

  it("demands the certificates that it wants", function()
    local strict = newcontext("serverB", { verify = MUTUAL, cafile = S.cert("rootA") })
    each(function(version)
      local client = { protocol = version }
      local _, _, sr = ask("b.test", { ["b.test"] = strict }, nil, client)
      assert.equal("peer did not return a certificate", sr[2])
      assert.equal("protocol", sr[3].kind)
      assert.equal("serverA", (ask("a.test", { ["b.test"] = strict }, nil, client)))
      assert.equal("serverB", (ask("b.test", { ["b.test"] = strict }, nil, with(client, CLIENT))))
      local foreign = { certificate = S.cert("clientB"), key = S.cert("clientBkey") }
      _, _, sr = ask("b.test", { ["b.test"] = strict }, nil, with(client, foreign))
      assert.equal("certificate verify failed", sr[2])
      assert.equal("verify", sr[3].kind)
    end)
  end)

  it("demands none where the first one does, and trusts whom it trusts", function()
    local first = { verify = MUTUAL, cafile = S.cert("rootA") }
    local other = newcontext("serverB", { verify = MUTUAL, cafile = S.cert("rootB") })
    each(function(version)
      local client = { protocol = version }
      assert.equal("serverB", (ask("b.test", { ["b.test"] = b }, first, client)))
      local _, _, sr = ask("a.test", { ["b.test"] = b }, first, client)
      assert.equal("peer did not return a certificate", sr[2])
      _, _, sr = ask("b.test", { ["b.test"] = other }, first, with(client, CLIENT))
      assert.equal("certificate verify failed", sr[2])
      assert.equal("serverB", (ask("b.test", { ["b.test"] = other }, first,
        with(client, { certificate = S.cert("clientB"), key = S.cert("clientBkey") }))))
    end)
  end)

  it("has its own depth, revocation checks and lsec_ flags", function()
    local chain = { certificate = S.cert("chainA"), key = S.cert("chainAkey") }
    local peer = { verify = MUTUAL, cafile = S.cert("rootA") }
    local shallow = newcontext("serverB", with(peer, { depth = 0 }))
    local deep = newcontext("serverB", peer)
    local listed = newcontext("serverB", with(peer, { crlfile = S.cert("crlA") }))
    local lax = newcontext("serverB", with(peer, { verifyext = "lsec_continue", cafile = S.cert("rootB") }))
    local revoked = { certificate = S.cert("revoked"), key = S.cert("revokedkey") }
    each(function(version)
      local client = { protocol = version }
      assert.is_falsy((ask("b.test", { ["b.test"] = shallow }, nil, with(client, chain))))
      assert.equal("serverB", (ask("b.test", { ["b.test"] = deep }, with(peer, { depth = 0 }), with(client, chain))))
      local _, _, sr = ask("b.test", { ["b.test"] = listed }, nil, with(client, revoked))
      assert.equal("certificate revoked", sr[3].reason)
      assert.equal("serverB", (ask("b.test", { ["b.test"] = deep }, with(peer, { crlfile = S.cert("crlA") }),
        with(client, revoked))))
      assert.equal("serverB", (ask("b.test", { ["b.test"] = lax }, peer, with(client, CLIENT))))
      assert.is_falsy((ask("b.test", { ["b.test"] = deep }, with(peer, { verifyext = "lsec_continue" }),
        with(client, { certificate = S.cert("clientB"), key = S.cert("clientBkey") }))))
    end)
  end)

  it("has its own versions and options", function()
    local old = newcontext("serverB", { protocol = "tlsv1_2" })
    local new = newcontext("serverB", { protocol = "tlsv1_3" })
    local no12 = newcontext("serverB", { options = { "no_tlsv1_2" } })
    local function version(c) return c:info("protocol") end
    local function got(ctx, extra)
      return (select(4, ask("b.test", { ["b.test"] = ctx }, extra, nil, version)))
    end
    assert.equal("TLSv1.2", got(old))
    assert.equal("TLSv1.2", got(old, { protocol = "tlsv1_3" }))
    assert.equal("TLSv1.3", got(new, { protocol = "tlsv1_2" }))
    assert.equal("TLSv1.3", got(b, { protocol = "tlsv1_2" }))
    assert.equal("TLSv1.3", got(b, { options = "no_tlsv1_3" }))
    assert.equal("TLSv1.2", (select(4, ask("a.test", { ["b.test"] = b }, { options = "no_tlsv1_3" }, nil, version))))
    local _, cr = ask("b.test", { ["b.test"] = no12 }, nil, { protocol = "tlsv1_2" })
    assert.is_false(cr[1])
  end)

  it("has its own ciphers", function()
    local first = { ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256", ciphersuites = "TLS_CHACHA20_POLY1305_SHA256" }
    local other = { ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384", ciphersuites = "TLS_AES_128_GCM_SHA256" }
    local ctx = newcontext("serverB", other)
    local function cipher(c) return c:info("cipher") end
    each(function(version)
      local key = version == "tlsv1_2" and "ciphers" or "ciphersuites"
      for name, expected in pairs { ["b.test"] = other[key], ["a.test"] = first[key] } do
        assert.equal(expected, (select(4, ask(name, { ["b.test"] = ctx }, first, { protocol = version }, cipher))))
      end
    end)
  end)

  it("has its own groups, or OpenSSL's", function()
    local function group(c) return c:info("group") end
    local p256 = newcontext("serverB", { groups = { "P-256" } })
    local curve = newcontext("serverB", { curve = "secp384r1" })
    local list = newcontext("serverB", { curveslist = "P-521" })
    each(function(version)
      local function got(ctx, extra, client)
        return (select(4, ask("b.test", { ["b.test"] = ctx }, extra, with({ protocol = version }, client), group)))
      end
      assert.equal("secp256r1", got(p256))
      assert.equal("secp384r1", got(curve))
      assert.equal("secp521r1", got(list, { groups = "P-256" }))
      -- The first one's list is not left over.
      assert.equal(release.group[version], got(b, { groups = "P-256" }))
      local client = { groups = "P-384:P-256" }
      assert.equal(select(4, ask("b.test", nil, b, with({ protocol = version }, client), group)),
        got(b, { groups = "P-256" }, client))
    end)
  end)

  it("has its own signature algorithms", function()
    local ctx = newcontext("serverB", { sigalgs = "ECDSA+SHA256" })
    local function sigalg(c) return c:info("peersigalg") end
    each(function(version)
      local client = { protocol = version, sigalgs = "ECDSA+SHA512:ECDSA+SHA384:ECDSA+SHA256" }
      if version == "tlsv1_2" then
        local first = { sigalgs = "ECDSA+SHA512" }
        assert.matches("SHA256", (select(4, ask("b.test", { ["b.test"] = ctx }, first, client, sigalg))))
      end
      local _, _, sr = ask("b.test", { ["b.test"] = ctx }, nil, with(client, { sigalgs = "ed25519" }))
      assert.is_false(sr[1])
    end)
  end)

  it("has its own ALPN, and alpnstrict", function()
    local ctx = newcontext("serverB", { alpn = { "two" }, alpnstrict = true })
    local function alpn(c) return c:getalpn() end
    each(function(version)
      local client = { protocol = version, alpn = { "one", "two" } }
      assert.equal("two", (select(4, ask("b.test", { ["b.test"] = ctx }, { alpn = { "one" } }, client, alpn))))
      assert.equal("one", (select(4, ask("a.test", { ["b.test"] = ctx }, { alpn = { "one" } }, client, alpn))))
      local _, cr = ask("b.test", { ["b.test"] = ctx }, { alpn = { "one" } }, with(client, { alpn = { "one" } }))
      assert.matches("no application protocol", cr[2])
    end)
  end)

  it("has its own pre-shared keys", function()
    local key = ("k"):rep(32)
    local psk = { psk = function(id) return id == "me" and key or nil end, ciphers = "PSK",
      ciphersuites = "TLS_AES_128_GCM_SHA256" }
    local client = { psk = function() return "me", key end, ciphers = "PSK", ciphersuites = "TLS_AES_128_GCM_SHA256" }
    local ctx = newcontext("serverB", psk)
    local function without(c) return c:getpeercertificate() == nil end
    each(function(version)
      client.protocol = version
      local _, cr, _, peerless = ask("b.test", { ["b.test"] = ctx }, nil, client, without)
      assert.is_true(cr[1], cr[2])
      assert.is_true(peerless)
      _, _, _, peerless = ask("a.test", { ["b.test"] = ctx }, nil, with(client, { ciphers = "DEFAULT" }), without)
      assert.is_false(peerless)
    end)
    client.protocol = "tlsv1_2"
    local none = newcontext("serverB", { ciphers = "PSK" })
    local _, _, sr = ask("b.test", { ["b.test"] = none }, { psk = function() return key end, ciphers = "PSK" }, client)
    assert.is_false(sr[1])
  end)

  it("has its own Diffie-Hellman parameters", function()
    local asked = 0
    local ctx = assert(ssl.newcontext(S.server { certificate = S.cert("rsa"), key = S.cert("rsakey"),
      ciphers = "DHE-RSA-AES256-GCM-SHA384", dhparam = function()
        asked = asked + 1
        return S.pem("dhparam2048")
      end }))
    local client = { protocol = "tlsv1_2", ciphers = "DHE-RSA-AES256-GCM-SHA384" }
    local got = ask("b.test", { ["b.test"] = ctx }, nil, client)
    assert.equal("rsa", got)
    assert.equal(1, asked)
  end)

  it("bounds what is received", function()
    local ctx = newcontext("serverB", { maxreceive = 10 })
    local _, _, _, failed = ask("b.test", { ["b.test"] = ctx }, nil, nil, function(c, s)
      assert(S.send(c, ("x"):rep(100) .. "\n"))
      return { S.receive(s, "*l") }
    end)
    assert.is_nil(failed[1])
  end)
end)

-- The first client's session serves the second one. `first` and `second` have the fields name and extra (its settings).
local function resumed(version, ctx, first, second, override)
  local function connect(want, session)
    local c, s = S.wrapped(S.anyclient(with({ protocol = version, servername = want.name }, want.extra)), ctx)
    if override then override(s) end
    if session then assert(c:setsession(session)) end
    local cr, sr = S.shake(c, s)
    return c, s, cr, sr
  end
  local c, s, cr, sr = connect(first)
  assert.is_true(cr[1] and sr[1], tostring(cr[2]) .. ", " .. tostring(sr[2]))
  assert.equal("x", S.transfer(s, c, "x")) -- TLS 1.3 tickets come before it
  local session = assert(c:getsession())
  c:close()
  s:close()
  c, s, cr, sr = connect(second, session)
  local reused, verified = c:sessionreused(), s:getpeerverification()
  c:close()
  s:close()
  return reused, cr, sr, verified
end

describe("sessions under sni", function()
  local strict = newcontext("serverB", { verify = MUTUAL, cafile = S.cert("rootA") })
  local strictB = newcontext("serverB", { verify = MUTUAL, cafile = S.cert("rootB") })
  local CLIENTB = { certificate = S.cert("clientB"), key = S.cert("clientBkey") }

  for _, version in ipairs(VERSIONS) do
    it("resume under the name that they were made under: " .. version, function()
      local ctx = assert(ssl.newcontext(S.server { sni = { ["b.test"] = b, ["s.test"] = strict } }))
      for _, want in ipairs { { name = "b.test" }, { name = "a.test" }, {}, { name = "s.test", extra = CLIENT } } do
        assert.is_true((resumed(version, ctx, want, want)), want.name)
      end
    end)

    it("do not get round the certificate that another name wants: " .. version, function()
      local ctx = assert(ssl.newcontext(S.server { sni = { ["b.test"] = b, ["s.test"] = strict } }))
      for _, name in ipairs { "b.test", "a.test", "none" } do
        local from = { name = name ~= "none" and name or nil }
        local reused, _, sr = resumed(version, ctx, from, { name = "s.test" })
        assert.is_false(reused)
        assert.equal("peer did not return a certificate", sr[2])
        local _, cr2, sr2, verified = resumed(version, ctx, from, { name = "s.test", extra = CLIENT })
        assert.is_true(cr2[1] and sr2[1] and verified)
      end
    end)

    it("do not get round the CAs that another name trusts: " .. version, function()
      for _, override in ipairs { false, function(s) s:sni { ["a.test"] = strict, ["b.test"] = strictB } end } do
        local map = { ["a.test"] = strict, ["b.test"] = strictB }
        local ctx = assert(ssl.newcontext(S.server { verify = MUTUAL, sni = map }))
        local toA, toB = { name = "a.test", extra = CLIENTB }, { name = "b.test", extra = CLIENTB }
        local reused, _, sr = resumed(version, ctx, toB, toA, override)
        assert.is_false(reused)
        assert.equal("certificate verify failed", sr[2])
        assert.is_true((resumed(version, ctx, toB, toB, override)))
      end
    end)

    it("do not resume under another name of the same context: " .. version, function()
      local ctx = assert(ssl.newcontext(S.server { sni = { ["a.test"] = b, ["b.test"] = b } }))
      local reused, cr, sr = resumed(version, ctx, { name = "a.test" }, { name = "b.test" })
      assert.is_false(reused)
      assert.is_true(cr[1] and sr[1])
    end)
  end
end)

describe("servers that share ticket keys", function()
  local keys = { { name = ("n"):rep(16), aes = ("a"):rep(32), hmac = ("h"):rep(32) } }
  local strict = { verify = MUTUAL, cafile = S.cert("rootA"), ticketkeys = keys }

  -- Two server contexts, of which the second is offered what the first one gave out.
  local function carried(version, first, second, name)
    local session
    local function connect(ctx, extra)
      local c, s = S.wrapped(S.anyclient(with({ protocol = version, servername = name }, extra)), ctx)
      if session then assert(c:setsession(session)) end
      local cr, sr = S.shake(c, s)
      if cr[1] and sr[1] then
        assert.equal("x", S.transfer(s, c, "x"))
        session = session or c:getsession()
      end
      local reused = c:sessionreused()
      c:close()
      s:close()
      return reused, sr
    end
    connect(first)
    assert(session)
    return connect(second)
  end

  for _, version in ipairs(VERSIONS) do
    it("resume each other's sessions only where the name's context is alike: " .. version, function()
      local function server(sni)
        return assert(ssl.newcontext(S.server { ticketkeys = keys, sni = sni and { ["b.test"] = sni } }))
      end
      local lax, demanding = newcontext("serverB", { ticketkeys = keys }), newcontext("serverB", strict)
      assert.is_true((carried(version, server(lax), server(newcontext("serverB")), "b.test")))
      assert.is_true((carried(version, server(lax), server(newcontext("serverB")), "a.test")))
      for _, second in ipairs { server(demanding), demanding } do
        for _, first in ipairs { server(lax), server(), lax } do
          local reused, sr = carried(version, first, second, "b.test")
          assert.is_false(reused)
          assert.equal("peer did not return a certificate", sr[2])
        end
      end
    end)
  end
end)

describe("DTLS", function()
  it("has servers of many names too", function()
    local function handshake(name, map)
      local c, s = E.pair(S.anyclient { protocol = "dtls", servername = name },
        S.server { protocol = "dtls", sni = map })
      local ok, cr, sr
      for _ = 1, 20 do
        local cok, cerr = c:dohandshake()
        E.carry(c, s)
        local sok, serr = s:dohandshake()
        E.carry(s, c)
        ok, cr, sr = cok and sok, cerr, serr
        if ok or not S.wants(serr) and not sok then break end
      end
      return ok and seen(c), cr, sr
    end
    local map = { ["b.test"] = newcontext("serverB", { protocol = "dtls" }), ["tls.test"] = b }
    assert.equal("serverB", (handshake("b.test", map)))
    assert.equal("serverA", (handshake("a.test", map)))
    local _, _, message = handshake("tls.test", map)
    assert.matches("^SNI callback failed: the value for 'tls.test' is a context of DTLS, or", message)
  end)
end)

describe("a client that changes its name after the first ClientHello", function()
  -- Plain text still: the name is another one of the same length.
  local function pump(r, from, to)
    local data, _, partial = r.a:receive(65536)
    data = data or partial
    if #data > 0 then
      r.flights = (r.flights or 0) + 1
      if r.flights == 2 then data = data:gsub(from, to) end
      assert(r.b:send(data))
    end
    r:move(r.b, r.a, "down")
  end

  it("is refused", function()
    for _, case in ipairs { { "aaaa%.test", "bbbb.test", false }, { "aaaa%.test", "aaaa.test", true } } do
      local strict = newcontext("serverB", { verify = MUTUAL, cafile = S.cert("rootA") })
      local c, s, r = S.relayed(S.anyclient { protocol = "tlsv1_3", servername = "aaaa.test", groups = "X25519:P-256" },
        S.server { groups = "P-256", sni = { ["bbbb.test"] = strict } })
      local sr, cr
      S.poll(function()
        if not cr then
          local ok, err = c:dohandshake()
          if ok or not S.wants(err) then cr = { ok, err } end
        end
        pump(r, case[1], case[2])
        local ok, err = s:dohandshake()
        if ok or not S.wants(err) then sr = { ok, err } end
        return sr and (cr or not case[3])
      end, "the handshake")
      assert.equal(case[3], sr[1], sr[2])
      if not case[3] then
        assert.equal("callback failed", sr[2])
        S.poll(function()
          pump(r, "", "")
          local ok, err = c:dohandshake()
          cr = { ok, err }
          return ok or not S.wants(err)
        end, "the alert")
        assert.matches("illegal parameter", cr[2])
      end
      c:close()
      s:close()
      r:close()
    end
  end)
end)

describe("openssl s_client", function()
  local function client(ctx, arguments)
    local listener = assert(socket.bind("127.0.0.1", 0))
    listener:settimeout(20)
    local out = os.tmpname()
    local command = "timeout 30 openssl s_client -connect 127.0.0.1:%d %s -ign_eof >%s 2>&1 </dev/null"
    local p = assert(io.popen(command:format((select(2, listener:getsockname())), arguments, out), "w"))
    local conn = assert(ssl.wrap(assert(listener:accept()), ctx))
    conn:settimeout(20)
    local ok, err, detail = conn:dohandshake()
    if ok then conn:send("done\n") end
    conn:close()
    p:close()
    listener:close()
    local text = S.read(out)
    os.remove(out)
    return text, ok, err, detail
  end

  it("gets the certificate of its -servername, and the alert", function()
    local ctx = assert(ssl.newcontext(S.server { sni = { ["*.b.test"] = b }, snistrict = true }))
    for _, version in ipairs { "-tls1_2", "-tls1_3" } do
      local subject = release.attribute("CN", "serverB")
      assert.matches("subject=[^\n]*" .. subject, (client(ctx, version .. " -servername X.b.test")))
      for _, name in ipairs { "-servername b.test", "-noservername" } do
        local text, ok, err = client(ctx, version .. " " .. name)
        assert.is_false(ok)
        assert.matches("server name", err)
        assert.matches("unrecognized name", text)
      end
    end
  end)

  it("must show the certificate that the name's context wants, with the session of another name too", function()
    local strict = newcontext("serverB", { verify = MUTUAL, cafile = S.cert("rootA") })
    local ctx = assert(ssl.newcontext(S.server { sni = { ["s.test"] = strict } }))
    local session = os.tmpname()
    for _, version in ipairs { "-tls1_2", "-tls1_3" } do
      local text, ok = client(ctx, ("%s -servername a.test -sess_out %s"):format(version, session))
      assert.is_true(ok, text)
      local err
      text, ok, err = client(ctx, ("%s -servername s.test -sess_in %s"):format(version, session))
      assert.is_false(ok, text)
      assert.equal("peer did not return a certificate", err)
      text = client(ctx, ("%s -servername a.test -sess_in %s"):format(version, session))
      assert.matches("Reused, TLS", text)
    end
    os.remove(session)
  end)
end)

describe("the memory of contexts in sni", function()
  local chunk = [[
    local S = require "support"
    local ssl = S.ssl
    local cert, key = S.pem("serverA"), S.pem("serverAkey")
    local function context(extra)
      extra.certificate, extra.key = cert, key
      return assert(ssl.newcontext(S.server(extra)))
    end
    local function round()
      local map = {}
      local ctx = context { sni = map }
      map["b.test"], map["self.test"] = context {}, ctx
      local held
      local other = context { sni = function() return held end }
      held = other
      for _, name in ipairs { "b.test", "self.test" } do
        local c, s = S.wrapped(S.anyclient { servername = name }, name == "b.test" and ctx or other)
        assert(S.shake(c, s)[1])
      end
    end
  ]]

  it("is given back, that of a map with its own context too", function()
    local weak = setmetatable({}, { __mode = "v" })
    do
      local map = {}
      local ctx = assert(ssl.newcontext(S.server { sni = map }))
      map["self.test"], map["b.test"] = ctx, newcontext("serverB")
      weak[1], weak[2] = ctx, map["b.test"]
      local c, s = S.wrapped(S.anyclient { servername = "b.test" }, ctx)
      ctx, map = nil, nil -- luacheck: ignore 311
      S.collect()
      assert.is_not_nil(weak[2])
      assert.is_true(S.shake(c, s)[1])
      assert.equal("serverB", seen(c))
      c:close()
      s:close()
    end
    S.collect()
    S.collect()
    assert.is_nil(weak[1])
    assert.is_nil(weak[2])
  end)

  it("stays flat", function()
    local grown = S.growth(chunk .. " return round", 60, 120)
    assert.is_true(grown < 4096, grown)
  end)

  it("is safe under a collector that never rests", function()
    assert.equal("fine", S.fresh(chunk .. [[
      S.greedy()
      for _ = 1, 10 do round() end
      print("fine")
    ]]))
  end)
end)
