-- Instructions in user space for one operation, counted by callgrind: the difference between two sizes, so that the
-- start cancels. Unlike time it is the same on a busy machine, which makes it the gate for continuous integration.
--
--   lua bench/ir.lua [small] [NAME...]     small: the few rows that take seconds; NAME: rows by id
--
-- Exit status 1 when a row needs more than its goal. A goal is what plain C takes in this very run, plus the surplus
-- that was proved possible on Lua 5.4, plus 3 %. On other Luas the figures are shown and not judged.

local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = here .. "/?.lua;" .. package.path

local child = require "child"

local TOLERANCE = 1.03

-- per: operations that make one unit of the row. surplus: instructions over plain C's.
local rows = {
  { id = "send16k", name = "send 16 KiB", wl = "send", size = 16384, n = 300, surplus = 1702, small = true },
  { id = "send64", name = "send 64 B", wl = "send", size = 64, n = 1500, surplus = 1654, small = true },
  { id = "recv64k", name = "receive(65536), 16 KiB", wl = "recv", size = 65536, n = 100, per = 0.25, surplus = 2657,
    small = true },
  { id = "recv8k", name = "receive(8192), 16 KiB", wl = "recv", size = 8192, n = 600, per = 2, surplus = 6022 },
  { id = "all", name = "`*a`, 16 KiB", wl = "all", size = 16384, n = 512, surplus = 1526 },
  { id = "line200", name = "`*l` 200 B", wl = "line", size = 200, n = 10000, surplus = 1718 },
  { id = "line32", name = "`*l` 32 B", wl = "line", size = 32, n = 20000, surplus = 1934, small = true },
  { id = "ping", name = "ping-pong 64 B", wl = "ping", size = 64, n = 600, surplus = 3574, small = true },
  { id = "client", name = "client handshake", wl = "client", size = 0, n = 30, surplus = 59000 },
  { id = "resumed", name = "client handshake, resumed", wl = "resumed", size = 0, n = 30, surplus = 76000 },
  { id = "server", name = "server handshake", wl = "server", size = 0, n = 30, surplus = 15000 },
}

-- What counts as what, by the name of the file that was mapped.
local OBJECTS = { "libcrypto", "libssl", "libc", "lua", "binding", "other" }

local function object(path)
  local name = path:match("([^/]*)$")
  if name:find("^libcrypto") or name:find("^libssl") then return name:match("^lib%a+") end
  if name:find("^libc%.") or name:find("^ld%-") or name:find("^libm%.") then return "libc" end
  if name:find("^ssl%.so") or name:find("sec%.so") or name == "peer" then return "binding" end
  if name:find("^liblua") or name:find("^lua") then return "lua" end
  return "other"
end

--- Instructions by object of one callgrind file. Its names are written once, "(id) name", and then as "(id)"; the line
-- after a "calls=" line is what the callee took, which is counted where it happened.
local function parse(path)
  local names, sums, current, skip = {}, {}, "other", false
  for line in io.lines(path) do
    local kind, id, name = line:match("^(c?ob)=(%(%d+%)) ?(.*)")
    if kind then
      if name ~= "" then names[id] = object(name) end
      if kind == "ob" then current = names[id] or "other" end
    elseif line:find("^calls=") then
      skip = true
    else
      local cost = line:match("^[%d%+%-%*]%d* (%d+)$")
      if cost and not skip then sums[current] = (sums[current] or 0) + tonumber(cost) end
      if cost then skip = false end
    end
  end
  return sums
end

local function count(row, lib, n)
  local out = ("%s/callgrind.%s.%s.%d"):format(child.bench, row.id, lib, n)
  os.remove(out)
  -- callgrind counts `rep movsb` once a byte; glibc's other way of copying is counted like everybody else's work.
  local wrapper = "GLIBC_TUNABLES=glibc.cpu.x86_rep_movsb_threshold=0x40000000 setarch -R valgrind --tool=callgrind -q "
    .. "--callgrind-out-file=" .. out
  local figures, kind, why = child.measure(lib, row, n, wrapper)
  local sums = figures and parse(out)
  os.remove(out)
  return sums, kind, why
end

--- Instructions a unit, by object and in all; or nil, "absent" or "failed", why.
local function difference(row, lib)
  local few, kind, why = count(row, lib, row.n)
  if not few then return nil, kind, why end
  local many
  many, kind, why = count(row, lib, row.n * 2)
  if not many then return nil, kind, why end
  local result = { total = 0 }
  for _, name in ipairs(OBJECTS) do
    local value = ((many[name] or 0) - (few[name] or 0)) / row.n * (row.per or 1)
    result[name] = value
    result.total = result.total + value
  end
  return result
end

local function show(row, lib, figures, goal, verdict)
  local list = {}
  for _, name in ipairs(OBJECTS) do list[#list + 1] = ("%9.0f"):format(figures[name]) end
  print(("| %-26s | %-6s | %9.0f | %s | %9s | %s"):format(row.name, lib, figures.total, table.concat(list, " | "),
    goal and ("%.0f"):format(goal) or "", verdict or ""))
end

--- Measures one row; true when it fails.
local function judge(row, libs)
  local raw, _, why = difference(row, "raw")
  if not raw then error(row.name .. ", plain C: " .. tostring(why)) end
  show(row, "C", raw)
  local failed = false
  for _, lib in ipairs(libs) do
    local figures, kind, reason = difference(row, lib)
    if figures and lib == "ours" and child.version == "5.4" then
      local goal = (raw.total + row.surplus) * TOLERANCE
      failed = figures.total > goal
      show(row, lib, figures, goal, failed and ("FAIL: %+.1f %%"):format((figures.total / goal - 1) * 100) or "PASS")
    elseif figures then
      show(row, lib, figures)
    else
      print(("| %-26s | %-6s | %s"):format(row.name, lib, kind == "absent" and "absent: " .. reason or reason))
      failed = failed or lib == "ours"
    end
  end
  return failed
end

local function main()
  io.stdout:setvbuf("line")
  if not child.have("valgrind") then
    print("valgrind is absent: nothing counted")
    return 0
  end
  local wanted, small = {}, false
  for _, name in ipairs(arg) do
    if name == "small" then small = true else wanted[name] = true end
  end
  local libs = small and { "ours" } or { "ours", "luasec" }
  print(("| %-26s | %-6s | %9s | %9s | %9s | %9s | %9s | %9s | %9s | %9s |"):format("instructions for one", "by", "all",
    "libcrypto", "libssl", "libc", "lua", "binding", "other", "goal"))
  print("|" .. ("-"):rep(28) .. "|" .. ("-"):rep(8) .. ("|" .. ("-"):rep(11)):rep(8) .. "|")
  local passed, failed = 0, 0
  for _, row in ipairs(rows) do
    if (not small or row.small) and (next(wanted) == nil or wanted[row.id]) then
      if judge(row, libs) then failed = failed + 1 else passed = passed + 1 end
    end
  end
  print(("%d rows pass, %d fail"):format(passed, failed))
  return failed > 0 and 1 or 0
end

os.exit(main())
