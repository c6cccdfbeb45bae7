-- Takes only clients with a certificate of its CA's, and knows each of them by it. Prints its port.
--   lua samples/mutual/server.lua [CERTS [PORT [COUNT]]]

local socket = require "socket"
local ssl = require "ssl"

local certs, port, count = arg[1] or "build/certs", tonumber(arg[2] or 6443), tonumber(arg[3]) or math.huge
local context = assert(ssl.newcontext {
  mode = "server", protocol = "tlsv1_2+", certificate = certs .. "/serverA.pem", key = certs .. "/serverAkey.pem",
  verify = { "peer", "fail_if_no_peer_cert" }, -- "peer" alone lets clients without a certificate in, too
  cafile = certs .. "/rootA.pem",              -- never the public authorities: they sign for anybody
})

-- What the certificate says of its owner.
local function owner(cert)
  for _, field in ipairs(cert:subject()) do
    if field.name == "commonName" then return field.value end
  end
  return "somebody without a name"
end

local listener = assert(socket.bind("127.0.0.1", port))
io.stdout:setvbuf("line")
print((select(2, listener:getsockname())))
while count > 0 do
  local conn = assert(ssl.wrap(assert(listener:accept()), context))
  conn:settimeout(10)
  local ok, message, detail = conn:dohandshake()
  if ok then
    local who = owner(conn:getpeercertificate())
    ok, message = conn:send("welcome, " .. who .. "\n")
    print(ok and who or message)
  else
    print("refused: " .. message .. (detail.reason and " (" .. detail.reason .. ")" or ""))
  end
  conn:close()
  count = count - 1
end
