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

--- ssl._VERSION: string
-- The library's version, by semantic versioning.
--- ssl._COPYRIGHT: string
-- Who holds the rights.
--- ssl.config: ssl.Config
-- What the OpenSSL that runs can do; the module ssl.config.
--- ssl.loadcertificate(pem: string) -> certificate: ssl.Certificate | nil, message, detail
-- Reads the first certificate in the text; ssl.x509.load is the same function.
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

--- ssl.newcontext(cfg: ssl.Settings) -> ctx: ssl.Context | nil, message, detail
-- Makes a context from a table of settings, which is only read. It raises when protocol or mode is missing, or one of
-- LuaSec's settings has the wrong type.
function M.newcontext(cfg)
  return options.newcontext(cfg)
end

local function iscertificate(value)
  local meta = type(value) == "userdata" and getmetatable(value)
  return type(meta) == "table" and type(meta.__index) == "table" and meta.__index.checkhost ~= nil
end

--- ssl.checkhostname(cert: ssl.Certificate, hostname: string) -> boolean
-- Is a certificate for this host? RFC 9525: the subject alternative names decide, never the common name; a wildcard
-- stands for one whole label; an IP address must be an IP SAN; one trailing dot is passed over. false for empty names,
-- names with a NUL and names with a leading dot. OpenSSL does the matching: X509_check_host(3), X509_check_ip(3).
function M.checkhostname(cert, hostname)
  if type(hostname) ~= "string" then
    error("bad argument #2 to 'checkhostname' (string expected, got " .. type(hostname) .. ")", 2)
  end
  if not iscertificate(cert) then
    error("bad argument #1 to 'checkhostname' (SSL:Certificate expected, got " .. type(cert) .. ")", 2)
  end
  if context.isip(hostname) then return cert:checkip(hostname) end
  return cert:checkhost(hostname)
end

--- table ssl.SelfSigned
-- - names: string[] -- DNS names and IP addresses, { "localhost" }; the first is the common name too
-- - days: number -- until it expires, 365
-- - key: "ec"|"rsa"|"ed25519" -- P-256, 2048 bits or Ed25519; "ec"
local selfsigneddefaults = { names = { "localhost" }, days = 365, key = "ec" }

--- ssl.selfsigned([wanted: ssl.SelfSigned]) -> cert: string, key: string | nil, message, detail
-- Makes a private key and a certificate that it signs itself, both in PEM, the key not encrypted: for tests,
-- development, STARTTLS between servers. A client that is to trust it names it as cadata. Unknown fields raise.
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

--- ssl.connect(host: string, port: integer|string [, flags: ssl.Settings]) ->
--   conn: ssl.Connection, sock: table | nil, message, detail
-- Connects, shakes hands and checks the host name. flags: settings for newcontext, of which mode is "client", protocol
-- "tlsv1_2" and verify "none" unless given, and timeout, seconds for all of it from the look-up of the name on. With
-- verify = "peer" the certificate is verified too. Calls with the same settings share a context and resume each other's
-- sessions, unless sessions is false. A server that proves a key of psk needs no certificate. sock is LuaSocket's
-- object, which no longer has the descriptor. After a failure nothing is left open.
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

--- ssl.engine(cfg: ssl.Context|ssl.Settings) -> conn: ssl.Connection | nil, message, detail
-- Makes an engine: a connection without a socket, for programs that carry the bytes themselves. It has every method of
-- a connection, each of which does what it can at once and else answers "wantread" or "wantwrite"; what came from the
-- peer is given to conn:feed, what is to go there is taken from conn:drain.
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

--- ssl.wrap(sock: table|userdata, cfg: ssl.Context|ssl.Settings|userdata) ->
--   conn: ssl.Connection | nil, message, detail
-- Puts TLS on a connected socket. Does no I/O: call dohandshake next. sock is LuaSocket's, or any object with getfd and
-- setfd: the connection takes over the descriptor and sock is left without one; or any object with send and receive,
-- such as another connection, over which TLS then runs. cfg may be a context of luaossl's. The connection blocks
-- without limit until settimeout says otherwise.
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
