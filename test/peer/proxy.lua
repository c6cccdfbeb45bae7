-- An HTTP proxy that tunnels: prints its port, then serves `count` connections one after the other, and prints the
-- head of each request as one escaped line. With CREDENTIALS (user:password, or "") it wants those; with CERTNAME it
-- speaks TLS. Whatever host is asked for, it connects to 127.0.0.1, so that names which nobody can look up work.
-- lua test/peer/proxy.lua COUNT [CREDENTIALS [CERTNAME]]

local socket = require "socket"
local mime = require "mime"

local count, credentials, cert = tonumber(arg[1]), arg[2] ~= "" and arg[2], arg[3]

local context
if cert then
  local S = require "support"
  context = assert(S.ssl.newcontext(S.server { certificate = S.cert(cert), key = S.cert(cert .. "key"),
    verify = "peer", cafile = S.cert("rootA") }))
end

local function escape(text)
  return (text:gsub("[^%w%-./:*=%[%]]", function(c) return ("%%%02X"):format(c:byte()) end))
end

local function head(client)
  local lines = {}
  repeat
    local line = client:receive("*l")
    if not line then return nil end
    lines[#lines + 1] = line
  until line == ""
  return table.concat(lines, "\n")
end

-- Moves what has come; false when the stream has ended.
local function move(from, to)
  local data, message, partial = from:receive(8192)
  data = data or partial
  if #data > 0 and not to:send(data) then return false end
  return not message or message == "timeout" or message == "wantread"
end

local function relay(a, b)
  a:settimeout(0)
  b:settimeout(0)
  local deadline = socket.gettime() + 20
  while socket.gettime() < deadline do
    for _, ready in ipairs((socket.select({ a, b }, nil, 1))) do
      local other = ready == a and b or a
      other:settimeout(5)
      local alive = move(ready, other)
      other:settimeout(0)
      if not alive then return end
    end
  end
end

local function serve(client)
  local request = head(client)
  local tls = context and ("sni=%s client=%s "):format(tostring(client:getsniname()),
    tostring(client:getpeercertificate() ~= nil)) or ""
  print(escape(tls .. (request or "nothing")))
  if not request then return end
  local port = request:match("^CONNECT %S+:(%d+) HTTP/1.1\n")
  if not port then return client:send("HTTP/1.1 405 Method Not Allowed\r\n\r\n") end
  local sent = request:match("\nProxy%-Authorization: Basic (%S+)")
  if credentials and sent ~= mime.b64(credentials) then
    return client:send("HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n")
  end
  local server = socket.tcp()
  if not server:connect("127.0.0.1", tonumber(port)) then return client:send("HTTP/1.1 502 Bad Gateway\r\n\r\n") end
  client:send("HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")
  relay(client, server)
  server:close()
end

local listener = assert(socket.bind("127.0.0.1", 0))
listener:settimeout(20)
io.stdout:setvbuf("line")
print((select(2, listener:getsockname())))
for _ = 1, count do
  local client = listener:accept()
  if not client then break end
  client:settimeout(10)
  client:setoption("tcp-nodelay", true)
  local ok, message = true, nil
  if context then
    client = assert(require("ssl").wrap(client, context))
    client:settimeout(10)
    ok, message = client:dohandshake()
  end
  if ok then serve(client) else print(message) end
  client:close()
end
