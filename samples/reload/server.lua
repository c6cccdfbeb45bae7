-- Takes a renewed certificate from its files while it runs, as certbot leaves them: no restart, no connection lost.
-- Prints its port.
--   lua samples/reload/server.lua CERTIFICATE KEY [PORT [SECONDS between looks]]

local socket = require "socket"
local ssl = require "ssl"

local certificate, key, port, every = arg[1], arg[2], tonumber(arg[3] or 6443), tonumber(arg[4] or 10)
if not key then
  print("usage: lua samples/reload/server.lua CERTIFICATE KEY [PORT [SECONDS]]")
  os.exit(2)
end

local context = assert(ssl.newcontext {
  mode = "server", protocol = "tlsv1_2+", certificate = certificate, key = key,
})

local function content(path)
  local f = io.open(path, "rb")
  local text = f and f:read("*a")
  if f then f:close() end
  return text
end

local have = content(certificate)

-- All or nothing: half a file, or a key that does not fit yet, changes nothing, and is looked at again.
local function look()
  local now = content(certificate)
  if now == have then return end
  local ok, message = context:reload { certificate = certificate, key = key }
  print(ok and "reloaded" or "not yet: " .. message)
  if ok then have = now end
end

local listener = assert(socket.bind("127.0.0.1", port))
io.stdout:setvbuf("line")
print((select(2, listener:getsockname())))
listener:settimeout(every)
local due = socket.gettime() + every
while true do
  local sock = listener:accept()
  if socket.gettime() >= due then
    look()
    due = socket.gettime() + every
  end
  local conn = sock and ssl.wrap(sock, context)
  if conn then
    conn:settimeout(10)
    local ok, message = conn:dohandshake()
    if ok then ok, message = conn:send("hello\n") end
    if not ok then print(message) end
    conn:close()
  end
end
