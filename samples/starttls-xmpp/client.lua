-- Opens an XMPP stream, makes it TLS (RFC 6120 section 5), and opens it again.
--   lua samples/starttls-xmpp/client.lua [CAFILE [PORT [DOMAIN]]]

local socket = require "socket"
local ssl = require "ssl"

local cafile, port, domain = arg[1] or "build/certs/rootA.pem", arg[2] or 5222, arg[3] or "localhost"

local function fail(why)
  print("no stream: " .. tostring(why))
  os.exit(1)
end

-- All that comes up to the end of a pattern. XML has no lines, so it is read a byte at a time, from a buffer.
local function expect(conn, pattern)
  local text = ""
  repeat
    local byte, why = conn:receive(1)
    if not byte then fail(why .. " after " .. text) end
    text = text .. byte
  until text:find(pattern .. "$") or #text > 10000
  return text
end

local stream = "<?xml version='1.0'?><stream:stream to='" .. domain .. "' version='1.0' xmlns='jabber:client'" ..
  " xmlns:stream='http://etherx.jabber.org/streams'>"

local sock, why = socket.connect("127.0.0.1", port) -- a real client asks DNS for _xmpp-client._tcp.DOMAIN
if not sock then fail(why) end
sock:settimeout(10)
sock:send(stream)
if not expect(sock, "</stream:features>"):find("<starttls", 1, true) then fail("the server offers no TLS") end
sock:send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
expect(sock, "<proceed[^>]*>")
if sock:dirty() then fail("there are words before TLS that would count as said in it") end

local conn = assert(ssl.wrap(sock, {
  mode = "client", protocol = "tlsv1_2+", verify = "peer", cafile = cafile,
  servername = domain, -- the domain of the account, not the host that DNS names for it
}))
conn:settimeout(10)
local ok, message = conn:dohandshake()
if not ok then fail(message) end
assert(conn:send(stream))
print("mechanisms: " .. (expect(conn, "</stream:features>"):match("<mechanism>([^<]*)") or "none"))
-- What SCRAM-SHA-256-PLUS binds a login to, so that it is worth nothing on any other connection (RFC 9266).
print("channel binding: " .. #assert(conn:getchannelbinding("tls-exporter")) .. " bytes")
conn:send("</stream:stream>")
conn:close()
