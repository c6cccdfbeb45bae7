-- A TLS echo server and twenty clients in one Copas loop. Debian's Copas (1.2) is older than its own TLS
-- support, so a small adapter does what programs of that time did: it turns "wantread" and "wantwrite" into
-- the "timeout" that Copas waits on. Copas hands the adapter to socket.select, which asks it for getfd and
-- dirty.

local copas = require "copas"
local socket = require "socket"
local ssl = require "ssl"
local t = require "realtest"

local CERTS = os.getenv("CERTS")
local CLIENTS, LINES, WIDTH = 20, 40, 4000
local DEADLINE = socket.gettime() + 30

local adapter = {}
adapter.__index = adapter

local function as_timeout(err)
  if err == "wantread" or err == "wantwrite" then return "timeout" end
  return err
end

function adapter:getfd() return self.conn:getfd() end
function adapter:dirty() return self.conn:dirty() end
function adapter:close() return self.conn:close() end

function adapter:receive(pattern, prefix)
  local data, err, partial = self.conn:receive(pattern, prefix)
  return data, as_timeout(err), partial
end

function adapter:send(data, i, j)
  local last, err, sofar = self.conn:send(data, i, j)
  return last, as_timeout(err), sofar
end

-- A handshake step in the guise of receive or send, so that copas.receive and copas.send wait for the right
-- direction.
local function handshake(self)
  local step = { conn = self.conn, getfd = adapter.getfd, dirty = adapter.dirty, close = adapter.close }
  local want, failure = "wantread", nil
  local function attempt()
    local good, err = self.conn:dohandshake()
    if good then want = nil return true end
    if err ~= "wantread" and err ~= "wantwrite" then want, failure = nil, err return true end
    want = err
    return nil
  end
  function step.receive() return attempt() or want == "wantwrite" or nil, "timeout", "" end
  function step.send() return attempt() or want == "wantread" or nil, "timeout", 0 end
  while want do
    if want == "wantread" then copas.receive(step) else copas.send(step, "") end
  end
  return not failure, failure
end

--- Wraps a connected socket and shakes hands inside the running Copas thread. Returns the adapter, or nil and an error.
local function secure(sock, context)
  local conn, err = ssl.wrap(sock, context)
  if not conn then return nil, err end
  conn:settimeout(0)
  local self = setmetatable({ conn = conn }, adapter)
  local good
  good, err = handshake(self)
  if good then return self end
  conn:close()
  return nil, err
end

local server = assert(ssl.newcontext {
  mode = "server", protocol = "any", certificate = CERTS .. "/serverA.pem", key = CERTS .. "/serverAkey.pem",
})
local function client_context(root)
  return assert(ssl.newcontext { mode = "client", protocol = "any", cafile = CERTS .. "/" .. root, verify = "peer" })
end

local echoed, refusals = 0, 0
local listener = assert(socket.bind("127.0.0.1", 0, 64))
local port = select(2, listener:getsockname())
copas.addserver(listener, function(sock)
  local conn = secure(sock, server)
  if not conn then refusals = refusals + 1 return end
  for _ = 1, LINES do
    local line = copas.receive(conn, "*l")
    if not line then break end
    copas.send(conn, line .. "\n")
    echoed = echoed + 1
  end
  conn:close()
end, 0)

local finished, perfect, errors, protocol = 0, 0, {}, nil

local function talk(conn, who)
  for i = 1, LINES do
    local line = ("%d %d "):format(who, i) .. ("x"):rep(WIDTH)
    local sent, err = copas.send(conn, line .. "\n")
    if not sent then return nil, err end
    local got, failure = copas.receive(conn, "*l")
    if got ~= line then return nil, failure or "another line came back" end
  end
  protocol = conn.conn:info("protocol")
  local rest, err = copas.receive(conn, "*l")
  return not rest and err == "closed", "no clean end: " .. tostring(err)
end

local function client(context, who)
  local sock = assert(socket.connect("127.0.0.1", port))
  copas.addthread(function()
    local conn, err = secure(sock, context)
    local good
    if conn then
      good, err = talk(conn, who)
      conn:close()
    end
    finished = finished + 1
    if good then perfect = perfect + 1 else errors[#errors + 1] = tostring(err) end
  end)
end

local trusting = client_context("rootA.pem")
for who = 1, CLIENTS do client(trusting, who) end
while finished < CLIENTS and socket.gettime() < DEADLINE do copas.step(0.5) end

t.proof()
t.check("twenty clients echoed", perfect == CLIENTS, perfect .. " perfect; " .. table.concat(errors, "; "))
t.equal("every line passed the server", echoed, CLIENTS * LINES)
t.equal("TLS 1.3", protocol, "TLSv1.3")

errors = {}
client(client_context("rootB.pem"), 0)
while (finished <= CLIENTS or refusals == 0) and socket.gettime() < DEADLINE do copas.step(0.5) end
t.equal("a client with another CA refuses", errors[1], "certificate verify failed")
t.equal("and the server sees it end", refusals, 1)
t.done()
