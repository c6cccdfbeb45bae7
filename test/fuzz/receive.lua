-- What the fuzzer does with receive: text is written at one end, its records arrive whole or in pieces, and every
-- call at the other end must answer as the model does, byte for byte; so must what counts the bytes.

local ssl = require "ssl"
local kit = require "fuzzkit"
local model = require "receivemodel"

local MAXTEXT = 200000 -- of one input
local MAXSTEPS = 300
local ALL = 2 ^ 40

local psk = { identity = "me", key = ("k"):rep(32) }
local contexts = {}
for i, version in ipairs { "tlsv1_3", "tlsv1_2" } do
  contexts[i] = {}
  for _, mode in ipairs { "client", "server" } do
    contexts[i][mode] = assert(ssl.newcontext { mode = mode, protocol = version, psk = psk, verify = "none" })
  end
end

local function carry(from, to)
  local bytes = from:drain()
  if bytes ~= "" then assert(to:feed(bytes)) end
end

local function connected(pair)
  local client, server = assert(ssl.engine(pair.client)), assert(ssl.engine(pair.server))
  for _ = 1, 6 do
    local done = client:dohandshake()
    carry(client, server)
    done = server:dohandshake() and done
    carry(server, client)
    if done then return client, server end
  end
  error("the handshake does not end")
end

-- ---- what arrives

-- A record that was written and has not wholly arrived is { bytes =, text = }: its text counts with its last byte.
local function put(self, text)
  if text == "" or self.sent + #text > MAXTEXT or self.ended then return end
  self.sent = self.sent + #text
  for at = 1, #text, 16384 do
    local piece = text:sub(at, at + 16383)
    assert(self.writer:write(piece) == #piece)
    table.insert(self.way, { bytes = self.writer:drain(), text = piece })
  end
end

local function arrive(self, n)
  while n > 0 and self.way[1] do
    local record = self.way[1]
    local piece = record.bytes:sub(1, math.min(n, #record.bytes))
    if not self.reader:feed(piece) then return end -- more than maxinput: nothing was taken
    n = n - #piece
    record.bytes = record.bytes:sub(#piece + 1)
    if record.bytes ~= "" then return end
    table.remove(self.way, 1)
    self.model.text = self.model.text .. record.text
    if record.ending then self.model.ending = record.ending end
  end
end

-- ---- the calls

local function show(value)
  if type(value) ~= "string" then return tostring(value) end
  return ("%q (%d bytes)"):format(value:sub(1, 60), #value)
end

local function compare(self, pattern, prefix)
  local want = { self.model:receive(pattern, prefix) }
  local got = { self.reader:receive(pattern, prefix) }
  for i = 1, 3 do
    if want[i] ~= got[i] then
      error(("receive(%s, %s): result %d is %s instead of %s"):format(show(pattern), show(prefix), i, show(got[i]),
        show(want[i])))
    end
  end
  if got[1] == nil then kit.failure("receive", got[2], got[4]) end
end

-- read answers what is there, not more than wanted and not nothing.
local function read(self, max)
  local m = self.model
  local got, message, detail = self.reader:read(max)
  if got then
    assert(#got > 0 and #got <= max and got == m.text:sub(1, #got), "read answers something else")
    m:take(#got)
    return
  end
  assert(m.text == "", "read does not find what is there")
  local _, want = m:out("", "")
  assert(message == want, "read says " .. tostring(message) .. " instead of " .. want)
  kit.failure("read", message, detail)
end

local function look(self)
  local m, reader = self.model, self.reader
  assert(m.text == "" or reader:dirty(), "text is there and dirty does not tell")
  assert(reader:pending() <= #m.text, "more is pending than has come")
  assert(reader:getstats() == m.taken, "received counts " .. tostring(reader:getstats()) .. " instead of " .. m.taken)
end

local pieces = { "\n", "\r", "\r\n", "a", "\0", "\n\n", "\r\r", "word", "\255" }
local counts = { 0, 1, 2, 7, 1023, 1024, 1025, 8192, 16383, 16384, 16385, 40000, 1e9 }

local function text(input)
  local kind = input:byte() % 4
  if kind == 0 then return input:string(input:byte()) end
  if kind == 1 then return input:one(pieces):rep(input:byte()) end
  if kind == 2 then return ("x"):rep(input:short() % 40000) .. input:one(pieces) end
  local parts = {}
  for i = 1, input:byte() % 32 do parts[i] = input:one(pieces) end
  return table.concat(parts)
end

local function prefix(input)
  local n = input:byte()
  if n < 128 then return nil end
  return ("p"):rep(n - 129)
end

local steps = {
  function(self, input) put(self, text(input)) end,
  function(self, input)
    put(self, text(input))
    arrive(self, ALL)
  end,
  function(self, input) arrive(self, input:short()) end,
  function(self, input) arrive(self, input:byte()) end,
  function(self) arrive(self, ALL) end,
  function(self, input) compare(self, "*l", prefix(input)) end,
  function(self, input) compare(self, "*a", prefix(input)) end,
  function(self, input) compare(self, input:one(counts), prefix(input)) end,
  function(self, input) compare(self, input:byte(), prefix(input)) end,
  function(self, input) read(self, input:one { 1, 10, 1000, 16384, 100000 }) end,
  function(self, input)
    self.model.max = input:byte() % 3 == 0 and 0 or input:short() % 5000
    assert(self.reader:setoption("maxreceive", self.model.max))
  end,
  function(self) -- the other end says goodbye
    if self.ended then return end
    self.writer:shutdown "send"
    self.ended = true
    table.insert(self.way, { bytes = self.writer:drain(), text = "", ending = "closed" })
  end,
  function(self) -- the transport ends, wherever it is
    if self.model.ending ~= "wantread" then return end
    self.reader:feedeof()
    self.ended, self.way = true, {}
    self.model.ending, self.model.cut = "unexpected eof while reading", true
  end,
  function(self) -- records that hold no text
    if self.ended or self.version == 2 or not self.writer:keyupdate "send" then return end
    local bytes = self.writer:drain()
    if bytes ~= "" then table.insert(self.way, { bytes = bytes, text = "" }) end
  end,
  function() collectgarbage() end,
  look,
}

local function run(bytes)
  local input = kit.input(bytes)
  local first = input:byte()
  local version = first % 2 + 1
  local client, server = connected(contexts[version])
  local self = { model = model.new(), way = {}, sent = 0, version = version }
  self.reader, self.writer = client, server
  if first % 4 > 1 then self.reader, self.writer = server, client end
  for _ = 1, MAXSTEPS do
    if input:over() then break end
    steps[input:byte() % #steps + 1](self, input)
  end
  look(self)
  client:close()
  server:close()
end

local function seeds()
  local list = {}
  for version = 0, 3 do
    for step = 5, 9 do
      list[#list + 1] = string.char(version, 1, 0, 10) .. "line\r\nrest" .. string.char(step, 0, 0, step, 0, 130, 11, 4,
        step, 0, 200, 15)
    end
    list[#list + 1] = string.char(version, 10, 1, 0, 20, 1, 1, 3, 40, 5, 0, 5, 0, 6, 0, 12, 5, 0, 5, 0)
    list[#list + 1] = string.char(version, 0, 2, 200, 0, 0, 2, 1, 0, 5, 0, 3, 255, 9, 3, 13, 4, 9, 3, 7, 9, 0, 15)
  end
  return list
end

return kit.target { run = run, seeds = seeds }
