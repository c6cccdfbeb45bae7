-- SNI maps: the context that a server chooses by the name the client sends.

local S = require "support"
local ssl = S.ssl

describe("SNI maps", function()
  local function mapped(map, strict, name, default)
    local c, s = S.wrapped(S.anyclient { servername = name }, default or S.server())
    s:sni(map, strict)
    local cr, sr = S.shake(c, s)
    local cert = cr[1] and c:getpeercertificate():subject()
    local sni = cr[1] and s:getsniname()
    c:close()
    s:close()
    return cert and cert[#cert].value, cr, sr, sni
  end
  local other = assert(ssl.newcontext(S.server { certificate = S.cert("serverB"), key = S.cert("serverBkey") }))

  it("select the context of a name", function()
    assert.equal("serverB", (mapped({ ["b.test"] = other }, false, "b.test")))
    assert.equal("serverB", (mapped({ ["b.test"] = other }, true, "b.test")))
    assert.equal("serverA", (mapped({ ["b.test"] = other }, false, "a.test")))
    assert.equal("serverA", (mapped({}, false, "a.test")))
    assert.equal("a.test", select(4, mapped({}, false, "a.test")))
  end)

  it("Q16 strict ones refuse unknown names, and take clients that send none", function()
    local _, cr, sr = mapped({ ["b.test"] = other }, true, "a.test")
    assert.equal("tlsv1 unrecognized name", cr[2])
    assert.equal("alert", cr[3].kind)
    assert.equal("callback failed", sr[2])
    assert.equal("protocol", sr[3].kind)
    assert.equal("serverA", (mapped({ ["b.test"] = other }, true, nil)))
    assert.equal("serverA", (mapped(setmetatable({}, { __index = error }), true, nil)))
  end)

  it("are consulted live, with __index, by the name as it came", function()
    local seen = {}
    local map = setmetatable({}, { __index = function(_, name)
      seen[#seen + 1] = name
      if name == "B.test" then return other end
    end })
    assert.equal("serverB", (mapped(map, true, "B.test")))
    assert.equal("B.test", seen[1])
    assert.equal("serverA", (mapped(map, false, "c.test")))
    map["c.test"] = other
    assert.equal("serverB", (mapped(map, false, "c.test")))
  end)

  it("answer false for no context", function()
    local map = setmetatable({}, { __index = function() return false end })
    assert.equal("serverA", (mapped(map, false, "a.test")))
    assert.equal("callback failed", (select(3, mapped(map, true, "a.test")))[2])
  end)

  it("fail the handshake for a value that is no open context", function()
    for shown, value in pairs { table = {}, number = 5, string = "x", boolean = true, ["function"] = print } do
      local _, cr, sr = mapped(setmetatable({}, { __index = function() return value end }), false, "a.test")
      assert.equal("SNI callback failed: the value for 'a.test' is not an open SSL:Context but a " .. shown, sr[2])
      assert.equal("callback", sr[3].kind)
      assert.equal("alert", cr[3].kind)
    end
    local closed = assert(ssl.newcontext(S.server()))
    S.finalize(closed)
    local _, _, sr = mapped({ ["a.test"] = closed }, false, "a.test")
    assert.equal("SNI callback failed: the value for 'a.test' is not an open SSL:Context but a userdata", sr[2])
  end)

  it("of one connection do not touch others of the context", function()
    local ctx = assert(ssl.newcontext(S.server()))
    assert.equal("serverB", (mapped({ ["b.test"] = other }, true, "b.test", ctx)))
    local c, s = S.connected(S.anyclient { servername = "a.test" }, ctx)
    assert.equal("a.test", s:getsniname())
    c:close()
    s:close()
    -- Both in flight at once.
    local c1, s1 = S.wrapped(S.anyclient { servername = "b.test" }, ctx)
    local c2, s2 = S.wrapped(S.anyclient { servername = "b.test" }, ctx)
    s1:sni { ["b.test"] = other }
    local r1, r2 = S.shake(c1, s1), S.shake(c2, s2)
    assert.is_true(r1[1] and r2[1])
    local function cn(conn)
      local subject = conn:getpeercertificate():subject()
      return subject[#subject].value
    end
    assert.equal("serverB", cn(c1))
    assert.equal("serverA", cn(c2))
    for _, conn in ipairs { c1, s1, c2, s2 } do conn:close() end
  end)

  it("Q13 select the ciphers too", function()
    local default = { ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256", ciphersuites = "TLS_CHACHA20_POLY1305_SHA256" }
    local selected = { ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384", ciphersuites = "TLS_AES_128_GCM_SHA256" }
    for version, cipher in pairs { tlsv1_2 = selected.ciphers, tlsv1_3 = selected.ciphersuites } do
      local c, s = S.wrapped(S.anyclient { protocol = version, servername = "b.test" }, S.server(default))
      s:sni { ["b.test"] = assert(ssl.newcontext(S.server(selected))) }
      assert.is_true(S.shake(c, s)[1])
      assert.equal(cipher, c:info("cipher"))
      c:close()
      s:close()
    end
  end)

  it("hold their contexts until the connection is closed", function()
    local weak = setmetatable({}, { __mode = "v" })
    local c, s = S.wrapped(S.anyclient { servername = "b.test" }, S.server())
    do
      local ctx = assert(ssl.newcontext(S.server { certificate = S.cert("serverB"), key = S.cert("serverBkey") }))
      weak[1] = ctx
      s:sni { ["b.test"] = ctx }
    end
    S.collect()
    assert.is_not_nil(weak[1])
    local cr = S.shake(c, s)
    assert.is_true(cr[1])
    S.collect()
    assert.is_not_nil(weak[1])
    c:close()
    s:close()
    c, s = nil, nil -- luacheck: ignore 311
    S.collect()
    assert.is_nil(weak[1])
  end)
end)
