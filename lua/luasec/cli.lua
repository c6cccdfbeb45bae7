--- The command `luasec`: which part of it is meant, help, exit statuses.
-- @module luasec.cli

local args = require "luasec.args"

local M = {}

local statuses = [[
Exit status: 0 all is well, 1 wrong usage or settings, 2 the server is not reached, 3 TLS failed, 4 the certificate was
refused.
]]

local commands = {
  look = { usage = "luasec HOST[:PORT] [option...]",
    text = "Connects with TLS, verifies the server, shows what was agreed on and its certificates; or why not." },
  serve = { usage = "luasec serve [option...]",
    text = "Serves the files of a directory by HTTPS, for trying clients." },
  bench = { usage = "luasec bench HOST[:PORT] [option...]",
    text = "Measures handshakes with a server, full and resumed ones, one after the other." },
}

local function help(name)
  local one = commands[name]
  local out = { "Usage: ", one.usage, "\n", one.text, "\n\n", args.help(require("luasec." .. name).options) }
  if name == "look" then
    out[#out + 1] = "\nOther commands: luasec serve, luasec bench; each has --help. luasec --version\n"
  end
  out[#out + 1] = "\n" .. statuses
  return table.concat(out)
end

local function misuse(message, name)
  io.stderr:write("luasec: ", message, "\nTry: luasec ", name == "look" and "" or name .. " ", "--help\n")
  return 1
end

--- Runs the program with these arguments; answers its exit status.
function M.main(argv)
  local rest, name = {}, "look"
  for i = 1, #argv do rest[i] = argv[i] end
  if commands[rest[1]] and rest[1] ~= "look" then name = table.remove(rest, 1) end
  for _, word in ipairs(rest) do
    if word == "--" then break end
    if word == "--help" or word == "-h" then
      io.stdout:write(help(name))
      return 0
    end
    if word == "--version" then
      io.stdout:write("luasec ", require("ssl")._VERSION, "\n")
      return 0
    end
  end
  local part = require("luasec." .. name)
  local given, message = args.parse(part.options, rest)
  if not given then return misuse(message, name) end
  if name == "look" and not given[1] then return misuse("a host is missing", name) end
  if given[name == "serve" and 1 or 2] then return misuse("too many arguments", name) end
  local status
  status, message = part.run(given)
  if not status then return misuse(message, name) end
  return status
end

return M
