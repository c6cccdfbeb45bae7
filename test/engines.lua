-- Pairs of engines in one process, and what carries bytes between them: all at once, a few at a time, or cut where a
-- spec wants it.

local S = require "support"
local ssl = S.ssl

local M = {}

--- A client and a server; the tables are added to the usual settings.
function M.pair(clientcfg, servercfg)
  return assert(ssl.engine(S.client(clientcfg))), assert(ssl.engine(S.server(servercfg)))
end

--- A function that makes such pairs, of the same two contexts.
function M.maker(clientcfg, servercfg)
  local client, server = assert(ssl.newcontext(S.client(clientcfg))), assert(ssl.newcontext(S.server(servercfg)))
  return function() return assert(ssl.engine(client)), assert(ssl.engine(server)) end
end

--- The first two, the first three of what a call answers.
function M.two(a, b) return a, b end
function M.three(a, b, c) return a, b, c end

--- Carries what one engine has to say to another, or to anything with feed, at most `size` bytes a piece.
function M.carry(from, to, size)
  for _ = 1, S.MAXSTEPS do
    local piece = from:drain(size)
    if piece == "" then return end
    assert(to:feed(piece))
  end
  error("still not drained")
end

--- Sends what an engine has to say down a LuaSocket socket, and feeds it what came there.
function M.push(engine, sock)
  local bytes = engine:drain()
  if bytes ~= "" then assert(sock:send(bytes)) end
  local data, message, partial = sock:receive(65536)
  data = data or partial
  if data ~= "" then assert(engine:feed(data)) end
  if message == "closed" then engine:feedeof() end
end

--- A connection on a socket, in the shape of an engine: `peer` is the other end of its socket.
function M.socketed(conn, peer)
  return {
    dohandshake = function() return conn:dohandshake() end,
    feed = function(_, bytes) return peer:send(bytes) and true end,
    drain = function()
      local data, _, partial = peer:receive(65536)
      return data or partial
    end,
  }
end

--- Handshakes two engines, carrying at most `size` bytes a piece.
function M.shake(client, server, size)
  local cdone, sdone
  for _ = 1, S.MAXSTEPS do
    local cerr, serr
    if not cdone then cdone, cerr = client:dohandshake() end
    assert(cdone or S.wants(cerr), cerr)
    M.carry(client, server, size)
    if not sdone then sdone, serr = server:dohandshake() end
    assert(sdone or S.wants(serr), serr)
    M.carry(server, client, size)
    if cdone and sdone then return end
  end
  error("the handshake does not end")
end

--- A pair after its handshake, nothing on the way.
function M.connected(clientcfg, servercfg)
  local client, server = M.pair(clientcfg, servercfg)
  M.shake(client, server)
  client:read() -- tickets
  return client, server
end

--- Two objects for TLS to go over, each of which receives what the other sends: `got` waits at it, up to `room` bytes.
-- One that is `blocked` sends nothing; `most`: bytes that a call moves.
function M.objects(most)
  local function object()
    local o = { got = "", room = math.huge, open = true }
    function o:send(data, i)
      i = i or 1
      local to = self.other
      if not self.open or not to.open then return nil, "closed", i - 1 end
      if self.blocked then return nil, "timeout", i - 1 end
      local last = math.min(#data, i - 1 + math.min(most or #data, math.max(0, to.room - #to.got)))
      to.got = to.got .. data:sub(i, last)
      if last < #data then return nil, "timeout", last end
      return last
    end
    function o:receive(n)
      local part = self.got:sub(1, most and math.min(most, n) or n)
      self.got = self.got:sub(#part + 1)
      if #part < n or most then return nil, self.open and self.other.open and "timeout" or "closed", part end
      return part
    end
    function o:close() self.open = false end
    return o
  end
  local a, b = object(), object()
  a.other, b.other = b, a
  return a, b
end

--- Handshakes until the first of the two fails; what that one answered.
function M.fail(client, server)
  for _ = 1, 20 do
    for _, pair in ipairs { { client, server }, { server, client } } do
      local ok, message, detail = pair[1]:dohandshake()
      if not ok and not S.wants(message) then return ok, message, detail end
      M.carry(pair[1], pair[2])
    end
  end
  error("nobody fails")
end

--- The lengths of a handshake's flights, in order.
function M.flights(client, server)
  local lengths = {}
  for _ = 1, 4 do
    for _, pair in ipairs { { client, server }, { server, client } } do
      pair[1]:dohandshake()
      local flight = pair[1]:drain()
      if flight ~= "" then
        lengths[#lengths + 1] = #flight
        pair[2]:feed(flight)
      end
    end
  end
  return lengths
end

--- Handshakes with the n-th flight fed in two parts, with a try of the receiver between them. True when both are done.
function M.shakecut(client, server, n, cut)
  local flights, done = 0, {}
  for _ = 1, 6 do
    for _, pair in ipairs { { client, server }, { server, client } } do
      local from, to = pair[1], pair[2]
      local ok, message = from:dohandshake()
      assert(ok or S.wants(message), message)
      done[from] = ok
      local flight = from:drain()
      if flight ~= "" then
        flights = flights + 1
        if flights == n then
          assert(to:feed(flight:sub(1, cut)))
          ok, message = to:dohandshake()
          assert(ok or S.wants(message), message)
          flight = flight:sub(cut + 1)
          M.carry(to, { feed = function(_, bytes) return from:feed(bytes) end })
        end
        assert(to:feed(flight))
      end
    end
  end
  return done[client] == true and done[server] == true
end

return M
