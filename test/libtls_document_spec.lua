-- lua-libtls' interface as its documentation lists it: every function, method and constant is there, checks each of its
-- arguments in its words, and takes what the documentation lets a program leave out.

local S = require "support"
local P = require "tlspair"
local config = require "libtls.config"
local tls = require "libtls"

-- Parameters: s string, i integer, f file or integer, h handle; in capitals those that may be left out.
local modules = {
  { tls, "libtls", { client = "h", server = "h" } },
  { config, "libtls.config", { parse_protocols = "s", default_ca_cert_file = "", load_file = "sS", new = "" } },
}

local context = {
  accept_fds = "ii", accept_socket = "i", conn_servername = "", connect = "sS", connect_fds = "iiS",
  connect_servername = "sSS", connect_socket = "iS", read = "I", write = "s", sendfile = "fiI",
  conn_session_resumed = "", ocsp_process_response = "s", peer_ocsp_cert_status = "", peer_ocsp_crl_reason = "",
  peer_ocsp_next_update = "", peer_ocsp_response_status = "", peer_ocsp_result = "", peer_ocsp_revocation_time = "",
  peer_ocsp_this_update = "", peer_ocsp_url = "", reset = "", close = "", handshake = "", peer_cert_provided = "",
  peer_cert_contains_name = "s", peer_cert_hash = "", peer_cert_issuer = "", peer_cert_subject = "",
  peer_cert_notbefore = "", peer_cert_notafter = "", peer_cert_chain_pem = "", conn_version = "",
  conn_alpn_selected = "", conn_cipher = "", conn_cipher_strength = "",
}

local configuration = {
  set_alpn = "s", set_ca_file = "s", set_ca_path = "s", set_ca = "s", set_cert_file = "s", set_cert = "s",
  set_ciphers = "s", set_crl_file = "s", set_crl = "s", set_key_file = "s", set_key = "s", set_keypair_file = "ssS",
  set_keypair = "ssS", set_ocsp_staple = "s", set_ocsp_staple_file = "s", set_protocols = "I",
  insecure_noverifycert = "", insecure_noverifytime = "", verify_client = "", verify_client_optional = "",
  clear_keys = "", add_keypair_file = "ssS", add_keypair = "ssS", prefer_ciphers_client = "",
  prefer_ciphers_server = "", set_dheparams = "s", set_ecdhecurve = "s", set_ecdhecurves = "s", set_session_id = "s",
  set_session_lifetime = "i", add_ticket_key = "is", set_session_fd = "i", insecure_noverifyname = "", verify = "",
  ocsp_require_stapling = "", set_verify_depth = "i",
}

local constants = {
  "WANT_POLLIN", "WANT_POLLOUT", "TLS_v10", "TLS_v11", "TLS_v12", "TLS_v1x", "TLS_DEFAULT", "OCSP_CERT_GOOD",
  "OCSP_CERT_REVOKED", "OCSP_CERT_UNKNOWN", "OCSP_RESPONSE_SUCCESSFUL", "OCSP_RESPONSE_MALFORMED",
  "OCSP_RESPONSE_INTERNALERROR", "OCSP_RESPONSE_TRYLATER", "OCSP_RESPONSE_SIGREQUIRED", "OCSP_RESPONSE_UNAUTHORIZED",
  "CRL_REASON_UNSPECIFIED", "CRL_REASON_KEY_COMPROMISE", "CRL_REASON_CA_COMPROMISE", "CRL_REASON_AFFILIATION_CHANGED",
  "CRL_REASON_SUPERSEDED", "CRL_REASON_CESSATION_OF_OPERATION", "CRL_REASON_CERTIFICATE_HOLD",
  "CRL_REASON_REMOVE_FROM_CRL", "CRL_REASON_PRIVILEGE_WITHDRAWN", "CRL_REASON_AA_COMPROMISE", "TLS_API",
  "MAX_SESSION_ID_LENGTH", "TICKET_KEY_SIZE",
}

local words = { s = "string expected", i = "integer expected", f = "integer expected", h = "libtls.config expected" }
local good = { s = "x", i = 100000, f = 100000, h = false }

local function parameters(list)
  local kinds = {}
  for kind in list:gmatch(".") do kinds[#kinds + 1] = { kind = kind:lower(), optional = kind ~= kind:lower() } end
  return kinds
end

-- Calls f with values of the right kind before the one at index `at`, of any wrong kind.
local function checkparameters(name, f, list, offset, ...)
  local kinds = parameters(list)
  for at, parameter in ipairs(kinds) do
    local wrong = { {}, true, print, coroutine.create(function() end) }
    if not parameter.optional then wrong[#wrong + 1] = S.NONE end
    for _, value in ipairs(wrong) do
      local arguments, n = { ... }, offset
      for i = 1, at - 1 do arguments[n + i] = good[kinds[i].kind] end
      if value ~= S.NONE then arguments[n + at] = value end
      local got = value == S.NONE and "no value" or type(value)
      S.raises(("bad argument #%d to '%s' (%s, got %s)"):format(n + at, name, words[parameter.kind], got),
        f, S.unpack(arguments, 1, n + at))
    end
  end
end

local function count(...) return select("#", ...) end

describe("lua-libtls' documentation", function()
  for _, row in ipairs(modules) do
    it("lists the functions of " .. row[2], function()
      for name, list in pairs(row[3]) do
        assert.are.equal("function", type(row[1][name]), name)
        checkparameters(name, row[1][name], list, 0)
      end
    end)
  end

  it("lists the constants", function()
    assert.are.equal(29, #constants)
    local set = {}
    for _, name in ipairs(constants) do
      assert.are.equal("number", type(tls[name]), name)
      assert.are.equal(0, tls[name] % 1)
      set[name] = true
    end
    for name, value in pairs(tls) do
      assert.is_true(type(value) == "function" or set[name] or name == "TLS_v13", name)
    end
  end)

  it("lists the methods of contexts", function()
    local server = assert(tls.server(P.serverconfig()))
    for _, ctx in ipairs { tls.client(P.clientconfig()), server } do
      for name, list in pairs(context) do
        assert.are.equal("function", type(ctx[name]), name)
        checkparameters(name, ctx[name], list, 1, ctx)
        for _, other in ipairs { config.new(), 1, "x", {}, print } do
          S.raises(("bad argument #1 to '%s' (libtls expected, got "):format(name), ctx[name], other)
        end
      end
    end
  end)

  it("lists the methods of configurations", function()
    local cfg = assert(config.new())
    for name, list in pairs(configuration) do
      assert.are.equal("function", type(cfg[name]), name)
      checkparameters(name, cfg[name], list, 1, cfg)
      for _, other in ipairs { tls.client(cfg), 1, "x", {}, print } do
        S.raises(("bad argument #1 to '%s' (libtls.config expected, got "):format(name), cfg[name], other)
      end
    end
  end)

  it("takes numbers where it says string, and digits where it says integer", function()
    local cfg = assert(config.new())
    assert.is_true(cfg:set_session_id(12))
    assert.is_true(cfg:set_session_lifetime("60"))
    assert.is_true(cfg:set_verify_depth("3"))
    assert.are.same({ false, "no port provided" }, { tls.client(cfg):connect(12) })
  end)

  it("says how many values come back", function()
    local cfg = assert(config.new())
    local ctx = tls.client(cfg)
    local nothing = { "insecure_noverifycert", "insecure_noverifytime", "verify_client", "verify_client_optional",
      "clear_keys", "prefer_ciphers_client", "prefer_ciphers_server", "insecure_noverifyname", "verify",
      "ocsp_require_stapling" }
    for _, name in ipairs(nothing) do assert.are.equal(0, count(cfg[name](cfg)), name) end
    assert.are.equal(0, count(ctx:reset()))
    for _, name in ipairs { "conn_version", "conn_cipher", "conn_alpn_selected", "conn_servername", "peer_cert_hash",
      "peer_cert_issuer", "peer_cert_subject" } do
      assert.are.equal(0, count(ctx[name](ctx)), name)
    end
    for name in pairs(context) do
      if name:find("^peer_ocsp") or name == "peer_cert_chain_pem" then
        local value, message = ctx[name](ctx)
        assert.is_nil(value)
        assert.are.equal("string", type(message), name)
      end
    end
    assert.are.same({ false, false }, { ctx:peer_cert_provided(), ctx:conn_session_resumed() })
    assert.are.equal(0, ctx:conn_cipher_strength())
    assert.are.same({ -1, -1 }, { ctx:peer_cert_notbefore(), ctx:peer_cert_notafter() })
  end)

  it("has protocols in words", function()
    for list, want in pairs { ["tlsv1.0"] = 2, ["tlsv1.1"] = 4, ["tlsv1.2"] = 8, ["tlsv1.3"] = 16, all = 30,
      default = 24, legacy = 30, secure = 24, ["TLSv1.2, TLSv1.3"] = 24, ["tlsv1.2,!tlsv1.0"] = 8,
      ["!tlsv1.0"] = 28, tlsv1 = 30, ["all:!tlsv1.0:!tlsv1.1"] = 24 } do
      assert.are.equal(want, (config.parse_protocols(list)), list)
    end
    assert.are.equal(-1, (config.parse_protocols("tlsv9")))
  end)
end)
