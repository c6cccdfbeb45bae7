-- Prints the chain that a server sends, from its own certificate up, and the depth to which chains may go.
--   lua samples/chain/client.lua [CAFILE [PORT [DEPTH]]]

local ssl = require "ssl"

local cafile, port, depth = arg[1] or "build/certs/rootA.pem", arg[2] or 6443, tonumber(arg[3] or 3)
local conn, message, detail = ssl.connect("localhost", port, {
  protocol = "tlsv1_2+", verify = "peer", cafile = cafile, timeout = 10,
  depth = depth, -- most certificates between the server's and the authority's
})
if not conn then
  print("refused: " .. message .. (detail.reason and " (" .. detail.reason .. ")" or ""))
  os.exit(1)
end

local function name(list) return list[#list].value end

local chain = conn:getpeerchain()
for i, cert in ipairs(chain) do
  print(("%d: %s, signed by %s"):format(i - 1, name(cert:subject()), name(cert:issuer())))
end
conn:close()
