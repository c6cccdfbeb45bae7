-- Prints whose certificate a server shows now.
--   lua samples/reload/client.lua [CAFILE [PORT]]

local ssl = require "ssl"

local conn, message = ssl.connect("localhost", arg[2] or 6443, {
  protocol = "tlsv1_2+", verify = "peer", cafile = arg[1] or "build/certs/rootA.pem", timeout = 10,
})
if not conn then
  print("refused: " .. message)
  os.exit(1)
end
local cert = conn:getpeercertificate()
local subject = cert:subject()
print(("%s, until %s"):format(subject[#subject].value, cert:notafter()))
conn:settimeout(10)
assert(conn:receive("*l") == "hello")
conn:close()
