-- A server's sessions in a store of the program's: what goes there, what comes back, and stores that misbehave.

local S = require "support"
local resume = require "resume"
local ssl = S.ssl
local client, server, visit, resumes = resume.client, resume.server, resume.visit, resume.resumes

-- A store in a table; `calls` counts by function.
local function memory()
  local store = { data = {}, seconds = {}, calls = { get = 0, set = 0, remove = 0 } }
  function store.get(id)
    store.calls.get = store.calls.get + 1
    return store.data[id]
  end
  function store.set(id, data, seconds)
    store.calls.set = store.calls.set + 1
    store.data[id], store.seconds[id] = data, seconds
  end
  function store.remove(id)
    store.calls.remove = store.calls.remove + 1
    store.data[id] = nil
  end
  return store
end

local function stored(version, store, extra)
  local sessions = { get = store.get, set = store.set, remove = store.remove }
  for k, v in pairs(extra or {}) do sessions[k] = v end
  return server { protocol = version, sessions = sessions }
end

-- Visits with a session whose store answers as `get` does; the visit's server, its last error.
local function against(version, get)
  local store = memory()
  local cctx = client()
  local session = visit(cctx, stored(version, store))
  store.get = get
  local _, resumed, c, s = visit(cctx, stored(version, store), session)
  local detail = s:lasterror()
  c:close()
  s:close()
  assert.is_false(resumed)
  return detail
end

describe("a session store", function()
  for _, version in ipairs(resume.versions) do
    it("lets a server resume what another began over " .. version, function()
      local store = memory()
      -- A client of TLS 1.3 gives 1.2 servers an id of no session, which they look up.
      local cctx = client { protocol = version }
      local one, two = stored(version, store, { timeout = 1000 }), stored(version, store)
      local session = visit(cctx, one)
      assert.equal(0, store.calls.get)
      assert.is_true(store.calls.set >= 1)
      for id, data in pairs(store.data) do
        assert.is_true(#id >= 16 and #id <= 32)
        assert.is_truthy(ssl.loadsession(data))
        assert.equal(1000, store.seconds[id])
      end
      assert.is_true(resumes(cctx, two, session))
      assert.equal(1, store.calls.get)
      assert.same({ handshakes = 1, full = 0, resumed = 1, hits = 1, misses = 0 }, two:stats())
    end)

    it("brings the client's certificate along over " .. version, function()
      local store = memory()
      local cctx = client { certificate = S.cert("clientA"), key = S.cert("clientAkey") }
      local function asking(root)
        return server { protocol = version, verify = { "peer", "fail_if_no_peer_cert" }, cafile = S.cert(root),
          sessions = { get = store.get, set = store.set } }
      end
      local session, _, _, first = visit(cctx, asking("rootA"))
      local exported = session:export()
      local _, resumed, _, second = visit(cctx, asking("rootA"), session)
      assert.is_true(resumed)
      assert.is_true(second:getpeerverification())
      assert.equal(first:getpeercertificate():pem(), second:getpeercertificate():pem())
      -- Where others are trusted it is found, and not taken.
      local c, s = S.wrapped(cctx, asking("rootB"))
      assert(c:setsession(assert(ssl.loadsession(exported))))
      local gets = store.calls.get
      local _, sr = S.shake(c, s)
      assert.equal("verify", sr[3].kind)
      assert.is_true(store.calls.get > gets)
    end)

    it("that has nothing means a full handshake over " .. version, function()
      assert.is_nil(against(version, function() return nil end))
      assert.is_nil(against(version, function() return false end))
      assert.is_nil(against(version, function() end))
    end)

    it("that raises or yields means a full handshake, and an error to the server over " .. version, function()
      local detail = against(version, function() error("the disk is on fire", 0) end)
      assert.equal("callback", detail.kind)
      assert.matches("the disk is on fire", detail.reason)
      assert.equal("callback", against(version, function() error { code = 5 } end).kind)
      assert.equal("callback", against(version, function() error() end).kind)
      assert.matches("yield", against(version, function() return coroutine.yield() end).reason)
    end)

    it("that gives garbage means a full handshake, and an error to the server over " .. version, function()
      local other = memory()
      visit(client(), stored(version, other))
      local _, good = next(other.data)
      for _, value in ipairs { true, 5, {}, print, "", "x", ("x"):rep(2 ^ 20), good, good:sub(1, -2), good .. "x",
        "-----BEGIN SSL SESSION PARAMETERS-----\n" } do
        local detail = against(version, function() return value end)
        assert.equal("callback", detail.kind)
        assert.matches("^the session store's get gave", detail.reason)
      end
    end)

    it("that gives a changed session never crashes the server over " .. version, function()
      local store = memory()
      local cctx = client()
      local session = visit(cctx, stored(version, store)):export()
      local id, data
      local sctx = stored(version, { set = function() end, get = function(asked)
        id = asked
        return data
      end })
      for i = 1, 200, 5 do
        local c, s = S.wrapped(cctx, sctx)
        assert(c:setsession(ssl.loadsession(session)))
        local original = next(store.data) and store.data[id or next(store.data)] or ""
        data = original:sub(1, i - 1) .. string.char((original:byte(i) or 0) % 255 + 1) .. original:sub(i + 1)
        local cr = S.shake(c, s)
        assert.is_true(cr[1] or type(cr[2]) == "string")
        c:close()
        s:close()
      end
    end)

    it("whose set raises costs nothing but the session over " .. version, function()
      local store = memory()
      store.set = function() error("no room") end
      local _, resumed, _, s = visit(client(), stored(version, store))
      assert.is_false(resumed)
      assert.matches("no room", s:lasterror().reason)
    end)

    it("is told of sessions that went bad over " .. version, function()
      local store = memory()
      local cctx, sctx = client(), stored(version, store)
      local session, _, c, s = visit(cctx, sctx)
      -- A fatal alert on the connection: what comes is no TLS.
      S.raw(c, function(sock) sock:send(("\22\3\3\255\255garbage"):rep(9)) end)
      assert.is_nil((S.receive(s, 1)))
      s:close()
      c:close()
      assert.equal(0, store.calls.remove)
      visit(cctx, sctx)
      assert.equal(1, store.calls.remove)
      assert.is_string(session:export())
    end)

    it("whose remove raises costs nothing over " .. version, function()
      local store = memory()
      store.remove = function() error("no") end
      local cctx, sctx = client(), stored(version, store)
      local _, _, c, s = visit(cctx, sctx)
      S.raw(c, function(sock) sock:send(("\22\3\3\255\255garbage"):rep(9)) end)
      S.receive(s, 1)
      local _, _, _, again = visit(cctx, sctx)
      assert.matches("no", again:lasterror().reason)
    end)

    it("may take its time over " .. version, function()
      local socket = require "socket"
      local store = memory()
      local cctx, sctx = client(), stored(version, store)
      local session = visit(cctx, sctx)
      local get = store.get
      local slow = stored(version, { set = store.set, get = function(id)
        socket.sleep(0.3)
        return get(id)
      end })
      assert.is_true(resumes(cctx, slow, session))
    end)

    it("may shake other hands meanwhile over " .. version, function()
      local store = memory()
      local cctx = client()
      local inside, sctx
      sctx = stored(version, { set = store.set, get = function(id)
        if not inside then
          inside = "begun"
          inside = resumes(cctx, sctx) == false
        end
        return store.get(id)
      end })
      local session = visit(cctx, sctx)
      assert.is_true(resumes(cctx, sctx, session))
      assert.is_true(inside)
    end)

    it("may close the connection or use it over " .. version, function()
      local store = memory()
      local cctx = client()
      local session = visit(cctx, stored(version, store)):export()
      for _, how in ipairs { "close", "dohandshake", "receive", "send", "getpeercertificate", "info" } do
        local c, s, said
        local sctx = stored(version, { get = function(id)
          said = { s[how](s, 1) }
          return store.get(id)
        end })
        c, s = S.wrapped(cctx, sctx)
        c:setsession(assert(ssl.loadsession(session)))
        local cr, sr = S.shake(c, s)
        assert.equal(how ~= "close", sr[1])
        if how == "close" then assert.equal("closed", sr[2]) else assert.is_true(cr[1]) end
        assert.is_table(said)
        c:close()
        s:close()
      end
    end)

    it("may close the connection when it is told of a bad session over " .. version, function()
      local store = memory()
      local last
      local remove = store.remove
      store.remove = function(id)
        if last then last:close() end
        remove(id)
      end
      local cctx, sctx = client(), stored(version, store)
      local _, _, c, s = visit(cctx, sctx)
      S.raw(c, function(sock) sock:send(("\22\3\3\255\255garbage"):rep(9)) end)
      S.receive(s, 1)
      c:close()
      s:close()
      c, s = S.wrapped(cctx, sctx)
      last = s
      local _, sr = S.shake(c, s)
      assert.equal(1, store.calls.remove)
      assert.is_false(sr[1])
      assert.equal("closed", sr[2])
      assert.equal("closed", select(2, s:receive(1)))
      c:close()
    end)

    it("may be half a store over " .. version, function()
      local store = memory()
      local cctx = client()
      local only = server { protocol = version, sessions = { set = store.set } }
      local session = visit(cctx, only)
      assert.is_false(resumes(cctx, only, session))
      assert.is_true(resumes(cctx, server { protocol = version, sessions = { get = store.get } }, session))
      assert.is_false(resumes(cctx, server { protocol = version, sessions = { remove = store.remove } }, session))
    end)

    it("goes without where tickets are wanted by name over " .. version, function()
      local store = memory()
      local cctx, sctx = client { protocol = version }, stored(version, store, { tickets = true })
      local session = visit(cctx, sctx)
      assert.same({ get = 0, set = 0, remove = 0 }, store.calls)
      assert.is_true(resumes(cctx, sctx, session))
      assert.same({ get = 0, set = 0, remove = 0 }, store.calls)
    end)

    it("is asked in coroutines over " .. version, function()
      local store = memory()
      local cctx, sctx = client(), stored(version, store)
      local session = visit(cctx, sctx)
      local resumed = coroutine.wrap(function() return resumes(cctx, sctx, session) end)()
      assert.is_true(resumed)
    end)

    it("is that of the context that connections began with, whatever the server name over " .. version, function()
      local outer, inner = memory(), memory()
      local front, behind = stored(version, outer), stored(version, inner)
      local function call(session)
        local c, s = S.wrapped(client(), front)
        c:sni("inner.test")
        s:sni({ ["inner.test"] = behind })
        if session then assert(c:setsession(session)) end
        local cr, sr = S.shake(c, s)
        assert(cr[1] and sr[1])
        s:send("x")
        S.receive(c, 1)
        return c:getsession(), c:sessionreused()
      end
      local session = call()
      local _, resumed = call(session)
      assert.is_true(resumed)
      assert.same({ get = 0, set = 0, remove = 0 }, inner.calls)
    end)
  end

  it("collects garbage inside its functions", function()
    local store = memory()
    local sctx = stored("tlsv1_3", { get = function(id)
      S.collect()
      return store.get(id)
    end, set = function(...)
      S.collect()
      store.set(...)
    end, remove = S.collect })
    local cctx = client()
    local session = visit(cctx, sctx)
    for _ = 1, 5 do
      local resumed
      session, resumed = visit(cctx, sctx, session)
      assert.is_true(resumed)
    end
  end)

  it("keeps memory flat", function()
    local grown = S.growth([[
      local resume = require "resume"
      local data = {}
      local sctx = resume.server { sessions = { get = function(id)
        if math.random() < 0.5 then error("x") end
        return data[id]
      end, set = function(id, text) data = { [id] = text } end, remove = function() error "y" end } }
      local cctx = resume.client { sessions = 2 }
      return function() resume.resumes(cctx, sctx) end
    ]], 200, 400)
    assert.is_true(grown < 1500, grown)
  end)

  it("is a server's", function()
    local context = require "ssl.context"
    local ok, message = context.setsessionstore(client(), {})
    assert.is_false(ok)
    assert.equal("a session store is for servers", message)
    assert.error_matches(function() context.setsessionstore(server()) end, "table expected")
  end)
end)
