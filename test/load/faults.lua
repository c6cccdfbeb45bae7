-- Visits of one engine to another, in which one thing goes wrong at a random byte: the bytes are cut, flipped, lost,
-- doubled, sent back or mixed with garbage, a side is closed or dropped for the collector, a callback misbehaves. Every
-- answer is judged: its shape, that nothing arrives which was not sent, that two sides which are both done agree on
-- their keys, that an end without close_notify is never taken for one, that a visit without a fault succeeds.

local N = require "names"
local S = require "support"
local ssl = S.ssl

local M = {}

local TURNS = 12 -- that a handshake may take
local PATTERN = ("0123456789abcdefghijklmnopqrstuvwxyz"):rep(1000)
local MISCHIEF = { raise = true, close = true, number = true, collect = true, nested = true }

local random -- function(n): 1 to n
local visit -- the one that is under way
local clients, servers

M.counts = {}

local function count(what) M.counts[what] = (M.counts[what] or 0) + 1 end
local function one(list) return list[random(#list)] end

-- ---- callbacks, which do what the visit wants of them

local nested -- set below

local function alpn(offered)
  local act = visit and visit.mischief
  if act == "raise" then error("a callback that fails") end
  if act == "number" then return 42 end
  if act == "collect" then collectgarbage("step", 100) end
  if act == "close" then visit[2].conn:close() end
  if act == "nested" then nested() end
  return offered
end

-- A store that forgets, and now and then fails.
local function store()
  local kept, order = {}, {}
  local function check() if random(50) == 1 then error("the store is away") end end
  return {
    id = "soak",
    get = function(id)
      check()
      return kept[id]
    end,
    set = function(id, data)
      check()
      order[#order + 1] = id
      kept[id] = data
      if #order > 32 then kept[table.remove(order, 1)] = nil end
    end,
    remove = function(id) kept[id] = nil end,
  }
end

local key = { name = ("n"):rep(16), aes = ("a"):rep(32), hmac = ("h"):rep(32) }
local MUTUAL = { verify = { "peer", "fail_if_no_peer_cert" }, cafile = S.cert("rootA") }
local MINE = { certificate = S.cert("clientA"), key = S.cert("clientAkey") }

local make = {
  clients = {
    function() return S.client(N.with({ sessions = true, servername = "localhost", alpn = { "b", "a" } }, MINE)) end,
    function() return S.client(N.with({ sessions = 8, servername = "server.test", protocol = "tlsv1_2" }, MINE)) end,
    function() return S.anyclient(N.with({ alpn = "a", servername = "b.test" }, MINE)) end,
    function() return S.client { cafile = S.cert("rootB") } end, -- refuses the servers
  },
  servers = {
    function()
      return S.server { alpn = alpn, ticketkeys = { key }, sni = { ["b.test"] = N.newcontext("serverB") } }
    end,
    function() return S.server { alpn = alpn, sessions = store() } end,
    function() return S.server(N.with({ alpn = alpn, sessions = { id = "mutual" } }, MUTUAL)) end,
  },
}

local function contexts(list)
  local made = {}
  for i, cfg in ipairs(list) do made[i] = assert(ssl.newcontext(cfg())) end
  return made
end

-- Now and then a context gives way to a new one, while connections and sessions of the old one are about.
local function renew()
  if random(2) == 1 then
    local i = random(#clients)
    clients[i] = assert(ssl.newcontext(make.clients[i]()))
  else
    local i = random(#servers)
    servers[i] = assert(ssl.newcontext(make.servers[i]()))
  end
end

-- ---- what goes wrong on the way; each gets the bytes from one side to the other and answers what arrives

local function flip(byte)
  local bit = 2 ^ (random(8) - 1)
  return math.floor(byte / bit) % 2 == 1 and byte - bit or byte + bit
end

local function garbage()
  local t = {}
  for i = 1, random(60) do t[i] = string.char(random(256) - 1) end
  return table.concat(t)
end

local way = {
  cut = function(v, bytes, at)
    v.cut = true
    return bytes:sub(1, at)
  end,
  flip = function(_, bytes, at)
    return bytes:sub(1, at - 1) .. string.char(flip(bytes:byte(at))) .. bytes:sub(at + 1)
  end,
  garbage = function(_, bytes, at) return bytes:sub(1, at) .. garbage() .. bytes:sub(at + 1) end,
  lose = function(_, bytes, at) return bytes:sub(1, at - 1) .. bytes:sub(at + random(100)) end,
  double = function(_, bytes, at) return bytes .. bytes:sub(at) end,
  reflect = function(v, bytes, _, from)
    if v[from].conn then v[from].conn:feed(bytes) end
    return bytes
  end,
  close = function(v, bytes)
    local side = v[random(2)]
    if side.conn then side.conn:close() end
    side.closed = true
    return bytes
  end,
  collect = function(v, bytes)
    v[random(2)].conn = nil
    collectgarbage("step", 50)
    return bytes
  end,
}

local KINDS = { "none", "none", "none", "none", "cut", "flip", "garbage", "lose", "double", "reflect", "close",
  "collect", "raise", "close callback", "number", "collect callback", "nested" }

-- ---- a visit

local function ensure(ok, ...)
  if ok then return end
  local words = { "kind ", visit.kind, ": " }
  for i = 1, select("#", ...) do words[#words + 1] = tostring((select(i, ...))) end
  error(table.concat(words), 2)
end

local function carry(v, from)
  local sender, receiver = v[from], v[3 - from]
  if not sender.conn then return end
  local bytes = sender.conn:drain()
  if v.at and #bytes >= v.at then
    local at = v.at
    v.at = nil
    v.struck = true
    bytes = way[v.kind](v, bytes, at, from)
  elseif v.at then
    v.at = v.at - #bytes
  end
  if bytes == "" or not receiver.conn then return end
  local ok, why, detail = receiver.conn:feed(bytes)
  ensure(ok or (why == "closed" and detail.kind == "closed"), "feed: ", why)
  if v.cut then
    receiver.conn:feedeof()
    if sender.conn then sender.conn:feedeof() end
  end
end

local function handshake(side)
  if not side.conn or side.done or side.failed then return end
  local ok, message, detail = side.conn:dohandshake()
  if ok then
    side.done = true
    return
  end
  ensure(ok == false and type(message) == "string", "dohandshake: ", message)
  ensure(type(detail) == "table" and detail.kind, "no detail: ", message)
  side.failed = not S.wants(message) and message
end

local function speak(side)
  if not (side.conn and side.done) then return end
  local n = random(3000)
  local from = side.sent % 36 + 1
  local last, why, sofar = side.conn:send(PATTERN, from, from + n - 1)
  ensure(last or (type(why) == "string" and type(sofar) == "number"), "send: ", why)
  side.sent = side.sent + (last or sofar) - from + 1
end

local function listen(v, i)
  local side, peer = v[i], v[3 - i]
  if not (side.conn and side.done) then return end
  local data, why, partial = side.conn:receive(4000)
  ensure(data or (type(why) == "string" and type(partial) == "string"), "receive: ", why)
  data = data or partial
  local from = side.got % 36 + 1
  ensure(data == PATTERN:sub(from, from + #data - 1), "what arrives is not what was sent")
  side.got = side.got + #data
  ensure(side.got <= peer.sent, "more arrives than was sent")
  if why == "closed" and side.conn:lasterror().kind == "closed" then
    ensure(peer.closed or side.closed or v.mischief == "close", "a close_notify that nobody sent")
  end
end

local function both(f, v) for i = 1, 2 do f(v[i]); carry(v, i) end end

local function agree(v)
  local a, b = v[1], v[2]
  if not (a.done and b.done and a.conn and b.conn) or a.closed or b.closed then return end
  local mine, why = a.conn:exportkeyingmaterial("EXPERIMENTAL soak", 32)
  local theirs = b.conn:exportkeyingmaterial("EXPERIMENTAL soak", 32)
  ensure(mine == theirs and (mine or v.struck), "both are done with different keys: ", why)
  count(a.conn:sessionreused() and "resumed" or "full")
end

local function judge(v, willing)
  local a, b = v[1], v[2]
  if willing and not v.struck and not v.mischief then
    ensure(a.done and b.done, "no fault, but ", a.failed, ", ", b.failed)
    ensure(a.got == b.sent and b.got == a.sent, "no fault, but bytes are missing")
  end
end

local function finish(v)
  for i = 1, 2 do
    local side = v[i]
    if side.conn and random(2) == 1 then
      side.closed = true
      if random(2) == 1 then side.conn:shutdown() else side.conn:close() end
      carry(v, i)
    elseif side.conn and random(3) == 1 then
      side.conn:feedeof()
    end
  end
  for i = 1, 2 do listen(v, i) end
  for i = 1, 2 do -- the others are the collector's
    if v[i].conn and random(4) > 1 then v[i].conn:close() end
  end
end

local function plan(v)
  local kind = one(KINDS)
  v.kind = kind
  if way[kind] then
    v.at = random(random(4) == 1 and 12000 or 4000)
  else
    v.mischief = MISCHIEF[kind:match("^%a+")] and kind:match("^%a+")
  end
  count(kind)
end

-- A whole visit within a callback of another.
function nested()
  local outer = visit
  M.one("none")
  visit = outer
end

--- One visit. `kind` chooses the fault; by chance otherwise.
function M.one(kind)
  local c, s = random(#clients), random(#servers)
  local v = { { sent = 0, got = 0 }, { sent = 0, got = 0 } }
  visit = v
  if kind then v.kind = kind else plan(v) end
  v[1].conn, v[2].conn = assert(ssl.engine(clients[c])), assert(ssl.engine(servers[s]))
  for _ = 1, TURNS do both(handshake, v) end
  agree(v)
  for _ = 1, random(4) - 1 do
    both(speak, v)
    for i = 1, 2 do listen(v, i) end
  end
  for i = 1, 2 do
    carry(v, i)
    listen(v, 3 - i)
  end
  -- The fourth client trusts nobody, and the third server must know whom it serves.
  judge(v, c ~= 4 and not (s == 3 and c == 4))
  finish(v)
  visit = nil
  if not kind and random(500) == 1 then renew() end
end

--- Makes the contexts. `f(n)` draws a number from 1 to n.
function M.start(f)
  random = f
  clients, servers = contexts(make.clients), contexts(make.servers)
end

return M
