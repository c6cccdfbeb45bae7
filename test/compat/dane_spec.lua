-- DANE: the dane setting, setdane, settlsa, and what a match or a mismatch does to verification.

local T = require "compat.tools"
local support = require "support"
local ssl = require "ssl"
local context = require "ssl.context"

local pack = support.pack

local function bytes(hex) return (hex:gsub("%x%x", function(h) return string.char(tonumber(h, 16)) end)) end

--- TLSA data of a certificate for selector 0 (the whole certificate), matching type 1 (SHA-256).
local function digest(name) return bytes(ssl.loadcertificate(support.pem(name)):digest("sha256")) end

local function client(extra) return support.client(T.join({ dane = true }, extra)) end

local function serverb()
  return support.server { certificate = support.cert "serverB", key = support.cert "serverBkey" }
end

--- A pair whose client expects a record of host (server.test by default); usage and data as settlsa takes them.
local function shake(usage, data, cfg, servercfg, host)
  local c, s = support.wrapped(client(cfg), servercfg)
  T.returned(pack(c:setdane(host or "server.test")), true)
  T.returned(pack(c:settlsa(usage, 0, 1, data)), true)
  local cr, sr = support.shake(c, s)
  return cr, sr, c, s
end

describe("compat dane", function()
  it("is a capability with its flags", function()
    assert.is_truthy(ssl.config.capabilities.dane)
    assert.is_true(ssl.config.capabilities.dane.no_ee_namechecks)
  end)

  it("accepts the certificate of the record, without any CA", function()
    local cr, sr, c, s = shake(3, digest "serverB", nil, serverb(), "serverb.test")
    assert.is_true(cr[1], cr[2])
    assert.is_true(sr[1])
    T.returned(pack(c:getpeerverification()), true)
    T.close(c, s)
  end)

  it("checks the name of that certificate, unless told otherwise", function()
    local cr, _, c, s = shake(3, digest "serverB", nil, serverb())
    T.begins(cr, false, "certificate verify failed")
    T.close(c, s)
    cr, _, c, s = shake(3, digest "serverB", { dane = { "no_ee_namechecks" } }, serverb())
    assert.is_true(cr[1], cr[2])
    T.close(c, s)
  end)

  it("refuses another certificate", function()
    local cr, _, c, s = shake(3, digest "serverB")
    T.begins(cr, false, "certificate verify failed")
    T.close(c, s)
  end)

  it("lists the mismatch with lsec_continue", function()
    local cr, _, c, s = shake(3, digest "serverB", { verifyext = "lsec_continue" })
    assert.is_true(cr[1])
    local ok, errors = c:getpeerverification()
    assert.is_false(ok)
    assert.equal("no matching DANE TLSA records", errors[1][1])
    T.close(c, s)
  end)

  it("checks the name with usage 1, and trusts CAs as ever", function()
    local cr, _, c, s = shake(1, digest "serverA")
    assert.is_true(cr[1], cr[2])
    T.close(c, s)
    cr, _, c, s = shake(1, digest "wronghost", nil,
      support.server { certificate = support.cert "wronghost", key = support.cert "wronghostkey" })
    T.begins(cr, false, "certificate verify failed")
    T.close(c, s)
  end)

  it("takes flags", function()
    local ctx = ssl.newcontext(client { dane = { "no_ee_namechecks" } })
    assert.equal("userdata", type(ctx))
    T.raises("bad argument #2.*invalid option.*foo", ssl.newcontext, client { dane = { "foo" } })
  end)

  it("sets the name that the client sends", function()
    local c, s = support.wrapped(client())
    assert.is_true(c:setdane("server.test"))
    assert.equal("server.test", c:getsniname())
    T.close(c, s)
  end)

  it("must be asked for by the context", function()
    local c, s = support.wrapped()
    T.begins(pack(c:setdane("server.test")), false)
    T.begins(pack(c:settlsa(3, 0, 1, digest "serverA")), false)
    T.close(c, s)
  end)

  it("refuses records that cannot be", function()
    local c, s = support.wrapped(client())
    assert.is_true(c:setdane("server.test"))
    T.begins(pack(c:settlsa(3, 0, 1, "short")), false)
    T.begins(pack(c:settlsa(9, 0, 1, digest "serverA")), false)
    T.begins(pack(c:settlsa(3, 9, 1, digest "serverA")), false)
    T.begins(pack(c:settlsa(3, 0, 9, digest "serverA")), false)
    T.close(c, s)
  end)

  it("refuses numbers beyond a byte instead of cutting them", function()
    local c, s = support.wrapped(client())
    assert.is_true(c:setdane("server.test"))
    T.begins(pack(c:settlsa(256 + 3, 0, 1, digest "serverA")), false)
    T.begins(pack(c:settlsa(3, 256, 1, digest "serverA")), false)
    T.begins(pack(c:settlsa(3, 0, 257, digest "serverA")), false)
    T.begins(pack(c:settlsa(-253, 0, 1, digest "serverA")), false)
    T.close(c, s)
  end)

  it("raises for wrong types", function()
    local c, s = support.wrapped(client())
    T.raises("string expected", c.setdane, c)
    T.raises("string expected", c.setdane, c, {})
    T.raises("number expected", c.settlsa, c, "x", 0, 1, "data")
    T.raises("string expected", c.settlsa, c, 3, 0, 1, {})
    T.close(c, s)
  end)

  it("is set by ssl.context too", function()
    local ctx = assert(ssl.newcontext(support.client()))
    T.returned(pack(context.setdane(ctx)), true)
    T.raises("bad argument #2.*invalid option.*foo", context.setdane, ctx, "foo")
  end)

  it("answers true when ssl.context sets its flags", function()
    local ctx = assert(ssl.newcontext(support.client()))
    T.returned(pack(context.setdane(ctx, "no_ee_namechecks")), true)
  end)
end)
