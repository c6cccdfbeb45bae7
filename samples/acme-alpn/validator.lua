-- Looks at a domain as a CA does for tls-alpn-01 (RFC 8737 section 3): for trying a responder before the CA comes.
--   lua samples/acme-alpn/validator.lua DOMAIN KEY-AUTHORIZATION [PORT [ADDRESS]]

local socket = require "socket"
local ssl = require "ssl"

local domain, authorization, port, address = arg[1], arg[2], arg[3] or 443, arg[4] or arg[1]
if not authorization or authorization:find("[^%w._-]") then
  print("usage: lua samples/acme-alpn/validator.lua DOMAIN KEY-AUTHORIZATION [PORT [ADDRESS]]")
  os.exit(2)
end

local function fail(why)
  print("invalid: " .. why)
  os.exit(1)
end

-- No authority vouches for the certificate: what is in it counts, and that it comes from the domain's address.
local context = assert(ssl.newcontext {
  mode = "client", protocol = "tlsv1_2+", verify = "none", alpn = "acme-tls/1", servername = domain,
})
local sock, why = socket.connect(address, port)
if not sock then fail(why) end
local conn = assert(ssl.wrap(sock, context))
conn:settimeout(10)
local ok, message = conn:dohandshake()
if not ok then fail(message) end
if conn:getalpn() ~= "acme-tls/1" then fail("the server does not speak acme-tls/1") end

local cert = conn:getpeercertificate()
local names = (cert:extensions()["2.5.29.17"] or {}).dNSName or {}
if #names ~= 1 or names[1]:lower() ~= domain:lower() then fail("the certificate is not for this domain alone") end

local p = assert(io.popen("printf %s '" .. authorization .. "' | openssl dgst -sha256 -r"))
local hex = p:read("*a"):match("^" .. ("%x"):rep(64))
p:close()
assert(hex, "openssl dgst says nothing")
local digest = hex:gsub("%x%x", function(x) return string.char(tonumber(x, 16)) end)
-- In DER there is one way to write it: the name id-pe-acmeIdentifier, critical, the digest in two wrappings.
local identifier = "\6\8+\6\1\5\5\7\1\31\1\1\255\4\34\4\32"
if not cert:der():find(identifier .. digest, 1, true) then fail("another key authorization, or none") end
print("valid")
conn:close()
