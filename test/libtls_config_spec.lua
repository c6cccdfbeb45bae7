-- Configurations of the libtls facade: what each function takes, refuses and answers.

local S = require "support"
local config = require "libtls.config"

local certA, keyA, rootA = S.pem "serverA", S.pem "serverAkey", S.pem "rootA"

local function count(...) return select("#", ...) end

describe("libtls.config", function()
  local cfg

  before_each(function() cfg = assert(config.new()) end)

  it("hides what it holds, and shows what it is", function()
    assert.is_false(getmetatable(cfg))
    assert.truthy(tostring(cfg):match("^libtls%.config: 0x%x+$"))
    assert.is_false(pcall(next, cfg))
  end)

  it("reads lists of protocols", function()
    local cases = { ["tlsv1.2"] = 8, ["tlsv1.0,tlsv1.3"] = 18, ["tlsv1.1:tlsv1.2"] = 12, all = 30, legacy = 30,
      default = 24, secure = 24, TLSv1 = 30, ["tlsv1.2,!tlsv1.0"] = 8, ["!tlsv1.0"] = 28, [" all, \t!tlsv1.3"] = 14 }
    for list, want in pairs(cases) do assert.are.equal(want, (config.parse_protocols(list)), list) end
  end)

  it("says which protocol it does not know", function()
    for list, word in pairs { junk = "junk", [""] = "", ["all,"] = "", ["!"] = "", ["tlsv1.2,x"] = "x" } do
      local set, message = config.parse_protocols(list)
      assert.are.equal(-1, set)
      assert.are.equal(("unknown protocol '%s'"):format(word), message)
    end
  end)

  it("names the file of authorities that OpenSSL looks at", function()
    assert.truthy(config.default_ca_cert_file():find("cert%.pem$"))
  end)

  it("loads files", function()
    assert.are.equal(rootA, config.load_file(S.cert "rootA"))
    local data, message = config.load_file("/nowhere/x.pem")
    assert.is_nil(data)
    assert.are.equal("No such file or directory", message)
    data, message = config.load_file("/tmp")
    assert.is_nil(data)
    assert.are.equal("Is a directory", message)
  end)

  it("loads keys without their password", function()
    for _, name in ipairs { "serverAkey-encrypted", "rsakey-encrypted", "serverAkey" } do
      local pem = assert(config.load_file(S.cert(name), "secret"))
      assert.truthy(pem:find("^%-%-%-%-%-BEGIN PRIVATE KEY%-%-%-%-%-\n"))
    end
    local plain = config.load_file(S.cert "serverAkey", "any")
    assert.are.equal(plain, config.load_file(S.cert "serverAkey-encrypted", "secret"))
    for _, password in ipairs { "wrong", "", "with\0nul", ("x"):rep(2000) } do
      local pem, message = config.load_file(S.cert "serverAkey-encrypted", password)
      assert.is_nil(pem)
      assert.are.equal("string", type(message))
    end
    assert.is_nil((config.load_file(S.cert "rootA", "password")))
  end)

  it("raises for arguments of another type, and counts itself as the first", function()
    for _, name in ipairs { "set_alpn", "set_ca", "set_ca_file", "set_ca_path", "set_cert", "set_cert_file",
      "set_ciphers", "set_crl", "set_crl_file", "set_key", "set_key_file", "set_ocsp_staple", "set_ocsp_staple_file",
      "set_dheparams",
      "set_ecdhecurve", "set_ecdhecurves", "set_session_id", "set_keypair", "set_keypair_file", "add_keypair",
      "add_keypair_file" } do
      for _, bad in ipairs { {}, true, print } do
        S.raises("bad argument #2 to '" .. name .. "' (string expected, got " .. type(bad), cfg[name], cfg, bad)
      end
      S.raises("argument #2", cfg[name], cfg)
      S.raises("argument #1", cfg[name], {})
      S.raises("argument #1", cfg[name])
    end
    for _, name in ipairs { "set_verify_depth", "set_session_lifetime", "set_session_fd", "add_ticket_key" } do
      for _, bad in ipairs { {}, true, "x", 1.5 } do S.raises("integer expected", cfg[name], cfg, bad) end
    end
    S.raises("argument #3 to 'set_protocols' (integer expected", cfg.set_protocols, cfg, 8, "x")
    S.raises("string expected", config.parse_protocols)
    S.raises("string expected", config.load_file, {})
    S.raises("string expected", config.load_file, "x", {})
  end)

  it("answers nothing where libtls has void", function()
    for _, name in ipairs { "insecure_noverifycert", "insecure_noverifyname", "insecure_noverifytime", "verify",
      "verify_client", "verify_client_optional", "prefer_ciphers_client", "prefer_ciphers_server",
      "ocsp_require_stapling", "clear_keys" } do
      assert.are.equal(0, count(cfg[name](cfg)), name)
    end
  end)

  it("checks lists of ALPN", function()
    assert.is_true(cfg:set_alpn("h2,http/1.1"))
    assert.is_true(cfg:set_alpn(("x"):rep(255)))
    for list, want in pairs { [""] = "alpn protocol with zero length", ["h2,,x"] = "alpn protocol with zero length",
      [("x"):rep(256)] = "alpn protocol too long", [("x,"):rep(40000) .. "x"] = "alpn too large" } do
      local ok, message = cfg:set_alpn(list)
      assert.is_false(ok)
      assert.are.equal(want, message)
    end
  end)

  it("names the file that it cannot read", function()
    local calls = { set_ca_file = "CA", set_crl_file = "CRL", set_cert_file = "certificate", set_key_file = "key",
      set_ocsp_staple_file = "ocsp" }
    for name, what in pairs(calls) do
      local ok, message = cfg[name](cfg, "/nowhere/file")
      assert.is_false(ok)
      assert.are.equal(("failed to open %s file '/nowhere/file': No such file or directory"):format(what), message)
      ok, message = cfg[name](cfg, "/tmp")
      assert.is_false(ok)
      assert.are.equal(("failed to read %s file '/tmp': Is a directory"):format(what), message)
    end
    for _, name in ipairs { "set_keypair_file", "add_keypair_file" } do
      local ok, message = cfg[name](cfg, S.cert "serverA", "/nowhere/key")
      assert.is_false(ok)
      assert.are.equal("failed to open key file '/nowhere/key': No such file or directory", message)
      ok, message = cfg[name](cfg, S.cert "serverA", S.cert "serverAkey", "/nowhere/staple")
      assert.is_false(ok)
      assert.are.equal("failed to open ocsp file '/nowhere/staple': No such file or directory", message)
    end
  end)

  it("reads certificates at once, and takes what is to be read later as it is", function()
    for _, junk in ipairs { "", "junk", "/etc/passwd", S.cert "serverA", ("x"):rep(100000),
      "-----BEGIN CERTIFICATE-----\n" } do
      local ok, message = cfg:set_cert(junk)
      assert.is_false(ok)
      assert.truthy(message:find("^failed to load certificate: "))
      for _, name in ipairs { "set_ca", "set_crl", "set_key", "set_ocsp_staple" } do
        assert.is_true(cfg[name](cfg, junk))
      end
    end
    assert.is_true(cfg:set_cert(certA))
    assert.is_true(cfg:set_cert("some words first\n" .. S.pem "chainA"))
    assert.is_true(cfg:set_ca_path("/nowhere"))
    assert.is_true(cfg:set_keypair(certA, "", ""))
    assert.is_true(cfg:add_keypair(certA, keyA))
    assert.is_true(cfg:add_keypair_file(S.cert "serverA", S.cert "serverAkey"))
  end)

  it("knows keywords of ciphers and OpenSSL's names", function()
    for _, list in ipairs { "default", "secure", "compat", "legacy", "all", "insecure", "SECURE", "HIGH:!aNULL",
      "ECDHE-RSA-AES128-GCM-SHA256" } do
      assert.is_true(cfg:set_ciphers(list))
    end
    for _, list in ipairs { "junk", "", "TLS_AES_128_GCM_SHA256", "a\0b" } do
      local ok, message = cfg:set_ciphers(list)
      assert.is_false(ok)
      assert.are.equal(("no ciphers for '%s'"):format(list), message)
    end
  end)

  it("knows kinds of parameters and curves", function()
    for _, name in ipairs { "none", "auto", "legacy", "AUTO" } do assert.is_true(cfg:set_dheparams(name)) end
    for _, name in ipairs { "none", "auto", "P-256", "prime256v1", "X25519", "secp384r1" } do
      assert.is_true(cfg:set_ecdhecurve(name), name)
    end
    for _, list in ipairs { "default", "P-256", "X25519, P-384", "prime256v1:secp384r1" } do
      assert.is_true(cfg:set_ecdhecurves(list), list)
    end
    local function refused(method, name, want)
      local ok, message = cfg[method](cfg, name)
      assert.is_false(ok, name)
      assert.are.equal(want, message)
    end
    refused("set_dheparams", "junk", "invalid dhe param 'junk'")
    refused("set_ecdhecurve", "X25519,P-256", "invalid ecdhe curve 'X25519,P-256'")
    refused("set_ecdhecurve", "junk", "invalid ecdhe curve 'junk'")
    refused("set_ecdhecurve", "", "invalid ecdhe curve ''")
    refused("set_ecdhecurves", "auto", "invalid ecdhe curve 'auto'")
    refused("set_ecdhecurves", "none", "invalid ecdhe curve 'none'")
    refused("set_ecdhecurves", "X25519,junk", "invalid ecdhe curve 'junk'")
    refused("set_ecdhecurves", "", "invalid ecdhe curve ''")
  end)

  it("takes any numbers as sets of protocols", function()
    assert.is_true(cfg:set_protocols())
    assert.is_true(cfg:set_protocols(0))
    assert.is_true(cfg:set_protocols(8, 16))
    assert.is_true(cfg:set_protocols(-1))
  end)

  it("bounds depth, session id and lifetime", function()
    assert.is_true(cfg:set_verify_depth(3))
    assert.is_true(cfg:set_verify_depth(-1))
    assert.is_false((cfg:set_verify_depth(2 ^ 40)))
    assert.is_true(cfg:set_session_id(""))
    assert.is_true(cfg:set_session_id(("x"):rep(32)))
    assert.are.same({ false, "session ID too large" }, { cfg:set_session_id(("x"):rep(33)) })
    for _, n in ipairs { 0, 4, 86400 } do assert.is_true(cfg:set_session_lifetime(n)) end
    for _, n in ipairs { -1, 1, 3 } do
      assert.are.same({ false, "session lifetime too small" }, { cfg:set_session_lifetime(n) })
    end
    assert.are.same({ false, "session lifetime too large" }, { cfg:set_session_lifetime(86401) })
  end)

  it("keeps four ticket keys, of which the newest may come again", function()
    local function key(c) return c:rep(48) end
    for _, bad in ipairs { "", key("x"):sub(2), key("x") .. "x" } do
      assert.are.same({ false, "wrong amount of ticket key data" }, { cfg:add_ticket_key(1, bad) })
    end
    assert.is_true(cfg:add_ticket_key(1, key "a"))
    assert.is_true(cfg:add_ticket_key(1, key "a"))
    assert.are.same({ false, "ticket key already present" }, { cfg:add_ticket_key(1, key "b") })
    for i = 2, 4 do assert.is_true(cfg:add_ticket_key(i, key "a")) end
    assert.are.same({ false, "ticket key already present" }, { cfg:add_ticket_key(1, key "a") })
    assert.is_true(cfg:add_ticket_key(5, key "a")) -- the first leaves the ring
    assert.is_true(cfg:add_ticket_key(1, key "a"))
    assert.is_true(cfg:add_ticket_key(-1, key "a")) -- 32 bits without sign
    assert.are.same({ false, "ticket key already present" }, { cfg:add_ticket_key(5, key "a") })
  end)

  it("refuses files that others could read as a place for sessions", function()
    local out = S.fresh(([[
      local config = require "libtls.config"
      local cfg = assert(config.new())
      for fd = 5, 8 do print(cfg:set_session_fd(fd)) end
      print(cfg:set_session_fd(999), cfg:set_session_fd(-2), cfg:set_session_fd(-1), cfg:set_session_fd(2^33))
    ]]), [[f=$(mktemp); g=$(mktemp); chmod 644 $g; exec 5<>$f 6<>$g 7</dev/null 8</tmp; rm $f $g;]])
    local lines = {}
    for line in (out .. "\n"):gmatch("(.-)\n") do lines[#lines + 1] = line end
    assert.are.equal("true", lines[1])
    assert.are.equal("false\tsession file has incorrect permissions (644 != 600)", lines[2])
    assert.are.equal("false\tsession file is not a regular file", lines[3])
    assert.are.equal("false\tsession file is not a regular file", lines[4])
    assert.are.equal("false\tfalse\ttrue\tfalse\tfailed to stat session file: Bad file descriptor", lines[5])
  end)
end)
