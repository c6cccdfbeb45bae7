-- ssl.https: complete bodies told from those that were cut short, and answers that are no HTTP.

local S = require "support"
local web = require "web"
local ltn12 = require "ltn12"

local function fetch(script, extra)
  local server = web.scripted(script)
  local result = S.pack(web.get(server:url(), extra))
  server:ended()
  return result
end

local function succeeds(script, body, code, extra)
  local r = fetch(script, extra)
  assert.equal(body, r[1], tostring(r[2]))
  assert.equal(code or 200, r[2])
  return r[3]
end

local function fails(script, message, kind, extra)
  local r = fetch(script, extra)
  assert.is_nil(r[1])
  assert.matches(message, r[2])
  assert.equal(kind, r[3].kind)
  assert.is_string(r[3].reason)
  return r
end

-- An answer whose stream ends in this way.
local function ends(how, head, body) return "tls head " .. web.answer("200 OK", head, body) .. " " .. how end

describe("ssl.https and the end of a body", function()
  it("takes a complete body whichever way the connection ends", function()
    for _, how in ipairs { "bye", "cut", "stall" } do
      succeeds(ends(how, { "Content-Length: 5" }, "hello"), "hello")
      succeeds(ends(how, { "Transfer-Encoding: chunked" }, "5\r\nhello\r\n0\r\n\r\n"), "hello")
    end
  end)

  it("refuses a body that is shorter than its length", function()
    for _, how in ipairs { "bye", "cut", "rst" } do
      local r = fails(ends(how, { "Content-Length: 10" }, "hello"), "cut short", "truncated")
      if how ~= "rst" then assert.matches("5 of 10 bytes", r[2]) end
      if how ~= "rst" then assert.equal("hello", r[5]) end
    end
    fails(ends("bye", { "Content-Length: 10" }, ""), "0 of 10 bytes", "truncated")
  end)

  it("refuses chunks without the last one", function()
    local head = { "Transfer-Encoding: chunked" }
    for _, how in ipairs { "bye", "cut" } do
      for _, body in ipairs { "", "5", "5\r\n", "5\r\nhel", "5\r\nhello", "5\r\nhello\r\n", "5\r\nhello\r\n0",
        "5\r\nhello\r\n0\r\n", "5\r\nhello\r\n0\r\nTrailer: x\r\n" } do
        fails(ends(how, head, body), "cut short", "truncated")
      end
    end
  end)

  it("believes the end of a body without length only with close_notify", function()
    succeeds(ends("bye", {}, "all of it"), "all of it")
    succeeds(ends("bye", {}, ""), "")
    succeeds(ends("bye", { "Transfer-Encoding: identity" }, "all of it"), "all of it")
    succeeds(ends("bye", { "Transfer-Encoding: gzip" }, "all of it"), "all of it")
    fails(ends("cut", {}, "all of it?"), "cut short: it has no length.*close_notify", "truncated")
    fails(ends("cut", {}, ""), "cut short", "truncated")
    fails(ends("cut", { "Transfer-Encoding: gzip", "Content-Length: 3" }, "abc"), "cut short", "truncated")
    fails(ends("rst", {}, "all of it?"), ".", "truncated")
  end)

  it("expects no body where there is none", function()
    for _, code in ipairs { 204, 304 } do
      succeeds("tls head " .. web.answer(code .. " None", { "Content-Length: 10" }) .. " cut", "", code)
    end
    succeeds(ends("cut", { "Content-Length: 10" }), "", 200, { method = "HEAD" })
    succeeds(ends("cut", { "Transfer-Encoding: chunked" }), "", 200, { method = "HEAD" })
    succeeds("tls head " .. web.answer("101 Switching", { "Upgrade: x" }) .. " cut", "", 101)
  end)

  it("gives the partial body of a failed answer to the sink only", function()
    local https = require "ssl.https"
    local server = web.scripted(ends("bye", { "Content-Length: 10" }, "hello"))
    finally(function()
      https.verify = "peer"
      server:ended()
    end)
    https.verify = "none"
    local body, message = https.request(server:url())
    assert.is_nil(body)
    assert.matches("cut short", message)
  end)
end)

describe("ssl.https and the head of an answer", function()
  it("reads chunks with extensions, capitals, leading zeros and trailers", function()
    local headers = succeeds(ends("bye", { "Transfer-Encoding: Chunked", "X: 1" },
      "0000A;name=value\r\n0123456789\r\n1 ; x\r\n!\r\n000\r\nY: 2\r\nx: 3\r\n\r\n"), "0123456789!")
    assert.equal("2", headers.y)
    assert.equal("1, 3", headers.x)
    succeeds(ends("bye", { "Transfer-Encoding: gzip, chunked", "Content-Length: 1" }, "2\r\nab\r\n0\r\n\r\n"), "ab")
    succeeds(ends("bye", { "Transfer-Encoding: x-chunked", "Content-Length: 1" }, "1\r\na"), "1\r\na")
  end)

  it("refuses chunks that are none", function()
    for _, body in ipairs { "x\r\n", "\r\n", "-5\r\nhello\r\n", "0x5\r\nhello\r\n0\r\n\r\n", "fffffffffffffffff\r\n",
      "5 5\r\nhello\r\n", "5\r\nhello!\r\n0\r\n\r\n", "5\r\nhello0\r\n\r\n" } do
      local r = fails(ends("bye", { "Transfer-Encoding: chunked" }, body), "chunk", "protocol")
      assert.equal("", r[5]:gsub("^hello", ""))
    end
  end)

  it("takes one length, said once or more often", function()
    succeeds(ends("stall", { "Content-Length: 5", "Content-Length: 05" }, "hello"), "hello")
    succeeds(ends("stall", { "content-length:0" }, ""), "")
    for _, length in ipairs { "", "x", "-1", "0x5", "5, 6", "5;", "1e3", "9999999999999999" } do
      fails(ends("bye", { "Content-Length: " .. length }, "hello"), "invalid content%-length", "protocol")
    end
  end)

  it("joins equal fields and folded lines", function()
    local headers = succeeds(ends("bye", { "A: 1", "a:2 ", "B: x", "\t y", "Empty:", "Content-Length: 0" }), "")
    assert.equal("1, 2", headers.a)
    assert.equal("x y", headers.b)
    assert.equal("", headers.empty)
  end)

  it("passes interim answers over", function()
    local interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    local answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    local headers = succeeds("tls head send=" .. web.escape(interim .. answer) .. " bye", "ok")
    assert.is_nil(headers.link)
    fails("tls head flood=" .. web.escape("HTTP/1.1 100 Continue\r\n\r\n"), "interim answers without end", "protocol")
  end)

  it("takes status lines without a reason", function()
    for _, line in ipairs { "HTTP/1.1 200", "HTTP/1.0 200 ", "HTTP/1.1 200 a b c" } do
      local r = fetch("tls head send=" .. web.escape(line .. "\r\nContent-Length: 2\r\n\r\nok") .. " bye")
      assert.equal("ok", r[1])
      assert.equal(line, r[4])
    end
  end)

  it("refuses what is no HTTP", function()
    for _, text in ipairs { "hello\n", "\r\n\r\n", "HTTP/2 200 OK\r\n\r\n", "HTTP/1.1 2000\r\n\r\n",
      "HTTP/1.1 OK\r\n\r\n", "SSH-2.0-x\r\n", "\0\0\0\n", "HTTP/0.9 200 OK\r\n\r\n" } do
      fails("tls head send=" .. web.escape(text) .. " bye", "did not answer with HTTP", "protocol")
    end
    for _, line in ipairs { "no colon", ": x", "\1" } do
      fails(ends("bye", { line, "Content-Length: 0" }), "header line without", "protocol")
    end
  end)

  it("says how a connection ended without an answer, and in the middle of a head", function()
    fails("tls head bye", "^closed$", "closed")
    fails("tls head cut", "unexpected eof", "truncated")
    fails("tls head send=" .. web.escape("HTTP/1.1 200 OK\r\nA: ") .. " bye", "^closed$", "closed")
    fails("tls head send=" .. web.escape("HTTP/1.1 200 OK\r\nA: 1\r\n") .. " cut", "unexpected eof", "truncated")
    fails("tls head send=" .. web.escape("HTTP/1.1 200 OK\r\nA: 1\r\n b") .. " cut", "unexpected eof", "truncated")
  end)

  it("takes no head without end", function()
    fails("tls head flood=x", "a line of the server's answer is longer than 65536 bytes", "protocol")
    fails(ends("flood=x", { "Transfer-Encoding: chunked" }, "5;"), "longer than 65536 bytes", "protocol")
    fails("tls head send=" .. web.escape("HTTP/1.1 200 OK\r\n") .. " flood=" .. web.escape("A: b\r\n"),
      "does not end", "protocol")
    fails("tls head send=" .. web.escape("HTTP/1.1 200 OK\r\nA: ") .. " flood=" .. web.escape(("x"):rep(50) .. "\r\n "),
      "does not end", "protocol")
    fails(ends("flood=" .. web.escape("A: b\r\n"), { "Transfer-Encoding: chunked" }, "0\r\n"),
      "does not end", "protocol")
  end)

  it("reads lines of many blanks in no time", function()
    local blanks, took = " blanks=60000 send=", os.clock()
    local function line(before, after) return "send=" .. web.escape(before) .. blanks .. web.escape(after) end
    local rest = "\r\nContent-Length: 5\r\n\r\nhello"
    for name, value in pairs { x = "x" .. (" "):rep(60000) .. "y", z = "" } do
      local script = line("HTTP/1.1 200 OK\r\n" .. name .. ":" .. value:sub(1, 1), value:sub(-1) .. rest)
      assert.equal(value, succeeds("tls head " .. script .. " bye", "hello")[name])
    end
    local folded = succeeds("tls head " .. line("HTTP/1.1 200 OK\r\nA: b\r\n", "c" .. rest) .. " bye", "hello")
    assert.equal("b c", folded.a)
    succeeds("tls head " .. line("HTTP/1.1 200 OK\r\nContent-Length: 5,", "5\r\n\r\nhello") .. " bye", "hello")
    for _, name in ipairs { "A", "" } do
      fails("tls head " .. line("HTTP/1.1 200 OK\r\n" .. name, "x" .. rest) .. " bye", "without a name", "protocol")
    end
    fails("tls head " .. line("HTTP/1.1 200 OK\r\n ", ":" .. rest) .. " bye", "without a name", "protocol")
    assert.is_true(os.clock() - took < 2, os.clock() - took)
  end)
end)

describe("ssl.https and the caller's functions", function()
  local hello = web.hello

  local function request(extra, script)
    local server = web.scripted(script or hello)
    local r = S.pack(pcall(web.get, server:url(), extra))
    return r, server:ended()
  end

  it("gives the error of a sink", function()
    local r = request { sink = function(chunk) if chunk then return nil, "disk full" end return 1 end }
    assert.is_nil(r[2])
    assert.equal("disk full", r[3])
    assert.equal("callback", r[4].kind)
  end)

  it("stops when the sink wants no more, as LuaSocket does", function()
    local r = request { sink = function() return nil end }
    assert.equal("", r[2])
    assert.equal(200, r[3])
  end)

  it("lets through what a sink or source raises, with the connection closed", function()
    local before = S.descriptors()
    local r = request { sink = function() error("my own", 0) end }
    assert.same({ false, "my own" }, { r[1], r[2] })
    r = request { method = "POST", source = function() error({ mine = true }) end }
    assert.is_false(r[1])
    assert.is_true(r[2].mine)
    assert.equal(before, S.descriptors())
  end)

  it("lets a sink yield where socket.protect does", function()
    if _VERSION == "Lua 5.1" then return pending("LuaSocket's protect cannot be yielded across here") end
    local server = web.scripted(hello)
    local co = coroutine.create(function()
      return web.get(server:url(), { sink = function(chunk) return coroutine.yield(chunk or "end") end })
    end)
    assert.same({ true, "hello" }, { coroutine.resume(co) })
    assert.same({ true, "end" }, { coroutine.resume(co, 1) })
    assert.equal(200, (select(3, coroutine.resume(co, 1))))
    assert.equal("dead", coroutine.status(co))
    server:ended()
  end)

  it("answers what socket.try throws", function()
    local r = request { sink = function() require("socket").try(nil, "thrown") end }
    assert.same({ true, nil, "thrown" }, { r[1], r[2], r[3] })
  end)

  it("sends a body whose length is known, and no byte more or less", function()
    local function post(text, length)
      return request({ method = "PUT", source = ltn12.source.string(text), headers = { ["Content-Length"] = length } },
        ("tls head body=%d "):format(math.min(#text, length)) ..
        web.answer("200 OK", { "Content-Length: 2" }, "ok") .. " bye")
    end
    local r, seen = post("hello", 5)
    assert.equal("ok", r[2])
    assert.matches("\nhello$", seen[1])
    r = post("hello!", 5)
    assert.is_nil(r[2])
    assert.matches("6 bytes where content%-length says 5", r[3])
    r = post("hell", 5)
    assert.is_nil(r[2])
    assert.matches("4 bytes where content%-length says 5", r[3])
  end)

  it("sends the length as digits, and nothing where it is no length", function()
    local r, seen = request({ method = "PUT", source = ltn12.source.string("hello"),
      headers = { ["content-length"] = 10 / 2 } },
      "tls head body=5 " .. web.answer("200 OK", { "Content-Length: 2" }, "ok") .. " bye")
    assert.equal("ok", r[2])
    assert.matches("\nContent%-Length: 5\n", seen[1])
    for _, length in ipairs { "many", "0x5", "5e0", "+5", "", -1, 2.5, 1 / 0, 0 / 0, "9999999999999999", {}, true } do
      r, seen = request({ method = "PUT", source = ltn12.source.string("hello"),
        headers = { ["content-length"] = length } }, "tls head")
      assert.is_true(r[1])
      assert.is_nil(r[2])
      assert.matches("invalid content%-length", r[3])
      assert.is_nil(seen[1]:find("PUT", 1, true))
    end
  end)

  it("sends chunks, and their end only when the source has ended well", function()
    local parts = { "one", "", "two" }
    local function source() return table.remove(parts, 1) end
    local text = "3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
    local r, seen = request({ method = "POST", source = source },
      ("tls head body=%d "):format(#text) .. web.answer("200 OK", { "Content-Length: 0" }) .. " bye")
    assert.equal("", r[2])
    assert.equal(text, seen[1]:match("\n\n(.*)$"))
    assert.matches("Transfer%-Encoding: chunked\n", seen[1])
    local n = 0
    r, seen = request({ method = "POST", source = function()
      n = n + 1
      if n == 1 then return "half" end
      return nil, "source broke"
    end }, "tls head body=9 body=5")
    assert.is_nil(r[2])
    assert.equal("source broke", r[3])
    assert.equal("4\r\nhalf\r\n", seen[1]:match("\n\n(.*)$"))
  end)

  it("sends numbers as LuaSocket does, and says what is neither", function()
    for _, headers in ipairs { { ["content-length"] = 2 }, {} } do
      local text = headers["content-length"] and "42" or "2\r\n42\r\n0\r\n\r\n"
      local parts = { 42, false }
      local function source() return table.remove(parts, 1) end
      local r, seen = request({ method = "PUT", headers = headers, source = source },
        ("tls head body=%d "):format(#text) .. web.answer("200 OK", { "Content-Length: 0" }) .. " bye")
      assert.equal("", r[2], r[3])
      assert.equal(text, seen[1]:match("\n\n(.*)$"))
      r = request({ method = "PUT", headers = headers, source = function() return {} end }, "tls head stall")
      assert.same({ true, nil, "the source gave a table, not a string" }, { r[1], r[2], r[3] })
      assert.equal("callback", r[4].kind)
    end
  end)

  it("never announces both a length and chunks", function()
    local headers = { ["Content-Length"] = 5, ["Transfer-Encoding"] = "chunked" }
    local r, seen = request({ method = "PUT", source = ltn12.source.string("hello"), headers = headers },
      "tls head body=15 " .. web.answer("200 OK", { "Content-Length: 0" }) .. " bye")
    assert.equal("", r[2])
    assert.is_nil(seen[1]:find("Content-Length", 1, true))
    assert.matches("\n\n5\r\nhello\r\n0\r\n\r\n$", seen[1])
  end)

  it("uses the step that it is given", function()
    local steps = 0
    request { step = function(source, sink)
      steps = steps + 1
      return ltn12.pump.step(source, sink)
    end }
    assert.is_true(steps >= 2)
  end)

  it("sends a large string whole", function()
    local data = ("0123456789abcdef"):rep(200000)
    local headers = { ["content-length"] = #data }
    local r, seen = request({ method = "PUT", source = ltn12.source.string(data), headers = headers },
      ("tls head body=%d "):format(#data) .. web.answer("200 OK", { "Content-Length: 0" }) .. " bye")
    assert.equal("", r[2], r[3])
    assert.is_true(seen[1]:sub(-#data) == data)
  end)
end)
