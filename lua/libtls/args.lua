--- Arguments of the libtls facade's functions: checked, and raised for in luaL_argerror's words. self counts as the
-- first.
-- @module libtls.args

local M = {}

local function raise(name, position, text)
  error(("bad argument #%d to '%s' (%s)"):format(position, name, text), 4)
end

local function wrongtype(name, position, want, value)
  raise(name, position, ("%s expected, got %s"):format(want, value == nil and "no value" or type(value)))
end

--- A string, or a number that stands for one.
-- @tparam string name of the function
-- @tparam number position
-- @param value
-- @treturn string
function M.string(name, position, value)
  if type(value) == "number" then return tostring(value) end
  if type(value) ~= "string" then wrongtype(name, position, "string", value) end
  return value
end

--- The same, or nil.
function M.optstring(name, position, value)
  if value == nil then return nil end
  if type(value) == "number" then return tostring(value) end
  if type(value) ~= "string" then wrongtype(name, position, "string", value) end
  return value
end

local function integer(name, position, value)
  local n = type(value) ~= "boolean" and tonumber(value)
  if not n or n % 1 ~= 0 or n < -2 ^ 53 or n > 2 ^ 53 then
    error(("bad argument #%d to '%s' (integer expected, got %s)"):format(position, name,
      value == nil and "no value" or type(value)), 5)
  end
  return math.floor(n)
end

--- A whole number.
function M.integer(name, position, value) return (integer(name, position, value)) end

--- The same; `default` when it is nil.
function M.optinteger(name, position, value, default)
  if value == nil then return default end
  return (integer(name, position, value))
end

--- The state behind a handle.
-- @tparam string name of the function
-- @tparam number position
-- @tparam string want what the handle is called
-- @tparam table known handle -> state
-- @param value
function M.handle(name, position, want, known, value)
  local state = value ~= nil and known[value]
  if not state then wrongtype(name, position, want, value) end
  return state
end

--- A metatable for handles: locked, with a name, and an address for tostring.
-- @tparam string name
-- @tparam table methods
-- @tparam table known handle -> state
-- @treturn table
function M.metatable(name, methods, known)
  return {
    __metatable = false, __name = name, __index = methods,
    __tostring = function(handle)
      return ("%s: %s"):format(name, tostring(known[handle]):match("0x%x+"))
    end,
  }
end

return M
