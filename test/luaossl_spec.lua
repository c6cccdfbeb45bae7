-- Contexts and connections made by luaossl (SSL_CTX* and SSL* userdata) under ssl.wrap and ssl.core.create: whole
-- handshakes in both roles (Q5), data, callbacks of either library, collection in either order.

local support = require "support"
local ssl = require "ssl"
local core = require "ssl.core"

local found, ossl_context = pcall(require, "openssl.ssl.context")
local version = (_VERSION == "Lua 5.1" and rawget(_G, "jit")) and "LuaJIT" or _VERSION

describe("luaossl", function()
  if not found then
    pending("is not installed for " .. version .. ": " .. tostring(ossl_context):match("[^\n]*"))
    return
  end

  local ossl_ssl = require "openssl.ssl"
  local pkey = require "openssl.pkey"
  local x509 = require "openssl.x509"
  local x509store = require "openssl.x509.store"

  local function serverctx()
    local ctx = ossl_context.new("TLS", true)
    ctx:setCertificate(x509.new(support.pem("serverA")))
    ctx:setPrivateKey(pkey.new(support.pem("serverAkey")))
    return ctx
  end

  local function clientctx()
    local ctx = ossl_context.new("TLS", false)
    local store = x509store.new()
    store:add(support.cert("rootA")) -- a path: luaossl leaks certificate objects that are added
    ctx:setStore(store)
    ctx:setVerify(ossl_context.VERIFY_PEER)
    return ctx
  end

  it("connections that ask for an OCSP response can be asked for it", function()
    local good = require("ocspkit").craft { cert = "serverA" }
    local client = ossl_ssl.new(clientctx(), false)
    client:setTLSextStatusType("ocsp")
    local c, s = support.wrapped(client, support.server { ocsp = good })
    local cr = support.shake(c, s)
    assert.is_true(cr[1], cr[2])
    local answer = c:getocsp()
    assert.same({ "good", true, good }, { answer.status, answer.verified, answer.der })
    c:close()
    s:close()
  end)

  local function use(c, s)
    local cr, sr = support.shake(c, s)
    assert.same({ true }, cr)
    assert.same({ true }, sr)
    assert.equal("ping", support.transfer(c, s, "ping"))
    assert.equal("pong", support.transfer(s, c, "pong"))
    assert.is_true(c:getpeerverification())
    assert.equal("TLSv1.3", c:info("protocol"))
    assert.matches("CERTIFICATE", c:getpeercertificate():pem())
  end

  local function finish(c, s)
    c:close()
    local _, err, _, detail = support.receive(s)
    assert.same({ "closed", "closed" }, { err, detail.kind })
    s:close()
  end

  it("context works as client, as server and as both", function()
    for _, made in ipairs {
      { clientctx(), support.server() }, { support.client(), serverctx() }, { clientctx(), serverctx() },
    } do
      local c, s = support.wrapped(made[1], made[2])
      made = nil -- luacheck: ignore
      support.collect()
      use(c, s)
      finish(c, s)
    end
  end)

  it("context serves many connections, interleaved", function()
    local cctx, sctx = clientctx(), serverctx()
    local c1, s1 = support.wrapped(cctx, sctx)
    local c2, s2 = support.wrapped(cctx, sctx)
    c1:dohandshake()
    use(c2, s2)
    use(c1, s1)
    finish(c1, s1)
    finish(c2, s2)
  end)

  it("context's failures are told as ours are", function()
    local ctx = ossl_context.new("TLS", false)
    ctx:setVerify(ossl_context.VERIFY_PEER)
    local c, s = support.wrapped(ctx, serverctx())
    local cr, sr = support.shake(c, s)
    assert.same({ false, "certificate verify failed", "verify" }, { cr[1], cr[2], cr[3].kind })
    assert.same({ false, "tlsv1 alert unknown ca", "alert" }, { sr[1], sr[2], sr[3].kind })
    c:close()
    s:close()
  end)

  it("context answers sni with our contexts", function()
    local c, s = support.wrapped(clientctx(), serverctx())
    c:sni("chain.test")
    s:sni({ ["chain.test"] = assert(ssl.newcontext(support.server {
      certificate = support.cert("chainA"), key = support.cert("chainAkey") })) }, true)
    use(c, s)
    assert.equal("chain.test", s:getsniname())
    assert.equal(2, #c:getpeerchain())
    finish(c, s)
    -- Its callback stays on the context and knows a connection without a map.
    c, s = support.wrapped(clientctx(), serverctx())
    c:sni("chain.test")
    use(c, s)
    finish(c, s)
  end)

  it("context can be in an SNI map only if it is ours", function()
    local c, s = support.wrapped(clientctx(), serverctx())
    assert.has_error(function() s:sni({ ["a.test"] = serverctx() }) end)
    c:close()
    s:close()
  end)

  it("connection works in both roles, kept or dropped by luaossl", function()
    for _, keep in ipairs { true, false } do
      local a, b = support.tcp()
      local cssl = ossl_ssl.new(clientctx())
      local sssl = ossl_ssl.new(serverctx())
      cssl:setHostName("server.test")
      local c, s = assert(ssl.wrap(a, cssl)), assert(ssl.wrap(b, sssl))
      if not keep then
        cssl, sssl = nil, nil
        support.collect()
      end
      c:settimeout(0)
      s:settimeout(0)
      use(c, s)
      assert.equal("server.test", s:getsniname())
      if keep then assert.equal("TLSv1.3", cssl:getVersion() == 0x304 and "TLSv1.3" or cssl:getVersion()) end
      finish(c, s)
      support.collect()
      assert.is_true(cssl == nil or sssl ~= nil)
    end
  end)

  it("connection whose handshake luaossl has begun is ended by ours", function()
    local client = ossl_ssl.new(clientctx())
    local c, s = support.tcp()
    local conn = assert(core.create(client))
    conn:settimeout(0)
    core.setfd(conn, c:getfd())
    local peer = assert(ssl.wrap(s, support.server()))
    peer:settimeout(0)
    assert.equal("wantread", select(2, conn:dohandshake()))
    local again = assert(core.create(client)) -- in the middle of it
    local cr, sr = support.shake(conn, peer)
    assert.is_true(cr[1], cr[2])
    assert.is_true(sr[1], sr[2])
    assert.equal("data", support.transfer(peer, conn, "data"))
    c:setfd(-1)
    again:close()
    conn:close()
    peer:close()
  end)

  it("connection shared by two of ours survives the end of one", function()
    local a, b = support.tcp()
    local cssl, sssl = ossl_ssl.new(clientctx()), ossl_ssl.new(serverctx())
    local first = assert(core.create(sssl))
    local c, s = assert(ssl.wrap(a, cssl)), assert(ssl.wrap(b, sssl))
    c:settimeout(0)
    s:settimeout(0)
    first:close()
    c:sni("chain.test")
    s:sni({ ["chain.test"] = assert(ssl.newcontext(support.server {
      certificate = support.cert("chainA"), key = support.cert("chainAkey") })) })
    use(c, s)
    assert.equal(2, #c:getpeerchain())
    local third = assert(core.create(cssl))
    assert.equal("TLSv1.3", third:info("protocol"))
    assert.equal(-1, third:getfd())
    finish(c, s)
    third:close()
  end)

  it("connection whose peer is not verified tells its depth and subject", function()
    local a, b = support.tcp()
    local ctx = ossl_context.new("TLS", false)
    ctx:setVerify(ossl_context.VERIFY_PEER)
    local c, s = assert(ssl.wrap(a, ossl_ssl.new(ctx))), assert(ssl.wrap(b, support.server()))
    c:settimeout(0)
    s:settimeout(0)
    local cr = support.shake(c, s)
    assert.equal("certificate verify failed", cr[2])
    local ok, why = c:getpeerverification()
    assert.is_false(ok)
    assert.matches("certificate", why)
    c:close()
    s:close()
  end)
end)
