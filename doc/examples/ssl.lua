-- Examples of the reference. test/reference_spec.lua runs each by itself, with ssl, ca (the file of a CA), port (of a
-- server that this CA certified for localhost), sock (a connected socket), pem (a certificate) and session.

--- ssl._VERSION, ssl._COPYRIGHT
print(ssl._VERSION, ssl._COPYRIGHT)

--- ssl.config
if ssl.config.groups.X25519MLKEM768 then print "safe from quantum computers" end

--- ssl.newcontext
local ctx, message, detail = ssl.newcontext { mode = "client", protocol = "any", verify = "peer", cafile = ca }
if not ctx then print(message, detail.file, detail.hint) end

--- ssl.wrap
local conn = assert(ssl.wrap(sock, { mode = "client", protocol = "any", verify = "none" }))
conn:settimeout(10)

--- ssl.connect
local conn, message, detail = ssl.connect("localhost", port, { verify = "peer", cafile = ca, timeout = 10 })
if conn then print(conn:info("protocol")) else print(message, detail.hint) end

--- ssl.engine
local client = assert(ssl.engine { mode = "client", protocol = "any", verify = "none" })
local ok, message = client:dohandshake() -- nil, "wantread": the server has to answer what drain gives
local bytes = client:drain()
print(ok, message, #bytes)

--- ssl.checkhostname
local cert = assert(ssl.loadcertificate(pem))
assert(ssl.checkhostname(cert, "localhost"))
assert(not ssl.checkhostname(cert, "elsewhere.test"))

--- ssl.loadcertificate, ssl.x509.load
local cert = assert(ssl.loadcertificate(pem))
print(cert:notafter())

--- ssl.selfsigned
local cert, key = assert(ssl.selfsigned { names = { "localhost", "127.0.0.1" }, days = 7 })
assert(ssl.newcontext { mode = "server", protocol = "any", certificate = cert, key = key })

--- ssl.loadsession
local text = session:export()
local again = assert(ssl.loadsession(text))
print(again:lifetime())

--- ssl.cookie, ssl.checkcookie
local cookie = assert(ssl.cookie("192.0.2.1:4433"))
assert(ssl.checkcookie("192.0.2.1:4433", cookie))

--- ssl.find_system_ca
print(ssl.find_system_ca())

--- ssl.get_system_ca, ssl.set_system_ca
ssl.set_system_ca(ca) -- for the whole program
assert(ssl.get_system_ca() == ca)
ssl.set_system_ca() -- look again
