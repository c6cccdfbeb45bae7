-- The barrier between OpenSSL and Lua: each callback of a handshake with everything a Lua function can do in it, then
-- what each callback is for. The password callback is in credentials_spec.lua.

local S = require "support"
local context = require "ssl.context"
local ssl = S.ssl

local KEY = ("k"):rep(32)
local function dhpem() return S.pem("dhparam2048") end

-- Each kind: settings of both sides around a function f, which end runs it, its good answers, what errors call it.
local function psk(version)
  return { protocol = version, ciphers = "PSK" }
end

local kinds = {
  alpn = {
    side = "server", name = "ALPN",
    good = function() return "h2" end,
    setup = function(f) return S.client { alpn = { "http/1.1", "h2" } }, S.server { alpn = f } end,
  },
  alpncb = {
    side = "server", name = "ALPN",
    good = function() return "\2h2" end,
    setup = function(f)
      local server = assert(ssl.newcontext(S.server()))
      context.setalpncb(server, f)
      return S.client { alpn = { "h2" } }, server
    end,
  },
  sni = {
    side = "server", name = "SNI",
    good = function() return assert(ssl.newcontext(S.server())) end,
    setup = function() return S.client { servername = "localhost" }, S.server() end,
    before = function(f, _, s)
      local map = {}
      s:sni(map)
      setmetatable(map, { __index = function(t, name)
        assert(t == map and name == "localhost")
        return f()
      end })
    end,
  },
  dhparam = {
    side = "server", name = "dhparam",
    good = dhpem,
    setup = function(f)
      return S.client { protocol = "tlsv1_2" }, S.server { certificate = S.cert("rsa"), key = S.cert("rsakey"),
        ciphers = "DHE-RSA-AES128-GCM-SHA256", dhparam = f }
    end,
  },
  snidhparam = {
    side = "server", name = "dhparam",
    good = dhpem,
    setup = function()
      return S.client { protocol = "tlsv1_2", servername = "localhost" }, S.server { certificate = S.cert("rsa"),
        key = S.cert("rsakey"), ciphers = "DHE-RSA-AES128-GCM-SHA256" }
    end,
    before = function(f, _, s)
      s:sni { localhost = assert(ssl.newcontext(S.server { certificate = S.cert("rsa"), key = S.cert("rsakey"),
        dhparam = f })) }
    end,
  },
}
for _, version in ipairs { "tlsv1_2", "tlsv1_3" } do
  local answer = function() return KEY end
  kinds["server psk " .. version] = {
    side = "server", name = "PSK",
    good = answer,
    setup = function(f)
      local c, s = psk(version), psk(version)
      c.mode, c.psk = "client", function() return "me", KEY end
      s.mode, s.psk = "server", f
      return c, s
    end,
  }
  kinds["client psk " .. version] = {
    side = "client", name = "PSK",
    good = function() return "me", KEY end,
    setup = function(f)
      local c, s = psk(version), psk(version)
      c.mode, c.psk = "client", f
      s.mode, s.psk = "server", answer
      return c, s
    end,
  }
end

local names = {}
for name in pairs(kinds) do names[#names + 1] = name end
table.sort(names)

-- Handshakes with f as callback of a kind. The results of the side that runs it, those of the other, and both ends,
-- still open; what f is given first is the connection that runs it.
local function run(kind, f)
  local mine, other
  local clientcfg, servercfg = kind.setup(function(...) return f(mine, ...) end)
  local c, s = S.wrapped(clientcfg, servercfg)
  if kind.side == "server" then mine, other = s, c else mine, other = c, s end
  if kind.before then kind.before(function(...) return f(mine, ...) end, c, s) end
  local cr, sr = S.shake(c, s)
  finally(function()
    c:close()
    s:close()
  end)
  if kind.side == "server" then return sr, cr, mine, other end
  return cr, sr, mine, other
end

-- The callback ended the handshake with these words; the other end was told.
local function broken(kind, words, f)
  local r, other, conn, peer = run(kind, f)
  local message = kind.name .. " callback failed: " .. words
  assert.is_false(r[1])
  if r[2] ~= message then assert.equal(message, (r[2]:gsub("failed: [^:]+:%d+: ", "failed: "))) end
  assert.equal("callback", r[3].kind)
  assert.is_string(r[3].reason)
  -- A TLS 1.3 client is not told before it reads.
  if other[1] then
    conn:close()
    assert.is_nil((S.receive(peer, 1)))
  else
    assert.is_string(other[2])
    assert.is_false(S.wants(other[2]))
  end
  local again = S.pack(conn:dohandshake())
  assert.is_false(again[1])
  assert.is_true(again[2] == r[2] or again[2] == "closed")
  assert.equal("closed", select(2, conn:receive()))
  return r
end

local function fine(kind, f)
  local r, other, conn, peer = run(kind, f)
  assert.is_nil(r[2])
  assert.is_true(r[1])
  assert.is_true(other[1])
  assert.equal("there", S.transfer(peer, conn, "there"))
  assert.equal("back", S.transfer(conn, peer, "back"))
  return conn, peer
end

for _, name in ipairs(names) do
  local kind = kinds[name]
  local good = kind.good

  describe("the callback " .. name, function()
    it("works", function()
      local calls = 0
      fine(kind, function()
        calls = calls + 1
        return good()
      end)
      assert.is_true(calls > 0)
    end)

    it("Q10 raises a string", function()
      local r = broken(kind, "boom", function() error("boom", 0) end)
      assert.equal("boom", r[3].reason)
      broken(kind, "boom", function() error "boom" end)
      broken(kind, "a\0b", function() error("a\0b", 0) end)
      broken(kind, "attempt to call a nil value", function()
        local ok, err = pcall(nil)
        assert(not ok)
        error(err, 0)
      end)
    end)

    it("Q10 raises other values", function()
      broken(kind, "(error object is a table value)", function() error {} end)
      broken(kind, "(error object is a nil value)", function() error(nil) end)
      broken(kind, "(error object is a function value)", function() error(print) end)
      broken(kind, "words", function() error(setmetatable({}, { __tostring = function() return "words" end })) end)
    end)

    it("Q10 raises objects whose __tostring is at fault", function()
      for _, f in ipairs { function() error "again" end, function() return 5 end, function() end,
        function() error(setmetatable({}, { __tostring = error })) end } do
        local r = run(kind, function() error(setmetatable({}, { __tostring = f })) end)
        assert.is_false(r[1])
        assert.matches("^" .. kind.name .. " callback failed: ", r[2])
      end
    end)

    it("Q10 yields", function()
      local r = run(kind, function() coroutine.yield(1) end)
      assert.is_false(r[1])
      assert.matches("^" .. kind.name .. " callback failed: .*yield", r[2])
      -- The same when the connection is driven in a coroutine.
      local results
      local co = coroutine.create(function()
        results = run(kind, function() coroutine.yield(1) end)
      end)
      assert.is_true(coroutine.resume(co))
      assert.equal("dead", coroutine.status(co))
      assert.matches("^" .. kind.name .. " callback failed: .*yield", results[2])
    end)

    it("overflows the stack", function()
      local r = run(kind, function()
        local function deeper() return 1 + deeper() end
        return deeper()
      end)
      assert.is_false(r[1])
      assert.matches("^" .. kind.name .. " callback failed: .*stack overflow", r[2])
    end)

    it("answers with a wrong type or too much, and nothing breaks", function()
      local huge = ("x"):rep(2 ^ 20)
      for _, answer in ipairs { 5, true, false, {}, print, io.stdout, huge, "", "\0", "\255" } do
        local r, other = run(kind, function() return answer, answer end)
        if r[1] then
          assert.is_true(other[1])
        else
          assert.is_string(r[2])
          assert.is_false(S.wants(r[2]))
          assert.is_nil(r[2]:find("(null)", 1, true))
        end
      end
      local r = run(kind, function() end)
      assert.is_boolean(r[1])
      local many = {}
      for i = 1, 200 do many[i] = i end
      r = run(kind, function() return S.unpack(many) end)
      assert.is_boolean(r[1])
    end)

    it("closes its connection", function()
      local r, other, conn = run(kind, function(mine)
        mine:close()
        mine:close()
        return good()
      end)
      assert.is_false(r[1])
      assert.equal("closed", r[2])
      assert.equal("closed", r[3].kind)
      assert.equal(-1, conn:getfd())
      assert.matches("%(closed%)$", tostring(conn))
      if not other[1] then assert.is_string(other[2]) end
      assert.is_false((conn:dohandshake()))
    end)

    it("closes its connection and raises", function()
      local r, _, conn = run(kind, function(mine)
        mine:close()
        error("boom", 0)
      end)
      assert.equal(kind.name .. " callback failed: boom", r[2])
      assert.equal(-1, conn:getfd())
    end)

    it("calls every method of its connection", function()
      local answers
      fine(kind, function(mine)
        local got = {}
        local function try(method, ...) got[method] = S.pack(pcall(mine[method], mine, ...)) end
        try("dohandshake")
        try("send", "x")
        try("receive", 1)
        try("sni", kind.side == "server" and {} or "name")
        try("setdane", "x")
        try("settlsa", 3, 1, 1, ("x"):rep(32))
        for _, method in ipairs { "info", "getalpn", "getsniname", "getpeercertificate", "getpeerchain", "getfd", "want",
          "getlocalcertificate", "getlocalchain", "getpeerverification", "getfinished", "getpeerfinished", "dirty",
          "settimeout", "getstats", "lasterror" } do
          try(method, method == "settimeout" and 0 or nil)
        end
        pcall(require("ssl.core").setfd, mine, 0)
        require("ssl.core").info(mine)
        answers = answers or got
        return good()
      end)
      for method, r in pairs(answers) do assert.is_true(r[1], method .. ": " .. tostring(r[2])) end
      if kind.name ~= "dhparam" or name == "snidhparam" then
        assert.same({ true, false }, { answers.dohandshake[1], answers.dohandshake[2] })
        assert.equal("the connection is busy: one of its own callbacks called it", answers.dohandshake[3])
      end
      assert.equal("closed", answers.send[3])
      assert.equal("closed", answers.receive[3])
      assert.is_false(answers.setdane[2])
      assert.is_false(answers.settlsa[2])
    end)

    it("collects garbage", function()
      fine(kind, function()
        S.collect()
        local a, b = good()
        S.collect()
        return a, b
      end)
    end)

    it("runs finalizers that raise", function()
      local r = run(kind, function()
        local proxy = rawget(_G, "newproxy")
        if proxy and not rawget(_G, "jit") then
          local object = proxy(true)
          getmetatable(object).__gc = function() error("from __gc", 0) end
        else
          setmetatable({}, { __gc = function() error("from __gc", 0) end })
        end
        S.collect()
        return good()
      end)
      if not r[1] then
        assert.matches("^" .. kind.name .. " callback failed: .*from __gc", r[2])
      end
      pcall(S.collect)
    end)

    it("makes contexts and whole handshakes of its own", function()
      fine(kind, function()
        local c, s = S.connected()
        assert(S.transfer(c, s, "inner") == "inner")
        c:close()
        s:close()
        assert(not S.try(S.client { cafile = S.cert("rootB") })[1])
        return good()
      end)
    end)

    it("Q11 belongs to a context whose coroutine is dead, and is driven from others", function()
      local clientctx, serverctx, f
      coroutine.wrap(function()
        local c, s = kind.setup(function(...) return f(...) end)
        clientctx = type(c) == "table" and assert(ssl.newcontext(c)) or c
        serverctx = type(s) == "table" and assert(ssl.newcontext(s)) or s
      end)()
      S.collect()
      local calls = 0
      f = function()
        calls = calls + 1
        return good()
      end
      local c, s
      coroutine.wrap(function()
        c, s = S.wrapped(clientctx, serverctx)
        if kind.before then kind.before(f, c, s) end
      end)()
      clientctx, serverctx = nil, nil -- luacheck: ignore 311
      S.collect()
      local done = { [c] = false, [s] = false }
      S.poll(function()
        -- Each step in a coroutine of its own, which then is garbage.
        for _, conn in ipairs { c, s } do
          if not done[conn] then
            coroutine.wrap(function()
              local ok, err = conn:dohandshake()
              if not ok and not S.wants(err) then error(err) end
              done[conn] = ok
            end)()
            S.collect()
          end
        end
        return done[c] and done[s]
      end)
      assert.is_true(calls > 0)
      assert.equal("data", S.transfer(c, s, "data"))
      c:close()
      s:close()
    end)

    it("keeps nothing alive", function()
      local weak = setmetatable({}, { __mode = "k" })
      for _, f in ipairs { function() return good() end, function() error "boom" end, function() error {} end,
        function(mine)
          mine:close()
          return good()
        end } do
        local c, s = kind.setup(f)
        c = type(c) == "table" and assert(ssl.newcontext(c)) or c
        s = type(s) == "table" and assert(ssl.newcontext(s)) or s
        local conn, peer = S.wrapped(c, s)
        local mine = kind.side == "server" and peer or conn
        local function call() return f(mine) end
        if kind.before then kind.before(call, conn, peer) end
        weak[c], weak[s], weak[conn], weak[peer], weak[f] = true, true, true, true, true
        S.shake(conn, peer)
      end
      S.collect()
      S.collect()
      assert.is_nil(next(weak))
    end)
  end)
end

describe("the ALPN callback", function()
  local function negotiated(clientalpn, serveralpn)
    local c, s = S.connected(S.client { alpn = clientalpn }, S.server { alpn = serveralpn })
    local a, b = c:getalpn(), s:getalpn()
    c:close()
    s:close()
    assert.equal(a, b)
    return a
  end

  it("chooses by the server's order", function()
    assert.equal("b", negotiated({ "a", "b", "c" }, { "b", "c", "a" }))
    assert.equal("c", negotiated({ "a", "b", "c" }, { "x", "c", "a" }))
    assert.equal("a", negotiated("a", { "a" }))
    assert.equal(("x"):rep(255), negotiated({ "y", ("x"):rep(255) }, { ("x"):rep(255) }))
    assert.equal("\0\1", negotiated({ "\0\1" }, { "\0\1" }))
  end)

  it("goes on without a protocol where there is none in common", function()
    assert.is_nil(negotiated({ "a" }, { "b" }))
    assert.is_nil(negotiated({ "a" }, nil))
    assert.is_nil(negotiated(nil, { "b" }))
  end)

  it("is given the client's names, and answers a name, names, or anything for none", function()
    local seen
    local function answer(value)
      return negotiated({ "a", "b" }, function(...)
        seen = S.pack(...)
        return value
      end)
    end
    assert.equal("b", answer "b")
    assert.same({ { "a", "b" }, n = 1 }, seen)
    assert.equal("b", answer { "x", "b", "a" })
    for _, none in ipairs { "x", "", { "" }, {}, { "x" }, 5, true, print, ("x"):rep(256), { ("x"):rep(256), "a" }, { 5 },
      { "a", {} }, ("b"):rep(2 ^ 20) } do
      assert.is_nil(answer(none))
    end
    assert.is_nil(answer(nil))
  end)

  it("reads the array again at each handshake", function()
    local list = { "a" }
    local ctx = assert(ssl.newcontext(S.server { alpn = list }))
    local function now()
      local c, s = S.connected(S.client { alpn = { "a", "b" } }, ctx)
      local name = c:getalpn()
      c:close()
      s:close()
      return name
    end
    assert.equal("a", now())
    list[1] = "b"
    assert.equal("b", now())
    list[1] = {}
    assert.is_nil(now())
    list[1] = nil
    assert.is_nil(now())
    list[1], list[2] = "x", "a"
    assert.equal("a", now())
  end)

  it("raises out of a list whose metatable raises", function()
    if _VERSION < "Lua 5.3" then return pending("ipairs does not look at __index before 5.3") end
    local list = { "a" }
    local cr, sr = S.try(S.client { alpn = "a" }, (function()
      local ctx = assert(ssl.newcontext(S.server { alpn = list }))
      list[1] = nil
      setmetatable(list, { __index = function() error("boom", 0) end })
      return ctx
    end)())
    assert.equal("ALPN callback failed: boom", sr[2])
    assert.is_false(cr[1])
  end)

  it("tells the client by an alert when it fails", function()
    local cr, sr = S.try(S.client { alpn = "a" }, S.server { alpn = function() error("boom", 0) end })
    assert.equal("tlsv1 alert no application protocol", cr[2])
    assert.equal("alert", cr[3].kind)
    assert.equal("ALPN callback failed: boom", sr[2])
  end)

  it("sees lists up to what a ClientHello holds", function()
    local list = {}
    for i = 1, 1000 do list[i] = ("%04d"):format(i):rep(2) end
    assert.equal(list[1000], negotiated(list, function(offered)
      assert(#offered == 1000 and offered[1] == list[1])
      return offered[1000]
    end))
  end)

  it("Q13 is that of the context that SNI selected", function()
    local function connect(name, default, mapped)
      local c, s = S.wrapped(S.anyclient { alpn = { "a", "b" }, servername = name }, S.server { alpn = default })
      s:sni { ["mapped.test"] = assert(ssl.newcontext(S.server { alpn = mapped })) }
      local cr, sr = S.shake(c, s)
      assert(cr[1] and sr[1])
      local alpn = c:getalpn()
      c:close()
      s:close()
      return alpn
    end
    assert.equal("b", connect("mapped.test", { "a" }, { "b" }))
    assert.equal("a", connect("other.test", { "a" }, { "b" }))
    assert.is_nil(connect("mapped.test", { "a" }, nil))
    assert.equal("b", connect("mapped.test", nil, { "b" }))
  end)
end)

describe("the PSK callbacks", function()
  -- Handshakes with keys alone: a server without certificate.
  local function pair(version, clientf, serverf)
    local c, s = psk(version), psk(version)
    c.mode, c.psk, s.mode, s.psk = "client", clientf, "server", serverf
    return c, s
  end

  for _, version in ipairs { "tlsv1_2", "tlsv1_3" } do
    describe("with " .. version, function()
      it("are given LuaSec's arguments and agree on a key", function()
        local client, server
        local c, s = S.connected(pair(version, function(...)
          client = S.pack(...)
          return "identity", KEY
        end, function(...)
          server = S.pack(...)
          return KEY
        end))
        assert.same({ nil, 255, 512, n = 3 }, client)
        assert.same({ "identity", version == "tlsv1_3" and 512 or 256, n = 2 },
          { server[1], server[2] == 256 and 256 or 512, n = server.n })
        assert.equal(version == "tlsv1_3" and "TLSv1.3" or "TLSv1.2", c:info("protocol"))
        assert.is_nil(c:getpeercertificate())
        assert.same({}, c:getpeerchain())
        assert.same({}, s:getlocalchain())
        assert.equal("data", S.transfer(c, s, "data"))
        c:close()
        s:close()
      end)

      it("refuse different keys", function()
        local cr, sr = S.try(pair(version, function() return "me", KEY end, function() return KEY .. "x" end))
        assert.is_false(cr[1])
        assert.is_false(sr[1])
        assert.is_true(cr[3].kind == "alert" or cr[3].kind == "protocol")
      end)

      it("take keys of 1 to 512 bytes and identities of 1 to 255", function()
        for _, n in ipairs { 1, 16, 255, 256 } do
          local k = ("k"):rep(n)
          local cr, sr = S.try(pair(version, function() return "me", k end, function() return k end))
          assert.is_true(cr[1], n .. " " .. tostring(cr[2]))
          assert.is_true(sr[1])
        end
        for _, n in ipairs { 1, 255 } do
          local seen
          local cr = S.try(pair(version, function() return ("i"):rep(n), KEY end, function(id)
            seen = id
            return KEY
          end))
          assert.is_true(cr[1], n .. " " .. tostring(cr[2]))
          assert.equal(("i"):rep(n), seen)
        end
      end)

      it("offer nothing for an answer that does not fit", function()
        for _, answer in ipairs { { "me", "" }, { "me" }, {}, { nil, KEY }, { "me", {} }, { {}, KEY }, { "a\0b", KEY },
          { ("i"):rep(256), KEY }, { ("i"):rep(257), KEY }, { "me", ("k"):rep(513) }, { "me", ("k"):rep(2 ^ 20) } } do
          local asked = false
          local cr, sr = S.try(pair(version, function() return answer[1], answer[2] end, function()
            asked = true
            return KEY
          end))
          assert.is_false(cr[1])
          assert.is_false(sr[1])
          assert.is_false(asked)
        end
      end)

      it("know no key for an answer that does not fit", function()
        for _, answer in ipairs { false, true, "", {}, ("k"):rep(513), ("k"):rep(2 ^ 20) } do
          local cr, sr = S.try(pair(version, function() return "me", KEY end, function() return answer end))
          assert.is_false(cr[1])
          assert.is_false(sr[1])
          if version == "tlsv1_2" then assert.equal("psk identity not found", sr[2]) end
        end
        local _, sr = S.try(pair(version, function() return "me", KEY end, function() end))
        assert.is_false(sr[1])
      end)

      it("take numbers as text", function()
        local seen
        local cr = S.try(pair(version, function() return 123, 456 end, function(id)
          seen = id
          return "456"
        end))
        assert.is_true(cr[1])
        assert.equal("123", seen)
      end)

      it("keep keys with NUL bytes whole", function()
        local cr = S.try(pair(version, function() return "me", "a\0b" end, function() return "a\0c" end))
        assert.is_false(cr[1])
        cr = S.try(pair(version, function() return "me", "a\0b" end, function() return "a\0b" end))
        assert.is_true(cr[1])
      end)

      it("leave it to certificates when the server knows no key", function()
        local c, s = S.client { protocol = version, psk = function() return "me", KEY end },
          S.server { protocol = version, psk = function() end }
        if version == "tlsv1_2" then s.ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256" end
        c, s = S.connected(c, s)
        assert.is_true(c:getpeerverification())
        assert.is_truthy(c:getpeercertificate())
        c:close()
        s:close()
      end)
    end)
  end

  it("hand the server's hint to a TLS 1.2 client", function()
    local hint
    local c, s = pair("tlsv1_2", function(h)
      hint = h
      return "me", KEY
    end, { hint = "who is there?", callback = function() return KEY end })
    assert.is_true(S.try(c, s)[1])
    assert.equal("who is there?", hint)
    s.psk.hint = nil
    assert.is_true(S.try(c, s)[1])
    assert.is_nil(hint)
  end)

  it("are looked up in the context that SNI selected", function()
    local ciphers = "PSK"
    local c, s = S.wrapped({ mode = "client", protocol = "tlsv1_2", ciphers = ciphers, servername = "mapped.test",
      psk = function() return "me", KEY end }, { mode = "server", protocol = "tlsv1_2", ciphers = ciphers,
      psk = function() return "not this one" end })
    s:sni { ["mapped.test"] = assert(ssl.newcontext { mode = "server", protocol = "tlsv1_2", ciphers = ciphers,
      psk = function() return KEY end }) }
    local cr, sr = S.shake(c, s)
    assert.is_nil(sr[2])
    assert.is_true(cr[1])
    c:close()
    s:close()
  end)
end)

describe("the dhparam callback", function()
  local function rsa(extra)
    local cfg = S.server { certificate = S.cert("rsa"), key = S.cert("rsakey") }
    for k, v in pairs(extra) do cfg[k] = v end
    return cfg
  end
  local DHE, ECDHE = "DHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"
  local client = { protocol = "tlsv1_2" }

  it("is given LuaSec's arguments, once for all connections of a context", function()
    local calls = {}
    local ctx = assert(ssl.newcontext(rsa { ciphers = DHE, dhparam = function(...)
      calls[#calls + 1] = S.pack(...)
      return dhpem()
    end }))
    assert.equal(0, #calls)
    -- Made before the parameters are there, shaken after.
    local early, earlypeer = S.wrapped(S.client(client), ctx)
    for _ = 1, 3 do
      local c, s = S.connected(S.client(client), ctx)
      assert.equal(DHE, c:info("cipher"))
      assert.equal("DH", s:info("key"))
      c:close()
      s:close()
    end
    local cr = S.shake(early, earlypeer)
    assert.is_true(cr[1])
    assert.equal(DHE, early:info("cipher"))
    early:close()
    earlypeer:close()
    assert.same({ { false, 1024, n = 2 } }, calls)
  end)

  it("is not called by clients", function()
    local called = false
    local c, s = S.connected(S.client { dhparam = function() called = true end })
    c:close()
    s:close()
    assert.is_false(called)
  end)

  local bad = {
    ["nil"] = { function() end, "dhparam callback gave no Diffie-Hellman parameters in PEM" },
    ["a number"] = { function() return 5 end, "dhparam callback gave no Diffie-Hellman parameters in PEM" },
    ["junk"] = { function() return "junk" end, "dhparam callback gave no Diffie-Hellman parameters in PEM" },
    ["a certificate"] = { function() return S.pem("rootA") end,
      "dhparam callback gave no Diffie-Hellman parameters in PEM" },
    ["a key"] = { function() return S.pem("rsakey") end, "dhparam callback gave no Diffie-Hellman parameters in PEM" },
    ["half"] = { function() return dhpem():sub(1, 200) end, "dhparam callback gave no Diffie-Hellman parameters in PEM" },
    ["encrypted"] = { function()
      return (dhpem():gsub("PARAMETERS%-%-%-%-%-\n", "%0Proc-Type: 4,ENCRYPTED\n"
        .. "DEK-Info: AES-256-CBC,00112233445566778899AABBCCDDEEFF\n\n", 1))
    end, "dhparam callback gave no Diffie-Hellman parameters in PEM" },
    ["weak"] = { function()
      local p = io.popen("openssl dhparam -dsaparam 512 2>/dev/null")
      local pem = p:read("*a")
      p:close()
      return pem
    end, "dhparam callback gave Diffie-Hellman parameters that are too weak for the security level" },
  }
  for name, row in pairs(bad) do
    it("that gives " .. name .. " leaves ECDHE, and says why DHE fails", function()
      local calls = 0
      local function f()
        calls = calls + 1
        return row[1]()
      end
      local ctx = assert(ssl.newcontext(rsa { ciphers = DHE .. ":" .. ECDHE, dhparam = f }))
      local c, s = S.connected(S.client(client), ctx)
      assert.equal(ECDHE, c:info("cipher"))
      c:close()
      s:close()
      ctx = assert(ssl.newcontext(rsa { ciphers = DHE, dhparam = f }))
      for _ = 1, 2 do
        local cr, sr = S.try(S.client(client), ctx)
        assert.equal("sslv3 alert handshake failure", cr[2])
        assert.equal(row[2], sr[2])
        assert.equal(row[2], sr[3].reason)
      end
      assert.equal(2, calls)
    end)
  end

  it("is not asked on the terminal", function()
    assert.equal("false\tdhparam callback gave no Diffie-Hellman parameters in PEM", S.terminal([[
      local S = require "support"
      local _, sr = S.try(S.client { protocol = "tlsv1_2" }, S.server { certificate = S.cert("rsa"),
        key = S.cert("rsakey"), ciphers = "DHE-RSA-AES128-GCM-SHA256", dhparam = function()
          return (S.pem("dhparam2048"):gsub("PARAMETERS%-%-%-%-%-\n", "%0Proc-Type: 4,ENCRYPTED\n"
            .. "DEK-Info: AES-256-CBC,00112233445566778899AABBCCDDEEFF\n\n", 1))
        end })
      print(sr[1], sr[2])]]))
  end)

  it("that raises is asked again by the next handshake", function()
    local calls = 0
    local ctx = assert(ssl.newcontext(rsa { ciphers = DHE, dhparam = function()
      calls = calls + 1
      if calls == 1 then error("not yet", 0) end
      return dhpem()
    end }))
    local _, sr = S.try(S.client(client), ctx)
    assert.equal("dhparam callback failed: not yet", sr[2])
    assert.is_true(S.try(S.client(client), ctx)[1])
    assert.is_true(S.try(S.client(client), ctx)[1])
    assert.equal(2, calls)
  end)

  it("of the context that SNI selected counts", function()
    local function connect(default, mapped)
      local c, s = S.wrapped(S.anyclient { protocol = "tlsv1_2", servername = "mapped.test" },
        rsa { ciphers = DHE, dhparam = default })
      s:sni { ["mapped.test"] = assert(ssl.newcontext(rsa { dhparam = mapped })) }
      local cr, sr = S.shake(c, s)
      c:close()
      s:close()
      return cr, sr
    end
    assert.is_true(connect(nil, dhpem)[1])
    assert.is_true(connect(dhpem, dhpem)[1])
    local _, sr = connect(dhpem, nil)
    assert.equal("no shared cipher", sr[2])
    _, sr = connect(dhpem, function() end)
    assert.equal("dhparam callback gave no Diffie-Hellman parameters in PEM", sr[2])
  end)

  it("may close or change its own context", function()
    local ctx
    ctx = assert(ssl.newcontext(rsa { ciphers = DHE .. ":" .. ECDHE, dhparam = function()
      S.finalize(ctx)
      return dhpem()
    end }))
    assert.is_true(S.try(S.client(client), ctx)[1])
    ctx = assert(ssl.newcontext(rsa { ciphers = DHE, dhparam = function()
      context.setdhparam(ctx, dhpem)
      return dhpem()
    end }))
    assert.is_true(S.try(S.client(client), ctx)[1])
    assert.is_true(S.try(S.client(client), ctx)[1])
  end)
end)

describe("SNI maps", function()
  local function mapped(map, strict, name, default)
    local c, s = S.wrapped(S.anyclient { servername = name }, default or S.server())
    s:sni(map, strict)
    local cr, sr = S.shake(c, s)
    local cert = cr[1] and c:getpeercertificate():subject()
    local sni = cr[1] and s:getsniname()
    c:close()
    s:close()
    return cert and cert[#cert].value, cr, sr, sni
  end
  local other = assert(ssl.newcontext(S.server { certificate = S.cert("serverB"), key = S.cert("serverBkey") }))

  it("select the context of a name", function()
    assert.equal("serverB", (mapped({ ["b.test"] = other }, false, "b.test")))
    assert.equal("serverB", (mapped({ ["b.test"] = other }, true, "b.test")))
    assert.equal("serverA", (mapped({ ["b.test"] = other }, false, "a.test")))
    assert.equal("serverA", (mapped({}, false, "a.test")))
    assert.equal("a.test", select(4, mapped({}, false, "a.test")))
  end)

  it("Q16 strict ones refuse unknown names, and take clients that send none", function()
    local _, cr, sr = mapped({ ["b.test"] = other }, true, "a.test")
    assert.equal("tlsv1 unrecognized name", cr[2])
    assert.equal("alert", cr[3].kind)
    assert.equal("callback failed", sr[2])
    assert.equal("protocol", sr[3].kind)
    assert.equal("serverA", (mapped({ ["b.test"] = other }, true, nil)))
    assert.equal("serverA", (mapped(setmetatable({}, { __index = error }), true, nil)))
  end)

  it("are consulted live, with __index, by the name as it came", function()
    local seen = {}
    local map = setmetatable({}, { __index = function(_, name)
      seen[#seen + 1] = name
      if name == "B.test" then return other end
    end })
    assert.equal("serverB", (mapped(map, true, "B.test")))
    assert.equal("B.test", seen[1])
    assert.equal("serverA", (mapped(map, false, "c.test")))
    map["c.test"] = other
    assert.equal("serverB", (mapped(map, false, "c.test")))
  end)

  it("answer false for no context", function()
    local map = setmetatable({}, { __index = function() return false end })
    assert.equal("serverA", (mapped(map, false, "a.test")))
    assert.equal("callback failed", (select(3, mapped(map, true, "a.test")))[2])
  end)

  it("fail the handshake for a value that is no open context", function()
    for shown, value in pairs { table = {}, number = 5, string = "x", boolean = true, ["function"] = print } do
      local _, cr, sr = mapped(setmetatable({}, { __index = function() return value end }), false, "a.test")
      assert.equal("SNI callback failed: the value for 'a.test' is not an open SSL:Context but a " .. shown, sr[2])
      assert.equal("callback", sr[3].kind)
      assert.equal("alert", cr[3].kind)
    end
    local closed = assert(ssl.newcontext(S.server()))
    S.finalize(closed)
    local _, _, sr = mapped({ ["a.test"] = closed }, false, "a.test")
    assert.equal("SNI callback failed: the value for 'a.test' is not an open SSL:Context but a userdata", sr[2])
  end)

  it("of one connection do not touch others of the context", function()
    local ctx = assert(ssl.newcontext(S.server()))
    assert.equal("serverB", (mapped({ ["b.test"] = other }, true, "b.test", ctx)))
    local c, s = S.connected(S.anyclient { servername = "a.test" }, ctx)
    assert.equal("a.test", s:getsniname())
    c:close()
    s:close()
    -- Both in flight at once.
    local c1, s1 = S.wrapped(S.anyclient { servername = "b.test" }, ctx)
    local c2, s2 = S.wrapped(S.anyclient { servername = "b.test" }, ctx)
    s1:sni { ["b.test"] = other }
    local r1, r2 = S.shake(c1, s1), S.shake(c2, s2)
    assert.is_true(r1[1] and r2[1])
    local function cn(conn)
      local subject = conn:getpeercertificate():subject()
      return subject[#subject].value
    end
    assert.equal("serverB", cn(c1))
    assert.equal("serverA", cn(c2))
    for _, conn in ipairs { c1, s1, c2, s2 } do conn:close() end
  end)

  it("hold their contexts until the connection is closed", function()
    local weak = setmetatable({}, { __mode = "v" })
    local c, s = S.wrapped(S.anyclient { servername = "b.test" }, S.server())
    do
      local ctx = assert(ssl.newcontext(S.server { certificate = S.cert("serverB"), key = S.cert("serverBkey") }))
      weak[1] = ctx
      s:sni { ["b.test"] = ctx }
    end
    S.collect()
    assert.is_not_nil(weak[1])
    local cr = S.shake(c, s)
    assert.is_true(cr[1])
    S.collect()
    assert.is_not_nil(weak[1])
    c:close()
    s:close()
    c, s = nil, nil -- luacheck: ignore 311
    S.collect()
    assert.is_nil(weak[1])
  end)
end)
