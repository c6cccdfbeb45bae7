-- What the fuzzer does with everything else that is read from bytes: sessions, keys with and without a password,
-- revocation lists, Diffie-Hellman parameters, PKCS#12, OCSP responses. The first byte says what the rest is: DER,
-- put into PEM where the library takes that alone, or text. Whatever it is, it is loaded or refused with a
-- message; what was loaded is used.

local mime = require "mime"
local ssl = require "ssl"
local core = require "ssl.core"
local der = require "der"
local kit = require "fuzzkit"
local tlv = require "fuzztlv"

local PASSWORD = "password" -- of the encrypted keys in the test PKI
local psk = { identity = "me", key = ("k"):rep(32) }
local certificate, key = assert(ssl.selfsigned { key = "ec", names = { "localhost" } })
local leaf = assert(ssl.loadcertificate(certificate))

local function pem(bytes, label) return bytes:byte() == 0x30 and der.pem(bytes, label) or bytes end

local function try(name, cfg) return kit.shaped(name, ssl.newcontext(cfg)) end

-- One flight each way, twice: what was set is used; whether the handshake ends does not matter.
local function shake(client, server)
  for _ = 1, 2 do
    kit.shaped("dohandshake", client:dohandshake())
    server:feed(client)
    kit.shaped("dohandshake", server:dohandshake())
    client:feed(server)
  end
end

local function clientcfg(more)
  local cfg = { mode = "client", protocol = "any", verify = "none" }
  for k, v in pairs(more or {}) do cfg[k] = v end
  return cfg
end

local function servercfg(more)
  local cfg = { mode = "server", protocol = "any", certificate = certificate, key = key }
  for k, v in pairs(more or {}) do cfg[k] = v end
  return cfg
end

-- With the system's CAs, which otherwise each client that verifies and names none would read again.
local anyclient = assert(ssl.newcontext(clientcfg { cafile = "system" }))
local anyserver = assert(ssl.newcontext(servercfg()))

-- ---- what keeps a run short: OpenSSL does as many rounds, and calculates with as large numbers, as a file says

local function costly(nodes)
  for _, node in ipairs(nodes) do
    if node.children then
      if costly(node.children) then return true end
    elseif node.tag == 2 and #node.content > 2 and #node.content < 9 and node.content:byte() < 128 then
      local n = 0
      for i = 1, #node.content do n = n * 256 + node.content:byte(i) end
      if n > 20000 then return true end
    elseif node.tag == 2 and #node.content > 520 then
      return true
    end
  end
end

-- Bytes that are not DER throughout are left to chance where they would be decrypted.
local function cheap(bytes)
  local body = bytes:match "%-%-%-%-%-BEGIN [%u ]+%-%-%-%-%-\n(.*)%-%-%-%-%-END"
  local nodes = tlv.parse(body and mime.unb64((body:gsub("%s", ""))) or bytes)
  return nodes and not costly(nodes)
end

-- ---- each kind of material

local kinds = {}

function kinds.session(bytes)
  local session = kit.shaped("loadsession", ssl.loadsession(bytes))
  if not session then return end
  local text = assert(session:export())
  local again = assert(ssl.loadsession(text))
  assert(again:export() == text, "a session does not survive")
  assert(ssl.loadsession((session:pem())):export() == text, "a session in PEM does not survive")
  assert(session:lifetime() >= 0 and tostring(session):find("^SSL"))
  local conn = assert(ssl.engine(anyclient))
  kit.shaped("setsession", conn:setsession(session))
  shake(conn, assert(ssl.engine(anyserver)))
  conn:info()
  conn:getpeerchain()
  assert(type((conn:getpeerverification())) == "boolean")
  conn:close()
end

local labels = { "PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "DSA PRIVATE KEY" }

local function keyof(bytes, label)
  if not cheap(bytes) then return end
  local text = pem(bytes, label)
  for _, password in ipairs { PASSWORD, function() return PASSWORD end, function() return nil end } do
    local ctx = try("key", clientcfg { key = text, password = password })
    if ctx then try("key", clientcfg { key = text, certificate = certificate, password = password }) end
  end
  kit.shaped("decryptkey", core.decryptkey(text, PASSWORD))
end

for i, label in ipairs(labels) do
  kinds["key" .. i] = function(bytes) keyof(bytes, label) end
end

function kinds.crl(bytes)
  local ctx = try("crldata", clientcfg { crldata = pem(bytes, "X509 CRL"), cadata = certificate, verify = "peer" })
  if ctx then shake(assert(ssl.engine(ctx)), assert(ssl.engine(anyserver))) end
end

local dhclient = assert(ssl.newcontext(clientcfg { protocol = "tlsv1_2", ciphers = "DHE:@SECLEVEL=0" }))

function kinds.dhparam(bytes)
  if not cheap(bytes) then return end
  local rsa = kinds.rsa
  local ctx = assert(ssl.newcontext { mode = "server", protocol = "tlsv1_2", ciphers = "DHE:@SECLEVEL=0",
    certificate = rsa[1], key = rsa[2], dhparam = function() return pem(bytes, "DH PARAMETERS") end })
  local client, server = assert(ssl.engine(dhclient)), assert(ssl.engine(ctx))
  shake(client, server)
  server:info()
  client:close()
end

function kinds.pkcs12(bytes)
  if not cheap(bytes) then return end
  for _, password in ipairs { PASSWORD, "", function() return PASSWORD end } do
    local ctx = try("pkcs12", servercfg { certificate = false, key = false,
      pkcs12 = { data = bytes, password = password } })
    if ctx then shake(assert(ssl.engine(anyclient)), assert(ssl.engine(ctx))) end
  end
end

function kinds.ocsp(bytes)
  local facts, message, detail = leaf:ocspcheck(leaf, bytes)
  if facts == nil then kit.failure("ocspcheck", message, detail) end
  assert(not (type(facts) == "table" and facts.verified) , "a response that nobody signed is believed")
  kit.shaped("setocsp", anyserver:setocsp(bytes))
  local server = assert(ssl.newcontext(servercfg { ocsp = function() return bytes end }))
  for _, demand in ipairs { "request", "require" } do
    local client = assert(ssl.newcontext(clientcfg { ocsp = demand }))
    local c = assert(ssl.engine(client))
    shake(c, assert(ssl.engine(server)))
    local got = c:getocsp()
    assert(got == nil or type(got) == "table" and type(got.response) == "string")
    assert(demand == "request" or not c:getpeerverification(), "nobody signed the response")
    c:close()
  end
  anyserver:setocsp(nil)
end

function kinds.tlsa(bytes)
  local conn = assert(ssl.engine(assert(ssl.newcontext(clientcfg { dane = true, verify = "peer" }))))
  if not conn:setdane("localhost") then return end
  local ok = conn:settlsa(bytes:byte() or 0, bytes:byte(2) or 0, bytes:byte(3) or 0, bytes:sub(4))
  assert(type(ok) == "boolean")
  shake(conn, assert(ssl.engine(anyserver)))
end

local order = { "session", "key1", "key2", "key3", "key4", "key5", "crl", "dhparam", "pkcs12", "ocsp", "tlsa" }
kinds.rsa = { ssl.selfsigned { key = "rsa" } }

-- ---- the target

local function run(bytes)
  local kind = order[(bytes:byte() or 0) % #order + 1]
  kinds[kind](bytes:sub(2))
end

local function mutate(bytes, max, seed, native)
  local random = kit.random(seed)
  if #bytes < 2 or random(16) == 1 then return native(bytes, max) end
  return bytes:sub(1, 1) .. tlv.mutate(bytes:sub(2), max - 1, random, native)
end

local function index(name)
  for i, kind in ipairs(order) do
    if kind == name then return string.char(i - 1) end
  end
end

local function session(version)
  local cfg = { psk = psk, protocol = version, verify = "none" }
  if version == "tlsv1_2" then cfg.psk = nil end
  local client = assert(ssl.engine(assert(ssl.newcontext(clientcfg(cfg)))))
  local server = assert(ssl.engine(assert(ssl.newcontext(servercfg(cfg)))))
  shake(client, server)
  shake(client, server)
  client:receive(0)
  local got = client:getsession()
  return got and got:export()
end

local function seeds()
  local list = { index "tlsa" .. "\3\1\1" .. ("d"):rep(32), index "ocsp" .. der.seq(der.tlv(10, "\6")) }
  for _, version in ipairs { "tlsv1_2", "tlsv1_3", "any" } do
    local bytes = session(version)
    if bytes then list[#list + 1] = index "session" .. bytes end
  end
  local found = { ["PRIVATE KEY"] = "key1", ["ENCRYPTED PRIVATE KEY"] = "key2", ["RSA PRIVATE KEY"] = "key3",
    ["EC PRIVATE KEY"] = "key4", ["X509 CRL"] = "crl", ["DH PARAMETERS"] = "dhparam" }
  for _, file in ipairs(kit.files ".pem") do
    local label, body = file.bytes:match("%-%-%-%-%-BEGIN ([%u%d ]+)%-%-%-%-%-\n(.-)%-%-%-%-%-END")
    if found[label] and #body < 5000 then
      if body:find(":", 1, true) then list[#list + 1] = index(found[label]) .. file.bytes
      else list[#list + 1] = index(found[label]) .. mime.unb64((body:gsub("%s", ""))) end
    end
  end
  for _, file in ipairs(kit.files ".p12") do
    if #file.bytes < 5000 then list[#list + 1] = index "pkcs12" .. file.bytes end
  end
  return list
end

return kit.target { run = run, mutate = mutate, seeds = seeds }
