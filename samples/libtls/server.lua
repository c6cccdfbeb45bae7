-- An HTTPS server written for lua-libtls. Prints its port, answers COUNT requests.
--   lua samples/libtls/server.lua build/certs COUNT

local socket = require "socket"
local tls = require "libtls"
local config = require "libtls.config"

local certs, count = arg[1], tonumber(arg[2])
local cfg = assert(config.new())
assert(cfg:set_keypair_file(certs .. "/serverA.pem", certs .. "/serverAkey.pem"))
assert(cfg:set_alpn("http/1.1"))
local server = assert(tls.server(cfg))

-- Whatever a call wants the socket to be ready for; false after 10 seconds.
local function wait(sock, want)
  local reads, writes = { sock }, nil
  if want == tls.WANT_POLLOUT then reads, writes = nil, { sock } end
  return select(3, socket.select(reads, writes, 10)) == nil
end

local function request(sock, ctx)
  local text = ""
  repeat
    local part, err, again, want = ctx:read()
    if not part and not (again and wait(sock, want)) then return nil, err end
    text = text .. (part or "")
  until text:find("\r\n\r\n", 1, true)
  return text
end

local function answer(sock, ctx, text)
  repeat
    local n, err, _, want = ctx:write(text)
    if not n then return nil, err end
    text = text:sub(n + 1)
  until text == "" or not wait(sock, want)
end

local listener = assert(socket.bind("127.0.0.1", 0))
listener:settimeout(30)
io.stdout:setvbuf("line")
print((select(2, listener:getsockname())))
for _ = 1, count do
  local sock = assert(listener:accept())
  local ctx = assert(server:accept_socket(sock:getfd()))
  local text, err = request(sock, ctx)
  if text then
    local body = ("%s by %s\n"):format(text:match("^%u+ (%S+)"), ctx:conn_version())
    answer(sock, ctx, ("HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"):format(#body, body))
  end
  print(text and "answered" or "failed: " .. tostring(err))
  ctx:close()
  sock:close()
end
