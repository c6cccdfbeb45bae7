-- Sends back each line, to one client after another, as many lines as they like. Prints its port; stops after COUNT.
--   lua samples/loop/server.lua [CERTS [PORT [COUNT]]]

local socket = require "socket"
local ssl = require "ssl"

local certs, port, count = arg[1] or "build/certs", tonumber(arg[2] or 6443), tonumber(arg[3]) or math.huge
local context = assert(ssl.newcontext { -- made once, for all connections
  mode = "server", protocol = "tlsv1_2+", certificate = certs .. "/serverA.pem", key = certs .. "/serverAkey.pem",
  maxreceive = 65536, -- no client sends a longer line
})

-- The number of lines, and why there are no more.
local function serve(conn)
  conn:settimeout(10)
  local ok, message = conn:dohandshake()
  if not ok then return 0, message end
  local lines = 0
  while true do
    local line
    line, message = conn:receive("*l")
    if line then ok, message = conn:send(line .. "\n") end
    if not line or not ok then return lines, message end
    lines = lines + 1
  end
end

local listener = assert(socket.bind("127.0.0.1", port))
io.stdout:setvbuf("line")
print((select(2, listener:getsockname())))
while count > 0 do
  local sock, message = listener:accept()
  local conn = sock and ssl.wrap(sock, context)
  if conn then
    local lines, why = serve(conn)
    print(lines .. " lines, then: " .. why) -- "closed" when the client has said good-bye
    conn:close()
  else
    print("accept: " .. tostring(message))
  end
  count = count - 1
end
