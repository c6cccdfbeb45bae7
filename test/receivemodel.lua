-- LuaSocket's receive in a few lines, to compare the library's with, call for call: `text` has come and was not
-- taken, `ending` is what to answer when it runs out, `cut` that no close_notify came, `max` the limit maxreceive
-- (0: none).

local M = {}
M.__index = M

function M.new() return setmetatable({ text = "", ending = "wantread", max = 0, taken = 0 }, M) end

--- The answer when no more is there: the end is said once, then "closed".
function M:out(prefix, got)
  local err = self.ending
  if err == "unexpected eof while reading" then self.ending = "closed" end
  return nil, err, prefix .. got
end

function M:take(n)
  local got = self.text:sub(1, n)
  self.text = self.text:sub(n + 1)
  self.taken = self.taken + #got
  return got
end

function M:toolong(got) return nil, ("more than the %d bytes that maxreceive allows"):format(self.max), got end

--- How many bytes may still follow those.
function M:room(prefix) return self.max == 0 and math.huge or math.max(self.max - #prefix, 0) end

function M:line(prefix)
  local at = self.text:find("\n", 1, true)
  local raw = self.text:sub(1, at and at - 1)
  local line = raw:gsub("\r", "")
  local room = self:room(prefix)
  if #line > room then -- carriage returns on the way to the limit do not count
    local n, i = 0, 0
    while n < room or raw:byte(i + 1) == 13 do
      i = i + 1
      if raw:byte(i) ~= 13 then n = n + 1 end
    end
    self:take(i)
    return self:toolong(prefix .. line:sub(1, room))
  end
  self:take(at or #self.text)
  if at then return prefix .. line end
  return self:out(prefix, line)
end

function M:all(prefix)
  local room = self:room(prefix)
  local got = self:take(math.min(#self.text, room))
  if self.text ~= "" then return self:toolong(prefix .. got) end
  if self.ending == "closed" and got ~= "" and not self.cut then return prefix .. got end
  return self:out(prefix, got)
end

--- What conn:receive(pattern, prefix) is to answer.
function M:receive(pattern, prefix)
  prefix = prefix or ""
  if pattern == "*l" then return self:line(prefix) end
  if pattern == "*a" then return self:all(prefix) end
  if prefix ~= "" and #prefix >= pattern then return prefix end
  local need = pattern - #prefix
  if self.text ~= "" and #self.text >= need then return prefix .. self:take(need) end
  return self:out(prefix, self:take(#self.text))
end

return M
