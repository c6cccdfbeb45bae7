-- Messages and detail tables: their shape by kind, and OpenSSL's error queue, which no call may leave anything in and
-- which no call may be misled by.

local R = require "resume"
local S = require "support"
local context = require "ssl.context"
local x509 = require "ssl.x509"
local release = require "release"
local ssl = S.ssl

-- LuaSec's own shared object, if it is installed: it leaves entries in the queue when its calls fail, and it reports
-- the oldest entry, whosever that is. So it can spoil the queue and tell whether it is empty.
local function luasec()
  for template in package.cpath:gmatch("[^;]+") do
    local path = template:gsub("%?", "ssl")
    local f = not path:find("^%.?/?build/") and io.open(path, "rb")
    if f then
      local text = f:read("*a")
      f:close()
      if text:find("LuaSec", 1, true) and text:find("luaopen_ssl_context", 1, true) then
        local open = package.loadlib(path, "luaopen_ssl_context")
        return open and open()
      end
    end
  end
end

local foreign = luasec()
local foreignctx = foreign and foreign.create "any"

local function spoil()
  foreign.loadcert(foreignctx, "/nowhere")
end

local function isempty()
  local _, message = foreign.setcipher(foreignctx, "nonsense")
  return message == "error setting cipher list (no cipher match)", message
end

local function any() return (assert(context.create "any")) end

local function handshake(c, s)
  return function()
    local cr = S.try(c, s)
    return cr[1], cr[2]
  end
end

local function connected(f)
  return function()
    local c, s = S.connected()
    local r = S.pack(f(c, s))
    c:close()
    s:close()
    return S.unpack(r, 1, r.n)
  end
end

-- Calls that fail, and the message of each.
local failing = {
  { "newcontext protocol", function() return ssl.newcontext { mode = "client", protocol = "x" } end,
    "invalid protocol (x)" },
  { "newcontext ciphers", function() return ssl.newcontext { mode = "client", protocol = "any", ciphers = "x" } end,
    "error setting cipher list (no cipher match)" },
  { "setmode", function() return context.setmode(any(), "x") end, "invalid mode (x)" },
  { "setcipher", function() return context.setcipher(any(), "x") end, "error setting cipher list (no cipher match)" },
  { "setciphersuites", function() return context.setciphersuites(any(), "x") end,
    "error setting cipher list (no cipher match)" },
  { "setcurve", function() return context.setcurve(any(), "x") end, "elliptic curve 'x' not supported" },
  { "setcurveslist", function() return context.setcurveslist(any(), "P-256:x") end,
    'unknown elliptic curve in "P-256:x"' },
  { "setoptions", function() return context.setoptions(any(), "x") end, "invalid option (x)" },
  { "setverify", function() return context.setverify(any(), "x") end, "invalid verify option (x)" },
  { "setverifyext", function() return any():setverifyext("x") end, "invalid verify option (x)" },
  { "setalpn", function() return context.setalpn(any(), "\5x") end,
    "error setting ALPN (malformed list of protocols)" },
  { "setpskhint", function() return context.setpskhint(any(), ("x"):rep(1000)) end,
    "error setting PSK hint (data length too long)" },
  { "setverifyname", function() return context.setverifyname(any(), ".x") end, "invalid host name (.x)" },
  { "setservername", function() return context.setservername(any(), "") end, "invalid server name ()" },
  { "loadcert, missing", function() return context.loadcert(any(), "/nowhere") end,
    "error loading certificate (No such file or directory)" },
  { "loadcert, cut", function() return context.loadcert(any(), S.cert "cut") end,
    "error loading certificate (bad end line)" },
  { "loadcert, weak", function() return context.loadcert(any(), S.cert "rsa1024") end,
    "error loading certificate (ee key too small)" },
  { "loadkey, missing", function() return context.loadkey(any(), "/nowhere") end,
    "error loading private key (No such file or directory)" },
  { "loadkey, junk", function() return context.loadkey(any(), S.cert "junk") end,
    "error loading private key (unsupported)" },
  { "loadkey, directory", function() return context.loadkey(any(), S.cert "capath") end,
    "error loading private key (Is a directory)" },
  { "loadkey, password", function() return context.loadkey(any(), S.cert "rsakey-legacy", "x") end,
    "error loading private key (bad decrypt)" },
  { "loadkey, raising", function()
      return context.loadkey(any(), S.cert "serverAkey-encrypted", function() error("x", 0) end)
    end, "error loading private key (password callback failed: x)" },
  { "loadkey, mismatch", function()
      local ctx = any()
      context.loadcert(ctx, S.cert "serverA")
      return context.loadkey(ctx, S.cert "serverBkey")
    end, "error loading private key (key values mismatch)" },
  { "checkkey", function() return context.checkkey(any()) end },
  { "locations, missing", function() return context.locations(any(), "/nowhere") end,
    "error loading CA locations (No such file or directory)" },
  { "locations, junk", function() return context.locations(any(), S.cert "junk") end,
    "error loading CA locations (no certificate or crl found)" },
  { "locations, empty directory name", function() return context.locations(any(), nil, "") end,
    "error loading CA locations (invalid directory)" },
  { "isip", function() return context.isip "x" end },
  { "wrap", function() return ssl.wrap({}, any()) end, "invalid mode" },
  { "x509.load, junk", function() return x509.load "junk" end },
  { "x509.load, cut", function() return x509.load(S.pem "cut") end },
  { "x509.load, bad base64", function() return x509.load(S.pem "badbase64") end },
  { "digest", function() return x509.load(S.pem "rootA"):digest "md5" end },
  { "issued", function() return x509.load(S.pem "rootA"):issued(x509.load(S.pem "serverB")) end },
  { "verification", handshake(S.client { cafile = S.cert "rootB" }), "certificate verify failed" },
  { "verification, server's view", function()
      local _, sr = S.try(S.client { cafile = S.cert "rootB" })
      return sr[1], sr[2]
    end, "tlsv1 alert unknown ca" },
  { "versions", handshake(S.client { protocol = "tlsv1_2" }, S.server { protocol = "tlsv1_3" }),
    "tlsv1 alert protocol version" },
  { "ciphers", handshake(S.client { protocol = "tlsv1_2", ciphers = "AES128-SHA" }, S.server()),
    release.alert "handshake failure" },
  { "ALPN callback", function()
      local _, sr = S.try(S.client { alpn = "x" }, S.server { alpn = function() error("x", 0) end })
      return sr[1], sr[2]
    end, "ALPN callback failed: x" },
  { "dhparam callback", function()
      local _, sr = S.try(S.client { protocol = "tlsv1_2" }, S.server { certificate = S.cert "rsa",
        key = S.cert "rsakey", ciphers = "DHE-RSA-AES128-GCM-SHA256", dhparam = function() return S.pem "junk" end })
      return sr[1], sr[2]
    end, "dhparam callback gave no Diffie-Hellman parameters in PEM" },
  { "exporter", connected(function(c) return c:exportkeyingmaterial("x", 2 ^ 20) end),
    "error exporting keying material" },
  { "settlsa", function()
      local c, s = S.wrapped(S.client { dane = true })
      c:setdane "localhost"
      local ok = c:settlsa(3, 1, 0, "junk")
      c:close()
      s:close()
      return ok
    end },
  { "receive on a stream that was cut", function()
      local a, b = S.tcp()
      local c, s = assert(ssl.wrap(a, S.client())), assert(ssl.wrap(b, S.server()))
      c:settimeout(0)
      s:settimeout(0)
      assert(S.shake(c, s)[1])
      b:setfd(s:getfd())
      b:shutdown("both")
      b:setfd(-1)
      local data, err = S.receive(c, "*a")
      c:close()
      s:close()
      return data, err
    end, "unexpected eof while reading" },
  { "receive of plain text", function()
      local c, s = S.tcp()
      local conn = assert(ssl.wrap(c, S.client()))
      conn:settimeout(5)
      s:send("HTTP/1.0 400 Bad Request\r\n\r\n")
      local ok, err = conn:dohandshake()
      conn:close()
      s:close()
      return ok, err
    end, "wrong version number" },
  { "close of a broken connection", function()
      local c, s = S.connected()
      s:close()
      S.receive(c, "*a")
      c:send "x"
      c:send(("x"):rep(2 ^ 20))
      c:close()
      return nil
    end },
  { "collection of failed objects", function()
      do
        local c, s = S.wrapped(S.client { cafile = S.cert "rootB" })
        S.shake(c, s)
      end
      S.collect()
      return nil
    end },
}

describe("errors", function()
  for _, row in ipairs(failing) do
    it("of " .. row[1] .. " are sentences without (null)", function()
      local r = S.pack(row[2]())
      assert.is_falsy(r[1])
      if row[3] then
        assert.equal(row[3], r[2])
        assert.is_nil(r[2]:find("(null)", 1, true))
      end
    end)
  end

  describe("Q9 with entries of others in the queue", function()
    for _, row in ipairs(failing) do
      it(row[1] .. " reports its own error and leaves the queue empty", function()
        if not foreign then return pending("LuaSec is not installed") end
        spoil()
        local _, message = row[2]()
        if row[3] then assert.equal(row[3], message) end
        assert.is_true(isempty())
      end)
    end

    it("calls that succeed leave it empty too", function()
      if not foreign then return pending("LuaSec is not installed") end
      assert.is_true(isempty())
      spoil()
      assert.is_false((isempty()))
      for _, f in ipairs {
        function()
          assert(ssl.newcontext(S.server { cafile = S.cert "rootA", capath = S.cert "capath", dane = true }))
        end,
        function() assert(context.setcipher(any(), "HIGH")) end,
        function() assert(context.setcurve(any(), "P-256")) end,
        function() assert(context.loadcert(any(), S.cert "chainA")) end,
        function() assert(context.loadkey(any(), S.cert "rsakey-legacy", "secret")) end,
        function() assert(context.locations(any(), S.cert "bundleAB")) end,
        function() assert(x509.load(S.pem "serverA")):pubkey() end,
        function()
          local c, s = S.connected()
          assert(S.transfer(c, s, "data") == "data")
          c:close()
          s:close()
        end,
        -- Where a name is verified and no address.
        function() S.try(S.client { verifyname = "elsewhere.test" }, S.server()) end,
        function() S.try(S.client { cafile = S.cert "rootB" }, S.server()) end,
        function()
          local sctx, cctx = R.server(), R.client { verifyname = "localhost" }
          local session = R.visit(cctx, sctx)
          local c = S.wrapped(cctx, sctx)
          assert(c:setsession(session))
          assert.is_true(isempty())
          c:close()
        end,
      } do
        spoil()
        f()
        local empty, message = isempty()
        assert.is_true(empty, message)
      end
    end)

    it("the next failure is not mixed with the last", function()
      for _, row in ipairs(failing) do
        row[2]()
        local ok, message, detail = context.setcipher(any(), "nonsense")
        assert.is_false(ok)
        assert.equal("error setting cipher list (no cipher match)", message)
        assert.equal(1, #detail.stack)
      end
    end)
  end)

  describe("details", function()
    local fields = { kind = "string", code = "number", lib = "string", reason = "string", depth = "number",
      subject = "string", host = "string", names = "string", alert = "string", file = "string", hint = "string",
      stack = "table" }
    local kinds = { verify = 1, alert = 1, protocol = 1, system = 1, closed = 1, truncated = 1, timeout = 1, want = 1,
      config = 1, callback = 1 }

    -- A detail table has known fields of known types, and those that its kind must have.
    local function shape(detail, kind, ...)
      assert.is_table(detail)
      for field, value in pairs(detail) do
        assert.equal(fields[field], type(value), field)
        if type(value) == "string" then
          assert.is_nil(value:find("(null)", 1, true))
          assert.is_true(#value > 0)
        end
      end
      assert.is_truthy(kinds[detail.kind])
      assert.equal(kind, detail.kind)
      for _, field in ipairs { "reason", ... } do assert.is_not_nil(detail[field], field) end
      for i, entry in ipairs(detail.stack or {}) do
        assert.matches("^error:%x%x%x%x%x%x%x%x:", entry)
        assert.is_true(i <= 8)
      end
    end

    it("config", function()
      local _, _, detail = context.setcipher(any(), "x")
      shape(detail, "config", "code", "lib", "stack")
      _, _, detail = context.setmode(any(), "x")
      shape(detail, "config")
    end)

    it("system, with errno and file", function()
      local _, _, detail = context.loadkey(any(), "/nowhere")
      shape(detail, "system", "code", "file", "stack")
      assert.equal(2, detail.code)
      assert.is_nil(detail.lib)
    end)

    it("system, of a descriptor that is none", function()
      local conn = assert(ssl.wrap({ getfd = function() return 987 end, setfd = function() end }, S.client()))
      local ok, message, detail = conn:dohandshake()
      assert.is_false(ok)
      assert.equal("Bad file descriptor", message)
      shape(detail, "system", "code")
      assert.equal(9, detail.code)
      conn:close()
    end)

    it("callback", function()
      local _, _, detail = context.loadkey(any(), S.cert "serverAkey-encrypted", function() error("x", 0) end)
      shape(detail, "callback", "file")
      assert.equal("x", detail.reason)
    end)

    it("verify, with depth, subject and host", function()
      local cr, sr = S.try(S.client { servername = "other.test" })
      shape(cr[3], "verify", "code", "depth", "subject", "host", "stack")
      assert.equal("hostname mismatch", cr[3].reason)
      assert.equal("other.test", cr[3].host)
      assert.equal(0, cr[3].depth)
      shape(sr[3], "alert", "code", "lib", "stack")
    end)

    it("protocol and alert", function()
      local cr, sr = S.try(S.client { protocol = "tlsv1_2" }, S.server { protocol = "tlsv1_3" })
      shape(cr[3], "alert", "code", "lib", "stack")
      shape(sr[3], "protocol", "code", "lib", "stack")
      assert.equal("tlsv1 alert protocol version", cr[3].reason)
      assert.equal("unsupported protocol", sr[3].reason)
    end)

    it("want", function()
      local c, s = S.wrapped()
      local ok, message, detail = c:dohandshake()
      assert.is_false(ok)
      assert.equal("wantread", message)
      shape(detail, "want")
      assert.equal("wantread", detail.reason)
      c:close()
      s:close()
    end)

    it("closed and truncated", function()
      local c, s = S.connected()
      s:close()
      local _, message, _, detail = S.receive(c, 1)
      assert.equal("closed", message)
      shape(detail, "closed")
      c:close()
      _, message, detail = c:dohandshake()
      assert.equal("closed", message)
      shape(detail, "closed")
      local raw, peer = S.tcp()
      local conn = assert(ssl.wrap(raw, S.client()))
      conn:settimeout(5)
      peer:close()
      _, _, detail = conn:dohandshake()
      assert.is_true(detail.kind == "truncated" or detail.kind == "system")
      shape(detail, detail.kind)
      conn:close()
    end)

    it("are kept by lasterror after a failed handshake, the same on each later call", function()
      local c, s = S.wrapped(S.client { cafile = S.cert "rootB" })
      assert.is_nil(c:lasterror())
      S.shake(c, s)
      local ok, message, detail = c:dohandshake()
      assert.is_false(ok)
      assert.equal("certificate verify failed", message)
      assert.equal(detail, c:lasterror())
      shape(detail, "verify", "code", "depth", "subject")
      c:close()
      assert.equal("verify", c:lasterror().kind)
      s:close()
    end)

    it("hold at most eight entries of the queue", function()
      for _, row in ipairs(failing) do
        local r = S.pack(row[2]())
        for i = 2, r.n do
          if type(r[i]) == "table" then assert.is_true(#(r[i].stack or {}) <= 8) end
        end
      end
    end)
  end)
end)
