-- send: index arithmetic, its three results, chunks, what a full socket buffer and a lost peer answer.

local T = require "compat.tools"
local support = require "support"
local socket = require "socket"

local pack = support.pack

describe("compat send", function()
  local c, s
  before_each(function() c, s = support.connected() end)
  after_each(function() T.close(c, s) end)

  -- data, i, j -> last index sent, what the peer reads
  local rows = {
    { { "abcdef" }, 6, "abcdef" },
    { { "abcdef", 2 }, 6, "bcdef" },
    { { "abcdef", 2, 4 }, 4, "bcd" },
    { { "abcdef", -2 }, 6, "ef" },
    { { "abcdef", 1, -2 }, 5, "abcde" },
    { { "abcdef", -4, -3 }, 4, "cd" },
    { { "abcdef", 0 }, 6, "abcdef" },
    { { "abcdef", -100, 100 }, 6, "abcdef" },
    { { "abcdef", 3, 3 }, 3, "c" },
    { { "abcdef", "2", "3" }, 3, "bc" },
    { { 1234 }, 4, "1234" },
    { { "a\0b" }, 3, "a\0b" },
    { { "abcdef", 4, 2 }, 3, "" },
    { { "abc", 10 }, 9, "" },
    { { "" }, 0, "" },
  }
  for _, row in ipairs(rows) do
    local arguments = row[1]
    local t = {}
    for i = 1, #arguments do t[i] = ("%q"):format(arguments[i]):gsub("%z", "\\0") end
    it("(" .. table.concat(t, ", ") .. ") returns " .. row[2] .. " and two nils", function()
      T.returned(pack(c:send(support.unpack(arguments))), row[2], nil, nil)
      if row[3] ~= "" then assert.equal(row[3], (support.receive(s, #row[3]))) end
      c:send("!")
      assert.equal("!", (support.receive(s, 1)))
    end)
  end

  it("raises without data or with data of a wrong type", function()
    T.raises("bad argument #2.*string expected", c.send, c)
    T.raises("bad argument #2.*string expected", c.send, c, {})
    T.raises("bad argument #2.*string expected", c.send, c, true)
    T.raises("bad argument #3.*number expected", c.send, c, "x", {})
    T.raises("bad argument #4.*number expected", c.send, c, "x", 1, {})
  end)

  it("writes to both directions independently", function()
    assert.equal(3, (c:send("one")))
    assert.equal(3, (s:send("two")))
    assert.equal("one", (support.receive(s, 3)))
    assert.equal("two", (support.receive(c, 3)))
  end)

  it("moves a megabyte exactly", function()
    local block = {}
    for i = 1, 256 do block[i] = string.char((i * 7) % 256):rep(i) end
    local data = table.concat(block):rep(32)
    assert.is_true(#data > 1024 * 1024)
    assert.is_true(data == support.transfer(c, s, data))
    assert.is_true(data == support.transfer(s, c, data))
  end)

  it("answers 'wantwrite' and the last index when the buffer is full, and goes on from there", function()
    local data = ("0123456789abcdef"):rep(1024 * 512)
    local n, err, last = c:send(data)
    assert.is_nil(n)
    assert.equal("wantwrite", err)
    assert.is_true(last > 0 and last < #data)
    assert.equal("write", c:want())
    local got, size = {}, 0
    support.poll(function()
      if last < #data then
        local done
        n, err, done = c:send(data, last + 1)
        last = n or done
        assert(n or err == "wantwrite", err)
      end
      local part, _, partial = s:receive(65536)
      got[#got + 1] = part or partial
      size = size + #(part or partial)
      return size >= #data
    end, "the data")
    assert.is_true(table.concat(got) == data)
    assert.equal(#data, last)
  end)

  it("is bounded by the timeout when the buffer is full, with 'wantwrite'", function()
    local data = ("x"):rep(16 * 1024 * 1024)
    c:settimeout(0.2)
    local started = socket.gettime()
    local n, err, last = c:send(data)
    local took = socket.gettime() - started
    assert.is_nil(n)
    assert.equal("wantwrite", err)
    assert.is_true(last > 0)
    assert.is_true(took >= 0.15 and took < 3)
  end)

  it("may be retried with fresh strings of the same content", function()
    local data = ("abcdefgh"):rep(1024 * 256)
    local last, received = 0, {}
    local size = 0
    support.poll(function()
      if last < #data then
        local rest = data:sub(last + 1) .. ""
        local n, _, done = c:send(rest)
        last = last + (n or done)
        collectgarbage("step")
      end
      local part, _, partial = s:receive(30000)
      received[#received + 1] = part or partial
      size = size + #(part or partial)
      return size >= #data
    end, "the data")
    assert.is_true(table.concat(received) == data)
  end)

  it("may be retried with fewer bytes than before", function()
    local data = ("0123456789abcdef"):rep(1024 * 512)
    local _, _, last = c:send(data)
    local received, size = {}, 0
    support.poll(function()
      local part, _, partial = s:receive(65536)
      received[#received + 1] = part or partial
      size = size + #(part or partial)
      if last < #data then
        local n, err, done = c:send(data, last + 1, math.min(#data, last + 1000))
        assert(n or err == "wantwrite", err)
        last = n or done
      end
      return size >= #data
    end, "the data")
    assert.is_true(table.concat(received) == data)
  end)

  it("still works after the peer's close_notify has come", function()
    local tls12c, tls12s = support.connected(nil, support.server())
    tls12s:send("bye")
    assert.equal("bye", (support.receive(tls12c, 3)))
    T.close(tls12s)
    T.begins(T.receive(tls12c, 1), nil, "closed", "")
    assert.equal(1, (tls12c:send("x")))
    tls12c:close()
  end)

  it("answers 'closed' once the peer is gone", function()
    s:close()
    local err, last
    support.poll(function()
      local n
      n, err, last = c:send("data that nobody reads")
      return not n
    end, "the error")
    assert.equal("closed", err)
    assert.equal(0, last)
  end)

  it("answers nil, 'closed' and i-1 before the handshake, without doing one", function()
    local a, b = support.wrapped()
    T.begins(pack(a:send("abc")), nil, "closed", 0)
    T.begins(pack(a:send("abc", 2)), nil, "closed", 1)
    T.begins(pack(b:dohandshake()), false, "wantread")
    T.close(a, b)
  end)

  it("answers nil, 'closed' and i-1 after close", function()
    c:close()
    T.begins(pack(c:send("abc")), nil, "closed", 0)
    T.begins(pack(c:send("abc", 3)), nil, "closed", 2)
  end)

  it("of nothing succeeds in every state", function()
    local a, b = support.wrapped()
    T.returned(pack(a:send("")), 0, nil, nil)
    T.returned(pack(a:send("abc", 3, 2)), 2, nil, nil)
    T.close(a, b)
    T.returned(pack(a:send("")), 0, nil, nil)
  end)

  it("sends several values of any bytes", function()
    local all = {}
    for i = 0, 255 do all[#all + 1] = string.char(i) end
    local data = table.concat(all)
    assert.is_true(data == support.transfer(c, s, data))
  end)
end)
