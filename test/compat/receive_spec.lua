-- receive: patterns, prefix, its three results, partial results, ends of the stream, dirty and want.

local T = require "compat.tools"
local support = require "support"
local socket = require "socket"

local pack = support.pack

--- Waits until bytes lie in the kernel for conn, without reading them.
local function waitfor(conn)
  support.poll(function() return #socket.select({ conn }, nil, 0.05) > 0 end, "bytes")
end

describe("compat receive", function()
  local c, s
  before_each(function() c, s = support.connected() end)
  after_each(function() T.close(c, s) end)

  local function given(data)
    assert(s:send(data))
    waitfor(c)
  end

  it("of a line returns it without its end, and two nils", function()
    given "hello\r\nworld\n"
    T.returned(T.receive(c), "hello", nil, nil)
    T.returned(pack(c:receive("*l")), "world", nil, nil)
  end)

  it("takes nil for a line, and looks at two characters of a pattern", function()
    given "1\n2\n3\n"
    support.poll(function() return c:dirty() or c:receive(0) end)
    assert.equal("1", (c:receive(nil)))
    assert.equal("2", (c:receive("*line")))
    assert.equal("3", (c:receive("*l", nil)))
  end)

  it("of a line drops every CR in it", function()
    given "li\rne\r\r\n\r\n"
    assert.equal("line", (support.receive(c)))
    assert.equal("", (c:receive()))
  end)

  it("of a line keeps NUL and other bytes", function()
    given "a\0b\255\n"
    assert.equal("a\0b\255", (support.receive(c)))
  end)

  it("of a number returns that many bytes, and two nils", function()
    given "0123456789"
    T.returned(T.receive(c, 4), "0123", nil, nil)
    T.returned(pack(c:receive(1)), "4", nil, nil)
    T.returned(pack(c:receive("3")), "567", nil, nil)
  end)

  it("of a number keeps CR and LF", function()
    given "a\r\nb"
    assert.equal("a\r\nb", (support.receive(c, 4)))
  end)

  it("of everything ends with the peer's close_notify", function()
    given "one\ntwo\r\n"
    s:close()
    T.returned(T.receive(c, "*a"), "one\ntwo\r\n", nil, nil)
    T.begins(pack(c:receive("*a")), nil, "closed", "")
  end)

  it("of everything returns 'closed' when nothing came at all", function()
    s:close()
    T.begins(T.receive(c, "*a"), nil, "closed", "")
  end)

  it("gives partial results with 'wantread'", function()
    given "part"
    T.begins(T.receive(c, "*l", nil, "part"), nil, "wantread", "part")
    T.begins(pack(c:receive("*l", "part")), nil, "wantread", "part")
    given "ial\nrest"
    T.returned(T.receive(c, "*l", "part"), "partial", nil, nil)
    T.begins(T.receive(c, 10, nil, "rest"), nil, "wantread", "rest")
    given "1234567890"
    T.begins(T.receive(c, "*a", "rest", "rest1234567890"), nil, "wantread", "rest1234567890")
  end)

  it("counts the prefix towards the number", function()
    given "3456"
    T.returned(T.receive(c, 6, "012"), "012345", nil, nil)
    assert.equal("6", (c:receive(1)))
  end)

  it("returns a prefix that is long enough untouched", function()
    T.returned(pack(c:receive(3, "abc")), "abc", nil, nil)
    T.returned(pack(c:receive(2, "abc")), "abc", nil, nil)
  end)

  it("puts the prefix before a line and before everything", function()
    given "line\nall"
    assert.equal("> line", (support.receive(c, "*l", "> ")))
    s:close()
    assert.equal("> all", (support.receive(c, "*a", "> ")))
  end)

  it("includes the prefix in the partial result", function()
    T.begins(pack(c:receive("*l", "pre")), nil, "wantread", "pre")
    T.begins(pack(c:receive("*a", "pre")), nil, "wantread", "pre")
    T.begins(pack(c:receive(10, "pre")), nil, "wantread", "pre")
    s:close()
    T.begins(T.receive(c, "*l", "pre"), nil, "closed", "pre")
  end)

  it("of nothing waits like any other read, then returns an empty string", function()
    T.begins(pack(c:receive(0)), nil, "wantread", "")
    given "x"
    T.returned(T.receive(c, 0), "", nil, nil)
    assert.equal("x", (c:receive(1)))
  end)

  it("raises for an unknown pattern", function()
    for _, pattern in ipairs { "l", "a", "*n", "", "*", "x" } do
      T.raises("bad argument #2.*invalid receive pattern", c.receive, c, pattern)
    end
    T.raises("bad argument", c.receive, c, {})
    T.raises("bad argument", c.receive, c, true)
    T.raises("bad argument #2.*invalid receive pattern", c.receive, c, -1)
  end)

  it("raises for a prefix that is no string", function()
    T.raises("bad argument #3.*string expected", c.receive, c, "*l", {})
  end)

  it("delivers what is in the buffer after the peer has closed", function()
    given "first\nsecond\nlast"
    s:close()
    assert.equal("first", (support.receive(c)))
    assert.equal("second", (c:receive()))
    T.begins(T.receive(c), nil, "closed", "last")
    T.begins(pack(c:receive()), nil, "closed", "")
  end)

  it("discards the buffer at close", function()
    given "first\nsecond\n"
    support.receive(c)
    c:close()
    T.begins(pack(c:receive("*a")), nil, "closed", "")
    T.begins(pack(c:receive(1)), nil, "closed", "")
  end)

  it("answers nil, 'closed' and the prefix before the handshake", function()
    local a, b = support.wrapped()
    T.begins(pack(a:receive()), nil, "closed", "")
    T.begins(pack(a:receive("*l", "pre")), nil, "closed", "pre")
    T.begins(pack(b:dohandshake()), false, "wantread")
    T.close(a, b)
  end)

  it("answers nil and 'closed' after close", function()
    c:close()
    T.begins(pack(c:receive()), nil, "closed", "")
    T.begins(pack(c:receive(5, "ab")), nil, "closed", "ab")
  end)

  it("of a long line crosses records and buffers", function()
    local line = ("0123456789"):rep(10000)
    s:send(line .. "\nnext\n")
    assert.is_true(support.receive(c) == line)
    assert.equal("next", (support.receive(c)))
  end)

  it("of many short lines keeps their order", function()
    local t = {}
    for i = 1, 500 do t[i] = "line " .. i end
    given(table.concat(t, "\r\n") .. "\r\n")
    for i = 1, 500 do assert.equal(t[i], (support.receive(c))) end
  end)

  it("of a large number is exact across records", function()
    local data = ("abc"):rep(20000)
    s:send(data .. "tail")
    assert.is_true(data == support.receive(c, #data))
    assert.equal("tail", (support.receive(c, 4)))
  end)
end)

describe("compat end of stream without close_notify", function()
  -- A socket object that borrows the server's descriptor ends TCP's stream under TLS.
  local server
  after_each(function() T.close(server) end)

  local function cut(extra, text)
    local c, s = support.connected(support.client(extra))
    server = s
    if text then s:send(text) end
    local raw = support.tcp()
    raw:close()
    raw:setfd(s:getfd())
    raw:shutdown("send")
    raw:setfd(-1)
    return c
  end

  it("is 'unexpected eof while reading' with the data so far", function()
    local c = cut(nil, "not all of it")
    T.begins(T.receive(c, "*a"), nil, "unexpected eof while reading", "not all of it")
    c:close()
  end)

  it("is 'unexpected eof while reading' once, then 'closed'", function()
    local c = cut()
    T.begins(T.receive(c), nil, "unexpected eof while reading", "")
    for _ = 1, 3 do T.begins(T.receive(c), nil, "closed", "") end
    c:close()
  end)

  it("is 'closed' with the option ignore_unexpected_eof", function()
    local c = cut({ options = { "ignore_unexpected_eof" } })
    for _ = 1, 3 do T.begins(T.receive(c), nil, "closed", "") end
    c:close()
  end)

  it("makes receive return each time, whatever the pattern", function()
    local c = cut(nil, "x")
    for _, pattern in ipairs { "*a", "*l", 5, "*a", "*l" } do
      local data, err, partial = c:receive(pattern)
      assert.is_nil(data)
      assert.equal("string", type(err))
      assert.equal("string", type(partial))
    end
    c:close()
  end)

  it("is 'closed' when the peer resets the connection", function()
    local listener = assert(socket.bind("127.0.0.1", 0))
    listener:settimeout(10)
    local _, port = listener:getsockname()
    local script = os.tmpname()
    local f = assert(io.open(script, "w"))
    f:write(([[
      local support = require "support"
      local tcp = assert(require "socket".connect("127.0.0.1", %d))
      assert(tcp:setoption("linger", { on = true, timeout = 0 }))
      local c = assert(support.ssl.wrap(tcp, support.client()))
      c:settimeout(10)
      assert(c:dohandshake())
      assert(c:send("going\n"))
      assert(c:receive() == "go")
      os.exit(0) -- the kernel closes the socket, with a reset
    ]]):format(port))
    f:close()
    local p = assert(io.popen(("timeout 20 %s %s 2>&1"):format(T.interpreter(), script)))
    local s = assert(support.ssl.wrap(assert(listener:accept()), support.server()))
    server = s
    listener:close()
    s:settimeout(10)
    assert(s:dohandshake())
    assert.equal("going", (s:receive()))
    assert(s:send("go\n"))
    T.begins(pack(s:receive()), nil, "closed", "")
    assert.equal("", p:read("*a"))
    p:close()
    os.remove(script)
  end)
end)

describe("compat dirty and want", function()
  local c, s
  before_each(function() c, s = support.connected() end)
  after_each(function() T.close(c, s) end)

  it("tell of bytes in the connection's own buffer", function()
    T.returned(pack(c:dirty()), false)
    s:send("one\ntwo\n")
    assert.equal("one", (support.receive(c)))
    T.returned(pack(c:dirty()), true)
    assert.equal("two", (c:receive()))
    T.returned(pack(c:dirty()), false)
  end)

  it("tell of decrypted bytes that OpenSSL still holds", function()
    s:send(("x"):rep(8192))
    support.receive(c, 10)
    assert.is_true(c:dirty())
    support.receive(c, 8182)
    assert.is_false(c:dirty())
  end)

  it("make socket.select return at once for a dirty connection", function()
    s:send("one\ntwo\n")
    support.receive(c)
    local started = socket.gettime()
    local readable = socket.select({ c }, nil, 5)
    assert.is_true(socket.gettime() - started < 1)
    assert.is_true(readable[1] == c)
    assert.is_truthy(readable[c])
  end)

  it("say what the last call waited for", function()
    c:receive()
    T.returned(pack(c:want()), "read")
    s:send("x\n")
    support.receive(c)
    T.returned(pack(c:want()), "nothing")
  end)

  it("say what a new connection waits for", function()
    local a, b = support.wrapped()
    T.returned(pack(a:want()), "nothing")
    a:dohandshake()
    T.returned(pack(a:want()), "read")
    T.close(a, b)
    T.returned(pack(a:want()), "nothing")
  end)
end)
