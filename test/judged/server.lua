-- An HTTPS server with the settings of the README's server, word for word, for programs that judge servers. Prints its
-- port; ends when its input does. lua test/judged/server.lua CERTIFICATE README...
-- CERTIFICATE is the name of one in the test PKI, in place of serverA.

local socket = require "socket"
local S = require "support"

local SECONDS = 5 -- for each client

local name = arg[1]
local settings
for block in S.read("README.md"):gmatch("\n```lua[^\n]*\n(.-)\n```") do
  settings = settings or (block:find("mode = \"server\"", 1, true) and block:match("ssl%.newcontext (%b{})"))
end
assert(settings, "the README has no server")
local text, n = settings:gsub('"serverA(k?e?y?)%.pem"', function(key) return ("%q"):format(S.cert(name .. key)) end)
assert(n == 2, "the README's server has other files")
local context = assert(S.ssl.newcontext(assert((loadstring or load)("return " .. text))())) -- luacheck: ignore 113

local listener = assert(socket.bind("127.0.0.1", 0))
listener:settimeout(0)
io.stdout:write(select(2, listener:getsockname()), "\n")
io.stdout:flush()

-- Answers one request; yields what it waits for.
local function serve(tcp)
  local conn = assert(S.ssl.wrap(tcp, context))
  conn:settimeout(0)
  local function patiently(method, ...)
    while true do
      local result, message = conn[method](conn, ...)
      if result or not S.wants(message) then return result end
      coroutine.yield(conn, message)
    end
  end
  if patiently("dohandshake") then
    local line
    repeat line = patiently("receive", "*l") until not line or line == ""
    if line then patiently("send", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n") end
  end
  conn:close()
end

local clients = {} -- coroutine -> { conn, what it waits for, until when }

local function step(co, ...)
  local ok, conn, want = coroutine.resume(co, ...)
  if not ok then error(conn) end
  if coroutine.status(co) == "dead" then
    clients[co] = nil
  else
    clients[co] = { conn = conn, want = want, ends = clients[co] and clients[co].ends or socket.gettime() + SECONDS }
  end
end

local input = socket.tcp() -- LuaSocket's object for the descriptor of the input, to wait for its end
input:setfd(0)

repeat
  local reading, writing, of = { listener, input }, {}, {}
  for co, client in pairs(clients) do
    local list = client.want == "wantread" and reading or writing
    list[#list + 1] = client.conn
    of[client.conn] = co
  end
  local ready, free = socket.select(reading, writing, 1)
  for _, list in ipairs { ready, free } do
    for _, conn in ipairs(list) do
      if of[conn] then step(of[conn]) end
    end
  end
  for co, client in pairs(clients) do
    if socket.gettime() > client.ends then
      client.conn:close()
      clients[co] = nil
    end
  end
  local tcp = ready[listener] and listener:accept()
  if tcp then step(coroutine.create(serve), tcp) end
until ready[input]
