-- Devices that share a key with the server and need no certificates. Prints its port.
--   lua samples/psk/server.lua [PORT [COUNT]]

local socket = require "socket"
local ssl = require "ssl"

local port, count = tonumber(arg[1] or 6443), tonumber(arg[2]) or math.huge

-- 32 random bytes each: whoever hears one handshake can try guesses at leisure, so that no word a human chose will do.
local keys = {
  lamp = ("4f"):rep(32):gsub("%x%x", function(hex) return string.char(tonumber(hex, 16)) end),
  door = ("a1"):rep(32):gsub("%x%x", function(hex) return string.char(tonumber(hex, 16)) end),
}

local context = assert(ssl.newcontext {
  mode = "server", protocol = "tlsv1_2+",
  psk = function(identity) return keys[identity] end, -- nil: unknown, and refused
})

local listener = assert(socket.bind("127.0.0.1", port))
io.stdout:setvbuf("line")
print((select(2, listener:getsockname())))
while count > 0 do
  local conn = assert(ssl.wrap(assert(listener:accept()), context))
  conn:settimeout(10)
  local ok, message = conn:dohandshake()
  local who = ok and conn:getpskidentity()
  if ok then ok, message = conn:send("good evening, " .. who .. "\n") end
  print(ok and who or message)
  conn:close()
  count = count - 1
end
