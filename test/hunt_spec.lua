-- What crosses features: engines made new by reset behind server names, pre-shared keys beside tickets.

local E = require "engines"
local N = require "names"
local R = require "resume"
local S = require "support"
local ssl = S.ssl

local MUTUAL = { verify = { "peer", "fail_if_no_peer_cert" }, cafile = S.cert("rootA") }
local PSK = { identity = "me", key = ("k"):rep(32) }

for _, version in ipairs { "tlsv1_2", "tlsv1_3" } do
  describe("an engine made new by reset, over " .. version .. ",", function()
    local function client(name, extra)
      return assert(ssl.engine(S.anyclient(N.with({ protocol = version, servername = name }, extra))))
    end

    it("is moved by the client's name again", function()
      local s = assert(ssl.engine(S.server { sni = { ["b.test"] = N.newcontext("serverB") } }))
      for _ = 1, 2 do
        local c = client("b.test")
        E.shake(c, s)
        assert.equal("serverB", N.seen(c))
        assert.is_true(s:reset())
      end
      local c = client("a.test")
      E.shake(c, s)
      assert.equal("serverA", N.seen(c))
    end)

    it("demands the certificate that the name's context demands", function()
      local s = assert(ssl.engine(S.server { sni = { ["b.test"] = N.newcontext("serverB", MUTUAL) } }))
      E.shake(client("b.test", { certificate = S.cert("clientA"), key = S.cert("clientAkey") }), s)
      assert.is_userdata(s:getpeercertificate())
      assert.is_true(s:reset())
      local ok, message = E.fail(client("b.test"), s)
      assert.is_false(ok, message)
    end)

    it("chooses among key pairs again, and refuses unknown names", function()
      local pair = { certificate = S.cert("serverB"), key = S.cert("serverBkey") }
      local s = assert(ssl.engine(S.server { sni = { ["b.test"] = N.newcontext("serverB") }, snistrict = true,
        keypairs = { pair } }))
      E.shake(client("b.test"), s)
      assert.is_true(s:reset())
      local ok, message = E.fail(client("c.test"), s)
      assert.is_false(ok, message)
      assert.is_true(s:reset())
      local c = client("b.test")
      E.shake(c, s)
      assert.equal("serverB", N.seen(c))
    end)

    it("does not forget the TLSA records that it verifies by", function()
      local c = assert(ssl.engine(S.client { protocol = version, dane = true }))
      assert.is_true(c:setdane("nobody.test"))
      local ok, message, detail = c:reset()
      assert.is_nil(ok)
      assert.matches("make another engine", message)
      assert.equal("config", detail.kind)
      local s = assert(ssl.engine(S.server { protocol = version }))
      assert.is_false((E.fail(c, s)))
    end)

    it("takes as much as its own context allows", function()
      local bounded = N.newcontext("serverB", { maxreceive = 10 })
      local s = assert(ssl.engine(S.server { sni = { ["b.test"] = bounded } }))
      E.shake(client("b.test"), s)
      assert.is_true(s:reset())
      local c = client("a.test")
      E.shake(c, s)
      c:write(("x"):rep(100) .. "\n")
      E.carry(c, s)
      assert.equal(100, #assert(s:receive("*l")))
    end)
  end)

  describe("settings that change before the handshake, over " .. version .. ",", function()
    local MINE = { protocol = version, certificate = S.cert("clientA"), key = S.cert("clientAkey") }

    local function lax(ctx, f)
      assert(ctx:setverifyext("lsec_continue"))
      f()
      assert(ctx:setverifyext())
    end

    it("leave a client no session for when they are what they were", function()
      local cctx = R.client { protocol = version, cafile = S.cert("rootB"), sessions = true, servername = "localhost" }
      local sctx = R.server()
      local c, s = assert(ssl.engine(cctx)), assert(ssl.engine(sctx))
      lax(cctx, function() E.shake(c, s) end)
      c:read()
      assert.is_false((c:getpeerverification()))
      local again = assert(ssl.engine(cctx))
      assert.is_nil((again:setsession(assert(c:getsession()))))
      assert.is_false((E.fail(again, assert(ssl.engine(sctx)))))
    end)

    for _, extra in ipairs { {}, { sni = { ["b.test"] = N.newcontext("serverB") } } } do
      it("leave a server's clients none" .. (extra.sni and ", server names or not" or ""), function()
        local sctx = R.server(N.with({ verify = MUTUAL.verify, cafile = S.cert("rootB") }, extra))
        local cctx = assert(ssl.newcontext(S.anyclient(MINE)))
        local c, s = assert(ssl.engine(cctx)), assert(ssl.engine(sctx))
        lax(sctx, function() E.shake(c, s) end)
        c:read()
        local again = assert(ssl.engine(cctx))
        assert(again:setsession(assert(c:getsession())))
        local ok, message = E.fail(again, assert(ssl.engine(sctx)))
        assert.is_false(ok, message)
      end)
    end
  end)

  describe("a pre-shared key, over " .. version .. ",", function()
    it("is not replaced by a ticket of a context that asks for none", function()
      local keys = { R.key "a" }
      local cfg = { protocol = version, ticketkeys = keys, ciphersuites = "TLS_AES_128_GCM_SHA256" }
      local open = R.server(cfg)
      local c1 = assert(ssl.newcontext(S.anyclient { protocol = version, ciphersuites = cfg.ciphersuites }))
      local session = R.visit(c1, open)
      for _, psk in ipairs { PSK, function() return PSK.key end } do
        local closed = R.server(N.with(cfg, { psk = psk }))
        local c, s = S.wrapped(c1, closed)
        assert(c:setsession(session))
        local _, sr = S.shake(c, s)
        assert.is_false(sr[1] and s:sessionreused())
        c:close()
        s:close()
      end
    end)

    it("is demanded by the context that conn:sni chose", function()
      local hit = N.newcontext("serverB", { psk = PSK })
      local function server()
        local s = assert(ssl.engine(S.server { protocol = version }))
        s:sni { ["b.test"] = hit }
        return s
      end
      local c = assert(ssl.engine(S.anyclient { protocol = version, servername = "b.test" }))
      local ok, message = E.fail(c, server())
      assert.is_false(ok, message)
      c = assert(ssl.engine(S.anyclient { protocol = version, servername = "b.test", psk = PSK, ciphers = "ALL:PSK" }))
      local s = server()
      E.shake(c, s)
      assert.equal("me", s:getpskidentity())
    end)

    it("is not replaced by a session of another key, or of none", function()
      local function psk(key, extra)
        return N.with({ protocol = version, ciphers = "ALL:PSK", psk = key }, extra)
      end
      local function take(key) return function() return "me", key end end
      local keys = { ticketkeys = { R.key "a" } }
      local sctx = R.server(psk(PSK, keys))
      local from = assert(ssl.newcontext(N.with(psk(PSK), { mode = "client" })))
      local session = R.visit(from, sctx)
      for _, other in ipairs { { identity = "me", key = ("z"):rep(32) }, take(("z"):rep(32)) } do
        local to = assert(ssl.newcontext(N.with(psk(other), { mode = "client" })))
        local c = S.wrapped(to, sctx)
        assert.is_nil((c:setsession(session)))
        c:close()
      end
    end)
  end)
end
