--- Configuration handles of the mbedtls facade: what newconfig's arguments become as settings of this library.
-- @module mbedtls.config

local context = require "ssl.context"
local ssl = require "ssl"

local M = {}

local modes = {
  ["tls-client"] = { mode = "client", protocol = "any" },
  ["tls-server"] = { mode = "server", protocol = "any" },
  ["dtls-client"] = { mode = "client", protocol = "dtls" },
  ["dtls-server"] = { mode = "server", protocol = "dtls" },
}

-- Handle -> what it stands for. Nothing of it can be reached from the handle.
local known = setmetatable({}, { __mode = "k" })

local handle = { __metatable = false, __name = "mbedtls.ssl.config" }

local function istext(material) return material:find("-----BEGIN ", 1, true) ~= nil end

-- What an error message calls it.
local function source(name, material) return istext(material) and name or material end

local function check(name, material, what, ok)
  if not ok then error(("%s: can't parse %s"):format(source(name, material), what), 0) end
end

local function loadca(cfg, scratch, cacert)
  local ok
  if istext(cacert) then
    cfg.cadata = cacert
    ok = context.cadata(scratch, cacert)
  else
    cfg.cafile = cacert
    ok = context.locations(scratch, cacert)
  end
  check("cacert", cacert, "CA certificate", ok)
  cfg.verify = cfg.mode == "server" and { "peer", "fail_if_no_peer_cert" } or "peer"
end

-- Without pkey the key is in cert. A password is never asked for.
local function loadpair(cfg, scratch, cert, pkey)
  check("cert", cert, "certificate", context.loadcert(assert(context.create(cfg.protocol)), cert))
  local key = pkey or cert
  check(pkey and "pkey" or "cert", key, "private key", context.loadkey(scratch, key, ""))
  if not context.loadcert(scratch, cert) or not context.checkkey(scratch) then
    error(source("cert", cert) .. ": certificate/private key mismatch", 0)
  end
  cfg.certificate, cfg.key, cfg.password = cert, key, ""
end

local own

-- A server needs some certificate; this one lives as long as the program, and nobody can verify it.
local function loadown(cfg)
  if not own then
    local cert, key = ssl.selfsigned { names = { "lua-mbedtls" }, days = 3650 }
    if not cert then error(key, 0) end
    own = { cert = cert, key = key }
  end
  cfg.certificate, cfg.key = own.cert, own.key
end

local function loadpsk(cfg, identity, hex)
  if #hex % 2 == 1 or hex:find("[^%x]") then error("psk: hexadecimal digits expected, two a byte", 0) end
  cfg.psk = { identity = identity, key = (hex:gsub("%x%x", function(byte) return string.char(tonumber(byte, 16)) end)) }
end

local function optional(position, value)
  if value ~= nil and type(value) ~= "string" then
    error(("bad argument #%d to 'newconfig' (string expected, got %s)"):format(position, type(value)), 0)
  end
end

--- Makes a handle.
-- @tparam string mode tls-client, tls-server, dtls-client or dtls-server
-- @tparam[opt] string cacert, cert, pkey PEM or file names; psk in hexadecimal digits
-- @return the handle
-- @raise whatever is wrong with an argument
function M.new(mode, cacert, cert, pkey, identity, psk)
  local range = modes[mode]
  if not range then
    error(("bad argument #1 to 'newconfig' (invalid option '%s')"):format(tostring(mode)), 0)
  end
  for i, value in pairs { [2] = cacert or nil, [3] = cert or nil, [4] = pkey or nil, [5] = identity or nil,
    [6] = psk or nil } do
    optional(i, value)
  end
  local cfg = { mode = range.mode, protocol = range.protocol, verify = "none", verifyname = false }
  local scratch = assert(context.create(cfg.protocol))
  assert(context.setmode(scratch, cfg.mode))
  if cacert then loadca(cfg, scratch, cacert) end
  if cert then
    loadpair(cfg, scratch, cert, pkey)
  elseif cfg.mode == "server" and not psk then
    loadown(cfg)
  end
  if identity and psk then loadpsk(cfg, identity, psk) end
  local config = { cfg = cfg, server = cfg.mode == "server", dtls = cfg.protocol == "dtls", contexts = {} }
  local ok, message = M.contextof(config)
  if not ok then error(message, 0) end
  local new = setmetatable({}, handle)
  known[new] = config
  return new
end

--- What a handle stands for; nil for anything else.
function M.of(value) return known[value] end

--- The context for a host name, nil for none: without a name always the same.
function M.contextof(config, hostname)
  local contexts = config.contexts
  local at = hostname or false
  if not contexts[at] then
    local cfg = {}
    for k, v in pairs(config.cfg) do cfg[k] = v end
    if hostname then cfg.servername, cfg.verifyname = hostname, hostname end
    local ctx, message = ssl.newcontext(cfg)
    if not ctx then return nil, message end
    if hostname then return ctx end -- names may be many; the connection keeps its context
    contexts[at] = ctx
  end
  return contexts[at]
end

return M
