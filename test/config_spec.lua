-- ssl.config: the tables that programs probe, and the names in them as ssl.context takes them.

local config = require "ssl.config"
local support = require "support"

local options = [[
  all allow_client_renegotiation allow_no_dhe_kex allow_unsafe_legacy_renegotiation cipher_server_preference
  cisco_anyconnect cleanse_plaintext cookie_exchange cryptopro_tlsext_bug disable_tlsext_ca_names
  dont_insert_empty_fragments enable_ktls enable_middlebox_compat ephemeral_rsa ignore_unexpected_eof
  legacy_server_connect microsoft_big_sslv3_buffer microsoft_sess_id_bug msie_sslv2_rsa_padding netscape_ca_dn_bug
  netscape_challenge_bug netscape_demo_cipher_change_bug netscape_reuse_cipher_change_bug no_anti_replay no_compression
  no_dtls_mask no_dtlsv1 no_dtlsv1_2 no_encrypt_then_mac no_extended_master_secret no_query_mtu no_renegotiation
  no_session_resumption_on_renegotiation no_ssl_mask no_sslv2 no_sslv3 no_ticket no_tlsv1 no_tlsv1_1 no_tlsv1_2
  no_tlsv1_3 pkcs1_check_1 pkcs1_check_2 prioritize_chacha safari_ecdhe_ecdsa_bug single_dh_use single_ecdh_use
  ssleay_080_client_dh_bug sslref2_reuse_cert_type_bug tls_block_padding_bug tls_d5_bug tls_rollback_bug
  tlsext_padding ]]

local interpreter, run = support.interpreter, support.run

-- The library that runs: "3.0.11", and 3.0.
local version = run("openssl version"):match("^OpenSSL (%d+%.%d+%.%d+%S*)")
local release = tonumber(version:match("^%d+%.%d+"))

local function keys(t)
  local n = 0
  for k, v in pairs(t) do
    assert.equal("string", type(k))
    assert.equal(true, v)
    n = n + 1
  end
  return n
end

describe("ssl.config", function()
  it("can be loaded first and alone", function()
    local out = run(interpreter() .. [[ -e 'local c = require "ssl.config" print(c.options.all, c.curves["P-256"])']])
    assert.equal("true\ttrue\n", out)
  end)

  it("is one plain table that programs may change", function()
    assert.equal(config, require "ssl.config")
    assert.equal(nil, getmetatable(config))
    local n = 0
    for name, t in pairs(config) do
      n = n + 1
      assert.equal("table", type(t), name)
      assert.equal(nil, getmetatable(t))
    end
    assert.equal(7, n)
    config.options.mine = true
    assert.equal(true, require "ssl.config".options.mine)
    config.options.mine = nil
  end)

  it("is built anew when it is opened again", function()
    package.loaded["ssl.config"] = nil
    local again = require "ssl.config"
    package.loaded["ssl.config"] = config
    assert.same(config, again)
    assert.equal(false, config.options == again.options)
  end)

  describe("options", function()
    it("has every name of LuaSec", function()
      local n = 0
      for name in options:gmatch("%S+") do
        n = n + 1
        assert.equal(true, config.options[name], name)
      end
      assert.equal(53, n)
      assert.equal(true, keys(config.options) >= n)
    end)

    -- Bit and first release of each, as the headers of later releases have them.
    local later = { no_tx_certificate_compression = 3.2, no_rx_certificate_compression = 3.2,
      enable_ktls_tx_zerocopy_sendfile = 3.2, prefer_no_dhe_kex = 3.3, legacy_ec_point_formats = 3.6 }

    it("has beyond those only what the OpenSSL that runs knows", function()
      for name in pairs(config.options) do
        if not (" " .. options):find("%s" .. name .. "%s") then
          assert.is_number(later[name], name)
          assert.is_true(release >= later[name], name)
        end
      end
    end)

    it("are refused by name and release where a later OpenSSL has them", function()
      local context = require "ssl.context"
      for name, first in pairs(later) do
        local ok, message, detail = context.setoptions(assert(context.create("any")), name)
        if release >= first then
          assert.equal(true, ok, name)
        else
          assert.equal(("%s is not supported by OpenSSL %s (needs %.1f)"):format(name, version, first), message)
          assert.equal("config", detail.kind)
        end
      end
    end)

    it("holds the names that contexts take, and no others", function()
      local context = require "ssl.context"
      local ctx = assert(context.create("any"))
      for name in pairs(config.options) do assert.equal(true, context.setoptions(ctx, name), name) end
      for _, name in ipairs { "", "al", "alll", "ALL", "no_sslv", "no_sslv23", "tlsext_padding_", "zzz", "~", "!",
        "no ticket", ("x"):rep(2 ^ 20) } do
        local ok, message = context.setoptions(ctx, name)
        assert.equal(false, ok, name)
        assert.equal("invalid option (" .. name .. ")", message)
      end
    end)
  end)

  it("names the protocols", function()
    assert.same({ tlsv1 = true, tlsv1_1 = true, tlsv1_2 = true, tlsv1_3 = true }, config.protocols)
  end)

  it("names algorithms and capabilities", function()
    assert.same({ ec = true }, config.algorithms)
    for name, value in pairs { alpn = true, psk = true, curves_list = true, ecdh_auto = true,
      dane = { no_ee_namechecks = true } } do
      assert.same(value, config.capabilities[name])
    end
    assert.equal(config.groups.X25519MLKEM768 ~= nil or nil, config.capabilities.mlkem)
  end)

  describe("curves", function()
    it("are those of the library and the names that TLS has for some", function()
      local n = 0
      for name in run("openssl ecparam -list_curves"):gmatch("([%w%-]+)%s*: ") do
        n = n + 1
        assert.equal(true, config.curves[name], name)
      end
      assert.equal(true, n > 10)
      for _, name in ipairs { "P-256", "P-384", "P-521", "X25519", "X448" } do
        assert.equal(true, config.curves[name], name)
      end
      local kems = 0
      for name, group in pairs(config.groups) do
        if name:find("MLKEM") and group.min == "tlsv1_3" then kems = kems + 1 end
      end
      assert.equal(n + 5 + kems, keys(config.curves))
    end)

    it("are the names that contexts know", function()
      local context = require "ssl.context"
      local ctx = assert(context.create("any"))
      for _, name in ipairs { "P-256", "prime256v1", "P-384", "secp384r1", "P-521", "secp521r1", "X25519", "X448" } do
        assert.equal(true, context.setcurve(ctx, name), name)
      end
      for _, name in ipairs { "", "P-257", "p-256", "RSA", "P-256:P-384", "UNDEF", "commonName", ("x"):rep(2 ^ 20) } do
        local ok, message = context.setcurve(ctx, name)
        assert.equal(false, ok, name)
        assert.equal("elliptic curve '" .. name .. "' not supported", message)
      end
      for name in pairs(config.curves) do
        local ok, message = context.setcurve(ctx, name)
        assert.equal(true, ok == true or message == "elliptic curve '" .. name .. "' not supported", name)
      end
    end)
  end)

  describe("groups", function()
    local protocols = { tlsv1 = 1, tlsv1_1 = 2, tlsv1_2 = 3, tlsv1_3 = 4 }

    it("tell number, strength and the versions that they are for", function()
      local n = 0
      for name, group in pairs(config.groups) do
        n = n + 1
        assert.equal("string", type(name))
        assert.is_true(group.id > 0 and group.id < 65536, name)
        assert.is_true(group.bits >= 80 and group.bits <= 260, name)
        assert.is_true(group.min == nil or protocols[group.min] ~= nil, name)
        assert.is_true(group.max == nil or protocols[group.max] >= protocols[group.min], name)
      end
      assert.is_true(n > 10)
      -- RFC 8446 section 4.2.7
      for name, id in pairs { ["P-256"] = 23, secp256r1 = 23, ["P-384"] = 24, ["P-521"] = 25, X25519 = 29, X448 = 30,
        ffdhe2048 = 256, ffdhe8192 = 260 } do
        assert.equal(id, config.groups[name].id, name)
      end
      assert.equal("tlsv1_3", config.groups.ffdhe2048.min)
      assert.equal("tlsv1_2", config.groups.brainpoolP256r1.max)
      assert.equal(nil, config.groups.X25519.max)
    end)

    it("are those that the setting takes", function()
      local ssl = require "ssl"
      for name in pairs(config.groups) do
        assert(ssl.newcontext { mode = "client", protocol = "any", groups = name })
      end
    end)

    it("each have a table of their own, for programs that change one", function()
      config.groups["P-256"].mine = true
      assert.equal(nil, config.groups.secp256r1.mine)
      config.groups["P-256"].mine = nil
    end)
  end)

  describe("sigalgs", function()
    it("are names that the setting takes", function()
      local ssl = require "ssl"
      assert.is_true(keys(config.sigalgs) >= 16)
      for name in pairs(config.sigalgs) do
        assert(ssl.newcontext { mode = "client", protocol = "any", sigalgs = name })
      end
      for _, name in ipairs { "ed25519", "ed448", "rsa_pss_rsae_sha256", "ecdsa_secp256r1_sha256" } do
        assert.equal(true, config.sigalgs[name])
      end
    end)
  end)

  -- What a newer OpenSSL has beyond the one of this machine, a provider of the test's own brings.
  describe("with a provider of more algorithms", function()
    local dir, output

    setup(function()
      dir = os.tmpname()
      os.remove(dir)
      run(("mkdir '%s' && ${CC:-cc} -shared -fPIC -o '%s/more.so' test/peer/provider.c"):format(dir, dir))
      local conf = assert(io.open(dir .. "/openssl.cnf", "w"))
      conf:write(("openssl_conf = init\n[init]\nproviders = list\n[list]\ndefault = on\nmore = more\n" ..
        "[on]\nactivate = 1\n[more]\nactivate = 1\nmodule = %s/more.so\n"):format(dir))
      conf:close()
      output = support.fresh([[
        local config = require "ssl.config"
        for _, set in ipairs { "groups", "curves", "sigalgs" } do
          local names = {}
          for name, value in pairs(config[set]) do
            if name:find("^test") then
              names[#names + 1] = name .. (value == true and "" or ":" .. value.id .. ":" .. tostring(value.max))
            end
          end
          table.sort(names)
          print(set, table.concat(names, " "))
        end
        print("mlkem", config.capabilities.mlkem)
        print("curve", require "ssl.context".setcurve(require "ssl.context".create "any", "testkem"))
        print("P-256", config.groups["P-256"].id)
      ]], ("OPENSSL_CONF='%s/openssl.cnf'"):format(dir))
    end)

    teardown(function() run("rm -r '" .. dir .. "'") end)

    it("shows its groups", function()
      assert.matches("groups\ttestgroup:65100:tlsv1_2 testinternal:65100:tlsv1_2 testkem:65101:nil\n", output)
    end)

    it("takes key encapsulation mechanisms for curves, and nothing else", function()
      assert.matches("curves\ttestkem\n", output)
      assert.matches("mlkem\ttrue\n", output)
    end)

    it("shows its signature algorithms", function()
      assert.matches("sigalgs\ttestsig\n", output)
    end)

    it("still has OpenSSL's own, and refuses in words what OpenSSL refuses", function()
      assert.matches("P%-256\t23", output)
      assert.matches("curve\tfalse\telliptic curve 'testkem' not supported", output)
    end)
  end)
end)
