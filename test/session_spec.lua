-- Client sessions: taken, exported, loaded, resumed; never across contexts that verify differently.

local S = require "support"
local ssl = S.ssl
local der = require "der"

-- A context for each side, kept for several connections.
local function contexts(version, client, server)
  server = S.server(server)
  server.protocol = version
  return assert(ssl.newcontext(S.client(client))), assert(ssl.newcontext(server))
end

-- One connection from cctx to sctx that offers `session`; the session it ends with, was one resumed, the pair.
local function visit(cctx, sctx, session)
  local c, s = S.wrapped(cctx, sctx)
  if session then assert(c:setsession(session)) end
  local cr, sr = S.shake(c, s)
  assert(cr[1] and sr[1], tostring(cr[2]) .. " " .. tostring(sr[2]))
  -- TLS 1.3 tickets come with the first data.
  s:send("x")
  assert.equal("x", (S.receive(c, 1)))
  assert.equal(c:sessionreused(), s:sessionreused())
  return c:getsession(), c:sessionreused(), c, s
end

-- A session's export, an SSL_SESSION in DER, with the certificate of a file in its field 3 in place of `old`.
local function withcertificate(export, old, name)
  local at, last = export:find(old, 1, true)
  local new = ssl.loadcertificate(S.pem(name)):der()
  local first = at - #der.tlv(0xa3, old) + #old -- where the field begins
  local body = export:sub(#der.seq(export) - #export + 1, first - 1)
  return der.seq(body, der.tlv(0xa3, new), export:sub(last + 1))
end

describe("client sessions", function()
  for _, version in ipairs { "tlsv1_2", "tlsv1_3" } do
    it("resume over " .. version, function()
      local cctx, sctx = contexts(version)
      local session, resumed = visit(cctx, sctx)
      assert.is_false(resumed)
      assert.matches("^SSL session: ", tostring(session))
      local again, second, c = visit(cctx, sctx, session)
      assert.is_true(second)
      assert.is_true(c:info("resumed"))
      assert.is_true(c:getpeerverification())
      assert.equal("serverA", c:getpeercertificate():subject()[3].value)
      local _, third = visit(cctx, sctx, again)
      assert.is_true(third)
    end)

    it("resume after export and load over " .. version, function()
      local cctx, sctx = contexts(version)
      local text = assert(visit(cctx, sctx):export())
      local session = assert(ssl.loadsession(text))
      assert.equal(text, session:export())
      assert.is_true(session:lifetime() > 0)
      -- Another context with the same settings verifies alike.
      local other = assert(ssl.newcontext(S.client()))
      local _, resumed = visit(other, sctx, session)
      assert.is_true(resumed)
    end)

    it("resume with a client certificate over " .. version, function()
      local cctx, sctx = contexts(version, { certificate = S.cert("clientA"), key = S.cert("clientAkey") },
        { verify = { "peer", "fail_if_no_peer_cert" }, cafile = S.cert("rootA") })
      local session = visit(cctx, sctx)
      local _, resumed, _, s = visit(cctx, sctx, session)
      assert.is_true(resumed)
      assert.is_true(s:getpeerverification())
      assert.is_truthy(s:getpeercertificate())
    end)

    it("fall back to a full handshake at another server over " .. version, function()
      local cctx, sctx = contexts(version)
      local session = visit(cctx, sctx)
      local _, other = contexts(version)
      local _, resumed = visit(cctx, other, session)
      assert.is_false(resumed)
    end)

    it("are not taken to a context that verifies in another way over " .. version, function()
      local cctx, sctx = contexts(version)
      local session = visit(cctx, sctx)
      local lax = visit(assert(ssl.newcontext(S.anyclient())), sctx)
      for _, row in ipairs {
        { session, S.anyclient() }, { session, S.client { cafile = S.cert("bundleAB") } },
        { session, S.client { servername = "localhost" } }, { session, S.client { depth = 3 } },
        { session, S.client { verifyext = "lsec_continue" } }, { lax, S.client() },
      } do
        local c, s = S.wrapped(row[2], sctx)
        local ok, message, detail = c:setsession(row[1])
        assert.is_nil(ok)
        assert.equal("the session is of a context that verifies in another way", message)
        assert.equal("config", detail.kind)
        assert.is_true(S.shake(c, s)[1] or not row[2].servername)
        c:close()
        s:close()
      end
    end)

    it("end with the certificate that was verified over " .. version, function()
      local cctx, sctx = contexts(version)
      local session, _, c = visit(cctx, sctx)
      local function of(name)
        return assert(ssl.loadsession(withcertificate(session:export(), c:getpeercertificate():der(), name)))
      end
      local _, resumed = visit(cctx, sctx, of "serverA")
      assert.is_true(resumed)
      _, resumed = visit(cctx, sctx, of "expired")
      assert.is_false(resumed)
      local lax = assert(ssl.newcontext(S.anyclient()))
      session, _, c = visit(lax, sctx)
      _, resumed = visit(lax, sctx, of "expired")
      assert.is_true(resumed) -- nobody asks for its certificate there
    end)

    it("carry a bad verdict along over " .. version, function()
      local bad = { certificate = S.cert("selfsigned"), key = S.cert("selfsignedkey") }
      local cctx, sctx = contexts(version, { verifyext = "lsec_continue" }, bad)
      local session, _, first = visit(cctx, sctx)
      local ok, verdict = first:getpeerverification()
      assert.is_false(ok)
      assert.is_table(verdict)
      local _, resumed, second = visit(cctx, sctx, session)
      assert.is_true(resumed)
      ok, verdict = second:getpeerverification()
      assert.is_false(ok)
      assert.is_string(verdict[1][1])
    end)
  end

  it("are nil while there is none, and on servers", function()
    local c = S.wrapped()
    assert.same({ nil, "closed" }, { S.unpack({ c:getsession() }, 1, 2) })
    assert.is_false(c:sessionreused())
    local s
    c, s = S.connected(S.client { protocol = "tlsv1_3" }, S.server { options = "no_ticket" })
    assert.is_nil(s:getsession())
    c:close()
    assert.same({ nil, "closed" }, { S.unpack({ c:getsession() }, 1, 2) })
  end)

  it("are set before the handshake of a client only", function()
    local cctx, sctx = contexts("any")
    local session, _, c, s = visit(cctx, sctx)
    for _, conn in ipairs { c, s, (select(2, S.wrapped(cctx, sctx))) } do
      local ok, message = conn:setsession(session)
      assert.is_nil(ok)
      assert.equal("a session can only be set on a client before its handshake", message)
    end
    assert.error_matches(function() S.wrapped():setsession("x") end, "SSL:Session expected")
    assert.error_matches(function() S.wrapped():setsession() end, "SSL:Session expected")
  end)

  it("outlive their connection and context, and close once", function()
    local session
    do
      local cctx, sctx = contexts("any")
      session = visit(cctx, sctx)
    end
    S.collect()
    assert.is_string(session:export())
    S.finalize(session)
    S.finalize(session)
    assert.error_matches(function() session:export() end, "session is closed")
    assert.error_matches(function() S.wrapped():setsession(session) end, "session is closed")
    assert.matches("^SSL session: ", tostring(session))
  end)

  it("that are garbage are refused", function()
    local cctx, sctx = contexts("any")
    local text = visit(cctx, sctx):export()
    for _, bad in ipairs { "", "x", ("x"):rep(1024 * 1024), text:sub(1, -2), text .. "x", text:sub(2), "\0",
      "-----BEGIN SSL SESSION PARAMETERS-----\nAAAA\n-----END SSL SESSION PARAMETERS-----\n" } do
      local session, message, detail = ssl.loadsession(bad)
      assert.is_nil(session)
      assert.matches("^error loading session %(", message)
      assert.equal("config", detail.kind)
    end
    assert.error_matches(function() ssl.loadsession() end, "string expected")
  end)

  it("are not asked for a password on the terminal", function()
    local out = S.terminal(pending, [[
      local name = "SSL SESSION PARAMETERS-----\n"
      print(require("ssl").loadsession("-----BEGIN " .. name .. "Proc-Type: 4,ENCRYPTED\n" ..
        "DEK-Info: AES-256-CBC,00112233445566778899AABBCCDDEEFF\n\nMTIzNDU2Nzg5MDEyMzQ1Ng==\n-----END " .. name))]])
    assert.matches("^nil\terror loading session", out)
    assert.is_nil(out:find("pass phrase", 1, true))
  end)

  it("that are cut or changed at any byte resume, fall back or are refused, and never crash", function()
    local cctx, sctx = contexts("tlsv1_3")
    local text = visit(cctx, sctx):export()
    for i = 1, #text, 7 do
      local changed = text:sub(1, i - 1) .. string.char((text:byte(i) + 1) % 256) .. text:sub(i + 1)
      local session = ssl.loadsession(changed)
      if session then
        local c, s = S.wrapped(cctx, sctx)
        if c:setsession(session) then
          local cr = S.shake(c, s)
          assert.is_true(cr[1] or type(cr[2]) == "string")
        end
        c:close()
        s:close()
      end
    end
  end)
end)
