-- Handshakes that go wrong, and how each way is told from the others: wrong peers, alerts, peers that vanish at any
-- byte; handshakes side by side; callbacks that meddle with their own connection; collection in any order.

local socket = require "socket"
local ssl = require "ssl"
local support = require "support"
local streams = require "streams"
local release = require "release"

local function refused(result, pattern, kind)
  assert.is_false(result[1])
  assert.matches(pattern, result[2])
  assert.equal("table", type(result[3]))
  assert.equal(kind, result[3].kind)
end

-- Steps one side until it ends.
local function finish(conn)
  local ok, err, detail
  support.poll(function()
    ok, err, detail = conn:dohandshake()
    return ok or not support.wants(err)
  end, "the handshake's end")
  return { ok, err, detail }
end

-- One TLS connection whose peer is a plain socket: conn, socket.
local function against_plain(cfg)
  local a, b = support.tcp()
  local conn = assert(ssl.wrap(a, cfg))
  conn:settimeout(0)
  return conn, b
end

describe("a handshake with a peer that", function()
  it("speaks plain text fails: client", function()
    local conn, peer = against_plain(support.client())
    peer:send("220 mail.test ESMTP ready\r\n")
    refused(finish(conn), "^wrong version number$", "protocol")
    conn:close()
    peer:close()
  end)

  it("speaks HTTP fails: server", function()
    local conn, peer = against_plain(support.server())
    peer:send("GET / HTTP/1.0\r\n\r\n")
    refused(finish(conn), "^http request$", "protocol")
    conn:close()
    peer:close()
  end)

  it("sends random bytes fails with a sentence, never hangs", function()
    math.randomseed(20261121)
    for i = 1, 200 do
      local cfg = i % 2 == 0 and support.server() or support.client()
      local conn, peer = against_plain(cfg)
      local bytes = {}
      for j = 1, math.random(1, 300) do bytes[j] = string.char(math.random(0, 255)) end
      -- Half of them begin like a record, so that more than the header is looked at.
      if i % 4 < 2 then bytes[1], bytes[2], bytes[3], bytes[4] = "\22", "\3", "\1", "\0" end
      peer:send(table.concat(bytes))
      peer:shutdown("send")
      local result = finish(conn)
      assert.is_false(result[1])
      assert.matches("%a", result[2])
      conn:close()
      peer:close()
    end
  end)

  it("has no cipher in common: reason here, alert there", function()
    local c, s = support.wrapped(
      support.anyclient { protocol = "tlsv1_2", ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256" },
      support.server { protocol = "tlsv1_2", ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384" })
    local cr, sr = support.shake(c, s)
    refused(sr, "^no shared cipher$", "protocol")
    refused(cr, "alert handshake failure$", "alert")
    c:close()
    s:close()
  end)

  it("has no protocol in common", function()
    local c, s = support.wrapped(support.anyclient { protocol = "tlsv1_2" }, support.server { protocol = "tlsv1_3" })
    local cr, sr = support.shake(c, s)
    refused(sr, "^unsupported protocol$", "protocol")
    refused(cr, "^tlsv1 alert protocol version$", "alert")
    c:close()
    s:close()
  end)

  it("is not verified: what and whose certificate at what depth", function()
    local c, s = support.wrapped(support.client { cafile = support.cert("rootB") })
    local cr, sr = support.shake(c, s)
    refused(cr, "^certificate verify failed$", "verify")
    assert.equal(0, cr[3].depth)
    assert.matches("serverA", cr[3].subject)
    assert.equal(20, cr[3].code) -- X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY
    refused(sr, "^tlsv1 alert unknown ca$", "alert")
    assert.equal(cr[3], c:lasterror())
    assert.equal(sr[3], s:lasterror())
    c:close()
    s:close()
  end)

  it("wants a certificate: TLS 1.3 tells the client when it reads", function()
    local c, s = support.wrapped(support.client { protocol = "tlsv1_3" }, support.server {
      verify = { "peer", "fail_if_no_peer_cert" }, cafile = support.cert("rootA") })
    local cr, sr = support.shake(c, s)
    assert.is_true(cr[1])
    refused(sr, "^peer did not return a certificate$", "protocol")
    local data, err, partial, detail = support.receive(c)
    assert.same({ n = 3, nil, "tlsv13 alert certificate required", "" }, { n = 3, data, err, partial })
    assert.equal("alert", detail.kind)
    assert.equal(detail, c:lasterror())
    c:close()
    s:close()
  end)

  it("says close_notify instead of hello", function()
    local conn, peer = against_plain(support.client())
    conn:dohandshake()
    peer:send("\21\3\3\0\2\1\0")
    refused(finish(conn), "^closed$", "closed")
    refused(finish(conn), "^closed$", "closed")
    conn:close()
    peer:close()
  end)

  it("goes away is told apart from one that resets; both are final (Q30)", function()
    for _, cfg in ipairs { support.client(), support.server() } do
      local conn, peer = against_plain(cfg)
      conn:dohandshake()
      peer:shutdown("send")
      refused(finish(conn), "^unexpected eof while reading$", "truncated")
      peer:close()
      for _ = 1, 3 do refused({ conn:dohandshake() }, "^unexpected eof while reading$", "truncated") end
      conn:close()

      conn, peer = against_plain(cfg)
      conn:dohandshake()
      peer:setoption("linger", { on = true, timeout = 0 })
      peer:close()
      refused(finish(conn), "^closed$", "system")
      for _ = 1, 3 do refused({ conn:dohandshake() }, "^closed$", "system") end
      conn:close()
    end
  end)
end)

describe("a handshake", function()
  it("that waits says for what, with its own kind of detail", function()
    local c, s = support.wrapped()
    local ok, err, detail = c:dohandshake()
    assert.is_false(ok)
    assert.equal("wantread", err)
    assert.equal("want", detail.kind)
    assert.equal("read", c:want())
    assert.is_nil(c:lasterror())
    c:close()
    s:close()
  end)

  it("that failed repeats its first error whatever else is called (Q30)", function()
    local c, s = support.wrapped(support.client { cafile = support.cert("rootB") })
    local first = support.shake(c, s)
    for _ = 1, 3 do
      c:receive()
      c:send("x")
      c:info()
      c:getpeerverification()
      local ok, err, detail = c:dohandshake()
      assert.is_false(ok)
      assert.equal(first[2], err)
      assert.equal(first[3], detail)
    end
    local verified, reason = c:getpeerverification()
    assert.is_false(verified)
    assert.equal("unable to get local issuer certificate", reason)
    c:close()
    s:close()
  end)

  it("works when every byte comes alone", function()
    for _, protocol in ipairs { "tlsv1_2", "tlsv1_3" } do
      local c, s, relay = support.relayed(support.client { protocol = protocol })
      relay.chunk = 1
      local cok, sok
      local steps = 0
      while not (cok and sok) do
        cok, sok = c:dohandshake(), s:dohandshake()
        relay:pump()
        steps = steps + 1
        assert.is_true(steps < 20000)
      end
      c:close()
      s:close()
      relay:close()
    end
  end)

  -- How many bytes go each way in a whole handshake.
  local function sizes(protocol)
    local c, s, relay = support.relayed(support.client { protocol = protocol })
    local cok, sok
    support.poll(function()
      cok, sok = c:dohandshake(), s:dohandshake()
      relay:pump()
      return cok and sok
    end)
    c:close()
    s:close()
    relay:close()
    return relay.moved
  end

  -- Both sides after the relay let `limit` bytes through and cut. Each result ends, with true or an error.
  local function cut_at(protocol, way, limit, how)
    local c, s, relay = support.relayed(support.client { protocol = protocol })
    relay.limit[way] = limit
    local done = {}
    local function step(conn)
      if done[conn] then return end
      local ok, err, detail = conn:dohandshake()
      if ok or not support.wants(err) then done[conn] = { ok, err, detail } end
    end
    local last, idle = -1, 0
    while idle < 3 do -- until nothing moves any more
      step(c)
      step(s)
      relay:pump()
      local moved = relay.moved.up + relay.moved.down
      idle = moved == last and idle + 1 or 0
      last = moved
    end
    relay:cut(how)
    support.poll(function()
      step(c)
      step(s)
      return done[c] and done[s]
    end, "both ends")
    relay:close()
    return c, s, done
  end

  local kinds = { truncated = true, system = true }

  for _, protocol in ipairs { "tlsv1_2", "tlsv1_3" } do
    for _, way in ipairs { "up", "down" } do
      for _, how in ipairs { "fin", "rst" } do
        it(protocol .. " whose stream " .. way .. " ends by " .. how .. " at any byte fails cleanly", function()
          local total = sizes(protocol)[way]
          local failures = 0
          for limit = 0, total, math.max(1, math.floor(total / 40)) do
            local c, s, done = cut_at(protocol, way, limit, how)
            for _, conn in ipairs { c, s } do
              local result = done[conn]
              if result[1] then
                -- TLS lets one side finish first; it finds out when it reads.
                local data, err, _, detail = support.receive(conn)
                assert.is_nil(data)
                assert.matches(how == "fin" and "^unexpected eof" or "^closed$", err)
                assert.is_true(kinds[detail.kind])
              else
                failures = failures + 1
                assert.matches(how == "fin" and "^unexpected eof" or "^closed$", result[2])
                assert.is_true(kinds[result[3].kind])
                local again = { conn:dohandshake() }
                assert.same(result[2], again[2])
              end
              conn:close()
            end
          end
          assert.is_true(failures >= 40)
        end)
      end
    end
  end
end)

describe("after the handshake", function()
  it("close_notify, cut, reset, alert and garbage are five things", function()
    local function outcome(how, protocol)
      local c, s, peer
      if how == "garbage" then
        local relay
        c, s, relay = support.relayed()
        streams.relayhandshake(c, s, relay)
        relay.a:send("\23\3\3\0\20" .. ("x"):rep(20))
        peer = relay
      else
        c, s = support.connected(support.client { protocol = protocol })
      end
      if how == "close_notify" then s:close() end
      if how == "cut" then support.raw(s, function(sock) sock:shutdown("send") end) end
      if how == "reset" then support.reset(s) end
      local data, err, partial, detail = support.receive(c, 10)
      assert.is_nil(data)
      assert.equal("", partial)
      assert.equal(detail, c:lasterror())
      local again = support.pack(c:receive(10))
      assert.equal("closed", again[2])
      c:close()
      s:close()
      if peer then peer:close() end
      return err, detail.kind, again[4].kind
    end
    for _, protocol in ipairs { "tlsv1_2", "tlsv1_3" } do
      assert.same({ "closed", "closed", "closed" }, { outcome("close_notify", protocol) })
      -- The message of later calls is "closed" as ever; what it was stays in the detail.
      assert.same({ "unexpected eof while reading", "truncated", "truncated" }, { outcome("cut", protocol) })
    end
    assert.same({ "decryption failed or bad record mac", "protocol", "protocol" }, { outcome("garbage") })
    assert.same({ "closed", "system", "system" }, { outcome("reset", "tlsv1_2") })
  end)

  it("a cut stream stays ended: no call spins, no call succeeds (Q3)", function()
    local c, s = support.connected()
    s:send("some")
    support.raw(s, function(sock) sock:shutdown("send") end)
    local data, err, partial, detail = support.receive(c, "*a")
    assert.is_nil(data)
    assert.equal("unexpected eof while reading", err)
    assert.equal("some", partial)
    assert.equal("truncated", detail.kind)
    c:settimeout(nil)
    for _ = 1, 100 do
      for _, pattern in ipairs { "*a", "*l", 1 } do
        data, err, partial = c:receive(pattern)
        assert.is_nil(data)
        assert.equal("closed", err)
        assert.equal("", partial)
      end
      local n, senderr, last = c:send("x")
      assert.same({ n = 3, nil, "closed", 0 }, { n = 3, n, senderr, last })
    end
    c:close()
    s:close()
  end)

  it("ignore_unexpected_eof makes a cut stream look closed", function()
    local c, s = support.connected(support.client { options = "ignore_unexpected_eof" })
    s:send("some")
    support.raw(s, function(sock) sock:shutdown("send") end)
    assert.equal("some", support.receive(c, "*a"))
    for _ = 1, 3 do
      local data, err = c:receive("*a")
      assert.is_nil(data)
      assert.equal("closed", err)
    end
    c:close()
    s:close()
  end)

  it("close sends close_notify, nothing after a fatal error (Q19), and never waits (Q17)", function()
    local c, s = support.connected()
    c:close()
    local _, err, _, detail = support.receive(s)
    assert.same({ "closed", "closed" }, { err, detail.kind })
    s:close()

    -- Full socket buffers: nobody reads at the other end.
    c, s = support.connected()
    local chunk = ("x"):rep(65536)
    local stuck
    for _ = 1, 1000 do
      local n, why = c:send(chunk)
      if not n then
        stuck = why
        break
      end
    end
    assert.equal("wantwrite", stuck)
    c:settimeout(nil)
    local start = socket.gettime()
    c:close()
    assert.is_true(socket.gettime() - start < 1)
    assert.equal(-1, c:getfd())
    s:close()
  end)

  it("after an error in the stream close sends no alert behind OpenSSL's own (Q19)", function()
    local c, s, relay = support.relayed()
    streams.relayhandshake(c, s, relay)
    relay.a:send("\23\3\3\0\20" .. ("x"):rep(20))
    local _, err = support.receive(c)
    assert.equal("decryption failed or bad record mac", err)
    for _ = 1, 5 do relay:pump() end
    local before = relay.moved.up
    c:close()
    for _ = 1, 5 do relay:pump() end
    assert.equal(before, relay.moved.up)
    local _, alert, _, detail = support.receive(s)
    assert.same({ release.alert("bad record mac"), "alert" }, { alert, detail.kind })
    s:close()
    relay:close()
  end)

  it("after a failed handshake close sends no alert", function()
    local c, s, relay = support.relayed(support.client { cafile = support.cert("rootB"), protocol = "tlsv1_2" })
    support.poll(function()
      local ok, err = c:dohandshake()
      s:dohandshake()
      relay:pump()
      return not ok and not support.wants(err)
    end)
    for _ = 1, 5 do relay:pump() end
    local before = relay.moved.up
    c:close()
    for _ = 1, 5 do relay:pump() end
    assert.equal(before, relay.moved.up)
    s:close()
    relay:close()
  end)
end)
