-- Contexts and connections made by luaossl in place of our own: wrap and core.create take both. Skipped where luaossl
-- is not installed.

local T = require "compat.tools"
local support = require "support"
local ssl = require "ssl"

local found = pcall(require, "openssl.ssl.context")
local test = found and it or function(name) pending(name .. " (needs luaossl)") end
local context = found and require "openssl.ssl.context"

local function contexts()
  local server = context.new("TLS", true)
  server:setCertificate(require "openssl.x509".new(support.pem "serverA"))
  server:setPrivateKey(require "openssl.pkey".new(support.pem "serverAkey"))
  return context.new("TLS", false), server
end

local function exchange(client, server)
  local c, s = support.wrapped(client, server)
  local cr, sr = support.shake(c, s)
  assert.is_true(cr[1], cr[2])
  assert.is_true(sr[1], sr[2])
  assert.equal("ping", support.transfer(c, s, "ping"))
  assert.equal("pong", support.transfer(s, c, "pong"))
  T.close(c, s)
end

describe("compat luaossl", function()
  test("contexts are taken by wrap", function()
    local client, server = contexts()
    local c, s = support.wrapped(client, server)
    T.close(c, s)
  end)

  test("contexts shake hands with each other", function() exchange(contexts()) end)

  test("contexts shake hands with ours", function()
    local client, server = contexts()
    exchange(client, support.server())
    exchange(support.client(), server)
  end)

  test("connections shake hands", function()
    local client, server = contexts()
    local ossl = require "openssl.ssl"
    exchange(ossl.new(client), ossl.new(server))
  end)

  test("contexts take a map of names", function()
    local _, server = contexts()
    local c, s = support.wrapped(support.anyclient(), server)
    s:sni { ["b.test"] = ssl.newcontext(support.server { certificate = support.cert "serverB",
      key = support.cert "serverBkey" }) }
    c:sni "b.test"
    local cr, sr = support.shake(c, s)
    assert.is_true(cr[1], cr[2])
    assert.is_true(sr[1], sr[2])
    assert.equal(ssl.loadcertificate(support.pem "serverB"):pem(), c:getpeercertificate():pem())
    T.close(c, s)
  end)

  test("contexts may be collected before the connections", function()
    local c, s = support.wrapped(contexts())
    support.collect()
    local cr, sr = support.shake(c, s)
    assert.is_true(cr[1], cr[2])
    assert.is_true(sr[1], sr[2])
    T.close(c, s)
  end)
end)
