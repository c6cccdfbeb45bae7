-- ssl.contexts: one context for each distinct set of settings, and what makes them distinct; that ssl.https resumes.

local S = require "support"
local web = require "web"
local ssl = S.ssl
local contexts = require "ssl.contexts"
local core = require "ssl.core"

local function copy(path)
  local to = os.tmpname()
  local f = assert(io.open(to, "wb"))
  f:write(S.read(path))
  f:close()
  return to
end

-- A file's times, long ago and `n` seconds later.
local function age(path, n) assert(os.execute(("touch -d '2020-01-01 00:00:%02d' %s"):format(n, path))) end

-- core.filestamp refuses files whose inode changed a moment ago; here their other times are all that counts.
local function withoutctime()
  local filestamp = core.filestamp
  finally(function() core.filestamp = filestamp end)
  core.filestamp = function(path)
    local p = assert(io.popen("stat -c '%i %s %Y' " .. path .. " 2>/dev/null"))
    local text = p:read("*l")
    p:close()
    return text
  end
end

local function same(a, b) assert.equal(assert(contexts.get(a)), assert(contexts.get(b))) end

local function differ(a, b) assert.not_equal(assert(contexts.get(a)), assert(contexts.get(b))) end

describe("ssl.contexts", function()
  before_each(function() contexts.clear() end)

  it("gives the same context for equal settings, by value", function()
    same(S.client(), S.client())
    same(S.client { options = { "all", "no_tlsv1" } }, S.client { options = { "all", "no_tlsv1" } })
    same(S.client { cadata = S.pem "rootB" }, S.client { cadata = S.pem "rootB" })
    same(S.client { alpn = { "h2" }, depth = 3, servername = "a" },
      S.client { servername = "a", depth = 3, alpn = { "h2" } })
    local function password() return "x" end
    same(S.client { password = password }, S.client { password = password })
    same(S.anyclient(), S.anyclient())
  end)

  it("gives another one for every difference", function()
    local all = { S.client(), S.client { verify = "none" }, S.client { verify = { "peer" } }, S.client { depth = 1 },
      S.client { depth = 2 }, S.client { servername = "a" }, S.client { servername = "b" },
      S.client { servername = "a", verifyname = false }, S.client { servername = "a", verifyname = "b" },
      S.client { cafile = S.cert "rootB" }, S.client { cafile = "system" }, S.client { cadata = S.pem "rootB" },
      S.client { cadata = S.pem "rootB" .. "\n" }, S.client { options = { "all" } }, S.client { options = "all" },
      S.client { options = { "all", "no_tlsv1" } }, S.client { sessions = true }, S.client { sessions = 5 },
      S.client { certificate = S.cert "clientA", key = S.cert "clientAkey" },
      S.client { password = function() return 1 end }, S.client { password = function() return 2 end },
      S.client { password = "a" }, S.client { password = "b" }, S.client { password = "b\0c" },
      S.client { password = "b\0d" }, S.client { alpn = { "a", "b" } },
      S.client { alpn = { "ab" } }, S.client { alpn = "ab" } }
    local seen = {}
    for i, cfg in ipairs(all) do
      local context = assert(contexts.get(cfg))
      assert.is_nil(seen[context], i)
      seen[context] = true
    end
  end)

  it("sees what is changed in the same table", function()
    local cfg = S.client { options = { "all" } }
    local before = contexts.get(cfg)
    cfg.options[2] = "no_tlsv1"
    assert.not_equal(before, contexts.get(cfg))
  end)

  it("sees changed files", function()
    withoutctime()
    for _, key in ipairs { "cafile", "crlfile" } do
      local path = copy(S.cert(key == "cafile" and "rootA" or "rootA-crl-empty"))
      age(path, 1)
      local cfg = S.client { [key] = path }
      same(cfg, cfg)
      local before = contexts.get(cfg)
      age(path, 2)
      assert.not_equal(before, contexts.get(cfg))
      os.remove(path)
      assert.is_nil((contexts.get(cfg)))
    end
    local path = copy(S.cert("clientA"))
    age(path, 1)
    local cfg = S.client { certificates = { { certificate = path, key = S.cert("clientAkey") } } }
    local before = contexts.get(cfg)
    age(path, 2)
    assert.not_equal(before, contexts.get(cfg))
    os.remove(path)
  end)

  it("keeps nothing of files that may still change unseen", function()
    local path = copy(S.cert("rootA"))
    differ(S.client { cafile = path }, S.client { cafile = path })
    os.remove(path)
    local stored = S.client { certificate = "store:" .. S.cert "clientA" }
    differ(stored, stored)
  end)

  it("sees other CAs of the system", function()
    finally(function() ssl.set_system_ca(nil) end)
    local cfg = { mode = "client", protocol = "any", verify = "peer" }
    ssl.set_system_ca(S.cert "rootA")
    same(cfg, cfg)
    local before = contexts.get(cfg)
    ssl.set_system_ca(S.cert "rootB")
    assert.not_equal(before, contexts.get(cfg))
    ssl.set_system_ca(false)
    assert.is_nil((contexts.get(cfg)))
  end)

  it("reports bad settings each time, near misses too", function()
    for _ = 1, 2 do
      local context, message, detail = contexts.get(S.client { verfy = "peer" })
      assert.is_nil(context)
      assert.matches("did you mean 'verify'", message)
      assert.equal("config", detail.kind)
      assert.is_nil((contexts.get(S.client { cafile = "/no/such/file" })))
    end
    assert.is_truthy(contexts.get(S.client()))
    assert.is_nil((contexts.get(S.client { verfy = "peer" })))
  end)

  it("does not compare what cannot be compared", function()
    local loop = {}
    loop[1] = loop
    local strange = { S.client { x = setmetatable({}, {}) }, S.client { x = loop }, S.client { x = { [true] = 1 } } }
    for _, cfg in ipairs(strange) do differ(cfg, cfg) end
  end)

  it("is bounded in number and in time", function()
    local max, life = contexts.MAX, contexts.LIFE
    finally(function() contexts.MAX, contexts.LIFE = max, life end)
    contexts.MAX = 3
    local first = contexts.get(S.client { depth = 1 })
    for i = 2, 3 do contexts.get(S.client { depth = i }) end
    assert.equal(first, contexts.get(S.client { depth = 1 }))
    contexts.get(S.client { depth = 4 }) -- in the place of depth 2, the least recently used
    assert.equal(first, contexts.get(S.client { depth = 1 }))
    local weak = setmetatable({ contexts.get(S.client { depth = 3 }) }, { __mode = "v" })
    for i = 5, 8 do contexts.get(S.client { depth = i }) end
    S.collect()
    assert.is_nil(weak[1])
    contexts.LIFE = 0
    differ(S.client(), S.client())
  end)

  it("keeps no settings, and memory stays flat", function()
    local grown = S.growth([[
      local contexts = require "ssl.contexts"
      return function(i)
        assert(contexts.get(S.client { servername = "h" .. i % 400 .. ".test", cadata = S.pem "rootB" }))
      end
    ]], 800, 400)
    assert.is_true(grown < 1024, grown)
  end)
end)

describe("ssl.core.filestamp and fingerprint", function()
  it("tell files apart", function()
    local stamp = core.filestamp
    assert.equal(stamp(S.cert "rootA"), stamp(S.cert "rootA"))
    assert.not_equal(stamp(S.cert "rootA"), stamp(S.cert "rootB"))
    assert.is_string(stamp("/"))
    for _, none in ipairs { "/no/such/file", "/dev/null", "", S.cert "rootA" .. "\0x", ("x"):rep(100000) } do
      assert.is_nil(stamp(none))
    end
    local young = S.tmpfile("x")
    assert.is_nil(stamp(young))
    os.remove(young)
    assert.error_matches(function() stamp() end, "bad argument #1")
    assert.error_matches(function() stamp({}) end, "bad argument #1")
  end)

  it("tell texts apart", function()
    local print = core.fingerprint
    assert.equal(32, #print(""))
    assert.equal(print("a"), print("a"))
    assert.not_equal(print("a"), print("a\0"))
    assert.equal("\186\120\22\191", print("abc"):sub(1, 4)) -- FIPS 180-2, appendix B.1
    assert.equal(32, #print(("x"):rep(1024 * 1024)))
    assert.error_matches(function() print() end, "bad argument #1")
  end)
end)

describe("ssl.https", function()
  before_each(function() contexts.clear() end)

  -- What the server saw of each connection: is it resumed?
  local function resumed(seen)
    local list = {}
    for i, line in ipairs(seen) do list[i] = line:match("resumed=(%a+)") end
    return list
  end

  it("resumes the session of an earlier request, TLS 1.3 and 1.2", function()
    for _, protocol in ipairs { "tlsv1_3", "tlsv1_2" } do
      contexts.clear()
      local server = web.scripted(web.hello, web.hello, web.hello, web.hello)
      for i = 1, 4 do
        local extra = { protocol = protocol }
        if i == 4 then extra.sessions = false end
        assert.equal("hello", (web.get(server:url(), extra)))
      end
      assert.same({ "false", "true", "true", "false" }, resumed(server:ended()))
    end
  end)

  it("resumes through a proxy, and to a proxy that speaks TLS", function()
    local server, proxy = web.scripted(web.hello, web.hello), web.proxy(2, nil, "serverA")
    for _ = 1, 2 do
      assert.equal("hello", (web.get(server:url(), { proxy = "https://localhost:" .. proxy.port })))
    end
    assert.same({ "false", "true" }, resumed(server:ended()))
    proxy:ended()
  end)

  it("does not resume for another host, other trust, or another identity", function()
    local server = web.scripted(web.hello, web.hello, web.hello, web.hello, web.hello)
    assert.equal("hello", (web.get(server:url())))
    assert.equal("hello", (web.get(server:url("/", "127.0.0.1"))))
    assert.equal("hello", (web.get(server:url(), { certificate = S.cert("clientA"), key = S.cert("clientAkey") })))
    assert.equal("hello", (web.get(server:url(), { verify = "none" })))
    local _, message = web.get(server:url(), { cafile = S.cert("rootB") })
    assert.equal("certificate verify failed", message)
    for i, was in ipairs(resumed(server:ended())) do assert.equal("false", was, i) end
  end)

  it("does not let a session of an unverified request verify a later one", function()
    local server = web.scripted({ "wronghost" }, web.hello, web.hello)
    assert.equal("hello", (web.get(server:url(), { verify = "none" })))
    local _, message = web.get(server:url())
    assert.equal("certificate verify failed", message)
    server:ended()
  end)
end)
