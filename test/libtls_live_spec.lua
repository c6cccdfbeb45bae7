-- What reaches a server of the libtls facade after it was made: session lifetime, verification of clients, staples.
-- Ticket keys are in libtls_session_spec.lua.

local S = require "support"
local P = require "tlspair"
local ocspkit = require "ocspkit"
local tls = require "libtls"

local function serves(name)
  return function(cfg) assert(cfg:set_keypair_file(S.cert(name), S.cert(name .. "key"))) end
end

-- A server and its configuration.
local function live(change)
  local cfg = P.serverconfig(change)
  return assert(tls.server(cfg)), cfg
end

-- Whether the server takes a client, and the server's end.
local function admits(server, client)
  local _, result, _, s = P.try(client, server)
  return result[1], s, result[2]
end

describe("libtls' servers, when their configuration changes,", function()
  after_each(P.finish)

  it("ask for client certificates from then on, and stop again", function()
    local server, cfg = live(function(cfg) assert(cfg:set_ca_file(S.cert "rootA")) end)
    assert.is_true(admits(server))
    cfg:verify_client()
    assert.is_false((admits(server)))
    local ok, s = admits(server, serves "clientA")
    assert.is_true(ok)
    assert.is_true(s:peer_cert_provided())
    assert.is_false((admits(server, serves "clientB")))
    cfg:verify_client_optional()
    assert.is_true(admits(server))
    assert.is_false((admits(server, serves "clientB")))
  end)

  it("take the authorities that are set when they begin to verify, and keep those", function()
    local server, cfg = live()
    cfg:verify_client()
    assert(cfg:set_ca_file(S.cert "rootA"))
    assert.is_true(admits(server, serves "clientA"))
    assert(cfg:set_ca_file(S.cert "rootB"))
    assert.is_true(admits(server, serves "clientA"))
    assert.is_false((admits(server, serves "clientB")))
  end)

  it("accept nobody with authorities that are none, until they are mended", function()
    local server, cfg = live()
    cfg:verify_client()
    assert(cfg:set_ca("junk"))
    local a = S.tcp()
    for _ = 1, 2 do
      assert.are.same({ nil, "ssl verify memory setup failure" }, { server:accept_socket(a:getfd()) })
    end
    a:close()
    assert(cfg:set_ca_file(S.cert "rootA"))
    assert.is_true(admits(server, serves "clientA"))
    assert.is_false((admits(server)))
  end)

  it("look at client certificates or take any", function()
    local server, cfg = live(function(cfg)
      assert(cfg:set_ca_file(S.cert "rootA"))
      cfg:insecure_noverifycert()
      cfg:verify_client()
    end)
    local ok, s = admits(server, serves "clientB")
    assert.is_true(ok)
    assert.are.equal("/C=XX/O=Test/CN=clientB", s:peer_cert_subject())
    assert.is_false((admits(server))) -- there must be one all the same
    cfg:verify()
    assert.is_false((admits(server, serves "clientB")))
    assert.is_true(admits(server, serves "clientA"))
    cfg:insecure_noverifycert()
    assert.is_true(admits(server, serves "clientB"))
  end)

  it("look at the time of client certificates or not", function()
    local server, cfg = live(function(cfg)
      assert(cfg:set_ca_file(S.cert "rootA"))
      cfg:verify_client()
    end)
    local function reason() return select(3, admits(server, serves "expired")) end
    assert.are.equal("certificate verification failed: certificate has expired", reason())
    cfg:insecure_noverifytime()
    assert.is_true(admits(server, serves "clientA"))
    assert.are_not.equal("certificate verification failed: certificate has expired", reason())
    cfg:verify()
    assert.are.equal("certificate verification failed: certificate has expired", reason())
  end)

  it("look at the revocation list that was set when they began to verify", function()
    local server, cfg = live(function(cfg)
      assert(cfg:set_ca_file(S.cert "rootA"))
      assert(cfg:set_crl("junk"))
    end)
    assert.is_true(admits(server))
    cfg:verify_client()
    local _, _, why = admits(server, serves "clientA")
    assert.are.equal("certificate verification failed: unable to get certificate CRL", why)
  end)

  it("do not resume what was not verified where it is verified now", function()
    local out = S.fresh([[
      local S = require "support"
      local P = require "tlspair"
      local tls = require "libtls"
      local scfg = P.serverconfig(function(cfg)
        cfg:set_session_lifetime(100)
        cfg:set_ca_file(S.cert "rootA")
        cfg:insecure_noverifycert()
        cfg:verify_client()
      end)
      local server = assert(tls.server(scfg))
      local ccfg = P.clientconfig(function(cfg)
        assert(cfg:set_session_fd(5))
        assert(cfg:set_keypair_file(S.cert "clientB", S.cert "clientBkey"))
      end)
      local function try()
        local c, s, a, b = P.contexts(tls.client(ccfg), server)
        local cr, sr = P.shake(c, s, a, b)
        if cr[1] and sr[1] then P.write(s, "x") P.read(c) end
        io.write(tostring(sr[1]), tostring(s:conn_session_resumed()), " ")
        c:close()
        P.finish()
      end
      try()
      try()
      scfg:verify()
      try()
    ]], [[f=$(mktemp); exec 5<>$f; rm $f;]])
    assert.are.equal("truefalse truetrue falsefalse ", out)
  end)

  -- Resumed or not, of connections after each piece of code on the server's configuration `scfg`.
  local function resumed(protocols, ...)
    local out = S.fresh(([[
      local P = require "tlspair"
      local tls = require "libtls"
      local scfg = P.serverconfig()
      local server = assert(tls.server(scfg))
      local ccfg = P.clientconfig(function(cfg)
        assert(cfg:set_session_fd(5))
        cfg:set_protocols(%d)
      end)
      for _, change in ipairs { %s } do
        change()
        for _ = 1, 2 do
          local c, s = P.connected(tls.client(ccfg), server)
          P.write(s, "x")
          assert(P.read(c) == "x")
          assert(c:conn_session_resumed() == s:conn_session_resumed())
          io.write(s:conn_session_resumed() and "yes " or "no ")
          c:close()
          P.finish()
        end
      end
    ]]):format(protocols, table.concat({ ... }, ", ")), [[f=$(mktemp); exec 5<>$f; rm $f;]])
    return out
  end

  for version, name in pairs { [8] = "TLS 1.2", [16] = "TLS 1.3" } do
    it("begin and stop to resume sessions of " .. name, function()
      local function lifetime(n) return ("function() assert(scfg:set_session_lifetime(%d)) end"):format(n) end
      assert.are.equal("no no no yes no no yes yes ",
        resumed(version, "function() end", lifetime(3600), lifetime(0), lifetime(60)))
    end)
  end

  it("give their sessions the lifetime that holds now", function()
    local out = S.fresh([[
      local P = require "tlspair"
      local core = require "ssl.core"
      local tls = require "libtls"
      local scfg = P.serverconfig(function(cfg) assert(cfg:set_session_lifetime(3600)) end)
      local server = assert(tls.server(scfg))
      local ccfg = P.clientconfig(function(cfg) assert(cfg:set_session_fd(5)) end)
      for _, n in ipairs { 3600, 77 } do
        assert(scfg:set_session_lifetime(n))
        core.rewrite(5, "")
        local c, s = P.connected(tls.client(ccfg), server)
        P.write(s, "x")
        P.read(c)
        c:close()
        local p = assert(io.popen("openssl sess_id -noout -text </dev/fd/5"))
        print(p:read("*a"):match("ticket lifetime hint: (%d+)"))
        p:close()
        P.finish()
      end
    ]], [[f=$(mktemp); exec 5<>$f; rm $f;]])
    assert.are.equal("3600\n77", out)
  end)

  local function requiring(cfg) cfg:ocsp_require_stapling() end
  local function response(t)
    t = t or {}
    t.cert = t.cert or "serverA"
    return ocspkit.craft(t)
  end

  local function stapling(der) return function(cfg) assert(cfg:set_ocsp_staple(der)) end end

  it("staple what is set then, and of other key pairs what they had", function()
    local server, cfg = live(function(cfg)
      assert(cfg:add_keypair(S.pem "ec384", S.pem "ec384key", response { cert = "ec384" }))
    end)
    local function anyname(client)
      requiring(client)
      client:insecure_noverifyname()
    end
    local function get(name) return (P.try(anyname, server, { name = name }))[1] end
    assert.is_false(get "other.test")
    assert.is_true(get "localhost") -- ec384's
    assert(cfg:set_ocsp_staple(response()))
    assert.is_true(get "other.test")
    assert.is_true(get "localhost")
    local newer = response { thisupdate = -60, nextupdate = 7777 }
    assert(cfg:set_ocsp_staple(newer))
    local c = P.connected(anyname, server, { name = "other.test" })
    assert.is_true(math.abs(c:peer_ocsp_next_update() - os.time() - 7777) < 300)
  end)

  it("accept nobody with a staple that is none of theirs, until it is mended", function()
    local server, cfg = live()
    local a = S.tcp()
    for _, der in ipairs { "junk", response { cert = "clientA" },
      response { thisupdate = -90000, nextupdate = -80000 } } do
      assert(cfg:set_ocsp_staple(der))
      local ctx, message = server:accept_socket(a:getfd())
      assert.is_nil(ctx)
      assert.are.equal("string", type(message))
    end
    a:close()
    assert(cfg:set_ocsp_staple(response()))
    assert.are.equal("good", P.connected(requiring, server):peer_ocsp_result())
  end)

  it("leave a staple that has grown old aside when something else changes", function()
    local server, cfg
    for _, seconds in ipairs { 1, 2, 4 } do -- the first that is not old before it is used
      cfg = P.serverconfig(stapling(response { nextupdate = seconds }))
      server = tls.server(cfg)
      if server then break end
    end
    assert(server, "the machine is too slow for a response of four seconds")
    S.poll(function() return not tls.server(cfg) end, "the response to grow old")
    cfg:verify_client_optional()
    assert.is_true(admits(server))
  end)

  it("keep certificate, protocols, ciphers and ALPN as they were, with the staple that fits them", function()
    local server, cfg = live(function(cfg)
      assert(cfg:set_alpn "one")
      assert(cfg:set_ocsp_staple(response()))
    end)
    assert(cfg:set_protocols(tls.TLS_v12))
    assert(cfg:set_alpn "two")
    assert(cfg:set_keypair(S.pem "ec384", S.pem "ec384key", response { cert = "ec384" }))
    local c = P.connected(function(client)
      requiring(client)
      assert(client:set_alpn "two,one")
    end, server)
    assert.are.equal("TLSv1.3", c:conn_version())
    assert.are.equal("one", c:conn_alpn_selected())
    assert.are.equal("/C=XX/O=Test/CN=serverA", c:peer_cert_subject())
    assert.are.equal("good", c:peer_ocsp_result())
  end)

  it("go on without the keys that the configuration has let go of", function()
    local server, cfg = live()
    cfg:clear_keys()
    cfg:verify_client_optional()
    assert.is_true(admits(server))
  end)

  it("leave connections that exist alone", function()
    local server, cfg = live()
    local c, s = P.connected(nil, server)
    cfg:verify_client()
    assert.is_false((admits(server)))
    P.write(c, "still here")
    assert.are.equal("still here", P.read(s))
  end)
end)
