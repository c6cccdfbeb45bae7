-- What the fuzzer does to a handshake: the first byte of an input chooses protocol, settings and role, the rest is
-- a program of one byte for what to do and its operands. Beside the engine there is a peer that means well, whose
-- datagrams and flights the program may spoil and chop: so it gets behind the handshake. Whatever it does, nothing
-- may be raised, what a call answers keeps its shape, what waits to be sent keeps its bound, and in the end the
-- engine is connected, has failed, or waits for bytes that were lost.

local ssl = require "ssl"
local kit = require "fuzzkit"

local MAXSTEPS = 200
local LIMIT = 40000 -- of input and of output
local RECORD = 16384 + 512 -- which may come on top when it waits and the engine is read

local certificate, key = assert(ssl.selfsigned { key = "ec", names = { "localhost", "a.test" } })
local shaped = kit.shaped

-- ---- contexts

local callbacks = {} -- what the context's functions call, set for each input

local function settings(mode, more)
  local cfg = { mode = mode, verify = "none", alpn = mode == "client" and { "a", "b" } or function()
    if callbacks.alpn then callbacks.alpn() end
    return "b"
  end }
  for k, v in pairs(more) do cfg[k] = v end
  if mode == "server" and not more.psk then cfg.certificate, cfg.key = certificate, key end
  return assert(ssl.newcontext(cfg))
end

local psk = { identity = "me", key = ("k"):rep(32) }
local trusting = { cadata = certificate, verify = { "peer", "fail_if_no_peer_cert" } }

local function with(base, more)
  local t = {}
  for k, v in pairs(base) do t[k] = v end
  for k, v in pairs(more) do t[k] = v end
  return t
end

-- Settings of client and server; where there is one table it is both's, but for sessions.
local contexts = {}
for i, both in ipairs {
  { { protocol = "tlsv1_3", psk = psk } }, { { protocol = "tlsv1_2", psk = psk } },
  { { protocol = "dtls", psk = psk } },
  { { protocol = "tlsv1_3" }, { protocol = "tlsv1_3", sessions = { tickets = 1 } } },
  { { protocol = "tlsv1_2", ciphers = "ECDHE+AESGCM" } }, { { protocol = "dtls", ciphers = "ECDHE+AESGCM" } },
  { { protocol = "any" } },
  -- Without encryption what is spoilt is read: certificates, signatures, extensions.
  { with(trusting, { protocol = "tlsv1_2", ciphers = "eNULL:@SECLEVEL=0", verifyext = "lsec_continue",
    certificate = certificate, key = key, servername = "a.test", ocsp = "request", sessions = true }),
    with(trusting, { protocol = "tlsv1_2", ciphers = "eNULL:@SECLEVEL=0", verifyext = "lsec_continue" }) },
  { with(trusting, { protocol = "tlsv1_2+", certificate = certificate, key = key, servername = "a.test" }),
    with(trusting, { protocol = "tlsv1_2+" }) },
  { { protocol = "tlsv1_2", ciphers = "ECDHE+AESGCM", ocsp = "request", servername = "b.test" },
    { protocol = "tlsv1_2", ocsp = function(conn)
      conn:info()
      return "junk"
    end, sni = function(name, conn)
      if callbacks.alpn then callbacks.alpn() end
      return name == conn:getsniname() and nil
    end } },
  { { protocol = "dtls", ciphers = "eNULL:@SECLEVEL=0", verify = "peer", verifyext = "lsec_continue",
    cadata = certificate }, { protocol = "dtls", ciphers = "eNULL:@SECLEVEL=0" } },
} do
  contexts[i] = { client = settings("client", both[1]), server = settings("server", both[2] or both[1]) }
end

-- ---- what must hold

local function call(conn, name, ...)
  return shaped(name, conn[name](conn, ...))
end

-- ---- the program

local function spoil(input, piece)
  local at, way, value = input:short() % #piece + 1, input:byte() % 4, input:byte()
  if way == 0 then return piece:sub(1, at - 1) .. string.char(value) .. piece:sub(at + 1) end
  if way == 1 then return piece:sub(1, at - 1) end
  if way == 2 then return piece:sub(1, at) .. piece:sub(at) end
  return piece:sub(1, at) .. input:string(value) .. piece:sub(at + 1)
end

-- The peer goes on, and what it has to say arrives: as it is, or spoilt.
local function peerstep(self, input, spoilt)
  local peer, engine = self.peer, self.engine
  for _ = 1, 8 do
    local piece = engine:drain()
    if piece == "" then break end
    peer:feed(piece)
  end
  if not peer:dohandshake() then peer:handletimeout() end
  for _ = 1, 8 do
    local piece = peer:drain()
    if piece == "" then break end
    if spoilt then
      piece, spoilt = spoil(input, piece), false
    end
    if #piece > 0 then shaped("feed", engine:feed(piece)) end
  end
end

-- The same with a flight in pieces of `size` bytes, and a try after each.
local function chopped(self, size)
  local peer, engine = self.peer, self.engine
  local piece = engine:drain()
  if piece ~= "" then peer:feed(piece) end
  peer:dohandshake()
  piece = peer:drain()
  for at = 1, #piece, math.max(size, math.ceil(#piece / 200)) do
    call(engine, "feed", piece:sub(at, at + size - 1))
    call(engine, "dohandshake")
  end
end

local patterns = { "*l", "*a", 1, 10, 70000, 0 }
local options = { "maxinput", "maxoutput", "maxreceive" }
local looks = { "info", "getpeercertificate", "getpeerverification", "getalpn", "getsession", "getpskidentity", "dirty",
  "pending", "want", "getstats", "lasterror", "getfinished", "gettimeout", "sessionreused", "getpeerchain", "getocsp",
  "getlocalchain", "getfd", "getpeername", "getpeerfinished" }

local steps = {
  function(self, input) call(self.engine, "feed", input:string(input:byte())) end,
  function(self, input) call(self.engine, "feed", input:string(input:short())) end,
  function(self) call(self.engine, "dohandshake") end,
  function(self, input) call(self.engine, "read", input:short() + 1) end,
  function(self, input) call(self.engine, "receive", patterns[input:byte() % #patterns + 1], input:string(2)) end,
  function(self, input) call(self.engine, "write", ("w"):rep(input:short()), input:byte(), input:short()) end,
  function(self, input) call(self.engine, "send", ("s"):rep(input:short())) end,
  function(self) call(self.engine, "shutdown") end,
  function(self) call(self.engine, "reset") end,
  function(self) self.engine:close() end,
  function(self, input) self.engine:drain(input:short()) end,
  function(self) call(self.engine, "feedeof") end,
  function(self, input) peerstep(self, input) end,
  function(self, input) peerstep(self, input, true) end,
  function(self) for _ = 1, 4 do call(self.engine, "dohandshake") peerstep(self) end end,
  function(self, input) self.peer:send(input:string(input:byte()) .. "\n") end,
  function(self) self.peer:shutdown() end,
  function(self) self.peer:keyupdate() end,
  function(self) call(self.engine, "keyupdate") end,
  function(self) call(self.engine, "dtlstimeout") end,
  function(self) call(self.engine, "handletimeout") end,
  function(self, input) call(self.engine, "listen", input:string(input:byte() % 8)) end,
  function(self, input) call(self.engine, "setmtu", input:short()) end,
  function(self, input)
    call(self.engine, "setoption", options[input:byte() % #options + 1], math.min(input:short(), LIMIT))
  end,
  function(self, input)
    local name = looks[input:byte() % #looks + 1]
    self.engine[name](self.engine)
  end,
  function() collectgarbage "step" end,
  function(self, input) -- a callback that calls its own connection
    local name, bytes = input:byte() % 6 + 1, input:string(4)
    name = ({ "close", "reset", "feed", "dohandshake", "drain", "read" })[name]
    callbacks.alpn = function() self.engine[name](self.engine, name == "feed" and bytes or nil) end
  end,
  function(self, input) chopped(self, input:byte() + 1) end,
  function(self)
    for _, cert in ipairs(self.engine:getpeerchain() or {}) do
      cert:subject()
      cert:extensions()
      cert:pubkey()
    end
  end,
}

-- However the program ended, the rest of the handshake is short: ten flights, and then nobody has more to say.
local function settle(self)
  local ok, message
  self.engine:setoption("maxinput", LIMIT)
  self.engine:setoption("maxoutput", LIMIT)
  for _ = 1, 10 do
    ok, message = call(self.engine, "dohandshake")
    if ok or message ~= "wantread" and message ~= "wantwrite" then return end
    peerstep(self)
  end
  assert(message == "wantread", "the handshake goes on without an end: " .. tostring(message))
end

local function run(bytes)
  local input = kit.input(bytes)
  local first = input:byte()
  local pair = contexts[first % #contexts + 1]
  local client, server = assert(ssl.engine(pair.client)), assert(ssl.engine(pair.server))
  local self = { engine = first < 128 and client or server, peer = first < 128 and server or client }
  self.engine:setoption("maxinput", LIMIT)
  self.engine:setoption("maxoutput", LIMIT)
  callbacks.alpn = nil
  for _ = 1, MAXSTEPS do
    if input:over() then break end
    steps[input:byte() % #steps + 1](self, input)
    assert(self.engine:pendingout() <= LIMIT + RECORD, "more output waits than maxoutput allows")
  end
  callbacks.alpn = nil
  settle(self)
  self.engine:close()
  self.peer:close()
end

return kit.target { run = run }
