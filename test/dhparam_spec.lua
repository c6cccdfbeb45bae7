-- dhparam: the function that gives a server's Diffie-Hellman parameters.

local S = require "support"
local context = require "ssl.context"
local release = require "release"
local ssl = S.ssl

local function dhpem() return S.pem("dhparam2048") end

describe("the dhparam callback", function()
  local function rsa(extra)
    local cfg = S.server { certificate = S.cert("rsa"), key = S.cert("rsakey") }
    for k, v in pairs(extra) do cfg[k] = v end
    return cfg
  end
  local DHE, ECDHE = "DHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"
  local client = { protocol = "tlsv1_2" }

  it("is given LuaSec's arguments, once for all connections of a context", function()
    local calls = {}
    local ctx = assert(ssl.newcontext(rsa { ciphers = DHE, dhparam = function(...)
      calls[#calls + 1] = S.pack(...)
      return dhpem()
    end }))
    assert.equal(0, #calls)
    -- Made before the parameters are there, shaken after.
    local early, earlypeer = S.wrapped(S.client(client), ctx)
    for _ = 1, 3 do
      local c, s = S.connected(S.client(client), ctx)
      assert.equal(DHE, c:info("cipher"))
      assert.equal("DH", s:info("key"))
      c:close()
      s:close()
    end
    local cr = S.shake(early, earlypeer)
    assert.is_true(cr[1])
    assert.equal(DHE, early:info("cipher"))
    early:close()
    earlypeer:close()
    assert.same({ { false, 1024, n = 2 } }, calls)
  end)

  it("is not called by clients", function()
    local called = false
    local c, s = S.connected(S.client { dhparam = function() called = true end })
    c:close()
    s:close()
    assert.is_false(called)
  end)

  local NONE = "dhparam callback gave no Diffie-Hellman parameters in PEM"
  local bad = {
    ["nil"] = { function() end, NONE },
    ["a number"] = { function() return 5 end, NONE },
    ["junk"] = { function() return "junk" end, NONE },
    ["a certificate"] = { function() return S.pem("rootA") end, NONE },
    ["a key"] = { function() return S.pem("rsakey") end, NONE },
    ["a curve"] = { function()
      local p = io.popen("openssl ecparam -name prime256v1")
      local pem = p:read("*a")
      p:close()
      assert(pem:find("BEGIN EC PARAMETERS", 1, true), pem)
      return pem
    end, NONE },
    ["half"] = { function() return dhpem():sub(1, 200) end, NONE },
    ["encrypted"] = { function()
      return (dhpem():gsub("PARAMETERS%-%-%-%-%-\n", "%0Proc-Type: 4,ENCRYPTED\n"
        .. "DEK-Info: AES-256-CBC,00112233445566778899AABBCCDDEEFF\n\n", 1))
    end, NONE },
    ["weak"] = { function()
      local p = io.popen("openssl dhparam -dsaparam 1024 2>/dev/null")
      local pem = p:read("*a")
      p:close()
      return pem
    end, "dhparam callback gave Diffie-Hellman parameters that are too weak for the security level" },
  }
  for name, row in pairs(bad) do
    it("that gives " .. name .. " leaves ECDHE, and says why DHE fails", function()
      local calls = 0
      local function f()
        calls = calls + 1
        return row[1]()
      end
      local level = "@SECLEVEL=2"
      local ctx = assert(ssl.newcontext(rsa { ciphers = DHE .. ":" .. ECDHE .. level, dhparam = f }))
      local c, s = S.connected(S.client(client), ctx)
      assert.equal(ECDHE, c:info("cipher"))
      c:close()
      s:close()
      ctx = assert(ssl.newcontext(rsa { ciphers = DHE .. level, dhparam = f }))
      for _ = 1, 2 do
        local cr, sr = S.try(S.client(client), ctx)
        assert.equal(release.alert("handshake failure"), cr[2])
        assert.equal(row[2], sr[2])
        assert.equal(row[2], sr[3].reason)
      end
      assert.equal(2, calls)
    end)
  end

  it("that is taken away takes its failure along", function()
    local ctx = assert(ssl.newcontext(rsa { ciphers = DHE, dhparam = function() end }))
    assert.equal(NONE, select(2, S.try(S.client(client), ctx))[2])
    context.setdhparam(ctx, nil)
    local _, sr = S.try(S.client(client), ctx)
    assert.matches("no shared cipher", sr[2])
  end)

  it("is not asked on the terminal", function()
    assert.equal("false\tdhparam callback gave no Diffie-Hellman parameters in PEM", S.terminal(pending, [[
      local S = require "support"
      local _, sr = S.try(S.client { protocol = "tlsv1_2" }, S.server { certificate = S.cert("rsa"),
        key = S.cert("rsakey"), ciphers = "DHE-RSA-AES128-GCM-SHA256", dhparam = function()
          return (S.pem("dhparam2048"):gsub("PARAMETERS%-%-%-%-%-\n", "%0Proc-Type: 4,ENCRYPTED\n"
            .. "DEK-Info: AES-256-CBC,00112233445566778899AABBCCDDEEFF\n\n", 1))
        end })
      print(sr[1], sr[2])]]))
  end)

  it("that raises is asked again by the next handshake", function()
    local calls = 0
    local ctx = assert(ssl.newcontext(rsa { ciphers = DHE, dhparam = function()
      calls = calls + 1
      if calls == 1 then error("not yet", 0) end
      return dhpem()
    end }))
    local _, sr = S.try(S.client(client), ctx)
    assert.equal("dhparam callback failed: not yet", sr[2])
    assert.is_true(S.try(S.client(client), ctx)[1])
    assert.is_true(S.try(S.client(client), ctx)[1])
    assert.equal(2, calls)
  end)

  it("of the context that SNI selected counts", function()
    local function connect(default, mapped)
      local c, s = S.wrapped(S.anyclient { protocol = "tlsv1_2", servername = "mapped.test" },
        rsa { ciphers = DHE, dhparam = default })
      s:sni { ["mapped.test"] = assert(ssl.newcontext(rsa { ciphers = DHE, dhparam = mapped })) }
      local cr, sr = S.shake(c, s)
      c:close()
      s:close()
      return cr, sr
    end
    assert.is_true(connect(nil, dhpem)[1])
    assert.is_true(connect(dhpem, dhpem)[1])
    local _, sr = connect(dhpem, nil)
    assert.equal("no shared cipher", sr[2])
    _, sr = connect(dhpem, function() end)
    assert.equal("dhparam callback gave no Diffie-Hellman parameters in PEM", sr[2])
  end)

  it("may close or change its own context", function()
    local ctx
    ctx = assert(ssl.newcontext(rsa { ciphers = DHE .. ":" .. ECDHE, dhparam = function()
      S.finalize(ctx)
      return dhpem()
    end }))
    assert.is_true(S.try(S.client(client), ctx)[1])
    ctx = assert(ssl.newcontext(rsa { ciphers = DHE, dhparam = function()
      context.setdhparam(ctx, dhpem)
      return dhpem()
    end }))
    assert.is_true(S.try(S.client(client), ctx)[1])
    assert.is_true(S.try(S.client(client), ctx)[1])
  end)
end)
