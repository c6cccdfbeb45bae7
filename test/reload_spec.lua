-- ctx:reload: certificates replaced while connections run, all or nothing.

local S = require "support"
local context = require "ssl.context"
local ssl = S.ssl

local function pair(name) return { certificate = S.cert(name), key = S.cert(name .. "key") } end

local function name(cert)
  local subject = cert:subject()
  return subject[#subject].value
end

-- Whose certificate a new handshake with this server shows; `clientcfg` may narrow down what the client takes.
local function shown(ctx, clientcfg, sni)
  local c, s = S.wrapped(S.anyclient(clientcfg), ctx)
  if sni then
    c:sni(sni.name)
    s:sni(sni.map)
  end
  local cr, sr = S.shake(c, s)
  assert.is_true(cr[1], cr[2])
  assert.is_true(sr[1], sr[2])
  local who, chain = name(c:getpeercertificate()), #c:getpeerchain()
  c:close()
  s:close()
  return who, chain
end

local function refused(text, ctx, cfg)
  local ok, message, detail = ctx:reload(cfg)
  assert.is_nil(ok)
  assert.equal(text, message)
  assert.equal("table", type(detail))
  assert.equal("string", type(detail.kind))
  assert.equal("serverA", shown(ctx))
  return detail
end

describe("ctx:reload", function()
  for _, version in ipairs { "tlsv1_2", "tlsv1_3" } do
    it("gives new handshakes the new certificate, running connections go on: " .. version, function()
      local ctx = assert(ssl.newcontext(S.server { protocol = version }))
      local c, s = S.connected(S.client(), ctx)
      assert.is_true(ctx:reload(pair "serverB"))
      assert.equal("serverB", shown(ctx))
      assert.equal("serverA", name(s:getlocalcertificate()))
      assert.equal("hello", S.transfer(c, s, "hello"))
      assert.equal("hello", S.transfer(s, c, "hello"))
      assert.is_true(ctx:reload(pair "serverA"))
      assert.equal("serverA", shown(ctx))
    end)
  end

  it("leaves a connection that waits for its handshake the certificate that it was made with", function()
    local ctx = assert(ssl.newcontext(S.server()))
    local c, s = S.wrapped(S.client(), ctx)
    assert.is_true(ctx:reload(pair "serverB"))
    local cr = S.shake(c, s)
    assert.is_true(cr[1], cr[2])
    assert.equal("serverA", name(c:getpeercertificate()))
  end)

  it("takes PEM text, a key with a password, a password function, PKCS#12", function()
    local ctx = assert(ssl.newcontext(S.server(pair "serverB")))
    assert.is_true(ctx:reload { certificate = S.pem "serverA", key = S.pem "serverAkey" })
    assert.equal("serverA", shown(ctx))
    for _, password in ipairs { "secret", function() return "secret" end } do
      assert.is_true(ctx:reload(pair "serverB"))
      assert.is_true(ctx:reload {
        certificate = S.cert "serverA", key = S.cert "serverAkey-encrypted", password = password })
      assert.equal("serverA", shown(ctx))
    end
    assert.is_true(ctx:reload(pair "serverB"))
    assert.is_true(ctx:reload { pkcs12 = { file = S.cert "serverA.p12", password = "secret" } })
    assert.equal("serverA", shown(ctx))
  end)

  it("replaces the chain too, also by none", function()
    local ctx = assert(ssl.newcontext(S.server { certificate = S.cert "chainA", key = S.cert "chainAkey" }))
    assert.equal(2, select(2, shown(ctx)))
    assert.is_true(ctx:reload(pair "serverB"))
    assert.equal(1, select(2, shown(ctx)))
    assert.is_true(ctx:reload(pair "chainA"))
    assert.equal(2, select(2, shown(ctx)))
  end)

  it("replaces by key type: another type is added beside", function()
    local rsa, ec = { sigalgs = "RSA-PSS+SHA256" }, { sigalgs = "ECDSA+SHA256" }
    local ctx = assert(ssl.newcontext(S.server()))
    assert.is_true(ctx:reload(pair "rsa"))
    assert.equal("rsa", shown(ctx, rsa))
    assert.equal("serverA", shown(ctx, ec))
    assert.is_true(ctx:reload { certificates = { pair "serverB", pair "rsa" } })
    assert.equal("rsa", shown(ctx, rsa))
    assert.equal("serverB", shown(ctx, ec))
  end)

  it("reads a file anew each time", function()
    local cert, key = S.tmpfile(S.pem "serverA"), S.tmpfile(S.pem "serverAkey")
    local ctx = assert(ssl.newcontext(S.server { certificate = cert, key = key }))
    local function put(path, text)
      local f = assert(io.open(path, "wb"))
      f:write(text)
      f:close()
    end
    put(cert, S.pem "serverB")
    put(key, S.pem "serverBkey")
    assert.equal("serverA", shown(ctx))
    assert.is_true(ctx:reload { certificate = cert, key = key })
    os.remove(cert)
    os.remove(key)
    assert.equal("serverB", shown(ctx))
  end)

  it("works on a context that SNI selects, whose connections were made before", function()
    local base = assert(ssl.newcontext(S.server(pair "serverB")))
    local ctx = assert(ssl.newcontext(S.server()))
    local sni = { name = "a.test", map = { ["a.test"] = ctx } }
    assert.equal("serverA", shown(base, nil, sni))
    assert.is_true(ctx:reload(pair "wildcard"))
    assert.are_not.equal("serverA", shown(base, nil, sni))
    assert.equal("serverB", shown(base))
    local c, s = S.wrapped(S.anyclient(), base)
    c:sni "a.test"
    s:sni { ["a.test"] = ctx }
    assert.is_true(ctx:reload(pair "serverA"))
    S.shake(c, s)
    assert.equal("serverA", name(c:getpeercertificate()))
  end)

  it("works on a client", function()
    local server = S.server { verify = { "peer", "fail_if_no_peer_cert" }, cafile = S.cert "rootA" }
    local ctx = assert(ssl.newcontext(S.client(pair "clientB")))
    local c, s = S.wrapped(ctx, server)
    assert.is_false(select(2, S.shake(c, s))[1])
    assert.is_true(ctx:reload(pair "clientA"))
    c, s = S.wrapped(ctx, server)
    assert.is_true(select(2, S.shake(c, s))[1])
    assert.equal("clientA", name(s:getpeercertificate()))
  end)

  it("goes on resuming sessions of before", function()
    local ctx = assert(ssl.newcontext(S.server { protocol = "tlsv1_2" }))
    local client = assert(ssl.newcontext(S.anyclient()))
    local c = S.connected(client, ctx)
    local session = assert(c:getsession())
    assert.is_true(ctx:reload(pair "serverB"))
    local s
    c, s = S.wrapped(client, ctx)
    assert.is_true(c:setsession(session))
    local cr = S.shake(c, s)
    assert.is_true(cr[1], cr[2])
    assert.is_true(c:sessionreused())
  end)

  it("judges by the security level of the context", function()
    local ctx = assert(ssl.newcontext(S.server()))
    refused("error loading certificate (ee key too small)", ctx, pair "rsa1024")
    assert.is_true(context.setcipher(ctx, "DEFAULT:@SECLEVEL=0"))
    assert.is_true(ctx:reload(pair "rsa1024"))
  end)
end)

describe("ctx:reload leaves everything as it was for", function()
  local ctx
  before_each(function() ctx = assert(ssl.newcontext(S.server())) end)

  it("a key of another certificate", function()
    refused("private key does not match public key", ctx,
      { certificate = S.cert "serverB", key = S.cert "serverAkey" })
    refused("private key does not match public key", ctx, { certificate = S.cert "rsa", key = S.cert "serverAkey" })
  end)

  it("files that cannot be read, and junk", function()
    local detail = refused("error loading certificate (No such file or directory)", ctx,
      { certificate = "nowhere.pem", key = S.cert "serverBkey" })
    assert.equal("system", detail.kind)
    assert.equal("nowhere.pem", detail.file)
    refused("error loading private key (No such file or directory)", ctx,
      { certificate = S.cert "serverB", key = "nowhere.pem" })
    refused("error loading certificate (no start line)", ctx,
      { certificate = S.cert "junk", key = S.cert "serverBkey" })
    refused("error loading certificate (bad end line)", ctx, { certificate = S.cert "cut", key = S.cert "serverBkey" })
    refused("error loading private key (Is a directory)", ctx,
      { certificate = S.cert "serverB", key = S.cert "capath" })
    local _, message = ctx:reload { certificate = "", key = "" }
    assert.matches("error loading private key", message)
    refused("error loading PKCS#12 (no PKCS#12, or cut short)", ctx, { pkcs12 = { data = ("x"):rep(1000000) } })
  end)

  it("a password that is wrong, missing, of a wrong type, or whose function raises", function()
    local function with(password)
      return { certificate = S.cert "serverA", key = S.cert "serverAkey-encrypted", password = password }
    end
    refused("error loading private key (the key is encrypted and no password was given)", ctx, with(nil))
    refused("invalid password type", ctx, with(true))
    local detail = refused("error loading private key (password callback failed: oh no)", ctx,
      with(function() error("oh no", 0) end))
    assert.equal("callback", detail.kind)
    for _, password in ipairs { "wrong", function() return 42 end, function() end, function() coroutine.yield() end } do
      local ok, message = ctx:reload(with(password))
      assert.is_nil(ok)
      assert.matches("^error loading private key %(", message)
      assert.equal("serverA", shown(ctx))
    end
    refused("error loading PKCS#12 (wrong password)", ctx, { pkcs12 = { file = S.cert "serverA.p12", password = "x" } })
  end)

  it("one bad certificate among good ones", function()
    refused("private key does not match public key", ctx, { certificates = {
      pair "serverB", { certificate = S.cert "rsa", key = S.cert "serverBkey" } } })
    refused("error loading certificate (ee key too small)", ctx, { certificates = { pair "serverB", pair "rsa1024" } })
  end)

  it("half of a pair", function()
    refused("reload needs certificate and key, or pkcs12", ctx, { certificate = S.cert "serverB" })
    refused("reload needs certificate and key, or pkcs12", ctx, { key = S.cert "serverBkey" })
    refused("reload needs certificate and key, or pkcs12", ctx, {})
    refused("reload needs certificate and key, or pkcs12", ctx, { certificates = { pair "serverB", {} } })
    refused("invalid certificates (empty array)", ctx, { certificates = {} })
    refused("invalid certificates (array of tables expected, got string)", ctx, { certificates = "x" })
    refused("invalid certificates (tables expected, got string)", ctx, { certificates = { "x" } })
    refused("pkcs12 takes the place of key and certificate", ctx,
      { certificate = S.cert "serverB", key = S.cert "serverBkey", pkcs12 = { file = S.cert "serverA.p12" } })
  end)

  it("settings that it does not change", function()
    refused("reload changes the certificate and its key, not 'verify'", ctx, { verify = "peer" })
    refused("unknown setting 'certifcate': did you mean 'certificate'?", ctx, { certifcate = "x" })
    refused("reload changes the certificate and its key, not '1'", ctx, { "x" })
  end)

  it("a context that the password function closes", function()
    local ok, message, detail = ctx:reload { certificate = S.cert "serverA", key = S.cert "serverAkey-encrypted",
      password = function()
        S.finalize(ctx)
        return "secret"
      end }
    assert.is_nil(ok)
    assert.equal("the context was closed while its certificate was loaded", message)
    assert.equal("config", detail.kind)
  end)

  it("arguments that are none, which raise", function()
    S.raises("table expected, got nil", ctx.reload, ctx)
    S.raises("table expected, got string", ctx.reload, ctx, "serverB.pem")
    S.raises("SSL:Context expected", ctx.reload, {}, pair "serverB")
    S.finalize(ctx)
    S.raises("context is closed", ctx.reload, ctx, pair "serverB")
  end)
end)

describe("ctx:reload under load", function()
  it("never fails a handshake", function()
    local ctx = assert(ssl.newcontext(S.server()))
    local client = assert(ssl.newcontext(S.anyclient()))
    local names, seen = { "serverB", "rsa", "serverA" }, {}
    for i = 1, 100 do
      local c, s = S.wrapped(client, ctx)
      c:dohandshake() -- its hello is on the way
      local want = names[i % 3 + 1]
      if i % 2 == 0 then s:dohandshake() end
      assert.is_true(ctx:reload(pair(want)))
      assert.is_nil((ctx:reload { certificate = S.cert "serverB", key = S.cert "serverAkey" }))
      local cr, sr = S.shake(c, s)
      assert.is_true(cr[1], cr[2])
      assert.is_true(sr[1], sr[2])
      assert.equal("data", S.transfer(c, s, "data"))
      seen[name(c:getpeercertificate())] = true
      c:close()
      s:close()
    end
    assert.is_true(seen.serverA)
    assert.is_true(seen.serverB)
  end)

  it("takes no memory", function()
    local grown = S.growth([[
      local ctx = assert(S.ssl.newcontext(S.server()))
      return function()
        assert(ctx:reload { certificate = S.cert "chainA", key = S.cert "chainAkey" })
        assert(ctx:reload { pkcs12 = { file = S.cert "serverA.p12", password = "secret" } })
        assert(not ctx:reload { certificate = S.cert "serverB", key = S.cert "serverAkey" })
      end
    ]], 100, 400)
    assert.is_true(grown < 1024, grown)
  end)
end)
