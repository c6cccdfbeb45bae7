-- What an input of the fuzzer does to an engine: its first byte chooses protocol and role, the rest is a program of one
-- byte for what to do and its operands. Beside the engine there is a peer that means well, whose datagrams and flights
-- the program may spoil: so it gets behind the handshake. Whatever it does, nothing may be raised, and what a call
-- answers keeps its shape.

local ssl = require "ssl"

local MAXSTEPS = 200
local LIMIT = 40000 -- of input and of output

local certificate, key = assert(ssl.selfsigned { key = "ec" })
local words = { wantread = true, wantwrite = true, closed = true, timeout = true, retry = true }

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

local contexts = {}
local psk = { identity = "me", key = ("k"):rep(32) }
for i, more in ipairs {
  { protocol = "tlsv1_3", psk = psk }, { protocol = "tlsv1_2", psk = psk }, { protocol = "dtls", psk = psk },
  { protocol = "tlsv1_3", sessions = { tickets = 1 } }, { protocol = "tlsv1_2", ciphers = "ECDHE+AESGCM" },
  { protocol = "dtls", ciphers = "ECDHE+AESGCM" }, { protocol = "any" },
} do
  local client = {}
  for k, v in pairs(more) do client[k] = k ~= "sessions" and v or nil end
  contexts[i] = { client = settings("client", client), server = settings("server", more) }
end

-- ---- what must hold

-- A failure is nil or false and a message that says something; a detail, if any, is a table with a kind.
local function shaped(name, result, message, third, fourth)
  if result ~= nil and result ~= false then return end
  if name == "dtlstimeout" and message == nil or name == "handletimeout" and message == nil then return end
  assert(type(message) == "string" and #message > 0, name .. " failed without a message")
  assert(not message:find("(null)", 1, true), message)
  local detail = type(third) == "table" and third or fourth
  assert(words[message] or detail == nil or type(detail.kind) == "string", name .. ": " .. message .. ": no kind")
end

local function call(conn, name, ...)
  shaped(name, conn[name](conn, ...))
end

-- ---- the program

local Input = {}
Input.__index = Input

-- The next byte; 0 at the end.
function Input:byte()
  self.at = self.at + 1
  return self.bytes:byte(self.at) or 0
end

function Input:short() return self:byte() * 256 + self:byte() end

function Input:string(n)
  local s = self.bytes:sub(self.at + 1, self.at + n)
  self.at = self.at + n
  return s
end

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
}

local function run(bytes)
  local input = setmetatable({ bytes = bytes, at = 0 }, Input)
  local first = input:byte()
  local pair = contexts[first % #contexts + 1]
  local client, server = assert(ssl.engine(pair.client)), assert(ssl.engine(pair.server))
  local self = { engine = first < 128 and client or server, peer = first < 128 and server or client }
  self.engine:setoption("maxinput", LIMIT)
  self.engine:setoption("maxoutput", LIMIT)
  callbacks.alpn = nil
  for _ = 1, MAXSTEPS do
    if input.at >= #bytes then break end
    steps[input:byte() % #steps + 1](self, input)
    assert(self.engine:pendingout() <= LIMIT, "more output waits than maxoutput allows")
  end
  self.engine:close()
  self.peer:close()
end

return run
