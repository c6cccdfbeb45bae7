-- A server with a certificate of its own making, and the TLSA record for DNS that vouches for it (RFC 6698). Prints its
-- port, then the record.
--   lua samples/dane/server.lua [HOST [PORT [COUNT]]]

local socket = require "socket"
local ssl = require "ssl"

local host, port, count = arg[1] or "localhost", tonumber(arg[2] or 6443), tonumber(arg[3]) or math.huge

-- A real server keeps these two in files: with each new certificate there must be a new record, days before.
local certificate, key = assert(ssl.selfsigned { names = { host } })
local context = assert(ssl.newcontext {
  mode = "server", protocol = "tlsv1_2+", certificate = certificate, key = key,
})

local listener = assert(socket.bind("127.0.0.1", port))
port = select(2, listener:getsockname())
io.stdout:setvbuf("line")
print(port)
-- 3: this very certificate, no authority; 0: all of it, not its key alone; 1: its SHA-256.
print(("_%d._tcp.%s. IN TLSA 3 0 1 %s"):format(port, host, ssl.loadcertificate(certificate):digest("sha256")))
while count > 0 do
  local conn = assert(ssl.wrap(assert(listener:accept()), context))
  conn:settimeout(10)
  local ok, message = conn:dohandshake()
  if ok then ok, message = conn:send("DNS vouches for me\n") end
  print(ok and "served" or message)
  conn:close()
  count = count - 1
end
