-- The barrier between OpenSSL and Lua: each callback of a handshake with everything a Lua function can do in it. What
-- the callbacks are for is in the specs of ALPN, PSK, dhparam and SNI; the password callback in credentials_spec.

local S = require "support"
local context = require "ssl.context"
local release = require "release"
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
  keylog = {
    side = "server", name = "keylog",
    good = function() end,
    setup = function(f) return S.client(), S.server { keylog = f } end,
  },
  ["client keylog"] = {
    side = "client", name = "keylog",
    good = function() end,
    setup = function(f) return S.client { keylog = f, protocol = "tlsv1_2" }, S.server() end,
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
        ciphers = "DHE-RSA-AES128-GCM-SHA256", dhparam = f })) }
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
      broken(kind, release.nothing or "(error object is a nil value)", function() error(nil) end)
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
        for _, method in ipairs { "info", "getalpn", "getsniname", "getpeercertificate", "getpeerchain", "getfd",
          "want", "getlocalcertificate", "getlocalchain", "getpeerverification", "getfinished", "getpeerfinished",
          "dirty", "settimeout", "getstats", "lasterror" } do
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
      -- In a function of its own: the dead variables of a loop stay on the stack of the function that has it.
      local function use()
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
      end
      use()
      S.collect()
      S.collect()
      assert.is_nil(next(weak))
    end)
  end)
end
