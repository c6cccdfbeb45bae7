--- Configurations of the libtls facade, for programs written for lua-libtls. What is set here is read when it is given,
-- as far as libtls does, and made into a context of this library by libtls.settings.
-- @module libtls.config

local args = require "libtls.args"
local context = require "ssl.context"
local core = require "ssl.core"
local x509 = require "ssl.x509"

local M = {}

local SESSION_ID = 32
local TICKET_KEY = 48
local AES_KEY = 32
local TICKET_KEYS = 4
local LEAST_LIFETIME, MOST_LIFETIME = 4, 86400
local STANDARD_CURVES = "X25519:P-256:P-384"

local versions = { ["tlsv1.0"] = 2, ["tlsv1.1"] = 4, ["tlsv1.2"] = 8, ["tlsv1.3"] = 16 }
local ALL, STANDARD = 30, 24
local keywords = { tlsv1 = ALL, all = ALL, legacy = ALL, default = STANDARD, secure = STANDARD }

local secure = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:!aDSS"
local ciphers = { default = secure, secure = secure, compat = "HIGH:!aNULL", legacy = "HIGH:MEDIUM:!aNULL",
  all = "ALL:!aNULL:!eNULL", insecure = "ALL:!aNULL:!eNULL" }

-- Handle -> its state.
local known = setmetatable({}, { __mode = "k" })

local Config = {}

--- The state of a handle that is an argument.
-- @tparam string name of the function
-- @tparam number position
-- @param handle
-- @treturn table
-- @raise it is none
function M.check(name, position, handle) return (args.handle(name, position, "libtls.config", known, handle)) end

-- ---- protocols; sets of them are sums, as Lua 5.1 has no bits

local function has(set, bit) return math.floor(set / bit) % 2 == 1 end

-- set with the bits of other switched on, or off.
local function switch(set, other, on)
  local sum = 0
  for _, bit in pairs(versions) do
    local value = has(set, bit)
    if has(other, bit) then value = on end
    if value then sum = sum + bit end
  end
  return sum
end

--- libtls.config.parse_protocols(list: string) -> protocols: integer | -1, message
-- Reads a list of protocol names with commas or colons, tlsv1.0 to tlsv1.3, tlsv1, all, legacy, default, secure; "!" in
-- front of one takes it away. Answers the sum of their constants.
function M.parse_protocols(list)
  list = args.string("parse_protocols", 1, list)
  local set = 0
  for word in (list .. ","):gmatch("([^,:]*)[,:]") do
    local negated, name = word:match("^[ \t]*(!?)(.*)$")
    name = name:lower()
    local bits = versions[name] or keywords[name]
    if not bits then return -1, ("unknown protocol '%s'"):format(name) end
    if negated == "!" and set == 0 then set = ALL end
    set = switch(set, bits, negated == "")
  end
  return set
end

-- ---- files

-- io.open puts the path in front of the system's words.
local function strip(message, path)
  if message:sub(1, #path + 2) == path .. ": " then return message:sub(#path + 3) end
  return message
end

-- All bytes of a file; nil, "open" or "read", the system's words.
local function slurp(path)
  local f, message = io.open(path, "rb")
  if not f then return nil, "open", strip(message, path) end
  local data
  data, message = f:read("*a")
  f:close()
  if not data then return nil, "read", message or "nothing was read" end
  return data
end

local function readfile(what, path)
  local data, verb, why = slurp(path)
  if data then return data end
  return nil, ("failed to %s %s file '%s': %s"):format(verb, what, path, why)
end

--- libtls.config.default_ca_cert_file() -> path: string
-- The file with the certificates of authorities that OpenSSL was built to look at, whether it exists or not.
-- X509_get_default_cert_file(3).
function M.default_ca_cert_file() return (context.defaultlocations()) end

--- libtls.config.load_file(path: string [, password: string]) -> data: string | nil, message
-- Reads a file into a string; with a password the private key in it comes out without encryption, as PKCS#8.
function M.load_file(path, password)
  path = args.string("load_file", 1, path)
  password = args.optstring("load_file", 2, password)
  local data, _, why = slurp(path)
  if not data then return nil, why end
  if not password then return data end
  local key, message = core.decryptkey(data, password)
  if not key then return nil, message end
  return key
end

-- ---- methods

-- Gives configurations a method. What it returns: nothing, or true, or false, message.
local function method(name, f)
  Config[name] = function(handle, ...)
    local self = args.handle(name, 1, "libtls.config", known, handle)
    self.version = self.version + 1
    return f(self, ...)
  end
end

local function setter(name, set)
  method(name, function(self, value) return set(self, args.string(name, 2, value)) end)
end

-- The same for a setting that can come from a file.
local function source(name, what, set)
  setter(name, set)
  method(name .. "_file", function(self, path)
    local data, message = readfile(what, args.string(name .. "_file", 2, path))
    if not data then return false, message end
    return set(self, data)
  end)
end

local function switchmethod(name, changes)
  method(name, function(self)
    for key, value in pairs(changes) do self[key] = value end
  end)
end

--- config:set_alpn(protocols: string) -> true | false, message
-- The protocols to offer or to choose from, with commas.
setter("set_alpn", function(self, list)
  local names, size = {}, 0
  for name in (list .. ","):gmatch("([^,]*),") do
    if name == "" then return false, "alpn protocol with zero length" end
    if #name > 255 then return false, "alpn protocol too long" end
    names[#names + 1] = name
    size = size + #name + 1
  end
  if size > 65535 then return false, "alpn too large" end
  self.alpn = names
  return true
end)

--- config:set_ca(pem: string) -> true | false, message
--- config:set_ca_file(path: string) -> true | false, message
--- config:set_ca_path(directory: string) -> true | false, message
-- Whom to trust: certificates in PEM, a file of them, a directory of hashed names.
source("set_ca", "CA", function(self, pem)
  self.ca = pem
  return true
end)

--- config:set_crl(pem: string) -> true | false, message
--- config:set_crl_file(path: string) -> true | false, message
-- Revocation lists; peers that no list tells of are refused then.
source("set_crl", "CRL", function(self, pem)
  self.crl = pem
  return true
end)

setter("set_ca_path", function(self, path)
  self.capath = path
  return true
end)

-- ---- key pairs

--- The part of a text that is PEM; nil when there is none. What is no PEM must not be taken for a path.
function M.pem(text) return text and text:match("%-%-%-%-%-BEGIN .*") end

local function setcert(pair, pem)
  local text = M.pem(pem)
  local cert, message
  if text then cert, message = x509.load(text) end
  if not cert then return false, "failed to load certificate: " .. (message or "no PEM in it") end
  pair.cert = text
  return true
end

local function setkey(pair, pem)
  pair.key = pem
  return true
end

local function setstaple(pair, der)
  pair.staple = der
  return true
end

--- config:set_cert(pem: string) -> true | false, message
--- config:set_cert_file(path: string) -> true | false, message
--- config:set_key(pem: string) -> true | false, message
--- config:set_key_file(path: string) -> true | false, message
--- config:set_ocsp_staple(der: string) -> true | false, message
--- config:set_ocsp_staple_file(path: string) -> true | false, message
-- Our certificate with its chain, its key, and the OCSP response to staple.
source("set_cert", "certificate", function(self, pem) return setcert(self.pair, pem) end)
source("set_key", "key", function(self, pem) return setkey(self.pair, pem) end)
source("set_ocsp_staple", "ocsp", function(self, der) return setstaple(self.pair, der) end)

local parts = { { "certificate", setcert }, { "key", setkey }, { "ocsp", setstaple } }

-- The three values, or files, of a pair, in their order; the first failure ends it.
local function fill(pair, values, fromfiles)
  for i, part in ipairs(parts) do
    local value, message = values[i], nil
    if value and fromfiles then value, message = readfile(part[1], value) end
    if message then return false, message end
    if value then
      local ok
      ok, message = part[2](pair, value)
      if not ok then return false, message end
    end
  end
  return true
end

local function pairmethod(name, fromfiles, adds)
  method(name, function(self, cert, key, staple)
    local values = { args.string(name, 2, cert), args.string(name, 3, key), args.optstring(name, 4, staple) }
    if not adds then return fill(self.pair, values, fromfiles) end
    local pair = {}
    local ok, message = fill(pair, values, fromfiles)
    if not ok then return false, message end
    self.more[#self.more + 1] = pair
    return true
  end)
end

--- config:set_keypair(cert: string, key: string [, staple: string]) -> true | false, message
--- config:set_keypair_file(cert: string, key: string [, staple: string]) -> true | false, message
--- config:add_keypair(cert: string, key: string [, staple: string]) -> true | false, message
--- config:add_keypair_file(cert: string, key: string [, staple: string]) -> true | false, message
-- Certificate, key and OCSP response at once; add: a further pair, which a server chooses by the name asked for.
pairmethod("set_keypair", false, false)
pairmethod("set_keypair_file", true, false)
pairmethod("add_keypair", false, true)
pairmethod("add_keypair_file", true, true)

--- config:clear_keys() -> nothing
-- Lets go of the private keys.
method("clear_keys", function(self)
  self.pair.key = nil
  for _, pair in ipairs(self.more) do pair.key = nil end
end)

-- ---- algorithms

-- A setting tried on a context that is thrown away: true; or false, and what is wrong.
local function tried(set, value, refusal)
  local scratch, message = context.create("any")
  if not scratch then return false, message end
  if not set(scratch, value) then return false, refusal end
  return true
end

--- config:set_ciphers(list: string) -> true | false, message
-- "secure" (default), "compat", "legacy", "insecure", or a cipher list of OpenSSL's, openssl-ciphers(1).
setter("set_ciphers", function(self, list)
  local meant = ciphers[list:lower()] or list
  local ok, message = tried(context.setcipher, meant, ("no ciphers for '%s'"):format(list))
  if not ok then return false, message end
  self.ciphers = meant
  return true
end)

--- config:set_dheparams(how: "none"|"auto"|"legacy") -> true | false, message
-- Diffie-Hellman parameters of TLS 1.2: none, as strong as the key, 1024 bits.
setter("set_dheparams", function(self, name)
  local how = name:lower()
  if how ~= "none" and how ~= "auto" and how ~= "legacy" then return false, ("invalid dhe param '%s'"):format(name) end
  self.dhe = how
  return true
end)

local function setcurves(self, names)
  for _, name in ipairs(names) do
    local refusal = ("invalid ecdhe curve '%s'"):format(name)
    if name == "" then return false, refusal end
    local ok, message = tried(context.setgroups, name, refusal)
    if not ok then return false, message end
  end
  self.curves = table.concat(names, ":")
  return true
end

--- config:set_ecdhecurve(name: string) -> true | false, message
--- config:set_ecdhecurves(names: string) -> true | false, message
-- The groups of the key exchange, with commas or colons; "default": X25519, P-256, P-384.
setter("set_ecdhecurve", function(self, name)
  local lower = name:lower()
  if lower == "none" or lower == "auto" or lower == "default" then name = STANDARD_CURVES end
  if name == STANDARD_CURVES then
    self.curves = name
    return true
  end
  if name:find("[,:]") then return false, ("invalid ecdhe curve '%s'"):format(name) end
  return setcurves(self, { name })
end)

setter("set_ecdhecurves", function(self, list)
  if list:lower() == "default" then list = STANDARD_CURVES end
  local names = {}
  for name in (list .. ","):gmatch("([^,:]*)[,:]") do names[#names + 1] = name:gsub("^[ \t]+", "") end
  return setcurves(self, names)
end)

--- config:set_protocols(...: integer) -> true
-- The versions to speak: libtls.TLS_v12 and the like, or what parse_protocols answers.
method("set_protocols", function(self, ...)
  local set = 0
  for i = 1, select("#", ...) do
    set = switch(set, args.integer("set_protocols", i + 1, (select(i, ...))), true)
  end
  self.protocols = set
  return true
end)

-- ---- verification

--- config:set_verify_depth(depth: integer) -> true | false, message
-- The most intermediate certificates in a chain, 6.
method("set_verify_depth", function(self, depth)
  depth = args.integer("set_verify_depth", 2, depth)
  if depth > 2147483647 then return false, "verify depth too large" end
  if depth >= 0 then self.depth = depth end
  return true
end)

--- config:insecure_noverifycert() -> nothing
--- config:insecure_noverifyname() -> nothing
--- config:insecure_noverifytime() -> nothing
--- config:verify() -> nothing
--- config:verify_client() -> nothing
--- config:verify_client_optional() -> nothing
--- config:prefer_ciphers_client() -> nothing
--- config:prefer_ciphers_server() -> nothing
--- config:ocsp_require_stapling() -> nothing
-- Switches: what is not verified; all of it again; that a server asks clients for certificates; whose order of ciphers
-- counts; that a client demands a stapled OCSP response.
switchmethod("insecure_noverifycert", { verifycert = false })
switchmethod("insecure_noverifyname", { verifyname = false })
switchmethod("insecure_noverifytime", { verifytime = false })
switchmethod("verify", { verifycert = true, verifyname = true, verifytime = true })
switchmethod("verify_client", { verifyclient = "required" })
switchmethod("verify_client_optional", { verifyclient = "optional" })
switchmethod("prefer_ciphers_client", { serverciphers = false })
switchmethod("prefer_ciphers_server", { serverciphers = true })
switchmethod("ocsp_require_stapling", { requirestaple = true })

-- ---- sessions

--- config:set_session_id(id: string) -> true | false, message
-- Up to 32 bytes that servers which resume each other's sessions have in common.
setter("set_session_id", function(self, id)
  if #id > SESSION_ID then return false, "session ID too large" end
  self.sessionid = id .. ("\0"):rep(SESSION_ID - #id)
  return true
end)

--- config:set_session_lifetime(seconds: integer) -> true | false, message
-- How long a server's tickets count, up to a day; 0, the default: no tickets.
method("set_session_lifetime", function(self, seconds)
  seconds = args.integer("set_session_lifetime", 2, seconds)
  if seconds > MOST_LIFETIME then return false, "session lifetime too large" end
  if seconds ~= 0 and seconds < LEAST_LIFETIME then return false, "session lifetime too small" end
  self.lifetime = seconds
  return true
end)

-- Why a file must not hold sessions; nil when it may.
local function unfit(fd)
  local status, message = core.filestatus(fd)
  if not status then return "failed to stat session file: " .. message end
  if not status.regular then return "session file is not a regular file" end
  if not status.mine then
    return ("session file has incorrect owner (uid %.0f != %.0f)"):format(status.uid, status.me)
  end
  if status.mode % 512 ~= 384 then -- 0600
    return ("session file has incorrect permissions (%o != 600)"):format(status.mode % 512)
  end
end

--- config:set_session_fd(fd: integer) -> true | false, message
-- A regular file with mode 0600 that keeps a client's session; -1: none.
method("set_session_fd", function(self, fd)
  fd = args.integer("set_session_fd", 2, fd)
  if fd == -1 then
    self.sessionfd = nil
    return true
  end
  if fd < 0 or fd > 2147483647 then return false, "failed to stat session file: Bad file descriptor" end
  local why = unfit(fd)
  if why then return false, why end
  self.sessionfd = fd
  return true
end)

-- ---- ticket keys: the newest first

-- A revision's name in a ticket: 32 bits, big end first.
local function ticketname(revision)
  local bytes = {}
  for i = 4, 1, -1 do
    bytes[i] = string.char(revision % 256)
    revision = math.floor(revision / 256)
  end
  return table.concat(bytes) .. ("\0"):rep(12)
end

local function push(self, revision, key)
  table.insert(self.tickets, 1, { name = ticketname(revision), key = key, revision = revision, since = os.time() })
  self.tickets[TICKET_KEYS + 1] = nil
  self.ticketversion = self.ticketversion + 1
end

--- config:add_ticket_key(revision: integer, key: string) -> true | false, message
-- A key of 48 bytes for session tickets, by which new ones are encrypted from now on.
method("add_ticket_key", function(self, revision, key)
  revision = args.integer("add_ticket_key", 2, revision) % 2 ^ 32
  key = args.string("add_ticket_key", 3, key)
  if #key ~= TICKET_KEY then return false, "wrong amount of ticket key data" end
  for i, held in ipairs(self.tickets) do
    if held.name == ticketname(revision) then
      if i == 1 and held.key == key then return true end
      return false, "ticket key already present"
    end
  end
  push(self, revision, key)
  self.autorekey = false
  return true
end)

-- Of a HMAC key shorter than its hash's block the missing bytes are zero: RFC 2104 section 2.
local function described(key)
  return { name = key.name, aes = key.key:sub(1, AES_KEY), hmac = key.key:sub(AES_KEY + 1) .. ("\0"):rep(16) }
end

--- The ticket keys that count now, for ctx:setticketkeys: none but the newest is older than a session may be. Makes a
-- new one in time, unless the program brings its own.
-- @tparam table self state of a configuration
-- @treturn[1] table
-- @treturn[2] nil
-- @treturn[2] string what is wrong
function M.ticketkeys(self)
  local now, newest = os.time(), self.tickets[1]
  if self.autorekey and (not newest or now >= newest.since + self.lifetime * 3 / 4) then
    local key, message = core.random(TICKET_KEY)
    if not key then return nil, message end
    push(self, newest and (newest.revision + 1) % 2 ^ 32 or 1, key)
  end
  local list = {}
  for i, key in ipairs(self.tickets) do
    if i == 1 or now < key.since + self.lifetime then list[#list + 1] = described(key) end
  end
  return list
end

-- ----

local meta = args.metatable("libtls.config", Config, known)

--- libtls.config.new() -> config: libtls.Config | nil, message
-- Makes a configuration: certificate, name and time are verified; TLS 1.2 and 1.3.
function M.new()
  local id, message = core.random(SESSION_ID)
  if not id then return nil, message end
  local handle = core.handle(meta)
  known[handle] = {
    version = 0, pair = {}, more = {}, depth = 6, protocols = STANDARD, ciphers = secure, curves = STANDARD_CURVES,
    dhe = "none", verifycert = true, verifyname = true, verifytime = true, serverciphers = true,
    sessionid = id, lifetime = 0, tickets = {}, ticketversion = 0, autorekey = true,
  }
  return handle
end

M.has = has

return M
