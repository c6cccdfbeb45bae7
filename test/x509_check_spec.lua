-- What a certificate object says about dates, issuers, hosts, addresses and mailboxes.

local der = require "der"
local pki = require "pki"
local x509 = require "ssl.x509"
local release = require "release"

local load = pki.load
local make = pki.make
local unpack = pki.unpack

describe("checks of a certificate", function()

  describe("a host name with a dot at its end", function()
    it("is the name without it, however long", function()
      local long = ("a"):rep(60) .. "." .. ("b"):rep(60) .. ".test"
      local c = make { extensions = { der.san(der.general(2, long), der.general(2, "a.test")) } }
      for _, name in ipairs { long, "a.test" } do
        assert.is_true(c:checkhost(name))
        assert.is_true(c:checkhost(name .. "."))
        assert.is_false(c:checkhost(name .. ".."))
      end
    end)
  end)

  describe("dates", function()
    local rows = { -- tag, text, as printed, in seconds, usable for validat
      { 0x17, "261101010203Z", "Nov  1 01:02:03 2026 GMT", 1793494923, true },
      { 0x18, "20261121010203Z", "Nov 21 01:02:03 2026 GMT", 1795222923, true },
      { 0x17, "491231235959Z", "Dec 31 23:59:59 2049 GMT", 2524607999, true },
      { 0x17, "500101000000Z", "Jan  1 00:00:00 1950 GMT", -631152000, true },
      { 0x18, "99991231235959Z", "Dec 31 23:59:59 9999 GMT", 253402300799, true },
      { 0x18, "20261101010203.5Z", "Nov  1 01:02:03.5 2026 GMT", 1793494923 },
      { 0x17, "261101010203+0100", "Nov  1 00:02:03 2026 GMT", 1793491323 },
      { 0x18, "20261101010203", "Bad time value" }, { 0x17, "garbage", "Bad time value" },
      { 0x17, "", "Bad time value" },
      { 0x17, "261301010203Z", "Bad time value" }, { 0x17, "26110101\0203Z", "Bad time value" },
    }

    -- From 3.5 on OpenSSL does not even load a certificate with a date that is none.
    local refused = {}
    for i = #rows, 1, -1 do
      local date = der.tlv(rows[i][1], rows[i][2])
      local c, message = x509.load(der.pem(der.cert { notbefore = date, notafter = date }))
      if not c then refused[message] = table.remove(rows, i) end
    end

    it("that are none may be refused with the certificate", function()
      for message, row in pairs(refused) do
        assert.equal("Bad time value", row[3])
        assert.matches("^error loading certificate %(%l", message)
      end
      assert.equal(release.since(3, 5), next(refused) ~= nil)
      assert.is_true(#rows >= 7)
    end)

    it("are given as text and in seconds", function()
      for i, row in ipairs(rows) do
        local c = make { notbefore = der.tlv(row[1], row[2]), notafter = der.tlv(row[1], row[2]) }
        for _, which in ipairs { "notbefore", "notafter" } do
          assert.equal(row[3], c[which](c), "row " .. i)
          local seconds, message, detail = c[which .. "time"](c)
          assert.equal(row[4], seconds, "row " .. i)
          if row[4] then
            assert.equal(math.type and "integer", math.type and math.type(seconds)) -- luacheck: ignore
          else
            assert.equal("bad time value in the certificate", message)
            assert.equal("config", detail.kind)
          end
        end
      end
    end)

    it("bound validat on both sides", function()
      for i, row in ipairs(rows) do
        local date = der.tlv(row[1], row[2])
        local c = make { notbefore = date, notafter = date }
        local at = row[4] or 1793494923
        assert.equal(row[5] or false, c:validat(at), "row " .. i)
        assert.equal(false, c:validat(at - 1), "row " .. i)
        assert.equal(false, c:validat(at + 1), "row " .. i)
        local first, last = der.tlv(0x17, "500101000000Z"), der.tlv(0x18, "99991231235959Z")
        assert.equal(row[5] or false, make { notbefore = date, notafter = last }:validat(at))
        assert.equal(row[5] or false, make { notbefore = first, notafter = date }:validat(at))
      end
    end)

    it("compare with the PKI's", function()
      local now = os.time()
      assert.equal(false, load "serverA":validat(now + 2 ^ 32)) -- not even where times have 32 bits
      local ever = make { notbefore = der.tlv(0x17, "500101000000Z"), notafter = der.tlv(0x18, "99991231235959Z") }
      for seconds, valid in pairs { [2 ^ 31] = true, [2 ^ 32] = true, [253402300800] = false, [-2 ^ 32] = false,
        [2 ^ 53] = false, [-2 ^ 53] = false } do
        assert.equal(valid, ever:validat(seconds), seconds)
      end
      assert.equal(true, load "serverA":validat(now))
      assert.equal(false, load "expired":validat(now))
      assert.equal(false, load "notyet":validat(now))
      assert.equal(true, load "expired":validat(1600000000))
      local c = load "serverA"
      assert.equal(true, c:validat(c:notbeforetime()))
      assert.equal(false, c:validat(c:notbeforetime() - 1))
      assert.equal(true, c:validat(c:notaftertime()))
      assert.equal(false, c:validat(c:notaftertime() + 1))
    end)

    it("are not valid at a time that is none", function()
      local c = load "serverA"
      for _, t in ipairs { 2 ^ 53, -2 ^ 53, 0, -1, "0" } do assert.equal(false, c:validat(t)) end
      for _, t in ipairs { "x", {}, true, "" } do
        assert.error_matches(function() c:validat(t) end, "number expected")
      end
      assert.error_matches(function() c:validat() end, "number expected, got no value")
      if math.type then -- luacheck: ignore
        assert.error_matches(function() c:validat(1.5) end, "number has no integer representation")
        assert.equal(false, c:validat(math.maxinteger)) -- luacheck: ignore
        assert.equal(false, c:validat(math.mininteger)) -- luacheck: ignore
      end
    end)
  end)

  describe("issued", function()
    local c = {}
    setup(function()
      for _, name in ipairs { "rootA", "rootB", "interA", "chainA-leaf", "serverA", "clientA", "selfsigned", "expired",
        "notyet" } do
        c[name] = load(name)
      end
    end)

    it("is true for what the certificate signed", function()
      assert.equal(true, c.rootA:issued(c.serverA))
      assert.equal(true, c.rootA:issued(c.clientA))
      assert.equal(true, c.rootA:issued(c.interA))
      assert.equal(true, c.rootA:issued(c["chainA-leaf"], c.interA))
      assert.equal(true, c.rootA:issued(c["chainA-leaf"], c.rootB, c.interA, c.serverA))
      assert.equal(true, c.rootA:issued(c.rootA))
      assert.equal(true, c.selfsigned:issued(c.selfsigned))
      assert.equal(1, select("#", c.rootA:issued(c.serverA)))
    end)

    it("is nil and the reason for anything else", function()
      local rows = {
        { "rootA", "chainA-leaf", "unable to get local issuer certificate", 0 },
        { "rootB", "serverA", "unable to get local issuer certificate", 0 },
        { "interA", "chainA-leaf", "unable to get issuer certificate", 1 },
        { "interA", "interA", "unable to get local issuer certificate" },
        { "rootA", "expired", "certificate has expired", 0 },
        { "rootA", "notyet", release.notyet, 0 },
        { "rootA", "selfsigned", "self.signed certificate", 0 },
        { "serverA", "serverA", "unable to get local issuer certificate" },
      }
      for i, row in ipairs(rows) do
        local ok, message, detail = c[row[1]]:issued(c[row[2]])
        assert.equal(nil, ok, "row " .. i)
        assert(message:find("^" .. row[3] .. "$"), "row " .. i .. ": " .. message)
        assert.equal("verify", detail.kind)
        if row[4] then assert.equal(row[4], detail.depth, "row " .. i) end
      end
      assert.equal(nil, (c.interA:issued(c["chainA-leaf"], c.rootA)))
    end)

    it("does not take a junk signature", function()
      local forged = make { issuer = {
        { "2.5.4.6", der.str("printable", "XX") }, { "2.5.4.10", der.str("utf8", "Test") },
        { "2.5.4.3", der.str("utf8", "rootA") } } }
      assert.equal(nil, (c.rootA:issued(forged)))
      assert.equal(nil, (forged:issued(c.serverA)))
    end)

    it("raises for what is no certificate", function()
      assert.error_matches(function() c.rootA:issued() end, "SSL:Certificate expected, got no value")
      assert.error_matches(function() c.rootA:issued(1) end, "SSL:Certificate expected, got number")
      assert.error_matches(function() c.rootA:issued(c.serverA, "x") end, "SSL:Certificate expected, got string")
      assert.error_matches(function() c.rootA:issued(c.serverA, c.interA, {}) end,
        "SSL:Certificate expected, got table")
      assert.error_matches(function() c.rootA:issued(c.serverA, nil) end, "SSL:Certificate expected, got nil")
    end)

    it("takes many intermediates", function()
      local many = {}
      for i = 1, 200 do many[i] = c.serverA end
      many[201] = c.interA
      assert.equal(true, c.rootA:issued(c["chainA-leaf"], unpack(many)))
    end)
  end)

  describe("checkhost", function()
    it("matches names as RFC 9525 does", function()
      local rows = { -- certificate, host, verdict
        { "serverA", "localhost", true }, { "serverA", "LocalHost", true }, { "serverA", "server.test", true },
        { "serverA", "other.test", false }, { "serverA", "sub.server.test", false },
        { "serverA", "serverA", false },
        { "serverA", "", false }, { "serverA", ".server.test", false }, { "serverA", ".test", false },
        { "serverA", ".", false }, { "serverA", "localhost\0", false },
        { "serverA", "localhost\0.evil.test", false },
        { "serverA", "\0localhost", false }, { "serverA", " localhost", false },
        { "serverA", ("a"):rep(2 ^ 20), false },
        { "nul", "localhost", false }, { "nul", "localhost\0.evil.test", false },
        { "nosan", "localhost", false }, { "wronghost", "localhost", false }, { "nosubject", "localhost", true },
        { "wildcard", "a.wild.test", true }, { "wildcard", "A.WILD.TEST", true },
        { "wildcard", "wild.test", false },
        { "wildcard", "a.b.wild.test", false }, { "wildcard", ".wild.test", false },
        { "wildcards", "a.wild.test", true }, { "wildcards", "ww.part.test", false },
        { "wildcards", "a.b.two.test", false },
        { "wildcards", "www.a.mid.test", false }, { "wildcards", "anything", false },
        { "ip", "127.0.0.1", false }, { "serverA", "127.0.0.1", false }, { "dnsip", "127.0.0.1", false },
        { "serverA", "::1", false }, { "manysan", "host1.many.test", true },
        { "manysan", "host1000.many.test", true },
        { "manysan", "host1001.many.test", false },
      }
      for _, row in ipairs(rows) do
        local what = row[1] .. " " .. row[2]:sub(1, 40)
        local c = load(row[1])
        assert.equal(row[3], c:checkhost(row[2]), what)
        assert.equal(row[3], c:checkhost(row[2], "never_check_subject", "no_partial_wildcards"), what)
      end
    end)

    it("takes OpenSSL's flags", function()
      local wild, nosan = load "wildcard", load "nosan"
      assert.equal(false, wild:checkhost("a.wild.test", "no_wildcards"))
      assert.equal(true, wild:checkhost("a.b.wild.test", "multi_label_wildcards"))
      assert.equal(false, wild:checkhost("a.b.wild.test", "multi_label_wildcards", "no_wildcards"))
      assert.equal(true, wild:checkhost("a.wild.test", "single_label_subdomains"))
      assert.equal(true, nosan:checkhost("localhost", "always_check_subject"))
      assert.equal(false, nosan:checkhost("localhost", "always_check_subject", "never_check_subject"))
      assert.equal(true, load "serverA":checkhost("serverA", "always_check_subject"))
      assert.error_matches(function() wild:checkhost("a", "nonsense") end,
        "bad argument #%d to '.-' %(invalid option 'nonsense'%)")
      assert.error_matches(function() wild:checkhost("a", {}) end, "string expected, got table")
      assert.error_matches(function() wild:checkhost("a", "no_wildcards", nil) end, "string expected, got nil")
      assert.error_matches(function() wild:checkhost() end, "string expected, got no value")
      assert.error_matches(function() wild:checkhost {} end, "string expected, got table")
    end)
  end)

  describe("checkip", function()
    it("compares addresses, not texts", function()
      local rows = {
        { "ip", "127.0.0.1", true }, { "ip", "::1", true }, { "ip", "0:0:0:0:0:0:0:1", true },
        { "ip", "127.0.0.2", false },
        { "ip", "", false }, { "ip", "127.0.0.1\0", false }, { "ip", "127.1", false },
        { "ip", "127.0.0.01", false },
        { "ip", " 127.0.0.1", false }, { "ip", "localhost", false }, { "ip", "[::1]", false },
        { "ip", "::1%lo", false },
        { "ip", "::ffff:127.0.0.1", false }, { "ip", ("1"):rep(2 ^ 20), false }, { "dnsip", "127.0.0.1", false },
        { "altname", "192.0.2.1", true }, { "altname", "2001:DB8::1", true }, { "nosan", "127.0.0.1", false },
        { "ip", 127, false },
      }
      for _, row in ipairs(rows) do
        assert.equal(row[3], load(row[1]):checkip(row[2]), row[1] .. " " .. tostring(row[2]):sub(1, 40))
      end
      assert.error_matches(function() load "ip":checkip() end, "string expected")
      assert.error_matches(function() load "ip":checkip {} end, "string expected")
    end)
  end)

  describe("checkemail", function()
    it("matches mailboxes among the alternative names", function()
      local rows = {
        { "altname", "admin@altname.test", true }, { "altname", "admin@ALTNAME.test", true },
        { "altname", "other@altname.test", false }, { "altname", "", false },
        { "altname", "admin@altname.test\0", false },
        { "altname", "@altname.test", false }, { "altname", ("a"):rep(2 ^ 20), false },
        { "clientA", "client@client.test", true },
        { "nosan", "admin@altname.test", false },
      }
      for _, row in ipairs(rows) do
        assert.equal(row[3], load(row[1]):checkemail(row[2]), row[1] .. " " .. row[2]:sub(1, 40))
      end
      local subject = make { subject = { { "1.2.840.113549.1.9.1", der.str("ia5", "a@b.test") } } }
      assert.equal(false, subject:checkemail "a@b.test")
      assert.error_matches(function() load "altname":checkemail() end, "string expected")
    end)
  end)
end)
