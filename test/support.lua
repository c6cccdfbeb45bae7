-- What every spec needs: certificate paths, pairs of connections over loopback, and bounded loops that drive both
-- ends of a pair in one process. Uses LuaSec's API only, so that the compat suite can run it on either library.

local socket = require "socket"
local ssl = require "ssl"

local M = {}

M.ssl = ssl
M.certdir = os.getenv("CERTS") or "build/certs"
M.MAXSTEPS = 20000
M.MAXSECONDS = 20

--- The path of a file of the test PKI, "serverA" meaning serverA.pem.
function M.cert(name)
  if not name:find("%.") and name ~= "capath" then name = name .. ".pem" end
  return M.certdir .. "/" .. name
end

function M.read(path)
  local f = assert(io.open(path, "rb"))
  local s = f:read("*a")
  f:close()
  return s
end

--- The text of a certificate or key of the test PKI.
function M.pem(name) return M.read(M.cert(name)) end

local function merge(base, extra)
  for k, v in pairs(extra or {}) do
    if v == M.NONE then base[k] = nil else base[k] = v end
  end
  return base
end

--- Put in a settings table to remove a default.
M.NONE = setmetatable({}, { __name = "none" })

--- Settings of a server with serverA's certificate; keys of `extra` win.
function M.server(extra)
  local cfg = { mode = "server", protocol = "any", certificate = M.cert("serverA"), key = M.cert("serverAkey") }
  return merge(cfg, extra)
end

--- Settings of a client that trusts rootA and verifies; keys of `extra` win.
function M.client(extra)
  return merge({ mode = "client", protocol = "any", cafile = M.cert("rootA"), verify = "peer" }, extra)
end

--- Settings of a client that verifies nothing.
function M.anyclient(extra)
  return merge({ mode = "client", protocol = "any", verify = "none" }, extra)
end

--- Two connected LuaSocket TCP sockets: client end, server end.
function M.tcp()
  local listener = assert(socket.bind("127.0.0.1", 0))
  listener:settimeout(5)
  local _, port = listener:getsockname()
  local client = socket.tcp()
  client:settimeout(5)
  assert(client:connect("127.0.0.1", port))
  local server = assert(listener:accept())
  listener:close()
  client:settimeout(nil)
  -- Small answers would wait 40 ms for the other side's delayed acknowledgement.
  client:setoption("tcp-nodelay", true)
  server:setoption("tcp-nodelay", true)
  return client, server
end

local function wrap(sock, cfg)
  local conn = assert(ssl.wrap(sock, cfg))
  conn:settimeout(0)
  return conn
end

--- Two wrapped, non-blocking connections before their handshake: client, server. Either argument may be a context.
function M.wrapped(clientcfg, servercfg)
  local c, s = M.tcp()
  return wrap(c, clientcfg or M.client()), wrap(s, servercfg or M.server())
end

local function wants(err) return err == "wantread" or err == "wantwrite" end
M.wants = wants

--- Calls f with a LuaSocket object that stands for the descriptor of a connection, which keeps it: for what TLS does
-- not do, such as sending plain text or ending the stream without close_notify.
function M.raw(conn, f)
  local sock, other = M.tcp()
  local holder = socket.tcp()
  holder:setfd(sock:getfd())
  other:close()
  sock:setfd(conn:getfd())
  local ok, err = pcall(f, sock)
  sock:setfd(-1)
  holder:close()
  if not ok then error(err, 0) end
end

--- Ends a connection by a reset, without close_notify.
function M.reset(conn)
  M.raw(conn, function(sock)
    sock:setoption("linger", { on = true, timeout = 0 })
    sock:close()
  end)
  conn:close() -- its descriptor is gone; nothing was opened since
end

--- Calls `step` until it answers true; fails the test after a bounded number of calls and seconds.
function M.poll(step, what)
  local deadline = socket.gettime() + M.MAXSECONDS
  for i = 1, M.MAXSTEPS do
    if step() then return true end
    if i > 50 then socket.sleep(0.0005) end
    if socket.gettime() > deadline then break end
  end
  error("gave up waiting for " .. (what or "a condition"), 2)
end

--- Drives both handshakes until each has ended in success or error.
-- Returns two tables: { ok, err, detail } of the client and of the server.
function M.shake(c, s)
  local function stepper(conn)
    local result
    return function()
      if not result then
        local ok, err, detail = conn:dohandshake()
        if ok or not wants(err) then result = { ok, err, detail } end
      end
      return result
    end
  end
  local cstep, sstep = stepper(c), stepper(s)
  local deadline = socket.gettime() + M.MAXSECONDS
  for i = 1, M.MAXSTEPS do
    local cr, sr = cstep(), sstep()
    if cr and sr then return cr, sr end
    -- A side that failed leaves the other waiting for bytes that only its close would bring.
    if cr and not cr[1] and i > 200 then c:close() end
    if sr and not sr[1] and i > 200 then s:close() end
    if i > 50 then socket.sleep(0.0005) end
    if socket.gettime() > deadline then break end
  end
  error("handshake did not end", 2)
end

local function closeraw(sock, how)
  if how == "rst" then sock:setoption("linger", { on = true, timeout = 0 }) end
  if how == "fin" then sock:shutdown("send") else sock:close() end
end

local relay = {}
relay.__index = relay

-- Moves what there is one way, at most self.limit[way] bytes since the start and self.chunk at a time.
function relay:move(from, to, way)
  local n = math.min(self.chunk, self.limit[way] - self.moved[way])
  if n <= 0 or self.ended[way] then return end
  local data, err, partial = from:receive(n)
  data = data or partial
  if #data > 0 then assert(to:send(data)) end
  self.moved[way] = self.moved[way] + #data
  if err == "closed" then
    self.ended[way] = true
    to:shutdown("send")
  end
end

function relay:pump()
  self:move(self.a, self.b, "up")
  self:move(self.b, self.a, "down")
end

--- Ends both streams: "rst", "fin" (half close, nothing is lost on the way) or "close".
function relay:cut(how)
  self.ended.up, self.ended.down = true, true
  closeraw(self.a, how)
  closeraw(self.b, how)
end

function relay:close()
  self.a:close()
  self.b:close()
end

--- Two wrapped, non-blocking connections whose bytes go through the hands of the test: client, server, relay. The relay
-- has `moved` and `limit` with the fields up (from the client) and down, `chunk`, and the methods pump, cut, close.
function M.relayed(clientcfg, servercfg)
  local c, a = M.tcp()
  local b, s = M.tcp()
  a:settimeout(0)
  b:setoption("tcp-nodelay", true)
  b:settimeout(0)
  local r = setmetatable({ a = a, b = b, chunk = 65536, moved = { up = 0, down = 0 }, ended = {},
    limit = { up = math.huge, down = math.huge } }, relay)
  return wrap(c, clientcfg or M.client()), wrap(s, servercfg or M.server()), r
end

--- A pair with its handshake done: client, server, both non-blocking.
function M.connected(clientcfg, servercfg)
  local c, s = M.wrapped(clientcfg, servercfg)
  local cr, sr = M.shake(c, s)
  if not (cr[1] and sr[1]) then
    error("handshake failed: client " .. tostring(cr[2]) .. ", server " .. tostring(sr[2]), 2)
  end
  return c, s
end

--- Receives with LuaSocket's patterns on a non-blocking connection, bounded; `other` (optional) is stepped by `pump`.
-- Returns what the last receive returned.
function M.receive(conn, pattern, prefix, pump)
  local r
  M.poll(function()
    if pump then pump() end
    r = M.pack(conn:receive(pattern, prefix))
    prefix = r[3]
    return r[1] or not wants(r[2])
  end, "receive")
  return M.unpack(r, 1, r.n)
end

--- Sends all of `data` on a non-blocking connection while `pump` lets the other side read. Returns as send does.
function M.send(conn, data, pump)
  local last = 0
  local n, err, sofar
  M.poll(function()
    if pump then pump() end
    n, err, sofar = conn:send(data, last + 1)
    last = n or sofar
    return n or not wants(err)
  end, "send")
  return n, err, sofar
end

--- Sends `data` from `from` and receives all of it at `to`, non-blocking. Returns the received string.
function M.transfer(from, to, data)
  local chunks, got, sent = {}, 0, 0
  M.poll(function()
    if sent < #data then
      local n, err, last = from:send(data, sent + 1)
      if not n and not wants(err) then error("send: " .. tostring(err)) end
      sent = n or last
    end
    local part, err, partial = to:receive(math.min(65536, #data - got))
    if not part and not wants(err) then error("receive: " .. tostring(err)) end
    part = part or partial
    if #part > 0 then chunks[#chunks + 1] = part end
    got = got + #part
    return got >= #data
  end, "transfer")
  return table.concat(chunks)
end

--- Full collections, enough to run finalizers of objects that finalizers freed.
function M.collect()
  if rawget(_G, "jit") then rawget(_G, "jit").flush() end -- compiled code keeps what it was compiled for alive
  for _ = 1, 3 do collectgarbage() end
end

--- Has the collector begin again at once and do much in a step, and leaves it so; gives the function that undoes it.
function M.greedy()
  local function set(what, value)
    if _VERSION >= "Lua 5.5" then return collectgarbage("param", what, value) end
    return collectgarbage("set" .. what, value)
  end
  local pause, stepmul = set("pause", 1), set("stepmul", 10000)
  return function()
    set("pause", pause)
    set("stepmul", stepmul)
  end
end

--- Resident memory of this process in KiB, or nil where /proc is missing.
function M.rss()
  local f = io.open("/proc/self/status")
  if not f then return nil end
  local text = f:read("*a")
  f:close()
  return tonumber(text:match("VmRSS:%s*(%d+)"))
end

--- The number of open descriptors of this process but pipes (Linux): whether popen's own is counted is a race.
function M.descriptors()
  local p = assert(io.popen("for f in /proc/" .. M.pid() .. "/fd/*; do readlink $f; done | grep -vc ^pipe:"))
  local n = tonumber(p:read("*l"))
  p:close()
  return n
end

function M.pid()
  local f = assert(io.open("/proc/self/stat"))
  local pid = f:read("*l"):match("^(%d+)")
  f:close()
  return pid
end

--- The command of the interpreter that runs this.
function M.interpreter()
  local i = 0
  while arg[i - 1] do i = i - 1 end
  return os.getenv("LUA") or arg[i]
end

--- What a command prints.
function M.run(command)
  local p = assert(io.popen(command))
  local out = p:read("*a")
  p:close()
  return out
end

local function output(command) return (M.run(command):gsub("\r", ""):gsub("\n$", "")) end

--- Runs a chunk in an interpreter of its own; what it prints, without the last newline. `before` goes in front of the
-- command: settings of the environment, or a program that starts others.
function M.fresh(chunk, before)
  local path = M.tmpfile(chunk)
  local out = output(("%s timeout 60 %s - <%s 2>&1"):format(before or "", M.interpreter(), path))
  os.remove(path)
  return out
end

local growth = [[
local S = require "support"
local once = (function() %s
end)()
local function run(first, last)
  for i = first, last do once(i) end
  S.collect()
  return S.rss()
end
local before = run(1, %d)
local after = run(%d, %d)
local watched = os.getenv("ASAN_OPTIONS") or (os.getenv("LD_PRELOAD") or ""):find("vgpreload")
print("grown", before and not watched and after - before or 0)
]]

--- By how many KiB a process of its own grows while it does the same again and again. `chunk` answers the function that
-- does it, which is given the number of the call: it is called `first` times, and then, while memory is looked at,
-- `more` times. 0 where memory cannot be measured, and under a tool that keeps freed blocks (and tells of leaks
-- itself).
function M.growth(chunk, first, more)
  local out = M.fresh(growth:format(chunk, first, first + 1, first + more))
  return tonumber(out:match("^grown%s+(-?%d+)$")) or error(out, 2)
end

--- Starts a chunk in an interpreter of its own that runs beside this one, for a minute at most; `...` are its
-- arguments. Returns a function that waits for its end and answers what it printed.
function M.beside(chunk, ...)
  local path = M.tmpfile(chunk)
  local command = { "timeout 60", M.interpreter(), path }
  for i = 1, select("#", ...) do command[#command + 1] = "'" .. tostring((select(i, ...))) .. "'" end
  local p = assert(io.popen(table.concat(command, " ") .. " 2>&1"))
  return function()
    local out = p:read("*a")
    p:close()
    os.remove(path)
    return out
  end
end

--- The same on a terminal of its own, for what must not ask there. Ends after a few seconds.
-- `pending` is the spec's, for a machine without terminals.
function M.terminal(pending, chunk)
  local path = M.tmpfile(chunk)
  local out = output(("script -qec 'timeout -k 1 10 %s %s' /dev/null </dev/null 2>&1"):format(M.interpreter(), path))
  os.remove(path)
  if out:find("^script: failed to create pseudo%-terminal") then pending("this machine has no pseudo-terminals") end
  return out
end

--- Calls f, which must raise an error whose text has `text` in it.
function M.raises(text, f, ...)
  local ok, err = pcall(f, ...)
  if ok then error("no error was raised, expected: " .. text, 2) end
  if not tostring(err):find(text, 1, true) then error("raised " .. tostring(err) .. ", expected: " .. text, 2) end
end

--- Closes an object as __close and __gc do.
function M.finalize(object) getmetatable(object).__gc(object) end

local ends = {}

--- Has f called at the end of the test, however it ends, after what was asked for later. `finally` is the spec's, of
-- which busted keeps a test's last only: a helper that calls it would undo what another has asked for.
function M.atend(finally, f)
  ends[#ends + 1] = f
  finally(function()
    local list = ends
    ends = {}
    for i = #list, 1, -1 do list[i]() end
  end)
end

--- Garbage whose finalizer calls f.
function M.litter(f)
  if newproxy then -- luacheck: ignore 113
    getmetatable(newproxy(true)).__gc = f -- luacheck: ignore 113
  else
    setmetatable({}, { __gc = f })
  end
end

--- A temporary file with this content; its path. The caller removes it.
function M.tmpfile(content)
  local path = os.tmpname()
  local f = assert(io.open(path, "wb"))
  f:write(content)
  f:close()
  return path
end

--- Handshakes a pair and closes it; the results of client and server as shake gives them.
function M.try(clientcfg, servercfg)
  local c, s = M.wrapped(clientcfg, servercfg)
  local cr, sr = M.shake(c, s)
  c:close()
  s:close()
  return cr, sr
end

--- Settings of a server that shows the certificate `name` of the test PKI.
function M.showing(name)
  return M.server { certificate = M.cert(name), key = M.cert((name == "chainA-leaf" and "chainA" or name) .. "key") }
end

--- Handshakes a client with such a server ("serverA"): true or false, message, detail, the client's verification.
function M.meet(clientcfg, name)
  local c, s = M.wrapped(clientcfg, M.showing(name or "serverA"))
  local cr = M.shake(c, s)
  local _, why = c:getpeerverification()
  c:close()
  s:close()
  return cr[1], cr[2], cr[3], why
end

--- A self-signed certificate and its key, as PEM text, by `openssl req` with these arguments.
function M.selfsigned(arguments)
  local cert, key = os.tmpname(), os.tmpname()
  local said = output(("openssl req -x509 -nodes -days 2 -subj /CN=localhost -keyout %s -out %s %s 2>&1")
    :format(key, cert, arguments))
  local pem, keypem = M.read(cert), M.read(key)
  os.remove(cert)
  os.remove(key)
  if pem == "" then error(said, 2) end
  return pem, keypem
end

--- A function(n) that answers 1 to n from a sequence of its own, so that a seed means the same on every Lua.
function M.random(seed)
  local state = seed
  return function(n)
    state = (state * 16807) % 2147483647
    return state % n + 1
  end
end

M.unpack = table.unpack or unpack -- luacheck: ignore
M.pack = table.pack or function(...) return { n = select("#", ...), ... } end

return M
