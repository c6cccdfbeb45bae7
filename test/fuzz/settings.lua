-- What the fuzzer does with settings: an input is read as a table of settings, of known keys and others, with
-- values that fit and values of any other kind: strings with NULs, huge ones, wrong types, functions that raise or
-- yield, metatables. newcontext answers with a context, or nil and a message; it raises for the misuse of an
-- argument only, or what the table's own metamethods raise. A context that was made shakes hands without raising,
-- whatever its functions do.

local ssl = require "ssl"
local options = require "ssl.options"
local kit = require "fuzzkit"
local der = require "der"

local certificate, key = assert(ssl.selfsigned { key = "ec", names = { "localhost", "a.test" } })
local other, otherkey = assert(ssl.selfsigned { key = "ed25519", names = { "b.test" } })
local plain = { mode = "server", protocol = "any", certificate = certificate, key = key }
local server = assert(ssl.newcontext(plain))
-- With the system's CAs, which otherwise each client that verifies and names none would read again.
local client = assert(ssl.newcontext { mode = "client", protocol = "any", cafile = "system" })
local psk = { identity = "me", key = ("k"):rep(32) }
local ticketkey = { name = ("n"):rep(16), aes = ("a"):rep(32), hmac = ("h"):rep(32) }
local MINE = "raised by the table itself"

local files = os.getenv("CERTS") or "build/certs"

-- Values that fit, for each key.
local samples = {
  protocol = options.rows[1].values, mode = { "client", "server" }, certificates = { { plain } },
  key = { key, otherkey, files .. "/serverAkey.pem", "store:file:" .. files .. "/serverAkey.pem" },
  certificate = { certificate, other, files .. "/serverA.pem" }, password = { "password" },
  pkcs12 = { { file = files .. "/serverA.p12", password = "password" } }, crlfile = { files .. "/rootA-crl.pem" },
  crldata = { der.pem(der.seq(), "X509 CRL") }, cafile = { files .. "/rootA.pem", "system" }, cadata = { certificate },
  capath = { files }, ciphers = { "ALL:@SECLEVEL=0", "ECDHE+AESGCM" }, ciphersuites = { "TLS_AES_128_GCM_SHA256" },
  verify = { "none", "peer", { "peer", "fail_if_no_peer_cert" } }, options = { "all", { "no_ticket", "no_tlsv1_3" } },
  depth = { 0, 5 }, curveslist = { "P-256:X25519" }, curve = { "prime256v1" },
  verifyext = { "lsec_continue", { "crl_check", "lsec_ignore_purpose" } }, alpn = { "h2", { "h2", "http/1.1" } },
  alpnstrict = { true }, psk = { psk, { hint = "h", callback = function() return psk.key end } }, dane = { true },
  groups = { "P-256", { "X25519", "P-256" } }, sigalgs = { "ECDSA+SHA256" }, readahead = { false },
  maxreceive = { 1, 2 ^ 20 }, servername = { "a.test", "127.0.0.1" }, keypairs = { { plain, plain } },
  sni = { { ["a.test"] = server, ["*.b.test"] = server }, { names = "copas" } }, snistrict = { true },
  ocsp = { "request", "require", "\48\3\10\1\6" }, sessions = { true, 10, { tickets = 2, timeout = 60, id = "x" } },
  ticketkeys = { { ticketkey }, { ticketkey, ticketkey } }, keylog = { "/dev/null", true }, strict = { true },
  verifyname = { "a.test", false },
}
for name in pairs(samples) do
  local known = false
  for _, row in ipairs(options.rows) do known = known or row.name == name end
  assert(known, "no such setting: " .. name)
end

local fields = { "certificate", "key", "password", "pkcs12", "file", "data", "identity", "hint", "callback", "id",
  "timeout", "tickets", "get", "set", "remove", "name", "aes", "hmac", "ocsp", "names", 1, 2, 3, "*.a.test" }
local numbers = { 0, -1, 1, 1.5, 255, 256, 65536, 2 ^ 31, 2 ^ 53, -2 ^ 63, 1e308, 1 / 0, -1 / 0, 0 / 0 }
local things = { server, client, assert(ssl.loadcertificate(certificate)), assert(ssl.engine(client)), io.stdout,
  print, coroutine.create(function() end), string }

-- ---- values of an input

local value

local function array(input, depth)
  local t = {}
  for i = 1, input:byte() % 8 do t[i] = value(input, nil, depth + 1) end
  return t
end

local function record(input, depth)
  local t = {}
  for _ = 1, input:byte() % 6 do
    local field = input:one(fields)
    t[field] = value(input, field, depth + 1)
  end
  return t
end

local function behaviour(input, depth)
  local kind = input:byte() % 6
  if kind == 0 then return function() end end
  if kind == 1 then return function() error(MINE, 0) end end
  if kind == 2 then return function() error({}) end end
  if kind == 3 then return function() coroutine.yield() end end
  if kind == 4 then return function(conn) return type(conn) == "userdata" and conn:close() end end
  local answer, called = value(input, nil, depth + 1), false
  return function()
    if not called then collectgarbage "step" end
    called = true
    return answer
  end
end

local function raise() error(MINE, 0) end

-- What __index answers may be anything; the others raise, since Lua itself asks for what they must answer.
local function meta(input, depth)
  local events = { __index = behaviour(input, depth), __call = raise }
  local others = input:byte()
  if others % 2 == 1 then events.__index = nil end
  if others % 4 > 1 then events.__len, events.__tostring = raise, raise end
  if others % 8 > 3 then events.__pairs, events.__eq, events.__concat = raise, raise, raise end
  return setmetatable(record(input, depth), events)
end

local makers = {
  function(input) return input:string(input:byte() % 64) end,
  function(input) return input:one(numbers) end,
  function(input) return input:byte() % 2 == 0 end,
  array, record, behaviour, meta,
  function(input) return input:one(things) end,
  function(input) return input:string(4):rep(input:short()) end,
  function(input) return input:string(input:byte() % 8) .. "\0" .. input:string(2) end,
  function(input) return input:short() end,
}

-- Half of them fit the key that they are for.
function value(input, name, depth)
  local kind = input:byte()
  local list = samples[name]
  if list and kind < 128 then return list[kind % #list + 1] end
  if depth > 4 then return nil end
  return makers[kind % #makers + 1](input, depth)
end

local function settings(input)
  local cfg = { protocol = "any", mode = input:byte() % 2 == 0 and "client" or "server" }
  if cfg.mode == "server" then cfg.certificate, cfg.key = certificate, key end
  for _ = 1, 24 do
    if input:over() then break end
    local n = input:byte()
    local row = options.rows[n + 1]
    local name = row and row.name or n < 200 and input:string(n % 12) or value(input, nil, 4)
    if name ~= nil and name == name then cfg[name] = value(input, name, 0) end
  end
  if type(cfg.keylog) == "string" and cfg.keylog ~= "/dev/null" then cfg.keylog = "/nonexistent/" .. cfg.keylog end
  if input:byte() == 1 then setmetatable(cfg, { __index = behaviour(input, 0) }) end
  return cfg
end

-- ---- oracles

-- What the input's own metamethods raise.
local function own(message)
  return type(message) == "table" or message:find(MINE, 1, true) or message:find("attempt to yield", 1, true)
end

-- Calls; that may be raised, and misuse.
local function call(name, f, ...)
  local function sort(ok, result, message, detail)
    if ok then
      kit.shaped(name, result, message, detail)
      if result then return result end
      assert(type(detail) == "table" and detail.kind, name .. ": no detail: " .. message)
    elseif not own(result) and not kit.misuse(result) then
      error(name .. " raised: " .. result, 0)
    end
  end
  return sort(pcall(f, ...))
end

local function shake(ctx, mode)
  local mine, peer = assert(ssl.engine(ctx)), assert(ssl.engine(mode == "server" and client or server))
  for _ = 1, 4 do
    kit.shaped("dohandshake", mine:dohandshake())
    kit.shaped("feed", peer:feed(mine))
    peer:dohandshake()
    kit.shaped("feed", mine:feed(peer))
  end
  mine:info()
  mine:getpeerverification()
  mine:lasterror()
  mine:close()
  peer:close()
end

local function run(bytes)
  local cfg = settings(kit.input(bytes))
  local mode = rawget(cfg, "mode")
  local ctx = call("newcontext", ssl.newcontext, cfg)
  if #bytes % 2 == 0 then
    local conn = call("engine", ssl.engine, cfg)
    if conn then conn:close() end
  else
    call("reload", server.reload, server, cfg)
    assert(server:reload { certificate = certificate, key = key })
  end
  if not ctx then return end
  if rawget(cfg, "protocol") ~= "dtls" and rawget(cfg, "protocol") ~= "dtlsv1_2" then shake(ctx, mode) end
  call("reload", ctx.reload, ctx, cfg)
  ctx:stats()
  collectgarbage "step"
end

-- Each setting by itself, its values that fit and one of each other kind, on both sides.
local function seeds()
  local list = {}
  for i, row in ipairs(options.rows) do
    for side = 0, 1 do
      for v in ipairs(samples[row.name] or {}) do list[#list + 1] = string.char(side, i - 1, v - 1) end
      list[#list + 1] = string.char(side, i - 1, 128 + (i + side) % 11, 3, 0, 0, 1, 2)
    end
  end
  return list
end

return kit.target { run = run, seeds = seeds, lines = true }
