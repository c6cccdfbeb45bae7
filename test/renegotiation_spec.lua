-- Renegotiation in TLS 1.2: refused on servers unless allowed, done by clients that are asked to. With openssl s_client
-- and s_server on the other side.

local S = require "support"
local socket = require "socket"
local process = require "process"
local ssl = S.ssl

-- s_client connected to a server of these settings.
local function serve(extra)
  local listener = assert(socket.bind("127.0.0.1", 0))
  listener:settimeout(20)
  local peer = process.dialogue("openssl s_client -tls1_2 -connect 127.0.0.1:%d", (select(2, listener:getsockname())))
  local conn = assert(ssl.wrap(assert(listener:accept()), S.server(extra)))
  listener:close()
  conn:settimeout(20)
  assert(conn:dohandshake())
  peer:write("one\n")
  assert.equal("one", conn:receive())
  return conn, peer
end

-- Drives a server until it ends or answers data.
local function outcome(conn)
  conn:settimeout(0)
  local data, message
  S.poll(function()
    data, message = conn:receive()
    return data or not S.wants(message)
  end)
  return data, message
end

describe("a server", function()
  it("refuses a client's renegotiation and says no_renegotiation", function()
    local conn, peer = serve()
    peer:write("R\n")
    local data, message = outcome(conn)
    assert.is_nil(data)
    assert.is_string(message)
    conn:close()
    assert.matches("no renegotiation", peer:finish())
  end)

  it("refuses it when that is allowed and forbidden", function()
    local conn, peer = serve { options = { "allow_client_renegotiation", "no_renegotiation" } }
    peer:write("R\n")
    assert.is_nil((outcome(conn)))
    conn:close()
    assert.matches("no renegotiation", peer:finish())
  end)

  it("refuses it in spite of OpenSSL's configuration file", function()
    local file = S.tmpfile("openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\n" ..
      "Options = ClientRenegotiation\n")
    local out = S.fresh([[
      local S = require "support"
      local socket = require "socket"
      local listener = assert(socket.bind("127.0.0.1", 0))
      listener:settimeout(20)
      local p = io.popen(("exec timeout 20 openssl s_client -tls1_2 -connect 127.0.0.1:%d 2>&1 >/dev/null"):format(
        select(2, listener:getsockname())), "w")
      local conn = assert(S.ssl.wrap(assert(listener:accept()), S.server()))
      conn:settimeout(20)
      assert(conn:dohandshake())
      p:write("R\n")
      p:flush()
      print(conn:receive() or "ended")
      conn:close()
      p:close()
    ]], "OPENSSL_CONF=" .. file)
    os.remove(file)
    assert.matches("no renegotiation", out)
    assert.matches("ended", out)
  end)

  it("does it when it is allowed", function()
    local conn, peer = serve { options = "allow_client_renegotiation" }
    peer:write("R\n")
    conn:settimeout(0)
    for _ = 1, 20 do
      assert.equal("wantread", select(2, conn:receive()))
      socket.sleep(0.01)
    end
    peer:write("two\n")
    assert.equal("two", (outcome(conn)))
    conn:close()
    local text = peer:finish()
    assert.matches("RENEGOTIATING", text)
    assert.is_nil(text:find("no renegotiation", 1, true))
  end)
end)

-- A client connected to s_server.
local function connect(extra)
  local probe = assert(socket.bind("127.0.0.1", 0))
  local port = select(2, probe:getsockname())
  probe:close()
  local peer = process.dialogue("openssl s_server -tls1_2 -accept 127.0.0.1:%d -naccept 1 -cert %s -key %s",
    port, S.cert "serverA", S.cert "serverAkey")
  peer:sees("ACCEPT")
  local tcp = assert(socket.connect("127.0.0.1", port))
  local conn = assert(ssl.wrap(tcp, S.client(extra)))
  conn:settimeout(20)
  assert(conn:dohandshake())
  conn:send("one\n")
  peer:sees("one")
  return conn, peer
end

describe("a client", function()
  it("renegotiates when the server asks", function()
    local conn, peer = connect()
    local first = conn:getfinished()
    conn:settimeout(0)
    peer:write("r\n")
    S.poll(function()
      local data, message = conn:receive()
      assert.is_nil(data)
      assert.equal("wantread", message)
      return conn:getfinished() ~= first
    end, "the renegotiation")
    assert.is_true(conn:getpeerverification())
    assert.equal(4, conn:send("two\n"))
    peer:sees("two")
    peer:write("three\n")
    assert.equal("three", (outcome(conn)))
    conn:close()
    peer:finish()
  end)

  it("stays as it is with no_renegotiation", function()
    local conn, peer = connect { options = "no_renegotiation" }
    local first = conn:getfinished()
    peer:write("r\n")
    local _, message = outcome(conn) -- s_server gives up
    assert.is_string(message)
    assert.equal(first, conn:getfinished() or first)
    conn:close()
    peer:finish()
  end)
end)
