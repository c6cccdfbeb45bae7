-- Pre-shared keys in TLS 1.2 and 1.3: what the callbacks are given, and what becomes of their answers.

local S = require "support"
local ssl = S.ssl

local KEY = ("k"):rep(32)

local function psk(version)
  return { protocol = version, ciphers = "PSK" }
end

describe("the PSK callbacks", function()
  -- Handshakes with keys alone: a server without certificate.
  local function pair(version, clientf, serverf)
    local c, s = psk(version), psk(version)
    c.mode, c.psk, s.mode, s.psk = "client", clientf, "server", serverf
    return c, s
  end

  for _, version in ipairs { "tlsv1_2", "tlsv1_3" } do
    describe("with " .. version, function()
      it("are given LuaSec's arguments and agree on a key", function()
        local client, server
        local c, s = S.connected(pair(version, function(...)
          client = S.pack(...)
          return "identity", KEY
        end, function(...)
          server = S.pack(...)
          return KEY
        end))
        assert.same({ nil, 255, 512, n = 3 }, client)
        assert.same({ "identity", 512, n = 2 }, server)
        assert.equal(version == "tlsv1_3" and "TLSv1.3" or "TLSv1.2", c:info("protocol"))
        assert.is_nil(c:getpeercertificate())
        assert.same({}, c:getpeerchain())
        assert.same({}, s:getlocalchain())
        assert.equal("data", S.transfer(c, s, "data"))
        c:close()
        s:close()
      end)

      it("refuse different keys", function()
        local cr, sr = S.try(pair(version, function() return "me", KEY end, function() return KEY .. "x" end))
        assert.is_false(cr[1])
        assert.is_false(sr[1])
        assert.is_true(cr[3].kind == "alert" or cr[3].kind == "protocol")
      end)

      it("take keys of 1 to 512 bytes and identities of 1 to 255", function()
        for _, n in ipairs { 1, 16, 256, 512 } do
          local k = ("k"):rep(n)
          local cr, sr = S.try(pair(version, function() return "me", k end, function() return k end))
          assert.is_true(cr[1], n .. " " .. tostring(cr[2]))
          assert.is_true(sr[1])
        end
        for _, n in ipairs { 1, 255 } do
          local seen
          local cr = S.try(pair(version, function() return ("i"):rep(n), KEY end, function(id)
            seen = id
            return KEY
          end))
          assert.is_true(cr[1], n .. " " .. tostring(cr[2]))
          assert.equal(("i"):rep(n), seen)
        end
      end)

      it("Q27 offer nothing for an empty answer or one that does not fit", function()
        for _, answer in ipairs { { "me", "" }, { "me" }, {}, { nil, KEY }, { "me", {} }, { {}, KEY }, { "a\0b", KEY },
          { ("i"):rep(256), KEY }, { ("i"):rep(257), KEY }, { "me", ("k"):rep(513) }, { "me", ("k"):rep(2 ^ 20) } } do
          local asked = false
          local cr, sr = S.try(pair(version, function() return answer[1], answer[2] end, function()
            asked = true
            return KEY
          end))
          assert.is_false(cr[1])
          assert.is_false(sr[1])
          assert.is_false(asked)
        end
      end)

      it("know no key for an answer that does not fit", function()
        for _, answer in ipairs { false, true, "", {}, ("k"):rep(513), ("k"):rep(2 ^ 20) } do
          local cr, sr = S.try(pair(version, function() return "me", KEY end, function() return answer end))
          assert.is_false(cr[1])
          assert.is_false(sr[1])
          if version == "tlsv1_2" then assert.equal("psk identity not found", sr[2]) end
        end
        local _, sr = S.try(pair(version, function() return "me", KEY end, function() end))
        assert.is_false(sr[1])
      end)

      it("take numbers as text", function()
        local seen
        local cr = S.try(pair(version, function() return 123, 456 end, function(id)
          seen = id
          return "456"
        end))
        assert.is_true(cr[1])
        assert.equal("123", seen)
      end)

      it("keep keys with NUL bytes whole", function()
        local cr = S.try(pair(version, function() return "me", "a\0b" end, function() return "a\0c" end))
        assert.is_false(cr[1])
        cr = S.try(pair(version, function() return "me", "a\0b" end, function() return "a\0b" end))
        assert.is_true(cr[1])
      end)

      it("leave it to certificates when the server knows no key", function()
        local c, s = S.client { protocol = version, psk = function() return "me", KEY end },
          S.server { protocol = version, psk = function() end }
        if version == "tlsv1_2" then s.ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256" end
        c, s = S.connected(c, s)
        assert.is_true(c:getpeerverification())
        assert.is_truthy(c:getpeercertificate())
        c:close()
        s:close()
      end)
    end)
  end

  it("hand the server's hint to a TLS 1.2 client", function()
    local hint
    local c, s = pair("tlsv1_2", function(h)
      hint = h
      return "me", KEY
    end, { hint = "who is there?", callback = function() return KEY end })
    assert.is_true(S.try(c, s)[1])
    assert.equal("who is there?", hint)
    s.psk.hint = nil
    assert.is_true(S.try(c, s)[1])
    assert.is_nil(hint)
  end)

  it("are looked up in the context that SNI selected", function()
    local ciphers = "PSK"
    local c, s = S.wrapped({ mode = "client", protocol = "tlsv1_2", ciphers = ciphers, servername = "mapped.test",
      psk = function() return "me", KEY end }, { mode = "server", protocol = "tlsv1_2", ciphers = ciphers,
      psk = function() return "not this one" end })
    s:sni { ["mapped.test"] = assert(ssl.newcontext { mode = "server", protocol = "tlsv1_2", ciphers = ciphers,
      psk = function() return KEY end }) }
    local cr, sr = S.shake(c, s)
    assert.is_nil(sr[2])
    assert.is_true(cr[1])
    c:close()
    s:close()
  end)
end)
