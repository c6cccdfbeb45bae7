--- The wire format of one HTTP/1.1 exchange on a TLS connection (RFC 9112): a request out, the head of the answer in,
-- and a source for its body that tells a complete body from one that was cut short. Which request to make and what to
-- do with the answer is ssl.https' business. Nothing here raises; failures are nil, message, detail.
-- @module ssl.http1

local ltn12 = require "ltn12"
local canonic = require("socket.headers").canonic
local trim = require("ssl.address").trim
local dial = require "ssl.dial"
local failure = require "ssl.failure"

local refuse = failure.of

local M = {
  --- Most bytes of one line of the head, and of all of it; most lines; most interim answers (1xx).
  MAXLINE = 65536, MAXHEAD = 262144, MAXLINES = 1000, MAXINTERIM = 32,
}

local SLICE = 65536

-- ---- a connection whose every wait ends at one deadline

local link = {}
link.__index = link

--- Binds a connection to a deadline. Its block timeout stays as it is.
-- @param conn a TLS connection, for one exchange
-- @tparam number deadline see ssl.dial
-- @treturn table with the methods request, answer and body
function M.link(conn, deadline)
  conn:setoption("maxreceive", M.MAXLINE)
  return setmetatable({ conn = conn, deadline = deadline, room = M.MAXHEAD, lines = 0 }, link)
end

-- What comes or goes without a wait is not ended by a connection's timeout: a peer that never pauses is, here.
function link:arm()
  local left = dial.left(self.deadline)
  self.conn:settimeout(left, "t")
  if left <= 0 then return refuse("timeout", "timeout") end
  return true
end

function link:failed(message, detail)
  if detail and detail.kind == "want" and dial.over(self.deadline) then return refuse("timeout", "timeout") end
  return nil, message, detail
end

-- In slices, so that the block timeout is for each of them and a slow line may still carry a long string.
function link:send(data)
  for first = 1, #data, SLICE do
    local ok, message, detail = self:arm()
    if not ok then return nil, message, detail end
    local _
    ok, message, _, detail = self.conn:send(data, first, math.min(first + SLICE - 1, #data))
    if not ok then return self:failed(message, detail) end
  end
  return true
end

function link:line()
  local ok, late, why = self:arm()
  if not ok then return nil, late, why end
  local line, message, _, detail = self.conn:receive("*l")
  if line then return line end
  if detail.kind ~= "config" then return self:failed(message, detail) end
  return refuse("protocol", ("a line of the server's answer is longer than %d bytes"):format(M.MAXLINE))
end

-- A line of the head, which is bounded as a whole too.
function link:headline()
  local line, message, detail = self:line()
  if not line then return nil, message, detail end
  self.room, self.lines = self.room - #line, self.lines + 1
  if self.room < 0 or self.lines > M.MAXLINES then
    return refuse("protocol", "the head of the server's answer does not end")
  end
  return line
end

function link:read(max)
  local ok, late, why = self:arm()
  if not ok then return nil, late, why end
  local data, message, detail = self.conn:read(max)
  if not data then return self:failed(message, detail) end
  return data
end

-- ---- the request

local function checkfield(name, value)
  if name == "" or name:find("[%c%s:]") then
    return nil, ("invalid name of a header field: '%s'"):format((name:gsub("%c", "?")))
  end
  if value:find("[\r\n%z]") then
    return nil, "the header field " .. name .. " has a line end or a NUL in it"
  end
  return true
end

-- A whole number is written without a fraction and without an exponent, whatever Lua's version makes of it.
local function text(value)
  if type(value) == "number" and value % 1 == 0 then return ("%.0f"):format(value) end
  return tostring(value)
end

-- The number that a content-length announces: digits only, as the server will read it.
local function announced(value)
  local digits = text(value)
  return #digits <= 15 and digits:find("^%d+$") and tonumber(digits)
end

local function head(method, target, headers)
  local names, lines = {}, {}
  for name in pairs(headers) do
    if name ~= "host" then names[#names + 1] = name end
  end
  table.sort(names)
  table.insert(names, 1, headers.host and "host")
  for i, name in ipairs(names) do
    local value = text(headers[name])
    local ok, message = checkfield(name, value)
    if not ok then return nil, message end
    lines[i] = (canonic[name] or name) .. ": " .. value .. "\r\n"
  end
  if method:find("[%c%s]") or target:find("[%c ]") then
    return nil, "the method or the path of the request has a blank, a line end or another control character in it"
  end
  return ("%s %s HTTP/1.1\r\n%s\r\n"):format(method, target, table.concat(lines))
end

-- A failure inside a source or a sink, which gives only the message on.
local function fail(self, message, detail)
  self.message, self.detail = message, detail
  return nil, message
end

local function put(self, data)
  local ok, message, detail = self:send(data)
  if not ok then return fail(self, message, detail) end
  return 1
end

-- What a source gives, as a string; LuaSocket takes numbers for one, too.
local function bytes(chunk)
  local kind = type(chunk)
  if kind == "string" or not chunk then return chunk or nil end
  if kind == "number" then return tostring(chunk) end
  return nil, "the source gave a " .. kind .. ", not a string"
end

-- Sends what the source gives. The end of chunks is sent only when the source has ended well.
local function chunkedsink(self)
  return function(given, err)
    local chunk, wrong = bytes(given)
    if chunk == "" then return 1 end
    if not chunk and (wrong or err) then return nil, wrong or err end
    return put(self, chunk and ("%X\r\n%s\r\n"):format(#chunk, chunk) or "0\r\n\r\n")
  end
end

-- Bytes beyond the length would be the beginning of another request to the server.
local function countedsink(self, length)
  local sent = 0
  local function wrong(n) return nil, ("the source gave %d bytes where content-length says %d"):format(n, length) end
  return function(given, err)
    local chunk, no = bytes(given)
    if not chunk then
      if no or err then return nil, no or err end
      if sent < length then return wrong(sent) end
      return 1
    end
    sent = sent + #chunk
    if sent > length then return wrong(sent) end
    return put(self, chunk)
  end
end

-- Runs a source into a sink. Errors that are not the connection's own are those of the caller's functions; a sink that
-- answers nil without a message wants no more, and that is no failure.
local function pump(self, source, sink, step)
  self.message, self.detail = nil, nil
  local ok, message = ltn12.pump.all(source, sink, step or ltn12.pump.step)
  if ok then return true end
  if message == self.message then return nil, message, self.detail end
  return refuse("callback", message)
end

--- Sends a request.
-- @tparam table request method, target, headers (names in lower case), and, for a body, source and step
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table detail
function link:request(request)
  local lines, wrong = head(request.method, request.target, request.headers)
  if not lines then return refuse("config", wrong) end
  local said = request.headers["content-length"]
  local length = said and announced(said)
  if said and not length then return refuse("config", "invalid content-length (a number of bytes expected)") end
  local ok, message, detail = self:send(lines)
  if not ok then return nil, message, detail end
  if not request.source then return true end
  return pump(self, request.source, length and countedsink(self, length) or chunkedsink(self), request.step)
end

-- ---- the head of the answer

local function add(headers, name, value)
  headers[name] = headers[name] and headers[name] .. ", " .. value or value
end

-- Name and value of a header line; no name where there is none.
local function field(line)
  local colon = line:find(":", 1, true)
  if not colon then return nil end
  local name = line:sub(1, colon - 1):match("^.*%S")
  return name, trim(line:sub(colon + 1))
end

-- Header fields up to the empty line. A line that begins with a blank goes on with the field before it.
local function fields(self, headers)
  local name, value
  while true do
    local line, message, detail = self:headline()
    if not line then return nil, message, detail end
    if name and line:find("^[ \t]") then
      value = value .. " " .. trim(line)
    else
      if name then add(headers, name, value) end
      if line == "" then return headers end
      name, value = field(line)
      if not name then
        return refuse("protocol", "the server's answer has a header line without a name and a colon")
      end
      name = name:lower()
    end
  end
end

local function statusline(self)
  local line, message, detail = self:headline()
  if not line then return nil, message, detail end
  local code = line:match("^HTTP/1%.%d (%d%d%d)%f[^%d]")
  if not code then return refuse("protocol", "the server did not answer with HTTP") end
  return tonumber(code), line
end

--- Receives the head of the answer; interim ones are passed over.
-- @treturn[1] number status code
-- @treturn[1] table header fields, their names in lower case; equal names joined by commas
-- @treturn[1] string status line
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table detail
function link:answer()
  for _ = 0, M.MAXINTERIM do
    local code, status, detail = statusline(self)
    if not code then return nil, status, detail end
    local headers, message
    headers, message, detail = fields(self, {})
    if not headers then return nil, message, detail end
    if code >= 200 or code == 101 then return code, headers, status end
  end
  return refuse("protocol", "the server sends interim answers without end")
end

-- ---- the body of the answer: sources, each of which knows when the body is complete

local function cut(self, message, detail, what)
  local kind = detail and detail.kind
  if kind ~= "closed" and kind ~= "truncated" and kind ~= "system" then return fail(self, message, detail) end
  message = "the answer is cut short: " .. what
  return fail(self, message, { kind = "truncated", reason = message })
end

local function bylength(self, length)
  local got = 0
  return function()
    if got == length then return nil end
    local data, message, detail = self:read(math.min(length - got, 16384))
    if not data then
      return cut(self, message, detail, ("%.0f of %.0f bytes came before the connection ended"):format(got, length))
    end
    got = got + #data
    return data
  end
end

-- The alert is what tells the end from a connection that somebody else cut.
local function untilclosed(self)
  local ended
  return function()
    if ended then return nil end
    local data, message, detail = self:read(16384)
    if data then return data end
    ended = true
    if detail.kind == "closed" and message == "closed" then return nil end
    return cut(self, message, detail, "it has no length, and the connection ended without close_notify")
  end
end

local function chunksize(self)
  local line, message, detail = self:line()
  if not line then return cut(self, message, detail, "the connection ended before the last chunk") end
  local size = line:match("^%s*(%x+)%s*$") or line:match("^%s*(%x+)%s*;")
  if size and #size <= 12 then return tonumber(size, 16) end
  message = "the server's answer has an invalid chunk size"
  return fail(self, message, { kind = "protocol", reason = message })
end

local function endchunk(self)
  local line, message, detail = self:line()
  if line == "" then return true end
  if not line then return cut(self, message, detail, "the connection ended before the last chunk") end
  message = "the server's answer has a chunk that is longer than its size"
  return fail(self, message, { kind = "protocol", reason = message })
end

local function chunked(self, headers)
  local left, ended = 0, false
  local function begin()
    local size, message = chunksize(self)
    if not size then return nil, message end
    left = size
    if size > 0 then return true end
    ended = true
    local trailers, detail
    trailers, message, detail = fields(self, headers)
    if not trailers then return cut(self, message, detail, "the connection ended before the last line") end
    return true
  end
  return function()
    if left == 0 and not ended then
      local ok, message = begin()
      if not ok then return nil, message end
    end
    if ended then return nil end
    local data, message, detail = self:read(math.min(left, 16384))
    if not data then return cut(self, message, detail, "the connection ended inside a chunk") end
    left = left - #data
    if left == 0 then
      local ok
      ok, message = endchunk(self)
      if not ok then return nil, message end
    end
    return data
  end
end

-- RFC 9112 section 6.3: equal numbers may be repeated, all else is an error.
local function length(value)
  local number
  for item in (value .. ","):gmatch("([^,]*),") do
    local digits = trim(item)
    if not digits:find("^%d+$") or #digits > 15 then return nil end
    if number and number ~= tonumber(digits) then return nil end
    number = tonumber(digits)
  end
  return number
end

local function framing(self, headers)
  local coding = (headers["transfer-encoding"] or "identity"):lower()
  if coding ~= "identity" then
    if coding:find("^chunked%s*$") or coding:find("[,%s]chunked%s*$") then return chunked(self, headers) end
    return untilclosed(self)
  end
  local value = headers["content-length"]
  if not value then return untilclosed(self) end
  local number = length(value)
  if not number then return refuse("protocol", "the server's answer has an invalid content-length") end
  return bylength(self, number)
end

--- Receives the body of the answer into a sink; the trailers of a chunked one are added to the headers. Nothing goes
-- into the sink where there can be no body: for HEAD, 1xx, 204 and 304.
-- @tparam string method of the request
-- @tparam number code
-- @tparam table headers as answer gave them
-- @tparam function sink
-- @tparam[opt] function step as ltn12.pump.step
-- @treturn[1] boolean true: it is complete
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table detail; kind "truncated" when it was cut short
function link:body(method, code, headers, sink, step)
  if method == "HEAD" or code < 200 or code == 204 or code == 304 then return true end
  local source, message, detail = framing(self, headers)
  if not source then return nil, message, detail end
  return pump(self, source, sink, step)
end

return M
