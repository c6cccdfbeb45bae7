-- What each thread's state does: loads the library, then contexts, handshakes, resumption, name checks and cookies,
-- mostly on what the threads share without knowing: parsed CA files, the cookie secret, indexes, OpenSSL's own. Objects
-- are left to the collector, which runs amid all of it. threads.c runs it with the thread's number and the rounds.

local number, rounds = ...

local socket = require "socket"
local ssl = require "ssl"
local S = require "support"
local E = require "engines"
local N = require "names"

local random = S.random(number)
local cas = { "rootA", "rootB", "rootA" } -- more than are kept when nobody uses them
local MUTUAL = { verify = "peer", cafile = S.cert("rootA"), sessions = { id = "threads" } }
local MINE = { certificate = S.cert("clientA"), key = S.cert("clientAkey") }
local keylog = os.tmpname()

local function newclient()
  local cfg = S.client { sessions = true, servername = "localhost", alpn = { "a", "b" } }
  return assert(ssl.newcontext(N.with(cfg, MINE)))
end

local function newserver()
  return assert(ssl.newcontext(S.server(N.with({ alpn = function(offered)
    collectgarbage("step")
    return offered
  end, keylog = keylog }, MUTUAL))))
end

local clients, servers = newclient(), newserver()

local function handshake(client, server)
  local c, s = assert(ssl.engine(client)), assert(ssl.engine(server))
  E.shake(c, s)
  assert(S.transfer(c, { receive = function(_, n)
    E.carry(c, s)
    return s:receive(n)
  end }, "over threads") == "over threads")
  s:send("x")
  E.carry(s, c)
  assert(c:receive(1) == "x")
  assert(s:getpeerverification())
  return c:sessionreused()
end

-- Handshakes of DTLS with the cookie exchange, whose secret is the process's.
local function datagrams()
  local c = assert(ssl.engine(S.client { protocol = "dtls" }))
  local s = assert(ssl.engine(S.server { protocol = "dtls" }))
  for _ = 1, 4 do
    c:dohandshake()
    E.carry(c, s)
    local ok = s:listen("192.0.2." .. number)
    E.carry(s, c)
    if ok then break end
  end
  E.shake(c, s)
  assert(ssl.checkcookie("peer", ssl.cookie("peer")))
  assert(not ssl.checkcookie("peer", ssl.cookie("other")))
end

local function fails()
  local c = assert(ssl.engine(S.client { cafile = S.cert("rootB") }))
  local ok, message, detail = E.fail(c, assert(ssl.engine(servers)))
  assert(ok == false and message == "certificate verify failed" and detail.kind == "verify")
  local path = "/nowhere/" .. number .. ".pem"
  local ctx, _, why = ssl.newcontext(S.client { cafile = path })
  assert(ctx == nil and why.file == path, "another thread's error")
end

local function others()
  local ca = cas[random(#cas)]
  assert(ssl.newcontext(S.client { cafile = S.cert(ca) }))
  local cert = assert(ssl.loadcertificate(S.pem("serverA")))
  assert(cert:checkhost("localhost") and not cert:checkhost("localhost.test"))
  assert(#cert:subject() > 0 and cert:digest("sha256"))
  assert(next(ssl.config.options))
  assert(ssl.selfsigned { key = "ec" })
end

local start, resumed = socket.gettime(), 0
for i = 1, rounds do
  if handshake(clients, servers) then resumed = resumed + 1 end
  if i % 10 == 0 then others() end
  if i % 25 == 0 then fails() end
  if i % 25 == 5 then datagrams() end
  if i % 50 == 0 then clients, servers = newclient(), newserver() end
end
os.remove(keylog)
assert(rounds < 10 or resumed > rounds / 2, "resumed " .. resumed)
print(("thread %d: %d handshakes, %d resumed, %.1f s"):format(number, rounds, resumed, socket.gettime() - start))
