-- Examples of the reference. test/reference_spec.lua runs each by itself, with session.

--- session:export
local again = assert(ssl.loadsession(session:export()))
print(again:lifetime())

--- session:pem
print(session:pem()) -- openssl s_client -sess_in reads it

--- session:lifetime
if session:lifetime() == 0 then print "too old to be resumed" end
