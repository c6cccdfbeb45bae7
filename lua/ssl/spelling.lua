--- Finds settings that were meant to be others: a misspelt `verify` must not pass for none.
-- @module ssl.spelling

local M = {}

--- How many edits lead from one word to the other; an insertion, a deletion, a replacement and a swap of neighbours are
-- one each (optimal string alignment).
-- @tparam string a
-- @tparam string b
-- @treturn number
function M.distance(a, b)
  local before, last = {}, {}
  for j = 0, #b do last[j] = j end
  for i = 1, #a do
    local row = { [0] = i }
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      local n = math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (same and 0 or 1))
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        n = math.min(n, before[j - 2] + 1)
      end
      row[j] = n
    end
    before, last = last, row
  end
  return last[#b]
end

-- Two edits in a long word, one in a word of four letters, none in a shorter one.
local function tolerance(word)
  if #word >= 8 then return 2 end
  return #word >= 4 and 1 or 0
end

--- The known word that a word is probably a misspelling of.
-- @tparam string word
-- @tparam table known array of words
-- @treturn string|nil the nearest one within reach
function M.nearest(word, known)
  local best, least
  for _, name in ipairs(known) do
    local reach = tolerance(name)
    if reach > 0 and math.abs(#word - #name) <= reach then
      local n = M.distance(word, name)
      if n <= reach and (not least or n < least) then best, least = name, n end
    end
  end
  return best
end

return M
