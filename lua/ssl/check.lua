--- What is wrong with a table of settings before any of them is applied: misspelt keys, and values of the wrong type.
-- Nothing here knows a setting; the rows of ssl.options say what there is. Values of LuaSec's own settings are left to
-- what applies them, which answers in LuaSec's words.
-- @module ssl.check

local failure = require "ssl.failure"
local spelling = require "ssl.spelling"

local M = {}

local function refuse(fmt, ...) return failure.setting(fmt:format(...)) end

-- Keys that programs are known to pass along: fields of LuaSocket's http requests and of Copas' settings.
local passedalong = {}
M.passedalong = passedalong
for _, name in ipairs {
  "authority", "create", "fragment", "headers", "host", "maxredirects", "method", "nredirects", "params", "path",
  "port", "proxy", "query", "redirect", "scheme", "sink", "source", "step", "target", "timeout", "uri", "url",
  "user", "wrap",
} do
  passedalong[name] = true
end

-- A setting that is misspelt would be ignored, and the program be less safe than it thinks.
local function checkspelling(rows, cfg)
  local known = {}
  for i, row in ipairs(rows) do
    known[i] = row.name
    known[row.name] = true
  end
  for key in pairs(cfg) do
    if type(key) == "string" and not known[key] and not passedalong[key] then
      local meant = spelling.nearest(key, known)
      if meant then return refuse("unknown setting '%s': did you mean '%s'?", key, meant) end
      if cfg.strict then return refuse("unknown setting '%s'", key) end
    end
  end
  return true
end

-- ---- types

local luasecs = {}
for _, name in ipairs {
  "protocol", "mode", "certificates", "key", "certificate", "password", "cafile", "capath", "ciphers", "ciphersuites",
  "verify", "options", "depth", "dhparam", "curveslist", "curve", "verifyext", "alpn", "psk", "dane",
} do
  luasecs[name] = true
end

-- A row's word for a type -> Lua's; a value of LuaSec's, false, is told from true.
local kinds = {
  string = "string", path = "string", number = "number", boolean = "boolean", ["function"] = "function",
  table = "table", array = "table", context = "userdata", ["false"] = "boolean",
}

local function fits(row, value)
  for kind in row.type:gmatch("%w+") do
    if type(value) == kinds[kind] and (kind ~= "false" or value == false) then return true end
  end
  return false
end

-- "path|function" -> "string or function"
local function expected(row)
  local words = row.type:gsub("path|string", "string"):gsub("path", "string"):gsub("|(%w+)$", " or %1"):gsub("|", ", ")
  return (words:gsub("string or array", "%0 of strings"))
end

local most = 2 ^ 16
local rawlen = rawlen or function(t) return #t end -- luacheck: ignore 113; Lua 5.1's # asks no metamethod of tables

--- An array that ends: __index may have a member for every number, and what reads them all would not come to an end.
-- @tparam string name of the setting
-- @param value any
-- @treturn[1] boolean true
-- @treturn[2] boolean false
-- @treturn[2] string what is wrong
-- @treturn[2] table detail
function M.ends(name, value)
  if type(value) ~= "table" then return true end
  for i in ipairs(value) do
    if i > most and i > rawlen(value) then return refuse("invalid %s (an array without end)", name) end
  end
  return true
end

-- false stands for absent wherever it is no value.
local function checktype(row, value)
  if row.type:find("array", 1, true) then
    local ok, message, detail = M.ends(row.name, value)
    if not ok then return false, message, detail end
  end
  if value == nil or value == false or luasecs[row.name] then return true end
  if not fits(row, value) then
    local got = value == true and row.type:find("false", 1, true) and "true" or type(value)
    return refuse("invalid %s (%s expected, got %s)", row.name, expected(row), got)
  end
  local wrong = row.check and row.check(value)
  if wrong then return refuse("invalid %s (%s)", row.name, wrong) end
  return true
end

--- The `check` of a row whose value is a count.
-- @tparam number n
-- @treturn string|nil what is wrong with it
function M.whole(n)
  if n >= 0 and n < 2 ^ 53 and n % 1 == 0 then return nil end
  return ("a whole number that is not negative expected, got %s"):format(n)
end

-- ---- advice

-- The member of a list of names, or the name, that a refusal is about.
local function refused(reason, exact)
  local text = reason:match("^invalid .- %((.*)%)$") or reason:match("'(.*)'") or reason:match('"(.*)"') or ""
  for name in text:gmatch("[^:]+") do
    if not exact[name] then return name end
  end
end

--- Adds to the refusal of a name which one may have been meant.
-- @tparam table row whose values are known
-- @tparam table detail of the refusal; returned
-- @treturn table
function M.advise(row, detail)
  if not row.values or not detail or detail.hint or detail.kind ~= "config" then return detail end
  local exact, lower = {}, {} -- in their own letters; in lower case an array, and back from there
  for key, value in pairs(row.values) do
    local name = type(key) == "string" and key or value
    exact[name] = true
    if not lower[name:lower()] then lower[#lower + 1] = name:lower() end
    lower[name:lower()] = name
  end
  table.sort(lower)
  local wrong = refused(detail.reason, exact)
  local meant = wrong and #wrong < 100 and (lower[wrong:lower()] or spelling.nearest(wrong:lower(), lower))
  if meant then
    detail.hint = ("did you mean '%s'?"):format(lower[meant] or meant)
  elseif wrong and #lower <= 10 then
    for i, name in ipairs(lower) do lower[i] = lower[name] end
    detail.hint = "it can be " .. table.concat(lower, ", ")
  end
  return detail
end

--- Looks at the keys of a table of settings, then at the types of their values.
-- @tparam table rows of ssl.options
-- @param cfg the settings; what is no table is left to what reads it
-- @treturn[1] boolean true
-- @treturn[2] boolean false
-- @treturn[2] string what is wrong
-- @treturn[2] table detail
function M.settings(rows, cfg)
  if type(cfg) ~= "table" then return true end
  local ok, message, detail = checkspelling(rows, cfg)
  if not ok then return false, message, detail end
  for _, row in ipairs(rows) do
    ok, message, detail = checktype(row, cfg[row.name])
    if not ok then return false, message, detail end
  end
  return true
end

return M
