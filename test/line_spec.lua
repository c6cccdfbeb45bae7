-- A line that does one thing wrong at one byte of a handshake and of the data behind it, at every byte in turn: it
-- ends, it stalls, a bit is flipped, a byte is lost or comes twice. STRIDE=1 looks at every byte of the longer
-- handshakes too.

local S = require "support"
local E = require "engines"

local STRIDE = tonumber(os.getenv("STRIDE")) or 23
local PSK = { identity = "me", key = ("k"):rep(32) }
local DATA = { up = "a question", down = "its answer" }

-- What a line makes of the bytes from k on; the second result ends what comes after them.
local wrong = {
  cut = function(bytes, k) return bytes:sub(1, k - 1), "end" end,
  stall = function(bytes, k) return bytes:sub(1, k - 1), "silence" end,
  flip = function(bytes, k)
    local byte, bit = bytes:byte(k), 2 ^ (k % 8)
    local set = math.floor(byte / bit) % 2 == 1
    return bytes:sub(1, k - 1) .. string.char(set and byte - bit or byte + bit) .. bytes:sub(k + 1)
  end,
  loss = function(bytes, k) return bytes:sub(1, k - 1) .. bytes:sub(k + 1) end,
  double = function(bytes, k) return bytes:sub(1, k) .. bytes:sub(k) end,
}

-- Carries what there is one way; `line` is what goes wrong on it, if anything, at byte line.at.
local function carry(from, to, line)
  local bytes = from:drain()
  if bytes == "" or line.over then return end
  local k = line.at and line.at - line.passed
  line.passed = line.passed + #bytes
  if k and k >= 1 and k <= #bytes then
    bytes, line.over = line.fault(bytes, k)
    line.struck = true
  end
  if bytes ~= "" then to:feed(bytes) end
  if line.over == "end" then to:feedeof() end
end

local function step(side, conn, say, hear)
  if side.message then return end
  local ok, message, detail = true
  if not side.connected then
    ok, message, detail = conn:dohandshake()
    side.connected = ok
  end
  if ok and not side.said then
    local sent, why, _, more = conn:send(say)
    ok, message, detail = sent, why, more
    side.said = sent ~= nil
  end
  if ok then
    local partial
    ok, message, partial, detail = conn:receive(#hear - #side.heard)
    side.heard = side.heard .. (ok or partial)
  end
  if not ok and not S.wants(message) then side.message, side.detail = message, detail end
end

-- One life with one fault: both sides, the two lines.
local function life(make, way, fault, k)
  local client, server = make()
  local c, s = { heard = "" }, { heard = "" }
  local lines = { up = { passed = 0 }, down = { passed = 0 } }
  if way then lines[way].at, lines[way].fault = k, fault end
  for _ = 1, 12 do
    step(c, client, DATA.up, DATA.down)
    carry(client, server, lines.up)
    step(s, server, DATA.down, DATA.up)
    carry(server, client, lines.down)
  end
  client:close()
  server:close()
  return c, s, lines
end

-- What holds whatever the line does: nothing but what was sent is heard, and a failure says what it is.
local function sound(side, sent, where)
  if side.heard ~= sent:sub(1, #side.heard) then error(where .. ": heard " .. side.heard) end
  if side.message then
    if type(side.message) ~= "string" or side.message == "" then error(where .. ": no message") end
    if type(side.detail) ~= "table" or not side.detail.kind then error(where .. ": no kind, " .. side.message) end
  end
end

local kinds = {
  ["TLS 1.3 by a key"] = { { protocol = "tlsv1_3", psk = PSK }, { protocol = "tlsv1_3", psk = PSK }, 1 },
  ["TLS 1.2 by a key"] = { { protocol = "tlsv1_2", psk = PSK }, { protocol = "tlsv1_2", psk = PSK }, 1 },
  ["TLS 1.3"] = { { protocol = "tlsv1_3" }, {}, STRIDE },
  ["TLS 1.2"] = { { protocol = "tlsv1_2" }, {}, STRIDE },
}

for name, t in pairs(kinds) do
  describe(name, function()
    local make = t[1].psk and function()
      local cfg, scfg = { mode = "client" }, { mode = "server" }
      for k, v in pairs(t[1]) do cfg[k], scfg[k] = v, v end
      return assert(S.ssl.engine(cfg)), assert(S.ssl.engine(scfg))
    end or E.maker(t[1], t[2])
    local c, s, whole = life(make)

    it("is heard on both sides of a line that does nothing wrong", function()
      assert.same({ DATA.down, DATA.up }, { c.heard, s.heard })
    end)

    for fault, f in pairs(wrong) do
      it("survives " .. fault .. " at every byte", function()
        for way, line in pairs(whole) do
          for k = 1, line.passed - 2, t[3] do -- signatures differ in length by some bytes
            local where = ("%s of byte %d %s"):format(fault, k, way)
            local cl, sv, lines = life(make, way, f, k)
            local hearer = way == "up" and sv or cl
            sound(cl, DATA.down, where)
            sound(sv, DATA.up, where)
            if lines[way].struck and fault == "stall" and (cl.message or sv.message) then
              error(where .. ": " .. (cl.message or sv.message))
            end
            if lines[way].struck and fault == "cut" and #hearer.heard < 10 then
              assert.equal("truncated", hearer.detail and hearer.detail.kind, where .. ": " .. tostring(hearer.message))
            end
          end
        end
      end)
    end
  end)
end
