-- What a connection does with its descriptor: non-blocking from the start, closed once, and no signal when the peer has
-- gone.

local socket = require "socket"
local ssl = require "ssl"
local support = require "support"

describe("a descriptor", function()
  it("is made non-blocking, whatever it was", function()
    local f = io.open("/proc/self/fdinfo/0")
    if not f then return pending("there is no /proc here") end
    f:close()
    local function nonblocking(fd)
      local info = support.read(("/proc/self/fdinfo/%d"):format(fd))
      local flags = tonumber(info:match("flags:%s*(%d+)"), 8)
      return math.floor(flags / 2048) % 2 == 1 -- O_NONBLOCK
    end
    -- A plain file's descriptor, for want of a way to make a socket block from here.
    local out = support.fresh([[
      local core, ssl, support = require "ssl.core", require "ssl", require "support"
      local function flags(fd)
        return tonumber(support.read(("/proc/self/fdinfo/%d"):format(fd)):match("flags:%s*(%d+)"), 8)
      end
      local before = flags(3)
      local conn = assert(core.create(assert(ssl.newcontext(support.client()))))
      core.setfd(conn, 3)
      io.write(math.floor(before / 2048) % 2, math.floor(flags(3) / 2048) % 2)
      conn:close()
      io.write(io.open("/proc/self/fdinfo/3") and "open" or "closed")
    ]], "exec 3<>/dev/null;")
    assert.equal("01closed", (out:gsub("%.0", "")))
    local c, s = support.connected()
    assert.is_true(nonblocking(c:getfd()))
    assert.is_true(nonblocking(s:getfd()))
    c:close()
    s:close()
  end)

  it("is closed once, and never somebody else's by then", function()
    local a, b = support.tcp()
    local conn = assert(ssl.wrap(a, support.client()))
    local fd = conn:getfd()
    conn:close()
    local others, taken = {}, false
    for i = 1, 10 do -- one of them has the number that became free
      others[i] = socket.tcp()
      others[i]:bind("127.0.0.1", 0)
      taken = taken or others[i]:getfd() == fd
    end
    assert.is_true(taken)
    conn:close()
    getmetatable(conn).__gc(conn)
    conn = nil -- luacheck: ignore
    support.collect()
    for _, other in ipairs(others) do
      assert.truthy(other:getsockname())
      other:close()
    end
    b:close()
  end)

  it("of another kind is refused by the handshake, not by a crash", function()
    for _, path in ipairs { "/dev/null", "/dev/zero", "/" } do
      local out = support.fresh([[
        local core, ssl, support = require "ssl.core", require "ssl", require "support"
        local conn = assert(core.create(assert(ssl.newcontext(support.client()))))
        core.setfd(conn, 3)
        local ok, err = conn:dohandshake()
        io.write(tostring(ok), " ", err:match("%a") and "sentence" or "none")
      ]], "exec 3<" .. path .. ";")
      assert.equal("false sentence", out)
    end
  end)

  it("that is no socket is written and read all the same", function()
    local out = support.fresh([[
      local core, ssl, support = require "ssl.core", require "ssl", require "support"
      local conn = assert(core.create(assert(ssl.newcontext(support.client()))))
      core.setfd(conn, 3)
      io.write(tostring(select(2, conn:dohandshake())))
    ]], "exec 3<>/dev/null;")
    assert.equal("unexpected eof while reading", out)
  end)
end)

describe("a peer that has gone", function()
  -- A child without LuaSocket, which would ignore SIGPIPE by itself: its socket is descriptor 3, connected by bash.
  local WRITER = [[
    local core, ssl = require "ssl.core", require "ssl"
    assert(not package.loaded["socket.core"])
    local conn = assert(core.create(assert(ssl.newcontext { mode = "client", protocol = "any", verify = "none" })))
    core.setfd(conn, 3)
    assert(conn:dohandshake())
    assert(conn:send("ready\n"))
    local limit = os.time() + 30
    while os.time() < limit do
      local n, err = conn:send(("x"):rep(1000))
      if not n then
        assert(err == "closed", err)
        n, err = conn:send("x")
        assert(n == nil and err == "closed")
        conn:close()
        io.write("alive")
        return
      end
    end
    io.write("never noticed")
  ]]

  it("does not kill the process, SIGPIPE at its default", function()
    local listener = assert(socket.bind("127.0.0.1", 0))
    listener:settimeout(20)
    local path = support.tmpfile(WRITER)
    local child = assert(io.popen(("timeout 60 env --default-signal=PIPE bash -c " ..
      "'exec 3<>/dev/tcp/127.0.0.1/%d; exec %s %s' 2>&1; echo \" $?\""):format(select(2, listener:getsockname()),
      support.interpreter(), path)))
    local conn = assert(ssl.wrap(assert(listener:accept()), support.server()))
    conn:settimeout(20)
    assert(conn:dohandshake())
    assert.equal("ready", conn:receive())
    support.reset(conn)
    assert.equal("alive 0\n", child:read("*a"))
    child:close()
    listener:close()
    os.remove(path)
  end)

  it("is closed for send and receive, and close_notify to it is dropped", function()
    for _, order in ipairs { "send", "receive" } do
      local c, s = support.connected(support.client { protocol = "tlsv1_2" })
      support.reset(s)
      local err
      support.poll(function()
        local ok
        if order == "send" then
          ok, err = c:send("x")
          return not ok and not support.wants(err)
        end
        ok, err = c:receive()
        return not ok and not support.wants(err)
      end)
      assert.equal("closed", err)
      assert.same({ n = 0 }, support.pack(c:close()))
      assert.equal(-1, c:getfd())
    end
  end)

  -- Whether a process ignores SIGPIPE after running `chunk`, started with the signal's action set by `before`.
  local function ignored(chunk, before)
    local mask = support.fresh(chunk .. [[
      local f = io.open("/proc/self/status")
      local text = f:read("*a")
      f:close()
      io.write(text:match("SigIgn:%s*%x*(%x%x%x%x)"))
    ]], before)
    return math.floor(tonumber(mask, 16) / 4096) % 2 == 1 -- bit 12 is signal 13
  end

  it("is why ssl.core ignores SIGPIPE, when nobody has said what to do with it", function()
    assert.is_false(ignored("", "env --default-signal=PIPE"))
    assert.is_true(ignored("require 'ssl.core'", "env --default-signal=PIPE"))
    assert.is_true(ignored("require 'ssl.core'", "env --ignore-signal=PIPE"))
  end)
end)
