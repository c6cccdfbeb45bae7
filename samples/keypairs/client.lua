-- Shows which certificate a server has for a name; SIGALGS ("ecdsa_secp256r1_sha256", "rsa_pss_rsae_sha256") says which
-- signatures the client knows.
--   lua samples/keypairs/client.lua [CAFILE [PORT [NAME [SIGALGS]]]]

local ssl = require "ssl"

local cafile, port, name = arg[1] or "build/certs/rootA.pem", arg[2] or 6443, arg[3] or "localhost"
local conn, message = ssl.connect("127.0.0.1", port, {
  protocol = "tlsv1_2+", verify = "peer", cafile = cafile, servername = name, sigalgs = arg[4], timeout = 10,
})
if not conn then
  print("refused: " .. message)
  os.exit(1)
end
local cert = conn:getpeercertificate()
local _, kind, bits = cert:pubkey()
local subject = cert:subject()
print(("%s: %s, %d bits"):format(subject[#subject].value, kind, bits))
conn:close()
