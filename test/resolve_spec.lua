-- Look-ups beyond connect_spec's: in a child of fork, given up while they run, at the end of the program. Some need a
-- name server that does not answer: one of our own, in a network name space and a mount name space of its own.

local S = require "support"

-- Runs a chunk where the only name server never answers; nil where name spaces are not allowed.
local function stalled(chunk)
  local resolvconf = S.tmpfile("nameserver 127.0.0.1\noptions timeout:2 attempts:1\n")
  finally(function() os.remove(resolvconf) end)
  local out = S.fresh([[
    local socket = require "socket"
    local core = require "ssl.core"
    local server = assert(socket.udp())
    assert(server:setsockname("127.0.0.1", 53))
    ]] .. chunk, ([[unshare -rmn sh -c 'ip link set lo up && mount --bind %s /etc/resolv.conf && exec "$@"' sh]])
    :format(resolvconf))
  if out:find("^unshare") or out:find("Operation not permitted") or out:find("^sh: ") then return nil, out end
  return out
end

describe("ssl.core.resolve", function()
  it("works in a child of fork, whose parent looked names up before", function()
    if not rawget(_G, "jit") then return pending("fork is called through LuaJIT") end
    local out = S.fresh([[
      local ffi = require "ffi"
      ffi.cdef "int fork(void); int waitpid(int, int *, int); void _exit(int);"
      local core = require "ssl.core"
      assert(core.resolve("localhost", 5))
      if ffi.C.fork() == 0 then
        print(core.resolve("localhost", 5) ~= nil)
        io.stdout:flush()
        ffi.C._exit(0)
      end
      ffi.C.waitpid(-1, nil, 0)]])
    assert.equal("true", out)
  end)

  it("gives up look-ups that go on, many at a time, and outlives them", function()
    local out, why = stalled [[
      local began = socket.gettime()
      for i = 1, 60 do
        local addresses, message, detail = core.resolve("host" .. i .. ".example", 0.01)
        assert(addresses == nil and message == "timeout" and detail.kind == "timeout", message)
      end
      local took = socket.gettime() - began
      -- Nobody waits in a queue behind those that hang.
      began = socket.gettime()
      assert(core.resolve("localhost", 5))
      print(took < 3, socket.gettime() - began < 1)
      socket.sleep(3) -- they end by themselves
      print(core.resolve("other.example", 0.1))]]
    if not out then return pending("no name spaces here: " .. why) end
    assert.matches("^true\ttrue\nnil\ttimeout\ttable: 0x%x+$", out)
  end)

  it("waits as long as it was told, fractions of a second too", function()
    local out, why = stalled [[
      for _, seconds in ipairs { 0.3, 0.75, 1.25 } do
        local began = socket.gettime()
        local _, message = core.resolve("host.example", seconds)
        local took = socket.gettime() - began
        print(message, took >= seconds - 0.01, took < seconds + 5)
      end]]
    if not out then return pending("no name spaces here: " .. why) end
    assert.equal(("timeout\ttrue\ttrue\n"):rep(2) .. "timeout\ttrue\ttrue", out)
  end)

  it("is no hindrance to the end of the program", function()
    local out, why = stalled [[
      print(core.resolve("host.example", 0.05))
      core = nil
      package.loaded["ssl.core"] = nil
      collectgarbage()]]
    if not out then return pending("no name spaces here: " .. why) end
    assert.matches("^nil\ttimeout\ttable: 0x%x+$", out)
  end)
end)
