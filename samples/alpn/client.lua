-- Offers protocols and uses the one that the server picks.
--   lua samples/alpn/client.lua [CAFILE [PORT [PROTOCOL …]]]

local ssl = require "ssl"

local cafile, port, protocols = arg[1] or "build/certs/rootA.pem", arg[2] or 6443, {}
for i = 3, #arg do protocols[#protocols + 1] = arg[i] end
if not protocols[1] then protocols = { "echo/1", "echo/2" } end

local conn, message = ssl.connect("localhost", port, {
  protocol = "tlsv1_2+", verify = "peer", cafile = cafile, alpn = protocols, timeout = 10,
})
if not conn then
  print("refused: " .. message)
  os.exit(1)
end
local name = conn:getalpn() -- nil from a server that knows nothing of ALPN
print("protocol: " .. tostring(name))
conn:settimeout(10)
assert(conn:send("hello\n"))
print("answer: " .. assert(conn:receive("*l")))
conn:close()
