-- Examples of the reference. test/reference_spec.lua runs each by itself, with ctx, a server's context; certfile and
-- keyfile; key16 and key32, functions that make a string of as many bytes.

--- ctx:reload
local ok, message = ctx:reload { certificate = certfile, key = keyfile }
if not ok then print("the old certificate stays: " .. message) end

--- ctx:setocsp
local ok, message = ctx:setocsp(function(conn, certificate)
  return nil -- the DER of a current response about the certificate, or nothing
end)
assert(ok, message)

--- ctx:setticketkeys
local newest = { name = key16(), aes = key32(), hmac = key32() }
local older = { name = key16(), aes = key32(), hmac = key32() }
assert(ctx:setticketkeys { newest, older })

--- ctx:setverifyext
assert(ctx:setverifyext("crl_check"))

--- ctx:stats
local stats = ctx:stats()
print(stats.handshakes, stats.resumed)
