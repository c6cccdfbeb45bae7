-- Bugs of others around certificates, their names and trust stores, and memory that is lost or freed twice.

local S = require "support"
local kit = require "history.kit"
local ssl, check = S.ssl, kit.check

local rows = {}

local function load(name) return assert(ssl.loadcertificate(S.pem(name))) end

local function names(cert, kind)
  local san = check(cert:extensions()["2.5.29.17"], "there are no alternative names")
  return check(san[kind], "there are no names of kind %s", kind)
end

rows[15] = {
  subject = "an address is no DNS name, and addresses in certificates can be read",
  where = "luasec#21, openssl#31377, libwebsockets#1460",
  run = function()
    for _, encoding in ipairs { "ascii", "utf8" } do
      local cert = load("ip")
      cert:setencode(encoding)
      local seen = {}
      for _, address in ipairs(names(cert, "iPAddress")) do seen[address] = true end
      check(seen["127.0.0.1"], "%s: 127.0.0.1 is not among the addresses", encoding)
    end
    if not ssl.checkhostname then return end
    check(not ssl.checkhostname(load("dnsip"), "127.0.0.1"), "DNS:127.0.0.1 matches the address")
    check(ssl.checkhostname(load("ip"), "127.0.0.1"), "IP:127.0.0.1 does not match the address")
  end,
}

rows[16] = {
  subject = "names that are not UTF-8 come as the right bytes",
  where = "luasec#11",
  run = function()
    for _, name in ipairs { "unicode", "bmp" } do
      local cert = load(name)
      cert:setencode("utf8")
      local subject = cert:subject()
      check(subject[#subject].value == "žluťoučký 語", "%s: %q", name, tostring(subject[#subject].value))
      cert:setencode("ascii")
      check(type(cert:subject()[1].value) == "string", "%s: no bytes", name)
    end
    local pem = S.pem("bmp"):gsub("%-%-%-%-%-BEGIN.-\n", ""):gsub("%-%-%-%-%-END.*", ""):gsub("%s", "")
    for i = 1, #pem - 4, 4 do -- every three bytes of it changed in turn
      local damaged = pem:sub(1, i - 1) .. "////" .. pem:sub(i + 4)
      local cert = ssl.loadcertificate("-----BEGIN CERTIFICATE-----\n" .. damaged:gsub(("."):rep(64), "%0\n") ..
        "\n-----END CERTIFICATE-----\n")
      if cert then
        cert:setencode("utf8")
        local ok, message = pcall(function() return cert:subject(), cert:issuer(), cert:extensions() end)
        check(ok, "byte %d: %s", i, tostring(message))
      end
    end
  end,
}

rows[17] = {
  subject = "a NUL in a name neither ends it nor lets it match",
  where = "openssl#31392, openssl#31686, openssl#32178, rust-openssl#2652",
  run = function()
    local found
    for _, name in ipairs(names(load("nul"), "dNSName")) do
      found = found or name:find("^localhost%z") and #name > #"localhost" + 1
    end
    check(found, "the name is cut at its NUL")
    if not ssl.checkhostname then return end
    check(not ssl.checkhostname(load("nul"), "localhost"), "it matches up to its NUL")
    check(not ssl.checkhostname(load("serverA"), "localhost\0.evil.test"), "a host name with NUL matches")
  end,
}

rows[18] = {
  subject = "every method of a certificate called over and over keeps memory flat",
  where = "luasec#144, luasec#10, openwrt/packages#602, koreader-base#949",
  run = function()
    local cert, root = load("altname"), load("rootA")
    local growth = kit.growth(3000, function()
      cert:extensions()
      cert:subject()
      cert:issuer()
      cert:pem()
      cert:digest()
      cert:pubkey()
      cert:serial()
      cert:notbefore()
      cert:validat(0)
      cert:issued(root)
    end)
    check(growth < 1024, "3,000 calls of each took %d KiB", growth)
  end,
}

-- What it asks for is Lua's memory in the main; OpenSSL's objects are in hand at each.
local HUNGRY = [[
  local S = require "support"
  local pem, big = S.pem("altname"), S.pem("manysan")
  function run()
    local cert = assert(S.ssl.loadcertificate(pem))
    for _, of in ipairs { cert, assert(S.ssl.loadcertificate(big)) } do
      of:extensions()
      of:subject()
      of:pem()
      of:digest()
      of:pubkey()
    end
    local c, s = S.connected()
    c:getpeerchain()
    c:getpeercertificate():issuer()
    c:info()
    S.transfer(c, s, ("x"):rep(20000))
    c:close()
    s:close()
  end]]

rows[19] = {
  subject = "Lua runs out of memory with an OpenSSL object in hand",
  where = "luaossl#72",
  run = function()
    if os.getenv("ASAN_OPTIONS") then kit.skip("the sanitizers allocate in OpenSSL's place") end
    local program, chunk = kit.compile("memory.c", "LUALIBS -Wl,--no-as-needed -lssl -lcrypto"), S.tmpfile(HUNGRY)
    local text = kit.output(("timeout -k 1 50 %s %s 61; echo status $?"):format(program, chunk))
    os.remove(program)
    os.remove(chunk)
    local tried = text:match("^done (%d+)\nstatus 0\n$")
    check(tried, "%s", (text:gsub("%s*status %d+%s*$", "")))
    check(tonumber(tried) > 1000, "only %s allocations were made", tried)
  end,
}

rows[20] = {
  subject = "the text of every error is whole and readable",
  where = "luaossl#217",
  run = function()
    local junk = S.cert("junk")
    for _, case in ipairs {
      { "certificate", { certificate = junk } }, { "certificate", { certificate = "/nonexistent.pem" } },
      { "key", { key = junk } }, { "key", { key = "/nonexistent.pem" } }, { "key", { key = S.cert("rsakey") } },
      { "key", { key = S.cert("rsakey-encrypted"), password = "wrong" } }, { "ciphers", { ciphers = "NOTHING" } },
      { "protocol", { protocol = "ssl9" } }, { "cafile", { cafile = junk } }, { "cafile", { cafile = "/nonexistent" } },
      { "options", { options = "no_such" } }, { "curve", { curve = "P-1" } },
      { "mode", { mode = "both" } }, { "dhparam", { dhparam = 12 } }, { "verify", { verify = "perhaps" } },
    } do
      local ok, ctx, message = pcall(ssl.newcontext, S.server(case[2]))
      check(ok and not ctx, "%s: it answers %s", case[1], tostring(ctx))
      kit.sentence(message, case[1])
    end
    for _, case in ipairs {
      { "root", S.client { cafile = S.cert("rootB") } }, { "versions", S.client { protocol = "tlsv1_2" },
        S.server { protocol = "tlsv1_3" } }, { "expired", S.client(), S.server { certificate = S.cert("expired"),
        key = S.cert("expiredkey") } },
    } do
      local cr, sr = S.try(case[2], case[3])
      check(not cr[1], "%s: it succeeds", case[1])
      kit.sentence(cr[2], case[1])
      if not sr[1] then kit.sentence(sr[2], case[1]) end
    end
    local cert, message = ssl.loadcertificate("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    check(not cert, "a certificate of nonsense is loaded")
    kit.sentence(message, "loadcertificate")
  end,
}

local function finish(ctx)
  local c, s = S.connected(ctx)
  c:close()
  s:close()
end

rows[21] = {
  subject = "contexts that share a trust store are collected in any order",
  where = "luaossl#124, lua-openssl#27, lua-openssl#28",
  run = function()
    for first = 1, 3 do
      local contexts = {}
      for i = 1, 3 do contexts[i] = assert(ssl.newcontext(S.client())) end
      local conn = S.wrapped(contexts[first])
      for step = 0, 2 do
        local i = (first + step - 1) % 3 + 1
        local left = contexts[i % 3 + 1]
        contexts[i] = nil
        S.collect()
        if left then finish(left) end
      end
      conn:close()
    end
    finish(S.client())
  end,
}

-- Objects of each kind, and a call that each must survive when it has been finalized.
local function objects()
  local c, s = S.connected()
  return {
    { "a connection", c, function(o) return o:receive() end },
    { "a connection before its handshake", (S.wrapped()), function(o) return o:dohandshake() end },
    { "a server's connection", s, function(o) return o:getpeercertificate() end },
    { "a certificate", c:getpeercertificate(), tostring },
    { "a context", assert(ssl.newcontext(S.server())), tostring },
    { "a session", c.getsession and c:getsession(), tostring },
  }
end

rows[22] = {
  subject = "closing, finalizing by hand and collecting the same object again does no harm",
  where = "lua-openssl#141",
  run = function()
    for _ = 1, 3 do
      for _, case in ipairs(objects()) do
        local object, use = case[2], case[3]
        if object then
          local meta = getmetatable(object)
          for _, door in ipairs { "close", "__gc", "__close", "__gc", "close" } do
            local f = meta[door] or (door == "close" and type(meta.__index) == "table" and meta.__index.close)
            if f then f(object) end
          end
          pcall(use, object)
        end
      end
      S.collect()
    end
    finish(S.client())
  end,
}

rows[23] = {
  subject = "loading certificates and writing them as text keeps memory flat",
  where = "luacrypto#45, lua-openssl#185, lua-openssl#186, lua-http#234",
  run = function()
    local pem = S.pem("serverA")
    local growth = kit.growth(1500, function()
      local cert = assert(ssl.loadcertificate(pem))
      assert(ssl.loadcertificate(cert:pem()))
      assert(not ssl.loadcertificate("junk"))
    end)
    check(growth < 1024, "3,000 certificates took %d KiB", growth)
  end,
}

return rows
