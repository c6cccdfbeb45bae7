-- When there is no memory: each place of src/ that allocates, or calls what does, is made to fail. Nothing may crash or
-- be taken for success, each failure has words, and the next try works. test/nomemory.lua makes the faults.

local S = require "support"

local common = [[
local S, E, pki, kit = require "support", require "engines", require "pki", require "ocspkit"
local ssl, context, x509 = S.ssl, require "ssl.context", require "ssl.x509"
S.MAXSTEPS, S.MAXSECONDS = 200, 2
local function wrong(what) error("WRONG: " .. what, 0) end
local function same(a, b, what) if a ~= b then wrong(what .. ": " .. tostring(a) .. ", not " .. tostring(b)) end end
-- A pair after its handshake, closed when f is done with it.
local function with(client, server, f)
  local c = assert(ssl.engine(client))
  local s = assert(ssl.engine(server))
  local ok, message = pcall(function()
    E.shake(c, s)
    f(c, s)
  end)
  c:close()
  s:close()
  if not ok then error(message, 0) end
  return true
end
local function echo(c, s)
  assert(c:send("hello\n"))
  E.carry(c, s)
  same(assert(s:receive("*l")), "hello", "data")
end
]]

local scenarios = {
  ["settings of a server"] = [[
    local key = { name = ("n"):rep(16), aes = ("a"):rep(32), hmac = ("h"):rep(32) }
    local names = {}
    return function()
      local ctx = assert(ssl.newcontext {
        mode = "server", protocol = "tlsv1_2+", certificate = S.cert "serverA", key = S.cert "serverAkey-encrypted",
        password = "secret", cafile = S.cert "rootA", cadata = S.pem "rootB", crlfile = S.cert "crlA",
        verify = "peer", ciphers = "HIGH", ciphersuites = "TLS_AES_128_GCM_SHA256", groups = "P-256:X25519",
        sigalgs = "ECDSA+SHA256:RSA+SHA256", alpn = function() end, psk = { identity = "me", key = ("k"):rep(32) },
        sessions = { id = "id", tickets = 2, get = print, set = print, remove = print }, ticketkeys = { key },
        sni = names, dhparam = function() end, keylog = print,
      })
      S.finalize(ctx)
      return true
    end]],
  ["settings of a client"] = [[
    return function()
      local ctx = assert(ssl.newcontext(S.client { capath = S.cert "capath", cadata = S.pem "rootB",
        pkcs12 = { file = S.cert "chainA.p12", password = "secret" }, servername = "localhost", alpn = { "h2", "x" },
        crldata = S.pem "crlA", sessions = true, ocsp = "request",
        psk = { identity = "me", key = ("k"):rep(32) } }))
      S.finalize(ctx)
      ctx = assert(ssl.newcontext(S.client { certificate = "store:" .. S.cert "chainA", verifyname = "192.0.2.1",
        key = "store:" .. S.cert "chainAkey", sigalgs = "ed25519" }))
      S.finalize(ctx)
      return true
    end]],
  ["key pairs and reloading"] = [[
    return function()
      local ctx = assert(ssl.newcontext { mode = "server", protocol = "any", keypairs = {
        { certificate = S.cert "chainA", key = S.cert "chainAkey" },
        { certificate = S.cert "rsa", key = S.cert "rsakey" } } })
      with(S.anyclient { servername = "chain.test" }, ctx, function(c)
        if assert(c:getpeercertificate()):checkhost "rsa.test" then wrong "the certificate" end
      end)
      S.finalize(ctx)
      ctx = assert(ssl.newcontext(S.server()))
      assert(ctx:reload { certificate = S.cert "chainA", key = S.cert "chainAkey" })
      S.finalize(ctx)
      return true
    end]],
  ["TLS 1.3"] = [[
    local cctx = assert(ssl.newcontext(S.client { servername = "localhost", alpn = { "h2" }, keylog = function() end }))
    local sctx = assert(ssl.newcontext(S.server { alpn = function() return "h2" end, verify = "peer",
      cafile = S.cert "rootA" }))
    local mine = { mode = "client", protocol = "tlsv1_3", certificate = S.cert "clientA", key = S.cert "clientAkey" }
    local client = assert(ssl.newcontext(S.client(mine)))
    return function()
      with(client, sctx, function(c, s)
        echo(c, s)
        assert(c:info().cipher and s:info().protocol == "TLSv1.3")
        same(#assert(s:getpeerchain()) >= 1 and s:getpeerverification(), true, "the verification")
        assert(c:getlocalcertificate() and c:getpeercertificate(), "no certificate")
        local binding = assert(c:getchannelbinding "tls-exporter")
        same(binding, assert(s:getchannelbinding "tls-exporter"), "the binding")
        assert(c:getchannelbinding "tls-server-end-point")
        same(#assert(c:exportkeyingmaterial("label", 32, "context")), 32, "the key")
        assert(c:keyupdate())
        echo(c, s)
        assert(c:reset())
      end)
      return with(cctx, assert(ssl.newcontext(S.server { alpn = function() return "h2" end })), function(c, s)
        same(c:getalpn(), "h2", "the protocol")
        echo(c, s)
      end)
    end]],
  ["TLS 1.2, DHE, PSK"] = [[
    local dhe = assert(ssl.newcontext(S.server { protocol = "tlsv1_2", certificate = S.cert "rsa",
      key = S.cert "rsakey", ciphers = "DHE-RSA-AES128-GCM-SHA256",
      dhparam = function() return S.pem "dhparam2048" end }))
    local client = assert(ssl.newcontext(S.client { protocol = "tlsv1_2" }))
    local psk = { protocol = "tlsv1_2", psk = { identity = "me", key = ("k"):rep(32) }, certificate = S.NONE,
      key = S.NONE, cafile = S.NONE, verify = "none" }
    return function()
      with(client, dhe, function(c, s)
        echo(c, s)
        assert(c:getfinished() and s:getpeerfinished() and c:getchannelbinding "tls-unique")
      end)
      return with(psk.c or S.client(psk), S.server(psk), echo)
    end]],
  ["who has come with a key"] = [[
    local function pair(version, fixed)
      local t = { protocol = version, psk = fixed or function() return "me", ("k"):rep(32) end, certificate = S.NONE,
        key = S.NONE, cafile = S.NONE, verify = "none", ciphers = "PSK" }
      local client = assert(ssl.newcontext(S.client(t)))
      t.psk = fixed or function(id) return id == "me" and ("k"):rep(32) end
      return { client, assert(ssl.newcontext(S.server(t))) }
    end
    local pairs_ = {}
    for _, version in ipairs { "tlsv1_3", "tlsv1_2" } do
      pairs_[#pairs_ + 1] = pair(version)
      pairs_[#pairs_ + 1] = pair(version, { identity = "me", key = ("k"):rep(32) })
    end
    return function()
      for _, p in ipairs(pairs_) do
        with(p[1], p[2], function(c, s)
          same(s:getpskidentity(), "me", "who has come")
          same(c:getpskidentity(), "me", "who we are")
          echo(c, s)
        end)
      end
      return true
    end]],
  ["resumption and stores"] = [[
    local data = {}
    local store = { tickets = false, get = function(id) return data[id] end, set = function(id, s) data[id] = s end,
      remove = function() end }
    local sctx = assert(ssl.newcontext(S.server { protocol = "tlsv1_2", sessions = store }))
    local tickets = assert(ssl.newcontext(S.server()))
    local cctx = assert(ssl.newcontext(S.client { servername = "localhost", sessions = 4 }))
    local plain = assert(ssl.newcontext(S.client()))
    return function()
      local session
      with(plain, sctx, function(c, s)
        echo(c, s)
        session = assert(c:getsession())
      end)
      local text = assert(session:export())
      assert(session:pem())
      session = assert(ssl.loadsession(text))
      local c, s = assert(ssl.engine(plain)), assert(ssl.engine(sctx))
      assert(c:setsession(session))
      E.shake(c, s)
      echo(c, s)
      for _ = 1, 2 do
        with(cctx, tickets, function(a, b)
          echo(a, b)
          b:send("x")
          E.carry(b, a)
          a:read()
        end)
      end
      return true
    end]],
  ["sni, and chains that fail"] = [[
    local other = assert(ssl.newcontext(S.server { certificate = S.cert "serverB", key = S.cert "serverBkey" }))
    local byname = assert(ssl.newcontext(S.server { sni = function() return other end }))
    local bad = { cafile = S.cert "rootB", servername = "localhost" }
    local passed = { cafile = S.cert "rootB", servername = "localhost", verifyext = "lsec_continue" }
    return function()
      with(S.anyclient { servername = "b.test" }, byname, function(c, s)
        assert(c:getpeercertificate())
        echo(c, s)
      end)
      local c, s = assert(ssl.engine(S.client(bad))), assert(ssl.engine(S.server()))
      local ok, message = E.fail(c, s)
      if ok then wrong "a certificate of another CA is trusted" end
      if c:getpeerverification() then wrong "it counts as verified" end
      if message == "certificate verify failed" then c:getpeerchain() end
      with(S.client(passed), S.server(), function(goes)
        if goes:getpeerverification() then wrong "it counts as verified with lsec_continue" end
      end)
      return true
    end]],
  ["stapling"] = [[
    local good = kit.craft { cert = "serverA" }
    local cert, issuer = kit.certificate "serverA", kit.certificate "rootA"
    return function()
      with(S.client { ocsp = "require" }, S.server { ocsp = good }, function(c)
        same(assert(c:getocsp()).der, good, "the response")
      end)
      assert(cert:ocsprequest(issuer))
      local answer = cert:ocspcheck(issuer, good)
      if answer.verified and answer.status ~= "good" then wrong "the status" end
      return true
    end]],
  ["certificates"] = [[
    local text, bad = S.pem "serverA", pki.make {}
    return function()
      local cert, issuer = assert(x509.load(text)), assert(x509.load(S.pem "rootA"))
      for name, arguments in pairs(pki.calls) do cert[name](cert, pki.unpack(arguments)) end
      if bad:issued(cert) or cert:issued(issuer) then wrong "who issued it" end
      issuer:issued(cert)
      issuer:issued(cert, bad)
      if cert:checkhost "other.test" then wrong "the name" end
      cert:checkip "127.0.0.1"
      cert:oneline()
      local pem, key = assert(ssl.selfsigned { names = { "a.test", "127.0.0.1" } })
      assert(x509.load(pem) and key)
      return true
    end]],
  ["DTLS"] = [[
    local server, client = S.server { protocol = "dtls" }, S.client { protocol = "dtls" }
    return function()
      local s, c = assert(ssl.engine(server)), assert(ssl.engine(client))
      assert(s:setretransmit(1))
      for _ = 1, 3 do
        c:dohandshake()
        E.carry(c, s)
        local ok, message = s:listen("me")
        if ok then break end
        if message ~= "retry" and message ~= "wantread" then error(message, 0) end
        E.carry(s, c)
      end
      E.shake(c, s)
      assert(c:write("hello"))
      E.carry(c, s)
      same((assert(s:read())), "hello", "data")
      c:handletimeout()
      c:close()
      s:close()
      return true
    end]],
  ["sockets"] = [[
    local cctx, sctx = assert(ssl.newcontext(S.client { readahead = true })), assert(ssl.newcontext(S.server()))
    local file = assert(io.open(S.cert "serverA", "rb"))
    local text = S.pem "serverA"
    local long = ("x"):rep(50000)
    return function()
      local c, s = S.wrapped(cctx, sctx)
      local ok, message = pcall(function()
        local cr, sr = S.shake(c, s)
        assert(cr[1], cr[2])
        assert(sr[1], sr[2])
        assert(s:sendfile(file))
        same(assert((S.receive(c, #text))), text, "the file")
        same(S.transfer(s, c, long), long, "the long text")
        assert(s:send("prefix\n"))
        same(assert((S.receive(c, "*l", "a "))), "a prefix", "the line")
        s:send(long)
        s:close()
        same(assert((S.receive(c, "*a"))), long, "the rest")
      end)
      c:close()
      s:close()
      if not ok then error(message, 0) end
      return true
    end]],
  ["odds and ends"] = [[
    local core = require "ssl.core"
    local config = require "ssl.config"
    return function()
      assert(ssl.checkcookie("p", ssl.cookie "p") == true, "no cookie")
      assert(core.resolve("localhost", 5))
      assert(#core.random(16) == 16)
      return true
    end]],
}

describe("without memory", function()
  local allocator
  setup(function()
    local path = os.tmpname()
    local p = io.popen("${CC:-cc} -std=gnu11 -shared -fPIC -o " .. path .. " test/peer/nomemory.c 2>&1 && echo made")
    local out = p:read("*a")
    p:close()
    if out ~= "made\n" then error(out) end
    allocator = path
  end)
  teardown(function() os.remove(allocator) end)

  local names = {}
  for name in pairs(scenarios) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    it("nothing breaks: " .. name, function()
      if (os.getenv("LD_PRELOAD") or "") ~= "" then return pending("another allocator is preloaded") end
      local out = S.fresh(([[
        local scenario = (function() %s %s end)()
        print("places and faults:", require("nomemory").run(scenario))
      ]]):format(common, scenarios[name]), "LD_PRELOAD=" .. allocator)
      if os.getenv "NOMEMORY_SHOW" then print(name, out) end
      local sites, faults = out:match("^places and faults:%s+(%d+)%s+(%d+)$")
      assert.is_truthy(sites, out)
      assert.is_true(tonumber(sites) > 0 and tonumber(faults) >= tonumber(sites), out)
    end)
  end
end)
