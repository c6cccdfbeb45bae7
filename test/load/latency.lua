-- What a healthy client of a server in one process notices of bad ones: a thousand handshakes that stall, readers that
-- are slow, peers that flood. Its visits, each a connection, a handshake, a request and an answer, go in turn to that
-- server and to its twin that has no such clients: what else the machine does slows down both. The 99th percentile may
-- at most double. There are three tries.
--
--   lua test/load/latency.lua [STALLED]        1000 by default
--
-- The last line is "N passed, N failed, N skipped".

local socket = require "socket"
local S = require "support"
local ssl = S.ssl
local L = require "load.client"

local STALLED = tonumber(arg[1]) or 1000
local LIMIT = 8 -- seconds that the servers allow a handshake
local LATE = 1 -- that they may be late by
local READERS = 50
local SLOW = 4194304 -- bytes that each of them asked for
local BUFFERED = 128 -- KiB more that the server may hold for each
local FLOODS = 2
local FLOOD = 5 -- seconds
local FLOODED = 16384 -- KiB more that the server may hold for them
local SAMPLES = 300
local TRIES = 3
local HAIR = 0.01 -- seconds: what the scheduler does to anybody

io.stdout:setvbuf("line")
local server, twin = L.server(LIMIT), L.server(LIMIT)

local function visit(where, times)
  local start = socket.gettime()
  local conn = where:connect()
  assert(L.ask(conn, "ping") == "pong")
  times[#times + 1] = socket.gettime() - start
  conn:close()
end

local function percentile(times, share) return times[math.ceil(#times * share)] * 1000 end

-- Visits until a time at most: the times of the server's and of its twin's, sorted.
local function measure(till)
  local ours, theirs = {}, {}
  repeat
    visit(twin, theirs)
    visit(server, ours)
  until #ours == SAMPLES or socket.gettime() > till
  table.sort(ours)
  table.sort(theirs)
  return ours, theirs
end

-- Measures while `bad` stands, for so many seconds at most from its beginning; it answers what ends it again.
local function compare(what, seconds, bad)
  local line
  for _ = 1, TRIES do
    local till = socket.gettime() + seconds
    local stop = bad()
    local ours, theirs = measure(till)
    stop()
    local beside, alone = percentile(ours, 0.99), percentile(theirs, 0.99)
    line = ("%s: median %.1f ms, without %.1f; 99th percentile of %d %.1f ms, without %.1f"):format(what,
      percentile(ours, 0.5), percentile(theirs, 0.5), #ours, beside, alone)
    if beside <= 2 * alone + HAIR * 1000 then return L.check(true, "%s", line) end
    print("again   " .. line)
  end
  L.check(false, "%s", line)
end

-- ---- stalled handshakes: nothing is said, the first message ends in the middle, the answer to it is not answered

local HELLO = "\22\3\1\2\0\1\0\1\252\3\3" .. ("r"):rep(100)

local client = assert(ssl.newcontext(S.client()))

local function stall(i)
  local sock = server:tcp()
  if i % 3 == 1 then
    assert(sock:send(HELLO))
  elseif i % 3 == 2 then
    local engine = assert(ssl.engine(client)) -- a connection might go on if the answer is quick
    engine:dohandshake()
    assert(sock:send(engine:drain()))
    engine:close()
  end
  return sock
end

-- Did the server end it? What it said before that is read.
local function ended(sock)
  sock:settimeout(2)
  local _, why = sock:receive(65536)
  return why == "closed"
end

local function stalling()
  local _, _, before = server:stats()
  local held = {}
  for i = 1, STALLED do held[i] = stall(i) end
  server:settled(STALLED)
  server:stats() -- the last of them has been answered by now
  return function()
    local still = STALLED - (select(3, server:stats()) - before)
    server:settled(0)
    local _, _, timeouts, late = server:stats()
    L.check(still == STALLED, "%d handshakes stalled to the end of the visits", still)
    L.check(timeouts - before == STALLED and late < LATE, "%d ended by their timeout, %.2f s late at most",
      timeouts - before, late)
    local told = 0
    for i = 1, STALLED do
      told = told + (ended(held[i]) and 1 or 0)
      held[i]:close()
    end
    L.check(told == STALLED, "%d of them saw their end", told)
  end
end

-- ---- slow readers

local function take(conns)
  local got = 0
  for _, conn in ipairs(conns) do got = got + #assert(conn:receive(1000)) end
  return got / #conns / 1024
end

local function reading()
  local before, conns = server:stats(), {}
  for i = 1, READERS do
    conns[i] = server:connect()
    assert(conns[i]:send("give " .. SLOW .. "\n"))
  end
  local got = take(conns)
  L.check(server:settled(READERS, true), "%d readers are slow", READERS)
  return function()
    got = got + take(conns)
    local more = (server:stats() - before) / READERS
    L.check(more < BUFFERED, "a slow reader of %.0f KiB, who has %.0f, costs the server %.1f KiB", SLOW / 1024, got,
      more)
    for _, conn in ipairs(conns) do conn:close() end
    L.check(server:settled(0), "slow readers are gone when they close")
  end
end

-- ---- floods, each by a process of its own

local function flood()
  return S.beside([[
    local socket, S, port, seconds = require "socket", require "support", ...
    local conn = assert(S.ssl.wrap(assert(socket.connect("127.0.0.1", port)), S.client()))
    conn:settimeout(10)
    assert(conn:dohandshake())
    assert(conn:send("sink\n"))
    local block, sent, till = ("f"):rep(65536), 0, socket.gettime() + seconds
    repeat sent = sent + assert(conn:send(block)) until socket.gettime() > till
    conn:close()
    print(sent)]], server.port, FLOOD + 2)
end

local function flooding()
  local before, ends = server:stats(), {}
  for i = 1, FLOODS do ends[i] = flood() end
  L.check(server:settled(FLOODS), "%d floods have begun", FLOODS)
  return function()
    local more, sent = server:stats() - before, 0
    for _, finish in ipairs(ends) do sent = sent + assert(tonumber(finish())) end
    L.check(sent > 2 ^ 20, "floods sent %.0f MiB", sent / 2 ^ 20)
    L.check(more < FLOODED, "the server has %.0f KiB more", more)
  end
end

compare(STALLED .. " stalled handshakes", LIMIT - 1, stalling)
compare(READERS .. " slow readers", FLOOD, reading)
compare(FLOODS .. " floods", FLOOD, flooding)
server:finish()
twin:finish()
L.finish()
