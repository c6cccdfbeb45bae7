-- send: indices, errors, and retries when the socket is full, byte for byte.

local socket = require "socket"
local ssl = require "ssl"
local support = require "support"
local streams = require "streams"
local release = require "release"

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
    streams.relayhandshake(client, server, relay)
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
    assert.same({ "closed", 0, release.since(3, 5) and "system" or "closed" }, { why, last, detail.kind })
    server:close()
    relay:close()
  end)
end)


-- A pair whose kernel buffers are small. (With less than 32 KiB to receive in, TCP itself waits between segments.)
local function narrow(clientcfg, servercfg)
  local a, b = support.tcp()
  for _, sock in ipairs { a, b } do
    assert(sock:setoption("send-buffer-size", 16384))
    assert(sock:setoption("recv-buffer-size", 32768))
  end
  c = assert(ssl.wrap(a, clientcfg or support.client()))
  s = assert(ssl.wrap(b, servercfg or support.server()))
  c:settimeout(0)
  s:settimeout(0)
  local cr, sr = support.shake(c, s)
  assert(cr[1] and sr[1])
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
      local data, got, sent, ngot, waits, turns = noise(400000), {}, 0, 0, 0, 0
      support.poll(function()
        turns = turns + 1
        if sent < #data then
          local rest = data:sub(sent + 1) -- a new string at each try
          local n, err, last = s:send(rest)
          if not n then
            assert.equal("wantwrite", err)
            waits = waits + 1
          end
          sent = sent + (n or last)
          rest = nil -- luacheck: ignore
          if turns % 8 == 0 then collectgarbage() end -- in the whole suite's process a collection takes long
        end
        ngot = ngot + gather(got, c, 3000)
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
        ngot = ngot + gather(got, c, math.random(1, 20000))
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
            count[conn] = count[conn] + gather(got[conn], conn, math.min(7000, #big - count[conn]))
          end
          if sent[conn] < #big then push(conn) end
        end
        return count[c] == #big and count[s] == #big
      end)
      assert.is_true(table.concat(got[c]) == big)
      assert.is_true(table.concat(got[s]) == big)
    end)
  end

  -- Sends from last+1 until nothing moves any more; answers the new last.
  local function fill(conn, data)
    local last, stuck = 0, 0
    support.poll(function()
      local n, err, sofar = conn:send(data, last + 1)
      assert.is_nil(n)
      assert.equal("wantwrite", err)
      stuck = sofar == last and stuck + 1 or 0
      last = sofar
      socket.sleep(0.005)
      return stuck > 10
    end)
    return last
  end

  it("keeps a record that waits through receive, collection and statistics", function()
    narrow()
    local data = noise(1000000)
    local last = fill(s, data)
    c:send("hello")
    assert.equal("hello", support.receive(s, 5))
    assert.equal(last, (select(2, s:getstats())))
    support.collect()
    local got, count = {}, 0
    support.poll(function()
      if last < #data then
        local n, err, sofar = s:send(data, last + 1, last + 30000)
        if not n then assert.equal("wantwrite", err) end
        last = n or sofar
      end
      count = count + gather(got, c, 20000)
      return count == #data
    end)
    assert.is_true(table.concat(got) == data)
    assert.equal(#data, (select(2, s:getstats())))
  end)

  it("does not keep close waiting", function()
    narrow()
    fill(s, noise(1000000))
    local start = socket.gettime()
    s:close()
    assert.is_true(socket.gettime() - start < 1)
  end)
end)
