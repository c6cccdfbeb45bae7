-- COUNT clients of DTLS in one process, each with a UDP socket: they shake hands side by side, fifty at a time, and
-- each sends a datagram and takes it back. Prints how many got theirs.
--   lua samples/dtls/client.lua build/certs PORT COUNT

local socket = require "socket"
local ssl = require "ssl"

local certs, port, count = arg[1], tonumber(arg[2]), tonumber(arg[3])
local context = assert(ssl.newcontext { mode = "client", protocol = "dtls", verify = "peer",
  cafile = certs .. "/rootA.pem", servername = "localhost" })

local function open()
  local udp = assert(socket.udp())
  assert(udp:setpeername("127.0.0.1", port))
  local conn = assert(ssl.wrap(udp, context))
  conn:settimeout(0)
  return conn
end

-- As far as it goes now: true when the echo is there, an error ends the program.
local function step(conn, mine)
  local ok, message = conn:dohandshake() -- sends again what was lost, once its time is over
  if ok and socket.gettime() > mine.again then -- datagrams are lost: whoever needs an answer asks again
    conn:write(mine.text)
    mine.again = socket.gettime() + 1
  end
  if ok then ok, message = conn:read() end
  if not ok and message ~= "wantread" then error(message) end
  return ok == mine.text
end

local waiting, done, opened = {}, {}, 0
local deadline = socket.gettime() + 50
while #done < count and socket.gettime() < deadline do
  while opened < count and opened - #done < 50 do
    opened = opened + 1
    waiting[open()] = { text = "datagram of client " .. opened, again = 0 }
  end
  local all = {}
  for conn in pairs(waiting) do all[#all + 1] = conn end
  for _, conn in ipairs(all) do
    if step(conn, waiting[conn]) then
      waiting[conn], done[#done + 1] = nil, conn -- it stays connected
    end
  end
  socket.select(all, nil, 0.02)
end
print(#done .. " of " .. count)
for _, conn in ipairs(done) do conn:close() end
