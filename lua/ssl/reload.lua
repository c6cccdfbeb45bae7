--- ctx:reload: new certificates for a context while its connections run.
-- They are loaded into a context of their own, so that whatever is wrong with them is found there.
-- @module ssl.reload

local check = require "ssl.check"
local context = require "ssl.context"
local failure = require "ssl.failure"
local options = require "ssl.options"
local spelling = require "ssl.spelling"

local refuse = failure.setting

local M = {}

local fields = { "certificate", "key", "password", "pkcs12", "certificates" }
local isfield = {}
for _, name in ipairs(fields) do isfield[name] = true end

-- A field that did nothing would leave the program with other settings than it thinks.
local function checkfields(cfg)
  for key in pairs(cfg) do
    if not isfield[key] then
      local meant = type(key) == "string" and spelling.nearest(key, fields)
      if meant then return refuse(("unknown setting '%s': did you mean '%s'?"):format(key, meant)) end
      return refuse(("reload changes the certificate and its key, not '%s'"):format(tostring(key)))
    end
  end
  return true
end

local function checkpair(entry)
  if type(entry) ~= "table" then return refuse("invalid certificates (tables expected, got " .. type(entry) .. ")") end
  if entry.ocsp then return refuse("reload takes no ocsp: call setocsp after it") end
  if entry.pkcs12 or (entry.certificate and entry.key) then return true end
  return refuse("reload needs certificate and key, or pkcs12")
end

local function checkpairs(cfg)
  if not cfg.certificates then return checkpair(cfg) end
  if type(cfg.certificates) ~= "table" then
    return refuse("invalid certificates (array of tables expected, got " .. type(cfg.certificates) .. ")")
  end
  if #cfg.certificates == 0 then return refuse("invalid certificates (empty array)") end
  local ok, message, detail = check.ends("certificates", cfg.certificates)
  if not ok then return false, message, detail end
  for _, entry in ipairs(cfg.certificates) do
    ok, message, detail = checkpair(entry)
    if not ok then return false, message, detail end
  end
  return true
end

-- The new certificates in a context that has nothing else.
local function load(ctx, cfg)
  local fresh, message, detail = context.create("any")
  if not fresh then return nil, message, detail end
  context.preparereload(ctx, fresh)
  local ok
  ok, message, detail = options.loadcredentials(fresh, cfg.certificates, cfg)
  if not ok then return nil, message, detail end
  return fresh
end

--- ctx:reload(cfg: ssl.Settings) -> true | nil, message, detail
-- Replaces certificate, chain and key, all or nothing: connections made from now on use the new ones, those that
-- exist keep what they have. A certificate takes the place of the one with the same type of key (RSA, EC, Ed25519);
-- one of a type that the context has not is added, and the others stay. cfg: certificate and key, password; or pkcs12;
-- or certificates, an array of tables with these, as newcontext takes them. After a failure the context is what it was.
function M.reload(ctx, cfg)
  if type(cfg) ~= "table" then
    error("bad argument #1 to 'reload' (table expected, got " .. type(cfg) .. ")", 2)
  end
  local ok, message, detail = checkfields(cfg)
  if ok then ok, message, detail = checkpairs(cfg) end
  if not ok then return nil, message, detail end
  local fresh
  fresh, message, detail = load(ctx, cfg)
  if not fresh then return nil, message, detail end
  ok, message, detail = context.takeover(ctx, fresh)
  if not ok then return nil, message, detail end
  return true
end

context.setmethod("reload", M.reload)

return M
