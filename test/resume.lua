-- Visits of a client to servers, for the specs of sessions: each is a pair of connections over loopback.

local S = require "support"
local ssl = S.ssl

local M = {}

function M.client(extra) return assert(ssl.newcontext(S.client(extra))) end
function M.server(extra) return assert(ssl.newcontext(S.server(extra))) end

--- A ticket key whose bytes come of one letter.
function M.key(letter)
  return { name = letter:rep(16), aes = letter:upper():rep(32), hmac = letter:rep(32) }
end

--- One connection from cctx to sctx that offers `session` (nil: none; a string: its export). Both handshakes must
-- succeed, and a byte comes to the client, with which TLS 1.3 brings its tickets.
-- Returns the session it ends with, whether one was resumed, the pair.
function M.visit(cctx, sctx, session, name)
  local c, s = S.wrapped(cctx, sctx)
  if name then c:sni(name) end
  if type(session) == "string" then session = assert(ssl.loadsession(session)) end
  if session then assert(c:setsession(session)) end
  local cr, sr = S.shake(c, s)
  assert(cr[1] and sr[1], tostring(cr[2]) .. " " .. tostring(sr[2]))
  s:send("x")
  assert((S.receive(c, 1)) == "x")
  assert(c:sessionreused() == s:sessionreused())
  return c:getsession(), c:sessionreused(), c, s
end

--- Was the session resumed at sctx?
function M.resumes(cctx, sctx, session, name)
  local _, resumed, c, s = M.visit(cctx, sctx, session, name)
  c:close()
  s:close()
  return resumed
end

M.versions = { "tlsv1_2", "tlsv1_3" }

return M
