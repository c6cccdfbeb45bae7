-- sni and getsniname: names a client sends, maps a server chooses contexts by, strictness, and what the chosen context
-- supplies.

local T = require "compat.tools"
local support = require "support"
local ssl = require "ssl"

local pack, cert = support.pack, support.cert

local function context(name, extra)
  return assert(ssl.newcontext(support.server(T.join({ certificate = cert(name), key = cert(name .. "key") }, extra))))
end

--- The common name of the certificate that the client saw.
local function seen(c)
  for _, entry in ipairs(c:getpeercertificate():subject()) do
    if entry.name == "commonName" then return entry.value end
  end
end

--- A client that sends `name` (or none) and a server with `map`; both results and both connections.
local function shake(name, map, strict, default, clientcfg)
  local c, s = support.wrapped(clientcfg or support.anyclient(), default or context "serverA")
  if name then c:sni(name) end
  if map then s:sni(map, strict) end
  local cr, sr = support.shake(c, s)
  return cr, sr, c, s
end

local function chosen(...)
  local cr, sr, c, s = shake(...)
  if not (cr[1] and sr[1]) then error("handshake failed: " .. tostring(cr[2]) .. ", " .. tostring(sr[2]), 2) end
  local name = seen(c)
  T.close(c, s)
  return name
end

describe("compat sni of a client", function()
  it("sends the name and returns nothing", function()
    local c, s = support.wrapped(support.anyclient())
    T.returned(pack(c:sni("server.test")))
    local cr, sr = support.shake(c, s)
    assert.is_true(cr[1] and sr[1])
    T.returned(pack(c:getsniname()), "server.test")
    assert.equal("server.test", s:getsniname())
    T.close(c, s)
  end)

  it("sends a name as it is written", function()
    for _, name in ipairs { "MiXed.Test", "localhost" } do
      local _, _, c, s = shake(name)
      assert.equal(name, s:getsniname())
      T.close(c, s)
    end
  end)

  it("is the last name that was set", function()
    local c, s = support.wrapped(support.anyclient())
    c:sni("one.test")
    c:sni("two.test")
    support.shake(c, s)
    assert.equal("two.test", s:getsniname())
    T.close(c, s)
  end)

  it("sends none by itself", function()
    local _, _, c, s = shake()
    assert.is_nil(c:getsniname())
    assert.is_nil(s:getsniname())
    T.close(c, s)
  end)

  it("raises for anything but a string", function()
    local c, s = support.wrapped(support.anyclient())
    T.raises("bad argument", c.sni, c)
    T.raises("bad argument", c.sni, c, {})
    T.raises("bad argument", c.sni, c, true)
    T.close(c, s)
  end)
end)

describe("compat sni of a server", function()
  local map
  setup(function() map = { ["b.test"] = context "serverB", ["o.test"] = context "wronghost" } end)

  it("chooses the context of the name", function()
    assert.equal("serverB", chosen("b.test", map))
    assert.equal("wronghost", chosen("o.test", map))
  end)

  it("falls back to the first context", function()
    assert.equal("serverA", chosen("c.test", map))
    assert.equal("serverA", chosen(nil, map))
    assert.equal("serverA", chosen("c.test", {}))
    assert.equal("serverA", chosen("b.test", nil))
  end)

  it("returns nothing", function()
    local c, s = support.wrapped()
    T.returned(pack(s:sni(map)))
    T.close(c, s)
  end)

  it("looks a name up exactly first", function()
    local both = { ["B.Test"] = context "serverB", ["b.test"] = context "wronghost" }
    assert.equal("serverB", chosen("B.Test", both))
    assert.equal("wronghost", chosen("b.test", both))
  end)

  it("refuses an unknown name when strict", function()
    local cr, sr, c, s = shake("c.test", map, true)
    T.begins(sr, false, "callback failed")
    T.failed(cr, false, "unrecognized name")
    T.close(c, s)
  end)

  it("accepts a known name and the absence of a name when strict", function()
    assert.equal("serverB", chosen("b.test", map, true))
    assert.equal("serverA", chosen(nil, map, true))
  end)

  it("keeps the table by reference", function()
    local live = {}
    local c, s = support.wrapped(support.anyclient(), context "serverA")
    s:sni(live)
    live["b.test"] = map["b.test"]
    c:sni("b.test")
    support.shake(c, s)
    assert.equal("serverB", seen(c))
    T.close(c, s)
  end)

  it("asks the table's __index", function()
    local asked = {}
    local live = setmetatable({}, { __index = function(_, name)
      asked[#asked + 1] = name
      return map["b.test"]
    end })
    assert.equal("serverB", chosen("any.test", live))
    assert.equal("any.test", asked[1])
  end)

  it("names an error of __index and ends the handshake", function()
    local live = setmetatable({}, { __index = function() error("no contexts today") end })
    local _, sr, c, s = shake("any.test", live)
    local msg = T.failed(sr, false, "SNI")
    assert.is_truthy(msg:find("no contexts today", 1, true))
    T.close(c, s)
  end)

  it("takes no other context when __index answers none, and refuses when strict", function()
    for _, value in ipairs { "text", 12, {}, true } do
      local odd = setmetatable({}, { __index = function() return value end })
      local _, sr, c, s = shake("any.test", odd)
      if sr[1] then assert.equal("serverA", seen(c)) else assert.equal("string", type(sr[2])) end
      T.close(c, s)
      _, sr, c, s = shake("any.test", odd, true)
      T.failed(sr, false, "%a")
      T.close(c, s)
    end
  end)

  it("raises for a map with anything but names and contexts", function()
    local c, s = support.wrapped()
    T.raises("bad argument", s.sni, s)
    T.raises("bad argument", s.sni, s, "server.test")
    T.raises("bad argument", s.sni, s, { ["a.test"] = "context" })
    T.raises("bad argument", s.sni, s, { [{}] = map["b.test"] })
    T.close(c, s)
  end)

  it("does not concern a later connection of the same context that sets no map", function()
    local default = context "serverA"
    assert.equal("serverB", chosen("b.test", map, false, default))
    assert.equal("serverA", chosen("b.test", nil, false, default))
  end)

  it("keeps the map and its contexts alive until the handshake", function()
    local c, s = support.wrapped(support.anyclient(), context "serverA")
    s:sni({ ["b.test"] = context "serverB" })
    support.collect()
    c:sni("b.test")
    local cr, sr = support.shake(c, s)
    assert.is_true(cr[1] and sr[1])
    assert.equal("serverB", seen(c))
    T.close(c, s)
  end)

  it("takes the callback for ALPN from the chosen context", function()
    local default = context("serverA", { alpn = { "one" } })
    local other = context("serverB", { alpn = { "two" } })
    local _, _, c, s = shake("b.test", { ["b.test"] = other }, false, default,
      support.anyclient { alpn = { "one", "two" } })
    assert.equal("two", c:getalpn())
    T.close(c, s)
  end)

  it("takes trusted roots from the chosen context", function()
    local ask = { verify = { "peer", "fail_if_no_peer_cert" } }
    local default = context("serverA", T.join(ask, { cafile = cert "rootA" }))
    local other = context("serverB", T.join(ask, { cafile = cert "rootB" }))
    local _, sr, c, s = shake("b.test", { ["b.test"] = other }, false, default,
      support.anyclient { certificate = cert "clientB", key = cert "clientBkey" })
    assert.is_true(sr[1])
    T.returned(pack(s:getpeerverification()), true)
    T.close(c, s)
  end)

  it("keeps verify of the first context, and takes ciphers of TLS 1.2 from the chosen one", function()
    local default = context("serverA", { protocol = "tlsv1_2", ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256" })
    local other = context("serverB", { protocol = "tlsv1_2", ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384",
      verify = { "peer", "fail_if_no_peer_cert" }, cafile = cert "rootB" })
    local cr, sr, c, s = shake("b.test", { ["b.test"] = other }, false, default)
    assert.is_true(cr[1] and sr[1])
    assert.equal("ECDHE-ECDSA-AES256-GCM-SHA384", c:info("cipher"))
    T.close(c, s)
  end)
end)
