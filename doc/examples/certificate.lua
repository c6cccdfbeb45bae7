-- Examples of the reference. test/reference_spec.lua runs each by itself, with cert and issuer, the certificate of its
-- CA.

--- cert:pem, cert:der
print(cert:pem())
print(#cert:der(), "bytes")

--- cert:pubkey
local pem, kind, bits = cert:pubkey()
print(kind, bits)

--- cert:serial
print(cert:serial())

--- cert:digest
print(cert:digest("sha256"))

--- cert:getsignaturename
print(cert:getsignaturename())

--- cert:setencode
cert:setencode("utf8")
print(cert:subject()[1].value)

--- cert:subject, cert:issuer
for _, part in ipairs(cert:subject()) do print(part.name, part.oid, part.value) end

--- cert:oneline
print(cert:oneline(), cert:oneline("issuer"))

--- cert:extensions
for _, name in ipairs(cert:extensions()["2.5.29.17"].dNSName) do print(name) end

--- cert:notbefore, cert:notafter
print(cert:notbefore(), cert:notafter())

--- cert:notbeforetime, cert:notaftertime
local days = (cert:notaftertime() - os.time()) / 86400
if days < 30 then print(("expires in %d days"):format(math.floor(days))) end

--- cert:validat
assert(cert:validat(os.time()))

--- cert:issued
assert(issuer:issued(cert))

--- cert:checkhost
assert(cert:checkhost("localhost"))

--- cert:checkip
print(cert:checkip("127.0.0.1"))

--- cert:checkemail
assert(not cert:checkemail("nobody@example.test"))

--- cert:ocspurl
print(cert:ocspurl() or "its CA runs no OCSP responder")

--- cert:ocsprequest
local der = assert(cert:ocsprequest(issuer)) -- to POST to cert:ocspurl() as application/ocsp-request

--- cert:ocspcheck
local status = cert:ocspcheck(issuer, "what the responder answered")
print(status.verified, status.status, status.message)
