-- src/socket.c: what a connection answers for its socket. LuaSocket is the measure: the same calls on a LuaSocket
-- object, before wrap or on the same descriptor, must end in the same values, messages and raised errors.

local socket = require "socket"
local core = require "ssl.core"
local context = require "ssl.context"
local support = require "support"
local ssl = support.ssl

-- A value as text that tells 1 from 1.0 and one table's content from another's.
local function show(v)
  if type(v) ~= "table" then return type(v) .. " " .. tostring(v) end
  local fields = {}
  for k, w in pairs(v) do fields[#fields + 1] = tostring(k) .. "=" .. show(w) end
  table.sort(fields)
  return "{" .. table.concat(fields, ", ") .. "}"
end

local function showall(r, n)
  local out = {}
  for i = 1, n or r.n do out[i] = show(r[i]) end
  return table.concat(out, ", ")
end

-- What a method ends in, as text: "raised MESSAGE", or its values, without the detail that a connection adds to a
-- failure; the detail comes second.
local function outcome(ok, ...)
  if not ok then return "raised " .. tostring((...)) end
  local r = support.pack(...)
  if r.n == 3 and r[1] == nil and type(r[3]) == "table" then return showall(r, 2), r[3] end
  return showall(r)
end

local function result(object, method, ...) return outcome(pcall(object[method], object, ...)) end

-- The same of a LuaSocket object that stands for the connection's descriptor.
local function rawresult(conn, method, ...)
  local args, text = support.pack(...), nil
  support.raw(conn, function(sock) text = result(sock, method, support.unpack(args, 1, args.n)) end)
  return text
end

local function wrap(sock, cfg)
  local conn = assert(ssl.wrap(sock, cfg or support.anyclient()))
  conn:settimeout(0)
  return conn
end

-- Connected LuaSocket objects, client and server, the client's an IPv6 one; nil where there is no such thing.
local function pair6(host, address)
  local listener = socket.bind(host, 0)
  if not listener then return nil end
  listener:settimeout(5)
  local client = socket.tcp6()
  client:settimeout(5)
  client:setoption("ipv6-v6only", false)
  local ok = client:connect(address, (select(2, listener:getsockname())))
  local server = ok and assert(listener:accept())
  listener:close()
  if not ok then client:close() end
  return ok and client, server
end

local function pairunix(path)
  local unix = require "socket.unix"
  local new = type(unix) == "table" and unix.stream or unix
  os.remove(path)
  local listener = new()
  listener:settimeout(5)
  assert(listener:bind(path))
  assert(listener:listen())
  local client = new()
  client:settimeout(5)
  assert(client:connect(path))
  local server = assert(listener:accept())
  listener:close()
  os.remove(path)
  return client, server
end

describe("addresses", function()
  local function answers(o)
    return result(o, "getsockname"), result(o, "getpeername"), result(o, "getfamily")
  end

  -- Before wrap, then in each state of a connection.
  local function compare(c, s)
    local cbefore, sbefore = { answers(c) }, { answers(s) }
    local cconn, sconn = wrap(c), wrap(s, support.server())
    local function check(state)
      assert.same(cbefore, { answers(cconn) }, state)
      assert.same(sbefore, { answers(sconn) }, state)
    end
    check("new")
    assert.is_true(support.shake(cconn, sconn)[1])
    check("connected")
    support.raw(sconn, function(sock) sock:shutdown("send") end)
    local _, err = support.receive(cconn, 1)
    assert.equal("unexpected eof while reading", err)
    check("broken")
    cconn:close()
    sconn:close()
    return cbefore
  end

  it("are LuaSocket's over IPv4, port as a string for our end and a number for the peer's", function()
    local name, peer, family = support.unpack(compare(support.tcp()))
    assert.matches('^string 127%.0%.0%.1, string %d+, string inet$', name)
    assert.matches('^string 127%.0%.0%.1, number %d+, string inet$', peer)
    assert.equal("string inet4", family)
  end)

  it("are LuaSocket's over IPv6", function()
    local c, s = pair6("::1", "::1")
    if not c then return pending("no IPv6 on this machine") end
    local name, peer, family = support.unpack(compare(c, s))
    assert.matches('^string ::1, string %d+, string inet6$', name)
    assert.matches('^string ::1, number %d+, string inet6$', peer)
    assert.equal("string inet6", family)
  end)

  it("name an IPv4 peer of an IPv6 socket as LuaSocket does", function()
    local c, s = pair6("127.0.0.1", "::ffff:127.0.0.1")
    if not c then return pending("no IPv4 through IPv6 sockets on this machine") end
    local _, peer = support.unpack(compare(c, s))
    assert.matches('^string ::ffff:127%.0%.0%.1, number %d+, string inet6$', peer)
  end)

  it("of a Unix socket are its path alone, empty when it has none", function()
    local path = os.tmpname()
    local c, s = pairunix(path)
    local cbefore, sbefore = result(c, "getsockname"), result(s, "getsockname")
    local cconn, sconn = wrap(c), wrap(s, support.server())
    assert.equal("string " .. path, sbefore)
    assert.equal(sbefore, (result(sconn, "getsockname")))
    assert.equal(cbefore, (result(cconn, "getsockname")))
    assert.equal("string ", cbefore)
    assert.equal("string " .. path, (result(cconn, "getpeername")))
    assert.equal("string ", (result(sconn, "getpeername")))
    assert.equal("unix", cconn:getfamily())
    assert.is_true(support.shake(cconn, sconn)[1])
    assert.equal("over a path", support.transfer(cconn, sconn, "over a path"))
    assert.equal("nil nil, string setsockopt failed", (result(cconn, "setoption", "tcp-nodelay", true)))
    cconn:close()
    sconn:close()
  end)

  it("are missing in LuaSocket's words", function()
    local sock = socket.tcp4()
    assert(sock:bind("127.0.0.1", 0))
    local name, peer = result(sock, "getsockname"), result(sock, "getpeername")
    local conn = wrap(sock)
    assert.equal(name, (result(conn, "getsockname")))
    local text, detail = result(conn, "getpeername")
    assert.equal(peer, text)
    assert.equal("system", detail.kind)
    assert.is_number(detail.code)
    assert.same(detail, conn:lasterror())
    conn:close()
    -- A connection that never got a descriptor, and a LuaSocket object that has none yet.
    local bare = core.create(ssl.newcontext(support.client()))
    for _, m in ipairs { "getsockname", "getpeername" } do
      assert.equal(result(socket.tcp(), m), (result(bare, m)))
    end
    assert.equal("nil nil, string Bad file descriptor", (result(bare, "getfamily")))
    assert.equal("nil nil, string getsockopt failed", (result(bare, "getoption", "keepalive")))
    assert.equal("nil nil, string setsockopt failed", (result(bare, "setoption", "keepalive", true)))
  end)
end)

local ON = { true, false, true }
local COUNT = { 1, 7, "5", 3.9, 0, -1, 1e10, -1e10, 4 }

-- name, values to set one after the other. Both ends of the comparison take the same ones.
local OPTIONS = {
  { "keepalive", ON }, { "reuseaddr", ON }, { "reuseport", ON }, { "tcp-nodelay", ON },
  { "tcp-keepidle", COUNT }, { "tcp-keepcnt", COUNT }, { "tcp-keepintvl", COUNT },
  { "recv-buffer-size", { 8192, "16384", 0, 4096.5, 40000, -1, 1e10 } },
  { "send-buffer-size", { 8192, "16384", 0, 4096.5, 40000, -1, 1e10 } },
  { "linger", { { on = true, timeout = 3 }, { on = true, timeout = "4" }, { on = true, timeout = 1.5 },
    { on = true, timeout = -1 }, { on = true, timeout = 65535 }, { on = false, timeout = 9 },
    setmetatable({}, { __index = function(_, k) if k == "on" then return true end return 2 end }),
    { on = false, timeout = 0 } } },
  { "ipv6-v6only", ON, writeonly = true },
  { "tcp-defer-accept", { 1, 0 }, writeonly = true },
  { "tcp-fastopen", { 1 }, writeonly = true },
  { "tcp-fastopen-connect", { 1 }, writeonly = true },
}

-- What is raised for a value of the wrong type: the same by both.
local FLAG_REFUSES = { 1, "x", "true", {}, print }
local LINGER_REFUSES = { true, 1, "x", {}, { on = 1, timeout = 1 }, { timeout = 1 }, { on = true },
  { on = true, timeout = "x" }, { on = true, timeout = {} } }

describe("options", function()
  local conn, peer, sock, sockpeer

  before_each(function()
    conn, peer = support.connected()
    sock, sockpeer = support.tcp()
  end)

  after_each(function()
    for _, o in ipairs { conn, peer, sock, sockpeer } do o:close() end
  end)

  for _, row in ipairs(OPTIONS) do
    local name, values = row[1], row[2]

    it(name .. " is set and read as by LuaSocket", function()
      local function check(what)
        if row.writeonly then return end
        assert.equal(rawresult(conn, "getoption", name), (result(conn, "getoption", name)), what)
        if what ~= "at first" then
          assert.equal(result(sock, "getoption", name), (result(conn, "getoption", name)), what)
        end
      end
      check("at first")
      for _, v in ipairs(values) do
        local text, detail = result(conn, "setoption", name, v)
        assert.equal(result(sock, "setoption", name, v), text, show(v))
        if text:find("^nil") then
          assert.equal("system", detail.kind)
          assert.not_matches("setsockopt", detail.reason)
          assert.is_true(detail.code > 0)
          assert.same(detail, conn:lasterror())
        end
        check(show(v))
      end
      assert.equal("ping", support.transfer(conn, peer, "ping"))
    end)

    it(name .. " refuses what LuaSocket refuses", function()
      local refused = type(values[1]) == "boolean" and FLAG_REFUSES or type(values[1]) == "table" and LINGER_REFUSES
      for _, v in ipairs(refused or {}) do
        local text = result(sock, "setoption", name, v)
        assert.matches("^raised ", text)
        assert.equal(text, (result(conn, "setoption", name, v)))
      end
      if refused then assert.equal(result(sock, "setoption", name), (result(conn, "setoption", name))) end
      if row.writeonly then assert.equal(result(sock, "getoption", name), (result(conn, "getoption", name))) end
    end)
  end

  it("that are numbers refuse what is none; LuaSocket takes it for 0", function()
    for _, row in ipairs(OPTIONS) do
      local name = row[1]
      if type(row[2][1]) == "number" then
        local before = row.writeonly or conn:getoption(name)
        for _, v in ipairs { "x", true, {}, print } do
          assert.matches("^raised bad argument #3 to '.-' %(number expected, got " .. type(v) .. "%)$",
            (result(conn, "setoption", name, v)))
        end
        assert.matches("number expected, got no value", (result(conn, "setoption", name)))
        assert.equal(before, row.writeonly or conn:getoption(name))
      end
    end
  end)

  it("linger keeps a timeout that is too long as long as can be; LuaSocket cuts it to 16 bits, 65536 to 0", function()
    for _, seconds in ipairs { 65536, 70000, math.huge, -math.huge } do
      assert.equal(1, conn:setoption("linger", { on = true, timeout = seconds }))
      assert.same({ on = true, timeout = 65535 }, conn:getoption("linger"))
    end
    assert.equal(1, conn:setoption("linger", { on = false, timeout = 0 }))
  end)

  it("unknown, read-only or of the wrong type raise LuaSocket's errors", function()
    local names = { "bogus", "", "KEEPALIVE", "keepalive ", "broadcast", "dontroute", "ip-multicast-ttl",
      ("x"):rep(35), ("y"):rep(36), ("z"):rep(5000), 5, {}, true }
    for _, name in ipairs(names) do
      local get, set = result(sock, "getoption", name), result(sock, "setoption", name, true)
      assert.matches("^raised ", get)
      assert.equal(get, (result(conn, "getoption", name)))
      assert.equal(set, (result(conn, "setoption", name, true)))
    end
    assert.equal(result(sock, "getoption"), (result(conn, "getoption")))
    assert.equal(result(sock, "setoption"), (result(conn, "setoption")))
    -- LuaSocket takes it for "keepalive".
    assert.matches("unsupported option `keepalive\\0x'", (result(conn, "getoption", "keepalive\0x")))
    assert.equal(result(sock, "setoption", "error", 1), (result(conn, "setoption", "error", 1)))
  end)

  it("error tells of what waits on the socket, once", function()
    assert.equal("nil nil", (result(conn, "getoption", "error")))
    local function reset(o, closer)
      closer()
      local text
      support.poll(function()
        text = result(o, "getoption", "error")
        return text ~= "nil nil"
      end, "the reset")
      return text
    end
    local expected = reset(sock, function()
      sockpeer:setoption("linger", { on = true, timeout = 0 })
      sockpeer:close()
    end)
    local got = reset(conn, function()
      assert.equal(1, peer:setoption("linger", { on = true, timeout = 0 }))
      peer:close()
    end)
    assert.equal("string closed", expected)
    assert.equal(expected, got)
    assert.equal("nil nil", (result(conn, "getoption", "error")))
  end)

  it("answer inside a callback, before the handshake is done", function()
    local seen, server
    local c
    c, server = support.wrapped(support.client { alpn = "x" }, support.server { alpn = function()
      local address, _, family = server:getpeername()
      local set = server:setoption("tcp-nodelay", true)
      seen = { address, family, set, server:getoption("tcp-nodelay"), server:pending() }
      return "x"
    end })
    assert.is_true(support.shake(c, server)[1])
    assert.same({ "127.0.0.1", "inet", 1, true, 0 }, seen)
    c:close()
    server:close()
  end)

  it("answer after a handshake that failed, and leave its error", function()
    local c, s = support.wrapped(support.client { cafile = support.cert("rootB") })
    assert.is_false(support.shake(c, s)[1])
    local why = c:lasterror()
    assert.equal("verify", why.kind)
    assert.equal("127.0.0.1", (c:getsockname()))
    assert.equal(1, c:setoption("keepalive", true))
    assert.is_true(c:getoption("keepalive"))
    assert.equal("nil nil, string setsockopt failed", (result(c, "setoption", "tcp-keepcnt", -1)))
    assert.equal(why, c:lasterror())
    assert.equal("certificate verify failed", (select(2, c:dohandshake())))
    assert.equal(why, (select(3, c:dohandshake())))
    c:close()
    s:close()
  end)
end)

describe("maxreceive", function()
  it("is an option: set, read, lifted", function()
    local c, s = support.connected(support.client { maxreceive = 4 })
    assert.equal(4, c:getoption("maxreceive"))
    assert.equal(0, s:getoption("maxreceive"))
    assert.equal(1, c:setoption("maxreceive", 8))
    assert.equal(8, c:getoption("maxreceive"))
    support.send(s, "123456789\nrest\n")
    local line, err, partial, detail = support.receive(c, "*l")
    assert.is_nil(line)
    assert.equal("more than the 8 bytes that maxreceive allows", err)
    assert.equal("12345678", partial)
    assert.equal("config", detail.kind)
    for _, none in ipairs { 0, "0", false } do
      assert.equal(1, c:setoption("maxreceive", 8))
      assert.equal(1, c:setoption("maxreceive", none or nil))
      assert.equal(0, c:getoption("maxreceive"))
    end
    assert.equal("123456789", (support.receive(c, "*l", partial)))
    assert.equal("rest", (support.receive(c, "*l")))
    c:close()
    s:close()
  end)

  it("refuses what is no number of bytes and stays as it was", function()
    local c, s = support.connected()
    c:setoption("maxreceive", 100)
    for _, bad in ipairs { -1, 0 / 0, "x", {}, true } do
      assert.matches("^raised bad argument #3 ", (result(c, "setoption", "maxreceive", bad)))
      assert.equal(100, c:getoption("maxreceive"))
    end
    c:close()
    s:close()
  end)
end)

describe("gettimeout", function()
  it("tells what settimeout set, as LuaSocket's", function()
    local conn, plain = assert(ssl.wrap(support.tcp(), support.anyclient())), socket.tcp()
    local calls = { {}, { 1.5 }, { 3, "t" }, { 0 }, { nil }, { 0, "r" }, { nil, "t" }, { -7 }, { 2, "b" } }
    local function check(what) assert.equal(result(plain, "gettimeout"), (result(conn, "gettimeout")), what) end
    check("at first")
    for i, args in ipairs(calls) do
      assert.equal(result(plain, "settimeout", args[1], args[2]), (result(conn, "settimeout", args[1], args[2])))
      check("call " .. i)
    end
    conn:close()
    plain:close()
    check("closed")
  end)
end)

describe("pending", function()
  it("counts what receive gives without the socket", function()
    local c, s = support.wrapped()
    assert.equal(0, c:pending())
    assert.is_true(support.shake(c, s)[1])
    assert.equal(0, c:pending())
    support.send(s, "hello\nworld")
    support.poll(function() return socket.select({ c }, nil, 0)[1] end, "bytes in the socket")
    assert.equal(0, c:pending())
    assert.equal("hello", (support.receive(c, "*l")))
    assert.equal(5, c:pending())
    assert.is_true(c:dirty())
    assert.equal("wo", (c:receive(2)))
    assert.equal(3, c:pending())
    assert.equal("rld", (c:receive(3)))
    assert.equal(0, c:pending())
    assert.is_false(c:dirty())
    c:close()
    s:close()
  end)

  it("is all there of a large record, whatever took its first byte", function()
    local c, s = support.connected()
    local record = ("0123456789abcdef"):rep(1024)
    for _, first in ipairs { 1, 100, #record - 1 } do
      support.send(s, record)
      assert.equal(record:sub(1, first), (support.receive(c, first)))
      local left = #record - first
      assert.equal(left, c:pending())
      -- With nothing in the socket any more it must come at once, and no byte beyond it.
      assert.equal(record:sub(first + 1), (c:receive(c:pending())))
      local data, err = c:receive(1)
      assert.is_nil(data)
      assert.equal("wantread", err)
      assert.equal(0, c:pending())
    end
    c:close()
    s:close()
  end)

  it("is 0 of a connection that an error or close has ended", function()
    local c, s = support.connected()
    support.send(s, "line\nrest")
    support.send(c, "line\nrest")
    assert.equal("line", (support.receive(s, "*l")))
    assert.equal(4, s:pending())
    assert.equal("line", (support.receive(c, "*l")))
    support.raw(s, function(sock) sock:shutdown("send") end)
    local _, err, partial = support.receive(c, 100)
    assert.equal("unexpected eof while reading", err)
    assert.equal("rest", partial)
    assert.equal(0, c:pending())
    s:close()
    assert.equal(0, s:pending())
    c:close()
  end)
end)

describe("a closed connection", function()
  it("answers closed, and still raises for wrong arguments", function()
    local conn, peer = support.connected()
    conn:close()
    peer:close()
    local calls = {
      { "getsockname" }, { "getpeername" }, { "getfamily" }, { "getoption", "keepalive" }, { "getoption", "linger" },
      { "getoption", "error" }, { "getoption", "maxreceive" }, { "setoption", "keepalive", true },
      { "setoption", "linger", { on = true, timeout = 1 } }, { "setoption", "recv-buffer-size", 4096 },
      { "setoption", "maxreceive", 1 },
    }
    for _, call in ipairs(calls) do
      local text, detail = result(conn, call[1], call[2], call[3])
      assert.equal("nil nil, string closed", text, table.concat({ call[1], call[2] }, " "))
      assert.equal("closed", detail.kind)
    end
    assert.matches("^raised .*unsupported option `bogus'", (result(conn, "getoption", "bogus")))
    assert.matches("^raised .*boolean expected, got number", (result(conn, "setoption", "keepalive", 1)))
    assert.matches("^raised .*number of bytes expected", (result(conn, "setoption", "maxreceive", -1)))
  end)

  it("may be closed by the very value that is to be set", function()
    local c, s = support.connected()
    local value = setmetatable({}, { __index = function(_, k)
      c:close()
      if k == "on" then return true end
      return 1
    end })
    assert.equal("nil nil, string closed", (result(c, "setoption", "linger", value)))
    local failing = setmetatable({}, { __index = function() error("no such field", 0) end })
    assert.equal("raised no such field", (result(s, "setoption", "linger", failing)))
    s:close()
  end)
end)

describe("the methods", function()
  it("take connections only", function()
    local conn = core.create(ssl.newcontext(support.client()))
    local index = getmetatable(conn).__index
    local ctx = context.create("any")
    local names = { "getsockname", "getpeername", "getfamily", "getoption", "setoption", "gettimeout", "pending" }
    for _, m in ipairs(names) do
      for _, self in ipairs { 1, "x", {}, io.stdout, ctx } do
        local ok, err = pcall(index[m], self, "keepalive", true)
        assert.is_false(ok)
        assert.matches("SSL:Connection expected, got ", err)
      end
      assert.matches("SSL:Connection expected, got no value", (select(2, pcall(index[m]))))
    end
  end)
end)
