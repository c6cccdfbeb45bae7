-- What modules for other bindings' programs stand on: connections on borrowed descriptors, small files by descriptor,
-- random bytes, decrypted keys, switches of contexts, sessions as PEM, names in one line, OCSP responses given.

local S = require "support"
local context = require "ssl.context"
local core = require "ssl.core"
local ocspkit = require "ocspkit"
local ssl = require "ssl"

local function borrowed(cfg, r, w)
  local conn = assert(core.create(assert(ssl.newcontext(cfg))))
  core.setfds(conn, r, w or r)
  return conn
end

local function pair(client, server)
  local a, b = S.tcp()
  return borrowed(client or S.client(), a:getfd()), borrowed(server or S.server(), b:getfd()), a, b
end

describe("borrowed descriptors", function()
  it("carry TLS, and are neither closed nor written to at the end", function()
    local c, s, a, b = pair()
    local cr, sr = S.shake(c, s)
    assert.is_true(cr[1] and sr[1])
    assert.are.equal(5, (c:send "hello"))
    assert.are.equal("hello", s:receive(5))
    assert.are.equal(-1, c:getfd())
    assert.are.same({ nil, "wantread" }, { s:receive(1), (select(2, s:receive(1))) })
    c:close()
    c:close()
    b:settimeout(0)
    assert.are.same({ nil, "timeout", "" }, { b:receive(1) })
    assert.are.equal(1, a:send("x"))
    s:close()
    a:close()
    b:close()
  end)

  it("get close_notify by shutdown", function()
    local c, s, a, b = pair()
    S.shake(c, s)
    assert.is_true(c:shutdown("send"))
    local data, message = s:receive(1)
    assert.is_nil(data)
    assert.are.equal("closed", message)
    a:close()
    b:close()
  end)

  it("are given to a new connection, once", function()
    local c = pair()
    S.raises("invalid SSL object state", core.setfds, c, 0, 1)
    local fresh = assert(core.create(assert(ssl.newcontext(S.client()))))
    for _, bad in ipairs { -1, 1.5, 2 ^ 40, 0 / 0 } do S.raises("argument #2", core.setfds, fresh, bad, 1) end
    S.raises("argument #3", core.setfds, fresh, 1, {})
    S.raises("argument #1", core.setfds, {}, 1, 1)
    S.raises("invalid SSL object state", core.setfds, assert(ssl.engine(S.client())), 0, 1)
    fresh:close()
    S.raises("invalid SSL object state", core.setfds, fresh, 0, 1)
  end)

  it("may be no descriptors at all", function()
    local c = borrowed(S.client(), 9999)
    local ok, message = c:dohandshake()
    assert.is_false(ok)
    assert.are.equal("Bad file descriptor", message)
  end)
end)

describe("files", function()
  it("are looked at, read and rewritten by their descriptor", function()
    local out = S.fresh([[
      local core = require "ssl.core"
      local st = core.filestatus(5)
      print(st.regular, st.mine, st.uid == st.me, st.mode == 384, st.size)
      print(core.rewrite(5, ("x"):rep(100000)), core.readat(5, 3, 99998), core.filestatus(5).size)
      print(core.rewrite(5, "a\0b"), #core.readat(5, 100, 0), #core.readat(5, 100, 3), #core.readat(5, 0, 0))
      print(core.rewrite(5, ""), core.filestatus(5).size)
      print(core.rewrite(6, "x"))
      print(core.filestatus(6).regular)
    ]], [[f=$(mktemp); exec 5<>$f 6</dev/null; rm $f;]])
    out = out:gsub("%.0", "")
    local lines = {}
    for line in (out .. "\n"):gmatch("(.-)\n") do lines[#lines + 1] = line end
    assert.are.equal("true\ttrue\ttrue\ttrue\t0", lines[1])
    assert.are.equal("true\txx\t100000", lines[2])
    assert.are.equal("true\t3\t0\t0", lines[3])
    assert.are.equal("true\t0", lines[4])
    assert.truthy(lines[5]:find("^nil\tInvalid argument\ttable"), lines[5])
    assert.are.equal("false", lines[6])
  end)

  it("are read through handles whose position stays", function()
    local path = S.tmpfile("abcdef")
    local f = assert(io.open(path, "r+b"))
    assert.are.equal("cd", core.readat(f, 2, 2))
    assert.are.equal("abcdef", f:read("*a"))
    f:seek("set", 0)
    f:write("A")
    assert.are.equal("Abcdef", core.readat(f, 10, 0)) -- what was written counts
    f:close()
    os.remove(path)
    local data, message, detail = core.readat(f, 1, 0)
    assert.is_nil(data)
    assert.are.equal("Bad file descriptor", message)
    assert.are.equal("system", detail.kind)
  end)

  it("raise for bad arguments and answer for bad descriptors", function()
    for _, f in ipairs { function() return core.filestatus(9999) end, function() return core.rewrite(9999, "x") end,
      function() return core.readat(9999, 1, 0) end } do
      local ok, message, detail = f()
      assert.is_nil(ok)
      assert.are.equal("Bad file descriptor", message)
      assert.are.equal("system", detail.kind)
    end
    S.raises("argument #1", core.filestatus, -1)
    S.raises("argument #1", core.readat, {}, 1, 0)
    S.raises("argument #1", core.readat, "x", 1, 0)
    S.raises("argument #2", core.readat, 1, -1, 0)
    S.raises("argument #2", core.readat, 1, 2 ^ 40, 0)
    S.raises("argument #3", core.readat, 1, 1, -1)
    S.raises("argument #2", core.rewrite, 1)
  end)
end)

describe("random", function()
  it("gives bytes that differ", function()
    assert.are.equal(48, #core.random(48))
    assert.are_not.equal(core.random(32), core.random(32))
    assert.are.equal("", core.random(0))
    assert.are.equal(1024, #core.random(1024))
    for _, bad in ipairs { -1, 1025, 0 / 0, "x" } do S.raises("argument #1", core.random, bad) end
  end)
end)

describe("decryptkey", function()
  it("takes the password off, and knows a wrong one", function()
    local plain = core.decryptkey(S.pem "serverAkey", "")
    assert.are.equal(plain, core.decryptkey(S.pem "serverAkey-encrypted", "secret"))
    for _, password in ipairs { "", "wrong", "secret\0", ("x"):rep(1024) } do
      local key, message, detail = core.decryptkey(S.pem "serverAkey-encrypted", password)
      assert.is_nil(key)
      assert.are.equal("string", type(message))
      assert.are.equal("config", detail.kind)
    end
    for _, junk in ipairs { "", "junk", S.pem "serverA", ("x"):rep(100000) } do
      assert.is_nil((core.decryptkey(junk, "secret")))
    end
    S.raises("argument #2", core.decryptkey, "x")
  end)
end)

describe("policy", function()
  local function context_of(mode) return assert(ssl.newcontext(mode == "server" and S.server() or S.client())) end

  it("has Diffie-Hellman parameters of OpenSSL's", function()
    local function suite(how)
      local server = assert(ssl.newcontext(S.server { protocol = "tlsv1_2", ciphers = "DHE+AESGCM",
        certificate = S.cert "rsa", key = S.cert "rsakey" }))
      if how then assert.is_true(context.setdhauto(server, how)) end
      local cr = S.try(S.anyclient { ciphers = "DHE+AESGCM", protocol = "tlsv1_2" }, server)
      return cr[1]
    end
    assert.is_true(suite("auto"))
    assert.is_false(suite("none"))
    assert.is_false(suite(nil))
    S.raises("argument #2", context.setdhauto, context_of "server", "junk")
    S.raises("argument #2", context.setdhauto, context_of "server")
  end)

  it("takes certificates of any age, if told so", function()
    local server = S.server { certificate = S.cert "expired", key = S.cert "expiredkey" }
    local ctx = context_of "client"
    assert.is_true(context.setchecktime(ctx, false))
    assert.is_true((S.try(ctx, server))[1])
    assert.is_true(context.setchecktime(ctx, true))
    assert.is_false((S.try(ctx, server))[1])
    S.raises("argument #2", context.setchecktime, ctx)
  end)

  it("leaves servers without sessions, and gives them back", function()
    for _, protocol in ipairs { "tlsv1_2", "tlsv1_3" } do
      local ctx = context_of "server"
      local session
      for i, resumes in ipairs { false, true, false, false, false, true } do
        if i == 3 then assert.is_true(context.setnosessions(ctx)) end
        if i == 5 then assert.is_true(context.setnosessions(ctx, false)) end
        local c, s = S.wrapped(S.client { protocol = protocol }, ctx)
        if session then c:setsession(session) end
        S.shake(c, s)
        assert.are.equal("x", S.transfer(s, c, "x"))
        assert.are.equal(resumes, c:sessionreused(), protocol .. " " .. i)
        session = c:getsession()
        c:close()
        s:close()
      end
    end
  end)

  it("asks clients for certificates or not, as told last", function()
    local ctx = assert(ssl.newcontext(S.server { cafile = S.cert "rootA", verify = "none" }))
    local nobody = { protocol = "tlsv1_2", certificate = S.NONE, key = S.NONE }
    local stranger = { protocol = "tlsv1_2", certificate = S.cert "clientB", key = S.cert "clientBkey" }
    for _, case in ipairs { { "required", false, false }, { "optional", true, false }, { "none", true, true },
      { "required", false, false } } do
      assert.is_true(context.setclientauth(ctx, case[1]))
      for i, cfg in ipairs { nobody, stranger } do
        local _, sr = S.try(S.anyclient(cfg), ctx)
        assert.are.equal(case[i + 1], sr[1], case[1])
      end
    end
    for _, bad in ipairs { "", "junk", {}, true } do S.raises("argument #2", context.setclientauth, ctx, bad) end
    S.raises("argument #2", context.setclientauth, ctx)
  end)

  it("lets constraints of names bind the subject only where it may name a host", function()
    local ctx = context_of "client"
    assert.is_true(context.setsubjectnames(ctx, true)) -- what it does then is in libtls_peer_spec
    assert.is_true(context.setsubjectnames(ctx, false))
    for _, bad in ipairs { "true", 1, {} } do S.raises("argument #2", context.setsubjectnames, ctx, bad) end
    S.raises("argument #2", context.setsubjectnames, ctx)
    S.raises("argument #1", context.setsubjectnames, {}, true)
  end)
end)

describe("a handle", function()
  it("is a userdata with the metatable that it was given, and nothing to the rest of the library", function()
    local meta = { __index = { x = 1 } }
    local handle = core.handle(meta)
    assert.are.equal("userdata", type(handle))
    assert.are.equal(meta, getmetatable(handle))
    assert.are.equal(1, handle.x)
    assert.are_not.equal(handle, core.handle(meta))
    for _, bad in ipairs { "x", 1, true } do S.raises("table expected", core.handle, bad) end
    S.raises("table expected", core.handle)
    S.raises("argument #1", core.create, handle)
    S.raises("argument #1", context.setmode, handle, "client")
    S.raises("argument #1", core.setfds, handle, 1, 1)
  end)
end)

describe("a session's PEM", function()
  it("is what loadsession reads", function()
    local c, s = S.connected(S.client { protocol = "tlsv1_2" }, S.server())
    local session = assert(c:getsession())
    local pem = session:pem()
    assert.truthy(pem:find("^%-%-%-%-%-BEGIN SSL SESSION PARAMETERS%-%-%-%-%-\n"))
    assert.are.equal(session:export(), assert(ssl.loadsession(pem)):export())
    c:close()
    s:close()
    getmetatable(session).__gc(session)
    S.raises("session is closed", session.pem, session)
  end)
end)

describe("a certificate's oneline", function()
  it("is OpenSSL's old form", function()
    local cert = assert(ssl.loadcertificate(S.pem "serverA"))
    assert.are.equal("/C=XX/O=Test/CN=serverA", cert:oneline())
    assert.are.equal("/C=XX/O=Test/CN=serverA", cert:oneline("subject"))
    assert.are.equal("/C=XX/O=Test/CN=rootA", cert:oneline("issuer"))
    assert.are.equal("", (assert(ssl.loadcertificate(S.pem "nosubject")):oneline()))
    assert.truthy(assert(ssl.loadcertificate(S.pem "unicode")):oneline():find("\\x%x%x"))
    S.raises("argument", cert.oneline, cert, "junk")
    S.raises("argument", cert.oneline, cert, {})
  end)
end)

describe("conn:ocspcheck", function()
  it("judges a response that the program brings", function()
    local c, s = S.connected()
    local cases = { good = ocspkit.craft { cert = "serverA" }, revoked = ocspkit.craft { cert = "serverA",
      status = "revoked", reason = 4 }, unknown = ocspkit.craft { cert = "serverA", status = "unknown" },
      stale = ocspkit.craft { cert = "serverA", thisupdate = -90000, nextupdate = -80000 },
      early = ocspkit.craft { cert = "serverA", thisupdate = 80000 }, foreign = ocspkit.craft { cert = "clientA" },
      unsigned = ocspkit.craft { cert = "serverA", spoil = true }, refused = ocspkit.envelope(3) }
    for verdict, der in pairs(cases) do
      local facts = c:ocspcheck(der)
      assert.are.equal(verdict, facts.verdict)
      assert.are.equal(verdict == "good" or verdict == "revoked" or verdict == "unknown", facts.verified)
    end
    local facts = c:ocspcheck(cases.revoked)
    assert.are.equal("superseded", facts.reason)
    assert.are.equal(4, facts.reasoncode)
    for _, junk in ipairs { "", "junk", ("x"):rep(100000) } do
      assert.are.equal("unreadable", c:ocspcheck(junk).verdict)
    end
    assert.is_nil(s:ocspcheck(cases.good)) -- the client has shown no certificate
    S.raises("argument", c.ocspcheck, c)
    c:close()
    assert.are.equal("closed", (select(2, c:ocspcheck("x"))))
    s:close()
  end)
end)
