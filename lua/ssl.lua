--- TLS for Lua programs: the public face, LuaSec's API.
-- Settings are read by ssl.options; handshakes, reading and writing are the connection's own methods, made in C.
-- @module ssl

local core = require "ssl.core"
local context = require "ssl.context"
local x509 = require "ssl.x509"
local config = require "ssl.config"
local options = require "ssl.options"
local systemca = require "ssl.systemca"
require "ssl.reload"

local M = {
  _VERSION = "1.4.0",
  _COPYRIGHT = core.copyright(),
  config = config,
  loadcertificate = x509.load,
  loadsession = core.loadsession,
  cookie = core.cookie,
  checkcookie = core.checkcookie,
  find_system_ca = systemca.find,
  get_system_ca = systemca.get,
  set_system_ca = systemca.set,
}

--- Makes a context from a table of settings; README.md and ssl.options name the keys.
-- @tparam table cfg only read, never changed
-- @treturn[1] userdata the context
-- @treturn[2] nil
-- @treturn[2] string what is wrong
-- @treturn[2] table detail
-- @raise protocol or mode missing, a setting of the wrong type
function M.newcontext(cfg)
  return options.newcontext(cfg)
end

--- Is a certificate for this host? RFC 9525: the subject alternative names decide, never the common name; a wildcard
-- stands for one whole label; an IP address must be an IP SAN. OpenSSL does the matching.
-- @param cert a certificate object
-- @tparam string hostname a DNS name, one trailing dot allowed, or an IP address
-- @treturn boolean false for empty names, names with a NUL, names with a leading dot
-- @raise cert is no certificate, hostname no string
function M.checkhostname(cert, hostname)
  if type(hostname) ~= "string" then
    error("bad argument #2 to 'checkhostname' (string expected, got " .. type(hostname) .. ")", 2)
  end
  if type(cert) ~= "userdata" then
    error("bad argument #1 to 'checkhostname' (SSL:Certificate expected, got " .. type(cert) .. ")", 2)
  end
  if context.isip(hostname) then return cert:checkip(hostname) end
  return cert:checkhost(hostname)
end

local selfsigneddefaults = { names = { "localhost" }, days = 365, key = "ec" }

--- Makes a private key and a certificate that it signs itself: for tests, development, STARTTLS between servers.
-- A client that is to trust it names it as cadata.
-- @tparam[opt] table wanted names: array of DNS names and IP addresses ({ "localhost" }), of which the first is the
-- common name too; days until it expires (365); key: "ec" (P-256), "rsa" (2048 bits) or "ed25519" ("ec")
-- @treturn[1] string the certificate in PEM
-- @treturn[1] string the key in PEM, not encrypted
-- @treturn[2] nil
-- @treturn[2] string what is wrong
-- @treturn[2] table detail
-- @raise wanted is no table, or has something else in it
function M.selfsigned(wanted)
  local given = {}
  if wanted == nil then wanted = {} end
  if type(wanted) ~= "table" then
    error("bad argument #1 to 'selfsigned' (table expected, got " .. type(wanted) .. ")", 2)
  end
  for key, default in pairs(selfsigneddefaults) do given[key] = wanted[key] or default end
  for key in pairs(wanted) do
    if not selfsigneddefaults[key] then
      error("bad argument #1 to 'selfsigned' (unknown field '" .. tostring(key) .. "')", 2)
    end
  end
  return x509.selfsigned(given.names, given.days, given.key)
end

--- Connects to a host, shakes hands and checks its name. See ssl.connect.
-- @tparam string host
-- @tparam number|string port
-- @tparam[opt] table flags settings for newcontext, and timeout in seconds for the whole
-- @treturn[1] userdata connection
-- @treturn[1] userdata LuaSocket's object, without its descriptor
-- @treturn[2] nil
-- @treturn[2] string what is wrong
-- @treturn[2] table detail
function M.connect(host, port, flags)
  if type(host) ~= "string" then
    error("bad argument #1 to 'connect' (string expected, got " .. type(host) .. ")", 2)
  end
  if not tonumber(port) then
    error("bad argument #2 to 'connect' (port number expected, got " .. type(port) .. ")", 2)
  end
  if flags ~= nil and type(flags) ~= "table" then
    error("bad argument #3 to 'connect' (table expected, got " .. type(flags) .. ")", 2)
  end
  return require("ssl.connect").connect(M, host, port, flags)
end

-- A new connection on nothing yet.
local function create(cfg)
  local ctx = cfg
  if type(cfg) == "table" then
    local message, detail
    ctx, message, detail = M.newcontext(cfg)
    if not ctx then return nil, message, detail end
  end
  return core.create(ctx)
end

--- Makes an engine: a connection without a socket, for programs that carry the bytes themselves. It has every method
-- of a connection, each of which does what it can at once and else answers "wantread" or "wantwrite"; what came from
-- the peer is given to conn:feed, what is to go there is taken from conn:drain.
-- @param cfg a context, or the settings for one
-- @treturn[1] userdata the engine
-- @treturn[2] nil
-- @treturn[2] string what is wrong
-- @treturn[2] table detail
-- @raise cfg is neither settings nor context
function M.engine(cfg)
  local conn, message, detail = create(cfg)
  if not conn then return nil, message, detail end
  core.setmemory(conn)
  return conn
end

-- The descriptor of a socket; nil for an object that has none to give but can send and receive. Raised before the
-- socket loses its descriptor: a wrong argument must leave it as it was.
local function checksocket(sock)
  local kind = type(sock)
  if kind == "table" or kind == "userdata" then
    if sock.getfd and sock.setfd then
      local fd = sock:getfd()
      if type(fd) == "number" then return fd end
    elseif sock.send and sock.receive then
      return nil
    end
  end
  error("bad argument #1 to 'wrap' (socket with getfd and setfd expected, got " .. tostring(sock) .. ")", 3)
end

--- Puts TLS on a connected socket. Does no I/O: call dohandshake next.
-- The connection takes over the descriptor; sock is left without one. On an object without a descriptor see ssl.tunnel.
-- @param sock LuaSocket's tcp object, or any object with getfd and setfd; or any with send and receive
-- @param cfg a context, or the settings for one; luaossl's contexts too
-- @treturn[1] userdata the connection, blocking without limit until settimeout says otherwise
-- @treturn[2] nil
-- @treturn[2] string what is wrong
-- @treturn[2] table detail
-- @raise cfg is neither settings nor context; sock is no such object
function M.wrap(sock, cfg)
  local conn, message, detail = create(cfg)
  if not conn then return nil, message, detail end
  local fd = checksocket(sock)
  if not fd then
    core.setmemory(conn)
    return require("ssl.tunnel").wrap(conn, sock)
  end
  sock:setfd(core.SOCKET_INVALID)
  core.setfd(conn, fd)
  return conn
end

return M
