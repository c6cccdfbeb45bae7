-- The certificate farm: servers' chains that a client must accept or refuse, beyond those of certs/make.sh, made in a
-- second by one shell script. All hang under rootA of the test PKI. What is expected of each is in farm_spec.

local S = require "support"
local der = require "der"
local mime = require "mime"

local M = {}

local usage = "keyUsage=critical,digitalSignature,keyEncipherment"
local leafext = { "basicConstraints=critical,CA:FALSE", usage, "extendedKeyUsage=serverAuth" }
local caext = { "basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign" }

local function san(names) return "subjectAltName=" .. names end
local function leaf(by, names, t)
  t = t or {}
  t.by, t.ext = by, t.ext or { leafext[1], leafext[2], leafext[3], san(names) }
  return t
end
local function ca(by, t)
  t = t or {}
  t.by, t.key, t.ext = by, t.key or "ca", t.ext or caext
  for _, ext in ipairs(t.more or {}) do t.ext = { ext, S.unpack(t.ext) } end
  return t
end

--- The subjectAltName of these GeneralNames in DER, of any bytes, as openssl's configuration takes it.
function M.rawsan(...)
  local hex = der.seq(...):gsub(".", function(c) return ("%02x:"):format(c:byte()) end)
  return "subjectAltName=DER:" .. hex:sub(1, -2)
end

-- name, how it is made, what is sent after it. `key`: one of keys below, "leaf" when it does not say; `by`: who signs,
-- "self" or a CA, with the CA's own key; `md`: the hash.
M.list = {
  { "good", leaf("rootA", "DNS:localhost") },
  { "noeku", { by = "rootA", ext = { leafext[1], usage, san "DNS:localhost" } } },
  { "anyeku", { by = "rootA", ext = { leafext[1], usage, "extendedKeyUsage=anyExtendedKeyUsage",
    san "DNS:localhost" } } },
  { "codesigning", { by = "rootA", ext = { leafext[1], usage, "extendedKeyUsage=codeSigning", san "DNS:localhost" } } },
  { "leafca", { by = "rootA", ext = { "basicConstraints=critical,CA:TRUE", "keyUsage=digitalSignature,keyCertSign",
    san "DNS:localhost" } } },
  { "critical", { by = "rootA", ext = { "1.2.3.4.5=critical,DER:05:00", san "DNS:localhost" } } },
  { "uncritical", { by = "rootA", ext = { "1.2.3.4.5=DER:05:00", san "DNS:localhost" } } },
  { "proxy", { by = "rootA", ext = { "proxyCertInfo=critical,language:id-ppl-anyLanguage" } } },
  { "emptysan", { by = "rootA", ext = { "subjectAltName=DER:30:00" } } },
  { "badsan", { by = "rootA", ext = { "subjectAltName=DER:05:00" } } },
  { "broken", leaf("rootA", "DNS:localhost", { broken = true }) }, -- its signature is changed
  { "forged", leaf("impostor", "DNS:localhost") },
  { "md5", leaf("rsaroot", "DNS:localhost", { md = "md5" }), { "rsaroot" } },
  { "rsasha1", leaf("rsaroot", "DNS:localhost", { md = "sha1" }), { "rsaroot" } },
  { "rsapss", leaf("rootA", "DNS:localhost", { key = "pss" }) },

  -- names
  { "othercn", leaf("rootA", "DNS:other.test", { subject = "/CN=localhost" }) },
  { "emailsan", leaf("rootA", "email:root@localhost", { subject = "/CN=localhost" }) },
  { "urisan", leaf("rootA", "URI:https://localhost/", { subject = "/CN=localhost" }) },
  { "idn", leaf("rootA", "DNS:xn--bcher-kva.test,DNS:*.xn--bcher-kva.test") },
  { "ulabel", { by = "rootA", ext = { M.rawsan(der.general(2, "b\195\188cher.test")) } } },
  { "dotted", leaf("rootA", "DNS:localhost.,DNS:.local.test") },
  { "under", leaf("rootA", "DNS:_a.under.test,DNS:a_b.under.test,DNS:*.wild.under.test") },
  { "toplevel", leaf("rootA", "DNS:*.test,DNS:*,DNS:*.") },
  { "oddwild", leaf("rootA", "DNS:a*.one.test,DNS:*b.one.test,DNS:a*b.one.test,DNS:*.*.two.test,DNS:a.*.two.test," ..
    "DNS:xn--*.three.test,DNS:**.four.test,DNS:*.") },
  { "ips", leaf("rootA", "IP:127.0.0.1,IP:::1,IP:10.1.2.3,IP:2001:db8::a,IP:::ffff:192.0.2.7") },
  { "ipwild", leaf("rootA", "DNS:*.0.0.1,DNS:127.0.0.*,DNS:127.0.0.1,DNS:::1") },
  { "case", leaf("rootA", "DNS:MiXed.Case.TEST,DNS:*.WILD.case.test") },
  { "huge", leaf("rootA", "DNS:localhost" .. (",DNS:host.x.test"):rep(9999)) },

  -- chains
  { "badca", leaf("notca", "DNS:localhost"), { "notca" } },
  { "nobasicca", leaf("nobasic", "DNS:localhost"), { "nobasic" } },
  { "v1ca", leaf("v1", "DNS:localhost"), { "v1" } },
  { "nosignca", leaf("nosign", "DNS:localhost"), { "nosign" } },
  { "clientca", leaf("clientonly", "DNS:localhost"), { "clientonly" } },
  { "pathlen", leaf("sub", "DNS:localhost"), { "sub", "len0" } },
  { "pathlenok", leaf("len0", "DNS:localhost"), { "len0" } },
  { "weakca", leaf("weak", "DNS:localhost"), { "weak" } },
  { "permitted", leaf("named", "DNS:www.inside.test,DNS:inside.test"), { "named" } },
  { "notpermitted", leaf("named", "DNS:localhost"), { "named" } },
  { "mixedpermitted", leaf("named", "DNS:www.inside.test,DNS:localhost"), { "named" } },
  { "excluded", leaf("named", "DNS:www.secret.inside.test"), { "named" } },
  { "constrainedcn", leaf("named", "DNS:www.inside.test", { subject = "/CN=localhost" }), { "named" } },
  { "cnonly", { by = "named", subject = "/CN=localhost", ext = leafext }, { "named" } },
  { "ippermitted", leaf("named", "IP:10.1.2.3"), { "named" } },
  { "ipnotpermitted", leaf("named", "IP:127.0.0.1"), { "named" } },
  { "long", leaf("step12", "DNS:localhost"), { "step12", "step11", "step10", "step9", "step8", "step7", "step6",
    "step5", "step4", "step3", "step2", "step1" } },
  { "crossfirst", leaf("crossA", "DNS:localhost"), { "crossA", "crossB" } },
  { "crosslast", leaf("crossA", "DNS:localhost"), { "crossB", "crossA" } },
  { "oldroot", leaf("rootA", "DNS:localhost"), { "rootAbyB", "rootB" } },
  { "strangers", leaf("len0", "DNS:localhost"), { "rootB", "serverB", "rootA", "len0", "clientA" } },
  { "loop", leaf("loopA", "DNS:localhost"), { "loopA", "loopB", "loopA" } },
}

-- The CAs, in the order in which they are made; those of the test PKI need not be.
M.cas = {
  { "impostor", ca("self", { subject = "/C=XX/O=Test/CN=rootA" }) },
  { "rsaroot", ca("rootA", { key = "rsaca" }) },
  { "notca", ca("rootA", { ext = { leafext[1], "keyUsage=critical,keyCertSign,digitalSignature" } }) },
  { "nobasic", ca("rootA", { ext = { "keyUsage=critical,keyCertSign,cRLSign" } }) },
  { "v1", ca("rootA", { ext = {} }) },
  { "nosign", ca("rootA", { ext = { caext[1], "keyUsage=critical,digitalSignature" } }) },
  { "clientonly", ca("rootA", { more = { "extendedKeyUsage=clientAuth" } }) },
  { "len0", ca("rootA", { ext = { "basicConstraints=critical,CA:TRUE,pathlen:0", caext[2] } }) },
  { "sub", ca("len0", { key = "subca" }) },
  { "weak", ca("rootA", { key = "rsa1024" }) },
  { "named", ca("rootA", { more = { "nameConstraints=critical,permitted;DNS:inside.test," ..
    "excluded;DNS:secret.inside.test,permitted;IP:10.0.0.0/255.0.0.0" } }) },
  { "crossA", ca("rootA", { subject = "/CN=cross" }) },
  { "crossB", ca("rootB", { subject = "/CN=cross" }) },
  { "rootAbyB", ca("rootB", { subject = "/C=XX/O=Test/CN=rootA", key = "rootA" }) },
  { "loopB", ca("rootB", { subject = "/CN=loop B", key = "subca" }) },
  { "loopA", ca("loopB", { subject = "/CN=loop A" }) },
  { "loopB", ca("loopA", { subject = "/CN=loop B", key = "subca" }) },
}
for i = 1, 12 do
  local above = i == 1 and "rootA" or "step" .. i - 1
  M.cas[#M.cas + 1] = { "step" .. i, ca(above, { key = i % 2 == 0 and "ca" or "subca" }) }
end

local pki = { rootA = true, rootB = true, serverB = true, clientA = true }

local ec = "EC -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:named_curve"
local keys = {
  leaf = ec, ca = ec, subca = ec,
  rsaca = "RSA -pkeyopt rsa_keygen_bits:2048", rsa1024 = "RSA -pkeyopt rsa_keygen_bits:1024",
  pss = "RSA-PSS -pkeyopt rsa_keygen_bits:2048",
}

local function certificatepath(dir, name) return (pki[name] and S.certdir or dir) .. "/" .. name .. ".pem" end
local function keypath(dir, name) return (pki[name] and S.certdir or dir) .. "/" .. name .. "key.pem" end

local function keyof(name)
  for _, row in ipairs(M.cas) do
    if row[1] == name then return row[2].key end
  end
  return name
end

-- The command that makes one certificate; few programs take a long list of names as an argument, so all is in a file.
local function command(dir, name, t)
  local config = { "[req]\ndistinguished_name=none\nprompt=no\n[none]\n" }
  if t.ext[1] then
    config[2] = "[ext]\n"
    for _, ext in ipairs(t.ext) do config[#config + 1] = ext .. "\n" end
  end
  local file = assert(io.open(dir .. "/" .. name .. ".conf", "wb"))
  assert(file:write(table.concat(config)))
  file:close()
  local words = { "openssl req -x509 -new -batch -days 30 -config", dir .. "/" .. name .. ".conf",
    t.ext[1] and "-extensions ext" or "", "-key", keypath(dir, t.key or "leaf"),
    "-subj '" .. (t.subject or "/CN=" .. name) .. "'", "-" .. (t.md or "sha256"), "-out", certificatepath(dir, name) }
  if t.by ~= "self" then
    words[#words + 1] = "-CA " .. certificatepath(dir, t.by) .. " -CAkey " .. keypath(dir, keyof(t.by))
  end
  return table.concat(words, " ")
end

-- The last byte of a certificate is its signature's.
local function breaksignature(path)
  local bytes = mime.unb64((S.read(path):gsub("%-%-%-%-%-[^\n]*\n", "")))
  local last = bytes:byte(-1)
  local f = assert(io.open(path, "wb"))
  f:write(der.pem(bytes:sub(1, -2) .. string.char(last == 0 and 1 or last - 1)))
  f:close()
end

-- Adds the commands that make these, and the keys that are not made yet.
local function addcommands(lines, dir, list, have)
  for _, row in ipairs(list) do
    local name = row[2].key or "leaf"
    if keys[name] and not have[name] then
      have[name] = true
      lines[#lines + 1] = "openssl genpkey -quiet -algorithm " .. keys[name] .. " -out " .. keypath(dir, name)
    end
    lines[#lines + 1] = command(dir, row[1], row[2])
  end
end

--- Makes CAs and then certificates in a new folder, each with its chain in NAME-chain.pem and its key in KEYkey.pem.
-- Returns the folder's path; whoever calls it removes it by M.remove.
function M.make(list, cas)
  local dir = os.tmpname()
  os.remove(dir)
  assert(os.execute("mkdir " .. dir))
  local lines, have = { "set -eu" }, {}
  addcommands(lines, dir, cas, have)
  addcommands(lines, dir, list, have)
  for _, row in ipairs(list) do
    local chain = { "cat " .. certificatepath(dir, row[1]) }
    for _, name in ipairs(row[3] or {}) do chain[#chain + 1] = certificatepath(dir, name) end
    lines[#lines + 1] = table.concat(chain, " ") .. " >" .. dir .. "/" .. row[1] .. "-chain.pem"
  end
  local script = S.tmpfile(table.concat(lines, "\n") .. "\n")
  local p = assert(io.popen("sh " .. script .. " 2>&1 && echo made"))
  local out = p:read("*a")
  p:close()
  os.remove(script)
  if not out:find("made\n$") then error("the farm was not made: " .. out) end
  for _, row in ipairs(list) do
    if row[2].broken then breaksignature(dir .. "/" .. row[1] .. "-chain.pem") end
  end
  return dir
end

--- Removes what M.make made.
function M.remove(dir) os.execute("rm -r " .. dir) end

return M
