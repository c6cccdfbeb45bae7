-- A client that remembers its session from one run to the next: the second time the handshake costs half.
--   lua samples/resume/client.lua build/certs PORT FILE

local socket = require "socket"
local ssl = require "ssl"

local certs, port, path = arg[1], arg[2], arg[3]

-- Whoever reads the file can read what a resumed connection says: it is for this user alone.
local function save(session)
  local file = assert(io.popen("umask 077 && cat >'" .. path .. "'", "w"))
  file:write(session:export())
  file:close()
end

local function load()
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read("*a")
  file:close()
  os.remove(path) -- TLS 1.3 has one use for each
  return ssl.loadsession(text)
end

local conn = assert(ssl.wrap(assert(socket.connect("127.0.0.1", port)), {
  mode = "client", protocol = "tlsv1_2+", verify = "peer", cafile = certs .. "/rootA.pem", servername = "localhost",
}))
conn:settimeout(10, "t")
local session = load()
if session then
  local ok, message = conn:setsession(session) -- nil where this connection verifies in another way
  if not ok then print("not offered: " .. message) end
end
assert(conn:dohandshake()) -- a full one where the server refuses the session
conn:send("hello\n")
print("server: " .. assert(conn:receive("*l")))
print(conn:sessionreused() and "resumed" or "full handshake")

local new = conn:getsession() -- after the first data: TLS 1.3 sends it then
if new then save(new) end
conn:close()

-- Within one process nothing of this is needed: sessions = true in the settings does it.
