-- Reads what the comments of src/*.c and lua/**.lua say about public names. A comment, or in Lua a run of lines that
-- begins with three dashes, speaks of one when it begins with a signature:
--
--   conn:read([max: integer]) -> data: string | nil, message   a function; " | " is between what it may return
--   ssl._VERSION: string                                       a value
--   table ssl.Stats : ssl.Base                                 a table; its fields follow, "- name: type -- text"
--
-- Several signatures in a row share the text behind them.

local M = {}

local function read(path)
  local f = assert(io.open(path, "rb"))
  local text = f:read("*a")
  f:close()
  return text
end

local function list(pattern)
  local p = assert(io.popen("ls " .. pattern))
  local files = {}
  for line in p:lines() do files[#files + 1] = line end
  p:close()
  return files
end

-- ---- comments as arrays of lines

local function incomments(text, take)
  for comment in text:gmatch("/%*(.-)%*/") do
    local lines = {}
    for line in (comment .. "\n"):gmatch("(.-)\n") do lines[#lines + 1] = line:match("^%s*(.-)%s*$") end
    take(lines)
  end
end

local function luacomments(text, take)
  local lines
  for line in (text .. "\n\n"):gmatch("(.-)\n") do
    local first, more = line:match("^%s*%-%-%- (.*)$"), line:match("^%s*%-%- ?(.*)$")
    if first then
      lines = lines or {}
      lines[#lines + 1] = first
    elseif more and lines then
      lines[#lines + 1] = more:match("^%s*(.-)%s*$")
    elseif lines then
      take(lines)
      lines = nil
    end
  end
end

-- ---- signatures

-- Splits at commas that are in no brackets.
local function split(text)
  local parts, depth, from = {}, 0, 1
  for at = 1, #text + 1 do
    local c = text:sub(at, at)
    if c:find("[<({]") then depth = depth + 1 elseif c:find("[>)}]") then depth = depth - 1 end
    if (c == "," and depth == 0) or c == "" then
      local part = text:sub(from, at - 1):match("^%s*(.-)%s*$")
      if part ~= "" then parts[#parts + 1] = part end
      from = at + 1
    end
  end
  return parts
end

local ARRAY = "\1" -- stands for [] while [ and ] mean what may be left out

local function parameters(text)
  local params = {}
  local marked = text:gsub("%[%]", ARRAY)
  local optional = marked:find("[", 1, true) or #marked + 1
  for _, part in ipairs(split((marked:gsub("[%[%]]", " ")))) do
    local name, kind = part:match("^([%w_.]+):%s*(.+)$")
    assert(name, "no type: " .. part .. " in " .. text)
    local at = marked:find(name .. ":", 1, true)
    kind = kind:gsub(ARRAY, "[]"):gsub("%s+$", "")
    params[#params + 1] = { name = name, type = kind, optional = at > optional }
  end
  return params
end

local words = { message = "string", detail = "ssl.Detail" }

-- One thing that a function returns: a name and a type, or a value.
local function result(part)
  local name, kind = part:match("^([%a_][%w_]*):%s*(.+)$")
  if name then return { name = name, type = kind } end
  if words[part] then return { name = part, type = words[part] } end
  return { type = part }
end

-- What may be returned: alternatives, each an array.
local function results(text)
  local all = {}
  for alternative in (text .. " | "):gmatch("(.-) | ") do
    local values = {}
    for _, part in ipairs(split((alternative:gsub("%[,", ","):gsub(" %[", " "):gsub("(%l)%]$", "%1?")))) do
      if part ~= "nothing" then values[#values + 1] = result(part) end
    end
    all[#all + 1] = values
  end
  return all
end

local function signature(line)
  local name, params, out = line:match("^(%a+[.:][%w_.:]*)%((.-)%) %-> (.+)$")
  if name then return { kind = "function", name = name, params = parameters(params), results = results(out) } end
  local tname, base = line:match("^table ([%a][%w.]*)%s*:?%s*([%w.]*)$")
  if tname then return { kind = "table", name = tname, base = base ~= "" and base or nil, fields = {} } end
  name, out = line:match("^([%a][%w]*%.[%w_.]+%*?): (%S.*)$")
  if name and not out:find(" %a+ ") then return { kind = "value", name = name, type = out } end
end

-- ---- entries

local function sentence(text)
  text = text:gsub("%s+", " "):match("^%s*(.-)%s*$")
  if text:find("^%l%l* ") and not text:find("^nil ") and not text:find("^true ") and not text:find("^false ") then
    text = text:sub(1, 1):upper() .. text:sub(2)
  end
  return text
end

local function field(entry, text)
  local name, kind, about = text:match("^%- ([%w_]+): (.-) %-%- (.+)$")
  if not name then name, kind = text:match("^%- ([%w_]+): (.+)$") end
  entry.fields[#entry.fields + 1] = { name = name, type = kind, text = about or "" }
end

-- The rest of a comment behind its signatures.
local function fill(entries, text)
  local prose, items = {}, {}
  for _, line in ipairs(text) do
    if line:find("^%- [%w_]+: ") then
      items[#items + 1] = line
    elseif #items > 0 and line ~= "" then
      items[#items] = items[#items] .. " " .. line
    elseif line ~= "" then
      prose[#prose + 1] = line
    end
  end
  for _, entry in ipairs(entries) do
    entry.text = sentence(table.concat(prose, " "))
    for _, item in ipairs(items) do field(entry, item) end
  end
end

-- A signature whose line ends in -> or | goes on in the next one.
local function joined(lines)
  local whole = {}
  for _, line in ipairs(lines) do
    local last = whole[#whole]
    if last and last:find("^[%w_.:]+%b() %->") and (last:find("%->$") or last:find(" |$")) then
      whole[#whole] = last .. " " .. line
    else
      whole[#whole + 1] = line
    end
  end
  return whole
end

local function take(found, file)
  return function(lines)
    local entries, text = {}, {}
    for _, line in ipairs(joined(lines)) do
      local entry = signature(line)
      if entry then
        if #text > 0 then
          fill(entries, text)
          entries, text = {}, {}
        end
        entry.file, entry.group = file, entries[1] or entry
        entries[#entries + 1] = entry
        found[#found + 1] = entry
      elseif #entries > 0 then
        text[#text + 1] = line
      elseif line ~= "" then
        return -- a comment on something else
      end
    end
    fill(entries, text)
  end
end

--- Every public name that the sources describe: an array of tables with kind, name, text, file; of functions params
-- and results, of values type, of tables fields.
function M.read()
  local found = {}
  for _, file in ipairs(list("src/*.c")) do incomments(read(file), take(found, file)) end
  for _, file in ipairs(list("lua/*.lua lua/*/*.lua")) do luacomments(read(file), take(found, file)) end
  return found
end

M.file = read

return M
