-- DANE: conn:setdane and conn:settlsa, through handshakes. RFC 6698, RFC 7671.

local S = require "support"

local function server(name)
  return S.server { certificate = S.cert(name), key = S.cert(name .. "key") }
end

describe("DANE", function()
  local function openssl(command)
    local p = assert(io.popen("openssl " .. command))
    local out = p:read("*a")
    p:close()
    return out
  end

  local function spki(name)
    return openssl("x509 -in " .. S.cert(name) .. " -noout -pubkey | openssl pkey -pubin -outform DER")
  end

  local function digest(hash, bytes)
    local path = S.tmpfile(bytes)
    local out = openssl("dgst -" .. hash .. " -binary " .. path)
    os.remove(path)
    return out
  end

  local function cert(name) return openssl("x509 -in " .. S.cert(name) .. " -outform DER") end

  -- Handshakes with `name`, the client set up by f; its results and getpeerverification.
  local function dane(f, name, extra)
    local cfg = S.client { cafile = S.cert("rootB"), dane = true }
    for k, v in pairs(extra or {}) do cfg[k] = v end
    local c, s = S.wrapped(cfg, server(name or "serverA"))
    f(c)
    local sni
    local cr = S.shake(c, s)
    if cr[1] then sni = s:getsniname() end
    local v = S.pack(c:getpeerverification())
    c:close()
    s:close()
    return cr, v, sni
  end

  -- usage, selector, matching type, data, certificate, CA, accepted
  local records = {
    { 3, 1, 1, digest("sha256", spki "serverA"), "serverA", "rootB", true },
    { 3, 1, 2, digest("sha512", spki "serverA"), "serverA", "rootB", true },
    { 3, 1, 0, spki "serverA", "serverA", "rootB", true },
    { 3, 0, 1, digest("sha256", cert "serverA"), "serverA", "rootB", true },
    { 3, 0, 0, cert "serverA", "serverA", "rootB", true },
    { 3, 1, 1, digest("sha256", spki "serverB"), "serverA", "rootB", false },
    { 3, 1, 1, digest("sha256", spki "serverB"), "serverA", "rootA", false },
    { 3, 0, 1, digest("sha256", spki "serverA"), "serverA", "rootB", false },
    { 3, 1, 1, digest("sha256", spki "selfsigned"), "selfsigned", "rootB", true },
    { 3, 1, 1, digest("sha256", spki "expired"), "expired", "rootB", true }, -- RFC 7671 section 5.1
    { 2, 1, 1, digest("sha256", spki "interA"), "chainA", "rootB", true },
    { 2, 1, 1, digest("sha256", spki "rootB"), "chainA", "rootB", false },
    { 1, 1, 1, digest("sha256", spki "serverA"), "serverA", "rootA", true },
    { 1, 1, 1, digest("sha256", spki "serverA"), "serverA", "rootB", false },
    { 0, 0, 1, digest("sha256", cert "rootA"), "serverA", "rootA", true },
    { 0, 0, 1, digest("sha256", cert "rootB"), "serverA", "rootA", false },
  }
  for i, r in ipairs(records) do
    it(("record %d: TLSA %d %d %d, %s, %s: %s"):format(i, r[1], r[2], r[3], r[5], r[6], tostring(r[7])), function()
      local cr, v, sni = dane(function(c)
        assert.is_true(c:setdane("localhost"))
        assert.is_true(c:settlsa(r[1], r[2], r[3], r[4]))
      end, r[5], { cafile = S.cert(r[6]) })
      assert.equal(r[7], cr[1])
      assert.equal(r[7], v[1])
      if r[7] then
        assert.equal("localhost", sni)
      else
        assert.equal("certificate verify failed", cr[2])
        assert.equal("verify", cr[3].kind)
        if r[6] == "rootA" then assert.equal("no matching DANE TLSA records", v[2]) end
      end
    end)
  end

  local right = digest("sha256", spki "serverA")
  local wrong = digest("sha256", spki "serverB")

  for _, version in ipairs { "tlsv1_2", "tlsv1_3" } do
    it("vouches for no session of a context that goes by CAs over " .. version, function()
      local cfg = { protocol = version, certificate = S.cert "serverA", key = S.cert "serverAkey" }
      local sctx = assert(S.ssl.newcontext(S.server(cfg)))
      local c, s = S.wrapped(S.client { cafile = S.cert "rootB", dane = true }, sctx)
      assert.is_true(c:setdane("localhost"))
      assert.is_true(c:settlsa(3, 1, 1, digest("sha256", spki "serverA")))
      assert.is_true(S.shake(c, s)[1])
      s:send("x")
      assert.equal("x", (S.receive(c, 1)))
      local session = assert(c:getsession())
      c:close()
      s:close()
      c, s = S.wrapped(S.client { cafile = S.cert "rootB" }, sctx)
      assert.is_nil((c:setsession(session)))
      assert.is_false(S.shake(c, s)[1])
      c:close()
      s:close()
    end)
  end

  it("tells a mismatch in the table of lsec_continue", function()
    local cr, v = dane(function(c)
      c:setdane("localhost")
      c:settlsa(3, 1, 1, wrong)
    end, "serverA", { cafile = S.cert("rootA"), verifyext = "lsec_continue" })
    assert.is_true(cr[1])
    assert.same({ false, { { "no matching DANE TLSA records" } }, n = 2 }, v)
  end)

  it("takes one record of several", function()
    local cr = dane(function(c)
      c:setdane("localhost")
      assert.is_true(c:settlsa(3, 1, 1, wrong))
      assert.is_true(c:settlsa(3, 1, 1, right))
    end)
    assert.is_true(cr[1])
  end)

  it("checks the name too, but for no_ee_namechecks", function()
    local function other(c)
      assert.is_true(c:setdane("other.test"))
      assert.is_true(c:settlsa(3, 1, 1, right))
    end
    local cr, v = dane(other)
    assert.is_false(cr[1])
    assert.same({ false, "hostname mismatch", n = 2 }, v)
    cr = dane(other, "serverA", { dane = { "no_ee_namechecks" } })
    assert.is_true(cr[1])
  end)

  it("without records is ordinary verification", function()
    local cr = dane(function(c) c:setdane("localhost") end)
    assert.is_false(cr[1])
    cr = dane(function(c) c:setdane("localhost") end, "serverA", { cafile = S.cert("rootA") })
    assert.is_true(cr[1])
    cr = dane(function(c) c:setdane("other.test") end, "serverA", { cafile = S.cert("rootA") })
    assert.is_false(cr[1])
  end)

  it("needs a context with dane", function()
    local c, s = S.wrapped()
    assert.is_false(c:setdane("localhost"))
    assert.is_false(c:settlsa(3, 1, 1, right))
    c:close()
    s:close()
  end)

  it("is refused names that no certificate can carry", function()
    local c, s = S.wrapped(S.client { dane = true })
    c:sni("localhost")
    for _, name in ipairs { "", ".test", "localhost\0.evil.test", "\0", ("x"):rep(2 ^ 20) } do
      assert.same({ false, n = 1 }, S.pack(c:setdane(name)))
    end
    S.raises("string expected, got no value", c.setdane, c)
    c:close()
    s:close()
  end)

  it("Q26 settlsa refuses numbers out of range and data of the wrong length", function()
    local c, s = S.wrapped(S.client { dane = true })
    assert.is_false(c:settlsa(3, 1, 1, right)) -- before setdane
    assert.is_true(c:setdane("localhost"))
    for _, bad in ipairs { { 259, 1, 1 }, { 3, 257, 1 }, { 3, 1, 257 }, { -253, 1, 1 }, { 3, -255, 1 },
      { 3, 1, -255 }, { 3.5, 1, 1 }, { 3, 1.5, 1 }, { 3, 1, 1.5 }, { 4, 1, 1 }, { 255, 1, 1 }, { 3, 2, 1 },
      { 3, 1, 3 }, { 2 ^ 40, 1, 1 }, { 0 / 0, 1, 1 }, { 1 / 0, 1, 1 } } do
      assert.same({ false, n = 1 }, S.pack(c:settlsa(bad[1], bad[2], bad[3], right)))
    end
    for _, data in ipairs { "", right:sub(1, -2), right .. "x", ("x"):rep(2 ^ 20) } do
      assert.is_false(c:settlsa(3, 1, 1, data))
    end
    assert.is_false(c:settlsa(3, 1, 0, "no public key"))
    assert.is_false(c:settlsa(3, 0, 0, "no certificate"))
    assert.is_true(c:settlsa("3", "1", "1", right))
    S.raises("bad argument #", c.settlsa, c, "x", 1, 1, right)
    S.raises("bad argument #", c.settlsa, c, 3, {}, 1, right)
    S.raises("bad argument #", c.settlsa, c, 3, 1, nil, right)
    S.raises("bad argument #", c.settlsa, c, 3, 1, 1)
    S.raises("bad argument #", c.settlsa, c, 3, 1, 1, {})
    assert.is_true(S.shake(c, s)[1])
    c:close()
    s:close()
  end)

  it("Q4 answers false once connected and once closed", function()
    local c, s = S.connected(S.client { dane = true })
    for _ = 1, 2 do
      assert.is_false(c:setdane("localhost"))
      assert.is_false(c:settlsa(3, 1, 1, right))
      c:close()
    end
    s:close()
  end)
end)
