-- A page over HTTPS through an HTTP proxy, which sees the host's name and no more: TLS goes through it, verified.
--   lua samples/https-proxy/client.lua URL PROXY [CAFILE]

local https = require "ssl.https"

if not arg[2] then
  print("usage: lua samples/https-proxy/client.lua URL http://[USER:PASSWORD@]HOST:PORT [CAFILE]")
  os.exit(2)
end

local page = {}
local ok, code, _, status = https.request {
  url = arg[1], proxy = arg[2], cafile = arg[3], -- without cafile the system's authorities
  timeout = 10,
  sink = function(chunk)
    page[#page + 1] = chunk
    return 1
  end,
}
if not ok then
  print("failed: " .. tostring(code))
  os.exit(1)
end
print(status)
io.write(table.concat(page))
os.exit(code == 200 and 0 or 1)
