-- A server of very many certificates, each on a port of its own: reads lines "certificate key" from the file named by
-- its argument, prints a port of which a connection ends it, then the ports in the order of the lines. It answers any
-- HTTP request with "hello", one connection at a time, and gives up when nobody comes for a while.
-- lua test/peer/farm_server.lua LIST

local socket = require "socket"
local S = require "support"

local SECONDS = 30

local listeners, contexts = {}, {}

local function listen()
  local listener = assert(socket.bind("127.0.0.1", 0))
  listeners[#listeners + 1] = listener
  io.stdout:write((select(2, listener:getsockname())), "\n")
  return listener
end

local function serve(client, context)
  client:settimeout(5)
  local conn = assert(S.ssl.wrap(client, context))
  conn:settimeout(5)
  if conn:dohandshake() then
    local line = conn:receive("*l")
    while line and line ~= "" do line = conn:receive("*l") end
    conn:send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
  end
  conn:close()
end

local last = listen()
for line in io.lines(arg[1]) do
  local certificate, key = line:match("^(%S+) (%S+)$")
  contexts[listen()] = assert(S.ssl.newcontext(S.server { certificate = certificate, key = key }))
end
io.stdout:flush()

while true do
  local ready = socket.select(listeners, nil, SECONDS)
  if #ready == 0 or ready[1] == last then break end
  for _, listener in ipairs(ready) do
    local client = listener:accept()
    if client and contexts[listener] then serve(client, contexts[listener]) end
  end
end
