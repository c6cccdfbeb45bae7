-- Protocol versions: each name pins one, on either side; options take some away.

local S = require "support"

local function connect(c, s)
  local conn, peer = S.connected(c, s)
  finally(function()
    conn:close()
    peer:close()
  end)
  return conn, peer
end

describe("protocol", function()
  local versions = { tlsv1 = "TLSv1", tlsv1_1 = "TLSv1.1", tlsv1_2 = "TLSv1.2", tlsv1_3 = "TLSv1.3" }
  local weak = "DEFAULT@SECLEVEL=0"

  for name, shown in pairs(versions) do
    it(name .. " pins one version on either side", function()
      for _, side in ipairs { "client", "server" } do
        local c = S.client { ciphers = weak, protocol = side == "client" and name or "any" }
        local s = S.server { ciphers = weak, protocol = side == "server" and name or "any" }
        local conn, peer = connect(c, s)
        assert.equal(shown, conn:info("protocol"))
        assert.equal(shown, peer:info("protocol"))
      end
    end)

    it(name .. " refuses the others", function()
      for other in pairs(versions) do
        if other ~= name then
          local cr, sr = S.try(S.client { ciphers = weak, protocol = name },
            S.server { ciphers = weak, protocol = other })
          assert.is_false(cr[1])
          assert.is_false(sr[1])
        end
      end
    end)
  end

  it("says so on both sides when none is shared", function()
    local cr, sr = S.try(S.client { protocol = "tlsv1_2" }, S.server { protocol = "tlsv1_3" })
    assert.equal("tlsv1 alert protocol version", cr[2])
    assert.equal("alert", cr[3].kind)
    assert.equal("unsupported protocol", sr[2])
    assert.equal("protocol", sr[3].kind)
  end)

  it("Q32 sslv23 is any; options take versions away", function()
    local c = connect(S.client { protocol = "sslv23" }, S.server { protocol = "sslv23" })
    assert.equal("TLSv1.3", c:info("protocol"))
    c = connect(S.client { protocol = "sslv23", options = { "no_sslv2", "no_sslv3", "no_tlsv1_3" } })
    assert.equal("TLSv1.2", c:info("protocol"))
  end)

  it("Q32 TLS 1.0 and 1.1 are out of reach at the default security level", function()
    assert.is_false(S.try(S.client { protocol = "tlsv1" })[1])
    assert.is_false(S.try(S.client { protocol = "tlsv1_1" })[1])
  end)
end)
