--- The setting ocsp, with what the entries of certificates and keypairs say of it, brought into the form that
-- ctx:setocsp takes: OCSP responses, and one function for the certificates that none of them is about.
-- @module ssl.stapling

local refuse = require("ssl.failure").setting

local M = {}

-- The context's own setting: its responses in a new array, and its function.
local function own(value)
  local list, default = {}, nil
  for _, member in ipairs(type(value) == "table" and value or { value }) do
    if type(member) == "function" and not default then default = member else list[#list + 1] = member end
  end
  return list, default
end

-- The responses of entries go to the list, their functions, by index, to functions. Each response is tried alone first,
-- so that a failure has the entry's name.
local function collect(ctx, name, entries, list, functions)
  for i, entry in ipairs(entries) do
    local value = type(entry) == "table" and entry.ocsp
    if type(value) == "function" and functions then
      functions[i] = value
    elseif value then
      local ok, message, detail
      if type(value) == "string" then
        ok, message, detail = ctx:setocsp(value)
      else
        local want = functions and "OCSP response in DER or function" or "OCSP response in DER"
        ok, message, detail = refuse(("invalid ocsp (%s expected, got %s)"):format(want, type(value)))
      end
      if not ok then return false, ("%s[%d]: %s"):format(name, i, message), detail end
      list[#list + 1] = value
    end
  end
  return true
end

-- One function that asks the right one.
local function dispatcher(functions, default)
  if next(functions) == nil then return default end
  return function(conn, cert, pair)
    local ask = functions[pair] or default
    return ask and ask(conn, cert, pair)
  end
end

local function client(ctx, value, cfg)
  for i, entry in ipairs(cfg.certificates or {}) do
    if type(entry) == "table" and entry.ocsp then
      return refuse(("certificates[%d]: a client staples nothing: ocsp is request or require"):format(i))
    end
  end
  if value then return ctx:setocsp(value) end
  return true
end

--- The row ocsp.
-- @param ctx the context, which has its certificates
-- @param value the setting, nil or false when there is none
-- @tparam table cfg all settings
-- @treturn[1] boolean true
-- @treturn[2] boolean false
-- @treturn[2] string what is wrong
-- @treturn[2] table detail
function M.apply(ctx, value, cfg)
  if cfg.mode == "client" then return client(ctx, value, cfg) end
  local functions = {}
  local list, default = own(value or {})
  local ok, message, detail = collect(ctx, "certificates", cfg.certificates or {}, list)
  if ok then ok, message, detail = collect(ctx, "keypairs", cfg.keypairs or {}, list, functions) end
  if not ok then return false, message, detail end
  list[#list + 1] = dispatcher(functions, default)
  if not list[1] then return true end
  return ctx:setocsp(list)
end

return M
