-- The requests that nginx answers: ssl.https as a program uses it, one test a line. Ports and paths come from
-- the environment.

local https = require "ssl.https"
local ltn12 = require "ltn12"
local t = require "realtest"

local CERTS, TMP = os.getenv("CERTS"), os.getenv("TMP")
local BASE = "https://127.0.0.1:" .. os.getenv("NGINX_PORT")

local function read(path)
  local f = assert(io.open(path, "rb"))
  local text = f:read("*a")
  f:close()
  return text
end

--- A request that trusts rootA; `fields` are added to it. Returns body, code (or error), headers, status line.
local function fetch(url, fields)
  local parts = {}
  local request = { url = url, sink = ltn12.sink.table(parts), verify = "peer", cafile = CERTS .. "/rootA.pem",
                    protocol = "any", options = "all" }
  for k, v in pairs(fields or {}) do request[k] = v end
  if request.cafile == "" then request.cafile, request.verify = nil, nil end
  local good, code, headers, status = https.request(request)
  return good and table.concat(parts), code, headers, status
end

--- A POST; with `chunked` the length is not announced, and LuaSocket sends chunks.
local function post(path, data, chunked)
  return fetch(BASE .. path, {
    method = "POST", source = ltn12.source.string(data),
    headers = { ["content-type"] = "text/plain", ["content-length"] = not chunked and #data or nil,
                ["transfer-encoding"] = chunked and "chunked" or nil },
  })
end

local function refused(name, url, fields, pattern)
  local body, err = fetch(url, fields)
  t.check(name, not body and tostring(err):find(pattern), "got " .. tostring(err))
end

local body, code, headers, status = fetch(BASE .. "/page.txt")
t.proof()
t.equal("GET: body", body, "a page of nginx\n")
t.equal("GET: status", code, 200)
t.equal("GET: headers", headers and headers["content-length"], "16")
t.check("GET: status line", tostring(status):find("^HTTP/1.1 200"), status)
t.equal("GET: a missing page is 404", select(2, fetch(BASE .. "/none")), 404)

-- socket.http forgets the request's own settings when it follows a redirect; LuaSec then verifies nothing.
body, code = fetch(BASE .. "/moved")
t.check("GET: a redirect is followed with the same settings", body == "a page of nginx\n", code)
body, code = fetch(BASE .. "/moved-twice")
t.check("GET: two redirects are followed", body == "a page of nginx\n", code)
local none, refusal = fetch(BASE .. "/downgrade")
if t.ours then
  t.check("GET: a redirect to http is refused", not none and tostring(refusal):find("redirects to an http://"), refusal)
else
  t.equal("GET: a redirect to http is not followed", refusal, 302)
end
t.equal("GET: a redirect to http, given when asked", select(2, fetch(BASE .. "/downgrade", { redirect = false })), 302)

-- nginx staples an OCSP response on this port only.
if t.ours then
  body, code = fetch(BASE .. "/page.txt", { ocsp = "require" })
  t.check("OCSP: the response that nginx staples is good", body == "a page of nginx\n", code)
  refused("OCSP: a server that staples none is refused", "https://127.0.0.1:" .. os.getenv("NGINX_MUTUAL"),
    { ocsp = "require" }, "the server sent no OCSP response")
end

body = fetch(BASE .. "/tls")
t.check("TLS 1.3 by default", tostring(body):find("^TLSv1.3 TLS_"), body)
body = fetch(BASE .. "/tls", { protocol = "tlsv1_2" })
t.check("TLS 1.2 when asked for", tostring(body):find("^TLSv1.2 ECDHE"), body)

if t.ours then
  for _, protocol in ipairs { "tlsv1_2", "tlsv1_3" } do
    local seen = {}
    for i = 1, 3 do seen[i] = fetch(BASE .. "/reused", { protocol = protocol, sessions = 5 }) end
    t.equal("sessions: resumed over " .. protocol, table.concat(seen, " "), ". r r")
  end
end

local big = read(TMP .. "/www/big.bin")
t.equal("GET: 10 MiB", fetch(BASE .. "/big.bin"), big)
t.equal("POST: echoed", post("/echo", "hello=world"), "hello=world")
t.equal("POST: 10 MiB, echoed", post("/echo", big), big)
t.equal("POST: 1 MiB in chunks, echoed", post("/echo", big:sub(1, 1048576), true), big:sub(1, 1048576))

body, code, headers = fetch(BASE .. "/chunked")
t.equal("chunked: status", code, 200)
t.equal("chunked: header", headers and headers["transfer-encoding"], "chunked")
t.equal("chunked: 1 MiB body", body, ("0123456789abcdef"):rep(65536) .. "the end")

local mutual = "https://127.0.0.1:" .. os.getenv("NGINX_MUTUAL") .. "/"
body = fetch(mutual, { certificate = CERTS .. "/clientA.pem", key = CERTS .. "/clientAkey.pem" })
t.check("client certificate: accepted", tostring(body):find("^CN=clientA.* SUCCESS$"), body)
body, code = fetch(mutual)
t.check("client certificate: missing, refused", code == 400 and body:find("No required SSL certificate"), code)

refused("another CA: refused", BASE .. "/page.txt", { cafile = CERTS .. "/rootB.pem" }, "certificate verify failed")
refused("nobody listens: refused", "https://127.0.0.1:" .. os.getenv("CLOSED_PORT") .. "/", nil, "connection refused")
if t.ours then
  refused("no CA named: refused", BASE .. "/page.txt", { cafile = "" }, "certificate verify failed")
  refused("another host's certificate: refused", "https://127.0.0.1:" .. os.getenv("NGINX_WRONGHOST") .. "/", nil,
          "certificate verify failed")
else
  t.skip("no CA named: refused", "LuaSec does not verify by default")
  t.skip("another host's certificate: refused", "LuaSec does not check host names")
end
t.done()
