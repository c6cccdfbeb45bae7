-- Examples of the reference. test/reference_spec.lua runs each by itself, with url (of a server on localhost) and ca,
-- the file of the CA that certified it.

--- https._VERSION, https._COPYRIGHT
print(https._VERSION, https._COPYRIGHT)

--- https.PORT
print(https.PORT) -- 443

--- https.TIMEOUT
https.TIMEOUT = 30

--- https.verify
if os.getenv "TRUST_ANYBODY" then https.verify = "none" end

--- https.request
local chunks = {}
local ok, code, headers = https.request {
  url = url, cafile = ca, timeout = 10, headers = { accept = "text/plain" },
  sink = function(chunk)
    chunks[#chunks + 1] = chunk
    return 1
  end,
}
assert(ok, code)
print(code, headers["content-length"], table.concat(chunks))

--- https.tcp
local http = require "socket.http"
local body, code = http.request { url = url, create = https.tcp { cafile = ca, timeout = 10 } }
print(body, code)
