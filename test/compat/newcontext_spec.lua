-- ssl.newcontext: every settings key that needs no handshake to show its effect, the order in which they are read,
-- and the words of every refusal. Keys with a spec of their own: alpn, psk, dane; verify and verifyext in verify_spec.

local T = require "compat.tools"
local support = require "support"
local ssl = require "ssl"

local pack, cert = support.pack, support.cert
local NONE = support.NONE

local function client(extra) return pack(ssl.newcontext(support.anyclient(extra))) end
local function server(extra) return pack(ssl.newcontext(support.server(extra))) end

local function accepted(r)
  if type(r[1]) ~= "userdata" then error("refused: " .. T.show(r), 2) end
  assert.is_truthy(tostring(r[1]):find("^SSL context: 0x%x+"))
  return r[1]
end

describe("compat newcontext", function()
  it("returns one userdata", function() assert.equal(1, pack(ssl.newcontext(support.anyclient())).n) end)

  it("raises for settings that are no table", function()
    for _, v in ipairs { 1, true, print } do assert.is_false((pcall(ssl.newcontext, v))) end
    assert.is_false((pcall(ssl.newcontext)))
  end)

  it("leaves the settings as they were", function()
    local cfg = support.server { verify = { "peer" }, options = { "all", "no_ticket" }, depth = 3,
      cafile = cert "rootA", alpn = { "h2" } }
    local before = {}
    for k, v in pairs(cfg) do before[k] = v end
    accepted(pack(ssl.newcontext(cfg)))
    assert.same(before, cfg)
    assert.same({ "peer" }, cfg.verify)
    assert.same({ "all", "no_ticket" }, cfg.options)
  end)

  it("reads settings through __index", function()
    accepted(pack(ssl.newcontext(setmetatable({}, { __index = support.server() }))))
  end)

  it("ignores keys it cannot know", function()
    accepted(client { quite_another_thing = 1, [1] = "x", [true] = false, ["user.data"] = {} })
  end)
end)

describe("compat newcontext protocol", function()
  for _, name in ipairs { "any", "sslv23", "tlsv1", "tlsv1_1", "tlsv1_2", "tlsv1_3" } do
    it("takes " .. name .. " on both sides", function()
      accepted(client { protocol = name })
      accepted(server { protocol = name })
    end)
  end

  for _, name in ipairs { "foo", "sslv3", "sslv2", "TLSV1_2", "tlsv1_4", "" } do
    it("refuses '" .. name .. "' by its name", function()
      T.begins(client { protocol = name }, nil, "invalid protocol (" .. name .. ")")
    end)
  end

  it("takes a number as a string, and refuses it", function()
    T.begins(client { protocol = 12 }, nil, "invalid protocol (12)")
  end)

  it("is mandatory and a string", function()
    T.raises("bad argument #1.*string expected", client, { protocol = NONE })
    T.raises("bad argument #1.*string expected", client, { protocol = {} })
    T.raises("bad argument #1.*string expected", client, { protocol = false })
  end)
end)

describe("compat newcontext mode", function()
  it("is mandatory and a string", function()
    T.raises("bad argument #2.*string expected", client, { mode = NONE })
    T.raises("bad argument #2.*string expected", client, { mode = {} })
  end)

  it("refuses an unknown mode by its name", function()
    T.begins(client { mode = "foo" }, nil, "invalid mode (foo)")
    T.begins(client { mode = "CLIENT" }, nil, "invalid mode (CLIENT)")
  end)
end)

describe("compat newcontext certificate and key", function()
  before_each(T.clear)

  it("take a chain, a lone certificate and a lone key", function()
    accepted(server { certificate = cert "chainA", key = cert "chainAkey" })
    accepted(server { key = NONE })
    accepted(server { certificate = NONE })
  end)

  it("refuse a pair that does not match", function()
    T.begins(server { key = cert "clientAkey" }, nil, "private key does not match public key")
  end)

  local kinds = { { "certificate", "certificate", "serverAkey.der" }, { "key", "private key", "serverA.der" } }
  for _, kind in ipairs(kinds) do
    local key, word, other = kind[1], kind[2], kind[3]
    local prefix = "^error loading " .. word .. " %("

    it("report a missing " .. key .. " in the system's words", function()
      T.begins(server { [key] = cert "nowhere" }, nil, "error loading " .. word .. " (No such file or directory)")
    end)

    it("report a " .. key .. " that is no PEM", function()
      for _, name in ipairs { "junk", "empty", "cut", "badbase64", other } do
        T.failed(server { [key] = cert(name) }, nil, prefix .. ".+%)$")
      end
    end)

    it("report a directory as " .. key, function()
      T.failed(server { [key] = support.certdir }, nil, prefix .. ".+%)$")
    end)

    it("raise for a " .. key .. " of a wrong type", function()
      T.raises("bad argument #2", server, { [key] = {} })
      T.raises("bad argument #2", server, { [key] = true })
    end)
  end

  it("say 'no start line' for a certificate file without one", function()
    T.begins(server { certificate = cert "junk" }, nil, "error loading certificate (no start line)")
  end)

  it("report no stale error of an earlier call", function()
    client { cafile = cert "junk" }
    client { certificate = cert "junk" }
    T.begins(client { ciphers = "nosuchcipher" }, nil, "error setting cipher list (no cipher match)")
  end)

  it("load the key before the certificate", function()
    T.failed(server { key = cert "nowhere", certificate = cert "nowhere" }, nil, "^error loading private key")
  end)

  it("take falsy values as absent", function() accepted(server { certificate = false, key = false }) end)
end)

describe("compat newcontext password", function()
  before_each(T.clear)

  local function encrypted(password, name)
    return server { key = cert(name or "serverAkey-encrypted"), password = password }
  end

  it("opens a key as a string", function()
    accepted(encrypted "secret")
    accepted(server { certificate = cert "rsa", key = cert "rsakey-legacy", password = "secret" })
  end)

  it("opens a key as a function, called without arguments", function()
    local calls, n = 0, nil
    accepted(encrypted(function(...)
      calls, n = calls + 1, select("#", ...)
      return "secret"
    end))
    assert.equal(1, calls)
    assert.equal(0, n)
  end)

  it("is refused with 'bad decrypt' when wrong", function()
    T.begins(encrypted "wrong", nil, "error loading private key (bad decrypt)")
    T.clear()
    T.begins(encrypted(function() return "wrong" end), nil, "error loading private key (bad decrypt)")
  end)

  it("is an empty password when the function returns no string", function()
    T.failed(encrypted(function() return nil end), nil, "^error loading private key %(")
    T.failed(encrypted(function() return {} end), nil, "^error loading private key %(")
  end)

  it("is not asked for a key that is not encrypted", function()
    accepted(server { password = function() error("asked") end })
    accepted(server { password = "unused" })
  end)

  it("is refused when it is neither string nor function", function()
    T.begins(encrypted {}, nil, "invalid password type")
    T.begins(encrypted(true), nil, "invalid password type")
    T.begins(server { password = 12 }, nil, "invalid password type")
  end)

  it("counts as none when false", function() accepted(server { password = false }) end)

  it("is looked at only when there is a key", function() accepted(client { password = {} }) end)

  it("of a key that needs one is an error when absent, without asking the terminal", function()
    T.failed(encrypted(nil), nil, "^error loading private key %(")
  end)

  it("of 2000 bytes is refused, not an overflow", function()
    T.failed(encrypted(("x"):rep(2000)), nil, "^error loading private key %(")
    T.failed(encrypted(function() return ("x"):rep(1024 * 1024) end), nil, "^error loading private key %(")
  end)

  it("function that raises fails the call and names itself", function()
    local r = encrypted(function() error("no keyring today") end)
    local msg = T.failed(r, nil, "^error loading private key %(")
    assert.is_truthy(msg:find("password", 1, true))
    assert.is_truthy(msg:find("no keyring today", 1, true))
  end)

  it("function that yields fails the call instead of crossing C", function()
    local r
    local thread = coroutine.create(function() r = encrypted(function() coroutine.yield() end) end)
    assert.is_true((coroutine.resume(thread)))
    assert.equal("dead", coroutine.status(thread))
    T.failed(r, nil, "^error loading private key %(")
  end)
end)

describe("compat newcontext certificates", function()
  local function pair(name) return { certificate = cert(name), key = cert(name .. "key") } end

  it("takes several pairs of different kinds", function()
    accepted(server { certificates = { pair "rsa", pair "serverA" } })
  end)

  it("replaces the top-level keys", function()
    accepted(server { certificate = cert "nowhere", key = cert "nowhere", certificates = { pair "rsa" } })
    accepted(server { certificate = cert "nowhere", key = cert "nowhere", certificates = {} })
  end)

  it("checks each pair", function()
    T.begins(server { certificates = { pair "rsa", { certificate = cert "serverA", key = cert "clientAkey" } } }, nil,
      "private key does not match public key")
  end)

  it("takes a password in each entry", function()
    local entry = { certificate = cert "serverA", key = cert "serverAkey-encrypted", password = "secret" }
    accepted(server { certificates = { entry } })
    entry.password = "wrong"
    T.failed(server { certificates = { entry } }, nil, "^error loading private key %(")
  end)
end)

describe("compat newcontext cafile and capath", function()
  before_each(T.clear)

  it("take a file, a directory, both", function()
    accepted(client { cafile = cert "rootA" })
    accepted(client { capath = cert "capath" })
    accepted(client { cafile = cert "bundleAB", capath = cert "capath" })
  end)

  it("report a missing file in the system's words", function()
    T.begins(client { cafile = cert "nowhere" }, nil, "error loading CA locations (No such file or directory)")
  end)

  it("report a file without certificates", function()
    T.begins(client { cafile = cert "junk" }, nil, "error loading CA locations (no certificate or crl found)")
    T.failed(client { cafile = cert "empty" }, nil, "^error loading CA locations %(.+%)$")
  end)

  it("take a directory that does not exist", function() accepted(client { capath = cert "nowhere/at/all" }) end)

  it("raise for a wrong type", function() T.raises("bad argument #2", client, { cafile = {} }) end)
end)

describe("compat newcontext ciphers", function()
  before_each(T.clear)

  it("take a list, unknown members beside a known one", function()
    accepted(client { ciphers = "HIGH" })
    accepted(client { ciphers = "nosuchcipher:ECDHE-RSA-AES128-GCM-SHA256" })
  end)

  it("refuse a list without any known member", function()
    T.begins(client { ciphers = "nosuchcipher" }, nil, "error setting cipher list (no cipher match)")
    T.failed(client { ciphers = "" }, nil, "^error setting cipher list %(.+%)$")
  end)

  it("raise for a table", function() T.raises("bad argument #2.*string expected", client, { ciphers = { "HIGH" } }) end)

  it("of TLS 1.3 are ciphersuites", function()
    accepted(client { ciphersuites = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256" })
    accepted(client { ciphersuites = "" })
    T.failed(client { ciphersuites = "nosuchsuite" }, nil, "^error setting cipher list %(.+%)$")
    T.raises("bad argument #2.*string expected", client, { ciphersuites = {} })
  end)
end)

describe("compat newcontext options", function()
  it("take one name or an array of names", function()
    accepted(client { options = "all" })
    accepted(client { options = { "all", "no_sslv2", "no_sslv3", "no_tlsv1", "no_ticket" } })
    accepted(client { options = {} })
  end)

  it("refuse an unknown name, alone or among others", function()
    T.begins(client { options = "nosuchoption" }, nil, "invalid option (nosuchoption)")
    T.begins(client { options = { "all", "NO_SSLV3" } }, nil, "invalid option (NO_SSLV3)")
    T.begins(client { options = { "all", "" } }, nil, "invalid option ()")
  end)

  it("raise for an array with something else than strings", function()
    T.raises("bad argument", client, { options = { "all", {} } })
  end)
end)

describe("compat newcontext depth", function()
  it("takes an integer, a numeric string too", function()
    accepted(client { depth = 5 })
    accepted(client { depth = "5" })
    accepted(client { depth = 0 })
  end)

  it("raises for anything else", function()
    T.raises("bad argument #2.*number expected", client, { depth = "five" })
    T.raises("bad argument #2.*number expected", client, { depth = {} })
  end)
end)

describe("compat newcontext dhparam", function()
  it("takes a function, not called yet", function()
    accepted(server { dhparam = function() error("called") end })
  end)

  it("refuses anything else", function()
    T.begins(server { dhparam = "text" }, nil, "invalid DH parameter type")
    T.begins(server { dhparam = {} }, nil, "invalid DH parameter type")
  end)
end)

describe("compat newcontext curves", function()
  it("take a list", function()
    accepted(client { curveslist = "X25519:P-256" })
    accepted(client { curveslist = "P-384" })
  end)

  it("refuse a list with an unknown name", function()
    T.begins(client { curveslist = "nosuchcurve" }, nil, 'unknown elliptic curve in "nosuchcurve"')
    T.begins(client { curveslist = "P-256:x" }, nil, 'unknown elliptic curve in "P-256:x"')
  end)

  it("take one curve of config.curves", function()
    accepted(client { curve = "prime256v1" })
    accepted(client { curve = "secp384r1" })
    accepted(server { curve = "P-256" })
  end)

  it("take X25519 as the one curve", function() accepted(client { curve = "X25519" }) end)

  it("refuse an unknown curve by its name", function()
    T.begins(client { curve = "nosuchcurve" }, nil, "elliptic curve 'nosuchcurve' not supported")
    T.begins(client { curve = "P-256:P-384" }, nil, "elliptic curve 'P-256:P-384' not supported")
  end)

  it("do not look at curve beside curveslist", function()
    accepted(client { curveslist = "P-256", curve = "nosuchcurve" })
  end)
end)

describe("compat newcontext order", function()
  -- Each row spoils one key; with all rows from i on spoilt, the message must be row i's.
  local rows = {
    { "protocol", "foo", "invalid protocol" },
    { "key", "nowhere", "error loading private key" },
    { "certificate", "nowhere", "error loading certificate" },
    { "cafile", "nowhere", "error loading CA locations" },
    { "ciphers", "nosuchcipher", "error setting cipher list" },
    { "verify", "foo", "invalid verify option %(foo%)" },
    { "options", "foo", "invalid option %(foo%)" },
    { "dhparam", 12, "invalid DH parameter type" },
    { "curve", "foo", "elliptic curve 'foo' not supported" },
    { "verifyext", "bar", "invalid verify option %(bar%)" },
    { "alpn", 12, "invalid ALPN parameter" },
  }

  it("is LuaSec's: the first bad key is the one reported", function()
    for i, row in ipairs(rows) do
      local spoilt = {}
      for j = i, #rows do spoilt[rows[j][1]] = rows[j][2] end
      T.failed(server(spoilt), nil, "^" .. row[3])
    end
  end)
end)
