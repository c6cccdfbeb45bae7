-- Allocations that fail, at every place of src/ that allocates or calls what does: runs in a process of its own with
-- test/peer/nomemory.c preloaded. test/nomemory_spec.lua has the scenarios.

local M = {}

local function tell(command) return os.getenv("NOMEMORY" .. command) end

-- One run of the scenario with an allocation failing. What comes of it may be success, nil or false with a sentence, or
-- an error of words; what the scenario itself takes for wrong is an error that begins with "WRONG".
local function try(scenario, command)
  tell(command)
  local ok, result, message = pcall(scenario)
  local failed = tonumber((tell ""))
  local words = not ok and result or not result and message or "success"
  if type(words) ~= "string" then error("no words but a " .. type(words), 0) end
  if words:find("WRONG", 1, true) then error(words, 0) end
  return failed
end

-- The same C answers on each Lua: all points on one of them are enough.
local stride = _VERSION == "Lua 5.4" and 1 or 5

-- The numbers that follow in the answer: how many places, which allocations.
local function plan(answer)
  local numbers = {}
  for n in answer:gmatch("%d+") do numbers[#numbers + 1] = tonumber(n) end
  table.remove(numbers, 1)
  return table.remove(numbers, 1), numbers
end

--- Runs a scenario with the first, third, ninth allocation and so on failing at each place, and with all of them
-- failing from there on; after each everything must work.
-- @tparam function scenario does the same each time; answers true, or nil or false and a message, or raises
-- @treturn number places; on other Luas than 5.4 a fifth of them is tried
-- @treturn number allocations that failed
function M.run(scenario)
  assert(tell "", "the allocator is not preloaded")
  for _ = 1, 2 do assert(scenario()) end
  tell " watch"
  assert(scenario())
  local places, points = plan(tell "")
  local total = 0
  for i = 1, #points, stride do
    local n = points[i]
    for _, command in ipairs { " ", " +" } do
      local where = ("allocation%s%d: "):format(command, n)
      local ok, failed = pcall(try, scenario, command .. n)
      if not ok then error(where .. tostring(failed), 0) end
      total = total + failed
      local fine, message = pcall(scenario)
      if not fine then error(where .. "nothing works after it: " .. tostring(message), 0) end
    end
  end
  return places, total
end

return M
