-- Shows a CA that this machine answers for a domain: the challenge tls-alpn-01 (RFC 8737). Run on port 443 while the
-- ACME client has asked the CA to look; the certificate is for that look alone. Prints its port.
--   lua samples/acme-alpn/responder.lua DOMAIN KEY-AUTHORIZATION [PORT [COUNT]]

local socket = require "socket"
local ssl = require "ssl"

local domain, authorization = arg[1], arg[2]
local port, count = tonumber(arg[3] or 443), tonumber(arg[4]) or math.huge
if not authorization or domain:find("[^%w.-]") or authorization:find("[^%w._-]") then
  print("usage: lua samples/acme-alpn/responder.lua DOMAIN KEY-AUTHORIZATION [PORT [COUNT]]")
  os.exit(2)
end

local function output(command)
  local p = assert(io.popen(command))
  local text = p:read("*a")
  p:close()
  return text
end

-- The domain, and the SHA-256 of the authorization in an extension of its own, which is critical.
local digest = output("printf %s '" .. authorization .. "' | openssl dgst -sha256 -r"):match("^" .. ("%x"):rep(64))
assert(digest, "openssl dgst says nothing")
local pem = output(("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=acme" ..
  " -addext subjectAltName=DNS:%s -addext 1.3.6.1.5.5.7.1.31=critical,DER:0420%s -keyout - 2>&1")
  :format(domain, digest))
local key = pem:match("%-%-%-%-%-BEGIN PRIVATE KEY.-END PRIVATE KEY%-%-%-%-%-\n")
local certificate = pem:match("%-%-%-%-%-BEGIN CERTIFICATE.-END CERTIFICATE%-%-%-%-%-\n")
assert(key and certificate, pem)

local settings = {
  mode = "server", protocol = "tlsv1_2+", certificate = certificate, key = key,
  alpn = { "acme-tls/1" }, alpnstrict = true, -- with nobody else does it shake hands
}
local challenge = assert(ssl.newcontext(settings))
settings.sni, settings.snistrict = { [domain] = challenge }, true
local context = assert(ssl.newcontext(settings))

local listener = assert(socket.bind("*", port))
io.stdout:setvbuf("line")
print((select(2, listener:getsockname())))
for _ = 1, count do
  local sock = assert(listener:accept())
  local peer = sock:getpeername()
  local conn = assert(ssl.wrap(sock, context))
  conn:settimeout(10)
  local ok, message = conn:dohandshake()
  local looked = ok and conn:getalpn() == "acme-tls/1"
  print(looked and "looked at by " .. peer or ok and "no protocol" or message)
  conn:close()
end
