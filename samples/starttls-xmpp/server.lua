-- The first words of an XMPP server: a stream, TLS, and the stream again, with what is offered only now. Prints its
-- port.
--   lua samples/starttls-xmpp/server.lua [CERTS [PORT [COUNT]]]

local socket = require "socket"
local ssl = require "ssl"

local certs, port, count = arg[1] or "build/certs", tonumber(arg[2] or 5222), tonumber(arg[3]) or math.huge
local context = assert(ssl.newcontext {
  mode = "server", protocol = "tlsv1_2+", certificate = certs .. "/serverA.pem", key = certs .. "/serverAkey.pem",
})

local function expect(conn, pattern)
  local text = ""
  repeat
    local byte, why = conn:receive(1)
    if not byte then error(why, 0) end
    text = text .. byte
    if #text > 10000 then error("too much", 0) end
  until text:find(pattern .. "$")
  return text
end

-- Answers a stream's head with ours and the features.
local function open(conn, features)
  expect(conn, "<stream:stream [^>]*>")
  assert(conn:send("<?xml version='1.0'?><stream:stream from='localhost' id='1' version='1.0' xmlns='jabber:client'" ..
    " xmlns:stream='http://etherx.jabber.org/streams'><stream:features>" .. features .. "</stream:features>"))
end

local tls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"
local sasl = "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>" ..
  "<mechanism>SCRAM-SHA-256-PLUS</mechanism></mechanisms>"

local function serve(sock)
  open(sock, tls)
  expect(sock, "<starttls [^>]*>")
  if sock:dirty() then error("words before TLS that would count as said in it", 0) end
  assert(sock:send("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"))
  local conn = assert(ssl.wrap(sock, context))
  conn:settimeout(10)
  local ok, message = conn:dohandshake()
  if ok then ok, message = pcall(open, conn, sasl) end
  if ok then ok, message = pcall(expect, conn, "</stream:stream>") end
  conn:close()
  if not ok then error(message, 0) end
end

local listener = assert(socket.bind("127.0.0.1", port))
io.stdout:setvbuf("line")
print((select(2, listener:getsockname())))
for _ = 1, count do
  local sock = assert(listener:accept())
  sock:settimeout(10)
  local ok, message = pcall(serve, sock)
  print(ok and "done" or "ended: " .. tostring(message))
  sock:close()
end
