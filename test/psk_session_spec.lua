-- Whose key a session stands for: conn:getpskidentity where TLS 1.3 has a session and a key to choose from.

local S = require "support"
local R = require "resume"
local process = require "process"
local socket = require "socket"
local ssl = S.ssl

local KEYS = { admin = ("a"):rep(32), me = ("m"):rep(32) }

local function me() return "me", KEYS.me end

local function client(extra)
  local cfg = { mode = "client", protocol = "tlsv1_3", psk = me }
  for k, v in pairs(extra or {}) do cfg[k] = v end
  return assert(ssl.newcontext(cfg))
end

-- The hash of keys is SHA-256: with a cipher of SHA-384 a server that has a certificate goes on by that.
local function server(extra)
  local cfg = { protocol = "tlsv1_3", ciphersuites = "TLS_AES_128_GCM_SHA256" }
  cfg.psk = function(identity) return KEYS[identity] end
  for k, v in pairs(extra or {}) do cfg[k] = v end
  return R.server(cfg)
end

-- Visits with a session; what both sides say whose key it was. Returns the new session.
local function visit(cctx, sctx, session, resumed, who)
  local new, reused, c, s = R.visit(cctx, sctx, session)
  assert.equal(resumed, reused)
  assert.equal(who, s:getpskidentity())
  assert.equal(who, c:getpskidentity())
  if who then
    assert.is_true(c:getpeerverification()) -- as with TLS 1.2: no certificate, no fault in it
    assert.is_true(s:getpeerverification())
  end
  c:close()
  s:close()
  return new
end

describe("a session and a pre-shared key", function()
  for _, where in ipairs { "tickets", "OpenSSL's cache", "a store" } do
    it("the session tells whose key made it, kept in " .. where, function()
      local kept = {}
      local sessions = { tickets = where == "tickets" }
      if where == "a store" then
        sessions.get = function(id) return kept[id] end
        sessions.set = function(id, data) kept[id] = data end
      end
      local cctx, sctx = client(), server { sessions = sessions }
      local session = visit(cctx, sctx, nil, true, "me")
      for _ = 1, 2 do session = visit(cctx, sctx, session:export(), true, "me") end
    end)
  end

  it("the session of a server that does not know the key is not the key", function()
    local cctx, imposter = client(), R.server { protocol = "tlsv1_3" }
    local session = visit(cctx, imposter, nil, false, nil)
    for _ = 1, 2 do session = visit(cctx, imposter, session, true, nil) end
    visit(cctx, server(), session, true, "me") -- its ticket is none there, and the key is taken
  end)

  it("the session of a client that has no key is not a key", function()
    local lone = assert(ssl.newcontext(S.anyclient { protocol = "tlsv1_3" }))
    local sctx = server()
    local session = visit(lone, sctx, nil, false, nil)
    visit(lone, sctx, session, true, nil)
  end)

  it("is not taken to settings that its connection did not verify by", function()
    local cctx = client { verify = "peer", cafile = S.cert "rootB", verifyext = "lsec_continue" }
    local sctx = R.server { protocol = "tlsv1_3" }
    local c, s = S.wrapped(cctx, sctx)
    assert.is_true(S.shake(c, s)[1])
    assert.is_true(cctx:setverifyext())
    local later, other = S.wrapped(cctx, sctx)
    s:send("x") -- the tickets came after the handshake
    assert.equal("x", (S.receive(c, 1)))
    assert.is_nil((later:setsession(c:getsession())))
    assert.is_false(S.shake(later, other)[1])
    for _, conn in ipairs { c, s, later, other } do conn:close() end
  end)

  describe("of a client that offers another's identity before its own ticket", function()
    local program

    setup(function() program = process.compile("test/peer/psk_order.c", "openssl") end)
    teardown(function() os.remove(program or "") end)

    local function hex(bytes) return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) end

    -- Its handshake with sctx; the server's connection, and what the client said.
    local function attack(sctx, session, proof)
      local listener = assert(socket.bind("127.0.0.1", 0))
      listener:settimeout(20)
      local command = "%s %d admin %s '%s'"
      local child = assert(io.popen(command:format(program, select(2, listener:getsockname()), hex(session), proof)))
      local conn = assert(ssl.wrap(assert(listener:accept()), sctx))
      conn:settimeout(20)
      local ok = conn:dohandshake()
      local reused, who = conn:sessionreused(), conn:getpskidentity()
      conn:close()
      listener:close()
      local said = child:read("*a")
      child:close()
      assert.equal(ok, said == "done\n")
      return reused, who
    end

    for _, where in ipairs { "its ticket", "the server's cache" } do
      it("is the one of its session, in " .. where, function()
        if not program then return pending("OpenSSL's pkg-config file is not there") end
        local sctx = server { sessions = { tickets = where == "its ticket" }, ciphersuites = "TLS_AES_256_GCM_SHA384" }
        local lone = assert(ssl.newcontext(S.anyclient { protocol = "tlsv1_3" }))
        local resumed = 0
        for _, proof in ipairs { "ext binder", "res binder" } do
          local reused, who = attack(sctx, R.visit(lone, sctx):export(), proof)
          assert.is_nil(who)
          resumed = resumed + (reused and 1 or 0)
        end
        assert.equal(1, resumed)
      end)
    end
  end)

  it("fits other settings as little as any session", function()
    local cctx, sctx = client(), server()
    local session = visit(cctx, sctx, nil, true, "me")
    local c, s = S.wrapped(client { depth = 3 }, sctx)
    assert.is_nil((c:setsession(session)))
    c:close()
    s:close()
  end)
end)
