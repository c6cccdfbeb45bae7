-- Random sequences of every connection method, in any state, also from inside callbacks, with closes and collections
-- between: nothing but a wrong argument ever raises, and each answer has its documented shape. A failure prints its
-- seed; SEED=n repeats it, ROUNDS=n asks for more.

local support = require "support"
local ssl = require "ssl"

local ROUNDS = tonumber(os.getenv("ROUNDS")) or 300
local FIRST = tonumber(os.getenv("SEED"))

local random -- support.random of the round's seed

local function one(list) return list[random(#list)] end

local function text(t) return t[1] == nil and type(t[2]) == "string" end
local function string_or_nil(t) return t[1] == nil or type(t[1]) == "string" end

local block = ("0123456789"):rep(3000)

-- name -> arguments at random, and what its results must look like.
local methods = {
  dohandshake = { function() end, function(t) return t[1] == true or (t[1] == false and type(t[2]) == "string") end },
  send = {
    function() return block, random(40) - 20, random(30000) - 10 end,
    function(t) return type(t[1]) == "number" or (text(t) and type(t[3]) == "number" and type(t[4]) == "table") end,
  },
  receive = {
    function() return one { "*l", "*a", 0, 1, 100, 50000 }, one { "", "p", "prefix\r\n" } end,
    function(t) return type(t[1]) == "string" or (text(t) and type(t[3]) == "string" and type(t[4]) == "table") end,
  },
  info = { function() return one { "cipher", "protocol", "bits", "x" } end, function(t) return t.n >= 1 end },
  getpeercertificate = { function() return random(4) - 1 end, function(t) return t.n >= 1 end },
  getpeerchain = { function() end, function(t) return type(t[1]) == "table" or text(t) end },
  getlocalcertificate = { function() return random(3) end, function(t) return t.n >= 1 end },
  getlocalchain = { function() end, function(t) return type(t[1]) == "table" or text(t) end },
  getpeerverification = { function() end, function(t) return t[1] == true or (t[1] == false and t[2] ~= nil) end },
  getfinished = { function() end, string_or_nil },
  getpeerfinished = { function() end, string_or_nil },
  exportkeyingmaterial = { function() return "EXPERIMENTAL", random(64), one { "", "c" } end, string_or_nil },
  getalpn = { function() end, string_or_nil },
  getsniname = { function() end, string_or_nil },
  setdane = { function() return "a.test" end, function(t) return type(t[1]) == "boolean" end },
  settlsa = { function() return random(6) - 1, 1, 1, block:sub(1, 32) end,
    function(t) return type(t[1]) == "boolean" end },
  dirty = { function() end, function(t) return type(t[1]) == "boolean" end },
  want = { function() end, function(t) return type(t[1]) == "string" end },
  getfd = { function() end, function(t) return type(t[1]) == "number" end },
  getstats = { function() end, function(t) return type(t[3]) == "number" end },
  setstats = { function() return random(5), random(5), random(5) end, function(t) return t[1] == 1 end },
  lasterror = { function() end, function(t) return t[1] == nil or type(t[1].kind) == "string" end },
  pending = { function() end, function(t) return type(t[1]) == "number" end },
  settimeout = { function() return 0, one { "b", "t" } end, function(t) return t[1] == 1 end },
  close = { function() end, function(t) return t.n == 0 end },
}

local names = {}
for name in pairs(methods) do names[#names + 1] = name end
table.sort(names)
-- What moves things happens more often than what looks on, closing more rarely.
for _ = 1, 12 do
  for _, name in ipairs { "dohandshake", "send", "receive" } do names[#names + 1] = name end
end

local function call(conn, seed)
  local name = one(names)
  if name == "close" and random(4) > 1 then name = "dirty" end
  local t = support.pack(conn[name](conn, methods[name][1]()))
  if not methods[name][2](t) then
    error(("SEED=%d: %s answered %d values: %s, %s, %s"):format(seed, name, t.n, tostring(t[1]), tostring(t[2]),
      tostring(t[3])))
  end
end

local contexts

-- What callbacks do: calls on both connections, collections, closes, errors.
local current
local function meddle()
  if not current then return end
  local kind = random(6)
  if kind <= 3 then
    for _ = 1, random(5) do call(one(current.conns), current.seed) end
  elseif kind == 4 then
    collectgarbage()
  elseif kind == 5 then
    error("meddled")
  end
end

local function newcontexts()
  local function alpn(offered)
    meddle()
    return offered
  end
  local other = assert(ssl.newcontext(support.server { certificate = support.cert("chainA"),
    key = support.cert("chainAkey"), alpn = alpn }))
  return {
    map = setmetatable({}, { __index = function()
      meddle()
      return random(2) == 1 and other or nil
    end }),
    servers = {
      assert(ssl.newcontext(support.server { alpn = alpn })),
      assert(ssl.newcontext(support.server { verify = "peer", cafile = support.cert("rootA"), protocol = "tlsv1_2" })),
    },
    clients = {
      assert(ssl.newcontext(support.anyclient { alpn = "x" })),
      assert(ssl.newcontext(support.client { cafile = support.cert("rootB") })),
      assert(ssl.newcontext(support.client { alpn = "x", protocol = "tlsv1_2", certificate = support.cert("clientA"),
        key = support.cert("clientAkey") })),
    },
  }
end

local function round(seed)
  random = support.random(seed)
  contexts = contexts or newcontexts()
  local c, s = support.wrapped(one(contexts.clients), one(contexts.servers))
  current = { conns = { c, s }, seed = seed }
  if random(2) == 1 then c:sni("a.test") end
  if random(2) == 1 then s:sni(contexts.map, random(2) == 1) end
  if random(3) > 1 then
    for _ = 1, 5 do
      c:dohandshake()
      s:dohandshake()
    end
  end
  for _ = 1, random(60) do
    local conn = one(current.conns)
    if random(8) == 1 then
      coroutine.wrap(function() call(conn, seed) end)()
    else
      call(conn, seed)
    end
    if random(40) == 1 then
      collectgarbage()
    elseif random(100) == 1 then
      current.conns = { conn } -- the other one is left to the collector
      c, s = nil, nil -- luacheck: ignore
    elseif random(200) == 1 then
      contexts = nil
    end
    contexts = contexts or newcontexts()
  end
  for _, conn in ipairs(current.conns) do conn:close() end
  current = nil
end

describe("any sequence of calls", function()
  it("gets answers of the documented shapes", function()
    if FIRST then return round(FIRST) end
    for seed = 1, ROUNDS do round(seed * 7919) end
  end)
end)
