-- An echo server with cqueues: TLS on an object that is a cqueues socket, each connection in a coroutine of the
-- controller. Prints its port, serves COUNT connections, all at once if they come so.
--   lua samples/cqueues/server.lua build/certs COUNT

local cqueues = require "cqueues"
local socket = require "cqueues.socket"
local ssl = require "ssl"

local certs, count = arg[1], tonumber(arg[2])
local context = assert(ssl.newcontext {
  mode = "server", protocol = "tlsv1_2+",
  certificate = certs .. "/serverA.pem", key = certs .. "/serverAkey.pem",
})

-- LuaSocket's words for what a cqueues socket does.
local function carrier(sock)
  sock:setmode("bn", "bn")
  sock:onerror(function(_, _, why) return why end)
  return {
    send = function(_, data, from) return sock:xwrite(data:sub(from), "bn") and #data or nil, "closed", from - 1 end,
    receive = function(_, n) return sock:xread(-n, "bn") or nil, "closed" end,
    close = function() return sock:close() end,
  }
end

local function echo(conn)
  local ok, message = conn:dohandshake()
  while ok do
    local data
    data, message = conn:read()
    ok = data and conn:send(data)
  end
  return message
end

local listener = assert(socket.listen("127.0.0.1", 0))
local loop = cqueues.new()
io.stdout:setvbuf("line")
assert(listener:listen())
print((select(3, listener:localname())))
loop:wrap(function()
  for _ = 1, count do
    local sock = listener:accept()
    loop:wrap(function()
      local conn = assert(ssl.wrap(carrier(sock), context))
      local message = echo(conn)
      if message ~= "closed" then io.stderr:write("connection lost: ", message, "\n") end
      conn:close()
    end)
  end
end)
assert(loop:loop())
