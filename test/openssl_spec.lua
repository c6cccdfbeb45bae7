-- Against openssl s_client: resumption with client certificates in TLS 1.2 and 1.3, renegotiation, key updates, data.

local socket = require "socket"
local ssl = require "ssl"
local context = require "ssl.context"
local support = require "support"

-- A listener, and s_client started against it. `input` is written to it at once; without any it only listens.
local function listen()
  local listener = assert(socket.bind("127.0.0.1", 0))
  listener:settimeout(20)
  return listener, select(2, listener:getsockname())
end

local function client(port, arguments)
  local out = os.tmpname()
  local p = assert(io.popen(("timeout 30 openssl s_client -connect 127.0.0.1:%d -CAfile %s -verify_return_error %s " ..
    ">%s 2>&1"):format(port, support.cert("rootA"), arguments, out), "w"))
  return {
    write = function(_, text)
      p:write(text)
      p:flush()
    end,
    said = function() return support.read(out) end,
    finish = function()
      p:close()
      local text = support.read(out)
      os.remove(out)
      return text
    end,
  }
end

local function accept(listener, ctx)
  local conn = assert(ssl.wrap(assert(listener:accept()), ctx))
  conn:settimeout(20)
  return conn
end

-- Serves n connections one after the other: handshake, a look by `inspect`, a line, close. s_client ends with the last.
local function serve(listener, ctx, n, inspect)
  for i = 1, n do
    local conn = accept(listener, ctx)
    local ok, err = conn:dohandshake()
    if not ok then error(("connection %d: %s"):format(i, err)) end
    if inspect then inspect(conn, i) end
    conn:send("hello from the server\n")
    conn:close()
  end
end

local function count(text, what)
  local n, at = 0, 1
  while true do
    local from, to = text:find(what, at, true)
    if not from then return n end
    n, at = n + 1, to + 1
  end
end

local CERT = ("-cert %s -key %s"):format(support.cert("clientA"), support.cert("clientAkey"))

local function verifying(extra)
  local cfg = support.server { verify = { "peer", "fail_if_no_peer_cert" }, cafile = support.cert("rootA") }
  for k, v in pairs(extra or {}) do cfg[k] = v end
  return assert(ssl.newcontext(cfg))
end

local function verified(conn)
  assert.is_true(conn:getpeerverification())
  local leaf = conn:getpeercertificate()
  assert.equal("clientA", leaf:subject()[#leaf:subject()].value)
end

describe("resumption with client certificates", function()
  it("works with TLS 1.2 tickets, five times over", function()
    local listener, port = listen()
    local peer = client(port, "-tls1_2 -reconnect -ign_eof " .. CERT)
    serve(listener, verifying(), 6, verified)
    local text = peer.finish()
    listener:close()
    assert.equal(5, count(text, "Reused, TLSv1.2"), text)
    assert.equal(0, count(text, "alert"), text)
  end)

  it("falls back to whole handshakes without tickets", function()
    for _, protocol in ipairs { "-tls1_2 -reconnect", "-tls1_2 -no_ticket -reconnect" } do
      local listener, port = listen()
      local peer = client(port, protocol .. " -ign_eof " .. CERT)
      serve(listener, verifying { options = "no_ticket" }, 6, verified)
      local text = peer.finish()
      listener:close()
      assert.equal(0, count(text, "Reused"), text)
      assert.equal(6, count(text, "New, TLSv1.2"), text)
      assert.equal(0, count(text, "alert"), text)
    end
  end)

  -- Two clients, the second with the session of the first.
  local function twice(version, ctx, inspect, between)
    local listener, port = listen()
    local session = os.tmpname()
    local peer = client(port, ("%s -sess_out %s -ign_eof %s"):format(version, session, CERT))
    serve(listener, ctx, 1, inspect)
    local first = peer.finish()
    if between then between() end
    peer = client(port, ("%s -sess_in %s -ign_eof %s"):format(version, session, CERT))
    serve(listener, ctx, 1, inspect)
    local second = peer.finish()
    listener:close()
    os.remove(session)
    assert.equal(0, count(first .. second, "alert"), first .. second)
    assert.equal(0, count(first, "Reused, "), first)
    assert.equal(1, count(second, "hello from the server"), second)
    return count(second, "Reused, ") == 1
  end

  for _, version in ipairs { "-tls1_2", "-tls1_3" } do
    it("works in a connection of its own: " .. version, function()
      assert.is_true(twice(version, verifying(), verified))
    end)

    it("keeps what was wrong with the certificate: " .. version, function()
      local ctx = verifying { cafile = support.cert("rootB"), verifyext = "lsec_continue" }
      local seen = 0
      assert.is_true(twice(version, ctx, function(conn)
        local ok, errors = conn:getpeerverification()
        assert.is_false(ok)
        assert.equal("table", type(errors))
        local texts = {}
        for _, list in pairs(errors) do
          for _, text in ipairs(list) do texts[#texts + 1] = text end
        end
        assert.matches("certificate", table.concat(texts, ";"))
        seen = seen + 1
      end))
      assert.equal(2, seen)
    end)

    it("does not carry over to other verify settings: " .. version, function()
      local ctx = assert(ssl.newcontext(support.server { cafile = support.cert("rootA") }))
      local n = 0
      assert.is_false(twice(version, ctx, function(conn)
        n = n + 1
        if n == 2 then verified(conn) else assert.is_nil(conn:getpeercertificate()) end
      end, function() context.setverify(ctx, "peer", "fail_if_no_peer_cert") end))
      assert.equal(2, n)
    end)
  end
end)

describe("in the middle of a stream", function()
  -- A server connection and an s_client that has said "one\n"; `seen` counts the calls of the OCSP function, which each
  -- handshake asks. So do they send and compare the server name.
  local function start(arguments, extra)
    local listener, port = listen()
    local peer = client(port, "-servername localhost -status " .. arguments)
    local conn
    local cfg = support.server(extra)
    cfg.sni = { localhost = assert(ssl.newcontext(cfg)) }
    local seen = { n = 0 }
    local ctx = assert(ssl.newcontext(cfg))
    cfg.sni.localhost:setocsp(function(c)
      assert.equal(conn, c)
      seen.n = seen.n + 1
      seen.running = coroutine.running() or "main"
      seen.answer = { conn:receive() }
      return nil
    end)
    conn = accept(listener, ctx)
    listener:close()
    coroutine.wrap(function() assert(conn:dohandshake()) end)()
    assert.equal(1, seen.n)
    support.collect()
    peer:write("one\n")
    assert.equal("one", conn:receive())
    return conn, peer, seen
  end

  it("a renegotiation calls back in the coroutine that receives (Q11)", function()
    local conn, peer, seen = start("-tls1_2", { options = { "allow_client_renegotiation", "legacy_server_connect" } })
    local first = seen.running
    peer:write("R\n")
    conn:settimeout(0.05)
    local co
    support.poll(function()
      co = coroutine.create(function() return conn:receive() end)
      local _, data, err = coroutine.resume(co)
      assert.is_nil(data)
      assert.equal("wantread", err)
      return seen.n == 2
    end, "the renegotiation")
    assert.equal(co, seen.running)
    assert.are_not.equal(first, co)
    assert.same({ "the connection is busy: one of its own callbacks called it", "" },
      { seen.answer[2], seen.answer[3] })
    support.poll(function() return conn:want() == "read" and select(2, conn:receive()) == "wantread" end)
    peer:write("two\n")
    conn:settimeout(20)
    assert.equal("two", conn:receive())
    assert.equal(6, conn:send("three\n"))
    conn:close()
    assert.equal(1, count(peer.finish(), "three"))
  end)

  it("a client's renegotiation is refused unless allowed", function()
    local conn, peer, seen = start("-tls1_2")
    peer:write("R\n")
    local data, err = conn:receive()
    assert.is_nil(data)
    assert.matches("%a", err)
    assert.are_not.equal("wantread", err)
    assert.equal(1, seen.n)
    conn:close()
    peer.finish()
  end)

  it("keys are updated while both sides write", function()
    local conn, peer = start("-tls1_3")
    local big = ("0123456789abcdef"):rep(65536)
    for i = 1, 5 do
      peer:write(i % 2 == 0 and "k\n" or "K\n")
      assert.equal(#big, conn:send(big))
      -- s_client looks for commands at the start of what it reads alone: the line waits until this one was understood.
      support.poll(function() return count(peer.said(), "KEYUPDATE") == i end, "key update " .. i)
      peer:write("line " .. i .. "\n")
      assert.equal("line " .. i, conn:receive())
    end
    conn:send("\nend\n")
    conn:close()
    local text = peer.finish()
    assert.equal(5 * 65536, count(text, "0123456789abcdef"))
    assert.equal(5, count(text, "KEYUPDATE"), text:sub(1, 2000))
  end)
end)
