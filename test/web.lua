-- What the specs of ssl.https need: servers and proxies in other processes, since its requests block, and what they
-- saw.

local socket = require "socket"
local S = require "support"
local https = require "ssl.https"
local ltn12 = require "ltn12"

local M = {}

local peer = {}
peer.__index = peer

local function start(command, connections)
  local child = assert(io.popen(command, "r"))
  local port = assert(child:read("*l"), "the peer did not start")
  return setmetatable({ child = child, port = tonumber(port), connections = connections }, peer)
end

local function quote(text) return "'" .. text .. "'" end

local function lua(file) return S.interpreter() .. " " .. file end

--- A server that follows the scripts of test/peer/scripted.lua, one a connection. The first argument may be a table
-- with the name of its certificate.
function M.scripted(...)
  local scripts, cert = { ... }, "serverA"
  if type(scripts[1]) == "table" then cert = table.remove(scripts, 1)[1] end
  local command = lua("test/peer/scripted.lua") .. " " .. cert
  for _, script in ipairs(scripts) do command = command .. " " .. quote(script) end
  return start(command, #scripts)
end

--- An HTTP proxy for so many connections; with the name of a certificate, one that speaks TLS.
function M.proxy(count, credentials, cert)
  local command = ("%s %d %s %s"):format(lua("test/peer/proxy.lua"), count, quote(credentials or ""), cert or "")
  return start(command, count)
end

local function unescape(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

--- Ends the peer and answers what it printed of each connection, as an array. Connections that it still waits for come
-- from here, and print an empty line.
function peer:ended()
  for _ = 1, self.connections do
    local sock = socket.tcp()
    sock:settimeout(2)
    local ok = sock:connect("127.0.0.1", self.port)
    sock:close()
    if not ok then break end
  end
  local lines = {}
  for line in self.child:lines() do lines[#lines + 1] = unescape(line) end
  self.child:close()
  self.child = nil
  return lines
end

--- The first line of what it printed.
function peer:saw() return self:ended()[1] end

--- A URL of the peer's.
function peer:url(path, host) return ("https://%s:%d%s"):format(host or "localhost", self.port, path or "/") end

--- Text as a step of a script has it.
function M.escape(text)
  return (text:gsub("[^%w]", function(c) return ("%%%02X"):format(c:byte()) end))
end

--- The step that sends an answer: status line, lines of the head, body.
function M.answer(status, head, body)
  local text = "HTTP/1.1 " .. status .. "\r\n"
  for _, line in ipairs(head) do text = text .. line .. "\r\n" end
  return "send=" .. M.escape(text .. "\r\n" .. (body or ""))
end

--- A script: handshake, a request, this answer, a proper end.
function M.serves(status, head, body) return "tls head " .. M.answer(status, head, body) .. " bye" end

--- The script that answers "hello".
M.hello = M.serves("200 OK", { "Content-Length: 5" }, "hello")

--- The script that redirects.
function M.redirects(to, code)
  return M.serves((code or 302) .. " Moved", { "Location: " .. to, "Content-Length: 4" }, "body")
end

--- A request that trusts rootA. Answers what https.request does, with the body in place of 1; and what went into the
-- sink.
function M.get(url, extra)
  local chunks = {}
  local request = { url = url, cafile = S.cert("rootA"), sink = ltn12.sink.table(chunks), timeout = 15 }
  for k, v in pairs(extra or {}) do request[k] = v end
  local ok, code, headers, status = https.request(request)
  local body = table.concat(chunks)
  return ok and body, code, headers, status, body
end

return M
