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
