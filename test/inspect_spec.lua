-- What a connection tells about itself: info, names, the certificates of both sides, Finished messages, exported keys.

local S = require "support"
local core = require "ssl.core"
local socket = require "socket"
local ssl = S.ssl

local function pair(c, s)
  local conn, peer = S.connected(c, s)
  finally(function()
    conn:close()
    peer:close()
  end)
  return conn, peer
end

local function name(cert)
  local subject = cert:subject()
  return subject[#subject].value
end

local function allnames(certs)
  local t = {}
  for i, cert in ipairs(certs) do t[i] = name(cert) end
  return t
end

local function closed(...)
  local r = S.pack(...)
  assert.is_nil(r[1])
  assert.equal("closed", r[2])
end

local rsa = { certificate = S.cert("rsa"), key = S.cert("rsakey") }
local function rsaserver(extra)
  local cfg = S.server(rsa)
  for k, v in pairs(extra) do cfg[k] = v end
  return cfg
end
local KEY = ("k"):rep(16)
local function pskpair(version, ciphers)
  local c = { mode = "client", protocol = version, ciphers = ciphers, psk = function() return "me", KEY end }
  local s = { mode = "server", protocol = version, ciphers = ciphers, psk = function() return KEY end,
    dhparam = function() return S.pem "dhparam2048" end }
  return c, s
end

describe("info", function()
  local weak = "AES128-SHA@SECLEVEL=0"
  -- client, server, expected
  local rows = {
    { S.client(), S.server { ciphersuites = "TLS_AES_256_GCM_SHA384" },
      { cipher = "TLS_AES_256_GCM_SHA384", protocol = "TLSv1.3", key = "any", authentication = "any",
        encryption = "AESGCM(256)", mac = "AEAD", bits = 256, algbits = 256 } },
    { S.client(), S.server { ciphersuites = "TLS_CHACHA20_POLY1305_SHA256" },
      { cipher = "TLS_CHACHA20_POLY1305_SHA256", protocol = "TLSv1.3", key = "any", authentication = "any",
        encryption = "CHACHA20/POLY1305(256)", mac = "AEAD", bits = 256, algbits = 256 } },
    { S.client(), rsaserver { protocol = "tlsv1_2", ciphers = "ECDHE-RSA-AES256-GCM-SHA384" },
      { cipher = "ECDHE-RSA-AES256-GCM-SHA384", protocol = "TLSv1.2", key = "ECDH", authentication = "RSA",
        encryption = "AESGCM(256)", mac = "AEAD", bits = 256, algbits = 256 } },
    { S.client(), S.server { protocol = "tlsv1_2", ciphers = "ECDHE-ECDSA-AES128-SHA256" },
      { cipher = "ECDHE-ECDSA-AES128-SHA256", protocol = "TLSv1.2", key = "ECDH", authentication = "ECDSA",
        encryption = "AES(128)", mac = "SHA256", bits = 128, algbits = 128 } },
    { S.client(), rsaserver { protocol = "tlsv1_2", ciphers = "AES256-SHA" },
      { cipher = "AES256-SHA", protocol = "TLSv1.2", key = "RSA", authentication = "RSA",
        encryption = "AES(256)", mac = "SHA1", bits = 256, algbits = 256 } },
    { S.client(), rsaserver { protocol = "tlsv1_2", ciphers = "DHE-RSA-AES128-GCM-SHA256",
        dhparam = function() return S.pem "dhparam2048" end },
      { cipher = "DHE-RSA-AES128-GCM-SHA256", protocol = "TLSv1.2", key = "DH", authentication = "RSA",
        encryption = "AESGCM(128)", mac = "AEAD", bits = 128, algbits = 128 } },
    { S.client { ciphers = weak }, rsaserver { protocol = "tlsv1", ciphers = weak },
      { cipher = "AES128-SHA", protocol = "TLSv1", key = "RSA", authentication = "RSA",
        encryption = "AES(128)", mac = "SHA1", bits = 128, algbits = 128 } },
    { S.client { ciphers = weak }, rsaserver { protocol = "tlsv1_1", ciphers = weak },
      { cipher = "AES128-SHA", protocol = "TLSv1.1", key = "RSA", authentication = "RSA",
        encryption = "AES(128)", mac = "SHA1", bits = 128, algbits = 128 } },
  }
  do
    local c, s = pskpair("tlsv1_2", "PSK-AES128-GCM-SHA256")
    rows[#rows + 1] = { c, s, { cipher = "PSK-AES128-GCM-SHA256", protocol = "TLSv1.2", key = "PSK",
      authentication = "PSK", encryption = "AESGCM(128)", mac = "AEAD", bits = 128, algbits = 128 } }
    c, s = pskpair("tlsv1_2", "ECDHE-PSK-CHACHA20-POLY1305")
    rows[#rows + 1] = { c, s, { cipher = "ECDHE-PSK-CHACHA20-POLY1305", protocol = "TLSv1.2", key = "ECDHEPSK",
      authentication = "PSK", encryption = "CHACHA20/POLY1305(256)", mac = "AEAD", bits = 256, algbits = 256 } }
    c, s = pskpair("tlsv1_3", "PSK")
    s.ciphersuites = "TLS_AES_128_GCM_SHA256"
    rows[#rows + 1] = { c, s, { cipher = "TLS_AES_128_GCM_SHA256", protocol = "TLSv1.3", key = "any",
      authentication = "any", encryption = "AESGCM(128)", mac = "AEAD", bits = 128, algbits = 128 } }
  end
  for _, row in ipairs(rows) do
    local want = row[3]
    want.export = false
    it(want.protocol .. " " .. want.cipher, function()
      local c, s = pair(row[1], row[2])
      for _, conn in ipairs { c, s } do
        local info = conn:info()
        for field, value in pairs(want) do
          assert.equal(value, info[field], field)
          assert.equal(value, conn:info(field), field)
        end
        assert.is_nil(info.compression)
        assert.is_nil(conn:info("compression"))
        local line, bits, algbits, version = core.info(conn)
        assert.equal(want.cipher, line:match("^(%S+)"))
        assert.same({ want.bits, want.algbits, want.protocol }, { bits, algbits, version })
        assert.same({ nil, n = 1 }, S.pack(core.compression(conn)))
      end
    end)
  end

  local signatures = {
    { "-newkey ed448", "ed448" }, { "-newkey rsa-pss -pkeyopt rsa_keygen_bits:2048", "RSA-PSS+SHA256" },
  }
  for _, row in ipairs(signatures) do
    it("names the signature algorithm " .. row[2], function()
      local cert, key = S.selfsigned(row[1])
      local c, s = pair(S.anyclient(), S.server { certificate = cert, key = key })
      assert.equal(row[2], c:info("peersigalg"))
      assert.equal(row[2], s:info("sigalg"))
    end)
  end

  it("takes a field, and anything else is the whole table or nil", function()
    local c = pair()
    assert.is_table(c:info())
    assert.is_table(c:info(nil))
    assert.is_table(c:info(false))
    for _, field in ipairs { "x", "", "Cipher", ("x"):rep(2 ^ 20), 5, 0 / 0, true, {}, print } do
      assert.same({ nil, n = 1 }, S.pack(c:info(field)))
    end
    assert.not_equal(c:info(), c:info())
  end)

  it("is not there before the handshake is done, and after close", function()
    local c, s = S.wrapped()
    closed(c:info())
    closed(c:info("cipher"))
    c:dohandshake()
    closed(c:info())
    S.shake(c, s)
    assert.is_string(c:info("cipher"))
    c:close()
    closed(c:info())
    closed(core.compression(c))
    assert.equal(0, select("#", core.info(c)))
    s:close()
    c, s = S.wrapped(S.client { cafile = S.cert("rootB") })
    assert.equal(0, select("#", core.info(c)))
    S.shake(c, s)
    closed(core.compression(s))
    c:close()
    s:close()
    closed(c:info())
  end)
end)

describe("names", function()
  it("getalpn and getsniname answer in every state", function()
    local c, s = S.wrapped(S.client { alpn = "h2", servername = "localhost" }, S.server { alpn = { "h2" } })
    assert.same({ nil, n = 1 }, S.pack(c:getalpn()))
    assert.same({ nil, n = 1 }, S.pack(s:getalpn()))
    assert.equal("localhost", c:getsniname())
    assert.same({ nil, n = 1 }, S.pack(s:getsniname()))
    S.shake(c, s)
    for _, conn in ipairs { c, s } do
      assert.same({ "h2", n = 1 }, S.pack(conn:getalpn()))
      assert.same({ "localhost", n = 1 }, S.pack(conn:getsniname()))
      conn:close()
      assert.is_nil((conn:getalpn())) -- Q4
      assert.is_nil((conn:getsniname()))
    end
  end)

  it("want tells what the last step waited for", function()
    local c, s = S.wrapped()
    assert.equal("nothing", c:want())
    c:dohandshake()
    assert.equal("read", c:want())
    S.shake(c, s)
    assert.equal("nothing", c:want())
    c:receive(1)
    assert.equal("read", c:want())
    local chunk, got = ("x"):rep(2 ^ 20), nil
    S.poll(function()
      local _, err = c:send(chunk)
      got = err
      return err == "wantwrite"
    end, "a full socket")
    assert.equal("wantwrite", got)
    assert.equal("write", c:want())
    c:close()
    assert.equal("nothing", c:want())
    s:close()
  end)
end)

describe("certificates", function()
  local chain = { certificate = S.cert("chainA"), key = S.cert("chainAkey") }
  local function both(version)
    local c = S.client(chain)
    c.protocol = version
    local s = S.server(chain)
    s.cafile, s.verify = S.cert("rootA"), "peer"
    return pair(c, s)
  end

  for _, version in ipairs { "tlsv1_2", "tlsv1_3" } do
    it("Q6 come leaf first on both sides, own and the peer's, " .. version, function()
      local c, s = both(version)
      S.receive(s, 1, nil, function() c:send("x") end)
      for _, conn in ipairs { c, s } do
        for _, side in ipairs { "peer", "local" } do
          local one, all = conn["get" .. side .. "certificate"], conn["get" .. side .. "chain"]
          assert.same({ "chainA", "interA" }, allnames(all(conn)))
          assert.equal("chainA", name(one(conn)))
          assert.equal("chainA", name(one(conn, nil)))
          assert.equal("chainA", name(one(conn, 1)))
          assert.equal("chainA", name(one(conn, "1")))
          assert.equal("interA", name(one(conn, 2)))
          for _, past in ipairs { 3, 4, 100, 2 ^ 31 - 1, 2 ^ 31, 2 ^ 32, 2 ^ 32 + 1, 2 ^ 53 } do
            assert.same({ nil, n = 1 }, S.pack(one(conn, past)))
          end
          for _, wrong in ipairs { 0, -1, -2 ^ 31, -2 ^ 40 } do
            local cert, err = one(conn, wrong)
            assert.is_nil(cert)
            assert.equal("invalid certificate index", err)
          end
          for _, wrong in ipairs { "x", {}, true, print } do S.raises("bad argument #", one, conn, wrong) end
        end
      end
    end)
  end

  it("Q6 are none where a side has none", function()
    local c, s = pair(S.anyclient())
    assert.same({ nil, n = 1 }, S.pack(s:getpeercertificate()))
    assert.same({ nil, n = 1 }, S.pack(s:getpeercertificate(2)))
    assert.same({}, s:getpeerchain())
    assert.same({ nil, n = 1 }, S.pack(c:getlocalcertificate()))
    assert.same({}, c:getlocalchain())
    c, s = pair(pskpair("tlsv1_2", "PSK"))
    for _, conn in ipairs { c, s } do
      assert.is_nil(conn:getpeercertificate())
      assert.is_nil(conn:getlocalcertificate())
      assert.same({}, conn:getpeerchain())
      assert.same({}, conn:getlocalchain())
    end
  end)

  it("of a client that was asked and sent none are none", function()
    local _, s = pair(S.anyclient(), S.server { cafile = S.cert("rootA"), verify = "peer" })
    assert.is_nil(s:getpeercertificate())
    assert.same({}, s:getpeerchain())
  end)

  it("of the context that SNI selected are the local ones", function()
    local c, s = S.wrapped(S.anyclient { servername = "b.test" })
    s:sni { ["b.test"] = assert(ssl.newcontext(S.server(chain))) }
    S.shake(c, s)
    assert.same({ "chainA", "interA" }, allnames(s:getlocalchain()))
    assert.same({ "chainA", "interA" }, allnames(c:getpeerchain()))
    c:close()
    s:close()
  end)

  it("Q6 have references of their own", function()
    local c, s = both("tlsv1_3")
    S.receive(s, 1, nil, function() c:send("x") end)
    local kept = {}
    for i = 1, 1000 do
      for _, conn in ipairs { c, s } do
        kept[i % 7 + 1] = { conn:getpeercertificate(), conn:getlocalcertificate(), conn:getlocalcertificate(2),
          conn:getpeercertificate(2), conn:getlocalchain(), conn:getpeerchain() }
      end
      if i % 100 == 0 then S.collect() end
    end
    c:close()
    s:close()
    S.collect()
    for _, certs in pairs(kept) do
      assert.equal("chainA", name(certs[1]))
      assert.equal("chainA", name(certs[2]))
      assert.same({ "chainA", "interA" }, allnames(certs[5]))
      assert.same({ "chainA", "interA" }, allnames(certs[6]))
    end
  end)

  it("are closed before the handshake and after close", function()
    local methods = { "getpeercertificate", "getpeerchain", "getlocalcertificate", "getlocalchain" }
    local c, s = S.wrapped(S.client { cafile = S.cert("rootB") })
    for _, prepare in ipairs { function() end, function() c:dohandshake() end,
      function() S.shake(c, s) c:close() s:close() end } do
      prepare()
      for _, method in ipairs(methods) do
        closed(c[method](c))
        closed(c[method](c, 0))
        closed(s[method](s))
      end
    end
    for _, method in ipairs(methods) do
      S.raises("SSL:Connection expected", c[method], {})
      S.raises("SSL:Connection expected", c[method], ssl.loadcertificate(S.pem "rootA"))
    end
  end)
end)

describe("Finished messages", function()
  for version, sizes in pairs { tlsv1_2 = { [12] = true }, tlsv1_3 = { [32] = true, [48] = true } } do
    it("are the same seen from either side, " .. version, function()
      local c, s = pair(S.client { protocol = version })
      local mine, theirs = c:getfinished(), c:getpeerfinished()
      assert.equal(mine, s:getpeerfinished())
      assert.equal(theirs, s:getfinished())
      assert.not_equal(mine, theirs)
      assert.is_true(sizes[#mine])
      assert.equal(#mine, #theirs)
      local other = pair(S.client { protocol = version })
      assert.not_equal(mine, other:getfinished())
    end)
  end

  it("Q8 are nil and closed when not connected", function()
    local c, s = S.wrapped()
    for _ = 1, 2 do
      closed(c:getfinished())
      closed(c:getpeerfinished())
      c:close()
    end
    s:close()
  end)
end)

describe("exportkeyingmaterial", function()
  for _, version in ipairs { "tlsv1_2", "tlsv1_3" } do
    it("gives both sides the same, " .. version, function()
      local c, s = pair(S.client { protocol = version })
      local seen = {}
      for _, label in ipairs { "EXPORTER-test", "x", "EXPORTER_" .. ("y"):rep(100), "a\0b" } do
        for _, n in ipairs { 1, 12, 32, 48, 1000 } do
          for _, with in ipairs { false, "", "context", "con\0text", ("c"):rep(500) } do
            local a = c:exportkeyingmaterial(label, n, with or nil)
            assert.equal(n, #a)
            assert.equal(a, s:exportkeyingmaterial(label, n, with or nil))
            if n > 12 then
              local same = version == "tlsv1_3" and (with or "") or with
              local id = label .. "|" .. n .. "|" .. tostring(same)
              assert.is_true(seen[a] == nil or seen[a] == id)
              seen[a] = id
            end
          end
        end
      end
      local none, empty = c:exportkeyingmaterial("x", 32), c:exportkeyingmaterial("x", 32, "")
      assert.equal(version == "tlsv1_3", none == empty)
      assert.equal(none, c:exportkeyingmaterial("x", 32, nil))
    end)
  end

  it("fails in words", function()
    local function fails(...)
      assert.is_nil((...))
      assert.equal("error exporting keying material", (select(2, ...)))
    end
    local c = pair(S.client { protocol = "tlsv1_2" })
    fails(c:exportkeyingmaterial("x", 0))
    fails(c:exportkeyingmaterial("client finished", 32))
    fails(c:exportkeyingmaterial("master secret", 32))
    fails(c:exportkeyingmaterial("x", 32, ("c"):rep(65536)))
    fails(c:exportkeyingmaterial("x", 32, ("c"):rep(65536 + 7)))
    c = pair(S.client { protocol = "tlsv1_3" })
    fails(c:exportkeyingmaterial("x", 0))
    fails(c:exportkeyingmaterial(("x"):rep(2 ^ 20), 32))
    fails(c:exportkeyingmaterial("x", 2 ^ 20))
    -- No trace is left in OpenSSL's queue.
    local _, err = ssl.newcontext { mode = "client", protocol = "any", ciphers = "nonsense" }
    assert.equal("error setting cipher list (no cipher match)", err)
  end)

  it("raises for wrong arguments, but says closed first", function()
    local c, s = pair()
    S.raises("bad argument #", c.exportkeyingmaterial, c)
    S.raises("bad argument #", c.exportkeyingmaterial, c, {}, 32)
    S.raises("bad argument #", c.exportkeyingmaterial, c, "x")
    S.raises("bad argument #", c.exportkeyingmaterial, c, "x", "y")
    S.raises("bad argument #", c.exportkeyingmaterial, c, "x", 32, {})
    S.raises("length out of range", c.exportkeyingmaterial, c, "x", -1)
    S.raises("length out of range", c.exportkeyingmaterial, c, "x", 2 ^ 21)
    S.raises("length out of range", c.exportkeyingmaterial, c, "x", 2 ^ 32 + 5) -- 5, to 32 bits
    c:close()
    closed(c:exportkeyingmaterial("x", 32)) -- Q8
    closed(c:exportkeyingmaterial())
    closed(c:exportkeyingmaterial({}, {}))
    s:close()
    local new, peer = S.wrapped()
    closed(new:exportkeyingmaterial("x", 32))
    new:close()
    peer:close()
  end)

  for flag, version in pairs { ["-tls1_2"] = "TLSv1.2", ["-tls1_3"] = "TLSv1.3" } do
    it("agrees with openssl s_client on " .. version, function()
      local listener = assert(socket.bind("127.0.0.1", 0))
      listener:settimeout(10)
      local _, port = listener:getsockname()
      local p = assert(io.popen(("timeout 20 openssl s_client -connect 127.0.0.1:%d %s -keymatexport EXPORTER-lua "
        .. "-keymatexportlen 40 </dev/null 2>&1"):format(port, flag)))
      local conn = assert(ssl.wrap(assert(listener:accept()), S.server()))
      conn:settimeout(10)
      local ok, err = conn:dohandshake()
      local ours = ok and conn:exportkeyingmaterial("EXPORTER-lua", 40)
      conn:close()
      listener:close()
      local out = p:read("*a")
      p:close()
      assert.is_nil(err)
      local hex = out:match("Keying material: (%x+)")
      assert.equal((ours:gsub(".", function(b) return ("%02X"):format(b:byte()) end)), hex)
    end)
  end
end)
