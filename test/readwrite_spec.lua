-- conn:read and conn:write: what is there, and one step.

local S = require "support"

describe("conn:read", function()
  it("gives what has come, at most what was asked for", function()
    local c, s = S.connected()
    s:send("hello world")
    local first
    S.poll(function()
      first = c:read(1)
      return first
    end, "a byte")
    assert.equal("h", first)
    assert.equal("ello", c:read(4))
    assert.equal(" world", c:read())
    local none, message, detail = c:read()
    assert.is_nil(none)
    assert.equal("wantread", message)
    assert.equal("want", detail.kind)
  end)

  it("mixes with receive and its buffer", function()
    local c, s = S.connected()
    s:send("one\ntwo\nthree")
    assert.equal("one", (S.receive(c, "*l")))
    assert.equal(9, c:pending())
    assert.equal("tw", c:read(2))
    assert.equal("o", (c:receive("*l")))
    assert.equal("three", c:read(1000000))
    assert.equal(13, (c:getstats()))
  end)

  it("never gives more than a record at a time", function()
    local c, s = S.connected()
    s:send(("x"):rep(40000))
    local got = 0
    S.poll(function()
      local part, message = c:read(100000)
      if part then
        assert.is_true(#part >= 1 and #part <= 16384)
        got = got + #part
      else
        assert.equal("wantread", message)
      end
      return got == 40000
    end, "40000 bytes")
  end)

  it("waits for the first byte as long as the timeout says", function()
    local socket = require "socket"
    local c, s = S.connected()
    c:settimeout(0.2)
    local began = socket.gettime()
    assert.equal("wantread", (select(2, c:read())))
    assert.is_true(socket.gettime() - began >= 0.15)
    s:send("x")
    assert.equal("x", c:read())
  end)

  it("tells the end, and what is no connection", function()
    local c, s = S.connected()
    s:close()
    local message, detail
    S.poll(function()
      message, detail = select(2, c:read())
      return not S.wants(message)
    end, "the end")
    assert.equal("closed", message)
    assert.equal("closed", detail.kind)
    c:close()
    assert.equal("closed", (select(2, c:read())))
    c, s = S.wrapped()
    assert.equal("closed", (select(2, c:read())))
    assert.error_matches(function() c:read(0) end, "bad argument #1")
    assert.error_matches(function() c:read(-1) end, "bad argument #1")
    assert.error_matches(function() c:read("x") end, "bad argument #1")
    s:close()
  end)
end)

describe("conn:write", function()
  it("takes a record at the most and answers the last index", function()
    local c, s = S.connected()
    local data = ("0123456789"):rep(5000)
    local last = c:write(data)
    assert.equal(16384, last)
    local got = {}
    while last < #data do
      last = assert(c:write(data, last + 1))
      S.poll(function()
        local part = s:read()
        got[#got + 1] = part
        return not part
      end, "what was written")
    end
    S.poll(function()
      got[#got + 1] = s:read()
      return #table.concat(got) == #data
    end, "the rest")
    assert.equal(data, table.concat(got))
  end)

  it("takes ranges as send does", function()
    local c, s = S.connected()
    assert.equal(4, c:write("abcdef", 2, 4))
    assert.equal(6, c:write("abcdef", -1))
    assert.equal(3, c:write("abcdef", 4, 2))
    assert.equal(0, c:write(""))
    S.poll(function() return s:dirty() or s:receive(0) end, "bytes")
    assert.equal("bcdf", (S.receive(s, 4)))
  end)

  it("answers wantwrite with the index so far when the socket is full", function()
    local c, s = S.connected()
    local data, last = ("x"):rep(65536), 0
    local ok, message, index, detail
    S.poll(function()
      ok, message, index, detail = c:write(data)
      last = ok or last
      return not ok
    end, "a full socket")
    assert.equal("wantwrite", message)
    assert.equal(0, index)
    assert.equal("want", detail.kind)
    s:close()
  end)

  it("fails on what is no connection", function()
    local c, s = S.wrapped()
    assert.same({ nil, "closed", 0 }, { S.unpack({ c:write("x") }, 1, 3) })
    c:close()
    s:close()
    assert.same({ nil, "closed", 0 }, { S.unpack({ c:write("x") }, 1, 3) })
    assert.error_matches(function() c:write() end, "bad argument #1")
  end)
end)
