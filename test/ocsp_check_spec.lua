-- src/ocsp_check.c: what a certificate makes of OCSP responses, without any connection.

local S = require "support"
local kit = require "ocspkit"
local der = require "der"

local serverA, rootA = kit.certificate "serverA", kit.certificate "rootA"

local function check(response, cert, issuer)
  return kit.certificate(cert or "serverA"):ocspcheck(kit.certificate(issuer or "rootA"), response)
end

local function believed(response, status, ...)
  local answer = check(response, ...)
  assert.is_true(answer.verified, answer.message)
  assert.is_nil(answer.message)
  assert.equal("successful", answer.response)
  assert.equal(status, answer.status)
  assert.equal(response, answer.der)
  return answer
end

local function doubted(response, message, ...)
  local answer = check(response, ...)
  assert.is_false(answer.verified)
  assert.equal(message, answer.message)
  assert.equal(response, answer.der)
  return answer
end

describe("cert:ocspcheck", function()
  it("believes openssl's responder, signing with the CA's key", function()
    local answer = believed(kit.respond { cert = "serverA" }, "good")
    assert.is_near(os.time(), answer.thisupdate, 60)
    assert.is_near(os.time() + 7 * 86400, answer.nextupdate, 60)
    assert.is_nil(answer.revocationtime)
    assert.is_nil(answer.reason)
  end)

  it("believes a responder that the CA has delegated", function()
    believed(kit.respond { cert = "serverA", signer = "ocspA" }, "good")
  end)

  it("says when and why a certificate was revoked", function()
    local answer = believed(kit.respond { cert = "revoked" }, "revoked", "revoked")
    assert.equal("keyCompromise", answer.reason)
    assert.is_true(answer.revocationtime <= os.time() and answer.revocationtime > os.time() - 900 * 86400)
  end)

  it("says when the responder does not know it", function()
    local index = S.tmpfile("")
    believed(kit.respond { cert = "serverA", index = index }, "unknown")
    os.remove(index)
    os.remove(index .. ".attr")
  end)

  it("finds the certificate by the hash that the responder chose", function()
    for _, hash in ipairs { "sha256", "sha512" } do
      believed(kit.respond { cert = "serverA", more = "-ndays 7 -" .. hash }, "good")
    end
  end)

  it("knows intermediate CAs", function()
    local response = kit.craft { cert = "chainA-leaf", issuer = "interA" }
    believed(response, "good", "chainA-leaf", "interA")
    -- The root above does not speak for it.
    response = kit.craft { cert = "chainA-leaf", issuer = "interA", signer = "rootA", certs = { "rootA" } }
    doubted(response, kit.texts.unsigned, "chainA-leaf", "interA")
  end)

  it("reads what is made by hand as what openssl makes", function()
    local answer = believed(kit.craft { cert = "serverA" }, "good")
    assert.is_near(os.time() - 60, answer.thisupdate, 30)
    assert.is_near(os.time() + 86400, answer.nextupdate, 30)
    believed(kit.craft { cert = "serverA", status = "unknown" }, "unknown")
    answer = believed(kit.craft { cert = "serverA", status = "revoked", reason = 4 }, "revoked")
    assert.equal("superseded", answer.reason)
    assert.is_near(os.time() - 86400, answer.revocationtime, 30)
    assert.is_nil(believed(kit.craft { cert = "serverA", status = "revoked" }, "revoked").reason)
  end)

  it("believes nobody else", function()
    for _, signer in ipairs { "rootB", "serverA", "clientA", "serverB" } do
      doubted(kit.craft { cert = "serverA", signer = signer, certs = { signer } }, kit.texts.unsigned)
    end
    doubted(kit.craft { cert = "serverA", signer = "ocspA" }, kit.texts.unsigned) -- whose certificate is missing
    believed(kit.craft { cert = "serverA", signer = "ocspA", certs = { "ocspA" } }, "good")
    -- rootA's delegate does not speak for certificates of interA's.
    local response = kit.craft { cert = "chainA-leaf", issuer = "interA", signer = "ocspA", certs = { "ocspA" } }
    doubted(response, kit.texts.unsigned, "chainA-leaf", "interA")
  end)

  it("believes no wrong signature, whatever it says", function()
    for _, status in ipairs { "good", "revoked", "unknown" } do
      local answer = doubted(kit.craft { cert = "serverA", status = status, spoil = true }, kit.texts.unsigned)
      assert.equal(status, answer.status)
    end
  end)

  it("looks at the time, with five minutes' grace", function()
    doubted(kit.craft { cert = "serverA", thisupdate = -86400, nextupdate = -360 }, kit.texts.stale)
    believed(kit.craft { cert = "serverA", thisupdate = -86400, nextupdate = -200 }, "good")
    doubted(kit.craft { cert = "serverA", thisupdate = 400 }, kit.texts.early)
    believed(kit.craft { cert = "serverA", thisupdate = 200 }, "good")
    doubted(kit.craft { cert = "serverA", status = "unknown", nextupdate = -360 }, kit.texts.stale)
  end)

  it("gives a response without a next update a week", function()
    local answer = believed(kit.craft { cert = "serverA", nextupdate = false, thisupdate = -6 * 86400 }, "good")
    assert.is_nil(answer.nextupdate)
    doubted(kit.craft { cert = "serverA", nextupdate = false, thisupdate = -8 * 86400 }, kit.texts.stale)
  end)

  it("takes a revocation for what it is after its time too", function()
    believed(kit.craft { cert = "serverA", status = "revoked", thisupdate = -86400, nextupdate = -3600 }, "revoked")
  end)

  it("does not take an answer about another certificate", function()
    local answer = doubted(kit.craft { cert = "clientA" }, kit.texts.foreign)
    assert.equal("successful", answer.response)
    assert.is_nil(answer.status)
    doubted(kit.respond { cert = "ec384" }, kit.texts.foreign)
    -- The same serial number under another CA.
    local id = kit.certid(kit.certificate "serverB":ocsprequest(kit.certificate "rootB"))
    doubted(kit.craft { cert = "serverA", id = id }, kit.texts.foreign)
    doubted(kit.craft { cert = "serverA" }, kit.texts.foreign, "serverA", "rootB")
  end)

  it("finds it among several, a revocation first", function()
    local good, other = { cert = "serverA" }, { cert = "clientA" }
    local revoked = { cert = "serverA", status = "revoked" }
    believed(kit.craft { several = { other, good } }, "good")
    believed(kit.craft { several = { good, other, revoked } }, "revoked")
    believed(kit.craft { several = { revoked, good } }, "revoked")
    doubted(kit.craft { several = { other, { cert = "ec384" } } }, kit.texts.foreign)
  end)

  it("names what a responder answers instead", function()
    local names = { "malformedrequest", "internalerror", "trylater", [5] = "sigrequired", [6] = "unauthorized" }
    for code, name in pairs(names) do
      local answer = doubted(kit.envelope(code), kit.texts.refused)
      assert.equal(name, answer.response)
      assert.is_nil(answer.status)
    end
  end)

  it("calls unreadable what is", function()
    local good = kit.craft { cert = "serverA" }
    local junk = { "", "x", ("\0"):rep(1000), ("0"):rep(100000), good .. "x", good:sub(1, -2), good:sub(2),
      kit.envelope(0), kit.envelope(0, "junk"), kit.envelope(0, der.seq()), S.pem("serverA"), serverA:der() }
    for _, response in ipairs(junk) do
      assert.equal("unreadable", doubted(response, kit.texts.unreadable).response)
    end
  end)

  it("survives every byte changed and every length", function()
    local good = kit.craft { cert = "serverA", signer = "ocspA", certs = { "ocspA" } }
    for i = 1, #good do
      local changed = good:sub(1, i - 1) .. string.char((good:byte(i) + 1 + i % 255) % 256) .. good:sub(i + 1)
      assert.is_boolean(serverA:ocspcheck(rootA, changed).verified)
      assert.is_false(serverA:ocspcheck(rootA, good:sub(1, i - 1)).verified)
    end
  end)

  it("raises for what are no arguments", function()
    S.raises("(SSL:Certificate expected, got string", serverA.ocspcheck, serverA, "x", "y")
    S.raises("(string expected", serverA.ocspcheck, serverA, rootA, {})
    S.raises("(string expected", serverA.ocspcheck, serverA, rootA)
    local closed = kit.certificate "rootA"
    S.finalize(closed)
    S.raises("certificate is closed", serverA.ocspcheck, serverA, closed, "x")
    S.raises("certificate is closed", closed.ocspcheck, closed, rootA, "x")
  end)
end)

describe("a response with a time that is none", function()
  it("is doubted", function()
    local bad = der.tlv(0x18, "20269999999999Z")
    local doubt = serverA:ocspcheck(rootA, kit.craft { cert = "serverA", thistime = bad })
    assert.is_false(doubt.verified)
    assert.equal("unreadable", doubt.verdict)
    assert.equal("good", doubt.status)
    assert.is_nil(doubt.thisupdate)
    local gone = serverA:ocspcheck(rootA, kit.craft { cert = "serverA", status = "revoked", revoked = bad })
    assert.equal("revoked", gone.verdict)
    assert.is_nil(gone.revocationtime)
  end)
end)

describe("cert:ocsprequest", function()
  it("makes a request that openssl reads, without a nonce", function()
    local file = S.tmpfile(assert(serverA:ocsprequest(rootA)))
    local p = io.popen(("openssl ocsp -reqin %s -req_text"):format(file))
    local text = p:read("*a")
    p:close()
    os.remove(file)
    assert.is_truthy(text:find("Serial Number: " .. serverA:serial(), 1, true), text)
    assert.is_nil(text:find("Nonce"))
  end)

  it("wants the issuer", function()
    for _, issuer in ipairs { "rootB", "interA", "serverA" } do
      local request, message, detail = serverA:ocsprequest(kit.certificate(issuer))
      assert.is_nil(request)
      assert.is_truthy(message:find("the certificate was not issued by this issuer (", 1, true), message)
      assert.equal("config", detail.kind)
    end
    S.raises("(SSL:Certificate expected", serverA.ocsprequest, serverA)
    S.raises("(SSL:Certificate expected", serverA.ocsprequest, serverA, S.pem "rootA")
  end)

  it("works for a CA's own certificate", function()
    assert.is_string(rootA:ocsprequest(rootA))
    assert.is_string(kit.certificate "interA":ocsprequest(rootA))
  end)
end)

describe("memory of ocspcheck and ocsprequest", function()
  it("does not grow", function()
    local grown = S.growth([[
      local kit = require "ocspkit"
      local cert, issuer = kit.certificate "serverA", kit.certificate "rootA"
      local responses = { kit.craft { cert = "serverA" }, kit.craft { cert = "clientA" }, kit.envelope(3), "junk" }
      return function()
        for i = 1, #responses do cert:ocspcheck(issuer, responses[i]) end
        cert:ocsprequest(issuer)
        cert:ocsprequest(cert)
      end
    ]], 500, 3000)
    assert.is_true(grown < 1024, grown)
  end)
end)

