-- The table of settings: the order in which it is read, every refusal word for word, and values of every kind for
-- every key.

local S = require "support"
local options = require "ssl.options"
local ssl = S.ssl

local LONG = ("x"):rep(2 ^ 20)

-- newcontext answered nil, this message, and a detail that says so.
local function refused(message, cfg)
  local r = S.pack(ssl.newcontext(cfg))
  assert.is_nil(r[1])
  assert.equal(message, r[2])
  assert.equal(3, r.n)
  assert.is_string(r[3].kind)
  assert.is_string(r[3].reason)
  return r[3]
end

local function client(key, value) return { mode = "client", protocol = "any", [key] = value } end
local function server(key, value) return { mode = "server", protocol = "any", [key] = value } end

describe("newcontext", function()
  describe("reads its settings in order, the first failure ends it:", function()
    -- key, a value that fails, how; a value that does not
    local steps = {
      { "protocol", "bad", "invalid protocol (bad)", "any" },
      { "mode", "bad", "invalid mode (bad)", "server" },
      { "password", {}, "invalid password type", "secret" },
      { "key", "/nowhere/key", "error loading private key (No such file or directory)", S.cert("rsakey-encrypted") },
      { "certificate", "/nowhere/cert", "error loading certificate (No such file or directory)", S.cert("serverA") },
      { "certificate", nil, "private key does not match public key", S.cert("rsa") },
      { "cafile", "/nowhere/ca", "error loading CA locations (No such file or directory)", S.cert("rootA") },
      { "ciphers", "bad", "error setting cipher list (no cipher match)", "HIGH" },
      { "ciphersuites", "bad", "error setting cipher list (no cipher match)", "TLS_AES_128_GCM_SHA256" },
      { "verify", "bad", "invalid verify option (bad)", { "peer" } },
      { "options", { "all", "bad" }, "invalid option (bad)", "all" },
      { "dhparam", "bad", "invalid DH parameter type", function() end },
      { "curveslist", "bad", 'unknown elliptic curve in "bad"', false },
      { "curve", "bad", "elliptic curve 'bad' not supported", "P-256" },
      { "verifyext", "bad", "invalid verify option (bad)", "crl_check" },
      { "alpn", "h2", "invalid ALPN parameter", { "h2" } },
      { "psk", "bad", "invalid PSK configuration", function() end },
    }
    local cfg = {}
    for _, step in ipairs(steps) do
      if step[2] ~= nil then cfg[step[1]] = step[2] end
    end
    local done = {}
    for i, step in ipairs(steps) do
      -- What the steps before left, with all later ones still failing.
      local now = {}
      for k, v in pairs(cfg) do now[k] = v end
      for _, earlier in ipairs(done) do now[earlier[1]] = earlier[4] end
      for later = i, #steps do
        if steps[later][2] ~= nil then now[steps[later][1]] = steps[later][2] end
      end
      it(i .. " " .. step[1], function() refused(step[3], now) end)
      done[#done + 1] = step
    end
    it("and then makes the context", function()
      local now = {}
      for _, step in ipairs(steps) do now[step[1]] = step[4] end
      assert.matches("^SSL context: ", tostring(assert(ssl.newcontext(now))))
    end)

    it("depth comes after the options, and raises", function()
      local now = { mode = "client", protocol = "any", depth = "x", options = "bad", dhparam = "bad" }
      refused("invalid option (bad)", now)
      now.options = nil
      S.raises("bad argument #2", ssl.newcontext, now)
      now.depth = 5
      refused("invalid DH parameter type", now)
    end)

    it("dane comes after psk, and raises for a flag it does not know", function()
      local now = { mode = "client", protocol = "any", psk = "bad", dane = { "bad" } }
      refused("invalid PSK configuration", now)
      now.psk = nil
      S.raises("invalid option 'bad'", ssl.newcontext, now)
      now.dane = { "no_ee_namechecks" }
      assert.is_truthy(ssl.newcontext(now))
    end)
  end)

  it("tells what failed in the detail", function()
    local detail = refused("error loading private key (No such file or directory)", server("key", "/nowhere"))
    assert.equal("system", detail.kind)
    assert.equal("/nowhere", detail.file)
    assert.equal("No such file or directory", detail.reason)
    assert.equal(2, detail.code)
    assert.is_table(detail.stack)
    detail = refused("error setting cipher list (no cipher match)", client("ciphers", "bad"))
    assert.equal("config", detail.kind)
    assert.equal("no cipher match", detail.reason)
    assert.equal("SSL routines", detail.lib)
    detail = refused("invalid option (bad)", client("options", "bad"))
    assert.same({ kind = "config", reason = "invalid option (bad)" }, detail)
  end)

  it("is what wrap does with a table", function()
    local c, s = S.tcp()
    local conn, message, detail = ssl.wrap(c, client("ciphers", "bad"))
    assert.is_nil(conn)
    assert.equal("error setting cipher list (no cipher match)", message)
    assert.equal("config", detail.kind)
    assert.is_true(c:getfd() >= 0)
    c:close()
    s:close()
  end)

  it("raises for what is no table, and for a missing protocol or mode", function()
    for _, wrong in ipairs { 1, true, print, io.stdout } do assert.is_false((pcall(ssl.newcontext, wrong))) end
    assert.is_false((pcall(ssl.newcontext)))
    assert.is_false((pcall(ssl.newcontext, nil)))
    S.raises("bad argument #1", ssl.newcontext, {})
    S.raises("string expected", ssl.newcontext, "settings")
    S.raises("bad argument #1", ssl.newcontext, { mode = "client" })
    S.raises("bad argument #2", ssl.newcontext, { protocol = "any" })
    S.raises("bad argument #2", ssl.newcontext, { protocol = "any", mode = true })
  end)

  it("takes false for absent, but for the two that must be there", function()
    local cfg = { mode = "client", protocol = "any" }
    for _, row in ipairs(options.rows) do
      if not row.required then cfg[row.name] = false end
    end
    assert.is_truthy(ssl.newcontext(cfg))
    cfg.mode = "server"
    assert.is_truthy(ssl.newcontext(cfg))
  end)

  it("takes empty arrays for nothing", function()
    for _, key in ipairs { "certificates", "verify", "options", "verifyext", "dane" } do
      assert.is_truthy(ssl.newcontext(client(key, {})))
      assert.is_truthy(ssl.newcontext(server(key, {})))
    end
  end)

  it("raises for arrays with something else in them, or too long", function()
    for _, key in ipairs { "verify", "options", "verifyext", "dane" } do
      S.raises("bad argument #", ssl.newcontext, client(key, { {} }))
      S.raises("bad argument #", ssl.newcontext, client(key, { true }))
    end
    local endless = {}
    for i = 1, 2 * 10 ^ 6 do endless[i] = "all" end
    S.raises("too many results to unpack", ssl.newcontext, client("options", endless))
  end)

  it("only reads the table", function()
    local cfg = setmetatable({}, {
      __index = { mode = "client", protocol = "any", verify = { "peer" }, cafile = S.cert("rootA"), alpn = "h2" },
      __newindex = function() error "written to" end,
    })
    assert.is_truthy(ssl.newcontext(cfg))
    assert.is_nil(next(cfg))
  end)

  it("passes on what __index raises", function()
    for _, key in ipairs { "protocol", "mode", "cafile", "alpn", "servername" } do
      local cfg = setmetatable({}, { __index = function(_, k)
        if k == key then error("no " .. k, 0) end
        return ({ mode = "client", protocol = "any" })[k]
      end })
      S.raises("no " .. key, ssl.newcontext, cfg)
    end
  end)

  describe("password", function()
    it("is looked at with a key only", function()
      for _, wrong in ipairs { 5, true, {}, io.stdout } do
        refused("invalid password type", { mode = "server", protocol = "any", key = "/nowhere", password = wrong })
        assert.is_truthy(ssl.newcontext(server("password", wrong)))
      end
      local cfg = server("key", S.cert("serverAkey"))
      cfg.password = false
      assert.is_truthy(ssl.newcontext(cfg))
    end)
  end)

  describe("alpn", function()
    local names = {
      { "", "invalid ALPN name (empty string)" },
      { { "" }, "invalid ALPN name (empty string)" },
      { { "h2", "" }, "invalid ALPN name (empty string)" },
      { ("x"):rep(256), "invalid ALPN name (length > 255)" },
      { { "h2", ("x"):rep(256) }, "invalid ALPN name (length > 255)" },
      { LONG, "invalid ALPN name (length > 255)" },
      { {}, "invalid ALPN list (empty)" },
      { { x = "h2" }, "invalid ALPN list (empty)" },
      { { 1 }, "invalid ALPN name (string expected, got number)" }, -- Q29
      { { "h2", true }, "invalid ALPN name (string expected, got boolean)" },
      { { {} }, "invalid ALPN name (string expected, got table)" },
      { 5, "invalid ALPN parameter" },
      { true, "invalid ALPN parameter" },
      { io.stdout, "invalid ALPN parameter" },
    }
    for i, row in ipairs(names) do
      it("Q29 refuses bad list " .. i .. ": " .. row[2], function()
        refused(row[2], client("alpn", row[1]))
        if type(row[1]) == "string" then
          refused("invalid ALPN parameter", server("alpn", row[1]))
        else
          refused(row[2], server("alpn", row[1]))
        end
      end)
    end

    it("takes a function on servers only, a string on clients only", function()
      refused("invalid ALPN parameter", client("alpn", print))
      refused("invalid ALPN parameter", server("alpn", "h2"))
      assert.is_truthy(ssl.newcontext(server("alpn", print)))
      assert.is_truthy(ssl.newcontext(client("alpn", "h2")))
    end)

    it("refuses more than a ClientHello can hold", function()
      local list = {}
      for i = 1, 300 do list[i] = ("x"):rep(255) end
      refused("error setting ALPN (longer than 65535 bytes)", client("alpn", list))
    end)
  end)

  describe("psk", function()
    it("takes functions, and on servers a table with hint and callback", function()
      assert.is_truthy(ssl.newcontext(client("psk", print)))
      assert.is_truthy(ssl.newcontext(server("psk", print)))
      assert.is_truthy(ssl.newcontext(server("psk", { callback = print })))
      assert.is_truthy(ssl.newcontext(server("psk", { callback = print, hint = "x" })))
      for _, wrong in ipairs { 5, true, "x", {}, io.stdout, { hint = "x" }, { callback = 5 }, { callback = {} },
        { hint = 5, callback = print }, { hint = {}, callback = print } } do
        refused("invalid PSK configuration", server("psk", wrong))
        refused("invalid PSK configuration", client("psk", wrong))
      end
      refused("invalid PSK configuration", client("psk", { callback = print, hint = "x" }))
      refused("error setting PSK hint (data length too long)", server("psk", { callback = print, hint = LONG }))
      refused("error setting PSK hint (the hint contains a NUL byte)",
        server("psk", { callback = print, hint = "a\0" }))
    end)
  end)

  describe("curves", function()
    it("curveslist wins, curve is then not even looked at", function()
      assert.is_truthy(ssl.newcontext { mode = "client", protocol = "any", curveslist = "P-256", curve = {} })
      refused("elliptic curve 'x' not supported", client("curve", "x"))
      S.raises("bad argument #2", ssl.newcontext, client("curve", {}))
      S.raises("bad argument #2", ssl.newcontext, client("curveslist", {}))
    end)
  end)

  -- No value of any key does anything but these: a context; nil, message, detail; an argument error.
  describe("bad input", function()
    local values = {
      number = 5, huge = 2 ^ 60, negative = -1, fraction = 0.5, nan = 0 / 0, ["true"] = true, table = {},
      nested = { {} }, array = { "x", "y" }, numbers = { 1, 2 }, ["function"] = print, file = io.stdout,
      thread = coroutine.create(function() end), empty = "", nul = "a\0b", long = LONG,
      utf8 = "\195\169", percent = "%s%n%d", newline = "a\nb", path = "/", directory = S.certdir,
      binary = ("\255\0\1"):rep(100), callable = setmetatable({}, { __call = function() end }),
      context = assert(ssl.newcontext { mode = "client", protocol = "any" }),
    }
    local missing = S.certdir .. "/missing/"
    for _, row in ipairs(options.rows) do
      it("of " .. row.name, function()
        for _, base in ipairs { S.client(), S.server(), S.server { verify = "peer", cafile = S.cert("rootA") } } do
          for kind, value in pairs(values) do
            local before = base[row.name]
            if row.name == "keylog" and type(value) == "string" then value = missing .. value end -- it makes files
            base[row.name] = value
            local r = S.pack(pcall(ssl.newcontext, base))
            base[row.name] = before
            local what = row.name .. " as " .. kind .. ": " .. tostring(r[2])
            if not r[1] then
              assert.is_truthy(tostring(r[2]):find("bad argument #", 1, true) or
                tostring(r[2]):find("number has no integer representation", 1, true) or
                (row.name == "certificates" and tostring(r[2]):find("index", 1, true)) or
                tostring(r[2]):find("too many results to unpack", 1, true), what)
            elseif r[2] == nil then
              assert.equal("string", type(r[3]), what)
              assert.is_nil(r[3]:find("(null)", 1, true), what)
              assert.equal("table", type(r[4]), what)
              assert.is_string(r[4].kind, what)
            else
              assert.matches("^SSL context: ", tostring(r[2]))
            end
          end
        end
      end)
    end

    it("leaves the library as it was", function()
      local c, s = S.connected()
      assert.equal("data", S.transfer(c, s, "data"))
      c:close()
      s:close()
    end)
  end)
end)
