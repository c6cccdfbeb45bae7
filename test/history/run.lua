-- Runs the bugs of others (one case a row, each in a process of its own, which may crash) on this library and on the
-- installed LuaSec, and prints a table of what came out. What LuaSec does decides nothing; here every row must hold.
--
--   lua5.4 test/history/run.lua [--write]     --write puts the table into doc/reliability.md
--
-- BUILD names the folder of our ssl.so, default build/VERSION.

package.path = "test/?.lua;" .. package.path
local version = rawget(_G, "jit") and "luajit" or _VERSION:match("%d%.%d")
local build = os.getenv("BUILD") or ("build/" .. version)

local PATHS = {
  ours = { "lua/?.lua;test/?.lua;;", build .. "/?.so;;" },
  luasec = { "test/?.lua;;", ";;" }, -- ";;" stands for the interpreter's default, where the package lies
}

local function interpreter()
  local i = 0
  while arg[i - 1] do i = i - 1 end
  return arg[i]
end

local function output(command)
  local p = assert(io.popen(command))
  local text = p:read("*a")
  p:close()
  return text
end

local function library(name, command)
  local suffix = _VERSION:match("%d%.%d"):gsub("%.", "_")
  local environment = ("env -u LUA_PATH_%s -u LUA_CPATH_%s LUA='%s' LUA_PATH='%s' LUA_CPATH='%s' ")
    :format(suffix, suffix, interpreter(), PATHS[name][1], PATHS[name][2])
  return output(environment .. command .. " 2>&1; s=$?; echo; echo status $s")
end

local function outcome(name, row)
  local text = library(name, ("timeout -k 1 40 %s test/history/child.lua %s %d")
    :format(interpreter(), row.file, row.number))
  local status = tonumber(text:match("\nstatus (%d+)\n$"))
  if status == 124 then return "does not end" end
  if status >= 128 then return "crashes" end -- 128 and the signal
  local last = text:match("([^\n]*)\n+status")
  if last == "ok" then return "holds" end
  return (last:gsub("^wrong: ", "fails: "):gsub("^skip: ", ""):gsub("test/[%w/_]+%.lua:%d+: ", ""):gsub("|", "/"))
end

local function cells(row, ours, theirs)
  local also = #row.also > 0 and table.concat(row.also, "; ") or ""
  return ("| %d | %s | %s | %s | %s | %s |"):format(row.number, row.subject, row.where, ours, theirs, also)
end

local function replace(section, text)
  local f = assert(io.open("doc/reliability.md"))
  local page = f:read("*a")
  f:close()
  local from, to = page:find("\n## " .. section .. "\n.-\n| 1 |", 1)
  assert(from, "doc/reliability.md has no table to replace")
  local head = page:sub(1, to - #"| 1 |")
  local rest = page:sub(to - #"| 1 |" + 1):gsub("^|[^\n]*\n", "")
  while rest:find("^|") do rest = rest:gsub("^|[^\n]*\n", "") end
  f = assert(io.open("doc/reliability.md", "w"))
  f:write(head, text, "\n", rest)
  f:close()
end

-- The subjects are read in a child: this process need not be able to load any library.
local list = library("ours", ([[%s -e 'for i, row in ipairs(require "history.rows") do
  print(table.concat({ row.file, row.number, row.subject, row.where, table.concat(row.also, "\1") }, "\t")) end']])
  :format(interpreter()))
local lines, passed, failed, skipped = {}, 0, 0, 0
for file, number, subject, where, also in list:gmatch("(%w+)\t(%d+)\t([^\t\n]*)\t([^\t\n]*)\t([^\t\n]*)\n") do
  local row = { file = file, number = tonumber(number), subject = subject, where = where, also = {} }
  for name in also:gmatch("[^\1]+") do row.also[#row.also + 1] = name end
  local ours, theirs = outcome("ours", row), outcome("luasec", row)
  lines[#lines + 1] = cells(row, ours, theirs)
  print(lines[#lines])
  if ours == "holds" then
    passed = passed + 1
  elseif ours:find("^fails") or ours == "crashes" or ours == "does not end" then
    failed = failed + 1
  else
    skipped = skipped + 1
  end
end
if #lines ~= 40 then
  print(list)
  failed = failed + 1
end
if arg[1] == "--write" then replace("The bugs of others", table.concat(lines, "\n")) end
print(("%d passed, %d failed, %d skipped"):format(passed, failed, skipped))
os.exit(failed == 0)
