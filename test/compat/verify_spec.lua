-- verify, verifyext, depth, getpeerverification: what is accepted, what a failure says, before and after the end of the
-- handshake.

local T = require "compat.tools"
local support = require "support"
local ssl = require "ssl"

local pack, cert, join = support.pack, support.cert, T.join
local NONE = support.NONE

local function serverwith(name, extra)
  return support.server(join({ certificate = cert(name), key = cert(name .. "key") }, extra))
end

local function clientwith(name, extra)
  return support.client(join({ certificate = cert(name), key = cert(name .. "key") }, extra))
end

local function shake(clientcfg, servercfg)
  local c, s = support.wrapped(clientcfg, servercfg)
  local cr, sr = support.shake(c, s)
  return cr, sr, c, s
end

--- All error texts of a table of verification errors in one string.
local function texts(errors)
  local t = {}
  for _, list in pairs(errors) do t[#t + 1] = table.concat(list, ";") end
  return table.concat(t, ";")
end

describe("compat newcontext verify", function()
  local function accepts(v)
    assert.equal("userdata", type((ssl.newcontext(support.client { verify = v, cafile = cert "rootA" }))))
  end

  it("takes one name or an array", function()
    for _, name in ipairs { "none", "peer", "client_once", "fail_if_no_peer_cert" } do accepts(name) end
    accepts { "peer", "fail_if_no_peer_cert", "client_once" }
    accepts {}
    accepts(false)
    accepts(NONE)
  end)

  it("refuses an unknown name", function()
    T.begins(pack(ssl.newcontext(support.client { verify = "foo" })), nil, "invalid verify option (foo)")
    T.begins(pack(ssl.newcontext(support.client { verify = { "peer", "foo" } })), nil, "invalid verify option (foo)")
  end)

  it("raises for an array with something else than strings", function()
    T.raises("bad argument", ssl.newcontext, support.client { verify = { {} } })
  end)

  it("has names of its own in verifyext", function()
    for _, name in ipairs { "lsec_continue", "lsec_ignore_purpose", "crl_check", "crl_check_chain" } do
      assert.equal("userdata", type((ssl.newcontext(support.client { verifyext = name }))))
    end
    T.begins(pack(ssl.newcontext(support.client { verifyext = "peer" })), nil, "invalid verify option (peer)")
  end)
end)

describe("compat verify none", function()
  it("connects to anyone and still knows the result", function()
    local c, s = support.connected(support.anyclient(), serverwith "serverB")
    local ok, detail = c:getpeerverification()
    assert.is_false(ok)
    assert.equal("string", type(detail))
    assert.is_truthy(detail:find("certificate", 1, true))
    T.close(c, s)
  end)

  it("is true for a chain that verifies", function()
    local c, s = support.connected(support.anyclient { cafile = cert "rootA" })
    T.returned(pack(c:getpeerverification()), true)
    T.close(c, s)
  end)

  it("is true on a server that asked for no certificate", function()
    local c, s = support.connected()
    T.returned(pack(s:getpeerverification()), true)
    T.close(c, s)
  end)

  it("ignores client_once and fail_if_no_peer_cert without peer", function()
    local c, s = support.connected(nil, support.server { verify = { "client_once", "fail_if_no_peer_cert" } })
    assert.is_nil((s:getpeercertificate()))
    T.close(c, s)
  end)
end)

describe("compat verify peer", function()
  it("accepts a chain to a known root", function()
    local c, s = support.connected(support.client(), serverwith "chainA")
    T.returned(pack(c:getpeerverification()), true)
    T.close(c, s)
  end)

  it("accepts a root from a directory of hashes", function()
    local c, s = support.connected(support.client { cafile = NONE, capath = cert "capath" })
    T.close(c, s)
  end)

  local refused = {
    serverB = "an unknown root", expired = "an expired certificate", notyet = "a certificate of the future",
    selfsigned = "a self-signed certificate", ["chainA-leaf"] = "a chain with a gap",
  }
  for name, title in pairs(refused) do
    it("refuses " .. title, function()
      local key = name == "chainA-leaf" and "chainAkey" or name .. "key"
      local cr, sr, c, s = shake(support.client(), support.server { certificate = cert(name), key = cert(key) })
      T.begins(cr, false, "certificate verify failed")
      assert.is_false(sr[1])
      T.close(c, s)
    end)
  end

  it("tells the server by an alert", function()
    local _, sr, c, s = shake(support.client(T.TLS12), serverwith "serverB")
    T.begins(sr, false, "tlsv1 alert unknown ca")
    T.close(c, s)
  end)

  it("does not check host names", function()
    local c, s = support.connected(support.client(), serverwith "wronghost")
    T.returned(pack(c:getpeerverification()), true)
    T.close(c, s)
  end)

  it("on a server asks the client, who may stay silent", function()
    local c, s = support.connected(support.client(), support.server { verify = "peer", cafile = cert "rootA" })
    assert.is_nil((s:getpeercertificate()))
    T.returned(pack(s:getpeerverification()), true)
    T.close(c, s)
  end)

  it("on a server without any CA refuses a client certificate", function()
    local _, sr, c, s = shake(clientwith "clientA", support.server { verify = "peer" })
    T.begins(sr, false, "certificate verify failed")
    T.close(c, s)
  end)

  it("on a client takes no client certificate as a server's", function()
    local cr, _, c, s = shake(support.client(), serverwith "clientA")
    T.begins(cr, false, "certificate verify failed")
    T.close(c, s)
  end)

  it("is bounded by depth", function()
    local cr, _, c, s = shake(support.client { depth = 0 }, serverwith "chainA")
    T.begins(cr, false, "certificate verify failed")
    T.close(c, s)
    c, s = support.connected(support.client { depth = 1 }, serverwith "chainA")
    T.close(c, s)
  end)

  it("explains itself after the failed handshake", function()
    local cr, _, c, s = shake(support.client(), serverwith "expired")
    T.begins(cr, false, "certificate verify failed")
    local ok, detail = c:getpeerverification()
    assert.is_false(ok)
    if type(detail) == "table" then detail = texts(detail) end
    assert.equal("certificate has expired", detail)
    T.close(c, s)
  end)
end)

describe("compat verifyext lsec_continue", function()
  local function continue(name, extra)
    return support.connected(support.client(join({ verifyext = "lsec_continue" }, extra)), serverwith(name))
  end

  it("connects in spite of errors and lists them by depth", function()
    local c, s = continue "expired"
    local ok, errors = c:getpeerverification()
    assert.is_false(ok)
    assert.same({ { "certificate has expired" } }, errors)
    assert.equal("works", support.transfer(c, s, "works"))
    T.close(c, s)
  end)

  it("lists the errors of an unknown root", function()
    local c, s = continue "serverB"
    local ok, errors = c:getpeerverification()
    assert.is_false(ok)
    assert.equal("table", type(errors))
    assert.is_truthy(texts(errors):find("unable to get local issuer certificate", 1, true))
    T.close(c, s)
  end)

  it("lists a self-signed certificate", function()
    local c, s = continue "selfsigned"
    local _, errors = c:getpeerverification()
    assert.is_truthy(errors[1][1]:find("^self.signed certificate$"))
    T.close(c, s)
  end)

  it("answers a fresh table each time", function()
    local c, s = continue "expired"
    local _, one = c:getpeerverification()
    local _, two = c:getpeerverification()
    assert.same(one, two)
    assert.is_false(one == two)
    one[1][1] = "changed"
    local _, three = c:getpeerverification()
    assert.same(two, three)
    T.close(c, s)
  end)

  it("is true when nothing failed", function()
    local c, s = continue "serverA"
    T.returned(pack(c:getpeerverification()), true)
    T.close(c, s)
  end)

  it("keeps the errors of two connections of one context apart", function()
    local ctx = ssl.newcontext(support.client { verifyext = "lsec_continue" })
    local c1, s1 = support.connected(ctx, serverwith "expired")
    local c2, s2 = support.connected(ctx, serverwith "serverA")
    assert.is_false((c1:getpeerverification()))
    assert.is_true((c2:getpeerverification()))
    T.close(c1, s1, c2, s2)
  end)

  it("works on servers", function()
    local c, s = support.connected(clientwith "clientB",
      support.server { verify = "peer", verifyext = { "lsec_continue" }, cafile = cert "rootA" })
    local ok, errors = s:getpeerverification()
    assert.is_false(ok)
    assert.equal("table", type(errors))
    T.close(c, s)
  end)

  it("does not replace a certificate that fail_if_no_peer_cert demands", function()
    local _, sr, c, s = shake(support.client(T.TLS12), support.server { verifyext = "lsec_continue",
      verify = { "peer", "fail_if_no_peer_cert" }, cafile = cert "rootA" })
    T.begins(sr, false, "peer did not return a certificate")
    T.close(c, s)
  end)
end)

describe("compat verifyext lsec_ignore_purpose", function()
  local function server(extra)
    return support.server { verify = { "peer", "fail_if_no_peer_cert" }, cafile = cert "rootA", verifyext = extra }
  end

  it("makes a server verify clients as if they were servers", function()
    local c, s = support.connected(clientwith "serverA", server "lsec_ignore_purpose")
    T.returned(pack(s:getpeerverification()), true)
    T.close(c, s)
  end)

  it("then refuses certificates of clients alone", function()
    local _, sr, c, s = shake(clientwith "clientA", server "lsec_ignore_purpose")
    T.begins(sr, false, "certificate verify failed")
    T.close(c, s)
  end)

  it("lists the purpose among the errors, with lsec_continue", function()
    local c, s = support.connected(clientwith "clientA", server { "lsec_ignore_purpose", "lsec_continue" })
    local ok, errors = s:getpeerverification()
    assert.is_false(ok)
    assert.is_truthy(texts(errors):find("purpose", 1, true))
    T.close(c, s)
  end)

  it("may be set and taken back by the context's method", function()
    local ctx = ssl.newcontext(server())
    T.returned(pack(ctx:setverifyext("lsec_continue")), true)
    T.returned(pack(ctx:setverifyext()), true)
    T.begins(pack(ctx:setverifyext("foo")), false, "invalid verify option (foo)")
    local _, sr, c, s = shake(clientwith "clientB", ctx)
    T.begins(sr, false, "certificate verify failed")
    T.close(c, s)
  end)
end)

describe("compat verifyext crl_check", function()
  local function client(ca) return support.client { cafile = cert(ca), verifyext = "crl_check" } end

  it("refuses a revoked certificate", function()
    local cr, _, c, s = shake(client "rootA-crl", serverwith "revoked")
    T.begins(cr, false, "certificate verify failed")
    T.close(c, s)
  end)

  it("accepts one that is not in the list", function()
    local c, s = support.connected(client "rootA-crl", serverwith "serverA")
    T.close(c, s)
    c, s = support.connected(client "rootA-crl-empty", serverwith "revoked")
    T.close(c, s)
  end)

  it("refuses when there is no list", function()
    local cr, _, c, s = shake(client "rootA", serverwith "serverA")
    T.begins(cr, false, "certificate verify failed")
    T.close(c, s)
  end)

  it("names the reason, with lsec_continue", function()
    local c, s = support.connected(
      support.client { cafile = cert "rootA-crl", verifyext = { "crl_check", "lsec_continue" } }, serverwith "revoked")
    local ok, errors = c:getpeerverification()
    assert.is_false(ok)
    assert.is_truthy(texts(errors):find("certificate revoked", 1, true))
    T.close(c, s)
  end)
end)
