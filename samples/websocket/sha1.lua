-- SHA-1 (FIPS 180-4), for the one answer that RFC 6455 wants it for; it protects nothing there, and must nowhere. With
-- plain arithmetic, since Lua 5.1 has no other.

local WORD = 2 ^ 32

-- Bit by bit: f of two bits.
local function bitwise(a, b, f)
  local result, bit = 0, 1
  for _ = 1, 32 do
    result = result + f(a % 2, b % 2) * bit
    a, b, bit = math.floor(a / 2), math.floor(b / 2), bit * 2
  end
  return result
end

local function xor(a, b) return bitwise(a, b, function(x, y) return (x + y) % 2 end) end
local function band(a, b) return bitwise(a, b, function(x, y) return x * y end) end
local function bor(a, b) return bitwise(a, b, function(x, y) return math.max(x, y) end) end
local function rotate(a, n) return a * 2 ^ n % WORD + math.floor(a / 2 ^ (32 - n)) end

local function word(s, i)
  local a, b, c, d = s:byte(i, i + 3)
  return ((a * 256 + b) * 256 + c) * 256 + d
end

local function bytes(n)
  local s = ""
  for _ = 1, 4 do n, s = math.floor(n / 256), string.char(n % 256) .. s end
  return s
end

local rounds = {
  { 0x5A827999, function(b, c, d) return bor(band(b, c), band(WORD - 1 - b, d)) end },
  { 0x6ED9EBA1, function(b, c, d) return xor(xor(b, c), d) end },
  { 0x8F1BBCDC, function(b, c, d) return bor(bor(band(b, c), band(b, d)), band(c, d)) end },
  { 0xCA62C1D6, function(b, c, d) return xor(xor(b, c), d) end },
}

local function block(h, s, at)
  local w = {}
  for i = 0, 15 do w[i] = word(s, at + i * 4) end
  for i = 16, 79 do w[i] = rotate(xor(xor(w[i - 3], w[i - 8]), xor(w[i - 14], w[i - 16])), 1) end
  local a, b, c, d, e = h[1], h[2], h[3], h[4], h[5]
  for i = 0, 79 do
    local k, f = rounds[math.floor(i / 20) + 1][1], rounds[math.floor(i / 20) + 1][2]
    a, b, c, d, e = (rotate(a, 5) + f(b, c, d) + e + k + w[i]) % WORD, a, rotate(b, 30), c, d
  end
  for i, value in ipairs { a, b, c, d, e } do h[i] = (h[i] + value) % WORD end
end

return function(s)
  local h = { 0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0 }
  s = s .. "\128" .. ("\0"):rep((55 - #s) % 64) .. "\0\0\0\0" .. bytes(#s * 8)
  for at = 1, #s, 64 do block(h, s, at) end
  return (table.concat { bytes(h[1]), bytes(h[2]), bytes(h[3]), bytes(h[4]), bytes(h[5]) })
end
