--- A client's session in a file that the program knows by its descriptor, in PEM.
-- @module libtls.sessionfile

local core = require "ssl.core"

local M = {}

--- Offers the session in the file of a configuration, if there is one, to the server.
-- @tparam table config its state
-- @param conn a new connection
-- @treturn[1] boolean true, also when the session cannot serve this connection: the handshake is a full one then
-- @treturn[2] nil
-- @treturn[2] string what is wrong
function M.offer(config, conn)
  if not config.sessionfd then return true end
  local status, message = core.filestatus(config.sessionfd)
  if not status then return nil, "failed to stat session file: " .. message end
  if status.size == 0 then return true end
  local text
  text, message = core.readat(config.sessionfd, status.size, 0)
  if not text then return nil, "failed to read session file: " .. message end
  local session = core.loadsession(text)
  if not session then return nil, "failed to parse session" end
  conn:setsession(session)
  return true
end

--- Writes the newest session of a connection to the file. With TLS 1.3 there is one only after the first data.
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string what is wrong
function M.save(config, conn)
  local session = config.sessionfd and conn:getsession()
  if not session then return true end
  local text, message = session:pem()
  if not text then return nil, message end
  local ok
  ok, message = core.rewrite(config.sessionfd, text)
  if not ok then return nil, "failed to write session file: " .. message end
  return true
end

return M
