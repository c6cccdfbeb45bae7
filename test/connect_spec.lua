-- ssl.connect against servers in other processes, and ssl.checkhostname.

local S = require "support"
local ssl = S.ssl
local socket = require "socket"

-- Runs fn(port) with a server for `count` connections.
local function with(count, name, fn)
  local lua = os.getenv("LUA") or "lua"
  local child = assert(io.popen(("%s test/peer/https_server.lua %d %s"):format(lua, count, name or "serverA"), "r"))
  local port = assert(child:read("*l"))
  local ok, err = pcall(fn, port)
  child:close()
  if not ok then error(err, 0) end
end

-- Every name has these addresses until the test ends.
local function resolveto(...)
  local core = require "ssl.core"
  local resolve, addresses = core.resolve, { ... }
  S.atend(finally, function() core.resolve = resolve end)
  core.resolve = function() return addresses end
end

local function verified(extra)
  local flags = { verify = "peer", cafile = S.cert("rootA"), timeout = 5 }
  for k, v in pairs(extra or {}) do flags[k] = v end
  return flags
end

-- A listener that never answers, and its port.
local function silent()
  local listener = assert(socket.bind("127.0.0.1", 0))
  return listener, (select(2, listener:getsockname()))
end

describe("ssl.connect and names", function()
  it("says whose name could not be looked up, and why", function()
    local core = require "ssl.core"
    local resolve = core.resolve
    S.atend(finally, function() core.resolve = resolve end)
    for words, hint in pairs { ["host not found"] = "^no name server knows",
      ["Temporary failure in name resolution"] = "^no name server answers" } do
      core.resolve = function() return nil, words, { kind = "system", reason = words } end
      local conn, message, detail = ssl.connect("some.test", 443)
      assert.is_nil(conn)
      assert.same({ words, "some.test" }, { message, detail.host })
      assert.matches(hint, detail.hint)
    end
  end)
end)

describe("ssl.connect with a pre-shared key", function()
  it("asks for no certificate, unless the program names whom it is for", function()
    local child = assert(io.popen(S.interpreter() .. " samples/psk/server.lua 0 4"))
    local port = assert(child:read("*l"))
    for _, version in ipairs { "tlsv1_2", "tlsv1_3" } do
      local flags = { protocol = version, timeout = 10, psk = { identity = "lamp", key = ("\79"):rep(32) } }
      local conn = assert(ssl.connect("127.0.0.1", port, flags))
      assert.equal("good evening, lamp", (conn:receive("*l")))
      conn:close()
      flags.verifyname = "localhost"
      local none, message = ssl.connect("127.0.0.1", port, flags)
      assert.is_nil(none)
      assert.equal("the server sent no certificate", message)
    end
    child:close()
  end)
end)

describe("ssl.connect and ports", function()
  it("takes whole numbers, and none that the system would take for another", function()
    for _, port in ipairs { 0, -1, 65536, 70000, 1.5, "70000", 0 / 0, 1 / 0 } do
      local conn, message, detail = ssl.connect("localhost", port)
      assert.is_nil(conn)
      assert.equal("invalid port '" .. tostring(port) .. "'", message)
      assert.equal("config", detail.kind)
    end
    with(3, nil, function(port)
      for _, form in ipairs { port, tonumber(port), tonumber(port) / 1 } do
        assert(ssl.connect("localhost", form, verified())):close()
      end
    end)
  end)
end)

describe("ssl.connect", function()
  it("returns a connected connection and the socket it took over", function()
    with(1, nil, function(port)
      local conn, sock = assert(ssl.connect("localhost", port, verified()))
      assert.matches("^SSL connection", tostring(conn))
      assert.equal(-1, sock:getfd())
      assert.is_true(conn:getpeerverification())
      assert.equal("TLSv1.2", conn:info("protocol"))
      assert.equal("localhost", conn:getsniname())
      conn:send("GET / HTTP/1.0\r\n\r\n")
      assert.matches("hello$", (conn:receive("*a")))
      conn:close()
    end)
  end)

  it("resumes its own sessions where the settings are the same", function()
    with(8, nil, function(port)
      local function resumed(extra)
        local conn = assert(ssl.connect("localhost", port, verified(extra)))
        conn:send("GET / HTTP/1.0\r\n\r\n")
        assert.matches("hello$", (conn:receive("*a")))
        assert.is_true(conn:getpeerverification())
        local yes = conn:sessionreused()
        conn:close()
        return yes
      end
      assert.is_false(resumed())
      assert.is_true(resumed())
      assert.is_true(resumed { timeout = 4 })
      assert.is_false(resumed { depth = 5 })
      assert.is_false(resumed { sessions = false })
      assert.is_false(resumed { protocol = "tlsv1_3" })
      assert.is_true(resumed { protocol = "tlsv1_3" })
      assert.is_false(resumed { verify = "none" })
    end)
  end)

  it("verifies nothing but the name by default", function()
    with(1, "selfsigned", function(port) assert(ssl.connect("localhost", port)):close() end)
    with(1, "wronghost", function(port)
      local conn, message, detail = ssl.connect("localhost", port)
      assert.is_nil(conn)
      assert.equal("the certificate is not for localhost", message)
      assert.equal("verify", detail.kind)
      assert.equal("localhost", detail.host)
      assert.is_string(detail.names)
      assert.equal("expected localhost, the certificate is for " .. detail.names, detail.hint)
    end)
  end)

  it("shows a few of the names that a certificate has instead, and none that are unprintable", function()
    local function names(cert)
      local shown
      with(1, cert, function(port)
        shown = (select(3, ssl.connect("localhost", port, { servername = "x.test" }))).names
      end)
      return shown
    end
    assert.equal("localhost, server.test, 127.0.0.1, ::1", names())
    assert.matches("^[%w.]+, .*, %.%.%.$", names("manysan"))
    assert.is_true(#names("manysan") < 300)
    assert.is_nil(names("nosan"))
    assert.is_nil(names("nul"):find("[^!-~ ]"))
  end)

  it("takes settings that come by a metatable, as newcontext does", function()
    with(1, nil, function(port)
      local flags = setmetatable({}, { __index = verified { cafile = S.cert("rootB") } })
      local conn, message = ssl.connect("localhost", port, flags)
      assert.is_nil(conn)
      assert.equal("certificate verify failed", message)
    end)
    local listener, port = silent()
    local _, message = ssl.connect("127.0.0.1", port, setmetatable({}, { __index = { timeout = 0.1 } }))
    assert.equal("timeout", message)
    listener:close()
  end)

  it("verifies the chain with verify = peer, and the name inside the handshake", function()
    with(2, nil, function(port)
      local conn, message, detail = ssl.connect("localhost", port, verified { cafile = S.cert("rootB") })
      assert.is_nil(conn)
      assert.equal("certificate verify failed", message)
      assert.equal("verify", detail.kind)
      assert.is_truthy(ssl.connect("localhost", port, verified { protocol = "any" })):close()
    end)
    with(1, "wronghost", function(port)
      local conn, message = ssl.connect("localhost", port, verified())
      assert.is_nil(conn)
      assert.equal("certificate verify failed", message)
    end)
  end)

  it("checks an address against IP SANs and sends no SNI for it", function()
    with(1, nil, function(port)
      local conn = assert(ssl.connect("127.0.0.1", port, verified()))
      assert.is_nil(conn:getsniname())
      conn:close()
    end)
    with(2, "dnsip", function(port)
      assert.equal("certificate verify failed", (select(2, ssl.connect("127.0.0.1", port, verified()))))
      assert.equal("the certificate is not for 127.0.0.1", (select(2, ssl.connect("127.0.0.1", port))))
    end)
  end)

  it("takes servername and verifyname for the name", function()
    with(3, "wronghost", function(port)
      assert(ssl.connect("127.0.0.1", port, verified { servername = "other.test" })):close()
      local conn = assert(ssl.connect("localhost", port, verified { verifyname = "other.test" }))
      assert.equal("localhost", conn:getsniname())
      conn:close()
      assert(ssl.connect("localhost", port, verified { verifyname = false })):close()
    end)
  end)

  it("allows one trailing dot", function()
    with(1, nil, function(port)
      resolveto { family = "inet", address = "127.0.0.1" }
      local conn = assert(ssl.connect("localhost.", port, verified()))
      assert.equal("localhost", conn:getsniname())
      conn:close()
    end)
  end)

  it("tries every address of a name", function()
    with(1, nil, function(port)
      resolveto({ family = "inet6", address = "::1" }, { family = "inet", address = "127.0.0.2" },
        { family = "inet", address = "127.0.0.1" })
      assert(ssl.connect("localhost", port, verified())):close()
    end)
  end)

  it("refuses a timeout that is no number", function()
    local conn, message, detail = ssl.connect("127.0.0.1", 1, verified { timeout = "soon" })
    assert.is_nil(conn)
    assert.equal("invalid timeout (number expected, got string)", message)
    assert.equal("config", detail.kind)
  end)

  it("is bounded by one timeout, whoever stalls", function()
    local listener, port = silent()
    finally(function() listener:close() end)
    local began = socket.gettime()
    local conn, message, detail = ssl.connect("127.0.0.1", port, verified { timeout = 0.3 })
    assert.is_nil(conn)
    assert.equal("timeout", message)
    assert.equal("timeout", detail.kind)
    local took = socket.gettime() - began
    assert.is_true(took >= 0.25 and took < 3, took)
  end)

  it("says why it cannot connect, and leaves nothing open", function()
    local listener, port = silent()
    listener:close()
    S.collect()
    local before = S.descriptors()
    assert.same({ nil, "connection refused" }, { S.unpack({ ssl.connect("127.0.0.1", port, verified()) }, 1, 2) })
    local conn, message, detail = ssl.connect("no-such-host.invalid", 443, verified { timeout = 10 })
    assert.is_nil(conn)
    assert.is_string(message)
    assert.is_truthy(detail.kind == "system" or detail.kind == "timeout")
    conn, message = ssl.connect("127.0.0.1", port, { protocol = "no" })
    assert.is_nil(conn)
    assert.equal("invalid protocol (no)", message)
    with(3, "wronghost", function(p)
      for _ = 1, 3 do assert.is_nil((ssl.connect("localhost", p, verified()))) end
    end)
    assert.equal(before, S.descriptors())
  end)

  it("forces the mode and leaves the flags as they were", function()
    with(1, nil, function(port)
      local flags = verified { mode = "server" }
      assert(ssl.connect("localhost", port, flags)):close()
      assert.same(verified { mode = "server" }, flags)
    end)
  end)

  it("raises for arguments of the wrong type", function()
    assert.error_matches(function() ssl.connect() end, "bad argument #1 to 'connect'")
    assert.error_matches(function() ssl.connect("localhost") end, "bad argument #2 to 'connect'")
    assert.error_matches(function() ssl.connect("localhost", "https") end, "bad argument #2 to 'connect'")
    assert.error_matches(function() ssl.connect("localhost", 443, 1) end, "bad argument #3 to 'connect'")
  end)
end)

describe("ssl.core.resolve", function()
  local resolve = require("ssl.core").resolve

  it("gives addresses as they are", function()
    assert.same({ { address = "127.0.0.1", family = "inet" } }, resolve("127.0.0.1", 1))
    assert.same({ { address = "::1", family = "inet6" } }, resolve("::1", 1))
  end)

  it("looks names up", function()
    local found = {}
    for _, a in ipairs(assert(resolve("localhost", 5))) do found[a.address] = a.family end
    assert.is_truthy(found["127.0.0.1"] == "inet" or found["::1"] == "inet6")
  end)

  it("refuses what is no name", function()
    assert.error_matches(function() resolve("a\0b", 1) end, "NUL")
    assert.error_matches(function() resolve("a", -1) end, "seconds expected")
    assert.is_nil((resolve(("x"):rep(1024 * 1024), 5)))
    assert.is_nil((resolve("", 5)))
  end)

  it("gives up in time, again and again", function()
    for _ = 1, 50 do
      local addresses, message, detail = resolve("localhost", 0)
      if not addresses then
        assert.equal("timeout", message)
        assert.equal("timeout", detail.kind)
      end
    end
    assert.is_truthy(resolve("localhost", 5))
  end)
end)

describe("ssl.checkhostname", function()
  local function check(name, host) return ssl.checkhostname(ssl.loadcertificate(S.pem(name)), host) end

  it("holds names against DNS names and addresses against addresses", function()
    assert.is_true(check("serverA", "localhost"))
    assert.is_true(check("serverA", "SERVER.test"))
    assert.is_true(check("serverA", "server.test."))
    assert.is_true(check("serverA", "127.0.0.1"))
    assert.is_true(check("serverA", "::1"))
    assert.is_true(check("serverA", "0:0:0:0:0:0:0:1"))
    assert.is_false(check("serverA", "127.0.0.2"))
    assert.is_false(check("serverA", "serverA"))
    assert.is_false(check("dnsip", "127.0.0.1"))
    assert.is_true(check("wildcard", "a.wild.test"))
    assert.is_false(check("wildcard", "a.b.wild.test"))
    assert.is_false(check("wildcard", "wild.test"))
    assert.is_false(check("nosan", "localhost"))
  end)

  it("refuses empty names, NULs and leading dots", function()
    for _, host in ipairs { "", ".", ".wild.test", "a.wild.test\0", "\0", "a.wild.test\0.evil.test", "localhost.." } do
      assert.is_false(check("wildcard", host))
      assert.is_false(check("serverA", host))
    end
  end)

  it("raises for wrong types", function()
    for _, junk in ipairs { "x", {}, io.stdout, assert(ssl.newcontext(S.server())) } do
      S.raises("bad argument #1 to 'checkhostname' (SSL:Certificate expected, got " .. type(junk),
        ssl.checkhostname, junk, "a")
    end
    assert.error_matches(function() ssl.checkhostname(nil, "a") end, "bad argument #1")
    assert.error_matches(function() ssl.checkhostname(ssl.loadcertificate(S.pem("serverA"))) end, "bad argument #2")
  end)
end)
