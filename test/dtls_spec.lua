-- DTLS 1.2: on engines whose datagrams are lost, doubled, delayed and reordered, and on UDP sockets; the cookie
-- exchange; timers; the size of datagrams.

local socket = require "socket"
local S = require "support"
local E = require "engines"
local ssl = S.ssl

local function client(extra)
  local cfg = S.client { protocol = "dtls" }
  for k, v in pairs(extra or {}) do cfg[k] = v end
  return assert(ssl.engine(cfg))
end

local function server(extra)
  local cfg = S.server { protocol = "dtls" }
  for k, v in pairs(extra or {}) do cfg[k] = v end
  return assert(ssl.engine(cfg))
end

local sidebyside = false

-- Lets time pass until an engine's timer is over, others' meanwhile when it runs in a coroutine; true if it had one.
local function wait(conn)
  local left = conn:dtlstimeout()
  if not left then return false end
  local till = socket.gettime() + math.min(left, 2) + 0.002
  while socket.gettime() < till do
    if sidebyside then coroutine.yield() else socket.sleep(0.002) end
  end
  return true
end

-- Runs functions side by side, each as a coroutine, to their ends; their results in order.
local function together(functions)
  local threads, results = {}, {}
  for i, f in ipairs(functions) do threads[i] = coroutine.create(f) end
  sidebyside = true
  S.poll(function()
    local alive = false
    for i, thread in ipairs(threads) do
      if coroutine.status(thread) ~= "dead" then
        local answer = { coroutine.resume(thread) }
        assert(answer[1], answer[2])
        results[i] = answer
        alive = true
      end
    end
    return not alive
  end, "handshakes side by side")
  sidebyside = false
  return results
end

-- Handshakes two engines over a line that does with the n-th datagram what `fate(n)` says: "pass", "drop", "double",
-- "delay" (comes after the next one). Time passes when nothing moves. True when both are done.
local function lossy(c, s, fate)
  local count, done, late = 0, {}, {}
  local function carry(from, to)
    local moved = false
    for _ = 1, 50 do
      local datagram = from:drain()
      if datagram == "" then return moved end
      count = count + 1
      moved = true
      local what = fate(count)
      if what == "delay" then
        late[to] = datagram
      elseif what ~= "drop" then
        assert(to:feed(datagram))
        if what == "double" then assert(to:feed(datagram)) end
        if late[to] then
          assert(to:feed(late[to]))
          late[to] = nil
        end
      end
    end
    error("too many datagrams")
  end
  for _ = 1, 60 do
    local moved = false
    for _, pair in ipairs { { c, s }, { s, c } } do
      if not done[pair[1]] then
        local ok, message = pair[1]:dohandshake()
        if not ok and not S.wants(message) then return false, message end
        done[pair[1]] = ok
      else
        pair[1]:read() -- a peer that missed our last flight sends its own again
      end
      moved = carry(pair[1], pair[2]) or moved
    end
    if done[c] and done[s] and not moved then return true end
    if not moved then
      local timers = wait(c)
      if not timers then timers = wait(s) end
      if not timers then return false, "no timer runs, and nobody is done" end
    end
  end
  return false, "no end"
end

local function talk(c, s)
  assert.equal(5, (c:write("hello")))
  E.carry(c, s)
  assert.equal("hello", (s:read()))
  assert.equal(6, (s:write("answer")))
  E.carry(s, c)
  assert.equal("answer", (c:read()))
end

describe("DTLS", function()
  it("shakes hands and talks in datagrams", function()
    local c, s = client(), server()
    E.shake(c, s)
    assert.equal("DTLSv1.2", c:info("protocol"))
    assert.is_true(c:getpeerverification())
    talk(c, s)
    c:write("one")
    c:write("two")
    assert.is_true(c:pendingout() > 0)
    local first, second = c:drain(1), c:drain()
    assert.equal("", c:drain())
    s:feed(second)
    s:feed(first)
    assert.equal("two", (s:read()))
    assert.equal("one", (s:read()))
    assert.same({ nil, "wantread" }, { E.two(s:read()) })
  end)

  it("drops datagrams that are damaged or repeated, and goes on", function()
    local c, s = client(), server()
    E.shake(c, s)
    c:write("once")
    local datagram = c:drain()
    s:feed(datagram:sub(1, -2) .. string.char((datagram:byte(-1) + 1) % 256))
    s:feed("junk")
    s:feed(datagram:sub(1, 9))
    s:feed(datagram)
    s:feed(datagram)
    assert.equal("once", (s:read()))
    assert.same({ nil, "wantread" }, { E.two(s:read()) })
    talk(c, s)
  end)

  it("fits its flights to the datagrams' size", function()
    for _, mtu in ipairs { 300, 500, 1232 } do
      local c, s = client(), server()
      if mtu ~= 1232 then
        assert.is_true(c:setmtu(mtu))
        assert.is_true(s:setmtu(mtu))
      end
      for _ = 1, 10 do
        for _, pair in ipairs { { c, s }, { s, c } } do
          pair[1]:dohandshake()
          local datagram = pair[1]:drain()
          while datagram ~= "" do
            assert.is_true(#datagram <= mtu, #datagram)
            pair[2]:feed(datagram)
            datagram = pair[1]:drain()
          end
        end
      end
      assert.is_true(c:dohandshake())
      assert.is_true(s:dohandshake())
    end
    local c = client()
    for _, mtu in ipairs { 0, 1, 100, 65536, 1e15 } do
      local ok, message = c:setmtu(mtu)
      assert.is_nil(ok)
      assert.truthy(message:find("cannot have this size"))
    end
    assert.has_error(function() c:setmtu("x") end)
  end)

  it("holds 16384 bytes a datagram, and says so", function()
    local c, s = client(), server()
    E.shake(c, s)
    local most = ("m"):rep(16384)
    assert.equal(16384, (c:write(most)))
    E.carry(c, s)
    assert.equal(most, (s:read()))
    for _, name in ipairs { "send", "write" } do
      local last, message, sent, detail = c[name](c, most .. "x")
      assert.is_nil(last)
      assert.equal("a datagram of DTLS holds 16384 bytes at most", message)
      assert.same({ 0, "config" }, { sent, detail.kind })
    end
    talk(c, s)
  end)

  it("runs a timer while it waits for an answer", function()
    local c = client()
    assert.is_nil(c:dtlstimeout())
    c:dohandshake()
    local left = c:dtlstimeout()
    assert.is_true(left > 0.5 and left <= 1)
    assert.is_false(c:handletimeout())
    local hello = c:drain()
    assert.equal("", c:drain())
    wait(c)
    assert.equal(0, c:dtlstimeout())
    assert.is_true(c:handletimeout())
    assert.equal(#hello, #c:drain())
    left = c:dtlstimeout()
    assert.is_true(left > 1.5 and left <= 2, tostring(left))
  end)

  -- Side by side, with timers of some milliseconds: those that lose much wait long.
  for _, fate in ipairs { "drop", "double", "delay" } do
    it("ends a handshake whichever of the first ten datagrams meet this fate: " .. fate, function()
      local make = E.maker({ protocol = "dtls" }, { protocol = "dtls" })
      local function try(pattern)
        local c, s = make()
        assert.is_true(c:setretransmit(0.002))
        assert.is_true(s:setretransmit(0.002))
        return lossy(c, s, function(n)
          return n <= 10 and math.floor(pattern / 2 ^ (n - 1)) % 2 == 1 and fate or "pass"
        end)
      end
      for first = 0, 1023, 256 do
        local tries = {}
        for i = 1, 256 do tries[i] = function() return try(first + i - 1) end end
        for i, answer in ipairs(together(tries)) do
          assert.is_true(answer[2], ("pattern %d: %s"):format(first + i - 1, tostring(answer[3])))
        end
      end
    end)
  end

  it("sends its first flight again when it is told to, and keeps that through reset", function()
    local c = client()
    for _, wrong in ipairs { 0, -1, 0.0005, 61, 0 / 0 } do
      local ok, message = c:setretransmit(wrong)
      assert.is_nil(ok)
      assert.equal("the first timer of DTLS runs from 0.001 to 60 seconds", message)
    end
    assert.has_error(function() c:setretransmit("x") end)
    assert.is_true(c:setretransmit(10))
    for _ = 1, 2 do
      c:dohandshake()
      local left = c:dtlstimeout()
      assert.is_true(left > 9 and left <= 10)
      c:reset()
    end
    local closed = client()
    closed:close()
    assert.same({ nil, "closed" }, { E.two(closed:setretransmit(1)) })
  end)

  it("ends a handshake on a line that is bad all over", function()
    local tries = {}
    for seed = 1, 12 do
      local random = S.random(seed * 7919)
      local fates = { "pass", "pass", "pass", "pass", "pass", "double", "delay", "drop" }
      tries[seed] = function() return lossy(client(), server(), function() return fates[random(8)] end) end
    end
    for seed, answer in ipairs(together(tries)) do
      assert.is_true(answer[2], ("seed %d: %s"):format(seed, tostring(answer[3])))
    end
  end)

  it("answers its methods on other connections and in other states", function()
    local tls = assert(ssl.engine(S.server()))
    local words = "the connection does not speak DTLS; the context's protocol says what it speaks"
    for name, arg in pairs { listen = "x", dtlstimeout = 1, handletimeout = 1, setmtu = 1000 } do
      assert.same({ nil, words }, { E.two(tls[name](tls, arg)) })
      local closed = server()
      closed:close()
      assert.same({ nil, "closed" }, { E.two(closed[name](closed, arg)) })
    end
    local c, s = client(), server()
    assert.same({ nil, "only a server listens, before its handshake" }, { E.two(c:listen("x")) })
    E.shake(c, s)
    assert.same({ nil, "only a server listens, before its handshake" }, { E.two(s:listen("x")) })
    assert.has_error(function() s:listen() end)
    c:reset()
    s:reset()
    E.shake(c, s)
    talk(c, s)
  end)

  it("gives a peer up that does not answer", function()
    if not os.execute("command -v faketime >/dev/null") then pending("faketime is not installed") end
    -- A clock that runs a hundred times as fast.
    local said = S.fresh([[
      if not (os.getenv("LD_PRELOAD") or ""):find("faketime") then io.write("real") os.exit() end
      local S = require "support"
      local c = S.ssl.engine(S.client { protocol = "dtls" })
      assert(c:setretransmit(0.001))
      assert(c:handletimeout() == false)
      assert(select(2, c:dohandshake()) == "wantread")
      local ok, message, detail
      S.MAXSECONDS = 6000
      S.poll(function()
        c:drain()
        ok, message, detail = c:handletimeout()
        return ok == nil
      end, "the end of its patience")
      print(message, detail.kind, (select(2, c:dohandshake())))
    ]], "faketime -f '+0 x100'")
    if said == "real" then pending("the interpreter is preloaded with something else than faketime") end
    assert.equal("read timeout expired\tprotocol\tclosed", said)
  end)

  it("makes no cookie where listen was not told whose", function()
    local c, s = client(), server { options = "cookie_exchange" }
    c:dohandshake()
    E.carry(c, s)
    local ok, message, detail = s:dohandshake()
    assert.is_false(ok)
    assert.matches("cookie", message)
    assert.equal("protocol", detail.kind)
  end)

  it("is busy for its own callbacks", function()
    local answers = {}
    local s
    s = server { sni = function()
      answers.listen = { E.two(s:listen("x")) }
      answers.handletimeout = { E.two(s:handletimeout()) }
    end }
    local c = client { servername = "localhost" }
    E.shake(c, s)
    for _, name in ipairs { "listen", "handletimeout" } do
      assert.is_nil(answers[name][1])
      assert.matches("busy", answers[name][2])
    end
    talk(c, s)
  end)

  describe("listen", function()
    local c, s

    before_each(function()
      c, s = client(), server()
      assert.same({ nil, "wantread" }, { E.two(s:listen("a")) })
      c:dohandshake()
      E.carry(c, s)
    end)

    it("lets nobody in without a cookie, and goes on with one", function()
      assert.same({ nil, "retry" }, { E.two(s:listen("a")) })
      assert.same({ nil, "wantread" }, { E.two(s:listen("a")) })
      E.carry(s, c)
      c:dohandshake()
      E.carry(c, s)
      assert.is_true(s:listen("a"))
      E.shake(c, s)
      talk(c, s)
    end)

    it("keeps nothing: another connection takes the cookie", function()
      assert.same({ nil, "retry" }, { E.two(s:listen("a")) })
      E.carry(s, c)
      c:dohandshake()
      s:close()
      s = server()
      E.carry(c, s)
      assert.is_true(s:listen("a"))
      E.shake(c, s)
      talk(c, s)
    end)

    it("takes no cookie from another peer", function()
      assert.same({ nil, "retry" }, { E.two(s:listen("a")) })
      E.carry(s, c)
      c:dohandshake()
      local datagram = c:drain()
      s:feed(datagram)
      assert.same({ nil, "retry" }, { E.two(s:listen("b")) })
      s:feed(datagram)
      assert.is_true(s:listen("a"))
    end)

    it("passes over junk", function()
      s:reset()
      for _, junk in ipairs { "x", ("\0"):rep(100), ("\22\254\253"):rep(30), ("z"):rep(2000) } do
        s:feed(junk)
        assert.is_nil((s:listen("a")))
        assert.equal("", s:drain())
      end
      c:reset()
      c:dohandshake()
      E.carry(c, s)
      assert.same({ nil, "retry" }, { E.two(s:listen("")) })
    end)

    it("takes any cut or flipped hello without harm", function()
      s:reset()
      c:reset()
      c:dohandshake()
      local hello = c:drain()
      for cut = 1, #hello - 1, 3 do
        s:feed(hello:sub(1, cut))
        assert.is_nil((s:listen("a")))
        s:drain()
        s:feed(hello:sub(1, cut - 1) .. string.char((hello:byte(cut) + 128) % 256) .. hello:sub(cut + 1))
        assert.is_nil((s:listen("a")))
        s:drain()
      end
    end)
  end)
end)
