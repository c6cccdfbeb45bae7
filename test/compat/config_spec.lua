-- ssl.config: the tables that programs ask what this library can do.

local support = require "support"
local ssl = require "ssl"
local config = require "ssl.config"

local function set(names)
  local t = {}
  for name in names:gmatch("%S+") do t[name] = true end
  return t
end

local OPTIONS = set [[all allow_client_renegotiation allow_no_dhe_kex allow_unsafe_legacy_renegotiation
  cipher_server_preference cisco_anyconnect cleanse_plaintext cookie_exchange cryptopro_tlsext_bug
  disable_tlsext_ca_names dont_insert_empty_fragments enable_ktls enable_middlebox_compat ephemeral_rsa
  ignore_unexpected_eof legacy_server_connect microsoft_big_sslv3_buffer microsoft_sess_id_bug msie_sslv2_rsa_padding
  netscape_ca_dn_bug netscape_challenge_bug netscape_demo_cipher_change_bug netscape_reuse_cipher_change_bug
  no_anti_replay no_compression no_dtls_mask no_dtlsv1 no_dtlsv1_2 no_encrypt_then_mac no_extended_master_secret
  no_query_mtu no_renegotiation no_session_resumption_on_renegotiation no_ssl_mask no_sslv2 no_sslv3 no_ticket no_tlsv1
  no_tlsv1_1 no_tlsv1_2 no_tlsv1_3 pkcs1_check_1 pkcs1_check_2 prioritize_chacha safari_ecdhe_ecdsa_bug single_dh_use
  single_ecdh_use ssleay_080_client_dh_bug sslref2_reuse_cert_type_bug tls_block_padding_bug tls_d5_bug
  tls_rollback_bug tlsext_padding]]

describe("compat ssl.config", function()
  it("holds five tables", function()
    for _, name in ipairs { "options", "protocols", "algorithms", "capabilities", "curves" } do
      assert.equal("table", type(config[name]), name)
    end
  end)

  it("lists every option of LuaSec on OpenSSL 3.0", function()
    for name in pairs(OPTIONS) do assert.is_true(config.options[name], name) end
  end)

  it("lists options that newcontext takes, all of them", function()
    for name in pairs(config.options) do
      local ctx, err = ssl.newcontext(support.anyclient { options = name })
      assert.is_truthy(ctx, tostring(err))
    end
  end)

  it("lists the protocols of TLS by name, without any and sslv23", function()
    for _, name in ipairs { "tlsv1", "tlsv1_1", "tlsv1_2", "tlsv1_3" } do
      assert.is_true(config.protocols[name], name)
    end
    assert.is_nil(config.protocols.any)
    assert.is_nil(config.protocols.sslv23)
  end)

  it("tells of elliptic curves, ALPN, DANE and lists of curves", function()
    assert.is_true(config.algorithms.ec)
    assert.is_true(config.capabilities.alpn)
    assert.is_true(config.capabilities.curves_list)
    assert.is_true(config.capabilities.ecdh_auto)
    assert.is_truthy(config.capabilities.dane)
  end)

  it("lists curves by both kinds of names", function()
    for _, name in ipairs { "prime256v1", "secp384r1", "secp521r1", "P-256", "P-384", "P-521", "X25519", "X448" } do
      assert.is_true(config.curves[name], name)
    end
  end)

  it("has true for every name", function()
    for _, name in ipairs { "options", "protocols", "algorithms", "curves" } do
      for key, value in pairs(config[name]) do
        assert.equal("string", type(key))
        assert.is_true(value, name .. "." .. key)
      end
    end
  end)

  it("may be changed by a program", function()
    config.options.of_my_own = true
    assert.is_true(ssl.config.options.of_my_own)
    config.options.of_my_own = nil
    assert.is_nil((ssl.newcontext(support.anyclient { options = "of_my_own" })))
  end)
end)
