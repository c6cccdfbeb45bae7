-- ssl.context's functions called by hand, as Prosody and older programs do after newcontext: their results and
-- failures. What settings mean in a handshake is tested with newcontext.

local T = require "compat.tools"
local support = require "support"
local ssl = require "ssl"
local context = require "ssl.context"

local pack, cert = support.pack, support.cert

local function fresh()
  local ctx = assert(context.create("any"))
  context.setmode(ctx, "server")
  return ctx
end

describe("compat ssl.context create", function()
  it("makes a context of a protocol", function()
    for _, name in ipairs { "any", "sslv23", "tlsv1", "tlsv1_1", "tlsv1_2", "tlsv1_3" } do
      assert.equal("userdata", type((context.create(name))))
    end
  end)

  it("refuses others", function()
    T.begins(pack(context.create("foo")), nil, "invalid protocol (foo)")
    T.raises("string expected", context.create)
    T.raises("string expected", context.create, {})
  end)

  it("makes objects that name themselves", function()
    assert.is_truthy(tostring(context.create("any")):find("^SSL context: 0x%x+$"))
  end)
end)

describe("compat ssl.context", function()
  before_each(T.clear)

  it("setmode takes client and server", function()
    local ctx = context.create("any")
    T.returned(pack(context.setmode(ctx, "client")), true)
    T.returned(pack(context.setmode(ctx, "server")), true)
  end)

  it("setmode refuses others", function()
    T.begins(pack(context.setmode(context.create("any"), "foo")), false, "invalid mode (foo)")
  end)

  it("locations loads a file, a directory, both", function()
    local ctx = fresh()
    T.returned(pack(context.locations(ctx, cert "rootA")), true)
    T.returned(pack(context.locations(ctx, nil, cert "capath")), true)
    T.returned(pack(context.locations(ctx, cert "rootA", cert "capath")), true)
    T.failed(pack(context.locations(ctx)), false, "^error loading CA locations %(.+%)$")
    T.failed(pack(context.locations(ctx, cert "junk")), false, "^error loading CA locations %(.+%)$")
  end)

  it("loadcert and loadkey take a pair, checkkey compares it", function()
    local ctx = fresh()
    assert.is_false((context.checkkey(ctx)))
    T.returned(pack(context.loadcert(ctx, cert "serverA")), true)
    T.returned(pack(context.loadkey(ctx, cert "serverAkey", nil)), true)
    T.returned(pack(context.checkkey(ctx)), true)
    T.failed(pack(context.loadcert(ctx, cert "junk")), false, "^error loading certificate %(no start line%)$")
    T.failed(pack(context.loadkey(ctx, cert "junk", nil)), false, "^error loading private key %(.+%)$")
  end)

  it("loadkey may be called without a password", function()
    T.returned(pack(context.loadkey(fresh(), cert "serverAkey")), true)
  end)

  it("loadkey takes a password", function()
    T.returned(pack(context.loadkey(fresh(), cert "serverAkey-encrypted", "secret")), true)
    T.returned(pack(context.loadkey(fresh(), cert "serverAkey-encrypted", function() return "secret" end)), true)
    T.failed(pack(context.loadkey(fresh(), cert "serverAkey-encrypted", "wrong")), false,
      "^error loading private key %(")
  end)

  it("loadkey takes strings alone from a password function, not numbers", function()
    T.failed(pack(context.loadkey(fresh(), cert "serverAkey-encrypted", function() return 12 end)), false,
      "^error loading private key %(")
  end)

  it("setcipher and setciphersuites take lists", function()
    local ctx = fresh()
    T.returned(pack(context.setcipher(ctx, "HIGH:!aNULL")), true)
    T.returned(pack(context.setciphersuites(ctx, "TLS_AES_128_GCM_SHA256")), true)
    T.begins(pack(context.setcipher(ctx, "nosuchcipher")), false, "error setting cipher list (no cipher match)")
    T.failed(pack(context.setciphersuites(ctx, "nosuchsuite")), false, "^error setting cipher list %(.+%)$")
    T.raises("string expected", context.setcipher, ctx, {})
  end)

  it("setcipher takes effect after newcontext", function()
    local ctx = assert(ssl.newcontext(support.server(T.TLS12)))
    T.returned(pack(context.setcipher(ctx, "ECDHE-ECDSA-AES128-GCM-SHA256")), true)
    local c, s = support.connected(nil, ctx)
    assert.equal("ECDHE-ECDSA-AES128-GCM-SHA256", c:info("cipher"))
    T.close(c, s)
  end)

  it("setdepth takes a number", function()
    T.returned(pack(context.setdepth(fresh(), 9)), true)
    T.raises("number expected", context.setdepth, fresh(), "x")
    T.raises("number expected", context.setdepth, fresh())
  end)

  it("setverify takes names, and none", function()
    local ctx = fresh()
    T.returned(pack(context.setverify(ctx, "peer", "fail_if_no_peer_cert")), true)
    T.returned(pack(context.setverify(ctx)), true)
    T.returned(pack(context.setverify(ctx, "none")), true)
    T.begins(pack(context.setverify(ctx, "peer", "foo")), false, "invalid verify option (foo)")
    T.raises("string expected", context.setverify, ctx, {})
  end)

  it("setverify none does not take peer back", function()
    local ctx = assert(ssl.newcontext(support.server { verify = { "peer", "fail_if_no_peer_cert" },
      cafile = cert "rootA" }))
    T.returned(pack(context.setverify(ctx, "none")), true)
    local c, s = support.wrapped(support.client(T.TLS12), ctx)
    local _, sr = support.shake(c, s)
    T.begins(sr, false, "peer did not return a certificate")
    T.close(c, s)
  end)

  it("setoptions takes names, all or nothing", function()
    local ctx = fresh()
    T.returned(pack(context.setoptions(ctx, "all", "no_ticket")), true)
    T.returned(pack(context.setoptions(ctx)), true)
    T.begins(pack(context.setoptions(ctx, "no_tlsv1_3", "foo")), false, "invalid option (foo)")
    assert.is_true((context.loadcert(ctx, cert "serverA")))
    assert.is_true((context.loadkey(ctx, cert "serverAkey", nil)))
    local c, s = support.connected(support.client(), ctx)
    assert.equal("TLSv1.3", c:info("protocol"))
    T.close(c, s)
  end)

  it("setoptions adds to what is set", function()
    local ctx = assert(ssl.newcontext(support.server { options = { "no_tlsv1_3" } }))
    T.returned(pack(context.setoptions(ctx, "no_ticket")), true)
    local c, s = support.connected(support.client(), ctx)
    assert.equal("TLSv1.2", c:info("protocol"))
    T.close(c, s)
  end)

  it("setdhparam returns nothing", function()
    T.returned(pack(context.setdhparam(fresh(), function() return nil end)))
  end)

  it("setcurve and setcurveslist take names", function()
    local ctx = fresh()
    T.returned(pack(context.setcurve(ctx, "prime256v1")), true)
    T.returned(pack(context.setcurveslist(ctx, "X25519:P-256")), true)
    T.begins(pack(context.setcurve(ctx, "foo")), false, "elliptic curve 'foo' not supported")
    T.begins(pack(context.setcurveslist(ctx, "foo")), false, 'unknown elliptic curve in "foo"')
  end)

  it("setcurve takes X25519, which config.curves lists", function()
    T.returned(pack(context.setcurve(fresh(), "X25519")), true)
  end)

  it("setverifyext is a method", function()
    local ctx = fresh()
    T.returned(pack(ctx:setverifyext("lsec_continue", "crl_check")), true)
    T.returned(pack(ctx:setverifyext()), true)
    T.begins(pack(ctx:setverifyext("foo")), false, "invalid verify option (foo)")
    T.raises("string expected", ctx.setverifyext, ctx, {})
  end)

  it("raises for anything but a context", function()
    for name in ([[setmode locations loadcert loadkey checkkey setcipher setciphersuites setdepth setverify setoptions
      setdhparam setcurve setcurveslist setalpn setalpncb setdane]]):gmatch("%a+") do
      T.raises("bad argument #1", context[name])
      T.raises("bad argument #1.*SSL:Context expected, got table", context[name], {}, "x")
    end
  end)
end)

describe("compat closed context", function()
  local function closed()
    local ctx = fresh()
    getmetatable(ctx).__close(ctx)
    return ctx
  end

  it("is refused by wrap", function()
    local c, s = support.tcp()
    T.raises("invalid context", ssl.wrap, c, closed())
    T.close(c, s)
  end)

  it("raises from every setter", function()
    local ctx = closed()
    T.raises("bad argument #1", context.setcipher, ctx, "HIGH")
    T.raises("bad argument #1", context.setoptions, ctx, "all")
    T.raises("bad argument #1", context.loadcert, ctx, cert "serverA")
    T.raises("bad argument #1", context.setverify, ctx, "peer")
  end)

  it("may be closed again and collected", function()
    local ctx = closed()
    getmetatable(ctx).__close(ctx)
    getmetatable(ctx).__gc(ctx)
    assert.equal("string", type(tostring(ctx)))
  end)

  it("leaves connections made from it working", function()
    local ctx = assert(ssl.newcontext(support.server()))
    local c, s = support.wrapped(nil, ctx)
    getmetatable(ctx).__close(ctx)
    support.collect()
    local cr, sr = support.shake(c, s)
    assert.is_true(cr[1] and sr[1])
    T.close(c, s)
  end)
end)
