-- A device that knows the server by a key that both have.
--   lua samples/psk/client.lua [PORT [IDENTITY [KEY in hexadecimal digits]]]

local socket = require "socket"
local ssl = require "ssl"

local port, identity, hex = arg[1] or 6443, arg[2] or "lamp", arg[3] or ("4f"):rep(32)
local key = hex:gsub("%x%x", function(digits) return string.char(tonumber(digits, 16)) end)

-- With a fixed key no certificate counts, whoever shows one: a server that does not know the key is refused.
local context = assert(ssl.newcontext {
  mode = "client", protocol = "tlsv1_2+", psk = { identity = identity, key = key },
})
local sock = assert(socket.connect("127.0.0.1", port))
local conn = assert(ssl.wrap(sock, context))
conn:settimeout(10)
local ok, message, detail = conn:dohandshake()
if not ok then
  print("refused: " .. message .. (detail.alert and " (alert " .. detail.alert .. ")" or ""))
  os.exit(1)
end
print((assert(conn:receive("*l"))))
print(("%s, %s"):format(conn:info("protocol"), conn:info("cipher")))
conn:close()
