-- A server whose clients resume for an hour, and what it can tell of them. Prints its port, serves COUNT connections.
--   lua samples/resume/server.lua build/certs COUNT

local socket = require "socket"
local ssl = require "ssl"

local certs, count = arg[1], tonumber(arg[2])
local context = assert(ssl.newcontext {
  mode = "server", protocol = "tlsv1_2+",
  certificate = certs .. "/serverA.pem", key = certs .. "/serverAkey.pem",
  sessions = { timeout = 3600, tickets = 1 },
})

local listener = assert(socket.bind("127.0.0.1", 0))
listener:settimeout(30)
io.stdout:setvbuf("line")
print((select(2, listener:getsockname())))
for _ = 1, count do
  local conn = assert(ssl.wrap(assert(listener:accept()), context))
  conn:settimeout(10, "t")
  if conn:dohandshake() and conn:receive("*l") then
    conn:send(conn:sessionreused() and "welcome back\n" or "welcome\n")
  end
  conn:close()
end
local stats = context:stats()
print(("%d handshakes: %d full, %d resumed, %d offers refused"):format(stats.handshakes, stats.full, stats.resumed,
  stats.misses))
