-- Keys and certificates from every source: PEM text, DER, PKCS#12, stores; what is wrong with one, in words; passwords
-- in every form. Files with PEM are in credentials_spec.lua.

local S = require "support"
local context = require "ssl.context"
local ssl = S.ssl

local function any() return (assert(context.create "any")) end
local function path(name) return S.certdir .. "/" .. name end

-- A file of `content` for the time of the test.
local remove = {}
local function file(content)
  local name = S.tmpfile(content)
  remove[#remove + 1] = name
  return name
end

local function openssl(command)
  local p = assert(io.popen("openssl " .. command .. " 2>&1"))
  local out = p:read("*a")
  p:close()
  return out
end

-- A new file that a command of openssl's writes; `%s` in it stands for the file.
local function made(command)
  local name = file ""
  local out = openssl(command:format(name))
  assert(#S.read(name) > 0, out)
  return name
end

local function failed(what, reason, ok, err, detail)
  assert.is_false(ok)
  assert.equal(("error loading %s (%s)"):format(what, reason), err)
  assert.is_table(detail)
  return detail
end

-- Common names of the chain that a server with these settings shows.
local function shown(cfg)
  cfg.mode, cfg.protocol = "server", "any"
  local c, s = S.connected(S.anyclient(), cfg)
  local names = {}
  for i, cert in ipairs(c:getpeerchain()) do
    local subject = cert:subject()
    names[i] = subject[#subject].value
  end
  c:close()
  s:close()
  return table.concat(names, " ")
end

local function uri(name)
  local p = assert(io.popen("realpath " .. name))
  local absolute = p:read("*l")
  p:close()
  return "store:file://" .. absolute
end

-- What both kinds of callback error look like wherever a password is asked for: load(password).
local function passwords(what, wrong, load)
  it("takes a string or a function", function()
    assert.is_true(load "secret")
    local calls = 0
    assert.is_true(load(function(...)
      calls = calls + 1
      assert.equal(0, select("#", ...))
      return "secret"
    end))
    assert.is_true(calls >= 1)
  end)

  it("refuses a wrong one", function()
    for _, password in ipairs { "", "wrong", "secre", "secret ", ("x"):rep(1000) } do
      failed(what, wrong, load(password))
      failed(what, wrong, load(function() return password end))
    end
    for _, answer in ipairs { 5, true, {} } do failed(what, wrong, load(function() return answer end)) end
    failed(what, wrong, load(function() end))
  end)

  it("refuses one with a NUL, or of any length", function()
    for _, password in ipairs { "secret\0", "secret\0x", "\0", ("x"):rep(1024), ("x"):rep(1025), ("x"):rep(2 ^ 20) } do
      local ok, err = load(password)
      assert.is_false(ok)
      assert.matches("^error loading " .. what:gsub("%p", "%%%0") .. " %(%a", err)
    end
  end)

  it("ends with the error of a function that raises or yields, asked once", function()
    local calls = 0
    local ok, err, detail = load(function()
      calls = calls + 1
      error("nobody knows", 0)
    end)
    failed(what, "password callback failed: nobody knows", ok, err, detail)
    assert.equal("callback", detail.kind)
    assert.equal("nobody knows", detail.reason)
    assert.equal(1, calls)
    failed(what, "password callback failed: (error object is a table value)", load(function() error {} end))
    local co = coroutine.create(function() return load(function() coroutine.yield() end) end)
    local _, done, message = coroutine.resume(co)
    assert.equal("dead", coroutine.status(co))
    assert.is_false(done)
    assert.matches("password callback failed: .-attempt to yield across .-C%-call boundary", message)
  end)

  it("bears a function that collects garbage or loads another key", function()
    assert.is_true(load(function()
      S.collect()
      assert.is_true(context.loadkey(any(), S.cert("rsakey-encrypted"), function() return "secret" end))
      return "sec" .. "ret"
    end))
  end)
end

describe("material", function()
  after_each(function()
    for i = 1, #remove do os.remove(remove[i]) end
    remove = {}
  end)

  describe("PEM text", function()
    local cert, key = S.pem("serverA"), S.pem("serverAkey")

    it("is certificate, chain and key", function()
      assert.equal("serverA", shown { certificate = cert, key = key })
      assert.equal("chainA interA", shown { certificate = S.pem("chainA"), key = S.pem("chainAkey") })
      assert.equal("serverA", shown { certificate = "\r\n\t " .. cert, key = "\n\n" .. key })
      assert.equal("serverA", shown { certificate = cert, key = S.cert("serverAkey") })
      assert.equal("serverA", shown { certificate = cert .. key, key = cert .. key })
      assert.equal("serverA", shown { certificates = { { certificate = cert:gsub("\n", "\r\n"), key = key } } })
    end)

    it("is text only when it begins so", function()
      local detail = failed("certificate", "File name too long", context.loadcert(any(), "x" .. cert:rep(10)))
      assert.equal("system", detail.kind)
      failed("certificate", "No such file or directory", context.loadcert(any(), "-----BEGI"))
      failed("certificate", "No such file or directory", context.loadcert(any(), " \n"))
    end)

    local bad = {
      { "cut", S.pem("cut"), "bad end line" },
      { "cut in the first line", "-----BEGIN", "no start line" },
      { "with a broken body", S.pem("badbase64"), "bad base64 decode" },
      { "of a key", key, "no start line" },
      { "of a revocation list", S.pem("crlA"), "no start line" },
      { "of a weak key", S.pem("rsa1024"), "ee key too small" },
      { "with a NUL in its first line", "-----BEGIN\0" .. cert, nil },
      { "that is huge", "-----BEGIN" .. ("x"):rep(2 ^ 22), "no start line" },
      { "of many broken parts", ("-----BEGIN CERTIFICATE-----\n"):rep(1000), nil },
    }
    for _, row in ipairs(bad) do
      it("of a certificate is refused " .. row[1], function()
        local ok, err, detail = context.loadcert(any(), row[2])
        assert.is_false(ok)
        if row[3] then
          failed("certificate", row[3], ok, err, detail)
        else
          assert.matches("^error loading certificate %(%a", err)
        end
        assert.equal("config", detail.kind)
        assert.is_nil(detail.file)
      end)
    end

    it("of a key is refused cut, broken or of something else", function()
      for _, text in ipairs { S.pem("cutkey"), cert, S.pem("dhparam2048"), "-----BEGIN", key:gsub("M", "%%", 1),
        "-----BEGIN" .. ("x"):rep(2 ^ 20) } do
        local detail = failed("private key", "unsupported", context.loadkey(any(), text, "secret"))
        assert.is_nil(detail.file)
      end
    end)

    it("of an encrypted key needs its password", function()
      for _, name in ipairs { "serverAkey-encrypted", "rsakey-encrypted", "rsakey-legacy" } do
        assert.is_true(context.loadkey(any(), S.pem(name), "secret"))
        failed("private key", "bad decrypt", context.loadkey(any(), S.pem(name), "wrong"))
        failed("private key", "the key is encrypted and no password was given", context.loadkey(any(), S.pem(name)))
      end
    end)
  end)

  describe("DER", function()
    it("is certificate and key", function()
      assert.equal("serverA", shown { certificate = path "serverA.der", key = path "serverAkey.der" })
      assert.equal("serverA", shown { certificate = S.cert("serverA"), key = path "serverAkey.der" })
    end)

    local keys = {
      ["EC, traditional"] = "ec -in " .. S.cert("serverAkey") .. " -outform DER -out %s",
      ["EC, PKCS#8"] = "pkcs8 -topk8 -nocrypt -in " .. S.cert("ec384key") .. " -outform DER -out %s",
      ["RSA, traditional"] = "rsa -traditional -in " .. S.cert("rsakey") .. " -outform DER -out %s",
      ["RSA, PKCS#8"] = "pkcs8 -topk8 -nocrypt -in " .. S.cert("rsakey") .. " -outform DER -out %s",
      ["Ed25519, which is short"] = "pkey -in " .. S.cert("ed25519key") .. " -outform DER -out %s",
    }
    for name, command in pairs(keys) do
      it("of a key: " .. name, function()
        local der = made(command)
        assert.is_true(context.loadkey(any(), der))
        assert.is_true(context.loadkey(any(), der, function() error "not called" end))
        local bytes = S.read(der)
        for _, n in ipairs { 3, 10, #bytes / 2, #bytes - 1 } do
          local ok, err = context.loadkey(any(), file(bytes:sub(1, math.floor(n))))
          assert.is_false(ok)
          assert.matches("^error loading private key %(%a", err)
        end
      end)
    end

    it("is refused when cut or of something else", function()
      local cert, key = S.read(path "serverA.der"), S.read(path "serverAkey.der")
      local nocert = "the file is neither PEM nor one whole certificate in DER"
      local nokey = "the file is neither PEM nor a whole private key in DER"
      for _, n in ipairs { 4, 20, 200, #cert - 1 } do
        local name = file(cert:sub(1, n))
        assert.equal(name, failed("certificate", nocert, context.loadcert(any(), name)).file)
      end
      failed("certificate", nocert, context.loadcert(any(), file(cert:sub(1, 4) .. ("\255"):rep(2000))))
      failed("certificate", nocert, context.loadcert(any(), file "\48\132\127\255\255\255"))
      failed("certificate", nocert, context.loadcert(any(), path "serverAkey.der"))
      failed("private key", nokey, context.loadkey(any(), path "serverA.der"))
      assert.is_false((context.loadkey(any(), file(key:sub(1, 100)))))
      failed("private key", nokey, context.loadkey(any(), file "\48\132\127\255\255\255"))
    end)

    it("is not seen in text that begins with its first byte", function()
      for _, text in ipairs { "0", "00", "0 is the first byte", ("0"):rep(50), ("0"):rep(2 ^ 20) } do
        if #text ~= 50 then
          failed("certificate", "no start line", context.loadcert(any(), file(text)))
          failed("private key", "unsupported", context.loadkey(any(), file(text)))
        else
          assert.is_false((context.loadcert(any(), file(text))))
        end
      end
      assert.is_true(context.loadcert(any(), file("0 text in front\n" .. S.pem("serverA"))))
    end)

    it("names PKCS#12 where it was put into the wrong setting", function()
      local reason = "the file is PKCS#12: name it in the setting pkcs12"
      failed("certificate", reason, context.loadcert(any(), path "serverA.p12"))
      failed("private key", reason, context.loadkey(any(), path "serverA.p12", "secret"))
    end)

    describe("of an encrypted key", function()
      local der
      before_each(function()
        der = made("pkcs8 -topk8 -v2 aes-256-cbc -iter 2048 -passout pass:secret -in " .. S.cert("serverAkey")
          .. " -outform DER -out %s")
      end)

      passwords("private key", "bad decrypt", function(password) return context.loadkey(any(), der, password) end)

      it("misses the password in words", function()
        failed("private key", "the key is encrypted and no password was given", context.loadkey(any(), der))
      end)

      it("serves", function()
        assert.equal("serverA", shown { certificate = path "serverA.der", key = der, password = "secret" })
      end)
    end)
  end)

  describe("pkcs12", function()
    local data = S.read(path "serverA.p12")

    it("gives key, certificate and chain, from file and data", function()
      assert.equal("chainA interA", shown { pkcs12 = { file = path "chainA.p12", password = "secret" } })
      assert.equal("chainA interA", shown { pkcs12 = { data = S.read(path "chainA.p12"), password = "secret" } })
      assert.equal("chainA interA", shown { pkcs12 = { file = path "chainA.p12" }, password = "secret" })
      assert.equal("chainA interA", shown { certificates = { { pkcs12 = { file = path "chainA.p12",
        password = function() return "secret" end } } } })
      assert.equal("serverA rootA", shown { pkcs12 = { data = data, password = "secret" } })
    end)

    it("brings the chain into order and leaves out what is not of it", function()
      local certs = file(S.pem("serverB") .. S.pem("rootA") .. S.pem("rootB") .. S.pem("interA"))
      local p12 = made(("pkcs12 -export -passout pass:secret -inkey %s -in %s -certfile %s -out %%s")
        :format(S.cert("chainAkey"), S.cert("chainA-leaf"), certs))
      assert.equal("chainA interA rootA", shown { pkcs12 = { file = p12, password = "secret" } })
    end)

    it("goes on a client, and beside other certificates", function()
      local c, s = S.connected(S.client { pkcs12 = { data = data, password = "secret" } },
        S.server { verify = { "peer", "fail_if_no_peer_cert" }, cafile = S.cert("rootA") })
      local subject = s:getpeercertificate():subject()
      assert.equal("serverA", subject[#subject].value)
      c:close()
      s:close()
      local list = { { certificate = S.cert("rsa"), key = S.cert("rsakey") },
        { pkcs12 = { data = data, password = "secret" } } }
      local expected = { ["ECDHE-RSA-AES128-GCM-SHA256"] = "rsa", ["ECDHE-ECDSA-AES128-GCM-SHA256"] = "serverA" }
      for cipher, name in pairs(expected) do
        c, s = S.connected(S.anyclient { protocol = "tlsv1_2", ciphers = cipher },
          { mode = "server", protocol = "any", certificates = list })
        subject = c:getpeercertificate():subject()
        assert.equal(name, subject[#subject].value)
        c:close()
        s:close()
      end
    end)

    describe("password", function()
      passwords("PKCS#12", "wrong password", function(password)
        return context.loadpkcs12(any(), path "serverA.p12", nil, password)
      end)

      it("is missed in words", function()
        local detail = failed("PKCS#12", "it is encrypted and no password was given",
          context.loadpkcs12(any(), path "serverA.p12"))
        assert.equal("config", detail.kind)
        assert.equal(path "serverA.p12", detail.file)
      end)

      it("is never cut short", function()
        failed("PKCS#12", "the password contains a NUL byte", context.loadpkcs12(any(), nil, data, "secret\0x"))
        failed("PKCS#12", "the password is too long", context.loadpkcs12(any(), nil, data, ("x"):rep(1025)))
      end)

      it("is not asked for where there is none", function()
        local args = (" -export -inkey %s -in %s -out %%s"):format(S.cert("serverAkey"), S.cert("serverA"))
        for _, protection in ipairs { " -passout pass:", " -passout pass: -keypbe NONE -certpbe NONE" } do
          local p12 = made("pkcs12" .. protection .. args)
          assert.is_true(context.loadpkcs12(any(), p12))
          assert.is_true(context.loadpkcs12(any(), p12, nil, ""))
          assert.is_true(context.loadpkcs12(any(), p12, nil, function() error "not called" end))
        end
        local p12 = made("pkcs12 -nomac -keypbe NONE -certpbe NONE -passout pass:" .. args)
        assert.is_true(context.loadpkcs12(any(), p12))
      end)

      it("is never asked for on the terminal", function()
        local out = S.terminal(pending, ([[
          local context = require "ssl.context"
          print((select(2, context.loadpkcs12(context.create "any", %q))))
          print((select(2, context.loadkey(context.create "any", "store:" .. %q))))]])
          :format(path "serverA.p12", path "serverAkey-encrypted.pem"))
        assert.matches("^error loading PKCS#12 %(it is encrypted and no password was given%)\n"
          .. "error loading private key %(.-no password was given%)$", out)
      end)

      it("function may close the context", function()
        local ctx = any()
        failed("PKCS#12", "the password function closed the context", context.loadpkcs12(ctx, nil, data, function()
          S.finalize(ctx)
          return "secret"
        end))
      end)
    end)

    it("is refused when it is none, cut or damaged", function()
      local none = "no PKCS#12, or cut short"
      for _, bytes in ipairs { "", "junk", "\48", "\48\130", S.pem("serverA"), S.read(path "serverA.der"),
        data:sub(1, 4), data:sub(1, 100), data:sub(1, -2), ("x"):rep(2 ^ 22), "\48\132\127\255\255\255" } do
        failed("PKCS#12", none, context.loadpkcs12(any(), nil, bytes, "secret"))
        failed("PKCS#12", none, context.loadpkcs12(any(), file(bytes), nil, "secret"))
      end
      for i = 30, #data, 37 do
        local damaged = data:sub(1, i - 1) .. string.char((data:byte(i) + 1) % 256) .. data:sub(i + 1)
        local ok, err = context.loadpkcs12(any(), nil, damaged, "secret")
        if not ok then assert.matches("^error loading PKCS#12 %(%a", err) end
      end
    end)

    it("is refused without key, without the key's certificate, with a weak one", function()
      local nokey = made("pkcs12 -export -nokeys -passout pass:secret -in " .. S.cert("serverA") .. " -out %s")
      failed("PKCS#12", "no private key inside", context.loadpkcs12(any(), nokey, nil, "secret"))
      local nocert = made("pkcs12 -export -nocerts -passout pass:secret -inkey " .. S.cert("serverAkey") .. " -out %s")
      failed("PKCS#12", "no certificate inside that belongs to the private key",
        context.loadpkcs12(any(), nocert, nil, "secret"))
      local weak = made(("pkcs12 -export -passout pass:secret -inkey %s -in %s -out %%s"):format(S.cert("rsa1024key"),
        S.cert("rsa1024")))
      failed("PKCS#12", "ee key too small", context.loadpkcs12(any(), weak, nil, "secret"))
    end)

    it("changes nothing when it fails", function()
      local ctx = assert(ssl.newcontext(S.server()))
      assert.is_false((context.loadpkcs12(ctx, path "chainA.p12", nil, "wrong")))
      assert.is_true(context.checkkey(ctx))
      local c, s = S.connected(S.client(), ctx)
      assert.equal(1, #c:getpeerchain())
      c:close()
      s:close()
    end)

    it("is refused in the system's words when the file is not there", function()
      local detail = failed("PKCS#12", "No such file or directory", context.loadpkcs12(any(), "/nowhere"))
      assert.equal("system", detail.kind)
      assert.equal("/nowhere", detail.file)
      failed("PKCS#12", "Is a directory", context.loadpkcs12(any(), S.certdir))
      failed("PKCS#12", "the path contains a NUL byte", context.loadpkcs12(any(), "a\0b"))
    end)

    it("is refused in settings that make no sense", function()
      for message, value in pairs {
        ["invalid pkcs12 (table expected, got string)"] = path "serverA.p12",
        ["pkcs12 needs one of file and data"] = {},
        ["invalid pkcs12.file (string expected, got number)"] = { file = 5 },
        ["invalid pkcs12.data (string expected, got boolean)"] = { data = true },
        ["invalid password type"] = { data = data, password = 5 },
        ["error loading PKCS#12 (wrong password)"] = { data = data, password = "no" },
      } do
        local ctx, err, detail = ssl.newcontext { mode = "server", protocol = "any", pkcs12 = value }
        assert.is_nil(ctx)
        assert.equal(message, err)
        assert.equal("config", detail.kind)
      end
      local _, err = ssl.newcontext { mode = "server", protocol = "any", pkcs12 = { data = data, file = "x" } }
      assert.equal("pkcs12 needs one of file and data", err)
      _, err = ssl.newcontext(S.server { pkcs12 = { data = data } })
      assert.equal("pkcs12 takes the place of key and certificate", err)
      S.raises("bad argument #4", context.loadpkcs12, any(), nil, data, {})
      S.raises("bad argument #3", context.loadpkcs12, any())
    end)
  end)

  describe("store:", function()
    it("gives key, certificate and chain by URI, absolute or relative", function()
      assert.equal("serverA", shown { certificate = uri(S.cert("serverA")), key = uri(S.cert("serverAkey")) })
      assert.equal("serverA", shown { certificate = "store:" .. S.cert("serverA"), key = S.cert("serverAkey") })
      assert.equal("chainA interA", shown { certificate = uri(S.cert("reversedA")), key = uri(S.cert("chainAkey")) })
      assert.equal("serverA", shown { certificate = uri(path "serverA.der"), key = uri(path "serverAkey.der") })
    end)

    it("gives them all out of PKCS#12", function()
      local one = uri(path "chainA.p12")
      assert.equal("chainA interA", shown { certificate = one, key = one, password = "secret" })
      assert.equal("chainA interA", shown { certificate = one, key = one, password = function() return "secret" end })
    end)

    it("chooses the certificate of the key", function()
      local name = file(S.pem("rootA") .. S.pem("serverB") .. S.pem("serverA") .. S.pem("serverBkey"))
      assert.equal("serverA rootA", shown { certificate = uri(name), key = S.cert("serverAkey") })
      assert.equal("serverB", shown { certificate = uri(name), key = uri(name) })
    end)

    describe("password", function()
      passwords("private key", "nothing in the store could be decrypted with the password", function(password)
        return context.loadkey(any(), uri(path "serverAkey-encrypted.pem"), password)
      end)

      it("is missed in words", function()
        failed("private key", "the key is encrypted and no password was given",
          context.loadkey(any(), uri(path "serverAkey-encrypted.pem")))
      end)

      it("function may close the context", function()
        local ctx = any()
        failed("certificate", "the password function closed the context",
          context.loadcert(ctx, uri(path "chainA.p12"), function()
            S.finalize(ctx)
            return "secret"
          end))
      end)
    end)

    it("is refused when there is nothing in it", function()
      local reason = { certificate = "no certificate in the store", ["private key"] = "no private key in the store" }
      for what, load in pairs { certificate = context.loadcert, ["private key"] = context.loadkey } do
        local other = what == "certificate" and "serverAkey" or "serverA"
        failed(what, reason[what], load(any(), uri(S.cert(other))))
        failed(what, reason[what], load(any(), uri(S.cert("capath"))))
        for _, bad in ipairs { "store:", "store:/nowhere", "store:nosuchscheme:x", "store:pkcs11:token=x",
          uri(S.cert("junk")), uri(S.cert("empty")), "store:file://otherhost/x", "store:" .. ("x"):rep(2 ^ 20) } do
          local ok, err, detail = load(any(), bad)
          assert.is_false(ok)
          assert.matches("^error loading " .. what .. " %(%a", err)
          assert.equal(bad, detail.file)
        end
        failed(what, "the URI contains a NUL byte", load(any(), "store:a\0b"))
      end
    end)
  end)
end)
