-- Examples of the reference. test/reference_spec.lua runs each by itself, with mbedtls; ca, the PEM of a CA; sock, a
-- connected socket; receive and send, functions that carry bytes; mbed, a context of a client that trusts ca, for them.

--- mbedtls._NAME, mbedtls._VERSION, mbedtls.ssl
print(mbedtls._NAME, mbedtls._VERSION, mbedtls.ssl)

--- mbedtls.ssl.newconfig, mbedtls.ssl.newcontext
local config = mbedtls.ssl.newconfig("tls-client", ca)
local context = mbedtls.ssl.newcontext(config, function(n)
  local data, message, partial = sock:receive(n)
  return data or partial or ""
end, function(data)
  return sock:send(data) or 0
end)
context:sethostname("localhost")

--- mbedtls.ssl.getcookie, mbedtls.ssl.checkcookie
local cookie = mbedtls.ssl.getcookie("192.0.2.1:4433")
assert(mbedtls.ssl.checkcookie("192.0.2.1:4433", cookie))

--- mbed:handshake
local ok, message = mbed:handshake()
if message == "want-read" then print "call again when there is something to receive" end

--- mbed:read
local data, message = mbed:read(1024)
print(data, message)

--- mbed:write
local sent, message = mbed:write("hello\n")
print(sent, message)

--- mbed:close, mbed:closenotify
assert(mbed:closenotify())

--- mbed:gettimeout
print(mbed:gettimeout()) -- nil: no DTLS

--- mbed:setbio
mbed:setbio(receive, send)

--- mbed:setpeerid
local config = mbedtls.ssl.newconfig("dtls-server")
local server = mbedtls.ssl.newcontext(config, receive, send)
server:setpeerid("192.0.2.1:4433")

--- mbed:sethostname
mbed:sethostname("localhost")

--- mbed:reset
mbed:reset()
