-- A blocking HTTPS server for specs whose client blocks: prints its port, then serves `count` connections in the way
-- that the request path asks for, and ends. It gives up when nobody comes.
-- lua test/peer/https_server.lua COUNT [CERTNAME]

local socket = require "socket"
local S = require "support"

local count, name = tonumber(arg[1]), arg[2] or "serverA"
local context = assert(S.ssl.newcontext(S.server {
  certificate = S.cert(name), key = S.cert(name .. "key"),
  verify = "peer", cafile = S.cert("rootA") }))

local function reply(conn, status, headers, body)
  local lines = { "HTTP/1.1 " .. status, "Connection: close" }
  for _, h in ipairs(headers) do lines[#lines + 1] = h end
  conn:send(table.concat(lines, "\r\n") .. "\r\n\r\n" .. body)
end

local function length(body) return { "Content-Length: " .. #body } end

local paths = {
  ["/"] = function(conn) reply(conn, "200 OK", length("hello"), "hello") end,
  ["/sni"] = function(conn)
    local sni = tostring(conn:getsniname())
    reply(conn, "200 OK", length(sni), sni)
  end,
  ["/echo"] = function(conn, headers)
    local body = assert(conn:receive(tonumber(headers["content-length"])))
    body = headers["content-type"] .. ":" .. body
    reply(conn, "200 OK", length(body), body)
  end,
  ["/chunked"] = function(conn)
    reply(conn, "200 OK", { "Transfer-Encoding: chunked" }, "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
  end,
  ["/big"] = function(conn)
    local body = ("0123456789abcdef"):rep(65536)
    reply(conn, "200 OK", length(body), body)
  end,
  ["/untilclosed"] = function(conn) reply(conn, "200 OK", {}, "all of it") end,
  ["/redirect"] = function(conn, headers)
    reply(conn, "302 Found", { "Location: https://" .. headers.host .. "/", "Content-Length: 0" }, "")
  end,
  ["/tohttp"] = function(conn)
    reply(conn, "302 Found", { "Location: http://127.0.0.1:1/", "Content-Length: 0" }, "")
  end,
  ["/redirects"] = function(conn, headers)
    reply(conn, "302 Found", { "Location: https://" .. headers.host .. "/redirect", "Content-Length: 0" }, "")
  end,
  ["/tolocalhost"] = function(conn, headers)
    local port = headers.host:match("%d+$")
    reply(conn, "302 Found", { "Location: https://localhost:" .. port .. "/whoami", "Content-Length: 0" }, "")
  end,
  ["/whoami"] = function(conn)
    local who = conn:getpeercertificate() and "client" or "nobody"
    reply(conn, "200 OK", length(who), who)
  end,
  ["/silent"] = function(conn) conn:receive("*l") end,
}

local function serve(conn)
  local line = conn:receive("*l")
  local path = line and line:match("^%u+ (%S+)")
  local headers = {}
  repeat
    line = conn:receive("*l")
    local key, value = (line or ""):match("^(%S-):%s*(.*)$")
    if key then headers[key:lower()] = value end
  until not line or line == ""
  if path then (paths[path] or paths["/"])(conn, headers) end
end

local listener = assert(socket.bind("127.0.0.1", 0))
listener:settimeout(20)
io.stdout:setvbuf("line")
print((select(2, listener:getsockname())))
for _ = 1, count do
  local client = listener:accept()
  if not client then break end
  local conn = assert(S.ssl.wrap(client, context))
  conn:settimeout(5)
  local ok, message = conn:dohandshake()
  if ok then serve(conn) end
  conn:close()
  print(ok and "served" or message)
end
