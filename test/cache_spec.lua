-- A client's cache of sessions: what it resumes by itself, and what it never does.

local S = require "support"
local ssl = S.ssl
local socket = require "socket"
local engines = require "engines"

local versions = { "tlsv1_2", "tlsv1_3" }

local function client(extra)
  local cfg = S.client(extra)
  if cfg.sessions == nil then cfg.sessions = true end
  return assert(ssl.newcontext(cfg))
end

local function server(extra) return assert(ssl.newcontext(S.server(extra))) end

-- A server's port, where connections of one context after the other are accepted.
local function listen(address)
  local listener = assert(socket.bind(address or "127.0.0.1", 0))
  listener:settimeout(5)
  local _, port = listener:getsockname()
  return setmetatable({ listener = listener, port = port, address = address or "127.0.0.1" }, {
    __index = { close = function(self) self.listener:close() end } })
end

-- One connection from cctx to where `at` listens and sctx serves; the pair and what the handshakes came to.
local function pair(at, cctx, sctx, name)
  local sock = (at.address == "::1" and socket.tcp6 or socket.tcp)()
  sock:settimeout(5)
  assert(sock:connect(at.address, at.port))
  local c, s = assert(ssl.wrap(sock, cctx)), assert(ssl.wrap(assert(at.listener:accept()), sctx))
  c:settimeout(0)
  s:settimeout(0)
  if name then c:sni(name) end
  local cr, sr = S.shake(c, s)
  return c, s, cr, sr
end

-- The same with a byte to the client, which brings TLS 1.3 tickets along. Was a session resumed?
local function visit(at, cctx, sctx, name)
  local c, s, cr, sr = pair(at, cctx, sctx, name)
  assert(cr[1] and sr[1], tostring(cr[2]) .. " " .. tostring(sr[2]))
  s:send("x")
  assert.equal("x", (S.receive(c, 1)))
  assert.equal(c:sessionreused(), s:sessionreused())
  return c:sessionreused(), c, s
end

-- Visits and closes.
local function call(...)
  local resumed, c, s = visit(...)
  c:close()
  s:close()
  return resumed
end

describe("a client's cache of sessions", function()
  local at
  before_each(function() at = listen() end)
  after_each(function() at:close() end)

  for _, version in ipairs(versions) do
    it("resumes at the same name and port over " .. version, function()
      local cctx, sctx = client { servername = "localhost" }, server { protocol = version }
      assert.is_false(call(at, cctx, sctx))
      for _ = 1, 6 do assert.is_true(call(at, cctx, sctx)) end
      assert.same({ handshakes = 7, full = 1, resumed = 6, hits = 6, misses = 1 }, cctx:stats())
    end)

    it("resumes at the same address and port where no name is sent over " .. version, function()
      local cctx, sctx = client(), server { protocol = version }
      assert.is_false(call(at, cctx, sctx))
      assert.is_true(call(at, cctx, sctx))
    end)

    it("resumes at the same address of IPv6 where no name is sent over " .. version, function()
      if not socket.tcp6 or not socket.tcp6():bind("::1", 0) then return pending("this machine has no IPv6") end
      local six = listen("::1")
      local cctx, sctx = client(), server { protocol = version }
      assert.is_false(call(six, cctx, sctx))
      assert.is_true(call(six, cctx, sctx))
      six:close()
    end)

    -- A path says little of who listens there.
    it("resumes over Unix sockets at the same name only, " .. version, function()
      local found, unix = pcall(require, "socket.unix")
      if not found then return pending("this LuaSocket has no Unix sockets") end
      local make = type(unix) == "table" and (unix.stream or unix.tcp) or unix
      local path = os.tmpname()
      os.remove(path)
      local listener = make()
      assert(listener:bind(path))
      assert(listener:listen())
      local function over(cctx, sctx, name)
        local sock = make()
        assert(sock:connect(path))
        local c, s = assert(ssl.wrap(sock, cctx)), assert(ssl.wrap(assert(listener:accept()), sctx))
        c:settimeout(0)
        s:settimeout(0)
        if name then c:sni(name) end
        assert(S.shake(c, s)[1])
        s:send("x")
        assert.equal("x", (S.receive(c, 1)))
        local resumed = c:sessionreused()
        c:close()
        s:close()
        return resumed
      end
      local cctx, sctx = client(), server { protocol = version }
      assert.is_false(over(cctx, sctx, "localhost"))
      assert.is_true(over(cctx, sctx, "localhost"))
      assert.is_false(over(cctx, sctx))
      assert.is_false(over(cctx, sctx))
      listener:close()
      os.remove(path)
    end)

    it("answers the same on a resumed connection over " .. version, function()
      local cctx = client { servername = "localhost" }
      local sctx = server { protocol = version, certificate = S.cert("chainA"), key = S.cert("chainAkey") }
      local function answers(c)
        local list = {}
        for i, cert in ipairs(c:getpeerchain()) do list[i] = cert:pem() end
        return { chain = list, leaf = c:getpeercertificate():pem(), second = c:getpeercertificate(2) and "yes",
          verdict = { c:getpeerverification() }, protocol = c:info("protocol"), cipher = c:info("cipher"),
          named = ssl.checkhostname(c:getpeercertificate(), "localhost"),
          other = ssl.checkhostname(c:getpeercertificate(), "other.test") }
      end
      local _, c = visit(at, cctx, sctx)
      local resumed, again = visit(at, cctx, sctx)
      assert.is_true(resumed)
      assert.equal(2, #answers(c).chain)
      assert.same(answers(c), answers(again))
    end)

    it("answers with the same bad verdict on a resumed connection over " .. version, function()
      local bad = { certificate = S.cert("selfsigned"), key = S.cert("selfsignedkey"), protocol = version }
      local cctx, sctx = client { verifyext = "lsec_continue" }, server(bad)
      local _, first = visit(at, cctx, sctx)
      local verdict = { first:getpeerverification() }
      assert.is_false(verdict[1])
      for _ = 1, 3 do
        local resumed, c = visit(at, cctx, sctx)
        assert.is_true(resumed)
        assert.same(verdict, { c:getpeerverification() })
      end
    end)

    it("falls back to a full handshake where its session is refused over " .. version, function()
      local cctx = client()
      assert.is_false(call(at, cctx, server { protocol = version }))
      local other = server { protocol = version }
      assert.is_false(call(at, cctx, other))
      assert.is_true(call(at, cctx, other))
    end)

    it("takes no session to another name or port over " .. version, function()
      local cctx, sctx = client(), server { protocol = version }
      assert.is_false(call(at, cctx, sctx, "a.test"))
      assert.is_false(call(at, cctx, sctx, "b.test"))
      assert.is_false(call(at, cctx, sctx))
      local other = listen()
      assert.is_false(call(other, cctx, sctx, "a.test"))
      other:close()
      assert.is_true(call(at, cctx, sctx, "A.TEST"))
      assert.same(4, cctx:stats().misses)
    end)

    it("is of one context over " .. version, function()
      local one, two, sctx = client(), client(), server { protocol = version }
      assert.is_false(call(at, one, sctx))
      assert.is_false(call(at, two, sctx))
    end)

    it("resumes nothing once the context trusts others over " .. version, function()
      local context = require "ssl.context"
      local cctx, sctx = client(), server { protocol = version }
      assert.is_false(call(at, cctx, sctx))
      assert.is_true(context.locations(cctx, S.cert("rootB")))
      assert.is_false(call(at, cctx, sctx))
      assert.is_true(call(at, cctx, sctx))
      assert.is_true(context.setverifyname(cctx, "localhost"))
      assert.is_false(call(at, cctx, sctx))
    end)

    it("resumes nothing once the client is another by its certificate over " .. version, function()
      local cctx = client { certificate = S.cert("clientA"), key = S.cert("clientAkey") }
      local demand = { "peer", "fail_if_no_peer_cert" }
      local sctx = server { protocol = version, verify = demand, cafile = S.cert("rootA") }
      assert.is_false(call(at, cctx, sctx))
      assert.is_true(call(at, cctx, sctx))
      assert.is_true(cctx:reload { certificate = S.cert("serverA"), key = S.cert("serverAkey") })
      local resumed, _, s = visit(at, cctx, sctx)
      assert.is_false(resumed)
      assert.equal(S.pem("serverA"):match("%-%-%-%-%-BEGIN.-END CERTIFICATE%-%-%-%-%-"),
        (s:getpeercertificate():pem():gsub("\n$", "")))
    end)

    it("is the same for a client of several certificates, whichever it shows, over " .. version, function()
      local sctx = server { protocol = version, verify = { "peer", "fail_if_no_peer_cert" }, cafile = S.cert("rootA"),
        verifyext = "lsec_continue" }
      local rsa = { certificate = S.cert("rsa"), key = S.cert("rsakey") }
      local ec = { certificate = S.cert("clientA"), key = S.cert("clientAkey") }
      for _, certificates in ipairs { { rsa, ec }, { ec, rsa } } do
        local cctx = client { certificate = S.NONE, key = S.NONE, certificates = certificates }
        assert.is_false(call(at, cctx, sctx))
        assert.is_true(call(at, cctx, sctx))
        assert.is_true(cctx:reload { certificate = S.cert("serverA"), key = S.cert("serverAkey") })
        assert.is_false(call(at, cctx, sctx))
      end
    end)

    it("keeps no more than it was told to over " .. version, function()
      local cctx, sctx = client { sessions = 2 }, server { protocol = version, sessions = { tickets = 1 } }
      for _, name in ipairs { "a.test", "b.test", "c.test" } do assert.is_false(call(at, cctx, sctx, name)) end
      assert.is_true(call(at, cctx, sctx, "b.test"))
      assert.is_true(call(at, cctx, sctx, "c.test"))
      assert.is_false(call(at, cctx, sctx, "a.test"))
      assert.is_false(call(at, cctx, sctx, "b.test")) -- used longer ago than c.test
    end)

    it("drops what has expired over " .. version, function()
      local cctx, sctx = client(), server { protocol = version, sessions = { timeout = 1 } }
      assert.is_false(call(at, cctx, sctx))
      local began = os.time()
      S.poll(function() return os.time() > began + 1 end, "a second")
      assert.is_false(call(at, cctx, sctx))
      assert.equal(0, cctx:stats().resumed)
    end)

    it("resumes after a connection that ended without close_notify over " .. version, function()
      local cctx, sctx = client(), server { protocol = version }
      local _, c, s = visit(at, cctx, sctx)
      S.reset(s)
      assert.is_nil((S.receive(c, 1)))
      c:close()
      assert.is_true(call(at, cctx, sctx))
    end)

    it("resumes after a resumed connection that ended so over " .. version, function()
      local cctx, sctx = client(), server { protocol = version }
      assert.is_false(call(at, cctx, sctx))
      for _ = 1, 3 do
        local resumed, c, s = visit(at, cctx, sctx)
        assert.is_true(resumed)
        S.reset(s)
        assert.is_nil((S.receive(c, 1)))
        c:close()
      end
    end)

    it("forgets the sessions of a peer that answers with an alert over " .. version, function()
      local cctx = client()
      local sctx = server { protocol = version }
      call(at, cctx, sctx)
      local demand = { "peer", "fail_if_no_peer_cert" }
      local strict = server { protocol = version, verify = demand, cafile = S.cert("rootA") }
      local c, s, cr = pair(at, cctx, strict)
      if cr[1] then S.receive(c, 1) end
      assert.equal("alert", c:lasterror().kind)
      c:close()
      s:close()
      assert.is_false(call(at, cctx, sctx))
    end)

    it("yields to a session set by hand over " .. version, function()
      local cctx, sctx = client(), server { protocol = version }
      local _, c = visit(at, cctx, sctx)
      local session = c:getsession()
      local hits = cctx:stats().hits
      c = S.wrapped(cctx, sctx)
      assert.is_true(c:setsession(session))
      c:close()
      assert.equal(hits, cctx:stats().hits)
    end)
  end

  it("uses each session of TLS 1.3 once", function()
    local cctx, sctx = client(), server { protocol = "tlsv1_3", sessions = { tickets = 3 } }
    assert.is_false(call(at, cctx, sctx))
    local open = {}
    -- Not told of new tickets: nothing is read.
    for i = 1, 4 do
      local c, s, cr = pair(at, cctx, sctx)
      assert.is_true(cr[1])
      open[i] = { c, s }
    end
    assert.same({ true, true, true, false }, { open[1][1]:sessionreused(), open[2][1]:sessionreused(),
      open[3][1]:sessionreused(), open[4][1]:sessionreused() })
  end)

  it("keeps a few of TLS 1.3 for each peer, however many come", function()
    local cctx, sctx = client(), server { protocol = "tlsv1_3", sessions = { tickets = 16 } }
    assert.is_false(call(at, cctx, sctx))
    local resumed = 0
    for _ = 1, 6 do
      local c, _, cr = pair(at, cctx, sctx)
      assert.is_true(cr[1])
      resumed = resumed + (c:sessionreused() and 1 or 0)
    end
    assert.equal(4, resumed)
  end)

  it("leaves out what a server makes huge", function()
    local extra = S.pem("manysan"):match("%-%-%-%-%-BEGIN CERT.-END CERTIFICATE%-%-%-%-%-\n")
    local cctx, sctx = client(), server { certificate = S.pem("serverA") .. extra:rep(4) }
    assert.is_false(call(at, cctx, sctx))
    assert.is_false(call(at, cctx, sctx))
    assert.equal(0, cctx:stats().hits)
    local less = server { certificate = S.pem("serverA") .. extra }
    assert.is_false(call(at, cctx, less))
    assert.is_true(call(at, cctx, less))
  end)

  it("is not used where TLSA records verify", function()
    local cctx, sctx = client { dane = true }, server()
    assert.is_false(call(at, cctx, sctx))
    assert.is_false(call(at, cctx, sctx))
    local _, c = visit(at, cctx, sctx)
    local ok, message = S.wrapped(cctx, sctx):setsession(c:getsession())
    assert.is_nil(ok)
    assert.matches("verifies in another way", message)
  end)

  for _, protocol in ipairs { "tlsv1_2", "tlsv1_3", "dtls" } do
    it("resumes on engines, by name alone, over " .. protocol, function()
      local sctx = server { protocol = protocol }
      local function call_engine(cctx)
        local c, s = assert(ssl.engine(cctx)), assert(ssl.engine(sctx))
        engines.shake(c, s)
        s:write("x")
        engines.carry(s, c)
        assert.equal("x", (c:read()))
        assert.is_true(c:getpeerverification())
        return c:sessionreused()
      end
      local named = client { servername = "localhost", protocol = protocol }
      assert.is_false(call_engine(named))
      for _ = 1, 3 do assert.is_true(call_engine(named)) end
      local nameless = client { protocol = protocol }
      for _ = 1, 2 do assert.is_false(call_engine(nameless)) end
    end)
  end

  it("is for clients, and a client without it resumes nothing", function()
    local context = require "ssl.context"
    local sctx, cctx = server(), client { sessions = false }
    local ok, message = context.setsessioncache(sctx, 5)
    assert.same({ false, "a cache of sessions is for clients" }, { ok, message })
    for _ = 1, 2 do assert.is_false(call(at, cctx, sctx)) end
    assert.same({ handshakes = 2, full = 2, resumed = 0, hits = 0, misses = 0 }, cctx:stats())
    assert.same({ handshakes = 2, full = 2, resumed = 0, hits = 0, misses = 0 }, sctx:stats())
  end)

  it("closes with its context while connections go on", function()
    local cctx, sctx = client(), server()
    local _, c, s = visit(at, cctx, sctx)
    S.finalize(cctx)
    s:send("y")
    assert.equal("y", (S.receive(c, 1)))
    assert.error_matches(function() cctx:stats() end, "context is closed")
    c:close()
    s:close()
  end)

  it("keeps memory within bounds, whatever servers send", function()
    local grown = S.growth([[
      local ssl = S.ssl
      local server = { protocol = "tlsv1_3", sessions = { tickets = 16 } }
      local sctx = assert(ssl.newcontext(S.server(server)))
      local cctx = assert(ssl.newcontext(S.client { sessions = 8 }))
      return function(i)
        local c, s = S.wrapped(cctx, sctx)
        c:sni("host" .. i .. ".test")
        S.shake(c, s)
        s:send("x")
        S.receive(c, 1)
        c:close()
        s:close()
      end
    ]], 100, 400)
    assert.is_true(grown < 1500, grown)
  end)
end)

describe("a session set by hand", function()
  for _, version in ipairs(versions) do
    it("goes by what CA files hold, not by their names, over " .. version, function()
      local at = listen()
      local file, other = S.tmpfile(S.pem("rootA")), S.tmpfile(S.pem("rootA"))
      local function with(path) return assert(ssl.newcontext(S.client { cafile = path })) end
      local _, c = visit(at, with(file), server { protocol = version })
      local session = c:getsession()
      assert.is_true(S.wrapped(with(other)):setsession(session))
      assert.is_true(S.wrapped(with(file)):setsession(session))
      local f = assert(io.open(file, "w"))
      f:write(S.pem("rootB"))
      f:close()
      assert.is_nil((S.wrapped(with(file)):setsession(session)))
      assert.is_nil((S.wrapped(with(S.cert("bundleAB"))):setsession(session)))
      os.remove(file)
      os.remove(other)
      at:close()
    end)

    it("does not pass from a lax client with a pre-shared key to a strict one over " .. version, function()
      local at, sctx = listen(), server { protocol = version }
      local function psk(extra)
        extra.psk = function() end -- the server has no key to share: its certificate counts
        return assert(ssl.newcontext(extra))
      end
      local lax = psk(S.anyclient())
      local _, c = visit(at, lax, sctx)
      local session = c:getsession()
      assert.is_nil((S.wrapped(psk(S.client()))):setsession(session))
      assert.is_nil((S.wrapped(assert(ssl.newcontext(S.anyclient())))):setsession(session))
      local again = S.wrapped(psk(S.anyclient()))
      assert.is_true(again:setsession(assert(ssl.loadsession(session:export()))))
      local cctx = psk(S.client { sessions = true })
      assert.is_false(call(at, cctx, sctx))
      assert.is_true(call(at, cctx, sctx))
      at:close()
    end)

    it("does not pass to another security level over " .. version, function()
      local at = listen()
      local function level(n) return assert(ssl.newcontext(S.client { ciphers = "DEFAULT:@SECLEVEL=" .. n })) end
      local _, c = visit(at, level(0), server { protocol = version })
      local session = c:getsession()
      assert.is_nil((S.wrapped(level(2))):setsession(session))
      assert.is_true((S.wrapped(level(0))):setsession(session))
      at:close()
    end)

    it("is refused for a name that its certificate does not have over " .. version, function()
      local at = listen()
      local cctx = assert(ssl.newcontext(S.client()))
      local _, c = visit(at, cctx, server { protocol = version })
      local session = c:getsession()
      local core = S.wrapped(assert(ssl.newcontext(S.client { dane = true })))
      core:setdane("other.test")
      assert.is_nil((core:setsession(session)))
      at:close()
    end)
  end
end)
