-- Runs the compat specs on one library and compares the outcome with differences.lua.
--
--   lua5.4 test/compat/run.lua ours|luasec [SPEC...]
--
-- "ours": every test must pass. "luasec" (the installed lua-sec package): every test that fails must have a row in
-- differences.lua, and every row's test must really fail, unless the row says that it varies. Run from the root of the
-- repository, with any Lua that has busted; the specs run in children of the same interpreter, one a file, so that a
-- crash is the loss of one test.
-- BUSTED names busted's script, COMPAT_BUILD the folder of our ssl.so (default build/VERSION), CERTS the certificates.

local SECONDS = { file = 100, crash = 8 }

local library = arg[1]
if library ~= "ours" and library ~= "luasec" then
  io.stderr:write("usage: run.lua ours|luasec [SPEC...]\n")
  os.exit(2)
end

local function quote(s) return "'" .. s:gsub("'", "'\\''") .. "'" end

local function output(command)
  local p = assert(io.popen(command))
  local text = p:read("*a")
  p:close()
  return text
end

local function interpreter()
  local i = 0
  while arg[i - 1] do i = i - 1 end
  return arg[i]
end

local lua = interpreter()
local version = rawget(_G, "jit") and "luajit" or _VERSION:match("%d%.%d")
local build = os.getenv("COMPAT_BUILD") or ("build/" .. version)
local busted = os.getenv("BUSTED") or output("command -v busted"):match("[^\n]+") or "/usr/bin/busted"

-- An empty ";;" stands for the interpreter's own default, where the lua-sec package lies.
local paths = {
  ours = { "lua/?.lua;test/?.lua;;", build .. "/?.so;;" },
  luasec = { "test/?.lua;;", ";;" },
}
local environment = ("env -u LUA_PATH_%s -u LUA_CPATH_%s LUA_PATH=%s LUA_CPATH=%s"):format(
  (_VERSION:match("%d%.%d"):gsub("%.", "_")), (_VERSION:match("%d%.%d"):gsub("%.", "_")),
  quote(paths[library][1]), quote(paths[library][2]))

local function run(seconds, arguments)
  local name = os.tmpname()
  local text = output(("COMPAT_REPORT=%s %s timeout %d %s %s %s 2>&1; echo status:$?"):format(quote(name), environment,
    seconds, quote(lua), quote(busted), arguments))
  local f = assert(io.open(name))
  local report = f:read("*a")
  f:close()
  os.remove(name)
  return report, tonumber(text:match("status:(%d+)%s*$")), text
end

--- The path of the ssl.so that the children find.
local function found()
  local code = [[for template in package.cpath:gmatch("[^;]+") do
    local path = template:gsub("%?", "ssl")
    local f = io.open(path) if f then print(path) break end end]]
  return output(environment .. " " .. quote(lua) .. " -e " .. quote(code)):match("[^\n]+") or "(none)"
end

local function literal(name) return (name:gsub("%W", "%%%0")) end

local rows = dofile("test/compat/differences.lua")
local rowof = {}
for _, row in ipairs(rows) do
  assert(not rowof[row.name], "two rows for: " .. row.name)
  assert(row.reason and row.kind, "a row without kind or reason: " .. row.name)
  rowof[row.name] = row
end

local results, order = {}, {} -- name -> { status, message, file }

local function record(name, status, message, file)
  if results[name] and status == "start" then
    status, message = "error", "this name is used by two tests"
  end
  if not results[name] then order[#order + 1] = name end
  results[name] = { status = status, message = message, file = file }
end

local function read(report, file)
  local running
  for kind, name, message in report:gmatch("(%a+) ([^\t\n]*)\t([^\n]*)\n") do
    local known = results[name]
    if kind == "start" then
      running = name
      record(name, "start", "", file)
    else
      running = nil
      if not (known and known.message == "this name is used by two tests") then
        if known then known.status, known.message = kind, message else record(name, kind, message, file) end
      end
    end
  end
  return running
end

local function runfile(file)
  local arguments = { "--output=test/compat/report.lua" }
  if library == "luasec" then
    for _, row in ipairs(rows) do
      if row.kind == "crash" then arguments[#arguments + 1] = quote("--filter-out=^" .. literal(row.name) .. "$") end
    end
  end
  arguments[#arguments + 1] = quote(file)
  local report, status, text = run(SECONDS.file, table.concat(arguments, " "))
  local running = read(report, file)
  if running then
    results[running].status = "crash"
    results[running].message = "the interpreter ended with status " .. tostring(status) .. "; later tests did not run"
  elseif status ~= 0 and report == "" then
    record(file, "error", (text:gsub("%s+", " ")):sub(1, 300), file)
  end
end

--- Runs the test of a crash row alone, in a child with a time bound.
local function runcrash(row)
  if not row.file then error("a crash row needs its file: " .. row.name) end
  local report, status = run(SECONDS.crash, ("--output=test/compat/report.lua %s %s"):format(
    quote("--filter=^" .. literal(row.name) .. "$"), quote("test/compat/" .. row.file)))
  local running = read(report, row.file)
  if running then
    results[running].status = "crash"
    results[running].message = status == 124 and "did not end" or "ended with status " .. tostring(status)
  end
end

local function specs()
  if arg[2] then return { (table.unpack or unpack)(arg, 2) } end -- luacheck: ignore
  local list = {}
  for name in output("ls test/compat/*_spec.lua"):gmatch("[^\n]+") do list[#list + 1] = name end
  return list
end

local path = found()
print(("compat: %s on %s, %s"):format(library, version, path))
local isours = path:find(build .. "/ssl.so", 1, true) ~= nil
if isours ~= (library == "ours") then
  print("the wrong library would be loaded")
  print("0 passed, 1 failed, 0 skipped")
  os.exit(1)
end

local files = specs()
local chosen = {}
for _, file in ipairs(files) do
  chosen[file:match("[^/]+$")] = true
  runfile(file)
end
if library == "luasec" then
  for _, row in ipairs(rows) do
    if row.kind == "crash" and chosen[row.file] then runcrash(row) end
  end
end

local passed, failed, skipped, known = 0, 0, 0, {}
local function complain(name, message)
  failed = failed + 1
  print("not ok - " .. name .. ": " .. message)
end

for _, name in ipairs(order) do
  local result, row = results[name], library == "luasec" and rowof[name] or nil
  if result.status == "pending" then
    skipped = skipped + 1
    print("skipped - " .. name .. ": " .. result.message)
  elseif row and result.status == "success" and not row.varies then
    complain(name, "stale row: differences.lua lists it, but it passes")
  elseif row and result.status ~= "success" then
    passed = passed + 1
    known[#known + 1] = { row = row, result = result }
  elseif result.status == "success" then
    passed = passed + 1
  else
    complain(name, result.status .. ": " .. result.message)
  end
end
for _, row in ipairs(rows) do
  if not results[row.name] and not arg[2] and library == "luasec" then
    complain(row.name, "stale row: there is no such test")
  end
end

if #known > 0 then
  print(("\n%d known differences of %s:"):format(#known, library))
  for _, difference in ipairs(known) do
    local row, result = difference.row, difference.result
    print(("  %-6s %-4s %s\n              %s%s"):format(row.kind, row.quirk or "", row.name, row.reason,
      row.kind == "crash" and " [" .. result.message .. "]" or ""))
  end
end
print(("\n%d passed, %d failed, %d skipped"):format(passed, failed, skipped))
os.exit(failed == 0 and 0 or 1)
