-- Shows a certificate to COUNT clients and prints what each makes of it; NAME may be a bad one: expired, wronghost, …
--   lua samples/verify/server.lua [CERTS [PORT [NAME [COUNT]]]]

local socket = require "socket"
local ssl = require "ssl"

local certs, port, name = arg[1] or "build/certs", tonumber(arg[2] or 6443), arg[3] or "serverA"
local context = assert(ssl.newcontext {
  mode = "server", protocol = "tlsv1_2+",
  certificate = certs .. "/" .. name .. ".pem", key = certs .. "/" .. name .. "key.pem",
})

local listener = assert(socket.bind("127.0.0.1", port))
io.stdout:setvbuf("line")
print((select(2, listener:getsockname())))
for _ = 1, tonumber(arg[4] or 1) do
  local conn = assert(ssl.wrap(assert(listener:accept()), context))
  conn:settimeout(10)
  local ok, message = conn:dohandshake()
  -- A client of TLS 1.3 may refuse when the server's part is over: the alert comes with the first read.
  if ok then ok, message = conn:receive("*l") end
  print(ok and "accepted" or message)
  conn:close()
end
