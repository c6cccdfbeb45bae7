-- Asks the servers of token_server.lua, whose key is in a token, and says what came of it. This process knows nothing
-- of the token.

local ssl = require "ssl"
local t = require "realtest"

-- Starts a server with this password; the first line it prints, and its output.
local function server(password)
  local child = assert(io.popen(("OPENSSL_CONF=%s/openssl.cnf lua5.4 test/real/token_server.lua %s 2>&1"):format(
    os.getenv("TOKEN"), password)))
  return child:read("*l"), child
end

local function visit(password)
  local port, child = server(password)
  if not tonumber(port) then return nil, port .. child:read("*a") end
  local conn, message = ssl.connect("127.0.0.1", port, { verify = "peer", cafile = os.getenv("CERTS") .. "/rootA.pem",
    servername = "localhost", protocol = "tlsv1_3", timeout = 10 })
  local line = conn and conn:receive("*l")
  if conn then conn:close() end
  local said = child:read("*a")
  child:close()
  return line, message, said
end

t.proof()
for _, password in ipairs { "secret", "function" } do
  local line, message, said = visit(password)
  t.check("a server signs with its key, password given as " .. (password == "secret" and "string" or password),
    line == "hello", ("client: %s, server: %s"):format(message, said))
end

local line, _, said = visit("wrong")
t.check("a wrong password serves nobody", line == nil, line)
t.check("and the server says that it cannot sign", said and said:find("cannot sign", 1, true), said)

local _, message = visit("")
t.equal("no password is missed in words, and never asked for on a terminal", message,
  "error loading private key (the key is encrypted and no password was given)")
t.done()
