--- Where this machine keeps the certificates of the public CAs.
-- @module ssl.systemca

local context = require "ssl.context"

local M = {}

-- Debian, Fedora, Fedora's extract, openSUSE, Alpine and macOS and OpenBSD, FreeBSD, NetBSD.
local bundles = {
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/ssl/ca-bundle.pem",
  "/etc/ssl/cert.pem",
  "/usr/local/share/certs/ca-root-nss.crt",
  "/etc/openssl/certs/ca-certificates.crt",
}

local chosen -- nil: not looked for yet; false: forbidden; else a path

local function readable(path)
  local f = io.open(path, "rb")
  local byte = f and f:read(1)
  if f then f:close() end
  return byte ~= nil
end

--- ssl.find_system_ca() -> path: string | nil, message
-- Looks for a file of CA certificates: $SSL_CERT_FILE, OpenSSL's own default, then the places known from systems.
function M.find()
  local named = os.getenv("SSL_CERT_FILE")
  if named and named ~= "" then
    if readable(named) then return named end
    return nil, "SSL_CERT_FILE names " .. named .. ", which cannot be read"
  end
  local default = context.defaultlocations()
  if readable(default) then return default end
  for _, path in ipairs(bundles) do
    if readable(path) then return path end
  end
  return nil, "no file of CA certificates found on this machine; install ca-certificates, or name one by cafile or " ..
    "SSL_CERT_FILE"
end

--- ssl.get_system_ca() -> path: string | nil, message
-- The file of CA certificates in use: the one set, or the one found first and remembered.
function M.get()
  if chosen == false then return nil, "the use of the system's CA certificates is forbidden by set_system_ca(false)" end
  if chosen then return chosen end
  local path, message = M.find()
  chosen = path
  return path, message
end

--- ssl.set_system_ca([path: string|false]) -> nothing
-- Sets the file of CA certificates for the program; nil: look again; false: use none.
function M.set(path)
  if path ~= nil and path ~= false and type(path) ~= "string" then
    error("bad argument #1 to 'set_system_ca' (string, nil or false expected, got " .. type(path) .. ")", 2)
  end
  chosen = path
end

--- What a context should load for the system's roots.
-- @treturn[1] string|nil file
-- @treturn[1] string|nil directory, only from $SSL_CERT_DIR
-- @treturn[2] nil
-- @treturn[2] nil
-- @treturn[2] string message
function M.locations()
  local dir = os.getenv("SSL_CERT_DIR")
  if dir == "" or chosen == false then dir = nil end
  local file, message = M.get()
  if not file and not dir then return nil, nil, message end
  return file, dir
end

return M
