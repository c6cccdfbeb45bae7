-- Starts the processes that measure, each pinned to one processor together with its peer, and reads what they print.
-- Shared by run.lua, ir.lua and syscalls.lua; nothing here knows a goal.
--
-- From the environment: LUA (interpreter), LUA_VERSION, BUILD (where our ssl.so is), BENCH (where peer and floor are).

local M = {}

M.lua = os.getenv("LUA") or "lua5.4"
M.version = os.getenv("LUA_VERSION") or "5.4"
M.build = os.getenv("BUILD") or "build/" .. M.version
M.bench = os.getenv("BENCH") or "build/bench"
M.seconds = 300

local function capture(command)
  local pipe = assert(io.popen(command .. " 2>&1", "r"))
  local text = pipe:read("*a")
  pipe:close()
  return text
end
M.capture = capture

--- Is a command there?
function M.have(command) return capture("command -v " .. command) ~= "" end

--- The first processor this process may run on.
function M.processor()
  local f = io.open("/proc/self/status")
  local text = f and f:read("*a") or ""
  if f then f:close() end
  return text:match("Cpus_allowed_list:%s*(%d+)") or "0"
end

--- What pins a process, "" where taskset is missing. As batch jobs a subject and its peer do not preempt each other
-- whenever one wakes the other: they would change places at each record in some runs and at each 30 KB in others.
M.pin = M.have("taskset") and "taskset -c " .. M.processor() .. " " or ""
if M.pin ~= "" and M.have("chrt") then M.pin = M.pin .. "chrt -b 0 " end

local environment = "env -u LUA_PATH -u LUA_CPATH"
for _, v in ipairs { "5_2", "5_3", "5_4", "5_5" } do
  environment = environment .. " -u LUA_PATH_" .. v .. " -u LUA_CPATH_" .. v
end
environment = ("%s BENCH_PEER=%s/peer BENCH_CA=%s/ca"):format(environment, M.bench, M.bench)

--- The command line of one measurement; `wrapper` (callgrind, strace) goes before the process that is measured.
-- Each library's modules come from their own place: ours from this tree, the others from the system's path.
function M.command(lib, arguments, wrapper)
  local subject = M.bench .. "/peer " .. lib
  local paths = ""
  if lib ~= "raw" and lib ~= "rawra" then
    local path, cpath = ";;", M.bench .. "/" .. M.version .. "/?.so;;"
    if lib == "ours" or lib == "loaded" then path, cpath = "lua/?.lua;;", M.build .. "/?.so;" .. cpath end
    paths = ("LUA_PATH='%s' LUA_CPATH='%s'"):format(path, cpath)
    subject = ("%s bench/bench.lua %s"):format(M.lua, lib)
  end
  return ("ulimit -n 8192 2>/dev/null; %stimeout -k 5 %d %s %s %s %s %s"):format(M.pin, M.seconds, environment, paths,
    wrapper or "", subject, arguments)
end

--- The arguments of a row's workload, n times.
function M.arguments(row, n)
  return ("%s %d %d %s"):format(row.wl, row.size or 0, n, row.record or "")
end

--- Runs one measurement. Returns a table of its figures (numbers; peer is a string); or nil, "absent" or "failed", why.
function M.measure(lib, row, n, wrapper)
  local text = capture(M.command(lib, M.arguments(row, n), wrapper))
  local line = text:match("R (lib=[^\n]*)")
  if not line then
    local reason = ("\n" .. text):match("\nA ([^\n]*)")
    if reason then return nil, "absent", reason end
    return nil, "failed", text ~= "" and text or "no output"
  end
  local figures = { peer = line:match("peer=(.*)$") }
  for key, value in line:gmatch("(%w+)=(%S+)") do figures[key] = figures[key] or tonumber(value) end
  return figures
end

return M
