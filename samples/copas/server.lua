-- An echo server under Copas: TLS on an object whose send and receive are Copas', so that each connection is a
-- coroutine and none holds up the others. Prints its port, serves COUNT connections, all at once if they come so.
--   lua samples/copas/server.lua build/certs COUNT
-- This runs with every Copas. Those from 2.0 on also take TLS themselves, with the same settings:
-- copas.addserver(listener, copas.handler(echo, settings)).

local copas = require "copas"
local socket = require "socket"
local ssl = require "ssl"

local certs, count = arg[1], tonumber(arg[2])
local context = assert(ssl.newcontext {
  mode = "server", protocol = "tlsv1_2+",
  certificate = certs .. "/serverA.pem", key = certs .. "/serverAkey.pem",
})

local function carrier(sock)
  return {
    send = function(_, data, from) return copas.send(sock, data, from) end,
    receive = function(_, n) return copas.receive(sock, n) end,
    close = function() return sock:close() end,
  }
end

local function echo(conn)
  local ok, message = conn:dohandshake()
  while ok do
    local data
    data, message = conn:read()
    ok = data and conn:send(data)
  end
  return message
end

local listener = assert(socket.bind("127.0.0.1", 0, 128))
io.stdout:setvbuf("line")
print((select(2, listener:getsockname())))

copas.addserver(listener, function(sock)
  local conn = assert(ssl.wrap(carrier(sock), context))
  local message = echo(conn)
  if message ~= "closed" then io.stderr:write("connection lost: ", message, "\n") end
  conn:close()
  count = count - 1
end, 0)
while count > 0 do copas.step(1) end
