-- Verifies a server by its TLSA record, which must come from a resolver that checks DNSSEC; here it is an argument.
--   lua samples/dane/client.lua HOST PORT USAGE SELECTOR TYPE HEX

local socket = require "socket"
local ssl = require "ssl"

if not arg[6] then
  print("usage: lua samples/dane/client.lua HOST PORT USAGE SELECTOR TYPE HEX")
  os.exit(2)
end
local host, port = arg[1], arg[2]
local data = arg[6]:gsub("%x%x", function(hex) return string.char(tonumber(hex, 16)) end)

-- The authority that usage 0 to 2 speaks of is looked for among these; with 3 none of them counts.
local context = assert(ssl.newcontext {
  mode = "client", protocol = "tlsv1_2+", verify = "peer", dane = true, cadata = (assert(ssl.selfsigned {
    names = { "nobody.invalid" } })),
})
local conn = assert(ssl.wrap(assert(socket.connect(host, port)), context))
conn:settimeout(10)
assert(conn:setdane(host), "no name for DANE: " .. host)
-- A host has several records while it changes its certificate: one call for each, and one of them must fit.
assert(conn:settlsa(tonumber(arg[3]), tonumber(arg[4]), tonumber(arg[5]), data), "no TLSA record")
local ok, message = conn:dohandshake()
if not ok then
  print("refused: " .. message)
  os.exit(1)
end
print("verified: " .. tostring(conn:getpeerverification()))
print((assert(conn:receive("*l"))))
conn:close()
