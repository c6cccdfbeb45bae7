-- The setting keypairs: certificates chosen by the name that the client sends and by what kinds of key it can use;
-- several kinds of key by the setting certificates; peers of other makes.

local socket = require "socket"
local kit = require "ocspkit"
local S = require "support"
local release = require "release"
local ssl = S.ssl

local VERSIONS = { "tlsv1_2", "tlsv1_3" }

local made = {}

-- A self-signed pair for names, made once.
local function pair(names, kind)
  local id = table.concat(names, ",") .. (kind or "ec")
  if not made[id] then
    local cert, key = assert(ssl.selfsigned { names = names, key = kind or "ec" })
    made[id] = { certificate = cert, key = key }
  end
  return made[id]
end

local function file(name) return { certificate = S.cert(name), key = S.cert(name .. "key") } end

local function server(list, extra)
  local cfg = { mode = "server", protocol = "any", keypairs = list }
  for k, v in pairs(extra or {}) do cfg[k] = v end
  return cfg
end

-- What tells the certificate of a self-signed pair, and of others.
local function told(cert)
  local subject = cert:subject()
  return subject[#subject].value
end

-- Handshakes with a client that sends a name: common name and type of key in the certificate it got, both results.
local function ask(ctx, name, clientextra, inspect)
  local cfg = S.anyclient(clientextra)
  local c, s = S.wrapped(cfg, ctx)
  if name then c:sni(name) end
  local cr, sr = S.shake(c, s)
  local got, kind, answer
  if cr[1] and sr[1] then
    got = told(c:getpeercertificate())
    kind = select(2, c:getpeercertificate():pubkey())
    if inspect then answer = inspect(c, s) end
  end
  c:close()
  s:close()
  return got, kind, cr, sr, answer
end

local RSA = { sigalgs = "RSA-PSS+SHA256:RSA+SHA256" }
local ECDSA = { sigalgs = "ECDSA+SHA256" }
local ED25519 = { sigalgs = "ed25519" }

local function each(f)
  for _, version in ipairs(VERSIONS) do
    f(function(extra)
      local t = { protocol = version }
      for k, v in pairs(extra or {}) do t[k] = v end
      return t
    end, version)
  end
end

describe("the setting keypairs", function()
  it("chooses by the names in the certificates", function()
    local ctx = assert(ssl.newcontext(server { pair { "first.test" }, pair { "b.test", "www.b.test" },
      pair { "*.w.test" }, pair { "exact.w.test" }, pair { "Caps.TEST" } }))
    local rows = {
      ["first.test"] = "first.test", ["b.test"] = "b.test", ["www.b.test"] = "b.test", ["B.Test"] = "b.test",
      ["b.test."] = "b.test", ["x.w.test"] = "*.w.test", ["X.W.TEST"] = "*.w.test", ["exact.w.test"] = "exact.w.test",
      ["EXACT.w.test"] = "exact.w.test", ["caps.test"] = "Caps.TEST",
      -- and the first pair for all others
      ["w.test"] = "first.test", ["x.y.w.test"] = "first.test", [".w.test"] = "first.test", [".b.test"] = "first.test",
      ["other.test"] = "first.test", ["."] = "first.test", ["b.test.."] = "first.test", ["192.0.2.1"] = "first.test",
      [("x"):rep(248) .. ".w.test"] = "*.w.test", ["\228.w.test"] = "first.test", ["b.test\n"] = "first.test",
    }
    for name, expected in pairs(rows) do assert.equal(expected, (ask(ctx, name)), name) end
    each(function(client) assert.equal("first.test", (ask(ctx, nil, client()))) end)
  end)

  it("takes the common name of a certificate without alternative names only", function()
    local ctx = assert(ssl.newcontext(server { pair { "first.test" }, file "nosan", file "wronghost" }))
    assert.equal("localhost", (ask(ctx, "localhost")))
    assert.equal("wronghost", (ask(ctx, "other.test")))
    assert.equal("first.test", (ask(ctx, "wronghost")))
  end)

  it("takes whole labels for wildcards, and never an address", function()
    local ctx = assert(ssl.newcontext(server { pair { "first.test" }, file "wildcards", file "ip" }))
    for name, expected in pairs { ["x.wild.test"] = "wildcards", ["w1.part.test"] = "first.test",
      ["a.b.two.test"] = "first.test", ["www.x.mid.test"] = "first.test", ["127.0.0.1"] = "first.test",
      ["::1"] = "first.test", localhost = "first.test" } do
      assert.equal(expected, (ask(ctx, name)), name)
    end
  end)

  it("does not take a name with a NUL in the certificate for the part before it", function()
    local ctx = assert(ssl.newcontext(server { pair { "first.test" }, file "nul" }))
    assert.equal("first.test", (ask(ctx, "localhost")))
  end)

  it("gives the context's own certificate to names that no pair has", function()
    local ctx = assert(ssl.newcontext(server({ pair { "a.test" } }, file "serverA")))
    each(function(client)
      assert.equal("a.test", (ask(ctx, "a.test", client())))
      assert.equal("serverA", (ask(ctx, "b.test", client())))
      assert.equal("serverA", (ask(ctx, nil, client())))
    end)
  end)

  it("sends the intermediates of the pair, and checks out with its clients", function()
    local ctx = assert(ssl.newcontext(server { file "serverA", file "chainA" }))
    each(function(client)
      local c, s = S.connected(S.client(client { servername = "chain.test" }), ctx)
      assert.equal(2, #c:getpeerchain())
      assert.is_true(c:getpeerverification())
      assert.equal("chainA", told(s:getlocalcertificate()))
      assert.equal("chain.test", s:getsniname())
      c:close()
      s:close()
    end)
  end)

  it("with snistrict refuses names that no pair has, and clients without one", function()
    local ctx = assert(ssl.newcontext(server({ pair { "a.test" }, pair { "*.w.test" } },
      { snistrict = true, certificate = S.cert("serverA"), key = S.cert("serverAkey") })))
    each(function(client)
      assert.equal("a.test", (ask(ctx, "a.test", client())))
      assert.equal("*.w.test", (ask(ctx, "x.w.test", client())))
      for _, name in ipairs { "b.test", "w.test", "localhost", ".w.test", "none" } do
        local sent = name ~= "none" and name or nil
        local _, _, cr, sr = ask(ctx, sent, client())
        assert.equal("tlsv1 unrecognized name", cr[2])
        assert.equal(sent and "the client asked for the server name '" .. name .. "', which is unknown here" or
          "the client sent no server name, and snistrict asks for one", sr[2])
      end
    end)
  end)

  it("goes along with sni", function()
    local inner = assert(ssl.newcontext(server({ pair { "one.in.test" }, pair { "two.in.test" } })))
    local ctx = assert(ssl.newcontext(server({ pair { "a.test" }, pair { "b.test" } },
      { sni = { ["*.in.test"] = inner, ["b.test"] = inner }, snistrict = true })))
    each(function(client)
      assert.equal("a.test", (ask(ctx, "a.test", client())))
      assert.equal("two.in.test", (ask(ctx, "two.in.test", client())))
      assert.equal("one.in.test", (ask(ctx, "other.in.test", client())))
      assert.equal("one.in.test", (ask(ctx, "b.test", client())))
      local _, _, cr = ask(ctx, "c.test", client())
      assert.equal("tlsv1 unrecognized name", cr[2])
    end)
  end)

  it("takes every form of certificate and key", function()
    local p12 = { pkcs12 = { file = S.cert("chainA.p12"), password = "secret" } }
    local ctx = assert(ssl.newcontext(server { { certificate = S.pem("serverA"), key = S.pem("serverAkey") }, p12,
      { certificate = S.cert("rsa"), key = S.cert("rsakey-encrypted"), password = function() return "secret" end },
      { certificate = "store:" .. S.cert("wronghost"), key = "store:" .. S.cert("wronghostkey") } }))
    assert.equal("serverA", (ask(ctx, "server.test")))
    assert.equal("chainA", (ask(ctx, "chain.test")))
    assert.equal("rsa", (ask(ctx, "rsa.test")))
    assert.equal("wronghost", (ask(ctx, "other.test")))
  end)

  it("lets its sessions resume under their own name", function()
    local ctx = assert(ssl.newcontext(server { pair { "a.test" }, pair { "b.test" } }))
    each(function(client)
      for second, expected in pairs { ["a.test"] = true, ["b.test"] = false } do
        local session
        ask(ctx, "a.test", client(), function(c, s)
          assert.equal("x", S.transfer(s, c, "x"))
          session = c:getsession()
        end)
        local c, s = S.wrapped(S.anyclient(client { servername = second }), ctx)
        assert(c:setsession(session))
        assert.is_true(S.shake(c, s)[1])
        assert.equal(expected, c:sessionreused())
        assert.equal(second, told(c:getpeercertificate()))
        assert.equal(second, s:getsniname())
        c:close()
        s:close()
      end
    end)
  end)

  it("staples the OCSP response of the pair that is sent", function()
    local list = { file "serverA", file "wronghost", file "wildcard" }
    list[2].ocsp, list[3].ocsp = kit.craft { cert = "wronghost" }, kit.craft { cert = "wildcard" }
    local ctx = assert(ssl.newcontext(server(list)))
    each(function(client)
      local staples = { ["other.test"] = list[2].ocsp, ["x.wild.test"] = list[3].ocsp, localhost = false }
      for name, expected in pairs(staples) do
        local c, s = S.connected(S.client(client { servername = name, ocsp = "request" }), ctx)
        assert.equal(expected, (c:getocsp() or { der = false }).der)
        c:close()
        s:close()
      end
    end)
    list[2].ocsp = list[3].ocsp
    list[3].ocsp = kit.craft { cert = "revoked" }
    local none, message = ssl.newcontext(server(list))
    assert.is_nil(none)
    assert.matches("^keypairs%[3%]: error setting OCSP response", message)
  end)

  it("goes on after its context was closed", function()
    local ctx = assert(ssl.newcontext(server { pair { "a.test" }, pair { "b.test" } }))
    local c, s = S.wrapped(S.anyclient { servername = "b.test" }, ctx)
    S.finalize(ctx)
    S.collect()
    assert.is_true(S.shake(c, s)[1])
    assert.equal("b.test", told(c:getpeercertificate()))
    c:close()
    s:close()
  end)
end)

describe("kinds of keys", function()
  it("of one name are chosen by what the client can use", function()
    local names = { "a.test" }
    local ctx = assert(ssl.newcontext(server { pair { "first.test" }, pair(names, "rsa"), pair(names, "ec"),
      pair(names, "ed25519"), pair { "last.test" } }))
    each(function(client, version)
      for kind, algorithms in pairs { RSA = RSA, EC = ECDSA, Unknown = ED25519 } do -- LuaSec's pubkey knows no more
        local got, key = ask(ctx, "a.test", client(algorithms))
        assert.equal("a.test", got)
        assert.matches(kind, key)
      end
      assert.equal("a.test", (ask(ctx, "a.test", client())))
      -- The others are there for their own names only.
      local got, _, _, sr = ask(ctx, "last.test", client(RSA))
      assert.is_nil(got)
      assert.equal(version == "tlsv1_2" and "no shared cipher" or "no suitable signature algorithm", sr[2])
    end)
  end)

  it("of the first pair's name serve clients that ask for none", function()
    local ctx = assert(ssl.newcontext(server { pair({ "*.a.test" }, "rsa"), pair({ "b.test" }, "ec"),
      pair({ "*.a.test", "c.test" }, "ec"), pair({ "*.a.test", "d.test" }, "rsa") }))
    each(function(client)
      local got, kind = ask(ctx, nil, client(RSA))
      assert.equal("*.a.test", got)
      assert.matches("RSA", kind)
      got, kind = ask(ctx, "unknown.test", client(ECDSA))
      assert.equal("*.a.test", got)
      assert.matches("EC", kind)
    end)
  end)

  it("the first of a kind wins", function()
    local first, second = pair({ "a.test", "first.test" }), pair({ "a.test", "second.test" })
    local ctx = assert(ssl.newcontext(server { first, second }))
    local _, _, _, _, serial = ask(ctx, "a.test", nil, function(c) return c:getpeercertificate():pem() end)
    assert.equal(first.certificate, serial)
  end)

  it("by the setting certificates are chosen by what the client can use", function()
    local ctx = assert(ssl.newcontext { mode = "server", protocol = "any", certificates = { file "rsa", file "serverA",
      file "ed25519" } })
    each(function(client)
      for expected, algorithms in pairs { rsa = RSA, serverA = ECDSA, ed25519 = ED25519 } do
        assert.equal(expected, (ask(ctx, nil, client(algorithms))))
      end
    end)
    assert.equal("rsa", (ask(ctx, nil, { protocol = "tlsv1_2", ciphers = "ECDHE-RSA-AES256-GCM-SHA384" })))
    assert.equal("serverA", (ask(ctx, nil, { protocol = "tlsv1_2", ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384", sigalgs =
      ECDSA.sigalgs })))
  end)
end)

describe("what the setting keypairs refuses", function()
  local good = { certificate = S.cert("serverA"), key = S.cert("serverAkey") }

  local function refused(list, extra)
    local ctx, message, detail = ssl.newcontext(server(list, extra))
    assert.is_nil(ctx)
    assert.equal("string", type(message))
    return message, detail
  end

  it("other types, empty lists, clients", function()
    assert.equal("invalid keypairs (array expected, got string)", (refused("a.pem")))
    assert.equal("invalid keypairs (array expected, got number)", (refused(1)))
    local none = "keypairs is an array of tables with certificate and key, and has none"
    assert.equal(none, (refused({})))
    assert.equal(none, (refused(good)))
    local _, message, detail = ssl.newcontext(S.client { keypairs = { good } })
    assert.equal("keypairs is a server's setting; a client has certificate and key", message)
    assert.equal("config", detail.kind)
    assert(ssl.newcontext(S.server { keypairs = false }))
  end)

  it("pairs that are none, by their index", function()
    assert.equal("keypairs[2]: table expected, got string", (refused { good, "x" }))
    assert.equal("keypairs[1]: table expected, got userdata", (refused { io.stdout }))
    assert.equal("keypairs[1]: no key: a pair needs both certificate and key, or pkcs12",
      (refused { { certificate = good.certificate } }))
    assert.equal("keypairs[2]: no certificate: a pair needs both certificate and key, or pkcs12",
      (refused { good, { key = good.key } }))
    assert.equal("keypairs[1]: no key: a pair needs both certificate and key, or pkcs12", (refused { {} }))
    assert.equal("keypairs[1]: unknown field 'certificat': did you mean 'certificate'?",
      (refused { { certificat = good.certificate, key = good.key } }))
    assert.equal("keypairs[1]: unknown field 'name'",
      (refused { { certificate = good.certificate, key = good.key, name = "x" } }))
    assert.equal("keypairs[1]: unknown field '1'", (refused { { "x" } }))
    assert.equal("keypairs[1]: invalid certificate (string expected, got table)",
      (refused { { certificate = {}, key = "x" } }))
    assert.equal("keypairs[1]: invalid key (string expected, got number)",
      (refused { { certificate = good.certificate, key = 5 } }))
    assert.equal("keypairs[1]: invalid password type",
      (refused { { certificate = good.certificate, key = good.key, password = {} } }))
  end)

  it("what cannot be loaded, by index and file", function()
    local missing = S.cert("missing")
    local message, detail = refused { good, { certificate = missing, key = good.key } }
    assert.equal("keypairs[2]: error loading certificate (No such file or directory)", message)
    assert.equal(missing, detail.file)
    assert.equal("system", detail.kind)
    message, detail = refused { { certificate = good.certificate, key = missing } }
    assert.equal("keypairs[1]: error loading private key (No such file or directory)", message)
    assert.equal(missing, detail.file)
    message = refused { good, good, { certificate = good.certificate, key = S.cert("clientAkey") } }
    assert.equal("keypairs[3]: private key does not match public key", message)
    message, detail = refused { { certificate = S.cert("rsa"), key = S.cert("rsakey-encrypted") } }
    assert.equal("keypairs[1]: error loading private key (the key is encrypted and no password was given)", message)
    assert.equal(S.cert("rsakey-encrypted"), detail.file)
    message = refused { { certificate = S.cert("rsa"), key = S.cert("rsakey-encrypted"),
      password = function() error("no", 0) end } }
    assert.matches("^keypairs%[1%]: error loading private key %(password callback failed: no%)$", message)
    for _, name in ipairs { "junk", "empty", "cut", "badbase64" } do
      message, detail = refused { { certificate = S.cert(name), key = good.key } }
      assert.matches("^keypairs%[1%]: error loading certificate %(.+%)$", message)
      assert.equal(S.cert(name), detail.file)
    end
    message = refused { { pkcs12 = { file = S.cert("chainA.p12"), password = "wrong" } } }
    assert.matches("^keypairs%[1%]: error loading PKCS#12 %(.+%)$", message)
    assert.matches("^keypairs%[1%]: .*too small", (refused { file "rsa1024" }))
  end)

  it("what the context's security level forbids", function()
    local message = refused({ file "serverA", file "rsa" }, { ciphers = "DEFAULT@SECLEVEL=3" })
    assert.matches("^keypairs%[2%]: error loading certificate %(.*small.*%)$", message)
  end)
end)

describe("the first pair", function()
  it("is for clients without a name, also where it has no DNS name itself", function()
    for _, name in ipairs { "nosan", "ip" } do
      local ctx = assert(ssl.newcontext(server { file(name), pair { "a.test" } }))
      local cert = told(ssl.loadcertificate(S.pem(name)))
      assert.equal(cert, (ask(ctx)))
      assert.equal(cert, (ask(ctx, "nobody.test")))
      assert.equal("a.test", (ask(ctx, "a.test")))
    end
  end)

  it("is whole", function()
    local context = require "ssl.context"
    local ctx = assert(ssl.newcontext { mode = "server", protocol = "any" })
    local half = assert(context.create "any")
    assert.same({ false, "a key pair needs both a certificate and a key" },
      { S.unpack(S.pack(context.addpair(ctx, half)), 1, 2) })
    assert.is_true(context.loadcert(half, S.cert "serverA"))
    assert.same({ false, "a key pair needs both a certificate and a key" },
      { S.unpack(S.pack(context.addpair(ctx, half)), 1, 2) })
    assert.is_true(context.loadkey(half, S.cert "serverAkey"))
    assert.is_true(context.addpair(ctx, half))
  end)
end)

describe("many pairs", function()
  it("are found", function()
    local list = {}
    for i = 1, 40 do list[i] = pair { "host" .. i .. ".test", "*.host" .. i .. ".test" } end
    local ctx = assert(ssl.newcontext(server(list, { snistrict = true })))
    for i = 1, 40, 13 do
      assert.equal("host" .. i .. ".test", (ask(ctx, "host" .. i .. ".test")))
      assert.equal("host" .. i .. ".test", (ask(ctx, "www.host" .. i .. ".test")))
    end
    assert.is_nil((ask(ctx, "host41.test")))
  end)

  it("with a thousand names are found", function()
    local ctx = assert(ssl.newcontext(server { pair { "a.test" }, file "manysan" }))
    assert.equal("manysan", (ask(ctx, "host1000.many.test")))
    assert.equal("a.test", (ask(ctx, "host1001.many.test")))
  end)

  it("give their memory back", function()
    local grown = S.growth([[
      local ssl = S.ssl
      local cert, key = S.pem("serverA"), S.pem("serverAkey")
      local list = {}
      for i = 1, 10 do list[i] = { certificate = cert, key = key } end
      return function()
        local ctx = assert(ssl.newcontext { mode = "server", protocol = "any", keypairs = list })
        local bad = { list[1], { certificate = cert, key = "junk" } }
        assert(not ssl.newcontext { mode = "server", protocol = "any", keypairs = bad })
        local c, s = S.wrapped(S.anyclient { servername = "localhost" }, ctx)
        assert(S.shake(c, s)[1])
      end
    ]], 60, 120)
    assert.is_true(grown < 4096, grown)
  end)
end)

describe("against other programs", function()
  -- Runs a client against one connection of the context; what it printed, and whether the handshake was done.
  local function peer(command, ctx)
    local listener = assert(socket.bind("127.0.0.1", 0))
    listener:settimeout(20)
    local out = os.tmpname()
    local p = assert(io.popen(("timeout 30 %s >%s 2>&1 </dev/null"):format(
      command:gsub("PORT", tostring((select(2, listener:getsockname())))), out), "w"))
    local sock = assert(listener:accept())
    local conn = assert(ssl.wrap(sock, ctx))
    conn:settimeout(20)
    local ok = conn:dohandshake()
    if ok then conn:send("done\n") end
    conn:close()
    p:close()
    listener:close()
    local text = S.read(out)
    os.remove(out)
    return text, ok
  end

  local ctx = assert(ssl.newcontext(server { file "serverA", file "rsa", file "ed25519", file "wildcard",
    pair({ "x.wild.test" }, "rsa") }))

  it("openssl s_client gets the pair of its name and of its -sigalgs", function()
    local rows = {
      { "-servername localhost -sigalgs RSA-PSS+SHA256:RSA+SHA256", "rsa" },
      { "-servername localhost -sigalgs ECDSA+SHA256", "serverA" },
      { "-servername localhost -sigalgs ed25519", "ed25519" },
      { "-servername x.wild.test", "x.wild.test" },
      { "-servername y.wild.test", "wildcard" },
      { "-noservername", "" },
    }
    for _, version in ipairs { "-tls1_2", "-tls1_3" } do
      for _, row in ipairs(rows) do
        local text, ok = peer("openssl s_client -connect 127.0.0.1:PORT -ign_eof " .. version .. " " .. row[1], ctx)
        assert.is_true(ok, text)
        local name = release.attribute("CN", (row[2]:gsub("%.", "%%.")))
        assert.is_truthy(text:match("subject=[^\n]*" .. name), row[1] .. "\n" .. text)
      end
    end
    for cipher, name in pairs { ["ECDHE-RSA-AES128-GCM-SHA256"] = "rsa",
      ["ECDHE-ECDSA-AES128-GCM-SHA256 -sigalgs ECDSA+SHA256"] = "serverA" } do
      local text = peer("openssl s_client -connect 127.0.0.1:PORT -ign_eof -tls1_2 -servername localhost -cipher " ..
        cipher, ctx)
      assert.is_truthy(text:match("subject=[^\n]*" .. release.attribute("CN", name)), text)
    end
  end)

  it("gnutls-cli gets the pair of its name and of its priorities", function()
    if os.execute("command -v gnutls-cli >/dev/null 2>&1") ~= true and
      os.execute("command -v gnutls-cli >/dev/null 2>&1") ~= 0 then
      pending("gnutls-cli is not installed")
      return
    end
    local rows = {
      { "localhost", "NORMAL:-SIGN-ALL:+SIGN-RSA-SHA256:+SIGN-RSA-PSS-RSAE-SHA256", "CN=rsa" },
      { "localhost", "NORMAL:-SIGN-ALL:+SIGN-ECDSA-SECP256R1-SHA256:+SIGN-ECDSA-SHA256", "CN=serverA" },
      { "x.wild.test", "NORMAL", "CN=x%.wild%.test" },
      { "y.wild.test", "NORMAL", "CN=wildcard" },
    }
    for _, version in ipairs { "-VERS-ALL:+VERS-TLS1.2", "-VERS-ALL:+VERS-TLS1.3" } do
      for _, row in ipairs(rows) do
        local command = "gnutls-cli --insecure --sni-hostname %s --priority %s:%s --port PORT 127.0.0.1"
        local text, ok = peer(command:format(row[1], row[2], version), ctx)
        assert.is_true(ok, text)
        assert.is_truthy(text:match("subject `[^']*" .. row[3]), row[1] .. "\n" .. text)
      end
    end
  end)
end)
