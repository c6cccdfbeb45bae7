-- Servers, Redis and the client of the fleet samples, as processes of a spec.

local process = require "process"
local socket = require "socket"

local M = {}

M.certs = os.getenv("CERTS") or "build/certs"

local running = {}

local function keep(program)
  running[#running + 1] = program
  return program
end

--- Ends all that was started.
function M.killall()
  for _, program in ipairs(running) do
    program:signal("CONT")
    program:kill()
  end
  running = {}
end

--- A new key in the file.
function M.rotate(path)
  local output, status = process.lua("samples/fleet-tickets/rotate.lua", path):wait()
  assert(status == 0, output)
end

--- A server of a sample, `port` is where it listens. Debian's lua-redis has no folder for Lua 5.4.
function M.server(path, ...)
  local paths = ("LUA_PATH='%s;/usr/share/lua/5.3/?.lua;;'"):format((os.getenv("LUA_PATH") or ""):gsub(";;$", ""))
  local server = keep(process.lua({ path, ... }, paths))
  server.port = server:expect("^(%d+)$")
  return server
end

local function freeport()
  local listener = assert(socket.bind("127.0.0.1", 0))
  local _, port = listener:getsockname()
  listener:close()
  return port
end

--- A Redis that keeps nothing on disk, at this port or at any.
function M.redis(port)
  port = port or freeport()
  local redis = keep(process.start { "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "",
    "--appendonly", "no", "--dir", "/tmp" })
  redis:expect("Ready to accept connections")
  redis.port = port
  return redis
end

local client = {}
client.__index = client

--- Its next answer: port, answer, ms. Fails the test when there is none.
function client:answer()
  local line = self.program:line() or "nothing"
  local port, answer, ms = line:match("^(%d+)\t(%a+)\t(%d+)$")
  if not port then error("the client printed: " .. line, 2) end
  self.answers[#self.answers + 1] = { port = port, answer = answer, ms = tonumber(ms) }
  return self.answers[#self.answers]
end

--- Reads on until this answer; its number.
function client:untilanswer(wanted)
  repeat until self:answer().answer == wanted
  return #self.answers
end

--- All of its answers. Fails the test when a request had none.
function client:finish()
  local line = self.program:line()
  while line and not line:find("requests") do
    local port, answer, ms = line:match("^(%w+)\t(.-)\t(%d+)$")
    self.answers[#self.answers + 1] = { port = port, answer = answer, ms = tonumber(ms) }
    line = self.program:line()
  end
  local output, status = self.program:wait()
  assert(status == 0, output)
  assert(line:find("^%d+ requests, 0 failed$"), output)
  assert(tonumber(line:match("^%d+")) == #self.answers)
  return self.answers
end

--- The client, for some seconds, at the servers' ports.
function M.client(seconds, ...)
  local ports = {}
  for i, server in ipairs { ... } do ports[i] = server.port end
  local program = keep(process.lua { "samples/fleet-tickets/client.lua", M.certs, seconds,
    (table.unpack or unpack)(ports) }) -- luacheck: ignore 143
  return setmetatable({ program = program, answers = {} }, client)
end

return M
