-- What the targets of test/fuzz share: an input read as a program, what every answer of this library must look
-- like, and where the first inputs go that a target makes itself.

local M = {}

-- ---- an input

local Input = {}
Input.__index = Input

function M.input(bytes) return setmetatable({ bytes = bytes, at = 0 }, Input) end

--- Is it used up?
function Input:over() return self.at >= #self.bytes end

--- The next byte; 0 at the end.
function Input:byte()
  self.at = self.at + 1
  return self.bytes:byte(self.at) or 0
end

function Input:short() return self:byte() * 256 + self:byte() end

--- The next n bytes, fewer at the end.
function Input:string(n)
  local s = self.bytes:sub(self.at + 1, self.at + n)
  self.at = self.at + n
  return s
end

function Input:rest() return self:string(#self.bytes) end

--- A member of a list, and its index.
function Input:one(list)
  local i = self:byte() % #list + 1
  return list[i], i
end

-- ---- answers

local words = { wantread = true, wantwrite = true, closed = true, timeout = true, retry = true }
local kinds = { verify = true, alert = true, protocol = true, system = true, closed = true, truncated = true,
  timeout = true, want = true, config = true, callback = true }

--- What a failure must have: a message that says something; a detail, if any, of a known kind.
function M.failure(name, message, ...)
  if type(message) ~= "string" or message == "" then error(name .. " failed without a message") end
  if message:find("(null)", 1, true) then error(name .. ": " .. message) end
  for i = 1, select("#", ...) do
    local detail = select(i, ...)
    if type(detail) == "table" and not words[message] and not kinds[detail.kind] then
      error(name .. ": " .. message .. ": no kind of failure: " .. tostring(detail.kind))
    end
  end
end

local silent = { dtlstimeout = true, handletimeout = true } -- nothing to do is nil or false alone

--- Looks at what a call answered; the answer goes on.
function M.shaped(name, result, message, ...)
  if (result == nil or result == false) and not (silent[name] and message == nil) then
    M.failure(name, message, ...)
  end
  return result, message, ...
end

--- Is it what luaL_argerror and its like raise?
function M.misuse(message)
  if type(message) ~= "string" then return false end
  return message:find("bad argument #%d") or message:find("calling '[%w_]+' on bad self")
end

--- Calls a function that may raise, but for misuse of an argument only: true and what it answered, or false.
function M.try(name, f, ...)
  local function sort(ok, ...)
    if ok then return true, ... end
    local message = ...
    if not M.misuse(message) then error(name .. " raised: " .. tostring(message), 0) end
    return false
  end
  return sort(pcall(f, ...))
end

-- ---- targets

--- Finishes a target: its inputs to begin with, a list that t.seeds() makes, go where FUZZ_SEEDS says, if it does.
function M.target(t)
  local dir = os.getenv("FUZZ_SEEDS")
  if not dir or not t.seeds then return t end
  for i, bytes in ipairs(t.seeds()) do
    local file = assert(io.open(("%s/seed-%03d"):format(dir, i), "wb"))
    assert(file:write(bytes))
    assert(file:close())
  end
  return t
end

--- A function(n) of a sequence of its own: 1 to n.
function M.random(seed)
  local state = seed % 2147483646 + 1
  return function(n)
    state = (state * 16807) % 2147483647
    return state % n + 1
  end
end

local certdir = os.getenv("CERTS") or "build/certs"

--- The files of the test PKI with this ending, by name; none where it has not been made.
function M.files(ending)
  local list = {}
  local pipe = assert(io.popen("cd '" .. certdir .. "' 2>/dev/null && ls"))
  for name in pipe:lines() do
    if name:sub(-#ending) == ending then
      local file = assert(io.open(certdir .. "/" .. name, "rb"))
      list[#list + 1] = { name = name, bytes = file:read("*a") }
      file:close()
    end
  end
  pipe:close()
  return list
end

return M
