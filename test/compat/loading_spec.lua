-- Loading: each module alone and first, what the modules hold, what they do to the process, the words of argument
-- errors. Nothing here makes a connection over a socket.

local T = require "compat.tools"
local support = require "support"
local ssl = require "ssl"

describe("compat loading", function()
  for _, name in ipairs { "ssl", "ssl.core", "ssl.context", "ssl.x509", "ssl.config", "ssl.https" } do
    it("loads " .. name .. " alone in a fresh interpreter", function()
      T.survives(([[
        local m = require "%s"
        assert(type(m) == "table")
        assert(m == require "%s")
        collectgarbage() collectgarbage()
      ]]):format(name, name))
    end)
  end

  it("closes and collects a connection made before ssl.context was required by ssl", function()
    T.survives [[
      local core, context = require "ssl.core", require "ssl.context"
      local ctx = context.create("any")
      context.setmode(ctx, "client")
      local c = core.create(ctx)
      c:close()
      core.create(ctx)
      c, ctx = nil, nil
      collectgarbage() collectgarbage()
    ]]
  end)

  it("makes a context with ssl.context as the only module", function()
    T.survives [[
      local context = require "ssl.context"
      local ctx = assert(context.create("any"))
      assert(context.setmode(ctx, "server") == true)
      assert(context.setcurve(ctx, "prime256v1") == true)
    ]]
  end)

  it("sets no global variable", function()
    T.survives [[
      require "socket.http"
      local before = {}
      for k in pairs(_G) do before[k] = true end
      for _, m in ipairs { "ssl", "ssl.https", "ssl.core", "ssl.context", "ssl.x509", "ssl.config" } do require(m) end
      for k in pairs(_G) do assert(before[k], "global " .. tostring(k)) end
    ]]
  end)

  it("may be loaded in any order", function()
    T.survives [[
      for _, m in ipairs { "ssl.x509", "ssl.config", "ssl.core", "ssl.https", "ssl.context", "ssl" } do require(m) end
      assert(require "ssl".config == require "ssl.config")
      assert(next(require "ssl.config".curves))
    ]]
  end)

  it("keeps SIGPIPE from ending the process once ssl is loaded", function()
    if not io.open("/proc/self/status") then pending("needs /proc") return end
    local out, status = T.child([[
      require "ssl.core"
      for line in io.lines("/proc/self/status") do
        local mask = line:match("^SigIgn:%s*(%x+)")
        if mask then io.write("digit ", mask:sub(-4, -4)) end
      end
    ]], 20, "env --default-signal=PIPE")
    assert.equal(0, status)
    local digit = tonumber(out:match("digit (%x)"), 16)
    assert.equal(1, digit % 2) -- signal 13 is the lowest bit of the fourth digit from the right
  end)
end)

describe("compat module ssl", function()
  it("has LuaSec's functions", function()
    for _, name in ipairs { "newcontext", "wrap", "loadcertificate" } do
      assert.equal("function", type(ssl[name]), name)
    end
  end)

  it("has a version of two numbers, newer than 0.3.2", function()
    local major, minor = ssl._VERSION:match("^(%d+)%.(%d+)")
    assert.is_truthy(major)
    assert.is_true(major * 1000 + minor >= 1002)
  end)

  it("has the copyright of ssl.core", function()
    assert.equal("string", type(ssl._COPYRIGHT))
    assert.equal(require "ssl.core".copyright(), ssl._COPYRIGHT)
  end)

  it("has the very table of ssl.config", function() assert.is_true(ssl.config == require "ssl.config") end)

  it("loads certificates by the very function of ssl.x509", function()
    assert.is_true(ssl.loadcertificate == require "ssl.x509".load)
  end)

  it("has no field context, or that very module", function()
    assert.is_true(ssl.context == nil or ssl.context == require "ssl.context")
  end)

  it("lacks the names that only LuaSec 0.3 had", function()
    assert.is_nil(ssl.rawcontext)
    assert.is_nil(ssl.rawconnection)
  end)
end)

describe("compat module ssl.core", function()
  local core = require "ssl.core"

  it("has its functions", function()
    for _, name in ipairs { "create", "setfd", "compression", "info", "setmethod", "copyright" } do
      assert.equal("function", type(core[name]), name)
    end
  end)

  it("has -1 as the invalid socket", function() assert.equal(-1, core.SOCKET_INVALID) end)
end)

describe("compat module ssl.context", function()
  local context = require "ssl.context"

  it("has LuaSec 1.2's functions", function()
    for _, name in ipairs { "create", "setmode", "locations", "loadcert", "loadkey", "checkkey", "setcipher",
      "setciphersuites", "setdepth", "setverify", "setoptions", "setdhparam", "setcurve", "setcurveslist", "setalpn",
      "setalpncb", "setdane" } do
      assert.equal("function", type(context[name]), name)
    end
  end)

  it("has LuaSec 1.3's functions for pre-shared keys", function()
    for _, name in ipairs { "setserverpskcb", "setclientpskcb", "setpskhint" } do
      assert.equal("function", type(context[name]), name)
    end
  end)

  it("has setverifyext as a method only", function() assert.is_nil(context.setverifyext) end)
end)

describe("compat module ssl.x509", function()
  it("has load", function() assert.equal("function", type(require "ssl.x509".load)) end)
end)

describe("compat objects", function()
  local function metatable() -- of a connection that never had a socket
    local core = require "ssl.core"
    return getmetatable(core.create(ssl.newcontext(support.anyclient())))
  end

  it("share a metatable whose __index is a plain table", function()
    local mt = metatable()
    assert.equal("table", type(mt.__index))
    assert.is_nil(mt.__metatable)
    assert.is_nil(getmetatable(mt.__index))
    assert.equal("function", type(mt.__gc))
    assert.equal("function", type(mt.__tostring))
  end)

  it("have every connection method of LuaSec 1.2", function()
    local index = metatable().__index
    for name in ([[close dirty dohandshake exportkeyingmaterial getalpn getfd getfinished getpeercertificate
      getpeerchain getpeerfinished getpeerverification getsniname getstats info receive send setdane setstats
      settimeout settlsa sni want]]):gmatch("%a+") do
      assert.equal("function", type(index[name]), name)
    end
  end)

  it("have the methods that came with LuaSec 1.3", function()
    local index = metatable().__index
    assert.equal("function", type(index.getlocalcertificate))
    assert.equal("function", type(index.getlocalchain))
  end)

  it("lack setfd, compression, connect and tlsunique on connections", function()
    local index = metatable().__index
    for _, name in ipairs { "setfd", "compression", "connect", "tlsunique", "rawcontext" } do
      assert.is_nil(index[name], name)
    end
  end)

  it("answer nil for an unknown name", function()
    local core = require "ssl.core"
    local ctx = ssl.newcontext(support.anyclient())
    assert.is_nil(core.create(ctx).no_such_method)
    assert.is_nil(ssl.loadcertificate(support.pem("serverA")).no_such_method)
  end)

  it("close by to-be-closed variables too", function()
    assert.equal("function", type(metatable().__close))
    assert.equal("function", type(getmetatable(ssl.newcontext(support.anyclient())).__close))
    assert.equal("function", type(getmetatable(ssl.loadcertificate(support.pem("serverA"))).__close))
  end)

  it("take methods that a program adds by setmethod", function()
    T.survives [[
      local core = require "ssl.core"
      local context = require "ssl.context"
      local ctx = context.create("any")
      context.setmode(ctx, "client")
      local conn = core.create(ctx)
      assert(select("#", core.setmethod("twice", function(self, n) return self, n * 2 end)) == 0)
      local me, n = conn:twice(21)
      assert(me == conn and n == 42)
      assert(getmetatable(conn).__index.twice)
    ]]
  end)

  it("name their types in argument errors", function()
    local conn = metatable().__index
    T.raises("bad argument #1 to .*SSL:Connection expected", conn.receive, 1)
    T.raises("SSL:Context expected", require "ssl.context".setmode, 1, "client")
    T.raises("SSL:Certificate expected", getmetatable(ssl.loadcertificate(support.pem("serverA"))).__index.pem, {})
  end)

  it("refuse one another in place of self", function()
    local conn = metatable().__index
    local cert = ssl.loadcertificate(support.pem("serverA"))
    local ctx = ssl.newcontext(support.anyclient())
    T.raises("SSL:Connection expected", conn.close, cert)
    T.raises("SSL:Connection expected", conn.dohandshake, ctx)
    T.raises("SSL:Certificate expected", cert.subject, ctx)
    T.raises("SSL:Context expected", require "ssl.context".loadcert, cert, "x")
  end)

  it("have no equality but identity", function()
    local pem = support.pem("serverA")
    assert.is_false(ssl.loadcertificate(pem) == ssl.loadcertificate(pem))
  end)
end)
