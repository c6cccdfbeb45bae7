-- The module itself: what it has, how its parts load, wrap, and the system's CA certificates.

local S = require "support"
local socket = require "socket"
local ssl = S.ssl

local fresh = S.fresh

describe("the module ssl", function()
  it("has LuaSec's fields and a version that programs can read", function()
    local major, minor = ssl._VERSION:match("^(%d+)%.(%d+)")
    assert.is_true(tonumber(major) * 1000 + tonumber(minor) >= 1004)
    assert.equal(require("ssl.core").copyright(), ssl._COPYRIGHT)
    assert.equal(require "ssl.config", ssl.config)
    assert.equal(require("ssl.x509").load, ssl.loadcertificate)
    assert.is_function(ssl.newcontext)
    assert.is_function(ssl.wrap)
  end)

  for _, name in ipairs { "ssl", "ssl.core", "ssl.context", "ssl.x509", "ssl.config", "ssl.options", "ssl.https" } do
    it("Q31 loads " .. name .. " alone and first", function()
      assert.equal("table", fresh(("print(type(require %q))"):format(name)))
    end)
  end

  it("sets no globals", function()
    assert.equal("0", fresh [[
      require "socket.http" -- LuaSocket's own modules do set some on Lua 5.1
      local before = {}
      for k in pairs(_G) do before[k] = true end
      require "ssl.https"
      local n = 0
      for k in pairs(_G) do if not before[k] then n = n + 1; io.stderr:write(k) end end
      print(n)]])
  end)

  it("loads the shared object once more without harm", function()
    assert.equal("true", fresh [[
      local ssl = require "ssl"
      local ctx = ssl.newcontext { mode = "client", protocol = "any" }
      for name in pairs(package.loaded) do if name:find("^ssl") then package.loaded[name] = nil end end
      require "ssl"
      print(require("ssl.context").setdepth(ctx, 3))]])
  end)

  it("can be loaded beside the installed LuaSec in one state", function()
    assert.equal("SSL context SSL context true invalid context", fresh [[
      local mine = require "ssl.context"
      local paths = {}
      for template in package.cpath:gmatch "[^;]+" do
        local path = template:gsub("%?", "ssl")
        local f = io.open(path)
        if f then f:close() paths[#paths + 1] = path end
      end
      local open = assert(package.loadlib(assert(paths[2], "no other ssl.so on the path"), "luaopen_ssl_context"))
      local theirs = open() or package.loaded["ssl.context"]
      local a, b = mine.create "any", theirs.create "any"
      print(tostring(a):match "^SSL context", tostring(b):match "^SSL context",
        getmetatable(a) ~= getmetatable(b), select(2, pcall(require("ssl.core").create, b)):match "invalid context")]]
      :gsub("\t", " "), nil)
  end)

  it("ignores SIGPIPE where it is at its default", function()
    assert.equal("alive", fresh [[
      require "ssl.core"
      os.execute("kill -PIPE " .. io.open("/proc/self/stat"):read("*l"):match("^%d+"))
      print "alive"]])
  end)
end)

describe("ssl.wrap", function()
  it("takes settings or a context and leaves the socket without a descriptor", function()
    for _, cfg in ipairs { S.client(), assert(ssl.newcontext(S.client())) } do
      local a, b = S.tcp()
      local fd = a:getfd()
      local conn = assert(ssl.wrap(a, cfg))
      assert.equal(fd, conn:getfd())
      assert.equal(-1, a:getfd())
      assert.same({ nil, "closed", 0 }, { a:send("x") })
      conn:close()
      b:close()
    end
  end)

  it("returns what newcontext fails with", function()
    local a, b = S.tcp()
    local conn, message, detail = ssl.wrap(a, { mode = "client", protocol = "no" })
    assert.is_nil(conn)
    assert.equal("invalid protocol (no)", message)
    assert.equal("config", detail.kind)
    assert.is_true(a:getfd() >= 0)
    a:close()
    b:close()
  end)

  it("raises for what is no context", function()
    local a, b = S.tcp()
    for _, bad in ipairs { 1, "ctx", true, io.stdout, print } do
      assert.error_matches(function() ssl.wrap(a, bad) end, "invalid context")
    end
    assert.error_matches(function() ssl.wrap(a) end, "invalid context")
    assert.is_true(a:getfd() >= 0)
    a:close()
    b:close()
  end)

  it("Q20 raises for what is no socket, and takes no descriptor from it", function()
    local ctx = assert(ssl.newcontext(S.client()))
    for _, bad in ipairs { 1, "sock", true, print, {}, { getfd = print }, io.stdout } do
      assert.error_matches(function() ssl.wrap(bad, ctx) end, "bad argument #1 to 'wrap'")
    end
    assert.error_matches(function() ssl.wrap(nil, ctx) end, "bad argument #1 to 'wrap'")
  end)

  it("a connection that is wrapped again keeps its descriptor", function()
    local a, b = S.tcp()
    local conn = assert(ssl.wrap(a, S.client()))
    local fd = conn:getfd()
    assert(ssl.wrap(conn, S.client()))
    S.collect()
    assert.equal(fd, conn:getfd())
    conn:close()
    b:close()
  end)

  it("takes any object with getfd and setfd", function()
    local a, b = S.tcp()
    local duck = { getfd = function() return a:getfd() end, setfd = function(_, fd) a:setfd(fd) end }
    local conn = assert(ssl.wrap(duck, S.client()))
    assert.equal(-1, a:getfd())
    conn:close()
    b:close()
  end)

  it("succeeds on a closed socket, whose handshake then fails", function()
    local a = socket.tcp()
    a:close()
    local conn = assert(ssl.wrap(a, S.client()))
    local ok, message, detail = conn:dohandshake()
    assert.is_false(ok)
    assert.equal("Bad file descriptor", message)
    assert.equal("system", detail.kind)
  end)
end)

describe("the system's CA certificates", function()
  after_each(function() ssl.set_system_ca(nil) end)

  it("are found by SSL_CERT_FILE first, which must then be readable", function()
    local chunk = [[local ssl = require "ssl" print(ssl.find_system_ca())]]
    assert.equal(S.cert("rootA"), fresh(chunk, "SSL_CERT_FILE=" .. S.cert("rootA")))
    assert.matches("^nil\tSSL_CERT_FILE names /nowhere, which cannot be read", fresh(chunk, "SSL_CERT_FILE=/nowhere"))
  end)

  it("are found in the places known, or that is said", function()
    local chunk = [[
      local ssl, context = require "ssl", require "ssl.context"
      local path = context.defaultlocations()
      local opened = io.open
      local function onlyin(...)
        local there = {}
        for i = 1, select("#", ...) do there[(select(i, ...))] = true end
        io.open = function(name, mode) return there[name] and opened(%q, mode) or nil end
        return ssl.find_system_ca()
      end
      assert(onlyin(path, "/etc/ssl/certs/ca-certificates.crt") == path)
      assert(onlyin("/etc/ssl/certs/ca-certificates.crt") == "/etc/ssl/certs/ca-certificates.crt")
      print(onlyin())
    ]]
    assert.equal("nil\tno file of CA certificates found on this machine; install ca-certificates, or name one by " ..
      "cafile or SSL_CERT_FILE",
      fresh(chunk:format(S.cert "rootA"), "env -u SSL_CERT_FILE"))
  end)

  it("are remembered, set, cleared and forbidden", function()
    ssl.set_system_ca("/some/where")
    assert.equal("/some/where", ssl.get_system_ca())
    ssl.set_system_ca(false)
    local path, message = ssl.get_system_ca()
    assert.is_nil(path)
    assert.matches("forbidden", message)
    ssl.set_system_ca(nil)
    assert.same({ ssl.find_system_ca() }, { ssl.get_system_ca() })
    assert.error_matches(function() ssl.set_system_ca(1) end, "bad argument #1")
  end)

  it("are what a verifying client without a CA trusts", function()
    ssl.set_system_ca(S.cert("rootA"))
    local c, s = S.connected(S.client { cafile = S.NONE }, S.server())
    assert.is_true(c:getpeerverification())
    c:close()
    s:close()
    ssl.set_system_ca(S.cert("rootB"))
    c, s = S.wrapped(S.client { cafile = S.NONE }, S.server())
    assert.same({ false, "certificate verify failed" }, { S.unpack(S.shake(c, s), 1, 2) })
  end)

  it("must load, or newcontext fails, but not with lsec_continue or dane", function()
    ssl.set_system_ca(false)
    local cfg = S.client { cafile = S.NONE }
    local ctx, message = ssl.newcontext(cfg)
    assert.is_nil(ctx)
    assert.matches("^error loading CA locations %(", message)
    assert.is_truthy(ssl.newcontext(S.client { cafile = S.NONE, verifyext = "lsec_continue" }))
    assert.is_truthy(ssl.newcontext(S.client { cafile = S.NONE, dane = true }))
    assert.is_truthy(ssl.newcontext(S.client { cafile = S.NONE, verify = "none" }))
    ssl.set_system_ca("/nowhere")
    ctx, message = ssl.newcontext(cfg)
    assert.is_nil(ctx)
    assert.equal("error loading CA locations (No such file or directory)", message)
  end)

  it("are never trusted by a server that was not told to", function()
    ssl.set_system_ca(S.cert("rootA"))
    local client = { certificate = S.cert("clientA"), key = S.cert("clientAkey") }
    local c, s = S.wrapped(S.client(client), S.server { verify = "peer" })
    local _, sr = S.shake(c, s)
    assert.same({ false, "certificate verify failed" }, { sr[1], sr[2] })
    c, s = S.connected(S.client(client), S.server { verify = "peer", cafile = "system" })
    assert.is_true(s:getpeerverification())
    c:close()
    s:close()
  end)
end)
