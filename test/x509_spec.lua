-- ssl.x509 and the life, encodings, key, digest and serial number of a certificate object, in every state.

local x509 = require "ssl.x509"
local der = require "der"
local pki = require "pki"
local release = require "release"
local support = require "support"

local certdir = pki.certdir
local calls = pki.calls
local call = pki.call
local count = pki.count
local interpreter = support.interpreter
local load = pki.load
local make = pki.make
local read = pki.read
local rss = support.rss
local run = support.run
local unpack = pki.unpack
local watched = pki.watched

describe("ssl.x509", function()

  describe("module", function()
    it("has load and selfsigned", function()
      assert.equal("function", type(x509.load))
      assert.equal("function", type(x509.selfsigned))
      assert.equal(2, count(x509))
    end)

    it("can be loaded first and alone", function()
      local out = run(interpreter() .. [[ -e 'local x = require "ssl.x509" local c = x.load(io.read("*a"))]]
        .. [[ print(c:subject()[3].value, next(package.loaded, nil) ~= nil)' <]] .. certdir .. "/serverA.pem")
      assert.equal("serverA\ttrue\n", out)
    end)

    -- debug.upvalueid is what gives a program one.
    it("says what it got instead of a certificate, light userdata too", function()
      local light = debug.upvalueid and debug.upvalueid(function() return der end, 1)
      if not light then return pending("this Lua gives programs no light userdata") end
      local ok, message = pcall(load "serverA".issued, load "serverA", light)
      assert.is_false(ok)
      assert.truthy(message:find("SSL:Certificate expected, got light userdata", 1, true), message)
    end)

    it("keeps its metatable when it is opened again", function()
      local c = load "serverA"
      local index = getmetatable(c).__index
      index.twice = function(self) return self:serial():rep(2) end
      package.loaded["ssl.x509"] = nil
      local again = require "ssl.x509"
      package.loaded["ssl.x509"] = x509
      local d = assert(again.load(read "serverA.pem"))
      assert.equal(getmetatable(c), getmetatable(d))
      assert.equal(c:serial():rep(2), d:twice())
      index.twice = nil
      assert.equal(true, c:issued(c) == nil and again.load(c:pem()) ~= nil)
    end)
  end)

  describe("load", function()
    local pem = read "serverA.pem"

    it("reads the first certificate of a text", function()
      local a, b = pem, read "serverB.pem"
      for _, text in ipairs { a, a .. b, "text\n" .. a, a .. "junk", a:gsub("\n", "\r\n") .. "", a .. "\0",
        "-----BEGIN X-----\nAAAA\n-----END X-----\n" .. a, read "serverAkey.pem" .. a, ("#\n"):rep(2 ^ 19) .. a } do
        assert.equal("serverA", assert(x509.load(text)):subject()[3].value)
      end
    end)

    it("answers nil and why for anything else", function()
      local headers = "\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC," .. ("0"):rep(32) .. "\n\n"
      local encrypted = pem:gsub("\n", headers, 1)
      local rows = {
        { "", "no start line" }, { "\0", "no start line" }, { "x", "no start line" }, { 12, "no start line" },
        { ("x"):rep(2 ^ 20), "no start line" }, { ("x\n"):rep(2 ^ 19), "no start line" },
        { read "serverA.der", "no start line" }, { read "serverAkey.pem", "no start line" },
        { read "empty.pem", "no start line" }, { read "junk.pem", "no start line" },
        { read "crlA.pem", "no start line" },
        { read "cut.pem", "bad end line" }, { pem:sub(1, 100), "bad end line" },
        { read "badbase64.pem", "bad base64 decode" },
        { encrypted, "bad password read" }, { (pem:gsub("MI", "M\0I", 1)) },
        { der.pem("") }, { der.pem("x") }, { der.pem(der.seq()) }, { der.pem(("\48\128"):rep(1000)) },
        { der.pem(der.cert {}:sub(1, -2)) },
      }
      for i, row in ipairs(rows) do
        local c, message, detail = x509.load(row[1])
        assert.equal(nil, c, "row " .. i)
        local reason = message:match("^error loading certificate %((.+)%)$")
        assert(reason, "row " .. i .. ": " .. tostring(message))
        assert(reason:find(row[2] or "."), "row " .. i .. ": " .. reason)
        assert.equal("config", detail.kind)
        assert.equal(reason, detail.reason)
      end
    end)

    it("raises for what is no string", function()
      for _, v in ipairs { {}, true, print, io.stdout, load "serverA" } do
        assert.error_matches(function() x509.load(v) end, "bad argument #1 to '.-' %(string expected, got ")
      end
      assert.error_matches(function() x509.load() end, "bad argument #1 to '.-' %(string expected, got no value%)")
      assert.error_matches(function() x509.load(nil) end, "bad argument #1 to '.-' %(string expected, got nil%)")
    end)

    it("leaves no error behind", function()
      local context = require "ssl.context"
      local ctx = assert(context.create("any"))
      x509.load(read "badbase64.pem")
      x509.load("")
      local c = make { key = der.seq(der.seq(der.oid "1.2.3"), der.tlv(3, "\0abc")),
        notbefore = der.tlv(0x17, release.since(3, 5) and "261101010203Z" or "junk") }
      for method in pairs(calls) do call(c, method) end
      c:issued(c)
      local ok, message = context.setcipher(ctx, "no such cipher")
      assert.equal(false, ok)
      assert.equal("error setting cipher list (no cipher match)", message)
    end)
  end)

  describe("object", function()
    it("is a userdata that says what it is", function()
      local c = load "serverA"
      assert.equal("userdata", type(c))
      assert.truthy(tostring(c):find("^X509 certificate: 0x%x+$"))
      assert.equal("table", type(getmetatable(c).__index))
      assert.equal("SSL:Certificate", getmetatable(c).__name)
      assert.equal(nil, c.nosuchmethod)
      for method in pairs(calls) do assert.equal("function", type(c[method])) end
    end)

    it("equals itself only", function()
      local c, d = load "serverA", load "serverA"
      assert.equal(true, c == c) -- luacheck: ignore
      assert.equal(false, c == d)
    end)

    it("refuses another self", function()
      local methods = getmetatable(load "serverA").__index
      assert.equal(true, count(methods) >= 20)
      for name, method in pairs(methods) do
        for _, self in ipairs { 1, "x", {}, io.stdout, print, true } do
          local ok, message = pcall(method, self, unpack(calls[name] or {}))
          assert.equal(false, ok, name)
          assert(message:find("bad argument #1 to '.-' %(SSL:Certificate expected, got "), name .. ": " .. message)
        end
        assert.equal(false, (pcall(method)), name)
      end
      assert.equal(false, (pcall(getmetatable(load "serverA").__gc, io.stdout)))
      assert.equal(false, (pcall(getmetatable(load "serverA").__tostring, {})))
    end)

    it("answers in words after it was closed", function()
      for _, how in ipairs { "__close", "__gc" } do
        local c, other = load "serverA", load "rootA"
        local meta = getmetatable(c)
        assert.equal(0, select("#", meta[how](c)))
        meta.__close(c)
        meta.__gc(c)
        assert.equal("X509 certificate: (nil)", tostring(c))
        for method in pairs(calls) do
          local ok, message = pcall(call, c, method)
          assert.equal(false, ok, method)
          assert(message:find("certificate is closed", 1, true), method .. ": " .. message)
        end
        assert.error_matches(function() c:issued(other) end, "certificate is closed")
        assert.error_matches(function() other:issued(c) end, "bad argument #%d to '.-' %(certificate is closed%)")
        assert.error_matches(function() other:issued(other, c) end,
          "bad argument #%d to '.-' %(certificate is closed%)")
        c = nil -- luacheck: ignore
        collectgarbage()
        collectgarbage()
      end
    end)

    it("survives being closed by a finalizer in the middle of a method", function()
      local text = read "manysan.pem"
      collectgarbage()
      for i = 1, 30 do
        local c = assert(x509.load(text))
        if i % 2 == 0 then c:setencode "utf8" end
        support.litter(function() getmetatable(c).__gc(c) end)
        for method in pairs(calls) do
          local ok, result = pcall(call, c, method)
          if method == "extensions" and ok then
            assert.equal(1000, #result["2.5.29.17"].dNSName)
          elseif not ok then
            assert.truthy(result:find("certificate is closed", 1, true))
          end
        end
      end
    end)
  end)

  describe("serial", function()
    it("is upper-case hexadecimal of whole bytes", function()
      local rows = {
        { "\0", "0" }, { "\5", "05" }, { "\0\255", "FF" }, { "\10\27", "0A1B" }, { "\255", "-01" },
        { "\128", "-80" },
        { "\255\127", "-81" }, { "\127\255", "7FFF" }, { ("\1"):rep(40), ("01"):rep(40) },
        { ("\1"):rep(5000), ("01"):rep(5000) },
      }
      for _, row in ipairs(rows) do assert.equal(row[2], make { serial = row[1] }:serial()) end
      assert.equal("7FEEDDCCBBAA99887766554433221100FFEEDDCC", load "bigserial":serial())
    end)
  end)

  describe("digest", function()
    it("agrees with the openssl command", function()
      local c = load "serverA"
      for _, algorithm in ipairs { "sha1", "sha256", "sha512" } do
        local out = run("openssl x509 -noout -fingerprint -" .. algorithm .. " -in " .. certdir .. "/serverA.pem")
        local hex = out:match("=([%x:]+)"):gsub(":", ""):lower()
        assert.equal(hex, c:digest(algorithm))
      end
      assert.equal(c:digest "sha1", c:digest())
      assert.equal(c:digest "sha1", c:digest(nil))
    end)

    it("refuses other algorithms", function()
      local c = load "serverA"
      for _, name in ipairs { "md5", "SHA1", "", "sha1 ", "sha384" } do
        local hex, message, detail = c:digest(name)
        assert.equal(nil, hex)
        assert.equal("digest algorithm not supported (" .. name .. ")", message)
        assert.equal("config", detail.kind)
      end
      assert.equal(nil, (c:digest(("x"):rep(2 ^ 20))))
      assert.equal(nil, (c:digest(5)))
      assert.error_matches(function() c:digest {} end, "string expected, got table")
      assert.error_matches(function() c:digest(true) end, "string expected, got boolean")
    end)
  end)

  describe("pem and der", function()
    it("give back what was loaded", function()
      local c = load "serverA"
      assert.equal(read "serverA.der", c:der())
      assert.equal(read "serverA.pem", c:pem())
      assert.truthy(c:pem():find("^%-%-%-%-%-BEGIN CERTIFICATE%-%-%-%-%-\n.*\n%-%-%-%-%-END CERTIFICATE%-%-%-%-%-\n$"))
      for _, name in ipairs { "rsa", "manysan", "unicode", "nul" } do
        local d = load(name)
        assert.equal(d:der(), assert(x509.load(d:pem())):der())
        assert.equal(d:der(), assert(x509.load(der.pem(d:der()))):der())
      end
      local made = der.cert {}
      assert.equal(made, make {}:der())
    end)
  end)

  describe("pubkey", function()
    it("gives the key, its kind and its size", function()
      for _, row in ipairs { { "rsa", "RSA", 2048 }, { "rsa1024", "RSA", 1024 }, { "serverA", "EC", 256 },
        { "ec384", "EC", 384 } } do
        local pem, kind, bits = load(row[1]):pubkey()
        assert.equal(run("openssl x509 -noout -pubkey -in " .. certdir .. "/" .. row[1] .. ".pem"), pem)
        assert.equal(row[2], kind)
        assert.equal(row[3], bits)
        if math.type then assert.equal("integer", math.type(bits)) end -- luacheck: ignore
      end
      -- Finite fields of 1024 bits; whether the modulus is a prime is not asked here.
      local p, q = "\0" .. ("\255"):rep(128), "\0" .. ("\255"):rep(20)
      for kind, algorithm in pairs {
        DSA = der.seq(der.oid "1.2.840.10040.4.1", der.seq(der.int(p), der.int(q), der.int "\2")),
        DH = der.seq(der.oid "1.2.840.113549.1.3.1", der.seq(der.int(p), der.int "\2")),
      } do
        local c = make { key = der.seq(algorithm, der.tlv(3, "\0" .. der.int(("\127"):rep(128)))) }
        assert.same({ kind, 1024 }, { select(2, c:pubkey()) })
      end
      local pem, kind = load "ed25519":pubkey()
      assert.equal("-----BEGIN PUBLIC KEY-----", pem:match("^[^\n]+"))
      assert.equal("Unknown", kind)
    end)

    it("is nil for a key that OpenSSL cannot read", function()
      local c = make { key = der.seq(der.seq(der.oid "1.2.3"), der.tlv(3, "\0abc")) }
      assert.equal(1, select("#", c:pubkey()))
      assert.equal(nil, (c:pubkey()))
    end)
  end)

  describe("getsignaturename", function()
    it("is OpenSSL's short name", function()
      assert.equal("ecdsa-with-SHA256", load "serverA":getsignaturename())
      assert.equal("ecdsa-with-SHA1", load "sha1":getsignaturename())
      assert.equal("RSA-SHA256", make { algorithm = "1.2.840.113549.1.1.11" }:getsignaturename())
      assert.equal("ED25519", make {}:getsignaturename())
      assert.equal("UNDEF", make { algorithm = "1.2.3.4" }:getsignaturename())
    end)
  end)

  describe("memory", function()
    it("stays flat over many calls of each method", function()
      local c, root = load "altname", load "rootA"
      local text, junk = read "altname.pem", read "badbase64.pem"
      local jobs = {
        function() x509.load(text) end, function() x509.load(junk) end, function() pcall(x509.load, {}) end,
        function() root:issued(c) end, function() c:issued(root) end, function() pcall(c.issued, c, 1) end,
        function() c:digest "md5" end, function() c:checkhost("a.test", "no_wildcards") end,
      }
      for method in pairs(calls) do
        if method ~= "setencode" then jobs[#jobs + 1] = function() call(c, method) end end
      end
      local function round(n)
        for _, job in ipairs(jobs) do
          for _ = 1, n do job() end
        end
        collectgarbage()
        collectgarbage()
      end
      for _, encoding in ipairs { "ai5", "utf8" } do
        c:setencode(encoding)
        round(watched and 5 or 300)
        -- A leak grows in every round; the heap of an interpreter that ran other specs may do so in one.
        local grown
        for _ = 1, watched and 1 or 3 do
          local before = rss()
          round(watched and 20 or 2000)
          grown = before and not watched and rss() - before or 0
          if grown < 4096 then break end
        end
        assert(grown < 4096, encoding .. ": " .. grown .. " KiB more after 2000 calls of each")
      end
    end)
  end)

  describe("damage", function()
    it("of any byte gives an error or a certificate that answers", function()
      local whole = load "xmpp":der()
      local loaded, refused = 0, 0
      for i = 1, #whole do
        for _, change in ipairs { 1, 128, 255 } do
          local byte = (whole:byte(i) + change) % 256
          local c, message = x509.load(der.pem(whole:sub(1, i - 1) .. string.char(byte) .. whole:sub(i + 1)))
          if c then
            loaded = loaded + 1
            for _, encoding in ipairs { "ai5", "utf8" } do
              c:setencode(encoding)
              for method in pairs(calls) do
                if method ~= "setencode" then call(c, method) end
              end
            end
            assert.equal(nil, (c:issued(c)))
          else
            refused = refused + 1
            assert.truthy(message:find("^error loading certificate %(.+%)$"))
          end
        end
      end
      assert.equal(true, loaded > 100 and refused > 100)
    end)
  end)
end)
