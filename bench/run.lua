-- The benchmark: plain C, this library, the installed LuaSec and luaossl with cqueues on the same workloads,
-- interleaved round by round, one table with two ratios a row, their goals and a verdict.
--
--   lua bench/run.lua [--scale X] [--rounds N] [--only PATTERN] [--libs ours,luasec,cqueues] [--check] [--smoke]
--
-- --check: exit status 1 when a row fails. --smoke: small sizes, one round, no goals; fails only when a measurement
-- does. A row FAILs when a median misses its goal by more than the row's tolerance, twice, the second time over three
-- times as many rounds: the medians of five are still moved by what else the machine does. It is at its LIMIT when the
-- goal is missed by plain C too, with what Lua itself takes to make the strings (floor.c) in a process that has loaded
-- this library, or called from Lua on LuaSocket's sockets (bare.c): on this machine there is no more to win. That is
-- said only where ours is as near to that limit as goal B asks.
-- `make bench` sets the environment that child.lua reads.

local here = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = here .. "/?.lua;" .. package.path

local child = require "child"
local rows = require "rows"

local opt = { scale = 0.5, rounds = 5, only = "", libs = "ours,luasec,cqueues" }

local i = 1
while arg[i] do
  local key = arg[i]:match("^%-%-(%a+)$")
  if key == "check" or key == "smoke" then
    opt[key] = true
  elseif key and opt[key] and arg[i + 1] then
    i = i + 1
    opt[key] = type(opt[key]) == "number" and assert(tonumber(arg[i]), "a number is missing") or arg[i]
  else
    io.stderr:write("unknown option " .. arg[i] .. "; see the head of bench/run.lua\n")
    os.exit(2)
  end
  i = i + 1
end
if opt.smoke then opt.scale, opt.rounds = 0.02, 1 end

local TITLES = { ours = "ours", luasec = "LuaSec", cqueues = "cqueues" }
local RETRY = 3 -- times as many rounds
local UNITS = { us = 1e6, ns = 1e9, ms = 1e3 }

local libs = {}
for name in opt.libs:gmatch("%w+") do libs[#libs + 1] = name end

-- ---- measuring ----

-- What stops the smoke run: bodies that differ, children that end without figures.
local broken = {}

local function complain(text)
  broken[#broken + 1] = text
  io.stderr:write("\n" .. text .. "\n")
end

--- How many of a row one process does.
local function amount(row)
  local small = opt.smoke and rows.smoke[row.id] or {}
  if small.n then return small.n end
  if row.fixed or row.n == 1 then return row.n end
  return math.max(2, math.floor(row.n * opt.scale))
end

local function sized(row)
  local small = opt.smoke and rows.smoke[row.id] or {}
  return small.size and setmetatable({ size = small.size }, { __index = row }) or row
end

--- The other side must have seen what the row says.
local function mismatch(row, figures)
  if row.wl == "send" then
    local bytes = tonumber((figures.peer or ""):match("bytes (%d+)"))
    if bytes ~= figures.bytes then return "the peer got " .. tostring(bytes) .. " of " .. figures.bytes .. " bytes" end
  elseif row.resumes then
    local resumed = tonumber((figures.peer or ""):match("resumed (%d+)"))
    if resumed ~= figures.n then return ("%s of %d resumed"):format(tostring(resumed), figures.n) end
  end
end

--- One figure of a row by a library in the row's unit, or nil and what is in its place.
local function sample(row, lib)
  local figures, kind, why = child.measure(lib, sized(row), amount(row))
  if not figures then
    if kind == "failed" then complain(("%s, %s: %s"):format(row.name, lib, why)) end
    return nil, kind
  end
  row.note[lib] = mismatch(row, figures)
  if row.wl == "idle" then return figures.rss / figures.n end
  if row.wl == "all" then row.memory[lib] = figures.hwm * 1024 / figures.bytes end
  return figures.cpu / figures.n * UNITS[row.unit or "us"]
end

--- The libraries of a row, plain C and other limits first.
local function subjects(row)
  local list = { "raw" }
  if row.readahead then list[#list + 1] = "rawra" end
  if row.wl == "recv" or row.wl == "line" or row.wl == "engines" then list[#list + 1] = "loaded" end
  if row.floor then list[#list + 1] = "floor" end
  if row.bare then list[#list + 1] = "bare" end
  for _, lib in ipairs(libs) do list[#list + 1] = lib end
  return list
end

--- One round of a row; every second one in the opposite order.
local function round(row, number)
  local list = subjects(row)
  local result = {}
  for k = 1, #list do
    local lib = list[number % 2 == 1 and k or #list + 1 - k]
    if row.state[lib] ~= "absent" then
      local value, kind = sample(row, lib)
      row.state[lib] = kind
      result[lib] = value
    end
  end
  row.rounds[#row.rounds + 1] = result
end

local function reset(row)
  row.rounds, row.state, row.note, row.memory = {}, {}, {}, {}
end

-- ---- figures ----

local function median(list)
  if #list == 0 then return nil end
  table.sort(list)
  local m = math.floor((#list + 1) / 2)
  return #list % 2 == 1 and list[m] or (list[m] + list[m + 1]) / 2
end

--- The median over the rounds of f(round), with the least and the most; nil where no round has it.
local function over(row, f)
  local list = {}
  for _, result in ipairs(row.rounds) do
    local value = f(result)
    if value then list[#list + 1] = value end
  end
  return median(list), list[1], list[#list]
end

local function cost(row, lib)
  return over(row, function(r) return r[lib] end)
end

--- LuaSec's cost over ours.
local function ratio_a(row)
  return over(row, function(r) return r.luasec and r.ours and r.luasec / r.ours end)
end

--- Ours over plain C's, plus what Lua itself costs where the row says so.
local function ratio_b(row, limit)
  return over(row, function(r)
    limit = limit or "raw"
    local base = r[limit]
    if row.floor == limit then base = base and r.floor and base + r.floor end
    return r.ours and base and r.ours / base
  end)
end

-- ---- verdicts ----

local function goal_a(row) return row.A and row.A[child.version] end

--- What no binding can be faster than in a round: plain C called from Lua on LuaSocket's sockets; or plain C, the
-- better of the two, and Lua's own cost.
local function lower_bound(row, r)
  if row.bare then return r.bare end
  local base = r.raw and math.min(r.raw, r.rawra or r.raw)
  return not row.limit and base and base + (r.loaded or 0)
end

--- The median ratio of one subject's cost to another's; "bound" is the lower bound.
local function between(row, over_this, under_that)
  return over(row, function(r)
    local bound = lower_bound(row, r)
    local above = over_this == "bound" and bound or r[over_this]
    local below = under_that == "bound" and bound or r[under_that]
    return above and below and above / below
  end)
end

--- Why a goal was missed. The second result: the machine rules it out, as `best` says, and ours is near the bound.
local function explain(row, slack, what, value, goal, best)
  local near = between(row, "ours", "bound")
  local ruled_out = best and (what == "A" and best < goal or what == "B" and best > goal)
  if ruled_out and near and near <= (row.B or 1) * slack then
    return ("%s %.2f, plain C with Lua's own cost %.2f"):format(what, value, best), true
  end
  return ("%s %.2f, goal %.2f"):format(what, value, goal), false
end

--- Why a row fails: a list, empty when it passes. The second result: the same for goals that cannot be reached.
local function faults(row)
  local slack = 1 + (row.tolerance or rows.DEFAULT_TOLERANCE)
  local list, limits = {}, {}
  local function miss(what, value, goal, best)
    local text, limit = explain(row, slack, what, value, goal, best)
    local into = limit and limits or list
    into[#into + 1] = text
  end
  local value = cost(row, "ours")
  if not value then return { row.state.ours or "not measured" }, limits end
  if row.note.ours then return { row.note.ours }, limits end
  local a, b, goal = ratio_a(row), ratio_b(row), goal_a(row)
  if goal and a and a * slack < goal then miss("A", a, goal, between(row, "luasec", "bound")) end
  if row.B and b and b > row.B * slack then
    miss("B", b, row.B, row.floor ~= "raw" and between(row, "bound", "raw"))
  end
  local ahead = row.readahead and ratio_b(row, "rawra")
  if ahead and ahead > row.readahead * slack then miss("B with read-ahead", ahead, row.readahead) end
  if row.max and value > row.max * slack then miss("ours", value, row.max) end
  return list, limits
end

-- ---- the table ----

local function number(value)
  if not value then return "" end
  return value >= 100 and ("%.0f"):format(value) or ("%.3g"):format(value)
end

local function cell(row, lib, spread)
  local value, least, most = cost(row, lib)
  if not value then return row.state[lib] or "-" end
  local text = number(value)
  if spread and least ~= most then text = ("%s (%s-%s)"):format(text, number(least), number(most)) end
  return row.note[lib] and text .. " *" or text
end

local function ratio(value, least, most, goal, sign)
  local text = value and ("%.2f"):format(value) or "-"
  if value and least ~= most then text = ("%s (%.2f-%.2f)"):format(text, least, most) end
  return text, goal and ("%s %.2f"):format(sign, goal) or "-"
end

local function verdict(row)
  if opt.smoke then return row.note.ours or row.state.ours or "ran" end
  local list, limits = faults(row)
  local text = #limits > 0 and "LIMIT: " .. table.concat(limits, "; ") or "PASS"
  if #list > 0 then text = "FAIL: " .. table.concat(list, "; ") end
  return row.retried and ("%s (2nd try, %d rounds)"):format(text, #row.rounds) or text
end

local function line(row)
  local a, a1, a2 = ratio_a(row)
  local b, b1, b2 = ratio_b(row)
  local atext, agoal = ratio(a, a1, a2, goal_a(row), ">=")
  local btext, bgoal = ratio(b, b1, b2, row.B, "<=")
  if row.max then bgoal = (row.B and bgoal .. ", " or "") .. "ours <= " .. row.max end
  local list = { row.name .. ", " .. (row.unit or "us"), cell(row, "raw") }
  for _, lib in ipairs(libs) do list[#list + 1] = cell(row, lib, lib == "ours") end
  for _, text in ipairs { atext, agoal, btext, bgoal, verdict(row) } do list[#list + 1] = text end
  return list
end

local function show(lines)
  local widths = {}
  for _, list in ipairs(lines) do
    for k, text in ipairs(list) do widths[k] = math.max(widths[k] or 3, #text) end
  end
  for n, list in ipairs(lines) do
    local out, rule = {}, {}
    for k, text in ipairs(list) do
      out[k] = text .. (" "):rep(widths[k] - #text)
      rule[k] = ("-"):rep(widths[k])
    end
    print("| " .. table.concat(out, " | ") .. " |")
    if n == 1 then print("|-" .. table.concat(rule, "-|-") .. "-|") end
  end
end

local function notes(list)
  for _, row in ipairs(list) do
    for lib, text in pairs(row.note) do
      if lib ~= "ours" then print(("* %s, %s: %s"):format(row.name, TITLES[lib] or lib, text)) end
    end
    if row.limit then print(("%s: plain C is %s."):format(row.name, row.limit)) end
    local bare, own = cost(row, "floor"), cost(row, "loaded")
    if own then
      print(("%s: Lua's own cost %s %s%s."):format(row.name, number(own), row.unit or "us",
        bare and (", %s in a process without libraries, which B adds to plain C"):format(number(bare)) or ""))
    end
    local least = row.bare and cost(row, "bare")
    if least then
      print(("%s: plain C from Lua on LuaSocket's sockets %s %s, %.2f of plain C; ours is %.2f of it."):format(row.name,
        number(least), row.unit or "us", between(row, "bound", "raw"), between(row, "ours", "bound")))
    end
    local ahead = row.readahead and ratio_b(row, "rawra")
    if ahead then
      print(("%s: plain C with read-ahead %s us; with Lua's own cost ours is %.2f of it, goal <= %.2f."):format(
        row.name, number(cost(row, "rawra")), ahead, row.readahead))
    end
  end
end

-- ---- the machine ----

local function first(command) return (child.capture(command):match("[^\n]*")) end

local function preamble()
  local cpu = "unknown processor"
  for text in io.lines("/proc/cpuinfo") do
    cpu = text:match("^model name%s*:%s*(.*)") or cpu
  end
  local openssl = first("openssl version"):gsub(" %(.*", "")
  print(("Lua %s (%s); %s; Linux %s; %s, %s"):format(child.version, first(child.lua .. " -v"), openssl,
    first("uname -r"), cpu, child.pin ~= "" and "one processor" or "taskset is missing: NOT pinned, figures are rough"))
  for _, lib in ipairs(libs) do
    local text = child.capture(child.command(lib, "which"))
    local what = text:match("L ([^\n]*)")
    local reason = text:match("A ([^\n]*)")
    what = what or (reason and "absent: " .. reason or "failed: " .. text)
    print(("%s: %s"):format(TITLES[lib] or lib, what))
  end
end

--- Each library's bodies against the peer's sums, and against each other's.
local function check_bodies()
  local reference
  for _, lib in ipairs(libs) do
    local text = child.capture(child.command(lib, "check"))
    local sums = {}
    for item in text:gmatch("K ([^\n]*)") do sums[#sums + 1] = item end
    local all = table.concat(sums, "\n")
    if text:match("^A ") then
      print(("bodies, %s: absent"):format(TITLES[lib] or lib))
    elseif #sums ~= 13 or (reference or all) ~= all then
      complain(("bodies, %s: %s"):format(lib, text))
    else
      reference = all
      print(("bodies, %s: 13 transfers equal"):format(TITLES[lib] or lib))
    end
  end
end

-- ---- main ----

local function chosen()
  local list, by = {}, {}
  for _, row in ipairs(rows.list) do
    if row.id:find(opt.only) or (row.of and row.of:find(opt.only)) then
      reset(row)
      by[row.id] = row
      list[#list + 1] = row
    end
  end
  return list, by
end

--- Rows that are read off another row's run.
local function derive(list, by)
  for _, row in ipairs(list) do
    local from = row.of and by[row.of]
    if from then
      reset(row)
      row.rounds[1] = from.memory
      row.state = from.state
    end
  end
end

local function measure(list, rounds)
  for n = 1, rounds do
    for _, row in ipairs(list) do
      if not row.of and not (row.once and n > 1) then
        round(row, n)
        io.stderr:write(".")
      end
    end
  end
  io.stderr:write("\n")
end

local function failing(list)
  local again = {}
  for _, row in ipairs(list) do
    if not row.of and #faults(row) > 0 and row.state.ours ~= "absent" then
      again[#again + 1] = row
    end
  end
  return again
end

local function main()
  io.stdout:setvbuf("line")
  local list, by = chosen()
  preamble()
  check_bodies()
  measure(list, opt.rounds)
  if not opt.smoke then
    local again = failing(list)
    for _, row in ipairs(again) do
      reset(row)
      row.retried = true
    end
    measure(again, RETRY * opt.rounds)
  end
  derive(list, by)
  local head = { "workload, CPU per operation", "plain C" }
  for _, lib in ipairs(libs) do head[#head + 1] = TITLES[lib] or lib end
  for _, text in ipairs { "A: LuaSec/ours", "goal", "B: ours/C", "goal", opt.smoke and "result" or "verdict" } do
    head[#head + 1] = text
  end
  local lines, failed, limited = { head }, 0, 0
  for _, row in ipairs(list) do
    lines[#lines + 1] = line(row)
    local why, limits = faults(row)
    if #why > 0 then failed = failed + 1 elseif #limits > 0 then limited = limited + 1 end
  end
  print("")
  show(lines)
  print("")
  notes(list)
  print(("rounds %d, scale %g: median (least-most); %s"):format(opt.rounds, opt.scale, opt.smoke and "goals not judged"
    or ("%d rows pass, %d are at their limit, %d fail"):format(#list - failed - limited, limited, failed)))
  if #broken > 0 or (opt.check and failed > 0) then os.exit(1) end
end

main()
