-- Data through TLS over an object: much of it, both ways at once, from files, and what is left when it ends. The
-- handshake, and what objects do wrong, are in tunnel_spec.

local S = require "support"
local E = require "engines"
local socket = require "socket"
local ssl = S.ssl

local function connected(limit)
  local a, b = E.objects()
  a.room, b.room = limit or a.room, limit or b.room
  local client, server = assert(ssl.wrap(a, S.client())), assert(ssl.wrap(b, S.server()))
  client:settimeout(0)
  server:settimeout(0)
  S.shake(client, server)
  return client, server, a, b
end

-- An object whose peer has always something more to say, and takes all it hears; for five seconds.
local function torrent()
  local server, waiting, ends = assert(ssl.engine(S.server())), "", socket.gettime() + 5
  local object = {}
  function object.send(_, data, i)
    server:feed(data:sub(i or 1))
    if not server:dohandshake() then return #data end
    repeat local heard = server:read() until not heard
    return #data
  end
  function object.receive(_, n)
    if socket.gettime() > ends then return nil, "closed" end
    waiting = waiting .. server:drain()
    if #waiting < n and server:info() then
      server:send(("x"):rep(16384))
      waiting = waiting .. server:drain()
    end
    local part = waiting:sub(1, n)
    waiting = waiting:sub(n + 1)
    if #part < n then return nil, "timeout", part end
    return part
  end
  local client = assert(ssl.wrap(object, S.client()))
  S.poll(function() return client:dohandshake() end)
  return client
end

describe("A tunnel", function()
  it("ends a call at the total timeout although the object never pauses", function()
    local client = torrent()
    client:settimeout(0.1, "t")
    for _, pattern in ipairs { "*l", "*a", 2 ^ 40 } do
      local began = socket.gettime()
      local data, message, partial, detail = client:receive(pattern)
      assert.is_nil(data)
      assert.same({ "wantread", "want" }, { message, detail.kind })
      assert.is_true(#partial > 16384)
      assert.is_true(socket.gettime() - began < 1.5, socket.gettime() - began)
    end
    local data = ("y"):rep(50000000)
    client:settimeout(0.005, "t")
    local sent, message, last = client:send(data)
    assert.is_nil(sent)
    assert.equal("wantwrite", message)
    assert.is_true(last > 0 and last < #data)
    local path = S.tmpfile(data)
    local file = assert(io.open(path, "rb"))
    client:settimeout(0.05, "t")
    sent, message, last = client:sendfile(file)
    file:close()
    os.remove(path)
    assert.is_nil(sent)
    assert.equal("wantwrite", message)
    assert.is_true(last > 0 and last < #data)
    client:settimeout(-1, "t")
    assert.equal(last + 10, (client:send(data, last + 1, last + 10)))
    assert.equal(("x"):rep(100), (client:receive(100)))
  end)

  it("is read while what it has to send is not taken", function()
    local client, server = connected(20000)
    local data = ("both ways "):rep(20000)
    local function side(conn)
      local sent, got = 0, {}
      return function()
        if sent < #data then
          local last, message, partial = conn:send(data, sent + 1)
          if not last then assert.equal("wantwrite", message) end
          sent = last or partial
        end
        local piece, message, partial = conn:receive(#data)
        if not piece then assert.equal("wantread", message) end
        got[#got + 1] = piece or partial
        return sent == #data and #table.concat(got) == #data and table.concat(got)
      end
    end
    local one, other = side(client), side(server)
    local first, second
    for _ = 1, 1000 do
      first, second = first or one(), second or other()
      if first and second then break end
    end
    assert.is_true(first == data and second == data)
  end)

  it("waits for what it has to send where the peer waits for that", function()
    local a = E.objects()
    local client = assert(ssl.wrap(a, S.client()))
    client:settimeout(0)
    a.blocked = true
    assert.same({ false, "wantwrite" }, { E.two(client:dohandshake()) })
    a.blocked = false
    assert.same({ false, "wantread" }, { E.two(client:dohandshake()) })
    local server
    client, server, a = connected()
    a.blocked = true
    assert.same({ nil, "wantwrite" }, { E.two(client:shutdown()) })
    a.blocked = false
    assert.same({ nil, "wantread" }, { E.two(client:shutdown()) })
    assert.is_true(server:shutdown())
    assert.is_true(client:shutdown())
  end)

  it("takes fewer bytes back than are on their way, and gives each once", function()
    local client, server, a = connected()
    local data = ("0123456789abcdef"):rep(600)
    for _, name in ipairs { "send", "write" } do
      a.blocked = true
      assert.same({ nil, "wantwrite", 0 }, { E.three(client[name](client, data)) })
      a.blocked = false
      local sent = 0
      for _ = 1, 100 do
        local last = assert(client[name](client, data, sent + 1, sent + 100))
        assert.is_true(last > sent and last <= sent + 100)
        sent = last
        if sent == #data then break end
      end
      assert.is_true(server:receive(#data) == data)
      assert.same({ nil, "wantread", "" }, { E.three(server:receive(1)) })
    end
    assert.equal(2, (client:send("xyz", "1", "2")))
    assert.equal(3, (client:send("xyz", -1)))
    assert.equal(2, (client:send(12)))
    assert.equal("xyz12", (server:receive(5)))
    S.raises("bad argument", function() client:send({}) end)
    S.raises("bad argument", function() client:send("x", {}) end)
  end)

  it("sends files", function()
    local client, server, a = connected()
    local text = ("a line of the file\n"):rep(70000)
    local path = S.tmpfile(text)
    S.atend(finally, function() os.remove(path) end)
    local file = assert(io.open(path, "rb"))
    S.atend(finally, function() file:close() end)
    assert.equal(#text, (client:sendfile(file)))
    assert.is_true(server:receive(#text) == text)
    assert.equal(11, (client:sendfile(file, 2, 11)))
    assert.equal("line of the", (server:receive(11)))
    assert.equal(0, (client:sendfile(file, #text)))
    assert.equal(5, (client:sendfile(file, #text - 5, -1)))
    assert.equal("file\n", (server:receive(5)))
    a.blocked = true
    assert.same({ nil, "wantwrite", 0 }, { E.three(client:sendfile(file)) })
    a.blocked = false
    assert.equal(#text, (client:sendfile(file)))
    assert.is_true(server:receive(#text) == text)
    for _, row in ipairs { { file, #text + 1 }, { file, 0, #text + 1 }, { 9999 } } do
      local sent, message, count, detail = client:sendfile(S.unpack(row, 1, 3))
      assert.same({ "string", 0, "string" }, { type(message), count, type(detail.kind) })
      assert.is_nil(sent)
    end
    S.raises("bad argument", function() client:sendfile("name") end)
    S.raises("bad argument", function() client:sendfile(file, -1) end)
    client:close()
    assert.same({ nil, "closed", 0 }, { E.three(client:sendfile(file)) })
  end)

  it("tells of a file that is cut short, or closed, while it is sent", function()
    for _, change in ipairs { "cut", "closed" } do
      local client, _, a = connected()
      local path = S.tmpfile(("x"):rep(300000))
      S.atend(finally, function() os.remove(path) end)
      local file, send = assert(io.open(path, "rb")), a.send
      function a:send(...)
        if change == "cut" then assert(io.open(path, "wb")):close() else io.close(file) end
        self.send = send
        return send(self, ...)
      end
      local sent, message, count, detail = client:sendfile(file)
      assert.is_nil(sent)
      assert.matches(change == "cut" and "the file ended early" or "Bad file descriptor", message)
      assert.is_true(count >= 65536 and count < 300000)
      assert.same({ "system", message }, { detail.kind, detail.reason })
      if change == "cut" then file:close() end
    end
  end)

  it("goes over nothing twice that it has received, whatever the pattern", function()
    local client, server = connected()
    local engine, again = server.engine, 0
    server.engine = setmetatable({
      receive = function(_, pattern, prefix)
        again = again + #(prefix or "")
        return engine:receive(pattern, prefix)
      end,
    }, { __index = function(_, name) return function(_, ...) return engine[name](engine, ...) end end })
    local text = ("x"):rep(1000000) .. "\n"
    for _, row in ipairs { { #text, text }, { "*l", text:sub(1, -2) }, { nil, text:sub(1, -2) } } do
      assert.equal(#text, (client:send(text)))
      assert.is_true(server:receive(row[1]) == row[2])
    end
    assert.equal(0, again)
  end)

  it("receives behind a prefix", function()
    local client, server = connected()
    client:send("cd\r\nef")
    assert.equal("ab", (server:receive(2, "ab")))
    assert.equal("ab", (server:receive(1, "ab")))
    assert.equal("abcd", (server:receive("*l", "ab")))
    assert.equal("12e", (server:receive("3", 12)))
    assert.same({ nil, "wantread", "12f" }, { E.three(server:receive("*l", 12)) })
    assert.same({ nil, "wantread", "x" }, { E.three(server:receive(1000, "x")) })
    client:send("gh")
    assert.equal("", (server:receive(0)))
    client:close()
    assert.equal("5gh", (server:receive("*a", 5)))
    for _, wrong in ipairs { {}, true } do
      S.raises("bad argument", function() server:receive("*l", wrong) end)
      S.raises("bad argument", function() server:receive(wrong) end)
    end
    S.raises("bad argument", function() server:receive(-1) end)
    S.raises("bad argument", function() server:receive("*x") end)
    S.raises("bad argument", function() server:settimeout({}) end)
    S.raises("bad argument", function() server:settimeout(1, "x") end)
    assert.equal(1, server:settimeout("0.5"))
    assert.equal(0.5, (server:gettimeout()))
  end)

  it("does not take its own end for the peer's", function()
    local client, server, a = connected()
    local receive = a.receive
    a.receive = function(...)
      local data, message, partial = receive(...)
      if not data and message == "timeout" and partial == "" then
        client:close()
        return nil, "closed", ""
      end
      return data, message, partial
    end
    server:send("the first half")
    local data, message, partial, detail = client:receive("*a")
    assert.is_nil(data)
    assert.same({ "closed", "the first half", "closed" }, { message, partial, detail.kind })
  end)

  it("is dirty as long as it holds bytes of its object", function()
    local client, server, a = connected()
    assert.same({ nil, "wantread", "" }, { E.three(client:receive()) })
    a.receive = function(self) -- as messages of a WebSocket come
      local all = self.got
      self.got = ""
      if all == "" then return nil, "timeout", "" end
      return all
    end
    local overhead = 5 + 1 + 16 -- of a record of TLS 1.3
    for _, n in ipairs { 16384, 16384, 16384, 65536 - 3 * 16384 - 4 * overhead, 9 } do server:write(("x"):rep(n)) end
    for _ = 1, 4 do
      assert.is_true(#client:read() > 9)
      assert.is_true(client:dirty())
    end
    assert.equal(9, #client:read())
    assert.is_false(client:dirty())
  end)

  it("closes its object though sending fails", function()
    local client, _, a = connected()
    a.send = function() error("the line is cut", 0) end
    S.raises("the line is cut", function() client:close() end)
    assert.is_false(a.open)
  end)
end)
