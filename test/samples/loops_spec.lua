-- samples/luv, samples/cqueues and samples/copas: a hundred connections at once in three event loops.

local process = require "process"
local ssl = require "ssl"
local socket = require "socket"

local certs = os.getenv("CERTS") or "build/certs"

-- Debian's lua-copas has no folder for Lua 5.3 and 5.4, though it runs there.
local paths = ("LUA_PATH='%s;/usr/share/lua/5.2/?.lua;;'"):format((os.getenv("LUA_PATH") or ""):gsub(";;$", ""))

local function start(path, ...) return process.lua({ path, ... }, paths) end

for _, folder in ipairs { "samples/luv/", "samples/cqueues/", "samples/copas/" } do
  describe("the echo server of " .. folder, function()
    local server
    after_each(function() server:kill() end)

    local function serve(count)
      server = start(folder .. "server.lua", certs, count)
      return server:expect("^(%d+)$")
    end

    it("serves a hundred connections of its client at once", function()
      local port = serve(100)
      local output, status = start(folder .. "client.lua", certs, port, 100):wait()
      assert.equal("100 connections at once, 100 answers", output)
      assert.equal(0, status)
      assert.same({ port, 0 }, { server:wait() })
    end)

    it("lives on when one sends junk, one vanishes and one says nothing", function()
      local port = serve(4)
      local silent = assert(socket.connect("127.0.0.1", port))
      local junk = assert(socket.connect("127.0.0.1", port))
      junk:settimeout(10)
      junk:send("no TLS")
      local _, message = junk:receive(1000)
      assert.equal("closed", message)
      junk:close()
      local cfg = { mode = "client", protocol = "tlsv1_2+", verify = "peer", cafile = certs .. "/rootA.pem" }
      local sock = assert(socket.connect("127.0.0.1", port))
      local vanishing = assert(ssl.wrap(sock, cfg))
      vanishing:settimeout(10)
      assert(vanishing:dohandshake())
      vanishing:send("gone\n")
      assert.equal("gone", (vanishing:receive("*l")))
      sock:setfd(vanishing:getfd())
      sock:shutdown("both") -- no close_notify
      sock:setfd(-1)
      assert.equal("1 connections at once, 1 answers",
        (start(folder .. "client.lua", certs, port, 1):wait()))
      vanishing:close()
      silent:close()
      local output, status = server:wait()
      assert.equal(0, status, output)
      assert.equal(3, select(2, output:gsub("connection lost: %w", "")), output)
    end)
  end)
end
