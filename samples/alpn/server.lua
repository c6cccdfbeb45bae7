-- Serves two protocols on one port: ALPN says which, before the first byte. Prints its port.
--   lua samples/alpn/server.lua [CERTS [PORT [COUNT]]]

local socket = require "socket"
local ssl = require "ssl"

local certs, port, count = arg[1] or "build/certs", tonumber(arg[2] or 6443), tonumber(arg[3]) or math.huge
local protocols = {
  ["echo/2"] = function(conn) return conn:send("2:" .. assert(conn:receive("*l")) .. "\n") end,
  ["echo/1"] = function(conn) return conn:send(assert(conn:receive("*l")) .. "\n") end,
}
local context = assert(ssl.newcontext {
  mode = "server", protocol = "tlsv1_2+", certificate = certs .. "/serverA.pem", key = certs .. "/serverAkey.pem",
  alpn = { "echo/2", "echo/1" }, -- in this server's order of preference
  alpnstrict = true,             -- a client with none of them is refused, as RFC 7301 wants it
})

local listener = assert(socket.bind("127.0.0.1", port))
io.stdout:setvbuf("line")
print((select(2, listener:getsockname())))
while count > 0 do
  local conn = assert(ssl.wrap(assert(listener:accept()), context))
  conn:settimeout(10)
  local ok, message = conn:dohandshake()
  local name = conn:getalpn()
  if ok and name then
    ok, message = pcall(protocols[name], conn)
  elseif ok then
    ok, message = false, "the client offers no protocol"
  end
  print(ok and name or message)
  conn:close()
  count = count - 1
end
