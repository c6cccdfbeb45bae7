-- Says whom it talks to; or, where the certificate is not good, what is wrong with it and what can be done.
--   lua samples/verify/client.lua [CAFILE [PORT [HOST]]]

local ssl = require "ssl"

local cafile, port, host = arg[1] or "build/certs/rootA.pem", arg[2] or 6443, arg[3] or "localhost"

-- Verified in the handshake: the chain up to an authority of cafile, the dates, and the host's name. With "system" in
-- place of a path: the authorities that the system trusts.
local conn, message, detail = ssl.connect(host, port, {
  protocol = "tlsv1_2+", verify = "peer", cafile = cafile, timeout = 10,
})
if not conn then
  print("refused: " .. message)
  print("kind: " .. detail.kind)
  for _, field in ipairs { "reason", "depth", "subject", "host", "names", "hint" } do
    if detail[field] then print(field .. ": " .. detail[field]) end
  end
  os.exit(1)
end

local function name(list) return list[#list].value end

local cert = conn:getpeercertificate()
print("verified: " .. tostring(conn:getpeerverification()))
print("subject: " .. name(cert:subject()))
print("issuer: " .. name(cert:issuer()))
print("from: " .. cert:notbefore())
print("until: " .. cert:notafter())
print("sha256: " .. cert:digest("sha256"))
conn:send("thank you\n")
conn:close()
