-- Hands the secrets of its connections to a function, which here counts them: a program may send them wherever its own
-- debugging tools listen. Prints its port.
--   lua samples/keylog/server.lua [CERTS [PORT [COUNT]]]

local socket = require "socket"
local ssl = require "ssl"

local certs, port, count = arg[1] or "build/certs", tonumber(arg[2] or 6443), tonumber(arg[3]) or math.huge
local seen = {}
local context = assert(ssl.newcontext {
  mode = "server", protocol = "tlsv1_2+", certificate = certs .. "/serverA.pem", key = certs .. "/serverAkey.pem",
  keylog = function(line) seen[#seen + 1] = line:match("^%S+") end,
})

local listener = assert(socket.bind("127.0.0.1", port))
io.stdout:setvbuf("line")
print((select(2, listener:getsockname())))
while count > 0 do
  local conn = assert(ssl.wrap(assert(listener:accept()), context))
  conn:settimeout(10)
  local ok, message = conn:dohandshake()
  if ok then ok, message = conn:send("no secret\n") end
  print(ok and table.concat(seen, " ") or message)
  seen = {}
  conn:close()
  count = count - 1
end
