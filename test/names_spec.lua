-- Which names a certificate is for: RFC 9525 by OpenSSL's matcher, the same verdict by every way to ask: the handshake
-- (verifyname), ssl.checkhostname, cert:checkhost and cert:checkip.

local S = require "support"
local der = require "der"
local farm = require "farm"
local ssl = S.ssl

local function dns(name) return der.general(2, name) end
local function ip(bytes) return der.general(7, bytes) end
local function ips(...) return ip(string.char(...)) end

-- Names of a certificate (DNS names as strings), hosts that it is for, hosts that it is not for.
local groups = {
  { { "www.example.test" },
    { "www.example.test", "WWW.EXAMPLE.TEST", "wWw.ExAmPlE.tEsT", "www.example.test." },
    { "", ".", "*", "example.test", "ww.example.test", "wwww.example.test", "www.example.tes", "www.example", "www",
      "www.example.test.evil.test", "a.www.example.test", ".www.example.test", "..www.example.test",
      "www.example.test..", "www..example.test", " www.example.test", "www.example.test ", "www.example.test\n",
      "www.example.test\0", "www.example.test\0.evil.test", "\0www.example.test", "\0", "www-example.test",
      "*.example.test", "www.example.test:443", "user@www.example.test", "https://www.example.test",
      "www.example.test/", "www.example.test,evil.test", "%77ww.example.test", "www\\.example\\.test",
      "\239\189\151ww.example.test", "www\227\128\130example.test", ("a"):rep(2 ^ 20) } },
  { { "*.example.test" },
    { "a.example.test", "A.EXAMPLE.TEST", "1.example.test", "a-b.example.test", "www.example.test.",
      "xn--bcher-kva.example.test", ("a"):rep(63) .. ".example.test" },
    { "example.test", ".example.test", "a.b.example.test", "a.b.c.example.test", "a..example.test", "a.example",
      "a.example.test.evil.test", "a.examples.test", "aexample.test", "a b.example.test", "a/b.example.test",
      "b\195\188cher.example.test", "a.example.test..", "a:b.example.test",
      -- The matcher's wildcard stands for letters, digits and hyphens alone.
      "a_b.example.test" } },
  { { "*.a.example.test", "b.example.test" },
    { "x.a.example.test", "b.example.test" },
    { "a.example.test", "x.b.example.test", "x.example.test" } },
  { { "*.test" }, {}, { "a.test", "test", "a.b.test", "localhost" } },
  { { "*" }, {}, { "a", "localhost", "a.test" } },
  { { "*.", "*..test", ".*.example.test", "*" }, {}, { "a.", "a..test", "x.a.example.test", "a" } },
  { { "w*.example.test" }, {}, { "www.example.test", "w.example.test", "wx.example.test" } },
  { { "*w.example.test" }, {}, { "www.example.test", "w.example.test", "xw.example.test" } },
  { { "w*w.example.test" }, {}, { "www.example.test", "ww.example.test", "wxw.example.test" } },
  { { "*www.example.test", "www*.example.test" }, {}, { "www.example.test", "awww.example.test" } },
  { { "www.*.test", "www.*.example.test", "www.example.*" }, {},
    { "www.example.test", "www.a.example.test", "www.a.test", "www.example.org" } },
  { { "*.*.example.test", "**.example.test", "*.a.*.test" }, {},
    { "a.b.example.test", "ab.example.test", "x.a.y.test", "a.example.test" } },
  { { "xn--*.example.test", "xn--b*.example.test", "*-kva.example.test" }, {},
    { "xn--bcher-kva.example.test", "xn--b.example.test" } },
  { { " *.example.test", "* .example.test", "*.example.test " }, {}, { "a.example.test", " a.example.test" } },
  { { "*example.test", "*.", "*..", "" }, {}, { "example.test", "aexample.test", "" } },
  { { "xn--bcher-kva.test" }, { "xn--bcher-kva.test", "XN--BCHER-KVA.test" },
    { "b\195\188cher.test", "bucher.test", "xn--bcher-kv.test" } },
  { { "b\195\188cher.test" }, {}, { "xn--bcher-kva.test", "B\195\156CHER.test", "bucher.test" } },
  { { "_sip.example.test", "a_b.example.test" }, { "_sip.example.test", "A_B.example.test" },
    { "sip.example.test", "ab.example.test" } },
  { { "www.example.test." }, {}, { "www.example.test", "www.example.test." } },
  { { ".example.test" }, {}, { "example.test", "a.example.test", ".example.test" } },
  { { "www.example.test\0.evil.test" }, {},
    { "www.example.test", "www.example.test\0.evil.test", "www.example.test.evil.test" } },
  { { "evil.test\0www.example.test" }, {}, { "www.example.test", "evil.test" } },
  { { "localhost" }, { "localhost", "LocalHost", "localhost." },
    { "localhos", "localhost.localdomain", "localhost.test", "127.0.0.1", "::1" } },
  { { "123.example.test", "1.2.3.test" }, { "123.example.test", "1.2.3.test" }, { "1.2.3.4" } },
  { { ("a"):rep(63) .. "." .. ("b"):rep(63) .. ".test" }, { ("a"):rep(63) .. "." .. ("B"):rep(63) .. ".test" },
    { ("a"):rep(64) .. "." .. ("b"):rep(63) .. ".test", ("a"):rep(63) .. "." .. ("b"):rep(62) .. ".test" } },
  { { "user@example.test" }, {}, { "example.test" } },

  -- addresses
  { { ips(127, 0, 0, 1) }, { "127.0.0.1" },
    { "127.0.0.2", "127.1", "127.0.1", "127.0.0.01", "0127.0.0.1", "0x7f.0.0.1", "0x7f000001", "2130706433", "127.0.0",
      "127.0.0.256", "127.0.0.1.", "127.0.0.1..", " 127.0.0.1", "127.0.0.1 ", "127.0.0.1\0", "127.0.0.1:443",
      "127.0.0.1/32", "+127.0.0.1", "::ffff:127.0.0.1", "::7f00:1", "localhost", "1.0.0.127.in-addr.arpa" } },
  { { ip("\32\1\13\184" .. ("\0"):rep(11) .. "\1") },
    { "2001:db8::1", "2001:DB8::1", "2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8:0:0::1",
      "2001:db8::0:0.0.0.1" },
    { "2001:db8::2", "[2001:db8::1]", "2001:db8::1%lo", "2001:db8:::1", "2001:db8::1::", "2001:db8::1/128",
      " 2001:db8::1", "2001:db8::1.", "2001:db8::1\0", "02001:db8::1", "2001:db8::10", "1::2001:db8", "::1" } },
  { { ip(("\0"):rep(15) .. "\1") }, { "::1", "0:0:0:0:0:0:0:1", "::0.0.0.1" }, { "::", "1", "::1%1", "0.0.0.1" } },
  { { ip(("\0"):rep(10) .. "\255\255\192\0\2\7") }, { "::ffff:192.0.2.7", "::FFFF:C000:207" },
    { "192.0.2.7", "::192.0.2.7" } },
  { { "127.0.0.1", "*.0.0.1", "127.0.0.*", "::1", "2001:db8::1" }, {},
    { "127.0.0.1", "127.0.0.1.", "::1", "2001:db8::1", "2001:db8:0::1" } },
  { { ip "127.0.0.1", ip "", ips(127, 0, 0, 1, 255), ips(127, 0, 0, 1, 255, 0, 0, 0) }, {},
    { "127.0.0.1", "127.0.0.255" } },

  -- what is no DNS name and no address
  { { der.general(1, "www.example.test"), der.general(6, "https://www.example.test/"),
      der.general(4, der.name { { "2.5.4.3", der.str("utf8", "www.example.test") } }),
      der.other("1.3.6.1.5.5.7.8.7", der.str("ia5", "_https.www.example.test")) }, {},
    { "www.example.test", "https://www.example.test/", "_https.www.example.test" } },
  { { "other.test", subject = "/CN=www.example.test" }, { "other.test" }, { "www.example.test" } },
  { { subject = "/CN=www.example.test" }, {}, { "www.example.test" } },
  { { subject = "/CN=127.0.0.1" }, {}, { "127.0.0.1" } },
  { { der.general(1, "a@b.test"), subject = "/CN=www.example.test" }, {}, { "www.example.test", "b.test" } },
  { { subject = "/emailAddress=root@www.example.test/CN=*.example.test" }, {}, { "www.example.test" } },
}

-- The certificates, for farm.make.
local function made()
  local list = {}
  for i, group in ipairs(groups) do
    local names = {}
    for j, name in ipairs(group[1]) do names[j] = name:byte(1) and name:byte(1) >= 128 and name or dns(name) end
    local san = names[1] and farm.rawsan(S.unpack(names)) or nil
    list[i] = { "names" .. i, { by = "rootA", subject = group[1].subject, ext = { "basicConstraints=CA:FALSE", san } } }
  end
  return list
end

describe("the names of a certificate", function()
  local dir
  setup(function() dir = farm.make(made(), {}) end)
  teardown(function() farm.remove(dir) end)

  local function shaken(i, host)
    local chain, key = ("%s/names%d-chain.pem"):format(dir, i), dir .. "/leafkey.pem"
    local ctx, message = ssl.newcontext(S.client { verifyname = host })
    if not ctx then
      assert.matches("^invalid host name %(", message)
      return false
    end
    local r = S.try(ctx, S.server { certificate = chain, key = key })
    if not r[1] then
      assert.equal("certificate verify failed", r[2])
      assert.matches(" mismatch$", r[3].reason)
    end
    return r[1]
  end

  local function check(i, host, expected)
    local cert = assert(ssl.loadcertificate(S.read(("%s/names%d.pem"):format(dir, i))))
    assert.equal(expected, ssl.checkhostname(cert, host), "ssl.checkhostname")
    assert.equal(expected, cert:checkhost(host) or cert:checkip(host), "cert:checkhost, checkip")
    assert.equal(expected, cert:checkhost(host, "never_check_subject", "no_partial_wildcards") or cert:checkip(host))
    assert.equal(expected, shaken(i, host), "handshake")
  end

  local rows = 0
  for i, group in ipairs(groups) do
    for kind, hosts in ipairs { group[2], group[3] } do
      for _, host in ipairs(hosts) do
        rows = rows + 1
        local pattern = tostring(group[1][1] or group[1].subject)
        local what = ("%s %s %s"):format(pattern, kind == 1 and "is for" or "is not for", host:sub(1, 70))
        it(("row %d: %s"):format(rows, (what:gsub("[%z\1-\31\127-\255]", "?"))), function()
          check(i, host, kind == 1)
        end)
      end
    end
  end

  it("are asked by very many rows", function() assert.is_true(rows >= 120, rows) end)
end)
