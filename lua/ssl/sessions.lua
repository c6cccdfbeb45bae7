--- The setting `sessions`: a client's cache, a server's sessions and where they are kept.
-- @module ssl.sessions

local context = require "ssl.context"
local failure = require "ssl.failure"
local spelling = require "ssl.spelling"

local M = {}

local function refuse(fmt, ...) return failure.setting(fmt:format(...)) end

-- What a server's table may hold: field -> types.
local fields = {
  id = { "string" }, timeout = { "number" }, tickets = { "boolean", "number" },
  get = { "function" }, set = { "function" }, remove = { "function" },
}
local names = { "id", "timeout", "tickets", "get", "set", "remove" }

local function checkfield(name, value)
  local types = fields[name]
  if not types then
    local meant = type(name) == "string" and spelling.nearest(name, names)
    local hint = meant and (": did you mean '%s'?"):format(meant) or ""
    return refuse("unknown field '%s' in sessions%s", tostring(name), hint)
  end
  for _, wanted in ipairs(types) do
    if type(value) == wanted then return true end
  end
  return refuse("invalid sessions.%s (%s expected, got %s)", name, table.concat(types, " or "), type(value))
end

-- Sessions go to a store, or else to OpenSSL's own cache, when they do not go into tickets.
local function serve(ctx, value)
  local store = value.get or value.set or value.remove
  if store then
    local functions = { get = value.get, set = value.set, remove = value.remove }
    local ok, message, detail = context.setsessionstore(ctx, functions)
    if not ok then return false, message, detail end
  end
  local tickets = value.tickets
  if store and tickets ~= true then
    local ok, message, detail = context.settickets(ctx, false)
    if not ok then return false, message, detail end
  end
  if tickets == nil then return true end
  return context.settickets(ctx, tickets)
end

local function server(ctx, value)
  if type(value) ~= "table" then return refuse("invalid sessions (table expected on a server, got %s)", type(value)) end
  for name, field in pairs(value) do
    local ok, message, detail = checkfield(name, field)
    if not ok then return false, message, detail end
  end
  if value.id then context.setsessionid(ctx, value.id) end
  if value.timeout then
    local ok, message, detail = context.setsessiontimeout(ctx, value.timeout)
    if not ok then return false, message, detail end
  end
  return serve(ctx, value)
end

--- Applies the setting to a context.
-- @tparam userdata ctx its mode is set
-- @param value a client's: true or the number of sessions to keep. A server's: a table with id (only contexts of the
-- same id resume each other's sessions), timeout (seconds), tickets (true: sessions are in encrypted tickets, the
-- default; false: they stay here; a number: of TLS 1.3, a handshake), and the functions get(id),
-- set(id, data, seconds), remove(id) of a store, with which tickets is false unless it is said to be true
-- @tparam table cfg the other settings
-- @treturn[1] boolean true
-- @treturn[2] boolean false
-- @treturn[2] string what is wrong
-- @treturn[2] table detail
function M.apply(ctx, value, cfg)
  if not value then return true end
  if cfg.mode == "server" then return server(ctx, value) end
  if type(value) == "table" then
    return refuse("invalid sessions (true or a number expected on a client, got table)")
  end
  return context.setsessioncache(ctx, value)
end

--- Applies the setting `ticketkeys` to a context. See ctx:setticketkeys.
function M.ticketkeys(ctx, value)
  if not value then return true end
  return ctx:setticketkeys(value)
end

return M
