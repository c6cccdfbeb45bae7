--- What the tool prints: text that is fit for a terminal, in colour where there is one, and JSON.
-- @module luasec.output

local M = {}

local codes = { bold = "1", red = "31", green = "32", yellow = "33", dim = "2" }

--- Is it a terminal? fd: 1 or 2.
function M.terminal(fd)
  local ok = os.execute(("test -t %d"):format(fd))
  return ok == true or ok == 0
end

--- A function that colours text, or leaves it as it is. when: "auto", "always", "never".
function M.painter(when)
  local on = when == "always"
  if when == "auto" then on = not os.getenv("NO_COLOR") and os.getenv("TERM") ~= "dumb" and M.terminal(1) end
  return function(colour, text)
    if not on then return text end
    return ("\27[%sm%s\27[0m"):format(codes[colour], text)
  end
end

--- Text of a peer's: what could command a terminal is shown as \xHH.
function M.safe(text)
  return (tostring(text):gsub("[%c\127-\255]", function(c) return ("\\x%02X"):format(c:byte()) end))
end

-- ---- JSON, RFC 8259

local escapes = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

-- Bytes that are no ASCII are shown, as a peer's text may be no UTF-8.
local function quote(text)
  text = text:gsub("[%c\"\\\127-\255]", function(c)
    return escapes[c] or (c:byte() < 128 and ("\\u%04x"):format(c:byte())) or ("\\\\x%02X"):format(c:byte())
  end)
  return '"' .. text .. '"'
end

local function number(n)
  if n ~= n or n == math.huge or n == -math.huge then return "null" end
  if n % 1 == 0 and math.abs(n) < 2 ^ 53 then return ("%.0f"):format(n) end
  return ("%.6g"):format(n)
end

local encode

local function members(t, indent)
  local names, out = {}, {}
  for name in pairs(t) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do out[i] = indent .. quote(name) .. ": " .. encode(t[name], indent) end
  return out
end

function encode(value, indent)
  local kind = type(value)
  if kind == "string" then return quote(value) end
  if kind == "number" then return number(value) end
  if kind ~= "table" then return tostring(value) end
  local deeper, out = indent .. "  ", {}
  if value[1] ~= nil or next(value) == nil then
    for i, v in ipairs(value) do out[i] = deeper .. encode(v, deeper) end
    if #out == 0 then return "[]" end
    return "[\n" .. table.concat(out, ",\n") .. "\n" .. indent .. "]"
  end
  out = members(value, deeper)
  return "{\n" .. table.concat(out, ",\n") .. "\n" .. indent .. "}"
end

--- A table as JSON; an empty one is an array.
function M.json(value) return encode(value, "") .. "\n" end

return M
