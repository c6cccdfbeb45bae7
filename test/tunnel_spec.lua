-- TLS over objects with send and receive: another TLS connection, LuaSocket behind a plain table, queues of Lua
-- strings, and objects that misbehave.

local socket = require "socket"
local S = require "support"
local E = require "engines"
local ssl = S.ssl

-- Hides a LuaSocket socket's descriptor.
local function plain(sock)
  return {
    send = function(_, data, i, j) return sock:send(data, i, j) end,
    receive = function(_, n, prefix) return sock:receive(n, prefix) end,
    settimeout = function(_, ...) return sock:settimeout(...) end,
    close = function() return sock:close() end,
  }
end

-- Both ends of a connection, not blocking: a client on a tunnel over TCP, and an ordinary server.
local function overtcp(clientcfg, servercfg)
  local c, s = S.tcp()
  local client = assert(ssl.wrap(plain(c), S.client(clientcfg)))
  local server = assert(ssl.wrap(s, S.server(servercfg)))
  client:settimeout(0)
  server:settimeout(0)
  S.shake(client, server)
  return client, server
end

local function overobjects(limit, version)
  local a, b = E.objects(limit)
  local client = assert(ssl.wrap(a, S.client { protocol = version or "any" }))
  local server = assert(ssl.wrap(b, S.server { protocol = version or "any" }))
  client:settimeout(0)
  server:settimeout(0)
  return client, server, a, b
end

describe("TLS over an object", function()
  for _, version in ipairs { "tlsv1_2", "tlsv1_3" } do
    it("does all that TLS on a socket does, with " .. version, function()
      local client, server = overtcp({ protocol = version }, { protocol = version })
      assert.is_true(client:getpeerverification())
      assert.equal(version == "tlsv1_2" and "TLSv1.2" or "TLSv1.3", client:info("protocol"))
      assert.is_userdata(client:getpeercertificate())
      server:send("line one\r\nline two\nabcdef")
      assert.equal("line one", S.receive(client, "*l"))
      assert.equal("line two", S.receive(client, "*l"))
      assert.equal("abcdef", S.receive(client, 6))
      local big = ("data to move "):rep(30000)
      assert.equal(#big, #S.transfer(client, server, big))
      assert.equal(#big, #S.transfer(server, client, big))
      server:send("the rest")
      server:close()
      assert.equal("the rest", S.receive(client, "*a"))
      assert.same({ nil, "closed" }, { E.two(client:receive()) })
      client:close()
    end)

    it("goes through an object that takes one byte at a time, with " .. version, function()
      local client, server = overobjects(1, version)
      local steps, first, second = 0
      repeat -- thousands, none of which waits for anybody: support.shake would sleep between them
        steps, first, second = steps + 1, client:dohandshake(), server:dohandshake()
      until first and second or steps == S.MAXSTEPS
      assert.is_true(first and second)
      local text = "slow but sure\n"
      assert.equal(text, S.transfer(client, server, text))
      assert.equal(text, S.transfer(server, client, text))
    end)

    it("runs in TLS itself, with " .. version, function()
      local outerc, outers = S.connected(S.client { protocol = version }, S.server { protocol = version })
      local client = assert(ssl.wrap(outerc, S.client { protocol = version }))
      local server = assert(ssl.wrap(outers, S.server { protocol = version }))
      client:settimeout(0)
      server:settimeout(0)
      S.shake(client, server)
      local data = ("inner"):rep(20000)
      assert.equal(data, S.transfer(client, server, data))
      local third = { assert(ssl.wrap(client, S.client())), assert(ssl.wrap(server, S.server())) }
      for _, conn in ipairs(third) do conn:settimeout(0) end
      S.shake(third[1], third[2])
      assert.equal("deep", S.transfer(third[1], third[2], "deep"))
      third[1]:close()
      third[2]:close()
      assert.same({ nil, "closed" }, { E.two(outerc:receive()) })
    end)
  end

  it("blocks as long as its timeout says", function()
    local c, s = S.tcp()
    local client = assert(ssl.wrap(plain(c), S.client()))
    for _, mode in ipairs { "b", "t" } do
      client:settimeout(0.2, mode)
      local before = socket.gettime()
      assert.same({ false, "wantread" }, { E.two(client:dohandshake()) })
      local took = socket.gettime() - before
      assert.is_true(took > 0.15 and took < 3, tostring(took))
      client:settimeout(nil, mode)
    end
    s:close()
    local ok, message = client:dohandshake()
    assert.is_false(ok)
    assert.is_string(message)
    client:close()
  end)

  it("ends a call in time though bytes dribble in", function()
    local client, server = overtcp()
    client:settimeout(nil)
    client:settimeout(0.3, "t")
    server:send("no end of line yet")
    local before = socket.gettime()
    assert.same({ nil, "wantread", "no end of line yet" }, { E.three(client:receive()) })
    assert.is_true(socket.gettime() - before < 3)
    client:close()
    server:close()
  end)

  it("gives the timeouts back", function()
    local client, server = overtcp()
    client:settimeout(3)
    client:settimeout(4, "t")
    assert.same({ 3, 4 }, { client:gettimeout() })
    client:settimeout(-1)
    client:settimeout(nil, "t")
    assert.same({ -1, -1 }, { client:gettimeout() })
    client:close()
    server:close()
  end)

  it("works on an object without settimeout and close, which blocks", function()
    local c, s = S.tcp()
    local served = S.beside([[
      local S, ssl, socket = require "support", require "ssl", require "socket"
      local sock = assert(socket.connect("127.0.0.1", tonumber(arg[1])))
      sock:settimeout(10)
      local object = { send = function(_, ...) return sock:send(...) end,
        receive = function(_, ...) return sock:receive(...) end }
      local conn = assert(ssl.wrap(object, S.server()))
      assert(conn:dohandshake())
      conn:send(assert(conn:receive()):upper() .. "\n")
      conn:close()
    ]], (function()
      s:close()
      c:close()
      s = assert(socket.bind("127.0.0.1", 0))
      return select(2, s:getsockname())
    end)())
    s:settimeout(10)
    local conn = assert(s:accept())
    conn = assert(ssl.wrap(conn, S.client()))
    conn:settimeout(10)
    assert(conn:dohandshake())
    conn:send("loud\n")
    assert.equal("LOUD", (conn:receive()))
    assert.equal("", served())
    conn:close()
    s:close()
  end)

  it("counts as sent only what the object took", function()
    local client, server, a = overobjects()
    S.shake(client, server)
    a.blocked = true
    local data = ("owed"):rep(1000)
    for _ = 1, 3 do
      assert.same({ nil, "wantwrite", 0 }, { E.three(client:send(data)) })
    end
    a.blocked = false
    assert.equal(#data, (client:send(data)))
    assert.equal(data, S.receive(server, #data))
    assert.same({ nil, "wantread", "" }, { E.three(server:receive(1)) })
    assert.same({ nil, "wantwrite", 3 }, (function()
      a.blocked = true
      return { E.three(client:send("abcdef", 4)) }
    end)())
    a.blocked = false
    assert.equal(6, (client:send("abcdef", 4)))
    assert.equal("def", S.receive(server, 3))
    a.blocked = true
    assert.same({ nil, "wantwrite", 0 }, { E.three(client:write("xyz")) })
    a.blocked = false
    assert.equal(3, (client:write("xyz", 1)))
    assert.equal("xyz", S.receive(server, 3))
  end)

  it("tells truncation from the end", function()
    local client, server, _, b = overobjects()
    S.shake(client, server)
    server:send("part")
    b:close()
    local data, message, partial, detail = client:receive("*a")
    assert.is_nil(data)
    assert.equal("part", partial)
    assert.equal("truncated", detail.kind, message)
  end)

  it("says what the object's failure is", function()
    local ok, message, detail
    local dead = { send = function() return nil, "closed", 0 end, receive = function() return nil, "closed", "" end }
    local client = assert(ssl.wrap(dead, S.client()))
    ok, message, detail = client:dohandshake()
    assert.is_false(ok)
    assert.is_string(message)
    assert.is_table(detail)
    assert.is_false((client:dohandshake()))
    client:close()
    assert.same({ false, "closed" }, { E.two(client:dohandshake()) })
  end)

  it("ends when the object dies under a writer", function()
    local client, server, _, b = overobjects()
    S.shake(client, server)
    b.open = false
    for _ = 1, 3 do
      local ok, message, sent, detail = client:send(("x"):rep(100000), 11)
      assert.same({ "closed", 10, "closed" }, { message, sent, detail.kind })
      assert.is_nil(ok)
    end
    assert.is_nil((client:receive()))
    client:close()
  end)

  it("passes on what the object raises, and works on", function()
    local client, server, a = overobjects()
    S.shake(client, server)
    local send = a.send
    a.send = function() error("the line is cut", 0) end
    S.raises("the line is cut", function() client:send("abc") end)
    a.send = send
    assert.equal(3, (client:send("def")))
    assert.equal("abcdef", S.receive(server, 6))
  end)

  it("says why the object failed", function()
    local client, server, a = overobjects()
    S.shake(client, server)
    server:send("part")
    local receive = a.receive
    a.receive = function(self, n)
      local data, message, partial = receive(self, n)
      return data, message == "timeout" and "the modem hung up" or message, partial
    end
    local data, message, partial, detail = client:receive("*a")
    assert.same({ "the modem hung up", "part", "system" }, { message, partial, detail.kind })
    assert.is_nil(data)
    assert.equal("the modem hung up", client:lasterror().reason)
    assert.same({ nil, "the modem hung up" }, { E.two(client:read()) })
    local shy = assert(ssl.wrap({ send = function(_, d) return #d end, receive = function() return nil, "no" end },
      S.client()))
    assert.same({ false, "no" }, { E.two(shy:dohandshake()) })
  end)

  it("takes nonsense from an object for its failure", function()
    for _, answer in ipairs { {}, { true }, { {} }, { print }, { nil, {} }, { nil, 5 }, { nil, nil, 5 },
      { nil, "timeout", true }, { 5 }, { ("\22\3\3\1\0"):rep(1000) }, { ("x"):rep(3000000) }, { 0 / 0 } } do
      for _, settings in ipairs { S.client(), S.server() } do
        local calls = 0
        local conn = assert(ssl.wrap({
          send = function(_, data) return #data end,
          receive = function()
            calls = calls + 1
            return answer[1], answer[2], answer[3]
          end,
        }, settings))
        local ok, message, detail = conn:dohandshake()
        assert.is_false(ok)
        assert.is_string(message)
        assert.is_false(S.wants(message))
        assert.is_string(detail.kind)
        assert.is_true(calls < 10)
        if type(answer[1]) == "table" then
          assert.equal("the object's receive gave a table: it has to give a string", message)
        end
        conn:close()
      end
    end
  end)

  it("takes more than it asked for, as messages of a WebSocket come", function()
    local a, b = E.objects()
    a.receive = function(self)
      local all = self.got
      self.got = ""
      if all == "" then return nil, "timeout", "" end
      return all
    end
    local client, server = assert(ssl.wrap(a, S.client())), assert(ssl.wrap(b, S.server()))
    S.shake(client, server)
    local text = ("0123456789"):rep(300000)
    server:send(text)
    assert.is_true(client:receive(#text) == text)
    client:send("and back\n")
    assert.equal("and back", (server:receive("*l")))
  end)

  it("is as new after reset", function()
    local client, server, a, b = overobjects()
    S.shake(client, server)
    a.blocked = true
    client:send("never arrives")
    a.blocked, a.got, b.got = nil, "", ""
    a.open, b.open = false, false
    assert.is_nil((client:receive()))
    a.open, b.open = true, true
    assert.is_true(client:reset())
    assert.is_true(server:reset())
    S.shake(client, server)
    assert.equal(4, (client:send("new\n")))
    assert.equal("new", (server:receive("*l")))
    client:close()
    assert.same({ nil, "closed" }, { E.two(client:reset()) })
  end)

  it("does not wait for a coroutine that nobody can resume", function()
    for _, role in ipairs { "receive", "send" } do
      local client, server, a = overobjects()
      S.shake(client, server)
      local method = a[role]
      a[role] = function(...)
        coroutine.yield()
        return method(...)
      end
      local co = coroutine.create(function() return client[role](client, "x") end)
      if role == "receive" then co = coroutine.create(function() return client:receive("*l") end) end
      assert(coroutine.resume(co))
      assert.equal("suspended", coroutine.status(co))
      a[role] = method
      co = nil -- luacheck: ignore 311
      collectgarbage()
      collectgarbage()
      if role == "receive" then
        server:send("later\n")
        assert.equal("later", (client:receive("*l")))
      else
        assert.equal(5, (client:send("after")))
        assert.equal("xafter", S.receive(server, 6))
      end
    end
  end)

  it("lets one coroutine read while another writes", function()
    local client, server, a, b = overobjects(7)
    for _, object in ipairs { a, b } do
      local send, receive = object.send, object.receive
      object.send = function(...)
        local last, message, partial = send(...)
        while not last and message == "timeout" do
          coroutine.yield()
          last, message, partial = send(object, (select(2, ...)), partial + 1)
        end
        return last, message, partial
      end
      object.receive = function(_, n)
        local got = ""
        while true do
          local data, message, partial = receive(object, n - #got)
          got = got .. (data or partial)
          if #got == n then return got end
          if message ~= "timeout" then return nil, message, got end
          coroutine.yield()
        end
      end
    end
    client:settimeout(nil)
    server:settimeout(nil)
    local data, results = ("both ways "):rep(500), {}
    local function side(conn)
      assert(conn:dohandshake())
      local reader = coroutine.create(function() results[conn] = assert(conn:receive(#data)) end)
      local writer = coroutine.create(function() assert(conn:send(data)) end)
      while coroutine.status(reader) ~= "dead" or coroutine.status(writer) ~= "dead" do
        for _, co in ipairs { writer, reader } do
          if coroutine.status(co) ~= "dead" then assert(coroutine.resume(co)) end
        end
        coroutine.yield()
      end
    end
    local sides = { coroutine.create(side), coroutine.create(side) }
    local conns = { client, server }
    for _ = 1, S.MAXSTEPS do
      local alive = false
      for i, co in ipairs(sides) do
        if coroutine.status(co) ~= "dead" then
          alive = true
          assert(coroutine.resume(co, conns[i]))
        end
      end
      if not alive then break end
    end
    assert.equal(data, results[client])
    assert.equal(data, results[server])
  end)

  it("asks a socket below for descriptor and addresses", function()
    local outerc, outers = S.connected()
    local client = assert(ssl.wrap(outerc, S.client()))
    assert.equal(outerc:getfd(), client:getfd())
    assert.equal((outerc:getpeername()), (client:getpeername()))
    assert.equal(1, client:setoption("tcp-nodelay", true))
    assert.is_true(client:getoption("tcp-nodelay"))
    assert.equal(1, client:setoption("maxreceive", 7))
    assert.equal(7, client:getoption("maxreceive"))
    assert.truthy(tostring(client):find("SSL tunnel over SSL connection", 1, true))
    client:close()
    outers:close()
    local bare = overobjects()
    assert.equal(-1, bare:getfd())
    assert.is_nil((bare:getpeername()))
  end)

  it("is dirty when it or the object below has more to read", function()
    local client, server = overtcp()
    assert.is_false(client:dirty())
    server:send("two\nlines\n")
    assert.equal("two", (S.receive(client, "*l")))
    assert.is_true(client:dirty())
    assert.equal("lines", (S.receive(client, "*l")))
    assert.is_false(client:dirty())
    client:close()
    server:close()
    local a, below = E.objects(), true
    function a.dirty() return below end
    local above = assert(ssl.wrap(a, S.client()))
    assert.is_true(above:dirty())
    below = false
    assert.is_false(above:dirty())
  end)

  it("keeps maxreceive", function()
    local client, server = overobjects()
    S.shake(client, server)
    client:setoption("maxreceive", 10)
    server:send(("no line "):rep(10))
    local data, message, partial = client:receive("*l")
    assert.is_nil(data)
    assert.truthy(message:find("maxreceive"))
    assert.equal(10, #partial)
    data, message, partial = client:receive("*a")
    assert.is_nil(data)
    assert.truthy(message:find("maxreceive"))
    assert.equal(10, #partial)
  end)

  it("takes any number of records in one string at the cost of their bytes", function()
    local records, given = ("\23\3\3\0\0"):rep(400000), false
    local object = { send = function(_, data) return #data end, settimeout = function() end }
    function object.receive()
      if given then return nil, "timeout" end
      given = true
      return records
    end
    local conn = assert(ssl.wrap(object, S.client()))
    local before = os.clock()
    assert.equal("unexpected message", select(2, conn:dohandshake()))
    assert.is_true(os.clock() - before < 8)
  end)

  it("hands the engine a string of many pieces in order", function()
    local client, server = overobjects()
    S.shake(client, server)
    assert.equal(("0123456789abcdef"):rep(20000), S.transfer(server, client, ("0123456789abcdef"):rep(20000)))
  end)

  it("is refused to what cannot carry bytes", function()
    for _, junk in ipairs { {}, { send = print }, { receive = print }, "x", 5, true } do
      S.raises("bad argument #1 to 'wrap'", function() ssl.wrap(junk, S.client()) end)
    end
  end)
end)
