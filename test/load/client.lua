-- What the load programs have in common: servers that they start, connections to them, and the judgement.

local socket = require "socket"
local P = require "process"
local S = require "support"
local ssl = S.ssl

local M = { passed = 0, failed = 0 }

local context = assert(ssl.newcontext(S.client()))

local server = {}
server.__index = server

--- Starts a server (server.lua), which ends with this program; `limit` is the seconds that it allows a handshake.
function M.server(limit)
  P.SECONDS = 1200
  local self = setmetatable({ program = P.lua("test/load/server.lua", limit) }, server)
  self.port = tonumber(self.program:expect("^(%d+)$"))
  self.control = self:connect()
  return self
end

--- A TCP connection to it.
function server:tcp()
  local sock = assert(socket.connect("127.0.0.1", self.port))
  sock:setoption("tcp-nodelay", true)
  return sock
end

--- A connection to it before the handshake, with 20 s for each call.
function server:wrap()
  local conn = assert(ssl.wrap(self:tcp(), context))
  conn:settimeout(20)
  return conn
end

function server:connect()
  local conn = self:wrap()
  assert(conn:dohandshake())
  return conn
end

--- Sends a line; the line that it is answered with.
function M.ask(conn, request)
  assert(conn:send(request .. "\n"))
  return assert(conn:receive("*l"))
end

--- Its resident KiB, connections other than the control's, timeouts, how late they came, and connections whose client
-- does not read.
function server:stats()
  local rss, open, timeouts, late, full = M.ask(self.control, "stats"):match("^(%d+) (%d+) (%d+) (%S+) (%d+)$")
  return tonumber(rss), tonumber(open) - 1, tonumber(timeouts), tonumber(late), tonumber(full)
end

--- Waits until it has n connections, all of whose clients do not read where `full`; false after a while.
function server:settled(n, full)
  return (pcall(S.poll, function()
    socket.sleep(0.01)
    return select(full and 5 or 2, self:stats()) == n
  end))
end

--- Ends it, and checks how it ends.
function server:finish()
  self.control:close()
  local said, status = self.program:wait()
  M.check(status == 0, "the server ends with status %s%s", status, status == 0 and "" or ": " .. said)
end

--- Counts and prints a judgement.
function M.check(ok, format, ...)
  M[ok and "passed" or "failed"] = M[ok and "passed" or "failed"] + 1
  print((ok and "ok      " or "FAILED  ") .. format:format(...))
end

--- Ends the program.
function M.finish()
  print(("%d passed, %d failed, 0 skipped"):format(M.passed, M.failed))
  os.exit(M.failed == 0 and 0 or 1)
end

return M
