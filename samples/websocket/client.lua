-- Says something over a WebSocket and prints what comes back.
--   lua samples/websocket/client.lua [CAFILE [PORT [TEXT [HOST]]]]

package.path = arg[0]:gsub("[^/]*$", "?.lua;") .. package.path
local frames = require "frames"
local mime = require "mime"
local ssl = require "ssl"

local cafile, port, text = arg[1] or "build/certs/rootA.pem", arg[2] or 6443, arg[3] or "hello"
local host = arg[4] or "localhost"

local function fail(why)
  print("failed: " .. tostring(why))
  os.exit(1)
end

local conn, message = ssl.connect(host, port, {
  protocol = "tlsv1_2+", verify = "peer", cafile = cafile, alpn = "http/1.1", timeout = 10, maxreceive = 8192,
})
if not conn then fail(message) end
conn:settimeout(10)

local key = mime.b64(frames.random(16))
assert(conn:send(("GET / HTTP/1.1\r\nHost: %s:%s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" ..
  "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n"):format(host, port, key)))
local status = assert(conn:receive("*l"))
if not status:find("^HTTP/1%.1 101") then fail(status) end
local accepted
for _ = 1, 100 do
  local line = assert(conn:receive("*l"))
  if line == "" then break end
  local name, value = line:match("^([%w-]+):%s*(.-)%s*$")
  if name and name:lower() == "sec-websocket-accept" then accepted = value end
end
if accepted ~= frames.accept(key) then fail("the server did not read the request") end

assert(frames.send(conn, frames.TEXT, text, frames.random(4)))
local kind, data = frames.receive(conn)
if kind ~= frames.TEXT then fail(data) end
print(data)
frames.send(conn, frames.CLOSE, "\3\232", frames.random(4)) -- 1000: all is well
frames.receive(conn)
conn:close()
