-- receive: patterns, prefixes, partial results, the ends of a stream. Random sequences against a model are in
-- receive_model_spec.lua, time-outs in wait_spec.lua.

local support = require "support"
local streams = require "streams"

local pack, results, raises = support.pack, streams.results, streams.raises

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
    results({ "123", nil, nil }, pack(c:receive(3, "123", "nobody's", "arguments")))
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
    -- The reset comes after the data was taken: it destroys what waits in the kernel.
    fresh(support.client { protocol = "tlsv1_2" })
    arrive("data")
    results({ nil, "wantread", "data" }, pack(c:receive("*a")))
    support.reset(s)
    results({ nil, "closed", "data" }, pack(support.receive(c, "*a", "data")))
    assert.equal("system", c:lasterror().kind)
  end)

  it("*a hands over what came when there is no more for now", function()
    fresh()
    arrive("abc")
    results({ nil, "wantread", "abc" }, pack(c:receive("*a")))
    arrive("def")
    results({ nil, "wantread", "abcdef" }, pack(c:receive("*a", "abc")))
  end)

  it("gathers no more than maxreceive, of which dropped carriage returns are no part", function()
    fresh(support.client { maxreceive = 4 })
    local long = "more than the 4 bytes that maxreceive allows"
    arrive("abcd\r\n\r\ra\rbcd\r\r\nabcde\nwxyz\nab\n123456789")
    results({ "abcd", nil, nil }, pack(c:receive()))
    results({ "abcd", nil, nil }, pack(c:receive()))
    results({ nil, long, "abcd" }, pack(c:receive()))
    results({ "e", nil, nil }, pack(c:receive()))
    results({ "wxyz", nil, nil }, pack(c:receive()))
    results({ nil, long, "pre" .. "a" }, pack(c:receive("*l", "pre")))
    results({ "b", nil, nil }, pack(c:receive()))
    results({ "12345", nil, nil }, pack(c:receive(5))) -- a count is its own limit
    results({ nil, "wantread", "6789" }, pack(c:receive("*a")))
    arrive("123456")
    results({ nil, long, "1234" }, pack(c:receive("*a")))
    s:close()
    results({ "56", nil, nil }, pack(support.receive(c, "*a")))
    -- Exactly as much as is allowed, then the end.
    fresh(support.client { maxreceive = 4 })
    s:send("1234")
    s:close()
    results({ "1234", nil, nil }, pack(support.receive(c, "*a")))
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
end)

describe("receive while a finalizer", function()
  local S = require "support"

  -- Receives 150 of 200 lines with a collector that collects whenever it may, some garbage at each line.
  local function stream(meddle)
    local client, server = S.connected()
    local lines = {}
    for i = 1, 200 do lines[i] = ("%04d"):format(i) .. ("x"):rep(60) end
    S.send(server, table.concat(lines, "\n") .. "\n")
    assert.is_string((S.receive(client)))
    local rest = S.greedy()
    local got, meddled = {}, 0
    for _ = 1, 150 do
      S.litter(function()
        meddled = meddled + 1
        meddle(client)
      end)
      local line = client:receive("*l")
      if not line then break end
      got[#got + 1] = line
    end
    rest()
    S.collect()
    assert.is_true(meddled > 0)
    return got, lines
  end

  it("closes the connection gives lines and then the end", function()
    local got, lines = stream(function(conn) conn:close() end)
    for i, line in ipairs(got) do assert.equal(lines[i + 1], line) end
  end)

  it("reads the connection keeps the lines whole and in order", function()
    local got, lines = stream(function(conn) conn:receive("*l") end)
    local at = 1
    for _, line in ipairs(got) do
      while lines[at] and lines[at] ~= line do at = at + 1 end
      assert.equal(line, lines[at])
    end
  end)
end)
