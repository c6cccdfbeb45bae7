-- A client that insists on a stapled OCSP response: it talks to no server whose CA does not say, today, that its
-- certificate is still good.
-- lua samples/ocsp-staple/client.lua HOST PORT CAFILE

local ssl = require "ssl"

local conn, message, detail = ssl.connect(arg[1], arg[2], {
  protocol = "tlsv1_2+", verify = "peer", cafile = arg[3], ocsp = "require", timeout = 10,
})
if not conn then
  print("refused: " .. message)
  print("reason: " .. (detail.reason or "none"))
  os.exit(1)
end

local answer = conn:getocsp()
print("status: " .. answer.status)
print("as of: " .. os.date("!%Y-%m-%d %H:%M", answer.thisupdate))
print("until: " .. (answer.nextupdate and os.date("!%Y-%m-%d %H:%M", answer.nextupdate) or "further notice"))
print("the server says: " .. tostring(conn:receive("*l")))
conn:close()
