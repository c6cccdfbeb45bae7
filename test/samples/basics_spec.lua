-- The samples that are a server and a client with one feature each: both run as a user would run them, also where the
-- server is to be refused, or refuses.

local S = require "support"
local process = require "process"

local certs = S.certdir
local rootA, rootB = S.cert "rootA", S.cert "rootB"
local server

local function serve(path, ...)
  server = process.lua("samples/" .. path .. "/server.lua", ...)
  return server:expect("^(%d+)$")
end

-- What a sample's client prints, and whether its exit status is 0.
local function run(path, ...)
  local output, status = process.lua("samples/" .. path .. "/client.lua", ...):wait()
  return output, status == 0
end

describe("one feature:", function()
  after_each(function()
    if server then server:kill() end
    server = nil
  end)

  -- The rest of what the server prints; it ends by itself, well.
  local function ended()
    local output, status = server:wait()
    assert.equal(0, status, output)
    return output
  end

  it("samples/oneshot/", function()
    assert.same({ "one shot", true }, { run("oneshot", rootA, serve("oneshot", certs, 0)) })
    assert.matches("\nsent$", ended())
    local output, ok = run("oneshot", rootB, serve("oneshot", certs, 0))
    assert.is_false(ok)
    assert.matches("^no connection: certificate verify failed\n", output)
    server:wait()
    output, ok = run("oneshot", rootA, 1)
    assert.is_false(ok)
    assert.matches("^no connection: ", output)
  end)

  it("samples/loop/", function()
    local port = serve("loop", certs, 0, 3)
    assert.matches("^10 lines, %d+ bytes there, %d+ bytes back$", (run("loop", rootA, port)))
    server:expect("^10 lines, then: closed$")
    assert.is_false((select(2, run("loop", rootB, port))))
    server:expect("^0 lines, then: .*unknown ca")
    assert.is_true((select(2, run("loop", rootA, port, 500))))
    assert.matches("500 lines, then: closed$", ended())
  end)

  it("samples/verify/", function()
    local output, ok = run("verify", rootA, serve("verify", certs, 0))
    assert.is_true(ok)
    assert.matches("^verified: true\nsubject: serverA\nissuer: rootA\n", output)
    assert.matches("\naccepted$", ended())
    for name, why in pairs { expired = "certificate has expired", wronghost = "hostname mismatch",
      serverB = "unable to get local issuer certificate" } do
      output, ok = run("verify", rootA, serve("verify", certs, 0, name))
      assert.is_false(ok)
      assert.matches("^refused: certificate verify failed\nkind: verify\n", output)
      assert.truthy(output:lower():find("reason: " .. why, 1, true), output)
      assert.is_nil(ended():find("accepted", 1, true))
    end
  end)

  it("samples/chain/", function()
    local port = serve("chain", certs, 0, 2)
    assert.same({ "0: chainA, signed by interA\n1: interA, signed by rootA", true }, { run("chain", rootA, port) })
    local output, ok = run("chain", rootA, port, 0)
    assert.is_false(ok)
    assert.matches("^refused: certificate verify failed %(", output)
    ended()
  end)

  it("samples/alpn/", function()
    local port = serve("alpn", certs, 0, 3)
    assert.same({ "protocol: echo/2\nanswer: 2:hello", true }, { run("alpn", rootA, port) })
    assert.same({ "protocol: echo/1\nanswer: hello", true }, { run("alpn", rootA, port, "echo/1", "other") })
    local output, ok = run("alpn", rootA, port, "other")
    assert.is_false(ok)
    assert.matches("^refused: ", output)
    assert.matches("echo/2\necho/1\n", ended())
  end)

  it("samples/sni/", function()
    local port = serve("sni", certs, 0, 3)
    assert.same({ "this is server.test\ncertificate of serverA, TLSv1.3", true }, { run("sni", rootA, port) })
    assert.same({ "this is www.wild.test\ncertificate of wildcard, TLSv1.3", true },
      { run("sni", rootA, port, "www.wild.test") })
    local output, ok = run("sni", rootA, port, "other.test")
    assert.is_false(ok)
    assert.matches("alert unrecognized.name", output)
    ended()
  end)

  it("samples/psk/", function()
    local port = serve("psk", 0, 4)
    local output, ok = run("psk", port)
    assert.is_true(ok, output)
    assert.matches("^good evening, lamp\nTLSv1.3, ", output)
    assert.matches("^good evening, door\n", (run("psk", port, "door", ("a1"):rep(32))))
    for _, wrong in ipairs { { "lamp", ("a1"):rep(32) }, { "stranger", ("4f"):rep(32) } } do
      output, ok = run("psk", port, S.unpack(wrong))
      assert.is_false(ok)
      assert.matches("^refused: ", output)
    end
    ended()
  end)

  it("samples/dane/", function()
    local port = serve("dane", "localhost", 0, 2)
    local name, usage, selector, kind, hex = server:expect("^_%d+._tcp.(%w+). IN TLSA (%d) (%d) (%d) (%x+)$")
    assert.equal("localhost", name)
    assert.same({ "verified: true\nDNS vouches for me", true },
      { run("dane", name, port, usage, selector, kind, hex) })
    local output, ok = run("dane", name, port, usage, selector, kind, hex:reverse())
    assert.is_false(ok)
    assert.matches("^refused: certificate verify failed", output)
    ended()
    assert.matches("^usage: ", (run("dane")))
  end)

  it("samples/mutual/", function()
    local port = serve("mutual", certs, 0, 3)
    assert.same({ "welcome, clientA", true }, { run("mutual", certs, port) })
    for _, name in ipairs { "clientB", "none" } do
      local output, ok = run("mutual", certs, port, name)
      assert.is_false(ok)
      assert.matches("^refused: ", output)
    end
    local output = ended()
    assert.matches("\nclientA\nrefused: certificate verify failed", output)
    assert.matches("\nrefused: peer did not return a certificate", output)
  end)

  it("samples/keypairs/", function()
    local port = serve("keypairs", certs, 0, 5)
    assert.same({ "serverA: EC, 256 bits", true }, { run("keypairs", rootA, port) })
    assert.same({ "rsa: RSA, 2048 bits", true }, { run("keypairs", rootA, port, "localhost",
      "rsa_pss_rsae_sha256:rsa_pss_pss_sha256:ECDSA+SHA384") })
    assert.same({ "wildcard: EC, 256 bits", true }, { run("keypairs", rootA, port, "any.wild.test") })
    assert.same({ "serverA: EC, 256 bits", true }, { run("keypairs", rootA, port, "server.test") })
    local output, ok = run("keypairs", rootA, port, "unknown.test")
    assert.is_false(ok)
    assert.matches("^refused: certificate verify failed", output)
    ended()
  end)

  it("samples/keylog/", function()
    local file = os.tmpname()
    finally(function() os.remove(file) end)
    local output, ok = run("keylog", rootA, serve("keylog", certs, 0, 1), file)
    assert.is_true(ok, output)
    local count = tonumber(output:match("^no secret\n(%d+) secrets in "))
    assert.is_true(count >= 4, output)
    assert.matches("CLIENT_HANDSHAKE_TRAFFIC_SECRET", S.read(file))
    local names = ended():match("\n([%u%d_ ]+)$")
    assert.equal(count, select(2, names:gsub("%S+", "")))
  end)
end)
