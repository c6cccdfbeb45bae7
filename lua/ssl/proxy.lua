--- Tunnels through HTTP proxies by CONNECT (RFC 9110 section 9.3.6), for ssl.https. The proxy learns the name and
-- port of the server and its own credentials, nothing else of the request.
-- @module ssl.proxy

local mime = require "mime"
local address = require "ssl.address"
local dial = require "ssl.dial"
local failure = require("ssl.failure").of

local M = {
  --- Port of a proxy whose URL names none: LuaSocket's for http, that of https for https.
  PORT = 3128, TLSPORT = 443,
  --- Most bytes of a proxy's answer.
  MAXHEAD = 65536,
}

--- Takes the URL of a proxy apart.
-- @tparam string proxy "http://[user:password@]host[:port]", or the same with https, for TLS to the proxy
-- @tparam[opt] string auth a Proxy-Authorization header to use instead of the URL's user and password
-- @treturn[1] table host, port, tls (a boolean), auth (or nil), name (host:port, for messages)
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table detail
function M.parse(proxy, auth)
  if type(proxy) ~= "string" then
    return failure("config", "invalid proxy (string expected, got " .. type(proxy) .. ")")
  end
  local scheme = address.scheme(proxy)
  local tls, a, why = scheme == "https", nil, "no http:// or https:// URL"
  if tls or scheme == "http" then a, why = address.parse(proxy, tls and M.TLSPORT or M.PORT) end
  if not a then
    return failure("config", "invalid proxy (" .. why .. "): write http://host:port or http://user:password@host:port")
  end
  if not auth and a.user then auth = "Basic " .. (mime.b64(a.user .. ":" .. (a.password or ""))) end
  if auth and auth:find("%c") then
    return failure("config", "the credentials for the proxy have a line end or another control character in them")
  end
  return { host = a.host, port = a.port, tls = tls, auth = auth, name = address.hostport(a.host, a.port) }
end

local function request(proxy, target)
  local auth = proxy.auth and "Proxy-Authorization: " .. proxy.auth .. "\r\n" or ""
  return ("CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n"):format(target, target, auth)
end

local function broken(proxy, message)
  local said = "the proxy " .. proxy.name
  if message == "timeout" or message == "wantread" or message == "wantwrite" then
    return failure("timeout", said .. " did not answer in time", { proxy = proxy.name })
  end
  if message == "closed" or message == "unexpected eof while reading" then
    return failure("closed", said .. " closed the connection without an answer", { proxy = proxy.name })
  end
  return failure("system", said .. " failed: " .. message, { proxy = proxy.name })
end

-- A line without its end; byte by byte, lest a line that never ends be gathered. There is a buffer underneath.
local function readline(sock, deadline, room)
  local bytes = {}
  for i = 1, room do
    sock:settimeout(dial.left(deadline))
    local byte, message = sock:receive(1)
    if not byte then return nil, message end
    if byte == "\n" then return (table.concat(bytes):gsub("\r$", "")), i end
    bytes[i] = byte
  end
  return nil, "its answer is longer than " .. M.MAXHEAD .. " bytes"
end

-- The status of the answer: code and reason. Interim answers are passed over; what all of them may take is bounded.
local function readstatus(sock, deadline)
  local room = M.MAXHEAD
  local code, reason
  repeat
    local line, used = readline(sock, deadline, room)
    if not line then return nil, used end
    room = room - used
    if not code then
      code, reason = line:match("^HTTP/1%.%d (%d%d%d)%f[^%d]%s*(.*)$")
      if not code then return nil, "it did not answer with HTTP" end
    elseif line == "" then
      if code:sub(1, 1) ~= "1" then return tonumber(code), reason end
      code = nil
    end
  until false
end

-- The reason is the proxy's word: what cannot be shown is left out.
local function refused(proxy, target, code, reason)
  reason = reason:gsub("[^\32-\126]", "?"):sub(1, 100)
  local message = ("the proxy %s refused a connection to %s: %s"):format(proxy.name, target,
    reason ~= "" and code .. " " .. reason or code)
  if code == 407 then
    message = message .. (proxy.auth and "; it does not accept the user and password that it was given"
      or "; it wants a user and password: http://user:password@" .. proxy.name)
  end
  return failure("protocol", message, { status = code, proxy = proxy.name })
end

local function negotiate(sock, proxy, target, deadline)
  sock:settimeout(dial.left(deadline))
  local ok, message = sock:send(request(proxy, target))
  if not ok then return broken(proxy, message) end
  local code, reason = readstatus(sock, deadline)
  if not code then return broken(proxy, reason) end
  if code < 200 or code > 299 then return refused(proxy, target, code, reason) end
  -- The server waits for us to begin: whatever is there is the proxy's own, and would be lost with LuaSocket's buffer.
  if sock:dirty() then return broken(proxy, "it sent more than its answer") end
  return true
end

--- What to answer when the proxy cannot be reached.
-- @tparam table proxy of parse
-- @tparam string message
-- @tparam table detail of what failed
-- @treturn nil
-- @treturn string message that names the proxy
-- @treturn table detail, with proxy
function M.unreachable(proxy, message, detail)
  local fields = {}
  for k, v in pairs(detail) do fields[k] = v end
  if fields.kind == "want" then -- its TLS did not get done in time
    fields.kind, fields.reason, message = "timeout", "timeout", "timeout"
  end
  fields.proxy, fields.reason = proxy.name, fields.reason or message
  return failure(fields.kind, ("cannot connect to the proxy %s: %s"):format(proxy.name, message), fields)
end

--- Opens a tunnel to a server.
-- @param sock connected to the proxy: LuaSocket's object or a TLS connection; closed on failure
-- @tparam table proxy of parse
-- @tparam string host of the server: name or IP address; the proxy looks it up
-- @tparam number port
-- @tparam number deadline see ssl.dial
-- @return[1] sock, which leads to the server now
-- @treturn[2] nil
-- @treturn[2] string message, which names the proxy and its status
-- @treturn[2] table detail, with proxy and, when it refused, status
function M.tunnel(sock, proxy, host, port, deadline)
  local ok, message, detail = negotiate(sock, proxy, address.hostport(host, port), deadline)
  if ok then return sock end
  sock:close()
  return nil, message, detail
end

return M
