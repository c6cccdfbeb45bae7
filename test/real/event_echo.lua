-- A TLS server and clients as callbacks of lua-event: addevent is given the connection objects themselves,
-- which must be userdata with getfd. Each callback makes one step and answers what to wait for next.

local event = require "luaevent.core"
local socket = require "socket"
local ssl = require "ssl"
local t = require "realtest"

local CERTS = os.getenv("CERTS")
local CLIENTS, SIZE, STALL = 10, 300000, 20
local READ, WRITE, TIMEOUT, LEAVE = event.EV_READ, event.EV_WRITE, event.EV_TIMEOUT, -1

local base = event.new()
local active, timeouts = 0, 0
local anchors = {} -- luacheck: ignore 241 (keeps events from being collected)

local function waits_for(err)
  if err == "wantread" then return READ elseif err == "wantwrite" then return WRITE end
end

--- Runs `step` on a connection until it answers no wish: step() -> READ, WRITE or nil.
local function drive(conn, step)
  active = active + 1
  local function callback(what)
    if what == TIMEOUT then timeouts = timeouts + 1 end
    local wish = what ~= TIMEOUT and step()
    if wish then return wish, STALL end
    anchors[conn] = nil
    conn:close()
    active = active - 1
    if active == 0 then base:loopexit() end
    return LEAVE
  end
  anchors[conn] = base:addevent(conn, WRITE, callback, STALL)
end

--- The step that shakes hands first and then goes on with `work`.
local function after_handshake(conn, result, work)
  local shaken = false
  return function()
    if not shaken then
      local good, err = conn:dohandshake()
      if not good then
        result.error = err
        return waits_for(err)
      end
      shaken, result.error = true, nil
    end
    return work()
  end
end

--- Sends all of `data`, then receives `size` bytes into result.data.
local function exchange(conn, result, data, size)
  local last, parts, got = 0, {}, 0
  return function()
    while last < #data do
      local sent, err, sofar = conn:send(data, last + 1)
      last = sent or sofar
      if not sent then result.error = err return waits_for(err) end
    end
    while got < size do
      local part, err, partial = conn:receive(math.min(size - got, 8192))
      part = part or partial
      parts[#parts + 1], got = part, got + #part
      if err then result.error = err return waits_for(err) end
    end
    result.error, result.data, result.protocol = nil, table.concat(parts), conn:info("protocol")
    return nil
  end
end

--- Echoes SIZE bytes, all of them read before the first is answered.
local function echo(conn, result)
  local gather, answer = exchange(conn, result, "", SIZE), nil
  return function()
    if not answer then
      local wish = gather()
      if wish or not result.data then return wish end
      answer = exchange(conn, result, result.data, 0)
    end
    return answer()
  end
end

local function wrap(sock, cfg)
  sock:settimeout(0)
  local conn = assert(ssl.wrap(sock, cfg))
  conn:settimeout(0)
  return conn
end

local server = assert(ssl.newcontext {
  mode = "server", protocol = "any", certificate = CERTS .. "/serverA.pem", key = CERTS .. "/serverAkey.pem",
})
local listener = assert(socket.bind("127.0.0.1", 0, 64))
local port = select(2, listener:getsockname())

--- One client with `root` as its CA and the server's end for it. Returns both result tables.
local function pair(root, data)
  local sock = assert(socket.connect("127.0.0.1", port))
  local mine, theirs = {}, {}
  local conn = wrap(sock, { mode = "client", protocol = "any", cafile = CERTS .. "/" .. root, verify = "peer" })
  drive(conn, after_handshake(conn, mine, exchange(conn, mine, data, SIZE)))
  local peer = wrap(assert(listener:accept()), server)
  drive(peer, after_handshake(peer, theirs, echo(peer, theirs)))
  return mine, theirs
end

local results, sent = {}, {}
for i = 1, CLIENTS do
  sent[i] = (("%d."):format(i)):rep(SIZE):sub(1, SIZE)
  results[i] = pair("rootA.pem", sent[i])
end
base:loop()

local perfect, failure = 0, nil
for i = 1, CLIENTS do
  if results[i].data == sent[i] then perfect = perfect + 1 else failure = results[i].error or "other bytes" end
end
t.proof()
t.check("ten clients echoed 300,000 bytes each", perfect == CLIENTS, perfect .. " perfect; " .. tostring(failure))
t.equal("TLS 1.3", results[1].protocol, "TLSv1.3")
t.equal("no event timed out", timeouts, 0)

local mine, theirs = pair("rootB.pem", "")
base:loop()
t.equal("a client with another CA refuses", mine.error, "certificate verify failed")
t.check("and the server sees it end", theirs.error and not theirs.data, theirs.error)
t.done()
