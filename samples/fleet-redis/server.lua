-- A server of a fleet whose sessions are in Redis: each resumes what another began. When Redis does not answer, the
-- handshakes are full ones. Start as many as you like, each prints its port; samples/fleet-tickets/client.lua asks.
--   lua samples/fleet-redis/server.lua build/certs REDISPORT

local redis = require "redis"
local socket = require "socket"
local ssl = require "ssl"

local certs, redisport = arg[1], tonumber(arg[2])
local PATIENCE = 0.3 -- seconds that Redis gets for an answer: clients wait as long
local PAUSE = 1      -- seconds without asking it again after a failure

local client, pausedtill = nil, 0

-- Whatever it raises becomes a full handshake, and conn:lasterror().
local function ask(command, ...)
  if not client then
    if socket.gettime() < pausedtill then error("Redis is away", 0) end
    pausedtill = socket.gettime() + PAUSE
    client = redis.connect { host = "127.0.0.1", port = redisport, timeout = PATIENCE }
  end
  local ok, answer = pcall(client[command], client, ...)
  if ok then return answer end
  client, pausedtill = nil, socket.gettime() + PAUSE -- half an answer may still come on this connection
  error(answer, 0)
end

local function name(id) return "tls-session:" .. id end

local context = assert(ssl.newcontext {
  mode = "server", protocol = "tlsv1_2+",
  certificate = certs .. "/serverA.pem", key = certs .. "/serverAkey.pem",
  sessions = {
    id = "fleet", timeout = 3600, -- the same id and settings of verification on all servers
    get = function(id) return ask("get", name(id)) end,
    set = function(id, data, seconds) ask("setex", name(id), seconds, data) end,
    remove = function(id) ask("del", name(id)) end,
  },
})

local listener = assert(socket.bind("127.0.0.1", 0))
io.stdout:setvbuf("line")
print((select(2, listener:getsockname())))
while true do
  local conn = assert(ssl.wrap(assert(listener:accept()), context))
  conn:settimeout(2, "t") -- one client at a time: none may hold up the others
  local ok, message = conn:dohandshake()
  local trouble = ok and conn:lasterror()
  if trouble then print("without Redis: " .. trouble.reason) end
  if ok and conn:receive("*l") then
    conn:send(conn:sessionreused() and "resumed\n" or "full\n")
  elseif not ok then
    print("handshake failed: " .. message)
  end
  conn:close()
end
