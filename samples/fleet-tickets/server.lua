-- A server of a fleet. All of them read the keys of session tickets from one file, so that each resumes what another
-- began, and take new keys while they run. Start as many as you like, each prints its port:
--   lua samples/fleet-tickets/rotate.lua keys
--   lua samples/fleet-tickets/server.lua build/certs keys

local socket = require "socket"
local ssl = require "ssl"

local certs, path = arg[1], arg[2]
local SIZE = 16 + 32 + 32 -- of a key in the file: name, aes, hmac

local function read()
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

local function parse(text)
  local keys = {}
  for i = 1, #text, SIZE do
    keys[#keys + 1] = { name = text:sub(i, i + 15), aes = text:sub(i + 16, i + 47), hmac = text:sub(i + 48, i + 79) }
  end
  return keys
end

local known = read()
local context = assert(ssl.newcontext {
  mode = "server", protocol = "tlsv1_2+",
  certificate = certs .. "/serverA.pem", key = certs .. "/serverAkey.pem",
  ticketkeys = parse(known),                 -- the first encrypts, all decrypt
  sessions = { id = "fleet", timeout = 3600 }, -- the same id and settings of verification on all servers
})

local function refresh()
  local text = read()
  if text == known then return end
  local ok, message = context:setticketkeys(parse(text)) -- all or nothing
  if ok then known = text else io.stderr:write("keys not taken: ", message, "\n") end
end

local listener = assert(socket.bind("127.0.0.1", 0))
io.stdout:setvbuf("line")
print((select(2, listener:getsockname())))
while true do
  local sock = assert(listener:accept())
  refresh()
  local conn = assert(ssl.wrap(sock, context))
  conn:settimeout(2, "t") -- one client at a time: none may hold up the others
  local ok, message = conn:dohandshake()
  if ok and conn:receive("*l") then
    conn:send(conn:sessionreused() and "resumed\n" or "full\n")
  elseif not ok then
    io.stderr:write("handshake failed: ", message, "\n")
  end
  conn:close()
end
