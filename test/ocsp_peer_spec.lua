-- Stapling with other programs: s_client and gnutls-cli ask our server, openssl and GnuTLS staple to our client.

local socket = require "socket"
local ssl = require "ssl"
local S = require "support"
local kit = require "ocspkit"
local process = require "process"

local good = kit.respond { cert = "serverA", signer = "ocspA" }

-- One connection of another program's to a server of ours: what it prints.
local function serve(cfg, command)
  local listener = assert(socket.bind("127.0.0.1", 0))
  listener:settimeout(20)
  local program = process.start(command(select(2, listener:getsockname())))
  local conn = assert(ssl.wrap(assert(listener:accept()), cfg))
  listener:close()
  conn:settimeout(20)
  local ok, message = conn:dohandshake()
  if ok then
    conn:send("hello\n")
    conn:shutdown() -- closing with something unread would reset the connection
  end
  conn:close()
  local output, status = program:wait()
  return output, status, ok, message
end

local function s_client(version, ...)
  local more = { ... }
  return function(port)
    return { "openssl", "s_client", "-connect", "127.0.0.1:" .. port, "-CAfile", S.cert("rootA"), "-status", "-ign_eof",
      version, S.unpack(more) }
  end
end

for version, flag in pairs { tlsv1_2 = "-tls1_2", tlsv1_3 = "-tls1_3" } do
  local gnutls = "NORMAL:-VERS-ALL:+VERS-TLS1." .. version:sub(-1)

  describe("with " .. version, function()
    it("openssl s_client gets what our server staples", function()
      for _, value in ipairs { good, function() return good end } do
        local output, _, ok, message = serve(S.server { ocsp = value }, s_client(flag))
        assert.is_true(ok, message)
        assert.matches("OCSP Response Status: successful %(0x0%)", output)
        assert.matches("Cert Status: good", output)
        assert.matches("Responder Id: C = XX, O = Test, CN = ocspA", output)
        assert.matches("Verify return code: 0 %(ok%)", output)
        assert.matches("hello", output)
      end
      assert.matches("OCSP responses?: no ", (serve(S.server(), s_client(flag))))
    end)

    it("gnutls-cli gets it byte for byte, and believes it", function()
      local file = os.tmpname()
      local output, status, ok, message = serve(S.server { ocsp = good }, function(port)
        return { "gnutls-cli", "localhost", "-p", port, "--x509cafile", S.cert("rootA"), "--priority", gnutls,
          "--save-ocsp", file }
      end)
      assert.is_true(ok, message)
      assert.equal(0, status, output)
      assert.equal(good, S.read(file))
      assert.matches("Status: The certificate is trusted", output)
      os.remove(file)
    end)

    it("gnutls-cli gets one that is larger than a record where TLS carries it", function()
      local large = kit.craft { cert = "serverA", certs = { "manysan", "manysan" } }
      assert.is_true(#large > 32768)
      local file = S.tmpfile("")
      local output, status, ok, message = serve(S.server { ocsp = large }, function(port)
        return { "gnutls-cli", "localhost", "-p", port, "--x509cafile", S.cert("rootA"), "--priority", gnutls,
          "--save-ocsp", file }
      end)
      assert.is_true(ok, message)
      assert.equal(0, status, output)
      assert.equal(version == "tlsv1_3" and large or "", S.read(file))
      os.remove(file)
    end)

    it("gnutls-cli refuses what our server honestly staples about a revoked certificate", function()
      local cfg = S.server { certificate = S.cert("revoked"), key = S.cert("revokedkey"),
        ocsp = kit.respond { cert = "revoked" } }
      local output, status = serve(cfg, function(port)
        return { "gnutls-cli", "localhost", "-p", port, "--x509cafile", S.cert("rootA"), "--priority", gnutls }
      end)
      assert.are_not.equal(0, status)
      assert.matches("revoked", output)
    end)

    it("our client believes what openssl s_server and gnutls-serv staple", function()
      for _, start in ipairs { kit.openssl, kit.gnutls } do
        local server, port, file = start("serverA", good)
        local conn, ok, message = kit.connect(port, S.client { ocsp = "require", protocol = version })
        assert.is_true(ok, message)
        local answer = conn:getocsp()
        assert.same({ "good", true, good }, { answer.status, answer.verified, answer.der })
        conn:close()
        kit.stop(server, file)
      end
    end)

    it("our client requires in vain what they do not staple", function()
      local server, port, file = kit.openssl("serverA", nil)
      local _, ok, message = kit.connect(port, S.client { ocsp = "require", protocol = version })
      assert.same({ false, "the server sent no OCSP response" }, { ok, message })
      kit.stop(server, file)
    end)

    it("our client refuses what they staple about a revoked certificate", function()
      local server, port, file = kit.openssl("revoked", kit.respond { cert = "revoked" })
      local conn, ok, _, detail = kit.connect(port, S.client { ocsp = "request", protocol = version })
      assert.is_false(ok)
      assert.equal("certificate revoked", detail.reason)
      conn:close()
      kit.stop(server, file)
    end)
  end)
end
