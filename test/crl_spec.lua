-- CA certificates as text (cadata) and revocation lists (crlfile, crldata): whom they let in, what they refuse, and
-- that they stay the context's own.

local S = require "support"
local context = require "ssl.context"
local ssl = S.ssl

local function any() return (assert(context.create "any")) end

local function path(name) return S.certdir .. "/" .. name end

-- True, or false, message, verification.
local function meet(clientcfg, name)
  local ok, message, _, why = S.meet(clientcfg, name)
  return ok, message, why
end

local function accepts(cfg, name)
  local ok, err = meet(cfg, name)
  assert.is_nil(err)
  assert.is_true(ok)
end

local function refuses(reason, cfg, name)
  local ok, err, why = meet(cfg, name)
  assert.is_false(ok)
  assert.equal("certificate verify failed", err)
  assert.truthy(why:find(reason, 1, true))
end

local function failed(prefix, reason, ok, err, detail)
  assert.is_false(ok)
  assert.equal(("%s (%s)"):format(prefix, reason), err)
  assert.is_table(detail)
  return detail
end

-- Settings of a client with no CA but those in `extra`.
local function client(extra)
  extra.cafile = extra.cafile or S.NONE
  return S.client(extra)
end

describe("cadata", function()
  it("is trusted, one certificate or many, with text between", function()
    local a, b = S.pem("rootA"), S.pem("rootB")
    for _, text in ipairs { a, " \n" .. a, "words\n" .. a .. "words\n", (a:gsub("\n", "\r\n")),
      a .. S.pem("rootAkey") } do
      accepts(client { cadata = text })
      refuses("local issuer certificate", client { cadata = text }, "serverB")
    end
    accepts(client { cadata = a .. b })
    accepts(client { cadata = a .. b }, "serverB")
    accepts(client { cadata = a .. a .. a })
  end)

  it("adds up with cafile and capath", function()
    accepts(client { cadata = S.pem("rootA"), cafile = S.cert("rootB") })
    accepts(client { cadata = S.pem("rootA"), cafile = S.cert("rootB") }, "serverB")
    accepts(client { cadata = S.pem("rootB"), capath = S.cert("capath") })
    accepts(client { cadata = S.pem("rootB"), capath = S.cert("capath") }, "serverB")
  end)

  it("counts as a CA: the system's are not trusted beside it, unless asked for", function()
    ssl.set_system_ca(S.cert("rootB"))
    finally(function() ssl.set_system_ca(nil) end)
    refuses("local issuer certificate", client { cadata = S.pem("rootA") }, "serverB")
    accepts(client { cadata = S.pem("rootA"), cafile = "system" }, "serverB")
    accepts(client { cadata = S.pem("rootA"), cafile = "system" })
    ssl.set_system_ca(false)
    accepts(client { cadata = S.pem("rootA") })
  end)

  it("lets clients into a server", function()
    for ca, expected in pairs { rootA = true, rootB = false } do
      local _, sr = S.try(S.client { certificate = S.cert("clientA"), key = S.cert("clientAkey") },
        S.server { verify = { "peer", "fail_if_no_peer_cert" }, cadata = S.pem(ca) })
      assert.equal(expected, sr[1])
    end
  end)

  it("stays out of other contexts that use the same file", function()
    for _ = 1, 3 do
      accepts(client { cafile = S.cert("rootA"), cadata = S.pem("rootB") }, "serverB")
      refuses("local issuer certificate", client { cafile = S.cert("rootA") }, "serverB")
    end
  end)

  it("survives a file that is loaded later", function()
    local ctx = any()
    context.setmode(ctx, "client")
    context.setverify(ctx, "peer")
    assert.is_true(context.cadata(ctx, S.pem("rootA")))
    assert.is_true(context.locations(ctx, S.cert("rootB")))
    accepts(ctx)
    accepts(ctx, "serverB")
  end)

  it("is refused as a whole when any of it is broken", function()
    local prefix = "error loading CA data"
    for text, reason in pairs {
      [""] = "no certificate in PEM found", junk = "no certificate in PEM found",
      [("x"):rep(2 ^ 22)] = "no certificate in PEM found", [S.pem("rootAkey")] = "no certificate in PEM found",
      [S.pem("crlA")] = "no certificate in PEM found", [S.read(path "serverA.der")] = "no certificate in PEM found",
      [S.pem("cut")] = "bad end line", [S.pem("rootA") .. S.pem("cut")] = "bad end line",
      [S.pem("rootA") .. S.pem("badbase64")] = "bad base64 decode",
    } do
      local ctx = assert(ssl.newcontext(client { cafile = S.cert("rootB") }))
      local detail = failed(prefix, reason, context.cadata(ctx, text))
      assert.equal("config", detail.kind)
      assert.is_nil(detail.file)
      refuses("local issuer certificate", ctx)
    end
    for kind, value in pairs { number = 5, table = {}, boolean = true } do
      local ctx, err, detail = ssl.newcontext(client { cadata = value })
      assert.is_nil(ctx)
      assert.equal(("invalid cadata (string expected, got %s)"):format(kind), err)
      assert.equal("config", detail.kind)
    end
  end)
end)

describe("revocation lists", function()
  local der
  setup(function()
    der = S.tmpfile ""
    os.execute(("openssl crl -in %s -outform DER -out %s"):format(S.cert("crlA"), der))
  end)
  teardown(function() os.remove(der) end)

  local function sources()
    return { { crldata = S.pem("crlA") }, { crlfile = S.cert("crlA") }, { crlfile = der },
      { crlfile = S.cert("rootA-crl") }, { crldata = S.pem("rootA") .. S.pem("crlA") .. S.pem("crlA") },
      { crldata = S.pem("crlA-empty"), crlfile = S.cert("crlA") } }
  end

  local function with(extra, more)
    local cfg = S.client(extra)
    for k, v in pairs(more or {}) do cfg[k] = v end
    return cfg
  end

  it("refuse who is revoked, from every source, and nobody else", function()
    for _, source in ipairs(sources()) do
      accepts(with(source))
      refuses("certificate revoked", with(source), "revoked")
    end
    accepts(S.client(), "revoked")
    accepts(with { crldata = S.pem("crlA-empty") }, "revoked")
  end)

  it("work with every way to name the CA", function()
    local crl = S.pem("crlA")
    for _, ca in ipairs { { cafile = S.cert("rootA") }, { cafile = S.NONE, cadata = S.pem("rootA") },
      { cafile = S.NONE, capath = S.cert("capath") } } do
      local cfg = S.client(ca)
      cfg.crldata = crl
      accepts(cfg)
      refuses("certificate revoked", cfg, "revoked")
    end
    ssl.set_system_ca(S.cert("rootA"))
    finally(function() ssl.set_system_ca(nil) end)
    for _, cafile in ipairs { "system", S.NONE } do
      local cfg = S.client { cafile = cafile }
      cfg.crldata = crl
      accepts(cfg)
      refuses("certificate revoked", cfg, "revoked")
    end
  end)

  it("check the leaf alone, the whole chain when crl_check_chain says so", function()
    local source = { crldata = S.pem("crlA") }
    refuses("unable to get certificate CRL", with(source, { cafile = S.cert("rootB") }), "serverB")
    accepts(with(source, { verifyext = "crl_check_chain" }))
    refuses("certificate revoked", with(source, { verifyext = "crl_check_chain" }), "revoked")
    refuses("unable to get certificate CRL", with(source), "chainA")
  end)

  it("keep revoked clients out of a server", function()
    for name, expected in pairs { clientA = true, revoked = false } do
      local _, sr = S.try(S.client { certificate = S.cert(name), key = S.cert(name .. "key") },
        S.server { verify = { "peer", "fail_if_no_peer_cert" }, cafile = S.cert("rootA"), crlfile = S.cert("crlA") })
      assert.equal(expected, sr[1])
    end
  end)

  it("stay out of other contexts that use the same file", function()
    for _ = 1, 3 do
      refuses("certificate revoked", with { crldata = S.pem("crlA") }, "revoked")
      accepts(S.client(), "revoked")
      refuses("unable to get certificate CRL", with { verifyext = "crl_check" })
    end
  end)

  it("survive a file that is loaded later, and do not count as a CA", function()
    local ctx = any()
    context.setmode(ctx, "client")
    context.setverify(ctx, "peer")
    assert.is_true(context.crls(ctx, nil, S.pem("crlA")))
    refuses("local issuer certificate", ctx)
    assert.is_true(context.locations(ctx, S.cert("rootA")))
    accepts(ctx)
    refuses("certificate revoked", ctx, "revoked")
  end)

  it("are refused when there is none, or a broken one", function()
    local prefix, none = "error loading revocation list", "no revocation list found"
    local bytes = S.read(der)
    local broken = "the file is neither PEM nor one whole revocation list in DER"
    for text, reason in pairs { [""] = none, junk = none, [S.pem("rootA")] = none, [("x"):rep(2 ^ 22)] = none,
      [S.pem("crlA"):sub(1, 200)] = "bad end line", [S.pem("crlA") .. S.pem("crlA"):sub(1, 200)] = "bad end line" } do
      failed(prefix, reason, context.crls(any(), nil, text))
      local name = S.tmpfile(text)
      local detail = failed(prefix, reason, context.crls(any(), name))
      os.remove(name)
      assert.equal(name, detail.file)
    end
    failed(prefix, none, context.crls(any(), nil, bytes))
    failed(prefix, broken, context.crls(any(), path "serverA.der"))
    for _, n in ipairs { 4, 40, #bytes - 1 } do
      local name = S.tmpfile(bytes:sub(1, n))
      failed(prefix, broken, context.crls(any(), name))
      os.remove(name)
    end
    assert.equal("system", failed(prefix, "No such file or directory", context.crls(any(), "/nowhere")).kind)
    assert.equal("system", failed(prefix, "Is a directory", context.crls(any(), S.certdir)).kind)
    failed(prefix, "the path contains a NUL byte", context.crls(any(), "a\0b"))
    local _, err = ssl.newcontext(S.client { crlfile = 5 })
    assert.equal("invalid crlfile (string expected, got number)", err)
    _, err = ssl.newcontext(S.client { crldata = {} })
    assert.equal("invalid crldata (string expected, got table)", err)
  end)

  it("and CA data are part of what a client's session is bound to", function()
    local sctx = assert(ssl.newcontext(S.server { protocol = "tlsv1_2" }))
    local function visit(cfg, session)
      local c, s = S.wrapped(cfg, sctx)
      local taken = session == nil or c:setsession(session)
      local cr = S.shake(c, s)
      assert.is_true(cr[1])
      local new, resumed = c:getsession(), c:sessionreused()
      c:close()
      s:close()
      return new, taken and resumed or false
    end
    local plain = S.client()
    local list = { plain, with { crldata = S.pem("crlA") }, with { crldata = S.pem("crlA-empty") },
      with { cadata = S.pem("rootB") }, with { cafile = S.NONE, cadata = S.pem("rootA") } }
    for i, cfg in ipairs(list) do
      local session = visit(cfg)
      for j, other in ipairs(list) do
        local _, resumed = visit(other, session)
        assert.equal(i == j, resumed, i .. " " .. j)
      end
    end
  end)
end)
