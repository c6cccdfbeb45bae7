-- One measurement: one library, one workload, in a process of its own. The other side of every connection is the C
-- program peer, which this process starts, so that os.clock() is the library's CPU time and nothing else.
--
--   lua bench/bench.lua ours|luasec|cqueues WORKLOAD SIZE N [RECORD]         prints R key=value ...
--   lua bench/bench.lua bare client|resumed|server|sresumed|line SIZE N      plain C's, called from Lua
--   lua bench/bench.lua floor|loaded recv|line|engines SIZE N    the same for Lua alone, or with our modules
--   lua bench/bench.lua LIBRARY which                                        prints where the library came from
--   lua bench/bench.lua LIBRARY check                                        compares bodies with the peer's sums
--
-- A line "A reason" instead says that the library, or what the workload needs of it, is absent. LUA_PATH and LUA_CPATH
-- decide which `ssl` is found; CERTS, BENCH_CA and BENCH_PEER name the test PKI, the CA files and the peer.

local libname, workload = arg[1], arg[2]
local size, count, record = tonumber(arg[3]) or 0, tonumber(arg[4]) or 1, tonumber(arg[5])

local RECORD = 16384
local LOOP_SECONDS = 0.5 -- CPU that an open-ended loop may take; raw.c has the same
local COPIES = 16 -- of the CA file

local ca = os.getenv("BENCH_CA") or "build/bench/ca"
local peerpath = os.getenv("BENCH_PEER") or "build/bench/peer"
local clock = os.clock

package.path = (arg[0]:match("^(.*)/[^/]*$") or ".") .. "/?.lua;" .. package.path
local adapters = require "adapters"
local absent = adapters.absent

local function cafile(i) return ("%s/ca-%d.pem"):format(ca, i) end

--- VmRSS or VmHWM in KiB.
local function memory(key)
  for line in io.lines("/proc/self/status") do
    local value = line:match("^" .. key .. ":%s*(%d+)")
    if value then return tonumber(value) end
  end
  return 0
end

local function collect()
  collectgarbage()
  collectgarbage()
end

-- ---- the peer ----

local peer, port

local function spawn(...)
  peer = assert(io.popen("exec " .. peerpath .. " " .. table.concat({ ... }, " "), "r"))
  if select(1, ...) == "serve" then
    port = tonumber((peer:read("*l") or ""):match("port (%d+)"))
    if not port then error("the peer did not start") end
  end
end

--- The peer's last words.
local function ending()
  if not peer then return "" end
  local line = peer:read("*l") or ""
  peer:close()
  return line
end

local function random_string(n)
  local out, byte, char = {}, math.random, string.char
  for i = 1, math.min(n, 4096) do out[i] = char(byte(0, 255)) end
  local block = table.concat(out)
  return (block:rep(math.ceil(n / #block))):sub(1, n)
end

-- ---- figures ----

local cpu, wall, rss = 0, 0, 0
local gettime

local function start()
  collect()
  wall, cpu = gettime(), clock()
end

local function stop() cpu, wall = clock() - cpu, gettime() - wall end

local function time_left() return clock() - cpu < LOOP_SECONDS end

local function report()
  local hwm = memory("VmHWM")
  print(("R lib=%s wl=%s cpu=%.6f wall=%.6f n=%d bytes=%.0f hwm=%d rss=%d peer=%s"):format(libname, workload, cpu, wall,
    count, size * count, hwm, rss, ending()))
end

-- ---- workloads ----

local W = {}

function W.send(A)
  spawn("serve", "sink")
  local conn = A.connect(port, A.context(false))
  local send, data = A.methods(conn), random_string(size)
  start()
  for _ = 1, count do send(conn, data) end
  stop()
  A.close(conn)
end

local function connect_source(A, line)
  spawn("serve", "source", ("%.0f"):format(size * count), record or RECORD, line)
  return A.connect(port, A.context(false))
end

function W.recv(A)
  local conn = connect_source(A, 0)
  local _, receive = A.methods(conn)
  start()
  for _ = 1, count do
    if #receive(conn, size) ~= size then error("a block of the wrong length") end
  end
  stop()
  A.close(conn)
end

function W.line(A)
  local conn = connect_source(A, size)
  local _, receive = A.methods(conn)
  local len = size - 1
  start()
  for _ = 1, count do
    if #receive(conn, "*l") ~= len then error("a line of the wrong length") end
  end
  stop()
  A.close(conn)
end

function W.all(A)
  local conn = connect_source(A, 0)
  local _, receive = A.methods(conn)
  start()
  local data = receive(conn, "*a")
  stop()
  if #data ~= size * count then error("a body of the wrong length") end
  A.close(conn)
end

function W.ping(A)
  spawn("serve", "echo", size)
  local conn = A.connect(port, A.context(false))
  local send, receive = A.methods(conn)
  local data = random_string(size)
  start()
  for _ = 1, count do
    send(conn, data)
    if #receive(conn, size) ~= size then error("an echo of the wrong length") end
  end
  stop()
  A.close(conn)
end

function W.client(A)
  local ctx = A.context(false)
  spawn("serve", "hs")
  for i = 0, count do -- the first warms up
    if i == 1 then start() end
    A.close(A.connect(port, ctx))
  end
  stop()
  A.tcp(port):close()
end

function W.resumed(A)
  if not (A.session or A.nosession) then absent("no client sessions") end
  local ctx = A.context(false)
  local session
  spawn("serve", "resumed")
  for i = 0, count do
    if i == 1 then start() end
    local conn = A.connect(port, ctx, session)
    local _, receive = A.methods(conn)
    receive(conn, 1)
    if A.session then session = A.session(conn, session) end
    A.close(conn)
  end
  stop()
  A.tcp(port):close()
end

--- A context for each connection, from settings that name a CA file, and the chain verified.
function W.ctxconn(A)
  if not A.connectown then absent("no settings with a CA file at wrap") end
  spawn("serve", "hs")
  A.close(A.connectown(port, cafile(0)))
  start()
  local i = 0
  while i < count and time_left() do
    A.close(A.connectown(port, cafile(0)))
    i = i + 1
  end
  collect()
  stop()
  count = i
  A.tcp(port):close()
end

local function serve(A, what)
  local ctx = A.context(true)
  local listener, at = A.listen()
  spawn("call", what, at, count + 1)
  for i = 0, count do
    if i == 1 then start() end
    A.close(A.accept(listener, ctx))
  end
  stop()
end

function W.server(A) serve(A, "hs") end
function W.sresumed(A) serve(A, "resumed") end

--- newctx: a CA file not seen before for each context; newctx2: one seen before.
local function contexts(A, file)
  if not A.parse then absent("no CA file") end
  A.context(false)
  local kept = file == 0 and A.parse(cafile(0))
  start()
  local i = 0
  while i < count and time_left() do
    A.parse(cafile(file or i))
    i = i + 1
  end
  collect()
  stop()
  count = i
  return kept
end

function W.newctx(A)
  count = math.min(count, COPIES)
  return contexts(A, nil)
end

function W.newctx2(A) return contexts(A, 0) end

function W.idle(A)
  if not A.idle then absent("its read waits") end
  local ctx, all = A.context(false), {}
  spawn("serve", "hold", count)
  start()
  for i = 1, count do all[i] = false end
  all[1] = A.connect(port, ctx)
  collect()
  local before = memory("VmRSS")
  for i = 2, count do all[i] = A.connect(port, ctx) end
  for i = 1, count do A.idle(all[i]) end
  collect()
  rss = memory("VmRSS") - before
  stop()
  for i = 1, count do A.close(all[i]) end
end

--- Strings from one engine to another in this process.
function W.engines(A)
  if not A.engine then absent("no TLS without sockets") end
  local sender, receiver = A.engine(A.context(false)), A.engine(A.context(true))
  for _ = 1, 10 do
    sender:dohandshake()
    receiver:feed(sender:drain())
    receiver:dohandshake()
    sender:feed(receiver:drain())
  end
  local data = random_string(size)
  start()
  for _ = 1, count do
    sender:send(data)
    receiver:feed(sender)
    if #receiver:receive(size) ~= size then error("a block of the wrong length") end
  end
  stop()
end

--- What Lua costs for one line or block, without a library.
local function floor()
  local len, pattern = size, size
  if workload == "line" then len, pattern = size - 1, "*l" end
  local f = require("floor")(len)
  local receive = f.receive
  local t = clock()
  f:refill(count)
  local refill = clock() - t
  start()
  for _ = 1, count do
    if #receive(f, pattern) ~= len then error("a string of the wrong length") end
  end
  stop()
  cpu = cpu - refill
end

-- ---- bodies ----

local function add(sum, s)
  local byte = string.byte
  for i = 1, #s do sum = (sum * 31 + byte(s, i)) % 4294967296 end
  return sum
end

local function checked(name, bytes, sum)
  local said = ending()
  local mine = ("bytes %.0f sum %.0f"):format(bytes, sum)
  if said ~= mine then error(("%s: %s %s; the peer: %s"):format(name, libname, mine, said)) end
  print(("K %s %s"):format(name, mine))
end

local TOTAL = 1000000

local function check_receive(A, pattern, rec, line)
  spawn("serve", "source", TOTAL, rec, line, "check")
  local conn = A.connect(port, A.context(false))
  local _, receive = A.methods(conn)
  local bytes, sum = 0, 0
  while bytes < TOTAL do
    local want = type(pattern) == "number" and math.min(pattern, TOTAL - bytes) or pattern
    local s = assert(receive(conn, want))
    if want == "*l" then s = s .. "\n" end
    if #s == 0 then error("an empty string") end
    bytes, sum = bytes + #s, add(sum, s)
  end
  A.close(conn)
  checked(("receive %s, records of %d, lines of %d"):format(tostring(pattern), rec, line), bytes, sum)
end

local function check_send(A, n)
  spawn("serve", "sink", "check")
  local conn = A.connect(port, A.context(false))
  local send, data = A.methods(conn), random_string(n)
  local bytes, sum = 0, 0
  while bytes < TOTAL do
    send(conn, data)
    bytes, sum = bytes + n, add(sum, data)
  end
  A.close(conn)
  checked(("send strings of %d"):format(n), bytes, sum)
end

local function check(A)
  math.randomseed(1)
  for _, n in ipairs { 1048576, 16384, 1024, 64 } do check_send(A, n) end
  for _, n in ipairs { 65536, 8192, 1048576, 100, "*a" } do check_receive(A, n, RECORD, 0) end
  check_receive(A, 256, 256, 0)
  check_receive(A, "*l", RECORD, 32)
  check_receive(A, "*l", RECORD, 200)
  check_receive(A, "*l", 32, 32)
end

-- ---- main ----

local function main(A)
  if workload == "which" then
    print(("L %s, %s"):format(A.version, A.file))
  elseif workload == "check" then
    check(A)
  else
    (W[workload] or error("no workload named " .. tostring(workload)))(A)
    report()
  end
end

gettime = require("socket").gettime
if libname == "floor" then
  floor()
  report()
elseif libname == "loaded" then -- the same among the live values of a program that has the library
  local A = adapters.ours()
  local ctx = A.context(false)
  floor()
  assert(ctx)
  report()
else
  local A = (adapters[libname] or error("no library named " .. tostring(libname)))()
  if A.cqueues then
    local loop = A.cqueues.new()
    loop:wrap(function() main(A) end)
    assert(loop:loop())
  else
    main(A)
  end
end
