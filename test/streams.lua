-- What the specs of send and receive share.

local socket = require "socket"
local support = require "support"

local M = {}

--- Checks that a call raises with a message that matches.
function M.raises(pattern, f, ...)
  local ok, err = pcall(f, ...)
  assert(not ok, "did not raise")
  assert(err:find(pattern), err)
end

--- Checks packed results of send or receive: the first three are these; a fourth, the detail table, comes with failures
-- only.
function M.results(expected, got)
  local wanted = expected[1] == nil and 4 or 3
  assert(got.n == wanted, got.n .. " results instead of " .. wanted)
  for i = 1, 3 do
    if expected[i] ~= got[i] then
      error(("result %d is %q instead of %q"):format(i, tostring(got[i]), tostring(expected[i])), 2)
    end
  end
  assert(expected[1] ~= nil or type(got[4].kind) == "string")
end

--- Sends data and waits until the other end has something to read.
function M.arrive(from, to, data)
  assert(from:send(data) == #data)
  assert(socket.select({ to }, nil, 5)[1] == to)
end

--- n bytes of which no two stretches look alike.
function M.noise(n)
  local words, seed = {}, 12345
  for i = 1, math.ceil(n / 4) do
    seed = (seed * 1103515245 + 12345) % 2147483648
    words[i] = string.char(seed % 256, math.floor(seed / 256) % 256, math.floor(seed / 65536) % 256, i % 256)
  end
  return table.concat(words):sub(1, n)
end

--- Adds what one non-blocking receive brings to a list; returns how much that was.
function M.gather(list, conn, n)
  local data, err, partial = conn:receive(n)
  assert(data or err == "wantread", err)
  data = data or partial
  if #data > 0 then list[#list + 1] = data end
  return #data
end

--- Moves a relayed pair (support.relayed) through its handshake.
function M.relayhandshake(client, server, relay)
  support.poll(function()
    relay:pump()
    local a, b = client:dohandshake(), server:dohandshake()
    return a and b
  end)
  relay:pump()
end

return M
