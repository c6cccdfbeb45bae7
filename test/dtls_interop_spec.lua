-- DTLS 1.2 against openssl and gnutls, in both roles.

local socket = require "socket"
local S = require "support"
local process = require "process"
local ssl = S.ssl

local function available(command) return os.execute("command -v " .. command .. " >/dev/null 2>&1") end

-- A UDP socket of ours on loopback, and its port.
local function udp()
  local sock = assert(socket.udp())
  assert(sock:setsockname("127.0.0.1", 0))
  sock:settimeout(0.01)
  return sock, select(2, sock:getsockname())
end

-- A port that nobody had a moment ago, for a program that cannot be told to let the kernel choose.
local function freeport()
  local sock, port = udp()
  sock:close()
  return port
end

-- Serves one client on a UDP socket: cookie, handshake, then answers its first line in capitals. Returns that line.
local function serve(sock)
  local ctx = assert(ssl.newcontext(S.server { protocol = "dtls" }))
  local engine, peer, port = assert(ssl.engine(ctx)), nil, nil
  local listened, retries, line = false, 0, nil
  local function send()
    local datagram = engine:drain()
    while datagram ~= "" do
      assert(sock:sendto(datagram, peer, port))
      datagram = engine:drain()
    end
  end
  S.poll(function()
    local datagram, from, fromport = sock:receivefrom()
    if datagram then
      peer, port = from, fromport
      assert(engine:feed(datagram))
    end
    if not peer then return false end
    if not listened then
      local ok, message = engine:listen(peer .. " " .. port)
      if message == "retry" then retries = retries + 1 end
      listened = ok
    elseif engine:dohandshake() then
      line = engine:receive()
      if line then engine:send(line:upper() .. "\n") end
    end
    send()
    return line
  end, "a line over DTLS")
  assert.equal(1, retries)
  engine:close()
  send()
  return line
end

-- Talks to a server that echoes lines reversed or as they are.
local function talk(port, ready)
  local sock = assert(socket.udp())
  assert(sock:setpeername("127.0.0.1", port))
  local conn = assert(ssl.wrap(sock, S.client { protocol = "dtls", servername = "localhost", verifyname = false }))
  conn:settimeout(10)
  assert(conn:dohandshake())
  assert.is_true(conn:getpeerverification())
  assert.equal("DTLSv1.2", conn:info("protocol"))
  conn:send("over the datagrams\n")
  ready(conn)
  conn:close()
end

describe("DTLS", function()
  it("serves openssl s_client", function()
    local sock, port = udp()
    local peer = process.dialogue("openssl s_client -dtls1_2 -connect 127.0.0.1:%d -CAfile %s -verify_return_error",
      port, S.cert "rootA")
    peer:write("hello openssl\n")
    assert.equal("hello openssl", serve(sock))
    local text = peer:finish()
    assert.truthy(text:find("Verify return code: 0", 1, true), text)
    assert.truthy(text:find("HELLO OPENSSL", 1, true), text)
    sock:close()
  end)

  it("serves gnutls-cli", function()
    if not available("gnutls-cli") then pending("gnutls-cli is not installed") end
    local sock, port = udp()
    local peer = process.dialogue("gnutls-cli --udp --port %d --x509cafile %s --no-ca-verification 127.0.0.1",
      port, S.cert "rootA")
    peer:write("hello gnutls\n")
    assert.equal("hello gnutls", serve(sock))
    local text = peer:finish()
    assert.truthy(text:find("DTLS1.2", 1, true), text)
    assert.truthy(text:find("HELLO GNUTLS", 1, true), text)
    sock:close()
  end)

  it("is served by openssl s_server", function()
    local port = freeport()
    local peer = process.dialogue("openssl s_server -dtls1_2 -listen -accept 127.0.0.1:%d -cert %s -key %s",
      port, S.cert "serverA", S.cert "serverAkey")
    peer:sees("ACCEPT")
    talk(port, function(conn)
      peer:sees("over the datagrams")
      peer:write("back to you\n")
      assert.equal("back to you", (conn:receive()))
    end)
    peer:write("Q\n")
    peer:finish()
  end)

  it("is served by gnutls-serv", function()
    if not available("gnutls-serv") then pending("gnutls-serv is not installed") end
    local port = freeport()
    local command = "gnutls-serv --udp --echo --port %d --x509certfile %s --x509keyfile %s"
    local peer = process.dialogue(command, port, S.cert "serverA", S.cert "serverAkey")
    S.poll(function() return S.read("/proc/net/udp"):find((":%04X "):format(port), 1, true) end, "gnutls-serv")
    talk(port, function(conn) assert.equal("over the datagrams", (conn:receive())) end)
    peer:signal("TERM")
    peer:finish()
  end)
end)
