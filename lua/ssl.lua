--- TLS for Lua programs: the public face, LuaSec's API.
-- Settings are read by ssl.options; handshakes, reading and writing are the connection's own methods, made in C.
-- @module ssl

local core = require "ssl.core"
require "ssl.context"
local x509 = require "ssl.x509"
local config = require "ssl.config"
local options = require "ssl.options"
local systemca = require "ssl.systemca"

local M = {
  _VERSION = "1.4.0",
  _COPYRIGHT = core.copyright(),
  config = config,
  loadcertificate = x509.load,
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

-- Raised before the socket loses its descriptor: a wrong argument must leave it as it was.
local function checksocket(sock)
  local kind = type(sock)
  if kind == "table" or kind == "userdata" then
    if sock.getfd and sock.setfd then
      local fd = sock:getfd()
      if type(fd) == "number" then return fd end
    end
  end
  error("bad argument #1 to 'wrap' (socket with getfd and setfd expected, got " .. tostring(sock) .. ")", 3)
end

--- Puts TLS on a connected socket. Does no I/O: call dohandshake next.
-- The connection takes over the descriptor; sock is left without one.
-- @param sock LuaSocket's tcp object, or any object with getfd and setfd
-- @param cfg a context, or the settings for one; luaossl's contexts too
-- @treturn[1] userdata the connection, blocking without limit until settimeout says otherwise
-- @treturn[2] nil
-- @treturn[2] string what is wrong
-- @treturn[2] table detail
-- @raise cfg is neither settings nor context; sock has no descriptor to give
function M.wrap(sock, cfg)
  local ctx = cfg
  if type(cfg) == "table" then
    local message, detail
    ctx, message, detail = M.newcontext(cfg)
    if not ctx then return nil, message, detail end
  end
  local conn, message, detail = core.create(ctx)
  if not conn then return nil, message, detail end
  local fd = checksocket(sock)
  sock:setfd(core.SOCKET_INVALID)
  core.setfd(conn, fd)
  return conn
end

return M
