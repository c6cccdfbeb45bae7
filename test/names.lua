-- Servers that choose a context by name: what servernames_spec and servernames_moved_spec share.

local S = require "support"
local ssl = S.ssl

local M = {}

--- Settings out of two tables, the second before the first.
function M.with(extra, more)
  local t = {}
  for _, from in ipairs { extra or {}, more or {} } do
    for k, v in pairs(from) do t[k] = v end
  end
  return t
end

--- A server context with the credentials of the test PKI that have this name.
function M.newcontext(name, extra)
  local cfg = M.with({ certificate = S.cert(name), key = S.cert(name .. "key") }, extra)
  return assert(ssl.newcontext(S.server(cfg)))
end

--- The common name in the certificate of the peer.
function M.seen(conn)
  local subject = conn:getpeercertificate():subject()
  return subject[#subject].value
end

--- A handshake of a client that sends `name` with a server of this sni: the name in the certificate it got, the results
-- of both ends, and what inspect(client, server) answered.
function M.ask(name, sni, extra, clientextra, inspect)
  local client = S.anyclient(M.with({ servername = name }, clientextra))
  local server = extra
  if type(extra) ~= "userdata" then server = S.server(M.with({ sni = sni }, extra)) end
  local c, s = S.wrapped(client, server)
  local cr, sr = S.shake(c, s)
  local cert = cr[1] and sr[1] and c:getpeercertificate() and M.seen(c)
  local answer = inspect and inspect(c, s)
  c:close()
  s:close()
  return cert, cr, sr, answer
end

return M
