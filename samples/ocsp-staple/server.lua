-- A server that staples: it fetches the OCSP response about its certificate from the CA's responder, and again
-- before that one expires. Clients learn from it that the certificate is not revoked, without asking the CA.
-- lua samples/ocsp-staple/server.lua CERTIFICATE KEY ISSUER [RESPONDER [SECONDS]]
-- RESPONDER: address of the responder, else the certificate's own; SECONDS: most between two fetches, else an hour

local socket = require "socket"
local http = require "socket.http"
local ltn12 = require "ltn12"
local ssl = require "ssl"

local function certificate(path)
  local file = assert(io.open(path, "rb"))
  local cert = assert(ssl.loadcertificate(file:read("*a")))
  file:close()
  return cert
end

local own, issuer = certificate(arg[1]), certificate(arg[3])
local responder = arg[4] or assert(own:ocspurl(), "the certificate names no OCSP responder")
local context = assert(ssl.newcontext { mode = "server", protocol = "tlsv1_2+", certificate = arg[1], key = arg[2] })

local function fetch()
  local request, body = assert(own:ocsprequest(issuer)), {}
  http.TIMEOUT = 5 -- no client is served meanwhile; a server with an event loop fetches there
  local ok, status = http.request {
    url = responder, method = "POST", source = ltn12.source.string(request), sink = ltn12.sink.table(body),
    headers = { ["content-type"] = "application/ocsp-request", ["content-length"] = #request },
  }
  if not ok or status ~= 200 then return nil, "the responder answers " .. tostring(status) end
  local answer = own:ocspcheck(issuer, table.concat(body))
  return answer.verified and answer or nil, answer.message
end

-- Staples a new response; seconds until the next fetch. Without one the last goes on being sent until it expires.
local function refresh()
  local most = tonumber(arg[5]) or 3600
  local answer, message = fetch()
  local ok = answer
  if answer then ok, message = context:setocsp(answer.der) end
  print(ok and "stapling: " .. answer.status or "no new response: " .. message)
  if not ok then return math.min(most, 60) end
  return math.min(most, ((answer.nextupdate or os.time() + most) - os.time()) / 2)
end

io.stdout:setvbuf("line")
local listener = assert(socket.bind("127.0.0.1", 0))
print("port " .. select(2, listener:getsockname()))
local due = 0
while true do
  if socket.gettime() >= due then due = socket.gettime() + refresh() end
  listener:settimeout(math.max(0, due - socket.gettime()))
  local client = listener:accept()
  local conn = client and ssl.wrap(client, context)
  if conn then
    conn:settimeout(5)
    if conn:dohandshake() then conn:send("hello\n") end
    conn:close()
  end
end
