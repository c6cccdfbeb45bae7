-- A server of ours behind nginx, which comes as a client and resumes its sessions. One process: it asks nginx, then
-- answers what nginx asks.

local socket = require "socket"
local ssl = require "ssl"
local t = require "realtest"

if not t.ours then
  t.skip("nginx resumes", "LuaSec does not tell")
  return t.done()
end

local CERTS = os.getenv("CERTS")
local listener = assert(socket.bind("127.0.0.1", tonumber(os.getenv("NGINX_UPSTREAM"))))
listener:settimeout(20)

local function context(sessions)
  return assert(ssl.newcontext { mode = "server", protocol = "any", certificate = CERTS .. "/serverA.pem",
    key = CERTS .. "/serverAkey.pem", sessions = sessions })
end

-- One request through nginx; what the page says.
local function visit(path, ctx)
  local sock = assert(socket.connect("127.0.0.1", os.getenv("NGINX_PORT")))
  local front = assert(ssl.wrap(sock, { mode = "client", protocol = "any", cafile = CERTS .. "/rootA.pem",
    verify = "peer" }))
  front:settimeout(20)
  assert(front:dohandshake())
  assert(front:send("GET " .. path .. " HTTP/1.0\r\n\r\n"))
  local conn = assert(ssl.wrap(assert(listener:accept()), ctx))
  conn:settimeout(20)
  assert(conn:dohandshake())
  while assert(conn:receive("*l")) ~= "" do end -- luacheck: ignore 542
  local page = (conn:sessionreused() and "resumed" or "full")
  conn:send("HTTP/1.0 200 OK\r\nContent-Length: " .. #page .. "\r\n\r\n" .. page)
  conn:close()
  local answer = front:receive("*a")
  front:close()
  return answer:match("\r\n\r\n(.*)$")
end

local kept = {}
for name, sessions in pairs {
  tickets = {}, ids = { tickets = false },
  store = { get = function(id) return kept[id] end, set = function(id, data) kept[id] = data end },
} do
  for _, version in ipairs { "12", "13" } do
    local ctx, seen = context(sessions), {}
    for i = 1, 3 do seen[i] = visit("/upstream" .. version, ctx) end
    t.equal(("nginx resumes over TLS 1.%s: %s"):format(version:sub(2), name), table.concat(seen, " "),
      "full resumed resumed")
  end
end
t.proof()
t.done()
