-- What `make coverage` makes of gcov's text, luac's listing and the lines that linehook.c noted. It prints a table of
-- each source file, the lines that never ran and test/coverage/uncovered.txt does not list, and fails when there are
-- any or when a share is too low.
--
--   lua tools/coverage.lua GCOV-TEXT LUAC-LISTING LINES...
--
-- A branch is one of gcov's: each way out of each condition, && and || included, in code compiled without
-- optimisation; C has no exceptions to leave out. A line of Lua counts when luac makes an instruction of it, but for
-- those that only close a block. In uncovered.txt a line that begins with ## gives the reason for those after it, and
-- `file: function: text` is a line of C by its text, `file: text` one of Lua.

local LISTED = "test/coverage/uncovered.txt"
local BARS = { ["src lines"] = 95, ["src branches"] = 85, ["lua lines"] = 95 }

local function trim(s) return (s:gsub("^%s+", ""):gsub("%s+$", "")) end

-- ---- C

-- files[name][number] = { text =, func =, hits =, branches = { taken... } }; what several objects hold is added up.
local function readgcov(path)
  local files, file, func, line = {}, nil, nil, nil
  local function add(count, number, text)
    if count == "-" or not file then return nil end
    local entry = file[number] or { text = trim(text), func = func, hits = 0, branches = {} }
    file[number] = entry
    entry.hits = entry.hits + (tonumber(count:match("^%d+")) or 0)
    entry.next = 0
    return entry
  end
  local function branch(taken)
    line.next = line.next + 1
    line.branches[line.next] = (line.branches[line.next] or 0) + (tonumber(taken) or 0)
  end
  for row in io.lines(path) do
    local source = row:match("^%s*%-:%s*0:Source:(.*)$")
    local count, number, text = row:match("^%s*([^%s:]+):%s*(%d+):(.*)$")
    if source then
      files[source] = source:find("^src/") and (files[source] or {}) or nil
      file = files[source]
    elseif row:find("^function ") then
      func = row:match("^function (%S+)")
    elseif number and tonumber(number) > 0 then
      line = add(count, tonumber(number), text)
    elseif line and row:find("^branch ") then
      branch(row:match("taken (%d+)"))
    end
  end
  return files
end

-- ---- Lua

local function closes(text)
  return not text:gsub("%a+", { ["end"] = "", ["else"] = "" }):find("[^%)%]},;%s]")
end

local function source(name)
  local list = {}
  for text in io.lines(name) do list[#list + 1] = trim(text) end
  return list
end

-- The same shape, from the instructions that luac lists.
local function readlisting(path)
  local files, name, last, texts = {}, nil, nil, nil
  for row in io.lines(path) do
    local chunk, ends = row:match("^%l+ <(lua/[^:]+):%d+,(%d+)>")
    local number, operation = row:match("^%s+%d+%s+%[(%d+)%]%s+(%u[%u%d]*)")
    if chunk then
      if chunk ~= name then
        name, texts = chunk, source(chunk)
        files[name] = {}
      end
      last = tonumber(ends)
    elseif number then
      number = tonumber(number)
      local implied = operation == "VARARGPREP" or operation:find("^RETURN") and (number == last or last == 0)
      if not implied and not closes(texts[number]) then
        files[name][number] = { text = texts[number], hits = 0, branches = {} }
      end
    end
  end
  return files
end

local function readlines(files, path)
  for row in io.lines(path) do
    local name, numbers = row:match("^(%S+)(.*)$")
    for number in numbers:gmatch("%d+") do
      local line = files[name] and files[name][tonumber(number)]
      if line then line.hits = line.hits + 1 end
    end
  end
end

-- ---- judging

local function count(file)
  local t = { lines = 0, ran = 0, branches = 0, taken = 0 }
  for _, line in pairs(file) do
    t.lines, t.ran = t.lines + 1, t.ran + (line.hits > 0 and 1 or 0)
    for _, taken in ipairs(line.branches) do
      t.branches, t.taken = t.branches + 1, t.taken + (taken > 0 and 1 or 0)
    end
  end
  return t
end

local function percent(part, whole) return whole == 0 and 100 or 100 * part / whole end

local function sorted(t)
  local keys = {}
  for k in pairs(t) do keys[#keys + 1] = k end
  table.sort(keys)
  return keys
end

local function listed()
  local list, reason = {}, nil
  for row in io.lines(LISTED) do
    if row:find("^## ") then
      reason = true
    elseif row ~= "" and not row:find("^#") then
      assert(reason, LISTED .. ": a line without a reason: " .. row)
      list[row] = "unseen"
    end
  end
  return list
end

local function unexplained(files, list)
  local found = 0
  for _, name in ipairs(sorted(files)) do
    for _, number in ipairs(sorted(files[name])) do
      local line = files[name][number]
      local key = name .. ": " .. (line.func and line.func .. ": " or "") .. line.text
      if line.hits == 0 and list[key] then
        list[key] = "seen"
      elseif line.hits == 0 then
        found = found + 1
        print(("%s:%d never ran, and is not listed: %s"):format(name, number, key))
      end
    end
  end
  return found
end

local function report(files, kind)
  local sum = { lines = 0, ran = 0, branches = 0, taken = 0 }
  print(("%-26s %6s %6s %7s %9s %6s %7s"):format("", "lines", "ran", "%", "branches", "taken", "%"))
  local function row(name, t)
    local tail = t.branches > 0 and ("%9d %6d %7.1f"):format(t.branches, t.taken, percent(t.taken, t.branches)) or ""
    print(("%-26s %6d %6d %7.1f %s"):format(name, t.lines, t.ran, percent(t.ran, t.lines), tail))
  end
  for _, name in ipairs(sorted(files)) do
    local t = count(files[name])
    for k, v in pairs(t) do sum[k] = sum[k] + v end
    row(name, t)
  end
  row(kind, sum)
  return { lines = percent(sum.ran, sum.lines), branches = percent(sum.taken, sum.branches) }
end

local function main(gcov, listing, ...)
  local c, lua = readgcov(gcov), readlisting(listing)
  for i = 1, select("#", ...) do readlines(lua, (select(i, ...))) end
  local shares = { src = report(c, "all of src"), lua = report(lua, "all of lua") }
  local list = listed()
  local ok = unexplained(c, list) + unexplained(lua, list) == 0
  for _, key in ipairs(sorted(list)) do
    if list[key] == "unseen" then print("listed, but it ran: " .. key) end
  end
  for _, bar in ipairs(sorted(BARS)) do
    local folder, what = bar:match("^(%l+) (%l+)$")
    local share = shares[folder][what]
    local enough = share >= BARS[bar]
    print(("%s: %.1f %%, at least %d expected%s"):format(bar, share, BARS[bar], enough and "" or ": FAILED"))
    ok = ok and enough
  end
  return ok
end

os.exit(main(...) and 0 or 1)
