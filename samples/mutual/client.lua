-- Shows a certificate of its own. NAME may be a stranger's, clientB, or "none".
--   lua samples/mutual/client.lua [CERTS [PORT [NAME]]]

local ssl = require "ssl"

local certs, port, name = arg[1] or "build/certs", arg[2] or 6443, arg[3] or "clientA"
local mine = name ~= "none" and certs .. "/" .. name or nil
local conn, message = ssl.connect("localhost", port, {
  protocol = "tlsv1_2+", verify = "peer", cafile = certs .. "/rootA.pem", timeout = 10,
  certificate = mine and mine .. ".pem", key = mine and mine .. "key.pem",
})
local line
if conn then
  conn:settimeout(10)
  -- With TLS 1.3 the handshake is over here before the server has looked at the certificate: its refusal comes now.
  line, message = conn:receive("*l")
  conn:close()
end
print(line or "refused: " .. message)
os.exit(line and 0 or 1)
