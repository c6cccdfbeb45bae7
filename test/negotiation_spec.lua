-- Settings of ours on what is negotiated, and what info tells of it: ranges of versions, groups, signature algorithms,
-- strict ALPN.

local S = require "support"
local release = require "release"
local ssl = S.ssl

local function refused(cfg)
  local ctx, message, detail = ssl.newcontext(cfg)
  assert.is_nil(ctx)
  assert.equal("config", detail.kind)
  return message
end

describe("protocol", function()
  for _, row in ipairs {
    { "tlsv1_2+", "any", "TLSv1.3" }, { "tlsv1_2+", "tlsv1_2", "TLSv1.2" }, { "tlsv1_3+", "any", "TLSv1.3" },
    { "tlsv1+", "any", "TLSv1.3" }, { "tlsv1_1+", "tlsv1_2", "TLSv1.2" },
  } do
    it(("%s with %s agrees on %s"):format(row[1], row[2], row[3]), function()
      local c = S.connected(S.client { protocol = row[1] }, S.server { protocol = row[2] })
      assert.equal(row[3], c:info("protocol"))
      local _, s = S.connected(S.client { protocol = row[2] }, S.server { protocol = row[1] })
      assert.equal(row[3], s:info("protocol"))
    end)
  end

  it("with a + refuses what is older", function()
    local c, s = S.wrapped(S.client { protocol = "tlsv1_2" }, S.server { protocol = "tlsv1_3+" })
    local cr, sr = S.shake(c, s)
    assert.equal("tlsv1 alert protocol version", cr[2])
    assert.equal("unsupported protocol", sr[2])
  end)

  it("has no other ranges", function()
    for _, name in ipairs { "any+", "sslv23+", "+", "tlsv1_2-", "tlsv1_4+", "" } do
      assert.equal("invalid protocol (" .. name .. ")", refused(S.client { protocol = name }))
    end
  end)
end)

describe("groups", function()
  it("are agreed on in the order given, as a list or an array", function()
    for _, groups in ipairs { "X448:P-384", { "X448", "P-384" } } do
      local c, s = S.connected(S.client { groups = groups }, S.server { groups = "P-521:P-384:X448" })
      assert.is_truthy(({ x448 = true, secp384r1 = true })[c:info("group"):lower()], c:info("group"))
      assert.equal(c:info("group"), s:info("group"))
    end
    local c = S.connected(S.client { groups = "P-384" }, S.server())
    assert.equal("secp384r1", c:info("group"))
  end)

  it("that nobody knows are named", function()
    assert.equal("unknown group 'P-257'", refused(S.client { groups = "X25519:P-257:P-256" }))
    assert.equal("unknown group 'x'", refused(S.client { groups = { "x" } }))
    assert.matches("^invalid list of groups", refused(S.client { groups = "" }))
    assert.equal("unknown group ''", refused(S.client { groups = "X25519::P-256" }))
    if not release.since(3, 5) then
      assert.matches("^invalid list of groups", refused(S.client { groups = "X25519:X25519" }))
    end
    assert.matches("^unknown group 'x+'", refused(S.client { groups = ("x"):rep(1000) }))
    assert.equal("invalid groups (string or array of strings expected, got number)", refused(S.client { groups = 1 }))
  end)

  it("that a newer OpenSSL knows are refused with its release, or work", function()
    local ctx, message = ssl.newcontext(S.client { groups = "X25519MLKEM768" })
    if not ctx then
      assert.matches("^X25519MLKEM768 is not supported by OpenSSL 3%.%d+%.%d+ %(needs 3%.5%)$", message)
    end
  end)
end)

describe("sigalgs", function()
  it("decide what is signed with", function()
    local c, s = S.connected(S.client { sigalgs = "RSA-PSS+SHA512:ECDSA+SHA384" },
      S.server { certificate = S.cert("rsa"), key = S.cert("rsakey"), protocol = "tlsv1_3" })
    assert.equal("RSA-PSS+SHA512", c:info("peersigalg"))
    assert.equal("RSA-PSS+SHA512", s:info("sigalg"))
    assert.is_nil(c:info("sigalg"))
    c, s = S.connected(S.client { cafile = S.cert("rootA") },
      S.server { certificate = S.cert("ed25519"), key = S.cert("ed25519key") })
    assert.equal("ed25519", c:info("peersigalg"))
    assert.equal("ed25519", s:info("sigalg"))
    c, s = S.connected(S.client { protocol = "tlsv1_2", sigalgs = { "ECDSA+SHA256" }, certificate = S.cert("clientA"),
      key = S.cert("clientAkey") }, S.server { verify = "peer", cafile = S.cert("rootA") })
    assert.equal("ECDSA+SHA256", c:info("peersigalg"))
    assert.matches("^ECDSA%+SHA%d+$", s:info("peersigalg"))
  end)

  it("that nobody knows are named", function()
    assert.equal("unknown signature algorithm 'ROT13+SHA256'", refused(S.client { sigalgs = "ed25519:ROT13+SHA256" }))
  end)
end)

describe("alpnstrict", function()
  local offer, other = { "h2", "http/1.1" }, { "xmpp-client" }

  it("on a server refuses a client without a protocol in common", function()
    local c, s = S.wrapped(S.client { alpn = offer }, S.server { alpn = other, alpnstrict = true })
    local cr, sr = S.shake(c, s)
    assert.is_false(cr[1])
    assert.equal("tlsv1 alert no application protocol", cr[2])
    assert.equal("alert", cr[3].kind)
    assert.equal("no application protocol", sr[2])
  end)

  it("on a client refuses a server that chose none", function()
    for _, version in ipairs { "tlsv1_2", "tlsv1_3" } do
      local c, s = S.wrapped(S.client { alpn = offer, alpnstrict = true },
        S.server { alpn = other, protocol = version })
      local cr = S.shake(c, s)
      assert.is_false(cr[1])
      assert.equal("no application protocol in common with the server", cr[2])
      assert.equal("protocol", cr[3].kind)
      assert.same({ nil, "closed" }, { S.unpack({ c:receive() }, 1, 2) })
    end
  end)

  it("holds for connections whose context is closed", function()
    for _, version in ipairs { "tlsv1_2", "tlsv1_3" } do
      for _, strict in ipairs { "client", "server" } do
        local cctx = assert(ssl.newcontext(S.client { alpn = offer, alpnstrict = strict == "client" }))
        local sctx = assert(ssl.newcontext(S.server { alpn = other, alpnstrict = strict == "server",
          protocol = version }))
        local c, s = S.wrapped(cctx, sctx)
        S.finalize(cctx)
        S.finalize(sctx)
        assert.is_false(S.shake(c, s)[1])
        c:close()
        s:close()
      end
    end
  end)

  it("lets an agreement pass, and what offers none", function()
    local c, s = S.connected(S.client { alpn = offer, alpnstrict = true },
      S.server { alpn = { "http/1.1" }, alpnstrict = true })
    assert.equal("http/1.1", c:getalpn())
    assert.equal("http/1.1", s:info("alpn"))
    S.connected(S.client(), S.server { alpn = other, alpnstrict = true })
    c, s = S.connected(S.client { alpn = offer }, S.server { alpn = other, alpnstrict = false })
    assert.is_nil(s:getalpn())
    c:close()
  end)
end)

describe("conn:info", function()
  it("tells names, group and resumption beside what LuaSec's tells", function()
    local c, s = S.connected(S.client { servername = "localhost", alpn = "h2", groups = "X25519" },
      S.server { alpn = { "h2" } })
    for _, conn in ipairs { c, s } do
      local info = conn:info()
      assert.equal("localhost", info.servername)
      assert.equal("h2", info.alpn)
      assert.equal("x25519", info.group:lower())
      assert.is_false(info.resumed)
      assert.is_nil(info.ktls)
    end
  end)
end)
