-- Verification inside the handshake: verdicts, what getpeerverification tells of them in each state, LuaSec's lsec_
-- flags, verify modes of servers, revocation, depth, and what an SNI map changes. DANE is in dane_spec.

local S = require "support"
local release = require "release"
local ssl = S.ssl

local ISSUER, FIRST = "unable to get local issuer certificate", "unable to verify the first certificate"
local NOCRL = "unable to get certificate CRL"
local SELF = "self-signed certificate"
local PURPOSE = "unsuitable certificate purpose"
local EXPIRED, NOTYET = "certificate has expired", release.notyet

local function key(name) return S.cert((name:gsub("%-leaf$", "")) .. "key") end

local function server(name, extra)
  local cfg = S.server { certificate = S.cert(name), key = key(name) }
  for k, v in pairs(extra or {}) do cfg[k] = v end
  return cfg
end

-- Settings of a client that trusts nobody and verifies nothing but shows a certificate.
local function shows(name)
  if not name then return S.anyclient() end
  return S.anyclient { certificate = S.cert(name), key = key(name) }
end

-- Handshakes; what the side named says: its handshake's results and its getpeerverification.
local function verdict(side, clientcfg, servercfg)
  local c, s = S.wrapped(clientcfg, servercfg)
  local cr, sr = S.shake(c, s)
  local conn, r = c, cr
  if side == "server" then
    conn, r = s, sr
  elseif cr[1] then
    -- In TLS 1.3 the client is done before the server has looked at its certificate.
    c:receive(1)
  end
  local v = S.pack(conn:getpeerverification())
  c:close()
  s:close()
  return r, v
end

local versions = { "tlsv1_2", "tlsv1_3" }

describe("verification", function()
  -- certificate of the server; without flags; with lsec_continue: errors by depth. nil: accepted.
  local rows = {
    { "serverA" },
    { "chainA" },
    { "rsa" },
    { "ed25519" },
    { "serverB", ISSUER, { { ISSUER, FIRST } } },
    { "expired", EXPIRED, { { EXPIRED } } },
    { "notyet", NOTYET, { { NOTYET } } },
    { "selfsigned", SELF, { { SELF } } },
    { "chainA-leaf", ISSUER, { { ISSUER, FIRST } } },
    { "clientA", PURPOSE, { { PURPOSE } } },
    { "interA", PURPOSE, { { PURPOSE } }, { "tlsv1_3" } }, -- its key usage suits no cipher of TLS 1.2
  }
  for _, row in ipairs(rows) do
    local name, why, log = row[1], row[2], row[3]
    describe("of " .. name .. " by a client", function()
      for _, version in ipairs(row[4] or versions) do
        it("with peer, " .. version, function()
          local r, v = verdict("client", S.client { protocol = version }, server(name))
          assert.equal(why == nil, r[1])
          if not why then return assert.same({ true, n = 1 }, v) end
          assert.equal("certificate verify failed", r[2])
          assert.equal("verify", r[3].kind)
          assert.equal(why, r[3].reason)
          assert.equal(0, r[3].depth)
          assert.is_true(r[3].code > 0)
          assert.matches("CN=" .. (name == "chainA-leaf" and "chainA" or name) .. "$", r[3].subject)
          assert.same({ false, why, n = 2 }, v)
        end)
      end

      it("with none: goes on, and tells", function()
        local r, v = verdict("client", S.client { verify = "none" }, server(name))
        assert.is_true(r[1])
        assert.same(why and { false, why, n = 2 } or { true, n = 1 }, v)
      end)

      it("with lsec_continue: goes on, and tells all", function()
        local r, v = verdict("client", S.client { verifyext = "lsec_continue" }, server(name))
        assert.is_true(r[1])
        assert.same(log and { false, log, n = 2 } or { true, n = 1 }, v)
      end)

      it("with lsec_ignore_purpose: fails, and tells in a table", function()
        local r, v = verdict("client", S.client { verifyext = "lsec_ignore_purpose" }, server(name))
        assert.equal(why == nil, r[1])
        assert.same(why and { false, { { why } }, n = 2 } or { true, n = 1 }, v)
      end)
    end)
  end

  it("names the depth of a certificate that is not the leaf", function()
    local r, v = verdict("client", S.client { cafile = S.cert("rootA-crl"), verifyext = { "crl_check_chain" } },
      server "chainA")
    assert.equal("certificate verify failed", r[2])
    assert.equal(NOCRL, r[3].reason)
    assert.same({ false, NOCRL, n = 2 }, v)
    r, v = verdict("client", S.client { cafile = S.cert("rootA"), verifyext = { "crl_check_chain", "lsec_continue" } },
      server "chainA")
    assert.is_true(r[1])
    -- From 3.6 on nobody asks for a list about the root.
    assert.same({ false, { { NOCRL }, { NOCRL }, not release.since(3, 6) and { NOCRL } or nil }, n = 2 }, v)
  end)

  it("is not confused by a chain in the wrong order", function()
    local path = S.tmpfile(S.pem("chainA-leaf") .. S.pem("rootB") .. S.pem("rootA") .. S.pem("interA"))
    finally(function() os.remove(path) end)
    local r, v = verdict("client", S.client(), S.server { certificate = path, key = S.cert("chainAkey") })
    assert.is_true(r[1])
    assert.same({ true, n = 1 }, v)
    local ctx, err = ssl.newcontext(S.server { certificate = S.cert("reversedA"), key = S.cert("chainAkey") })
    assert.is_nil(ctx)
    assert.equal("private key does not match public key", err)
  end)

  it("tells each depth of a foreign chain", function()
    local path = S.tmpfile(S.pem("serverB") .. S.pem("rootB"))
    finally(function() os.remove(path) end)
    local r, v = verdict("client", S.client { verifyext = "lsec_continue" },
      S.server { certificate = path, key = S.cert("serverBkey") })
    assert.is_true(r[1])
    assert.same({ false, { [2] = { "self-signed certificate in certificate chain" } }, n = 2 }, v)
    r, v = verdict("client", S.client(), S.server { certificate = path, key = S.cert("serverBkey") })
    assert.equal("certificate verify failed", r[2])
    assert.equal(1, r[3].depth)
    assert.matches("CN=rootB$", r[3].subject)
    assert.same({ false, "self-signed certificate in certificate chain", n = 2 }, v)
  end)

  it("counts intermediates for depth", function()
    local TOOLONG = "certificate chain too long"
    local cases = { { "chainA", 0, TOOLONG }, { "chainA", 1 }, { "chainA", 9 }, { "serverA", 0 }, { "serverA", 5 } }
    for _, case in ipairs(cases) do
      local r, v = verdict("client", S.client { depth = case[2] }, server(case[1]))
      assert.equal(case[3] == nil, r[1])
      assert.same(case[3] and { false, case[3], n = 2 } or { true, n = 1 }, v)
    end
  end)

  describe("of revocation", function()
    local CRL = S.cert("rootA-crl")
    -- verifyext, CA file, certificate, error
    local cases = {
      { "crl_check", S.cert("rootA"), "serverA", NOCRL },
      { "crl_check_chain", S.cert("rootA"), "serverA", NOCRL },
      { "crl_check", CRL, "serverA" },
      { "crl_check_chain", CRL, "serverA" },
      { "crl_check", CRL, "revoked", "certificate revoked" },
      { "crl_check_chain", CRL, "revoked", "certificate revoked" },
      { "crl_check", S.cert("rootA-crl-empty"), "revoked" },
      { "crl_check", CRL, "chainA", NOCRL },
      { "lsec_ignore_purpose", CRL, "revoked" },
    }
    for _, case in ipairs(cases) do
      it(("%s, %s: %s"):format(case[1], case[3], case[4] or "accepted") .. " " .. case[2]:match("[^/]*$"), function()
        local r, v = verdict("client", S.client { verifyext = { case[1] }, cafile = case[2] }, server(case[3]))
        assert.equal(case[4] == nil, r[1])
        assert.same(case[4] and { false, case[4], n = 2 } or { true, n = 1 }, v)
      end)
    end
  end)

  describe("by a server", function()
    local ABSENT = "peer did not return a certificate"
    local FAILED = "certificate verify failed"
    -- verify, verifyext, the client's certificate; what ends the handshake, what getpeerverification says (true: true)
    local cases = {
      { false, false, nil, nil, true },
      { false, false, "clientA", nil, true },
      { "none", false, "clientB", nil, true },
      { "fail_if_no_peer_cert", false, nil, nil, true },
      { "client_once", false, "clientB", nil, true },
      { "peer", false, nil, nil, true },
      { "peer", false, "clientA", nil, true },
      { "peer", false, "clientB", FAILED, ISSUER },
      { { "peer", "fail_if_no_peer_cert" }, false, nil, ABSENT, ABSENT },
      { { "peer", "fail_if_no_peer_cert" }, false, "clientA", nil, true },
      { { "fail_if_no_peer_cert", "peer" }, false, "selfsigned", FAILED, SELF },
      { { "peer", "client_once" }, false, "clientA", nil, true },
      { { "peer", "client_once", "fail_if_no_peer_cert", "none" }, false, "clientB", FAILED, ISSUER },
      { { "peer", "fail_if_no_peer_cert" }, "lsec_continue", nil, ABSENT, ABSENT },
      { { "peer", "fail_if_no_peer_cert" }, "lsec_continue", "clientB", nil, { { ISSUER, FIRST } } },
      { "peer", "lsec_continue", "expired", nil, { { EXPIRED } } },
      { "peer", "lsec_continue", nil, nil, true },
      { "peer", "lsec_continue", "clientA", nil, true },
      { "peer", "lsec_ignore_purpose", "clientA", FAILED, { { PURPOSE } } }, -- Q15
      { "peer", "lsec_ignore_purpose", "serverA", nil, true },
      { "peer", { "lsec_continue", "lsec_ignore_purpose" }, "clientA", nil, { { PURPOSE } } },
    }
    for _, case in ipairs(cases) do
      local mode, ext, name, fatal, said = case[1], case[2], case[3], case[4], case[5]
      local function text(t) return type(t) == "table" and table.concat(t, "+") or tostring(t) end
      for _, version in ipairs(versions) do
        it(("Q15 Q23 %s, %s, %s, %s: %s"):format(text(mode), text(ext), name or "no certificate", version,
          fatal or "accepted"), function()
          local r, v = verdict("server", shows(name), S.server { protocol = version, cafile = S.cert("rootA"),
            verify = mode, verifyext = ext })
          assert.equal(fatal == nil, r[1])
          if fatal then
            assert.equal(fatal, r[2])
            assert.equal(fatal == FAILED and "verify" or "protocol", r[3].kind)
          end
          assert.same(said == true and { true, n = 1 } or { false, said, n = 2 }, v)
        end)
      end
    end

    it("tells the client by an alert, in TLS 1.3 after its handshake", function()
      local c, s = S.wrapped(shows "clientB", S.server { cafile = S.cert("rootA"), verify = "peer" })
      local cr = S.shake(c, s)
      assert.is_true(cr[1])
      local data, err, partial, detail = S.receive(c, "*l")
      assert.is_nil(data)
      assert.equal("tlsv1 alert unknown ca", err)
      assert.equal("", partial)
      assert.equal("alert", detail.kind)
      c:close()
      s:close()
    end)
  end)

  describe("getpeerverification", function()
    it("answers in every state", function()
      local c, s = S.wrapped()
      assert.same({ false, "closed", n = 2 }, S.pack(c:getpeerverification()))
      c:dohandshake()
      assert.same({ false, "closed", n = 2 }, S.pack(c:getpeerverification()))
      S.shake(c, s)
      assert.same({ true, n = 1 }, S.pack(c:getpeerverification()))
      assert.same({ true, n = 1 }, S.pack(s:getpeerverification()))
      c:close()
      assert.same({ false, "closed", n = 2 }, S.pack(c:getpeerverification()))
      S.receive(s, "*a")
      assert.same({ true, n = 1 }, S.pack(s:getpeerverification()))
      s:close()
      assert.same({ false, "closed", n = 2 }, S.pack(s:getpeerverification()))
    end)

    it("answers after a failed handshake with the reason, whatever it was", function()
      local c, s = S.wrapped(S.client { protocol = "tlsv1_2" }, S.server { protocol = "tlsv1_3" })
      S.shake(c, s)
      assert.same({ false, "tlsv1 alert protocol version", n = 2 }, S.pack(c:getpeerverification()))
      assert.same({ false, "unsupported protocol", n = 2 }, S.pack(s:getpeerverification()))
      c:close()
      assert.same({ false, "closed", n = 2 }, S.pack(c:getpeerverification()))
      s:close()
    end)

    it("gives a fresh table each time", function()
      local c, s = S.connected(S.client { cafile = S.cert("rootB"), verifyext = "lsec_continue" })
      local _, first = c:getpeerverification()
      first[1][1] = "changed"
      first[7] = {}
      local _, second = c:getpeerverification()
      assert.same({ { ISSUER, FIRST } }, second)
      c:close()
      s:close()
    end)

    it("follows the flags at the time of the handshake", function()
      local ctx = assert(ssl.newcontext(S.client { cafile = S.cert("rootB"), verifyext = "lsec_continue" }))
      local c, s = S.connected(ctx)
      ctx:setverifyext()
      assert.same({ false, { { ISSUER, FIRST } }, n = 2 }, S.pack(c:getpeerverification()))
      c:close()
      s:close()
      local r, v = verdict("client", ctx, S.server())
      assert.is_false(r[1])
      assert.same({ false, ISSUER, n = 2 }, v)
    end)

    it("raises for anything but a connection", function()
      local c, s = S.wrapped()
      for _, method in ipairs { c.getpeerverification, c.setdane, c.settlsa } do
        S.raises("SSL:Connection expected, got table", method, {})
        S.raises("bad argument #1", method)
      end
      c:close()
      s:close()
    end)
  end)

  describe("after an SNI map has selected another context", function()
    local function connect(name, clientname, default, mapped)
      local c, s = S.wrapped(shows(clientname), S.server(default))
      c:sni(name)
      s:sni { ["mapped.test"] = assert(ssl.newcontext(S.server(mapped))) }
      local _, sr = S.shake(c, s)
      local v = S.pack(s:getpeerverification())
      c:close()
      s:close()
      return sr, v
    end

    local strict = { "peer", "fail_if_no_peer_cert" }

    it("Q13 its trust store counts", function()
      local default = { cafile = S.cert("rootB"), verify = strict }
      local mapped = { cafile = S.cert("rootA") }
      assert.is_true(connect("mapped.test", "clientA", default, mapped)[1])
      assert.is_false(connect("mapped.test", "clientB", default, mapped)[1])
      assert.is_false(connect("other.test", "clientA", default, mapped)[1])
      assert.is_true(connect("other.test", "clientB", default, mapped)[1])
    end)

    it("Q13 its lsec_ flags count", function()
      local default = { cafile = S.cert("rootA"), verify = strict }
      local sr, v = connect("mapped.test", "clientB", default, { verifyext = "lsec_continue" })
      assert.is_true(sr[1])
      assert.same({ false, { { ISSUER, FIRST } }, n = 2 }, v)
      sr, v = connect("other.test", "clientB", default, { verifyext = "lsec_continue" })
      assert.is_false(sr[1])
      assert.same({ false, ISSUER, n = 2 }, v)
      default.verifyext = "lsec_continue"
      sr, v = connect("mapped.test", "clientB", default, { cafile = S.cert("rootA") })
      assert.is_false(sr[1])
      assert.same({ false, ISSUER, n = 2 }, v)
    end)

    it("Q13 the verify mode is that of the context given to wrap", function()
      local sr = connect("mapped.test", nil, { cafile = S.cert("rootA"), verify = strict }, {})
      assert.equal("peer did not return a certificate", sr[2])
      sr = connect("mapped.test", nil, {}, { cafile = S.cert("rootA"), verify = strict })
      assert.is_true(sr[1])
    end)
  end)

  it("keeps a bounded log of a chain with endless errors", function()
    local pems = { S.pem "expired" }
    for i = 2, 60 do pems[i] = S.pem "rootB" end
    local path = S.tmpfile(table.concat(pems))
    finally(function() os.remove(path) end)
    local r, v = verdict("client", S.client { verifyext = { "lsec_continue", "crl_check_chain" }, depth = 100 },
      S.server { certificate = path, key = S.cert("expiredkey") })
    assert.is_true(r[1])
    assert.is_false(v[1])
    assert.is_table(v[2][1])
  end)
end)

describe("an anonymous cipher", function()
  local anonymous = { mode = "server", protocol = "tlsv1_2", ciphers = "aNULL:@SECLEVEL=0" }

  local function client(extra)
    extra.ciphers = "ALL:@SECLEVEL=0"
    return S.client(extra)
  end

  it("is no server for a client that verifies", function()
    for _, extra in ipairs { {}, { servername = "localhost" }, { verify = "client_once" } } do
      local cr, v = verdict("client", client(extra), anonymous)
      assert.same({ false, "the server sent no certificate" }, { cr[1], cr[2] })
      assert.equal("verify", cr[3].kind)
      assert.matches("!aNULL", cr[3].hint)
      assert.is_false(v[1])
    end
  end)

  it("is told by lsec_continue, and resumes with the same verdict", function()
    local cctx, sctx = assert(ssl.newcontext(client { verifyext = "lsec_continue" })), assert(ssl.newcontext(anonymous))
    local session
    for _ = 1, 2 do
      local c, s = S.wrapped(cctx, sctx)
      if session then assert(c:setsession(session)) end
      assert.is_true(S.shake(c, s)[1])
      assert.equal(session ~= nil, c:sessionreused())
      local ok, problems = c:getpeerverification()
      assert.is_false(ok)
      assert.same({ { "application verification failure" } }, problems)
      session = c:getsession()
      c:close()
      s:close()
    end
  end)

  it("is a client's own business when it verifies nobody", function()
    assert.is_true((verdict("client", S.anyclient { ciphers = "ALL:@SECLEVEL=0" }, anonymous))[1])
  end)
end)
