-- ssl.https and LuaSocket's http behind tinyproxy, one test a line. Ports and paths come from the environment.

local https = require "ssl.https"
local http = require "socket.http"
local ltn12 = require "ltn12"
local t = require "realtest"

local CERTS, TMP, NGINX = os.getenv("CERTS"), os.getenv("TMP"), os.getenv("NGINX_PORT")
local BASE = "https://127.0.0.1:" .. NGINX
local PROXY = os.getenv("PROXY") -- %s: where user and password stand
local PAGE = "a page of nginx\n"

local function fetch(url, userinfo, fields)
  local parts = {}
  local request = { url = url, sink = ltn12.sink.table(parts), cafile = CERTS .. "/rootA.pem",
                    proxy = PROXY:format(userinfo or "someone:secret@"), timeout = 30 }
  for k, v in pairs(fields or {}) do request[k] = v end
  local good, code, detail = https.request(request)
  return good and table.concat(parts), code, detail
end

local body, code = fetch(BASE .. "/page.txt")
t.proof()
t.equal("GET: body", body, PAGE)
t.equal("GET: status", code, 200)
t.equal("GET: a redirect goes through it, too", (fetch(BASE .. "/moved")), PAGE)

local f = assert(io.open(TMP .. "/www/big.bin", "rb"))
local big = f:read("*a")
f:close()
t.equal("GET: 10 MiB", (fetch(BASE .. "/big.bin")), big)
t.equal("POST: 10 MiB, echoed", (fetch(BASE .. "/echo", nil, { method = "POST", source = ltn12.source.string(big),
  headers = { ["content-length"] = #big } })), big)

local _, message, detail = fetch(BASE .. "/page.txt", "")
t.check("without password: what to do", tostring(message):find(" 407 .*it wants a user and password"), message)
t.equal("without password: status", detail.status, 407)
_, message = fetch(BASE .. "/page.txt", "someone:wrong@")
t.check("wrong password", tostring(message):find(" 40[17] .*"), message)
_, message, detail = fetch("https://127.0.0.1:" .. os.getenv("NGINX_MUTUAL") .. "/")
t.check("a port that it does not tunnel to", tostring(message):find("refused a connection .* 403 "), message)
t.equal("a port that it does not tunnel to: status", detail.status, 403)
_, message = fetch("https://127.0.0.1:" .. os.getenv("CLOSED_PORT") .. "/")
t.check("a port where nobody listens", tostring(message):find("refused a connection .* 50[0-9] "), message)
_, message = fetch(BASE .. "/page.txt", nil, { cafile = CERTS .. "/rootB.pem" })
t.check("another CA: refused", tostring(message):find("certificate verify failed$"), message)

http.PROXY = PROXY:format("someone:secret@")
_, message = http.request { url = BASE .. "/page.txt", cafile = CERTS .. "/rootA.pem" }
t.check("LuaSocket's http: would show the password", tostring(message):find("would send the credentials"), message)
t.done()
