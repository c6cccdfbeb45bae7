-- Pairs of the libtls facade's contexts over loopback, driven from one process.

local S = require "support"
local tls = require "libtls"
local config = require "libtls.config"

local M = {}

--- A client's configuration that trusts rootA; `change` may change it.
function M.clientconfig(change)
  local cfg = assert(config.new())
  assert(cfg:set_ca_file(S.cert "rootA"))
  if change then change(cfg) end
  return cfg
end

--- A server's, with serverA's certificate.
function M.serverconfig(change)
  local cfg = assert(config.new())
  assert(cfg:set_keypair_file(S.cert "serverA", S.cert "serverAkey"))
  if change then change(cfg) end
  return cfg
end

local open = {} -- sockets of pairs: their descriptors are borrowed

--- Client and server end before the handshake; each argument a context, or a function that changes the configuration.
-- t: name ("localhost").
function M.contexts(client, server, t)
  if type(client) ~= "userdata" then client = tls.client(M.clientconfig(client)) end
  if type(server) ~= "userdata" then server = assert(tls.server(M.serverconfig(server))) end
  local a, b = S.tcp()
  open[#open + 1], open[#open + 2] = a, b
  assert(client:connect_socket(a:getfd(), t and t.name or "localhost"))
  local peer = assert(server:accept_socket(b:getfd()))
  return client, peer, a, b
end

--- Handshakes both; what each answered at last, { ok, message } of client and server. Where one that failed leaves the
-- other waiting, its socket is shut down.
function M.shake(c, s, a, b)
  local results, turns = {}, 0
  S.poll(function()
    for i, ctx in ipairs { c, s } do
      if not results[i] then
        local ok, message, want = ctx:handshake()
        assert(want == nil or want == tls.WANT_POLLIN or want == tls.WANT_POLLOUT)
        if not want then results[i] = { ok, message } end
      end
    end
    turns = turns + 1
    if turns == 200 and results[1] and not results[1][1] then a:shutdown("send") end
    if turns == 200 and results[2] and not results[2][1] then b:shutdown("send") end
    return results[1] and results[2]
  end, "handshakes")
  return results[1], results[2]
end

--- Both, for pairs whose handshake is to be looked at.
function M.try(client, server, t)
  local c, s, a, b = M.contexts(client, server, t)
  local cr, sr = M.shake(c, s, a, b)
  return cr, sr, c, s
end

--- A pair with its handshake done: client, server, their sockets.
function M.connected(client, server, t)
  local c, s, a, b = M.contexts(client, server, t)
  local cr, sr = M.shake(c, s, a, b)
  assert(cr[1], cr[2])
  assert(sr[1], sr[2])
  return c, s, a, b
end

--- What a read answers once it need not wait any more.
function M.read(ctx, size)
  local r
  S.poll(function()
    r = S.pack(ctx:read(size))
    return not r[3]
  end, "read")
  return S.unpack(r, 1, r.n)
end

--- Writes all of it.
function M.write(ctx, data)
  S.poll(function()
    local n, message = ctx:write(data)
    assert(n, message)
    data = data:sub(n + 1)
    return data == ""
  end, "write")
end

--- Closes the sockets of all pairs made so far.
function M.finish()
  for i, sock in pairs(open) do
    sock:close()
    open[i] = nil
  end
end

return M
