-- What a context trusts: CA files and directories, the system's, and the name a peer's certificate must carry, seen
-- through handshakes.

local S = require "support"
local context = require "ssl.context"
local ssl = S.ssl

local function any() return (assert(context.create "any")) end

local function refused(reason, ok, err, detail)
  assert.is_false(ok)
  assert.equal("error loading CA locations (" .. reason .. ")", err)
  assert.is_table(detail)
  assert.equal(reason, detail.reason)
  return detail
end

local meet = S.meet

describe("trust", function()
  describe("locations", function()
    local files = {
      { "a file that does not exist", "nowhere.pem", "No such file or directory", "system" },
      { "a path through a file", "serverA.pem/x", "Not a directory", "system" },
      { "a directory", "capath", "Is a directory", "system" },
      { "an empty file", "empty.pem", "no certificate or crl found" },
      { "a file without PEM", "junk.pem", "no certificate or crl found" },
      { "PEM cut in the middle", "cut.pem", "bad end line" },
      { "a body that is no base64", "badbase64.pem", "bad base64 decode" },
      { "DER", "serverA.der", "no certificate or crl found" },
      { "a key", "serverAkey.pem", "no certificate or crl found" },
    }
    for _, row in ipairs(files) do
      it("refuses " .. row[1] .. " as file, and changes nothing", function()
        local path = S.certdir .. "/" .. row[2]
        local ctx = assert(ssl.newcontext(S.client()))
        for _, dir in ipairs { false, S.cert("capath") } do
          local detail = refused(row[3], context.locations(ctx, path, dir or nil))
          assert.equal(row[4] or "config", detail.kind)
          assert.equal(path, detail.file)
        end
        assert.is_true(meet(ctx))
        ctx = assert(ssl.newcontext(S.client { cafile = S.cert("rootB") }))
        refused(row[3], context.locations(ctx, path))
        assert.is_false(meet(ctx))
      end)
    end

    it("needs one of the two", function()
      refused("neither a file nor a directory was given", context.locations(any()))
      refused("neither a file nor a directory was given", context.locations(any(), nil, nil))
    end)

    it("refuses paths that no file can have", function()
      refused("the path contains a NUL byte", context.locations(any(), S.cert("rootA") .. "\0x"))
      refused("the path contains a NUL byte", context.locations(any(), nil, S.cert("capath") .. "\0x"))
      refused("No such file or directory", context.locations(any(), ""))
      refused("invalid directory", context.locations(any(), nil, ""))
      refused("File name too long", context.locations(any(), ("x"):rep(2 ^ 20)))
    end)

    it("takes a directory that is not there, which trusts nobody", function()
      for _, dir in ipairs { "/nowhere", S.cert("rootA"), ("x"):rep(2 ^ 16) } do
        local ctx = assert(ssl.newcontext(S.client { cafile = S.NONE, capath = dir }))
        local ok, err, detail, why = meet(ctx)
        assert.is_false(ok)
        assert.equal("certificate verify failed", err)
        assert.equal("verify", detail.kind)
        assert.matches("local issuer certificate$", why)
      end
    end)

    it("raises for other types", function()
      for _, wrong in ipairs { {}, true, print } do
        S.raises("bad argument #2", context.locations, any(), wrong)
        S.raises("bad argument #3", context.locations, any(), nil, wrong)
      end
    end)

    it("finds a root by its hash in a directory", function()
      assert.is_true(meet(S.client { cafile = S.NONE, capath = S.cert("capath") }))
      assert.is_false((meet(S.client { cafile = S.NONE, capath = S.cert("capath") }, "serverB")))
    end)

    it("adds up over files and directories, and over calls", function()
      local ctx = assert(ssl.newcontext(S.client { cafile = S.cert("rootB"), capath = S.cert("capath") }))
      assert.is_true(meet(ctx))
      assert.is_true(meet(ctx, "serverB"))
      ctx = assert(ssl.newcontext(S.client()))
      assert.is_false((meet(ctx, "serverB")))
      assert.is_true(context.locations(ctx, S.cert("rootB")))
      assert.is_true(meet(ctx, "serverB"))
      assert.is_true(meet(ctx))
    end)

    it("takes a pipe, which can be read once", function()
      local path = os.tmpname()
      os.remove(path)
      assert.equal("", S.run("mkfifo " .. path))
      finally(function() os.remove(path) end)
      for _, capath in ipairs { "false", ("%q"):format(S.cert("capath")) } do
        local chunk = "print((require 'ssl'.newcontext { mode = 'client', protocol = 'any', " ..
          "cafile = %q, capath = %s }))"
        local writer = ("timeout 20 sh -c 'cat %s >%s' & timeout 20"):format(S.cert("rootA"), path)
        assert.matches("^SSL context", S.fresh(chunk:format(path, capath), writer))
      end
    end)

    it("takes a file with several certificates, one with revocation lists, and one with a key beside", function()
      assert.is_true(meet(S.client { cafile = S.cert("bundleAB") }, "serverB"))
      assert.is_true(meet(S.client { cafile = S.cert("rootA-crl") }))
      local path = S.tmpfile(S.pem("rootAkey") .. "text\n" .. S.pem("rootA"))
      finally(function() os.remove(path) end)
      assert.is_true(meet(S.client { cafile = path }))
    end)
  end)

  describe("setverifyname", function()
    local function name(ctx, n)
      local r = S.pack(context.setverifyname(ctx, n))
      return r
    end

    it("refuses names that no certificate can carry, and keeps the last good one", function()
      local ctx = assert(ssl.newcontext(S.client()))
      assert.same({ true, n = 1 }, name(ctx, "server.test"))
      for shown, bad in pairs { [""] = "", [".server.test"] = ".server.test", ["\\0"] = "\0",
        ["localhost\\0.evil.test"] = "localhost\0.evil.test" } do
        local r = name(ctx, bad)
        assert.equal(false, r[1])
        assert.equal("invalid host name (" .. shown .. ")", r[2])
        assert.equal("config", r[3].kind)
      end
      assert.is_true(meet(ctx))
      assert.is_false((meet(ctx, "serverB")))
      S.raises("bad argument #2", context.setverifyname, ctx, {})
      S.raises("bad argument #2", context.setverifyname, ctx, nil)
    end)

    it("replaces the name set before, of whichever kind", function()
      local ctx = assert(ssl.newcontext(S.client()))
      for _, n in ipairs { "other.test", "192.0.2.1", "other.test", "::2", "127.0.0.1", "192.0.2.1", "server.test" } do
        assert.is_true(context.setverifyname(ctx, n))
      end
      assert.is_true(meet(ctx))
      context.setverifyname(ctx, "192.0.2.1")
      assert.is_false((meet(ctx)))
      context.setverifyname(ctx, "127.0.0.1")
      assert.is_true(meet(ctx))
    end)

    it("takes names of any length", function()
      local ctx = assert(ssl.newcontext(S.client()))
      assert.is_true(context.setverifyname(ctx, ("x"):rep(2 ^ 20)))
      assert.is_false((meet(ctx)))
    end)
  end)

  describe("isip", function()
    it("knows literals from names", function()
      for _, ip in ipairs { "127.0.0.1", "0.0.0.0", "::", "::1", "2001:db8::1", "::ffff:192.0.2.1" } do
        assert.is_true(context.isip(ip))
      end
      for _, text in ipairs { "", "localhost", "127.0.0", "127.0.0.256", "127.0.0.1.", "1.2.3.4.5", "[::1]", ":::",
        "127.0.0.1\0", "::1%lo", ("1"):rep(2 ^ 20) } do
        assert.is_false(context.isip(text))
      end
      S.raises("bad argument #1", context.isip, {})
      S.raises("bad argument #1", context.isip)
    end)
  end)

  describe("the name in a handshake", function()
    local HOST, IP = "hostname mismatch", "IP address mismatch"
    -- certificate, settings, what is wrong (nil: nothing)
    local rows = {
      { "serverA", { servername = "localhost" } },
      { "serverA", { servername = "LOCALHOST" } },
      { "serverA", { servername = "server.test" } },
      { "serverA", { servername = "other.test" }, HOST },
      { "serverA", { servername = "serverA" }, HOST }, -- the common name never counts
      { "serverA", { servername = "x.localhost" }, HOST },
      { "serverA", { servername = "localhos" }, HOST },
      { "serverA", { servername = "127.0.0.1" } },
      { "serverA", { servername = "::1" } },
      { "serverA", { servername = "0:0:0:0:0:0:0:1" } },
      { "serverA", { servername = "127.0.0.2" }, IP },
      { "serverA", { servername = "other.test", verifyname = "server.test" } },
      { "serverA", { servername = "server.test", verifyname = "other.test" }, HOST },
      { "serverA", { servername = "other.test", verifyname = false } },
      { "serverA", { verifyname = "server.test" } },
      { "serverA", { verifyname = "other.test" }, HOST },
      { "serverA", { verifyname = "127.0.0.1" } },
      { "serverA", { verifyname = false } },
      { "wronghost", { servername = "localhost" }, HOST },
      { "wildcard", { servername = "a.wild.test" } },
      { "wildcard", { servername = "A.WILD.TEST" } },
      { "wildcard", { servername = "wild.test" }, HOST },
      { "wildcard", { servername = "a.b.wild.test" }, HOST },
      { "wildcards", { servername = "www.part.test" }, HOST },
      { "wildcards", { servername = "a.b.two.test" }, HOST },
      { "wildcards", { servername = "www.x.mid.test" }, HOST },
      { "wildcards", { servername = "anything" }, HOST },
      { "ip", { servername = "127.0.0.1" } },
      { "ip", { servername = "localhost" }, HOST },
      { "dnsip", { servername = "127.0.0.1" }, IP },
      { "nosan", { servername = "localhost" }, HOST },
      { "nosubject", { servername = "localhost" } },
      { "nul", { servername = "localhost" }, HOST },
      { "nul", { servername = "evil.test" }, HOST },
      { "manysan", { servername = "host1000.many.test" } },
      { "manysan", { servername = "host1001.many.test" }, HOST },
    }
    for _, row in ipairs(rows) do
      local cfg = row[2]
      local title = ("%s, servername %s, verifyname %s: %s"):format(row[1], tostring(cfg.servername),
        tostring(cfg.verifyname), row[3] or "accepted")
      it(title, function()
        for _, version in ipairs { "tlsv1_2", "tlsv1_3" } do
          local ok, err, detail, why = meet(S.client { protocol = version, servername = cfg.servername,
            verifyname = cfg.verifyname }, row[1])
          assert.equal(row[3] == nil, ok)
          assert.equal(row[3], why)
          if row[3] then
            assert.equal("certificate verify failed", err)
            assert.equal("verify", detail.kind)
            assert.equal(row[3], detail.reason)
            assert.equal(0, detail.depth)
            assert.is_true(detail.code == 62 or detail.code == 64)
            if row[3] == HOST then assert.equal(cfg.verifyname or cfg.servername, detail.host) end
          end
        end
      end)
    end

    it("is not checked with verify none, and no IP literal is sent", function()
      local c, s = S.connected(S.anyclient { servername = "other.test" })
      assert.equal("other.test", s:getsniname())
      c:close()
      s:close()
      c, s = S.connected(S.client { servername = "127.0.0.1" })
      assert.is_nil(s:getsniname())
      c:close()
      s:close()
    end)

    it("is refused when it cannot be one", function()
      local refusals = {
        servername = { [""] = "invalid server name ()", ["a\0b"] = "invalid server name (a\\0b)",
          [("x"):rep(256)] = "invalid server name (longer than 255 bytes)", [".x"] = "invalid host name (.x)" },
        verifyname = { [""] = "invalid host name ()", ["a\0b"] = "invalid host name (a\\0b)" },
      }
      for key, names in pairs(refusals) do
        for name, message in pairs(names) do
          local ctx, err, detail = ssl.newcontext(S.client { [key] = name })
          assert.is_nil(ctx)
          assert.equal(message, err)
          assert.equal("config", detail.kind)
        end
      end
    end)

    it("means nothing on a server", function()
      assert.is_truthy(ssl.newcontext(S.server { servername = "a\0b", verifyname = "" }))
    end)

    it("is not checked by lsec_continue alone: the handshake goes on, the error is told", function()
      local c, s = S.connected(S.client { servername = "other.test", verifyext = "lsec_continue" })
      local ok, errors = c:getpeerverification()
      c:close()
      s:close()
      assert.is_false(ok)
      assert.same({ { "hostname mismatch" } }, errors)
    end)
  end)

  describe("the system's CA certificates", function()
    local try = [[
      local S = require "support"
      local function try(cfg, name)
        local ctx, err = S.ssl.newcontext(cfg)
        if not ctx then return print(err) end
        local cr, sr
        if cfg.mode == "client" then
          cr = S.try(ctx, S.server { certificate = S.cert(name), key = S.cert(name .. "key") })
        else
          _, sr = S.try(S.anyclient { certificate = S.cert(name), key = S.cert(name .. "key") }, ctx)
        end
        local r = cr or sr
        print(r[1], r[2])
      end
      local client = { mode = "client", protocol = "any", verify = "peer" }
      ]]
    local function system(chunk, env)
      return S.fresh(try .. chunk, "env -u SSL_CERT_FILE -u SSL_CERT_DIR " .. env)
    end
    local A = "SSL_CERT_FILE=" .. S.cert("rootA")

    it("are trusted by a client that verifies and names none", function()
      assert.equal("true\tnil", system([[try(client, "serverA")]], A))
      assert.equal("false\tcertificate verify failed", system([[try(client, "serverB")]], A))
      assert.equal("true\tnil", system([[client.verify = { "peer" } try(client, "serverA")]], A))
    end)

    it("are trusted by name", function()
      assert.equal("true\tnil", system([[client.cafile = "system" try(client, "serverA")]], A))
      assert.equal("true\tnil", system([[client.cafile = "system" client.verify = "none" try(client, "serverA")]], A))
      assert.equal("true\tnil\ntrue\tnil", system(
        [[client.cafile = "system" client.capath = S.cert "capath" try(client, "serverA") try(client, "serverB")]],
        "SSL_CERT_FILE=" .. S.cert("rootB")))
    end)

    it("are not trusted beside a file or directory of one's own", function()
      local failed = "false\tcertificate verify failed"
      assert.equal(failed, system([[client.cafile = S.cert "rootB" try(client, "serverA")]], A))
      assert.equal(failed, system([[client.capath = "/nowhere" try(client, "serverA")]], A))
    end)

    it("come from a directory too", function()
      assert.equal("true\tnil", system([[try(client, "serverA")]],
        "SSL_CERT_FILE=" .. S.cert("rootB") .. " SSL_CERT_DIR=" .. S.cert("capath")))
    end)

    it("fail newcontext when there are none", function()
      local none = "error loading CA locations (SSL_CERT_FILE names /nowhere, which cannot be read)"
      assert.equal(none, system([[try(client, "serverA")]], "SSL_CERT_FILE=/nowhere"))
      assert.equal(none, system([[client.cafile = "system" client.verify = nil try(client, "serverA")]],
        "SSL_CERT_FILE=/nowhere"))
      assert.equal("error loading CA locations (no certificate or crl found)", system([[try(client, "serverA")]],
        "SSL_CERT_FILE=" .. S.cert("junk")))
    end)

    it("may be missing for a client that looks at the errors itself, or that uses DANE", function()
      assert.equal("true\tnil", system([[client.verifyext = { "lsec_continue" } try(client, "serverA")]],
        "SSL_CERT_FILE=/nowhere"))
      assert.equal("false\tcertificate verify failed", system([[client.dane = true try(client, "serverA")]],
        "SSL_CERT_FILE=/nowhere"))
    end)

    it("are set, forbidden and looked for again by set_system_ca", function()
      assert.equal("true\tnil\nfalse\tcertificate verify failed", system(
        [[S.ssl.set_system_ca(S.cert "rootB") try(client, "serverB") try(client, "serverA")]], A))
      assert.equal("error loading CA locations (the use of the system's CA certificates is forbidden by "
        .. "set_system_ca(false))\ntrue\tnil",
        system([[S.ssl.set_system_ca(false) try(client, "serverA")
          S.ssl.set_system_ca(nil) try(client, "serverA")]], A))
      assert.equal("error loading CA locations (No such file or directory)",
        system([[S.ssl.set_system_ca "/nowhere" try(client, "serverA")]], A))
    end)

    it("are no client's business that does not verify", function()
      for _, verify in ipairs { "nil", "'none'" } do
        assert.equal("true\tnil", system("client.verify = " .. verify .. [[ try(client, "serverA")]],
          "SSL_CERT_FILE=/nowhere"))
      end
    end)

    it("are never trusted by a server that does not name them", function()
      local run = [[local cfg = S.server { verify = { "peer", "fail_if_no_peer_cert" }, cafile = %s }
        try(cfg, "clientA")]]
      assert.equal("false\tcertificate verify failed", system(run:format("nil"), A))
      assert.equal("true\tnil", system(run:format('"system"'), A))
    end)
  end)
end)
