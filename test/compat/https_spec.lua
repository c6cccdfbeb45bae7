-- ssl.https: requests by URL and by table, what it refuses, the defaults, tcp as LuaSocket uses it, timeouts. The
-- server is https_server.lua, in a process of its own.

local T = require "compat.tools"
local support = require "support"
local socket = require "socket"
local ltn12 = require "ltn12"
local https = require "ssl.https"
local http = require "socket.http"

local pack, cert = support.pack, support.cert

--- Starts a server with a certificate; answers its base URL and a function that ends it.
local function start(name)
  local p = assert(io.popen(("timeout 60 '%s' test/compat/https_server.lua %s"):format(T.interpreter(), name)))
  local port, control = p:read("*l"):match("^(%d+) (%d+)$")
  return "https://localhost:" .. port, function()
    local c = socket.tcp()
    c:settimeout(5)
    c:connect("127.0.0.1", tonumber(control))
    c:close()
    p:close()
  end
end

describe("compat https", function()
  local base, stop
  setup(function() base, stop = start("serverA") end)
  teardown(function() stop() end)

  --- A request table for a page; the body gathers in the second result.
  local function page(path, extra)
    local chunks = {}
    local t = { url = base .. path, verify = "peer", cafile = cert "rootA", sink = ltn12.sink.table(chunks) }
    return T.join(t, extra), chunks
  end

  it("has LuaSec's names", function()
    assert.equal(443, https.PORT)
    assert.equal(60, https.TIMEOUT)
    assert.equal("function", type(https.request))
    assert.equal("function", type(https.tcp))
    assert.equal("string", type(https._VERSION))
  end)

  it("answers a table with 1, code, headers and status line", function()
    local request, chunks = page "/hello"
    local r = pack(https.request(request))
    assert.equal(1, r[1], tostring(r[2]))
    assert.equal(200, r[2])
    assert.equal("5", r[3]["content-length"])
    assert.equal("HTTP/1.1 200 OK", r[4])
    assert.equal(4, r.n)
    assert.equal("hello", table.concat(chunks))
  end)

  it("answers other codes like any", function()
    local request, chunks = page "/nowhere"
    local ok, code = https.request(request)
    assert.equal(1, ok)
    assert.equal(404, code)
    assert.equal("none", table.concat(chunks))
  end)

  for path, want in pairs { ["/chunked"] = "hello, world", ["/untilclose"] = "all of it",
    ["/big"] = ("0123456789"):rep(100000), ["/sni"] = "localhost" } do
    it("fetches " .. path, function()
      local request, chunks = page(path)
      assert.equal(1, (https.request(request)))
      assert.is_true(table.concat(chunks) == want)
    end)
  end

  it("sends a body from a source", function()
    local request, chunks = page("/echo", { method = "PUT", source = ltn12.source.string("some words"),
      headers = { ["content-length"] = 10, ["content-type"] = "text/plain" } })
    assert.equal(1, (https.request(request)))
    assert.equal("PUT text/plain some words", table.concat(chunks))
  end)

  it("takes a URL, and a body to POST", function()
    local out, status = T.child(([[
      local https = require "ssl.https"
      local base = %q
      local body, code, headers, line = https.request(base .. "/hello")
      assert(body == "hello", code)
      assert(code == 200 and headers["content-length"] == "5" and line == "HTTP/1.1 200 OK")
      body, code = https.request(base .. "/echo", "a=1&b=2")
      assert(code == 200 and body == "POST application/x-www-form-urlencoded a=1&b=2", body)
    ]]):format(base), 20, "SSL_CERT_FILE=" .. cert "rootA")
    assert.equal(0, status, out)
  end)

  it("passes every setting of newcontext on", function()
    T.begins(pack(https.request((page("/hello", { protocol = "foo" })))), nil, "invalid protocol (foo)")
    assert.is_nil((https.request((page("/hello", { ciphers = "nosuchcipher" })))))
    assert.equal(1, (https.request((page("/hello", { protocol = "tlsv1_2" })))))
    assert.equal(1, (https.request((page("/hello", { certificate = cert "clientA", key = cert "clientAkey" })))))
  end)

  it("refuses a server of an unknown root", function()
    T.failed(pack(https.request((page("/hello", { cafile = cert "rootB" })))), nil, "certificate verify failed")
  end)

  it("takes any server with verify none", function()
    local request, chunks = page("/hello", { verify = "none", cafile = cert "rootB" })
    assert.equal(1, (https.request(request)))
    assert.equal("hello", table.concat(chunks))
  end)

  it("verifies when it is not told", function()
    local request = page("/hello", { cafile = cert "rootB" })
    request.verify = nil
    T.failed(pack(https.request(request)), nil, "verify failed")
  end)

  it("checks the name of the host", function()
    local other, stopother = start("wronghost")
    local request = page("/hello")
    request.url = other .. "/hello"
    local r = pack(https.request(request))
    request = page("/hello", { verify = "none" })
    request.url = other .. "/hello"
    local unverified = pack(https.request(request))
    stopother()
    T.failed(r, nil, "%a")
    assert.equal(1, unverified[1])
  end)

  it("leaves the request's table as it was, to be used again", function()
    local request, chunks = page "/hello"
    local before = {}
    for k, v in pairs(request) do before[k] = v end
    assert.equal(1, (https.request(request)))
    assert.same(before, request)
    assert.equal(1, (https.request(request)))
    assert.equal("hellohello", table.concat(chunks))
  end)

  it("refuses to be given a create function", function()
    T.begins(pack(https.request((page("/hello", { create = socket.tcp })))), nil, "create function not permitted")
  end)

  it("speaks https alone", function()
    local request = page "/hello"
    request.url = request.url:gsub("^https", "http")
    T.failed(pack(https.request(request)), nil, "https")
  end)

  it("follows a redirect to another https address", function()
    local request, chunks = page "/redirect"
    local ok, code = https.request(request)
    assert.equal(1, ok, tostring(code))
    assert.equal(200, code)
    assert.equal("hello", table.concat(chunks))
  end)

  it("follows no redirect when told so", function()
    local ok, code, headers = https.request((page("/redirect", { redirect = false })))
    assert.equal(1, ok)
    assert.equal(302, code)
    assert.equal(base .. "/hello", headers.location)
  end)

  it("raises without a URL", function()
    assert.is_false((pcall(https.request)))
    assert.is_false((pcall(https.request, {})))
  end)

  it("reports a refused connection in LuaSocket's words", function()
    local s = assert(socket.bind("127.0.0.1", 0))
    local _, port = s:getsockname()
    s:close()
    local request = page "/hello"
    request.url = ("https://127.0.0.1:%d/"):format(port)
    T.begins(pack(https.request(request)), nil, "connection refused")
  end)

  describe("timeout", function()
    local before = https.TIMEOUT
    after_each(function() https.TIMEOUT = before end)

    it("bounds a handshake that never comes, with 'wantread'", function()
      local s = assert(socket.bind("127.0.0.1", 0))
      local _, port = s:getsockname()
      https.TIMEOUT = 0.3
      local request = page "/"
      request.url = ("https://127.0.0.1:%d/"):format(port)
      local started = socket.gettime()
      T.begins(pack(https.request(request)), nil, "wantread")
      local took = socket.gettime() - started
      s:close()
      assert.is_true(took >= 0.25 and took < 3, tostring(took))
    end)

    it("bounds an answer that never comes, with 'wantread'", function()
      https.TIMEOUT = 0.3
      local started = socket.gettime()
      T.begins(pack(https.request((page "/silent"))), nil, "wantread")
      local took = socket.gettime() - started
      assert.is_true(took >= 0.25 and took < 3, tostring(took))
    end)
  end)

  describe("tcp", function()
    it("makes a factory of objects in LuaSocket's shape", function()
      local factory = https.tcp { verify = "peer", cafile = cert "rootA" }
      local object = factory()
      assert.equal("table", type(object))
      assert.equal("function", type(object.connect))
      assert.equal("function", type(object.settimeout))
      assert.is_truthy(object.sock)
      object:settimeout(5)
      assert.equal(1, object:connect("localhost", tonumber(base:match("%d+$"))))
      object:send("GET /hello HTTP/1.0\r\n\r\n")
      assert.equal("HTTP/1.1 200 OK", (object:receive()))
      assert.is_true(object:getfd() >= 0)
      assert.equal("string", type(object:info("cipher")))
      object:close()
    end)

    it("is what socket.http uses for an https address", function()
      local request, chunks = page "/hello"
      local ok, code = http.request(request)
      assert.equal(1, ok, tostring(code))
      assert.equal(200, code)
      assert.equal("hello", table.concat(chunks))
    end)

    it("has methods that a program adds to connections", function()
      local mt = getmetatable(support.ssl.wrap(support.tcp(), support.anyclient())).__index
      mt.of_my_own = function() return "mine" end
      local object = https.tcp { verify = "none" }()
      object:connect("localhost", tonumber(base:match("%d+$")))
      mt.of_my_own = nil
      assert.equal("mine", object:of_my_own())
      object:close()
    end)
  end)
end)
