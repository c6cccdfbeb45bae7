-- The names that a certificate object gives, for string types, repetitions and forgeries of all kinds.

local x509 = require "ssl.x509"
local der = require "der"
local pki = require "pki"

local load = pki.load
local make = pki.make
local unpack = pki.unpack

describe("names of a certificate", function()

  describe("subject and issuer", function()
    it("give attributes in the certificate's order", function()
      local c = load "serverA"
      assert.same({
        { oid = "2.5.4.6", name = "countryName", value = "XX" },
        { oid = "2.5.4.10", name = "organizationName", value = "Test" },
        { oid = "2.5.4.3", name = "commonName", value = "serverA" },
      }, c:subject())
      assert.equal("rootA", c:issuer()[3].value)
      assert.same({}, load "nosubject":subject())
    end)

    it("repeat what is repeated and give unknown attributes by number", function()
      local long = "1.2" .. (".123456789"):rep(40)
      local c = make { subject = {
        { "2.5.4.11", der.str("utf8", "one") }, { "2.5.4.11", der.str("utf8", "two") },
        { "1.2.3.4.5.6.7", der.str("utf8", "three") }, { "1.2.840.113549.1.9.1", der.str("ia5", "a@b.test") },
        { long, der.str("utf8", "four") },
      } }
      assert.same({
        { oid = "2.5.4.11", name = "organizationalUnitName", value = "one" },
        { oid = "2.5.4.11", name = "organizationalUnitName", value = "two" },
        { oid = "1.2.3.4.5.6.7", name = "1.2.3.4.5.6.7", value = "three" },
        { oid = "1.2.840.113549.1.9.1", name = "emailAddress", value = "a@b.test" },
        { oid = long, name = long, value = "four" },
      }, c:subject())
    end)

    it("give bytes at first and UTF-8 when asked", function()
      local rows = { -- type, bytes, UTF-8 (nil: impossible)
        { "utf8", "Pr\195\188f", "Pr\195\188f" }, { "utf8", "a\0b", "a\0b" }, { "utf8", "", "" },
        { "printable", "abc", "abc" }, { "printable", "\252", "\195\188" }, { "numeric", "12", "12" },
        { "t61", "\252", "\195\188" }, { "t61", "a\0b", "a\0b" }, { "ia5", "a\0b", "a\0b" },
        { "ia5", "\252", "\195\188" },
        { "bmp", "\0a\1~", "a\197\190" }, { "bmp", "\0\0\0a", "\0a" }, { "bmp", "", "" },
        { "universal", "\0\0\0a\0\1\244\0", "a\240\159\144\128" }, { "universal", "", "" },
        { "bit", "\0ab" },
      }
      for i, row in ipairs(rows) do
        local c = make { subject = { { "2.5.4.3", der.str(row[1], row[2]) } } }
        local bytes = row[1] == "bit" and row[2]:sub(2) or row[2]
        assert.equal(bytes, c:subject()[1].value, "row " .. i)
        assert.equal(true, c:setencode "utf8")
        assert.equal(row[3], c:subject()[1].value, "row " .. i)
        assert.equal("commonName", c:subject()[1].name)
        assert.equal(true, c:setencode "ai5")
        assert.equal(bytes, c:subject()[1].value, "row " .. i)
      end
      for _, name in ipairs { "unicode", "bmp" } do
        local c = load(name)
        c:setencode "utf8"
        assert.equal("Pr\195\188f GmbH", c:subject()[2].value)
        assert.equal("\197\190lu\197\165ou\196\141k\195\189 \232\170\158", c:subject()[3].value)
      end
    end)

    it("refuse strings that are none when the certificate is loaded", function()
      for _, row in ipairs { { "utf8", "\255" }, { "utf8", "\237\160\128" }, { "bmp", "abc" },
      { "universal", "abc" },
        { "universal", "\0\17\0\0" } } do
        local c, message = x509.load(der.pem(der.cert { subject = { { "2.5.4.3", der.str(row[1], row[2]) } } }))
        if c then -- OpenSSL keeps it: then UTF-8 must be refused
          c:setencode "utf8"
          assert.equal(nil, c:subject()[1].value)
        else
          assert.truthy(message:find("^error loading certificate %("))
        end
      end
    end)

    it("leave a value out that is a structure", function()
      local inner = der.str("utf8", "x")
      local c = make { subject = { { "2.5.4.3", der.seq(inner) } } }
      assert.equal(der.seq(inner), c:subject()[1].value)
      c:setencode "utf8"
      assert.equal(nil, c:subject()[1].value)
    end)
  end)

  describe("setencode", function()
    it("looks at the beginning of the name", function()
      local c = load "serverA"
      for _, s in ipairs { "ai5", "utf8", "utf8xx", "ai5\0" } do assert.equal(true, c:setencode(s)) end
      for _, s in ipairs { "", "utf", "UTF8", " utf8", "a", "latin1", 5, ("x"):rep(2 ^ 20) } do
        assert.equal(false, c:setencode(s))
      end
      assert.error_matches(function() c:setencode() end, "string expected")
      assert.error_matches(function() c:setencode {} end, "string expected")
    end)

    it("changes nothing when it refuses", function()
      local c = load "bmp"
      c:setencode "utf8"
      assert.equal(false, c:setencode "nonsense")
      assert.equal("Pr\195\188f GmbH", c:subject()[2].value)
    end)
  end)

  describe("extensions", function()
    local san, xmpp = "2.5.29.17", "1.3.6.1.5.5.7.8.5"
    local name = "X509v3 Subject Alternative Name"

    local function extensions(...) return make { extensions = { ... } }:extensions() end

    it("gives the alternative names by kind", function()
      assert.same({ [san] = {
        name = name, dNSName = { "altname.test", "www.altname.test" }, rfc822Name = { "admin@altname.test" },
        uniformResourceIdentifier = { "https://altname.test/path" }, iPAddress = { "192.0.2.1", "2001:db8::1" },
      } }, load "altname":extensions())
      assert.same({ [san] = {
        name = name, dNSName = { "im.example.test", "conference.im.example.test", "localhost" },
        [xmpp] = { name = "XmppAddr", "im.example.test" },
        ["1.3.6.1.5.5.7.8.7"] = { name = "SRVName", "_xmpp-client.im.example.test", "_xmpp-server.im.example.test" },
      } }, load "xmpp":extensions())
    end)

    it("is empty without alternative names", function()
      assert.same({}, load "nosan":extensions())
      assert.same({}, make {}:extensions())
      assert.same({ [san] = { name = name } }, extensions(der.san()))
      assert.same({}, extensions(der.extension("2.5.29.18", der.seq(der.general(2, "issuer.test")))))
    end)

    it("gives the same as UTF-8", function()
      for _, file in ipairs { "altname", "xmpp", "serverA", "ip" } do
        local c = load(file)
        local bytes = c:extensions()
        c:setencode "utf8"
        assert.same(bytes, c:extensions())
      end
      local c = make { extensions = { der.san(der.general(2, "\252"), der.general(2, "b")) } }
      assert.same({ "\252", "b" }, c:extensions()[san].dNSName)
      c:setencode "utf8"
      assert.same({ "\195\188", "b" }, c:extensions()[san].dNSName)
    end)

    it("keeps a NUL in a name", function()
      assert.same({ "localhost\0.evil.test" }, load "nul":extensions()[san].dNSName)
      assert.same({ "\0", "", "a\0" },
        extensions(der.san(der.general(2, "\0"), der.general(2, ""), der.general(2, "a\0")))[san].dNSName)
    end)

    it("gives a thousand names", function()
      local names = load "manysan":extensions()[san].dNSName
      assert.equal(1000, #names)
      assert.equal("host1.many.test", names[1])
      assert.equal("host1000.many.test", names[1000])
    end)

    it("reads each of several extensions", function()
      local function dns(s) return der.san(der.general(2, s)) end
      local junk = der.extension(san, "junk")
      for _, row in ipairs {
        { { "a", "b" }, dns "a", dns "b" }, { { "a", "b", "c", "d" }, dns "a", dns "b", dns "c", dns "d" },
        { { "b" }, junk, dns "b" }, { { "a", "c", "d" }, dns "a", junk, dns "c", dns "d" },
        { { "a" }, dns "a", junk },
      } do
        assert.same({ [san] = { name = name, dNSName = row[1] } }, extensions(unpack(row, 2)))
      end
      assert.same({}, extensions(junk))
      assert.same({}, extensions(junk, junk, der.extension(san, "")))
    end)

    it("drops addresses of impossible length", function()
      local four, sixteen = "\127\0\0\1", ("\0"):rep(15) .. "\1"
      assert.same({ "127.0.0.1", "::1" }, extensions(der.san(der.general(7, "abc"), der.general(7, four),
        der.general(7, ""), der.general(7, sixteen), der.general(7, four .. four), der.general(7, sixteen .. "x")
      ))[san].iPAddress)
    end)

    it("skips kinds that it has no form for", function()
      local directory = der.general(4, der.name { { "2.5.4.3", der.str("utf8", "n") } })
      assert.same({ [san] = { name = name, dNSName = { "z" } } }, extensions(der.san(directory, der.general(8, "\42"),
        der.general(3, der.seq()), der.general(5, der.tlv(0xa1, der.str("utf8", "party"))), der.general(2, "z"))))
    end)

    it("takes other names of every character string type", function()
      for kind in pairs(der.tags) do
        if kind ~= "octet" and kind ~= "bit" then
          local value = kind == "universal" and "\0\0\0a" or kind == "bmp" and "\0a" or "a"
          local c = make { extensions = { der.san(der.other(xmpp, der.str(kind, value))) } }
          assert.same({ name = "XmppAddr", value }, c:extensions()[san][xmpp], kind)
          c:setencode "utf8"
          local text = c:extensions()[san][xmpp][1]
          assert(text == "a" or kind == "general" and text == nil, kind .. ": " .. tostring(text))
        end
      end
    end)

    it("takes no other name whose value is something else", function()
      local values = {
        boolean = der.tlv(0x01, "\255"), integer = der.int "ab", bits = der.str("bit", "\0a"),
        octets = der.str("octet", "juliet@im.example.test"), null = der.null(), oid = der.oid "1.2.3",
        enumerated = der.tlv(0x0a, "\1"), sequence = der.seq(der.str("utf8", "ab")),
        set = der.set(der.str("utf8", "a")),
        utctime = der.tlv(0x17, "261101010203Z"), time = der.tlv(0x18, "20261101010203Z"), real = der.tlv(0x09, "\0"),
        application = der.tlv(0x41, "ab"), context = der.tlv(0x81, "ab"), private = der.tlv(0xc1, "ab"),
        relativeoid = der.tlv(0x0d, "\1"), descriptor = der.tlv(0x07, "ab"), videotex = der.tlv(0x15, "ab"),
      }
      for kind, value in pairs(values) do
        local c = make { extensions = { der.san(der.other(xmpp, value), der.general(2, "z")) } }
        for _, encoding in ipairs { "ai5", "utf8" } do
          c:setencode(encoding)
          assert.same({ [san] = { name = name, dNSName = { "z" } } }, c:extensions(), kind)
        end
      end
      for _, broken in ipairs { der.general(0, der.oid(xmpp)), der.general(0, der.oid(xmpp), der.tlv(0xa0, "")) } do
        assert.same({ [san] = { name = name, dNSName = { "z" } } },
          extensions(der.san(broken), der.san(der.general(2, "z"))))
      end
    end)

    it("gives other names under identifiers of any length", function()
      local long = "1.2" .. (".123456789"):rep(40)
      assert.same({ name = long, "x" }, extensions(der.san(der.other(long, der.str("utf8", "x"))))[san][long])
      local endless = "1.2" .. (".123"):rep(20000)
      assert.same({ name = name, dNSName = { "z" } },
        extensions(der.san(der.other(endless, der.str("utf8", "x")), der.general(2, "z")))[san])
      assert.same({ "a", "c", name = "1.2.3" }, extensions(der.san(der.other("1.2.3", der.str("utf8", "a")),
        der.other(xmpp, der.str("utf8", "b")), der.other("1.2.3", der.str("ia5", "c"))))[san]["1.2.3"])
    end)
  end)

  describe("ocspurl", function()
    it("is the responder's address or nil", function()
      assert.equal("http://ocsp.test/", load "altname":ocspurl())
      assert.equal(nil, load "serverA":ocspurl())
      local function access(...)
        return make { extensions = { der.extension("1.3.6.1.5.5.7.1.1", der.seq(...)) } }:ocspurl()
      end
      local function ocsp(name) return der.seq(der.oid "1.3.6.1.5.5.7.48.1", name) end
      assert.equal("http://a/", access(ocsp(der.general(6, "http://a/")), ocsp(der.general(6, "http://b/"))))
      assert.equal(nil, access(ocsp(der.general(2, "a"))))
      assert.equal(nil, access(der.seq(der.oid "1.3.6.1.5.5.7.48.2", der.general(6, "http://ca/"))))
      assert.equal(nil, access())
      assert.equal(nil, make { extensions = { der.extension("1.3.6.1.5.5.7.1.1", "junk") } }:ocspurl())
    end)
  end)
end)
