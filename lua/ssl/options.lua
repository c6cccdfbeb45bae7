--- The settings of a context: every key of the table given to newcontext and wrap is one row of data here.
-- A row's `apply(ctx, value, cfg)` answers true, or false, message, detail; rows are applied in their order, the first
-- failure ends it. A row without `apply` is read by the row that it belongs to. What `type` and `check` ask of a
-- value is looked at before, by ssl.check; `values`, an array or a set, are the names that can be meant by others.
-- `text`, `default` and `openssl` (the oldest that has it, 3.0) are for the reference and the editor's types.
-- @module ssl.options

local check = require "ssl.check"
local context = require "ssl.context"
local config = require "ssl.config"
local failure = require "ssl.failure"
local sessions = require "ssl.sessions"
local servernames = require "ssl.servernames"
local stapling = require "ssl.stapling"
local systemca = require "ssl.systemca"

local refuse = failure.setting
local unpack = table.unpack or unpack -- luacheck: ignore 143

local M = {}

-- ---- helpers of the rows

-- A string or an array of strings, spread.
local function spread(value)
  if type(value) == "table" then return unpack(value) end
  return value
end

local function has(value, name)
  if type(value) ~= "table" then return value == name end
  for _, v in ipairs(value) do
    if v == name then return true end
  end
  return false
end

-- What was given in place of a value of type `want`.
local function wrongtype(key, want, value)
  return refuse(("invalid %s (%s expected, got %s)"):format(key, want, type(value)))
end

local function checkpassword(password)
  if password and type(password) ~= "string" and type(password) ~= "function" then
    return refuse("invalid password type")
  end
  return true
end

-- Key, certificate and chain in one.
local function loadpkcs12(ctx, entry)
  local from = entry.pkcs12
  if type(from) ~= "table" then return wrongtype("pkcs12", "table", from) end
  if entry.key or entry.certificate then return refuse("pkcs12 takes the place of key and certificate") end
  local file, data = from.file or nil, from.data or nil
  if (file == nil) == (data == nil) then return refuse("pkcs12 needs one of file and data") end
  local where = file and "pkcs12.file" or "pkcs12.data"
  if type(file or data) ~= "string" then return wrongtype(where, "string", file or data) end
  local password = from.password or entry.password or nil
  local ok, message, detail = checkpassword(password)
  if not ok then return false, message, detail end
  return context.loadpkcs12(ctx, file, data, password)
end

local function loadcredentials(ctx, entry)
  if entry.pkcs12 then return loadpkcs12(ctx, entry) end
  if entry.key then
    local ok, message, detail = checkpassword(entry.password)
    if ok then ok, message, detail = context.loadkey(ctx, entry.key, entry.password or nil) end
    if not ok then return false, message, detail end
  end
  if entry.certificate then
    local ok, message, detail = context.loadcert(ctx, entry.certificate, entry.password or nil)
    if not ok then return false, message, detail end
  end
  if entry.key and entry.certificate and not context.checkkey(ctx) then
    return refuse("private key does not match public key",
      "the certificate was made for another private key: name the two that belong together")
  end
  return true
end

local function loadall(ctx, list, cfg)
  if not list then return loadcredentials(ctx, cfg) end
  if type(list) ~= "table" then return wrongtype("certificates", "array of tables", list) end
  for i, entry in ipairs(list) do
    if type(entry) ~= "table" then return wrongtype(("certificates[%d]"):format(i), "table", entry) end
    local ok, message, detail = loadcredentials(ctx, entry)
    if not ok then return false, message, detail end
  end
  return true
end

M.loadcredentials = loadall

local function loadsystem(ctx)
  local file, dir, message = systemca.locations()
  if not file and not dir then return refuse("error loading CA locations (" .. message .. ")") end
  return context.locations(ctx, file, dir)
end

local function loadlocations(ctx, cafile, capath)
  if cafile ~= "system" then return context.locations(ctx, cafile or nil, capath or nil) end
  local ok, message, detail = loadsystem(ctx)
  if not ok or not capath then return ok, message, detail end
  return context.locations(ctx, nil, capath)
end

-- A client that verifies needs somebody to trust. DANE brings its own trust, lsec_continue looks at the errors later.
local function loadtrust(ctx, cafile, cfg)
  local capath, cadata = cfg.capath, cfg.cadata
  if cadata then
    local ok, message, detail = context.cadata(ctx, cadata)
    if not ok then return false, message, detail end
  end
  if cafile or capath then return loadlocations(ctx, cafile, capath) end
  if not cadata and cfg.mode == "client" and has(cfg.verify, "peer") then
    local ok, message, detail = loadsystem(ctx)
    if not ok and not cfg.dane and not has(cfg.verifyext, "lsec_continue") then return false, message, detail end
  end
  return true
end

-- ---- ALPN: lists to wire format (RFC 7301 section 3.1) and back

local function encodealpn(value)
  local list = type(value) == "string" and { value } or value
  if type(list) ~= "table" then return nil, "invalid ALPN parameter" end
  local wire = {}
  for i, name in ipairs(list) do
    if type(name) ~= "string" then return nil, "invalid ALPN name (string expected, got " .. type(name) .. ")" end
    if name == "" then return nil, "invalid ALPN name (empty string)" end
    if #name > 255 then return nil, "invalid ALPN name (length > 255)" end
    wire[i] = string.char(#name) .. name
  end
  if not wire[1] then return nil, "invalid ALPN list (empty)" end
  return table.concat(wire)
end

local function decodealpn(wire)
  local list, at = {}, 1
  while at <= #wire do
    local n = wire:byte(at)
    list[#list + 1] = wire:sub(at + 1, at + n)
    at = at + n + 1
  end
  return list
end

-- The list is read again at each handshake, so that the program may change it.
local function serveralpn(ctx, value)
  if type(value) == "function" then
    return context.setalpncb(ctx, function(offered) return (encodealpn(value(decodealpn(offered)))) end)
  end
  if type(value) ~= "table" then return refuse("invalid ALPN parameter") end
  local wire, message = encodealpn(value)
  if not wire then return refuse(message) end
  return context.setalpncb(ctx, function() return (encodealpn(value)) end)
end

local function clientalpn(ctx, value)
  local wire, message = encodealpn(value)
  if not wire then return refuse(message) end
  return context.setalpn(ctx, wire)
end

-- ---- PSK

local function serverpsk(ctx, value)
  if type(value) == "function" then return context.setserverpskcb(ctx, value) end
  if type(value) ~= "table" or type(value.callback) ~= "function" or
    (value.hint ~= nil and type(value.hint) ~= "string") then
    return refuse("invalid PSK configuration")
  end
  if value.hint then
    local ok, message, detail = context.setpskhint(ctx, value.hint)
    if not ok then return false, message, detail end
  end
  return context.setserverpskcb(ctx, value.callback)
end

-- The same key for all connections.
local function fixedpsk(ctx, value)
  if type(value.identity) ~= "string" or type(value.key) ~= "string" then
    return refuse("invalid psk (identity and key must be strings)")
  end
  return context.setpsk(ctx, value.identity, value.key)
end

local function clientpsk(ctx, value)
  if type(value) ~= "function" then return refuse("invalid PSK configuration") end
  return context.setclientpskcb(ctx, value)
end

-- ---- names

local function setservername(ctx, name, cfg)
  if cfg.mode ~= "client" then return true end
  local sni = type(name) == "string" and name:gsub("([^.])%.$", "%1") or name -- RFC 6066 section 3: no trailing dot
  if sni and not context.isip(sni) then
    local ok, message, detail = context.setservername(ctx, sni)
    if not ok then return false, message, detail end
  end
  local checked = cfg.verifyname
  if checked == nil then checked = name end
  if checked and has(cfg.verify, "peer") then return context.setverifyname(ctx, checked) end
  return true
end

-- ---- key log

-- The environment alone never turns it on.
local function setkeylog(ctx, value)
  if not value then return true end
  if value == true then
    value = os.getenv("SSLKEYLOGFILE") or ""
    if value == "" then return refuse("keylog = true needs a path in the environment variable SSLKEYLOGFILE") end
  end
  return context.setkeylog(ctx, value)
end

-- ---- the rows

-- Most settings are handed to one function, when they are set at all.
local function simple(setter)
  return function(ctx, value)
    if not value then return true end
    return setter(ctx, value)
  end
end

-- The same for an array of names that goes to its function as one list with colons.
local function list(key, setter)
  return function(ctx, value)
    if not value then return true end
    local members = type(value) == "table" and value or { value }
    local known = {}
    for i, name in ipairs(members) do
      if type(name) ~= "string" then return wrongtype(key, "string or array of strings", name) end
      known[i] = name
    end
    for i in pairs(members) do -- ipairs stops at a hole
      if type(i) == "number" and i > #known then return wrongtype(key, "string or array of strings", nil) end
    end
    return setter(ctx, table.concat(known, ":"))
  end
end

-- The same for a name or an array of names.
local function names(setter)
  return function(ctx, value)
    if not value then return true end
    return setter(ctx, spread(value))
  end
end

M.rows = {
  { name = "protocol", type = "string", required = true,
    values = { "any", "tlsv1", "tlsv1_1", "tlsv1_2", "tlsv1_3", "tlsv1_2+", "tlsv1_3+", "dtls", "dtlsv1_2" },
    text = "protocol version: any, tlsv1, tlsv1_1, tlsv1_2, tlsv1_3 (sslv23: any); tlsv1_2+: that or newer; " ..
      "dtls: 1.2 or newer, dtlsv1_2" },
  { name = "mode", type = "string", required = true, apply = context.setmode, values = { "client", "server" },
    text = "client or server" },
  { name = "certificates", type = "array", apply = loadall,
    text = "array of tables with certificate, key, password, pkcs12; replaces these four" },
  { name = "key", type = "path|string", of = "certificates",
    text = "the private key: a file with PEM or DER; PEM itself; store:URI" },
  { name = "certificate", type = "path|string", of = "certificates",
    text = "our certificate, then the intermediates to send: a file with PEM (or DER: one); PEM itself; store:URI" },
  { name = "password", type = "string|function", of = "certificates", text = "password of an encrypted key" },
  { name = "pkcs12", type = "table", of = "certificates",
    text = "key, certificate and intermediates in one: a table with file (a path) or data (bytes), and password" },
  { name = "crlfile", type = "path", text = "file with revocation lists in PEM or one in DER; turns crl_check on",
    apply = simple(context.crls) },
  { name = "crldata", type = "string", text = "revocation lists in PEM; turns crl_check on",
    apply = simple(function(ctx, pem) return context.crls(ctx, nil, pem) end) },
  { name = "cafile", type = "path",
    default = "client with verify peer: the system's CAs; else nobody", apply = loadtrust,
    text = "file with trusted CA certificates in PEM; system: the system's" },
  { name = "cadata", type = "string", of = "cafile", text = "trusted CA certificates in PEM" },
  { name = "capath", type = "path", of = "cafile", text = "directory with trusted CA certificates, named by hash" },
  { name = "ciphers", type = "string", default = "OpenSSL's", apply = simple(context.setcipher),
    text = "ciphers of TLS 1.2 and older, OpenSSL's cipher list" },
  { name = "ciphersuites", type = "string",
    default = "OpenSSL's", apply = simple(context.setciphersuites), text = "ciphers of TLS 1.3" },
  { name = "verify", type = "string|array", default = "none", apply = names(context.setverify),
    values = { "none", "peer", "client_once", "fail_if_no_peer_cert" },
    text = "none, peer, client_once, fail_if_no_peer_cert" },
  { name = "options", type = "string|array",
    default = "none; a server refuses renegotiation", openssl = "3.0; what is newer is refused by name",
    apply = names(context.setoptions), values = config.options,
    text = "OpenSSL's SSL_OP_ options in lower case, as in ssl.config.options" },
  { name = "depth", type = "number", default = "100", apply = simple(context.setdepth),
    text = "most intermediate certificates in a peer's chain" },
  { name = "dhparam", type = "function",
    default = "no finite-field Diffie-Hellman",
    text = "function(is_export, bits) returning Diffie-Hellman parameters in PEM",
    apply = function(ctx, value)
      if not value then return true end
      if type(value) ~= "function" then return refuse("invalid DH parameter type") end
      context.setdhparam(ctx, value)
      return true
    end },
  { name = "curveslist", type = "string", values = config.groups,
    text = "groups for the key exchange, in order, with colons",
    apply = function(ctx, value, cfg)
      if value then return context.setcurveslist(ctx, value) end
      if cfg.curve then return context.setcurve(ctx, cfg.curve) end
      return true
    end },
  { name = "curve", type = "string", of = "curveslist", text = "the one group for the key exchange" },
  { name = "verifyext", type = "string|array", text = "lsec_continue, lsec_ignore_purpose, crl_check, crl_check_chain",
    values = { "lsec_continue", "lsec_ignore_purpose", "crl_check", "crl_check_chain" },
    apply = names(function(ctx, ...)
      if select("#", ...) == 0 then return true end
      return ctx:setverifyext(...)
    end) },
  { name = "alpn", type = "string|array|function",
    text = "client: protocols to offer; server: protocols in order of preference, or function(offered) returning them",
    apply = function(ctx, value, cfg)
      if not value then return true end
      if cfg.mode == "server" then return serveralpn(ctx, value) end
      return clientalpn(ctx, value)
    end },
  { name = "alpnstrict", type = "boolean", default = "false", text = "a handshake without a protocol in common fails",
    apply = function(ctx, value)
      if value == nil then return true end
      return context.setalpnstrict(ctx, value)
    end },
  { name = "psk", type = "function|table",
    text = "client: function(hint, maxidentity, maxkey) returning identity and key; " ..
      "server: function(identity, maxkey) returning the key, or a table with hint and callback; " ..
      "both: a table with identity and key, without which no certificate counts unless verify asks for one",
    apply = function(ctx, value, cfg)
      if not value then return true end
      if type(value) == "table" and (value.identity or value.key) then return fixedpsk(ctx, value) end
      if cfg.mode == "server" then return serverpsk(ctx, value) end
      return clientpsk(ctx, value)
    end },
  { name = "dane", type = "boolean|array", text = "lets connections use setdane; array of flags: no_ee_namechecks",
    apply = function(ctx, value)
      if type(value) == "table" then
        context.setdane(ctx, unpack(value))
      elseif value then
        context.setdane(ctx)
      end
      return true
    end },
  { name = "groups", type = "string|array",
    default = "OpenSSL's", openssl = "3.0; 3.5 for ML-KEM",
    apply = list("groups", context.setgroups), values = config.groups,
    text = "key exchange groups in order of preference: array, or names with colons" },
  { name = "sigalgs", type = "string|array",
    default = "OpenSSL's", apply = list("sigalgs", context.setsigalgs), values = config.sigalgs,
    text = "signature algorithms in order of preference: array, or names with colons" },
  { name = "readahead", type = "boolean", default = "true",
    text = "false: never take more from the socket than the record at hand, for going on without TLS afterwards",
    apply = function(ctx, value)
      if value == nil then return true end
      return context.setreadahead(ctx, value)
    end },
  { name = "maxreceive", type = "number",
    default = "no limit", check = check.whole, apply = simple(context.setmaxreceive),
    text = "most bytes that one receive of a line or of everything may gather" },
  { name = "servername", type = "string", apply = setservername,
    text = "client: the name sent as SNI and, with verify peer, checked in the certificate" },
  { name = "keypairs", type = "array",
    text = "server: array of tables with certificate, key, password, pkcs12, ocsp; chosen by the client's name",
    apply = function(ctx, value, cfg) return servernames.keypairs(ctx, value, cfg, loadcredentials) end },
  { name = "sni", type = "table|function", apply = servernames.sni,
    text = "server: contexts by name (a.test, *.b.test), or function(name, connection) returning one" },
  { name = "snistrict", type = "boolean", default = "false", of = "sni",
    text = "server: names that neither sni nor keypairs know, and clients without a name, are refused" },
  { name = "ocsp", type = "string|array|function", apply = stapling.apply,
    text = "client: request or require an OCSP response of the server; server: the responses in DER to staple, or " ..
      "function(conn, certificate) returning one" },
  { name = "sessions", type = "boolean|number|table",
    default = "client: none, but true in ssl.connect and ssl.https; server: tickets", apply = sessions.apply,
    text = "client: true, or how many sessions to keep for resuming them; server: a table with id, timeout, " ..
      "tickets, and the functions get, set, remove of a store" },
  { name = "ticketkeys", type = "array", default = "made at random for each context", apply = sessions.ticketkeys,
    text = "server: the keys of its session tickets, tables with name (16 bytes), aes and hmac (32 bytes); " ..
      "the first encrypts" },
  { name = "keylog", type = "path|function|boolean", apply = setkeylog,
    text = "logs the secrets for decrypting captures: a file to append to; function(line); true: $SSLKEYLOGFILE" },
  { name = "strict", type = "boolean",
    default = "false", text = "refuse every key that is no setting, not only near misses" },
  { name = "verifyname", type = "string|false", default = "servername", of = "servername",
    text = "client: the name checked instead of servername; false: none" },
}

-- These two have no default. LuaSec raises too, with these argument numbers.
local function demand(number, name, value)
  if type(value) == "string" or type(value) == "number" then return value end
  error(("bad argument #%d to 'newcontext' (setting %s: string expected, got %s)"):format(number, name, type(value)), 3)
end

--- Makes a context and applies every row to it.
-- @tparam table cfg settings
-- @treturn[1] userdata the context
-- @treturn[2] nil
-- @treturn[2] string what is wrong
-- @treturn[2] table detail
-- @raise protocol or mode missing, one of LuaSec's settings of the wrong type
function M.newcontext(cfg)
  local ok, message, detail = check.settings(M.rows, cfg)
  if not ok then return nil, message, detail end
  local ctx
  ctx, message, detail = context.create(demand(1, "protocol", cfg.protocol))
  if not ctx then return nil, message, check.advise(M.rows[1], detail) end
  demand(2, "mode", cfg.mode)
  for _, row in ipairs(M.rows) do
    if row.apply then
      ok, message, detail = row.apply(ctx, cfg[row.name], cfg)
      if not ok then return nil, message, check.advise(row, detail) end
    end
  end
  return ctx
end

-- LuaSec's packages have a module of this name that only lists option names; programs that ask it still find them.
M.options = config.options

return M
