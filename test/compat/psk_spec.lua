-- Pre-shared keys: the psk setting of both sides, its callbacks, and the setters of ssl.context. LuaSec has them since
-- 1.3.

local T = require "compat.tools"
local support = require "support"
local ssl = require "ssl"
local context = require "ssl.context"
local release = require "release"

local pack, NONE = support.pack, support.NONE
local SECRET = ("k"):rep(32)
local PSK12 = { protocol = "tlsv1_2", ciphers = "PSK-AES128-GCM-SHA256" }

local function clientcfg(f, extra)
  return support.anyclient(T.join(PSK12, { psk = f or function() return "alice", SECRET end }, extra))
end

local function servercfg(f, extra)
  local own = { certificate = NONE, key = NONE, psk = f or function() return SECRET end }
  return support.server(T.join(PSK12, own, extra))
end

local function shake(c, s)
  local client, server = support.wrapped(c, s)
  local cr, sr = support.shake(client, server)
  return cr, sr, client, server
end

describe("compat psk", function()
  it("is a capability", function() assert.is_true(ssl.config.capabilities.psk) end)

  it("connects without any certificate", function()
    local cr, sr, c, s = shake(clientcfg(), servercfg())
    assert.is_true(cr[1])
    assert.is_true(sr[1])
    assert.equal("PSK-AES128-GCM-SHA256", c:info("cipher"))
    assert.equal("PSK", c:info("key"))
    assert.equal("PSK", s:info("authentication"))
    assert.is_nil((c:getpeercertificate()))
    assert.equal("secret words", support.transfer(c, s, "secret words"))
    T.close(c, s)
  end)

  it("gives the client's function the hint and both limits", function()
    local args
    local _, _, c, s = shake(clientcfg(function(...)
      args = pack(...)
      return "alice", SECRET
    end), servercfg())
    T.returned(args, nil, 255, 512)
    T.close(c, s)
  end)

  it("gives the server's function the identity and the limit", function()
    local args
    local _, _, c, s = shake(clientcfg(), servercfg(function(...)
      args = pack(...)
      return SECRET
    end))
    assert.equal("alice", args[1])
    assert.equal("number", type(args[2]))
    assert.equal(2, args.n)
    T.close(c, s)
  end)

  it("carries the server's hint", function()
    local hint
    local cr, _, c, s = shake(clientcfg(function(h)
      hint = h
      return "alice", SECRET
    end), servercfg({ hint = "which one?", callback = function() return SECRET end }))
    assert.is_true(cr[1])
    assert.equal("which one?", hint)
    T.close(c, s)
  end)

  it("fails when the keys differ", function()
    local cr, sr, c, s = shake(clientcfg(function() return "alice", ("x"):rep(32) end), servercfg())
    T.failed(sr, false, "%a") -- the words differ with the cipher and OpenSSL's release
    T.begins(cr, false, release.alert("bad record mac"))
    T.close(c, s)
  end)

  it("fails when the server does not know the identity", function()
    local _, sr, c, s = shake(clientcfg(), servercfg(function() return nil end))
    T.begins(sr, false, "psk identity not found")
    T.close(c, s)
  end)

  it("fails when the client has no key, or an empty one", function()
    local answers = { function() return nil end, function() return "alice" end, function() return "alice", "" end }
    for _, f in ipairs(answers) do
      local cr, _, c, s = shake(clientcfg(f), servercfg())
      T.failed(cr, false, "%a")
      T.close(c, s)
    end
  end)

  it("fails when a key or an identity is too long", function()
    local answers = { { "alice", ("k"):rep(5000) }, { ("i"):rep(5000), SECRET } }
    for _, answer in ipairs(answers) do
      local function f() return answer[1], answer[2] end
      local cr, _, c, s = shake(clientcfg(f), servercfg())
      T.failed(cr, false, "%a")
      T.close(c, s)
    end
    local _, sr, c, s = shake(clientcfg(), servercfg(function() return ("k"):rep(5000) end))
    T.failed(sr, false, "%a")
    T.close(c, s)
  end)

  it("names an error of the client's function", function()
    local cr, _, c, s = shake(clientcfg(function() error("no key today") end), servercfg())
    local msg = T.failed(cr, false, "PSK")
    assert.is_truthy(msg:find("no key today", 1, true))
    T.close(c, s)
  end)

  it("names an error of the server's function", function()
    local _, sr, c, s = shake(clientcfg(), servercfg(function() error("no key today") end))
    local msg = T.failed(sr, false, "PSK")
    assert.is_truthy(msg:find("no key today", 1, true))
    T.close(c, s)
  end)

  it("is refused in any other form", function()
    for _, v in ipairs { "key", 12, true } do
      T.begins(pack(ssl.newcontext(clientcfg(v))), nil, "invalid PSK configuration")
      T.begins(pack(ssl.newcontext(servercfg(v))), nil, "invalid PSK configuration")
    end
    T.begins(pack(ssl.newcontext(servercfg { hint = "no callback" })), nil, "invalid PSK configuration")
  end)

  it("refuses a hint that is too long with a message", function()
    T.failed(pack(ssl.newcontext(servercfg { hint = ("h"):rep(1000), callback = function() return SECRET end })), nil,
      "%a")
  end)
end)

describe("compat ssl.context psk", function()
  it("sets the functions and the hint", function()
    local client = assert(ssl.newcontext(clientcfg(NONE)))
    local server = assert(ssl.newcontext(servercfg(NONE)))
    local hint
    T.returned(pack(context.setclientpskcb(client, function(h)
      hint = h
      return "alice", SECRET
    end)), true)
    T.returned(pack(context.setserverpskcb(server, function() return SECRET end)), true)
    T.returned(pack(context.setpskhint(server, "by hand")), true)
    assert.is_false((context.setpskhint(server, ("h"):rep(1000))))
    local cr, sr, c, s = shake(client, server)
    assert.is_true(cr[1] and sr[1])
    assert.equal("by hand", hint)
    T.close(c, s)
  end)
end)
