-- Handshakes by the hundred thousand in one process, with something going wrong in most of them: nine in ten on
-- engines (faults.lua), one in ten over loopback, with clients that vanish (vanish.lua). Sessions are resumed, contexts
-- made anew on the way. Resident memory and descriptors must stay where they were after warm-up, a third of the way.
--
--   lua test/load/soak.lua [COUNT [SEED]]      1,000,000 by default
--
-- The same seed gives the same faults at the same places; keys, signatures and the kernel's timing differ. Prints it,
-- the memory on the way and what went wrong how often, then "N passed, N failed, N skipped", a test for each interval.
-- Ends with status 1 when one failed.

local S = require "support"
local faults = require "load.faults"
local socket = require "socket"
local vanish = require "load.vanish"

local COUNT = tonumber(arg[1]) or 1000000
local SEED = tonumber(arg[2]) or os.time()
local INTERVALS = 20
local WARM = 7 -- intervals until memory must have settled
local GROWTH = 1024 -- KiB that it may still grow by

io.stdout:setvbuf("line")
print(("soak: %d visits, seed %d"):format(COUNT, SEED))
faults.start(S.random(SEED % 2147483646 + 1))
vanish.start(S.random((SEED + 1) % 2147483646 + 1)) -- which draws as often as the kernel's timing has it

local done = 0

local function interval(n)
  for _ = 1, n do
    done = done + 1
    local ok, message = xpcall(done % 10 == 0 and vanish.one or faults.one, debug.traceback)
    if not ok then error(("visit %d of seed %d: %s"):format(done, SEED, message), 0) end
    -- How much waits for the collector at worst is chance, and what the heap grew to for it stays.
    if done % 100 == 0 then collectgarbage() end
  end
end

local start, clock = socket.gettime(), os.clock()
local settled, descriptors, most, failed = nil, nil, 0, 0

local function measure(i)
  S.collect()
  local rss, open = S.rss() or 0, S.descriptors()
  if i == WARM then settled, descriptors = rss, open end
  if i > WARM then most = math.max(most, rss - settled) end
  local bad = i > WARM and (rss > settled + GROWTH and "memory grew" or open ~= descriptors and "descriptors changed")
  if bad then failed = failed + 1 end
  print(("%3d %%  %6d KiB  %d descriptors  %.0f s  %s"):format(i * 100 / INTERVALS, rss, open,
    socket.gettime() - start, bad and "FAILED: " .. bad or ""))
end

for i = 1, INTERVALS do
  interval(math.ceil(COUNT / INTERVALS))
  measure(i)
end

local function report(counts)
  local names = {}
  for name in pairs(counts) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do names[i] = name .. " " .. counts[name] end
  return table.concat(names, ", ")
end

print("engines: " .. report(faults.counts))
print("clients vanished: " .. report(vanish.counts) .. " the handshake")
print(("%.2f ms of CPU a visit; memory grew by %d KiB after warm-up"):format((os.clock() - clock) * 1000 / done, most))
print(("%d passed, %d failed, 0 skipped"):format(INTERVALS - failed, failed))
os.exit(failed == 0 and 0 or 1)
