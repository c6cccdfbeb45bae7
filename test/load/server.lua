-- The server of the load programs: one process, any number of connections, each in a coroutine of a cqueues controller,
-- whose poll has no bound on descriptors. Prints its port and serves until its first client's connection ends.
--
--   lua test/load/server.lua SECONDS           SECONDS that a handshake may take
--
-- Clients send lines: "ping" is answered by "pong"; "stats" by resident KiB, open connections, handshakes that ended by
-- their timeout, the seconds that the latest of them came late, and connections whose client does not read; "give N" by
-- N bytes; after "sink" all is dropped.

local cqueues = require "cqueues"
local socket = require "socket"
local S = require "support"
local ssl = S.ssl

local LIMIT = assert(tonumber(arg[1]))
local BLOCK = ("x"):rep(16384)
local TURN = 65536 -- bytes of one connection, then it is another one's turn

local context = assert(ssl.newcontext(S.server()))
local loop = cqueues.new()
local open, timeouts, late, full = 0, 0, 0, 0

local function ready(peer, why, deadline)
  peer.events = why == "wantwrite" and "w" or "r"
  local left = deadline and deadline - cqueues.monotime()
  local one = peer.events == "w" and 1 or 0
  full = full + one
  local came = (not left or left > 0) and cqueues.poll(peer, left) == peer
  full = full - one
  return came
end

local function handshake(peer, deadline)
  while true do
    local ok, why = peer.conn:dohandshake()
    if ok or not S.wants(why) then return ok, why end
    if not ready(peer, why, deadline) then return nil, "timeout" end
  end
end

local function line(peer)
  local data, why, partial
  repeat
    data, why, partial = peer.conn:receive("*l", partial)
  until data or not S.wants(why) or not ready(peer, why)
  return data, why
end

local function send(peer, bytes)
  local sent = 0
  while true do
    local n, why, last = peer.conn:send(bytes, sent + 1)
    if n or not S.wants(why) or not ready(peer, why) then return n, why end
    sent = last
  end
end

local answers = {}

function answers.ping(peer) return send(peer, "pong\n") end

function answers.stats(peer)
  return send(peer, ("%d %d %d %.3f %d\n"):format(S.rss() or 0, open, timeouts, late, full))
end

function answers.give(peer, n)
  for i = 1, math.ceil(n / #BLOCK) do
    local ok, why = send(peer, BLOCK)
    if not ok then return ok, why end
    if i % (TURN / #BLOCK) == 0 then cqueues.sleep(0) end
  end
  return true
end

function answers.sink(peer)
  local taken = 0
  while true do
    local data, why = peer.conn:read(#BLOCK)
    if data then
      taken = taken + #data
      if taken >= TURN then
        taken = 0
        cqueues.sleep(0)
      end
    elseif not S.wants(why) or not ready(peer, why) then
      return nil, why
    end
  end
end

local function converse(peer)
  local request = line(peer)
  while request do
    local word, n = request:match("^(%a+) ?(%d*)$")
    if not answers[word](peer, tonumber(n)) then return end
    request = line(peer)
  end
end

local function serve(sock)
  local start = cqueues.monotime()
  local peer = { conn = assert(ssl.wrap(sock, context)) }
  peer.pollfd = peer.conn:getfd()
  peer.conn:settimeout(0)
  open = open + 1
  local ok, why = handshake(peer, start + LIMIT)
  if ok then
    converse(peer)
  elseif why == "timeout" then
    timeouts = timeouts + 1
    late = math.max(late, cqueues.monotime() - start - LIMIT)
  end
  cqueues.cancel(peer.pollfd)
  peer.conn:close()
  open = open - 1
end

local listener = assert(socket.bind("127.0.0.1", 0, 4096))
listener:settimeout(0)
local accepting = { pollfd = listener:getfd(), events = "r" }
local first = true

local function accept()
  while true do
    local sock = listener:accept()
    if sock then
      local last = first
      first = false
      sock:setoption("tcp-nodelay", true)
      loop:wrap(function()
        serve(sock)
        if last then os.exit(0) end
      end)
    else
      cqueues.poll(accepting)
    end
  end
end

io.stdout:setvbuf("line")
print((select(2, listener:getsockname())))
loop:wrap(accept)
assert(loop:loop())
