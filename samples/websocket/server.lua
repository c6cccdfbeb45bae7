-- A WebSocket over TLS that sends back what it is told. Prints its port.
--   lua samples/websocket/server.lua [CERTS [PORT [COUNT]]]

package.path = arg[0]:gsub("[^/]*$", "?.lua;") .. package.path
local frames = require "frames"
local socket = require "socket"
local ssl = require "ssl"

local certs, port, count = arg[1] or "build/certs", tonumber(arg[2] or 6443), tonumber(arg[3]) or math.huge
local context = assert(ssl.newcontext {
  mode = "server", protocol = "tlsv1_2+", certificate = certs .. "/serverA.pem", key = certs .. "/serverAkey.pem",
  alpn = { "http/1.1" }, maxreceive = 8192,
})

local function upgrade(conn)
  local fields = {}
  assert((assert(conn:receive("*l"))):find("^GET %S+ HTTP/1%.1$"), "no request for a WebSocket")
  for _ = 1, 100 do
    local line = assert(conn:receive("*l"))
    if line == "" then break end
    local name, value = line:match("^([%w-]+):%s*(.-)%s*$")
    if name then fields[name:lower()] = value end
  end
  local key = fields["sec-websocket-key"]
  if not key or (fields.upgrade or ""):lower() ~= "websocket" then
    conn:send("HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n")
    error("no WebSocket wanted", 0)
  end
  assert(conn:send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" ..
    "Sec-WebSocket-Accept: " .. frames.accept(key) .. "\r\n\r\n"))
end

local function serve(conn)
  conn:settimeout(10)
  assert(conn:dohandshake())
  upgrade(conn)
  while true do
    local kind, data = frames.receive(conn)
    if not kind then error(data, 0) end
    if kind == frames.CLOSE then return frames.send(conn, kind, data:sub(1, 2)) end
    if kind == frames.PING then assert(frames.send(conn, frames.PONG, data)) end
    if kind == frames.TEXT then assert(frames.send(conn, kind, data)) end
  end
end

local listener = assert(socket.bind("127.0.0.1", port))
io.stdout:setvbuf("line")
print((select(2, listener:getsockname())))
for _ = 1, count do
  local conn = assert(ssl.wrap(assert(listener:accept()), context))
  local ok, message = pcall(serve, conn)
  print(ok and "done" or "ended: " .. tostring(message))
  conn:close()
end
