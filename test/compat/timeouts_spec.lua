-- settimeout: arguments, the two budgets and how they combine, and that expiry is always "wantread" or "wantwrite".

local T = require "compat.tools"
local support = require "support"
local socket = require "socket"
local ssl = require "ssl"

local pack = support.pack

--- Calls f and returns how long it took, in seconds, and its results.
local function timed(f)
  local started = socket.gettime()
  local r = pack(f())
  return socket.gettime() - started, r
end

local function between(low, high, took)
  if took < low or took > high then
    error(("took %.3f s, expected %.3f to %.3f"):format(took, low, high), 2)
  end
end

describe("compat settimeout", function()
  local c, s
  before_each(function() c, s = support.connected() end)
  after_each(function() T.close(c, s) end)

  it("returns 1 and takes LuaSocket's modes by their first letter", function()
    for _, mode in ipairs { "b", "t", "r", "block", "total", "read" } do
      T.returned(pack(c:settimeout(1, mode)), 1)
    end
    T.returned(pack(c:settimeout(0)), 1)
    T.returned(pack(c:settimeout()), 1)
    T.returned(pack(c:settimeout(nil)), 1)
    T.returned(pack(c:settimeout(nil, "t")), 1)
    T.returned(pack(c:settimeout(-1)), 1)
    T.returned(pack(c:settimeout("2")), 1)
  end)

  it("raises for an unknown mode and for a wrong type", function()
    T.raises("bad argument #3.*invalid timeout mode", c.settimeout, c, 1, "x")
    T.raises("bad argument #3.*invalid timeout mode", c.settimeout, c, 1, "")
    T.raises("bad argument #2.*number expected", c.settimeout, c, {})
    T.raises("bad argument #2.*number expected", c.settimeout, c, "soon")
  end)

  it("works in every state", function()
    local a, b = support.wrapped()
    T.returned(pack(a:settimeout(1)), 1)
    T.close(a, b)
    T.returned(pack(a:settimeout(1)), 1)
    T.returned(pack(a:settimeout(1, "t")), 1)
  end)

  it("of zero answers at once", function()
    c:settimeout(0)
    local took, r = timed(function() return c:receive() end)
    T.begins(r, nil, "wantread", "")
    between(0, 0.9, took)
  end)

  it("of zero in total answers at once", function()
    c:settimeout(nil)
    c:settimeout(0, "t")
    local took, r = timed(function() return c:receive() end)
    T.begins(r, nil, "wantread", "")
    between(0, 0.9, took)
  end)

  it("in block mode bounds a receive, with 'wantread'", function()
    c:settimeout(0.2)
    local took, r = timed(function() return c:receive() end)
    T.begins(r, nil, "wantread", "")
    between(0.18, 1.5, took)
  end)

  it("in total mode bounds a receive, with 'wantread'", function()
    c:settimeout(nil)
    c:settimeout(0.2, "t")
    local took, r = timed(function() return c:receive(10) end)
    T.begins(r, nil, "wantread", "")
    between(0.18, 1.5, took)
  end)

  it("takes the smaller of both budgets", function()
    c:settimeout(0.2, "b")
    c:settimeout(4, "t")
    local took = timed(function() return c:receive() end)
    between(0.18, 1.5, took)
    c:settimeout(4, "b")
    c:settimeout(0.2, "t")
    took = timed(function() return c:receive() end)
    between(0.18, 1.5, took)
  end)

  it("changes one budget only with each call", function()
    c:settimeout(0.2, "t")
    c:settimeout(nil, "b")
    local took = timed(function() return c:receive() end)
    between(0.18, 1.5, took)
  end)

  it("starts anew with every call", function()
    c:settimeout(0.15)
    for _ = 1, 3 do
      local took = timed(function() return c:receive() end)
      between(0.13, 1.5, took)
    end
    c:settimeout(nil)
    c:settimeout(0.15, "t")
    for _ = 1, 2 do
      local took = timed(function() return c:receive() end)
      between(0.13, 1.5, took)
    end
  end)

  it("keeps what had come when the time was over", function()
    s:send("abc")
    c:settimeout(0.2)
    T.begins(pack(c:receive(10)), nil, "wantread", "abc")
  end)

  it("does not delay data that is there", function()
    s:send("line\n")
    c:settimeout(5)
    local took, r = timed(function() return c:receive() end)
    T.returned(r, "line", nil, nil)
    between(0, 3, took)
  end)

  it("does not delay the peer's close", function()
    s:close()
    c:settimeout(5)
    local took, r = timed(function() return c:receive() end)
    T.begins(r, nil, "closed", "")
    between(0, 3, took)
  end)
end)

describe("compat handshake timeout", function()
  local c, s
  before_each(function() c, s = support.tcp() end)
  after_each(function() T.close(c, s) end)

  for _, mode in ipairs { "b", "t" } do
    it("in mode " .. mode .. " is false and 'wantread', and the connection lives on", function()
      c = assert(ssl.wrap(c, support.client()))
      c:settimeout(0.2, mode)
      local took, r = timed(function() return c:dohandshake() end)
      T.begins(r, false, "wantread")
      between(0.18, 1.5, took)
      s = assert(ssl.wrap(s, support.server()))
      s:settimeout(0)
      c:settimeout(0)
      local cr, sr = support.shake(c, s)
      assert.is_true(cr[1])
      assert.is_true(sr[1])
    end)
  end

  it("of a server bounds the wait for the client", function()
    s = assert(ssl.wrap(s, support.server()))
    s:settimeout(0.2)
    local took, r = timed(function() return s:dohandshake() end)
    T.begins(r, false, "wantread")
    between(0.18, 1.5, took)
  end)

  it("bounds the whole handshake when the peer dribbles", function()
    s = assert(ssl.wrap(s, support.server()))
    s:settimeout(0.3)
    c:send("\22\3\1\2\0")
    local took, r = timed(function() return s:dohandshake() end)
    T.begins(r, false, "wantread")
    between(0.25, 2, took)
  end)
end)

describe("compat blocking connections", function()
  it("wait for descriptors above 1024 too", function()
    local out, status = T.child([[
      local files = {}
      for i = 1, 1100 do files[i] = assert(io.open("/dev/null")) end
      local support = require "support"
      local c, s = support.connected()
      assert(c:getfd() > 1024)
      c:settimeout(0.1)
      local _, err = c:receive()
      assert(err == "wantread", err)
      assert(support.transfer(c, s, "far up") == "far up")
    ]], 20, "ulimit -n 4096 &&")
    assert.equal(0, status, out)
  end)

  it("shake hands, send and receive with a peer in another process", function()
    local listener = assert(socket.bind("127.0.0.1", 0))
    listener:settimeout(10)
    local _, port = listener:getsockname()
    local script = os.tmpname()
    local f = assert(io.open(script, "w"))
    f:write(([[
      local support = require "support"
      local c = assert(require "socket".connect("127.0.0.1", %d))
      c = assert(support.ssl.wrap(c, support.client()))
      c:settimeout(10)
      assert(c:dohandshake())
      assert(c:send("ping\n"))
      assert(c:receive() == "pong")
      local all = assert(c:receive("*a"))
      assert(#all == 1000000, #all)
      c:close()
      print "done"
    ]]):format(port))
    f:close()
    local p = assert(io.popen(("timeout 20 %s %s 2>&1"):format(T.interpreter(), script)))
    local s = assert(ssl.wrap(assert(listener:accept()), support.server()))
    listener:close()
    s:settimeout(10)
    T.returned(pack(s:dohandshake()), true)
    T.returned(pack(s:receive()), "ping", nil, nil)
    T.returned(pack(s:send("pong\n")), 5, nil, nil)
    T.returned(pack(s:send(("x"):rep(1000000))), 1000000, nil, nil)
    s:close()
    assert.equal("done\n", p:read("*a"))
    p:close()
    os.remove(script)
  end)
end)
