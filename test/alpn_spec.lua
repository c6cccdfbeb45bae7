-- ALPN: the server's list or function chooses among the protocols that the client offers.

local S = require "support"
local ssl = S.ssl

describe("the ALPN callback", function()
  local function negotiated(clientalpn, serveralpn)
    local c, s = S.connected(S.client { alpn = clientalpn }, S.server { alpn = serveralpn })
    local a, b = c:getalpn(), s:getalpn()
    c:close()
    s:close()
    assert.equal(a, b)
    return a
  end

  it("chooses by the server's order", function()
    assert.equal("b", negotiated({ "a", "b", "c" }, { "b", "c", "a" }))
    assert.equal("c", negotiated({ "a", "b", "c" }, { "x", "c", "a" }))
    assert.equal("a", negotiated("a", { "a" }))
    assert.equal(("x"):rep(255), negotiated({ "y", ("x"):rep(255) }, { ("x"):rep(255) }))
    assert.equal("\0\1", negotiated({ "\0\1" }, { "\0\1" }))
  end)

  it("goes on without a protocol where there is none in common", function()
    assert.is_nil(negotiated({ "a" }, { "b" }))
    assert.is_nil(negotiated({ "a" }, nil))
    assert.is_nil(negotiated(nil, { "b" }))
  end)

  it("is given the client's names, and answers a name, names, or anything for none", function()
    local seen
    local function answer(value)
      return negotiated({ "a", "b" }, function(...)
        seen = S.pack(...)
        return value
      end)
    end
    assert.equal("b", answer "b")
    assert.same({ { "a", "b" }, n = 1 }, seen)
    assert.equal("b", answer { "x", "b", "a" })
    for _, none in ipairs { "x", "", { "" }, {}, { "x" }, 5, true, print, ("x"):rep(256), { ("x"):rep(256), "a" },
      { 5 }, { "a", {} }, ("b"):rep(2 ^ 20) } do
      assert.is_nil(answer(none))
    end
    assert.is_nil(answer(nil))
  end)

  it("reads the array again at each handshake", function()
    local list = { "a" }
    local ctx = assert(ssl.newcontext(S.server { alpn = list }))
    local function now()
      local c, s = S.connected(S.client { alpn = { "a", "b" } }, ctx)
      local name = c:getalpn()
      c:close()
      s:close()
      return name
    end
    assert.equal("a", now())
    list[1] = "b"
    assert.equal("b", now())
    list[1] = {}
    assert.is_nil(now())
    list[1] = nil
    assert.is_nil(now())
    list[1], list[2] = "x", "a"
    assert.equal("a", now())
  end)

  -- ipairs does not look at __index before 5.3.
  local it53 = _VERSION >= "Lua 5.3" and it or function() end
  it53("raises out of a list whose metatable raises", function()
    local list = { "a" }
    local cr, sr = S.try(S.client { alpn = "a" }, (function()
      local ctx = assert(ssl.newcontext(S.server { alpn = list }))
      list[1] = nil
      setmetatable(list, { __index = function() error("boom", 0) end })
      return ctx
    end)())
    assert.equal("ALPN callback failed: boom", sr[2])
    assert.is_false(cr[1])
  end)

  it("tells the client by an alert when it fails", function()
    local cr, sr = S.try(S.client { alpn = "a" }, S.server { alpn = function() error("boom", 0) end })
    assert.equal("tlsv1 alert no application protocol", cr[2])
    assert.equal("alert", cr[3].kind)
    assert.equal("ALPN callback failed: boom", sr[2])
  end)

  it("sees lists up to what a ClientHello holds", function()
    local list = {}
    for i = 1, 1000 do list[i] = ("%04d"):format(i):rep(2) end
    assert.equal(list[1000], negotiated(list, function(offered)
      assert(#offered == 1000 and offered[1] == list[1])
      return offered[1000]
    end))
  end)

  it("of the C interface answers with whole lists only", function()
    local context = require "ssl.context"
    for wire, want in pairs {
      ["\1b"] = "b", ["\1x\1a"] = "a", ["\1b\5"] = false, ["\1b\250a"] = false, ["\1b\0"] = false, ["\0"] = false,
      ["\2b"] = false, [""] = false, [("\1x"):rep(40000) .. "\1b"] = "b",
    } do
      local ctx = assert(ssl.newcontext(S.server()))
      assert(context.setalpncb(ctx, function() return wire end))
      local c, s = S.connected(S.client { alpn = { "a", "b" } }, ctx)
      assert.equal(want or nil, c:getalpn())
      c:close()
      s:close()
    end
  end)

  it("Q13 is that of the context that SNI selected", function()
    local function connect(name, default, mapped)
      local c, s = S.wrapped(S.anyclient { alpn = { "a", "b" }, servername = name }, S.server { alpn = default })
      s:sni { ["mapped.test"] = assert(ssl.newcontext(S.server { alpn = mapped })) }
      local cr, sr = S.shake(c, s)
      assert(cr[1] and sr[1])
      local alpn = c:getalpn()
      c:close()
      s:close()
      return alpn
    end
    assert.equal("b", connect("mapped.test", { "a" }, { "b" }))
    assert.equal("a", connect("other.test", { "a" }, { "b" }))
    assert.is_nil(connect("mapped.test", { "a" }, nil))
    assert.equal("b", connect("mapped.test", nil, { "b" }))
  end)
end)
