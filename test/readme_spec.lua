-- The programs in README.md, run as they are printed.

local S = require "support"
local socket = require "socket"

-- The Lua blocks of the README in their order.
local function blocks()
  local list = {}
  for block in S.read("README.md"):gmatch("```lua\n(.-)```") do list[#list + 1] = block end
  return list
end

local function find(pattern)
  for _, block in ipairs(blocks()) do
    if block:find(pattern) then return block end
  end
  error("README.md has no program with " .. pattern)
end

-- Starts a program in the directory of the certificates, where its file names lead. Its output as a file.
local function start(program, port)
  local dir = assert(io.popen("pwd")):read("*l")
  local file = os.tmpname()
  local f = assert(io.open(file, "w"))
  f:write(("package.path = package.path:gsub('lua/%%?', %q)\n"):format(dir .. "/lua/?"))
  f:write(("package.cpath = package.cpath:gsub('build/', %q, 1)\n"):format(dir .. "/build/"))
  f:write(("io.stdout:setvbuf 'line' local port = %d\n"):format(port), program)
  f:close()
  local command = ("cd %s && %s %s 2>&1; rm -f %s"):format(S.certdir, os.getenv("LUA") or "lua", file, file)
  return assert(io.popen(command, "r"))
end

local function freeport()
  local probe = assert(socket.bind("127.0.0.1", 0))
  local _, port = probe:getsockname()
  probe:close()
  return tonumber(port)
end

describe("README.md", function()
  it("has a client and a server that understand each other", function()
    local port = freeport()
    -- The server says when it listens, and is the client's "localhost" whichever address that is.
    local server, n = find('mode = "server"'):gsub("(local listener = [^\n]+)", "%1 print 'ready'")
    assert.equal(1, n)
    local serving = start(server, port)
    assert.equal("ready", serving:read("*l"))
    local client = start(find('mode = "client"'), port)
    assert.equal("HTTP/1.0 200 OK\r\n\r\nhello\n\n", client:read("*a"))
    client:close()
    assert.equal("", serving:read("*a"))
    serving:close()
  end)

  it("has a server of many names", function()
    local out = start(find("keypairs = ") .. "print(context ~= members and 'made')", 0)
    assert.equal("made\n", out:read("*a"))
    out:close()
  end)

  it("has a client in one call", function()
    local port = freeport()
    local server = find('mode = "server"'):gsub("(local listener = [^\n]+)", "%1 print 'ready'")
    local serving = start(server, port)
    assert.equal("ready", serving:read("*l"))
    local client = start(find("ssl%.connect%("), port)
    assert.equal("TLSv1.2\ttrue\n", client:read("*a"))
    client:close()
    serving:close()
  end)

  it("has an HTTPS request", function()
    local port = freeport()
    local server = find('mode = "server"'):gsub("(local listener = [^\n]+)", "%1 print 'ready'")
    local serving = start(server, port)
    assert.equal("ready", serving:read("*l"))
    local client = start(find('require "ssl%.https"') .. " print(ok, code, status)", port)
    assert.equal("1\t200\tHTTP/1.0 200 OK\n", client:read("*a"))
    client:close()
    serving:close()
  end)

  it("has a server that staples", function()
    local kit = require "ocspkit"
    local file = S.tmpfile(kit.craft { cert = "serverA" })
    local before = ("local ssl, der = require 'ssl', io.open(%q, 'rb'):read('*a') local newer = der "):format(file)
    local running = start(before .. find("setocsp") .. " print 'ok'", 0)
    assert.equal("ok\n", running:read("*a"))
    running:close()
    os.remove(file)
  end)

  it("names every make target that it tells of", function()
    local makefile = S.read("Makefile")
    for target in S.read("README.md"):gmatch("`make ([%a-]+)") do
      assert.is_truthy(makefile:find("\n" .. target:gsub("%-", "%%-") .. ":"), "no target " .. target)
    end
  end)
end)
