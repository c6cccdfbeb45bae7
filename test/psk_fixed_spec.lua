-- The key that stands in the settings: it authenticates both sides, and no certificate takes its place.

local S = require "support"
local E = require "engines"
local ssl = S.ssl

local KEY = ("\1\2\0\255"):rep(8)
local PSK = { identity = "sensor 7", key = KEY }

local function ctx(mode, version, extra)
  local cfg = { mode = mode, protocol = version, psk = PSK }
  for k, v in pairs(extra or {}) do cfg[k] = v end
  return assert(ssl.newcontext(cfg))
end

local function pair(version, client, server)
  return assert(ssl.engine(ctx("client", version, client))), assert(ssl.engine(ctx("server", version, server)))
end

local CERTIFIED = { certificate = S.cert "serverA", key = S.cert "serverAkey" }

for _, version in ipairs { "tlsv1_2", "tlsv1_3", "dtls" } do
  describe("a fixed key with " .. version, function()
    it("is all that the peers need", function()
      local c, s = pair(version)
      assert.is_nil(c:getpskidentity())
      E.shake(c, s)
      assert.equal("sensor 7", c:getpskidentity())
      assert.equal("sensor 7", s:getpskidentity())
      assert.is_nil(c:getpeercertificate())
      assert.is_true(c:getpeerverification())
      c:write("data")
      E.carry(c, s)
      assert.equal("data", (s:read()))
      c:close()
      assert.is_nil(c:getpskidentity())
    end)

    it("goes before the server's certificate", function()
      local c, s = pair(version, nil, CERTIFIED)
      E.shake(c, s)
      assert.equal("sensor 7", s:getpskidentity())
      assert.is_nil(c:getpeercertificate())
    end)

    it("is not replaced by a certificate that the client does not verify", function()
      local c = assert(ssl.engine(ctx("client", version)))
      local s = assert(ssl.engine(S.server { protocol = version }))
      local ok, message = E.fail(c, s)
      assert.is_false(ok, message)
      for _, name in ipairs { "ciphers" } do
        local open = assert(ssl.engine(ctx("client", version, { [name] = "ALL:PSK" })))
        local other = assert(ssl.engine(S.server { protocol = version }))
        assert.is_false((E.fail(open, other)))
      end
    end)

    it("is not replaced by a client that has none", function()
      local c = assert(ssl.engine(S.anyclient { protocol = version }))
      local s = assert(ssl.engine(ctx("server", version, CERTIFIED)))
      assert.is_false((E.fail(c, s)))
      c = assert(ssl.engine(S.client { protocol = version, certificate = S.cert "clientA", key = S.cert "clientAkey" }))
      s = assert(ssl.engine(ctx("server", version, { certificate = CERTIFIED.certificate, key = CERTIFIED.key,
        verify = "peer", cafile = S.cert "rootA" })))
      assert.is_false((E.fail(c, s)))
    end)

    it("lets certificates in where they are verified", function()
      local c = assert(ssl.engine(ctx("client", version, { verify = "peer", cafile = S.cert "rootA" })))
      local s = assert(ssl.engine(S.server { protocol = version }))
      E.shake(c, s)
      assert.is_nil(c:getpskidentity())
      assert.is_userdata(c:getpeercertificate())
      c = assert(ssl.engine(S.client { protocol = version, certificate = S.cert "clientA", key = S.cert "clientAkey" }))
      s = assert(ssl.engine(ctx("server", version, { certificate = CERTIFIED.certificate, key = CERTIFIED.key,
        verify = { "peer", "fail_if_no_peer_cert" }, cafile = S.cert "rootA" })))
      E.shake(c, s)
      assert.is_userdata(s:getpeercertificate())
      assert.is_nil(s:getpskidentity())
    end)

    it("refuses another key, and another identity", function()
      for _, other in ipairs { { identity = "sensor 7", key = KEY:sub(2) }, { identity = "sensor 8", key = KEY } } do
        local c, s = pair(version, { psk = other })
        if version == "dtls" and other.identity == "sensor 7" then
          -- A Finished that does not decrypt is dropped like any bad datagram.
          for _ = 1, 4 do
            c:dohandshake()
            E.carry(c, s)
            s:dohandshake()
            E.carry(s, c)
          end
          assert.is_false((c:dohandshake()))
          assert.is_false((s:dohandshake()))
        else
          assert.is_false((E.fail(c, s)))
        end
      end
    end)

    it("is its server name's alone", function()
      local withkey = ctx("server", version)
      local certified = assert(ssl.newcontext(S.server { protocol = version }))
      local function server(first, second)
        local cfg = { mode = "server", protocol = version, sni = { ["second.example"] = second } }
        if first == certified then
          cfg.certificate, cfg.key = CERTIFIED.certificate, CERTIFIED.key
        else
          cfg.psk = PSK
        end
        return assert(ssl.engine(cfg))
      end
      local key = ctx("client", version, { servername = "second.example" })
      local plain = assert(ssl.newcontext(S.client { protocol = version, servername = "second.example",
        verifyname = false }))
      local c, s = assert(ssl.engine(key)), server(certified, withkey)
      E.shake(c, s)
      assert.equal("sensor 7", s:getpskidentity())
      assert.is_false((E.fail(assert(ssl.engine(plain)), server(certified, withkey))))
      c, s = assert(ssl.engine(plain)), server(withkey, certified)
      E.shake(c, s)
      assert.is_userdata(c:getpeercertificate())
      assert.is_nil(s:getpskidentity())
      assert.is_false((E.fail(assert(ssl.engine(key)), server(withkey, certified))))
    end)

    it("agrees with the functions", function()
      local c = assert(ssl.engine(ctx("client", version, { psk = function() return "sensor 7", KEY end })))
      local asked
      local s = assert(ssl.engine(ctx("server", version, { ciphers = "PSK", psk = function(identity)
        asked = identity
        return KEY
      end })))
      E.shake(c, assert(ssl.engine(ctx("server", version))))
      assert.equal("sensor 7", c:getpskidentity())
      c = assert(ssl.engine(ctx("client", version)))
      E.shake(c, s)
      assert.equal("sensor 7", asked)
      assert.equal("sensor 7", s:getpskidentity())
    end)
  end)
end

describe("the setting psk", function()
  it("refuses keys and identities that cannot be", function()
    local function message(psk)
      local context, text, detail = ssl.newcontext { mode = "client", protocol = "any", psk = psk }
      assert.is_nil(context)
      assert.equal("config", detail.kind)
      return text
    end
    local size = "invalid psk (the key must have 1 to 512 bytes)"
    local name = "invalid psk (the identity must have 1 to 255 bytes, none of them NUL)"
    local kind = "invalid psk (identity and key must be strings)"
    assert.equal(size, message { identity = "i", key = "" })
    assert.equal(size, message { identity = "i", key = ("k"):rep(513) })
    assert.equal(name, message { identity = "", key = "k" })
    assert.equal(name, message { identity = ("i"):rep(256), key = "k" })
    assert.equal(name, message { identity = "a\0b", key = "k" })
    assert.equal(kind, message { identity = "a" })
    assert.equal(kind, message { key = "k" })
    assert.equal(kind, message { identity = 5, key = "k" })
    assert.equal(kind, message { identity = "a", key = print })
  end)

  it("takes the largest ones", function()
    for _, version in ipairs { "tlsv1_2", "tlsv1_3" } do
      local most = { identity = ("i"):rep(255), key = ("k"):rep(512) }
      local c, s = pair(version, { psk = most }, { psk = most })
      E.shake(c, s)
      assert.equal(most.identity, s:getpskidentity())
    end
  end)

  it("works against openssl, in both roles", function()
    local socket = require "socket"
    local hex = KEY:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end)
    for _, version in ipairs { "tls1_2", "tls1_3" } do
      local listener = assert(socket.bind("127.0.0.1", 0))
      listener:settimeout(20)
      local _, port = listener:getsockname()
      local p = assert(io.popen(("timeout 20 openssl s_client -%s -connect 127.0.0.1:%d -psk_identity 'sensor 7' " ..
        "-psk %s -quiet 2>&1 </dev/null"):format(version, port, hex)))
      local conn = assert(ssl.wrap(assert(listener:accept()), ctx("server", "any")))
      conn:settimeout(10)
      assert(conn:dohandshake())
      assert.equal("sensor 7", conn:getpskidentity())
      conn:send("for the sensor\n")
      conn:close()
      assert.truthy(p:read("*a"):find("for the sensor", 1, true))
      p:close()
      listener:close()
    end
  end)
end)
