-- An SMTP server that takes mails by TLS only, and prints them. Prints its port.
--   lua samples/starttls-smtp/server.lua [CERTS [PORT [COUNT]]]

local socket = require "socket"
local ssl = require "ssl"

local certs, port, count = arg[1] or "build/certs", tonumber(arg[2] or 2525), tonumber(arg[3]) or math.huge
local context = assert(ssl.newcontext {
  mode = "server", protocol = "tlsv1_2+", certificate = certs .. "/serverA.pem", key = certs .. "/serverAkey.pem",
  maxreceive = 1000,
})

local plain, tls = {}, {} -- what is understood before TLS, and in it

function plain.EHLO() return "250-server.test\r\n250 STARTTLS" end
function plain.STARTTLS(s)
  if s.conn:dirty() then error("words before TLS that would count as said in it", 0) end
  assert(s.conn:send("220 go ahead\r\n"))
  s.conn, s.verbs = assert(ssl.wrap(s.conn, context)), tls
  s.conn:settimeout(10)
  assert(s.conn:dohandshake())
end
function plain.QUIT(s)
  s.over = true
  return "221 bye"
end

for _, verb in ipairs { "EHLO", "MAIL", "RCPT" } do tls[verb] = function() return "250 ok" end end
function tls.DATA(s)
  assert(s.conn:send("354 end with a dot\r\n"))
  for _ = 1, 1000 do
    local line = assert(s.conn:receive("*l"))
    if line == "." then return "250 taken" end
    print("| " .. line)
  end
  error("a mail of more than 1000 lines", 0)
end
tls.QUIT = plain.QUIT

local function serve(s)
  assert(s.conn:send("220 server.test\r\n"))
  repeat
    local verb = assert(s.conn:receive("*l")):match("^%a*"):upper()
    local answer = s.verbs[verb] or function() return tls[verb] and "530 STARTTLS first" or "500 what?" end
    local text = answer(s)
    if text then assert(s.conn:send(text .. "\r\n")) end
  until s.over
end

local listener = assert(socket.bind("127.0.0.1", port))
io.stdout:setvbuf("line")
print((select(2, listener:getsockname())))
for _ = 1, count do
  local session = { conn = assert(listener:accept()), verbs = plain }
  session.conn:settimeout(10)
  local ok, message = pcall(serve, session)
  print(ok and "done" or "ended: " .. tostring(message))
  session.conn:close()
end
