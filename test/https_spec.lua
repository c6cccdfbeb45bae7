-- ssl.https against a server in another process, since its requests block.

local S = require "support"
local ssl = S.ssl
local https = require "ssl.https"
local http = require "socket.http"
local socket = require "socket"
local ltn12 = require "ltn12"
local mime = require "mime"
local web = require "web"

local function start(count, name)
  local lua = os.getenv("LUA") or "lua"
  local child = assert(io.popen(("%s test/peer/https_server.lua %d %s"):format(lua, count, name or "serverA"), "r"))
  local port = assert(child:read("*l"), "the server did not start")
  return child, "https://localhost:" .. port
end

-- Runs fn(base) with a server for `count` connections.
local function with(count, name, fn)
  local child, base = start(count, name)
  local ok, err = pcall(fn, base, child)
  child:close()
  if not ok then error(err, 0) end
end

local function get(url, extra)
  local chunks = {}
  local request = { url = url, cafile = S.cert("rootA"), sink = ltn12.sink.table(chunks) }
  for k, v in pairs(extra or {}) do request[k] = v end
  local ok, code, headers, status = https.request(request)
  return ok and table.concat(chunks), code, headers, status
end

describe("ssl.https", function()
  before_each(function()
    https.TIMEOUT = 60
    https.verify = "peer"
  end)

  it("has LuaSec's fields", function()
    assert.equal(443, https.PORT)
    assert.equal(60, https.TIMEOUT)
    assert.equal(ssl._VERSION, https._VERSION)
    assert.is_string(https._COPYRIGHT)
    assert.is_function(https.request)
    assert.is_function(https.tcp)
  end)

  it("takes settings that come by a metatable, as newcontext does", function()
    with(1, nil, function(base)
      local request = { url = base .. "/", cafile = S.cert("rootA") }
      local ok, message = https.request(setmetatable(request, { __index = { crlfile = S.cert("missing") } }))
      assert.is_nil(ok)
      assert.matches("^error loading revocation list", message)
      https.request { url = base .. "/", cafile = S.cert("rootA") }
    end)
  end)

  it("answers 1, code, headers, status for a table", function()
    with(1, nil, function(base)
      local chunks = {}
      local ok, code, headers, status = https.request { url = base .. "/", cafile = S.cert("rootA"),
        sink = ltn12.sink.table(chunks) }
      assert.equal(1, ok)
      assert.equal(200, code)
      assert.equal("5", headers["content-length"])
      assert.equal("HTTP/1.1 200 OK", status)
      assert.equal("hello", table.concat(chunks))
    end)
  end)

  it("answers body, code, headers, status for a URL, GET and POST", function()
    https.verify = "none"
    with(2, nil, function(base)
      local body, code, headers, status = https.request(base .. "/")
      assert.equal("hello", body)
      assert.equal(200, code)
      assert.is_table(headers)
      assert.equal("HTTP/1.1 200 OK", status)
      assert.equal("application/x-www-form-urlencoded:a=1&b=2", (https.request(base .. "/echo", "a=1&b=2")))
    end)
  end)

  it("reads chunked, large and until-closed bodies", function()
    with(3, nil, function(base)
      assert.equal("hello world", (get(base .. "/chunked")))
      assert.equal(1048576, #get(base .. "/big"))
      assert.equal("all of it", (get(base .. "/untilclosed")))
    end)
  end)

  it("verifies the chain by default", function()
    with(1, nil, function(base)
      local ok, message = get(base .. "/", { cafile = S.cert("rootB") })
      assert.is_nil(ok)
      assert.equal("certificate verify failed", message)
    end)
  end)

  it("verifies against the system's roots when no CA is named", function()
    ssl.set_system_ca(S.cert("rootA"))
    finally(function() ssl.set_system_ca(nil) end)
    with(2, nil, function(base)
      assert.equal("hello", (https.request(base .. "/")))
      ssl.set_system_ca(S.cert("rootB"))
      local ok, message, detail = https.request(base .. "/")
      assert.is_nil(ok)
      assert.equal("certificate verify failed", message)
      assert.equal("verify", detail.kind)
    end)
  end)

  it("verifies the host name", function()
    with(2, "wronghost", function(base)
      local ok, message = get(base .. "/")
      assert.is_nil(ok)
      assert.equal("certificate verify failed", message)
      assert.equal("hello", (get(base .. "/", { verifyname = "other.test" })))
    end)
  end)

  it("verifies the host name where none is sent, too", function()
    with(2, "wronghost", function(base)
      local ok, message = get(base .. "/", { servername = false })
      assert.is_nil(ok)
      assert.equal("certificate verify failed", message)
      assert.equal("hello", (get(base .. "/", { servername = false, verifyname = false })))
    end)
  end)

  it("verifies an IP address against IP SANs only", function()
    with(1, nil, function(base) assert.equal("hello", (get((base:gsub("localhost", "127.0.0.1")) .. "/"))) end)
    with(1, "dnsip", function(base)
      local ok, message = get((base:gsub("localhost", "127.0.0.1")) .. "/")
      assert.is_nil(ok)
      assert.equal("certificate verify failed", message)
    end)
  end)

  it("turns verification off by name only", function()
    with(3, "wronghost", function(base)
      assert.equal("hello", (get(base .. "/", { verify = "none", cafile = false })))
      https.verify = "none"
      assert.equal("hello", (get(base .. "/", { cafile = false })))
      https.verify = "peer"
      -- A false verify is no name for turning it off.
      assert.is_nil((get(base .. "/", { verify = false })))
    end)
  end)

  it("is not turned off by a verify that says nothing, of the request or of the program", function()
    local server = web.scripted({ "serverB" }, web.hello, web.hello, web.hello, web.hello)
    local function refused(request)
      local ok, message, detail = web.get(server:url(), request)
      assert.is_nil(ok)
      assert.equal("certificate verify failed", message)
      assert.equal("verify", detail.kind)
    end
    refused { verify = {} }
    for _, nothing in ipairs { { false }, { nil }, { {} } } do
      https.verify = nothing[1]
      refused()
    end
    server:ended()
  end)

  it("sends SNI for names, not for addresses", function()
    with(2, nil, function(base)
      assert.equal("localhost", (get(base .. "/sni")))
      assert.equal("nil", (get((base:gsub("localhost", "127.0.0.1")) .. "/sni")))
    end)
  end)

  it("leaves the caller's table as it was, so that it can be used again", function()
    with(2, nil, function(base)
      local request = { url = base .. "/", cafile = S.cert("rootA") }
      assert.equal(1, (https.request(request)))
      assert.same({ url = base .. "/", cafile = S.cert("rootA") }, request)
      assert.equal(1, (https.request(request)))
    end)
  end)

  it("follows an https redirect of its own and no other", function()
    with(3, nil, function(base)
      assert.equal("hello", (get(base .. "/redirect")))
      local _, code = get(base .. "/redirect", { redirect = false })
      assert.equal(302, code)
    end)
    with(2, nil, function(base)
      local ok, message, detail = get(base .. "/tohttp")
      assert.is_nil(ok)
      assert.matches("localhost redirects to an http:// URL", message)
      assert.same({ 302, "http://127.0.0.1:1/", "protocol" }, { detail.status, detail.location, detail.kind })
      assert.equal(302, (select(2, get(base .. "/tohttp", { redirect = false }))))
    end)
  end)

  it("keeps its settings through redirects, but the client's credentials for the host that was asked", function()
    with(3, nil, function(base) assert.equal("hello", (get(base .. "/redirects"))) end)
    with(5, nil, function(base)
      local client = { certificate = S.cert("clientA"), key = S.cert("clientAkey") }
      assert.equal("client", (get(base .. "/whoami", client)))
      assert.equal("hello", (get(base .. "/redirect", { servername = "localhost" })))
      local elsewhere = base:gsub("localhost", "127.0.0.1")
      client.verifyname = "server.test"
      assert.equal("nobody", (get(elsewhere .. "/tolocalhost", client)))
    end)
  end)

  it("refuses create, other schemes and fields of the wrong type before it connects", function()
    local function refused(message, request)
      local ok, why, detail = https.request(request)
      assert.is_nil(ok)
      assert.matches(message, why)
      assert.equal("config", detail.kind)
    end
    local url = "https://localhost:1/"
    refused("^create function not permitted$", { url = url, create = function() end })
    refused("speaks https, not http: ", "http://localhost/")
    refused("speaks https, not ftp: ", { url = url, scheme = "ftp" })
    refused("invalid headers %(table expected, got string%)", { url = url, headers = "a: b" })
    refused("invalid timeout %(number expected, got table%)", { url = url, timeout = {} })
    refused("invalid proxy %(string expected, got number%)", { url = url, proxy = 3128 })
    refused("^the URL names no host", "https:///path")
    refused("^the URL names no host", "www.test")
    for _, name in ipairs { "path", "query", "params", "user" } do
      refused("^invalid " .. name .. " %(string expected, got table%)", { url = url, [name] = {} })
    end
    refused("^invalid port 'x'", "https://localhost:x/")
    refused("control character", "https://localhost:1/\r\nX: y")
    refused("^invalid method %(string expected, got table%)", { url = "https://localhost:1/", method = {} })
  end)

  it("takes numbers for the body and for TIMEOUT in words, as LuaSec takes the latter", function()
    https.TIMEOUT = "20"
    local server = web.scripted("tls head body=2 " .. web.answer("200 OK", { "Content-Length: 5" }, "hello") .. " bye")
    https.verify = "none"
    assert.equal("hello", (https.request(server:url(), 42)))
    assert.matches("\nContent%-Length: 2\n.*\n\n42$", server:saw())
  end)

  it("lets nothing end a request line early", function()
    local server = web.scripted(web.hello)
    assert.equal("hello", (web.get(server:url("/a b?c d HTTP/1.1"))))
    assert.matches("^[^\n]*GET /a%%20b%?c%%20d%%20HTTP/1.1 HTTP/1.1\n", server:saw())
    for _, bad in ipairs { { uri = "/a b" }, { uri = "/\r\nX: y" }, { path = "/\nX:y" }, { query = "\rx" },
      { params = "\0" }, { method = "GET /x" }, { method = "A\r\nB" } } do
      server = web.scripted("tls head")
      local ok, message, detail = web.get(server:url(), bad)
      assert.is_nil(ok)
      assert.matches("^the method or the path", message)
      assert.equal("config", detail.kind)
      assert.is_nil((server:ended()[1] or ""):match("HTTP"))
    end
  end)

  it("asks for what the fields of the request say, and sends no header that would be another's", function()
    local server = web.scripted(web.hello, web.hello)
    local url = server:url("/a;b?c=/../d#e")
    assert.equal("hello", (web.get(url)))
    local headers = { ["USER-Agent"] = "me", ["X-Number"] = 5, Host = "other.test" }
    assert.equal("hello", (web.get("https://elsewhere.invalid/?q", { host = "127.0.0.1", port = server.port,
      path = "/p", user = "me", password = "a%20b", headers = headers, method = "OPTIONS" })))
    local seen = server:ended()
    assert.matches("GET /a;b?c=/../d HTTP/1.1\nHost: localhost:" .. server.port .. "\n", seen[1], 1, true)
    assert.matches("\nConnection: close, TE\n", seen[1], 1, true)
    assert.matches("OPTIONS /p?q HTTP/1.1\nHost: other.test\n", seen[2], 1, true)
    assert.matches("\nUser-Agent: me\n", seen[2], 1, true)
    assert.matches("\nx-number: 5\n", seen[2]:lower(), 1, true)
    assert.matches("Authorization: Basic " .. mime.b64("me:a b") .. "\n", seen[2], 1, true)
    local listener = assert(socket.bind("127.0.0.1", 0))
    finally(function() listener:close() end)
    for _, bad in ipairs { { ["a b"] = "c" }, { ["a:b"] = "c" }, { [""] = "c" }, { a = "b\r\nc: d" }, { a = "b\0" } } do
      server = web.scripted("tls head")
      local ok, message, detail = web.get(server:url(), { headers = bad })
      assert.is_nil(ok)
      assert.matches("header field", message)
      assert.equal("config", detail.kind)
      assert.same({}, (server:ended()[1] or ""):match("GET") and { "sent" } or {})
    end
  end)

  it("does not send the password of a key as that of a user", function()
    local server = web.scripted(web.hello)
    local url = server:url():gsub("//", "//us%%65r:pass@")
    local client = { certificate = S.cert("clientA"), key = S.cert("clientAkey"), password = "key's" }
    assert.equal("hello", (web.get(url, client)))
    assert.matches("Authorization: Basic " .. mime.b64("user:pass") .. "\n", server:saw(), 1, true)
  end)

  it("writes addresses of IPv6 in brackets", function()
    local listener = socket.tcp6 and socket.tcp6()
    if not listener or not listener:bind("::1", 0) then return pending("no IPv6 here") end
    listener:close()
    local ok, message = web.get("https://[::1]:1/")
    assert.is_nil(ok)
    assert.equal("connection refused", message)
  end)

  it("raises without a URL", function()
    assert.has_error(function() https.request() end)
    assert.has_error(function() https.request {} end)
    S.raises("bad argument #2 to 'request' (string expected, got table)", https.request, "https://localhost:1/", {})
  end)

  it("reports settings, connection and timeout errors", function()
    local refused, why, detail = https.request { url = "https://127.0.0.1:1/", protocol = "foo" }
    assert.is_nil(refused)
    assert.equal("invalid protocol (foo)", why)
    assert.equal("config", detail.kind)
    local free = assert(socket.bind("127.0.0.1", 0))
    local _, port = free:getsockname()
    free:close()
    local ok, message = https.request { url = "https://127.0.0.1:" .. port .. "/", cafile = S.cert("rootA") }
    assert.is_nil(ok)
    assert.equal("connection refused", message)
    with(1, nil, function(base)
      https.TIMEOUT = 0.2
      local began = socket.gettime()
      ok, message = get(base .. "/silent")
      assert.is_nil(ok)
      assert.equal("wantread", message)
      assert.is_true(socket.gettime() - began < 3)
    end)
  end)

  it("ends a handshake that the server never answers", function()
    https.TIMEOUT = 0.2
    local listener = assert(socket.bind("127.0.0.1", 0))
    finally(function() listener:close() end)
    local _, port = listener:getsockname()
    local ok, message = https.request { url = "https://127.0.0.1:" .. port .. "/", cafile = S.cert("rootA") }
    assert.is_nil(ok)
    assert.equal("wantread", message)
  end)

  it("serves LuaSocket's http.request of an https URL through tcp", function()
    with(1, nil, function(base)
      local chunks = {}
      local ok, code = http.request { url = base .. "/", cafile = S.cert("rootA"), sink = ltn12.sink.table(chunks) }
      assert.equal(1, ok)
      assert.equal(200, code)
      assert.equal("hello", table.concat(chunks))
    end)
  end)

  it("leaves no descriptor open after failures", function()
    with(10, nil, function(base)
      S.collect()
      local before = S.descriptors()
      for _ = 1, 10 do
        local ok, message = get(base .. "/", { cafile = S.cert("rootB") })
        assert.is_nil(ok)
        assert.equal("certificate verify failed", message)
      end
      assert.equal(before, S.descriptors())
    end)
  end)

  it("gives the connection's methods to the object that tcp makes", function()
    with(1, nil, function(base)
      local object = https.tcp { cafile = S.cert("rootA") }()
      assert.equal(1, object:settimeout(1))
      assert.equal(1, object:connect("localhost", tonumber(base:match("%d+$"))))
      assert.equal("SSL connection", tostring(object.sock):match("^SSL connection"))
      assert.is_true(object:getpeerverification())
      assert.is_string(object:info("cipher"))
      object:close()
    end)
  end)
end)
