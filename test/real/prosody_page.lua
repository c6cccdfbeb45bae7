-- A page from Prosody's HTTPS port by ssl.https: both ends of the connection are the library under test.

local https = require "ssl.https"
local ltn12 = require "ltn12"
local t = require "realtest"

local port = os.getenv("ONE_PORTS"):match("%d+$")

local function fetch(cafile)
  local parts = {}
  local good, code = https.request {
    url = "https://localhost:" .. port .. "/files/page.txt", sink = ltn12.sink.table(parts),
    protocol = "any", options = "all", verify = "peer", cafile = os.getenv("CERTS") .. "/" .. cafile,
  }
  return good and table.concat(parts), code
end

local body, code = fetch("rootA.pem")
t.proof()
t.equal("a verified page", body, "a page of Prosody\n")
t.equal("its status", code, 200)
body, code = fetch("rootB.pem")
t.check("another CA: refused", not body and tostring(code):find("certificate verify failed"), code)
t.done()
