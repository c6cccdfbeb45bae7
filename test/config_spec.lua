-- ssl.config: the tables that programs probe, and the names in them as ssl.context takes them.

local config = require "ssl.config"
local pki = require "pki"

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

local interpreter, run = pki.interpreter, pki.run

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
    assert.equal(5, n)
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

    it("has beyond those only what later releases of OpenSSL added", function()
      local later = run("openssl version"):find("^OpenSSL 3%.0%.") and 0 or 20
      assert.equal(true, keys(config.options) <= 53 + later)
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
    assert.same({ alpn = true, psk = true, curves_list = true, ecdh_auto = true, dane = { no_ee_namechecks = true } },
      config.capabilities)
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
      assert.equal(n + 5, keys(config.curves))
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
end)
