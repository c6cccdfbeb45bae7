--- TCP connections to a host name under a deadline: the look-up, then every address until one answers. What
-- ssl.connect, ssl.https and ssl.proxy have in common; TLS is none of its business. A deadline is a time of
-- ssl.core's now, a clock that nobody sets: on the system's, a request that runs while that is put right would end, or
-- last as long as it was wrong.
-- @module ssl.dial

local socket = require "socket"
local core = require "ssl.core"
local failure = require "ssl.failure"

local M = {}

local FOREVER = 1e6

-- What is usually behind what LuaSocket says.
local hints = {
  ["host not found"] = "no name server knows the name, or none answers: is it spelt right, and this machine on line?",
  ["Temporary failure in name resolution"] = "no name server answers: is this machine on line?",
  ["connection refused"] = "nothing listens on this port of the host, or a firewall refuses the connection",
  ["timeout"] = "the host did not answer in time: is it up, the port right, and timeout long enough?",
  ["Network is unreachable"] = "this machine has no route to the host",
  ["No route to host"] = "this machine has no route to the host",
}

local function refuse(kind, message, host)
  return failure.of(kind, message, { host = host, hint = hints[message] })
end

--- The deadline that is so many seconds from now.
-- @tparam[opt] number seconds none, or a negative number: practically never
-- @treturn number
function M.deadline(seconds)
  if not seconds or seconds < 0 or seconds > FOREVER then seconds = FOREVER end
  return core.now() + (seconds == seconds and seconds or 0)
end

--- The seconds that are left until a deadline.
-- @tparam number deadline
-- @treturn number 0 when it has passed
function M.left(deadline) return math.max(0, deadline - core.now()) end

--- Has a deadline passed? A wait of whole milliseconds may end a little before it.
-- @tparam number deadline
-- @treturn boolean
function M.over(deadline) return deadline - core.now() < 0.005 end

--- What the certificate of a host must be for: no trailing dot, and not the interface of a link-local address (RFC
-- 4007).
-- @tparam string host
-- @treturn string
function M.name(host)
  if host:find(":", 1, true) then return (host:gsub("%%.*$", "")) end
  return (host:gsub("([^.])%.$", "%1"))
end

-- Tries one address for at most `seconds`.
local function try(address, port, seconds)
  local make = address.family == "inet6" and socket.tcp6 or socket.tcp4 or socket.tcp
  local sock, message = make()
  if not sock then return nil, message end
  sock:settimeout(seconds)
  local ok
  ok, message = sock:connect(address.address, port)
  if not ok then
    sock:close()
    return nil, message
  end
  return sock
end

--- Connects to a host. Each of its addresses gets a fair share of the time that is left, so that one that does not
-- answer leaves time for the others.
-- @tparam string host name or IP address
-- @tparam number|string port
-- @tparam number deadline
-- @treturn[1] userdata LuaSocket's object
-- @treturn[2] nil
-- @treturn[2] string what the system says of the last address; "timeout"
-- @treturn[2] table detail
function M.dial(host, port, deadline)
  local addresses, message, detail = core.resolve(host, M.left(deadline))
  if not addresses then
    detail.host, detail.hint = host, detail.hint or hints[message]
    return nil, message, detail
  end
  message = "host not found"
  for i, address in ipairs(addresses) do
    local left = M.left(deadline)
    if left <= 0 then return refuse("timeout", "timeout", host) end
    local sock, why = try(address, port, left / (#addresses - i + 1))
    if sock then return sock end
    message = why
  end
  return refuse(message == "timeout" and "timeout" or "system", message, host)
end

return M
