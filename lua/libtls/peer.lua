--- What contexts of the libtls facade can tell about a connection and its peer: conn_* and peer_cert_*. All of it is
-- there once the handshake is done.
-- @module libtls.peer

local args = require "libtls.args"
local ssl = require "ssl"

local M = {}

local SUBJECT_ALT_NAME = "2.5.29.17"

-- Whether a certificate has names of hosts or addresses outside of its subject.
local function named(cert)
  local names = (cert:extensions() or {})[SUBJECT_ALT_NAME]
  return names and (names.dNSName or names.iPAddress) ~= nil
end

--- Whether a certificate is for a host: one of its names, or, where it has none, its subject's common name, which is
-- never an address. X509_check_host(3).
-- @param cert
-- @tparam string name
-- @treturn boolean
function M.matches(cert, name)
  return ssl.checkhostname(cert, name) or not named(cert) and cert:checkhost(name, "always_check_subject")
end

local function certificate(self) return self.complete and self.conn:getpeercertificate() or nil end

local readers = {
  conn_version = function(self) return self.conn:info("protocol") end,
  conn_cipher = function(self) return self.conn:info("cipher") end,
  conn_servername = function(self)
    if self.kind == "client" then return self.servername end
    return self.conn:getsniname()
  end,
  conn_alpn_selected = function(self) return self.conn:getalpn() end,
}

local certreaders = {
  peer_cert_hash = function(cert)
    local digest = cert:digest("sha256")
    return digest and "SHA256:" .. digest:lower() -- none where memory is short
  end,
  peer_cert_issuer = function(cert) return (cert:oneline("issuer")) end,
  peer_cert_subject = function(cert) return (cert:oneline("subject")) end,
}

-- Nothing at all, rather than nil.
local function values(value)
  if value ~= nil then return value end
end

local function addreaders(method)
  for name, read in pairs(readers) do
    method(name, function(self)
      if self.complete then return values((read(self))) end
    end)
  end
  for name, read in pairs(certreaders) do
    method(name, function(self)
      local cert = certificate(self)
      if cert then return values(read(cert)) end
    end)
  end
end

local function addnumbers(method)
  method("conn_cipher_strength", function(self) return self.complete and math.floor(self.conn:info("bits")) or 0 end)
  for name, read in pairs { peer_cert_notbefore = "notbeforetime", peer_cert_notafter = "notaftertime" } do
    method(name, function(self)
      local cert = certificate(self)
      return cert and cert[read](cert) or -1
    end)
  end
end

local function addbooleans(method)
  method("conn_session_resumed", function(self) return self.complete and self.conn:sessionreused() or false end)
  method("peer_cert_provided", function(self) return certificate(self) ~= nil end)
  method("peer_cert_contains_name", function(self, name)
    name = args.string("peer_cert_contains_name", 2, name)
    local cert = certificate(self)
    return cert ~= nil and M.matches(cert, name)
  end)
end

local function addchain(method)
  method("peer_cert_chain_pem", function(self)
    if not certificate(self) then return nil, "the peer has not provided a certificate" end
    local chain = {}
    for i, cert in ipairs(self.conn:getpeerchain()) do chain[i] = cert:pem() end
    return table.concat(chain)
  end)
  method("peer_ocsp_url", function(self)
    local cert = certificate(self)
    local url = cert and cert:ocspurl()
    if url then return url end
    return nil, cert and "the peer's certificate names no OCSP responder" or "the peer has not provided a certificate"
  end)
end

--- tls:conn_version() -> version: string | nothing
--- tls:conn_cipher() -> cipher: string | nothing
--- tls:conn_cipher_strength() -> bits: integer
--- tls:conn_servername() -> name: string | nothing
--- tls:conn_alpn_selected() -> protocol: string | nothing
--- tls:conn_session_resumed() -> boolean
-- What was negotiated, once the handshake is done.
--- tls:peer_cert_provided() -> boolean
--- tls:peer_cert_contains_name(name: string) -> boolean
--- tls:peer_cert_hash() -> hash: string | nothing
--- tls:peer_cert_subject() -> name: string | nothing
--- tls:peer_cert_issuer() -> name: string | nothing
--- tls:peer_cert_notbefore() -> time: integer
--- tls:peer_cert_notafter() -> time: integer
--- tls:peer_cert_chain_pem() -> pem: string | nil, message
--- tls:peer_ocsp_url() -> url: string | nil, message
-- The peer's certificate; times in seconds since 1970, -1 when there is none.

-- Adds the methods, by a function method(name, f); f is called with the state and the arguments.
function M.addto(method)
  addreaders(method)
  addnumbers(method)
  addbooleans(method)
  addchain(method)
end

return M
