-- Both directions at once, by random calls that come back as a program may: with other ranges, by other methods, with
-- little room on the way. What arrives is compared with what was sent, byte for byte.

local S = require "support"
local E = require "engines"
local ssl = S.ssl

local line = {}
for i = 1, 20000 do line[i] = ("%07d\n"):format(i) end
local cycle = table.concat(line) -- the stream is this again and again

-- n bytes of the stream from `at` on.
local function piece(at, n)
  local out = {}
  while n > 0 do
    local from = at % #cycle
    local part = cycle:sub(from + 1, math.min(#cycle, from + n))
    out[#out + 1] = part
    n, at = n - #part, at + #part
  end
  return table.concat(out)
end

local rooms = { 0, 1, 100, 5000, 70000, 1000000 }

-- A kind of connection: client, server, what sets the room on the way, what carries bytes.
local kinds = {
  engine = function(cfg)
    local c, s = E.connected(cfg, cfg)
    return c, s, function(random)
      local one = random(2) == 1 and c or s
      one:setoption("maxoutput", rooms[random(#rooms)])
    end, function(size)
      assert(s:feed(c:drain(size)))
      assert(c:feed(s:drain(size)))
    end
  end,
  tunnel = function(cfg)
    local a, b = E.objects()
    local c, s = assert(ssl.wrap(a, S.client(cfg))), assert(ssl.wrap(b, S.server(cfg)))
    c:settimeout(0)
    s:settimeout(0)
    S.shake(c, s)
    return c, s, function(random)
      local one = random(2) == 1 and a or b
      one.room = rooms[random(#rooms)]
    end, function() end
  end,
  socket = function(cfg)
    local c, s = S.connected(S.client(cfg), S.server(cfg))
    for _, conn in ipairs { c, s } do
      conn:setoption("send-buffer-size", 5000)
      conn:setoption("recv-buffer-size", 5000)
    end
    return c, s, function() end, function() end
  end,
}

-- What a call answers that may have to be made again: how far it came.
local function far(last, message, partial)
  if not last then assert.is_true(S.wants(message), message) end
  return last or partial
end

local sizes = { 1, 10, 1000, 16384, 16385, 100000 }

local calls = {
  function(d, random) -- a part of a longer string
    local before = random(5)
    local data = ("p"):rep(before) .. piece(d.sent, sizes[random(#sizes)])
    d.sent = d.sent + far(d.from:send(data, before + 1)) - before
  end,
  function(d, random)
    d.sent = d.sent + far(d.from:write(piece(d.sent, sizes[random(#sizes)])))
  end,
  function(d, random, file)
    local offset = d.sent % #cycle
    local count = math.min(#cycle - offset, random(2) == 1 and 100 or 60000)
    local sent = far(d.from:sendfile(file, offset, count))
    assert.is_true(sent <= count)
    d.sent = d.sent + sent
  end,
  function(d, random)
    local ok, message, detail = d.from:keyupdate(random(2) == 1 and "send" or "both")
    assert.is_true(ok or S.wants(message) or detail.kind == "config", message)
  end,
  function(d, random)
    local data, message = d.to:read(sizes[random(#sizes)])
    assert.is_true(data ~= nil or S.wants(message), message)
    d.arrived(data or "")
  end,
  function(d, random)
    local n, prefix = sizes[random(#sizes)], ("q"):rep(random(3))
    local data = far(d.to:receive(n, prefix))
    assert.equal(prefix, data:sub(1, #prefix))
    d.arrived(data:sub(#prefix + 1))
  end,
  function(d)
    local data, message, partial = d.to:receive("*l")
    assert.is_true(data ~= nil or S.wants(message), message)
    d.arrived(data and data .. "\n" or partial)
  end,
}

local function direction(from, to)
  local d = { from = from, to = to, sent = 0, got = 0 }
  function d.arrived(bytes)
    assert.is_true(bytes == piece(d.got, #bytes))
    d.got = d.got + #bytes
  end
  return d
end

-- Ends one direction, and receives the rest of it.
local function ends(d)
  d.closed = d.closed or d.from:shutdown("send")
  local data, message, partial = d.to:receive("*a")
  d.arrived(data or partial)
  d.ended = d.ended or data ~= nil or message == "closed"
  if not d.ended then assert.is_true(S.wants(message), message) end
  return d.closed and d.ended
end

describe("both directions at once", function()
  for kind, make in pairs(kinds) do
    for _, protocol in ipairs { "tlsv1_2", "tlsv1_3" } do
      it("through a " .. kind .. " with " .. protocol, function()
        local path = S.tmpfile(cycle)
        local file = assert(io.open(path, "rb"))
        S.atend(finally, function()
          file:close()
          os.remove(path)
        end)
        local random = S.random(1)
        local c, s, squeeze, carry = make { protocol = protocol }
        local ways = { direction(c, s), direction(s, c) }
        for _ = 1, 600 do
          squeeze(random)
          carry(random(20000))
          calls[random(#calls)](ways[random(2)], random, file)
        end
        S.poll(function()
          squeeze(function(n) return n end) -- the server's side has all the room
          squeeze(function(n) return n == 2 and 1 or n end)
          carry()
          local one, other = ends(ways[1]), ends(ways[2])
          return one and other
        end, "the ends")
        for _, way in ipairs(ways) do assert.is_true(way.got >= way.sent) end -- a record may be on its way unreported
        c:close()
        s:close()
      end)
    end
  end
end)
