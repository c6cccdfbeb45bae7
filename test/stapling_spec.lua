-- src/staple.c, lua/ssl/stapling.lua: what a server takes for its staples, and what it refuses.

local S = require "support"
local kit = require "ocspkit"

local ssl = S.ssl

local good = kit.craft { cert = "serverA" }
local rsagood = kit.craft { cert = "rsa" }

describe("ctx:setocsp on a server", function()
  local ctx = assert(ssl.newcontext(S.server()))

  local function refuses(message, value)
    local ok, got, detail = ctx:setocsp(value)
    assert.is_false(ok)
    assert.equal(message, got)
    assert.equal("config", detail.kind)
    -- The same as a setting.
    if value ~= true and type(value) ~= "userdata" and type(value) ~= "number" then
      assert.same({ nil, message }, { S.unpack(S.pack(ssl.newcontext(S.server { ocsp = value })), 1, 2) })
    end
  end

  it("refuses what is no response about the certificate", function()
    local function bad(why, value) refuses("error setting OCSP response (" .. why .. ")", value) end
    bad("the OCSP response cannot be read", "staple.der")
    bad("the OCSP response cannot be read", "")
    bad("the OCSP response cannot be read", good:sub(1, -2))
    bad("the OCSP response cannot be read", good .. "\n")
    bad("the OCSP response cannot be read", ("\0"):rep(2 ^ 20))
    bad("the OCSP response cannot be read", S.pem("serverA"))
    bad("the OCSP responder gave an error instead of an answer", kit.envelope(6))
    bad("the OCSP response is about another certificate", rsagood)
    bad("the OCSP response is about another certificate", { good, rsagood })
    bad("the OCSP response is out of date", kit.craft { cert = "serverA", thisupdate = -7200, nextupdate = -1 })
  end)

  it("refuses what is no response at all", function()
    for _, value in ipairs { 42, true, ctx } do
      refuses("invalid ocsp (OCSP response in DER or function expected, got " .. type(value) .. ")", value)
    end
    refuses("invalid ocsp (OCSP response in DER or function expected, got number)", { good, 42 })
    refuses("invalid ocsp (OCSP response in DER or function expected, got table)", { {} })
    refuses("invalid ocsp (more than one function)", { print, good, print })
    local many = {}
    for i = 1, 4001 do many[i] = good end
    refuses("invalid ocsp (more than 4000 OCSP responses)", many)
    many[4001] = nil
    assert.is_true(ctx:setocsp(many))
  end)

  it("names the entry that a wrong response is in", function()
    local function entry(ocsp) return { certificate = S.cert("serverA"), key = S.cert("serverAkey"), ocsp = ocsp } end
    local function says(key, message, ocsp)
      local cfg = S.server { certificate = S.NONE, key = S.NONE, [key] = { entry(), entry(ocsp) } }
      assert.same({ nil, message }, { S.unpack(S.pack(ssl.newcontext(cfg)), 1, 2) })
    end
    for _, key in ipairs { "certificates", "keypairs" } do
      says(key, key .. "[2]: error setting OCSP response (the OCSP response is about another certificate)", rsagood)
      says(key, key .. "[2]: error setting OCSP response (the OCSP response cannot be read)", "x")
    end
    says("certificates", "certificates[2]: invalid ocsp (OCSP response in DER expected, got function)", print)
    says("certificates", "certificates[2]: invalid ocsp (OCSP response in DER expected, got number)", 5)
    says("keypairs", "keypairs[2]: invalid ocsp (OCSP response in DER or function expected, got table)", { good })
  end)

  it("is nowhere passed over in silence", function()
    local entry = { certificate = S.cert("serverA"), key = S.cert("serverAkey"), ocsp = good }
    assert.same({ nil, "certificates[1]: a client staples nothing: ocsp is request or require" },
      { S.unpack(S.pack(ssl.newcontext(S.client { certificates = { entry } })), 1, 2) })
    assert.same({ nil, "reload takes no ocsp: call setocsp after it" },
      { S.unpack(S.pack(ctx:reload { certificates = { entry } }), 1, 2) })
    assert.is_nil((ctx:reload(entry)))
  end)

  it("wants a certificate", function()
    local empty = S.server { certificate = S.NONE, key = S.NONE, ocsp = good }
    assert.same({ nil, "error setting OCSP response (the context has no certificate that it could be about)" },
      { S.unpack(S.pack(ssl.newcontext(empty)), 1, 2) })
  end)

  it("takes an honest response that tells of a revocation", function()
    local revoked = kit.craft { cert = "serverA", status = "revoked" }
    local cr = S.try(S.client { ocsp = "request" }, S.server { ocsp = revoked })
    assert.is_false(cr[1])
  end)

  it("leaves the current certificate of the context alone", function()
    local cfg = S.server { certificate = S.NONE, key = S.NONE, certificates = {
      { certificate = S.cert("rsa"), key = S.cert("rsakey") },
      { certificate = S.cert("serverA"), key = S.cert("serverAkey") } } }
    local several = assert(ssl.newcontext(cfg))
    for _ = 1, 3 do
      assert.is_true(several:setocsp { rsagood, good })
      assert.is_true(require("ssl.context").checkkey(several))
      assert.is_true(several:reload { certificate = S.cert("rsa"), key = S.cert("rsakey") })
    end
  end)
end)
