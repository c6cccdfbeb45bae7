-- receive against a model of LuaSocket's buffer in a few lines: random chunks of text, random calls, random ends. Uses
-- LuaSec's API only. A failure prints its seed; SEED=n repeats it, ROUNDS=n asks for more.

local support = require "support"
local model = require "receivemodel"

local ROUNDS = tonumber(os.getenv("ROUNDS")) or 150
local FIRST = tonumber(os.getenv("SEED"))

local random -- support.random of the round's seed

-- ---- random text and random calls

local alphabet = { "a", "b", "\n", "\r", "\r\n", "\0", "\255", "word", "\n\n" }

local function text(n)
  local parts = {}
  for i = 1, n do parts[i] = alphabet[random(#alphabet)] end
  return table.concat(parts)
end

local function chunk()
  local kind = random(10)
  if kind == 1 then return ("x"):rep(random(40000)) .. "\n" end
  if kind == 2 then return text(random(5000)) end
  return text(random(40))
end

local prefixes = { "", "", "p", "pre\r\nfix", "\n" }
local counts = { 0, 1, 2, 3, 7, 50, 1000, 8192, 16384, 16385, 100000 }

local function call()
  local kind = random(3)
  local prefix
  if random(3) == 1 then prefix = prefixes[random(#prefixes)] end
  if kind == 1 then return "*l", prefix end
  if kind == 2 and random(3) == 1 then return "*a", prefix end
  if kind == 2 then return random(20), prefix end
  return counts[random(#counts)], prefix
end

local function show(value)
  if type(value) == "string" and #value > 60 then return ("%q... (%d bytes)"):format(value:sub(1, 60), #value) end
  return type(value) == "string" and ("%q"):format(value) or tostring(value)
end

-- What has been sent is all there: loopback delivers within send. Only session tickets need steps of their own, which
-- the first byte of a round has taken in.
local function compare(conn, m, seed, step)
  local pattern, prefix = call()
  local want = support.pack(m:receive(pattern, prefix))
  local got = support.pack(conn:receive(pattern, prefix))
  for i = 1, 3 do
    if want[i] ~= got[i] then
      error(("SEED=%d, call %d, receive(%s, %s): result %d is %s instead of %s"):format(seed, step, show(pattern),
        show(prefix), i, show(got[i]), show(want[i])))
    end
  end
end

-- The end of the stream: what the model then says, after the receiver could see it.
local function finish(m, s)
  local kind = random(3)
  if kind == 1 then
    s:close()
    m.ending = "closed"
  elseif kind == 2 then
    support.raw(s, function(sock) sock:shutdown("send") end)
    m.ending, m.cut = "unexpected eof while reading", true
  end
end

local function round(seed, cctx, sctx)
  random = support.random(seed)
  local c, s = support.connected(cctx, sctx)
  assert.equal("!", support.transfer(s, c, "!"))
  local m = model.new()
  local step = 0
  for _ = 1, random(8) do
    for _ = 1, random(4) do
      local data = chunk()
      if #m.text + #data < 60000 then -- fits in the kernel's buffers
        assert.equal(#data, s:send(data))
        m.text = m.text .. data
      end
    end
    for _ = 1, random(12) do
      step = step + 1
      compare(c, m, seed, step)
    end
  end
  finish(m, s)
  for _ = 1, 8 do
    step = step + 1
    compare(c, m, seed, step)
  end
  c:close()
  s:close()
end

describe("receive", function()
  it("answers as the model does, call for call", function()
    for _, protocol in ipairs { "tlsv1_2", "tlsv1_3" } do
      local cctx = assert(support.ssl.newcontext(support.anyclient { protocol = protocol }))
      local sctx = assert(support.ssl.newcontext(support.server()))
      if FIRST then
        round(FIRST, cctx, sctx)
      else
        for seed = 1, ROUNDS do round(seed * 7919, cctx, sctx) end
      end
    end
  end)
end)
