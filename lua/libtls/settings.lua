--- What a configuration of the libtls facade means in this library's settings.
-- @module libtls.settings

local config = require "libtls.config"
local context = require "ssl.context"
local ssl = require "ssl"

local M = {}

local weak = { [2] = "no_tlsv1", [4] = "no_tlsv1_1" }
local strong = { [8] = "no_tlsv1_2", [16] = "no_tlsv1_3" }

-- The options, and whether a version is on that today's security level forbids.
local function versions(self)
  local options, old = {}, false
  for bit, name in pairs(weak) do
    if config.has(self.protocols, bit) then old = true else options[#options + 1] = name end
  end
  for bit, name in pairs(strong) do
    if not config.has(self.protocols, bit) then options[#options + 1] = name end
  end
  if self.serverciphers then options[#options + 1] = "cipher_server_preference" end
  return options, old
end

-- Certificate and key tried on a context that is thrown away, for libtls' own words. A password is never asked for.
local function trypair(pair)
  local scratch = assert(context.create("any"))
  if not pair.cert or not pair.key then return nil, "private/public key mismatch" end
  local ok, message = context.loadcert(scratch, pair.cert)
  if not ok then return nil, "failed to load certificate: " .. message end
  local key = config.pem(pair.key)
  if not key or not context.loadkey(scratch, key, "") or not context.checkkey(scratch) then
    return nil, "failed to load private key"
  end
  return { certificate = pair.cert, key = key, password = "", ocsp = pair.staple }
end

local function addpairs(self, cfg)
  local pair, message
  if cfg.mode == "server" or self.pair.cert or self.pair.key then
    pair, message = trypair(self.pair)
    if not pair then return nil, message end
    if cfg.mode == "client" then pair.ocsp = nil end
    cfg.certificates = { pair }
  end
  if cfg.mode == "client" or not self.more[1] then return true end
  cfg.keypairs = {}
  for i, extra in ipairs(self.more) do
    cfg.keypairs[i], message = trypair(extra)
    if not cfg.keypairs[i] then return nil, message end
  end
  return true
end

-- A revocation list that cannot be read leaves the checks on, which nothing passes then.
local function addcrl(self, cfg)
  if not self.crl then return end
  cfg.verifyext = { "crl_check", "crl_check_chain" }
  if context.crls(assert(context.create("any")), nil, self.crl) then cfg.crldata = self.crl end
end

local function addtrust(self, cfg)
  if self.ca then
    if not context.cadata(assert(context.create("any")), self.ca) then return nil, "ssl verify memory setup failure" end
    cfg.cadata = self.ca
  elseif self.capath then
    cfg.capath = self.capath
  end
  addcrl(self, cfg)
  return true
end

local clientauth = { required = { "peer", "fail_if_no_peer_cert" }, optional = "peer" }

local function addverification(self, cfg)
  local verifies
  if cfg.mode == "client" then
    verifies = self.verifycert
    cfg.verify = verifies and "peer" or "none"
    cfg.ocsp = self.requirestaple and "require" or verifies and self.verifytime and "request" or nil
  else
    verifies = self.verifyclient
    cfg.verify = clientauth[self.verifyclient] or "none"
  end
  if not verifies then return true end
  return addtrust(self, cfg)
end

local function addsessions(self, cfg)
  if cfg.mode == "client" or self.lifetime == 0 then return true end
  cfg.sessions = { id = self.sessionid, timeout = self.lifetime, tickets = true }
  local message
  cfg.ticketkeys, message = config.ticketkeys(self)
  return cfg.ticketkeys ~= nil, message
end

-- What no setting of newcontext says.
local function finish(self, cfg, ctx)
  local ok, message = context.setdhauto(ctx, self.dhe)
  if ok and not self.verifytime then ok, message = context.setchecktime(ctx, false) end
  if ok and cfg.mode == "server" and self.lifetime == 0 then ok, message = context.setnosessions(ctx) end
  if not ok then return nil, message end
  return ctx
end

--- Makes a context.
-- @tparam table self state of a configuration
-- @tparam string mode client or server
-- @treturn[1] userdata
-- @treturn[2] nil
-- @treturn[2] string what is wrong
function M.context(self, mode)
  local options, old = versions(self)
  local cfg = {
    mode = mode, protocol = "any", options = options, groups = self.curves, depth = self.depth, alpn = self.alpn,
    ciphers = old and self.ciphers .. ":@SECLEVEL=0" or self.ciphers, verifyname = false,
  }
  for _, add in ipairs { addpairs, addverification, addsessions } do
    local ok, message = add(self, cfg)
    if not ok then return nil, message end
  end
  local ctx, message = ssl.newcontext(cfg)
  if not ctx then return nil, message end
  return finish(self, cfg, ctx)
end

return M
