-- ssl.https against peers that stall at each stage: `timeout` is for all of a request, TIMEOUT for each wait.

local S = require "support"
local web = require "web"
local https = require "ssl.https"
local http = require "socket.http"
local core = require "ssl.core"
local socket = require "socket"

-- Calls f, which must fail within `seconds` and not much later, in these words.
local function ends(seconds, word, f)
  local began = socket.gettime()
  local ok, message, detail = f()
  local took = socket.gettime() - began
  assert.is_nil(ok)
  assert.equal(word, message)
  assert.equal(word == "timeout" and "timeout" or "want", detail.kind)
  assert.is_true(took > seconds - 0.1 and took < seconds + 2, took)
end

-- A listener whose queue is full, so that the next connection gets no answer; nil where there is always room.
local function deaf()
  local listener = assert(socket.bind("127.0.0.1", 0, 0))
  local port, held = select(2, listener:getsockname()), {}
  for i = 1, 8 do
    held[i] = socket.tcp()
    held[i]:settimeout(0.05)
    if not held[i]:connect("127.0.0.1", port) then return listener, port, held end
  end
end

describe("ssl.https ends at the timeout of the request", function()
  local head = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
  local chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
  local scripts = {
    ["without a ServerHello"] = "stall",
    ["without an answer"] = "tls stall",
    ["in the status line"] = "tls head send=HTTP/1.1 stall",
    ["in the head"] = "tls head send=" .. web.escape("HTTP/1.1 200 OK\r\nA: b") .. " stall",
    ["in a head that dribbles"] = "tls head drip=" .. web.escape(head),
    ["in the body"] = "tls head send=" .. web.escape(head .. "some") .. " stall",
    ["in a body that dribbles"] = "tls head send=" .. web.escape(head) .. " drip=" .. ("x"):rep(100),
    ["in a chunk"] = "tls head send=" .. web.escape(chunked .. "5\r\nab") .. " stall",
    ["in chunks that dribble"] = "tls head send=" .. web.escape(chunked) .. " drip=" ..
      web.escape(("1\r\nx\r\n"):rep(20)),
    ["in a body without length"] = "tls head send=" .. web.escape("HTTP/1.1 200 OK\r\n\r\nsome") .. " stall",
  }
  for what, script in pairs(scripts) do
    it(what, function()
      local server = web.scripted(script)
      ends(0.5, "timeout", function() return web.get(server:url(), { timeout = 0.5 }) end)
      server:ended()
    end)
  end

  it("in an answer that comes without a pause", function()
    local server = web.scripted("tls head send=" .. web.escape(chunked) .. " flood=" .. web.escape("5\r\nhello\r\n"))
    ends(0.5, "timeout", function()
      return web.get(server:url(), { timeout = 0.5, sink = function() return 1 end })
    end)
    server:ended()
  end)

  it("in the look-up of the name", function()
    local resolve = core.resolve
    S.atend(finally, function() core.resolve = resolve end)
    local given
    core.resolve = function(_, seconds)
      given = seconds
      return nil, "timeout", { kind = "timeout", reason = "timeout" }
    end
    ends(0, "timeout", function() return web.get("https://slow.test/", { timeout = 0.5 }) end)
    assert.is_true(given > 0.4 and given <= 0.5, given)
  end)

  it("in the connect", function()
    local listener, port, held = deaf()
    if not listener then return pending("this system accepts every connection") end
    ends(0.5, "timeout", function() return web.get("https://127.0.0.1:" .. port .. "/", { timeout = 0.5 }) end)
    listener:close()
    for _, sock in ipairs(held) do sock:close() end
  end)

  it("in a body that the server does not read", function()
    local mute, piece = web.scripted("tls pause"), ("x"):rep(65536)
    ends(1, "timeout", function()
      return web.get(mute:url(), { timeout = 1, method = "POST", source = function() return piece end })
    end)
    mute:ended()
  end)

  it("over all of its redirects", function()
    local slow = "tls head drip=" .. web.escape("HTTP/1.1 302 X\r\nLocation: /\r\n\r\n") .. " bye"
    local server = web.scripted(slow, slow, slow, slow)
    ends(6, "timeout", function() return web.get(server:url(), { timeout = 6 }) end)
    server:ended()
  end)

  it("whatever is done to the system's clock meanwhile", function()
    local gettime = socket.gettime
    S.atend(finally, function() socket.gettime = gettime end)
    for _, step in ipairs { 1e6, -1e6 } do
      local offset = 0
      socket.gettime = function()
        offset = offset + step
        return gettime() + offset
      end
      local server = web.scripted(web.hello)
      assert.equal("hello", (web.get(server:url())))
      server:ended()
      server = web.scripted("tls stall")
      local _, message = web.get(server:url(), { timeout = 0.3 })
      assert.equal("timeout", message)
      server:ended()
    end
  end)

  it("leaves nothing open", function()
    local server = web.scripted("stall", "tls stall", "tls head stall")
    S.collect()
    local before = S.descriptors()
    for _ = 1, 3 do ends(0.2, "timeout", function() return web.get(server:url(), { timeout = 0.2 }) end) end
    assert.equal(before, S.descriptors())
    server:ended()
  end)

  it("at once with 0, never with a negative one, and says what is no number", function()
    local server = web.scripted(web.hello, web.hello)
    ends(0, "timeout", function() return web.get(server:url(), { timeout = 0 }) end)
    assert.equal("hello", (web.get(server:url(), { timeout = -1 })))
    assert.equal("hello", (web.get(server:url(), { timeout = "10" })))
    server:ended()
    for _, junk in ipairs { "soon", {}, true } do
      local ok, message = web.get("https://localhost:1/", { timeout = junk })
      assert.is_nil(ok)
      assert.matches("^invalid timeout %(number expected", message)
    end
    ends(0, "timeout", function() return web.get("https://localhost:1/", { timeout = 0 / 0 }) end)
  end)

  it("through tcp, too", function()
    local server = web.scripted("tls head drip=" .. ("x"):rep(100))
    local object = https.tcp { cafile = S.cert("rootA"), timeout = 1 }()
    local began = socket.gettime()
    assert.equal(1, object:connect("localhost", server.port))
    assert.is_truthy(object:send("GET / HTTP/1.1\r\n\r\n"))
    local message
    repeat
      local data
      data, message = object:receive(1)
    until not data
    assert.equal("wantread", message)
    assert.is_true(socket.gettime() - began < 3)
    object:close()
    server:ended()
  end)

  it("through tcp, where the server never pauses", function()
    local server = web.scripted("tls flood=" .. ("x"):rep(100))
    local object = https.tcp { cafile = S.cert("rootA"), timeout = 0.5 }()
    assert.equal(1, object:connect("localhost", server.port))
    local began = socket.gettime()
    local data, message, partial, detail
    repeat data, message, partial, detail = object:receive(10) until not data or socket.gettime() > began + 5
    assert.equal("timeout", message)
    assert.same({ "", "timeout" }, { partial, detail.kind })
    assert.equal("so far", (select(3, object:receive("*l", "so far"))))
    assert.same({ nil, "timeout", 0, detail }, { object:send("x") })
    assert.same({ nil, "timeout", 2, detail }, { object:send("xyz", 3) })
    object:close()
    server:ended()
  end)
end)

describe("https.TIMEOUT", function()
  before_each(function() https.TIMEOUT = 0.4 end)
  after_each(function() https.TIMEOUT, http.PROXY = 60, nil end)

  it("ends each wait, in LuaSec's words", function()
    for _, script in ipairs { "stall", "tls stall", "tls head send=HTTP/1.1 stall" } do
      local server = web.scripted(script)
      ends(0.4, "wantread", function() return web.get(server:url(), { timeout = false }) end)
      server:ended()
    end
  end)

  it("ends the connect as LuaSocket does, with timeout", function()
    local listener, port, held = deaf()
    if not listener then return pending("this system accepts every connection") end
    ends(0.4, "timeout", function() return web.get("https://127.0.0.1:" .. port .. "/", { timeout = false }) end)
    listener:close()
    for _, sock in ipairs(held) do sock:close() end
  end)

  it("does not end what goes on", function()
    local head = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
    local server = web.scripted("tls head send=" .. web.escape(head) .. " drip=123456789 bye")
    local body, code = web.get(server:url(), { timeout = false })
    assert.equal("123456789", body, code)
    server:ended()
  end)

  it("may be none", function()
    https.TIMEOUT = nil
    local server = web.scripted(web.hello)
    assert.equal("hello", (web.get(server:url())))
    server:ended()
  end)
end)

describe("ssl.https and the addresses of a name", function()
  local function resolveto(...)
    local resolve, addresses = core.resolve, { ... }
    S.atend(finally, function() core.resolve = resolve end)
    core.resolve = function() return addresses end
  end

  it("tries each of them", function()
    local server = web.scripted(web.hello)
    resolveto({ family = "inet6", address = "::1" }, { family = "inet", address = "127.0.0.2" },
      { family = "inet", address = "127.0.0.1" })
    assert.equal("hello", (web.get(server:url("/", "server.test"))))
    server:ended()
  end)

  it("leaves time for the next when one does not answer", function()
    local listener, port, held = deaf()
    if not listener then return pending("this system accepts every connection") end
    local server = web.scripted(web.hello)
    local connect = socket.tcp4
    finally(function() socket.tcp4 = connect end)
    local real = server.port
    -- The first address is the deaf listener's port, the second the server's.
    local n = 0
    socket.tcp4 = function()
      local sock = connect()
      n = n + 1
      local to = n == 1 and port or real
      return {
        settimeout = function(_, ...) return sock:settimeout(...) end,
        connect = function(_, address) return sock:connect(address, to) end,
        setoption = function(_, ...) return sock:setoption(...) end,
        close = function() return sock:close() end,
        getfd = function() return sock:getfd() end,
        setfd = function(_, fd) return sock:setfd(fd) end,
      }
    end
    resolveto({ family = "inet", address = "127.0.0.1" }, { family = "inet", address = "127.0.0.1" })
    local body, message = web.get(server:url(), { timeout = 2 })
    assert.equal("hello", body, message)
    assert.equal(2, n)
    listener:close()
    for _, sock in ipairs(held) do sock:close() end
    server:ended()
  end)

  it("says what the last one said", function()
    resolveto({ family = "inet", address = "127.0.0.1" })
    local _, message, detail = web.get("https://server.test:1/")
    assert.equal("connection refused", message)
    assert.same({ "system", "server.test" }, { detail.kind, detail.host })
    resolveto()
    assert.equal("host not found", (select(2, web.get("https://server.test:1/"))))
  end)
end)
