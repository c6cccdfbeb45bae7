-- Alerts of the peer: each is told by number and by its name in IANA's registry, and apart from our own refusals.

local S = require "support"
local ssl = S.ssl

-- IANA, "TLS Alerts"; what OpenSSL 3 has words for.
local alerts = {
  [10] = "unexpected_message", [20] = "bad_record_mac", [21] = "decryption_failed", [22] = "record_overflow",
  [30] = "decompression_failure", [40] = "handshake_failure", [41] = "no_certificate", [42] = "bad_certificate",
  [43] = "unsupported_certificate", [44] = "certificate_revoked", [45] = "certificate_expired",
  [46] = "certificate_unknown", [47] = "illegal_parameter", [48] = "unknown_ca", [49] = "access_denied",
  [50] = "decode_error", [51] = "decrypt_error", [60] = "export_restriction", [70] = "protocol_version",
  [71] = "insufficient_security", [80] = "internal_error", [86] = "inappropriate_fallback", [90] = "user_canceled",
  [100] = "no_renegotiation", [109] = "missing_extension", [110] = "unsupported_extension",
  [111] = "certificate_unobtainable", [112] = "unrecognized_name", [113] = "bad_certificate_status_response",
  [114] = "bad_certificate_hash_value", [115] = "unknown_psk_identity", [116] = "certificate_required",
  [120] = "no_application_protocol",
}

-- What a client makes of a fatal alert in place of a ServerHello.
local function receives(number)
  local a, b = S.tcp()
  local conn = assert(ssl.wrap(a, S.client()))
  conn:settimeout(5)
  b:send(string.char(21, 3, 3, 0, 2, 2, number))
  local ok, message, detail = conn:dohandshake()
  assert.is_false(ok)
  assert.equal(detail, conn:lasterror())
  conn:close()
  b:close()
  return message, detail
end

describe("an alert of the peer", function()
  for number, name in pairs(alerts) do
    it("has number and name: " .. number .. " " .. name, function()
      local message, detail = receives(number)
      assert.equal("alert", detail.kind)
      assert.equal(number, detail.code)
      assert.equal(name, detail.alert)
      assert.equal(message, detail.reason)
      assert.equal("SSL routines", detail.lib)
      assert.equal(1, #detail.stack)
      assert.is_nil(message:find("(null)", 1, true))
      assert.is_nil(message:find("%d%d%d%d"))
    end)
  end

  it("that nobody knows has its number", function()
    for _, number in ipairs { 1, 99, 200, 255 } do
      local message, detail = receives(number)
      assert.equal("the peer sent alert number " .. number, message)
      assert.equal("alert", detail.kind)
      assert.equal(number, detail.code)
      assert.is_nil(detail.alert)
    end
  end)

  it("comes out of receive in TLS 1.3, when the server looked after the client was done", function()
    local c, s = S.wrapped(S.client { protocol = "tlsv1_3" },
      S.server { verify = { "peer", "fail_if_no_peer_cert" }, cafile = S.cert("rootA") })
    local sr
    S.poll(function()
      c:dohandshake()
      sr = S.pack(s:dohandshake())
      return not S.wants(sr[2])
    end)
    assert.equal("protocol", sr[3].kind)
    assert.is_nil(sr[3].alert)
    local message, detail
    S.poll(function()
      local r = S.pack(c:receive(1))
      message, detail = r[2], r[4]
      return not S.wants(message)
    end)
    assert.equal("tlsv13 alert certificate required", message)
    assert.equal("alert", detail.kind)
    assert.equal(116, detail.code)
    assert.equal("certificate_required", detail.alert)
    assert.matches("certificate and key", detail.hint)
    c:close()
    s:close()
  end)

  it("is no verdict of ours: a verify failure has no alert, an alert no depth", function()
    local cr, sr = S.try(S.client { cafile = S.cert("rootB") })
    assert.equal("verify", cr[3].kind)
    assert.is_nil(cr[3].alert)
    assert.equal(0, cr[3].depth)
    assert.equal("alert", sr[3].kind)
    assert.is_nil(sr[3].depth)
    assert.is_nil(sr[3].subject)
  end)
end)
