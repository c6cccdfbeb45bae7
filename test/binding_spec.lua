-- Channel bindings: the same on both sides, and the same as other implementations compute.

local S = require "support"

local function hex(s) return (s:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) end

-- Runs a command that connects to 127.0.0.1, port @@, while our server, in this process, answers. Its output, and what
-- fn(conn) returned once connected.
local function against(command, servercfg, fn)
  local socket = require "socket"
  local listener = assert(socket.bind("127.0.0.1", 0))
  listener:settimeout(10)
  local _, port = listener:getsockname()
  local child = assert(io.popen(command:gsub("@@", tostring(port)), "r"))
  local client = assert(listener:accept())
  listener:close()
  local conn = assert(S.ssl.wrap(client, S.server(servercfg)))
  conn:settimeout(10)
  assert(conn:dohandshake())
  local result = fn(conn)
  conn:send("bye\n")
  conn:close()
  local out = child:read("*a")
  child:close()
  return out, result
end

describe("conn:getchannelbinding", function()
  for _, version in ipairs { "tlsv1_2", "tlsv1_3" } do
    it("is equal on both sides of " .. version, function()
      local c, s = S.connected(S.client { protocol = version }, S.server { protocol = version })
      for _, kind in ipairs { "tls-exporter", "tls-server-end-point" } do
        local binding = assert(c:getchannelbinding(kind))
        assert.equal(32, #binding)
        assert.equal(binding, s:getchannelbinding(kind))
      end
      c:close()
      s:close()
    end)
  end

  it("tls-unique is the client's Finished message in TLS 1.2, and refused in TLS 1.3", function()
    local c, s = S.connected(S.client { protocol = "tlsv1_2" }, S.server())
    local unique = assert(c:getchannelbinding("tls-unique"))
    assert.equal(12, #unique)
    assert.equal(c:getfinished(), unique)
    assert.equal(unique, s:getchannelbinding("tls-unique"))
    c, s = S.connected(S.client { protocol = "tlsv1_3" }, S.server())
    for _, conn in ipairs { c, s } do
      local none, message, detail = conn:getchannelbinding("tls-unique")
      assert.is_nil(none)
      assert.equal("tls-unique is not defined for TLS 1.3", message)
      assert.equal("config", detail.kind)
    end
  end)

  it("differs from connection to connection", function()
    local c1 = S.connected()
    local c2 = S.connected()
    assert.not_equal(c1:getchannelbinding("tls-exporter"), c2:getchannelbinding("tls-exporter"))
    assert.equal(c1:getchannelbinding("tls-server-end-point"), c2:getchannelbinding("tls-server-end-point"))
  end)

  it("tls-server-end-point is the certificate's hash by the algorithm of its signature", function()
    local function endpoint(name)
      local c, s = S.connected(S.anyclient(), S.server { certificate = S.cert(name), key = S.cert(name .. "key") })
      local mine, theirs = c:getchannelbinding("tls-server-end-point"), s:getchannelbinding("tls-server-end-point")
      assert.equal(mine, theirs)
      return mine, c:getpeercertificate()
    end
    local binding, cert = endpoint("serverA")
    assert.equal(cert:digest("sha256"), hex(binding))
  end)

  it("tls-server-end-point is by SHA-256 where the signature is by SHA-1: RFC 5929 section 4.1", function()
    local cert, key = S.selfsigned("-newkey ec -pkeyopt ec_paramgen_curve:P-256 -sha1")
    local c, s = S.connected(S.anyclient { ciphers = "ALL:@SECLEVEL=0" },
      S.server { certificate = cert, key = key, ciphers = "ALL:@SECLEVEL=0" })
    local binding = c:getchannelbinding("tls-server-end-point")
    assert.equal(S.ssl.loadcertificate(cert):digest("sha256"), hex(binding))
    assert.equal(binding, s:getchannelbinding("tls-server-end-point"))
  end)

  it("tls-server-end-point is refused where the server has no certificate", function()
    local function anonymous(mode)
      return { mode = mode, protocol = "tlsv1_2", ciphers = "aNULL:@SECLEVEL=0" }
    end
    local c, s = S.connected(anonymous "client", anonymous "server")
    for _, conn in ipairs { c, s } do
      local none, message, detail = conn:getchannelbinding("tls-server-end-point")
      assert.is_nil(none)
      assert.equal("this connection has no channel binding of this type", message)
      assert.equal("config", detail.kind)
      assert.is_string(conn:getchannelbinding("tls-unique"))
    end
  end)

  it("needs the extended master secret in TLS 1.2", function()
    local c, s = S.connected(S.client { protocol = "tlsv1_2", options = "no_extended_master_secret" }, S.server())
    for _, conn in ipairs { c, s } do
      for _, kind in ipairs { "tls-exporter", "tls-unique" } do
        local none, message = conn:getchannelbinding(kind)
        assert.is_nil(none)
        assert.matches("extended master secret", message)
      end
      assert.is_string(conn:getchannelbinding("tls-server-end-point"))
    end
  end)

  it("is nil, closed before the handshake and after close; other types raise", function()
    local c, s = S.wrapped()
    local none, message, detail = c:getchannelbinding("tls-exporter")
    assert.is_nil(none)
    assert.equal("closed", message)
    assert.equal("closed", detail.kind)
    assert.error_matches(function() c:getchannelbinding("tls-other") end, "bad argument #1")
    assert.error_matches(function() c:getchannelbinding() end, "bad argument #1")
    c:close()
    s:close()
    assert.equal("closed", (select(2, c:getchannelbinding("tls-exporter"))))
  end)

  it("tls-exporter is what openssl s_client exports", function()
    local out, binding = against("openssl s_client -connect 127.0.0.1:@@ -keymatexport EXPORTER-Channel-Binding "
      .. "-keymatexportlen 32 2>&1 </dev/null", { protocol = "tlsv1_3" },
      function(conn) return conn:getchannelbinding("tls-exporter") end)
    assert.equal(hex(binding), (out:match("Keying material: (%x+)") or out):lower())
  end)

  it("tls-unique is what Python computes", function()
    local script = os.tmpname()
    finally(function() os.remove(script) end)
    local f = assert(io.open(script, "w"))
    f:write([[
import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode, context.maximum_version = False, ssl.CERT_NONE, ssl.TLSVersion.TLSv1_2
with context.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10)) as tls:
    print(tls.get_channel_binding("tls-unique").hex())
    tls.recv(10)
]])
    f:close()
    local out, binding = against("/usr/bin/python3 " .. script .. " @@ 2>&1", {},
      function(conn) return conn:getchannelbinding("tls-unique") end)
    assert.equal(hex(binding) .. "\n", out)
  end)
end)
