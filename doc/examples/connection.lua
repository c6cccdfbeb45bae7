-- Examples of the reference. test/reference_spec.lua runs each by itself, with conn, a client's connection whose
-- handshake is done and for which "hello\n" is waiting, and peer, the server's end. (new): before the handshake.
-- (engine): on memory. (dtls): engines of DTLS, peer with the client's first datagram. (dane): an engine that may
-- verify by TLSA records. (poll): without waiting.

--- conn:dohandshake (new)
local ok, message, detail = conn:dohandshake()
while message == "wantread" or message == "wantwrite" do
  peer:dohandshake() -- elsewhere: wait for the socket, with select or an event loop
  ok, message, detail = conn:dohandshake()
end
if not ok then print(message, detail.hint) end

--- conn:settimeout, conn:gettimeout
conn:settimeout(10) -- each wait
conn:settimeout(60, "t") -- the whole call
print(conn:gettimeout()) -- 10 60

--- conn:send
local data, last = "GET / HTTP/1.0\r\n\r\n", 0
repeat
  local sent, message, partial = conn:send(data, last + 1)
  last = sent or partial
  assert(sent or message == "wantread" or message == "wantwrite", message)
until sent

--- conn:receive
local line, message, partial = conn:receive("*l")
if not line and message == "wantread" then
  line = conn:receive("*l", partial) -- later: what came so far goes in front
end
assert(line == "hello")

--- conn:read
local data = assert(conn:read(100))
assert(data == "hello\n")

--- conn:write
local last = assert(conn:write("ping\n"))
assert(last == 5)

--- conn:sendfile
local file = assert(io.open(arg and arg[0] or "README.md", "rb"))
local sent, message, sofar = conn:sendfile(file, 0, 10)
print(sent or sofar, message)
file:close()

--- conn:pending
conn:receive(1) -- "h"
assert(conn:pending() == 5) -- bytes that no select would tell of

--- conn:dirty
if conn:dirty() then print "receive before waiting in select" end

--- conn:close
conn:close()
assert(conn:getfd() == -1)

--- conn:shutdown (poll)
local ok, message = conn:shutdown()
if not ok then print(message) end -- "wantread": the peer's close_notify is to come, call again

--- conn:keyupdate
assert(conn:keyupdate())

--- conn:lasterror
conn:close()
conn:receive("*l")
print(conn:lasterror().kind) -- closed

--- conn:want
local ok, message = conn:read()
print(ok, message, conn:want())

--- conn:getfd
assert(conn:getfd() >= 0)

--- conn:info
print(conn:info("protocol"), conn:info("cipher"))
for name, value in pairs(conn:info()) do print(name, value) end

--- conn:getalpn
print(conn:getalpn() or "no protocol was agreed on")

--- conn:getsniname
print(peer:getsniname()) -- on the server: what the client asked for

--- conn:sni (new)
conn:sni("localhost") -- a client; a server: peer:sni { ["a.test"] = ctx, ["b.test"] = other }

--- conn:getpeercertificate
local cert = conn:getpeercertificate()
print(cert:oneline(), cert:notafter())

--- conn:getpeerchain
for i, cert in ipairs(conn:getpeerchain()) do print(i, cert:oneline()) end

--- conn:getlocalcertificate, conn:getlocalchain
print(peer:getlocalcertificate():oneline())
for i, cert in ipairs(peer:getlocalchain()) do print(i, cert:digest("sha256")) end

--- conn:getpeerverification
local ok, problems = conn:getpeerverification()
assert(ok, problems)

--- conn:getocsp
local status = conn:getocsp()
print(status and status.status or "the server stapled nothing")

--- conn:ocspcheck
local status = conn:ocspcheck("what an OCSP responder answered")
print(status.verified, status.message)

--- conn:setdane (dane)
assert(conn:setdane("localhost"))
assert(conn:settlsa(3, 1, 1, ("\1"):rep(32))) -- one call for each TLSA record; then dohandshake

--- conn:settlsa (dane)
conn:setdane("localhost")
assert(conn:settlsa(3, 1, 1, ("\1"):rep(32)))

--- conn:getsession, conn:setsession
conn:receive("*l") -- with TLS 1.3 the session comes with the first data
local session = conn:getsession()
if session then
  local nextone = assert(ssl.engine { mode = "client", protocol = "any", verify = "peer", cafile = ca })
  print(nextone:setsession(session)) -- then dohandshake
end

--- conn:sessionreused
print(conn:sessionreused())

--- conn:getpskidentity
print(conn:getpskidentity()) -- nil: certificates were used

--- conn:getchannelbinding
local binding = assert(conn:getchannelbinding("tls-exporter"))
assert(binding == peer:getchannelbinding("tls-exporter"))

--- conn:exportkeyingmaterial
local key = assert(conn:exportkeyingmaterial("EXPERIMENTAL my protocol", 32))
assert(key == peer:exportkeyingmaterial("EXPERIMENTAL my protocol", 32))

--- conn:getfinished, conn:getpeerfinished
assert(conn:getfinished() == peer:getpeerfinished())

--- conn:getsockname, conn:getpeername
local address, port, family = conn:getpeername()
print(address, port, family, conn:getsockname())

--- conn:getfamily
print(conn:getfamily()) -- inet4

--- conn:setoption, conn:getoption
assert(conn:setoption("tcp-nodelay", true))
assert(conn:setoption("maxreceive", 65536)) -- bytes that a line may have
print(conn:getoption("maxreceive"))

--- conn:getstats, conn:setstats
local received, sent, age = conn:getstats()
print(received, sent, age)
conn:setstats(0, 0)

--- conn:feed, conn:drain (engine)
repeat
  peer:feed(conn:drain())
  peer:dohandshake()
  conn:feed(peer:drain())
until conn:dohandshake()

--- conn:pendingout (engine)
conn:dohandshake()
print(conn:pendingout()) -- bytes of the ClientHello

--- conn:feedeof (engine)
conn:feedeof()
local ok, message, detail = conn:dohandshake()
print(ok, message, detail.kind)

--- conn:reset (engine)
conn:dohandshake()
assert(conn:reset()) -- as new, without another context

--- conn:listen (dtls)
local ok, message = peer:listen("192.0.2.1:4433") -- address and port of whom the datagram came from
print(ok, message) -- nil, retry: send what drain gives, feed the next datagram, call again

--- conn:dtlstimeout, conn:handletimeout (dtls)
local seconds = conn:dtlstimeout()
if seconds == 0 then assert(conn:handletimeout() ~= nil) end -- and send what drain gives

--- conn:setmtu (dtls)
assert(conn:setmtu(1400))

--- conn:setretransmit (dtls)
assert(conn:setretransmit(0.3))
