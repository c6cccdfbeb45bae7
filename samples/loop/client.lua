-- Sends many lines over one connection and waits for each to come back.
--   lua samples/loop/client.lua [CAFILE [PORT [LINES]]]

local ssl = require "ssl"

local cafile, port, lines = arg[1] or "build/certs/rootA.pem", arg[2] or 6443, tonumber(arg[3] or 10)
local conn = assert(ssl.connect("localhost", port, {
  protocol = "tlsv1_2+", verify = "peer", cafile = cafile, timeout = 10,
}))
conn:settimeout(10)
for i = 1, lines do
  local line = ("line %d of %d"):format(i, lines)
  assert(conn:send(line .. "\n"))
  assert(conn:receive("*l") == line, "another line came back")
end
local received, sent = conn:getstats()
print(("%d lines, %.0f bytes there, %.0f bytes back"):format(lines, sent, received))
conn:close()
