-- Both directions of a stream: what waits to be read, much data, statistics. Patterns are in receive_spec.lua, retries
-- in send_spec.lua.

local socket = require "socket"
local support = require "support"
local streams = require "streams"

local pack, results, raises = support.pack, streams.results, streams.raises
local noise, gather = streams.noise, streams.gather

-- A connected pair for each test, closed afterwards.
local c, s

local function fresh(clientcfg, servercfg) c, s = support.connected(clientcfg, servercfg) end

after_each(function()
  if c then c:close() end
  if s then s:close() end
  c, s = nil, nil
end)

-- Sends at s what c is to receive, and waits until it has come.
local function arrive(data) streams.arrive(s, c, data) end

describe("dirty", function()
  it("is true while something decrypted was not taken", function()
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

  it("tells of a record that the socket no longer has, and not of half a one", function()
    local client, server, relay = support.relayed()
    streams.relayhandshake(client, server, relay)
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
      if i % 100 == 0 then count = count + gather(got, c, 1000) end
    end
    support.poll(function()
      if count < #data then count = count + gather(got, c, #data - count) end
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
