--- ssl.connect: a TCP connection, TLS on it, and the check of the host name, under one deadline. Loaded when it is
-- first called, since nothing else of ssl needs LuaSocket.
-- @module ssl.connect

local socket = require "socket"
local core = require "ssl.core"

local M = {}

local FOREVER = 1e6

local function copy(t)
  local new = {}
  for k, v in pairs(t or {}) do new[k] = v end
  return new
end

local function failure(kind, message, host)
  return nil, message, { kind = kind, reason = message, host = host }
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

-- Each address gets a fair share of what is left, so that one that does not answer leaves time for the others.
local function dial(host, port, deadline)
  local addresses, message, detail = core.resolve(host, math.max(0, deadline - socket.gettime()))
  if not addresses then return nil, message, detail end
  message = "host not found"
  for i, address in ipairs(addresses) do
    local left = deadline - socket.gettime()
    if left <= 0 then return failure("timeout", "timeout", host) end
    local sock, why = try(address, port, left / (#addresses - i + 1))
    if sock then return sock end
    message = why
  end
  return failure(message == "timeout" and "timeout" or "system", message, host)
end

local function shake(conn, deadline)
  conn:settimeout(math.max(0, deadline - socket.gettime()), "t")
  local ok, message, detail = conn:dohandshake()
  conn:settimeout(nil, "t")
  if ok then return true end
  if detail.kind == "want" then return failure("timeout", "timeout") end
  return nil, message, detail
end

-- With verify the handshake has checked the name. Without it the certificate may be anybody's, but must have the name.
local function checkname(ssl, conn, name)
  local cert = conn:getpeercertificate()
  if not cert then return failure("verify", "the server sent no certificate", name) end
  if ssl.checkhostname(cert, name) then return true end
  return failure("verify", "the certificate is not for " .. name, name)
end

-- What the certificate must be for: no trailing dot, and not the interface of a link-local address (RFC 4007).
local function hostname(host)
  if host:find(":", 1, true) then return (host:gsub("%%.*$", "")) end
  return (host:gsub("([^.])%.$", "%1"))
end

--- Connects, shakes hands and checks the host name.
-- @tparam table ssl the module
-- @tparam string host name or IP address
-- @tparam number|string port
-- @tparam[opt] table flags settings as for newcontext; mode is "client"; protocol "tlsv1_2" and verify "none" unless
-- given; timeout: seconds for all of it, name look-up included; only read
-- @treturn[1] userdata the connection, its timeouts off
-- @treturn[1] userdata LuaSocket's object, which no longer has the descriptor
-- @treturn[2] nil
-- @treturn[2] string what is wrong; nothing is left open
-- @treturn[2] table detail
function M.connect(ssl, host, port, flags)
  local cfg = copy(flags)
  cfg.mode = "client"
  cfg.protocol = cfg.protocol or "tlsv1_2"
  cfg.verify = cfg.verify or "none"
  if cfg.servername == nil then cfg.servername = hostname(host) end
  local deadline = socket.gettime() + (tonumber(cfg.timeout) or FOREVER)
  local ctx, message, detail = ssl.newcontext(cfg)
  if not ctx then return nil, message, detail end
  local sock
  sock, message, detail = dial(host, port, deadline)
  if not sock then return nil, message, detail end
  local conn
  conn, message, detail = ssl.wrap(sock, ctx)
  if not conn then
    sock:close()
    return nil, message, detail
  end
  local ok
  ok, message, detail = shake(conn, deadline)
  if ok and cfg.verifyname ~= false then
    ok, message, detail = checkname(ssl, conn, cfg.verifyname or cfg.servername or hostname(host))
  end
  if not ok then
    conn:close()
    return nil, message, detail
  end
  return conn, sock
end

return M
