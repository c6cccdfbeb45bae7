-- Sends its certificate with the intermediate that signed it: one file has both, the leaf first. Prints its port.
--   lua samples/chain/server.lua [CERTS [PORT [COUNT]]]

local socket = require "socket"
local ssl = require "ssl"

local certs, port, count = arg[1] or "build/certs", tonumber(arg[2] or 6443), tonumber(arg[3]) or math.huge
local context = assert(ssl.newcontext {
  mode = "server", protocol = "tlsv1_2+", certificate = certs .. "/chainA.pem", key = certs .. "/chainAkey.pem",
})

local listener = assert(socket.bind("127.0.0.1", port))
io.stdout:setvbuf("line")
print((select(2, listener:getsockname())))
while count > 0 do
  local conn = assert(ssl.wrap(assert(listener:accept()), context))
  conn:settimeout(10)
  local ok, message = conn:dohandshake()
  print(ok and "served" or message)
  conn:close()
  count = count - 1
end
