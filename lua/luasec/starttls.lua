--- What is said in plain text before TLS: SMTP (RFC 3207), IMAP (RFC 9051 section 6.2.1), POP3 (RFC 2595), XMPP (RFC
-- 6120 section 5). Each function answers true, or nil and what is wrong. Every answer is bounded, and nothing may come
-- behind the last one: it would count as said in TLS.
-- @module luasec.starttls

local M = {}

local MOST_LINES, MOST_BYTES = 100, 16384

-- Lines up to the one that ends an answer: true and whether it says yes.
local function answer(sock, last, yes)
  for _ = 1, MOST_LINES do
    local line, message = sock:receive("*l")
    if not line then return nil, message end
    if #line > MOST_BYTES then break end
    if line:find(last) then
      if line:find(yes) then return true end
      return nil, "the server refuses: " .. line:sub(1, 200)
    end
  end
  return nil, "the server's answer has no end"
end

local function say(sock, text, last, yes)
  if text then
    local ok, message = sock:send(text)
    if not ok then return nil, message end
  end
  return answer(sock, last, yes)
end

local protocols = {}

function protocols.smtp(sock)
  for _, text in ipairs { false, "EHLO localhost\r\n", "STARTTLS\r\n" } do
    local ok, message = say(sock, text, "^%d%d%d%f[^%-%d]", "^2")
    if not ok then return nil, message end
  end
  return true
end

function protocols.imap(sock)
  local ok, message = say(sock, nil, "^%* ", "^%* OK")
  if not ok then return nil, message end
  return say(sock, "a STARTTLS\r\n", "^a ", "^a OK")
end

function protocols.pop3(sock)
  local ok, message = say(sock, nil, "^[+-]", "^%+OK")
  if not ok then return nil, message end
  return say(sock, "STLS\r\n", "^[+-]", "^%+OK")
end

-- XML has no lines.
local function expect(sock, pattern)
  local text = ""
  repeat
    local byte, message = sock:receive(1)
    if not byte then return nil, message end
    text = text .. byte
  until text:find(pattern .. "$") or #text > MOST_BYTES
  return text
end

function protocols.xmpp(sock, domain)
  local quoted = domain:gsub("[<>&'\"]", "")
  local ok, message = sock:send("<?xml version='1.0'?><stream:stream to='" .. quoted .. "' version='1.0' " ..
    "xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>")
  if not ok then return nil, message end
  local features
  features, message = expect(sock, "</stream:features>")
  if not features then return nil, message end
  if not features:find("<starttls", 1, true) then return nil, "the server offers no STARTTLS" end
  ok, message = sock:send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
  if not ok then return nil, message end
  local proceed
  proceed, message = expect(sock, ">")
  if not proceed then return nil, message end
  if not proceed:find("<proceed", 1, true) then return nil, "the server refuses STARTTLS" end
  return true
end

--- The port of each protocol.
M.ports = { smtp = 25, imap = 143, pop3 = 110, xmpp = 5222 }

--- Asks a server to begin TLS.
-- @tparam userdata sock connected, LuaSocket's, with its timeout
-- @tparam string protocol
-- @tparam string domain of the server
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string what is wrong
function M.begin(sock, protocol, domain)
  local ok, message = protocols[protocol](sock, domain)
  if not ok then return nil, message == "closed" and "the server closed the connection" or message end
  if sock:dirty() then return nil, "the server sends more before TLS begins, which would count as said in it" end
  return true
end

return M
