-- A context's own certificate and key: every kind of file that is none, passwords in every form, several certificates.

local S = require "support"
local context = require "ssl.context"
local socket = require "socket"
local release = require "release"
local ssl = S.ssl

local function any() return (assert(context.create "any")) end

local function failed(prefix, reason, ok, err, detail)
  assert.is_false(ok)
  assert.equal(("%s (%s)"):format(prefix, reason), err)
  assert.is_table(detail)
  assert.equal(reason, detail.reason)
  return detail
end

local function certfails(reason, path)
  return failed("error loading certificate", reason, context.loadcert(any(), path))
end

local function keyfails(reason, path, ...)
  return failed("error loading private key", reason, context.loadkey(any(), path, ...))
end

-- Is `name` the certificate that a server with these settings shows to a client with those?
local function shows(name, servercfg, clientcfg)
  local c, s = S.connected(S.anyclient(clientcfg), servercfg)
  local shown = c:getpeercertificate():subject()
  local sent = s:getlocalcertificate():subject()
  c:close()
  s:close()
  assert.equal(name, shown[#shown].value)
  assert.equal(name, sent[#sent].value)
end

local encrypted = { "serverAkey-encrypted", "rsakey-encrypted", "rsakey-legacy" }
local terminal = os.execute("command -v script >/dev/null")
terminal = terminal == true or terminal == 0

describe("credentials", function()
  describe("loadcert", function()
    local files = {
      { "a file that does not exist", "nowhere.pem", "No such file or directory", "system" },
      { "a path through a file", "serverA.pem/x", "Not a directory", "system" },
      { "a directory", "capath", "Is a directory", "system" },
      { "an empty file", "empty.pem", "no start line" },
      { "a file without PEM", "junk.pem", "no start line" },
      { "PEM cut in the middle", "cut.pem", "bad end line" },
      { "a body that is no base64", "badbase64.pem", "bad base64 decode" },
      { "a key in DER", "serverAkey.der", "the file is neither PEM nor one whole certificate in DER" },
      { "PKCS#12", "serverA.p12", "the file is PKCS#12: name it in the setting pkcs12" },
      { "a key", "serverAkey.pem", "no start line" },
      { "a revocation list", "crlA.pem", "no start line" },
      { "an RSA key of 1024 bits", "rsa1024.pem", "ee key too small" },
      not release.since(3, 6) and { "a SHA-1 signature", "sha1.pem", "ca md too weak" } or nil, -- then the client does
    }
    for _, row in ipairs(files) do
      it("refuses " .. row[1], function()
        local path = S.certdir .. "/" .. row[2]
        local detail = certfails(row[3], path)
        assert.equal(row[4] or "config", detail.kind)
        assert.equal(path, detail.file)
      end)
    end

    it("refuses paths that no file can have", function()
      certfails("the path contains a NUL byte", S.cert("serverA") .. "\0x")
      certfails("No such file or directory", "")
      certfails("File name too long", ("x"):rep(2 ^ 20))
    end)

    it("takes text in front, Windows' line ends, and a trusted certificate", function()
      for _, text in ipairs { "text\n" .. S.pem("serverA"), (S.pem("serverA"):gsub("\n", "\r\n")),
        S.pem("serverAkey") .. S.pem("serverA"), S.pem("serverA") .. S.pem("serverAkey") } do
        local path = S.tmpfile(text)
        local ok, err = context.loadcert(any(), path)
        os.remove(path)
        assert.is_nil(err)
        assert.is_true(ok)
      end
    end)

    it("sends the chain of the file", function()
      local c, s = S.connected(S.client(), S.server { certificate = S.cert("chainA"), key = S.cert("chainAkey") })
      assert.equal(2, #c:getpeerchain())
      assert.equal(2, #s:getlocalchain())
      c:close()
      s:close()
    end)

    it("changes nothing when it fails, not even for the leaf of a broken chain", function()
      local chain = S.pem("rsa") .. S.pem("rootA")
      for _, text in ipairs { S.pem("rsa") .. S.pem("cut"), chain:sub(1, -40), S.pem("rsa") .. S.pem("badbase64"),
        S.pem("rsa") .. S.pem("rsa1024"), not release.since(3, 6) and S.pem("rsa") .. S.pem("sha1") or nil } do
        local path = S.tmpfile(text)
        local ctx = assert(ssl.newcontext(S.server()))
        local ok, err = context.loadcert(ctx, path)
        os.remove(path)
        assert.is_false(ok)
        assert.matches("^error loading certificate %(%a", err)
        assert.is_true(context.checkkey(ctx))
        shows("serverA", ctx)
      end
    end)

    it("drops a key of the same kind that does not belong to it", function()
      local ctx = assert(ssl.newcontext(S.server()))
      assert.is_true(context.loadcert(ctx, S.cert("serverB")))
      assert.is_false(context.checkkey(ctx))
    end)

    it("does not ask on the terminal for the password of an encrypted certificate", function()
      if not terminal then return pending("the command script is missing") end
      local path = S.tmpfile((S.pem("serverA"):gsub("CERTIFICATE%-%-%-%-%-\n", "%0Proc-Type: 4,ENCRYPTED\n"
        .. "DEK-Info: AES-256-CBC,00112233445566778899AABBCCDDEEFF\n\n", 1)))
      finally(function() os.remove(path) end)
      assert.equal("false\terror loading certificate (bad password read)", S.terminal(pending, ([[
        local context = require "ssl.context"
        local ok, err = context.loadcert(context.create "any", %q)
        print(ok, err)]]):format(path)))
      assert.equal("false\terror loading CA locations (wrong final block length)", S.terminal(pending, ([[
        local context = require "ssl.context"
        local ok, err = context.locations(context.create "any", %q)
        print(ok, err)]]):format(path)))
      assert.equal("nil", S.terminal(pending, ([[
        local f = io.open(%q)
        print((require("ssl.x509").load(f:read("*a"))))]]):format(path)))
    end)
  end)

  describe("loadkey", function()
    local files = {
      { "a file that does not exist", "nowhere.pem", "No such file or directory", "system" },
      { "a path through a file", "serverA.pem/x", "Not a directory", "system" },
      { "a directory", "capath", "Is a directory", "system" },
      { "an empty file", "empty.pem", "unsupported" },
      { "a file without PEM", "junk.pem", "unsupported" },
      { "PEM cut in the middle", "cutkey.pem", "unsupported" },
      { "a certificate in DER", "serverA.der", "the file is neither PEM nor a whole private key in DER" },
      { "PKCS#12", "serverA.p12", "the file is PKCS#12: name it in the setting pkcs12" },
      { "a certificate", "serverA.pem", "unsupported" },
      { "DH parameters", "dhparam2048.pem", "unsupported" },
    }
    for _, row in ipairs(files) do
      it("refuses " .. row[1], function()
        local path = S.certdir .. "/" .. row[2]
        for _, password in ipairs { false, "secret", function() return "secret" end } do
          local detail = keyfails(row[3], path, password or nil)
          assert.equal(row[4] or "config", detail.kind)
          assert.equal(path, detail.file)
        end
      end)
    end

    it("refuses paths that no file can have", function()
      keyfails("the path contains a NUL byte", S.cert("serverAkey") .. "\0x")
      keyfails("No such file or directory", "")
      keyfails("File name too long", ("x"):rep(2 ^ 20))
    end)

    it("says when a file may not be read", function()
      local path = S.tmpfile(S.pem("serverAkey"))
      finally(function() os.remove(path) end)
      os.execute("chmod 0 " .. path)
      local p = io.popen("id -u")
      local root = p:read("*l") == "0"
      p:close()
      local out = S.fresh(([[
        local context = require "ssl.context"
        local function say(_, err) print(err) end
        say(context.loadkey(context.create "any", %q))
        say(context.loadcert(context.create "any", %q))
        say(context.locations(context.create "any", %q))]]):format(path, path, path),
        root and "setpriv --reuid=65534 --regid=65534 --clear-groups" or "")
      -- Neither the modules nor what a sanitizer preloads can be read by another user in a tree that is closed to it.
      if root and (out:find("setpriv", 1, true) or out:find("module", 1, true) or out:find("preload", 1, true)) then
        return pending("root may read everything, and another user cannot read this tree")
      end
      assert.equal("error loading private key (Permission denied)\nerror loading certificate (Permission denied)\n"
        .. "error loading CA locations (Permission denied)", out)
    end)

    it("takes the kinds of key there are", function()
      for _, name in ipairs { "serverAkey", "rsakey", "rsakey-traditional", "ec384key", "ed25519key" } do
        assert.is_true(context.loadkey(any(), S.cert(name)))
        assert.is_true(context.loadkey(any(), S.cert(name), nil))
        assert.is_true(context.loadkey(any(), S.cert(name), "not needed"))
        assert.is_true(context.loadkey(any(), S.cert(name), function() error "not called" end))
      end
    end)

    it("takes PEM with CRLF, text in front and a certificate in front", function()
      for _, text in ipairs { (S.pem("serverAkey"):gsub("\n", "\r\n")), "text\n" .. S.pem("serverAkey"),
        S.pem("serverA") .. S.pem("serverAkey") } do
        local path = S.tmpfile(text)
        local ok, err = context.loadkey(any(), path)
        os.remove(path)
        assert.is_nil(err)
        assert.is_true(ok)
      end
    end)

    it("raises for a password of another type", function()
      for _, wrong in ipairs { {}, true, false, io.stdout } do
        S.raises("bad argument #3", context.loadkey, any(), S.cert("serverAkey"), wrong)
        S.raises("invalid callback value", context.loadkey, any(), S.cert("serverAkey"), wrong)
      end
    end)

    it("refuses a key that is not the loaded certificate's, and keeps the old one", function()
      local ctx = assert(ssl.newcontext(S.server()))
      failed("error loading private key", "key values mismatch", context.loadkey(ctx, S.cert("serverBkey")))
      assert.is_true(context.checkkey(ctx))
      shows("serverA", ctx)
    end)
  end)

  describe("checkkey", function()
    it("answers a boolean alone", function()
      local ctx = any()
      assert.equal(1, select("#", context.checkkey(ctx)))
      assert.is_false(context.checkkey(ctx))
      context.loadcert(ctx, S.cert("serverA"))
      assert.is_false(context.checkkey(ctx))
      context.loadkey(ctx, S.cert("serverAkey"))
      assert.is_true(context.checkkey(ctx))
    end)
  end)

  describe("password", function()
    it("may be a number, which is its text", function()
      local path = os.tmpname()
      finally(function() os.remove(path) end)
      S.run(("openssl pkcs8 -topk8 -in %s -passout pass:1234 -out %s"):format(S.cert("serverAkey"), path))
      assert.is_true(context.loadkey(any(), path, 1234))
      keyfails("bad decrypt", path, 123)
    end)

    for _, name in ipairs(encrypted) do
      describe("of " .. name, function()
        local path = S.cert(name)

        it("may be a string or a function", function()
          assert.is_true(context.loadkey(any(), path, "secret"))
          local calls = 0
          assert.is_true(context.loadkey(any(), path, function(...)
            calls = calls + 1
            assert.equal(0, select("#", ...))
            return "secret", "ignored"
          end))
          assert.equal(1, calls)
        end)

        it("is refused when wrong", function()
          for _, password in ipairs { "", "wrong", "secre", "secret\0x", "secret ", ("x"):rep(1023), ("x"):rep(1024),
            ("x"):rep(1025), ("x"):rep(102400) } do
            keyfails("bad decrypt", path, password)
            local calls = 0
            keyfails("bad decrypt", path, function()
              calls = calls + 1
              return password
            end)
            assert.equal(1, calls)
          end
        end)

        it("is refused in the same words when the padding is right by chance", function()
          for i = 1, 300 do keyfails("bad decrypt", path, "wrong" .. i) end
        end)

        it("is empty when the function answers no string", function()
          for _, answer in ipairs { 5, true, {}, print } do
            keyfails("bad decrypt", path, function() return answer end)
          end
          keyfails("bad decrypt", path, function() end)
          keyfails("bad decrypt", path, function() return nil end)
        end)

        it("is missed in words when none is given", function()
          keyfails("the key is encrypted and no password was given", path)
          keyfails("the key is encrypted and no password was given", path, nil)
        end)

        it("is never asked for on the terminal", function()
          if not terminal then return pending("the command script is missing") end
          local out = S.terminal(pending, ([[
            local context = require "ssl.context"
            local function say(_, err) print(err) end
            local function load(...) say(context.loadkey(context.create "any", %q, ...)) end
            load()
            load "wrong"
            load(function() error "no" end)
            load(function() end)]]):format(path))
          local lines = {}
          for line in (out .. "\n"):gmatch("(.-)\n") do lines[#lines + 1] = line end
          assert.equal("error loading private key (the key is encrypted and no password was given)", lines[1])
          assert.equal("error loading private key (bad decrypt)", lines[2])
          assert.matches("^error loading private key %(password callback failed: .*: no%)$", lines[3])
          assert.equal("error loading private key (bad decrypt)", lines[4])
          assert.equal(4, #lines)
        end)

        it("Q10 a function that raises ends the call with its error, and is called once", function()
          local calls = 0
          local ok, err, detail = context.loadkey(any(), path, function()
            calls = calls + 1
            error("nobody knows", 0)
          end)
          failed("error loading private key", "password callback failed: nobody knows", ok, err, { reason =
            "password callback failed: nobody knows" })
          assert.equal("callback", detail.kind)
          assert.equal("nobody knows", detail.reason)
          assert.equal(path, detail.file)
          assert.equal(1, calls)
        end)
      end)
    end

    local path = S.cert("rsakey-encrypted")

    local function callbackfails(reason, f, ctx)
      local ok, err, detail = context.loadkey(ctx or any(), path, f)
      assert.is_false(ok)
      assert.equal("error loading private key (password callback failed: " .. reason .. ")", err)
      assert.equal("callback", detail.kind)
      assert.is_nil(detail.stack)
    end

    it("Q10 raising values of any kind", function()
      callbackfails("(error object is a table value)", function() error {} end)
      callbackfails(release.nothing or "(error object is a nil value)", function() error(nil) end)
      callbackfails("(error object is a boolean value)", function() error(false) end)
      callbackfails("5", function() error(5, 0) end)
      callbackfails("a\0b", function() error("a\0b", 0) end)
      callbackfails(("x"):rep(2 ^ 20), function() error(("x"):rep(2 ^ 20), 0) end)
      callbackfails("words", function() error(setmetatable({}, { __tostring = function() return "words" end })) end)
      callbackfails("(error object is a table value)", function()
        error(setmetatable({}, { __tostring = function() return {} end }))
      end)
      callbackfails("(error object is a table value)", function()
        error(setmetatable({}, { __tostring = function() error "again" end }))
      end)
    end)

    it("Q10 yielding", function()
      local co = coroutine.create(function()
        return context.loadkey(any(), path, function() coroutine.yield(1) end)
      end)
      local resumed, ok, err = coroutine.resume(co)
      assert.is_true(resumed)
      assert.equal("dead", coroutine.status(co))
      assert.is_false(ok)
      assert.matches("password callback failed: .-attempt to yield across .-C%-call boundary", err)
    end)

    it("collecting garbage", function()
      assert.is_true(context.loadkey(any(), path, function()
        S.collect()
        return ("sec") .. "ret"
      end))
    end)

    it("closing the context", function()
      local ctx = any()
      local detail = failed("error loading private key", "the password function closed the context",
        context.loadkey(ctx, path, function()
          S.finalize(ctx)
          return "secret"
        end))
      assert.equal("config", detail.kind)
      S.raises("context is closed", context.checkkey, ctx)
    end)

    it("making contexts itself", function()
      local cfg = S.server { certificate = S.cert("rsa"), key = path, password = function()
        local inner = assert(ssl.newcontext(S.server { certificate = S.cert("rsa"), key = path, password = function()
          return "secret"
        end }))
        assert.is_nil((ssl.newcontext(S.server { key = "/nowhere" })))
        shows("rsa", inner)
        return "secret"
      end }
      shows("rsa", assert(ssl.newcontext(cfg)))
    end)

    it("loading another key into the same context", function()
      local ctx = any()
      local order = {}
      assert.is_true(context.loadkey(ctx, path, function()
        order[#order + 1] = "outer"
        assert.is_true(context.loadkey(ctx, S.cert("serverAkey-encrypted"), function()
          order[#order + 1] = "inner"
          return "secret"
        end))
        return "secret"
      end))
      assert.same({ "outer", "inner" }, order)
      assert.is_true(context.loadcert(ctx, S.cert("rsa")))
      assert.is_true(context.checkkey(ctx))
      context.loadcert(ctx, S.cert("serverA"))
      assert.is_true(context.checkkey(ctx))
    end)

    it("is not kept after the call", function()
      local weak = setmetatable({}, { __mode = "k" })
      local ctx = any()
      do
        local upvalue = {}
        local f = function() return upvalue and "secret" end
        weak[f] = true
        assert.is_true(context.loadkey(ctx, path, f))
      end
      S.collect()
      assert.is_nil(next(weak))
      assert.is_table(getmetatable(ctx))
    end)

    it("works in a coroutine that ends", function()
      local ctx
      coroutine.wrap(function()
        ctx = assert(ssl.newcontext(S.server { certificate = S.cert("rsa"), key = path, password = function()
          return "secret"
        end }))
      end)()
      S.collect()
      shows("rsa", ctx)
    end)
  end)

  describe("certificates", function()
    local both = { { certificate = S.cert("rsa"), key = S.cert("rsakey-encrypted"), password = "secret" },
      { certificate = S.cert("serverA"), key = S.cert("serverAkey") } }

    it("is chosen from by what the client can do", function()
      for _, order in ipairs { both, { both[2], both[1] } } do
        local cfg = { mode = "server", protocol = "any", certificates = order }
        shows("rsa", cfg, { protocol = "tlsv1_2", ciphers = "ECDHE-RSA-AES128-GCM-SHA256" })
        shows("serverA", cfg, { protocol = "tlsv1_2", ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256" })
      end
    end)

    it("is chosen from by signature algorithms of TLS 1.3", function()
      local ctx = assert(ssl.newcontext { mode = "server", protocol = "tlsv1_3", certificates = both })
      for sigalgs, name in pairs { ["RSA-PSS+SHA256"] = "rsa", ["ECDSA+SHA256"] = "serverA" } do
        local listener = assert(socket.bind("127.0.0.1", 0))
        listener:settimeout(10)
        local _, port = listener:getsockname()
        local p = assert(io.popen(("timeout 20 openssl s_client -connect 127.0.0.1:%d -sigalgs %s </dev/null 2>&1")
          :format(port, sigalgs)))
        local conn = assert(ssl.wrap(assert(listener:accept()), ctx))
        conn:settimeout(10)
        local ok, err = conn:dohandshake()
        conn:close()
        listener:close()
        local out = p:read("*a")
        p:close()
        assert.is_nil(err)
        assert.is_true(ok)
        assert.matches("subject=[^\n]*" .. release.attribute("CN", name) .. "\n", out)
      end
    end)

    it("takes the place of the single keys", function()
      shows("serverA", { mode = "server", protocol = "any", certificates = { both[2] }, certificate = "/nowhere",
        key = "/nowhere", password = {} })
    end)

    it("reports the first entry that fails", function()
      local list = { both[2], { certificate = S.cert("rsa"), key = S.cert("rsakey-encrypted"), password = "no" },
        { key = "/nowhere" } }
      local ctx, err = ssl.newcontext { mode = "server", protocol = "any", certificates = list }
      assert.is_nil(ctx)
      assert.equal("error loading private key (bad decrypt)", err)
      list[1] = { certificate = S.cert("rsa"), key = S.cert("serverBkey") }
      ctx, err = ssl.newcontext { mode = "server", protocol = "any", certificates = list }
      assert.is_nil(ctx)
      assert.equal("private key does not match public key", err)
    end)

    it("may be empty", function()
      assert.is_truthy(ssl.newcontext { mode = "server", protocol = "any", certificates = {}, key = "/nowhere" })
      local cr, sr = S.try(S.anyclient(), { mode = "server", protocol = "tlsv1_2", certificates = {} })
      assert.equal(release.alert("handshake failure"), cr[2])
      assert.equal("no shared cipher", sr[2])
    end)
  end)
end)
