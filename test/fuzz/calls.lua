-- What the fuzzer does with calls: an input is a sequence of every method of contexts, connections, certificates
-- and sessions, on a few of each, with bytes carried between the connections, collections, closes, objects
-- dropped, coroutines; and the functions of the settings go on with the sequence from inside. Each answer has the
-- shape that its row says; only misuse of an argument raises; a closed connection and a failed handshake stay what
-- they are.

local ssl = require "ssl"
local kit = require "fuzzkit"

local unpack = table.unpack or unpack -- luacheck: ignore 143

local MAXSTEPS = 120
local MAXDEPTH = 3
local LIMIT = 60000

local certificate, key = assert(ssl.selfsigned { key = "ec", names = { "localhost", "a.test" } })
local psk = { identity = "me", key = ("k"):rep(32) }

-- ---- shapes of answers; t is packed

-- The first value is of this type, or there is a failure.
local function is(kind)
  return function(t, name)
    if not t[1] then kit.failure(name, t[2], t[3], t[4]) end
    return type(t[1]) == kind or not t[1]
  end
end

-- The same, or nil alone.
local function maybe(kind)
  local shape = is(kind)
  return function(t, name) return t[1] == nil and t[2] == nil or shape(t, name) end
end

local function any() return true end
local function nothing(t) return t.n == 0 end

-- Yes or no; or a failure.
local function verdict(t, name)
  if t[1] == nil then kit.failure(name, t[2], t[3]) end
  return t[1] == nil or type(t[1]) == "boolean" and (t[2] == nil or type(t[2]) == "string")
end

-- One of these kinds alone, and never a failure.
local function only(...)
  local kinds = {}
  for _, kind in ipairs { ... } do kinds[kind] = true end
  return function(t) return kinds[type(t[1])] end
end

local function stream(kind)
  return function(t, name)
    if t[1] == nil then kit.failure(name, t[2], t[4]) end
    return type(t[1]) == kind or t[1] == nil and type(t[3]) == kind
  end
end

-- ---- arguments

local names = { "a.test", "localhost", "127.0.0.1", "", "x\0y", "*.test", ("n"):rep(300) }
local odd = { 0, 1, -1, 255, 1e9, 1 / 0, 0 / 0, "", "1", "\0", true, {}, print }

local function text(input) return ("t"):rep(input:short()) end
local function bytes(input) return input:string(input:byte()) end
local function size(input) return input:one { 0, 1, 100, 16384, 70000, 0.5, 1e15 } end
local function one(...)
  local list = { ... }
  return function(input) return input:one(list) end
end
local name = one(unpack(names))

-- An object of the run, of any kind.
local self
local function object(list)
  return function(input)
    if #self[list] == 0 then return nil end
    return self[list][input:byte() % #self[list] + 1]
  end
end

-- ---- the methods: shape, then what makes each argument

local connection = {
  close = { nothing }, dirty = { only "boolean" }, dohandshake = { is "boolean" }, drain = { is "string", size },
  dtlstimeout = { maybe "number" }, exportkeyingmaterial = { is "string", one("EXPERIMENTAL", ""), size, bytes },
  feed = { is "boolean", bytes }, feedeof = { is "boolean" }, getalpn = { maybe "string" },
  getchannelbinding = { is "string", one("tls-exporter", "tls-unique", "tls-server-end-point") },
  getfamily = { is "string" }, getfd = { only "number" }, getfinished = { maybe "string" },
  getlocalcertificate = { maybe "userdata", one(1, 2, 0, -1) }, getlocalchain = { is "table" },
  getocsp = { maybe "table" }, getoption = { any, one("maxreceive", "maxinput", "maxoutput", "keepalive", "x") },
  getpeercertificate = { maybe "userdata", one(1, 2, 0, -1) }, getpeerchain = { is "table" },
  getpeerfinished = { maybe "string" }, getpeername = { is "string" }, getpskidentity = { maybe "string" },
  getpeerverification = { function(t) return t[1] == true or t[1] == false and t[2] ~= nil end },
  getsession = { maybe "userdata" }, getsniname = { maybe "string" }, getsockname = { is "string" },
  getstats = { only "number" }, gettimeout = { only "number" }, handletimeout = { any },
  info = { any, one(nil, "cipher", "bits", "group", "x") }, keyupdate = { is "boolean", one("both", "send") },
  lasterror = { function(t) return t[1] == nil or type(t[1].kind) == "string" end },
  listen = { is "boolean", bytes }, ocspcheck = { maybe "table", bytes }, pending = { only "number" },
  pendingout = { only "number" }, read = { is "string", size },
  receive = { stream "string", one("*l", "*a", 0, 1, 100, 70000), bytes }, reset = { is "boolean" },
  send = { stream "number", text, size, size }, sendfile = { stream "number", one(-1, 1e9, 0.5), size, size },
  sessionreused = { only "boolean" }, setdane = { only "boolean", name }, setmtu = { is "boolean", size },
  setoption = { is "number", one("maxreceive", "maxinput", "maxoutput"), one(0, 1, 5000, LIMIT) },
  setretransmit = { is "boolean", one(0, 0.001, 1, 60, 1e9) }, setsession = { is "boolean", object "sessions" },
  setstats = { only "number", size, size, size }, settimeout = { only "number", one(0, -1, 1), one("b", "t") },
  settlsa = { only "boolean", one(0, 1, 3, 256), one(0, 1), one(0, 1, 2), bytes },
  shutdown = { is "boolean", one("both", "send", "receive") },
  sni = { any, one("a.test", "b", {}, { ["a.test"] = 5 }), one(true, false) },
  want = { only "string" }, write = { stream "number", text, size, size },
}

local cert = {
  checkemail = { verdict, name }, checkhost = { verdict, name }, checkip = { verdict, name },
  der = { only "string" }, digest = { is "string", one("sha1", "sha256", "md5") }, extensions = { only "table" },
  getsignaturename = { only "string" }, issued = { is "boolean", object "certs" }, issuer = { only "table" },
  notafter = { only "string" }, notaftertime = { only "number" }, notbefore = { only "string" },
  notbeforetime = { only "number" }, ocspcheck = { is "table", object "certs", bytes },
  ocsprequest = { is "string", object "certs" }, ocspurl = { only("string", "nil") }, oneline = { is "string" },
  pem = { only "string" }, pubkey = { only "string" }, serial = { only "string" },
  setencode = { only "boolean", one("utf8", "ai5", "x") }, subject = { only "table" },
  validat = { only "boolean", size },
}

local context = {
  reload = { is "boolean", one({ certificate = certificate, key = key }, { certificate = certificate }, {}) },
  setocsp = { is "boolean", one("request", "require", "\48\3\10\1\6", nil) }, stats = { only "table" },
  setticketkeys = { is "boolean", one({}, { { name = ("n"):rep(16), aes = ("a"):rep(32), hmac = ("h"):rep(32) } }) },
  setverifyext = { is "boolean", one("lsec_continue", "crl_check"), one "lsec_ignore_purpose" },
}

local session = { export = { only "string" }, lifetime = { only "number" }, pem = { only "string" } }

-- ---- objects

local meddle -- what functions of the settings do

local shared = { alpn = function(offered)
  meddle()
  return offered
end, keylog = function() meddle() end }

local function with(more)
  local cfg = { protocol = "any", verify = "none" }
  for k, v in pairs(more) do cfg[k] = v end
  return cfg
end

local store = {}
local kinds = {
  { with { sessions = true, alpn = { "a", "b" }, servername = "a.test" }, with {
    alpn = shared.alpn, keylog = shared.keylog, sessions = {
      get = function(id)
        meddle()
        return store[id]
      end,
      set = function(id, data)
        meddle()
        store[id] = data
      end, remove = function() meddle() end,
    } } },
  { with { protocol = "tlsv1_2", verify = "peer", verifyext = "lsec_continue", certificate = certificate, key = key,
    cadata = certificate, ocsp = "request" }, with {
    verify = "peer", verifyext = "lsec_continue", cadata = certificate, protocol = "tlsv1_2", alpn = shared.alpn,
    sni = function(_, conn)
      meddle()
      conn:getsniname()
    end, ocsp = function()
      meddle()
      return "\48\3\10\1\6"
    end } },
  { with { psk = function()
    meddle()
    return psk.identity, psk.key
  end }, with { psk = function()
    meddle()
    return psk.key
  end } },
  { with { protocol = "dtls" }, with { protocol = "dtls", alpn = shared.alpn } },
  { with { dane = true, verify = "peer", cadata = certificate }, with { sessions = { tickets = false } } },
}

local function newcontext(i, side)
  local cfg = kinds[i][side]
  cfg.mode = side == 1 and "client" or "server"
  if side == 2 and not cfg.psk then cfg.certificate, cfg.key = certificate, key end
  return assert(ssl.newcontext(cfg))
end

local function pair(kind)
  local made = {}
  for side = 1, 2 do
    local ctx = self.made[kind * 2 + side]
    if not ctx then
      ctx = newcontext(kind, side)
      self.made[kind * 2 + side] = ctx
      table.insert(self.ctxs, ctx)
    end
    local ok, conn = kit.try("engine", ssl.engine, ctx)
    if not ok then -- the input has closed the context
      self.made[kind * 2 + side] = nil
      return
    end
    assert(conn:setoption("maxoutput", LIMIT) and conn:setoption("maxinput", LIMIT))
    made[side] = conn
  end
  for side = 1, 2 do
    table.insert(self.conns, made[side])
    self.peer[made[side]] = made[3 - side]
  end
end

-- ---- calling

-- What stays as it is: closed connections, failed handshakes.
local function remember(conn, method, t)
  local was = self.fate[conn]
  if method == "close" and not self.inside then self.fate[conn] = "closed" end
  if method == "reset" and t[1] then self.fate[conn] = nil end
  if was == "closed" then
    assert(conn:getfd() == -1 and not conn:dirty(), "a closed connection is open")
    assert(method ~= "dohandshake" and method ~= "read" or not t[1], method .. " after close")
  end
end

local function invoke(o, method, row, input)
  local args, n = {}, #row - 1
  for i = 1, n do
    args[i] = row[i + 1](input)
    if input:byte() == 250 then args[i] = input:one(odd) end
  end
  local function sort(ok, ...)
    if not ok then return nil end
    return { n = select("#", ...), ... }
  end
  local t = sort(kit.try(method, o[method], o, unpack(args, 1, n)))
  if t and not row[1](t, method) then
    error(("%s answered %s, %s, %s"):format(method, tostring(t[1]), tostring(t[2]), tostring(t[3])))
  end
  return t
end

local types = {}
for i, t in ipairs { { "conns", connection }, { "certs", cert }, { "ctxs", context }, { "sessions", session } } do
  local list = {}
  for method in pairs(t[2]) do list[#list + 1] = method end
  table.sort(list)
  types[i] = { list = t[1], rows = t[2], methods = list }
end
local often = { "dohandshake", "receive", "send", "read", "write", "shutdown" }

local function call(input, kind)
  local list = self[kind.list]
  if #list == 0 then return end
  local o = list[input:byte() % #list + 1]
  local n = input:byte()
  local method = kind.methods[n % #kind.methods + 1]
  if kind.list == "conns" and n > 180 then method = often[n % #often + 1] end
  local t = invoke(o, method, kind.rows[method], input)
  if not t then return end
  if kind.list == "conns" then remember(o, method, t) end
  if method == "getsession" and t[1] then table.insert(self.sessions, t[1]) end
  if method:find("certificate$") and t[1] then table.insert(self.certs, t[1]) end
end

-- Bytes go over, at most one flight each way; a string of the other's output or by the engine itself.
local function carry(input)
  local conn = self.conns[input:byte() % math.max(#self.conns, 1) + 1]
  local peer = conn and self.peer[conn]
  if not peer then return end
  conn:dohandshake()
  local piece = conn:drain()
  if piece ~= "" then peer:feed(piece) end
  peer:dohandshake()
  conn:feed(peer)
end

local function ending(o)
  local meta = getmetatable(o)
  local f = meta.__close or meta.__gc
  f(o)
end

local steps = {
  function(input) call(input, types[1]) end, function(input) call(input, types[1]) end,
  function(input) call(input, types[1]) end, function(input) call(input, types[2]) end,
  function(input) call(input, types[3]) end, function(input) call(input, types[4]) end,
  carry, carry,
  function(input) for _ = 1, 3 do carry(input) end end,
  function(input) if #self.conns < 8 then pair(input:byte() % #kinds + 1) end end,
  function(input) -- inside a coroutine, which is then gone
    local kind = input:one(types)
    local co = coroutine.create(function() call(input, kind) end)
    local ok, message = coroutine.resume(co)
    if not ok then error(message, 0) end
  end,
  function() collectgarbage() end,
  function(input) -- dropped, closed or not
    local list = self[input:one(types).list]
    if #list == 0 or self.inside then return end
    local o = table.remove(list, input:byte() % #list + 1)
    if input:byte() % 2 == 0 then ending(o) end
    if self.peer[o] then self.fate[o] = nil end
  end,
  function(input) -- closed by hand, and kept
    local list = self[input:one { "ctxs", "certs", "sessions" }]
    if #list > 0 and not self.inside then ending(list[input:byte() % #list + 1]) end
  end,
  function(input)
    for _, list in pairs { self.conns, self.certs, self.ctxs, self.sessions } do
      local o = list[input:byte() % math.max(#list, 1) + 1]
      assert(o == nil or type(tostring(o)) == "string")
    end
  end,
}

local function step(input) steps[input:byte() % #steps + 1](input) end

function meddle()
  local input = self and self.input
  if not input or input:over() or self.depth >= MAXDEPTH then return end
  local outer = self.inside
  self.depth, self.inside = self.depth + 1, true
  local what = input:byte() % 8
  local ok, message = true, nil
  for _ = 1, what do
    if ok then ok, message = pcall(step, input) end
  end
  self.depth, self.inside = self.depth - 1, outer
  if not ok then self.found = self.found or message end
  if what == 0 then error("meddled") end
  if what == 7 then coroutine.yield() end
end

local function run(program)
  local input = kit.input(program)
  store = {}
  self = { input = input, depth = 0, conns = {}, certs = {}, ctxs = {}, sessions = {}, made = {},
    peer = setmetatable({}, { __mode = "k" }), fate = setmetatable({}, { __mode = "k" }) }
  pair(input:byte() % #kinds + 1)
  for _ = 1, MAXSTEPS do
    if input:over() then break end
    step(input)
    if self.found then error(self.found, 0) end
  end
  self = nil
end

-- A row for every method there is: one that is new must be tried too.
local function complete(o, rows)
  for method in pairs(getmetatable(o).__index) do assert(rows[method], "no row for " .. method) end
end

local one_context = assert(ssl.newcontext { mode = "client", protocol = "any" })
complete(one_context, context)
complete(assert(ssl.engine(one_context)), connection)
complete(assert(ssl.loadcertificate(certificate)), cert)

local function seeds()
  local list = {}
  for kind = 0, #kinds - 1 do
    list[#list + 1] = string.char(kind, 8, 0, 0, 0, 8, 1, 1, 1, 0, 0, 183, 0, 200, 0, 6, 0, 0, 1, 182, 0, 0, 6, 1)
    list[#list + 1] = string.char(kind, 8, 0, 0, 0, 7, 0, 9, kind, 8, 2, 2, 2, 0, 0, 22, 11, 12, 0, 0, 0)
    list[#list + 1] = string.char(kind, 6, 0, 3, 0, 5, 2, 1, 13, 0, 0, 6, 0, 0, 0, 185, 10, 0, 1, 20)
    for n = 0, 63 do list[#list + 1] = string.char(kind, 8, 0, 0, 0, 0, 0, n, 0, 0, 0, 0, 0, 1, n, 0, 0) end
  end
  return list
end

return kit.target { run = run, seeds = seeds }
