-- A server of DTLS for any number of peers on one UDP socket, with an engine for each: echoes what they send. Prints
-- its port; ends when nothing has come for some seconds, and says how many peers there were.
--   lua samples/dtls/server.lua build/certs SECONDS

local socket = require "socket"
local ssl = require "ssl"
local certs, patience = arg[1], tonumber(arg[2])
local context = assert(ssl.newcontext { mode = "server", protocol = "dtls",
  certificate = certs .. "/serverA.pem", key = certs .. "/serverAkey.pem" })

local udp = assert(socket.udp())
assert(udp:setsockname("127.0.0.1", 0))
udp:settimeout(0.2)
io.stdout:setvbuf("line")
print((select(2, udp:getsockname())))

-- One engine answers all strangers with a cookie. Who comes back with it gets the engine: he receives at his address.
local peers, count, stranger = {}, 0, assert(ssl.engine(context))

local function send(engine, id)
  local datagram = engine:drain()
  while datagram ~= "" do
    udp:sendto(datagram, id:match("^(%S+) (%d+)$"))
    datagram = engine:drain()
  end
end

local function serve(engine, id)
  local ok, message = engine:dohandshake()
  while ok do
    ok, message = engine:read()
    if ok then engine:write(ok) end
  end
  if message ~= "wantread" then peers[id] = nil end -- he has said goodbye, or what he sends is no DTLS
end

local function take(datagram, id)
  local engine = peers[id] or stranger
  engine:feed(datagram)
  if engine == stranger and engine:listen(id) then
    peers[id], count, stranger = engine, count + 1, assert(ssl.engine(context))
  end
  if peers[id] then serve(engine, id) end
  send(engine, id)
end

local heard, tick = socket.gettime(), 0
while socket.gettime() < heard + patience do
  local datagram, address, port = udp:receivefrom()
  if datagram then
    heard = socket.gettime()
    take(datagram, address .. " " .. port)
  end
  if socket.gettime() > tick then -- what was lost of a handshake is sent again
    tick = socket.gettime() + 0.2
    for id, engine in pairs(peers) do if engine:handletimeout() then send(engine, id) end end
  end
end
print(count .. " peers")
