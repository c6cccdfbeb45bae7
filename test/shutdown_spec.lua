-- conn:shutdown: close_notify both ways, in the manner that Prosody's server drives it.

local S = require "support"

-- Calls shutdown until it answers something else than a wait; its results.
local function finish(conn, pump)
  local ok, message, detail
  S.poll(function()
    if pump then pump() end
    ok, message, detail = conn:shutdown()
    return ok or not S.wants(message)
  end, "shutdown")
  return ok, message, detail
end

describe("conn:shutdown", function()
  for _, version in ipairs { "tlsv1_2", "tlsv1_3" } do
    it("exchanges both close_notify alerts over " .. version, function()
      local c, s = S.connected(S.client { protocol = version }, S.server())
      local ok, message, detail = c:shutdown()
      assert.is_nil(ok)
      assert.equal("wantread", message)
      assert.equal("want", detail.kind)
      assert.same({ nil, "closed" }, { S.unpack({ S.receive(s) }, 1, 2) })
      assert.is_true(s:shutdown())
      assert.is_true((finish(c)))
      assert.is_true(c:shutdown())
      c:close()
      s:close()
    end)
  end

  it("finishes when both ends begin at once", function()
    local c, s = S.connected()
    local theirs
    assert.is_true((finish(c, function() theirs = theirs or s:shutdown() end)))
    assert.is_true((finish(s)))
  end)

  it("leaves receiving possible after the first call, sending not", function()
    local c, s = S.connected()
    s:send("late\nmore\n")
    assert.equal("late", (S.receive(c)))
    c:shutdown()
    assert.equal("more", (S.receive(c)))
    local n, message, last, detail = c:send("x")
    assert.is_nil(n)
    assert.equal("closed", message)
    assert.equal(0, last)
    assert.equal("closed", detail.kind)
  end)

  it("drops what the peer still sends", function()
    local c, s = S.connected()
    c:shutdown()
    s:send(("x"):rep(100000))
    assert.is_true((finish(c, function() s:shutdown() end)))
    assert.is_true(c:shutdown())
  end)

  it("tells a peer that went without close_notify", function()
    local c, s = S.connected()
    c:shutdown()
    local socket = require "socket"
    local raw = socket.tcp()
    raw:setfd(s:getfd())
    raw:close()
    s:close() -- at once: its descriptor is gone, and a later one may get the number
    local ok, _, detail = finish(c)
    assert.is_nil(ok)
    assert.is_truthy(detail.kind == "truncated" or detail.kind == "system")
    assert.same({ nil, "closed" }, { S.unpack({ c:shutdown() }, 1, 2) })
  end)

  it("is bounded by the timeout", function()
    local socket = require "socket"
    local c, s = S.connected()
    c:settimeout(0.2)
    local began = socket.gettime()
    assert.same({ nil, "wantread" }, { S.unpack({ c:shutdown() }, 1, 2) })
    local took = socket.gettime() - began
    assert.is_true(took >= 0.15 and took < 3, took)
    s:close()
  end)

  it("answers closed before the handshake, after a failed one and after close", function()
    local c, s = S.wrapped()
    assert.same({ nil, "closed" }, { S.unpack({ c:shutdown() }, 1, 2) })
    c:close()
    assert.same({ nil, "closed" }, { S.unpack({ c:shutdown() }, 1, 2) })
    s:close()
    c, s = S.wrapped(S.client { cafile = S.cert("rootB") })
    S.shake(c, s)
    local ok, message, detail = c:shutdown()
    assert.is_nil(ok)
    assert.equal("closed", message)
    assert.equal("closed", detail.kind)
  end)
end)
