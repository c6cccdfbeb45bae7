-- Lets testssl.sh and sslscan judge the README's server: no finding of MEDIUM or worse in testssl's groups of
-- protocols, ciphers, forward secrecy and vulnerabilities; TLS 1.2 and 1.3 only, no weak cipher, no renegotiation by
-- sslscan. Prints a line a finding and, last, "N passed, N failed, N skipped". `make judged` runs it.

local S = require "support"
local process = require "process"

process.SECONDS = 400

local passed, failed = 0, 0

local function report(good, name, finding)
  if good then passed = passed + 1 else failed = failed + 1 end
  print(("%s - %s: %s"):format(good and "ok" or "not ok", name, finding))
end

local function output(command)
  local p = assert(io.popen(command .. " 2>&1 </dev/null"))
  local text = p:read("*a")
  p:close()
  return text
end

-- Calls f(port) while a server with this certificate runs.
local function serving(certificate, f)
  local server = process.dialogue("%s test/judged/server.lua %s", S.interpreter(), certificate)
  server:sees("\n%d+\n")
  f(server:text():match("\n(%d+)\n"))
  server:finish()
end

-- What must have been looked at, so that an examination that ended early is none.
local LOOKED_AT = { "SSLv2", "SSLv3", "TLS1", "TLS1_1", "TLS1_2", "TLS1_3", "cipherlist_NULL", "cipherlist_aNULL",
  "cipherlist_EXPORT", "cipherlist_LOW", "cipherlist_3DES_IDEA", "cipherlist_STRONG", "heartbleed", "CCS",
  "ticketbleed", "ROBOT", "secure_renego", "secure_client_renego", "CRIME_TLS", "BREACH", "POODLE_SSL", "SWEET32",
  "FREAK", "DROWN", "LOGJAM", "BEAST", "LUCKY13", "RC4" }

local HARMLESS = { OK = true, INFO = true, LOW = true }

local function testssl(port)
  local json = os.tmpname()
  os.remove(json) -- testssl.sh writes no file that is there
  local said = output(("testssl --quiet --color 0 --warnings off --nodns none --ip 127.0.0.1 -p -s -f -U " ..
    "--jsonfile %s localhost:%d"):format(json, port))
  local f = io.open(json)
  local text = f and f:read("*a") or ""
  if f then f:close() end
  os.remove(json)
  local seen = {}
  local member = '"%s*:%s*"([^"]*)"'
  for id, severity, finding in text:gmatch('"id' .. member .. '.-"severity' .. member .. '.-"finding' .. member) do
    seen[id] = true
    if id ~= "engine_problem" and id ~= "scanTime" then -- those are about testssl.sh itself
      report(HARMLESS[severity], "testssl " .. id, severity .. ", " .. finding)
    end
  end
  for _, id in ipairs(LOOKED_AT) do
    if not seen[id] then report(false, "testssl " .. id, "was not looked at; it says: " .. said:sub(-1000)) end
  end
end

local function sslscan(certificate, port)
  local text = output("sslscan --xml=- 127.0.0.1:" .. port)
  local versions, weak, ciphers = {}, {}, 0
  for kind, version in text:gmatch('<protocol type="(%w+)" version="([%d.]+)" enabled="1"') do
    versions[#versions + 1] = kind .. version
  end
  for name, strength in text:gmatch('<cipher [^>]-cipher="([^"]*)"[^>]-strength="([^"]*)"') do
    ciphers = ciphers + 1
    if strength ~= "strong" and strength ~= "acceptable" then weak[#weak + 1] = name .. " is " .. strength end
  end
  local prefix = "sslscan, " .. certificate .. ": "
  report(table.concat(versions, " ") == "tls1.2 tls1.3", prefix .. "versions", table.concat(versions, " "))
  report(ciphers > 4 and #weak == 0, prefix .. "ciphers", ciphers .. " ciphers; weak: " .. table.concat(weak, ", "))
  report(text:find('<renegotiation supported="0"', 1, true), prefix .. "renegotiation",
    text:match("<renegotiation[^>]*>") or "was not looked at")
  local safe = text:find('<heartbleed [^>]-vulnerable="0"') and not text:find('vulnerable="1"', 1, true)
  report(safe, prefix .. "heartbleed", safe and "not vulnerable" or text)
end

serving("rsa", testssl)
for _, certificate in ipairs { "rsa", "serverA", "ed25519" } do
  serving(certificate, function(port) sslscan(certificate, port) end)
end
print(("%d passed, %d failed, 0 skipped"):format(passed, failed))
os.exit(failed == 0)
