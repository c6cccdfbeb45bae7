-- An OCSP responder that answers the bytes of a file, whatever it is asked. Prints its port, then a line a request.
-- lua test/peer/ocsp_responder.lua FILE [STATUS]    the file is read for each answer; STATUS: of HTTP, 200

local socket = require "socket"

local listener = assert(socket.bind("127.0.0.1", 0))
io.stdout:setvbuf("line")
print("port " .. select(2, listener:getsockname()))

while true do
  local client = assert(listener:accept())
  client:settimeout(5)
  local line, length = client:receive("*l"), 0
  while line and line ~= "" do
    length = tonumber(line:lower():match("^content%-length:%s*(%d+)")) or length
    line = client:receive("*l")
  end
  client:receive(length)
  local file = assert(io.open(arg[1], "rb"))
  local body = file:read("*a")
  file:close()
  client:send(("HTTP/1.0 %s OK\r\nContent-Type: application/ocsp-response\r\nContent-Length: %d\r\n\r\n%s")
    :format(arg[2] or "200", #body, body))
  client:close()
  print("asked")
end
