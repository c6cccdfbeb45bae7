-- Resumption with other implementations, both ways: openssl s_client and s_server, gnutls-cli and gnutls-serv.

local S = require "support"
local process = require "process"
local resume = require "resume"
local socket = require "socket"
local ssl = S.ssl

local option = { tlsv1_2 = "-tls1_2", tlsv1_3 = "-tls1_3" }
local priority = { tlsv1_2 = "NORMAL:-VERS-ALL:+VERS-TLS1.2", tlsv1_3 = "NORMAL:-VERS-ALL:+VERS-TLS1.3" }

local function listen()
  local listener = assert(socket.bind("127.0.0.1", 0))
  listener:settimeout(20)
  return listener, (select(2, listener:getsockname()))
end

-- Serves one connection of the peer: its first line is answered, its end awaited. Was a session resumed?
local function serve(listener, ctx)
  local conn = assert(ssl.wrap(assert(listener:accept()), ctx))
  conn:settimeout(20, "t")
  assert(conn:dohandshake())
  conn:send("hello\n")
  local resumed = conn:sessionreused()
  conn:receive("*a")
  conn:close()
  return resumed
end

-- One request of a client with a cache; was a session resumed, and what came back.
local function get(port, cctx)
  local sock = assert(socket.connect("127.0.0.1", port))
  local conn = assert(ssl.wrap(sock, cctx))
  conn:settimeout(20, "t")
  assert(conn:dohandshake())
  assert(conn:getpeerverification())
  conn:send("GET / HTTP/1.0\r\n\r\n")
  local page, _, partial = conn:receive("*a")
  local resumed = conn:sessionreused()
  conn:close()
  return resumed, page or partial
end

local function tail(text) return text:sub(-2000) end

describe("openssl s_client", function()
  -- Connects, saves its session, and ends with its input.
  local function visit(listener, port, ctx, arguments)
    local command = { "openssl", "s_client", "-connect", "127.0.0.1:" .. port, "-CAfile", S.cert("rootA"),
      "-verify_return_error", "-ign_eof" }
    for word in arguments:gmatch("%S+") do command[#command + 1] = word end
    local peer = process.start(command)
    local conn = assert(ssl.wrap(assert(listener:accept()), ctx))
    conn:settimeout(20, "t")
    assert(conn:dohandshake())
    conn:send("hello\n")
    local resumed = conn:sessionreused()
    conn:shutdown("send")
    conn:close()
    local text = peer:wait()
    assert.is_truthy(text:find(resumed and "Reused, TLSv" or "New, TLSv", 1, true), tail(text))
    return resumed
  end

  for _, version in ipairs(resume.versions) do
    it("resumes at a server that never saw it, by ticket keys, over " .. version, function()
      local listener, port = listen()
      local file = os.tmpname()
      local function server() return resume.server { ticketkeys = { resume.key "a" } } end
      assert.is_false(visit(listener, port, server(), option[version] .. " -sess_out " .. file))
      assert.is_true(visit(listener, port, server(), option[version] .. " -sess_in " .. file))
      assert.is_false(visit(listener, port, resume.server(), option[version] .. " -sess_in " .. file))
      listener:close()
      os.remove(file)
    end)

    it("resumes at a server that never saw it, by a store, over " .. version, function()
      local listener, port = listen()
      local file, kept = os.tmpname(), {}
      local function server()
        return resume.server { sessions = { get = function(id) return kept[id] end,
          set = function(id, data) kept[id] = data end } }
      end
      assert.is_false(visit(listener, port, server(), option[version] .. " -sess_out " .. file))
      assert.is_true(visit(listener, port, server(), option[version] .. " -sess_in " .. file))
      kept = {}
      assert.is_false(visit(listener, port, server(), option[version] .. " -sess_in " .. file))
      listener:close()
      os.remove(file)
    end)
  end

  it("resumes by session id where it takes no tickets", function()
    local listener, port = listen()
    local file, ctx = os.tmpname(), resume.server { sessions = { tickets = false } }
    assert.is_false(visit(listener, port, ctx, "-tls1_2 -no_ticket -sess_out " .. file))
    assert.is_true(visit(listener, port, ctx, "-tls1_2 -no_ticket -sess_in " .. file))
    assert.equal(1, ctx:stats().resumed)
    listener:close()
    os.remove(file)
  end)
end)

describe("openssl s_server", function()
  for _, version in ipairs(resume.versions) do
    for _, tickets in ipairs { "", "-no_ticket" } do
      it("resumes a client's sessions over " .. version .. " " .. tickets, function()
        local command = { "openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", S.cert("serverA"), "-key",
          S.cert("serverAkey"), "-www", option[version] }
        if tickets ~= "" then command[#command + 1] = tickets end
        local server = process.start(command)
        local port = server:expect("^ACCEPT 127.0.0.1:(%d+)")
        local cctx = resume.client { sessions = true, servername = "localhost" }
        local resumed, page = get(port, cctx)
        assert.is_false(resumed)
        assert.matches("New, TLSv1", page)
        for _ = 1, 4 do
          resumed, page = get(port, cctx)
          assert.is_true(resumed)
          assert.matches("Reused, TLSv1", page)
        end
        server:kill()
      end)
    end
  end
end)

describe("gnutls", function()
  for _, version in ipairs(resume.versions) do
    it("cli resumes over " .. version, function()
      local listener, port = listen()
      local ctx = resume.server { ticketkeys = { resume.key "a" } }
      local peer = process.start { "gnutls-cli", "--resume", "--port", port, "--x509cafile", S.cert("rootA"),
        "--verify-hostname", "localhost", "--sni-hostname", "localhost", "--priority", priority[version], "127.0.0.1" }
      assert.is_false(serve(listener, ctx))
      local resumed = serve(listener, ctx)
      local text = peer:wait()
      listener:close()
      assert.is_true(resumed, tail(text))
      assert.matches("This is a resumed session", text)
    end)

    it("serv resumes a client's sessions over " .. version, function()
      local free, port = listen()
      free:close()
      local server = process.start { "gnutls-serv", "--http", "--port", port, "--x509certfile", S.cert("serverA"),
        "--x509keyfile", S.cert("serverAkey"), "--priority", priority[version] }
      server:expect("[Ll]istening on IPv4")
      local cctx = resume.client { sessions = true, servername = "localhost" }
      assert.is_false((get(port, cctx)))
      for _ = 1, 3 do assert.is_true((get(port, cctx))) end
      server:kill()
    end)
  end
end)
