-- Servers that stop in the middle of a handshake: each MODE has a port of its own; the ports are printed, after one of
-- which a connection ends all. Behind them is a TLS server in this process, whose bytes pass through the hands of this
-- program. MODE is a number: stops after so many bytes to the client; "flight": stops when the client sends for the
-- second time; "drip": a byte every 20 ms; "never": does not stop; "never6": likewise, on ::1.
-- lua test/peer/stall_server.lua CERTIFICATE MODE...

local socket = require "socket"
local S = require "support"

local SECONDS, IDLE = 30, 120 -- of a connection; without one, on a busy machine
local certificate = arg[1]
local context = assert(S.ssl.newcontext(S.server {
  certificate = S.cert(certificate), key = S.cert(certificate .. "key") }))

local listeners, modes = {}, {}

local function listen(mode)
  local listener = assert(socket.bind(mode == "never6" and "::1" or "127.0.0.1", 0))
  listeners[#listeners + 1] = listener
  modes[listener] = mode
  print((select(2, listener:getsockname())))
end

-- What there is, at most n bytes; nil when the stream has ended.
local function take(from, n)
  local data, err, partial = from:receive(n)
  if err == "closed" and partial == "" then return nil end
  return data or partial
end

-- How many bytes may go to the client now.
local function allowance(mode, sofar, flights)
  if mode == "drip" then
    socket.sleep(0.02)
    return 1
  end
  if mode == "flight" then return flights < 2 and 65536 or 0 end
  return mode:find("^never") and 65536 or tonumber(mode) - sofar
end

-- Until the client goes away.
local function serve(client, mode)
  local inner, outer = S.tcp()
  local conn = assert(S.ssl.wrap(outer, context))
  conn:settimeout(0)
  inner:settimeout(0)
  client:settimeout(0)
  client:setoption("tcp-nodelay", true)
  local down, flights, fromclient = 0, 0, false
  local ended = socket.gettime() + SECONDS
  repeat
    socket.select({ client, inner }, nil, 0.01)
    conn:dohandshake()
    local up = take(client, 65536)
    if up and up ~= "" then
      if not fromclient then flights = flights + 1 end
      fromclient = true
      inner:send(up)
      conn:dohandshake()
    end
    local n = allowance(mode, down, flights)
    local data = n > 0 and take(inner, n) or ""
    if data and data ~= "" then
      fromclient = false
      down = down + #data
      client:send(data)
    end
  until not up or not data or socket.gettime() > ended
  conn:close()
  inner:close()
  client:close()
end

io.stdout:setvbuf("line")
listen()
for i = 2, #arg do listen(arg[i]) end
while true do
  local ready = socket.select(listeners, nil, IDLE)
  if #ready == 0 or ready[1] == listeners[1] then break end
  local client = ready[1]:accept()
  if client then serve(client, modes[ready[1]]) end
end
