-- The settings sni and snistrict: which context serves a connection by the name the client sends, and what is refused.
-- What the chosen context brings along is in servernames_moved_spec.lua.

local N = require "names"
local S = require "support"
local ssl = S.ssl

local VERSIONS = { "tlsv1_2", "tlsv1_3" }
local ask, newcontext, seen = N.ask, N.newcontext, N.seen

local b = newcontext("serverB")
local o = newcontext("wronghost")
local w = newcontext("wildcard")

describe("the setting sni", function()
  it("chooses by the exact name, in any case, by the one label of a wildcard", function()
    local map = { ["b.test"] = b, ["*.w.test"] = w, ["o.w.test"] = o, ["Caps.Test"] = o, ["*.Up.test"] = b,
      localhost = b, ["192.0.2.1"] = o }
    local rows = {
      ["b.test"] = "serverB", ["B.TEST"] = "serverB", ["b.TeSt"] = "serverB", ["b.test."] = "serverB",
      ["x.w.test"] = "wildcard", ["X.W.TEST"] = "wildcard", ["o.w.test"] = "wronghost", ["O.w.test"] = "wronghost",
      ["w.test"] = "serverA", ["x.y.w.test"] = "serverA", [".w.test"] = "serverA", ["*.w.test"] = "wildcard",
      ["caps.test"] = "wronghost", ["CAPS.test"] = "wronghost", ["Caps.Test"] = "wronghost",
      ["x.up.test"] = "serverB", ["x.UP.TEST"] = "serverB", LOCALHOST = "serverB", test = "serverA",
      ["b.test.."] = "serverA", ["."] = "serverA",
      ["192.0.2.1"] = "wronghost", ["192.0.2.2"] = "serverA", ["a b.test"] = "serverA",
      ["b.test:443"] = "serverA", [("x"):rep(248) .. ".w.test"] = "wildcard", ["\228.w.test"] = "wildcard",
    }
    local ctx = assert(ssl.newcontext(S.server { sni = map }))
    for name, expected in pairs(rows) do
      local client, server = S.wrapped(S.anyclient(), ctx)
      client:sni(name)
      S.shake(client, server)
      assert.equal(expected, seen(client), name)
      client:close()
      server:close()
    end
  end)

  it("leaves clients without a name, and unknown names, to the context itself", function()
    for _, version in ipairs(VERSIONS) do
      assert.equal("serverA", (ask(nil, { ["b.test"] = b }, { protocol = version })))
      assert.equal("serverA", (ask("a.test", { ["b.test"] = b }, { protocol = version })))
      assert.equal("serverB", (ask("b.test", { ["b.test"] = b }, { protocol = version })))
      assert.equal("serverA", (ask("a.test", {}, { protocol = version })))
    end
    local function sent(_, s) return s:getsniname() end
    assert.equal("b.test", select(4, ask("b.test", { ["b.test"] = b }, nil, nil, sent)))
  end)

  it("with snistrict refuses unknown and absent names with the alert unrecognized_name", function()
    for _, version in ipairs(VERSIONS) do
      local extra = { protocol = version, snistrict = true }
      assert.equal("serverB", (ask("b.test", { ["b.test"] = b }, extra)))
      for _, map in ipairs { { ["b.test"] = b }, {}, function() return nil end, function() return false end } do
        local _, cr, sr = ask("a.test", map, extra)
        assert.equal("tlsv1 unrecognized name", cr[2])
        assert.equal("alert", cr[3].kind)
        assert.equal("the client asked for the server name 'a.test', which is unknown here", sr[2])
        assert.equal("protocol", sr[3].kind)
        assert.equal("a.test", sr[3].host)
        assert.matches("snistrict", sr[3].hint)
        _, cr, sr = ask(nil, map, extra)
        assert.equal("tlsv1 unrecognized name", cr[2])
        assert.equal("the client sent no server name, and snistrict asks for one", sr[2])
        assert.is_nil(sr[3].host)
      end
    end
    local _, _, sr = ask("a\27[2J\n\255.test", {}, { snistrict = true })
    assert.equal("the client asked for the server name 'a?[2J??.test', which is unknown here", sr[2])
  end)

  it("may be a function of the name and the connection, called once", function()
    local calls = {}
    local function choose(name, conn)
      calls[#calls + 1] = { name or "none", conn }
      if name == "b.test" then return b end
    end
    local ctx = assert(ssl.newcontext(S.server { sni = choose }))
    for _, version in ipairs(VERSIONS) do
      for _, name in ipairs { "b.test", "B.test", "none" } do
        calls = {}
        local sent = name ~= "none" and name or nil
        local server
        local got = ask(sent, nil, ctx, { protocol = version }, function(_, s) server = s end)
        assert.equal(name == "b.test" and "serverB" or "serverA", got)
        assert.equal(1, #calls)
        assert.equal(name, calls[1][1])
        assert.equal(server, calls[1][2])
      end
    end
  end)

  it("is asked once when the server wants another key share", function()
    local calls = 0
    local function choose() calls = calls + 1 return b end
    assert.equal("serverB", (ask("b.test", choose, { protocol = "tlsv1_3", groups = "P-256" },
      { groups = "X25519:P-256" })))
    assert.equal(1, calls)
    local only = newcontext("serverB", { groups = "P-256" })
    assert.equal("serverB", (ask("b.test", { ["b.test"] = only }, { protocol = "tlsv1_3", groups = "X25519" },
      { groups = "X25519:P-256" })))
  end)

  it("reads its map live, with __index", function()
    local map = {}
    local ctx = assert(ssl.newcontext(S.server { sni = map }))
    assert.equal("serverA", (ask("b.test", nil, ctx)))
    map["b.test"] = b
    assert.equal("serverB", (ask("B.test", nil, ctx)))
    map["b.test"] = o
    assert.equal("wronghost", (ask("b.test", nil, ctx)))
    map["b.test"] = nil
    assert.equal("serverA", (ask("b.test", nil, ctx)))
    setmetatable(map, { __index = function(_, name) return name == "*.lazy.test" and b or nil end })
    assert.equal("serverB", (ask("x.lazy.test", nil, ctx)))
    assert.equal("serverA", (ask("lazy.test", nil, ctx)))
  end)

  it("gives way to conn:sni", function()
    local ctx = assert(ssl.newcontext(S.server { sni = { ["b.test"] = b }, snistrict = true }))
    local c, s = S.wrapped(S.anyclient { servername = "b.test" }, ctx)
    s:sni { ["b.test"] = o }
    assert.is_true(S.shake(c, s)[1])
    assert.equal("wronghost", seen(c))
    c:close()
    s:close()
    for _, name in ipairs { "b.test", "none" } do
      c, s = S.wrapped(S.anyclient { servername = name ~= "none" and name or nil }, ctx)
      s:sni({})
      assert.is_true(S.shake(c, s)[1])
      assert.equal("serverA", seen(c))
      c:close()
      s:close()
    end
    assert.equal("serverB", (ask("b.test", nil, ctx)))
  end)

  it("of a chosen context is not asked again", function()
    local inner = newcontext("wronghost", { sni = function() error("asked") end, snistrict = true })
    assert.equal("wronghost", (ask("b.test", { ["b.test"] = inner })))
  end)
end)

describe("what the setting sni refuses", function()
  local function refused(expected, extra)
    local ctx, message, detail = ssl.newcontext(extra.mode and extra or S.server(extra))
    assert.is_nil(ctx)
    assert.equal(expected, message)
    assert.equal("config", detail.kind)
    assert.equal(expected, detail.reason)
  end

  it("names that no client could ask for", function()
    for name, why in pairs {
      [""] = "an empty name",
      [("x"):rep(256)] = "a name longer than 255 bytes",
      ["a\0b.test"] = "'a?b.test' has a character that no name has",
      ["a b"] = "'a b' has a character that no name has",
      [".a.test"] = "'.a.test' begins with a dot; for every name under it write '*.a.test'",
      ["a.test."] = "'a.test.' ends with a dot, which clients leave out",
      ["*"] = "'*' has an asterisk that does not stand for its whole first label, as in '*.example.com'",
      ["a.*.test"] = "'a.*.test' has an asterisk that does not stand for its whole first label, as in '*.example.com'",
      ["*.*.test"] = "'*.*.test' has an asterisk that does not stand for its whole first label, as in '*.example.com'",
      ["w*.test"] = "'w*.test' has an asterisk that does not stand for its whole first label, as in '*.example.com'",
      [1] = "the names in it must be strings, got number",
      [true] = "the names in it must be strings, got boolean",
    } do
      refused("invalid sni (" .. why .. ")", { sni = { [name] = b } })
    end
    local _, message = ssl.newcontext(S.server { sni = { ["A.test"] = b, ["a.Test"] = b } })
    assert.is_truthy(message == "invalid sni ('A.test' and 'a.Test' are the same name)" or
      message == "invalid sni ('a.Test' and 'A.test' are the same name)", message)
  end)

  it("values that are no open server context", function()
    local closed = newcontext("serverB")
    S.finalize(closed)
    local text = "invalid sni (the value for 'a.test' must be an open server context, and is %s)"
    for is, value in pairs { ["a string"] = "serverB", ["a table"] = { mode = "server" }, ["a boolean"] = true,
      ["a function"] = print, ["no open context"] = closed,
      ["a context of mode client"] = ssl.newcontext(S.anyclient()) } do
      refused(text:format(is), { sni = { ["a.test"] = value } })
    end
    refused(text:format("no open context"), { sni = { ["a.test"] = io.stdout } })
  end)

  it("other types, and clients", function()
    refused("invalid sni (table or function expected, got string)", { sni = "a.test" })
    refused("invalid sni (table or function expected, got number)", { sni = 1 })
    refused("invalid sni (table or function expected, got userdata)", { sni = b })
    refused("invalid snistrict (boolean expected, got string)", { sni = {}, snistrict = "yes" })
    refused("snistrict needs sni or keypairs, which say what names are known", { snistrict = true })
    refused("sni is a server's setting; a client sends servername", S.client { sni = print })
    refused("sni is a server's setting; a client sends servername", S.client { sni = { ["a.test"] = b } })
    refused("snistrict is a server's setting", S.client { snistrict = true })
    assert(ssl.newcontext(S.client { sni = { names = "a.test" } })) -- Copas' settings, passed along
    assert(ssl.newcontext(S.server { sni = false, snistrict = false }))
  end)
end)

describe("a function for sni", function()
  local function failing(f, pattern)
    for _, version in ipairs(VERSIONS) do
      local _, cr, sr = ask("a.test", f, { protocol = version })
      assert.equal("tlsv1 alert internal error", cr[2])
      assert.matches(pattern, sr[2])
      assert.equal("callback", sr[3].kind)
    end
  end

  it("that raises ends the handshake", function()
    failing(function() error("no contexts today", 0) end, "^SNI callback failed: no contexts today$")
    failing(function() error({}) end, "^SNI callback failed: %(error object is a table value%)$")
    failing(function() error() end, "^SNI callback failed: ")
    failing(function() error(setmetatable({}, { __tostring = error })) end, "^SNI callback failed: ")
  end)

  it("that yields ends the handshake", function()
    local c, s = S.wrapped(S.anyclient { servername = "a.test" }, S.server { sni = function() coroutine.yield() end })
    local co = coroutine.wrap(function() return { S.shake(c, s) } end)
    local results = co()
    assert.matches("^SNI callback failed: .*yield", results[2][2])
    assert.equal("callback", results[2][3].kind)
    c:close()
    s:close()
  end)

  it("that answers no open server context ends the handshake", function()
    for shown, value in pairs { table = {}, number = 5, string = "x", boolean = true, ["function"] = print,
      userdata = io.stdout } do
      failing(function() return value end,
        "^SNI callback failed: the value for 'a.test' is not an open SSL:Context but a " .. shown .. "$")
    end
    local closed = newcontext("serverB")
    S.finalize(closed)
    failing(function() return closed end, "is not an open SSL:Context but a userdata$")
    local client = assert(ssl.newcontext(S.anyclient()))
    failing(function() return client end,
      "^SNI callback failed: the value for 'a.test' is a context with another mode than server$")
    local _, _, sr = ask(nil, function() return 5 end)
    assert.equal("SNI callback failed: the value for '(no name)' is not an open SSL:Context but a number", sr[2])
  end)

  it("that closes the connection or a context ends it without harm", function()
    for _, answer in ipairs { false, b } do
      local _, _, sr = ask("a.test", function(_, conn)
        conn:close()
        return answer
      end)
      assert.equal("closed", sr[2])
      assert.equal("closed", sr[3].kind)
    end
    local victim = newcontext("serverB", { dhparam = function() end })
    local _, _, sr = ask("a.test", function()
      S.finalize(victim)
      return victim
    end)
    assert.matches("not an open SSL:Context", sr[2])
    -- The context that the connection was made from: its callbacks go on.
    local own
    own = assert(ssl.newcontext(S.server { sni = function()
      S.finalize(own)
      return b
    end }))
    assert.equal("serverB", (ask("b.test", nil, own)))
  end)

  it("that calls the connection's methods gets answers", function()
    local answers
    local got = ask("b.test", function(_, conn)
      answers = { conn:dohandshake() }
      conn:sni({})
      conn:receive()
      conn:send("x")
      conn:info()
      conn:getsniname()
      return b
    end)
    assert.equal("serverB", got)
    assert.is_false(answers[1])
    assert.equal("callback", answers[3].kind)
  end)

  it("may make a new context for each connection", function()
    for _ = 1, 3 do
      assert.equal("serverB", (ask("b.test", function()
        local ctx = newcontext("serverB")
        S.collect()
        return ctx
      end)))
    end
  end)
end)
