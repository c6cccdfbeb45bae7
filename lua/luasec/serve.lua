--- `luasec serve`: the files of a directory by HTTPS, for trying clients. GET and HEAD, one request a connection, a
-- coroutine for each. It is no server for the public: nothing here knows of ranges, caches or logs.
-- @module luasec.serve

local socket = require "socket"
local ssl = require "ssl"
local uri = require "ssl.address"
local output = require "luasec.output"

local M = {}

M.options = {
  { name = "--dir", value = "DIRECTORY", text = "what to serve (.)" },
  { name = "--port", value = "PORT", text = "0: any (4433)" },
  { name = "--bind", value = "ADDRESS", text = "127.0.0.1" },
  { name = "--cert", value = "FILE", text = "certificate and chain in PEM; without it one is made for localhost" },
  { name = "--key", value = "FILE", text = "its key" },
  { name = "--save", value = "FILE", text = "write the certificate that was made, for a client's --ca" },
  { name = "--alpn", value = "LIST", text = "protocols to agree to, with commas (http/1.1)" },
  { name = "--ca", value = "FILE", text = "ask clients for certificates of the CAs in FILE" },
  { name = "--requests", value = "NUMBER", text = "end after so many connections" },
}

local MOST = 200 -- connections at once: select has a limit
local PATIENCE = 30 -- seconds for a request and its answer
local MOST_LINES, MOST_BYTES = 100, 8192

local types = {
  html = "text/html; charset=utf-8", txt = "text/plain; charset=utf-8", css = "text/css", js = "text/javascript",
  json = "application/json", svg = "image/svg+xml", png = "image/png", jpg = "image/jpeg", md = "text/markdown",
}

-- ---- one connection: in a coroutine, which yields the direction that it waits for

local waits = { wantread = "read", wantwrite = "write" }

-- Calls a method until it is done.
local function finish(conn, method, ...)
  while true do
    local result, message = conn[method](conn, ...)
    if result then return result end
    if not waits[message] then return nil, message end
    coroutine.yield(waits[message])
  end
end

local function receiveline(conn)
  local line, message, partial
  repeat
    line, message, partial = conn:receive("*l", partial)
    if not line and not waits[message] then return nil, message end
    if not line then coroutine.yield(waits[message]) end
  until line
  return line
end

local function sendall(conn, data)
  local last = 0
  repeat
    local sent, message, partial = conn:send(data, last + 1)
    last = sent or partial
    if not sent and not waits[message] then return nil, message end
    if not sent then coroutine.yield(waits[message]) end
  until sent
  return true
end

local function sendfile(conn, file, size)
  local at = 0
  while at < size do
    local sent, message, partial = conn:sendfile(file, at, size - at)
    at = at + (sent or partial)
    if not sent and not waits[message] then return nil, message end
    if sent == 0 then return nil, "the file became shorter" end
    if not sent then coroutine.yield(waits[message]) end
  end
  return true
end

-- ---- files

--- The path below the directory that a request's target means; nil for what is not to be shown: anything that leads
-- upwards, hidden names, names with a NUL.
function M.path(target)
  local path = target:match("^[^?#]*"):gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
  if path:sub(1, 1) ~= "/" or path:find("[%z\\]") then return nil end
  for part in path:gmatch("[^/]+") do
    if part:sub(1, 1) == "." then return nil end
  end
  if path:sub(-1) == "/" then path = path .. "index.html" end
  return path
end

-- The file and its size; or nil and the status to answer.
local function open(dir, target)
  local path = M.path(target)
  local file = path and io.open(dir .. path, "rb")
  if not file then return nil, "404 Not Found" end
  local _, message = file:read(1) -- a directory can be opened, and not read
  if message then
    file:close()
    return nil, target:find("/$") and "404 Not Found" or "301 Moved Permanently"
  end
  return file, file:seek("end"), types[path:match("%.(%w+)$") or ""] or "application/octet-stream"
end

local function head(status, lines)
  return ("HTTP/1.1 %s\r\nServer: luasec\r\nConnection: close\r\n%s\r\n"):format(status, table.concat(lines))
end

local function plain(conn, status, lines)
  lines[#lines + 1] = ("Content-Length: %d\r\nContent-Type: text/plain\r\n"):format(#status + 1)
  return sendall(conn, head(status, lines) .. status .. "\n")
end

local function answer(conn, dir, method, target)
  if method ~= "GET" and method ~= "HEAD" then
    return "405 Method Not Allowed", plain(conn, "405 Method Not Allowed", { "Allow: GET, HEAD\r\n" })
  end
  local file, size, kind = open(dir, target)
  if not file then
    local lines = {}
    if size:find("^301") then lines[1] = ("Location: %s/\r\n"):format((target:match("^[^?#]*"):gsub("^/+", "/"))) end
    return size, plain(conn, size, lines)
  end
  local lines = { ("Content-Length: %.0f\r\nContent-Type: %s\r\n"):format(size, kind) }
  local ok, message = sendall(conn, head("200 OK", lines))
  if ok and method == "GET" then ok, message = sendfile(conn, file, size) end
  file:close()
  return "200 OK", ok, message
end

-- Request line and head: the method and the target; false for what is none, nil when nothing came.
local function request(conn)
  local first, message = receiveline(conn)
  if not first then return message ~= "closed" and false or nil end
  for _ = 1, MOST_LINES do
    local line = receiveline(conn)
    if not line then break end
    if line == "" then
      local method, target = first:match("^(%u+) (%S+) HTTP/1%.%d$")
      return method or false, target
    end
  end
  return false
end

local function serve(conn, dir, log)
  local ok, message = finish(conn, "dohandshake")
  if not ok then return log("handshake failed: " .. message) end
  local method, target = request(conn)
  if method == nil then
    log("no request")
  elseif not method then
    log("400 Bad Request")
    plain(conn, "400 Bad Request", {})
  else
    local status
    status, ok, message = answer(conn, dir, method, target)
    log(("%s %s %s%s"):format(status, method, target, ok and "" or ": " .. tostring(message)))
  end
  finish(conn, "shutdown", "send")
end

-- ---- all of them

local Server = {}
Server.__index = Server

function Server:drop(task)
  task.conn:close()
  self.tasks[task.conn] = nil
  self.count = self.count - 1
end

function Server:resume(task)
  local ok, waitsfor = coroutine.resume(task.co)
  if not ok then self.log("error: " .. tostring(waitsfor)) end
  if not ok or coroutine.status(task.co) == "dead" then return self:drop(task) end
  task.waits = waitsfor
end

function Server:accept()
  local sock = self.listener:accept()
  if not sock then return end
  local peer = sock:getpeername() or "?"
  local conn, message = ssl.wrap(sock, self.context)
  if not conn then
    sock:close()
    return self.log(message)
  end
  conn:settimeout(0)
  local function log(text) self.log(peer .. " " .. text) end
  local task = { conn = conn, deadline = socket.gettime() + PATIENCE,
    co = coroutine.create(function() return serve(conn, self.dir, log) end) }
  self.tasks[conn], self.count, self.accepted = task, self.count + 1, self.accepted + 1
  self:resume(task)
end

-- One round: who is ready goes on, who has taken too long is closed.
function Server:step()
  local reading, writing, now = {}, {}, socket.gettime()
  for conn, task in pairs(self.tasks) do
    if now > task.deadline then
      self:drop(task)
    else
      table.insert(task.waits == "write" and writing or reading, conn)
    end
  end
  if self.count < MOST and self.accepted < self.most then reading[#reading + 1] = self.listener end
  local readable, writable = socket.select(reading, writing, 1)
  for _, list in ipairs { readable, writable } do
    for _, one in ipairs(list) do
      if one == self.listener then self:accept() elseif self.tasks[one] then self:resume(self.tasks[one]) end
    end
  end
end

local function own(given)
  local cert, key, detail = ssl.selfsigned { names = { "localhost", "127.0.0.1" }, days = 30 }
  if not cert then return nil, key, detail end
  if given.save then
    local f, message = io.open(given.save, "wb")
    if not f then return nil, message end
    f:write(cert)
    f:close()
  end
  return cert, key
end

--- Makes a server that listens.
-- @tparam table given options
-- @tparam function log(text)
-- @treturn[1] table its method step does one round, its field port is where it listens
-- @treturn[2] nil
-- @treturn[2] string what is wrong
function M.new(given, log)
  if (given.cert == nil) ~= (given.key == nil) then return nil, "--cert and --key belong together" end
  local there, why = io.open((given.dir or ".") .. "/.", "rb")
  if not there then return nil, "cannot serve the directory " .. why:gsub("/%.: ", ": ", 1) end
  there:close()
  local cert, key = given.cert, given.key
  if not cert then cert, key = own(given) end
  if not cert then return nil, key end
  local alpn = {}
  for word in (given.alpn or "http/1.1"):gmatch("[^,]+") do alpn[#alpn + 1] = word end
  local context, message = ssl.newcontext {
    mode = "server", protocol = "tlsv1_2+", certificate = cert, key = key, alpn = alpn, maxreceive = MOST_BYTES,
    cafile = given.ca, verify = given.ca and { "peer", "fail_if_no_peer_cert" } or "none",
  }
  if not context then return nil, message end
  local listener
  local address, wanted = given.bind or "127.0.0.1", given.port or 4433
  listener, message = socket.bind(address, wanted)
  if not listener then
    return nil, ("cannot listen at %s, port %d: %s; --port 0 takes any that is free"):format(address, wanted, message)
  end
  listener:settimeout(0)
  local _, port = listener:getsockname()
  return setmetatable({ listener = listener, context = context, dir = given.dir or ".", port = tonumber(port),
    log = log, tasks = {}, count = 0, accepted = 0, most = given.requests or math.huge }, Server)
end

--- Runs the command; answers its exit status.
function M.run(given)
  io.stdout:setvbuf("line")
  local server, message = M.new(given, function(text) io.stdout:write(output.safe(text), "\n") end)
  if not server then
    io.stderr:write("luasec: ", output.safe(message), "\n")
    return 1
  end
  local place = uri.hostport(given.bind or "localhost", server.port)
  io.stdout:write(("serving %s at https://%s/\n"):format(server.dir, place))
  repeat server:step() until server.accepted >= server.most and server.count == 0
  return 0
end

return M
