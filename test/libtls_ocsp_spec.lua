-- OCSP in the libtls facade: responses stapled, and brought by the program.

local S = require "support"
local P = require "tlspair"
local ocspkit = require "ocspkit"
local tls = require "libtls"

local readers = { "peer_ocsp_cert_status", "peer_ocsp_crl_reason", "peer_ocsp_response_status", "peer_ocsp_result",
  "peer_ocsp_this_update", "peer_ocsp_next_update", "peer_ocsp_revocation_time" }

local function stapling(der) return function(cfg) assert(cfg:set_ocsp_staple(der)) end end
local function requiring(cfg) cfg:ocsp_require_stapling() end

local function knowsnothing(ctx)
  for _, name in ipairs(readers) do
    local value, message = ctx[name](ctx)
    assert.is_nil(value)
    assert.are.equal("string", type(message), name)
  end
end

describe("libtls' OCSP", function()
  after_each(P.finish)

  it("tells what a stapled response says", function()
    local c, s = P.connected(requiring, stapling(ocspkit.craft { cert = "serverA" }))
    assert.are.equal(tls.OCSP_CERT_GOOD, c:peer_ocsp_cert_status())
    assert.are.equal(0, c:peer_ocsp_crl_reason())
    assert.are.equal(tls.OCSP_RESPONSE_SUCCESSFUL, c:peer_ocsp_response_status())
    assert.are.equal("good", c:peer_ocsp_result())
    local now = os.time()
    assert.is_true(math.abs(c:peer_ocsp_this_update() - now) < 300)
    assert.is_true(c:peer_ocsp_next_update() > now)
    assert.is_nil((c:peer_ocsp_revocation_time()))
    knowsnothing(s)
  end)

  it("staples what belongs to the key pair that was chosen, from files", function()
    local file = S.tmpfile(ocspkit.craft { cert = "ec384" })
    local c = P.connected(requiring, function(cfg)
      assert(cfg:add_keypair_file(S.cert "ec384", S.cert "ec384key", file))
    end)
    os.remove(file)
    assert.are.equal("/C=XX/O=Test/CN=ec384", c:peer_cert_subject())
    assert.are.equal("good", c:peer_ocsp_result())
  end)

  it("demands a response only when told to", function()
    knowsnothing((P.connected()))
    local cr = P.try(requiring)
    assert.are.same({ false, "no stapled OCSP response provided" }, cr)
  end)

  it("refuses servers that staple what is no response for them", function()
    for _, der in ipairs { "", "junk", ocspkit.craft { cert = "clientA" },
      ocspkit.craft { cert = "serverA", thisupdate = -90000, nextupdate = -80000 } } do
      local ctx, message = tls.server(P.serverconfig(stapling(der)))
      assert.is_nil(ctx)
      assert.are.equal("string", type(message))
    end
  end)

  -- What a server says that staples anything.
  local function against(name, der, client)
    local program, port, file = ocspkit.gnutls(name, der)
    local c = tls.client(P.clientconfig(client))
    assert(c:connect("localhost", port))
    local ok, message = c:handshake()
    ocspkit.stop(program, file)
    return ok, message, c
  end

  it("ends handshakes with revoked servers, and tells of it", function()
    local der = ocspkit.craft { cert = "serverA", status = "revoked", reason = 1 }
    for _, client in ipairs { function() end, requiring } do
      local ok, message, c = against("serverA", der, client)
      assert.is_false(ok)
      assert.are.equal("ocsp verify failed: revoked cert - keyCompromise", message)
      assert.are.equal(tls.OCSP_CERT_REVOKED, c:peer_ocsp_cert_status())
      assert.are.equal(tls.CRL_REASON_KEY_COMPROMISE, c:peer_ocsp_crl_reason())
      assert.are.equal("keyCompromise", c:peer_ocsp_result())
      assert.is_true(math.abs(c:peer_ocsp_revocation_time() - os.time() + 86400) < 300)
    end
  end)

  it("ends handshakes with responses that cannot be believed", function()
    local cases = {
      ["ocsp verify failed: response not current"] = ocspkit.craft { cert = "serverA", thisupdate = -90000,
        nextupdate = -80000 },
      ["ocsp verify failed: no result for cert"] = ocspkit.craft { cert = "clientA" },
      ["ocsp verify failed: not signed by the issuer or its responder"] = ocspkit.craft { cert = "serverA",
        spoil = true },
    }
    for want, der in pairs(cases) do
      for _, client in ipairs { function() end, requiring } do
        local ok, message, c = against("serverA", der, client)
        assert.is_false(ok)
        assert.are.equal(want, message)
        knowsnothing(c)
        assert.is_nil((c:read()))
      end
    end
  end)

  it("judges responses that the program brings", function()
    local c, s = P.connected()
    local function given(t)
      t.cert = "serverA"
      return c:ocsp_process_response(ocspkit.craft(t))
    end
    assert.is_true(given {})
    assert.are.equal("good", c:peer_ocsp_result())
    assert.are.same({ false, "ocsp verify failed: revoked cert - superseded" },
      { given { status = "revoked", reason = 4 } })
    assert.are.equal("superseded", c:peer_ocsp_result())
    assert.is_true(given { status = "unknown" })
    assert.are.equal(tls.OCSP_CERT_UNKNOWN, c:peer_ocsp_cert_status())
    assert.are.same({ false, "ocsp verify failed: response not current" },
      { given { thisupdate = -90000, nextupdate = -80000 } })
    assert.are.equal(tls.OCSP_CERT_UNKNOWN, c:peer_ocsp_cert_status()) -- what could be believed last
    for _, junk in ipairs { "", "junk", ("x"):rep(100000) } do
      assert.are.same({ false, "unable to parse OCSP response" }, { c:ocsp_process_response(junk) })
    end
    assert.are.same({ false, "ocsp verify failed: response - trylater" },
      { c:ocsp_process_response(ocspkit.envelope(3)) })
    assert.are.same({ false, "ocsp verify failed: no result for cert" },
      { c:ocsp_process_response(ocspkit.craft { cert = "clientA" }) })
    assert.are.same({ false, "the peer has not provided a certificate" }, { s:ocsp_process_response("x") })
    assert.is_false((P.contexts():ocsp_process_response("x")))
  end)
end)
