-- The cache of parsed CA files: seen from outside by time, and by what contexts trust.

local S = require "support"
local socket = require "socket"
local ssl = S.ssl

local function write(path, text, age)
  local f = assert(io.open(path, "wb"))
  f:write(text)
  f:close()
  -- The cache does not share files that have just changed; ctime cannot be set back, so wait for it where that matters.
  if age then assert(os.execute(("touch -d '%d seconds ago' %s"):format(age, path))) end
end

local function copyof(name)
  local path = os.tmpname()
  write(path, S.pem(name), 3600)
  return path
end

-- Does a client that trusts `cafile` accept the server `name`?
local function accepts(cfg, name)
  local client = type(cfg) == "table" and S.client(cfg) or type(cfg) == "string" and S.client { cafile = cfg } or cfg
  local c, s = S.wrapped(client, S.server { certificate = S.cert(name), key = S.cert(name .. "key") })
  local cr = S.shake(c, s)
  c:close()
  s:close()
  return cr[1]
end

describe("the store cache", function()
  it("holds a file once for all contexts, if it has settled", function()
    local names = { "rootA", "rootB", "interA", "serverA", "serverB", "clientA", "clientB", "rsa", "ec384", "ed25519",
      "expired", "notyet", "wronghost", "wildcard", "wildcards", "ip", "dnsip", "nosan", "selfsigned",
      "revoked", "ocspA", "manysan" }
    for i, name in ipairs(names) do names[i] = S.pem(name) end
    local path = os.tmpname()
    finally(function() os.remove(path) end)
    write(path, table.concat(names))
    -- A process of its own, whose memory no other spec has stirred: its growth in KiB over 100 contexts.
    local chunk = ([[
      local S = require "support"
      local keep = { S.ssl.newcontext(S.client { cafile = %q }) }
      local before = S.rss()
      for i = 2, 101 do keep[i] = assert(S.ssl.newcontext(S.client { cafile = %q })) end
      print(S.rss() - before)]]):format(path, path)
    local own = tonumber(S.fresh(chunk))
    socket.sleep(3.1)
    local shared = tonumber(S.fresh(chunk))
    assert.is_true(shared < own / 2, ("100 contexts: %d KiB each with its own, %d KiB shared"):format(own, shared))
  end)

  -- What a context is told to trust besides needs a store of its own, which is made of the one that it shares.
  it("keeps a context as it was when the file has changed or gone that it shares", function()
    local context = require "ssl.context"
    local path = copyof("rootA")
    socket.sleep(3.1)
    local contexts = {}
    for i = 1, 8 do contexts[i] = assert(S.ssl.newcontext(S.client { cafile = path })) end
    local i = 0
    for _, now in ipairs { S.pem("rootB"), false } do
      if now then write(path, now) else os.remove(path) end
      for _, add in ipairs { function(ctx) return context.locations(ctx, S.cert "interA") end,
        function(ctx) return context.locations(ctx, nil, S.cert "capath-none") end,
        function(ctx) return context.cadata(ctx, S.pem "interA") end,
        function(ctx) return context.crls(ctx, S.cert "crlA") end } do
        i = i + 1
        assert.is_true(add(contexts[i]))
        assert.is_true(accepts(contexts[i], "serverA"))
        assert.is_false(accepts(contexts[i], "serverB"))
      end
    end
  end)

  it("sees a changed file at once", function()
    local path = copyof("rootA")
    finally(function() os.remove(path) end)
    assert.is_true(accepts(path, "serverA"))
    assert.is_false(accepts(path, "serverB"))
    write(path, S.pem("rootB"))
    assert.is_false(accepts(path, "serverA"))
    assert.is_true(accepts(path, "serverB"))
    write(path, S.pem("rootA"))
    assert.is_true(accepts(path, "serverA"))
  end)

  it("sees a file that another was renamed over, its times kept", function()
    local path, other = copyof("rootA"), copyof("rootB")
    finally(function() os.remove(path) end)
    assert.is_true(accepts(path, "serverA"))
    os.execute(("touch -r %s %s"):format(path, other))
    assert(os.rename(other, path))
    assert.is_false(accepts(path, "serverA"))
    assert.is_true(accepts(path, "serverB"))
  end)

  it("fails for a file that has gone, though its store is still in use", function()
    local path = copyof("rootA")
    local ctx = assert(ssl.newcontext(S.client { cafile = path }))
    os.remove(path)
    local no, message = ssl.newcontext(S.client { cafile = path })
    assert.is_nil(no)
    assert.equal("error loading CA locations (No such file or directory)", message)
    assert.is_truthy(ctx)
  end)

  it("does not share what one context adds", function()
    local context = require "ssl.context"
    local one = assert(ssl.newcontext(S.client { cafile = S.cert("rootA") }))
    local two = assert(ssl.newcontext(S.client { cafile = S.cert("rootA") }))
    assert.is_true(context.locations(two, S.cert("rootB")))
    local three = assert(ssl.newcontext(S.client { cafile = S.cert("rootA") }))
    local function verdict(ctx)
      local c, s = S.wrapped(ctx, S.server { certificate = S.cert("serverB"), key = S.cert("serverBkey") })
      return S.shake(c, s)[1]
    end
    assert.is_false(verdict(one))
    assert.is_true(verdict(two))
    assert.is_false(verdict(three))
  end)

  it("does not share directories, nor flags", function()
    assert.is_true(accepts({ cafile = S.cert("rootB"), capath = S.cert("capath") }, "serverA"))
    assert.is_false(accepts({ cafile = S.cert("rootB") }, "serverA"))
    assert.is_false(accepts({ cafile = S.cert("rootA"), verifyext = "crl_check" }, "serverA"))
    assert.is_true(accepts({ cafile = S.cert("rootA") }, "serverA"))
  end)

  it("lets a failed second file change nothing", function()
    local context = require "ssl.context"
    local ctx = assert(ssl.newcontext(S.client()))
    assert.is_false((context.locations(ctx, "/nowhere")))
    local c, s = S.connected(ctx, S.server())
    assert.is_true(c:getpeerverification())
    c:close()
    s:close()
  end)
end)
