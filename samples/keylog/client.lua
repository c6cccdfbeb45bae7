-- Writes down the secrets of its connection, with which Wireshark shows what was said:
--   wireshark -o tls.keylog_file:FILE -r CAPTURE
-- Whoever has the file reads everything: for debugging only, and off unless a setting turns it on.
--   lua samples/keylog/client.lua [CAFILE [PORT [FILE]]]

local ssl = require "ssl"

local cafile, port, file = arg[1] or "build/certs/rootA.pem", arg[2] or 6443, arg[3] or "keys.log"
local conn = assert(ssl.connect("localhost", port, {
  protocol = "tlsv1_2+", verify = "peer", cafile = cafile, timeout = 10,
  keylog = file, -- true: the file that $SSLKEYLOGFILE names, as in browsers
}))
conn:settimeout(10)
print((assert(conn:receive("*l"))))
conn:close()

local lines = 0
for line in io.lines(file) do
  assert(line:find("^%u[%u%d_]+ %x+ %x+$") or line:find("^#"), "an unknown line")
  lines = lines + 1
end
print(lines .. " secrets in " .. file)
