-- The facade for programs written for lua-mbedtls: both dialects, callbacks that block, cut, lie, raise and yield.

local S = require "support"
local A = require "mbedtls".ssl
local B = require "mbedtls.ssl"
local release = require "release"

local unpack = S.unpack
local certA, keyA, rootA = S.pem "serverA", S.pem "serverAkey", S.pem "rootA"

-- A file with certificate and key, as the older dialect wants them.
local both = S.tmpfile(certA .. keyA)

local dialects = {
  { name = "of PEM text", module = A, closed = "close-notify",
    client = { "tls-client", rootA }, server = { "tls-server", nil, certA, keyA } },
  { name = "of files", module = B, closed = "closed",
    client = { "tls-client", S.cert "rootA" }, server = { "tls-server", nil, both } },
}

-- Two queues; a callback takes and gives at most `limit` bytes a call, and notes the sizes that it is asked for.
local function channel(limit)
  local ends = {}
  for i = 1, 2 do ends[i] = { inbox = "", asked = {} } end
  for i = 1, 2 do
    local this, other = ends[i], ends[3 - i]
    this.rcb = function(size)
      this.asked[#this.asked + 1] = size
      local n = math.min(size, limit or size)
      local data = this.inbox:sub(1, n)
      this.inbox = this.inbox:sub(#data + 1)
      return data
    end
    this.wcb = function(data)
      if this.blocked then return 0 end
      local part = data:sub(1, limit or #data)
      other.inbox = other.inbox .. part
      return #part
    end
  end
  return ends[1], ends[2]
end

-- The same for datagrams.
local function datagrams()
  local ends = { { inbox = {} }, { inbox = {} } }
  for i = 1, 2 do
    local this, other = ends[i], ends[3 - i]
    this.rcb = function() return table.remove(this.inbox, 1) or "" end
    this.wcb = function(data)
      table.insert(other.inbox, data)
      return #data
    end
  end
  return ends[1], ends[2]
end

local function pair(d, limit, client, server)
  local c, s = channel(limit)
  local ctx = d.module.newcontext(d.module.newconfig(unpack(client or d.client, 1, 6)), c.rcb, c.wcb)
  local stx = d.module.newcontext(d.module.newconfig(unpack(server or d.server, 1, 6)), s.rcb, s.wcb)
  return ctx, stx, c, s
end

local function wants(message) return message == "want-read" or message == "want-write" end

local function shake(c, s)
  for _ = 1, 20000 do
    local cok, cerr = c:handshake()
    if not cok and not wants(cerr) then return nil, cerr, "client" end
    local sok, serr = s:handshake()
    if not sok and not wants(serr) then return nil, serr, "server" end
    if cok and sok then return true end
  end
  error("no end")
end

local function connected(d, limit)
  local c, s, ce, se = pair(d, limit)
  assert(shake(c, s))
  c:read(1)
  return c, s, ce, se
end

for _, d in ipairs(dialects) do
  describe("lua-mbedtls' dialect " .. d.name, function()
    it("shakes hands, reads, writes and ends", function()
      local c, s = connected(d)
      assert.equal(5, (c:write("hello")))
      assert.equal("hel", (s:read(3)))
      assert.equal("lo", (s:read(100)))
      assert.same({ nil, "want-read" }, { s:read(1) })
      assert.equal(3, (s:write("answer", 2, 3)))
      assert.equal("nsw", (c:read(16384)))
      assert.is_true(c:handshake())
      assert.is_true(c:closenotify())
      for _ = 1, 3 do assert.same({ nil, d.closed }, { s:read(1) }) end
      assert.equal(4, (s:write("late")))
      assert.equal("late", (c:read(10)))
      assert.is_true(s:close())
      assert.same({ nil, d.closed }, { c:read(1) })
    end)

    it("shakes hands by itself before reading and writing", function()
      local c, s = pair(d)
      for _ = 1, 50 do
        c:write("first")
        local data = s:read(5)
        if data then
          assert.equal("first", data)
          return
        end
      end
      error("nothing came")
    end)

    it("goes through callbacks that take few bytes", function()
      for _, limit in ipairs { 1, 3, 17, 1000 } do
        local c, s = connected(d, limit)
        local text, sent, got = ("some text "):rep(30), 0, {}
        for _ = 1, 20000 do
          if sent < #text then sent = sent + (c:write(text, sent + 1) or 0) end
          local data = s:read(16384)
          if data then got[#got + 1] = data end
          if #table.concat(got) == #text then break end
        end
        assert.equal(text, table.concat(got))
      end
    end)

    it("asks for the header, then for exactly the body", function()
      local c, s, ce, se = connected(d)
      ce.asked, se.asked = {}, {}
      c:write(("x"):rep(1000))
      local waiting = #se.inbox
      assert.equal(1000, #s:read(2000))
      assert.same({ 5, waiting - 5 }, se.asked)
    end)

    it("cuts what is written at 16384 bytes", function()
      local c, s = connected(d)
      local big = ("b"):rep(50000)
      assert.equal(("%d"):format(16384), tostring((c:write(big))))
      assert.equal(big:sub(1, 16384), (s:read(50000)))
      assert.equal(0, (c:write("")))
      assert.equal(0, (c:write("abc", 4)))
      assert.equal(0, (c:write("abc", 1, 0)))
      assert.equal("", (s:read(0)))
    end)

    it("owes what a write could not hand over", function()
      local c, s, ce = connected(d)
      ce.blocked = true
      assert.same({ nil, "want-write" }, { c:write("ten  bytes") })
      assert.same({ nil, "want-write" }, { c:write("ten  bytes") })
      assert.same({ nil, "want-write" }, { c:write("other") })
      ce.blocked = false
      assert.equal(10, (c:write("whatever")))
      assert.equal("ten  bytes", (s:read(100)))
      assert.same({ nil, "want-read" }, { s:read(100) })
    end)

    it("answers what a callback raises, and goes on", function()
      local c, s, ce, se = connected(d)
      for _, value in ipairs { "words", 5, false } do
        c:setbio(function() error(value, 0) end, ce.wcb)
        assert.same({ nil, value }, { c:read(1) })
        c:setbio(ce.rcb, function() error(value, 0) end)
        assert.same({ nil, value }, { c:write("abc") })
        c:setbio(ce.rcb, ce.wcb)
        assert.equal(3, (c:write("xyz")))
        assert.equal("abc", (s:read(10)))
      end
      c:setbio(function() error() end, ce.wcb)
      assert.same({ n = 2, nil, release.nothing }, S.pack(c:read(1)))
      c:setbio(ce.rcb, ce.wcb)
      s:setbio(se.rcb, se.wcb)
      s:write("still here")
      assert.equal("still here", (c:read(20)))
    end)

    it("refuses callbacks' answers that cannot be", function()
      local c, _, ce = connected(d)
      for _, answer in ipairs { 5, true, {}, ("x"):rep(6) } do
        c:setbio(function() return answer end, ce.wcb)
        assert.same({ nil, "invalid read result" }, { c:read(1) })
      end
      c:setbio(function() end, ce.wcb)
      assert.same({ nil, "invalid read result" }, { c:read(1) })
      for _, answer in ipairs { -1, 1.5, 1e9, "x", true, {} } do
        c:setbio(ce.rcb, function() return answer end)
        assert.same({ nil, "invalid write result" }, { c:write("abc") })
      end
      c:setbio(ce.rcb, ce.wcb)
      assert.equal(3, (c:write("abc")))
    end)

    it("is busy while its callbacks run", function()
      local c, _, ce = connected(d)
      for _, name in ipairs { "read", "write", "handshake", "closenotify", "reset", "setbio", "gettimeout" } do
        c:setbio(function() c[name](c, 1, 1) end, ce.wcb)
        local data, message = c:read(1)
        assert.is_nil(data)
        assert.truthy(tostring(message):find("context is busy", 1, true), name)
        c:setbio(ce.rcb, ce.wcb)
      end
    end)

    it("lets callbacks yield", function()
      local c, s, ce, se = pair(d)
      local function slowly(f)
        return function(...)
          coroutine.yield()
          return f(...)
        end
      end
      c:setbio(slowly(ce.rcb), slowly(ce.wcb))
      s:setbio(slowly(se.rcb), slowly(se.wcb))
      local got
      local threads = {
        coroutine.create(function()
          repeat until c:handshake()
          assert(c:write("from a coroutine") == 16)
        end),
        coroutine.create(function()
          repeat got = s:read(100) until got
        end),
      }
      for _ = 1, 2000 do
        for _, thread in ipairs(threads) do
          if coroutine.status(thread) ~= "dead" then assert(coroutine.resume(thread)) end
        end
        if got then break end
      end
      assert.equal("from a coroutine", got)
    end)

    it("passes the reference first", function()
      local c, s = channel()
      local seen = {}
      local ref = { c }
      local ctx = d.module.newcontext(d.module.newconfig(unpack(d.client, 1, 6)), function(r, size)
        seen[1] = r
        return r[1].rcb(size)
      end, function(r, data)
        seen[2] = r
        return r[1].wcb(data)
      end, ref)
      local stx = d.module.newcontext(d.module.newconfig(unpack(d.server, 1, 6)), s.rcb, s.wcb)
      assert(shake(ctx, stx))
      assert.same({ ref, ref }, seen)
      ctx:setbio(function(r) assert(r == false) return "" end, c.wcb, false)
      assert.same({ nil, "want-read" }, { ctx:read(1) })
    end)

    it("is new after a fatal error, and after reset", function()
      local c, s, ce = connected(d)
      ce.inbox = "this is no TLS"
      local data, message = c:read(10)
      assert.is_nil(data)
      assert.is_false(wants(message) or message == d.closed)
      ce.inbox = ""
      s:reset()
      assert.equal(0, select("#", s:reset()))
      local _, _, _, _ = s:read(1)
      c:reset()
      c:setbio(ce.rcb, ce.wcb)
      ce.inbox = ""
      local c2, s2 = connected(d)
      c2:reset()
      s2:reset()
    end)

    it("says what is wrong though the alert does not get out, and never that the stream has ended", function()
      for _, stuck in ipairs { function() return 0 end, function() error("stuck", 0) end } do
        local c, s, ce = connected(d)
        s:write("hello")
        ce.inbox = ce.inbox:sub(1, -2) .. string.char((ce.inbox:byte(-1) + 1) % 256)
        c:setbio(ce.rcb, stuck)
        assert.same({ nil, "decryption failed or bad record mac" }, { c:read(10) })
        c:setbio(ce.rcb, ce.wcb)
        assert.same({ nil, "want-read" }, { c:read(10) }) -- a new context
      end
    end)

    it("resets both sides for a new session", function()
      local c, s, ce, se = connected(d)
      c:reset()
      s:reset()
      ce.inbox, se.inbox = "", ""
      assert(shake(c, s))
      c:write("again")
      assert.equal("again", (s:read(5)))
    end)

    it("sends the alert before it resets", function()
      local other = d.module == A and S.pem "rootB" or S.cert "rootB"
      local c, s = pair(d, nil, { "tls-client", other })
      local ok, message, who = shake(c, s)
      assert.is_nil(ok)
      assert.equal("client", who)
      assert.truthy(message:find("certificate verify failed", 1, true), message)
      ok, message = s:handshake()
      if ok then ok, message = s:read(1) end
      assert.is_nil(ok)
      assert.truthy(message:find("alert", 1, true), message)
    end)

    it("checks the host name when one is set", function()
      local c, s = pair(d)
      c:sethostname("wrong.example")
      local ok, message = shake(c, s)
      assert.is_nil(ok)
      assert.truthy(message:find("verify failed", 1, true), message)
      c, s = pair(d)
      c:sethostname("wrong.example")
      c:sethostname(nil)
      assert(shake(c, s))
      S.raises("operation not supported", function() s:sethostname("x") end)
      S.raises("value expected", function() c:sethostname() end)
      S.raises("operation not supported", function() c:setpeerid("x") end)
    end)

    it("asks clients for certificates when a server has a CA", function()
      local ca = d.module == A and rootA or S.cert "rootA"
      local server = { "tls-server", ca, d.server[3], d.server[4] }
      local c, s = pair(d, nil, nil, server)
      local ok = shake(c, s)
      if ok then ok = s:read(1) or c:read(1) end
      assert.is_nil(ok)
      local mine = S.pem "clientA" .. S.pem "clientAkey"
      local path = S.tmpfile(mine)
      c, s = pair(d, nil, { "tls-client", ca, d.module == A and mine or path }, server)
      assert(shake(c, s))
      os.remove(path)
    end)

    it("has a certificate of its own for servers without", function()
      local c, s = pair(d, nil, { "tls-client" }, { "tls-server" })
      assert(shake(c, s))
    end)

    it("raises for what cannot be", function()
      local new, m = d.module.newconfig, d.module
      S.raises("bad argument #1 to 'newconfig' (invalid option 'x')", new, "x")
      S.raises("bad argument #1 to 'newconfig'", new)
      S.raises("bad argument #2 to 'newconfig' (string expected, got table)", new, "tls-client", {})
      S.raises("/nowhere: can't parse CA certificate", new, "tls-client", "/nowhere")
      S.raises("/nowhere: can't parse certificate", new, "tls-client", nil, "/nowhere")
      S.raises("can't parse private key", new, "tls-client", nil, d.module == A and certA or S.cert "serverA")
      S.raises("cacert: can't parse CA certificate", new, "tls-client", "-----BEGIN CERTIFICATE-----\nx")
      local cfg = new("tls-client")
      assert.is_false(getmetatable(cfg))
      S.raises("bad argument #1 to 'newcontext'", m.newcontext, {}, print, print)
      S.raises("bad argument #2 to 'newcontext' (value is nil)", m.newcontext, cfg, nil, print)
      S.raises("bad argument #3 to 'newcontext' (value is nil)", m.newcontext, cfg, print)
      local c = m.newcontext(cfg, print, print)
      S.raises("value out of range", c.read, c, -1)
      S.raises("number expected", c.read, c, "x")
      S.raises("number expected", c.read, c)
      S.raises("value out of range", c.write, c, "abc", 0)
      S.raises("value out of range", c.write, c, "abc", 5)
      S.raises("value out of range", c.write, c, "abc", 2, 3)
      S.raises("value out of range", c.write, c, "abc", 1, -1)
      S.raises("bad argument #2 to 'write' (whole number expected, got 1.5)", c.write, c, "abc", 1.5)
      S.raises("bad argument #3 to 'write' (whole number expected", c.write, c, "abc", 1, 0 / 0)
      S.raises("string expected", c.write, c)
      S.raises("value is nil", c.setbio, c, print)
      S.raises("bad argument #1 to 'read'", c.read, {}, 1)
      assert.is_true(c:closenotify())
      assert.is_nil(c:gettimeout())
    end)

    it("has cookies", function()
      local cookie = d.module.getcookie("192.0.2.1#5000")
      assert.equal(44, #cookie)
      assert.is_true(d.module.checkcookie("192.0.2.1#5000", cookie))
      assert.is_false(d.module.checkcookie("192.0.2.2#5000", cookie))
      assert.is_false(d.module.checkcookie("x", "y"))
      S.raises("bad argument", d.module.getcookie)
    end)

    describe("with DTLS", function()
      local c, s, ce, se

      before_each(function()
        ce, se = datagrams()
        c = d.module.newcontext(d.module.newconfig("dtls-client", d.client[2]), ce.rcb, ce.wcb)
        s = d.module.newcontext(d.module.newconfig("dtls-server", nil, d.server[3], d.server[4]), se.rcb, se.wcb)
      end)

      it("verifies the peer in two steps", function()
        assert.same({ nil, "want-read" }, { s:handshake() })
        assert.same({ nil, "want-read" }, { c:handshake() })
        assert.is_number(c:gettimeout())
        assert.same({ nil, "invalid operation" }, { s:handshake() })
        s:setpeerid("peer#1")
        local ok, message = s:handshake()
        assert.is_nil(ok)
        assert.equal("hello verification required", message)
        c:handshake()
        assert.same({ nil, "invalid operation" }, { s:handshake() })
        s:setpeerid("peer#1")
        assert.is_true(s:handshake())
        assert(shake(c, s))
        assert.is_nil(c:gettimeout())
        assert.equal(5, (c:write("hello")))
        assert.equal("hello", (s:read(100)))
        assert.same({ nil, "invalid operation" }, { c:write(("x"):rep(16385)) })
      end)

      it("takes no cookie of another peer", function()
        c:handshake()
        s:setpeerid("peer#1")
        s:handshake()
        c:handshake()
        s:setpeerid("peer#2")
        assert.same({ nil, "hello verification required" }, { s:handshake() })
      end)

      it("does not read or write before the peer is verified", function()
        assert.same({ nil, "want-read" }, { s:read(1) })
        c:handshake()
        assert.same({ nil, "invalid operation" }, { s:read(1) })
        assert.same({ nil, "invalid operation" }, { s:write("x") })
      end)
    end)
  end)
end

describe("lua-mbedtls with pre-shared keys", function()
  teardown(function() os.remove(both) end)

  it("needs nothing else", function()
    local d = { module = A }
    local c, s = pair(d, nil, { "tls-client", nil, nil, nil, "Client_identity", "0123456789abcdef" },
      { "tls-server", nil, nil, nil, "Client_identity", "0123456789ABCDEF" })
    assert(shake(c, s))
    c:write("secret")
    assert.equal("secret", (s:read(10)))
  end)

  it("takes no certificate instead", function()
    local d = dialects[1]
    local c, s = pair(d, nil, { "tls-client", nil, nil, nil, "me", "00ff" })
    assert.is_nil((shake(c, s)))
    c, s = pair(d, nil, nil, { "tls-server", nil, certA, keyA, "me", "00ff" })
    assert.is_nil((shake(c, s)))
  end)

  it("raises for bad digits", function()
    for _, hex in ipairs { "0", "zz", "0x", "abc" } do
      S.raises("hexadecimal", A.newconfig, "tls-client", nil, nil, nil, "me", hex)
    end
    S.raises("psk", A.newconfig, "tls-client", nil, nil, nil, "me", "")
    S.raises("private key mismatch", A.newconfig, "tls-client", nil, certA, S.pem "serverBkey")
  end)
end)
