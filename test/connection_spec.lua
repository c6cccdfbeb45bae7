-- ssl.core and ssl.wrap: making connections, setmethod, setfd, info. What methods answer in which state is in
-- states_spec.lua, handshakes that fail in handshake_spec.lua, data in the specs of stream, receive and send.

local socket = require "socket"
local ssl = require "ssl"
local core = require "ssl.core"
local context = require "ssl.context"
local support = require "support"

local pack = support.pack

-- A packed result without its n, for assert.same.
local function same(expected, got)
  assert.equal(expected.n or #expected, got.n, "number of results")
  for i = 1, got.n do assert.same(expected[i], got[i]) end
end

local function raises(pattern, f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok)
  assert.matches(pattern, err)
end

local function unattached() return assert(core.create(assert(ssl.newcontext(support.anyclient())))) end

describe("a connection's self", function()
  local methods = {}
  do
    local c, s = support.wrapped()
    for name, f in pairs(getmetatable(c).__index) do methods[name] = f end
    c:close()
    s:close()
  end

  it("has LuaSec's methods, and no shutdown that could be taken for LuaSocket's", function()
    for _, name in ipairs { "close", "dirty", "dohandshake", "exportkeyingmaterial", "getalpn", "getfd", "getfinished",
      "getlocalcertificate", "getlocalchain", "getpeercertificate", "getpeerchain", "getpeerfinished",
      "getpeerverification", "getsniname", "getstats", "info", "receive", "send", "setdane", "setstats", "settimeout",
      "settlsa", "sni", "want" } do
      assert.equal("function", type(methods[name]), name)
    end
    assert.is_nil(methods.setfd)
    assert.is_nil(methods.connect)
  end)

  it("must be one, in every method", function()
    local ctx = assert(ssl.newcontext(support.client()))
    local values = { nil, false, 1, "x", {}, print, io.stdout, ctx, setmetatable({}, { __index = methods }), n = 9 }
    for name, f in pairs(methods) do
      for i = 1, values.n do
        raises("bad argument #1 to .*SSL:Connection expected, got ", f, values[i], 1, 1, 1, "x")
      end
      raises("SSL:Connection expected, got no value", f)
      assert.equal("string", type(name))
    end
    raises("SSL:Connection expected, got number", methods.receive, 1)
    raises("SSL:Connection expected, got no value", methods.send)
  end)

  it("is userdata whose metatable can be read and extended", function()
    local c, s = support.wrapped()
    assert.equal("userdata", type(c))
    assert.is_nil(c.nosuchmethod)
    local meta = getmetatable(c)
    for _, key in ipairs { "__gc", "__close", "__tostring", "__index" } do assert.truthy(meta[key]) end
    same({ n = 0 }, pack(core.setmethod("test_only", function(self) return self end)))
    assert.equal(c, c:test_only())
    core.setmethod("test_only", nil)
    assert.is_nil(c.test_only)
    raises("bad argument #1", core.setmethod)
    raises("bad argument #2", core.setmethod, "x")
    c:close()
    s:close()
  end)
end)

describe("ssl.core", function()
  it("create refuses what is no context (Q20)", function()
    for _, value in ipairs { false, 1, "x", {}, print, io.stdout, coroutine.create(function() end) } do
      raises("bad argument #1 to .*invalid context", core.create, value)
    end
    raises("invalid context", core.create)
    raises("invalid context", core.create, nil)
    local c, s = support.wrapped()
    raises("invalid context", core.create, c)
    raises("invalid context", core.create, assert(ssl.loadcertificate(support.pem("serverA"))))
    c:close()
    s:close()
  end)

  it("create answers nil and a message for a context without a mode", function()
    local ctx = assert(context.create("any"))
    local conn, err, detail = core.create(ctx)
    assert.is_nil(conn)
    assert.equal("invalid mode", err)
    assert.equal("config", detail.kind)
    local a, b = support.tcp()
    local fd = a:getfd()
    conn, err = ssl.wrap(a, ctx)
    assert.is_nil(conn)
    assert.equal("invalid mode", err)
    assert.equal(fd, a:getfd())
    a:close()
    b:close()
  end)

  it("create refuses a closed context", function()
    local ctx = assert(ssl.newcontext(support.client()))
    getmetatable(ctx).__gc(ctx)
    raises("bad argument #1 to .*invalid context", core.create, ctx)
  end)

  it("setfd raises but in a new connection", function()
    local c, s = support.connected()
    raises("bad argument #1 to .*invalid SSL object state", core.setfd, c, 5)
    c:close()
    raises("bad argument #1 to .*invalid SSL object state", core.setfd, c, 5)
    s:close()
    c, s = support.wrapped()
    c:close()
    raises("bad argument #1 to .*invalid SSL object state", core.setfd, c, 5)
    s:close()
    local conn = unattached()
    raises("bad argument #2", core.setfd, conn)
    raises("bad argument #2", core.setfd, conn, "x")
    raises("bad argument #2", core.setfd, conn, 2 ^ 40)
    raises("bad argument #2", core.setfd, conn, 0 / 0)
    raises("SSL:Connection expected", core.setfd, 1, 2)
    assert.equal(-1, conn:getfd())
    same({ n = 0 }, pack(core.setfd(conn, -1)))
    conn:close()
  end)

  it("setfd may be repeated in a new connection", function()
    local a, b = support.tcp()
    local conn = unattached()
    core.setfd(conn, -1)
    core.setfd(conn, a:getfd())
    a:setfd(core.SOCKET_INVALID)
    conn:settimeout(0)
    local s = assert(ssl.wrap(b, support.server()))
    s:settimeout(0)
    local cr, sr = support.shake(conn, s)
    assert.same({ true, true }, { cr[1], sr[1] })
    conn:close()
    s:close()
  end)

  it("a connection without descriptor fails cleanly, for good", function()
    local conn = unattached()
    local ok, err, detail = conn:dohandshake()
    assert.is_false(ok)
    assert.equal("string", type(err))
    assert.equal("table", type(detail))
    same({ n = 0 }, pack(conn:close()))
  end)

  it("info and compression answer in every state (Q4)", function()
    local c, s = support.wrapped()
    same({ n = 0 }, pack(core.info(c)))
    assert.same({ nil, "closed" }, { core.compression(c), (select(2, core.compression(c))) })
    support.shake(c, s)
    local line, bits, algbits, version = core.info(c)
    assert.matches("Kx=", line)
    assert.equal(256, bits)
    assert.equal(256, algbits)
    assert.equal("TLSv1.3", version)
    same({ nil, n = 1 }, pack(core.compression(c)))
    c:close()
    same({ n = 0 }, pack(core.info(c)))
    assert.same({ nil, "closed" }, { core.compression(c), (select(2, core.compression(c))) })
    raises("SSL:Connection expected", core.info, {})
    raises("SSL:Connection expected", core.compression)
    s:close()
  end)

  it("has its constants", function()
    assert.equal(-1, core.SOCKET_INVALID)
    assert.equal("string", type(core.copyright()))
  end)
end)

describe("ssl.wrap", function()
  it("takes the descriptor and leaves the socket without one", function()
    local a, b = support.tcp()
    local fd = a:getfd()
    local conn = assert(ssl.wrap(a, support.client()))
    assert.equal(fd, conn:getfd())
    assert.equal(-1, a:getfd())
    local n, err = a:send("x")
    assert.is_nil(n)
    assert.equal("closed", err)
    a:close()
    assert.equal(fd, conn:getfd())
    conn:close()
    b:close()
  end)

  it("accepts a closed socket; the handshake says what is wrong", function()
    local a, b = support.tcp()
    a:close()
    local conn = assert(ssl.wrap(a, support.client()))
    local ok, err, detail = conn:dohandshake()
    assert.is_false(ok)
    assert.equal("Bad file descriptor", err)
    assert.equal("system", detail.kind)
    conn:close()
    b:close()
  end)

  it("refuses odd things before touching a descriptor (Q20)", function()
    local ctx = assert(ssl.newcontext(support.client()))
    local c, s = support.connected()
    support.collect()
    local before = support.descriptors()
    for _, value in ipairs { 1, "tcp", {}, true, print, io.stdout } do
      raises("bad argument #1 to 'wrap'", ssl.wrap, value, ctx)
    end
    raises("bad argument #1 to 'wrap'", ssl.wrap, nil, ctx)
    raises("bad argument #1 to 'wrap'", ssl.wrap, { getfd = function() return "x" end, setfd = print }, ctx)
    raises("bad argument #1 to 'wrap'", ssl.wrap, { getfd = function() return 3 end }, ctx)
    support.collect()
    assert.is_true(support.descriptors() <= before)
    assert.equal("still", support.transfer(c, s, "still"))
    c:close()
    s:close()
  end)

  it("leaves the socket as it was when the settings are wrong", function()
    local a, b = support.tcp()
    local fd = a:getfd()
    local conn, err = ssl.wrap(a, support.client { cafile = "/nonexistent/ca.pem" })
    assert.is_nil(conn)
    assert.equal("error loading CA locations (No such file or directory)", err)
    raises("invalid context", ssl.wrap, a, 5)
    raises("invalid context", ssl.wrap, a)
    assert.equal(fd, a:getfd())
    a:send("x")
    assert.equal("x", b:receive(1))
    a:close()
    b:close()
  end)

  it("takes any object with getfd and setfd", function()
    local a, b = support.tcp()
    local set = {}
    local duck = setmetatable({}, { __index = {
      getfd = function() return a:getfd() end,
      setfd = function(_, fd)
        set[#set + 1] = fd
        a:setfd(fd)
      end,
    } })
    local conn = assert(ssl.wrap(duck, support.client()))
    assert.same({ -1 }, set)
    conn:settimeout(0)
    local s = assert(ssl.wrap(b, support.server()))
    s:settimeout(0)
    assert.is_true(support.shake(conn, s)[1])
    conn:close()
    s:close()
  end)

  it("keeps the context of a connection alive", function()
    local c, s = support.tcp()
    c = assert(ssl.wrap(c, assert(ssl.newcontext(support.client { alpn = "two" }))))
    s = assert(ssl.wrap(s, assert(ssl.newcontext(support.server { alpn = { "one", "two" } }))))
    c:settimeout(0)
    s:settimeout(0)
    support.collect()
    assert.is_true(support.shake(c, s)[1])
    support.collect()
    assert.equal("two", c:getalpn())
    assert.equal("data", support.transfer(s, c, "data"))
    c:close()
    s:close()
  end)

  it("works in socket.select", function()
    local c, s = support.connected()
    support.poll(function() -- takes in the session tickets
      c:receive(0)
      return #socket.select({ c }, nil, 0) == 0
    end)
    local _, writable = socket.select(nil, { c }, 1)
    assert.equal(c, writable[1])
    s:send("hello world")
    local readable = socket.select({ c }, nil, 5)
    assert.equal(c, readable[1])
    assert.equal("hello", support.receive(c, 5))
    assert.is_true(c:dirty())
    assert.equal(c, (socket.select({ c }, nil, 5))[1])
    assert.equal(" world", c:receive(6))
    assert.is_false(c:dirty())
    c:close()
    s:close()
  end)
end)
