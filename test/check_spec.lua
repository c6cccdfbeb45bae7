-- Every key of the settings with values that are right, of a wrong type, and nearly right. The rows of ssl.options
-- decide what is tested: a new row without values here fails.

local S = require "support"
local check = require "ssl.check"
local options = require "ssl.options"
local ssl = S.ssl

local function cert(name) return S.cert(name) end
local ctx = assert(ssl.newcontext { mode = "client", protocol = "any" })
local function f() end

-- An error that is raised and not returned, in the words of luaL_argerror.
local function raises(text) return { raises = text } end

-- name -> mode (client unless given), with (settings that it needs), good (array), bad: value -> what newcontext says.
-- The bad values of LuaSec's own keys are answered in LuaSec's words.
local rows = {
  protocol = { good = { "any", "sslv23", "tlsv1_2", "tlsv1_3", "tlsv1_2+" }, bad = {
    { "tlsv1_4", "invalid protocol (tlsv1_4)" }, { "TLSv1_2", "invalid protocol (TLSv1_2)" },
    { "", "invalid protocol ()" }, { "tlsv1_2 +", "invalid protocol (tlsv1_2 +)" },
    { true, raises "string expected, got boolean" }, { f, raises "string expected, got function" } } },
  mode = { good = { "client", "server" }, bad = {
    { "Client", "invalid mode (Client)" }, { "server ", "invalid mode (server )" }, { "", "invalid mode ()" },
    { {}, raises "string expected, got table" } } },
  certificates = { mode = "server", good = { {}, { { certificate = cert "serverA", key = cert "serverAkey" } } },
    bad = {
    { 5, "invalid certificates (array of tables expected, got number)" },
    { true, "invalid certificates (array of tables expected, got boolean)" },
    { cert "serverA", "invalid certificates (array of tables expected, got string)" },
    { { cert "serverA" }, "invalid certificates[1] (table expected, got string)" },
    { { {}, 5 }, "invalid certificates[2] (table expected, got number)" },
    { { { key = "/nowhere" } }, "error loading private key (No such file or directory)" },
    { { { key = cert "serverAkey", password = 5 } }, "invalid password type" },
    { { { pkcs12 = "x" } }, "invalid pkcs12 (table expected, got string)" } } },
  key = { mode = "server", good = { cert "serverAkey", S.pem "serverAkey" }, bad = {
    { "/nowhere", "error loading private key (No such file or directory)" },
    { {}, raises "string expected, got table" } } },
  certificate = { mode = "server", good = { cert "serverA", S.pem "serverA" }, bad = {
    { "/nowhere", "error loading certificate (No such file or directory)" },
    { f, raises "string expected, got function" } } },
  password = { mode = "server", with = { key = cert "serverAkey-encrypted" }, good = { "secret",
    function() return "secret" end }, bad = { { 5, "invalid password type" }, { {}, "invalid password type" },
    { true, "invalid password type" }, { "Secret", "error loading private key (bad decrypt)" } } },
  pkcs12 = { mode = "server", good = { { file = S.certdir .. "/serverA.p12", password = "secret" } }, bad = {
    { "serverA.p12", "invalid pkcs12 (table expected, got string)" },
    { f, "invalid pkcs12 (table expected, got function)" },
    { true, "invalid pkcs12 (table expected, got boolean)" },
    { {}, "pkcs12 needs one of file and data" },
    { { file = 5 }, "invalid pkcs12.file (string expected, got number)" },
    { { data = {} }, "invalid pkcs12.data (string expected, got table)" } } },
  crlfile = { good = { cert "crlA" }, bad = { { 5, "invalid crlfile (string expected, got number)" },
    { true, "invalid crlfile (string expected, got boolean)" },
    { "/nowhere", "error loading revocation list (No such file or directory)" } } },
  crldata = { good = { S.pem "crlA" }, bad = { { {}, "invalid crldata (string expected, got table)" },
    { f, "invalid crldata (string expected, got function)" },
    { "", "error loading revocation list (no revocation list found)" } } },
  cafile = { good = { cert "rootA", "system" }, bad = {
    { "/nowhere", "error loading CA locations (No such file or directory)" },
    { cert "junk", "error loading CA locations (no certificate or crl found)" },
    { {}, raises "string expected, got table" }, { f, raises "string expected, got function" } } },
  cadata = { good = { S.pem "rootA" }, bad = { { 5, "invalid cadata (string expected, got number)" },
    { {}, "invalid cadata (string expected, got table)" },
    { true, "invalid cadata (string expected, got boolean)" } } },
  capath = { good = { S.certdir .. "/capath", "/nowhere" }, bad = { { {}, raises "string expected, got table" } } },
  ciphers = { good = { "HIGH", "ECDHE+AESGCM:!PSK" }, bad = { { "HGIH", "error setting cipher list (no cipher match)" },
    { "", "error setting cipher list (no cipher match)" }, { {}, raises "string expected, got table" } } },
  ciphersuites = { good = { "TLS_AES_128_GCM_SHA256", "" }, bad = {
    { "TLS_AES_128_GMC_SHA256", "error setting cipher list (no cipher match)" },
    { true, raises "string expected, got boolean" } } },
  verify = { good = { "none", "peer", { "peer", "client_once" }, {} }, bad = {
    { "peers", "invalid verify option (peers)" }, { { "peer", "Peer" }, "invalid verify option (Peer)" },
    { true, raises "string expected, got boolean" }, { { {} }, raises "string expected, got table" } } },
  options = { good = { "all", { "all", "no_tlsv1" }, {} }, bad = { { "no_tls1", "invalid option (no_tls1)" },
    { { "all", "ALL" }, "invalid option (ALL)" }, { f, raises "string expected, got function" } } },
  depth = { good = { 0, 9, "9" }, bad = { { "nine", raises "number expected, got string" },
    { {}, raises "number expected, got table" }, { -5, raises "depth out of range" } } },
  dhparam = { mode = "server", good = { f }, bad = { { "dh.pem", "invalid DH parameter type" },
    { {}, "invalid DH parameter type" }, { true, "invalid DH parameter type" } } },
  curveslist = { good = { "P-256", "X25519:P-384" }, bad = {
    { "P-257", 'unknown elliptic curve in "P-257"' }, { "P-256,P-384", 'unknown elliptic curve in "P-256,P-384"' },
    { {}, raises "string expected, got table" } } },
  curve = { good = { "P-256", "X25519" }, bad = { { "P256", "elliptic curve 'P256' not supported" },
    { "P-256:P-384", "elliptic curve 'P-256:P-384' not supported" }, { {}, raises "string expected, got table" } } },
  verifyext = { good = { "lsec_continue", { "crl_check" }, {} }, bad = {
    { "lsec_contineu", "invalid verify option (lsec_contineu)" }, { true, raises "string expected, got boolean" } } },
  alpn = { good = { "h2", { "h2", "http/1.1" } }, bad = { { 5, "invalid ALPN parameter" },
    { f, "invalid ALPN parameter" }, { {}, "invalid ALPN list (empty)" }, { "", "invalid ALPN name (empty string)" },
    { { 1 }, "invalid ALPN name (string expected, got number)" } } },
  alpnstrict = { good = { true, false }, bad = { { "yes", "invalid alpnstrict (boolean expected, got string)" },
    { 1, "invalid alpnstrict (boolean expected, got number)" } } },
  psk = { good = { f }, bad = { { "key", "invalid PSK configuration" }, { {}, "invalid PSK configuration" } } },
  dane = { good = { true, { "no_ee_namechecks" }, {} }, bad = { { { "x" }, raises "invalid option 'x'" } } },
  groups = { good = { "X25519", "X25519:P-256", { "P-256", "P-384" } }, bad = {
    { 29, "invalid groups (string or array of strings expected, got number)" },
    { true, "invalid groups (string or array of strings expected, got boolean)" },
    { { "P-256", 5 }, "invalid groups (string or array of strings expected, got number)" },
    { "P-257", "unknown group 'P-257'" }, { "P-256,P-384", "unknown group 'P-256,P-384'" } } },
  sigalgs = { good = { "ed25519", { "RSA+SHA256", "ecdsa_secp256r1_sha256" } }, bad = {
    { f, "invalid sigalgs (string or array of strings expected, got function)" },
    { { {} }, "invalid sigalgs (string or array of strings expected, got table)" },
    { { "ed25519", nil, "ed448" }, "invalid sigalgs (string or array of strings expected, got nil)" },
    { "RSA-SHA256", "unknown signature algorithm 'RSA-SHA256'" } } },
  readahead = { good = { true, false }, bad = { { 0, "invalid readahead (boolean expected, got number)" },
    { "false", "invalid readahead (boolean expected, got string)" } } },
  maxreceive = { good = { 0, 1, 2 ^ 40 }, bad = { { "1024", "invalid maxreceive (number expected, got string)" },
    { {}, "invalid maxreceive (number expected, got table)" },
    { -1, "invalid maxreceive (a whole number that is not negative expected, got -1)" },
    { 0.5, "invalid maxreceive (a whole number that is not negative expected, got 0.5)" } } },
  servername = { good = { "localhost", "127.0.0.1" }, bad = { { 5, "invalid servername (string expected, got number)" },
    { { "localhost" }, "invalid servername (string expected, got table)" }, { "", "invalid server name ()" } } },
  ocsp = { good = { "request", "require" }, bad = {
    { "required", "invalid ocsp (request or require expected, got required)" },
    { "", "invalid ocsp (request or require expected, got )" },
    { f, "invalid ocsp (request or require expected, got function)" },
    { 1, "invalid ocsp (string, array or function expected, got number)" } } },
  sessions = { good = { true, 1, 65536, false }, bad = {
    { "yes", "invalid sessions (boolean, number or table expected, got string)" },
    { 0, "invalid sessions (true or a number from 1 to 65536 expected)" },
    { 65537, "invalid sessions (true or a number from 1 to 65536 expected)" },
    { {}, "invalid sessions (true or a number expected on a client, got table)" } } },
  ticketkeys = { mode = "server", good = { { { name = ("n"):rep(16), aes = ("a"):rep(32), hmac = ("h"):rep(32) } } },
    bad = { { "x", "invalid ticketkeys (array expected, got string)" },
    { {}, "invalid ticketkeys (1 to 64 keys expected, got 0)" },
    { { "x" }, "invalid ticketkeys[1] (table expected, got string)" } } },
  keylog = { good = { f, "/dev/null" }, bad = {
    { 5, "invalid keylog (string, function or boolean expected, got number)" },
    { {}, "invalid keylog (string, function or boolean expected, got table)" },
    { "/nowhere/keys", "error opening key log '/nowhere/keys' (No such file or directory)" } } },
  keypairs = { mode = "server", good = { { { certificate = cert "serverA", key = cert "serverAkey" } } }, bad = {
    { "x", "invalid keypairs (array expected, got string)" }, { f, "invalid keypairs (array expected, got function)" },
    { {}, "keypairs is an array of tables with certificate and key, and has none" },
    { { "x" }, "keypairs[1]: table expected, got string" },
    { { { certificate = "x", kye = "x" } }, "keypairs[1]: unknown field 'kye'" },
    { { { certificate = 5, key = "x" } }, "keypairs[1]: invalid certificate (string expected, got number)" } } },
  sni = { mode = "server", good = { {}, f }, bad = {
    { "a.test", "invalid sni (table or function expected, got string)" },
    { true, "invalid sni (table or function expected, got boolean)" } } },
  snistrict = { mode = "server", with = { sni = {} }, good = { true, false }, bad = {
    { "yes", "invalid snistrict (boolean expected, got string)" } } },
  strict = { good = { true, false }, bad = { { "true", "invalid strict (boolean expected, got string)" },
    { 1, "invalid strict (boolean expected, got number)" } } },
  verifyname = { with = { verify = "peer", cafile = cert "rootA" }, good = { "localhost", "::1", false }, bad = {
    { true, "invalid verifyname (string or false expected, got true)" },
    { {}, "invalid verifyname (string or false expected, got table)" },
    { ".localhost", "invalid host name (.localhost)" } } },
}

local function settings(row, key, value)
  local cfg = { mode = row.mode or "client", protocol = "any" }
  for k, v in pairs(row.with or {}) do cfg[k] = v end
  cfg[key] = value
  return cfg
end

-- A key with two neighbours swapped, one letter more, one less, and in other letters.
local function misses(name)
  return { name:sub(1, 1) .. name:sub(3, 3) .. name:sub(2, 2) .. name:sub(4), name .. "s", name:sub(1, -2),
    name:upper():sub(1, 1) .. name:sub(2) }
end

describe("the setting", function()
  local known = {}
  for _, row in ipairs(options.rows) do known[row.name] = true end

  for _, option in ipairs(options.rows) do
    local key, row = option.name, rows[option.name]

    it(key .. " has values in this spec", function() assert.is_table(row, "no values for " .. key) end)

    if row then
      it(key .. " takes what is right", function()
        assert.is_true(#row.good > 0)
        for _, value in ipairs(row.good) do
          local made, message = ssl.newcontext(settings(row, key, value))
          assert.is_truthy(made, message)
        end
      end)

      it(key .. " refuses what is wrong, by name", function()
        assert.is_true(#row.bad > 0)
        for _, bad in ipairs(row.bad) do
          local value, expected = bad[1], bad[2]
          if type(expected) == "table" then
            S.raises(expected.raises, ssl.newcontext, settings(row, key, value))
          else
            local made, message, detail = ssl.newcontext(settings(row, key, value))
            assert.is_nil(made)
            assert.equal(expected, message)
            assert.is_string(detail.kind)
            assert.is_string(detail.reason)
          end
        end
      end)
    end

    it(key .. " is found behind its near misses", function()
      for _, miss in ipairs(misses(key)) do
        if #key >= 4 and not known[miss] then
          local made, message, detail = ssl.newcontext(settings({ with = { protocol = "any" } }, miss, "x"))
          assert.is_nil(made, miss)
          assert.matches("^unknown setting '" .. miss .. "': did you mean '[%l%d]+'%?$", message)
          assert.equal("config", detail.kind)
        end
      end
    end)
  end

  it("has no values here without a row", function()
    for key in pairs(rows) do assert.is_true(known[key], key) end
  end)
end)

describe("check.settings", function()
  local function try(kind, value, test)
    return check.settings({ { name = "setting", type = kind, check = test } }, { setting = value })
  end

  it("knows each word for a type, and says what was expected", function()
    for _, row in ipairs {
      { "string", "x", 5, "string" }, { "path", "/", {}, "string" }, { "number", 1, "1", "number" },
      { "boolean", true, "true", "boolean" }, { "function", print, {}, "function" }, { "table", {}, "x", "table" },
      { "array", {}, "x", "array" }, { "string|array", {}, 1, "string or array of strings" },
      { "path|string", "x", 1, "string" }, { "string|false", "x", 1, "string or false" },
      { "string|function|table", print, 1, "string, function or table" },
      { "boolean|number", 5, "x", "boolean or number" },
      { "context|function", ctx, 1, "context or function" },
    } do
      assert.is_true((try(row[1], row[2])))
      local ok, message, detail = try(row[1], row[3])
      assert.is_false(ok)
      assert.equal(("invalid setting (%s expected, got %s)"):format(row[4], type(row[3])), message)
      assert.same({ kind = "config", reason = message }, detail)
    end
  end)

  it("takes nil and false for absent, and tells true from false", function()
    assert.is_true((try("string", nil)))
    assert.is_true((try("string", false)))
    assert.is_true((try("string|false", false)))
    local _, message = try("string|false", true)
    assert.equal("invalid setting (string or false expected, got true)", message)
  end)

  it("asks a row's own check, which may refuse in words", function()
    assert.is_true((try("number", 5, check.whole)))
    for _, wrong in ipairs { -1, 0.5, 2 ^ 53, 1 / 0, -1 / 0, 0 / 0 } do
      local ok, message = try("number", wrong, check.whole)
      assert.is_false(ok)
      assert.matches("^invalid setting %(a whole number that is not negative expected, got ", message)
    end
  end)

  -- In Lua 5.1 and 5.2 ipairs asks no metamethod: the array is empty there.
  it("refuses an array without end", function()
    local asked = 0
    local endless = setmetatable({}, { __index = function(_, key)
      asked = asked + 1
      return type(key) == "number" and cert "serverA" or nil
    end })
    local bounded = ipairs(endless)(endless, 0) ~= nil
    local server = ssl.newcontext(S.server())
    for _, row in ipairs(options.rows) do
      if row.type:find "array" then
        local ok, message, detail = check.settings(options.rows, { [row.name] = endless })
        assert.equal(not bounded, ok)
        if bounded then
          assert.equal("invalid " .. row.name .. " (an array without end)", message)
          assert.same({ kind = "config", reason = message }, detail)
        end
      end
    end
    assert.is_nil((ssl.newcontext { mode = "client", protocol = "any", groups = endless }))
    assert.is_nil((server:reload { certificates = endless }))
    endless[1] = {}
    assert.is_nil((server:reload { certificates = endless }))
    assert.is_true(asked < 5 * 2 ^ 20)
  end)

  it("leaves what is no table to others", function()
    for _, cfg in ipairs { 5, "x", true, print } do assert.is_true((check.settings(options.rows, cfg))) end
    assert.is_true((check.settings(options.rows, nil)))
  end)
end)

describe("the refusal of a name hints at the one meant:", function()
  for _, row in ipairs {
    { "mode", "sever", "did you mean 'server'?" }, { "mode", "Client", "did you mean 'client'?" },
    { "mode", "peer", "it can be client, server" }, { "protocol", "tlsv1.2", "did you mean 'tlsv1_2'?" },
    { "protocol", "TLSv1_3", "did you mean 'tlsv1_3'?" }, { "verify", "pear", "did you mean 'peer'?" },
    { "verify", { "peer", "fail_if_no_peercert" }, "did you mean 'fail_if_no_peer_cert'?" },
    { "verifyext", "crl_chekc", "did you mean 'crl_check'?" }, { "options", "no_ssl_v3", "did you mean 'no_sslv3'?" },
    { "options", "NO_TICKET", "did you mean 'no_ticket'?" }, { "options", "gibberish", nil },
    { "groups", "X25519:P256", "did you mean 'P-256'?" }, { "curveslist", "X25519:P_384", "did you mean 'P-384'?" },
    { "sigalgs", "ED25519x", "did you mean 'ed25519'?" }, { "groups", ("x"):rep(2 ^ 20), nil },
    { "protocol", "", nil }, { "options", "%s%n(", nil },
  } do
    local shown = type(row[2]) == "table" and table.concat(row[2], " ") or row[2]:sub(1, 20)
    it(row[1] .. " " .. shown, function()
      local made, message, detail = ssl.newcontext(settings(rows[row[1]], row[1], row[2]))
      assert.is_nil(made)
      assert.is_string(message)
      assert.equal("config", detail.kind)
      if row[3] or row[1] ~= "protocol" then assert.equal(row[3], detail.hint) end
    end)
  end

  it("and leaves other hints and refusals alone", function()
    assert.is_nil(check.advise({ values = { "x" } }, nil))
    assert.same({ kind = "config", reason = "none (x)", hint = "mine" },
      check.advise({ values = { "y" } }, { kind = "config", reason = "none (x)", hint = "mine" }))
    local row = { values = { "y" } }
    assert.same({ kind = "system", reason = "x" }, check.advise(row, { kind = "system", reason = "x" }))
    assert.same({ kind = "config", reason = "x" }, check.advise({}, { kind = "config", reason = "x" }))
    assert.same({ kind = "config", reason = "x" }, check.advise(row, { kind = "config", reason = "x" }))
  end)
end)
