-- Visits over loopback whose clients vanish at random points: before, amid and after the handshake and in the middle of
-- data, by reset, half close, close, silence, or by being dropped for the collector. The server's every call afterwards
-- must end in an answer that it can work with.

local socket = require "socket"
local ssl = require "ssl"
local support = require "support"

local M = {}

local random -- function(n): 1 to n

local function one(list) return list[random(#list)] end

-- ---- contexts: made once, as a server does

local calls = 0

local function alpn(offered)
  calls = calls + 1
  if calls % 97 == 0 then error("a callback that fails now and then") end
  return offered
end

local chain = assert(ssl.newcontext(support.server {
  certificate = support.cert("chainA"), key = support.cert("chainAkey") }))

local servers = {
  assert(ssl.newcontext(support.server { alpn = alpn })),
  assert(ssl.newcontext(support.server { alpn = { "a" }, cafile = support.cert("rootA"), verify = "peer" })),
  assert(ssl.newcontext(support.server {
    cafile = support.cert("rootA"), verify = { "peer", "fail_if_no_peer_cert" }, protocol = "tlsv1_3" })),
}

local clients = {
  assert(ssl.newcontext(support.anyclient { alpn = { "b", "a" } })),
  assert(ssl.newcontext(support.anyclient { protocol = "tlsv1_2" })),
  assert(ssl.newcontext(support.client { alpn = "a", certificate = support.cert("clientA"),
    key = support.cert("clientAkey") })),
  assert(ssl.newcontext(support.client { cafile = support.cert("rootB") })), -- refuses the server
}

local map = setmetatable({}, { __index = function(_, name) return name == "chain.test" and chain or nil end })
local block = ("0123456789abcdef"):rep(8192)

-- ---- the ways to vanish

-- Closes the descriptor under the connection, so that no close_notify is sent.
local function kill(conn, linger)
  support.raw(conn, function(sock)
    if linger then sock:setoption("linger", { on = true, timeout = 0 }) end
    sock:close()
  end)
  conn:close()
end

local vanish = {
  reset = function(c) kill(c, true) end,
  kill = function(c) kill(c, false) end,
  close = function(c) c:close() end,
  fin = function(c) support.raw(c, function(sock) sock:shutdown("send") end) end,
  silence = function() end, -- stays, says nothing, and is left to the collector
}
local ways = { "reset", "kill", "close", "fin", "silence" }

-- Steps both sides a random number of times, so that the client vanishes amid the handshake or after it.
local function shake(c, s, steps)
  local cok, sok
  for _ = 1, steps do
    cok = cok or c:dohandshake()
    sok = sok or s:dohandshake()
    if cok and sok then return true end
  end
  return cok and sok
end

local function talk(c, s)
  for _ = 1, random(5) - 1 do
    c:send(block, 1, random(#block))
    s:receive(random(#block))
    s:send(block, random(#block))
    c:receive(one { "*a", "*l", 1, 1000, 100000 })
  end
end

-- What the server sees afterwards: each call must end in an answer, at once.
local function aftermath(s)
  for _ = 1, 6 do
    local ok, err = s:dohandshake()
    assert(ok == true or (ok == false and type(err) == "string"), "dohandshake: " .. tostring(err))
    local data, why, partial = s:receive(one { "*a", "*l", 100 })
    assert(data or (type(why) == "string" and type(partial) == "string"), "receive: " .. tostring(why))
    local n, reason, last = s:send(block)
    assert(n or (type(reason) == "string" and type(last) == "number"), "send: " .. tostring(reason))
  end
end

local listener = assert(socket.bind("127.0.0.1", 0, 128))
listener:settimeout(10)
local _, port = listener:getsockname()

local function connect()
  local a = socket.tcp()
  a:settimeout(10)
  assert(a:connect("127.0.0.1", port))
  return a, assert(listener:accept())
end

--- How many clients vanished when.
M.counts = { before = 0, amid = 0, after = 0 }

--- One visit.
function M.one()
  local a, b = connect()
  local s = assert(ssl.wrap(b, one(servers)))
  s:settimeout(0)
  if random(2) == 1 then s:sni(map, random(2) == 1) end
  local kind = random(10)
  if kind == 1 then -- before: no TLS at all, or the beginning of something
    a:send(("\22\3\1\2\0\1\0\1\252\3\3" .. block):sub(1, random(601) - 1))
    if random(2) == 1 then a:setoption("linger", { on = true, timeout = 0 }) end
    M.counts.before = M.counts.before + 1
    a:close()
    aftermath(s)
  else
    local c = assert(ssl.wrap(a, one(clients)))
    c:settimeout(0)
    if random(2) == 1 then c:sni(one { "chain.test", "other.test" }) end
    local ready = shake(c, s, kind <= 5 and random(3) - 1 or 12)
    local moment = ready and "after" or "amid"
    M.counts[moment] = M.counts[moment] + 1
    if ready then talk(c, s) end
    vanish[one(ways)](c)
    aftermath(s)
  end
  if random(3) > 1 then s:close() end
end

--- `f(n)` draws a number from 1 to n.
function M.start(f) random = f end

return M
