-- The certificate farm: one expected verdict for each chain that a server may send, and the same one whichever way the
-- client comes in: ssl.wrap, ssl.connect, ssl.https. OpenSSL decides; what is tested is that nothing stands in its way
-- and that the failure tells which certificate was refused, and why.

local S = require "support"
local farm = require "farm"
local ssl = S.ssl
local https = require "ssl.https"
local socket = require "socket"
local release = require "release"

-- X509_verify_cert(3): the numbers, with which a program decides, and the texts.
local verdicts = {
  ISSUER = { 2, "unable to get issuer certificate" },
  LOCAL = { 20, "unable to get local issuer certificate" },
  NOTYET = { 9, release.notyet },
  EXPIRED = { 10, "certificate has expired" },
  SIGNATURE = { 7, "certificate signature failure" },
  SELF = { 18, "self-signed certificate" },
  INCHAIN = { 19, "self-signed certificate in certificate chain" },
  REVOKED = { 23, "certificate revoked" },
  NOCRL = { 3, "unable to get certificate CRL" },
  TOOLONG = { 22, "certificate chain too long" },
  PATHLEN = { 25, "path length constraint exceeded" },
  PURPOSE = { 26, "unsuitable certificate purpose" },
  CRITICAL = { 34, "unhandled critical extension" },
  PROXY = { 40, "proxy certificates not allowed, please set the appropriate flag" },
  PERMITTED = { 47, "permitted subtree violation" },
  EXCLUDED = { 48, "excluded subtree violation" },
  HOST = { 62, "hostname mismatch" },
  IP = { 64, "IP address mismatch" },
  WEAKKEY = { 66, "EE certificate key too weak" },
  WEAKCAKEY = { 67, "CA certificate key too weak" },
  WEAKHASH = { 68, "CA signature digest algorithm too weak" },
  NOCA = { 79, "invalid CA certificate" },
}

-- The chain's name; the host asked for; the verdict, none when it is accepted; its depth; what the hint says; settings.
local rows = {
  -- the test PKI's
  { "serverA", "localhost" },
  { "serverA", "SERVER.test" },
  { "serverA", "127.0.0.1" },
  { "serverA", "::1" },
  { "serverA", "other.test", "HOST", 0, "for localhost, server.test, 127.0.0.1, ::1" },
  { "serverA", "127.0.0.2", "IP", 0, "for localhost, server.test, 127.0.0.1, ::1" },
  { "serverA", "::2", "IP", 0, "for localhost" },
  { "chainA", "localhost" },
  { "chainA", "localhost", "ISSUER", 1, "CA above", trust = "interA" }, -- trust begins at a root alone
  { "chainA", "localhost", "LOCAL", 1, nil, trust = "chainA-leaf" },
  { "chainA-leaf", "localhost", "LOCAL", 0, "intermediate certificates" },
  { "serverB", "localhost", "LOCAL", 0, "no trusted CA" },
  { "rsa", "localhost" },
  { "ec384", "localhost" },
  { "ed25519", "localhost" },
  { "rsa1024", "localhost", "WEAKKEY", 0, "too weak" },
  { "sha1", "localhost", "WEAKHASH", 0, "too weak" },
  { "expired", "localhost", "EXPIRED", 0, "renew it" },
  { "notyet", "localhost", "NOTYET", 0, "clock" },
  { "wronghost", "localhost", "HOST", 0, "for other.test" },
  { "selfsigned", "localhost", "SELF", 0, "self%-signed" },
  { "selfsigned", "localhost", trust = "selfsigned" },
  { "selfsigned", "other.test", "HOST", 0, "for localhost, self.test", trust = "selfsigned" },
  { "clientA", "localhost", "PURPOSE", 0, "extended key usage" },
  { "wildcard", "a.wild.test" },
  { "wildcard", "wild.test", "HOST", 0, "%*.wild.test" },
  { "wildcard", "a.b.wild.test", "HOST", 0, "%*.wild.test" },
  { "wildcards", "ww.part.test", "HOST", 0 },
  { "ip", "127.0.0.1" },
  { "ip", "localhost", "HOST", 0, "for 127.0.0.1, ::1" },
  { "dnsip", "127.0.0.1", "IP", 0, "for 127.0.0.1" },
  { "nosan", "localhost", "HOST", 0, "no subject alternative name" },
  { "nosubject", "localhost" },
  { "nul", "localhost", "HOST", 0, "for localhost%?" },
  { "nul", "localhost?.evil.test", "HOST", 0 },
  { "manysan", "host1.many.test" },
  { "manysan", "host1000.many.test" },
  { "manysan", "localhost", "HOST", 0, "%.%.%.$" },
  { "bigserial", "localhost" },
  { "unicode", "localhost" },
  { "bmp", "localhost" },
  { "revoked", "localhost" },
  { "revoked", "localhost", "REVOKED", 0, "revoked", settings = { crlfile = S.cert("crlA") } },
  { "serverA", "localhost", settings = { crlfile = S.cert("crlA") } },
  { "chainA", "localhost", "NOCRL", 0, "no CRL", settings = { crlfile = S.cert("crlA") } },
  { "chainA", "localhost", "NOCRL", 0, "no CRL", settings = { verifyext = "crl_check" } },

  -- one certificate
  { "good", "localhost" },
  { "noeku", "localhost" },
  { "anyeku", "localhost", "PURPOSE", 0, "extended key usage" },
  { "codesigning", "localhost", "PURPOSE", 0, "extended key usage" },
  { "leafca", "localhost" },
  { "critical", "localhost", "CRITICAL", 0 },
  { "uncritical", "localhost" },
  { "proxy", "localhost", "PROXY", 0 },
  { "emptysan", "localhost", "HOST", 0, "no subject alternative name" },
  { "forged", "localhost", "LOCAL", 0 },
  { "broken", "localhost", "SIGNATURE", 0 },
  { "rsapss", "localhost" },

  -- its names
  { "othercn", "localhost", "HOST", 0, "for other.test" },
  { "emailsan", "localhost", "HOST", 0 },
  { "urisan", "localhost", "HOST", 0 },
  { "idn", "xn--bcher-kva.test" },
  { "idn", "www.xn--bcher-kva.test" },
  { "idn", "b\195\188cher.test", "HOST", 0 },
  { "ulabel", "xn--bcher-kva.test", "HOST", 0 },
  { "dotted", "localhost", "HOST", 0 },
  { "dotted", "local.test", "HOST", 0 },
  { "under", "_a.under.test" },
  { "toplevel", "a.test", "HOST", 0 },
  { "toplevel", "localhost", "HOST", 0 },
  { "oddwild", "ab.one.test", "HOST", 0 },
  { "oddwild", "a.b.two.test", "HOST", 0 },
  { "oddwild", "xn--a.three.test", "HOST", 0 },
  { "ips", "10.1.2.3" },
  { "ips", "2001:DB8:0::A" },
  { "ips", "192.0.2.7", "IP", 0 },
  { "ipwild", "127.0.0.1", "IP", 0 },
  { "ipwild", "::1", "IP", 0 },
  { "case", "mixed.CASE.test" },
  { "case", "a.wild.case.test" },

  -- chains
  { "badca", "localhost", "NOCA", 1 },
  { "nobasicca", "localhost", "NOCA", 1 },
  { "v1ca", "localhost", "NOCA", 1 },
  { "nosignca", "localhost", "NOCA", 1 },
  { "clientca", "localhost", "PURPOSE", 1 },
  { "pathlen", "localhost", "PATHLEN", 2 },
  { "pathlenok", "localhost" },
  { "weakca", "localhost", "WEAKCAKEY", 1, "too weak" },
  { "md5", "localhost", "WEAKHASH", 0, "too weak" },
  { "rsasha1", "localhost", "WEAKHASH", 0, "too weak" },
  { "permitted", "www.inside.test" },
  { "permitted", "inside.test" },
  { "notpermitted", "localhost", "PERMITTED", 0 },
  { "mixedpermitted", "www.inside.test", "PERMITTED", 0 },
  { "excluded", "www.secret.inside.test", "EXCLUDED", 0 },
  { "constrainedcn", "www.inside.test" },
  { "constrainedcn", "localhost", "HOST", 0, "for www.inside.test" },
  { "cnonly", "localhost", "HOST", 0, "no subject alternative name" },
  { "ippermitted", "10.1.2.3" },
  { "ipnotpermitted", "127.0.0.1", "PERMITTED", 0 },
  { "long", "localhost" },
  { "long", "localhost", "TOOLONG", 6, "depth", settings = { depth = 5 } },
  { "crossfirst", "localhost" },
  { "crosslast", "localhost", "LOCAL", 1 },
  { "oldroot", "localhost" },
  { "strangers", "localhost" },
  { "loop", "localhost", "LOCAL", 2 },
}

-- The files of a chain of the farm's or the test PKI's.
local function files(dir, made, name)
  local row = made[name]
  if row then return ("%s/%s-chain.pem %s/%skey.pem"):format(dir, name, dir, row[2].key or "leaf") end
  return S.cert(name) .. " " .. S.cert(name:gsub("%-leaf$", "") .. "key")
end

local conf = [[
openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = weak
[weak]
CipherString = ALL:@SECLEVEL=0
]]

-- Starts a server of all chains, which must not refuse weak ones: a table of ports by name, a function that ends it.
local function serve(dir)
  local made, names, lines, ports = {}, {}, {}, {}
  for _, row in ipairs(farm.list) do made[row[1]] = row end
  local function add(name)
    if ports[name] then return end
    ports[name] = true
    names[#names + 1] = name
    lines[#names] = files(dir, made, name)
  end
  for _, row in ipairs(rows) do add(row[1]) end
  for _, row in ipairs(farm.list) do add(row[1]) end
  local list, weak = S.tmpfile(table.concat(lines, "\n") .. "\n"), S.tmpfile(conf)
  local command = ("OPENSSL_CONF=%s %s test/peer/farm_server.lua %s"):format(weak, S.interpreter(), list)
  local child = assert(io.popen(command))
  local last = assert(child:read("*l"), "the server did not start")
  for _, name in ipairs(names) do ports[name] = assert(child:read("*l"), "the server did not start") end
  return ports, function()
    local ender = socket.connect("127.0.0.1", tonumber(last))
    if ender then ender:close() end
    child:close()
    os.remove(list)
    os.remove(weak)
  end
end

local function settings(row, extra)
  local cfg = S.client { servername = row[2], cafile = S.cert(row.trust or "rootA") }
  for _, t in ipairs { row.settings or {}, extra or {} } do
    for k, v in pairs(t) do cfg[k] = v end
  end
  return cfg
end

local function viawrap(row, port, extra)
  local sock = socket.tcp()
  sock:settimeout(5)
  assert(sock:connect("127.0.0.1", port))
  local conn = assert(ssl.wrap(sock, settings(row, extra)))
  conn:settimeout(5)
  local ok, message, detail = conn:dohandshake()
  if ok then
    assert.is_true(conn:getpeerverification())
  elseif detail.kind == "verify" then
    assert.same({ false, detail.reason }, { conn:getpeerverification() })
    assert.matches("^%-%-%-%-%-BEGIN", conn:getpeerchain()[1]:pem())
  end
  conn:close()
  return ok, message, detail
end

local doors = {
  { "ssl.wrap", viawrap },
  { "ssl.wrap with TLS 1.2", function(row, port) return viawrap(row, port, { protocol = "tlsv1_2" }) end },
  { "ssl.connect", function(row, port)
    local conn, message, detail = ssl.connect("127.0.0.1", port, settings(row, { timeout = 5 }))
    if not conn then return false, message, detail end
    conn:close()
    return true
  end },
}

local function judge(row, ok, message, detail)
  local verdict = verdicts[row[3]]
  if not verdict then return assert.is_true(ok, tostring(detail and detail.reason or message)) end
  assert.is_false(ok)
  assert.equal("certificate verify failed", message)
  assert.same({ "verify", verdict[1], verdict[2], row[4] }, { detail.kind, detail.code, detail.reason, detail.depth })
  if row[5] then assert.matches(row[5], detail.hint) end
  if row[3] == "HOST" then assert.equal(row[2], detail.host) end
  assert.is_string(detail.subject)
end

describe("the certificate farm", function()
  local dir, ports, stop

  setup(function()
    dir = farm.make(farm.list, farm.cas)
    ports, stop = serve(dir)
  end)
  teardown(function()
    stop()
    farm.remove(dir)
  end)

  for i, row in ipairs(rows) do
    local what = ("row %d: %s as %s: %s"):format(i, row[1], row[2], row[3] or "accepted")
    for _, door in ipairs(doors) do
      it(door[1] .. ", " .. what, function() judge(row, door[2](row, ports[row[1]])) end)
    end

    it("ssl.https, " .. what, function()
      local request = settings(row, { url = "https://127.0.0.1:" .. ports[row[1]] .. "/" })
      local ok, code = https.request(request)
      if row[3] then return assert.same({ nil, "certificate verify failed" }, { ok, code }) end
      assert.same({ 1, 200 }, { ok, code })
    end)
  end

  it("refuses names that nobody can read", function()
    for _, door in ipairs(doors) do assert.is_false((door[2]({ "badsan", "localhost" }, ports.badsan))) end
  end)

  it("ends at a chain that is larger than anybody needs", function()
    for _, door in ipairs(doors) do
      local ok, message, detail = door[2]({ "huge", "localhost" }, ports.huge)
      assert.same({ false, "excessive message size", "protocol" }, { ok, message, detail.kind })
    end
  end)
end)
