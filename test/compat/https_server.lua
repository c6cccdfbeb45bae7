-- The HTTPS server of https_spec.lua, a process of its own because ssl.https blocks. Started with the names of a
-- certificate in the test PKI; prints its port, then answers one request a connection until somebody connects to the
-- second port it prints, or until 30 seconds pass without a connection. Uses LuaSec's API only.

local socket = require "socket"
local support = require "support"

local name = arg[1] or "serverA"
local ctx = assert(support.ssl.newcontext(support.server {
  certificate = support.cert(name), key = support.cert(name .. "key") }))

local function listen()
  local s = assert(socket.bind("127.0.0.1", 0))
  s:settimeout(0)
  return s, select(2, s:getsockname())
end

local listener, port = listen()
local control, controlport = listen()
io.stdout:write(port, " ", controlport, "\n")
io.stdout:flush()

local function reply(conn, status, headers, body)
  local head = { "HTTP/1.1 " .. status, "Connection: close" }
  for _, h in ipairs(headers) do head[#head + 1] = h end
  conn:send(table.concat(head, "\r\n") .. "\r\n\r\n" .. (body or ""))
end

local function plain(conn, body) reply(conn, "200 OK", { "Content-Length: " .. #body }, body) end

local pages = {}

pages["/hello"] = function(conn) plain(conn, "hello") end
pages["/sni"] = function(conn) plain(conn, tostring(conn:getsniname())) end
pages["/big"] = function(conn) plain(conn, ("0123456789"):rep(100000)) end
pages["/missing"] = function(conn) reply(conn, "404 Not Found", { "Content-Length: 4" }, "none") end
pages["/untilclose"] = function(conn) reply(conn, "200 OK", {}, "all of it") end
pages["/redirect"] = function(conn)
  reply(conn, "302 Found", { ("Location: https://localhost:%d/hello"):format(port), "Content-Length: 0" })
end
pages["/chunked"] = function(conn)
  reply(conn, "200 OK", { "Transfer-Encoding: chunked" }, "5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n")
end
pages["/echo"] = function(conn, request)
  plain(conn, ("%s %s %s"):format(request.method, tostring(request["content-type"]), request.body))
end
pages["/silent"] = function(conn)
  conn:settimeout(5)
  conn:receive(1)
end

local function read(conn)
  local line = conn:receive()
  if not line then return nil end
  local request = { method = line:match("^(%S+)"), path = line:match("^%S+ (%S+)"), body = "" }
  line = conn:receive()
  while line and line ~= "" do
    local key, value = line:match("^(.-):%s*(.*)$")
    request[key:lower()] = value
    line = conn:receive()
  end
  local length = tonumber(request["content-length"])
  if length then request.body = conn:receive(length) end
  return request
end

local function serve(tcp)
  local conn = assert(support.ssl.wrap(tcp, ctx))
  conn:settimeout(5)
  if not conn:dohandshake() then return conn:close() end
  local request = read(conn)
  if request then (pages[request.path] or pages["/missing"])(conn, request) end
  conn:close()
end

for _ = 1, 1000 do
  local ready = socket.select({ listener, control }, nil, 30)
  if #ready == 0 or ready[control] then break end
  local tcp = listener:accept()
  if tcp then
    tcp:settimeout(5)
    serve(tcp)
  end
end
