--- ssl.connect: a TCP connection, TLS on it, and the check of the host name, under one deadline. Loaded when it is
-- first called, since nothing else of ssl needs LuaSocket.
-- @module ssl.connect

local contexts = require "ssl.contexts"
local dial = require "ssl.dial"
local failure = require "ssl.failure"

local M = {}

local MOST_NAMES = 8

-- The names and addresses that a certificate is for, in one line; what is unprintable in them is not shown.
local function names(cert)
  local list = {}
  local alternative = cert:extensions()["2.5.29.17"] or {}
  for _, kind in ipairs { "dNSName", "iPAddress" } do
    for _, name in ipairs(alternative[kind] or {}) do
      if #list <= MOST_NAMES then list[#list + 1] = name:sub(1, 100):gsub("[^!-~]", "?") end
    end
  end
  if #list > MOST_NAMES then list[#list] = "..." end
  return list[1] and table.concat(list, ", ")
end

local function refuse(message, host, is)
  local hint = is and ("expected %s, the certificate is for %s"):format(host, is)
  return failure.of("verify", message, { host = host, names = is, hint = hint })
end

local function shake(conn, deadline)
  conn:settimeout(dial.left(deadline), "t")
  local ok, message, detail = conn:dohandshake()
  conn:settimeout(nil, "t")
  if ok then return true end
  if detail.kind == "want" then
    return failure.of("timeout", "timeout", {
      hint = "the host took the connection and did not finish the handshake in time: does it speak TLS on this port?" })
  end
  return nil, message, detail
end

-- With verify the handshake has checked the name. Without it the certificate may be anybody's, but must have the name.
local function checkname(ssl, conn, name)
  local cert = conn:getpeercertificate()
  if not cert then return refuse("the server sent no certificate", name) end
  if ssl.checkhostname(cert, name) then return true end
  return refuse("the certificate is not for " .. name, name, names(cert))
end

-- As the system wants it, which takes 70000 for 4464 and knows no 443.0; nil when it is none.
local function portnumber(port)
  local n = tonumber(port)
  return n % 1 == 0 and n >= 1 and n <= 65535 and ("%d"):format(n) or nil
end

--- Connects, shakes hands and checks the host name.
-- @tparam table ssl the module
-- @tparam string host name or IP address
-- @tparam number|string port
-- @tparam[opt] table flags settings as for newcontext; mode is "client"; protocol "tlsv1_2" and verify "none" unless
-- given; timeout: seconds for all of it, name look-up included; only read. Calls with the same settings share a context
-- and, unless sessions is false, resume each other's sessions
-- @treturn[1] userdata the connection, its timeouts off
-- @treturn[1] userdata LuaSocket's object, which no longer has the descriptor
-- @treturn[2] nil
-- @treturn[2] string what is wrong; nothing is left open
-- @treturn[2] table detail
function M.connect(ssl, host, port, flags)
  local cfg = contexts.copy(flags or {})
  cfg.mode = "client"
  cfg.protocol = cfg.protocol or "tlsv1_2"
  cfg.verify = cfg.verify or "none"
  if cfg.servername == nil then cfg.servername = dial.name(host) end
  if cfg.sessions == nil then cfg.sessions = true end
  if cfg.timeout and not tonumber(cfg.timeout) then
    return failure.of("config", ("invalid timeout (number expected, got %s)"):format(type(cfg.timeout)))
  end
  local number = portnumber(port)
  if not number then return failure.of("config", ("invalid port '%s'"):format(tostring(port)), { host = host }) end
  local deadline = dial.deadline(tonumber(cfg.timeout))
  cfg.timeout = nil
  local ctx, message, detail = contexts.get(cfg)
  if not ctx then return nil, message, detail end
  local sock
  sock, message, detail = dial.dial(host, number, deadline)
  if not sock then return nil, message, detail end
  local conn
  conn, message, detail = ssl.wrap(sock, ctx)
  if not conn then
    sock:close()
    return nil, message, detail
  end
  local ok
  ok, message, detail = shake(conn, deadline)
  -- Who knows the pre-shared key needs no certificate to be who he is, unless the program names one.
  local keyed = ok and cfg.verifyname == nil and not conn:getpeercertificate() and conn:getpskidentity()
  if ok and cfg.verifyname ~= false and not keyed then
    ok, message, detail = checkname(ssl, conn, cfg.verifyname or cfg.servername or dial.name(host))
  end
  if not ok then
    conn:close()
    return nil, message, detail
  end
  return conn, sock
end

return M
