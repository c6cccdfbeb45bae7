-- Two names with settings of their own behind one port; others are refused. Prints its port.
--   lua samples/sni/server.lua [CERTS [PORT [COUNT]]]

local socket = require "socket"
local ssl = require "ssl"

local certs, port, count = arg[1] or "build/certs", tonumber(arg[2] or 6443), tonumber(arg[3]) or math.huge

local function site(name, more)
  local cfg = { mode = "server", protocol = "tlsv1_2+",
    certificate = certs .. "/" .. name .. ".pem", key = certs .. "/" .. name .. "key.pem" }
  for key, value in pairs(more or {}) do cfg[key] = value end
  return assert(ssl.newcontext(cfg))
end

local context = site("serverA", {
  sni = {
    ["server.test"] = site "serverA",
    ["*.wild.test"] = site("wildcard", { protocol = "tlsv1_3" }), -- one label, as in certificates
  },
  snistrict = true, -- without it clients of other names get the first context
})

local listener = assert(socket.bind("127.0.0.1", port))
io.stdout:setvbuf("line")
print((select(2, listener:getsockname())))
while count > 0 do
  local conn = assert(ssl.wrap(assert(listener:accept()), context))
  conn:settimeout(10)
  local ok, message = conn:dohandshake()
  if ok then ok, message = conn:send("this is " .. conn:getsniname() .. "\n") end
  print(ok and conn:getsniname() or message)
  conn:close()
  count = count - 1
end
