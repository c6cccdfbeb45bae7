-- The groups of the key exchange: curve and curveslist, alone and in handshakes.

local S = require "support"
local context = require "ssl.context"
local config = require "ssl.config"
local ssl = S.ssl

local LONG = ("x"):rep(2 ^ 20)

local function any() return (assert(context.create "any")) end
local function client() return assert(ssl.newcontext(S.anyclient())) end
local function server() return assert(ssl.newcontext(S.server())) end

local function connect(c, s)
  local conn, peer = S.connected(c, s)
  conn:close()
  peer:close()
end

local function fails(message, ok, err, detail)
  assert.is_false(ok)
  assert.equal(message, err)
  assert.same({ kind = "config", reason = message }, detail)
end

describe("setcurve", function()
  it("restricts to one group", function()
    for _, name in ipairs { "P-256", "prime256v1", "secp384r1", "P-521" } do
      local ctx = client()
      assert.is_true(context.setcurve(ctx, name))
      local other = server()
      assert.is_true(context.setcurveslist(other, "X25519"))
      assert.is_nil(S.try(ctx, other)[1] or nil)
      connect(ctx)
    end
  end)

  it("Q28 takes X25519 and X448, and no lists", function()
    for _, name in ipairs { "X25519", "X448" } do
      local ctx, other = client(), server()
      assert.is_true(context.setcurve(ctx, name))
      assert.is_true(context.setcurveslist(other, name))
      connect(ctx, other)
      other = server()
      assert.is_true(context.setcurveslist(other, "P-384"))
      assert.is_false(S.try(ctx, other)[1])
    end
    fails("elliptic curve 'P-256:P-384' not supported", context.setcurve(any(), "P-256:P-384"))
  end)

  it("refuses what is no curve", function()
    for _, name in ipairs { "", "x", "p-256", " P-256" } do
      fails(("elliptic curve '%s' not supported"):format(name), context.setcurve(any(), name))
    end
    fails("elliptic curve 'P-256\\0' not supported", context.setcurve(any(), "P-256\0"))
    fails("elliptic curve '" .. LONG .. "' not supported", context.setcurve(any(), LONG))
  end)

  it("answers for each curve of ssl.config without raising", function()
    for name in pairs(config.curves) do
      local ok, err = context.setcurve(any(), name)
      if not ok then assert.equal(("elliptic curve '%s' not supported"):format(name), err) end
    end
  end)

  it("changes nothing when it fails", function()
    local ctx, other = client(), server()
    assert.is_true(context.setcurve(ctx, "P-384"))
    fails("elliptic curve 'x' not supported", context.setcurve(ctx, "x"))
    assert.is_true(context.setcurve(other, "P-256"))
    assert.is_false(S.try(ctx, other)[1])
  end)
end)

describe("setcurveslist", function()
  it("takes names with colons", function()
    local ctx, other = client(), server()
    assert.is_true(context.setcurveslist(ctx, "X25519:P-384"))
    assert.is_true(context.setcurveslist(other, "P-384"))
    connect(ctx, other)
  end)

  it("refuses lists with an unknown name, whole", function()
    for _, list in ipairs { "", "x", "P-256:x", ":", "P-256::P-384" } do
      fails(('unknown elliptic curve in "%s"'):format(list), context.setcurveslist(any(), list))
    end
    fails('unknown elliptic curve in "P-256\\0:x"', context.setcurveslist(any(), "P-256\0:x"))
    fails('unknown elliptic curve in "' .. LONG .. '"', context.setcurveslist(any(), LONG))
  end)
end)
