-- Connects, verifies, reads one line.
--   lua samples/oneshot/client.lua [CAFILE [PORT [HOST]]]

local ssl = require "ssl"

local cafile, port, host = arg[1] or "build/certs/rootA.pem", arg[2] or 6443, arg[3] or "localhost"

-- Without cafile the system's authorities count. The host's name is checked in any case.
local conn, message, detail = ssl.connect(host, port, {
  protocol = "tlsv1_2+", verify = "peer", cafile = cafile, timeout = 10,
})
if not conn then
  print("no connection: " .. message)
  if detail.hint then print(detail.hint) end
  os.exit(1)
end
conn:settimeout(10)
local line, why = conn:receive("*l")
print(line or "nothing came: " .. why)
conn:close()
os.exit(line and 0 or 1)
