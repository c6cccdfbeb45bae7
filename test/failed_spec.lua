-- What a connection still tells when its handshake has failed: every way of failing, at both ends, in TLS 1.2 and 1.3.

local S = require "support"
local ssl = S.ssl

local function own(name) return { certificate = S.cert(name), key = S.cert(name .. "key") } end

local function with(t, more)
  for k, v in pairs(more) do t[k] = v end
  return t
end

local demand = { verify = { "peer", "fail_if_no_peer_cert" }, cafile = S.cert("rootA") }

-- Steps both ends without closing either, until neither gets on: the results of client and server, nil for an end that
-- still waits.
local function run(c, s)
  local results, last = {}, -1
  local function step(conn)
    if results[conn] then return end
    local r = S.pack(conn:dohandshake())
    if r[1] or not S.wants(r[2]) then results[conn] = r end
  end
  local idle = 0
  S.poll(function()
    step(c)
    step(s)
    local n = (results[c] and 1 or 0) + (results[s] and 1 or 0)
    idle = n == last and idle + 1 or 0
    last = n
    return n == 2 or (n == 1 and idle > 100)
  end, "the handshakes")
  return results[c], results[s]
end

local function name(cert)
  local subject = cert:subject()
  return subject[#subject].value
end

-- Every method that looks at a connection, in any state: none raises, none answers nothing.
local looks = { "info", "getpeercertificate", "getpeerchain", "getlocalcertificate", "getlocalchain", "getalpn",
  "getsniname", "getpeerverification", "lasterror", "want", "dirty", "pending", "getfinished", "getpeerfinished",
  "getstats", "getfd", "getpeername", "getsockname", "gettimeout", "getsession", "sessionreused" }

local function look(conn)
  for _, method in ipairs(looks) do
    assert.is_true(select("#", conn[method](conn)) > 0, method)
  end
  assert.is_nil((conn:exportkeyingmaterial("EXPERIMENTAL-x", 16)))
  assert.same({ nil, "closed" }, { S.unpack({ conn:receive(1) }, 1, 2) })
  assert.same({ nil, "closed" }, { S.unpack({ conn:send("x") }, 1, 2) })
end

-- The failure is repeated, and lasterror has its detail.
local function failed(conn, result, kind)
  assert.is_false(result[1])
  assert.equal(kind, result[3].kind)
  assert.equal(result[3], conn:lasterror())
  local verified, why = conn:getpeerverification()
  assert.is_false(verified)
  assert.is_string(why)
  look(conn)
  S.collect()
  assert.same({ false, result[2], result[3] }, { conn:dohandshake() })
  look(conn)
end

local versions = { tlsv1_2 = "TLSv1.2", tlsv1_3 = "TLSv1.3" }

for version, shown in pairs(versions) do
  describe("after a failed handshake of " .. version, function()
    local c, s

    local function start(client, server)
      c, s = S.wrapped(S.client(with({ protocol = version }, client)), S.server(server))
      return run(c, s)
    end

    after_each(function()
      for _, conn in ipairs { c, s } do
        conn:close()
        assert.same({ nil, "closed" }, { S.unpack({ conn:info() }, 1, 2) })
        assert.same({ nil, "closed" }, { S.unpack({ conn:getpeerchain() }, 1, 2) })
      end
    end)

    it("a client has the chain that it refused, and says what it agreed on", function()
      local cr, sr = start({ cafile = S.cert("rootB"), servername = "localhost" }, own "chainA")
      failed(c, cr, "verify")
      local chain = c:getpeerchain()
      assert.equal(2, #chain)
      assert.equal("chainA", name(chain[1]))
      assert.equal("interA", name(chain[2]))
      assert.equal("chainA", name(c:getpeercertificate()))
      assert.equal("interA", name(c:getpeercertificate(2)))
      assert.is_nil(c:getpeercertificate(3))
      assert.same({ nil, "invalid certificate index" }, { c:getpeercertificate(0) })
      assert.equal(shown, c:info("protocol"))
      assert.is_string(c:info("cipher"))
      assert.equal("localhost", c:info("servername"))
      assert.equal(cr[3].reason, select(2, c:getpeerverification()))
      failed(s, sr, "alert")
      assert.equal("unknown_ca", sr[3].alert)
      assert.equal(48, sr[3].code)
      assert.equal(shown, s:info("protocol"))
      assert.equal("localhost", s:info("servername"))
      assert.same({}, s:getpeerchain())
      assert.equal("chainA", name(s:getlocalcertificate()))
    end)

    it("the chain outlives the connection and further collections", function()
      start({ cafile = S.cert("rootB") }, own "chainA")
      local chain = c:getpeerchain()
      c:close()
      S.collect()
      assert.equal("chainA", name(chain[1]))
      assert.equal("interA", name(chain[2]))
    end)

    it("a client knows which names the certificate has instead", function()
      local cr = start({ servername = "other.test" }, {})
      failed(c, cr, "verify")
      assert.equal("other.test", cr[3].host)
      assert.equal("localhost, server.test, 127.0.0.1, ::1", cr[3].names)
      assert.equal("expected other.test, the certificate is for " .. cr[3].names, cr[3].hint)
      assert.is_true(ssl.checkhostname(c:getpeercertificate(), "localhost"))
      assert.is_false(ssl.checkhostname(c:getpeercertificate(), "other.test"))
    end)

    it("a server has the client's chain that it refused", function()
      local _, sr = start(own "clientB", demand)
      failed(s, sr, "verify")
      assert.equal("clientB", name(s:getpeercertificate()))
      assert.equal(1, #s:getpeerchain())
      assert.equal(shown, s:info("protocol"))
      assert.equal("/C=XX/O=Test/CN=clientB", sr[3].subject)
      if version == "tlsv1_2" then
        assert.equal("unknown_ca", c:lasterror().alert)
      else -- the client was done before the server looked
        local _, message, _, detail = S.receive(c, 1)
        assert.equal("tlsv1 alert unknown ca", message)
        assert.equal("alert", detail.kind)
        assert.equal("unknown_ca", detail.alert)
        assert.equal(detail, c:lasterror())
        assert.equal("serverA", name(c:getpeercertificate()))
        assert.equal(shown, c:info("protocol"))
      end
    end)

    it("a server that misses the client's certificate says so", function()
      local _, sr = start({}, demand)
      failed(s, sr, "protocol")
      assert.equal("peer did not return a certificate", sr[2])
      assert.is_nil(s:getpeercertificate())
      assert.same({}, s:getpeerchain())
    end)

    it("an alert before anything was agreed on leaves nothing but the alert", function()
      local other = version == "tlsv1_2" and "tlsv1_3" or "tlsv1_2"
      local cr, sr = start({ servername = "localhost" }, { protocol = other })
      failed(c, cr, "alert")
      assert.equal("protocol_version", cr[3].alert)
      assert.equal(70, cr[3].code)
      assert.same({ servername = "localhost" }, c:info())
      assert.same({}, c:getpeerchain())
      failed(s, sr, "protocol")
      assert.is_nil(sr[3].alert)
      assert.is_nil(s:info("cipher"))
    end)

    it("bytes that are no TLS are told from alerts", function()
      c, s = S.wrapped(S.client { protocol = version })
      S.raw(s, function(sock) sock:send("220 mail.test ESMTP\r\n") end)
      local cr
      S.poll(function()
        cr = S.pack(c:dohandshake())
        return not S.wants(cr[2])
      end)
      failed(c, cr, "protocol")
      assert.same({}, c:info())
      assert.is_nil(c:getpeercertificate())
    end)

    it("a peer that went is told from a refusal", function()
      for _, how in ipairs { "fin", "rst" } do
        local r
        c, s, r = S.relayed(S.client { protocol = version })
        c:dohandshake()
        S.poll(function()
          r:pump()
          return r.moved.up > 0
        end)
        r:cut(how)
        local cr
        S.poll(function()
          cr = S.pack(c:dohandshake())
          return not S.wants(cr[2])
        end)
        failed(c, cr, how == "fin" and "truncated" or "system")
        assert.same({}, c:info())
        s:close()
        r:close()
      end
    end)

    it("a callback that raised is the reason", function()
      local _, sr = start({ alpn = "h2" }, { alpn = function() error("no luck", 0) end })
      failed(s, sr, "callback")
      assert.equal("no luck", sr[3].reason)
      assert.equal(shown, s:info("protocol") or shown)
    end)

    it("a time limit is no failure: what was refused before is not shown, and it goes on", function()
      c, s = S.wrapped(S.client { protocol = version })
      c:settimeout(0.05)
      local ok, message, detail = c:dohandshake()
      assert.is_false(ok)
      assert.equal("wantread", message)
      assert.equal("want", detail.kind)
      assert.same({ nil, "closed" }, { S.unpack({ c:getpeercertificate() }, 1, 2) })
      assert.same({ false, "closed" }, { c:getpeerverification() })
      c:settimeout(0)
      local cr, sr = run(c, s)
      assert.is_true(cr[1] and sr[1])
      assert.equal(shown, c:info("protocol"))
    end)
  end)
end

describe("after failed handshakes the memory of refused chains", function()
  it("is given back", function()
    local grown = S.growth([[
      local client = assert(S.ssl.newcontext(S.client { cafile = S.cert("rootB") }))
      local server = assert(S.ssl.newcontext(S.server { certificate = S.cert("chainA"), key = S.cert("chainAkey") }))
      return function()
        local c, s = S.wrapped(client, server)
        for _ = 1, 4 do c:dohandshake() s:dohandshake() end
        assert(#c:getpeerchain() == 2)
        c:close()
        s:close()
      end
    ]], 600, 600)
    assert.is_true(grown < 1024, grown)
  end)
end)
