-- ssl.core and ssl.wrap: making connections, what every method answers in every state, closing. Handshakes that fail
-- are in handshake_spec.lua, data in stream_spec.lua.

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

-- ---- the states: each maker answers a connection and its peer (kept alive by the caller)

local makers = {}

function makers.new_client() return support.wrapped() end

function makers.new_server()
  local c, s = support.wrapped()
  return s, c
end

function makers.unattached()
  return assert(core.create(assert(ssl.newcontext(support.anyclient()))))
end

function makers.halfway()
  local c, s = support.wrapped()
  assert.is_false((c:dohandshake()))
  return c, s
end

function makers.failed_client()
  local c, s = support.wrapped(support.client { cafile = support.cert("rootB") })
  local cr = support.shake(c, s)
  assert.is_false(cr[1])
  return c, s
end

function makers.failed_server()
  local c, s = support.wrapped(support.anyclient(), support.server {
    verify = { "peer", "fail_if_no_peer_cert" }, cafile = support.cert("rootA") })
  local _, sr = support.shake(c, s)
  assert.is_false(sr[1])
  return s, c
end

function makers.connected_client() return support.connected() end

function makers.connected_server()
  local c, s = support.connected()
  return s, c
end

-- The peer has said close_notify.
function makers.peerclosed()
  local c, s = support.connected()
  s:close()
  local _, err = support.receive(c, 1)
  assert.equal("closed", err)
  return c
end

-- The peer's end of the stream came without close_notify.
function makers.cut()
  local c, s = support.connected()
  support.raw(s, function(sock) sock:shutdown("send") end)
  local _, err = support.receive(c, 1)
  assert.equal("unexpected eof while reading", err)
  return c, s
end

function makers.closed_new()
  local c, s = support.wrapped()
  c:close()
  return c, s
end

function makers.closed_connected()
  local c, s = support.connected()
  c:close()
  return c, s
end

function makers.closed_server()
  local c, s = support.connected()
  s:close()
  return s, c
end

function makers.closed_failed()
  local c, s = makers.failed_client()
  c:close()
  return c, s
end

-- What a state is like for most methods.
local class = {
  new_client = "new", new_server = "new", unattached = "new", halfway = "new", failed_client = "failed",
  failed_server = "failed", connected_client = "connected", connected_server = "connected", peerclosed = "connected",
  cut = "connected", closed_new = "closed", closed_connected = "closed", closed_server = "closed",
  closed_failed = "closed",
}
local servers = { new_server = true, failed_server = true, connected_server = true, closed_server = true }

local CLOSED = { nil, "closed", n = 2 }

local function is_userdata(t) return #t == 1 and type(t[1]) == "userdata" end
local function is_string(t) return t.n == 1 and type(t[1]) == "string" end
local function is_chain(t)
  for _, cert in ipairs(t[1]) do
    if not tostring(cert):find("^X509") then return false end
  end
  return t.n == 1
end

-- method, arguments -> for each class: the exact results, or a function that looks at the packed results.
local rows = {
  { "info", {}, new = CLOSED, failed = CLOSED, closed = CLOSED,
    connected = function(t) return type(t[1]) == "table" and t[1].protocol == "TLSv1.3" end },
  { "info", { "protocol" }, new = CLOSED, failed = CLOSED, closed = CLOSED, connected = { "TLSv1.3" } },
  { "info", { "nosuch" }, new = CLOSED, failed = CLOSED, closed = CLOSED, connected = { nil, n = 1 } },
  { "getpeercertificate", {}, new = CLOSED, failed = CLOSED, closed = CLOSED,
    connected = function(t, state) return servers[state] and t[1] == nil or is_userdata(t) end },
  { "getpeercertificate", { 99 }, new = CLOSED, failed = CLOSED, closed = CLOSED, connected = { nil, n = 1 } },
  { "getpeercertificate", { 0 }, new = CLOSED, failed = CLOSED, closed = CLOSED,
    connected = { nil, "invalid certificate index", n = 2 } },
  { "getpeerchain", {}, new = CLOSED, failed = CLOSED, closed = CLOSED, connected = is_chain },
  { "getlocalcertificate", {}, new = CLOSED, failed = CLOSED, closed = CLOSED,
    connected = function(t, state) return not servers[state] and t[1] == nil or is_userdata(t) end },
  { "getlocalchain", {}, new = CLOSED, failed = CLOSED, closed = CLOSED, connected = is_chain },
  { "getpeerverification", {}, new = { false, "closed" }, closed = { false, "closed" }, connected = { true },
    failed = function(t) return t[1] == false and t.n == 2 and type(t[2]) == "string" end },
  { "getfinished", {}, new = CLOSED, failed = CLOSED, closed = CLOSED, connected = is_string },
  -- Q8
  { "getpeerfinished", {}, new = CLOSED, failed = CLOSED, closed = CLOSED, connected = is_string },
  { "exportkeyingmaterial", { "EXPERIMENTAL-x", 32 }, new = CLOSED, failed = CLOSED, closed = CLOSED,
    connected = function(t) return is_string(t) and #t[1] == 32 end },
  -- Q4
  { "getalpn", {}, new = { nil, n = 1 }, failed = { nil, n = 1 }, connected = { nil, n = 1 }, closed = { nil, n = 1 } },
  { "getsniname", {}, new = { nil, n = 1 }, failed = { nil, n = 1 }, connected = { nil, n = 1 },
    closed = { nil, n = 1 } },
  { "setdane", { "a.test" }, new = { false }, failed = { false }, connected = { false }, closed = { false } },
  { "settlsa", { 3, 1, 1, ("x"):rep(32) }, new = { false }, failed = { false }, connected = { false },
    closed = { false } },
  { "dirty", {}, new = { false }, failed = { false }, connected = { false }, closed = { false } },
  { "settimeout", { 0 }, new = { 1 }, failed = { 1 }, connected = { 1 }, closed = { 1 } },
  { "setstats", { 1, 2, 3 }, new = { 1 }, failed = { 1 }, connected = { 1 }, closed = { 1 } },
  { "getstats", {}, new = function(t, _, conn)
    conn:setstats(1, 2, 3)
    local again = pack(conn:getstats())
    return t.n == 3 and t[3] >= 0 and again[1] == 1 and again[2] == 2 and again[3] >= 3
  end },
  { "send", { "abc" }, new = { nil, "closed", 0 }, failed = { nil, "closed", 0 }, closed = { nil, "closed", 0 },
    connected = function(t, state)
      if state == "cut" then return t[1] == nil and t[2] == "closed" and t[3] == 0 end
      return t[1] == 3 and t.n == 3
    end },
  { "send", { "abc", 2, 2 }, new = { nil, "closed", 1 }, failed = { nil, "closed", 1 }, closed = { nil, "closed", 1 },
    connected = function(t, state) return t[1] == (state ~= "cut" and 2 or nil) end },
  { "send", { "" }, new = { 0, nil, nil }, failed = { 0, nil, nil }, closed = { 0, nil, nil },
    connected = { 0, nil, nil, n = 3 } },
  { "receive", { 5 }, new = { nil, "closed", "" }, failed = { nil, "closed", "" }, closed = { nil, "closed", "" },
    connected = function(t, state)
      local idle = state == "connected_client" or state == "connected_server"
      return t[1] == nil and t[2] == (idle and "wantread" or "closed") and t[3] == ""
    end },
  { "receive", { "*l", "pre" }, new = { nil, "closed", "pre" }, failed = { nil, "closed", "pre" },
    closed = { nil, "closed", "pre" }, connected = function(t) return t[1] == nil and t[3] == "pre" end },
  { "receive", { "*a" }, new = { nil, "closed", "" }, failed = { nil, "closed", "" }, closed = { nil, "closed", "" },
    connected = function(t) return t[1] == nil and t[3] == "" end },
  { "receive", { 2, "pre" }, new = { "pre", nil, nil }, failed = { "pre", nil, nil }, closed = { "pre", nil, nil },
    connected = { "pre", nil, nil, n = 3 } },
  { "want", {}, new = function(t) return t[1] == "nothing" or t[1] == "read" end,
    failed = function(t) return type(t[1]) == "string" end, connected = function(t) return type(t[1]) == "string" end,
    closed = { "nothing" } },
  { "lasterror", {}, new = { nil, n = 1 }, failed = function(t) return type(t[1].kind) == "string" end,
    connected = function(t) return t.n == 1 end, closed = function(t) return t.n == 1 end },
  { "getfd", {}, new = function(t, state) return (t[1] >= 0) == (state ~= "unattached") end,
    failed = function(t) return t[1] >= 0 end, connected = function(t) return t[1] >= 0 end, closed = { -1 } },
  { "dohandshake", {}, connected = { true },
    new = function(t) return t[1] == false and t.n == 3 end,
    failed = function(t, _, conn)
      local again = pack(conn:dohandshake())
      return t[1] == false and type(t[2]) == "string" and again[2] == t[2] and again[3] == t[3]
    end,
    closed = function(t) return t[1] == false and t[2] == "closed" and t[3].kind == "closed" end },
}

-- Failures of send and receive have the detail table as a fourth value; the rows give the three of LuaSec.
local function without_detail(method, results)
  if (method == "send" or method == "receive") and results.n == 4 then
    assert.equal("table", type(results[4]))
    results[4], results.n = nil, 3
  end
  return results
end

local function check_row(row, state, conn)
  local method, args = row[1], row[2]
  local expected = row[class[state]] or row.new
  local results = without_detail(method, pack(conn[method](conn, support.unpack(args))))
  if type(expected) == "function" then
    assert.is_truthy(expected(results, state, conn))
  else
    if method == "send" or method == "receive" then expected.n = 3 end
    same(expected, results)
  end
end

describe("a connection in state", function()
  local names = {}
  for name in pairs(makers) do names[#names + 1] = name end
  table.sort(names)
  for _, state in ipairs(names) do
    for i, row in ipairs(rows) do
      it(state .. " answers " .. row[1] .. " (row " .. i .. ")", function()
        local conn, peer = makers[state]()
        check_row(row, state, conn)
        conn:close()
        if peer then peer:close() end
      end)
    end

    it(state .. " answers every method one after the other, collecting in between", function()
      local conn, peer = makers[state]()
      for _, row in ipairs(rows) do
        -- dohandshake changes the state that the rows were written for; data sent before a read changes nothing here.
        pcall(check_row, row, state, conn)
        collectgarbage("step")
      end
      same({ n = 0 }, pack(conn:close()))
      for _, row in ipairs(rows) do
        if row[1] ~= "getstats" and row[1] ~= "getpeerverification" and not row[1]:find("error") then
          check_row(row, "closed_new", conn)
        end
      end
      if peer then peer:close() end
    end)

    it(state .. " closes more than once, by every door, and shows it", function()
      local conn, peer = makers[state]()
      local closed = class[state] == "closed"
      assert.equal(closed, tostring(conn):find("%(closed%)$") ~= nil)
      assert.matches("^SSL connection: 0x%x+", tostring(conn))
      same({ n = 0 }, pack(conn:close()))
      assert.matches("^SSL connection: 0x%x+ %(closed%)$", tostring(conn))
      same({ n = 0 }, pack(conn:close()))
      getmetatable(conn).__gc(conn)
      getmetatable(conn).__close(conn)
      assert.equal(-1, conn:getfd())
      if peer then peer:close() end
    end)

    it(state .. " is finalized by hand, then by the collector", function()
      support.collect()
      local before = support.descriptors()
      local conn, peer = makers[state]()
      getmetatable(conn).__gc(conn)
      assert.equal(-1, conn:getfd())
      if peer then getmetatable(peer).__gc(peer) end
      -- Less, when something of an earlier test was not yet collected.
      assert.is_true(support.descriptors() <= before)
      support.collect()
      assert.is_true(support.descriptors() <= before)
    end)
  end

  it("new answers sni with nothing on both sides; closed too (Q4)", function()
    local map = { ["a.test"] = assert(ssl.newcontext(support.server())) }
    for _, close in ipairs { false, true } do
      local c, s = support.wrapped()
      if close then c:close() s:close() end
      same({ n = 0 }, pack(c:sni("a.test")))
      same({ n = 0 }, pack(s:sni(map)))
      same({ n = 0 }, pack(s:sni(map, true)))
      same({ n = 0 }, pack(s:sni({})))
      local name
      if not close then name = "a.test" end
      same({ name, n = 1 }, pack(c:getsniname()))
      c:close()
      s:close()
    end
  end)

  it("connected ignores sni, and dohandshake stays true", function()
    local c, s = support.connected()
    same({ n = 0 }, pack(c:sni("late.test")))
    same({ n = 0 }, pack(s:sni({}, true)))
    same({ true }, pack(c:dohandshake()))
    same({ true }, pack(s:dohandshake()))
    assert.equal("hello", support.transfer(c, s, "hello"))
    assert.is_nil(s:getsniname())
  end)
end)

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
    for _, state in ipairs { "connected_client", "closed_new", "closed_connected" } do
      local conn, peer = makers[state]()
      raises("bad argument #1 to .*invalid SSL object state", core.setfd, conn, 5)
      if peer then peer:close() end
      conn:close()
    end
    local conn = makers.unattached()
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
    local conn = makers.unattached()
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
    local conn = makers.unattached()
    local ok, err, detail = conn:dohandshake()
    assert.is_false(ok)
    assert.equal("string", type(err))
    assert.equal("table", type(detail))
    same({ n = 0 }, pack(conn:close()))
  end)

  it("info and compression answer in every state (Q4)", function()
    local c, s = support.wrapped()
    same({ n = 0 }, pack(core.info(c)))
    same(CLOSED, pack(core.compression(c)))
    support.shake(c, s)
    local line, bits, algbits, version = core.info(c)
    assert.matches("Kx=", line)
    assert.equal(256, bits)
    assert.equal(256, algbits)
    assert.equal("TLSv1.3", version)
    same({ nil, n = 1 }, pack(core.compression(c)))
    c:close()
    same({ n = 0 }, pack(core.info(c)))
    same(CLOSED, pack(core.compression(c)))
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

  it("refuses a connection and odd things before touching a descriptor (Q20)", function()
    local ctx = assert(ssl.newcontext(support.client()))
    local c, s = support.connected()
    support.collect()
    local before = support.descriptors()
    raises("bad argument #1 to 'wrap'", ssl.wrap, c, ctx)
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
