-- ssl.https through HTTP proxies, well-behaved and not, by TCP and by TLS.

local S = require "support"
local web = require "web"
local https = require "ssl.https"
local http = require "socket.http"
local proxies = require "ssl.proxy"
local socket = require "socket"
local ltn12 = require "ltn12"
local mime = require "mime"

local function of(proxy, userinfo, scheme)
  return ("%s://%slocalhost:%d"):format(scheme or "http", userinfo or "", proxy.port)
end

local function basic(text) return "Basic " .. (mime.b64(text)) end

describe("ssl.https through a proxy", function()
  after_each(function() http.PROXY = nil end)

  it("asks for a tunnel and for nothing else", function()
    local server, proxy = web.scripted(web.hello), web.proxy(1)
    local headers = { Cookie = "c=1", Authorization = "Bearer x", ["User-Agent"] = "me" }
    assert.equal("hello", (web.get(server:url("/secret?path"), { proxy = of(proxy), headers = headers })))
    local target = "localhost:" .. server.port
    assert.equal(("CONNECT %s HTTP/1.1\nHost: %s\n"):format(target, target), proxy:saw())
    local seen = server:saw()
    assert.matches("GET /secret?path HTTP/1.1\nHost: " .. target .. "\n", seen, 1, true)
    assert.matches("\nCookie: c=1\n", seen, 1, true)
  end)

  it("gives its credentials to the proxy alone, and the server's to the server alone", function()
    local server = web.scripted(web.hello, web.hello, web.hello)
    local proxy = web.proxy(3, "us@er:p:w")
    assert.equal("hello", (web.get((server:url():gsub("//", "//me:mine@")), { proxy = of(proxy, "us%40er:p:w@") })))
    assert.equal("hello", (web.get(server:url(), { proxy = of(proxy), user = "me", password = "mine",
      headers = { ["Proxy-Authorization"] = basic("us@er:p:w") } })))
    http.PROXY = of(proxy, "us%40er:p%3Aw@")
    assert.equal("hello", (web.get(server:url(), { headers = { authorization = basic("me:mine") } })))
    for _, seen in ipairs(proxy:ended()) do
      assert.matches("\nProxy-Authorization: " .. basic("us@er:p:w") .. "\n", seen, 1, true)
      assert.is_nil(seen:find("\nAuthorization", 1, true))
    end
    for _, seen in ipairs(server:ended()) do
      assert.matches("\nAuthorization: " .. basic("me:mine") .. "\n", seen, 1, true)
      assert.is_nil(seen:lower():find("proxy", 1, true))
    end
  end)

  it("lets the proxy look the name up, and checks the name all the same", function()
    local server, proxy = web.scripted(web.hello, web.hello), web.proxy(2)
    assert.equal("hello", (web.get(server:url("/", "server.test"), { proxy = of(proxy) })))
    local body, message, detail = web.get(server:url("/", "evil.test"), { proxy = of(proxy) })
    assert.is_nil(body)
    assert.equal("certificate verify failed", message)
    assert.equal("verify", detail.kind)
    assert.matches("^CONNECT server.test:", proxy:saw())
    assert.matches("sni=server.test", server:saw())
  end)

  it("writes addresses of IPv6 in brackets", function()
    local server, proxy = web.scripted(web.hello), web.proxy(1)
    assert.equal("hello", (web.get(server:url("/", "[::1]"), { proxy = of(proxy) })))
    assert.matches("^CONNECT %[::1%]:%d+ HTTP/1.1\nHost: %[::1%]:", proxy:saw())
    assert.matches("\nHost: %[::1%]:", server:saw())
  end)

  it("goes through it for every redirect", function()
    local server, proxy = web.scripted(web.redirects("/next"), web.hello), web.proxy(2, "a:b")
    assert.equal("hello", (web.get(server:url(), { proxy = of(proxy, "a:b@") })))
    assert.equal(2, #proxy:ended())
    assert.equal(2, #server:ended())
  end)

  it("uses http.PROXY unless the request says otherwise", function()
    local server, proxy = web.scripted(web.hello, web.hello), web.proxy(1)
    http.PROXY = "http://localhost:1"
    assert.equal("hello", (web.get(server:url(), { proxy = false })))
    assert.equal("hello", (web.get(server:url(), { proxy = of(proxy) })))
    local body, message = web.get(server:url())
    assert.is_nil(body)
    assert.equal("cannot connect to the proxy localhost:1: connection refused", message)
    assert.matches("^CONNECT", proxy:saw())
    server:ended()
  end)

  it("serves LuaSocket's own http, but not with credentials that it would show to the server", function()
    local server, proxy = web.scripted(web.hello, web.hello), web.proxy(1)
    local chunks = {}
    local request = { url = server:url(), cafile = S.cert("rootA"), sink = ltn12.sink.table(chunks), proxy = of(proxy) }
    local ok, code = http.request(request)
    assert.equal(1, ok, code)
    assert.equal("hello", table.concat(chunks))
    request.proxy = of(proxy, "a:b@")
    local message
    ok, message = http.request(request)
    assert.is_nil(ok)
    assert.matches("would send the credentials for the proxy to the server", message)
    assert.matches("^CONNECT", proxy:saw())
    proxy = web.proxy(1)
    local object = https.tcp { cafile = S.cert("rootA"), proxy = of(proxy) }()
    assert.equal(1, object:connect("localhost", server.port))
    assert.is_true(object:getpeerverification())
    object:close()
    assert.matches("^CONNECT", proxy:saw())
    for _, seen in ipairs(server:ended()) do assert.is_nil(seen:lower():find("proxy", 1, true)) end
  end)
end)

describe("ssl.https and a proxy that will not", function()
  -- A request through a proxy that follows a script.
  local function through(script, userinfo)
    local proxy = web.scripted(script)
    local r = S.pack(web.get("https://localhost:1/", { proxy = of(proxy, userinfo), timeout = 2 }))
    proxy:ended()
    assert.is_nil(r[1])
    assert.equal("localhost:" .. proxy.port, r[3].proxy)
    local message = r[2]:gsub("localhost:" .. proxy.port, "PROXY")
    return message, r[3]
  end

  local function answers(text) return "head send=" .. web.escape(text) .. " bye" end

  it("names it and its status", function()
    for _, status in ipairs { "403 Forbidden", "502 Bad Gateway", "500", "302 Found", "999 Odd" } do
      local message, detail = through(answers("HTTP/1.1 " .. status .. "\r\nX: y\r\n\r\nbody"))
      assert.equal("the proxy PROXY refused a connection to localhost:1: " .. status, message)
      assert.same({ "protocol", tonumber(status:sub(1, 3)) }, { detail.kind, detail.status })
    end
    local message = through(answers("HTTP/1.1 400 a\27[31m\0b" .. ("x"):rep(300) .. "\r\n\r\n"))
    assert.matches("400 a%?%[31m%?bx+$", message)
    assert.is_true(#message < 200)
  end)

  it("says what to do about 407", function()
    local answer = answers("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
    local message, detail = through(answer)
    assert.matches("407 Proxy Authentication Required; it wants a user and password: http://user:password@PROXY$",
      message)
    assert.equal(407, detail.status)
    message = through(answer, "a:b@")
    assert.matches("407 .*; it does not accept the user and password that it was given$", message)
  end)

  it("tells garbage, silence, and the end", function()
    for _, text in ipairs { "hello\r\n\r\n", "\r\n", "HTTP/2 200\r\n\r\n", "HTTP/1.1 2000\r\n\r\n",
      "HTTP/1.1 20\r\n\r\n", "\21\3\1\0\2\2\70\n" } do
      local message, detail = through(answers(text))
      assert.equal("the proxy PROXY failed: it did not answer with HTTP", message)
      assert.equal("system", detail.kind)
    end
    for _, script in ipairs { "head bye", "head send=HTTP/1.1%20200 bye",
      "head send=HTTP/1.1%20200%20OK%0d%0aX: bye" } do
      local message, detail = through(script)
      assert.equal("the proxy PROXY closed the connection without an answer", message)
      assert.equal("closed", detail.kind)
    end
    local message, detail = through("head rst")
    assert.matches("^the proxy PROXY ", message)
    assert.is_truthy(detail.kind == "closed" or detail.kind == "system")
  end)

  it("takes no answer without end, and none that is followed by something", function()
    local message = through("head flood=x")
    assert.matches("its answer is longer than 65536 bytes", message)
    message = through("head send=" .. web.escape("HTTP/1.1 200 OK\r\n") .. " flood=" .. web.escape("A: b\r\n"))
    assert.matches("its answer is longer than 65536 bytes", message)
    message = through("head flood=" .. web.escape("HTTP/1.1 100 Continue\r\n\r\n"))
    assert.matches("its answer is longer than 65536 bytes", message)
    message = through("head send=" .. web.escape("HTTP/1.1 200 OK\r\n\r\n\22\3\3") .. " stall")
    assert.matches("it sent more than its answer", message)
  end)

  it("passes interim answers over", function()
    local server = web.scripted(web.hello)
    local proxy = web.scripted("head send=" .. web.escape("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200\n\n") .. " bye")
    local body, message = web.get(server:url(), { proxy = of(proxy) })
    assert.is_nil(body)
    -- The tunnel is taken for open; what ends then is the handshake.
    assert.is_nil(message:find("proxy", 1, true))
    proxy:ended()
    server:ended()
  end)

  it("ends at the deadline", function()
    for _, script in ipairs { "stall", "head stall", "head drip=" .. web.escape("HTTP/1.1 200 OK" .. ("x"):rep(40)) } do
      local proxy = web.scripted(script)
      local began = socket.gettime()
      local body, message, detail = web.get("https://localhost:1/", { proxy = of(proxy), timeout = 0.5 })
      local took = socket.gettime() - began
      assert.is_nil(body)
      assert.equal("the proxy localhost:" .. proxy.port .. " did not answer in time", message)
      assert.equal("timeout", detail.kind)
      assert.is_true(took > 0.4 and took < 2, took)
      proxy:ended()
    end
  end)

  it("refuses URLs that name none, and leaves nothing open", function()
    local before = S.descriptors()
    for _, url in ipairs { "", "localhost", "localhost:3128", "ftp://p/", "http://", "http://a b:1", "http://p:0",
      "socks5://p:1080", "http://p:x", "http://a@b@c:1" } do
      local body, message, detail = web.get("https://localhost:1/", { proxy = url })
      assert.is_nil(body)
      assert.matches("^invalid proxy %(.+%): write http://host:port", message)
      assert.equal("config", detail.kind)
    end
    local body, message = web.get("https://localhost:1/", { proxy = "http://localhost:1",
      headers = { ["Proxy-Authorization"] = "Basic x\r\nX: y" } })
    assert.is_nil(body)
    assert.matches("credentials for the proxy have a line end", message)
    for _ = 1, 5 do through("head bye") end
    assert.equal(before, S.descriptors())
  end)

  it("has LuaSocket's default port", function()
    local function parts(url)
      local p = proxies.parse(url)
      return { p.host, p.port, p.tls, p.name }
    end
    assert.same({ "p", 3128, false, "p:3128" }, parts "http://p")
    assert.same({ "::1", 443, true, "[::1]:443" }, parts "https://[::1]/x")
    assert.equal(basic("a:"), proxies.parse("http://a@p").auth)
  end)
end)

describe("ssl.https through a proxy that speaks TLS", function()
  it("verifies both, and shows the proxy nothing but its credentials", function()
    local server, proxy = web.scripted(web.hello), web.proxy(1, "a:b", "serverA")
    local client = { certificate = S.cert("clientA"), key = S.cert("clientAkey"), proxy = of(proxy, "a:b@", "https") }
    assert.equal("hello", (web.get(server:url("/", "server.test"), client)))
    local seen = proxy:saw()
    assert.matches("^sni=localhost client=false CONNECT server.test:", seen)
    assert.matches("\nProxy-Authorization: " .. basic("a:b") .. "\n", seen, 1, true)
    seen = server:saw()
    assert.matches("^sni=server.test resumed=false client=true GET / ", seen)
    assert.is_nil(seen:lower():find("proxy", 1, true))
  end)

  it("carries large bodies both ways", function()
    local data = ("0123456789abcdef"):rep(65536)
    local server = web.scripted(("tls head body=%d "):format(#data) ..
      web.answer("200 OK", { "Content-Length: 100000" }, "") .. " flood=0123456789")
    local proxy = web.proxy(1, nil, "serverA")
    local body, code = web.get(server:url(), { proxy = of(proxy, nil, "https"), method = "PUT",
      source = ltn12.source.string(data), headers = { ["content-length"] = #data } })
    assert.equal(("0123456789"):rep(10000), body, code)
    proxy:ended()
    assert.is_true(server:saw():sub(-#data) == data)
  end)

  it("refuses one that is not what it says, whatever the request says of the server", function()
    local proxy = web.proxy(5, nil, "wronghost")
    for _, extra in ipairs { {}, { verify = "none" }, { cafile = S.cert("rootB") }, { verifyext = "lsec_continue" },
      { verifyext = { "lsec_ignore_purpose", "lsec_continue" } } } do
      extra.proxy = of(proxy, "a:b@", "https")
      local body, message, detail = web.get("https://localhost:1/", extra)
      assert.is_nil(body)
      assert.equal("cannot connect to the proxy localhost:" .. proxy.port .. ": certificate verify failed", message)
      assert.equal("verify", detail.kind)
      assert.is_string(detail.hint)
    end
    for _, seen in ipairs(proxy:ended()) do assert.is_nil(seen:find("CONNECT", 1, true)) end
  end)

  it("takes settings of its own", function()
    local server = web.scripted(web.hello, web.hello)
    local proxy = web.proxy(2, nil, "wronghost")
    local own = { url = of(proxy, nil, "https"), verify = "none", certificate = S.cert("clientA"),
      key = S.cert("clientAkey") }
    assert.equal("hello", (web.get(server:url(), { proxy = own })))
    own = { url = of(proxy, nil, "https"), cafile = S.cert("rootA"), verifyname = "other.test" }
    assert.equal("hello", (web.get(server:url(), { proxy = own })))
    local seen = proxy:ended()
    assert.matches("client=true", seen[1])
    assert.matches("client=false", seen[2])
    server:ended()
  end)

  it("tells what it does wrong, and when it takes too long", function()
    local function through(script, timeout)
      local proxy = web.scripted(script)
      local extra = { proxy = of(proxy, nil, "https"), timeout = timeout or 5 }
      local _, message, detail = web.get("https://localhost:1/", extra)
      proxy:ended()
      return message:gsub("localhost:" .. proxy.port, "PROXY"), detail.kind
    end
    local function check(message, kind, ...)
      local got, which = through(...)
      assert.equal(message, got)
      assert.equal(kind, which)
    end
    check("the proxy PROXY refused a connection to localhost:1: 403 No", "protocol", web.serves("403 No", {}))
    check("the proxy PROXY closed the connection without an answer", "closed", "tls head bye")
    check("the proxy PROXY closed the connection without an answer", "closed", "tls head cut")
    check("the proxy PROXY did not answer in time", "timeout", "tls head stall", 0.4)
    check("cannot connect to the proxy PROXY: timeout", "timeout", "stall", 0.4)
    S.atend(finally, function() https.TIMEOUT = 60 end)
    https.TIMEOUT = 0.4
    check("cannot connect to the proxy PROXY: timeout", "timeout", "stall")
    https.TIMEOUT = 60
    local message = through("send=HTTP/1.1%20400%0d%0a%0d%0a stall")
    assert.matches("^cannot connect to the proxy PROXY: ", message)
    check("the proxy PROXY failed: it sent more than its answer", "system",
      "tls head send=" .. web.escape("HTTP/1.1 200 OK\r\n\r\nmore") .. " stall")
  end)

  it("tells a body that the proxy cuts short", function()
    local server = web.scripted("tls head " .. web.answer("200 OK", {}, "all of it?") .. " cut")
    local proxy = web.proxy(1, nil, "serverA")
    local body, message, detail = web.get(server:url(), { proxy = of(proxy, nil, "https") })
    assert.is_nil(body)
    assert.matches("cut short", message)
    assert.equal("truncated", detail.kind)
    proxy:ended()
    server:ended()
  end)
end)
