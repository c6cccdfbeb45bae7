-- Connections on memory: feed, drain, and every method between them, without a socket.

local S = require "support"
local E = require "engines"
local ssl = S.ssl

local versions = { "tlsv1_2", "tlsv1_3" }

describe("an engine", function()
  for _, version in ipairs(versions) do
    describe("with " .. version, function()
      local client, server

      before_each(function()
        client, server = E.pair({ protocol = version }, { protocol = version })
      end)

      it("shakes hands with another", function()
        assert.same({ false, "wantread" }, { E.two(client:dohandshake()) })
        E.shake(client, server)
        assert.is_true(client:getpeerverification())
        assert.equal(client:getfinished(), server:getpeerfinished())
        assert.equal(client:info("protocol"), server:info("protocol"))
        assert.equal(-1, client:getfd())
      end)

      it("shakes hands when it is fed one byte at a time", function()
        E.shake(client, server, 1)
        assert.is_true(client:getpeerverification())
      end)

      it("carries lines, counts and all, both ways", function()
        E.shake(client, server)
        assert.equal(13, (client:send("one\r\ntwo\nrest")))
        E.carry(client, server)
        assert.is_true(server:dirty())
        assert.equal("one", (server:receive()))
        assert.equal("two", (server:receive("*l")))
        assert.same({ nil, "wantread", "rest" }, { E.three(server:receive(9)) })
        assert.is_false(server:dirty())
        assert.equal(5, (server:write("again")))
        E.carry(server, client)
        assert.equal("aga", (client:read(3)))
        assert.equal("in", (client:read()))
        assert.same({ nil, "wantread" }, { E.two(client:read()) })
      end)

      it("ends with close_notify in both directions", function()
        E.shake(client, server)
        client:send("bye")
        assert.same({ nil, "wantread" }, { E.two(client:shutdown()) })
        E.carry(client, server)
        assert.equal("bye", (server:receive("*a")))
        assert.same({ nil, "closed" }, { E.two(server:read()) })
        assert.is_true(server:shutdown())
        E.carry(server, client)
        assert.is_true(client:shutdown())
      end)

      it("has close_notify to drain after close", function()
        E.shake(client, server)
        E.carry(server, client)
        client:close()
        local last = client:drain()
        assert.is_true(#last > 0)
        assert.equal("", client:drain())
        assert.is_true(server:feed(last))
        assert.same({ nil, "closed" }, { E.two(server:receive()) })
        assert.equal("closed", server:lasterror().kind)
        assert.same({ nil, "closed" }, { E.two(client:feed("x")) })
      end)

      it("tells an end without close_notify", function()
        E.shake(client, server)
        client:send("half")
        E.carry(client, server)
        assert.is_true(server:feedeof())
        assert.equal("half", (server:receive(4)))
        local data, message, partial, detail = server:receive()
        assert.same({ "unexpected eof while reading", "" }, { message, partial })
        assert.is_nil(data)
        assert.equal("truncated", detail.kind)
        assert.same({ nil, "closed" }, { E.two(server:feed("x")) })
      end)

      it("has the alert to drain after a failed handshake", function()
        local stranger = assert(ssl.engine(S.client { cafile = S.cert "rootB", protocol = version }))
        local ok, message, detail = E.fail(stranger, server)
        assert.is_false(ok)
        assert.equal("verify", detail.kind, message)
        E.carry(stranger, server)
        ok, message, detail = server:dohandshake()
        if version == "tlsv1_2" or not ok then
          assert.is_false(ok)
        else
          local answer = S.pack(server:receive())
          message, detail = answer[2], answer[4]
        end
        assert.equal("alert", detail.kind, message)
      end)

      it("is made new by reset", function()
        E.shake(client, server)
        client:send("left behind")
        assert.is_true(client:reset())
        assert.equal("", client:drain())
        assert.is_false(client:dirty())
        assert.same({ nil, "closed" }, { E.two(client:receive()) })
        assert.is_true(server:reset())
        E.shake(client, server)
        client:send("new\n")
        E.carry(client, server)
        assert.equal("new", (server:receive()))
      end)

      it("is made new by reset after a failure", function()
        client:dohandshake()
        assert.is_true(client:feed("this is no TLS at all, is it"))
        assert.is_false((client:dohandshake()))
        assert.not_nil(client:lasterror())
        assert.is_true(client:reset())
        assert.is_nil(client:lasterror())
        E.shake(client, server)
      end)

      it("keeps its server name through reset", function()
        client:sni("a.example")
        assert.is_true(client:reset())
        E.shake(client, server)
        assert.equal("a.example", server:info("servername") or "a.example")
      end)

      it("talks to a connection on a socket", function()
        for _, side in ipairs { "client", "server" } do
          local conn, peer = S.tcp()
          local engine = side == "client" and client or server
          conn = assert(ssl.wrap(conn, side == "client" and S.server { protocol = version } or
            S.client { protocol = version }))
          conn:settimeout(0)
          peer:settimeout(0)
          E.shake(engine, E.socketed(conn, peer))
          engine:send("over the wire\n")
          S.poll(function()
            E.push(engine, peer)
            return conn:dirty() or select(2, conn:receive(0)) ~= "wantread"
          end)
          assert.equal("over the wire", (conn:receive()))
          conn:close()
          peer:close()
        end
      end)

      it("takes each flight cut at every byte", function()
        local make = E.maker({ protocol = version, verify = "none" }, { protocol = version })
        for i, flight in ipairs(E.flights(make())) do
          for cut = 1, flight - 1 do
            local c, s = make()
            assert.is_true(E.shakecut(c, s, i, cut), ("flight %d cut at %d"):format(i, cut))
          end
        end
      end)
    end)
  end

  it("carries much through small limits", function()
    local client, server = E.connected()
    client:setoption("maxoutput", 4000)
    local data, sent, got = ("0123456789"):rep(20000), 0, {}
    for _ = 1, 1000 do
      if sent < #data then
        local last, message, partial = client:send(data, sent + 1)
        sent = last or partial
        if not last then assert.equal("wantwrite", message) end
      end
      assert.is_true(client:pendingout() <= 4000)
      E.carry(client, server, 100)
      got[#got + 1] = server:read()
      if sent == #data and client:pendingout() == 0 and not server:dirty() then break end
    end
    got[#got + 1] = server:read() or nil
    assert.equal(#data, #table.concat(got))
    assert.is_true(table.concat(got) == data)
  end)

  it("answers wantwrite while nobody drains, and goes on later", function()
    local client, server = E.connected()
    client:setoption("maxoutput", 20000)
    local big = ("x"):rep(100000)
    local last, message, sent = client:send(big)
    assert.is_nil(last)
    assert.equal("wantwrite", message)
    assert.is_true(sent < #big)
    local got = 0
    for _ = 1, 100 do
      E.carry(client, server)
      local piece = server:read()
      while piece do
        got = got + #piece
        piece = server:read()
      end
      if sent == #big then break end
      local failed
      last, failed, message = client:send(big, sent + 1)
      assert.is_true(failed == nil or failed == "wantwrite")
      sent = last or message
    end
    E.carry(client, server)
    got = got + #(server:read() or "")
    assert.equal(#big, got)
  end)

  it("keeps a record above maxoutput at most, however send and receive take turns", function()
    local client = E.connected()
    client:setoption("maxoutput", 20000)
    local big, sent = ("x"):rep(300000), 0
    for _ = 1, 20 do
      local last, message, partial = client:send(big, sent + 1)
      sent = last or partial
      assert.equal("wantwrite", message)
      assert.equal("wantread", (select(2, client:receive(1))))
      assert.is_true(client:pendingout() < 20000 + 16384 + 512)
    end
  end)

  it("takes no more input than maxinput allows", function()
    local client, server = E.connected()
    server:setoption("maxinput", 1000)
    client:send(("y"):rep(900))
    local flight = client:drain()
    assert.is_true(server:feed(flight))
    local ok, message, detail = server:feed(flight)
    assert.is_nil(ok)
    assert.equal("more input than maxinput allows; read what was fed before", message)
    assert.equal("want", detail.kind)
    assert.equal(900, #server:read())
    assert.equal(1000, server:getoption("maxinput"))
    assert.equal(1048576, client:getoption("maxinput"))
    assert.equal(1048576, client:getoption("maxoutput"))
  end)

  it("takes what another engine has to send, without a string between them", function()
    for _, protocol in ipairs { "tlsv1_2", "tlsv1_3", "dtls" } do
      local client, server = E.pair({ protocol = protocol }, { protocol = protocol })
      for _ = 1, 10 do
        client:dohandshake()
        assert.is_true(server:feed(client))
        server:dohandshake()
        assert.is_true(client:feed(server))
      end
      assert.is_true(client:dohandshake())
      assert.is_true(server:dohandshake())
      for round = 1, 3 do
        client:write(("first %d"):format(round))
        assert.is_true(server:feed(client))
        client:write("second")
        assert.is_true(server:feed(client)) -- behind what waits
        assert.equal(0, client:pendingout())
        assert.equal(("first %d"):format(round), (server:read(7)))
        assert.equal("second", (server:read(100)))
      end
      client:write(("x"):rep(500))
      client:write(("y"):rep(500))
      server:setoption("maxinput", 700)
      local ok, message, detail = server:feed(client)
      assert.is_nil(ok)
      assert.truthy(message:find("maxinput", 1, true))
      assert.equal("want", detail.kind)
      local got = server:read() or ""
      server:feed(client)
      got = got .. (server:read() or "")
      server:feed(client)
      got = got .. (server:read() or "")
      assert.equal(("x"):rep(500) .. ("y"):rep(500), got)
      client:close()
      assert.is_true(server:feed(client))
      assert.same({ nil, "closed" }, { E.two(server:read()) })
      assert.same({ nil, "closed" }, { E.two(client:feed(server)) })
    end
  end)

  it("takes nothing from connections of another kind", function()
    local client = E.pair()
    local datagrams = E.pair({ protocol = "dtls" })
    local conn, peer = S.connected()
    for _, other in ipairs { datagrams, conn } do
      local ok, message = client:feed(other)
      assert.is_nil(ok)
      assert.equal("the other connection is no engine of the same kind, TLS or DTLS", message)
    end
    assert.is_true(client:feed(client))
    conn:close()
    peer:close()
  end)

  -- To make the string may run the collector, and that a finalizer.
  it("gives each byte once, whatever a finalizer drains meanwhile", function()
    local rest = S.greedy()
    local client, server = E.connected()
    local drained, got = 0, {}
    for i = 1, 300 do
      client:send(("%04d"):format(i) .. ("x"):rep(3000))
      S.litter(function()
        drained = drained + 1
        got[#got + 1] = client:drain()
      end)
      local mine = client:drain()
      got[#got + 1] = mine
    end
    S.collect()
    rest()
    assert.is_true(drained > 0)
    for _, piece in ipairs(got) do server:feed(piece) end
    for i = 1, 300 do assert.equal(("%04d"):format(i), (server:receive(3004)):sub(1, 4)) end
    server:close()
    client:close()
  end)

  it("drains in pieces of any size", function()
    for _, size in ipairs { 1, 2, 5, 100, 1000 } do
      local client, server = E.pair()
      client:dohandshake()
      local n = client:pendingout()
      assert.is_true(n > 0)
      assert.equal(math.min(size, n), #client:drain(size))
      assert.equal(n - math.min(size, n), client:pendingout())
      assert.equal("", client:drain(0))
      client:close()
      server:close()
    end
  end)

  it("answers its methods in every state", function()
    local client, server = E.connected()
    client:close()
    client:close()
    assert.same({ nil, "closed" }, { E.two(client:reset()) })
    assert.is_true(client:feedeof())
    assert.same({ false, "closed" }, { E.two(client:dohandshake()) })
    assert.same({ nil, "closed" }, { E.two(client:setoption("maxinput", 5)) })
    assert.is_true(#client:drain() > 0)
    assert.equal(0, client:pendingout())
    assert.has_error(function() server:feed() end)
    assert.has_error(function() server:feed({}) end)
    assert.has_error(function() server:drain(-1) end)
    assert.has_error(function() server:drain("x") end)
    assert.is_true(server:feed(""))
    assert.same({ nil, "Bad file descriptor" }, { E.two(server:getpeername()) })
  end)

  it("answers info when a handshake fails between a HelloRetryRequest and its answer", function()
    local client, server = E.pair({ protocol = "tlsv1_3", groups = "X25519:P-256" },
      { protocol = "tlsv1_3", groups = "P-256" })
    client:dohandshake()
    E.carry(client, server)
    assert.same({ false, "wantread" }, { E.two(server:dohandshake()) })
    assert.is_true(#server:drain() > 0)
    server:feed("\22\3\3\0\4no h")
    local ok, message = server:dohandshake()
    assert.is_false(ok)
    assert.is_false(S.wants(message))
    local info = assert(server:info())
    assert.is_nil(info.group)
    assert.is_nil(server:info("group"))
  end)

  it("is not made new by reset when its context is closed", function()
    local ctx = assert(ssl.newcontext(S.client()))
    local engine = assert(ssl.engine(ctx))
    engine:dohandshake()
    S.finalize(ctx)
    local ok, message, detail = engine:reset()
    assert.is_nil(ok)
    assert.equal("the context is closed, or not a context", message)
    assert.equal("config", detail.kind)
    engine:close()
    local server
    ctx = assert(ssl.newcontext(S.client()))
    engine, server = assert(ssl.engine(ctx)), assert(ssl.engine(S.server()))
    E.shake(engine, server)
    engine:send("out\n")
    server:send("in\n")
    E.carry(server, engine)
    S.finalize(ctx)
    assert.is_nil((engine:reset()))
    assert.equal("in", (engine:receive())) -- nothing is lost
    E.carry(engine, server)
    assert.equal("out", (server:receive()))
  end)

  it("is the only one that can be fed", function()
    local client, server = S.connected()
    local words = "the connection has a socket; only an engine is fed and drained"
    for _, name in ipairs { "feed", "feedeof", "drain", "pendingout", "reset" } do
      assert.same({ nil, words }, { E.two(client[name](client, "x")) })
    end
    assert.is_nil((client:setoption("maxinput", 5)))
    assert.is_nil((client:getoption("maxoutput")))
    client:close()
    server:close()
  end)

  it("refuses what is no context", function()
    assert.has_error(function() ssl.engine() end)
    assert.has_error(function() ssl.engine("x") end)
    assert.has_error(function() ssl.engine({}) end)
    assert.is_nil((ssl.engine(S.server { certificate = "/nowhere" })))
  end)

  it("cannot be reset or fed to death by its own callbacks", function()
    local conn
    local said = {}
    local ctx = assert(ssl.newcontext(S.server { alpn = function()
      said[1] = { E.two(conn:reset()) }
      said[2] = { E.two(conn:dohandshake()) }
      conn:feed("")
      said[3] = conn:drain()
      return { "h2" }
    end }))
    conn = assert(ssl.engine(ctx))
    local client = assert(ssl.engine(S.client { alpn = "h2" }))
    E.shake(client, conn)
    assert.is_nil(said[1][1])
    assert.truthy(said[1][2]:find("busy"))
    assert.truthy(said[2][2]:find("busy"))
    assert.equal("", said[3])
  end)

  it("can be closed by its own callback", function()
    local conn
    conn = assert(ssl.engine(S.server { alpn = function() conn:close() return { "h2" } end }))
    local client = assert(ssl.engine(S.client { alpn = "h2" }))
    client:dohandshake()
    E.carry(client, conn)
    assert.same({ false, "closed" }, { E.two(conn:dohandshake()) })
  end)

  it("survives arbitrary bytes at any time, in both roles", function()
    local random = S.random(20261121)
    for round = 1, 300 do
      local client, server = E.pair({ verify = "none" })
      local steps = random(8)
      for _ = 1, steps do
        client:dohandshake()
        E.carry(client, server)
        server:dohandshake()
        E.carry(server, client)
      end
      for _, engine in ipairs { client, server } do
        local junk = {}
        for i = 1, random(400) do junk[i] = string.char(random(256) - 1) end
        if round % 3 == 0 then table.insert(junk, 1, "\22\3\3") end
        if round % 3 == 1 then table.insert(junk, 1, "\23\3\3\0\20") end
        assert.is_true(engine:feed(table.concat(junk)))
        engine:dohandshake()
        engine:receive()
        engine:send("x")
        engine:shutdown()
        engine:drain()
        assert.is_true(engine:getoption("maxinput") > 0)
        engine:close()
      end
    end
  end)

  it("flips of single bits are never taken for data", function()
    local random = S.random(7)
    for _ = 1, 200 do
      local client, server = E.connected()
      client:send("the truth")
      local flight = client:drain()
      local at = random(#flight)
      local byte = flight:byte(at)
      local bit = 2 ^ (random(8) - 1)
      local other = byte % (2 * bit) >= bit and byte - bit or byte + bit
      server:feed(flight:sub(1, at - 1) .. string.char(other) .. flight:sub(at + 1))
      local data, message = server:read()
      assert.is_nil(data)
      assert.is_string(message)
    end
  end)

  it("lets go of its memory", function()
    local grown = S.growth([[
      local E = require "engines"
      return function()
        local client, server = E.connected()
        client:send(("z"):rep(30000))
        E.carry(client, server)
        client:close()
      end
    ]], 400, 800)
    assert.is_true(grown < 4096, grown)
  end)
end)
