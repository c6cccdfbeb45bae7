-- What every method of a connection answers in every state: a table of allowed results, LuaSec's but where that
-- crashed.

local ssl = require "ssl"
local core = require "ssl.core"
local support = require "support"

local pack = support.pack

-- A packed result without its n, for assert.same.
local function same(expected, got)
  assert.equal(expected.n or #expected, got.n, "number of results")
  for i = 1, got.n do assert.same(expected[i], got[i]) end
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

-- nil or false, "closed", and the detail.
local function CLOSED(t)
  return not t[1] and t[2] == "closed" and (t.n == 2 or (t.n == 3 and t[3].kind == "closed"))
end

local function is_userdata(t) return #t == 1 and type(t[1]) == "userdata" end
local function is_string(t) return t.n == 1 and type(t[1]) == "string" end
local function is_chain(t)
  for _, cert in ipairs(t[1]) do
    if not tostring(cert):find("^X509") then return false end
  end
  return t.n == 1
end

-- What the socket answers first; without one, nil and a reason.
local function inet(first)
  return function(t, state)
    if state == "unattached" then return t[1] == nil and type(t[2]) == "string" end
    return t[1] == first
  end
end

-- method, arguments -> for each class: the exact results, or a function that looks at the packed results.
local rows = {
  { "info", {}, new = CLOSED, closed = CLOSED,
    failed = function(t) return t.n == 1 and t[1].protocol == "TLSv1.3" and t[1].cipher:find("^TLS_") ~= nil end,
    connected = function(t) return type(t[1]) == "table" and t[1].protocol == "TLSv1.3" end },
  { "info", { "protocol" }, new = CLOSED, failed = { "TLSv1.3" }, closed = CLOSED, connected = { "TLSv1.3" } },
  { "info", { "nosuch" }, new = CLOSED, failed = { nil, n = 1 }, closed = CLOSED, connected = { nil, n = 1 } },
  { "getpeercertificate", {}, new = CLOSED, closed = CLOSED,
    failed = function(t, state) return servers[state] and t[1] == nil or is_userdata(t) end,
    connected = function(t, state) return servers[state] and t[1] == nil or is_userdata(t) end },
  { "getpeercertificate", { 99 }, new = CLOSED, failed = { nil, n = 1 }, closed = CLOSED, connected = { nil, n = 1 } },
  { "getpeercertificate", { 0 }, new = CLOSED, closed = CLOSED, failed = { nil, "invalid certificate index", n = 2 },
    connected = { nil, "invalid certificate index", n = 2 } },
  { "getpeerchain", {}, new = CLOSED, closed = CLOSED, connected = is_chain,
    failed = function(t, state) return is_chain(t) and #t[1] == (servers[state] and 0 or 1) end },
  { "getlocalcertificate", {}, new = CLOSED, closed = CLOSED,
    failed = function(t, state) return not servers[state] and t[1] == nil or is_userdata(t) end,
    connected = function(t, state) return not servers[state] and t[1] == nil or is_userdata(t) end },
  { "getlocalchain", {}, new = CLOSED, failed = is_chain, closed = CLOSED, connected = is_chain },
  { "getpeerverification", {}, new = CLOSED, closed = CLOSED, connected = { true },
    failed = function(t) return t[1] == false and type(t[2]) == "string" end },
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
  { "pending", {}, new = { 0 }, failed = function(t) return t.n == 1 and t[1] == 0 end,
    connected = function(t) return t.n == 1 and t[1] == 0 end, closed = { 0 } },
  { "gettimeout", {}, new = function(t) return t.n == 2 and type(t[1]) == "number" and t[2] == -1 end },
  { "getfamily", {}, new = inet("inet4"), failed = { "inet4" }, connected = { "inet4" }, closed = CLOSED },
  { "getsockname", {}, new = inet("127.0.0.1"), failed = inet("127.0.0.1"), connected = inet("127.0.0.1"),
    closed = CLOSED },
  -- A peer that has gone has no name, though the socket is still there.
  { "getpeername", {}, new = inet("127.0.0.1"), failed = inet("127.0.0.1"), connected = function(t, state)
    return t[1] == "127.0.0.1" or (state == "peerclosed" and t[1] == nil and type(t[2]) == "string")
  end, closed = CLOSED },
  { "getoption", { "tcp-nodelay" }, new = inet(true), failed = { true }, connected = { true }, closed = CLOSED },
  { "setoption", { "tcp-nodelay", true }, new = inet(1), failed = { 1 }, connected = { 1 }, closed = CLOSED },
  { "getchannelbinding", { "tls-exporter" }, new = CLOSED, failed = CLOSED, connected = is_string, closed = CLOSED },
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
