-- Read-ahead without its trap: what lies undecrypted in OpenSSL is neither forgotten nor waited for busily.

local S = require "support"
local socket = require "socket"

-- A loop as event libraries run it: waits for the socket unless the connection is dirty, then receives once. Ends when
-- nothing more comes. Returns what was received, how often receive was called, how often it got nothing.
local function loop(conn, pattern)
  local got, calls, idle, partial = {}, 0, 0, nil
  for _ = 1, 10000 do
    local ready = socket.select({ conn }, nil, 0.005)
    if not ready[conn] then break end
    calls = calls + 1
    local data, message
    data, message, partial = conn:receive(pattern, partial)
    if data then
      got[#got + 1] = data
      partial = nil
    else
      idle = idle + 1
      if not S.wants(message) then break end
    end
  end
  if partial and partial ~= "" then got[#got + 1] = partial end
  return got, calls, idle
end

-- A connected pair with a relay between them, nothing on the way, and the ciphertext of messages that the server sends.
local function prepared(messages, clientcfg)
  local c, s, relay = S.relayed(S.client(clientcfg), S.server())
  local cdone, sdone
  S.poll(function()
    relay:pump()
    cdone = cdone or c:dohandshake()
    sdone = sdone or s:dohandshake()
    return cdone and sdone
  end, "handshake")
  S.poll(function()
    relay:pump()
    c:receive(0)
    return not relay:pump()
  end, "tickets")
  for _, message in ipairs(messages) do assert(s:send(message)) end
  local cipher = {}
  S.poll(function()
    local part, _, partial = relay.b:receive(65536)
    cipher[#cipher + 1] = part or partial
    return #(part or partial) == 0
  end, "ciphertext")
  return c, relay.a, table.concat(cipher)
end

describe("read-ahead", function()
  local messages = { "one\n", "two\nthree\n", "four\n" }

  for _, pattern in ipairs { "*l", "1", "4" } do
    it("is right with the stream cut anywhere, by select and receive " .. pattern, function()
      local c, wire, cipher = prepared(messages)
      local total = #table.concat(messages)
      for cut = 1, #cipher - 1, pattern == "*l" and 1 or 3 do
        if cut > 1 then c, wire, cipher = prepared(messages) end
        local mode = pattern == "*l" and pattern or tonumber(pattern)
        wire:send(cipher:sub(1, cut))
        local before, calls, idle = loop(c, mode)
        assert.is_true(idle <= 2, ("cut at %d: %d of %d receives got nothing"):format(cut, idle, calls))
        assert.is_false(c:dirty())
        wire:send(cipher:sub(cut + 1))
        local after
        after, calls, idle = loop(c, mode)
        assert.is_true(idle <= 2, ("cut at %d: %d of %d receives got nothing"):format(cut, idle, calls))
        local n = 0
        for _, list in ipairs { before, after } do
          for _, data in ipairs(list) do n = n + #data + (pattern == "*l" and 1 or 0) end
        end
        -- A partial line is given in both halves when it was cut; whole lines and counts are given once.
        if pattern ~= "*l" then assert.equal(total, n) else assert.is_true(n >= total) end
        c:close()
        wire:close()
      end
    end)
  end

  -- Whole records of both versions, cut about the edges of records and of what is read at once (two records and a bit).
  for _, version in ipairs { "tlsv1_2", "tlsv1_3" } do
    it("is right with full records cut about their edges, " .. version, function()
      local blocks = {}
      for k = 1, 5 do blocks[k] = (string.char(64 + k) .. ("%05d"):format(k)):rep(2731):sub(1, 16384) end
      local all = table.concat(blocks)
      local overhead = version == "tlsv1_2" and 29 or 22
      local record = 16384 + overhead
      for _, cut in ipairs { 1, 5, record - 1, record, record + 4, record + 5, record + 6, 2 * record, 2 * record + 4,
        2 * record + 6, 3 * record - 1, 3 * record + 5, 3 * record + 6, 5 * record - 1 } do
        local c, wire, cipher = prepared(blocks, { protocol = version, ciphers = "ECDHE+AESGCM" })
        assert.equal(5 * record, #cipher)
        assert.equal(cut, (wire:send(cipher:sub(1, cut))))
        local before, calls, idle = loop(c, 1000)
        assert.is_true(idle <= 2, ("cut at %d: %d of %d receives got nothing"):format(cut, idle, calls))
        local part = table.remove(before)
        if part and #part == 1000 then before[#before + 1], part = part, nil end
        assert.equal(#cipher - cut, (wire:send(cipher:sub(cut + 1))))
        assert.is_true(table.concat(before) .. S.receive(c, #all - 1000 * #before, part) == all)
        assert.is_false(c:dirty())
        c:close()
        wire:close()
      end
    end)
  end

  it("gives what was read before the end, and then the end", function()
    local ends = { notify = { "closed", "closed" }, fin = { "unexpected eof while reading", "truncated" },
      rst = { "closed", "system" } }
    for _, ending in ipairs { "notify", "fin", "rst" } do
      local c, s = S.connected()
      for _, message in ipairs(messages) do assert(s:send(message)) end
      assert.equal("one", (S.receive(c, "*l")))
      if ending == "notify" then
        s:close()
      elseif ending == "fin" then
        S.raw(s, function(sock) sock:shutdown("send") end)
      else
        S.reset(s)
      end
      for _, line in ipairs { "two", "three", "four" } do assert.equal(line, (S.receive(c, "*l"))) end
      local _, err, _, detail = S.receive(c, "*l")
      assert.same(ends[ending], { err, detail.kind })
      assert.is_false(c:dirty())
      c:close()
      s:close()
    end
  end)

  it("is OpenSSL's business where the kernel may be asked to do the TLS", function()
    local c, s = S.connected(S.client { options = { "enable_ktls" }, readahead = true }, S.server())
    for _, message in ipairs(messages) do assert(s:send(message)) end
    for _, line in ipairs { "one", "two", "three", "four" } do assert.equal(line, (S.receive(c, "*l"))) end
    assert.is_false(c:dirty())
    assert.equal("reply", S.transfer(c, s, "reply"))
    c:close()
    s:close()
  end)

  -- A process of its own, whose memory no other spec has stirred.
  it("costs connections that wait for their peer no memory", function()
    local out = S.fresh([[
      local S = require "support"
      -- OpenSSL keeps the key of a handshake as long as the connection: some KiB for ML-KEM.
      local groups = { groups = "X25519" }
      local client, server = S.ssl.newcontext(S.client(groups)), S.ssl.newcontext(S.server(groups))
      local kept = {}
      local function add(n)
        for _ = 1, n do
          local c, s = S.connected(client, server)
          assert(s:send("line\n"))
          assert(S.receive(c, "*l") == "line")
          assert(select(2, c:receive("*l")) == "wantread" and select(2, s:receive("*l")) == "wantread")
          kept[#kept + 1] = { c, s }
        end
        S.collect()
      end
      add(50)
      local before = S.rss()
      if not before then return io.write("0") end
      add(150)
      io.write(math.floor((S.rss() - before) / 300))
    ]])
    assert.is_true(tonumber(out) < 32, out .. " KiB for each connection")
  end)

  it("takes several records at once, and says that it has them", function()
    local c, wire, cipher = prepared(messages)
    wire:send(cipher)
    assert.equal("one", (S.receive(c, "*l")))
    assert.is_true(c:dirty())
    assert.equal("two", (c:receive("*l")))
    assert.equal("three", (c:receive("*l")))
    assert.is_true(c:dirty())
    assert.equal("four", (c:receive("*l")))
    assert.equal("wantread", (select(2, c:receive("*l"))))
    assert.is_false(c:dirty())
    c:close()
    wire:close()
  end)

  -- An engine makes the stream beforehand: key updates, which OpenSSL works off without coming back.
  local function flooded(options)
    local sock, raw = S.tcp()
    local c = assert(S.ssl.wrap(sock, S.client { options = options }))
    local server = S.ssl.engine(S.server { protocol = "tlsv1_3" })
    c:settimeout(0)
    raw:settimeout(0)
    local cdone, sdone
    S.poll(function()
      cdone = cdone or c:dohandshake()
      local data, _, partial = raw:receive(65536)
      server:feed(data or partial)
      sdone = sdone or server:dohandshake()
      assert(raw:send(server:drain()))
      return cdone and sdone
    end, "the handshake")
    local updates, size = {}, 0
    while size < 400000 do
      assert(server:keyupdate("send"))
      updates[#updates + 1] = server:drain()
      size = size + #updates[#updates]
    end
    assert(server:send("end"))
    local flood, at = table.concat(updates) .. server:drain(), 1
    local function pour()
      local last, _, partial = raw:send(flood, at)
      at = (last or partial) + 1
    end
    S.poll(function()
      pour()
      return at > 300000
    end, "the socket to take the flood")
    local calls = 0
    S.poll(function()
      pour()
      calls = calls + 1
      local data, message = c:receive(3)
      assert.is_true(data == "end" or message == "wantread", message)
      return data
    end, "the end")
    assert.is_true(calls >= 5, calls)
    c:close()
    raw:close()
  end

  it("takes a share of a flood without plaintext, and no more, in one call", function() flooded() end)

  it("does so where the BIO is OpenSSL's own", function() flooded { "enable_ktls" } end)

  it("off leaves in the socket what is not of the record at hand", function()
    local c, wire, cipher = prepared(messages, { readahead = false })
    wire:send(cipher .. "plain text")
    for _, line in ipairs { "one", "two", "three", "four" } do assert.equal(line, (S.receive(c, "*l"))) end
    assert.is_false(c:dirty())
    S.raw(c, function(sock)
      sock:settimeout(5)
      assert.equal("plain text", sock:receive(10))
    end)
    c:close()
    wire:close()
  end)

  it("begins with the first read: data that came with the handshake wakes the socket", function()
    local c, s, relay = S.relayed(S.client(), S.server())
    -- The client's last message and its first data reach the server in one piece.
    local done
    S.poll(function()
      s:dohandshake()
      done = done or c:dohandshake()
      if not done then relay:pump() end
      return done
    end, "the client's handshake")
    assert(c:send("early\n"))
    S.poll(function()
      relay:pump()
      return s:dohandshake()
    end, "the server's handshake")
    local ready = socket.select({ setmetatable({ getfd = function() return s:getfd() end }, {}) }, nil, 5)
    assert.equal(1, #ready)
    assert.equal("early", (S.receive(s, "*l")))
    c:close()
    s:close()
  end)

  it("does not take what belongs to the plain text before STARTTLS", function()
    local a, b = S.tcp()
    a:send("STARTTLS\r\n")
    assert.equal("STARTTLS", b:receive("*l"))
    b:send("220 go\r\n")
    assert.equal("220 go", a:receive("*l"))
    local c, s = assert(S.ssl.wrap(a, S.client())), assert(S.ssl.wrap(b, S.server()))
    c:settimeout(0)
    s:settimeout(0)
    local cr, sr = S.shake(c, s)
    assert.is_true(cr[1] and sr[1])
    c:send("EHLO\r\n")
    assert.equal("EHLO", (S.receive(s, "*l")))
    c:close()
    s:close()
  end)
end)
