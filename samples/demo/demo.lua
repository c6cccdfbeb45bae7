-- What the library is for, in one run: an HTTPS server and verified clients, all in Lua, on loopback.
-- Ends with status 0 only when every step came out as it should.

local socket = require "socket"
local ssl = require "ssl"
local https = require "ssl.https"

local certs = os.getenv("CERTS") or "build/certs"
local lua = os.getenv("LUA") or "lua"

local function step(what) print("\n-- " .. what) end

local function show(name, value) print(("   %-22s %s"):format(name, tostring(value))) end

local function names(cert)
  local alt = cert:extensions()["2.5.29.17"] or {}
  local list = {}
  for _, kind in ipairs { "dNSName", "iPAddress" } do
    for _, name in ipairs(alt[kind] or {}) do list[#list + 1] = name end
  end
  return table.concat(list, ", ")
end

step "Certificates of a CA, a server and others, made now"
local made = os.execute("certs/make.sh " .. certs)
assert(made == true or made == 0, "certs/make.sh failed")
show("directory", certs)

step "An HTTPS server written in Lua"
local server = assert(io.popen(lua .. " samples/demo/server.lua " .. certs .. " 3", "r"))
local port = assert(server:read("*l"), "the server did not start")
show("listens on", "127.0.0.1 port " .. port)

step "A page from it by ssl.https, which verifies the certificate and the name"
local page, code = https.request { url = "https://localhost:" .. port .. "/hello", cafile = certs .. "/rootA.pem",
  sink = function(chunk)
    if chunk then io.write("   ", (chunk:gsub("\n(.)", "\n   %1"))) end
    return 1
  end }
assert(page, code)
show("status", code)
assert(code == 200, "expected status 200")
assert(server:read("*l") == "served", "the server should have served the page")

step "The same with a connection of one's own"
local tcp = assert(socket.connect("127.0.0.1", port))
local conn = assert(ssl.wrap(tcp, { mode = "client", protocol = "any", verify = "peer", cafile = certs .. "/rootA.pem",
  servername = "localhost" }))
conn:settimeout(10)
assert(conn:dohandshake())
local info, cert = conn:info(), conn:getpeercertificate()
show("protocol", info.protocol)
show("cipher", info.cipher)
show("certificate", cert:subject()[#cert:subject()].value)
show("names in it", names(cert))
show("valid until", cert:notafter())
show("verification", conn:getpeerverification() and "the certificate is good, and for localhost" or "failed")
assert(conn:getpeerverification() == true)
assert(conn:send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"))
assert(conn:receive("*a"):find("^HTTP/1.1 200 OK"))
conn:close()
assert(server:read("*l") == "served", "the server should have served the page")

step "A client that trusts another CA only"
local refused, message = https.request { url = "https://localhost:" .. port .. "/", cafile = certs .. "/rootB.pem" }
assert(not refused, "a certificate of an unknown CA must be refused")
show("refused", message)
assert(message == "certificate verify failed")
local seen = server:read("*l")
show("the server saw", seen)
assert(seen and seen:find("^handshake refused"))
server:close()

print("\nAll of it held.")
