-- Thousands of connections at once between two processes, one end of each in either: all are opened, stay idle, are
-- used in turn, and are closed. Descriptors go far beyond what select can watch.
--
--   lua test/load/connections.lua [COUNT]      10000 by default
--
-- Prints the memory of an idle connection. The last line is "N passed, N failed, N skipped".

local socket = require "socket"
local S = require "support"
local L = require "load.client"

local COUNT = tonumber(arg[1]) or 10000
local SPARE = 40 -- descriptors for everything else
local IDLE = 40 -- KiB that an idle connection may cost a process, its coroutine included

io.stdout:setvbuf("line")
local limit = assert(io.popen("ulimit -n"))
local allowed = tonumber(limit:read("*l")) or math.huge -- or unlimited
limit:close()
if allowed < COUNT + SPARE then
  print(("# skip: %d descriptors are allowed, %d connections need more (ulimit -n)"):format(allowed, COUNT))
  print("0 passed, 0 failed, 1 skipped")
  os.exit(0)
end

local server = L.server(60)
S.collect()
local descriptors = S.descriptors()
local mine, its = S.rss(), server:stats()
local start = socket.gettime()
local conns, highest = {}, 0
for i = 1, COUNT do
  conns[i] = server:connect()
  highest = math.max(highest, conns[i]:getfd())
end
S.collect()
local rss, open = server:stats()
L.check(open == COUNT, "%d connections open on the server, %.1f s", open, socket.gettime() - start)
L.check(highest >= COUNT, "the highest descriptor is %d", highest)
local there, here = (rss - its) / COUNT, (S.rss() - mine) / COUNT
L.check(there < IDLE, "an idle connection takes %.1f KiB of the server", there)
L.check(here < IDLE, "and %.1f KiB of the client", here)

start = socket.gettime()
local answered = 0
for i = COUNT, 1, -1 do
  if L.ask(conns[i], "ping") == "pong" then answered = answered + 1 end
end
L.check(answered == COUNT, "%d of them answer in turn, %.1f s", answered, socket.gettime() - start)

for i = 1, COUNT do conns[i]:close() end
conns = nil -- luacheck: ignore 311
S.collect()
L.check(S.descriptors() == descriptors, "the client has its %d descriptors again", descriptors)
L.check(server:settled(0), "the server has no connection any more")
server:finish()
L.finish()
