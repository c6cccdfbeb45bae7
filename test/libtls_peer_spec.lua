-- The libtls facade in its dealings with peers: names, verification, client certificates, key pairs by name, protocols,
-- ciphers, ALPN, and what it tells of them.

local S = require "support"
local P = require "tlspair"
local config = require "libtls.config"
local farm = require "farm"
local tls = require "libtls"
local release = require "release"

local function count(...) return select("#", ...) end

local function serves(name)
  return function(cfg) assert(cfg:set_keypair_file(S.cert(name), S.cert(name .. "key"))) end
end

describe("libtls with its peer", function()
  after_each(P.finish)

  it("tells of the server's certificate", function()
    local c, s = P.connected()
    assert.is_true(c:peer_cert_provided())
    assert.is_true(c:peer_cert_contains_name("localhost"))
    assert.is_true(c:peer_cert_contains_name("LOCALHOST"))
    assert.is_false(c:peer_cert_contains_name("other.test"))
    assert.is_false(c:peer_cert_contains_name(""))
    assert.is_false(c:peer_cert_contains_name("localhost\0.test"))
    assert.truthy(c:peer_cert_hash():find("^SHA256:" .. ("%x"):rep(64) .. "$"))
    assert.are.equal("/C=XX/O=Test/CN=rootA", c:peer_cert_issuer())
    assert.are.equal("/C=XX/O=Test/CN=serverA", c:peer_cert_subject())
    local now = os.time()
    assert.is_true(c:peer_cert_notbefore() <= now and c:peer_cert_notafter() > now)
    local cert = S.ssl.loadcertificate(S.pem "serverA")
    assert.are.equal("SHA256:" .. cert:digest("sha256"), c:peer_cert_hash())
    assert.are.equal(cert:pem(), c:peer_cert_chain_pem():sub(1, #cert:pem()))
    -- nothing to tell on the other side
    assert.is_false(s:peer_cert_provided())
    for _, name in ipairs { "peer_cert_hash", "peer_cert_issuer", "peer_cert_subject", "conn_alpn_selected" } do
      assert.are.equal(0, count(s[name](s)), name)
    end
    assert.are.equal(-1, s:peer_cert_notbefore())
    assert.are.equal(-1, s:peer_cert_notafter())
    assert.are.same({ nil, "the peer has not provided a certificate" }, { s:peer_cert_chain_pem() })
    assert.is_nil((s:peer_ocsp_url()))
    assert.are.equal("localhost", s:conn_servername())
  end)

  it("has nothing to tell before the handshake", function()
    local c = P.contexts()
    for _, name in ipairs { "conn_version", "conn_cipher", "conn_servername", "conn_alpn_selected", "peer_cert_hash",
      "peer_cert_issuer", "peer_cert_subject" } do
      assert.are.equal(0, count(c[name](c)), name)
    end
    assert.are.equal(0, c:conn_cipher_strength())
    assert.is_false(c:conn_session_resumed())
    assert.is_false(c:peer_cert_provided())
    assert.are.equal(-1, c:peer_cert_notafter())
  end)

  it("verifies chain, name and time unless told otherwise", function()
    local cases = {
      { "serverB", "certificate verification failed: ", "insecure_noverifycert" },
      { "expired", "certificate verification failed: certificate has expired", "insecure_noverifytime" },
      { "notyet", "certificate verification failed: " .. release.notyet, "insecure_noverifytime" },
      { "wronghost", "name `localhost' not present in server certificate", "insecure_noverifyname" },
    }
    for _, case in ipairs(cases) do
      local cr = P.try(nil, serves(case[1]))
      assert.is_false(cr[1])
      assert.are.equal(case[2], cr[2]:sub(1, #case[2]))
      local function relax(cfg) cfg[case[3]](cfg) end
      cr = P.try(relax, serves(case[1]))
      assert.is_true(cr[1], case[1] .. ": " .. tostring(cr[2]))
      cr = P.try(function(cfg)
        relax(cfg)
        cfg:verify()
      end, serves(case[1]))
      assert.is_false(cr[1])
    end
  end)

  it("refuses a server that has no name to verify when names are verified only after the connect", function()
    local cfg = P.clientconfig(function(cfg) cfg:insecure_noverifyname() end)
    local client, a, b = tls.client(cfg), S.tcp()
    assert.is_true(client:connect_socket(a:getfd()))
    local peer = assert(assert(tls.server(P.serverconfig())):accept_socket(b:getfd()))
    cfg:verify()
    assert.are.same({ false, "server name not specified" }, (P.shake(client, peer, a, b)))
    a:close()
    b:close()
  end)

  it("lets nothing through after a name that is not the server's", function()
    local cr, _, c, s = P.try(nil, nil, { name = "other.test" })
    assert.is_false(cr[1])
    local why = "name `other.test' not present in server certificate"
    assert.are.same({ false, why }, { c:handshake() })
    assert.are.same({ nil, why }, { c:read() })
    assert.are.same({ nil, why }, { c:write "secret" })
    assert.is_false(c:peer_cert_provided())
    assert.is_true(c:close())
    assert.are.equal(0, count(P.read(s)))
  end)

  it("checks addresses, sends them to nobody, and drops a trailing dot", function()
    local c, s = P.connected(nil, serves "ip", { name = "127.0.0.1" })
    assert.are.equal("127.0.0.1", c:conn_servername())
    assert.are.equal(0, count(s:conn_servername()))
    c, s = P.connected(nil, nil, { name = "localhost." })
    assert.are.equal("localhost", c:conn_servername())
    assert.are.equal("localhost", s:conn_servername())
    local cr = P.try(nil, nil, { name = "10.9.8.7" })
    assert.are.same({ false, "name `10.9.8.7' not present in server certificate" }, cr)
    for _, name in ipairs { ("x"):rep(300), "a\0b" } do
      local ctx = tls.client(P.clientconfig())
      local ok, message = ctx:connect_socket(1, name)
      assert.is_false(ok)
      assert.are.equal("string", type(message))
    end
  end)

  it("takes a common name where there is no other, which CAs may rule out", function()
    local c = P.connected(nil, serves "nosan")
    assert.is_true(c:peer_cert_contains_name("localhost"))
    assert.is_false(c:peer_cert_contains_name("other.test"))
    assert.is_false(P.try(nil, serves "nosan", { name = "other.test" })[1])
    local ca
    for _, row in ipairs(farm.cas) do ca = row[1] == "named" and row or ca end -- for inside.test alone
    local function only(by, subject, ext) return { by = by, subject = subject, ext = ext or {} }, { "named" } end
    local dir = farm.make({
      { "inside", only("named", "/CN=www.inside.test") }, { "outside", only("named", "/CN=www.other.test") },
      { "second", only("rootA", "/CN=localhost", { "subjectAltName=DNS:other.test" }) },
      { "address", only("rootA", "/CN=localhost", { "subjectAltName=IP:10.1.2.3" }) },
      { "number", only("rootA", "/CN=127.0.0.1") },
    }, { ca })
    finally(function() farm.remove(dir) end)
    local function try(name, host)
      return P.try(nil, function(cfg)
        assert(cfg:set_keypair_file(dir .. "/" .. name .. "-chain.pem", dir .. "/leafkey.pem"))
      end, { name = host })
    end
    assert.is_true(try("inside", "www.inside.test")[1])
    assert.are.same({ false, "certificate verification failed: permitted subtree violation" },
      try("outside", "www.other.test"))
    for name, host in pairs { second = "localhost", address = "localhost", number = "127.0.0.1" } do
      assert.are.same({ false, "name `" .. host .. "' not present in server certificate" }, try(name, host))
    end
  end)

  it("cannot verify with authorities that are none", function()
    for _, junk in ipairs { "", "junk", S.pem "serverAkey" } do
      local c = tls.client(P.clientconfig(function(cfg) cfg:set_ca(junk) end))
      assert.are.same({ false, "ssl verify memory setup failure" }, { c:connect_socket(1, "localhost") })
    end
    local cr = P.try(function(cfg) cfg:set_ca(S.pem "rootB") end)
    assert.is_false(cr[1])
  end)

  it("finds authorities in a directory", function()
    local cfg = assert(config.new())
    assert(cfg:set_ca_path(S.cert "capath"))
    assert.is_true(P.try(tls.client(cfg))[1])
  end)

  it("bounds the depth of chains", function()
    local function chain(cfg) assert(cfg:set_keypair_file(S.cert "chainA", S.cert "chainAkey")) end
    assert.is_true(P.try(nil, chain)[1])
    local cr = P.try(function(cfg) cfg:set_verify_depth(0) end, chain)
    assert.is_false(cr[1])
    assert.truthy(cr[2]:find("^certificate verification failed: "))
    assert.is_true(P.try(function(cfg) cfg:set_verify_depth(-1) end, chain)[1])
  end)

  it("looks at revocation lists, and fails without one that is asked for", function()
    assert.is_true(P.try(function(cfg) assert(cfg:set_crl_file(S.cert "rootA-crl")) end)[1])
    local function with(crl) return function(cfg) assert(cfg:set_crl(crl)) end end
    assert.are.same({ false, "certificate verification failed: certificate revoked" },
      P.try(with(S.pem "rootA-crl"), serves "revoked"))
    for _, junk in ipairs { "", "junk", S.pem "rootA" } do
      assert.are.same({ false, "certificate verification failed: unable to get certificate CRL" }, P.try(with(junk)))
    end
  end)

  it("asks clients for certificates in three ways", function()
    local function client(cfg) assert(cfg:set_keypair_file(S.cert "clientA", S.cert "clientAkey")) end
    local function stranger(cfg) assert(cfg:set_keypair_file(S.cert "clientB", S.cert "clientBkey")) end
    local function demand(method)
      return function(cfg)
        assert(cfg:set_ca_file(S.cert "rootA"))
        cfg[method](cfg)
      end
    end
    local cases = { -- method, client, does the server take it?, does it know a certificate?
      { "prefer_ciphers_server", client, true, false }, { "verify_client", client, true, true },
      { "verify_client", nil, false }, { "verify_client", stranger, false },
      { "verify_client_optional", client, true, true }, { "verify_client_optional", nil, true, false },
      { "verify_client_optional", stranger, false },
    }
    for i, case in ipairs(cases) do
      local _, sr, _, s = P.try(case[2], demand(case[1]))
      assert.are.equal(case[3], sr[1], "case " .. i)
      if case[3] then assert.are.equal(case[4], s:peer_cert_provided(), "case " .. i) end
      if case[4] then
        assert.are.equal("/C=XX/O=Test/CN=clientA", s:peer_cert_subject())
        local _, n = s:peer_cert_chain_pem():gsub("BEGIN CERT", "")
        assert.are.equal(1, n)
      end
    end
  end)

  it("chooses key pairs by name", function()
    local function many(cfg)
      for _, name in ipairs { "wildcard", "ip", "ec384", "wronghost" } do
        assert(cfg:add_keypair_file(S.cert(name), S.cert(name .. "key")))
      end
    end
    local server = assert(tls.server(P.serverconfig(many)))
    local wild = S.ssl.loadcertificate(S.pem "wildcard"):extensions()["2.5.29.17"].dNSName[1]:gsub("%*", "some")
    local wrong = S.ssl.loadcertificate(S.pem "wronghost"):extensions()["2.5.29.17"].dNSName[1]
    for name, subject in pairs { [wild] = "wildcard", [wrong] = "wronghost", localhost = "ec384",
      ["unknown.test"] = "serverA" } do
      local c = tls.client(P.clientconfig(function(cfg) cfg:insecure_noverifyname() end))
      local s
      c, s = P.connected(c, server, { name = name })
      assert.are.equal("/C=XX/O=Test/CN=" .. subject, c:peer_cert_subject())
      assert.are.equal(name, s:conn_servername())
    end
  end)

  it("takes the first key pair that is for the name, a wildcard too, whatever its key", function()
    local pairs_of = {}
    for kind, names in pairs { ec = { "x.order.test" }, rsa = { "*.order.test" } } do
      local certificate, key = assert(S.ssl.selfsigned { names = names, key = kind })
      pairs_of[kind] = { certificate, key, S.ssl.loadcertificate(certificate):serial() }
    end
    for _, order in ipairs { { "ec", "rsa" }, { "rsa", "ec" } } do
      local server = assert(tls.server(P.serverconfig(function(cfg)
        for _, kind in ipairs(order) do assert(cfg:add_keypair(pairs_of[kind][1], pairs_of[kind][2])) end
      end)))
      local unverified = tls.client(P.clientconfig(function(cfg)
        cfg:insecure_noverifyname()
        cfg:insecure_noverifycert()
      end))
      local c = P.connected(unverified, server, { name = "x.order.test" })
      local shown = S.ssl.loadcertificate(c:peer_cert_chain_pem())
      assert.are.equal(pairs_of[order[1]][3], shown:serial())
    end
  end)

  it("speaks the protocols that it is told to", function()
    local function only(...)
      local list = { ... }
      return function(cfg)
        assert(cfg:set_ciphers("compat"))
        assert(cfg:set_protocols(S.unpack(list)))
      end
    end
    for set, version in pairs { [2] = "TLSv1", [4] = "TLSv1.1", [8] = "TLSv1.2", [16] = "TLSv1.3" } do
      local c = P.connected(only(set), only(2, 28))
      assert.are.equal(version, c:conn_version())
    end
    assert.is_false(P.try(only(2))[1])
    assert.are.same({ false, "handshake failed: no protocols available" }, P.try(only()))
  end)

  it("uses the ciphers and curves that it is told to", function()
    local function with(method, value, protocols)
      return function(cfg)
        assert(cfg[method](cfg, value))
        assert(cfg:set_protocols(protocols or 8))
      end
    end
    local c = P.connected(with("set_ciphers", "ECDHE-ECDSA-AES128-GCM-SHA256"))
    assert.are.equal("ECDHE-ECDSA-AES128-GCM-SHA256", c:conn_cipher())
    assert.are.equal(128, c:conn_cipher_strength())
    assert.is_false(P.try(with("set_ecdhecurves", "P-384", 16), with("set_ecdhecurve", "X25519", 16))[1])
    assert.is_true(P.try(with("set_ecdhecurves", "P-384,X25519", 16), with("set_ecdhecurve", "X25519", 16))[1])
    local function dhe(how)
      return function(cfg)
        with("set_ciphers", "DHE+AESGCM")(cfg)
        if how then
          assert(cfg:set_dheparams(how))
          assert(cfg:set_keypair_file(S.cert "rsa", S.cert "rsakey"))
        end
      end
    end
    local function careless(cfg)
      dhe()(cfg)
      cfg:insecure_noverifycert()
      cfg:insecure_noverifyname()
    end
    assert.is_true(P.try(careless, dhe "auto")[1])
    assert.is_false(P.try(careless, dhe "none")[1])
  end)

  it("prefers the server's ciphers, or the client's", function()
    local function with(list, prefer)
      return function(cfg)
        assert(cfg:set_ciphers(list))
        assert(cfg:set_protocols(tls.TLS_v12))
        if prefer then cfg[prefer](cfg) end
      end
    end
    local a, b = "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"
    assert.are.equal(b, P.connected(with(a .. ":" .. b), with(b .. ":" .. a)):conn_cipher())
    assert.are.equal(a, P.connected(with(a .. ":" .. b), with(b .. ":" .. a, "prefer_ciphers_client")):conn_cipher())
  end)

  it("agrees on a protocol by ALPN, in the server's order", function()
    local function with(list) return function(cfg) assert(cfg:set_alpn(list)) end end
    local c, s = P.connected(with "http/1.1,h2", with "h2,http/1.1")
    assert.are.equal("h2", c:conn_alpn_selected())
    assert.are.equal("h2", s:conn_alpn_selected())
    c = P.connected(with "x", with "h2")
    assert.are.equal(0, count(c:conn_alpn_selected()))
  end)

  it("reads the configuration when it connects", function()
    local cfg = P.clientconfig()
    local c = P.connected(tls.client(cfg))
    assert.are.equal("TLSv1.3", c:conn_version())
    cfg:set_protocols(tls.TLS_v12)
    c = P.connected(tls.client(cfg))
    assert.are.equal("TLSv1.2", c:conn_version())
  end)
end)
