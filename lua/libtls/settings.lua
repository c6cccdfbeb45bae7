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
  if not pair.cert or not pair.key then return nil, "private/public key mismatch" end
  local ok
  local scratch, message = context.create("any")
  if not scratch then return nil, message end
  ok, message = context.loadcert(scratch, pair.cert)
  if not ok then return nil, "failed to load certificate: " .. message end
  local key = config.pem(pair.key)
  if not key or not context.loadkey(scratch, key, "") or not context.checkkey(scratch) then
    return nil, "failed to load private key"
  end
  return { certificate = pair.cert, key = key, password = "" }
end

local function addpairs(self, cfg)
  local pair, message
  if cfg.mode == "server" or self.pair.cert or self.pair.key then
    pair, message = trypair(self.pair)
    if not pair then return nil, message end
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
local function addcrl(self, ctx)
  if not self.crl then return true end
  context.crls(ctx, nil, self.crl)
  return ctx:setverifyext("crl_check", "crl_check_chain")
end

--- Makes a context trust the authorities of a configuration, and look at its revocation list.
-- @tparam table self state of a configuration
-- @tparam userdata ctx
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string what is wrong
function M.trust(self, ctx)
  local ok, message = true, nil
  if self.ca then
    if not context.cadata(ctx, self.ca) then return nil, "ssl verify memory setup failure" end
  elseif self.capath then
    ok, message = context.locations(ctx, nil, self.capath)
  end
  if ok then ok, message = addcrl(self, ctx) end
  return ok or nil, message
end

-- Of servers see libtls.server.
local function addverification(self, cfg)
  if cfg.mode == "server" then return end
  cfg.verify = self.verifycert and "peer" or "none"
  cfg.ocsp = self.requirestaple and "require" or self.verifycert and self.verifytime and "request" or nil
  if self.verifycert then cfg.cadata, cfg.capath = self.ca, not self.ca and self.capath or nil end
end

local function tryauthorities(self)
  if not self.ca then return true end
  local scratch = context.create("any")
  if scratch and context.cadata(scratch, self.ca) then return true end
  return nil, "ssl verify memory setup failure"
end

-- What no setting of newcontext says.
local function finish(self, cfg, ctx)
  local ok, message = context.setdhauto(ctx, self.dhe)
  if ok then ok, message = context.setsubjectnames(ctx, true) end
  if ok then ok, message = context.pairsinorder(ctx) end
  if ok and not self.verifytime then ok, message = context.setchecktime(ctx, false) end
  if ok and cfg.mode == "client" and self.verifycert then ok, message = addcrl(self, ctx) end
  if not ok then return nil, message end
  return ctx
end

--- Makes a context. A server's has no sessions, asks for no certificates and staples nothing: see libtls.server.
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
  local ok, message = addpairs(self, cfg)
  addverification(self, cfg)
  if ok and cfg.cadata then ok, message = tryauthorities(self) end
  if not ok then return nil, message end
  local ctx
  ctx, message = ssl.newcontext(cfg)
  if not ctx then return nil, message end
  return finish(self, cfg, ctx)
end

return M
