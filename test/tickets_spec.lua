-- Keys of session tickets: shared by servers, changed while they run; how many tickets, how long, for whom.

local S = require "support"
local resume = require "resume"
local ssl = S.ssl
local client, server, visit, resumes, key = resume.client, resume.server, resume.visit, resume.resumes, resume.key

local function keyed(version, keys, extra)
  local cfg = { protocol = version, ticketkeys = keys }
  for k, v in pairs(extra or {}) do cfg[k] = v end
  return server(cfg)
end

describe("ticket keys", function()
  for _, version in ipairs(resume.versions) do
    it("let a server resume what another began over " .. version, function()
      local one, two = keyed(version, { key "a" }), keyed(version, { key "b", key "a" })
      local cctx = client()
      local session = visit(cctx, one)
      local again, resumed = visit(cctx, two, session)
      assert.is_true(resumed)
      assert.is_true(resumes(cctx, two, again))
      assert.equal(2, two:stats().hits)
      assert.same({ handshakes = 1, full = 1, resumed = 0, hits = 0, misses = 0 }, one:stats())
    end)

    it("that are others mean a full handshake over " .. version, function()
      local cctx = client()
      local session = visit(cctx, keyed(version, { key "a" }))
      local other = keyed(version, { key "b" })
      assert.is_false(resumes(cctx, other, session))
      assert.same({ handshakes = 1, full = 1, resumed = 0, hits = 0, misses = 1 }, other:stats())
      assert.is_false(resumes(cctx, server { protocol = version }, session))
      -- The same name with other secrets.
      local fake = key "a"
      fake.hmac = ("z"):rep(32)
      assert.is_false(resumes(cctx, keyed(version, { fake }), session))
      fake = key "a"
      fake.aes = ("z"):rep(32)
      assert.is_false(resumes(cctx, keyed(version, { fake }), session))
    end)

    it("change while the server runs, and tickets are renewed over " .. version, function()
      local cctx, sctx = client(), keyed(version, { key "a" })
      local old = visit(cctx, sctx):export()
      assert.is_true(sctx:setticketkeys { key "b", key "a" })
      local renewed, resumed, c = visit(cctx, sctx, old)
      assert.is_true(resumed)
      renewed = renewed:export()
      assert.is_truthy(renewed:find(key("b").name, 1, true))
      c:close()
      assert.is_true(sctx:setticketkeys { key "b" })
      assert.is_true(resumes(cctx, sctx, renewed))
      assert.is_false(resumes(cctx, sctx, old))
    end)

    it("change in the middle of a handshake over " .. version, function()
      local cctx, sctx = client { alpn = "x" }, nil
      sctx = keyed(version, { key "a" }, { alpn = function(list)
        for letter in ("bcdefg"):gmatch(".") do assert(sctx:setticketkeys { key(letter) }) end
        return list
      end })
      local session = visit(cctx, sctx)
      assert.is_truthy(session:export():find(key("g").name, 1, true))
      assert.is_true(resumes(cctx, sctx, session))
    end)

    it("do not take a client past other trust over " .. version, function()
      local keys = { key "a" }
      local demand = { "peer", "fail_if_no_peer_cert" }
      local cctx = client { certificate = S.cert("clientA"), key = S.cert("clientAkey") }
      local trusting = keyed(version, keys, { verify = demand, cafile = S.cert("rootA") })
      local session, _, _, first = visit(cctx, trusting)
      local again, resumed, _, second = visit(cctx, trusting, session)
      assert.is_true(resumed)
      assert.is_true(second:getpeerverification())
      assert.equal(first:getpeercertificate():pem(), second:getpeercertificate():pem())
      assert.is_true(resumes(cctx, keyed(version, keys, { verify = demand, cafile = S.cert("rootA") }), again))
      -- A client that no CA of the other's vouches for is not let in by its ticket.
      local other = keyed(version, keys, { verify = demand, cafile = S.cert("rootB") })
      session = visit(cctx, trusting)
      local c, s = S.wrapped(cctx, other)
      assert.is_true(c:setsession(session))
      local _, sr = S.shake(c, s)
      assert.is_false(sr[1])
      assert.equal("verify", sr[3].kind)
      c:close()
      s:close()
      -- Nor one that was not asked for a certificate.
      session = visit(cctx, keyed(version, keys))
      assert.is_false(resumes(cctx, trusting, session))
    end)

    it("are used behind server names too over " .. version, function()
      local keys = { key "a" }
      local inner = server { protocol = version, ticketkeys = { key "z" } }
      local function front()
        local sctx = keyed(version, keys)
        return function(session)
          local c, s = S.wrapped(client(), sctx)
          c:sni("inner.test")
          s:sni({ ["inner.test"] = inner })
          if session then assert(c:setsession(session)) end
          local cr, sr = S.shake(c, s)
          assert(cr[1] and sr[1])
          s:send("x")
          S.receive(c, 1)
          return c:getsession(), c:sessionreused()
        end
      end
      local session = front()()
      assert.is_truthy(session:export():find(key("a").name, 1, true))
      local _, resumed = front()(session)
      assert.is_true(resumed)
    end)

    it("hold off a ticket that was changed or cut over " .. version, function()
      local cctx, sctx = client(), keyed(version, { key "a" })
      local text = visit(cctx, sctx):export()
      local at = assert(text:find(key("a").name, 1, true))
      -- Key name, IV, ciphertext, its end: each byte of the first 48, then some.
      local tried = 0
      for i = at, #text, 1 + math.floor((#text - at) / 60) do
        local changed = text:sub(1, i - 1) .. string.char((text:byte(i) + 128) % 256) .. text:sub(i + 1)
        local session = ssl.loadsession(changed)
        local c, s = S.wrapped(cctx, sctx)
        if session and c:setsession(session) then
          local cr, sr = S.shake(c, s)
          if cr[1] and i < at + 100 then
            assert.is_true(sr[1])
            assert.is_false(c:sessionreused())
            tried = tried + 1
          end
        end
        c:close()
        s:close()
      end
      assert.is_true(tried >= 15)
      assert.is_true(resumes(cctx, sctx, text))
    end)

    it("outlive their context in its connections over " .. version, function()
      local sctx = keyed(version, { key "a" })
      local c, s = S.wrapped(client(), sctx)
      S.finalize(sctx)
      local cr, sr = S.shake(c, s)
      assert.is_true(cr[1] and sr[1])
      s:send("x")
      S.receive(c, 1)
      assert.is_true(resumes(client(), keyed(version, { key "a" }), c:getsession()))
    end)
  end

  it("are refused when they are none, all or nothing", function()
    local function with(field, value)
      local k = key "b"
      k[field] = value
      return { key "a", k }
    end
    local cctx, sctx = client(), keyed("any", { key "a" })
    local session = visit(cctx, sctx):export()
    for _, row in ipairs {
      { {}, "1 to 64 keys expected, got 0" },
      { with("name", ("b"):rep(15)), "ticketkeys[2].name (16 bytes expected, got 15)" },
      { with("name", nil), "ticketkeys[2].name (string of 16 bytes expected, got nil)" },
      { with("aes", ("b"):rep(16)), "ticketkeys[2].aes (32 bytes expected, got 16)" },
      { with("aes", ("b"):rep(1024 * 1024)), "ticketkeys[2].aes (32 bytes expected, got 1048576)" },
      { with("hmac", ""), "ticketkeys[2].hmac (32 bytes expected, got 0)" },
      { with("hmac", 32), "ticketkeys[2].hmac (string of 32 bytes expected, got number)" },
      { with("name", ("a"):rep(16)), "ticketkeys[2] (the same name as ticketkeys[1])" },
      { { key "b", false }, "ticketkeys[2] (table expected, got boolean)" },
      { { key "a", "x" }, "ticketkeys[2] (table expected, got string)" },
    } do
      local ok, message, detail = sctx:setticketkeys(row[1])
      assert.is_false(ok)
      assert.equal("invalid " .. row[2]:gsub("^1 to.*", "ticketkeys (%0)"), message)
      assert.equal("config", detail.kind)
      local made, why = ssl.newcontext(S.server { ticketkeys = row[1] })
      assert.is_nil(made)
      assert.equal(message, why)
    end
    assert.is_true(resumes(cctx, sctx, session))
    assert.error_matches(function() sctx:setticketkeys() end, "table expected")
    assert.error_matches(function() sctx:setticketkeys("x") end, "table expected")
    local many = {}
    for i = 1, 65 do many[i] = { name = ("%016d"):format(i), aes = ("a"):rep(32), hmac = ("h"):rep(32) } end
    assert.is_false((sctx:setticketkeys(many)))
    many[65] = nil
    assert.is_true(sctx:setticketkeys(many))
  end)

  it("are a server's", function()
    local ok, message = client():setticketkeys { key "a" }
    assert.is_false(ok)
    assert.equal("ticket keys are for servers", message)
    assert.is_nil((ssl.newcontext(S.client { ticketkeys = { key "a" } })))
    local sctx = server()
    S.finalize(sctx)
    assert.error_matches(function() sctx:setticketkeys { key "a" } end, "context is closed")
  end)

  it("may be a table whose metamethod closes the context", function()
    local sctx = server()
    local closing = setmetatable({}, { __index = function(_, name)
      S.finalize(sctx)
      return key("a")[name]
    end })
    local ok, message = sctx:setticketkeys { closing }
    assert.is_false(ok)
    assert.equal("the context was closed while its ticket keys were read", message)
  end)
end)

describe("a server's sessions", function()
  for _, version in ipairs(resume.versions) do
    it("resume where the ids are the same over " .. version, function()
      local cctx, keys = client(), { key "a" }
      local session = visit(cctx, keyed(version, keys, { sessions = { id = "shop" } }))
      assert.is_true(resumes(cctx, keyed(version, keys, { sessions = { id = "shop" } }), session))
      session = visit(cctx, keyed(version, keys, { sessions = { id = "shop" } }))
      assert.is_false(resumes(cctx, keyed(version, keys, { sessions = { id = "bank" } }), session))
      assert.is_false(resumes(cctx, keyed(version, keys), session))
    end)

    it("end with their time over " .. version, function()
      local cctx, sctx = client(), server { protocol = version, sessions = { timeout = 1 } }
      local session = visit(cctx, sctx)
      assert.is_true(resumes(cctx, sctx, session))
      session = visit(cctx, sctx)
      local socket = require "socket"
      local ends = socket.gettime() + 2.1
      S.poll(function() return socket.gettime() > ends end, "two seconds")
      assert.is_false(resumes(cctx, sctx, session))
    end)

    it("end with the client's certificate over " .. version, function()
      local pem, secret = ssl.selfsigned { names = { "me" }, days = 1 }
      local sctx = server { protocol = version, verify = { "peer", "fail_if_no_peer_cert" }, cadata = pem,
        sessions = { timeout = 7 * 86400 } }
      local session = visit(client { certificate = pem, key = secret }, sctx)
      assert.is_true(session:lifetime() > 3600)
      assert.is_true(session:lifetime() <= 86400 + 3600, session:lifetime())
    end)

    it("stay with the server where tickets are off over " .. version, function()
      local cctx, sctx = client(), server { protocol = version, sessions = { tickets = false } }
      local session, _, c, s = visit(cctx, sctx)
      c:close()
      s:close()
      assert.is_true(#session:export() < 2000)
      assert.is_true(resumes(cctx, sctx, session))
      assert.is_false(resumes(cctx, server { protocol = version, sessions = { tickets = false } }, session))
    end)
  end

  it("come in as many tickets of TLS 1.3 as were asked for", function()
    local cctx = client()
    assert.is_nil((visit(cctx, server { protocol = "tlsv1_3", sessions = { tickets = 0 } })))
    for _, n in ipairs { 1, 5, 16 } do
      local counted = client { sessions = 100 }
      local sctx = server { protocol = "tlsv1_3", sessions = { tickets = n } }
      visit(counted, sctx)
      assert.is_string(visit(counted, sctx):export())
    end
  end)

  it("are refused when the settings are none", function()
    for _, row in ipairs {
      { true, "invalid sessions (table expected on a server, got boolean)" },
      { 5, "invalid sessions (table expected on a server, got number)" },
      { { timeout = 0 }, "invalid sessions.timeout (1 to 604800 seconds expected)" },
      { { timeout = 604801 }, "invalid sessions.timeout (1 to 604800 seconds expected)" },
      { { timeout = 0 / 0 }, "invalid sessions.timeout (1 to 604800 seconds expected)" },
      { { timeout = "5" }, "invalid sessions.timeout (number expected, got string)" },
      { { tickets = 17 }, "invalid sessions.tickets (0 to 16 expected)" },
      { { tickets = -1 }, "invalid sessions.tickets (0 to 16 expected)" },
      { { tickets = {} }, "invalid sessions.tickets (boolean or number expected, got table)" },
      { { id = 5 }, "invalid sessions.id (string expected, got number)" },
      { { get = "f" }, "invalid sessions.get (function expected, got string)" },
      { { timout = 5 }, "unknown field 'timout' in sessions: did you mean 'timeout'?" },
      { { "x" }, "unknown field '1' in sessions" },
    } do
      local ctx, message, detail = ssl.newcontext(S.server { sessions = row[1] })
      assert.is_nil(ctx)
      assert.equal(row[2], message)
      assert.equal("config", detail.kind)
    end
    assert.is_truthy(ssl.newcontext(S.server { sessions = {} }))
    local most = { id = ("x"):rep(100000), timeout = 604800, tickets = true }
    assert.is_truthy(ssl.newcontext(S.server { sessions = most }))
  end)
end)
