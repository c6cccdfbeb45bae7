-- What both ends of a WebSocket share (RFC 6455): the answer to the upgrade, and frames.

local mime = require "mime"
local sha1 = require "sha1"

local M = { TEXT = 1, CLOSE = 8, PING = 9, PONG = 10, MOST = 65535 } -- kinds; bytes in a frame

-- What a server answers to a client's key.
function M.accept(key) return (mime.b64(sha1(key .. "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))) end

-- Bytes that no web page can foresee.
function M.random(n)
  local f = assert(io.open("/dev/urandom", "rb"))
  local bytes = assert(f:read(n))
  f:close()
  return bytes
end

local function xor(a, b)
  local result, bit = 0, 1
  for _ = 1, 8 do
    if a % 2 ~= b % 2 then result = result + bit end
    a, b, bit = math.floor(a / 2), math.floor(b / 2), bit * 2
  end
  return result
end

local function masked(data, mask)
  local i = -1
  return (data:gsub(".", function(c)
    i = (i + 1) % 4
    return string.char(xor(c:byte(), mask:byte(i + 1)))
  end))
end

-- A frame in one piece. Clients mask: 4 random bytes.
function M.send(conn, kind, data, mask)
  local n = #data
  local size = n < 126 and string.char(n + (mask and 128 or 0))
    or string.char(126 + (mask and 128 or 0), math.floor(n / 256), n % 256)
  return conn:send(string.char(128 + kind) .. size .. (mask and mask .. masked(data, mask) or data))
end

-- Its kind and data; nil, why.
function M.receive(conn)
  local head, why = conn:receive(2)
  if not head then return nil, why end
  local first, n = head:byte(1, 2)
  local mask = n >= 128
  n = n % 128
  local more = n == 126 and assert(conn:receive(2))
  if more then n = more:byte(1) * 256 + more:byte(2) end
  if first < 128 or n == 127 or n > M.MOST then return nil, "a frame in parts, or too long" end
  local key = mask and assert(conn:receive(4))
  local data = n > 0 and assert(conn:receive(n)) or ""
  return first % 16, key and masked(data, key) or data
end

return M
