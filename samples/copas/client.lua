-- COUNT connections at once under Copas, a coroutine each: none says anything before all have shaken hands, then each
-- sends a text and waits until it has come back.
--   lua samples/copas/client.lua build/certs PORT COUNT

local copas = require "copas"
local socket = require "socket"
local ssl = require "ssl"

local certs, port, count = arg[1], tonumber(arg[2]), tonumber(arg[3])
local context = assert(ssl.newcontext {
  mode = "client", protocol = "tlsv1_2+", verify = "peer", cafile = certs .. "/rootA.pem", servername = "localhost",
})
local ready, answered, ended = 0, 0, 0

local function carrier(sock)
  return {
    send = function(_, data, from) return copas.send(sock, data, from) end,
    receive = function(_, n) return copas.receive(sock, n) end,
    close = function() return sock:close() end,
  }
end

-- A line comes back once all are there: the server's echo is how this one waits without holding up the others.
local function barrier(conn)
  ready = ready + 1
  while ready < count do
    conn:send("?\n")
    if conn:receive("*l") ~= "?" then return nil, "the echo is another" end
  end
  return true
end

local function talk(number)
  local sock = assert(socket.connect("127.0.0.1", port))
  sock:settimeout(0)
  local conn = assert(ssl.wrap(carrier(sock), context))
  local text, got = ("connection %d says so\n"):format(number):rep(1000), nil
  local ok, message = conn:dohandshake()
  if ok then ok, message = barrier(conn) end
  if ok then ok, message = conn:send(text) end
  if ok then got, message = conn:receive(#text) end
  if got == text then
    answered = answered + 1
  else
    io.stderr:write(("connection %d: %s\n"):format(number, message or "the echo is another"))
  end
  conn:close()
  ended = ended + 1
end

for number = 1, count do copas.addthread(function() talk(number) end) end
while ended < count do copas.step(1) end
print(("%d connections at once, %d answers"):format(ready, answered))
