-- A proxy that makes tunnels (RFC 9110 section 9.3.6), to this machine alone and one at a time. Prints its port.
--   lua samples/https-proxy/proxy.lua [PORT [COUNT]]

local socket = require "socket"

local port, count = tonumber(arg[1] or 3128), tonumber(arg[2]) or math.huge
local allowed = { localhost = true, ["127.0.0.1"] = true } -- a proxy for everything is a gift to burglars

-- Passes on what has come; false at the end.
local function pass(from, to)
  local data, why, part = from:receive(8192)
  data = data or part
  to:settimeout(10)
  local sent = data == "" or to:send(data)
  to:settimeout(0)
  return sent and (not why or why == "timeout")
end

local function tunnel(a, b)
  a:settimeout(0)
  b:settimeout(0)
  while true do
    local ready = socket.select({ a, b }, nil, 30)
    if #ready == 0 then return end
    for _, from in ipairs(ready) do
      if not pass(from, from == a and b or a) then return end
    end
  end
end

local function serve(client)
  client:settimeout(10)
  local request = client:receive("*l") or ""
  for _ = 1, 100 do
    local line = client:receive("*l")
    if not line or line == "" then break end
  end
  local host, number = request:match("^CONNECT ([^%s:]+):(%d+) HTTP/1%.[01]$")
  if not allowed[host] then return client:send("HTTP/1.1 403 Forbidden\r\n\r\n") end
  local server, why = socket.connect("127.0.0.1", number)
  if not server then return client:send("HTTP/1.1 502 " .. why .. "\r\n\r\n") end
  client:send("HTTP/1.1 200 Connection established\r\n\r\n")
  tunnel(client, server)
  server:close()
end

local listener = assert(socket.bind("127.0.0.1", port))
io.stdout:setvbuf("line")
print((select(2, listener:getsockname())))
for _ = 1, count do
  local client = assert(listener:accept())
  serve(client)
  client:close()
end
