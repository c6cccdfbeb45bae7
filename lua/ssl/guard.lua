--- A protected call inside which coroutines may yield, on Lua 5.1 too.
-- @module ssl.guard

local unpack = table.unpack or unpack -- luacheck: ignore 143

local M = {}

-- Lua 5.1 does not yield across pcall: there the function gets a coroutine of its own, whose yields are passed on.
local function carryon(co, ok, ...)
  if not ok then return false, ... end
  if coroutine.status(co) == "dead" then return true, ... end
  local values = { n = select("#", ...), ... }
  local back = { coroutine.yield(unpack(values, 1, values.n)) }
  return carryon(co, coroutine.resume(co, unpack(back)))
end

local function owncoroutine(f, ...)
  local co = coroutine.create(f)
  return carryon(co, coroutine.resume(co, ...))
end

local _, blocked = coroutine.resume(coroutine.create(function() return pcall(coroutine.yield) end))

--- As pcall.
-- @tparam function f
-- @param ... its arguments
-- @treturn[1] boolean true
-- @treturn[1] any its results
-- @treturn[2] boolean false
-- @treturn[2] any what it raised
M.call = blocked == false and owncoroutine or pcall

return M
