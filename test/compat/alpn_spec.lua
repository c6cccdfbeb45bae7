-- ALPN: settings of both sides, the server's order, callbacks, and the wire-level setters of ssl.context.

local T = require "compat.tools"
local support = require "support"
local ssl = require "ssl"
local context = require "ssl.context"

local pack = support.pack

--- The protocol both sides agreed on, or nil; fails when the handshake fails or the sides differ.
local function agreed(client, server)
  local c, s = support.connected(support.client { alpn = client }, support.server { alpn = server })
  local one, two = c:getalpn(), s:getalpn()
  assert.equal(one, two)
  T.close(c, s)
  return one
end

local function refused(message, build, alpn)
  T.begins(pack(ssl.newcontext(build { alpn = alpn })), nil, message)
end

describe("compat alpn of a client", function()
  it("is a string or an array", function()
    assert.equal("h2", agreed("h2", { "h2" }))
    assert.equal("h2", agreed({ "http/1.1", "h2" }, { "h2" }))
  end)

  it("is refused with a reason", function()
    refused("invalid ALPN parameter", support.client, 12)
    refused("invalid ALPN parameter", support.client, function() return "h2" end)
    refused("invalid ALPN name (empty string)", support.client, "")
    refused("invalid ALPN name (empty string)", support.client, { "h2", "" })
    refused("invalid ALPN name (length > 255)", support.client, ("x"):rep(256))
    refused("invalid ALPN list (empty)", support.client, {})
  end)

  it("is refused with a reason when an array has a member that is no string", function()
    T.failed(pack(ssl.newcontext(support.client { alpn = { 1 } })), nil, "ALPN")
    T.failed(pack(ssl.newcontext(support.client { alpn = { "h2", {} } })), nil, "ALPN")
  end)

  it("may be 255 bytes long", function()
    local name = ("x"):rep(255)
    assert.equal(name, agreed(name, { name }))
  end)
end)

describe("compat alpn of a server", function()
  it("is an array in the server's order", function()
    assert.equal("b", agreed({ "a", "b", "c" }, { "b", "a" }))
    assert.equal("c", agreed({ "a", "b", "c" }, { "x", "c" }))
  end)

  it("goes on without a common name", function() assert.is_nil(agreed("a", { "b" })) end)

  it("is unused when one side has none", function()
    assert.is_nil(agreed("a", nil))
    assert.is_nil(agreed(nil, { "a" }))
  end)

  it("is refused with a reason", function()
    refused("invalid ALPN parameter", support.server, "h2")
    refused("invalid ALPN parameter", support.server, 12)
    refused("invalid ALPN name (empty string)", support.server, { "" })
    refused("invalid ALPN name (length > 255)", support.server, { ("x"):rep(256) })
    refused("invalid ALPN list (empty)", support.server, {})
  end)

  it("is read again at each handshake", function()
    local list = { "a" }
    local ctx = assert(ssl.newcontext(support.server { alpn = list }))
    list[1] = "b"
    local c, s = support.connected(support.client { alpn = { "a", "b" } }, ctx)
    assert.equal("b", c:getalpn())
    T.close(c, s)
  end)
end)

describe("compat alpn callback", function()
  it("gets the client's names in an array", function()
    local names
    agreed({ "one", "two" }, function(list, ...)
      names = list
      assert(select("#", ...) == 0)
      return nil
    end)
    assert.same({ "one", "two" }, names)
  end)

  it("answers a string or an array", function()
    assert.equal("two", agreed({ "one", "two" }, function() return "two" end))
    assert.equal("one", agreed({ "one", "two" }, function() return { "three", "one" } end))
  end)

  it("answers anything else for none", function()
    for _, answer in ipairs { false, true, 12, {}, "", "three" } do
      assert.is_nil(agreed({ "one", "two" }, function() return answer end))
    end
    assert.is_nil(agreed("one", function() return nil end))
    assert.is_nil(agreed("one", function() return ("x"):rep(300) end))
    assert.is_nil(agreed("one", function() return { {}, 1 } end))
  end)

  it("that raises ends the handshake and is named", function()
    local c, s = support.wrapped(support.client { alpn = "a" },
      support.server { alpn = function() error("not today") end })
    local cr, sr = support.shake(c, s)
    local msg = T.failed(sr, false, "ALPN")
    assert.is_truthy(msg:find("not today", 1, true))
    assert.is_false(cr[1])
    T.close(c, s)
  end)

  it("that yields ends the handshake instead of crossing C", function()
    local c, s = support.wrapped(support.client { alpn = "a" },
      support.server { alpn = function() coroutine.yield() end })
    local results
    local thread = coroutine.create(function() results = { support.shake(c, s) } end)
    local ok, err = coroutine.resume(thread)
    assert.is_true(ok, err)
    assert.equal("dead", coroutine.status(thread))
    assert.is_false(results[2][1])
    T.close(c, s)
  end)

  it("works when the coroutine that made the context is gone", function()
    local ctx
    local thread = coroutine.create(function()
      ctx = assert(ssl.newcontext(support.server { alpn = function() return "late" end }))
    end)
    assert(coroutine.resume(thread))
    thread = nil -- luacheck: ignore
    support.collect()
    local c, s = support.connected(support.client { alpn = { "late" } }, ctx)
    assert.equal("late", c:getalpn())
    T.close(c, s)
  end)

  it("may collect garbage", function()
    assert.equal("a", agreed("a", function()
      support.collect()
      return "a"
    end))
  end)
end)

describe("compat ssl.context alpn", function()
  it("sets names in wire format", function()
    local ctx = assert(ssl.newcontext(support.client()))
    T.returned(pack(context.setalpn(ctx, "\1a\2bb")), true)
    local c, s = support.connected(ctx, support.server { alpn = { "bb" } })
    assert.equal("bb", c:getalpn())
    T.close(c, s)
  end)

  it("refuses broken wire format", function()
    local ctx = assert(ssl.newcontext(support.client()))
    T.failed(pack(context.setalpn(ctx, "\5a")), false, "^error setting ALPN %(.+%)$")
    T.raises("string expected", context.setalpn, ctx, {})
  end)

  it("gives its callback the wire and takes wire from it", function()
    local ctx = assert(ssl.newcontext(support.server()))
    local got
    T.returned(pack(context.setalpncb(ctx, function(wire)
      got = wire
      return "\3two"
    end)), true)
    local c, s = support.connected(support.client { alpn = { "one", "two" } }, ctx)
    assert.equal("\3one\3two", got)
    assert.equal("two", c:getalpn())
    T.close(c, s)
  end)
end)
