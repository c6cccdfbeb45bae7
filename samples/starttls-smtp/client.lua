-- Sends a mail to a server that speaks plain SMTP until it is asked for TLS (RFC 3207), and not at all without TLS.
--   lua samples/starttls-smtp/client.lua [CAFILE [PORT [HOST]]]

local socket = require "socket"
local ssl = require "ssl"

local cafile, port, host = arg[1] or "build/certs/rootA.pem", arg[2] or 2525, arg[3] or "localhost"

local function fail(why)
  print("not sent: " .. tostring(why))
  os.exit(1)
end

-- Sends a line, if there is one, and reads the reply, which may have many lines; all its text.
local function command(conn, line, code)
  local ok, why = true, nil
  if line then ok, why = conn:send(line .. "\r\n") end
  if not ok then fail(why) end
  local text, got, more = ""
  repeat
    local part
    part, why = conn:receive("*l")
    if not part then fail(why) end
    got, more, part = part:match("^(%d%d%d)([ -]?)(.*)$")
    text = text .. tostring(part) .. "\n"
  until more ~= "-" or #text > 10000
  if got ~= code then fail((line or "greeting") .. ": " .. tostring(got) .. " " .. text) end
  return text
end

local sock, why = socket.connect(host, port)
if not sock then fail(why) end
sock:settimeout(10)
command(sock, nil, "220")
-- Whoever sits between the two can take the word out of the answer: a client that then goes on without TLS is lost.
if not ("\n" .. command(sock, "EHLO client.test", "250")):find("\nSTARTTLS\n") then fail("the server offers no TLS") end
command(sock, "STARTTLS", "220")
if sock:dirty() then fail("there are words before TLS that would count as said in it") end

local conn = assert(ssl.wrap(sock, {
  mode = "client", protocol = "tlsv1_2+", verify = "peer", cafile = cafile, servername = host,
}))
conn:settimeout(10)
local ok, message = conn:dohandshake()
if not ok then fail(message) end
command(conn, "EHLO client.test", "250") -- anew: what was said before counts no more
command(conn, "MAIL FROM:<alice@client.test>", "250")
command(conn, "RCPT TO:<bob@server.test>", "250")
command(conn, "DATA", "354")
command(conn, "Subject: hello\r\n\r\nby " .. conn:info("protocol") .. "\r\n.", "250")
command(conn, "QUIT", "221")
conn:close()
print("sent by " .. host)
