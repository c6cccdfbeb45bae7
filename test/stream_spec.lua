-- send and receive: patterns, prefixes, partial results, indices, retries, the ends of a stream, statistics. Random
-- sequences against a model are in stream_model_spec.lua, time-outs in wait_spec.lua.

local socket = require "socket"
local ssl = require "ssl"
local support = require "support"

local pack = support.pack

local function raises(pattern, f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok)
  assert.matches(pattern, err)
end

-- A connected pair for each test; `conns` are closed afterwards.
local c, s
local function fresh(clientcfg, servercfg)
  c, s = support.connected(clientcfg, servercfg)
  return c, s
end

after_each(function()
  if c then c:close() end
  if s then s:close() end
  c, s = nil, nil
end)

-- The first three results must be these; a fourth, the detail table, comes with failures only.
local function results(expected, got)
  assert.equal(expected[1] == nil and 4 or 3, got.n)
  for i = 1, 3 do assert.equal(expected[i], got[i]) end
  if expected[1] == nil then assert.equal("string", type(got[4].kind)) end
end

-- Sends at s what c is to receive, and waits until it has come.
local function arrive(data)
  assert.equal(#data, s:send(data))
  assert.equal(c, socket.select({ c }, nil, 5)[1])
end

describe("receive", function()
  it("knows LuaSocket's patterns", function()
    fresh()
    arrive("one\ntwo\nthree\nfour\n0123456789abcdefghij")
    results({ "one", nil, nil }, pack(c:receive()))
    results({ "two", nil, nil }, pack(c:receive(nil)))
    results({ "three", nil, nil }, pack(c:receive("*l")))
    results({ "four", nil, nil }, pack(c:receive("*line, only two letters count")))
    results({ "012", nil, nil }, pack(c:receive(3)))
    results({ "34", nil, nil }, pack(c:receive("2")))
    results({ "5", nil, nil }, pack(c:receive(1.9)))
    results({ "", nil, nil }, pack(c:receive(0)))
    results({ "6789", nil, nil }, pack(c:receive("0x4")))
    s:close()
    results({ "abcdefghij", nil, nil }, pack(c:receive("*all")))
  end)

  it("raises for anything else, in every state", function()
    fresh()
    for _ = 1, 2 do
      for _, pattern in ipairs { "l", "a", "", "*", "*x", "*n", " *l", "ten", "1x", -1, "-1", -0.5, true, false, {},
        print, 0 / 0, -1 / 0 } do
        raises("bad argument #%d to .*invalid receive pattern", c.receive, c, pattern)
      end
      raises("bad argument", c.receive, c, "*l", {})
      raises("bad argument", c.receive, c, 5, true)
      c:close()
    end
  end)

  it("puts what came behind the prefix", function()
    fresh()
    arrive("line\nabcdef")
    results({ "preline", nil, nil }, pack(c:receive("*l", "pre")))
    results({ "12ab", nil, nil }, pack(c:receive(4, "12")))
    results({ "12c", nil, nil }, pack(c:receive(3, 12)))
    results({ nil, "wantread", "xdef" }, pack(c:receive("*l", "x")))
    results({ "", nil, nil }, (function()
      arrive("y")
      return pack(c:receive(0, ""))
    end)())
    s:close()
    results({ "prey", nil, nil }, pack(support.receive(c, "*a", "pre")))
    results({ nil, "closed", "pre" }, pack(c:receive("*a", "pre")))
    results({ nil, "closed", "pre" }, pack(c:receive("*l", "pre")))
    results({ nil, "closed", "pre" }, pack(c:receive(4, "pre")))
  end)

  it("returns a prefix that is long enough as it is, without any reading", function()
    fresh()
    arrive("abc")
    for _, n in ipairs { 0, 1, 2, "3", 2.5 } do results({ "123", nil, nil }, pack(c:receive(n, "123"))) end
    results({ "abc", nil, nil }, pack(c:receive(3)))
    c:close()
    results({ "123", nil, nil }, pack(c:receive(3, "123")))
    results({ nil, "closed", "12" }, pack(c:receive(3, "12")))
  end)

  it("with 0 needs something to read", function()
    fresh()
    support.poll(function() return select(2, c:receive(0)) == "wantread" end)
    results({ nil, "wantread", "" }, pack(c:receive(0)))
    arrive("x")
    results({ "", nil, nil }, pack(c:receive(0)))
    results({ "x", nil, nil }, pack(c:receive(1)))
    s:close()
    results({ nil, "closed", "" }, pack(support.receive(c, 0)))
  end)

  it("drops every carriage return of a line, and only of lines", function()
    fresh()
    arrive("\r\n\n\r\r\ra\rb\r\n\r")
    results({ "", nil, nil }, pack(c:receive()))
    results({ "", nil, nil }, pack(c:receive()))
    results({ "ab", nil, nil }, pack(c:receive()))
    results({ nil, "wantread", "" }, pack(c:receive()))
    arrive("c\r\nx\r\ny")
    results({ "c", nil, nil }, pack(c:receive()))
    results({ "x\r\ny", nil, nil }, pack(c:receive(4)))
    arrive("p\r\n")
    results({ "\rkept\n:p", nil, nil }, pack(c:receive("*l", "\rkept\n:")))
  end)

  it("takes lines that cross records and buffers", function()
    fresh()
    local line = ("0123456789"):rep(5000)
    local sent, i = line .. "\n" .. line .. "\r\nrest", 1
    local got = {}
    support.poll(function()
      if i <= #sent then
        s:send(sent:sub(i, i + 776))
        i = i + 777
      end
      local data, err, partial = c:receive("*l", got.partial)
      got.partial = nil
      if data then
        got[#got + 1] = data
      else
        assert.equal("wantread", err)
        got.partial = partial
      end
      return #got == 2 and got.partial == "rest"
    end)
    assert.is_true(got[1] == line and got[2] == line)
  end)

  it("keeps NUL and every other byte", function()
    fresh()
    local all = {}
    for i = 0, 255 do all[#all + 1] = string.char(i) end
    all = table.concat(all)
    arrive(all .. "a\0b\nc\0")
    results({ all, nil, nil }, pack(c:receive(256)))
    results({ "\0\0a\0b", nil, nil }, pack(c:receive("*l", "\0\0")))
    results({ "c\0", nil, nil }, pack(c:receive(2)))
  end)

  it("delivers what came before the end, then says closed", function()
    fresh()
    s:send("line\npart")
    s:close()
    results({ "line", nil, nil }, pack(support.receive(c)))
    results({ nil, "closed", "part" }, pack(support.receive(c)))
    results({ nil, "closed", "" }, pack(c:receive()))
    fresh()
    s:send("four")
    s:close()
    results({ nil, "closed", "four" }, pack(support.receive(c, 5)))
    assert.equal("closed", c:lasterror().kind)
    fresh()
    s:send("four")
    s:close()
    results({ "fo", nil, nil }, pack(support.receive(c, 2)))
    c:close() -- our own close discards what is buffered
    results({ nil, "closed", "" }, pack(c:receive("*a")))
  end)

  it("*a ends in success only by close_notify", function()
    fresh()
    s:close()
    results({ nil, "closed", "" }, pack(support.receive(c, "*a")))
    fresh()
    s:send("data")
    s:close()
    results({ "data", nil, nil }, pack(support.receive(c, "*a")))
    results({ nil, "closed", "" }, pack(c:receive("*a")))
    fresh()
    s:send("data")
    support.raw(s, function(sock) sock:shutdown("send") end)
    results({ nil, "unexpected eof while reading", "data" }, pack(support.receive(c, "*a")))
    results({ nil, "closed", "" }, pack(c:receive("*a")))
    assert.equal("truncated", c:lasterror().kind)
    -- The reset comes after the data was taken: it would destroy what waits in the kernel.
    fresh(support.client { protocol = "tlsv1_2" })
    arrive("data")
    results({ nil, "wantread", "data" }, pack(c:receive("*a")))
    support.raw(s, function(sock) sock:setoption("linger", { on = true, timeout = 0 }) end)
    getmetatable(s).__gc(s)
    local _, err, partial = support.receive(c, "*a", "data")
    -- __gc says close_notify before it resets: whichever the kernel lets through first.
    assert.is_true(err == nil or err == "closed")
    assert.is_true(partial == nil or partial == "data")
  end)

  it("*a hands over what came when there is no more for now", function()
    fresh()
    arrive("abc")
    results({ nil, "wantread", "abc" }, pack(c:receive("*a")))
    arrive("def")
    results({ nil, "wantread", "abcdef" }, pack(c:receive("*a", "abc")))
  end)

  it("allocates nothing up front for huge counts", function()
    fresh()
    arrive("abc")
    collectgarbage()
    local before = support.rss()
    for _, n in ipairs { 2 ^ 30, 2 ^ 40, 2 ^ 63, 1e300, 1 / 0, "1e18" } do
      local partial = select(3, c:receive(n))
      assert.is_true(partial == "abc" or partial == "")
    end
    if before then assert.is_true(support.rss() - before < 2048) end
  end)

  it("waits for nothing that is buffered: dirty tells", function()
    fresh()
    support.poll(function()
      c:receive(0)
      return #socket.select({ c }, nil, 0) == 0
    end)
    assert.is_false(c:dirty())
    arrive("abcdef")
    results({ "a", nil, nil }, pack(c:receive(1)))
    assert.is_true(c:dirty())
    results({ "bcde", nil, nil }, pack(c:receive(4)))
    assert.is_true(c:dirty())
    results({ "f", nil, nil }, pack(c:receive(1)))
    assert.is_false(c:dirty())
  end)

  it("dirty tells of a record that the socket no longer has, and not of half a one", function()
    local client, server, relay = support.relayed()
    support.poll(function()
      relay:pump()
      local a, b = client:dohandshake(), server:dohandshake()
      return a and b
    end)
    relay:pump()
    support.poll(function()
      client:receive(0)
      relay:pump()
      return #socket.select({ client }, nil, 0) == 0
    end)
    -- Three records in one segment.
    for i = 1, 3 do server:send("rec" .. i) end
    support.poll(function()
      relay:pump()
      return #socket.select({ client }, nil, 0) == 1
    end)
    local seen = {}
    while #socket.select({ client }, nil, 0) == 1 do -- select asks dirty
      local data = client:receive(4)
      if not data then break end
      seen[#seen + 1] = data
    end
    assert.same({ "rec1", "rec2", "rec3" }, seen)
    assert.is_false(client:dirty())
    -- Half a record is nothing to read.
    relay.limit.down = relay.moved.down + 10
    server:send("half")
    support.poll(function()
      relay:pump()
      return relay.moved.down == relay.limit.down
    end)
    support.poll(function()
      results({ nil, "wantread", "" }, pack(client:receive(4)))
      return #socket.select({ client }, nil, 0) == 0
    end)
    assert.is_false(client:dirty())
    relay.limit.down = math.huge
    support.poll(function()
      relay:pump()
      return #socket.select({ client }, nil, 0) == 1
    end)
    results({ "half", nil, nil }, pack(client:receive(4)))
    client:close()
    server:close()
    relay:close()
  end)
end)

describe("send", function()
  it("answers the index of the last byte sent", function()
    fresh()
    local function sends(n, sent, ...)
      results({ n, nil, nil }, pack(s:send(...)))
      if #sent > 0 then assert.equal(sent, support.receive(c, #sent)) end
    end
    sends(6, "abcdef", "abcdef")
    sends(4, "bcd", "abcdef", 2, 4)
    sends(6, "cdef", "abcdef", 3)
    sends(6, "ef", "abcdef", -2)
    sends(5, "bcde", "abcdef", 2, -2)
    sends(6, "abcdef", "abcdef", 0, 100)
    sends(6, "abcdef", "abcdef", -100, 1e300)
    sends(2, "b", "abcdef", "2", "2")
    sends(2, "b", "abcdef", 2.7, 2.2)
    sends(3, "", "abcdef", 4, 2)
    sends(9, "", "abc", 10)
    sends(0, "", "")
    sends(0, "", "abc", 1, -5)
    sends(3, "123", 123)
    sends(3, "a\0b", "a\0b")
  end)

  it("raises for wrong arguments, in every state", function()
    fresh()
    for _ = 1, 2 do
      for _, value in ipairs { true, {}, print } do
        raises("bad argument #%d to .*string expected", s.send, s, value)
        raises("bad argument #%d to .*number expected", s.send, s, "x", value)
        raises("bad argument #%d to .*number expected", s.send, s, "x", 1, value)
      end
      raises("bad argument", s.send, s)
      raises("bad argument", s.send, s, nil)
      raises("bad argument", s.send, s, "abc", 0 / 0)
      raises("bad argument", s.send, s, "abc", 1, 0 / 0)
      raises("bad argument", s.send, s, "abc", "x")
      s:close()
    end
  end)

  it("tells where it stopped", function()
    fresh()
    s:close()
    results({ nil, "closed", 0 }, pack(s:send("abc")))
    results({ nil, "closed", 1 }, pack(s:send("abc", 2)))
    results({ 9, nil, nil }, pack(s:send("abc", 10)))
    results({ 0, nil, nil }, pack(s:send("")))
  end)

  it("works after the peer said close_notify; a peer that has gone is closed", function()
    local client, server, relay = support.relayed()
    support.poll(function()
      relay:pump()
      local a, b = client:dohandshake(), server:dohandshake()
      return a and b
    end)
    relay:pump()
    client:close()
    relay:pump()
    local _, err = support.receive(server)
    assert.equal("closed", err)
    results({ 4, nil, nil }, pack(server:send("late")))
    relay:cut("rst")
    local n, why, last, detail
    support.poll(function()
      n, why, last, detail = server:send("more")
      return not n
    end)
    assert.same({ "closed", 0, "closed" }, { why, last, detail.kind })
    server:close()
    relay:close()
  end)
end)

-- A pair whose kernel buffers are as small as they get.
local function narrow(clientcfg, servercfg)
  local a, b = support.tcp()
  for _, sock in ipairs { a, b } do
    assert(sock:setoption("send-buffer-size", SND))
    assert(sock:setoption("recv-buffer-size", RCV))
  end
  c = assert(ssl.wrap(a, clientcfg or support.client()))
  s = assert(ssl.wrap(b, servercfg or support.server()))
  c:settimeout(0)
  s:settimeout(0)
  local cr, sr = support.shake(c, s)
  assert(cr[1] and sr[1])
  return c, s
end

-- Bytes of which no two stretches look alike.
local function noise(n)
  local words, seed = {}, 12345
  for i = 1, math.ceil(n / 4) do
    seed = (seed * 1103515245 + 12345) % 2147483648
    words[i] = string.char(seed % 256, math.floor(seed / 256) % 256, math.floor(seed / 65536) % 256, i % 256)
  end
  return table.concat(words):sub(1, n)
end

local function receive_into(list, conn, n)
  local data, err, partial = conn:receive(n)
  if not data then assert.equal("wantread", err) end
  data = data or partial
  if #data > 0 then list[#list + 1] = data end
  return #data
end

describe("a full socket", function()
  it("answers wantwrite and the index to go on from", function()
    narrow()
    local data = noise(1000000)
    local n, err, last, detail = s:send(data)
    assert.is_nil(n)
    assert.equal("wantwrite", err)
    assert.is_true(last >= 0 and last < #data)
    assert.equal("want", detail.kind)
    assert.equal("write", s:want())
    results({ nil, "wantwrite", last }, pack(s:send(data, last + 1)))
    assert.same({ 0, last }, { (s:getstats()), (select(2, s:getstats())) })
  end)

  for _, protocol in ipairs { "tlsv1_2", "tlsv1_3" } do
    it("is retried from last+1 with fresh strings and collections between: " .. protocol, function()
      narrow(support.client { protocol = protocol })
      local data, got, sent, ngot, waits = noise(400000), {}, 0, 0, 0
      support.poll(function()
        if sent < #data then
          local rest = data:sub(sent + 1) -- a new string at each try
          local n, err, last = s:send(rest)
          if not n then
            assert.equal("wantwrite", err)
            waits = waits + 1
          end
          sent = sent + (n or last)
          rest = nil -- luacheck: ignore
          collectgarbage()
        end
        ngot = ngot + receive_into(got, c, 3000)
        return ngot == #data
      end)
      assert.is_true(waits > 10)
      assert.is_true(table.concat(got) == data)
    end)

    it("is retried with shorter, longer and single bytes, byte for byte right: " .. protocol, function()
      math.randomseed(7)
      narrow(support.client { protocol = protocol })
      local data, got, sent, ngot, waits, shorter = noise(300000), {}, 0, 0, 0, 0
      local lengths = { 1, 2, 100, 5000, 16384, 16385, 40000 }
      local offered, waited = 0, false
      support.poll(function()
        while sent < #data do
          local n = lengths[math.random(#lengths)]
          local piece = data:sub(sent + 1, sent + n)
          if waited and #piece < offered then shorter = shorter + 1 end
          local ok, err, last = s:send(piece)
          sent = sent + (ok or last)
          waited = not ok
          if not ok then
            assert.equal("wantwrite", err)
            waits = waits + 1
            offered = #piece
            break
          end
        end
        ngot = ngot + receive_into(got, c, math.random(1, 20000))
        return ngot == #data
      end)
      assert.is_true(waits > 5 and shorter > 2, waits .. " waits, " .. shorter .. " shorter")
      assert.is_true(table.concat(got) == data)
      assert.equal(#data, (select(2, s:getstats())))
      assert.equal(#data, (c:getstats()))
    end)

    it("in one direction leaves the other usable: " .. protocol, function()
      narrow(support.client { protocol = protocol })
      local big = noise(200000)
      local sent = { [c] = 0, [s] = 0 }
      local function push(conn)
        local n, err, last = conn:send(big, sent[conn] + 1)
        if not n then assert.equal("wantwrite", err) end
        sent[conn] = n or last
      end
      -- Both are stuck: each has said more than the other has room for.
      for _ = 1, 5 do
        push(c)
        push(s)
      end
      assert.is_true(sent[c] < #big and sent[s] < #big)
      local got = { [c] = {}, [s] = {} }
      local count = { [c] = 0, [s] = 0 }
      support.poll(function()
        for _, conn in ipairs { c, s } do
          if count[conn] < #big then
            count[conn] = count[conn] + receive_into(got[conn], conn, math.min(7000, #big - count[conn]))
          end
          if sent[conn] < #big then push(conn) end
        end
        return count[c] == #big and count[s] == #big
      end)
      assert.is_true(table.concat(got[c]) == big)
      assert.is_true(table.concat(got[s]) == big)
    end)
  end

  it("keeps a record that waits through receive, collection and statistics; close drops it", function()
    narrow()
    local data = noise(100000)
    local _, err, last = s:send(data)
    assert.equal("wantwrite", err)
    c:send("hello")
    assert.equal("hello", support.receive(s, 5))
    support.collect()
    results({ nil, "wantwrite", last }, pack(s:send(data, last + 1, last + 1)))
    local start = socket.gettime()
    s:close()
    assert.is_true(socket.gettime() - start < 1)
  end)
end)

describe("much data", function()
  it("16 MiB go both ways at once", function()
    fresh()
    local block = noise(1048576)
    local n = 16
    local function mover(from, to)
      local sentblocks, last, got, count = 0, 0, {}, 0
      return function()
        if sentblocks < n then
          local ok, err, sofar = from:send(block, last + 1)
          if not ok then assert.is_true(support.wants(err)) end
          last = ok or sofar
          if last == #block then sentblocks, last = sentblocks + 1, 0 end
        end
        if count < n then
          local data, err, partial = to:receive(#block, got.partial)
          got.partial = partial
          if data then
            assert.is_true(data == block)
            count = count + 1
          else
            assert.is_true(support.wants(err))
          end
        end
        return count == n
      end
    end
    local up, down = mover(c, s), mover(s, c)
    local upped, downed
    support.poll(function()
      upped = upped or up()
      downed = downed or down()
      return upped and downed
    end)
    assert.equal(n * #block, (c:getstats()))
    assert.equal(n * #block, (select(2, c:getstats())))
  end)

  it("10,000 sends of one byte come as one stream", function()
    fresh()
    local data = noise(10000)
    local got, count = {}, 0
    for i = 1, #data do
      assert.equal(i, s:send(data, i, i))
      if i % 100 == 0 then count = count + receive_into(got, c, 1000) end
    end
    support.poll(function()
      if count < #data then count = count + receive_into(got, c, #data - count) end
      return count == #data
    end)
    assert.is_true(table.concat(got) == data)
  end)

  it("a block of more than a record comes whole by *a, count and line", function()
    for _, pattern in ipairs { "*a", 100000, "*l" } do
      fresh()
      local data = noise(100000):gsub("[\r\n]", "x")
      local n = 0
      local got, err, partial = nil, nil, nil
      support.poll(function()
        if n < #data then
          local ok, _, last = s:send(data, n + 1)
          n = ok or last
          if n == #data then
            s:send("\n")
            s:close()
          end
        end
        got, err, partial = c:receive(pattern, partial)
        return got or not support.wants(err)
      end)
      assert.is_true(got == data .. (pattern == "*a" and "\n" or ""))
    end
  end)
end)

describe("statistics", function()
  it("count what the program took and gave, not prefixes, not records", function()
    fresh()
    local age = select(3, c:getstats())
    assert.is_true(age >= 0 and age < 20)
    arrive("line\r\n0123456789")
    c:receive("*l", "prefix")
    assert.equal(6, (c:getstats()))
    c:receive(4, "ab")
    assert.equal(8, (c:getstats()))
    c:receive("*a")
    assert.equal(16, (c:getstats()))
    assert.equal(16, (select(2, s:getstats())))
    s:send("")
    s:send("abc", 3, 2)
    assert.equal(16, (select(2, s:getstats())))
    c:close()
    assert.equal(16, (c:getstats()))
  end)

  it("can be set, each alone", function()
    fresh()
    assert.same({ n = 1, 1 }, pack(c:setstats(100)))
    assert.equal(100, (c:getstats()))
    assert.same({ n = 1, 1 }, pack(c:setstats(nil, 7)))
    assert.same({ 100, 7 }, { (c:getstats()), (select(2, c:getstats())) })
    assert.same({ n = 1, 1 }, pack(c:setstats(nil, nil, 1000)))
    assert.is_true(math.abs(select(3, c:getstats()) - 1000) < 20)
    raises("bad argument", c.setstats, c, "x")
    raises("bad argument", c.setstats, c, 1, {})
    raises("bad argument", c.setstats, c, 1, 1, "x")
    assert.equal(100, (c:getstats()))
  end)
end)
