-- ssl.connect's one deadline: whoever stalls, and wherever, it ends in time and leaves nothing open.

local S = require "support"
local ssl = S.ssl
local socket = require "socket"

local LIMIT = 0.4
-- How much later than its deadline a call may end on a busy machine.
local SLACK = 2

-- Starts the servers of test/peer/stall_server.lua: ports in the order of the modes, and a function that ends them.
local function stalling(...)
  local command = { S.interpreter(), "test/peer/stall_server.lua", "serverA", ... }
  local child = assert(io.popen(table.concat(command, " ")))
  local last, ports = assert(child:read("*l"), "no server"), {}
  for i = 1, select("#", ...) do ports[i] = assert(child:read("*l"), "no server") end
  return ports, function()
    local ender = socket.connect("127.0.0.1", tonumber(last))
    if ender then ender:close() end
    child:close()
  end
end

-- A listener whose queue is full, so that nobody else gets as far as a connection: its port, and what keeps it so.
local function full(address, port)
  local listener = assert((address:find(":") and socket.tcp6 or socket.tcp)())
  assert(listener:bind(address, port or 0))
  assert(listener:listen(0))
  local _, bound = listener:getsockname()
  local held = { listener }
  for _ = 1, 20 do
    local s = (address:find(":") and socket.tcp6 or socket.tcp)()
    held[#held + 1] = s
    s:settimeout(0.1)
    if not s:connect(address, bound) then return bound, held end
  end
  error("the queue is never full")
end

local function closeall(held)
  for _, s in ipairs(held) do s:close() end
end

local function flags(extra)
  local t = { verify = "peer", cafile = S.cert("rootA"), protocol = "any", timeout = LIMIT }
  for k, v in pairs(extra or {}) do t[k] = v end
  return t
end

-- Connects; it must end by its deadline and leave no descriptor.
local function timesout(host, port, extra)
  S.collect()
  local before, began = S.descriptors(), socket.gettime()
  local cfg = flags(extra)
  local conn, message, detail = ssl.connect(host, port, cfg)
  local took = socket.gettime() - began
  assert.same({ nil, "timeout", "timeout" }, { conn, message, detail and detail.kind })
  assert.is_true(took >= tonumber(cfg.timeout) - 0.02 and took < tonumber(cfg.timeout) + SLACK, "took " .. took)
  assert.equal(before, S.descriptors())
end

-- Every name has these addresses until the test ends.
local function resolveto(...)
  local core = require "ssl.core"
  local resolve, addresses = core.resolve, {}
  for i, address in ipairs { ... } do
    addresses[i] = { address = address, family = address:find(":") and "inet6" or "inet" }
  end
  S.atend(finally, function() core.resolve = resolve end)
  core.resolve = function() return addresses end
end

describe("ssl.connect's deadline", function()
  local stages = {
    { "sends nothing", "0" }, { "stops in the header of a record", "3" }, { "stops after the header", "5" },
    { "stops in ServerHello", "50" }, { "stops after ServerHello", "127" }, { "stops in the certificates", "500" },
    { "stops when the client has sent its keys", "flight", "tlsv1_2" }, { "sends byte by byte", "drip" },
  }
  local modes, ports, stop = {}, nil, nil
  for i, stage in ipairs(stages) do modes[i] = stage[2] end
  modes[#modes + 1] = "never"
  modes[#modes + 1] = "never6"
  local working, working6

  setup(function()
    ports, stop = stalling(S.unpack(modes))
    working, working6 = tonumber(ports[#ports - 1]), tonumber(ports[#ports])
  end)
  teardown(function() stop() end)

  for i, stage in ipairs(stages) do
    for _, version in ipairs { "tlsv1_2", "tlsv1_3" } do
      if not stage[3] or stage[3] == version then
        it(("with a server that %s, %s"):format(stage[1], version), function()
          timesout("127.0.0.1", ports[i], { protocol = version })
        end)
      end
    end
  end

  it("is met by a server that answers", function()
    ssl.connect("127.0.0.1", working, flags { timeout = 10 }):close()
    ssl.connect("127.0.0.1", working, flags { timeout = 10, protocol = "tlsv1_2" }):close()
  end)

  it("may be IPv6, whose interface is no part of its name", function()
    for _, host in ipairs { "::1", "0:0::1", "::1%1" } do
      local conn, message, detail = ssl.connect(host, working6, flags { timeout = 10 })
      assert.is_truthy(conn, tostring(detail and detail.hint or message))
      assert.is_nil(conn:info("servername"))
      conn:close()
    end
  end)

  it("also ends what is not connected yet, on IPv4 and IPv6", function()
    for _, address in ipairs { "127.0.0.1", "::1" } do
      local port, held = full(address)
      timesout(address, port)
      closeall(held)
    end
  end)

  it("also ends handshakes on IPv6", function()
    local listener = assert(socket.tcp6())
    assert(listener:bind("::1", 0))
    assert(listener:listen(5))
    timesout("::1", (select(2, listener:getsockname())))
    listener:close()
  end)

  it("leaves time for the second address when the first is dead", function()
    for _, dead in ipairs { "127.0.0.2", "::1" } do
      local _, held = full(dead, working)
      resolveto(dead, "127.0.0.1")
      local began = socket.gettime()
      local conn, message = ssl.connect("localhost", working, flags { timeout = 1.5 })
      assert.is_truthy(conn, message)
      conn:close()
      assert.is_true(socket.gettime() - began >= 0.5)
      closeall(held)
    end
  end)

  it("passes over an address that refuses, at once", function()
    resolveto("127.0.0.3", "::1", "127.0.0.1")
    local began = socket.gettime()
    ssl.connect("localhost", working, flags { timeout = 20 }):close()
    assert.is_true(socket.gettime() - began < 5)
  end)

  it("is that of all addresses together", function()
    local port, held = full("127.0.0.2")
    local _, more = full("127.0.0.3", port)
    resolveto("127.0.0.2", "127.0.0.3", "127.0.0.2", "127.0.0.3")
    timesout("localhost", port)
    closeall(held)
    closeall(more)
  end)

  it("has no time at all when it is 0", function() timesout("127.0.0.1", ports[1], { timeout = 0 }) end)

  it("is a number, or none", function()
    for _, bad in ipairs { "soon", {}, true, print } do
      local conn, message, detail = ssl.connect("127.0.0.1", working, flags { timeout = bad })
      assert.same({ nil, "invalid timeout (number expected, got " .. type(bad) .. ")", "config" },
        { conn, message, detail.kind })
    end
    for _, none in ipairs { false, -1, math.huge, "10" } do
      ssl.connect("127.0.0.1", working, flags { timeout = none }):close()
    end
    timesout("127.0.0.1", ports[1], { timeout = "0.3" })
  end)

  it("is the time of the look-up too", function()
    local resolvconf = S.tmpfile("nameserver 127.0.0.1\noptions timeout:20\n")
    finally(function() os.remove(resolvconf) end)
    -- A name server of our own that does not answer: in a network and a mount name space of their own.
    local out = S.fresh([[
      local socket = require "socket"
      local server = assert(socket.udp())
      assert(server:setsockname("127.0.0.1", 53))
      local began = socket.gettime()
      local conn, message, detail = require "ssl".connect("host.example", 443, { timeout = 0.4 })
      local took = socket.gettime() - began
      server:settimeout(5)
      print(conn, message, detail.kind, took >= 0.38 and took < 3, #assert(server:receive()) > 12)
    ]], ([[unshare -rmn sh -c 'ip link set lo up && mount --bind %s /etc/resolv.conf && exec "$@"' sh]])
      :format(resolvconf))
    if out:find("^unshare") or out:find("Operation not permitted") or out:find("^sh: ") then
      return pending("no name spaces here: " .. out)
    end
    assert.equal("nil\ttimeout\ttimeout\ttrue\ttrue", out)
  end)
end)
