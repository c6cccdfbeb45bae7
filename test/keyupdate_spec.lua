-- conn:keyupdate: fresh keys in the middle of TLS 1.3 connections; what a flood of them does.

local S = require "support"
local socket = require "socket"
local ssl = S.ssl

local function pair() return S.connected(S.client { protocol = "tlsv1_3" }) end

-- A connected pair whose bytes pass a relay: client, server, relay. The way down holds little.
local function relayed()
  local c, s, relay = S.relayed(S.client { protocol = "tlsv1_3" })
  assert(s:setoption("send-buffer-size", 4096))
  assert(relay.b:setoption("recv-buffer-size", 4096))
  local cr, sr
  S.poll(function()
    relay:pump()
    cr, sr = cr or c:dohandshake(), sr or s:dohandshake()
    return cr and sr
  end)
  for _ = 1, 20 do -- the tickets
    relay:pump()
    c:receive(1)
  end
  return c, s, relay
end

-- A pair in which `from` can send no more; what it could.
local function full(from)
  local data, n = ("x"):rep(65536), 0
  for _ = 1, 1000 do
    local last, message, partial = from:send(data)
    n = n + (last or partial)
    if not last then
      assert.equal("wantwrite", message)
      return n
    end
  end
  error "the socket takes everything"
end

describe("conn:keyupdate", function()
  for _, which in ipairs { "both", "send" } do
    it("changes keys while data go both ways: " .. which, function()
      local c, s = pair()
      for i = 1, 20 do
        assert.is_true(c:keyupdate(which))
        assert.equal("there " .. i, S.transfer(c, s, "there " .. i))
        assert.is_true(s:keyupdate(which))
        assert.equal("back " .. i, S.transfer(s, c, "back " .. i))
      end
    end)
  end

  -- What goes over the wire from `from` for one read of the other end.
  it("asks the peer for the same unless told otherwise", function()
    for which, answer in pairs { both = true, send = false } do
      local c, s, relay = relayed()
      local before = relay.moved.down
      assert.is_true(c:keyupdate(which))
      assert(c:send("x"))
      S.poll(function()
        relay:pump()
        return (s:receive(1))
      end)
      assert(s:send("y"))
      S.poll(function()
        relay:pump()
        return (c:receive(1))
      end)
      -- One byte takes 23: header, type and tag beside it; an update has five bytes.
      assert.equal(answer and 23 + 27 or 23, relay.moved.down - before)
    end
  end)

  it("is the default, and nil too", function()
    local c, s = pair()
    assert.is_true(c:keyupdate())
    assert.is_true(c:keyupdate(nil))
    assert.equal("x", S.transfer(c, s, "x"))
    assert.equal("x", S.transfer(s, c, "x"))
  end)

  it("finishes a send that waits, which goes on afterwards", function()
    local c, s = pair()
    local data = ("0123456789abcdef"):rep(2 ^ 20)
    local sent, chunks, n, updates, waited = 0, {}, 0, 0, 0
    S.poll(function()
      if sent < #data then
        local last, message, partial = c:send(data, sent + 1)
        sent = last or partial
        if not last then assert.equal("wantwrite", message) end
        local ok, why, detail = c:keyupdate()
        if ok then
          updates = updates + 1
        else
          assert.equal("wantwrite", why)
          assert.equal("want", detail.kind)
          waited = waited + 1
        end
      end
      local got, message, partial = s:receive(1000000)
      if not got and not S.wants(message) then error(message) end
      chunks[#chunks + 1] = got or partial
      n = n + #chunks[#chunks]
      c:receive(1) -- the answers
      return sent == #data and n == #data
    end)
    assert.is_true(table.concat(chunks) == data)
    assert.is_true(waited > 0)
    assert.is_true(updates > 0)
  end)

  it("asked for by the peer while a send waits is answered when it has gone", function()
    local c, s = pair()
    local data = ("0123456789abcdef"):rep(2 ^ 20)
    local function send(from)
      local last, message, partial = s:send(data, from + 1)
      if not last then assert.equal("wantwrite", message) end
      return last or partial
    end
    local sent, chunks, n = 0, {}, 0
    for _ = 1, 1000 do
      local last = send(sent)
      if last == sent then break end
      sent = last
    end
    assert.is_true(sent < #data)
    for _ = 1, 3 do
      assert.is_true(c:keyupdate("both"))
      assert(c:send("hello\n"))
    end
    for _ = 1, 3 do assert.equal("hello", (S.receive(s))) end
    sent = send(sent)
    S.poll(function()
      if sent < #data then sent = math.min(send(sent), #data) end
      local got, message, partial = c:receive(1000000)
      if not got and not S.wants(message) then error(message) end
      chunks[#chunks + 1] = got or partial
      n = n + #chunks[#chunks]
      return sent == #data and n == #data
    end)
    assert.is_true(table.concat(chunks) == data)
    assert.equal("after", S.transfer(s, c, "after"))
    assert.equal("back", S.transfer(c, s, "back"))
  end)

  it("waits no longer than the timeout", function()
    local c = pair()
    full(c)
    c:settimeout(0.1)
    local began = socket.gettime()
    assert.same({ nil, "wantwrite" }, { S.unpack({ c:keyupdate() }, 1, 2) })
    assert.is_true(socket.gettime() - began < 3)
  end)

  it("refuses TLS 1.2, and the connection goes on", function()
    local c, s = S.connected(S.client { protocol = "tlsv1_2" })
    local ok, message, detail = c:keyupdate()
    assert.is_nil(ok)
    assert.equal("key updates need TLS 1.3, and another version was negotiated", message)
    assert.equal("config", detail.kind)
    assert.equal("x", S.transfer(c, s, "x"))
  end)

  it("answers closed where there is no connection", function()
    local function closed(conn)
      local ok, message, detail = conn:keyupdate()
      assert.is_nil(ok)
      assert.equal("closed", message)
      assert.is_table(detail)
    end
    local c, s = S.wrapped()
    closed(c)
    c:close()
    closed(c)
    s:close()
    c, s = S.wrapped(S.client { cafile = S.cert("rootB") })
    S.shake(c, s)
    closed(c)
    c, s = pair()
    assert.is_true(c:shutdown("send"))
    closed(c)
    S.reset(s)
    c:receive(1)
    closed(c)
  end)

  it("raises for other words", function()
    local c = pair()
    S.raises("invalid option 'receive'", c.keyupdate, c, "receive")
    S.raises("string expected", c.keyupdate, c, {})
    S.raises("SSL:Connection expected", c.keyupdate, {})
  end)
end)

describe("a flood of key updates", function()
  it("passes, and takes no memory", function()
    local grown = S.growth([[
      local c, s = S.connected(S.client { protocol = "tlsv1_3" })
      return function(i)
        S.poll(function()
          local ok, message = c:keyupdate()
          assert(ok or S.wants(message), message)
          s:receive(1)
          c:receive(1)
          return ok
        end)
        if i % 500 == 0 then
          assert(S.transfer(c, s, "data") == "data")
          assert(S.transfer(s, c, "data") == "data")
        end
      end
    ]], 500, 5000)
    assert.is_true(grown < 512, grown)
  end)

  it("whose answers are not read waits for that, and goes on when they are", function()
    local c, s, relay = relayed()
    relay.limit.down = relay.moved.down
    local updates = 0
    local seconds = S.MAXSECONDS
    S.MAXSECONDS = 5 * seconds -- hundreds of updates take that long under valgrind
    finally(function() S.MAXSECONDS = seconds end)
    S.poll(function()
      for _ = 1, 20 do
        if c:keyupdate() then updates = updates + 1 end
      end
      relay:pump()
      local data, message = s:receive(1)
      assert.is_nil(data)
      return message == "wantwrite"
    end, "the server's answers to wait")
    assert.is_true(updates > 0)
    relay.limit.down = math.huge
    local function pump() relay:pump() end
    assert(S.send(c, "data", pump))
    assert.equal("data", (S.receive(s, 4, nil, function()
      pump()
      c:receive(1)
    end)))
    assert(S.send(s, "back", pump))
    assert.equal("back", (S.receive(c, 4, nil, pump)))
  end)
end)

describe("key updates with openssl", function()
  it("s_client follows and asks", function()
    local listener = assert(socket.bind("127.0.0.1", 0))
    listener:settimeout(20)
    local out = os.tmpname()
    local p = assert(io.popen(("exec timeout 30 openssl s_client -tls1_3 -connect 127.0.0.1:%d >%s 2>&1"):format(
      select(2, listener:getsockname()), out), "w"))
    local conn = assert(ssl.wrap(assert(listener:accept()), S.server()))
    listener:close()
    conn:settimeout(20)
    assert(conn:dohandshake())
    for i = 1, 10 do
      assert.is_true(conn:keyupdate(i % 2 == 0 and "send" or "both"))
      assert(conn:send(("answer %d\n"):format(i)))
      S.poll(function() return S.read(out):find(("answer %d\n"):format(i), 1, true) end)
      p:write("K\n")
      p:flush()
      S.poll(function() return select(2, S.read(out):gsub("KEYUPDATE", "")) == i end)
      p:write(("line %d\n"):format(i))
      p:flush()
      assert.equal("line " .. i, conn:receive())
    end
    conn:close()
    p:close()
    os.remove(out)
  end)
end)
