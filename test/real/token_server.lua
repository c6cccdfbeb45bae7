-- A server whose key is in the token; OPENSSL_CONF names the token's provider. Prints its port, or why the key was not
-- loaded; then answers one connection with "hello", or prints why the handshake failed.
-- lua token_server.lua [PASSWORD | function]

local socket = require "socket"
local ssl = require "ssl"

local password = arg[1]
if password == "function" then password = function() return "secret" end end

local listener = assert(socket.bind("127.0.0.1", 0))
listener:settimeout(20)
local context, message = ssl.newcontext { mode = "server", protocol = "any", key = os.getenv("TOKEN_KEY"),
  password = password, certificate = os.getenv("TOKEN") .. "/token.pem" }
io.stdout:setvbuf("line")
if not context then
  print(message)
  os.exit(1)
end
print((select(2, listener:getsockname())))
local conn = assert(ssl.wrap(assert(listener:accept()), context))
conn:settimeout(10)
local ok, why = conn:dohandshake()
print(ok and "served" or why)
if ok then conn:send("hello\n") end
conn:close()
