-- ssl.selfsigned: what the certificates say, who accepts them, and what it refuses.

local S = require "support"
local ssl = S.ssl

local kinds = { ec = "id-ecPublicKey", rsa = "rsaEncryption", ed25519 = "ED25519" }

-- Handshakes a verifying client that trusts `ca` with a server that has this pair.
local function meet(cert, key, ca, name, extra)
  local cfg = S.client { cafile = S.NONE, cadata = ca, servername = name }
  for k, v in pairs(extra or {}) do cfg[k] = v end
  return S.try(cfg, S.server { certificate = cert, key = key })
end

describe("ssl.selfsigned", function()
  it("is for localhost, a year and EC when nothing is said", function()
    for _, pair in ipairs { { ssl.selfsigned() }, { ssl.selfsigned {} },
      { ssl.selfsigned { names = false, days = false, key = false } } } do
      local cert = ssl.loadcertificate(pair[1])
      assert.equal("localhost", cert:subject()[1].value)
      assert.equal("commonName", cert:subject()[1].name)
      assert.same(cert:subject(), cert:issuer())
      assert.is_true(ssl.checkhostname(cert, "localhost"))
      assert.is_false(ssl.checkhostname(cert, "127.0.0.1"))
      local now = os.time()
      assert.is_true(math.abs(cert:notaftertime() - now - 365 * 86400) < 60)
      assert.is_true(cert:notbeforetime() <= now and cert:notbeforetime() > now - 2 * 3600)
      assert.equal("EC", (select(2, cert:pubkey())))
      assert.matches("^%-%-%-%-%-BEGIN PRIVATE KEY%-%-%-%-%-\n", pair[2])
      assert.equal(2, #pair)
    end
  end)

  for kind, algorithm in pairs(kinds) do
    it("makes a pair of kind " .. kind .. " that openssl reads and a verifying client accepts", function()
      local cert, key = ssl.selfsigned { key = kind, names = { "one.test", "*.two.test", "127.0.0.1", "2001:db8::1" } }
      local path = S.tmpfile(cert .. key)
      local p = io.popen(("openssl x509 -in %s -noout -text; openssl pkey -in %s -noout -check 2>&1; openssl verify "
        .. "-x509_strict -CAfile %s %s 2>&1"):format(path, path, path, path))
      local text = p:read("*a")
      p:close()
      os.remove(path)
      assert.truthy(text:find("Public Key Algorithm: " .. algorithm, 1, true))
      assert.truthy(text:find("DNS:one.test, DNS:*.two.test, IP Address:127.0.0.1, IP Address:2001:DB8:0:0:0:0:0:1",
        1, true))
      assert.truthy(text:find("Version: 3", 1, true))
      assert.truthy(text:find("CA:FALSE", 1, true))
      assert.truthy(text:find("Key is valid", 1, true))
      assert.truthy(text:find(path .. ": OK", 1, true))
      for _, name in ipairs { "one.test", "a.two.test", "127.0.0.1", "2001:db8::1" } do
        local cr, sr = meet(cert, key, cert, name)
        assert.is_nil(cr[2])
        assert.is_true(cr[1] and sr[1])
      end
      for _, name in ipairs { "two.test", "other.test", "127.0.0.2" } do
        local cr = meet(cert, key, cert, name)
        assert.equal("certificate verify failed", cr[2])
        assert.equal("verify", cr[3].kind)
      end
    end)
  end

  it("is accepted by nobody who was not told it", function()
    local cert, key = ssl.selfsigned()
    local other = ssl.selfsigned()
    for _, ca in ipairs { other, S.pem("rootA") } do
      local cr = meet(cert, key, ca, "localhost")
      assert.equal("certificate verify failed", cr[2])
    end
  end)

  it("serves a client's side too", function()
    local cert, key = ssl.selfsigned { names = { "client" } }
    local clientcfg = S.client { certificate = cert, key = key }
    local serverof = function(ca)
      return S.server { verify = { "peer", "fail_if_no_peer_cert" }, cadata = ca }
    end
    local cr, sr = S.try(clientcfg, serverof(cert))
    assert.is_true(cr[1] and sr[1])
    cr, sr = S.try(clientcfg, serverof((ssl.selfsigned())))
    assert.is_false(sr[1])
    assert.equal("certificate verify failed", sr[2])
    assert.is_table(cr)
  end)

  it("never repeats a serial number or a key", function()
    local seen = {}
    for _ = 1, 20 do
      local cert, key = ssl.selfsigned()
      local serial = ssl.loadcertificate(cert):serial()
      assert.is_nil(seen[serial])
      assert.is_nil(seen[key])
      seen[serial], seen[key] = true, true
      assert.is_true(#serial >= 24 and #serial <= 34)
    end
  end)

  it("takes up to a million days", function()
    local now = os.time()
    for _, days in ipairs { 1, 36500, 1000000 } do
      local cert = ssl.loadcertificate((ssl.selfsigned { days = days }))
      assert.is_true(math.abs(cert:notaftertime() - now - days * 86400) < 60)
    end
  end)

  it("leaves a name that is too long out of the subject", function()
    local long = ("a"):rep(60) .. ".test"
    local cert, key = ssl.selfsigned { names = { long } }
    assert.same({}, ssl.loadcertificate(cert):subject())
    local cr = meet(cert, key, cert, long)
    assert.is_nil(cr[2])
    assert.is_true(cr[1])
    cert = ssl.selfsigned { names = { ("a"):rep(59) .. ".test" } }
    assert.equal(1, #ssl.loadcertificate(cert):subject())
  end)

  it("takes many names", function()
    local names = {}
    for i = 1, 1000 do names[i] = "host" .. i .. ".test" end
    local cert = ssl.loadcertificate((ssl.selfsigned { names = names }))
    assert.is_true(ssl.checkhostname(cert, "host1000.test"))
    assert.is_false(ssl.checkhostname(cert, "host1001.test"))
  end)

  it("raises for what makes no sense, naming the field", function()
    local function raises(text, options) S.raises(text, ssl.selfsigned, options) end
    for _, wrong in ipairs { 5, "x", true, print } do raises("table expected", wrong) end
    for _, wrong in ipairs { 5, "localhost", true, {}, { a = "localhost" } } do
      raises("names: array of names expected", { names = wrong })
    end
    for _, wrong in ipairs { { 5 }, { {} }, { "localhost", true } } do
      raises("names: array of strings expected", { names = wrong })
    end
    for _, wrong in ipairs { "", ".", "a b", "a\0b", "a\nb", ".a", "a.", "b\195\188cher.test", "a/b", "a:b",
      "1.2.3.4/8", ("a"):rep(254), "a,DNS:b" } do
      raises("is neither a DNS name in ASCII nor an IP address", { names = { "localhost", wrong } })
    end
    for _, wrong in ipairs { 0, -1, 1.5, 1000001, 1 / 0, -1 / 0, 0 / 0, "30", {}, true } do
      raises("days: whole number", { days = wrong })
    end
    for _, wrong in ipairs { "", "dsa", "EC", 5, {}, true, "ec\0" } do
      raises("key: ec, rsa or ed25519 expected", { key = wrong })
    end
    raises("unknown field 'name'", { name = "localhost" })
    raises("unknown field '1'", { "localhost" })
  end)
end)
