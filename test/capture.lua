-- A capture file (pcap) of one TCP connection, of bytes that went through the hands of a test: no privileges needed.

local M = {}

local function u16(n) return string.char(math.floor(n / 256) % 256, n % 256) end
local function u32(n) return u16(math.floor(n / 65536)) .. u16(n % 65536) end

local SYN, ACK, PSH = 2, 16, 8

-- An IPv4 packet with a TCP segment; checksums are left out, which readers take for the work of a network card.
local function packet(up, flags, seq, ack, data)
  local from, to = up and "\10\0\0\1" or "\10\0\0\2", up and "\10\0\0\2" or "\10\0\0\1"
  local ports = up and u16(40000) .. u16(443) or u16(443) .. u16(40000)
  local tcp = ports .. u32(seq) .. u32(ack) .. string.char(0x50, flags) .. u16(65535) .. u32(0)
  return "\69\0" .. u16(40 + #data) .. u32(0) .. "\64\6\0\0" .. from .. to .. tcp .. data
end

--- The capture as a string.
-- @tparam table pieces array of { way, data } in their order; way is "up" for what the client sent, else "down"
function M.pcap(pieces)
  local seq = { up = 1, down = 1 }
  local packets = { packet(true, SYN, 0, 0, ""), packet(false, SYN + ACK, 0, 1, ""), packet(true, ACK, 1, 1, "") }
  for _, piece in ipairs(pieces) do
    local way, back = piece[1], piece[1] == "up" and "down" or "up"
    for at = 1, #piece[2], 1400 do
      local data = piece[2]:sub(at, at + 1399)
      packets[#packets + 1] = packet(way == "up", ACK + PSH, seq[way], seq[back], data)
      seq[way] = seq[way] + #data
    end
  end
  local out = { u32(0xa1b2c3d4), u16(2), u16(4), u32(0), u32(0), u32(65535), u32(101) }
  for i, p in ipairs(packets) do
    out[#out + 1] = u32(1) .. u32(i) .. u32(#p) .. u32(#p) .. p
  end
  return table.concat(out)
end

return M
