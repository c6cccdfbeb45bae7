-- What the fuzzer does with a certificate: DER (what begins with a SEQUENCE) or PEM text is loaded, every method
-- is called twice in both encodings and must answer the same, names must be the bytes that stand in the DER, PEM
-- must load again as the same certificate; and a closed one must refuse all of it.

local mime = require "mime"
local ssl = require "ssl"
local der = require "der"
local kit = require "fuzzkit"
local tlv = require "fuzztlv"

local unpack = table.unpack or unpack -- luacheck: ignore 143

local issuer = assert(ssl.loadcertificate((assert(ssl.selfsigned { key = "ec", names = { "ca.test" } }))))

-- ---- what each method may answer

local function text(v) return type(v) == "string" end
local function number(v) return type(v) == "number" and v == v end
local function boolean(v) return type(v) == "boolean" end
local function optional(f) return function(v) return v == nil or f(v) end end

local function isname(list)
  for i, entry in ipairs(list) do
    local fits = optional(text)
    assert(fits(entry.oid) and fits(entry.name) and fits(entry.value), "entry " .. i)
  end
  return true
end

local function isalternatives(t)
  for oid, extension in pairs(t) do
    assert(text(oid) and type(extension) == "table" and optional(text)(extension.name))
    for kind, list in pairs(extension) do
      if kind ~= "name" then
        assert(text(kind) and type(list) == "table", "kind of name")
        for i, value in pairs(list) do assert((number(i) or i == "name") and text(value), kind) end
      end
    end
  end
  return true
end

local function isdate(v) return text(v) and (v == "Bad time value" or v:find("%d%d:%d%d")) ~= nil end

local function iskey(pem, kind, bits)
  return pem == nil or text(pem) and pem:find("^%-%-%-%-%-BEGIN PUBLIC KEY") and text(kind) and number(bits)
end

-- name -> what must hold of the answer, and the arguments
local methods = {
  subject = { isname }, issuer = { isname }, extensions = { isalternatives },
  serial = { function(v) return v:find("^%-?%x+$") end }, notbefore = { isdate }, notafter = { isdate },
  notbeforetime = { optional(number) }, notaftertime = { optional(number) }, validat = { boolean, 1800000000 },
  digest = { function(v) return #v == 64 end, "sha256" }, pem = { text }, der = { text }, pubkey = { iskey },
  getsignaturename = { text }, ocspurl = { optional(text) }, checkhost = { boolean, "localhost" },
  checkip = { boolean, "127.0.0.1" }, checkemail = { boolean, "a@b.test" }, oneline = { text },
  issued = { optional(boolean), issuer }, ocsprequest = { optional(text), issuer }, setencode = { boolean, "utf8" },
  ocspcheck = { function(v) return v == nil or type(v) == "table" end, issuer, "\48\3\10\1\0" },
}

-- ---- oracles

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b or (a ~= a and b ~= b) end
  for k, v in pairs(a) do
    if not same(v, b[k]) then return false end
  end
  for k in pairs(b) do
    if a[k] == nil then return false end
  end
  return true
end

local function ask(cert, name)
  local row = methods[name]
  local first = { cert[name](cert, unpack(row, 2)) }
  local second = { cert[name](cert, unpack(row, 2)) }
  assert(row[1](unpack(first, 1, 3)), name .. ": " .. tostring(first[1]))
  if first[1] == nil and first[2] ~= nil then kit.failure(name, first[2], first[3]) end
  for i = 1, 2 do
    if not same(first[i], second[i]) then error(name .. " answers two things") end
  end
end

-- The string types whose bytes ASN1_STRING holds as they are.
local plain = { [12] = true, [18] = true, [19] = true, [20] = true, [22] = true, [26] = true, [27] = true,
  [28] = true, [30] = true }

-- The values of a Name's attributes, in order; nil when some are of other types.
local function values(name)
  local list = {}
  if name.tag ~= 0x30 then return nil end
  for _, set in ipairs(name.children or {}) do
    if set.tag ~= 0x31 then return nil end -- OpenSSL takes a set that is marked primitive
    for _, attribute in ipairs(set.children or {}) do
      local value = attribute.children and attribute.children[2]
      if not value or not plain[value.tag] or #attribute.children ~= 2 then return nil end
      list[#list + 1] = value.content
    end
  end
  return list
end

-- Issuer and subject in DER: their places behind the serial number and the algorithm.
local function names(bytes)
  local tree = tlv.parse(bytes)
  local body = tree and tree[1] and tree[1].children and tree[1].children[1]
  local fields = body and body.children
  if not fields or #fields < 6 then return nil end
  local first = fields[1].tag == 0xa0 and 2 or 1
  return fields[first + 2], fields[first + 4]
end

local function comparenames(cert)
  local issued, subject = names(cert:der())
  for method, name in pairs { issuer = issued, subject = subject } do
    local want, got = values(name), cert[method](cert)
    if want then
      assert(#want == #got, method .. ": " .. #got .. " names instead of " .. #want)
      for i, value in ipairs(want) do assert(got[i].value == value, method .. ": value " .. i) end
    end
  end
end

local function roundtrip(cert)
  local again = assert(ssl.loadcertificate(cert:pem()))
  assert(again:der() == cert:der(), "PEM loads as another certificate")
  assert(again:digest() == cert:digest())
  again:validat(0)
end

local function closed(cert)
  local close = getmetatable(cert).__close or getmetatable(cert).__gc
  close(cert)
  close(cert)
  tostring(cert)
  for name, row in pairs(methods) do
    assert(not kit.try(name, cert[name], cert, unpack(row, 2)), name .. " answers on a closed certificate")
  end
end

-- ---- the target

local function contexts(pem)
  kit.shaped("cadata", ssl.newcontext { mode = "client", protocol = "any", verify = "peer", cadata = pem })
  kit.shaped("certificate", ssl.newcontext { mode = "client", protocol = "any", certificate = pem })
end

local function run(bytes)
  local pem = bytes:byte() == 0x30 and der.pem(bytes) or bytes
  local cert = kit.shaped("loadcertificate", ssl.loadcertificate(pem))
  contexts(pem)
  if not cert then return end
  for _, encoding in ipairs { "ai5", "utf8" } do
    assert(cert:setencode(encoding))
    for name in pairs(methods) do
      if name ~= "setencode" then ask(cert, name) end
    end
  end
  cert:setencode "ai5"
  comparenames(cert)
  roundtrip(cert)
  kit.shaped("ocsprequest", issuer:ocsprequest(cert))
  kit.shaped("issued", issuer:issued(cert))
  closed(cert)
end

local function mutate(bytes, max, seed, native) return tlv.mutate(bytes, max, kit.random(seed), native) end

local function seeds()
  local list = { der.cert {}, (assert(ssl.selfsigned { key = "rsa" })) }
  for _, file in ipairs(kit.files ".pem") do
    local body = file.bytes:match("%-%-%-%-%-BEGIN CERTIFICATE%-%-%-%-%-\n(.-)%-%-%-%-%-END")
    if body and #body < 5000 then list[#list + 1] = mime.unb64((body:gsub("%s", ""))) end
  end
  return list
end

return kit.target { run = run, mutate = mutate, seeds = seeds }
