-- A TCP server that does what it is told, byte by byte: the misbehaving HTTPS servers and proxies of the specs.
-- Prints its port, then serves one connection for each script; at the end of each it prints what it got as one
-- escaped line. lua test/peer/scripted.lua CERTNAME SCRIPT...
--
-- A script is steps with blanks between; %XX stands for a byte:
--   tls           handshake as server        head        read up to an empty line      body=N  read N bytes
--   send=TEXT     send it                    drip=TEXT   send it, a byte each 0.1 s, until the client goes
--   flood=TEXT    send it again and again until the client goes                        blanks=N send N blanks
--   bye           close with close_notify    cut         end the stream without it     rst     end it by a reset
--   stall         read until the client goes pause       read nothing for two seconds

local socket = require "socket"
local S = require "support"

local function unescape(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

local function escape(text)
  return (text:gsub("[^%w%-./:*=]", function(c) return ("%%%02X"):format(c:byte()) end))
end

local context = assert(S.ssl.newcontext(S.server {
  certificate = S.cert(arg[1]), key = S.cert(arg[1] .. "key"), verify = "peer", cafile = S.cert("rootA") }))

local steps = {}

function steps.tls(state)
  local conn = assert(S.ssl.wrap(state.sock, context))
  state.sock, state.conn = conn, conn
  conn:settimeout(20)
  local ok, message = conn:dohandshake()
  if not ok then return false, message end
  state.note = ("sni=%s resumed=%s client=%s "):format(tostring(conn:getsniname()),
    tostring(conn:info("resumed") == true), tostring(conn:getpeercertificate() ~= nil))
  return true
end

function steps.head(state)
  repeat
    local line, message = state.sock:receive("*l")
    if not line then return false, message end
    state.got = state.got .. line .. "\n"
  until line == ""
  return true
end

function steps.body(state, n)
  local data, message = state.sock:receive(tonumber(n))
  state.got = state.got .. (data or "")
  return data, message
end

function steps.send(state, text) return state.sock:send(text) end

function steps.blanks(state, n) return state.sock:send((" "):rep(tonumber(n))) end

function steps.drip(state, text)
  for i = 1, #text do
    local ok, message = state.sock:send(text:sub(i, i))
    if not ok then return false, message end
    socket.sleep(0.1)
  end
  return true
end

function steps.flood(state, text)
  local many, deadline = text:rep(1000), socket.gettime() + 20
  repeat
    local ok, message = state.sock:send(many)
    if not ok then return false, message end
  until socket.gettime() > deadline
  return true
end

function steps.stall(state)
  repeat until not state.sock:receive(1)
  return true
end

-- How long is the client's time limit's to say: it only has to be longer.
function steps.pause()
  socket.sleep(2)
  return true
end

function steps.bye(state) return state.sock:close() end

function steps.cut(state)
  S.raw(state.conn, function(sock) sock:shutdown("both") end)
  return true
end

function steps.rst(state)
  if state.conn then S.reset(state.conn) else state.sock:setoption("linger", { on = true, timeout = 0 }) end
  return true
end

local listener = assert(socket.bind("127.0.0.1", 0))
listener:settimeout(20)
io.stdout:setvbuf("line")
print((select(2, listener:getsockname())))
for i = 2, #arg do
  local sock = listener:accept()
  if not sock then break end
  sock:settimeout(20)
  sock:setoption("tcp-nodelay", true)
  local state = { sock = sock, got = "", note = "" }
  for step in arg[i]:gmatch("%S+") do
    local name, text = step:match("^(%a+)=?(.*)$")
    if not steps[name](state, unescape(text)) then break end
  end
  state.sock:close()
  print(state.note .. escape(state.got))
end
