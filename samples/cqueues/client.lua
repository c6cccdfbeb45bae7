-- COUNT connections at once with cqueues, a coroutine each: none says anything before all have shaken hands, then each
-- sends a text and waits until it has come back.
--   lua samples/cqueues/client.lua build/certs PORT COUNT

local cqueues = require "cqueues"
local condition = require "cqueues.condition"
local socket = require "cqueues.socket"
local ssl = require "ssl"

local certs, port, count = arg[1], tonumber(arg[2]), tonumber(arg[3])
local context = assert(ssl.newcontext {
  mode = "client", protocol = "tlsv1_2+", verify = "peer", cafile = certs .. "/rootA.pem", servername = "localhost",
})
local everyone, ready, answered = condition.new(), 0, 0

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

local function barrier()
  ready = ready + 1
  if ready == count then everyone:signal() end
  while ready < count do everyone:wait() end
end

local function talk(number)
  local conn = assert(ssl.wrap(carrier(socket.connect("127.0.0.1", port)), context))
  local text, got = ("connection %d says so\n"):format(number):rep(1000), nil
  local ok, message = conn:dohandshake()
  if ok then
    barrier()
    ok, message = conn:send(text)
  end
  if ok then got, message = conn:receive(#text) end
  if got == text then
    answered = answered + 1
  else
    io.stderr:write(("connection %d: %s\n"):format(number, message or "the echo is another"))
  end
  conn:close()
end

local loop = cqueues.new()
for number = 1, count do loop:wrap(talk, number) end
assert(loop:loop())
print(("%d connections at once, %d answers"):format(ready, answered))
