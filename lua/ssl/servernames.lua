--- The settings of a server that go by the name the client sends: sni (a context for each name), snistrict, keypairs
-- (a certificate for each name). They are checked and brought into the form that ssl.context takes here.
-- @module ssl.servernames

local context = require "ssl.context"
local failure = require "ssl.failure"
local spelling = require "ssl.spelling"

local refuse = failure.setting

local M = {}

-- ---- sni

-- Why a name cannot stand in the map: it would be looked up in vain.
local function badname(name)
  if type(name) ~= "string" then return "the names in it must be strings, got " .. type(name) end
  local shown = "'" .. name:gsub("[%c]", "?") .. "' "
  if name == "" then return "an empty name" end
  if #name > 255 then return "a name longer than 255 bytes" end
  if name:find("[%z\1-\32\127]") then return shown .. "has a character that no name has" end
  if name:find("^%.") then return shown .. "begins with a dot; for every name under it write '*" .. name .. "'" end
  if name:find("%.$") then return shown .. "ends with a dot, which clients leave out" end
  if name:gsub("^%*%.", ""):find("*", 1, true) then
    return shown .. "has an asterisk that does not stand for its whole first label, as in '*.example.com'"
  end
end

-- Checks names and contexts. Names with capitals are told by their lower case, and must be different names still.
local function checkmap(map)
  local capitals, lowered = {}, {}
  for name, ctx in next, map do
    local why = badname(name)
    if why then return nil, "invalid sni (" .. why .. ")" end
    local mode = context.modeof(ctx)
    if mode ~= "server" then
      local what = mode and "a context of mode " .. mode or
        type(ctx) == "userdata" and "no open context" or "a " .. type(ctx)
      return nil, ("invalid sni (the value for '%s' must be an open server context, and is %s)"):format(name, what)
    end
    local lower = name:lower()
    if lowered[lower] then
      return nil, ("invalid sni ('%s' and '%s' are the same name)"):format(lowered[lower], name)
    end
    lowered[lower] = name
    if lower ~= name then capitals[lower] = name end
  end
  return capitals
end

-- The map is read at each handshake: what the program changes in it counts at once, and its __index is asked. Names
-- with capitals alone must have been there from the start to be found in any case.
local function finder(map, capitals)
  local function find(lower)
    return map[lower] or capitals[lower] and map[capitals[lower]]
  end
  return function(name)
    if not name or name == "" then return nil end
    local lower = name:lower():gsub("(.)%.$", "%1")
    local parent = lower:match("^[^.]+(%..+)$")
    return map[name] or find(lower) or parent and find("*" .. parent)
  end
end

-- Programs hand a client's settings the same tables as Copas', whose field sni has the name to send.
local function client(value)
  if type(value) == "table" and value.names ~= nil then return true end
  return refuse("sni is a server's setting; a client sends servername")
end

--- Applies the settings sni and snistrict to a context.
-- @tparam userdata ctx its mode is set
-- @param value a map of contexts by name, or function(name, conn) returning one
-- @tparam table cfg the other settings
-- @treturn[1] boolean true
-- @treturn[2] boolean false
-- @treturn[2] string what is wrong
-- @treturn[2] table detail
function M.sni(ctx, value, cfg)
  local strict = cfg.snistrict
  if not value and not strict then return true end
  if cfg.mode ~= "server" then
    if not value then return refuse("snistrict is a server's setting") end
    return client(value)
  end
  if not value and not cfg.keypairs then
    return refuse("snistrict needs sni or keypairs, which say what names are known")
  end
  if not value or type(value) == "function" then return context.setsni(ctx, value or nil, strict) end
  local capitals, message = checkmap(value)
  if not capitals then return refuse(message) end
  return context.setsni(ctx, finder(value, capitals), strict)
end

-- ---- keypairs

local fields = { "certificate", "key", "password", "pkcs12", "ocsp" }
for _, name in ipairs(fields) do fields[name] = true end

local function checkpair(pair)
  if type(pair) ~= "table" then return refuse("table expected, got " .. type(pair)) end
  for name in pairs(pair) do
    local word = type(name) == "string"
    if not word or not fields[name] then
      local meant = word and spelling.nearest(name, fields)
      local hint = meant and ": did you mean '" .. meant .. "'?" or ""
      return refuse(("unknown field '%s'%s"):format(tostring(name), hint))
    end
  end
  for _, name in ipairs { "certificate", "key" } do
    if pair[name] and type(pair[name]) ~= "string" then
      return refuse(("invalid %s (string expected, got %s)"):format(name, type(pair[name])))
    end
  end
  if not pair.pkcs12 and not (pair.certificate and pair.key) then
    local lacks = pair.key and "certificate" or "key"
    return refuse(("no %s: a pair needs both certificate and key, or pkcs12"):format(lacks))
  end
  return true
end

-- A context of its own takes the pair in, by the rules of every certificate and key.
local function loadpair(ctx, pair, load)
  local ok, message, detail = checkpair(pair)
  if not ok then return false, message, detail end
  local scratch
  scratch, message, detail = context.create("any")
  if not scratch then return false, message, detail end
  ok, message, detail = load(scratch, pair)
  if not ok then return false, message, detail end
  return context.addpair(ctx, scratch)
end

--- Applies the setting keypairs to a context.
-- @tparam userdata ctx its mode is set
-- @tparam table list an array of credentials
-- @tparam table cfg the other settings
-- @tparam function load load(ctx, entry) reads the credentials of one entry into a context
-- @treturn[1] boolean true
-- @treturn[2] boolean false
-- @treturn[2] string what is wrong
-- @treturn[2] table detail
function M.keypairs(ctx, list, cfg, load)
  if not list then return true end
  if cfg.mode ~= "server" then return refuse("keypairs is a server's setting; a client has certificate and key") end
  if #list == 0 then return refuse("keypairs is an array of tables with certificate and key, and has none") end
  for i = 1, #list do
    local ok, message, detail = loadpair(ctx, list[i], load)
    if not ok then return false, ("keypairs[%d]: %s"):format(i, message), detail end
  end
  return context.defaultpair(ctx)
end

return M
