-- Waiting: both time-outs in both modes, for the three calls that wait; signals; descriptors beyond select's reach.
-- Lower bounds of time are checked closely, upper bounds only so far that a busy machine does not matter.

local socket = require "socket"
local ssl = require "ssl"
local E = require "engines"
local support = require "support"

local function raises(pattern, f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok)
  assert.matches(pattern, err)
end

-- The seconds f takes must be at least `least` (less a millisecond, in which waits are counted) and not much more.
local function takes(least, f)
  local start = socket.gettime()
  local r = support.pack(f())
  local spent = socket.gettime() - start
  assert.is_true(spent > least - 0.002, "ended after " .. spent .. " s")
  assert.is_true(spent < least + 2, "lasted " .. spent .. " s")
  return support.unpack(r, 1, r.n)
end

local function times_out(least, want, f)
  local first, err, _, detail = takes(least, f)
  assert.is_true(first == nil or first == false)
  assert.equal(want, err)
  if detail then assert.equal("want", detail.kind) end
end

-- block, total -> how long a call waits.
local waits = {
  { 0.12, nil, 0.12 }, { nil, 0.12, 0.12 }, { 0.1, 5, 0.1 }, { 5, 0.1, 0.1 }, { -1, 0.1, 0.1 }, { 0.1, -7, 0.1 },
  { 0, nil, 0 }, { nil, 0, 0 }, { 0, 5, 0 }, { 5, 0, 0 }, { 0, 0, 0 }, { 0.0004, nil, 0 }, { "0.1", "5", 0.1 },
}

local function settimeouts(conn, row)
  conn:settimeout(row[1])
  conn:settimeout(row[2], "t")
end

describe("a wait of", function()
  local c, s

  after_each(function()
    c:close()
    s:close()
  end)

  it("receive ends in time, with what came before", function()
    c, s = support.connected()
    for _, row in ipairs(waits) do
      for _, pattern in ipairs { "*l", "*a", 5 } do
        settimeouts(c, row)
        times_out(row[3], "wantread", function() return c:receive(pattern) end)
      end
    end
    s:send("abc")
    c:settimeout(0.1)
    c:settimeout(nil, "t")
    assert.equal("abc", select(3, takes(0.1, function() return c:receive(5) end)))
    -- And the connection is as good as before.
    s:send("12345")
    assert.equal("12345", c:receive(5))
  end)

  it("dohandshake ends in time; it can go on", function()
    c, s = support.wrapped()
    for _, row in ipairs(waits) do
      settimeouts(c, row)
      times_out(row[3], "wantread", function() return c:dohandshake() end)
      settimeouts(s, { 0 })
      s:close()
      c:close()
      c, s = support.wrapped()
    end
    c:settimeout(0.1)
    times_out(0.1, "wantread", function() return c:dohandshake() end)
    c:settimeout(0)
    assert.is_true(support.shake(c, s)[1])
  end)

  it("send ends in time, and tells where it is", function()
    c, s = support.connected()
    local data = ("x"):rep(65536)
    local function fill() -- until nothing has moved for a while
      c:settimeout(0)
      local stuck = 0
      support.poll(function()
        stuck = c:send(data) and 0 or select(2, c:send("x")) == "wantwrite" and stuck + 1 or 0
        socket.sleep(stuck > 0 and 0.005 or 0)
        return stuck > 10
      end)
    end
    for _, row in ipairs(waits) do
      -- TCP's probes of a full window may find some more room: then it is filled again.
      support.poll(function()
        fill()
        settimeouts(c, row)
        local start = socket.gettime()
        local n, err, last, detail = c:send("x")
        local spent = socket.gettime() - start
        if n then return false end
        assert.is_true(spent > row[3] - 0.002 and spent < row[3] + 2, "lasted " .. spent .. " s")
        assert.same({ "wantwrite", 0, "want" }, { err, last, detail.kind })
        return true
      end)
    end
  end)

  it("nothing is none: data that is there comes with any time-out", function()
    c, s = support.connected()
    for _, row in ipairs(waits) do
      settimeouts(c, row)
      s:send("line\n")
      assert.equal(c, socket.select({ c }, nil, 5)[1])
      support.poll(function() return c:receive() == "line" end)
    end
  end)

  it("more than one wait counts from the call's start, not from the last byte", function()
    c, s = support.connected()
    for _, row in ipairs { { 0.25 }, { nil, 0.25 } } do
      s:close()
      c:close()
      c, s = support.connected()
      local trickle = support.beside([[
        local socket = require "socket"
        local peer = socket.tcp()
        peer:connect("127.0.0.1", tonumber(arg[1]))
        for i = 1, 40 do
          if not peer:send(("\22\3\1\2\0\1"):sub(i, i) .. (i > 6 and "x" or "")) then break end
          socket.sleep(0.05)
        end
      ]], select(2, (function()
        s:close()
        s = assert(socket.bind("127.0.0.1", 0))
        return s:getsockname()
      end)()))
      s:settimeout(10)
      local conn = assert(ssl.wrap(assert(s:accept()), support.server()))
      settimeouts(conn, row)
      times_out(0.25, "wantread", function() return conn:dohandshake() end)
      conn:close()
      assert.equal("", trickle())
    end
  end)
end)

-- Engines never wait, so that nothing but the time for the whole call can end one here.
describe("a call that never has to wait", function()
  local SIZE = 4 * 1024 * 1024
  local data = ("0123456789abcdef"):rep(SIZE / 16)

  local function pair()
    local client, server = E.pair()
    for _, engine in ipairs { client, server } do
      engine:setoption("maxoutput", 2 * SIZE)
      engine:setoption("maxinput", 2 * SIZE)
    end
    E.shake(client, server)
    return client, server
  end

  it("is ended by the total time-out, and goes on where it was", function()
    local client, server = pair()
    client:settimeout(0.0005, "t")
    server:settimeout(0.0005, "t")
    for pattern, text in pairs { [SIZE] = data, ["*l"] = data .. "\n" } do
      local ends, last = 0, 0
      repeat
        local sent, message, partial, detail = client:send(text, last + 1)
        last = sent or partial
        if not sent then
          assert.same({ "wantwrite", "want" }, { message, detail.kind })
          ends = ends + 1
        end
      until sent or ends > 10000
      assert.equal(#text, last)
      assert.is_true(ends > 0)
      server:feed(client)
      local got, message, partial, detail
      ends = -1
      repeat
        got, message, partial, detail = server:receive(pattern, partial)
        if not got then assert.same({ "wantread", "want" }, { message, detail.kind }) end
        ends = ends + 1
      until got or ends > 10000
      assert.is_true(got == data)
      assert.is_true(ends > 0)
    end
  end)

  it("is not ended by the time-out of each wait, nor by none at all", function()
    local client, server = pair()
    for _, row in ipairs { { 0.0005 }, { 0 }, { nil, 0 }, { nil, -1 } } do
      settimeouts(client, row)
      settimeouts(server, row)
      assert.equal(SIZE, (client:send(data)))
      server:feed(client)
      assert.is_true(server:receive(SIZE) == data)
    end
  end)
end)

-- A child that connects, shakes hands, waits and sends.
local CLIENT = [[
  local socket, ssl = require "socket", require "ssl"
  local peer = socket.tcp()
  assert(peer:connect("127.0.0.1", tonumber(arg[1])))
  local conn = assert(ssl.wrap(peer, { mode = "client", protocol = "any", verify = "none" }))
  assert(conn:dohandshake())
  socket.sleep(tonumber(arg[2]))
  conn:send("hello\n")
  assert(conn:receive() == "bye")
  conn:close()
]]

local function accept(chunk, ...)
  local listener = assert(socket.bind("127.0.0.1", 0))
  listener:settimeout(20)
  local output = support.beside(chunk, select(2, listener:getsockname()), ...)
  local conn = assert(ssl.wrap(assert(listener:accept()), support.server()))
  listener:close()
  return conn, output
end

describe("without a time-out", function()
  it("calls wait until the peer has done its part", function()
    local conn, output = accept(CLIENT, 0.2)
    assert.is_true(conn:dohandshake())
    assert.equal("hello", takes(0.1, function() return conn:receive() end))
    assert.equal(4, conn:send("bye\n"))
    local data, err = conn:receive()
    assert.is_nil(data)
    assert.equal("closed", err)
    conn:close()
    assert.equal("", output())
  end)

  it("settimeout() and settimeout(nil) take one away", function()
    for _, negative in ipairs { -1, -0.001, false } do
      local conn, output = accept(CLIENT, 0.15)
      conn:settimeout(0)
      conn:settimeout(0, "t")
      if negative then
        conn:settimeout(negative)
        conn:settimeout(negative, "t")
      else
        conn:settimeout()
        conn:settimeout(nil, "t")
      end
      assert.is_true(conn:dohandshake())
      assert.equal("hello", conn:receive())
      conn:send("bye\n")
      conn:close()
      assert.equal("", output())
    end
  end)

  it("a signal does not end the wait", function()
    local out = support.fresh([[
      local socket, ssl, support = require "socket", require "ssl", require "support"
      local c, s = support.connected()
      c:settimeout(0.5)
      -- Stopped and continued: poll is interrupted, by signals that no handler is needed for.
      local pid = support.pid()
      local p = io.popen("for i in 1 2 3 4 5; do sleep 0.06; kill -STOP " .. pid .. "; kill -CONT " .. pid .. "; done")
      local start = socket.gettime()
      local data, err = c:receive()
      local spent = socket.gettime() - start
      p:close()
      assert(data == nil and err == "wantread")
      assert(spent > 0.498 and spent < 5, spent)
      s:send("still\n")
      assert(c:receive() == "still")
      io.write("fine")
    ]])
    assert.equal("fine", out)
  end)
end)

describe("a socket that is not connected", function()
  -- Fails, and soon: OpenSSL would have it asked again, and poll says that it is ready.
  local function fails(sock)
    local conn = assert(ssl.wrap(sock, support.server()))
    conn:settimeout(10)
    local cpu, start = os.clock(), socket.gettime()
    local ok, message, detail = conn:dohandshake()
    assert.is_false(ok)
    assert.equal("Transport endpoint is not connected", message)
    assert.same({ "system", "string" }, { detail.kind, type(detail.hint) })
    assert.is_true(socket.gettime() - start < 5 and os.clock() - cpu < 2)
    conn:close()
  end

  it("ends the handshake", function()
    fails(assert(socket.tcp4()))
  end)

  it("nor will be, for it listens, ends the handshake when somebody comes", function()
    local listener = assert(socket.bind("127.0.0.1", 0))
    local caller = assert(socket.connect("127.0.0.1", (select(2, listener:getsockname()))))
    fails(listener)
    caller:close()
  end)
end)

describe("settimeout", function()
  it("looks at the first letter of the mode, and keeps one value for each", function()
    local c, s = support.connected()
    for _, mode in ipairs { "b", "block", "blah" } do
      c:settimeout(nil, "t")
      assert.same({ n = 1, 1 }, support.pack(c:settimeout(0, mode)))
      times_out(0, "wantread", function() return c:receive() end)
      c:settimeout(0.1, "t")
      times_out(0, "wantread", function() return c:receive() end)
      c:settimeout(nil, mode)
      times_out(0.1, "wantread", function() return c:receive() end)
    end
    for _, mode in ipairs { "t", "total", "r", "realtime" } do
      c:settimeout(5)
      assert.same({ n = 1, 1 }, support.pack(c:settimeout(0.05, mode)))
      times_out(0.05, "wantread", function() return c:receive() end)
      c:settimeout(nil, mode)
      c:settimeout(0.1)
      times_out(0.1, "wantread", function() return c:receive() end)
    end
    c:close()
    s:close()
  end)

  it("raises for other modes and for what is no number, and changes nothing then", function()
    local c, s = support.connected()
    for _ = 1, 2 do
      for _, mode in ipairs { "", "x", "B", "T", " b", "0" } do
        raises("bad argument #%d to .*invalid timeout mode", c.settimeout, c, 5, mode)
      end
      raises("bad argument", c.settimeout, c, 5, {})
      raises("bad argument", c.settimeout, c, "soon")
      raises("bad argument", c.settimeout, c, {})
      raises("bad argument", c.settimeout, c, true)
      raises("bad argument", c.settimeout, c, 0 / 0)
      times_out(0, "wantread", function() return c:receive() end)
      s:close()
      if select(2, c:receive()) ~= "wantread" then break end
    end
    c:close()
    -- Works on a closed connection too.
    assert.equal(1, c:settimeout(1))
  end)

  it("takes any number", function()
    local c, s = support.connected()
    s:send("x")
    for _, seconds in ipairs { 1e9, 1e300, 1 / 0, 2 ^ 31, 2 ^ 22 } do
      c:settimeout(seconds)
      c:settimeout(seconds, "t")
      s:send("x")
      assert.equal("x", c:receive(1))
    end
    c:settimeout(-1 / 0)
    c:settimeout(-1e300, "t")
    assert.equal("x", c:receive(1))
    c:close()
    s:close()
  end)
end)

describe("descriptors above 1024", function()
  it("are as good as any", function()
    local out = support.fresh([[
      local socket, ssl, support = require "socket", require "ssl", require "support"
      local held = {}
      for i = 1, 1100 do
        local f = io.open("/dev/null")
        if not f then io.write("skip: ulimit -n"); os.exit(0) end
        held[i] = f
      end
      local c, s = support.connected()
      assert(c:getfd() > 1024 and s:getfd() > 1024)
      c:settimeout(0.1)
      local data, err = c:receive()
      assert(data == nil and err == "wantread", err)
      c:settimeout(10)
      s:send("hello\n")
      assert(c:receive() == "hello")
      assert(support.transfer(c, s, ("x"):rep(100000)) == ("x"):rep(100000))
      c:close()
      s:close()
      io.write("fine")
    ]], "ulimit -n 4096;")
    if out:find("^skip") then
      pending("ulimit -n cannot be raised here")
    else
      assert.equal("fine", out)
    end
  end)
end)
