-- Every connection method before the handshake, after it and after close. One table says what each answers; close,
-- getstats, info and the others that need more than a row follow it.

local T = require "compat.tools"
local support = require "support"
local ssl = require "ssl"
local core = require "ssl.core"

local pack = support.pack
local ANY = {} -- in an expectation: do not compare this value

local function matches(r, want)
  for i = 1, #want do
    local w = want[i]
    if w == "nil" then w = nil end
    if w ~= ANY and r[i] ~= w then return false end
  end
  return true
end

-- method, arguments, expected when new, expected when closed. "nil" stands for nil.
local CLOSED = { "nil", "closed" }
local rows = {
  { "dohandshake", {}, nil, { false, "closed" } },
  { "send", { "x" }, { "nil", "closed", 0 }, { "nil", "closed", 0 } },
  { "receive", {}, { "nil", "closed", "" }, { "nil", "closed", "" } },
  { "dirty", {}, { false }, { false } },
  { "want", {}, { "nothing" }, { "nothing" } },
  { "settimeout", { 0 }, { 1 }, { 1 } },
  { "setstats", {}, { 1 }, { 1 } },
  { "getstats", {}, { 0, 0, ANY }, { 0, 0, ANY } },
  { "info", {}, CLOSED, CLOSED },
  { "info", { "cipher" }, CLOSED, CLOSED },
  { "getalpn", {}, { "nil" }, { "nil" } },
  { "getsniname", {}, { "nil" }, { "nil" } },
  { "getpeercertificate", {}, CLOSED, CLOSED },
  { "getpeerchain", {}, CLOSED, CLOSED },
  { "getlocalcertificate", {}, CLOSED, CLOSED },
  { "getlocalchain", {}, CLOSED, CLOSED },
  { "getpeerverification", {}, { false, "closed" }, { false, "closed" } },
  { "getfinished", {}, CLOSED, CLOSED },
  { "getpeerfinished", {}, CLOSED, CLOSED },
  { "exportkeyingmaterial", { "label", 32 }, CLOSED, CLOSED },
  { "setdane", { "server.test" }, { false }, { false } },
  { "settlsa", { 3, 1, 1, ("x"):rep(32) }, { false }, { false } },
  { "sni", { "server.test" }, { "nil" }, nil },
  { "getfd", {}, nil, { -1 } },
}

local function title(row) return row[1] .. "(" .. tostring(row[2][1] or "") .. ")" end

describe("compat new connection", function()
  local c, s
  before_each(function() c, s = support.wrapped() end)
  after_each(function() T.close(c, s) end)

  for _, row in ipairs(rows) do
    if row[3] then
      it("answers " .. title(row), function()
        for _, conn in ipairs { c, s } do
          if conn == c or row[1] ~= "sni" then
            local r = pack(conn[row[1]](conn, support.unpack(row[2])))
            if not matches(r, row[3]) then error(T.show(r)) end
          end
        end
      end)
    end
  end

  it("has its descriptor", function() assert.is_true(c:getfd() >= 0) end)

  it("knows the name that sni set", function()
    c:sni("server.test")
    assert.equal("server.test", c:getsniname())
    assert.is_nil(s:getsniname())
  end)
end)

describe("compat closed connection", function()
  local function closed()
    local c, s = support.connected()
    T.close(c, s)
    return c, s
  end

  for _, row in ipairs(rows) do
    if row[4] then
      it("answers " .. title(row), function()
        local c, s = closed()
        if row[1] == "getstats" then
          c:setstats(0, 0)
          s:setstats(0, 0)
        end
        for _, conn in ipairs { c, s } do
          local r = pack(conn[row[1]](conn, support.unpack(row[2])))
          if not matches(r, row[4]) then error(T.show(r)) end
        end
      end)
    end
  end

  it("takes sni of a client without harm", function()
    local c = closed()
    assert.is_true((pcall(c.sni, c, "server.test")))
  end)

  it("takes sni of a server without harm", function()
    local _, s = closed()
    pcall(s.sni, s, { ["server.test"] = ssl.newcontext(support.server()) })
  end)

  it("answers every method when it was closed before the handshake", function()
    local c = support.wrapped()
    c:close()
    for _, f in pairs(getmetatable(c).__index) do
      if type(f) == "function" then pcall(f, c, "x", 1, 1, "x") end
    end
    T.begins(pack(c:dohandshake()), false, "closed")
  end)

  it("answers ssl.core's compression", function() T.begins(pack(core.compression((closed()))), nil, "closed") end)

  it("answers ssl.core's info", function()
    local c = closed()
    assert.is_nil((core.info(c)))
  end)
end)

describe("compat close", function()
  it("returns nothing, however often", function()
    local c, s = support.connected()
    T.returned(pack(c:close()))
    T.returned(pack(c:close()))
    s:close()
    local a, b = support.wrapped()
    T.returned(pack(a:close()))
    T.returned(pack(a:close()))
    b:close()
  end)

  it("is __gc and __close too", function()
    local c, s = support.connected()
    local mt = getmetatable(c)
    mt.__gc(c)
    mt.__gc(c)
    assert.equal(-1, c:getfd())
    mt.__close(s)
    c:close()
    s:close()
  end)

  it("shows in tostring", function()
    local c, s = support.connected()
    assert.is_truthy(tostring(c):find("^SSL connection: 0x%x+$"))
    c:close()
    assert.is_truthy(tostring(c):find("^SSL connection: 0x%x+ %(closed%)$"))
    s:close()
  end)

  it("sends nothing before the handshake", function()
    local c, s = T.halfwrapped()
    c:close()
    T.begins(pack(s:receive("*a")), nil, "closed", "")
    s:close()
  end)

  it("sends close_notify after the handshake", function()
    local c, s = support.connected()
    c:close()
    T.begins(T.receive(s, 1), nil, "closed", "")
    s:close()
  end)

  it("closes the descriptor", function()
    local c, s = T.halfwrapped()
    c:close()
    T.begins(pack(s:receive(1)), nil, "closed")
    s:close()
  end)

  it("of a collected connection sends close_notify", function()
    local _, s = support.connected()
    _ = nil -- luacheck: ignore
    support.poll(function()
      support.collect()
      local _, err = s:receive(1)
      return err == "closed"
    end, "close_notify")
    s:close()
  end)

  it("does not wait for a peer that reads nothing", function()
    local out = T.survives([[
      local support = require "support"
      local c, s = support.connected()
      local n, err = c:send(("x"):rep(16 * 1024 * 1024))
      assert(err == "wantwrite")
      local started = require "socket".gettime()
      c:close()
      assert(require "socket".gettime() - started < 2)
      print "back"
      s:close()
    ]], 10)
    assert.is_truthy(out:find("back", 1, true))
  end)

  it("leaves the peer's other connections alone", function()
    local ctx = ssl.newcontext(support.server())
    local c1, s1 = support.connected(nil, ctx)
    local c2, s2 = support.connected(nil, ctx)
    T.close(c1, s1)
    support.collect()
    assert.equal("still here", support.transfer(c2, s2, "still here"))
    T.close(c2, s2)
  end)

  it("by the peer leaves a connected object", function()
    local c, s = support.connected()
    s:close()
    T.begins(T.receive(c, 1), nil, "closed", "")
    T.returned(pack(c:dohandshake()), true)
    assert.equal("string", type(c:info("cipher")))
    assert.is_truthy(c:getpeercertificate())
    assert.is_true((c:getpeerverification()))
    c:close()
  end)
end)

describe("compat getstats", function()
  it("counts bytes that Lua received and sent, and the age", function()
    local c, s = support.connected()
    support.transfer(c, s, "12345")
    support.transfer(s, c, "123")
    local received, sent, age = c:getstats()
    assert.equal(3, received)
    assert.equal(5, sent)
    assert.is_true(age >= 0 and age < 60)
    s:send("one\ntwo\n")
    support.receive(c)
    assert.equal(7, (c:getstats())) -- "two\n" is not consumed yet
    c:close()
    received, sent = c:getstats()
    assert.equal(7, received)
    assert.equal(5, sent)
    s:close()
  end)

  it("answers what setstats set", function()
    local c, s = support.wrapped()
    T.returned(pack(c:setstats(10, 20, 30)), 1)
    local received, sent, age = c:getstats()
    assert.equal(10, received)
    assert.equal(20, sent)
    assert.is_true(age >= 30 and age < 31)
    T.returned(pack(c:setstats(nil, 5)), 1)
    received, sent = c:getstats()
    assert.equal(10, received)
    assert.equal(5, sent)
    T.raises("number expected", c.setstats, c, "x")
    T.raises("number expected", c.setstats, c, 1, {})
    T.close(c, s)
  end)
end)

describe("compat info", function()
  local FIELDS = { "cipher", "protocol", "key", "authentication", "encryption", "mac", "bits", "algbits", "export" }

  it("describes a TLS 1.2 connection", function()
    local cfg = T.join(T.TLS12, { ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384" })
    local c, s = support.connected(support.client(cfg), support.server(T.TLS12))
    for _, conn in ipairs { c, s } do
      local info = conn:info()
      assert.equal("ECDHE-ECDSA-AES256-GCM-SHA384", info.cipher)
      assert.equal("TLSv1.2", info.protocol)
      assert.equal("ECDH", info.key)
      assert.equal("ECDSA", info.authentication)
      assert.equal("AESGCM(256)", info.encryption)
      assert.equal("AEAD", info.mac)
      assert.equal(256, info.bits)
      assert.equal(256, info.algbits)
      assert.is_false(info.export)
      assert.is_nil(info.compression)
    end
    T.close(c, s)
  end)

  it("describes a TLS 1.3 connection", function()
    local cfg = { protocol = "tlsv1_3", ciphersuites = "TLS_AES_128_GCM_SHA256" }
    local c, s = support.connected(support.client(cfg), support.server())
    local info = c:info()
    assert.equal("TLS_AES_128_GCM_SHA256", info.cipher)
    assert.equal("TLSv1.3", info.protocol)
    assert.equal("any", info.key)
    assert.equal("any", info.authentication)
    assert.equal("AESGCM(128)", info.encryption)
    assert.equal(128, info.bits)
    T.close(c, s)
  end)

  it("answers one field by name, nil for an unknown one", function()
    local c, s = support.connected()
    local info = c:info()
    for _, field in ipairs(FIELDS) do assert.equal(info[field], c:info(field), field) end
    assert.is_nil(c:info("nosuchfield"))
    assert.is_nil(c:info("compression"))
    assert.equal("table", type(c:info(nil)))
    assert.equal("table", type(c:info(false)))
    T.close(c, s)
  end)

  it("is not available in the middle of a handshake", function()
    local c, s = support.wrapped()
    c:dohandshake()
    T.begins(pack(c:info()), nil, "closed")
    T.begins(pack(core.compression(c)), nil, "closed")
    T.close(c, s)
  end)

  it("comes from ssl.core's info and compression", function()
    local c, s = support.connected(support.client(T.TLS12))
    local text, bits, algbits, version = core.info(c)
    assert.is_truthy(text:find(c:info("cipher"), 1, true))
    assert.equal(c:info("bits"), bits)
    assert.equal(c:info("algbits"), algbits)
    assert.equal("TLSv1.2", version)
    assert.is_nil((core.compression(c)))
    T.close(c, s)
  end)
end)

describe("compat finished and exporter", function()
  for _, case in ipairs { { "tlsv1_2", 12 }, { "tlsv1_3", 48 } } do
    it("agree on both sides with " .. case[1], function()
      local suites = "TLS_AES_256_GCM_SHA384"
      local c, s = support.connected(support.client { protocol = case[1], ciphersuites = suites }, support.server())
      assert.equal(case[2], #c:getfinished())
      assert.is_true(c:getfinished() == s:getpeerfinished())
      assert.is_true(s:getfinished() == c:getpeerfinished())
      assert.is_false(c:getfinished() == c:getpeerfinished())
      local label = "EXPORTER-test"
      local one, two = c:exportkeyingmaterial(label, 32, "ctx"), s:exportkeyingmaterial(label, 32, "ctx")
      assert.equal(32, #one)
      assert.is_true(one == two)
      assert.is_false(one == c:exportkeyingmaterial(label, 32, "other"))
      assert.is_false(one == c:exportkeyingmaterial("EXPORTER-other", 32, "ctx"))
      local without, empty = c:exportkeyingmaterial(label, 32), c:exportkeyingmaterial(label, 32, "")
      assert.equal(case[1] == "tlsv1_3", without == empty)
      T.close(c, s)
    end)
  end

  it("raises for wrong arguments of the exporter once connected", function()
    local c, s = support.connected()
    T.raises("string expected", c.exportkeyingmaterial, c, {}, 32)
    T.raises("number expected", c.exportkeyingmaterial, c, "label", "x")
    T.close(c, s)
  end)
end)
