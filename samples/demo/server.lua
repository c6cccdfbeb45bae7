-- A small HTTPS server: prints its port, answers `count` connections one after the other, ends.
-- lua samples/demo/server.lua CERTDIR COUNT

local socket = require "socket"
local ssl = require "ssl"

local certs, count = arg[1], tonumber(arg[2])
local context = assert(ssl.newcontext {
  mode = "server",
  protocol = "any",
  options = { "all", "no_tlsv1", "no_tlsv1_1" },
  certificate = certs .. "/serverA.pem",
  key = certs .. "/serverAkey.pem",
})

local function answer(conn)
  local request = conn:receive("*l")
  while request and conn:receive("*l") ~= "" do end
  local page = ("You asked: %s\nOver %s with %s\n"):format(request, conn:info("protocol"), conn:info("cipher"))
  conn:send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: "
    .. #page .. "\r\n\r\n" .. page)
end

local listener = assert(socket.bind("127.0.0.1", 0))
local _, port = listener:getsockname()
listener:settimeout(20)
io.stdout:setvbuf("line")
print(port)

for _ = 1, count do
  local client = assert(listener:accept())
  local conn = assert(ssl.wrap(client, context))
  conn:settimeout(10)
  local ok, message = conn:dohandshake()
  if ok then
    answer(conn)
    print("served")
  else
    print("handshake refused: " .. message)
  end
  conn:close()
end
