-- The same as LuaCATS declarations, for editors: one file a module, under types/.

local pages = require "reference.pages"

local M = {}

local PREFACE = "-- Made by `make reference` from the comments of the sources: change those.\n"

local function comment(text)
  if text == "" then return "" end
  return "---" .. text .. "\n"
end

-- The type at each place of what a function may return.
local function union(results)
  local places, count = {}, #results
  for _, values in ipairs(results) do
    for at, v in ipairs(values) do
      places[at] = places[at] or { kinds = {}, seen = {}, given = 0 }
      local place = places[at]
      place.name = place.name or v.name
      place.given = place.given + 1
      if not place.seen[v.type] then
        place.seen[v.type] = true
        place.kinds[#place.kinds + 1] = v.type
      end
    end
  end
  for _, place in ipairs(places) do
    if place.given < count and not place.seen["nil"] then place.kinds[#place.kinds + 1] = "nil" end
  end
  return places
end

local function declare(entry, owner)
  local out, names = { comment(entry.text) }, {}
  for i, p in ipairs(entry.params) do
    names[i] = p.name
    out[#out + 1] = ("---@param %s%s %s\n"):format(p.name, p.optional and p.name ~= "..." and "?" or "", p.type)
  end
  for _, place in ipairs(union(entry.results)) do
    local kind = table.concat(place.kinds, "|"):gsub("%?|", "|nil|")
    out[#out + 1] = ("---@return %s%s\n"):format(kind, place.name and " " .. place.name or "")
  end
  out[#out + 1] = ("function %s%s(%s) end\n\n"):format(owner, entry.short, table.concat(names, ", "))
  return table.concat(out)
end

-- TLS_* stands for what the module has.
local function values(entry, section)
  if not entry.short:find("%*$") then return { entry.short } end
  local names, prefix = {}, entry.short:sub(1, -2)
  for name in pairs(require(section.module)) do
    if name:sub(1, #prefix) == prefix then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

local function class(name, fields, base)
  local out = { ("---@class %s%s\n"):format(name, base and " : " .. base or "") }
  for _, f in ipairs(fields) do
    out[#out + 1] = ("---@field %s%s %s%s\n"):format(f.name, f.always and "" or "?", f.type, f.text ~= "" and
      " " .. f.text or "")
  end
  return table.concat(out)
end

-- A module's file: its values as fields, its functions.
local function module(section, found)
  local fields, functions = {}, {}
  for _, entry in ipairs(pages.entries(found, section)) do
    if entry.kind == "function" then
      functions[#functions + 1] = declare(entry, "M.")
    else
      for _, name in ipairs(values(entry, section)) do
        fields[#fields + 1] = { name = name, type = entry.type, text = entry.text, always = true }
      end
    end
  end
  return class("module." .. section.module, fields) .. "local M = {}\n\n" .. table.concat(functions), "return M\n"
end

local function object(section, found)
  local owner = section.class:match("%w+$")
  local out = { class(section.class, {}), "local ", owner, " = {}\n\n" }
  for _, entry in ipairs(pages.entries(found, section)) do out[#out + 1] = declare(entry, owner .. ":") end
  return table.concat(out)
end

-- A row's word for a type -> LuaCATS'.
local kinds = { path = "string", array = "table[]", table = "table", ["function"] = "function" }

-- What a word of a row can be said better with.
local better = {
  sni = { table = "table<string, ssl.Context>" }, ticketkeys = { ["table[]"] = "ssl.TicketKey[]" },
  dane = { ["table[]"] = "string[]" },
}

-- The strings that a row takes, for the editor to offer, where they are the same with every OpenSSL.
local function words(row)
  local list = {}
  for i, word in ipairs(row.values or {}) do list[i] = ('"%s"'):format(word) end
  return list
end

local function kindof(row)
  local list, seen = words(row), {}
  for kind in row.type:gmatch("[^|]+") do
    local known = kinds[kind] or kind
    if kind == "array" and row.type:find("string") then known = "string[]" end
    known = better[row.name] and better[row.name][known] or known
    if not seen[known] then list[#list + 1] = known end
    seen[known] = true
  end
  return table.concat(list, "|")
end

local function settings(rows)
  local fields = {}
  for i, row in ipairs(rows) do fields[i] = { name = row.name, type = kindof(row), text = row.text } end
  fields[#fields + 1] = { name = "timeout", type = "number", text = "ssl.connect and ssl.https: seconds for all of it" }
  return class("ssl.Settings", fields) .. "\n"
end

--- The files of a page: module name -> text. The objects and tables of a page are in its first module's file, those of
-- pages without a module in ssl's.
function M.files(found, rows)
  local files, ends = {}, {}
  local extra = { ssl = settings(rows) }
  for _, page in ipairs(pages.pages) do
    local home
    for _, section in ipairs(page.sections) do
      if section.module then
        home = home or section.module
        files[section.module], ends[section.module] = module(section, found)
      end
    end
    home = home or "ssl"
    local more = { extra[home] or "" }
    for _, name in ipairs(page.tables) do
      local entry = pages.table(found, name)
      more[#more + 1] = comment(entry.text) .. class(name, entry.fields, entry.base) .. "\n"
    end
    for _, section in ipairs(page.sections) do
      if section.class then more[#more + 1] = object(section, found) end
    end
    extra[home] = table.concat(more)
  end
  extra["mbedtls.ssl"], extra.mbedtls = extra.mbedtls, ""
  for name, text in pairs(pages.opaque) do
    extra["mbedtls.ssl"] = extra["mbedtls.ssl"] .. comment(text) .. class(name, {}) .. "\n"
  end
  files["ssl.config"], ends["ssl.config"] = "---@type ssl.Config\nlocal M = {}\n\n", "return M\n"
  for name, text in pairs(files) do
    files[name] = ("---@meta %s\n%s\n%s%s%s"):format(name, PREFACE, text, extra[name] or "", ends[name])
  end
  return files
end

return M
