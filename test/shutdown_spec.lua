-- conn:shutdown: close_notify both ways, in the manner that Prosody's server drives it.

local socket = require "socket"
local S = require "support"
local E = require "engines"

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

describe("half close", function()
  for _, version in ipairs { "tlsv1_2", "tlsv1_3" } do
    it("ends one direction, the other goes on: " .. version, function()
      for _, blocking in ipairs { false, true } do
        local c, s = S.connected(S.client { protocol = version })
        if blocking then
          c:settimeout(10)
          s:settimeout(10)
        end
        assert.is_true(c:shutdown("send"))
        assert.is_true(c:shutdown("send"))
        local n, message = c:send("x")
        assert.same({ nil, "closed" }, { n, message })
        -- The other end sees the end of the stream, and goes on sending.
        assert.same({ nil, "closed" }, { S.unpack({ S.receive(s) }, 1, 2) })
        assert.equal(9, s:send("one\ntwo\nx"))
        assert.equal("one", (S.receive(c)))
        assert.equal("two", (S.receive(c, "*l")))
        assert.equal("x", (S.receive(c, 1)))
        if not blocking then assert.equal("wantread", select(2, c:receive(1))) end
        assert.equal(200000, #S.transfer(s, c, ("y"):rep(200000)))
        assert.is_true(s:shutdown())
        local rest, why, _, detail = S.receive(c, 1)
        assert.is_nil(rest)
        assert.equal("closed", why)
        assert.equal("closed", detail.kind)
        assert.is_true(c:shutdown())
        assert.is_true(c:shutdown("receive"))
        c:close()
        s:close()
      end
    end)
  end

  it("gives a stream with an end to receive(\"*a\")", function()
    local c, s = S.connected()
    c:send("question")
    assert.is_true(c:shutdown("send"))
    assert.equal("question", (S.receive(s, "*a")))
    s:send("answer")
    assert.is_true(s:shutdown("send"))
    assert.equal("answer", (S.receive(c, "*a")))
    assert.is_true(c:shutdown())
    assert.is_true(s:shutdown())
  end)

  it("sends close_notify behind all data when the socket was full", function()
    local c, s = S.connected()
    local data, sent = ("x"):rep(65536), 0
    S.poll(function()
      local last, message, partial = c:send(data)
      sent = sent + (last or partial)
      return not last and S.wants(message)
    end)
    local ok, message
    S.poll(function() -- until close_notify itself does not fit
      ok, message = c:shutdown("send")
      assert.is_true(ok or message == "wantwrite", message)
      return true
    end)
    local got, n, why = 0, nil, nil
    S.poll(function()
      ok = ok or c:shutdown("send")
      local part, err, partial = s:receive(65536)
      n, why = part or partial, err
      got = got + #n
      return not part and not S.wants(err)
    end)
    assert.is_true(ok)
    assert.equal("closed", why)
    assert.is_true(got >= sent and got <= sent + 16384)
    assert.is_true(c:shutdown("send"))
  end)

  it("reads up to the peer's close_notify alone", function()
    local c, s = S.connected()
    assert.same({ nil, "wantread" }, { S.unpack({ c:shutdown("receive") }, 1, 2) })
    s:send(("x"):rep(100000))
    local ok
    S.poll(function()
      s:shutdown("send")
      ok = c:shutdown("receive")
      return ok
    end)
    assert.equal("still", S.transfer(c, s, "still"))
  end)

  it("goes on with what has left the socket already, and does not wait for more", function()
    local c, s = S.connected()
    for _ = 1, 2 do -- the first receive begins to read ahead
      s:send("line\n")
      assert.equal("line", (S.receive(c)))
    end
    for _ = 1, 300 do s:send("z") end
    s:shutdown("send")
    c:settimeout(10)
    local before = socket.gettime()
    assert.is_true(c:shutdown())
    assert.is_true(socket.gettime() - before < 8)
    local client, server = E.connected()
    for _ = 1, 300 do server:send("z") end
    server:shutdown("send")
    E.carry(server, client)
    assert.is_true(client:shutdown())
  end)

  it("ends in time and is read on though the peer floods", function()
    local c, s = S.connected()
    s:send("line\n")
    assert.equal("line", (S.receive(c)))
    c:shutdown()
    local data = ("z"):rep(20000)
    S.poll(function() return s:send(data) ~= #data end) -- until the sockets are full
    assert.same({ nil, "wantread" }, { E.two(c:shutdown()) })
    assert.equal(data, (S.receive(c, #data)))
  end)

  it("sends close_notify behind a message that is on its way", function()
    local client, server = E.connected({ protocol = "tlsv1_3" })
    client:setoption("maxoutput", 5)
    assert.same({ nil, "wantwrite" }, { E.two(client:keyupdate()) })
    for _ = 1, 100 do
      local ok, message = client:shutdown("send")
      E.carry(client, server)
      if ok then break end
      assert.equal("wantwrite", message)
    end
    assert.same({ nil, "closed", "", "closed" }, (function()
      local data, message, partial, detail = server:receive()
      return { data, message, partial, detail.kind }
    end)())
  end)

  it("raises for other words", function()
    local c = S.connected()
    S.raises("invalid option 'write'", c.shutdown, c, "write")
    S.raises("string expected", c.shutdown, c, {})
  end)
end)
