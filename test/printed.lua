-- The programs that README.md and the guides print, run as they are printed: each in an interpreter of its own, in the
-- directory of the test certificates, with `port` set. Behind ```lua stands what a program needs: nothing; client, a
-- server; client udp, a server of DTLS; server, nothing, and clients may be run against it.

local socket = require "socket"
local S = require "support"

local M = {}

--- The Lua programs of a file in their order: tables with text and needs.
function M.blocks(path)
  local list = {}
  for needs, text in S.read(path):gmatch("\n```lua([%a ]*)\n(.-)```") do
    list[#list + 1] = { needs = needs:match("^ *(.-) *$"), text = text }
  end
  return list
end

--- The first program that has a pattern in it.
function M.find(path, pattern)
  for _, block in ipairs(M.blocks(path)) do
    if block.text:find(pattern) then return block.text end
  end
  error(path .. " has no program with " .. pattern)
end

--- Starts a program. A function that waits for its end: what it printed, its exit status; and its output as a file.
function M.start(program, port)
  local dir = assert(io.popen("pwd")):read("*l")
  local file = os.tmpname()
  local f = assert(io.open(file, "w"))
  f:write(("package.path = package.path:gsub('lua/%%?', %q)\n"):format(dir .. "/lua/?"))
  f:write(("package.cpath = package.cpath:gsub('build/', %q, 1)\n"):format(dir .. "/build/"))
  f:write(("io.stdout:setvbuf 'line' local port = %d\n"):format(port), program)
  f:close()
  local command = ("cd %s && timeout 30 %s %s 2>&1; echo status $?"):format(S.certdir, os.getenv("LUA") or "lua", file)
  local out = assert(io.popen(command, "r"))
  local function finish()
    local printed, status = out:read("*a"):match("^(.-)status (%d+)\n$")
    out:close()
    os.remove(file)
    return printed, tonumber(status)
  end
  return finish, out
end

--- Starts README.md's server. A function that waits for its end, as start has it; and its port.
function M.serve(program)
  local probe = assert(socket.bind("127.0.0.1", 0))
  local _, port = probe:getsockname()
  probe:close()
  -- It says when it listens, and is the client's "localhost" whichever address that is.
  local telling, n = program:gsub("(local listener = [^\n]+)", "%1 print 'ready'")
  assert(n == 1, "the server has no listener")
  local finish, out = M.start(telling, tonumber(port))
  assert(out:read("*l") == "ready", "the server did not start")
  return finish, tonumber(port)
end

--- A server of DTLS, samples/dtls.
function M.serveudp()
  local command = ("%s samples/dtls/server.lua %s 1"):format(S.interpreter(), S.certdir)
  local out = assert(io.popen(command, "r"))
  local port = tonumber(out:read("*l"))
  return function()
    local said = out:read("*a")
    out:close()
    return said, 0
  end, port
end

return M
