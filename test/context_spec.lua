-- ssl.context: every function with good, wrong and missing arguments; what each setting does to a handshake.

local S = require "support"
local context = require "ssl.context"
local config = require "ssl.config"
local ssl = S.ssl

local NUL = "a\0b"
local LONG = ("x"):rep(2 ^ 20)

local function any() return (assert(context.create "any")) end

-- A context made from settings, to be changed by single calls.
local function client(extra) return assert(ssl.newcontext(S.anyclient(extra))) end
local function server(extra) return assert(ssl.newcontext(S.server(extra))) end

local function connect(c, s)
  local conn, peer = S.connected(c, s)
  finally(function()
    conn:close()
    peer:close()
  end)
  return conn, peer
end

-- The three results of a setter that failed: false, a sentence, a table that says "config".
local function fails(message, ok, err, detail)
  assert.is_false(ok)
  assert.equal(message, err)
  assert.is_table(detail)
  assert.equal("config", detail.kind)
end

describe("ssl.context", function()
  describe("create", function()
    it("takes LuaSec's names of protocols", function()
      for _, name in ipairs { "any", "sslv23", "tlsv1", "tlsv1_1", "tlsv1_2", "tlsv1_3" } do
        assert.matches("^SSL context: 0x%x+$", tostring(context.create(name)))
      end
    end)

    it("refuses others", function()
      for _, name in ipairs { "", "sslv3", "sslv2", "ANY", "tlsv1_4", "dtlsv1", "dtls+", "tlsv1.2", " any", 5 } do
        local ctx, err, detail = context.create(name)
        assert.is_nil(ctx)
        assert.equal("invalid protocol (" .. name .. ")", err)
        assert.same({ kind = "config", reason = err }, detail)
      end
    end)

    it("refuses names that C would cut short or that have no end", function()
      local ctx, err = context.create("any\0x")
      assert.is_nil(ctx)
      assert.equal("invalid protocol (any\\0x)", err)
      ctx, err = context.create(LONG)
      assert.is_nil(ctx)
      assert.equal("invalid protocol (" .. LONG .. ")", err)
    end)

    it("raises for other types", function()
      S.raises("bad argument #1", context.create)
      S.raises("string expected, got table", context.create, {})
      S.raises("string expected, got nil", context.create, nil)
    end)

    it("makes a context without a mode, which makes no connection", function()
      local conn, err = ssl.wrap({ getfd = function() return -1 end, setfd = function() end }, any())
      assert.is_nil(conn)
      assert.equal("invalid mode", err)
    end)
  end)

  -- Arguments of one good call each, behind the context.
  local good = {
    setmode = { "client" },
    locations = { S.cert("rootA"), S.cert("capath") },
    loadcert = { S.cert("serverA") },
    loadkey = { S.cert("serverAkey") },
    checkkey = {},
    setcipher = { "HIGH" },
    setciphersuites = { "TLS_AES_128_GCM_SHA256" },
    setdepth = { 3 },
    setverify = { "peer" },
    setoptions = { "all" },
    setcurve = { "P-256" },
    setcurveslist = { "P-256:X25519" },
    setdhparam = { function() end },
    setalpn = { "\2h2" },
    setalpncb = { function() end },
    setserverpskcb = { function() end },
    setclientpskcb = { function() end },
    setpskhint = { "hint" },
    setdane = {},
    setservername = { "localhost" },
    setverifyname = { "localhost" },
  }

  -- What each answers to that call.
  local silent = { setdhparam = true }
  local alone = { checkkey = true, setdane = true }

  for name, args in pairs(good) do
    describe(name, function()
      it("succeeds with one result", function()
        local r = S.pack(context[name](any(), S.unpack(args)))
        assert.equal(silent[name] and 0 or 1, r.n)
        if r.n == 1 then assert.equal(name ~= "checkkey", r[1]) end
      end)

      it("raises for anything but a context", function()
        S.raises("bad argument #1", context[name])
        for _, wrong in ipairs { 1, "x", {}, io.stdout, print, coroutine.create(function() end), true } do
          S.raises("SSL:Context expected, got", context[name], wrong, S.unpack(args))
        end
        S.raises("SSL:Context expected, got no value", context[name])
        S.raises("SSL:Context expected, got SSL:Certificate", context[name],
          ssl.loadcertificate(S.pem "serverA"), S.unpack(args))
      end)

      it("raises for a closed context", function()
        local ctx = any()
        S.finalize(ctx)
        S.raises("bad argument #1", context[name], ctx, S.unpack(args))
        S.raises("context is closed", context[name], ctx, S.unpack(args))
      end)

      if type(args[1]) == "string" and name ~= "locations" then
        it("raises for a missing or wrong second argument", function()
          local ctx = any()
          if name ~= "setverify" and name ~= "setoptions" then
            S.raises("string expected, got no value", context[name], ctx)
          end
          for _, wrong in ipairs { {}, print, true, io.stdout } do
            S.raises("bad argument #2", context[name], ctx, wrong)
          end
          S.raises("string expected, got nil", context[name], ctx, nil)
        end)
      end
      assert(not alone[name] or #args == 0)
    end)
  end

  it("has these functions and no others of LuaSec's", function()
    for _, name in ipairs { "addcert", "rawcontext", "setlocations", "setpskserver", "setverifyext" } do
      assert.is_nil(context[name])
    end
    for name in pairs(good) do assert.is_function(context[name]) end
  end)

  describe("a context object", function()
    it("has one method, setverifyext, and names that are not there are nil", function()
      local ctx = any()
      assert.is_function(ctx.setverifyext)
      assert.is_nil(ctx.close)
      assert.is_nil(ctx.anything)
      local meta = getmetatable(ctx)
      assert.equal("SSL:Context", meta.__name)
      assert.is_function(meta.__gc)
      assert.is_function(meta.__close)
    end)

    it("may be closed again and again, and its text stays", function()
      local ctx = any()
      local text = tostring(ctx)
      getmetatable(ctx).__close(ctx)
      getmetatable(ctx).__gc(ctx)
      getmetatable(ctx).__close(ctx)
      assert.equal(text, tostring(ctx))
    end)

    it("is no context for wrap once closed", function()
      local ctx = client()
      S.finalize(ctx)
      S.raises("invalid context", require("ssl.core").create, ctx)
    end)

    it("can be closed under a connection, which goes on, callbacks included", function()
      local cctx, sctx = client { alpn = "h2" }, server { alpn = { "h2" } }
      local c, s = S.wrapped(cctx, sctx)
      S.finalize(cctx)
      S.finalize(sctx)
      S.collect()
      local cr, sr = S.shake(c, s)
      assert.is_true(cr[1])
      assert.is_true(sr[1])
      assert.equal("h2", c:getalpn())
      assert.equal("data", S.transfer(c, s, "data"))
      c:close()
      s:close()
    end)

    it("raises from its metamethods for other values", function()
      local meta = getmetatable(any())
      for _, name in ipairs { "__gc", "__close", "__tostring" } do
        S.raises("SSL:Context expected, got", meta[name], {})
        S.raises("SSL:Context expected, got", meta[name], io.stdout)
        S.raises("bad argument #1", meta[name])
      end
    end)
  end)

  describe("setmode", function()
    it("Q7 refuses other words as false and a message", function()
      local ctx = any()
      fails("invalid mode (x)", context.setmode(ctx, "x"))
      fails("invalid mode ()", context.setmode(ctx, ""))
      fails("invalid mode (client\\0)", context.setmode(ctx, "client\0"))
      fails("invalid mode (" .. LONG .. ")", context.setmode(ctx, LONG))
    end)

    it("is not changed by a refused call, and decides the role", function()
      local ctx = client()
      context.setmode(ctx, "bad")
      local c, s = connect(ctx)
      assert.equal("TLSv1.3", c:info("protocol"))
      assert.is_nil(s:getpeercertificate())
    end)
  end)

  describe("setcipher and setciphersuites", function()
    it("report what OpenSSL says", function()
      for _, list in ipairs { "", "nonsense", "a:b:c", ":::", LONG } do
        fails("error setting cipher list (no cipher match)", context.setcipher(any(), list))
      end
      for _, list in ipairs { NUL, "ALL\0junk" } do
        local ok, err = context.setcipher(any(), list)
        assert.is_false(ok)
        assert.matches("^error setting cipher list %(%a", err)
      end
      for _, list in ipairs { "nonsense", "TLS_AES_128_GCM_SHA256\0:x" } do
        fails("error setting cipher list (no cipher match)", context.setciphersuites(any(), list))
      end
      assert.is_true(context.setcipher(any(), "nonsense:HIGH"))
      assert.is_true(context.setciphersuites(any(), ""))
    end)

    it("choose the cipher", function()
      local c = connect(client { protocol = "tlsv1_2", ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256" })
      assert.equal("ECDHE-ECDSA-AES128-GCM-SHA256", c:info("cipher"))
      c = connect(client { ciphersuites = "TLS_CHACHA20_POLY1305_SHA256" })
      assert.equal("TLS_CHACHA20_POLY1305_SHA256", c:info("cipher"))
    end)

    it("change nothing when they fail", function()
      local ctx = client { protocol = "tlsv1_2", ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256" }
      fails("error setting cipher list (no cipher match)", context.setcipher(ctx, "nonsense"))
      assert.equal("ECDHE-ECDSA-AES128-GCM-SHA256", connect(ctx):info("cipher"))
      ctx = client { ciphersuites = "TLS_CHACHA20_POLY1305_SHA256" }
      fails("error setting cipher list (no cipher match)", context.setciphersuites(ctx, "nonsense"))
      assert.equal("TLS_CHACHA20_POLY1305_SHA256", connect(ctx):info("cipher"))
    end)

    it("can be called again after newcontext", function()
      local ctx = client { protocol = "tlsv1_2", ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256" }
      assert.is_true(context.setcipher(ctx, "ECDHE-ECDSA-AES256-GCM-SHA384"))
      assert.equal("ECDHE-ECDSA-AES256-GCM-SHA384", connect(ctx):info("cipher"))
    end)
  end)

  describe("setdepth", function()
    it("takes integers, as numbers or text", function()
      for _, n in ipairs { 0, 1, 9, 100, "5", -1, 2147483647 } do assert.is_true(context.setdepth(any(), n)) end
    end)

    it("raises for anything else", function()
      S.raises("number expected, got no value", function() context.setdepth((any())) end)
      S.raises("bad argument #2", context.setdepth, any(), "x")
      S.raises("bad argument #2", context.setdepth, any(), {})
      S.raises("depth out of range", context.setdepth, any(), 2 ^ 40)
      S.raises("depth out of range", context.setdepth, any(), -2)
    end)
  end)

  describe("setverify", function()
    it("refuses unknown names, all or nothing", function()
      local ctx = server()
      fails("invalid verify option (x)", context.setverify(ctx, "x"))
      fails("invalid verify option (x)", context.setverify(ctx, "peer", "fail_if_no_peer_cert", "x"))
      fails("invalid verify option (peer\\0)", context.setverify(ctx, "peer\0"))
      fails("invalid verify option (5)", context.setverify(ctx, 5))
      S.raises("bad argument #3", context.setverify, ctx, "peer", {})
      S.raises("bad argument #4", context.setverify, ctx, "peer", "fail_if_no_peer_cert", nil)
      local _, s = connect(client(), ctx)
      assert.is_nil(s:getpeercertificate())
    end)

    it("is not changed by no name or by none (Q14)", function()
      local ctx = client { verify = "peer", cafile = S.cert("rootB") }
      assert.is_true(context.setverify(ctx))
      assert.is_true(context.setverify(ctx, "none"))
      local cr = S.try(ctx)
      assert.equal("certificate verify failed", cr[2])
    end)
  end)

  describe("setoptions", function()
    it("knows every name of ssl.config.options", function()
      for name in pairs(config.options) do assert.is_true(context.setoptions(any(), name)) end
    end)

    it("refuses unknown names, all or nothing", function()
      local ctx = client()
      fails("invalid option (x)", context.setoptions(ctx, "x"))
      fails("invalid option (x)", context.setoptions(ctx, "no_tlsv1_3", "x"))
      fails("invalid option ()", context.setoptions(ctx, "no_tlsv1_3", ""))
      fails("invalid option (no_tlsv1_3\\0)", context.setoptions(ctx, "no_tlsv1_3\0"))
      S.raises("bad argument #3", context.setoptions, ctx, "no_tlsv1_3", {})
      assert.equal("TLSv1.3", connect(ctx):info("protocol"))
    end)

    it("only adds (Q14)", function()
      local ctx = client { options = { "no_tlsv1_3" } }
      assert.is_true(context.setoptions(ctx))
      assert.is_true(context.setoptions(ctx, "all"))
      assert.equal("TLSv1.2", connect(ctx):info("protocol"))
    end)

    it("takes two hundred names", function()
      local names = {}
      for i = 1, 200 do names[i] = "no_ticket" end
      assert.is_true(context.setoptions(any(), S.unpack(names)))
    end)
  end)

  describe("setalpn", function()
    it("takes protocols in wire format, and the empty string for none", function()
      local ctx = client()
      assert.is_true(context.setalpn(ctx, "\2h2\8http/1.1"))
      assert.equal("http/1.1", connect(ctx, server { alpn = { "http/1.1" } }):getalpn())
      fails("error setting ALPN (malformed list of protocols)", context.setalpn(ctx, "\5h2"))
      fails("error setting ALPN (malformed list of protocols)", context.setalpn(ctx, "\0"))
      fails("error setting ALPN (longer than 65535 bytes)", context.setalpn(ctx, ("\1x"):rep(40000)))
      assert.equal("http/1.1", connect(ctx, server { alpn = { "http/1.1" } }):getalpn())
      assert.is_true(context.setalpn(ctx, ""))
      assert.is_nil(connect(ctx, server { alpn = { "http/1.1" } }):getalpn())
    end)
  end)

  describe("setalpncb", function()
    it("hands the client's wire bytes to the function and reads the same form", function()
      local ctx, seen = server(), nil
      assert.is_true(context.setalpncb(ctx, function(wire)
        seen = wire
        return "\1x\2h2"
      end))
      local c, s = connect(client { alpn = { "a", "h2" } }, ctx)
      assert.equal("\1a\2h2", seen)
      assert.equal("h2", c:getalpn())
      assert.equal("h2", s:getalpn())
    end)

    it("takes nil for no function", function()
      local ctx = server { alpn = { "h2" } }
      assert.is_true(context.setalpncb(ctx, nil))
      assert.is_nil(connect(client { alpn = "h2" }, ctx):getalpn())
    end)
  end)

  describe("setpskhint", function()
    it("refuses what a hint cannot be", function()
      fails("error setting PSK hint (the hint contains a NUL byte)", context.setpskhint(any(), NUL))
      local ok, err, detail = context.setpskhint(any(), LONG)
      fails("error setting PSK hint (data length too long)", ok, err, detail)
      assert.equal("SSL routines", detail.lib)
    end)
  end)

  describe("setdhparam", function()
    it("takes nil for none", function()
      local ctx = server { protocol = "tlsv1_2" }
      context.setdhparam(ctx, function() error "never called" end)
      context.setdhparam(ctx, nil)
      connect(client(), ctx)
      context.setdhparam(ctx)
      connect(client(), ctx)
    end)
  end)

  describe("setdane", function()
    it("takes no flag or the one it knows, and raises for others", function()
      assert.is_true(context.setdane(any()))
      assert.is_true(context.setdane(any(), "no_ee_namechecks"))
      local ctx = any()
      assert.is_true(context.setdane(ctx))
      assert.is_true(context.setdane(ctx))
      S.raises("bad argument #2", context.setdane, any(), "x")
      S.raises("invalid option 'x'", context.setdane, any(), "x")
      S.raises("bad argument #3", context.setdane, any(), "no_ee_namechecks", "x")
    end)
  end)

  describe("setservername", function()
    it("is what client connections send", function()
      local ctx = client()
      assert.is_true(context.setservername(ctx, "server.test"))
      local c, s = connect(ctx)
      assert.equal("server.test", c:getsniname())
      assert.equal("server.test", s:getsniname())
    end)

    it("refuses what cannot be sent and keeps the last good one", function()
      local ctx = client()
      context.setservername(ctx, "server.test")
      fails("invalid server name ()", context.setservername(ctx, ""))
      fails("invalid server name (a\\0b)", context.setservername(ctx, NUL))
      fails("invalid server name (longer than 255 bytes)", context.setservername(ctx, ("x"):rep(256)))
      fails("invalid server name (longer than 255 bytes)", context.setservername(ctx, LONG))
      local _, s = connect(ctx)
      assert.equal("server.test", s:getsniname())
    end)
  end)

  describe("ctx:setverifyext", function()
    it("takes its four names, no name, and refuses others", function()
      local ctx = any()
      assert.is_true(ctx:setverifyext("lsec_continue", "lsec_ignore_purpose", "crl_check", "crl_check_chain"))
      assert.is_true(ctx:setverifyext())
      fails("invalid verify option (x)", ctx:setverifyext("x"))
      fails("invalid verify option (peer)", ctx:setverifyext("lsec_continue", "peer"))
      fails("invalid verify option (crl_check\\0)", ctx:setverifyext("crl_check\0"))
      S.raises("bad argument #", ctx.setverifyext, ctx, {})
      S.raises("SSL:Context expected", ctx.setverifyext, {})
      S.finalize(ctx)
      S.raises("context is closed", ctx.setverifyext, ctx, "crl_check")
    end)

    it("changes nothing when it fails", function()
      local ctx = client { verify = "peer", cafile = S.cert("rootB") }
      ctx:setverifyext("lsec_continue")
      fails("invalid verify option (x)", ctx:setverifyext("x"))
      assert.is_true(S.try(ctx)[1])
      assert.is_true(ctx:setverifyext())
      assert.is_false(S.try(ctx)[1])
      fails("invalid verify option (x)", ctx:setverifyext("lsec_continue", "x"))
      assert.is_false(S.try(ctx)[1])
    end)
  end)

  it("costs no memory that is not given back", function()
    local grown = S.growth([[
      local context = require "ssl.context"
      local long = ("x"):rep(2 ^ 16)
      return function()
        local ctx = context.create "any"
        context.setmode(ctx, long)
        context.setcipher(ctx, long)
        context.setcurveslist(ctx, long)
        context.setcurve(ctx, "x")
        context.setpskhint(ctx, long)
        context.setalpn(ctx, long)
        context.setverifyname(ctx, ".")
        context.locations(ctx, "/nowhere")
        context.loadcert(ctx, "/nowhere")
        context.loadkey(ctx, "/nowhere")
        context.setalpncb(ctx, function() return ctx end)
        ctx:setverifyext("x")
      end
    ]], 300, 1500)
    assert.is_true(grown < 4096, grown)
  end)
end)
