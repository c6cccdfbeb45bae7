-- samples/starttls-smtp/ and samples/starttls-xmpp/: TLS in the middle of a conversation, with each other, with the
-- openssl command as a peer, and with somebody in between.

local S = require "support"
local process = require "process"
local socket = require "socket"

local rootA, rootB = S.cert "rootA", S.cert "rootB"
local server

local function serve(name, count)
  server = process.lua("samples/starttls-" .. name .. "/server.lua", S.certdir, 0, count)
  return server:expect("^(%d+)$")
end

local function client(name, ...)
  local output, status = process.lua("samples/starttls-" .. name .. "/client.lua", ...):wait()
  return output, status
end

-- Runs a client against a server that says these lines, each after it has been told one; what the client prints.
local function against(name, ...)
  local listener = assert(socket.bind("127.0.0.1", 0))
  listener:settimeout(20)
  local program = process.lua("samples/starttls-" .. name .. "/client.lua", rootA,
    (select(2, listener:getsockname())))
  local sock = assert(listener:accept())
  sock:settimeout(20)
  for i, text in ipairs { ... } do
    if i > 1 or name == "xmpp" then sock:receive(name == "xmpp" and 1 or "*l") end
    sock:send(text)
  end
  local output, status = program:wait()
  sock:close()
  listener:close()
  return output, status
end

-- Says something to the server, and what it answers until it closes.
local function say(port, text)
  local sock = assert(socket.connect("127.0.0.1", port))
  sock:settimeout(20)
  sock:send(text)
  sock:shutdown("send")
  local answer, _, part = sock:receive("*a")
  sock:close()
  return answer or part
end

-- openssl s_client, which knows both protocols.
local function openssl(port, name)
  return (process.start { "openssl", "s_client", "-connect", "127.0.0.1:" .. port, "-starttls", name, "-CAfile", rootA,
    "-verify_return_error", "-servername", "localhost", "-xmpphost", "localhost", "-brief" }:wait())
end

describe("samples/starttls-smtp", function()
  after_each(function() server = server and server:kill() and nil end)

  it("sends a mail by TLS", function()
    local port = serve("smtp", 3)
    assert.same({ "sent by localhost", 0 }, { client("smtp", rootA, port) })
    server:expect("^| by TLSv1.3$")
    server:expect("^done$")
    local output, status = client("smtp", rootB, port)
    assert.same({ "not sent: certificate verify failed", 1 }, { output, status })
    server:expect("^ended: .*unknown ca")
    assert.matches("Verification: OK", openssl(port, "smtp"), 1, true)
    assert.equal(0, (select(2, server:wait())))
  end)

  it("has nothing to do with servers that offer no TLS, or put words in front of it", function()
    assert.same({ "not sent: the server offers no TLS", 1 }, { against("smtp", "220 hi\r\n", "250 server.test\r\n") })
    local output, status = against("smtp", "220 hi\r\n", "250-x\r\n250 STARTTLS\r\n", "454 not now\r\n")
    assert.equal(1, status)
    assert.matches("^not sent: STARTTLS: 454 not now", output)
    assert.same({ "not sent: there are words before TLS that would count as said in it", 1 },
      { against("smtp", "220 hi\r\n", "250 STARTTLS\r\n", "220 go\r\n250 evil\r\n") })
  end)

  it("takes no mail, and no words of others, without TLS", function()
    local port = serve("smtp", 4)
    assert.matches("530 STARTTLS first", say(port, "MAIL FROM:<a@b.test>\r\n"), 1, true)
    assert.is_nil(say(port, "STARTTLS\r\nMAIL FROM:<a@b.test>\r\n"):find("250", 1, true))
    assert.matches("500 what", say(port, "\0junk\r\n"), 1, true)
    assert.matches("500 what", say(port, "\r\n"), 1, true)
    local output, status = server:wait()
    assert.equal(0, status)
    assert.matches("ended: words before TLS", output, 1, true)
  end)
end)

describe("samples/starttls-xmpp", function()
  after_each(function() server = server and server:kill() and nil end)

  it("opens the stream again in TLS", function()
    local port = serve("xmpp", 3)
    assert.same({ "mechanisms: SCRAM-SHA-256-PLUS\nchannel binding: 32 bytes", 0 }, { client("xmpp", rootA, port) })
    server:expect("^done$")
    local output, status = client("xmpp", rootA, port, "other.test")
    assert.same({ "no stream: certificate verify failed", 1 }, { output, status })
    assert.matches("Verification: OK", openssl(port, "xmpp"), 1, true)
    server:wait()
  end)

  it("has nothing to do with servers that offer no TLS, or put words in front of it", function()
    local function features(text) return "<stream:stream><stream:features>" .. text .. "</stream:features>" end
    assert.same({ "no stream: the server offers no TLS", 1 }, { against("xmpp", features "") })
    assert.same({ "no stream: there are words before TLS that would count as said in it", 1 },
      { against("xmpp", features "<starttls/>" .. "<proceed/><iq/>") })
  end)

  it("takes no words of others into TLS", function()
    local port = serve("xmpp", 2)
    local answer = say(port, "<stream:stream a='b'><starttls xmlns='x'/><iq/>")
    assert.is_nil(answer:find("<proceed", 1, true))
    assert.equal("", say(port, ("x"):rep(20000)))
    local output, status = server:wait()
    assert.equal(0, status)
    assert.matches("ended: words before TLS that would count as said in it\nended: too much", output, 1, true)
  end)
end)
