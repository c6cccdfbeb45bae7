-- ssl.x509: loading, and every method of certificate objects; the peer's and the own chain of a connection.

local T = require "compat.tools"
local support = require "support"
local ssl = require "ssl"
local x509 = require "ssl.x509"

local pack, cert = support.pack, support.cert

local function load(name) return (assert(x509.load(support.pem(name)))) end

--- "name=value" of each entry of a subject or an issuer.
local function entries(list)
  local t = {}
  for i, entry in ipairs(list) do t[i] = entry.name .. "=" .. entry.value end
  return t
end

-- A self-signed certificate (RFC 5280 allows all of it but the serial number, 0): repeated attributes, one of an
-- unknown type, and alternative names of the kind otherName whose values are a sequence, an integer, a boolean and
-- NULL beside those of XMPP.
local ODD = [[
-----BEGIN CERTIFICATE-----
MIICTDCCAf6gAwIBAgIBADAFBgMrZXAwUjESMBAGA1UEAwwJb2RkIG5hbWVzMQww
CgYDVQQLDANvbmUxDDAKBgNVBAsMA3R3bzEgMB4GCSsGAQQBg7IDAQwRcHJpdmF0
ZSBhdHRyaWJ1dGUwIBcNMjYxMTIxMDQ0NTExWhgPMjA1MTA3MTMwNDQ1MTFaMFIx
EjAQBgNVBAMMCW9kZCBuYW1lczEMMAoGA1UECwwDb25lMQwwCgYDVQQLDAN0d28x
IDAeBgkrBgEEAYOyAwEMEXByaXZhdGUgYXR0cmlidXRlMCowBQYDK2VwAyEAwU49
njZaHH5fgmFk1IfFYxo9CJn6+p2+xxo2u9oVvgqjgfYwgfMwgdEGA1UdEQSByTCB
xqAVBgkrBgEEAYOyAwKgCDAGDAF4AgEBoBMGCSsGAQQBg7IDA6AGAgQAvGFOoB4G
CCsGAQUFBwgFoBIMEG9uZUBleGFtcGxlLnRlc3SgHgYIKwYBBQUHCAWgEgwQdHdv
QGV4YW1wbGUudGVzdKAnBggrBgEFBQcIB6AbFhlfeG1wcC1zZXJ2ZXIuZXhhbXBs
ZS50ZXN0oBAGCSsGAQQBg7IDBKADAQH/oA8GCSsGAQQBg7IDBaACBQCCDGV4YW1w
bGUudGVzdDAdBgNVHQ4EFgQUyoStbTgjQEu7coaZfQNJNX5ZefowBQYDK2VwA0EA
EpMqm3GxAX6krfSCijxgVoB5gaxBCEul66y8jMlLYCucdFdn6mbY+ToxF2tzaMpm
3EiGRiF+Dq6773Trh57FDg==
-----END CERTIFICATE-----
]]

-- The serial number is -5.
local NEGATIVE = [[
-----BEGIN CERTIFICATE-----
MIHAMHQCAfswBQYDK2VwMAwxCjAIBgNVBAMMAW4wIBcNMjYxMTIxMDQ0NDUxWhgP
MjA1MTA3MTMwNDQ0NTFaMAwxCjAIBgNVBAMMAW4wKjAFBgMrZXADIQDBTj2eNloc
fl+CYWTUh8VjGj0Imfr6nb7HGja72hW+CjAFBgMrZXADQQCmjgNfyUCNBA2HCv05
o8ZpscnfA/sSpTZfxPCd+RMMwgpIZRJpjjJVm6nbFjhq3B1/JxgnUE+jI+2bvzXl
dJMP
-----END CERTIFICATE-----
]]

describe("compat x509 load", function()
  it("takes PEM, text before and after it", function()
    local pem = support.pem "serverA"
    assert.equal("userdata", type((x509.load(pem))))
    assert.equal("userdata", type((x509.load("some words\nbefore\n" .. pem .. "and after"))))
    assert.equal(load("serverA"):pem(), x509.load("some words\n" .. pem):pem())
  end)

  it("takes the first certificate of several", function()
    assert.equal(load("chainA-leaf"):pem(), load("chainA"):pem())
  end)

  it("answers nil for anything else", function()
    for _, text in ipairs { "", "junk", support.pem "serverAkey", support.read(cert "serverA.der"), support.pem "cut",
      support.pem "badbase64", ("x"):rep(1024 * 1024), "\0" } do
      assert.is_nil((x509.load(text)))
    end
  end)

  it("raises for anything but a string", function()
    for _, v in ipairs { {}, true, print } do T.raises("bad argument #1.*string expected", x509.load, v) end
    T.raises("bad argument #1.*string expected", x509.load)
  end)

  it("leaves no stale error behind", function()
    T.clear()
    x509.load("junk")
    T.begins(pack(ssl.newcontext(support.client { ciphers = "nosuchcipher" })), nil,
      "error setting cipher list (no cipher match)")
  end)
end)

describe("compat certificate", function()
  it("names itself", function()
    assert.is_truthy(tostring(load "serverA"):find("^X509 certificate: 0x%x+$"))
  end)

  it("tells subject and issuer in order", function()
    assert.same({ "countryName=XX", "organizationName=Test", "commonName=serverA" }, entries(load("serverA"):subject()))
    assert.same({ "countryName=XX", "organizationName=Test", "commonName=rootA" }, entries(load("serverA"):issuer()))
    assert.same({ oid = "2.5.4.3", name = "commonName", value = "serverA" }, load("serverA"):subject()[3])
  end)

  it("repeats attributes and names unknown ones by their number", function()
    local c = x509.load(ODD)
    assert.same({ "commonName=odd names", "organizationalUnitName=one", "organizationalUnitName=two",
      "1.3.6.1.4.1.55555.1=private attribute" }, entries(c:subject()))
    assert.equal("1.3.6.1.4.1.55555.1", c:subject()[4].oid)
  end)

  it("tells an empty subject", function() assert.same({}, load("nosubject"):subject()) end)

  it("tells values as bytes, or as UTF-8 after setencode", function()
    local c = load "bmp"
    assert.equal("\0P\0r\0\252\0f\0 \0G\0m\0b\0H", c:subject()[2].value)
    T.returned(pack(c:setencode("utf8")), true)
    assert.equal("Pr\195\188f GmbH", c:subject()[2].value)
    assert.equal(load("unicode"):subject()[3].value, c:subject()[3].value)
    T.returned(pack(c:setencode("ai5")), true)
    assert.equal("\0P\0r\0\252\0f\0 \0G\0m\0b\0H", c:subject()[2].value)
  end)

  it("refuses other encodings", function()
    local c = load "serverA"
    T.returned(pack(c:setencode("utf8xx")), true)
    for _, name in ipairs { "UTF8", "latin1", "" } do T.begins(pack(c:setencode(name)), false) end
    T.raises("string expected", c.setencode, c)
  end)

  it("tells alternative names by kind", function()
    local ext = load("altname"):extensions()
    local names = ext["2.5.29.17"]
    assert.equal("X509v3 Subject Alternative Name", names.name)
    assert.same({ "altname.test", "www.altname.test" }, names.dNSName)
    assert.same({ "admin@altname.test" }, names.rfc822Name)
    assert.same({ "https://altname.test/path" }, names.uniformResourceIdentifier)
    assert.same({ "192.0.2.1", "2001:db8::1" }, names.iPAddress)
    local kinds = {}
    for kind in pairs(names) do kinds[#kinds + 1] = kind end
    table.sort(kinds)
    assert.same({ "dNSName", "iPAddress", "name", "rfc822Name", "uniformResourceIdentifier" }, kinds)
  end)

  it("reports no other extension than alternative names", function()
    for oid in pairs(load("altname"):extensions()) do assert.equal("2.5.29.17", oid) end
  end)

  it("tells the names of XMPP by their numbers", function()
    local names = load("xmpp"):extensions()["2.5.29.17"]
    assert.same({ "im.example.test", name = "XmppAddr" }, names["1.3.6.1.5.5.7.8.5"])
    assert.same({ "_xmpp-client.im.example.test", "_xmpp-server.im.example.test", name = "SRVName" },
      names["1.3.6.1.5.5.7.8.7"])
    assert.same({ "im.example.test", "conference.im.example.test", "localhost" }, names.dNSName)
  end)

  it("has names in utf8 encoding too", function()
    for _, name in ipairs { "altname", "xmpp" } do
      local c = load(name)
      local plain = c:extensions()
      c:setencode("utf8")
      assert.same(plain, c:extensions())
    end
  end)

  it("passes over names of other types", function()
    local names = x509.load(ODD):extensions()["2.5.29.17"]
    assert.same({ "example.test" }, names.dNSName)
    assert.same({ "one@example.test", "two@example.test", name = "XmppAddr" }, names["1.3.6.1.5.5.7.8.5"])
  end)

  it("has no extensions without alternative names", function() assert.same({}, load("nosan"):extensions()) end)

  it("keeps a NUL inside a name", function()
    assert.same({ "localhost\0.evil.test" }, load("nul"):extensions()["2.5.29.17"].dNSName)
  end)

  it("has all of a thousand names", function()
    local names = load("manysan"):extensions()["2.5.29.17"].dNSName
    assert.equal(1000, #names)
    assert.equal("host1000.many.test", names[1000])
  end)

  it("tells the serial number in upper-case hex", function()
    assert.equal("7FEEDDCCBBAA99887766554433221100FFEEDDCC", load("bigserial"):serial())
    assert.is_truthy(load("serverA"):serial():find("^%x%x%x%x$"))
    assert.equal("0", x509.load(ODD):serial())
    assert.equal("-05", x509.load(NEGATIVE):serial())
  end)

  it("tells its time of validity", function()
    local c = load "expired"
    assert.equal("Jan  1 00:00:00 2020 GMT", c:notbefore())
    assert.equal("Dec 31 23:59:59 2020 GMT", c:notafter())
  end)

  it("is valid at both ends of its time", function()
    local c, from, to = load "expired", 1577836800, 1609459199
    T.returned(pack(c:validat(from)), true)
    T.returned(pack(c:validat(to)), true)
    T.returned(pack(c:validat(from - 1)), false)
    T.returned(pack(c:validat(to + 1)), false)
    T.returned(pack(load("serverA"):validat(os.time())), true)
    T.raises("number expected", c.validat, c)
  end)

  it("has a digest", function()
    local c = load "serverA"
    assert.is_truthy(c:digest():find("^%x+$"))
    assert.equal(c:digest(), c:digest("sha1"))
    assert.equal(40, #c:digest("sha1"))
    assert.equal(64, #c:digest("sha256"))
    assert.equal(128, #c:digest("sha512"))
    assert.equal(c:digest("sha256"), c:digest("sha256"):lower())
    T.begins(pack(c:digest("md5")), nil, "digest algorithm not supported (md5)")
    T.begins(pack(c:digest("SHA1")), nil, "digest algorithm not supported (SHA1)")
    T.raises("string expected", c.digest, c, {})
  end)

  it("has the digest that the openssl command shows", function()
    local p = io.popen("openssl x509 -noout -fingerprint -sha256 -in " .. cert "serverA" .. " 2>&1")
    local text = p:read("*a")
    p:close()
    local hex = text:match("=([%x:]+)")
    if not hex then pending("needs the openssl command") return end
    assert.equal((hex:gsub(":", ""):lower()), load("serverA"):digest("sha256"))
  end)

  it("gives back its PEM", function()
    local pem = load("serverA"):pem()
    assert.is_truthy(pem:find("^%-%-%-%-%-BEGIN CERTIFICATE%-%-%-%-%-\n"))
    assert.is_truthy(pem:find("\n%-%-%-%-%-END CERTIFICATE%-%-%-%-%-\n$"))
    assert.equal(pem, x509.load(pem):pem())
  end)

  it("tells its public key, type and bits", function()
    for name, want in pairs { serverA = { "EC", 256 }, rsa = { "RSA", 2048 }, ec384 = { "EC", 384 },
      ed25519 = { "Unknown", 256 } } do
      local pem, kind, bits = load(name):pubkey()
      assert.is_truthy(pem:find("^%-%-%-%-%-BEGIN PUBLIC KEY%-%-%-%-%-\n"))
      assert.equal(want[1], kind)
      assert.equal(want[2], bits)
    end
  end)

  it("tells the algorithm of its signature", function()
    assert.equal("ecdsa-with-SHA256", load("serverA"):getsignaturename())
    assert.equal("string", type(load("ed25519"):getsignaturename()))
  end)

  it("tells whether it issued another", function()
    local rootA, rootB, inter = load "rootA", load "rootB", load "interA"
    T.returned(pack(rootA:issued(load "serverA")), true)
    T.returned(pack(rootA:issued(rootA)), true)
    T.failed(pack(rootB:issued(load "serverA")), nil, "^unable to get local issuer certificate$")
    T.failed(pack(rootA:issued(load "chainA-leaf")), nil, "^unable to get local issuer certificate$")
    T.returned(pack(rootA:issued(load "chainA-leaf", inter)), true)
    T.failed(pack(rootA:issued(load "expired")), nil, "^certificate has expired$")
    T.failed(pack(rootA:issued(load "selfsigned")), nil, "^self.signed certificate$")
    T.raises("SSL:Certificate expected", rootA.issued, rootA, "text")
    T.raises("SSL:Certificate expected", rootA.issued, rootA)
    T.raises("SSL:Certificate expected", rootA.issued, rootA, inter, {})
  end)
end)

describe("compat closed certificate", function()
  it("crashes in no method", function()
    local c = load "serverA"
    getmetatable(c).__close(c)
    for name, f in pairs(getmetatable(c).__index) do
      if name ~= "issued" then pcall(f, c) else pcall(f, c, load "serverA") end
    end
    pcall(load("rootA").issued, load "rootA", c)
    getmetatable(c).__gc(c)
    assert.equal("string", type(tostring(c)))
  end)
end)

describe("compat chains of a connection", function()
  local function commonnames(chain)
    local t = {}
    for i, c in ipairs(chain) do t[i] = entries(c:subject())[3]:match("=(.*)") end
    return t
  end

  local c, s
  before_each(function()
    c, s = support.connected(
      support.client { certificate = cert "clientA", key = cert "clientAkey" },
      support.server { certificate = cert "chainA", key = cert "chainAkey", verify = "peer", cafile = cert "rootA" })
  end)
  after_each(function() T.close(c, s) end)

  it("of the peer begin with its certificate", function()
    local chain = c:getpeerchain()
    assert.equal(load("chainA-leaf"):pem(), chain[1]:pem())
    assert.equal(load("interA"):pem(), chain[2]:pem())
    assert.equal(chain[1]:pem(), c:getpeercertificate():pem())
    assert.equal(chain[1]:pem(), c:getpeercertificate(1):pem())
    assert.equal(chain[2]:pem(), c:getpeercertificate(2):pem())
    assert.equal("clientA", commonnames(s:getpeerchain())[1])
    assert.equal(load("clientA"):pem(), s:getpeercertificate():pem())
  end)

  it("answer nil past their end and refuse indices below 1", function()
    T.returned(pack(c:getpeercertificate(10)), nil)
    T.begins(pack(c:getpeercertificate(0)), nil, "invalid certificate index")
    T.begins(pack(c:getpeercertificate(-1)), nil, "invalid certificate index")
    T.raises("number expected", c.getpeercertificate, c, "x")
  end)

  it("are empty when the client sent none", function()
    local a, b = support.connected()
    T.returned(pack(b:getpeercertificate()), nil)
    assert.same({}, b:getpeerchain())
    T.close(a, b)
  end)

  it("outlive the connection", function()
    local chain = c:getpeerchain()
    T.close(c, s)
    support.collect()
    assert.equal(load("interA"):pem(), chain[2]:pem())
  end)

  it("are two objects when asked twice", function()
    assert.is_false(c:getpeercertificate() == c:getpeercertificate())
  end)

  it("of the own side begin with the own certificate, on servers and clients", function()
    assert.equal(load("chainA-leaf"):pem(), s:getlocalcertificate():pem())
    assert.equal(load("interA"):pem(), s:getlocalcertificate(2):pem())
    assert.equal(2, #s:getlocalchain())
    assert.equal(load("chainA-leaf"):pem(), s:getlocalchain()[1]:pem())
    assert.equal(load("clientA"):pem(), c:getlocalcertificate():pem())
    assert.equal(1, #c:getlocalchain())
    T.returned(pack(s:getlocalcertificate(3)), nil)
    T.begins(pack(s:getlocalcertificate(0)), nil, "invalid certificate index")
  end)

  it("of the own side are counted references", function()
    for _ = 1, 50 do
      s:getlocalcertificate()
      s:getlocalchain()
      support.collect()
    end
    assert.equal("x", support.transfer(c, s, "x"))
  end)

  it("of the own side are empty without a certificate", function()
    local a, b = support.connected()
    T.returned(pack(a:getlocalcertificate()), nil)
    assert.same({}, a:getlocalchain())
    T.close(a, b)
  end)
end)
