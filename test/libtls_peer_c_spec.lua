-- The libtls facade with programs on the C library libtls (LibreTLS), in both roles: test/peer/libtls_peer.c is
-- compiled where that library is.

local S = require "support"
local P = require "tlspair"
local process = require "process"
local socket = require "socket"
local tls = require "libtls"

describe("libtls with the C library", function()
  local program
  setup(function() program = process.compile("test/peer/libtls_peer.c", "libtls") end)
  teardown(function() os.remove(program or "") end)
  before_each(function() if not program then pending("libtls is not here") end end)

  local versions = { [tls.TLS_v12] = "TLSv1.2", [tls.TLS_v13] = "TLSv1.3" }

  for set, version in pairs(versions) do
    it("serves its clients, " .. version, function()
      local listener = assert(socket.bind("127.0.0.1", 0))
      listener:settimeout(20)
      local server = assert(tls.server(P.serverconfig(function(cfg)
        cfg:set_protocols(set)
        cfg:set_alpn("http/1.1")
      end)))
      local peer = process.start { program, "client", select(2, listener:getsockname()), S.cert "rootA" }
      local sock = assert(listener:accept())
      local ctx = assert(server:accept_socket(sock:getfd()))
      P.write(ctx, P.read(ctx) .. " back")
      assert.is_true(ctx:close())
      local out, status = peer:wait()
      assert.equal(0, status)
      local hash = "SHA256:" .. S.ssl.loadcertificate(S.pem "serverA"):digest("sha256")
      for _, line in ipairs { "version " .. version, "cipher " .. ctx:conn_cipher(), "alpn http/1.1",
        "servername localhost", "hash " .. hash, "subject /C=XX/O=Test/CN=serverA", "got hello back", "end 0",
        "close 0" } do
        assert.truthy((out .. "\n"):find(line .. "\n", 1, true), line .. " is not in " .. out)
      end
      sock:close()
      listener:close()
    end)

    it("is a client of its servers, " .. version, function()
      local peer = process.start { program, "server", S.cert "serverA", S.cert "serverAkey" }
      local port = peer:expect("^(%d+)$")
      local ctx = tls.client(P.clientconfig(function(cfg)
        cfg:set_protocols(set)
        cfg:set_alpn("h2,http/1.1")
      end))
      assert(ctx:connect("localhost", port))
      P.write(ctx, "hello")
      assert.equal("hello", P.read(ctx))
      assert.equal(version, ctx:conn_version())
      assert.equal("http/1.1", ctx:conn_alpn_selected())
      assert.equal("/C=XX/O=Test/CN=serverA", ctx:peer_cert_subject())
      assert.equal(0, select("#", P.read(ctx)))
      assert.is_true(ctx:close())
      local out, status = peer:wait()
      assert.equal(0, status)
      assert.truthy(out:find("servername localhost\n", 1, true))
      assert.truthy(out:find("version " .. version, 1, true))
    end)
  end
end)
