-- Programs written for LuaSec 0.3 to 0.9: names that still must work, the way their manuals used them, and names that
-- went away.

local T = require "compat.tools"
local support = require "support"
local ssl = require "ssl"

local pack, cert = support.pack, support.cert

local OPTIONS_OF_04 = [[microsoft_sess_id_bug netscape_challenge_bug netscape_reuse_cipher_change_bug
  sslref2_reuse_cert_type_bug microsoft_big_sslv3_buffer msie_sslv2_rsa_padding ssleay_080_client_dh_bug tls_d5_bug
  tls_block_padding_bug dont_insert_empty_fragments all no_query_mtu cookie_exchange no_ticket
  no_session_resumption_on_renegotiation no_compression single_ecdh_use single_dh_use ephemeral_rsa
  cipher_server_preference tls_rollback_bug no_sslv2 no_sslv3 no_tlsv1 pkcs1_check_1 pkcs1_check_2 netscape_ca_dn_bug
  netscape_demo_cipher_change_bug cryptopro_tlsext_bug legacy_server_connect allow_unsafe_legacy_renegotiation]]

describe("compat LuaSec 0.4", function()
  for name in OPTIONS_OF_04:gmatch("%S+") do
    it("option " .. name .. " is taken", function()
      local ctx, err = ssl.newcontext(support.anyclient { options = { name } })
      assert.is_truthy(ctx, tostring(err))
    end)
  end

  it("protocol sslv3 is refused by its name", function()
    T.begins(pack(ssl.newcontext(support.anyclient { protocol = "sslv3" })), nil, "invalid protocol (sslv3)")
  end)

  it("settings of the manual's server and client shake hands", function()
    local common = { protocol = "sslv23", cafile = cert "rootA", verify = { "peer", "fail_if_no_peer_cert" },
      options = { "all", "no_sslv2" }, ciphers = "ALL:!ADH:@STRENGTH" }
    local c, s = support.connected(
      T.join(common, { mode = "client", certificate = cert "clientA", key = cert "clientAkey" }),
      T.join(common, { mode = "server", certificate = cert "serverA", key = cert "serverAkey" }))
    assert.is_true((c:getpeerverification()))
    assert.is_true((s:getpeerverification()))
    assert.equal("one two three", support.transfer(c, s, "one two three"))
    T.close(c, s)
  end)

  it("a context serves as a template of many connections", function()
    local client, server = ssl.newcontext(support.client()), ssl.newcontext(support.server())
    for _ = 1, 20 do
      local c, s = support.connected(client, server)
      T.close(c, s)
    end
  end)

  it("blocking steps with settimeout and a loop over wantread work", function()
    local c, s = support.wrapped()
    local errors = {}
    local done
    support.poll(function()
      for _, conn in ipairs { c, s } do
        conn:settimeout(0.01)
        local ok, err = conn:dohandshake()
        if not ok then errors[err] = true end
        if conn == s then done = ok end
      end
      return done and c:dohandshake()
    end)
    errors.wantread, errors.wantwrite = nil, nil
    assert.is_nil(next(errors))
    T.close(c, s)
  end)

  it("password may be a function that answers no string", function()
    T.failed(pack(ssl.newcontext(support.server { key = cert "serverAkey-encrypted", password = function() end })), nil,
      "^error loading private key %(")
  end)

  it("getpeercertificate answers an object whose methods are LuaSec 0.4's", function()
    local c, s = support.connected()
    local peer = c:getpeercertificate()
    for _, name in ipairs { "digest", "extensions", "issuer", "notafter", "notbefore", "pem", "serial", "subject",
      "validat" } do
      assert.equal("function", type(peer[name]), name)
    end
    T.close(c, s)
  end)
end)

describe("compat LuaSec 0.6 to 0.9", function()
  it("settings with curve, dhparam and verifyext are taken", function()
    local cfg = support.server { curve = "secp384r1", dhparam = function() return support.pem "dhparam2048" end,
      verify = "peer", verifyext = { "lsec_continue", "lsec_ignore_purpose" }, cafile = cert "rootA", depth = 2,
      options = { "no_sslv2", "no_sslv3", "no_compression", "single_dh_use", "single_ecdh_use",
        "cipher_server_preference", "no_ticket" } }
    local c, s = support.connected(support.client(), cfg)
    T.close(c, s)
  end)

  it("protocol names of each release are taken", function()
    for _, name in ipairs { "sslv23", "any", "tlsv1", "tlsv1_1", "tlsv1_2", "tlsv1_3" } do
      assert.is_truthy((ssl.newcontext(support.anyclient { protocol = name })))
    end
  end)
end)
