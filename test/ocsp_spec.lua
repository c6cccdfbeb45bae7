-- src/ocsp.c: a client that asks for its server's OCSP response, and what comes of it.

local socket = require "socket"
local S = require "support"
local kit = require "ocspkit"
local der = require "der"
local release = require "release"

local ssl = S.ssl

-- X509_V_ERR_: OpenSSL's x509_vfy.h.
local CERT_REVOKED, VERIFY_NEEDED, VERIFY_FAILED, CERT_UNKNOWN = 23, 73, 74, 75
local codes = { missing = VERIFY_NEEDED, revoked = CERT_REVOKED, unknown = CERT_UNKNOWN }

local function refused(name, ok, message, detail)
  assert.is_false(ok)
  assert.equal(kit.texts[name], message)
  assert.equal("verify", detail.kind)
  assert.equal(codes[name] or VERIFY_FAILED, detail.code)
  assert.equal(0, detail.depth)
  assert.matches("CN=", detail.subject)
end

local made = os.time()
local good = kit.craft { cert = "serverA" }
local revoked = kit.craft { cert = "revoked", status = "revoked", reason = 1 }

local function revokedserver(extra)
  local cfg = S.server { certificate = S.cert("revoked"), key = S.cert("revokedkey"), ocsp = revoked }
  for k, v in pairs(extra or {}) do cfg[k] = v end
  return cfg
end

for _, version in ipairs { "tlsv1_2", "tlsv1_3" } do
  local function client(mode, extra)
    local cfg = S.client(extra)
    cfg.ocsp, cfg.protocol = mode, version
    return cfg
  end

  -- A client's handshake with one of ours: connection, its result, the server's.
  local function try(clientcfg, servercfg)
    local c, s = S.wrapped(clientcfg, servercfg)
    local cr, sr = S.shake(c, s)
    s:close()
    return c, cr, sr
  end

  describe("a client with " .. version, function()
    it("is told what the response says", function()
      for _, mode in ipairs { "request", "require" } do
        local c, cr = try(client(mode), S.server { ocsp = good })
        assert.is_true(cr[1], cr[2])
        local answer = c:getocsp()
        assert.equal("successful", answer.response)
        assert.equal("good", answer.status)
        assert.is_true(answer.verified)
        assert.is_nil(answer.message)
        assert.is_near(made - 60, answer.thisupdate, 60)
        assert.is_near(made + 86400, answer.nextupdate, 60)
        assert.equal(good, answer.der)
        assert.is_true(c:getpeerverification())
        c:close()
      end
    end)

    it("asks for none without the setting", function()
      local c, cr = try(client(nil), S.server { ocsp = good })
      assert.is_true(cr[1])
      assert.same({ nil }, { c:getocsp() })
      c:close()
    end)

    it("goes on without a response that it only requests", function()
      local c, cr = try(client "request", S.server())
      assert.is_true(cr[1], cr[2])
      assert.is_nil(c:getocsp())
      c:close()
    end)

    it("does not go on without one that it requires", function()
      local c, cr, sr = try(client "require", S.server())
      refused("missing", cr[1], cr[2], cr[3])
      assert.matches("staple", cr[3].hint)
      assert.is_nil(c:getocsp())
      assert.same({ false, "OCSP verification needed" }, { c:getpeerverification() })
      assert.same({ false, kit.texts.missing }, { S.unpack(S.pack(c:dohandshake()), 1, 2) })
      assert.equal(VERIFY_NEEDED, c:lasterror().code)
      c:close()
      assert.is_false(sr[1])
      assert.equal("alert", sr[3].kind)
      assert.matches("OCSP response", sr[3].hint)
    end)

    it("refuses a revoked certificate, which it tells of", function()
      for _, mode in ipairs { "request", "require" } do
        local c, cr = try(client(mode), revokedserver())
        refused("revoked", cr[1], cr[2], cr[3])
        local answer = c:getocsp()
        assert.equal("revoked", answer.status)
        assert.equal("keyCompromise", answer.reason)
        assert.is_near(made - 86400, answer.revocationtime, 60)
        assert.is_true(answer.verified)
        assert.same({ false, "certificate revoked" }, { c:getpeerverification() })
        c:close()
        assert.same({ nil, "closed" }, { S.unpack(S.pack(c:getocsp()), 1, 2) })
      end
    end)

    it("judges what an intermediate CA's responder says", function()
      local response = kit.craft { cert = "chainA-leaf", issuer = "interA" }
      local server = S.server { certificate = S.cert("chainA"), key = S.cert("chainAkey"), ocsp = response }
      local c, cr = try(client "require", server)
      assert.is_true(cr[1], cr[2])
      assert.is_true(c:getocsp().verified)
      c:close()
    end)

    -- name of the refusal -> what the server staples; all but a revocation pass where a response is only requested.
    local bad = {
      unknown = kit.craft { cert = "serverA", status = "unknown" },
      foreign = kit.craft { cert = "clientA" },
      unsigned = kit.craft { cert = "serverA", signer = "serverA", certs = { "serverA" } },
      early = kit.craft { cert = "serverA", thisupdate = 3600 },
      stale = kit.craft { cert = "serverA", thisupdate = -86400, nextupdate = -3600 },
      refused = kit.envelope(3),
      revoked = kit.craft { cert = "serverA", status = "revoked", thisupdate = -86400, nextupdate = -3600 },
    }
    for name, response in pairs(bad) do
      it("judges a response that another server staples: " .. name, function()
        local server, port, file = (name == "foreign" and kit.gnutls or kit.openssl)("serverA", response)
        local conn, ok, message, detail = kit.connect(port, client "require")
        refused(name, ok, message, detail)
        assert.equal(response, conn:getocsp().der)
        conn:close()
        conn, ok, message, detail = kit.connect(port, client "request")
        if name == "revoked" then
          refused(name, ok, message, detail)
        else
          assert.is_true(ok, message)
          local answer = conn:getocsp()
          assert.equal(name == "unknown", answer.verified)
          if name ~= "unknown" then assert.equal(kit.texts[name], answer.message) end
          assert.is_true(conn:getpeerverification())
        end
        conn:close()
        kit.stop(server, file)
      end)
    end

    it("judges bytes that are no response", function()
      local junks = { "garbage", good:sub(1, -2), der.seq(der.int("\0")), ("x"):rep(10000) }
      if not release.since(3, 6) then junks[#junks + 1] = good .. "x" end -- what follows is passed over from then on
      for _, junk in ipairs(junks) do
        local server, port, file = kit.gnutls("serverA", junk)
        local conn, ok, message, detail = kit.connect(port, client "require")
        local answer = conn:getocsp()
        if release.since(3, 6) then -- OpenSSL itself reads it, keeps nothing and refuses
          assert.same({ false, kit.texts.unreadable, "verify", 74 }, { ok, message, detail.kind, detail.code })
          assert.is_nil(answer)
          conn:close()
          conn, ok, message, detail = kit.connect(port, client "request")
          assert.same({ false, kit.texts.unreadable, "verify", 74 }, { ok, message, detail.kind, detail.code })
        else
          refused("unreadable", ok, message, detail)
          assert.equal("unreadable", answer.response)
          conn:close()
          conn, ok, message = kit.connect(port, client "request")
          assert.is_true(ok, message)
          answer = conn:getocsp()
          assert.same({ "unreadable", false, kit.texts.unreadable, junk },
            { answer.response, answer.verified, answer.message, answer.der })
        end
        conn:close()
        kit.stop(server, file)
      end
    end)

    it("is held to it by the certificate itself", function()
      local function server(response)
        return S.server { certificate = S.cert("muststaple"), key = S.cert("muststaplekey"), ocsp = response }
      end
      local c, cr = try(client "request", server())
      refused("missing", cr[1], cr[2], cr[3])
      c:close()
      c, cr = try(client "request", server(kit.craft { cert = "muststaple", status = "unknown" }))
      refused("unknown", cr[1], cr[2], cr[3])
      c:close()
      c, cr = try(client "request", server(kit.craft { cert = "muststaple" }))
      assert.is_true(cr[1], cr[2])
      c:close()
      c, cr = try(client(nil), server())
      assert.is_true(cr[1], cr[2])
      c:close()
    end)

    it("goes on with lsec_continue, and tells", function()
      local c, cr = try(client("require", { verifyext = "lsec_continue" }), S.server())
      assert.is_true(cr[1], cr[2])
      assert.same({ false, { { "OCSP verification needed" } } }, { c:getpeerverification() })
      c:close()
      c, cr = try(client("request", { verifyext = "lsec_continue", cafile = S.cert("rootB") }), revokedserver())
      assert.is_true(cr[1], cr[2])
      local ok, list = c:getpeerverification()
      assert.is_false(ok)
      assert.is_true(#list[1] > 1)
      -- Without a trusted root the issuer is unknown: nothing of the response can be believed.
      assert.equal(kit.texts.noissuer, c:getocsp().message)
      c:close()
      c, cr = try(client("request", { verifyext = "lsec_continue" }), revokedserver())
      assert.is_true(cr[1], cr[2])
      assert.same({ false, { { "certificate revoked" } } }, { c:getpeerverification() })
      assert.equal("revoked", c:getocsp().status)
      c:close()
    end)

    it("checks against the chain that came where nothing is verified", function()
      local response = kit.craft { cert = "chainA-leaf", issuer = "interA" }
      local server = S.server { certificate = S.cert("chainA"), key = S.cert("chainAkey"), ocsp = response }
      local cfg = S.anyclient { ocsp = "require", protocol = version }
      local c, cr = try(cfg, server)
      assert.is_true(cr[1], cr[2])
      assert.is_true(c:getocsp().verified)
      c:close()
      c, cr = try(cfg, S.server { ocsp = good })
      refused("noissuer", cr[1], cr[2], cr[3])
      c:close()
      cfg.cafile = S.cert("rootA")
      c, cr = try(cfg, revokedserver())
      refused("revoked", cr[1], cr[2], cr[3])
      c:close()
    end)

    it("wants a certificate to be told about", function()
      local function key() return "me", ("k"):rep(32) end
      local function find() return ("k"):rep(32) end
      local ciphers = version == "tlsv1_2" and "PSK" or nil
      for mode, wanted in pairs { request = true, require = false } do
        local c, cr = try({ mode = "client", protocol = version, psk = key, ciphers = ciphers, ocsp = mode },
          { mode = "server", protocol = version, psk = find, ciphers = ciphers })
        assert.equal(wanted, cr[1], cr[2])
        if not wanted then assert.equal(kit.texts.missing, cr[2]) end
        c:close()
      end
    end)

    -- A session of one context given to a connection of another: the connection, its session, what setsession said.
    local function session(ctx, server)
      local c, s = S.connected(ctx, server)
      local data = S.transfer(s, c, "hello")
      assert.equal("hello", data)
      local found = assert(c:getsession())
      c:close()
      s:close()
      return found
    end

    local function resume(ctx, server, found)
      local c, s = S.wrapped(ctx, server)
      local set, why = c:setsession(found)
      local cr = S.shake(c, s)
      return c, s, set, why, cr
    end

    it("resumes what was checked, without another response", function()
      local server = assert(ssl.newcontext(S.server { ocsp = good }))
      local ctx = assert(ssl.newcontext(client "require"))
      local c, s, set, why, cr = resume(ctx, server, session(ctx, server))
      assert.is_true(set, why)
      assert.is_true(cr[1], cr[2])
      assert.is_true(c:sessionreused())
      assert.is_nil(c:getocsp())
      assert.is_true(c:getpeerverification())
      c:close()
      s:close()
    end)

    it("does not resume what was checked less", function()
      local server = assert(ssl.newcontext(S.server()))
      for _, mode in ipairs { "request", "nothing" } do
        local found = session(assert(ssl.newcontext(client(mode ~= "nothing" and mode or nil))), server)
        local c, s, set, why, cr = resume(assert(ssl.newcontext(client "require")), server, found)
        assert.is_nil(set)
        assert.equal("the session is of a context that verifies in another way", why)
        refused("missing", cr[1], cr[2], cr[3])
        c:close()
        s:close()
      end
    end)

    it("does not resume what it went on with in spite of the response", function()
      local server = assert(ssl.newcontext(revokedserver()))
      local ctx = assert(ssl.newcontext(client("request", { verifyext = "lsec_continue" })))
      local c, s, set, _, cr = resume(ctx, server, session(ctx, server))
      assert.is_nil(set)
      assert.is_true(cr[1])
      assert.is_false(c:sessionreused())
      assert.is_false((c:getpeerverification()))
      c:close()
      s:close()
    end)

    it("resumes by itself what was checked, and only that", function()
      local server = assert(ssl.newcontext(S.server { ocsp = good }))
      local ctx = assert(ssl.newcontext(client("request", { sessions = true, servername = "localhost" })))
      local listener = assert(socket.bind("127.0.0.1", 0))
      local _, port = listener:getsockname()
      local function reused()
        local c = assert(ssl.wrap(assert(socket.connect("127.0.0.1", port)), ctx))
        local s = assert(ssl.wrap(assert(listener:accept()), server))
        c:settimeout(0)
        s:settimeout(0)
        local cr = S.shake(c, s)
        assert.is_true(cr[1], cr[2])
        S.transfer(s, c, "hello")
        local resumed, answer = c:sessionreused(), c:getocsp()
        c:close()
        s:close()
        assert.equal(resumed, answer == nil)
        return resumed
      end
      assert.is_false(reused())
      assert.is_true(reused())
      assert.is_true(ctx:setocsp("require"))
      assert.is_false(reused())
      assert.is_true(reused())
      -- A revocation that was passed over is looked at again each time.
      server = assert(ssl.newcontext(revokedserver()))
      ctx = assert(ssl.newcontext(client("require", { sessions = true, servername = "localhost",
        verifyext = "lsec_continue" })))
      for _ = 1, 3 do assert.is_false(reused()) end
      listener:close()
    end)

    it("changes its mind for the connections to come", function()
      local ctx = assert(ssl.newcontext(client(nil)))
      local server = assert(ssl.newcontext(S.server()))
      local function ok()
        local c, cr = try(ctx, server)
        c:close()
        return cr[1]
      end
      assert.is_true(ok())
      assert.is_true(ctx:setocsp("require"))
      assert.is_false(ok())
      assert.is_true(ctx:setocsp("request"))
      assert.is_true(ok())
      assert.is_true(ctx:setocsp("require"))
      assert.is_true(ctx:setocsp(nil))
      assert.is_true(ok())
      assert.is_true(server:setocsp(good))
      local c, cr = try(ctx, server)
      assert.is_true(cr[1])
      assert.is_nil(c:getocsp())
      c:close()
    end)
  end)
end

describe("conn:getocsp", function()
  it("answers in every state", function()
    local c, s = S.wrapped(S.client { ocsp = "request" }, S.server { ocsp = good })
    for _, conn in ipairs { c, s } do
      local answer, message, detail = conn:getocsp()
      assert.is_nil(answer)
      assert.equal("closed", message)
      assert.equal("closed", detail.kind)
    end
    S.shake(c, s)
    assert.equal("good", c:getocsp().status)
    assert.same({ nil }, { s:getocsp() })
    s:close()
    assert.equal("good", c:getocsp().status)
    c:close()
    assert.same({ nil, "closed" }, { S.unpack(S.pack(c:getocsp()), 1, 2) })
    S.raises("SSL:Connection expected", c.getocsp, {})
  end)

  -- With TLS 1.3 the response comes along with the certificate that is then refused.
  it("answers after the server's certificate was refused", function()
    for _, intermediate in ipairs { false, true } do
      local name = intermediate and "chainA" or "serverA"
      local response = intermediate and kit.craft { cert = "chainA-leaf", issuer = "interA" } or good
      local c, s = S.wrapped(S.client { cafile = S.cert "rootB", ocsp = "request", protocol = "tlsv1_3" },
        S.server { certificate = S.cert(name), key = S.cert(name .. "key"), ocsp = function() return response end })
      local cr = S.shake(c, s)
      assert.equal("certificate verify failed", cr[2])
      local answer = c:getocsp()
      assert.equal(response, answer.der)
      assert.equal("successful", answer.response)
      assert.equal("good", answer.status)
      assert.is_nil(answer.reason)
      assert.is_nil(answer.revocationtime)
      assert.equal(intermediate and "good" or "noissuer", answer.verdict)
      s:close()
      c:close()
    end
  end)

  it("keeps the handshake's verdict", function()
    local soon = kit.craft { cert = "serverA", nextupdate = -298 } -- in grace for two seconds more
    local server, port, file = kit.openssl("serverA", soon)
    local conn, ok, message = kit.connect(port, S.client { ocsp = "require" })
    assert.is_true(ok, message)
    local late = kit.certificate "serverA"
    S.poll(function() return not late:ocspcheck(kit.certificate "rootA", soon).verified end)
    assert.is_true(conn:getocsp().verified)
    conn:close()
    kit.stop(server, file)
  end)
end)

describe("ctx:setocsp on a client", function()
  it("refuses what it does not know", function()
    local ctx = assert(ssl.newcontext(S.client()))
    local bad = { required = "required", REQUEST = "REQUEST", [""] = "", ["request\0"] = "request\\0" }
    for value, shown in pairs(bad) do
      local ok, message, detail = ctx:setocsp(value)
      assert.is_false(ok)
      assert.equal("invalid ocsp (request or require expected, got " .. shown .. ")", message)
      assert.equal("config", detail.kind)
    end
    for _, value in ipairs { 1, {}, print, true, ctx } do
      assert.same({ false, "invalid ocsp (request or require expected, got " .. type(value) .. ")" },
        { S.unpack(S.pack(ctx:setocsp(value)), 1, 2) })
    end
    S.finalize(ctx)
    S.raises("context is closed", ctx.setocsp, ctx, "request")
  end)

  it("wants a mode", function()
    local ctx = assert(require("ssl.context").create("any"))
    assert.same({ false, "the context needs a mode before ocsp" }, { S.unpack(S.pack(ctx:setocsp("request")), 1, 2) })
  end)
end)
