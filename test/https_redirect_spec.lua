-- ssl.https and redirects: which are followed, what goes along, and ssl.address, which resolves them.

local S = require "support"
local web = require "web"
local ltn12 = require "ltn12"
local mime = require "mime"
local address = require "ssl.address"

-- The line of the head that begins with this name, nil if there is none.
local function field(seen, name) return seen:match("\n" .. name:gsub("%p", "%%%0") .. ": ([^\n]*)") end

local function asked(seen) return seen:match("(%u+ %S+) HTTP/1%.1\n") end

describe("ssl.https follows redirects", function()
  it("absolute, relative, to the same place or another port; the sink gets the last body only", function()
    local other = web.scripted(web.redirects("../d?e=f#g"), web.hello)
    local away = web.redirects(" //localhost:" .. other.port .. "/x/y/z ")
    local first = web.scripted(web.redirects("/a/b"), web.redirects("?q=1"), away)
    local body, code, headers, _, sunk = web.get(first:url())
    assert.equal("hello", body, code)
    assert.equal("hello", sunk)
    assert.equal(200, code)
    assert.equal("../d?e=f#g", headers.location) -- LuaSocket's sign that there was one
    local seen = first:ended()
    assert.same({ "GET /", "GET /a/b", "GET /a/b?q=1" }, { asked(seen[1]), asked(seen[2]), asked(seen[3]) })
    seen = other:ended()
    assert.same({ "GET /x/y/z", "GET /x/d?e=f" }, { asked(seen[1]), asked(seen[2]) })
    assert.equal("localhost:" .. other.port, field(seen[1], "Host"))
  end)

  it("with codes 301, 302, 303, 307 and 308, for GET and HEAD", function()
    for _, code in ipairs { 301, 302, 303, 307, 308 } do
      local server = web.scripted(web.redirects("/next", code), web.hello)
      assert.equal("hello", (web.get(server:url(), { redirect = true })))
      server:ended()
    end
    local server = web.scripted(web.redirects("/next"), web.hello)
    local body, code = web.get(server:url(), { method = "HEAD" })
    assert.same({ "", 200 }, { body, code })
    assert.equal("HEAD /next", asked(server:ended()[2]))
  end)

  it("not with other codes, other methods, a body, redirect = false, or without a place to go", function()
    local function given(script, extra, code)
      local server = web.scripted(script)
      local body, got = web.get(server:url(), extra)
      server:ended()
      assert.same({ "body", code or 302 }, { body, got })
    end
    for _, code in ipairs { 200, 201, 300, 304 + 1, 306 } do given(web.redirects("/", code), nil, code) end
    given(web.redirects("/"), { method = "DELETE" })
    given(web.redirects("/"), { method = "GET", source = ltn12.source.empty() })
    given(web.redirects("/"), { redirect = false })
    given(web.redirects(""))
    given(web.redirects("ftp://localhost/"))
    given(web.redirects("mailto:a@b"))
    given(web.redirects("/"), { maxredirects = 0 })
  end)

  it("five times, or as often as the request says", function()
    local function loop(n, extra)
      local scripts = {}
      for i = 1, n do scripts[i] = web.redirects("/") end
      local server = web.scripted(S.unpack(scripts))
      local body, code = web.get(server:url(), extra)
      server:ended()
      assert.same({ "body", 302 }, { body, code })
    end
    loop(6)
    loop(3, { maxredirects = 2 })
    loop(51, { maxredirects = false })
  end)

  it("never to http, and not to what is no URL", function()
    for _, place in ipairs { "http://localhost:1/", "HTTP://localhost:1/" } do
      local server = web.scripted(web.redirects(place))
      local body, message, detail, _, sunk = web.get(server:url())
      server:ended()
      assert.is_nil(body)
      assert.equal("", sunk)
      assert.matches("localhost redirects to an http:// URL, which is not encrypted", message)
      assert.same({ "protocol", 302, place }, { detail.kind, detail.status, detail.location })
    end
    for _, place in ipairs { "https://", "https:///x", "https://a b/", "https://localhost:0/", "https://h:99999/" } do
      local server = web.scripted(web.redirects(place))
      local body, message, detail = web.get(server:url())
      server:ended()
      assert.is_nil(body)
      assert.matches("redirects to a URL that is none: ", message)
      assert.equal(302, detail.status)
    end
  end)

  it("escapes what a request line cannot hold", function()
    local server = web.scripted(web.redirects("/a b\1\195\169"), web.hello)
    assert.equal("hello", (web.get(server:url())))
    assert.equal("GET /a%20b%01%C3%A9", asked(server:ended()[2]))
  end)
end)

describe("ssl.https keeps for one host what is meant for it", function()
  local secrets = {
    certificate = S.cert("clientA"), key = S.cert("clientAkey"), user = "me", password = "secret",
    headers = { Cookie = "c=1", ["X-Mine"] = "yes" },
  }

  it("on its own host and port", function()
    local server = web.scripted(web.redirects("/next"), web.hello)
    assert.equal("hello", (web.get(server:url(), secrets)))
    local seen = server:ended()
    for i = 1, 2 do
      assert.matches("client=true", seen[i])
      assert.equal("c=1", field(seen[i], "Cookie"))
      assert.equal("Basic " .. (mime.b64("me:secret")), field(seen[i], "Authorization"))
    end
  end)

  it("not on another host or port, nor back again", function()
    for _, host in ipairs { "localhost", "127.0.0.1" } do
      local last = web.scripted(web.hello)
      local second = web.scripted(web.redirects(last:url("/back")))
      local first = web.scripted(web.redirects(second:url("/there", host)))
      local given = { authorization = "Bearer x", host = "asked.test", ["proxy-authorization"] = "Basic y" }
      for k, v in pairs(secrets.headers) do given[k] = v end
      assert.equal("hello", (web.get(first:url(), { certificate = secrets.certificate, key = secrets.key,
        headers = given })))
      local seen = first:saw()
      assert.matches("client=true", seen)
      assert.equal("Bearer x", field(seen, "Authorization"))
      assert.equal("asked.test", field(seen, "Host"))
      assert.is_nil(field(seen, "Proxy-Authorization"))
      for _, peer in ipairs { second, last } do
        seen = peer:saw()
        assert.matches("client=false", seen)
        assert.is_nil(field(seen, "Authorization"))
        assert.is_nil(field(seen, "Cookie"))
        assert.is_nil(field(seen, "Proxy-Authorization"))
        assert.equal("yes", seen:match("\n[Xx]%-[Mm]ine: ([^\n]*)"))
        assert.matches("^[%w.]+:%d+$", field(seen, "Host"))
      end
    end
  end)

  it("the user and password of the request, and those of its URL", function()
    local second = web.scripted(web.hello, web.hello)
    local there = second:url("/x")
    local first = web.scripted(web.redirects(there), web.redirects(there))
    assert.equal("hello", (web.get(first:url(), { user = "me", password = "secret" })))
    assert.equal("hello", (web.get((first:url():gsub("//", "//me:secret@")))))
    for _, seen in ipairs(first:ended()) do assert.is_string(field(seen, "Authorization")) end
    for _, seen in ipairs(second:ended()) do assert.is_nil(field(seen, "Authorization")) end
  end)

  it("the key that it shares", function()
    local function offered(server)
      local calls = 0
      assert.equal("hello", (web.get(server:url(), { psk = function()
        calls = calls + 1
        return "me", ("k"):rep(32)
      end })))
      server:ended()
      return calls
    end
    local once = offered(web.scripted(web.hello))
    assert.is_true(once > 0)
    local second = web.scripted(web.hello)
    assert.equal(once, offered(web.scripted(web.redirects(second:url("/", "127.0.0.1")))))
    second:ended()
  end)

  it("the names to check and to send", function()
    local second = web.scripted(web.hello)
    local first = web.scripted({ "wronghost" }, web.redirects(second:url("/", "127.0.0.1")))
    assert.equal("hello", (web.get(first:url(), { servername = "other.test" })))
    assert.matches("sni=other.test", first:saw())
    assert.matches("sni=nil", second:saw())
  end)

  it("checks the certificate of the next host as that of the first", function()
    for name, extra in pairs { wronghost = {}, serverB = {}, expired = {} } do
      local second = web.scripted({ name }, web.hello)
      local first = web.scripted(web.redirects(second:url("/x")))
      local body, message, detail = web.get(first:url(), extra)
      assert.is_nil(body)
      assert.equal("certificate verify failed", message)
      assert.equal("verify", detail.kind)
      first:ended()
      assert.is_nil(asked(second:saw() or ""))
    end
  end)

  it("whose fields of the URL do not go along", function()
    local second = web.scripted(web.hello)
    local first = web.scripted(web.redirects(second:url("/next?q")))
    assert.equal("hello", (web.get("https://elsewhere.invalid/", { host = "localhost", port = first.port, path = "/p",
      query = "x", uri = "/mine" })))
    assert.equal("GET /mine", asked(first:saw()))
    assert.equal("GET /next?q", asked(second:saw()))
  end)

  it("whose place is what was asked, not what the URL said", function()
    local server = web.scripted(web.redirects("next"), web.redirects("/again"), web.hello)
    local url = "https://me:secret@elsewhere.invalid:1/x/y"
    assert.equal("hello", (web.get(url, { host = "localhost", port = server.port })))
    local seen = server:ended()
    assert.same({ "GET /x/y", "GET /x/next", "GET /again" }, { asked(seen[1]), asked(seen[2]), asked(seen[3]) })
    for i = 1, 3 do assert.equal("Basic " .. (mime.b64("me:secret")), field(seen[i], "Authorization")) end
  end)
end)

describe("ssl.address", function()
  it("resolves references as RFC 3986 section 5.4 does", function()
    local base = "http://a/b/c/d;p?q"
    for reference, want in pairs {
      ["g:h"] = "g:h", ["g"] = "http://a/b/c/g", ["./g"] = "http://a/b/c/g", ["g/"] = "http://a/b/c/g/",
      ["/g"] = "http://a/g", ["//g"] = "http://g", ["?y"] = "http://a/b/c/d;p?y", ["g?y"] = "http://a/b/c/g?y",
      ["#s"] = "http://a/b/c/d;p?q", ["g#s"] = "http://a/b/c/g", ["g?y#s"] = "http://a/b/c/g?y",
      [";x"] = "http://a/b/c/;x",
      ["g;x"] = "http://a/b/c/g;x", ["g;x?y#s"] = "http://a/b/c/g;x?y", [""] = "http://a/b/c/d;p?q",
      ["."] = "http://a/b/c/",
      ["./"] = "http://a/b/c/", [".."] = "http://a/b/", ["../"] = "http://a/b/", ["../g"] = "http://a/b/g",
      ["../.."] = "http://a/", ["../../"] = "http://a/", ["../../g"] = "http://a/g", ["../../../g"] = "http://a/g",
      ["../../../../g"] = "http://a/g", ["/./g"] = "http://a/g", ["/../g"] = "http://a/g", ["g."] = "http://a/b/c/g.",
      [".g"] = "http://a/b/c/.g", ["g.."] = "http://a/b/c/g..", ["..g"] = "http://a/b/c/..g",
      ["./../g"] = "http://a/b/g",
      ["./g/."] = "http://a/b/c/g/", ["g/./h"] = "http://a/b/c/g/h", ["g/../h"] = "http://a/b/c/h",
      ["g;x=1/./y"] = "http://a/b/c/g;x=1/y", ["g;x=1/../y"] = "http://a/b/c/y", ["g?y/./x"] = "http://a/b/c/g?y/./x",
      ["g?y/../x"] = "http://a/b/c/g?y/../x", ["g#s/../x"] = "http://a/b/c/g",
    } do
      -- The fragment is dropped unless the reference has a scheme of its own.
      assert.equal(want, address.resolve(base, reference), reference)
    end
    assert.equal("https://a/g", address.resolve("https://a", "g"))
    assert.equal("https://a:1/b%20c", address.resolve("https://a:1/x/y", "/b c"))
  end)

  it("resolves a reference with many blanks in no time", function()
    local blanks, began = (" "):rep(60000), os.clock()
    assert.equal("https://a/x" .. ("%20"):rep(60000) .. "y", address.resolve("https://a/", " x" .. blanks .. "y "))
    assert.equal("https://a/", address.resolve("https://a/", blanks))
    assert.is_true(os.clock() - began < 1)
  end)

  it("takes URLs apart as RFC 3986 does", function()
    local function parts(uri)
      local a = assert(address.parse(uri, 443))
      return { a.user, a.password, a.host, a.port, a.path, a.query }
    end
    local function of(user, password, host, port, path, query) return { user, password, host, port, path, query } end
    assert.same(of(nil, nil, "h", 443, ""), parts "https://h")
    assert.same(of("u", "p:q", "h", 8443, "/a/b", "c=d?e"), parts "https://u:p:q@h:8443/a/b?c=d?e#f?g")
    assert.same(of("a@b", "c:d", "h", 443, "/"), parts "https://a%40b:c%3Ad@h/")
    assert.same(of("u", nil, "h", 443, ""), parts "https://u@h:")
    assert.same(of(nil, nil, "::1", 1, "/"), parts "https://[::1]:1/")
    assert.same(of(nil, nil, "host1", 443, "/"), parts "https://host1/")
    -- The host ends where the RFC says, whatever comes behind.
    assert.same(of(nil, nil, "good.test", 443, "", "@evil.test/"), parts "https://good.test?@evil.test/")
    assert.same(of(nil, nil, "good.test", 443, ""), parts "https://good.test#@evil.test/")
  end)

  it("refuses hosts and ports that are none", function()
    for _, uri in ipairs { "", "x", "https:", "https://", "https:///a", "https://:443/" } do
      assert.equal("the URL names no host", (select(2, address.parse(uri, 443))))
    end
    assert.equal("invalid host '[::1'", (select(2, address.parse("https://::1/", 443))))
    assert.equal("invalid port 'x'", (select(2, address.parse("https://a/", "x"))))
    for _, uri in ipairs { "https://a b/", "https://a@b@c/", "https://a\\b/", "https://::1/", "https://[::1/",
      "https://[g]/", "https://a]/", "https://a%20b/", "https://a:b:1/", "https://[]/", "https://<a>/" } do
      local a, message = address.parse(uri, 443)
      assert.is_nil(a, uri)
      assert.matches("^invalid host", message)
    end
    for _, uri in ipairs { "https://me:p@zebra@h/", "https://me:p@zebra@h:1/" } do
      local _, message = address.parse(uri, 443)
      assert.matches("%%40", message)
      assert.is_nil(message:find("zebra", 1, true))
    end
    for _, port in ipairs { "x", "0", "65536", "-1", "1.5", "99999999999999999999", "0x50", "4e2", "+443" } do
      local a, message = address.parse("https://a:" .. port .. "/", 443)
      assert.is_nil(a)
      assert.matches("^invalid port '" .. port:gsub("%p", "%%%0") .. "'", message)
    end
    for _, c in ipairs { "\0", "\r", "\n", "\t", "\127" } do
      assert.matches("control character", (select(2, address.parse("https://a/" .. c, 443))))
    end
  end)
end)
