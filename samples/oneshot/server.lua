-- One connection, one line, the end. Prints its port.
--   lua samples/oneshot/server.lua [CERTS [PORT]]

local socket = require "socket"
local ssl = require "ssl"

local certs, port = arg[1] or "build/certs", tonumber(arg[2] or 6443)
local context = assert(ssl.newcontext {
  mode = "server", protocol = "tlsv1_2+", certificate = certs .. "/serverA.pem", key = certs .. "/serverAkey.pem",
})

local listener = assert(socket.bind("127.0.0.1", port))
io.stdout:setvbuf("line")
print((select(2, listener:getsockname())))
local conn = assert(ssl.wrap(assert(listener:accept()), context))
conn:settimeout(10, "t") -- of all that follows together; without "t" of each call
local ok, message = conn:dohandshake()
if ok then ok, message = conn:send("one shot\n") end
print(ok and "sent" or "failed: " .. message)
conn:close()
os.exit(ok and 0 or 1)
