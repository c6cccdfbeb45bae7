-- Asks the same address for a site by its name, as browsers do.
--   lua samples/sni/client.lua [CAFILE [PORT [NAME]]]

local ssl = require "ssl"

local cafile, port, name = arg[1] or "build/certs/rootA.pem", arg[2] or 6443, arg[3] or "server.test"

-- ssl.connect sends the name of the host; here the host is an address, and the name is given.
local conn, message, detail = ssl.connect("127.0.0.1", port, {
  protocol = "tlsv1_2+", verify = "peer", cafile = cafile, servername = name, timeout = 10,
})
if not conn then
  print("refused: " .. message .. (detail.alert and " (alert " .. detail.alert .. ")" or ""))
  os.exit(1)
end
conn:settimeout(10)
print((assert(conn:receive("*l"))))
print("certificate of " .. conn:getpeercertificate():subject()[3].value .. ", " .. conn:info("protocol"))
conn:close()
