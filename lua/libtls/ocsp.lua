--- What the libtls facade says of OCSP responses: this library's verdicts, in libtls' words and numbers.
-- @module libtls.ocsp

local M = {}

local statuses = { good = 0, revoked = 1, unknown = 2 }

local words = {
  unreadable = "unable to parse OCSP response",
  foreign = "ocsp verify failed: no result for cert",
  noissuer = "ocsp verify failed: no issuer cert",
  unsigned = "ocsp verify failed: not signed by the issuer or its responder",
  early = "ocsp verify failed: response not current",
  stale = "ocsp verify failed: response not current",
}

--- What is wrong with a response.
-- @tparam table facts what conn:getocsp or conn:ocspcheck answered
-- @treturn[1] nil nothing
-- @treturn[2] string
function M.refusal(facts)
  if facts.verdict == "refused" then return "ocsp verify failed: response - " .. facts.response end
  if facts.verdict == "revoked" then return "ocsp verify failed: revoked cert - " .. (facts.reason or "unspecified") end
  return words[facts.verdict]
end

-- Of the last response that could be believed.
local readers = {
  peer_ocsp_cert_status = function(facts) return statuses[facts.status] end,
  peer_ocsp_crl_reason = function(facts) return facts.reasoncode or 0 end,
  peer_ocsp_response_status = function() return 0 end,
  peer_ocsp_result = function(facts)
    return facts.status == "revoked" and (facts.reason or "unspecified") or facts.status
  end,
  peer_ocsp_this_update = function(facts) return facts.thisupdate end,
  peer_ocsp_next_update = function(facts) return facts.nextupdate end,
  peer_ocsp_revocation_time = function(facts) return facts.revocationtime end,
}

--- tls:peer_ocsp_response_status() -> status: integer | nil, message
--- tls:peer_ocsp_cert_status() -> status: integer | nil, message
--- tls:peer_ocsp_crl_reason() -> reason: integer | nil, message
--- tls:peer_ocsp_result() -> result: string | nil, message
--- tls:peer_ocsp_this_update() -> time: integer | nil, message
--- tls:peer_ocsp_next_update() -> time: integer | nil, message
--- tls:peer_ocsp_revocation_time() -> time: integer | nil, message
-- What the last OCSP response that could be believed says, in libtls' constants; times in seconds since 1970.

-- Adds the methods, by a function method(name, f); f is called with the state.
function M.addto(method)
  for name, read in pairs(readers) do
    method(name, function(self)
      if not self.ocsp then return nil, "no OCSP response has been verified" end
      local value = read(self.ocsp)
      if value == nil then return nil, "the OCSP response does not say" end
      return value
    end)
  end
end

return M
