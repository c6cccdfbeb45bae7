-- src/staple.c: the responses that a server staples to its certificates.

local S = require "support"
local kit = require "ocspkit"

local ssl = S.ssl

local good = kit.craft { cert = "serverA" }
local rsagood = kit.craft { cert = "rsa" }
local chaingood = kit.craft { cert = "chainA-leaf", issuer = "interA" }

-- Certificates that a response can carry along: each makes it some kilobytes larger.
local function large(n)
  local certs = {}
  for i = 1, n do certs[i] = "manysan" end
  return kit.craft { cert = "serverA", certs = certs }
end

local function client(version, extra)
  local cfg = S.client(extra)
  cfg.protocol, cfg.ocsp = version or "any", "request"
  return cfg
end

-- What a client gets stapled, and the results of both handshakes.
local function staple(clientcfg, servercfg)
  local c, s = S.wrapped(clientcfg, servercfg)
  local cr, sr = S.shake(c, s)
  local answer = cr[1] and c:getocsp()
  c:close()
  s:close()
  return answer and answer.der, cr, sr
end

local both = { "tlsv1_2", "tlsv1_3" }

for _, version in ipairs(both) do
  describe("a server with " .. version, function()
    it("staples what it was given", function()
      assert.equal(good, (staple(client(version), S.server { ocsp = good })))
    end)

    it("asks its function with the connection and the certificate", function()
      local seen = {}
      local der, cr = staple(client(version), S.server { ocsp = function(...)
        seen = S.pack(...)
        return good
      end })
      assert.is_true(cr[1], cr[2])
      assert.equal(good, der)
      assert.equal(3, seen.n)
      assert.matches("^SSL connection", tostring(seen[1]))
      assert.equal(S.pem("serverA"):match("%-%-%-%-%-BEGIN.*"), seen[2]:pem())
      assert.equal(0, seen[3])
    end)

    it("asks it only for clients that want a response", function()
      local asked = 0
      local ctx = assert(ssl.newcontext(S.server { ocsp = function() asked = asked + 1 return nil end }))
      local cfg = client(version)
      cfg.ocsp = nil
      assert.is_true(staple(cfg, ctx) == nil and asked == 0)
      assert.is_true(staple(client(version), ctx) == nil and asked == 1)
    end)

    it("staples nothing when the function has nothing", function()
      for _, nothing in ipairs { "nil", "false", "none" } do
        local der, cr = staple(client(version), S.server { ocsp = function()
          if nothing == "none" then return end
          if nothing == "false" then return false end
          return nil
        end })
        assert.is_true(cr[1], cr[2])
        assert.is_nil(der)
      end
    end)

    it("ends the handshake when the function goes wrong, and says why", function()
      local answers = {
        { function() error("no disk", 0) end, "no disk" },
        { function() error({}) end, "(error object is a table value)" },
        { function() coroutine.yield() end, "attempt to yield" },
        { function() return 42 end, "a string expected, got number" },
        { function() return {} end, "a string expected, got table" },
        { function() return true end, "a string expected, got boolean" },
        { function() return "" end, "the OCSP response cannot be read" },
        { function() return ("x"):rep(2 ^ 20) end, "the OCSP response cannot be read" },
        { function() return good .. "x" end, "the OCSP response cannot be read" },
        { function() return kit.envelope(3) end, "the OCSP responder gave an error instead of an answer" },
        { function() return rsagood end, "the OCSP response is about another certificate" },
      }
      for _, case in ipairs(answers) do
        local _, cr, sr = staple(client(version), S.server { ocsp = case[1] })
        assert.is_false(cr[1])
        assert.equal("alert", cr[3].kind)
        assert.is_false(sr[1])
        assert.equal("callback", sr[3].kind)
        assert.equal("OCSP callback failed: ", sr[2]:sub(1, 22))
        assert.is_truthy(sr[2]:find(case[2], 1, true), sr[2])
      end
    end)

    it("lets the function do what it likes with the connection", function()
      local function try(f) return staple(client(version), S.server { ocsp = f }) end
      local _, cr, sr = try(function(conn)
        conn:close()
        return good
      end)
      assert.is_false(cr[1])
      assert.same({ false, "closed" }, { sr[1], sr[2] })
      local inside
      local der = try(function(conn, cert)
        inside = { conn:dohandshake() }
        conn:getocsp()
        conn:receive()
        S.finalize(cert)
        S.collect()
        return good
      end)
      assert.equal(good, der)
      assert.equal("callback", inside[3].kind)
    end)

    it("lets the function change the setting and close the context", function()
      local ctx
      ctx = assert(ssl.newcontext(S.server { ocsp = function()
        assert(ctx:setocsp(nil))
        return good
      end }))
      assert.equal(good, (staple(client(version), ctx)))
      assert.is_nil((staple(client(version), ctx)))
      ctx = assert(ssl.newcontext(S.server { ocsp = function()
        S.finalize(ctx)
        S.collect()
        return good
      end }))
      assert.equal(good, (staple(client(version), ctx)))
    end)

    it("staples the response of the certificate that is sent", function()
      local list = {
        { certificate = S.cert("serverA"), key = S.cert("serverAkey") },
        { certificate = S.cert("rsa"), key = S.cert("rsakey") },
      }
      local ways = { ec = { ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256" },
        rsa = { ciphers = "ECDHE-RSA-AES128-GCM-SHA256" } }
      if version == "tlsv1_3" then
        -- The CA's own signature is ECDSA.
        ways = { ec = { sigalgs = "ECDSA+SHA256" }, rsa = { sigalgs = { "RSA-PSS+SHA256", "ECDSA+SHA256" } } }
      end
      local wanted = { ec = good, rsa = rsagood }
      local function check(ctx, way, expected)
        local c, s = S.wrapped(client(version, ways[way]), ctx)
        local cr = S.shake(c, s)
        assert.is_true(cr[1], cr[2])
        local _, sent = c:getpeercertificate():pubkey()
        local answer = c:getocsp()
        assert.equal(way, sent:lower())
        assert.equal(expected[way], answer and answer.der)
        c:close()
        s:close()
      end
      local base = { certificate = S.NONE, key = S.NONE, certificates = list }
      local ctx = assert(ssl.newcontext(S.server(base)))
      assert.is_true(ctx:setocsp { good, rsagood })
      check(ctx, "ec", wanted)
      check(ctx, "rsa", wanted)
      assert.is_true(ctx:setocsp(rsagood))
      check(ctx, "ec", { rsa = rsagood })
      check(ctx, "rsa", { rsa = rsagood })
      -- A function is asked where no response fits.
      local asked = {}
      assert.is_true(ctx:setocsp { rsagood, function(_, cert, pair)
        asked[#asked + 1] = cert:serial() .. " " .. pair
        return good
      end })
      check(ctx, "ec", wanted)
      check(ctx, "rsa", wanted)
      assert.same({ kit.certificate "serverA":serial() .. " 0" }, asked)
      list[1].ocsp, list[2].ocsp = good, rsagood
      ctx = assert(ssl.newcontext(S.server(base)))
      check(ctx, "ec", wanted)
      check(ctx, "rsa", wanted)
    end)

    it("staples the response of the context that SNI selects", function()
      local chain = assert(ssl.newcontext(S.server { certificate = S.cert("chainA"), key = S.cert("chainAkey"),
        ocsp = chaingood }))
      local plain = assert(ssl.newcontext(S.server()))
      local asked = assert(ssl.newcontext(S.server { certificate = S.cert("rsa"), key = S.cert("rsakey"),
        ocsp = function() return rsagood end }))
      local default = assert(ssl.newcontext(S.server { ocsp = good }))
      local expected = { chain = chaingood, asked = rsagood, other = good }
      for _, name in ipairs { "chain", "plain", "asked", "other" } do
        local c, s = S.wrapped(client(version), default)
        c:sni(name)
        s:sni { chain = chain, plain = plain, asked = asked }
        local cr = S.shake(c, s)
        assert.is_true(cr[1], cr[2])
        assert.equal(expected[name], (c:getocsp() or {}).der)
        c:close()
        s:close()
      end
    end)

    it("staples the response of the key pair that the name chooses", function()
      local function pair(name, ocsp)
        return { certificate = S.cert(name), key = S.cert(name .. "key"), ocsp = ocsp }
      end
      local function try(ctx, name)
        local c, s = S.wrapped(client(version), ctx)
        c:sni(name)
        local cr = S.shake(c, s)
        assert.is_true(cr[1], cr[2])
        local answer = c:getocsp()
        c:close()
        s:close()
        return answer and answer.der
      end
      local wild = kit.craft { cert = "wildcard" }
      local seen
      local function other(_, cert, index)
        seen = cert:serial() .. " " .. index
        return kit.craft { cert = "wronghost" }
      end
      local base = { certificate = S.NONE, key = S.NONE,
        keypairs = { pair("serverA", good), pair("wildcard", wild), pair("wronghost", other), pair("ip") } }
      local ctx = assert(ssl.newcontext(S.server(base)))
      assert.equal(good, try(ctx, "server.test"))
      assert.equal(wild, try(ctx, "a.wild.test"))
      assert.is_nil(seen)
      assert.is_true(#try(ctx, "other.test") > 100)
      assert.equal(kit.certificate "wronghost":serial() .. " 3", seen)
      assert.equal(good, try(ctx, "nobody.test")) -- the first pair
      -- A function of the context's own is asked for the rest.
      base.keypairs[2].ocsp = nil
      base.ocsp = function(_, _, index) return index == 2 and wild end
      ctx = assert(ssl.newcontext(S.server(base)))
      assert.equal(wild, try(ctx, "a.wild.test"))
      assert.equal(good, try(ctx, "server.test"))
      -- All of them are replaced at once.
      assert.is_true(ctx:setocsp { wild })
      assert.equal(wild, try(ctx, "a.wild.test"))
      assert.is_nil(try(ctx, "server.test"))
      assert.is_nil(try(ctx, "other.test"))
    end)

    it("changes it while it runs", function()
      local ctx = assert(ssl.newcontext(S.server()))
      local newer = kit.craft { cert = "serverA", nextupdate = 2 * 86400 }
      assert.is_nil((staple(client(version), ctx)))
      assert.is_true(ctx:setocsp(good))
      assert.equal(good, (staple(client(version), ctx)))
      assert.is_true(ctx:setocsp(newer))
      assert.equal(newer, (staple(client(version), ctx)))
      assert.is_false((ctx:setocsp("junk")))
      assert.equal(newer, (staple(client(version), ctx)))
      assert.is_true(ctx:setocsp(function() return good end))
      assert.equal(good, (staple(client(version), ctx)))
      assert.is_true(ctx:setocsp { newer })
      assert.equal(newer, (staple(client(version), ctx)))
      assert.is_true(ctx:setocsp {})
      assert.is_nil((staple(client(version), ctx)))
      assert.is_true(ctx:setocsp(good))
      assert.is_true(ctx:setocsp(false))
      assert.is_nil((staple(client(version), ctx)))
      -- It counts for a connection that is there already.
      local c, s = S.wrapped(client(version), ctx)
      assert.is_true(ctx:setocsp(good))
      assert.is_true(S.shake(c, s)[1])
      assert.equal(good, c:getocsp().der)
      c:close()
      s:close()
    end)

    it("does not staple it to the certificate that took the other's place", function()
      local ctx = assert(ssl.newcontext(S.server { ocsp = good }))
      assert.is_true(ctx:reload { certificate = S.cert("chainA"), key = S.cert("chainAkey") })
      assert.is_nil((staple(client(version), ctx)))
      assert.is_true(ctx:setocsp(chaingood))
      assert.equal(chaingood, (staple(client(version), ctx)))
    end)

    it("does not staple what is out of date", function()
      local stale = kit.craft { cert = "serverA", thisupdate = -7200, nextupdate = -3600 }
      local der, cr = staple(client(version), S.server { ocsp = function() return stale end })
      assert.is_true(cr[1], cr[2])
      assert.is_nil(der)
      local ctx = assert(ssl.newcontext(S.server { ocsp = kit.craft { cert = "serverA", nextupdate = 2 } }))
      S.poll(function() return not staple(client(version), ctx) end, "the response to expire")
      -- One that does not say when it expires does not.
      local endless = kit.craft { cert = "serverA", thisupdate = -100 * 86400, nextupdate = false }
      assert.equal(endless, (staple(client(version), S.server { ocsp = endless })))
    end)

    it("staples what is larger than a record, where clients take it", function()
      local response = large(1)
      assert.is_true(#response > 16384 and #response < 65527)
      local expected = version == "tlsv1_3" and response or nil
      for _, value in ipairs { response, function() return response end } do
        local der, cr = staple(client(version), S.server { ocsp = value })
        assert.is_true(cr[1], cr[2])
        assert.equal(expected, der)
      end
    end)

    it("refuses what no handshake can carry", function()
      local response = large(4)
      assert.is_true(#response > 65527)
      assert.same({ nil, "error setting OCSP response (the OCSP response is larger than TLS can carry)" },
        { S.unpack(S.pack(ssl.newcontext(S.server { ocsp = response })), 1, 2) })
      local _, cr, sr = staple(client(version), S.server { ocsp = function() return response end })
      assert.is_false(cr[1])
      assert.equal("OCSP callback failed: the OCSP response is larger than TLS can carry", sr[2])
    end)

    it("goes on with it when the context is closed or collected", function()
      for _, value in ipairs { good, function() return good end } do
        local ctx = assert(ssl.newcontext(S.server { ocsp = value }))
        local c, s = S.wrapped(client(version), ctx)
        S.finalize(ctx)
        ctx = nil -- luacheck: ignore
        S.collect()
        local cr = S.shake(c, s)
        assert.is_true(cr[1], cr[2])
        assert.equal(good, c:getocsp().der)
        c:close()
        s:close()
      end
    end)

    it("asks no function for a resumed session", function()
      local asked = 0
      local ctx = assert(ssl.newcontext(S.server { ocsp = function()
        asked = asked + 1
        return good
      end }))
      local cfg = assert(ssl.newcontext(client(version)))
      local c, s = S.connected(cfg, ctx)
      S.transfer(s, c, "x")
      local session = assert(c:getsession())
      c:close()
      s:close()
      c, s = S.wrapped(cfg, ctx)
      assert.is_true(c:setsession(session))
      assert.is_true(S.shake(c, s)[1])
      assert.is_true(c:sessionreused())
      assert.equal(1, asked)
      c:close()
      s:close()
    end)
  end)
end

describe("a server with DTLS", function()
  it("staples what fits", function()
    local E = require "engines"
    local response = large(1)
    for _, value in ipairs { good, response, function() return response end } do
      local c, s = E.pair({ protocol = "dtls", ocsp = "request" }, { protocol = "dtls", ocsp = value })
      E.shake(c, s)
      assert.equal("DTLSv1.2", c:info("protocol"))
      assert.equal(value == good and good or nil, (c:getocsp() or {}).der)
    end
  end)
end)

describe("memory of stapling", function()
  local function grows(n, chunk)
    local grown = S.growth([[
      local kit = require "ocspkit"
      local ssl = S.ssl
      local good = kit.craft { cert = "serverA" }
      local foreign = kit.craft { cert = "clientA" }
    ]] .. chunk, n, 4 * n)
    assert.is_true(grown < 1536, grown)
  end

  it("does not grow with settings", function()
    grows(500, [[
      local ctx = assert(ssl.newcontext(S.server()))
      return function()
        assert(ctx:setocsp { good, good })
        assert(ctx:setocsp(function() end))
        assert(not ctx:setocsp { good, foreign })
      end
    ]])
  end)

  it("does not grow with contexts", function()
    grows(100, [[
      return function()
        assert(ssl.newcontext(S.server { ocsp = good }))
        assert(not ssl.newcontext(S.server { ocsp = foreign }))
        S.finalize(assert(ssl.newcontext(S.server { ocsp = good })))
      end
    ]])
  end)

  it("does not grow with handshakes, good and bad", function()
    grows(100, [[
      local client = assert(ssl.newcontext(S.client { ocsp = "require" }))
      local i = 0
      local server = assert(ssl.newcontext(S.server { ocsp = function(conn)
        i = i + 1
        if i % 4 == 0 then return foreign end
        if i % 4 == 1 then error("x") end
        if i % 4 == 2 then conn:close() end
        return good
      end }))
      return function() S.try(client, server) end
    ]])
  end)
end)
