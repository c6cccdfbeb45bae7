-- A client of a fleet: asks one server after the other, with the session that the last one gave, and goes to the next
-- when one does not answer. Prints a line for each request: its server, full or resumed, milliseconds.
--   lua samples/fleet-tickets/client.lua build/certs SECONDS PORT...

local socket = require "socket"
local ssl = require "ssl"

local certs, seconds = arg[1], tonumber(arg[2])
local ports = { (table.unpack or unpack)(arg, 3) } -- luacheck: ignore 143
local context = assert(ssl.newcontext {
  mode = "client", protocol = "tlsv1_2+", verify = "peer", cafile = certs .. "/rootA.pem", servername = "localhost",
})

local session -- the newest

local function ask(port)
  local sock, message = socket.connect("127.0.0.1", port)
  if not sock then return nil, message end
  local conn
  conn, message = ssl.wrap(sock, context)
  if not conn then return nil, message end
  conn:settimeout(5, "t")
  if session then conn:setsession(session) end
  local ok, answer
  ok, message = conn:dohandshake()
  if ok then ok, message = conn:send("hello\n") end
  if ok then answer, message = conn:receive("*l") end
  if answer then session = conn:getsession() or session end -- TLS 1.3 sends it along with the first data
  conn:close()
  return answer, message
end

-- Every server gets its turn, every request its answer as long as one of them lives.
local function request(turn)
  local message
  for i = 0, #ports - 1 do
    local port = ports[(turn + i) % #ports + 1]
    local answer
    answer, message = ask(port)
    if answer then return port, answer end
  end
  return nil, message
end

io.stdout:setvbuf("line")
local ends, turn, failed = socket.gettime() + seconds, 0, 0
while socket.gettime() < ends do
  local began = socket.gettime()
  local port, answer = request(turn)
  if not port then failed = failed + 1 end
  print(port or "failed", answer, math.floor((socket.gettime() - began) * 1000))
  turn = turn + 1
  socket.sleep(0.02)
end
print(("%d requests, %d failed"):format(turn, failed))
