-- The life of contexts and connections: handshakes side by side on one context, Lua callbacks that meddle with their
-- own connection, coroutines that have died, objects collected in any order.

local ssl = require "ssl"
local context = require "ssl.context"
local support = require "support"
local release = require "release"

local BUSY = "the connection is busy: one of its own callbacks called it"

local function newcontext(cfg) return assert(ssl.newcontext(cfg)) end

local function exchange(c, s)
  assert.equal("ping", support.transfer(c, s, "ping"))
  assert.equal("pong", support.transfer(s, c, "pong"))
end

local function finish(c, s)
  exchange(c, s)
  c:close()
  s:close()
end

describe("handshakes on one context", function()
  it("interleave, with ALPN and dhparam, at every step (Q12)", function()
    local calls = 0
    local cctx = newcontext(support.client { alpn = { "b", "a" }, protocol = "tlsv1_2",
      ciphers = "DHE-RSA-AES128-GCM-SHA256" })
    local sctx = newcontext(support.server {
      certificate = support.cert("rsa"), key = support.cert("rsakey"),
      alpn = function(offered)
        calls = calls + 1
        return offered
      end,
      dhparam = function() return support.pem("dhparam2048") end,
    })
    local pairs_ = {}
    for i = 1, 12 do
      local c, s = support.wrapped(cctx, sctx)
      pairs_[i] = { c = c, s = s }
    end
    local left = #pairs_
    support.poll(function()
      for _, p in ipairs(pairs_) do
        p.cok = p.cok or p.c:dohandshake()
        collectgarbage("step")
      end
      for i = #pairs_, 1, -1 do
        local p = pairs_[i]
        p.sok = p.sok or p.s:dohandshake()
        if p.cok and p.sok and not p.done then
          p.done = true
          left = left - 1
        end
      end
      return left == 0
    end, "all handshakes")
    assert.equal(12, calls)
    for _, p in ipairs(pairs_) do
      assert.equal("b", p.c:getalpn())
      assert.equal("b", p.s:getalpn())
      assert.equal("DH", p.s:info("key"))
      finish(p.c, p.s)
    end
  end)

  it("do not disturb each other when one fails or is closed half-way", function()
    local cctx, sctx = newcontext(support.client()), newcontext(support.server { alpn = { "x" } })
    local c1, s1 = support.wrapped(cctx, sctx)
    local c2, s2 = support.wrapped(newcontext(support.client { cafile = support.cert("rootB") }), sctx)
    local c3, s3 = support.wrapped(cctx, sctx)
    c3:dohandshake()
    s3:dohandshake()
    c1:dohandshake()
    assert.is_false(support.shake(c2, s2)[1])
    s3:close()
    c3:close()
    support.collect()
    assert.is_true(support.shake(c1, s1)[1])
    c2:close()
    s2:close()
    finish(c1, s1)
  end)
end)

describe("a callback that", function()
  -- A server whose ALPN callback runs f(its connection); the handshake's results.
  local function with_alpn(f)
    local server
    local c, s = support.wrapped(support.client { alpn = "x" }, support.server {
      alpn = function()
        f(server)
        return "x"
      end,
    })
    server = s
    local cr, sr = support.shake(c, s)
    return cr, sr, c, s
  end

  it("calls its own connection is told so, and the handshake goes on", function()
    local got
    local cr, sr, c, s = with_alpn(function(conn)
      got = {
        support.pack(conn:dohandshake()),
        support.pack(conn:send("x")),
        support.pack(conn:receive(5, "pre")),
        support.pack(conn:info()),
        support.pack(conn:getpeercertificate()),
        support.pack(conn:getpeerverification()),
        support.pack(conn:getsniname()),
        support.pack(conn:sni({})),
        support.pack(conn:setdane("x.test")),
        support.pack(conn:dirty()),
        support.pack(conn:settimeout(0)),
        support.pack(conn:getfinished()),
        support.pack(conn:exportkeyingmaterial("EXPERIMENTAL", 8)),
        support.pack(conn:want()),
        support.pack(tostring(conn)),
      }
      support.collect()
    end)
    assert.is_true(cr[1])
    assert.is_true(sr[1])
    assert.same({ false, BUSY }, { got[1][1], got[1][2] })
    assert.equal("callback", got[1][3].kind)
    assert.same({ n = 3, nil, "closed", 0 }, { n = 3, got[2][1], got[2][2], got[2][3] })
    assert.same({ n = 3, nil, "closed", "pre" }, { n = 3, got[3][1], got[3][2], got[3][3] })
    assert.same({ n = 2, nil, "closed" }, { n = 2, got[4][1], got[4][2] })
    assert.same({ n = 2, nil, "closed" }, { n = 2, got[5][1], got[5][2] })
    assert.same({ n = 2, false, "closed" }, { n = 2, got[6][1], got[6][2] })
    finish(c, s)
  end)

  it("raises while it calls its own connection leaves both in order", function()
    local cr, sr, c, s = with_alpn(function(conn)
      conn:dohandshake()
      error("oops")
    end)
    assert.is_false(sr[1])
    assert.matches("^ALPN callback failed: .*oops$", sr[2])
    assert.equal("callback", sr[3].kind)
    assert.is_false(cr[1])
    for _ = 1, 2 do assert.equal(sr[2], (select(2, s:dohandshake()))) end
    c:close()
    s:close()
  end)

  it("closes its own connection ends the handshake; the descriptor goes when the call returns", function()
    local fd_inside, shown
    local cr, sr, c, s = with_alpn(function(conn)
      conn:close()
      conn:close()
      getmetatable(conn).__gc(conn)
      fd_inside = conn:getfd()
      shown = tostring(conn)
      collectgarbage()
    end)
    assert.is_true(fd_inside >= 0)
    assert.equal("string", type(shown))
    assert.same({ false, "closed" }, { sr[1], sr[2] })
    assert.equal("closed", sr[3].kind)
    assert.equal(-1, s:getfd())
    assert.matches("closed", tostring(s))
    assert.is_false(cr[1])
    assert.same({ false, "closed" }, { (s:dohandshake()), (select(2, s:dohandshake())) })
    c:close()
  end)

  it("closes its own connection and raises", function()
    local _, sr, c, s = with_alpn(function(conn)
      conn:close()
      error("after close", 0)
    end)
    assert.is_false(sr[1])
    assert.equal("ALPN callback failed: after close", sr[2])
    assert.equal(-1, s:getfd())
    c:close()
  end)

  it("drives other connections, to the end and inside each other", function()
    local depth, most = 0, 0
    local sctx
    local function alpn()
      depth = depth + 1
      most = math.max(most, depth)
      if depth < 5 then
        local c, s = support.connected(support.client { alpn = "x" }, sctx)
        finish(c, s)
      end
      depth = depth - 1
      return "x"
    end
    sctx = newcontext(support.server { alpn = alpn })
    finish(support.connected(support.client { alpn = "x" }, sctx))
    assert.equal(5, most)
  end)

  it("is an SNI map's __index and closes the connection", function()
    local c, s = support.wrapped()
    c:sni("a.test")
    s:sni(setmetatable({}, { __index = function(_, name)
      assert.equal("a.test", name)
      s:close()
      return nil
    end }))
    local cr, sr = support.shake(c, s)
    assert.same({ false, "closed" }, { sr[1], sr[2] })
    assert.is_false(cr[1])
    assert.equal(-1, s:getfd())
    c:close()
  end)

  it("closes the context it belongs to by hand", function()
    for _, which in ipairs { "default", "selected" } do
      local sctx = newcontext(support.server { alpn = function() return "x" end })
      local other = newcontext(support.server { alpn = function() return "x" end })
      local c, s = support.wrapped(newcontext(support.client { alpn = "x" }), sctx)
      c:sni("a.test")
      s:sni(setmetatable({}, { __index = function()
        local victim = which == "default" and sctx or other
        getmetatable(victim).__gc(victim)
        collectgarbage()
        return other
      end }))
      local cr, sr = support.shake(c, s)
      -- A closed context cannot be selected; closing the default one costs its callbacks only.
      assert.equal(which == "default", cr[1] and sr[1])
      if not sr[1] then assert.matches("^SNI callback failed: ", sr[2]) end
      c:close()
      s:close()
    end
  end)

  it("runs in whatever coroutine drives the handshake (Q11)", function()
    local seen = {}
    local sctx, cctx
    local maker = coroutine.create(function()
      cctx = newcontext(support.client { alpn = { "y", "x" } })
      sctx = newcontext(support.server {
        certificate = support.cert("rsa"), key = support.cert("rsakey"),
        alpn = function()
          seen[#seen + 1] = coroutine.running() or "main"
          return "x"
        end,
        dhparam = function()
          seen[#seen + 1] = coroutine.running() or "main"
          return support.pem("dhparam2048")
        end,
      })
    end)
    assert(coroutine.resume(maker))
    maker = nil -- luacheck: ignore
    support.collect()
    local c, s = support.wrapped(cctx, sctx)
    cctx, sctx = nil, nil -- luacheck: ignore
    support.collect()
    -- Each step in a coroutine of its own, which is dead and collected before the next.
    local cok, sok
    support.poll(function()
      coroutine.wrap(function() cok = c:dohandshake() end)()
      collectgarbage()
      coroutine.wrap(function() sok = s:dohandshake() end)()
      collectgarbage()
      return cok and sok
    end)
    assert.equal(2, #seen)
    assert.equal("x", s:getalpn())
    finish(c, s)
  end)

  it("yields is refused, the handshake fails", function()
    local c, s = support.wrapped(support.client { alpn = "x" }, support.server {
      alpn = function()
        coroutine.yield()
        return "x"
      end,
    })
    local cr, sr
    coroutine.wrap(function() cr, sr = support.shake(c, s) end)()
    assert.is_false(sr[1])
    assert.matches("^ALPN callback failed: .*yield", sr[2])
    assert.is_false(cr[1])
    c:close()
    s:close()
  end)
end)

describe("collection", function()
  local function permutations(list, n, out)
    n, out = n or #list, out or {}
    if n == 0 then
      out[#out + 1] = { support.unpack(list) }
      return out
    end
    for i = 1, n do
      list[i], list[n] = list[n], list[i]
      permutations(list, n - 1, out)
      list[i], list[n] = list[n], list[i]
    end
    return out
  end

  -- Everything that hangs together: contexts of both sides, the one that SNI selects, connections, certificates.
  local function family(steps)
    local t = {}
    t.cctx = newcontext(support.client { alpn = "x" })
    t.sctx = newcontext(support.server { alpn = function() return "wrong" end })
    t.sni = newcontext(support.server {
      certificate = support.cert("chainA"), key = support.cert("chainAkey"), alpn = function() return "x" end,
    })
    local c, s = support.wrapped(t.cctx, t.sctx)
    c:sni("chain.test")
    s:sni({ ["chain.test"] = t.sni })
    t.conns = { c, s }
    if steps == "connected" then
      local cr, sr = support.shake(c, s)
      assert(cr[1] and sr[1])
      t.certs = { c:getpeercertificate(), c:getpeerchain(), s:getlocalcertificate(), s:getlocalchain() }
      support.transfer(s, c, "x") -- brings the ticket
      t.session = assert(c:getsession())
    else
      for _ = 1, steps do
        c:dohandshake()
        s:dohandshake()
      end
    end
    return t
  end

  local function alive(t, shaken)
    if t.conns then
      local c, s = t.conns[1], t.conns[2]
      if not shaken then
        local cr, sr = support.shake(c, s)
        assert.is_true(cr[1])
        assert.is_true(sr[1])
        assert.equal("x", c:getalpn())
      end
      exchange(c, s)
      assert.equal("chain.test", s:getsniname())
      assert.equal(2, #c:getpeerchain())
    end
    if t.certs then
      assert.equal("commonName", t.certs[1]:subject()[3].name)
      assert.equal(2, #t.certs[2])
      assert.equal(t.certs[1]:pem(), t.certs[4][1]:pem())
    end
    if t.session then
      assert.truthy(ssl.loadsession(t.session:export()))
      local again = t.cctx and assert(ssl.engine(t.cctx))
      if again then assert.is_true(again:sni("chain.test") == nil and again:setsession(t.session)) end
    end
  end

  it("in any order leaves the rest working", function()
    for _, order in ipairs(permutations { "contexts", "sni", "conns", "certs", "session" }) do
      local t = family("connected")
      for _, key in ipairs(order) do
        if key == "contexts" then t.cctx, t.sctx = nil, nil end
        t[key] = nil
        collectgarbage()
        alive(t, true)
      end
    end
  end)

  it("of all contexts in the middle of a handshake does not matter", function()
    for steps = 0, 2 do
      for _, order in ipairs(permutations { "cctx", "sctx", "sni" }) do
        local t = family(steps)
        for _, key in ipairs(order) do
          t[key] = nil
          collectgarbage()
        end
        alive(t, false)
      end
    end
  end)

  it("of dropped connections closes them: peers are told, descriptors come back", function()
    support.collect()
    local before = support.descriptors()
    -- In a coroutine that dies, so that no register still holds them.
    local s
    coroutine.wrap(function() s = select(2, support.connected()) end)()
    support.collect()
    local _, err, _, detail = support.receive(s)
    assert.same({ "closed", "closed" }, { err, detail.kind })
    s:close()
    coroutine.wrap(function()
      for _ = 1, 50 do support.wrapped() end
    end)()
    support.collect()
    assert.is_true(support.descriptors() <= before)
  end)

  -- In a process of its own, as the next: the collector's pace depends on how much it has to go through.
  it("keeps up with thousands of connections that are dropped without close: memory", function()
    local growth = support.fresh [[
      local support = require "support"
      local core = require "ssl.core"
      local ctx = assert(support.ssl.newcontext(support.client()))
      for _ = 1, 2000 do core.create(ctx) end
      local before = support.rss()
      for _ = 1, 20000 do core.create(ctx) end
      print(support.rss() - before)]]
    -- Lua sees some hundred bytes of each, of 20 KiB and more.
    assert.is_true(tonumber(growth) < 2500, growth .. " KiB more")
  end)

  -- Lua 5.4's interpreter starts in generational mode, in which a connection that has lived for a while is old.
  it("keeps up with connections that are dropped in the middle of a handshake, when they are old: memory", function()
    local growth = support.fresh [[
      local support = require "support"
      if tonumber(_VERSION:match("[%d.]+$")) >= 5.4 then collectgarbage("generational") end
      local ctx = assert(support.ssl.newcontext(support.client()))
      local ring = {}
      local function churn()
        for i = 1, 100 do
          ring[i % 20] = assert(support.ssl.engine(ctx))
          ring[i % 20]:dohandshake()
        end
        return support.rss()
      end
      local before, most = churn(), 0
      for _ = 1, 30 do most = math.max(most, churn()) end
      print(most - before)]]
    -- OpenSSL 3.5 has two keys ready.
    assert.is_true(tonumber(growth) < (release.since(3, 5) and 25000 or 17000), growth .. " KiB more")
  end)

  it("keeps up with connections that are dropped without close: descriptors", function()
    local most = support.fresh [[
      local support = require "support"
      local cctx = assert(support.ssl.newcontext(support.client()))
      local sctx = assert(support.ssl.newcontext(support.server()))
      local most = 0
      for i = 1, 300 do
        support.wrapped(cctx, sctx)
        if i % 50 == 0 then most = math.max(most, support.descriptors()) end
      end
      print(most)]]
    assert.is_true(tonumber(most) < 300, "descriptors: " .. most)
  end)

  it("of a context's connections and of the context closed by hand", function()
    local cctx, sctx = newcontext(support.client()), newcontext(support.server())
    local c, s = support.wrapped(cctx, sctx)
    for _, ctx in ipairs { cctx, sctx } do
      getmetatable(ctx).__gc(ctx)
      getmetatable(ctx).__close(ctx)
      assert.has_error(function() context.setcipher(ctx, "ALL") end)
    end
    support.collect()
    local cr, sr = support.shake(c, s)
    assert.is_true(cr[1])
    assert.is_true(sr[1])
    finish(c, s)
  end)
end)
