--- How what is written in Lua fails: in a sentence, with a detail table that has the same sentence as its reason. What
-- C finds wrong has these values from src/error.c already, and is handed on as it is.
-- @module ssl.failure

local M = {}

--- A setting that cannot be, in the form that a row of ssl.options answers with.
-- @tparam string message
-- @tparam[opt] string hint
-- @treturn boolean false
-- @treturn string message
-- @treturn table detail
function M.setting(message, hint) return false, message, { kind = "config", reason = message, hint = hint } end

--- Anything else.
-- @tparam string kind as of detail tables
-- @tparam string message
-- @tparam[opt] table fields more of the detail
-- @treturn nil
-- @treturn string message
-- @treturn table detail
function M.of(kind, message, fields)
  local detail = { kind = kind, reason = message }
  for k, v in pairs(fields or {}) do detail[k] = v end
  return nil, message, detail
end

return M
