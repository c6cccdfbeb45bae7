--- What is said in plain text before TLS: SMTP (RFC 3207), IMAP (RFC 9051 section 6.2.1), POP3 (RFC 2595), XMPP (RFC
-- 6120 section 5). Each function answers true, or nil and what is wrong. Every answer is bounded, and nothing may come
-- behind the last one: it would count as said in TLS.
-- @module luasec.starttls

local dial = require "ssl.dial"

local M = {}

local MOST_LINES, MOST_BYTES = 100, 16384

-- One byte, before the deadline: LuaSocket's own timeout begins anew with each call, and does not end one that need not
-- wait.
local function receivebyte(peer)
  local left = dial.left(peer.deadline)
  if left <= 0 then return nil, "timeout" end
  peer.sock:settimeout(left)
  return peer.sock:receive(1)
end

local function send(peer, text)
  peer.sock:settimeout(dial.left(peer.deadline))
  return peer.sock:send(text)
end

local function receiveline(peer)
  local bytes = {}
  for i = 1, MOST_BYTES do
    local byte, message = receivebyte(peer)
    if not byte then return nil, message end
    if byte == "\n" then return (table.concat(bytes):gsub("\r", "")) end
    bytes[i] = byte
  end
  return nil, "the server's answer has no end"
end

-- Lines up to the one that ends an answer: true and whether it says yes.
local function answer(peer, last, yes)
  for _ = 1, MOST_LINES do
    local line, message = receiveline(peer)
    if not line then return nil, message end
    if line:find(last) then
      if line:find(yes) then return true end
      return nil, "the server refuses: " .. line:sub(1, 200)
    end
  end
  return nil, "the server's answer has no end"
end

local function say(peer, text, last, yes)
  if text then
    local ok, message = send(peer, text)
    if not ok then return nil, message end
  end
  return answer(peer, last, yes)
end

local protocols = {}

function protocols.smtp(peer)
  for _, text in ipairs { false, "EHLO localhost\r\n", "STARTTLS\r\n" } do
    local ok, message = say(peer, text, "^%d%d%d%f[^%-%d]", "^2")
    if not ok then return nil, message end
  end
  return true
end

function protocols.imap(peer)
  local ok, message = say(peer, nil, "^%* ", "^%* OK")
  if not ok then return nil, message end
  return say(peer, "a STARTTLS\r\n", "^a ", "^a OK")
end

function protocols.pop3(peer)
  local ok, message = say(peer, nil, "^[+-]", "^%+OK")
  if not ok then return nil, message end
  return say(peer, "STLS\r\n", "^[+-]", "^%+OK")
end

-- XML has no lines.
local function expect(peer, pattern)
  local text = ""
  repeat
    local byte, message = receivebyte(peer)
    if not byte then return nil, message end
    text = text .. byte
  until text:find(pattern .. "$") or #text > MOST_BYTES
  return text
end

function protocols.xmpp(peer, domain)
  local quoted = domain:gsub("[<>&'\"]", "")
  local ok, message = send(peer, "<?xml version='1.0'?><stream:stream to='" .. quoted .. "' version='1.0' " ..
    "xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>")
  if not ok then return nil, message end
  local features
  features, message = expect(peer, "</stream:features>")
  if not features then return nil, message end
  if not features:find("<starttls", 1, true) then return nil, "the server offers no STARTTLS" end
  ok, message = send(peer, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
  if not ok then return nil, message end
  local proceed
  proceed, message = expect(peer, ">")
  if not proceed then return nil, message end
  if not proceed:find("<proceed", 1, true) then return nil, "the server refuses STARTTLS" end
  return true
end

--- The port of each protocol.
M.ports = { smtp = 25, imap = 143, pop3 = 110, xmpp = 5222 }

--- Asks a server to begin TLS.
-- @tparam userdata sock connected, LuaSocket's
-- @tparam string protocol
-- @tparam string domain of the server
-- @tparam number deadline see ssl.dial
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string what is wrong
function M.begin(sock, protocol, domain, deadline)
  local ok, message = protocols[protocol]({ sock = sock, deadline = deadline }, domain)
  if not ok then return nil, message == "closed" and "the server closed the connection" or message end
  if sock:dirty() then return nil, "the server sends more before TLS begins, which would count as said in it" end
  return true
end

return M
