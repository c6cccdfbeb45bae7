--- Contexts that were made before, by their settings: ssl.https makes one for each distinct set of settings and not
-- for each request, so that sessions and parsed certificates are there again. Settings are compared by value
-- (functions and objects by identity) and the files they name by what the system says of them, so that a changed
-- file, another value in the same table, or another set of system CAs makes another context.
-- What is not seen is a changed file inside a capath; a context is used for LIFE seconds for that reason, and what no
-- file stands for (store:, devices, files changed a moment ago) is not kept at all.
-- @module ssl.contexts

local socket = require "socket"
local core = require "ssl.core"
local options = require "ssl.options"
local systemca = require "ssl.systemca"

local M = {
  --- Most contexts kept; the least recently used goes first.
  MAX = 32,
  --- Seconds after which a context is made anew.
  LIFE = 600,
}

local MAXDEPTH = 5

-- Settings whose strings name files; `file` is that of pkcs12.
local paths = { certificate = true, key = true, cafile = true, capath = true, crlfile = true, file = true }

local identities = setmetatable({}, { __mode = "k" })
local lastidentity = 0

local function identity(object)
  if not identities[object] then
    lastidentity = lastidentity + 1
    identities[object] = lastidentity
  end
  return identities[object]
end

-- nil: the file cannot be told from what it will be later.
local function stamp(path)
  if path:find("^%s*%-%-%-%-%-BEGIN") then return "" end
  if path:find("%z") then return nil end
  return core.filestamp(path)
end

local describe

local function byname(a, b)
  if type(a) ~= type(b) then return type(a) < type(b) end
  return a < b
end

local function describetable(value, depth)
  if depth > MAXDEPTH or getmetatable(value) then return nil end
  local names, out = {}, {}
  for name in pairs(value) do
    if type(name) ~= "string" and type(name) ~= "number" then return nil end
    names[#names + 1] = name
  end
  table.sort(names, byname)
  for i, name in ipairs(names) do
    local text = describe(name, value[name], depth + 1)
    if not text then return nil end
    out[i] = type(name):sub(1, 1) .. #tostring(name) .. ":" .. name .. "=" .. text
  end
  return "{" .. table.concat(out, ",") .. "}"
end

-- A text that is the same for the same value and another for every other; nil for what cannot be compared. Not by
-- string.format: that of Lua 5.1 ends a short string at a NUL.
function describe(name, value, depth)
  local kind = type(value)
  if kind == "table" then return describetable(value, depth) end
  if kind == "function" or kind == "userdata" then return kind .. identity(value) end
  if kind ~= "string" then return kind .. tostring(value) end
  if not paths[name] or value == "system" then return "s" .. #value .. ":" .. value end
  local state = stamp(value)
  return state and "f" .. #value .. ":" .. value .. "@" .. state
end

-- Whom a client trusts that names nobody.
local function system()
  local file, dir, message = systemca.locations()
  local text = { message or "" }
  for _, path in ipairs { file or "", dir or "" } do
    text[#text + 1] = path
    text[#text + 1] = path == "" and "" or stamp(path)
    if not text[#text] then return nil end
  end
  return table.concat(text, "\n")
end

-- The settings hold passwords: only their hash is kept.
local function fingerprint(cfg)
  local own, trust = describe("", cfg, 0), system()
  return own and trust and core.fingerprint(own .. "\n" .. trust)
end

local kept = {} -- by fingerprint: { context=, made=, used= }
local uses = 0

local function leastused()
  local oldest, n = nil, 0
  for key, entry in pairs(kept) do
    n = n + 1
    if not oldest or entry.used < kept[oldest].used then oldest = key end
  end
  return oldest, n
end

local function keep(key, context)
  local oldest, n = leastused()
  if n >= M.MAX then kept[oldest] = nil end
  kept[key] = { context = context, made = socket.gettime() }
end

local function find(key)
  local entry = kept[key]
  local age = entry and socket.gettime() - entry.made
  if age and age >= 0 and age < M.LIFE then return entry end
  kept[key] = nil
end

--- A copy of settings, among them those that come by a metatable's __index, as ssl.newcontext reads them.
-- @tparam table cfg settings, and what else is in the table itself
-- @treturn table
function M.copy(cfg)
  local new = { timeout = cfg.timeout }
  for _, row in ipairs(options.rows) do new[row.name] = cfg[row.name] end
  for k, v in pairs(cfg) do new[k] = v end
  return new
end

--- A context with these settings: one that was made before, or a new one.
-- @tparam table cfg as for ssl.newcontext
-- @treturn[1] userdata the context
-- @treturn[2] nil
-- @treturn[2] string what is wrong
-- @treturn[2] table detail
function M.get(cfg)
  local key = fingerprint(cfg)
  if not key then return options.newcontext(cfg) end
  if not find(key) then
    local context, message, detail = options.newcontext(cfg)
    if not context then return nil, message, detail end
    keep(key, context)
  end
  uses = uses + 1
  kept[key].used = uses
  return kept[key].context
end

--- Forgets all contexts; connections that have one go on.
function M.clear() kept = {} end

return M
