-- Bugs of others around Lua functions that OpenSSL calls, the objects that they belong to, and threads. One row each:
-- subject, where it was reported, and the case. What the rows have in common: test/history/run.lua.

local S = require "support"
local kit = require "history.kit"
local ssl, check = S.ssl, kit.check

local rows = {}

local RSA = { certificate = S.cert("rsa"), key = S.cert("rsakey") }

-- Settings of a server with RSA, a Diffie-Hellman function and ALPN; `seen` counts what they were called.
local function server(seen, extra)
  local cfg = S.server { certificate = RSA.certificate, key = RSA.key,
    alpn = function()
      seen.alpn = (seen.alpn or 0) + 1
      return "x"
    end,
    dhparam = function()
      seen.dhparam = (seen.dhparam or 0) + 1
      return S.pem("dhparam2048")
    end }
  for k, v in pairs(extra or {}) do cfg[k] = v end
  return cfg
end

local CLIENT = { alpn = { "y", "x" }, protocol = "tlsv1_2", ciphers = "DHE-RSA-AES128-GCM-SHA256" }

local function shaken(c, s)
  local cr, sr = S.shake(c, s)
  check(cr[1] and sr[1], "handshake: client %s, server %s", tostring(cr[2]), tostring(sr[2]))
end

local function closed(...)
  for i = 1, select("#", ...) do (select(i, ...)):close() end
end

rows[1] = {
  subject = "a context's callbacks outlive the coroutine that made the context",
  where = "luasec#75, luasec#130",
  run = function()
    local seen, cctx, sctx = {}
    local maker = coroutine.create(function()
      cctx = assert(ssl.newcontext(S.client(CLIENT)))
      sctx = assert(ssl.newcontext(server(seen)))
    end)
    assert(coroutine.resume(maker))
    maker = nil -- luacheck: ignore
    S.collect()
    for _ = 1, 200 do coroutine.create(function() end) end -- what was freed is used again
    for _ = 1, 3 do
      local c, s = S.wrapped(cctx, sctx)
      shaken(c, s)
      check(s:getalpn() == "x", "ALPN is %s", tostring(s:getalpn()))
      closed(c, s)
    end
    check(seen.alpn == 3 and seen.dhparam, "the callbacks were not called")
  end,
}

rows[2] = {
  subject = "a context with Diffie-Hellman parameters is collected in mid-handshake",
  where = "luasec#52",
  run = function()
    for steps = 0, 2 do
      local seen = {}
      local c, s = S.wrapped(S.client(CLIENT), server(seen))
      for _ = 1, steps do
        c:dohandshake()
        S.collect()
        s:dohandshake()
      end
      S.collect()
      shaken(c, s)
      check(seen.dhparam and s:info("key") == "DH", "the parameters were not used")
      check(S.transfer(c, s, "ping") == "ping", "no data")
      closed(c, s)
    end
  end,
}

rows[4] = {
  subject = "several states in several threads load the library at once",
  where = "luasec#184, luasec#66, lua-openssl#136, LuaLanes#92",
  run = function()
    local asan = os.getenv("ASAN_OPTIONS") and "-fsanitize=address,undefined" or ""
    local program = kit.compile("threads.c", "LUALIBS -pthread " .. asan)
    local chunk = S.tmpfile([[
      local S = require "support"
      local cctx, sctx = assert(S.ssl.newcontext(S.client())), assert(S.ssl.newcontext(S.server()))
      for i = 1, 10 do
        local c, s = S.connected(cctx, sctx)
        assert(S.transfer(c, s, ("x"):rep(20000)) == ("x"):rep(20000))
        c:close()
        if i % 2 == 0 then s:close() end
      end]])
    local text = kit.output("timeout -k 1 60 " .. program .. " 8 " .. chunk .. "; echo status $?")
    os.remove(program)
    os.remove(chunk)
    check(text == "status 0\n", "8 threads: %s", text)
  end,
}

rows[24] = {
  subject = "chains are collected while what they belong to is in use",
  where = "lua-resty-openssl#233, lua-resty-openssl#173",
  run = function()
    local seen = {}
    local sctx = assert(ssl.newcontext(server(seen, {
      certificate = S.cert("chainA"), key = S.cert("chainAkey"),
      alpn = function()
        kit.churn()
        return "x"
      end,
    })))
    for _ = 1, 10 do
      local c, s = S.wrapped(S.client { alpn = "x" }, sctx)
      for _ = 1, 4 do
        c:dohandshake()
        kit.churn()
        s:dohandshake()
        kit.churn()
      end
      shaken(c, s)
      local leaf = c:getpeerchain()[1] -- the chain itself is garbage at once
      kit.churn()
      check(c:getpeercertificate():digest() == leaf:digest(), "the leaf is another")
      closed(c, s)
      c, s = nil, nil -- luacheck: ignore
      kit.churn()
      check(leaf:pem():find("BEGIN CERTIFICATE") and #leaf:subject() > 0, "the leaf is gone with its connection")
    end
  end,
}

-- What an ALPN function may do instead of answering, and what the server's handshake must come to: false, or either.
local misdeeds = {
  { "raises", function() error("oops", 0) end, false },
  { "raises a table", function() error({}) end, false },
  { "yields", function() coroutine.yield() end, false },
  { "answers a number", function() return 12 end },
  { "answers a table of nonsense", function() return { {}, false, 12 } end },
  { "answers a huge string", function() return ("x"):rep(2 ^ 20) end },
  { "closes its connection", function(conn) conn:close() return "x" end, false },
}

rows[25] = {
  subject = "a callback that raises, yields, answers nonsense or closes ends in an error of the handshake",
  where = "luaossl#81, luaossl#128",
  run = function()
    for _, misdeed in ipairs(misdeeds) do
      local what, f, expected = misdeed[1], misdeed[2], misdeed[3]
      local c, s
      c, s = S.wrapped(S.client { alpn = "x" }, S.server { alpn = function() return f(s) end })
      local ok, cr, sr
      coroutine.wrap(function() ok, cr, sr = pcall(S.shake, c, s) end)()
      check(ok, "a function that %s: the handshake raises %s", what, tostring(cr))
      check(expected == nil or sr[1] == expected, "a function that %s: the handshake succeeds", what)
      if not sr[1] then kit.sentence(sr[2], "a function that " .. what) end
      closed(c, s)
      closed(S.connected()) -- nothing of it is left
    end
    local ok, ctx, message = pcall(ssl.newcontext, S.server {
      certificate = S.cert("rsa"), key = S.cert("rsakey-encrypted"), password = function() error("oops", 0) end })
    check(ok and not ctx, "a password function that raises: newcontext answers %s", tostring(ctx))
    kit.sentence(message, "a password function that raises")
  end,
}

rows[26] = {
  subject = "answers of PSK functions of 0, 1, the most, and one byte more",
  where = "luasec#195, luasec#194",
  run = function()
    if not ssl.config.capabilities.psk then kit.skip("has no pre-shared keys: they came with LuaSec 1.3") end
    local function try(identity, key, serverkey)
      local c, s = S.wrapped(
        S.anyclient { protocol = "tlsv1_2", ciphers = "PSK-AES128-GCM-SHA256",
          psk = function() return identity, key end },
        { mode = "server", protocol = "tlsv1_2", ciphers = "PSK-AES128-GCM-SHA256",
          psk = function(name) return name == identity and serverkey or nil end })
      local cr, sr = S.shake(c, s)
      closed(c, s)
      check((cr[1] and sr[1]) or (not cr[1] and not sr[1]), "one side succeeds alone")
      return cr[1] == true
    end
    for _, case in ipairs { { 1, 1, true }, { 1, 256, true }, { 255, 16, true }, { 0, 16, "any" }, { 1, 0, false },
      { 256, 16, false }, { 1, 100000, false }, { 100000, 16, false } } do
      local key = ("k"):rep(case[2])
      local got = try(("i"):rep(case[1]), key, key)
      check(case[3] == "any" or got == case[3], "identity of %d bytes, key of %d: %s", case[1], case[2], tostring(got))
    end
    for _, size in ipairs { 0, 1, 15, 17, 100000 } do
      check(not try("i", ("k"):rep(16), ("k"):rep(size)), "a server's key of %d bytes for one of 16", size)
    end
  end,
}

rows[27] = {
  subject = "an ALPN function that answers nothing means no ALPN, one that fails ends the handshake",
  where = "luaossl#81",
  run = function()
    local c, s = S.connected(S.client { alpn = "x" }, S.server { alpn = function() return nil end })
    check(c:getalpn() == nil and s:getalpn() == nil, "a protocol was chosen")
    closed(c, s)
    c, s = S.wrapped(S.client { alpn = "x" }, S.server { alpn = function() error("oops", 0) end })
    local ok, cr, sr = pcall(S.shake, c, s)
    check(ok, "the handshake raises %s", tostring(cr))
    check(not cr[1] and not sr[1], "the handshake succeeds")
    closed(c, s)
  end,
}

rows[39] = {
  subject = "an encrypted key without password function does not ask on the terminal",
  where = "open62541#203",
  run = function()
    local out = S.terminal(kit.skip, ([[
      local ssl = require "ssl"
      local ctx, message = ssl.newcontext { mode = "server", protocol = "any", certificate = %q, key = %q }
      io.write("asked nobody: ", tostring(ctx), " ", tostring(message))]])
      :format(S.cert("rsa"), S.cert("rsakey-encrypted")))
    check(out:find("^asked nobody: nil "), "it says: %s", out)
  end,
}

return rows
