-- Several certificates on one port: by name, and for one name an ECDSA and an RSA one, of which each client gets what
-- it can use. Prints its port.
--   lua samples/keypairs/server.lua [CERTS [PORT [COUNT]]]

local socket = require "socket"
local ssl = require "ssl"

local certs, port, count = arg[1] or "build/certs", tonumber(arg[2] or 6443), tonumber(arg[3]) or math.huge

local function pair(name)
  return { certificate = certs .. "/" .. name .. ".pem", key = certs .. "/" .. name .. "key.pem" }
end

local context = assert(ssl.newcontext {
  mode = "server", protocol = "tlsv1_2+",
  -- The names are those in the certificates; the first pair is for clients that ask for none of them.
  keypairs = { pair "serverA", pair "rsa", pair "wildcard" },
})

local listener = assert(socket.bind("127.0.0.1", port))
io.stdout:setvbuf("line")
print((select(2, listener:getsockname())))
while count > 0 do
  local conn = assert(ssl.wrap(assert(listener:accept()), context))
  conn:settimeout(10)
  local ok, message = conn:dohandshake()
  print(ok and "asked for " .. tostring(conn:getsniname()) or message)
  conn:close()
  count = count - 1
end
