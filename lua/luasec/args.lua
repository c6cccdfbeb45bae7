--- The command line of the tool: options as data, which parsing and --help share.
-- @module luasec.args

local spelling = require "ssl.spelling"

local M = {}

-- What an option's argument must be, by its word in the help.
local kinds = {
  SECONDS = function(text)
    local n = tonumber(text)
    return n and n > 0 and n < 1e6 and n, "a number of seconds"
  end,
  PORT = function(text)
    local n = text:find("^%d+$") and tonumber(text)
    return n and n <= 65535 and n, "a port"
  end,
  NUMBER = function(text) return text:find("^%d+$") and tonumber(text), "a number" end,
}

local function find(options, name)
  local names = {}
  for i, option in ipairs(options) do
    if option.name == name then return option end
    names[i] = option.name
  end
  local meant = spelling.nearest(name, names)
  return nil, ("unknown option %s%s"):format(name, meant and (": did you mean %s?"):format(meant) or "")
end

local function convert(option, text)
  if not text or text == "" then return nil, ("%s needs %s"):format(option.name, option.value) end
  if option.among and not option.among[text] then
    local names = {}
    for name in pairs(option.among) do names[#names + 1] = name end
    table.sort(names)
    return nil, ("%s is one of %s, not %s"):format(option.name, table.concat(names, ", "), text)
  end
  local kind = kinds[option.value]
  if not kind then return text end
  local value, what = kind(text)
  if value then return value end
  return nil, ("%s needs %s, not %s"):format(option.name, what, text)
end

--- Parses arguments.
-- @tparam table options arrays of tables with name ("--ca"), value (its argument's word, nil for a switch), among (a
-- set of the words it may be), text
-- @tparam table argv
-- @treturn[1] table option's name without dashes -> value; at numbers what is no option
-- @treturn[2] nil
-- @treturn[2] string what is wrong
function M.parse(options, argv)
  local given, i, plain = {}, 1, false
  while argv[i] do
    local name, value = argv[i]:match("^(%-%-[%w-]+)=(.*)$")
    name = name or argv[i]
    if plain or not name:find("^%-.") then
      given[#given + 1] = argv[i]
    elseif name == "--" then
      plain = true
    else
      local option, message = find(options, name)
      if not option then return nil, message end
      if option.value then
        if not value then
          i = i + 1
          value = argv[i]
        end
        value, message = convert(option, value)
        if message then return nil, message end
      elseif value then
        return nil, name .. " takes no argument"
      end
      given[name:sub(3)] = value or true
    end
    i = i + 1
  end
  return given
end

--- The options as lines of help.
function M.help(options)
  local lines = {}
  for i, option in ipairs(options) do
    local left = option.name .. (option.value and " " .. option.value or "")
    lines[i] = ("  %-24s %s"):format(left, option.text)
  end
  return table.concat(lines, "\n") .. "\n"
end

--- Host and port of "host:port", "host", "[v6]:port", "v6"; nil when it is none.
function M.address(text, default)
  local host, port = text:match("^%[([%x:.%%%w]+)%]:?(%d*)$")
  if not host then host, port = text:match("^([^:%s%[%]]+):?(%d*)$") end
  if not host and text:find("^%x*:[%x:.]*:[%x:.]*$") then host, port = text, "" end
  local number = port == "" and default or tonumber(port)
  if not host or not number or number < 1 or number > 65535 then return nil end
  return host, number
end

return M
