--- TLS over any object that has send and receive as LuaSocket's do: another TLS connection, a serial line, a
-- WebSocket. An engine does the TLS, here its bytes are carried. What wrap returns has the connection's methods, with
-- LuaSocket's manners. No C frame is above the object's methods: they may yield, so that one coroutine reads while
-- another writes.
-- @module ssl.tunnel

local core = require "ssl.core"
local guard = require "ssl.guard"

local M = {}

local HEADER = 5 -- bytes before a record's body, the last two of which are its length: RFC 8446 section 5.1
local PIECE = 65536 -- bytes handed to the engine at once, well below what may wait in it

local CUT = "the file ended early: it was cut short while it was sent"

local waits = { timeout = true, wantread = true, wantwrite = true }

local refusals = { dohandshake = false } -- where others answer nil
local writing = { kind = "want", reason = "wantwrite" }

local Tunnel = {}

-- ---- carrying bytes

-- Only one coroutine at a time reads from the object, and one writes. The main one cannot be waiting meanwhile, nor can
-- a dead one, nor one that nobody can resume any more: `at` holds it weakly.
local function occupied(self, role)
  local by = self.at[role]
  return by and by ~= coroutine.running() and coroutine.status(by) ~= "dead"
end

local function finish(self, role, ok, ...)
  self.at[role] = nil
  if not ok then error((...), 0) end
  return ...
end

-- Calls f with the coroutine that runs as reader or writer.
local function alone(self, role, f, ...)
  local co, main = coroutine.running()
  self.at[role] = not main and co or nil
  return finish(self, role, guard.call(f, self, ...))
end

-- Both timeouts run from the beginning of the call; nil: no end. `at once`: whatever they say.
local function settime(self, started, atonce)
  local seconds = atonce and 0 or self.block
  if self.total then
    local left = math.max(0, self.total - (core.now() - started))
    if not seconds or left < seconds then seconds = left end
  end
  local object = self.object
  if object.settimeout then object:settimeout(seconds) end
end

local function sendall(self, started)
  while true do
    if not self.unsent then
      self.unsent, self.from = self.engine:drain(PIECE), 1
      if self.unsent == "" then
        self.unsent = nil
        return true
      end
    end
    settime(self, started)
    local last, message, partial = self.object:send(self.unsent, self.from)
    if not last then
      self.from = math.max(self.from, (tonumber(partial) or 0) + 1)
      message = message or "closed"
      if not waits[message] then self.cut = message end
      return nil, message
    end
    self.unsent = nil
  end
end

-- Sends what the engine has to say. True; or nil, message: what is left goes with the next call.
local function flush(self, started)
  if occupied(self, "writer") then return true end -- that one goes on until all is sent
  return alone(self, "writer", sendall, started)
end

-- Bytes of the record that begins at `at`, whose header is there.
local function size(bytes, at)
  local high, low = bytes:byte(at + 3, at + 4)
  return HEADER + high * 256 + low
end

-- How many bytes the record at hand still lacks: an object that blocks must not be asked for one more.
local function lacking(record)
  return (#record < HEADER and HEADER or size(record, 1)) - #record
end

-- What is left of the last record, of which an object that does not count may have given more than it was asked for.
-- The peer decides how many records that are: the string is cut once, at the end.
local function unfinished(record)
  local at = 1
  while #record - at + 1 >= HEADER and #record - at + 1 >= size(record, at) do at = at + size(record, at) end
  return record:sub(at)
end

local function take(self)
  if self.streams then return self.object:read() end
  local bytes, message, partial = self.object:receive(lacking(self.record))
  bytes = bytes or partial
  if bytes and type(bytes) ~= "string" then
    return nil, ("the object's receive gave a %s: it has to give a string"):format(type(bytes))
  end
  if bytes and bytes ~= "" then self.record = unfinished(self.record .. bytes) end
  return bytes, message
end

-- Feeds the engine something of what the peer sent, or has sent already. True; or nil, message.
local function fill(self, started, atonce)
  if occupied(self, "reader") then return nil, "timeout" end
  local bytes, from, message = self.held, self.heldfrom, nil
  if not bytes then
    from = 1
    settime(self, started, atonce)
    bytes, message = alone(self, "reader", take)
  end
  if not bytes or bytes == "" then return nil, message or "closed" end
  local last = from + PIECE - 1
  self.held, self.heldfrom = last < #bytes and bytes or nil, last + 1
  return self.engine:feed(bytes:sub(from, last))
end

-- Is the time for the whole call over? An object that never pauses would not tell.
local function late(self, started)
  return self.total and self.total > 0 and core.now() - started >= self.total
end

-- Carries bytes until the engine can go on that said `want` (nil: it has done its work). False: the time is over. What
-- the object does not take now must not keep it from being read: the peer may send all that it has before it reads.
local function progress(self, want, started)
  local ok, message = flush(self, started)
  if want and (ok or waits[message]) and late(self, started) then return false end
  if want == "wantread" and (ok or waits[message]) then ok, message = fill(self, started, not ok) end
  if ok then return not (want == "wantwrite" and occupied(self, "writer")) end
  if waits[message] or self.ended then return false end
  self.ended = true
  if message ~= "closed" then self.failure = tostring(message) end
  self.engine:feedeof() -- the engine tells what an end at this point means
  return true
end

-- What the object said of its failure, instead of the end that the engine saw.
local function explain(self, message, detail)
  local kind = self.failure and detail and detail.kind
  if kind ~= "truncated" and kind ~= "closed" then return message, detail end
  self.last = { kind = "system", reason = self.failure }
  return self.failure, self.last
end

-- Calls a method of the engine until it no longer wants anything, or the time is over; for methods that begin anew when
-- they are called again, and whose message is their second result. One that would answer true has its bytes sent first;
-- one that waits for the peer, while the peer waits for those, says so.
local function drive(name)
  return function(self, ...)
    local started, engine = core.now(), self.engine
    local method = engine[name]
    while true do
      local result, message, third, fourth = method(engine, ...)
      local want = not result and waits[message] and message or nil
      local again = progress(self, want, started)
      if result == true and not again and not self.ended then return refusals[name], "wantwrite", writing end
      if not result and not want then message, third = explain(self, message, third) end
      if want == "wantread" and not again and self.unsent and name ~= "read" then
        message, third = "wantwrite", writing
      end
      if not want or not again then return result, message, third, fourth end
    end
  end
end

-- ---- methods

Tunnel.dohandshake = drive "dohandshake"
Tunnel.read = drive "read"
Tunnel.shutdown = drive "shutdown"
Tunnel.keyupdate = drive "keyupdate"

-- "*a", a line (nil) or a number of bytes, in pieces: with what came so far as a prefix each time, the work would grow
-- with its square.
local function gather(self, pattern, count, prefix)
  local pieces, started = { prefix }, core.now()
  while true do
    local data, message, partial, detail = self.engine:receive(count or pattern)
    pieces[#pieces + 1] = data or partial
    if data then return table.concat(pieces), nil, nil end
    count = count and count - #partial
    if not waits[message] or not progress(self, message, started) then
      local all, ended = table.concat(pieces), message == "closed" and detail and detail.kind == "closed"
      if pattern == "*a" and ended and #all > #prefix and not self.closed then return all, nil, nil end
      message, detail = explain(self, message, detail)
      return nil, message, all, detail
    end
  end
end

local letters = { l = false, a = "*a" }

-- What gather is to get; nil when the engine has to say that there is no such pattern, or to keep to maxreceive.
local function understand(self, pattern, prefix)
  local letter = pattern == nil and "l" or type(pattern) == "string" and pattern:match("^%*([la])")
  if letter then return self.engine:getoption("maxreceive") == 0 and { pattern = letters[letter] or nil } end
  local count = tonumber(pattern)
  if not count or count < 0 or #prefix > 0 and #prefix >= math.floor(count) then return nil end
  return { count = count - #prefix }
end

--- As conn:receive.
function Tunnel:receive(pattern, prefix)
  local engine, started = self.engine, core.now()
  if type(prefix) == "number" then prefix = tostring(prefix) end
  if prefix == nil or type(prefix) == "string" then
    local known = understand(self, pattern, prefix or "")
    if known then return gather(self, known.pattern, known.count, prefix or "") end
  end
  while true do
    local data, message, partial, detail = engine:receive(pattern, prefix)
    if data or not waits[message] or not progress(self, message, started) then
      if not data then message, detail = explain(self, message, detail) end
      return data, message, partial, detail
    end
    prefix = partial
  end
end

-- The first and the last index that send's arguments mean; nil when they are none.
local function span(data, i, j)
  local first, last = tonumber(i or 1), tonumber(j or -1)
  if type(data) ~= "string" or not first or not last or first ~= first or last ~= last then return nil end
  if first < 0 then first = first + #data + 1 end
  if last < 0 then last = last + #data + 1 end
  return math.max(1, first), math.max(0, math.min(last, #data))
end

-- Bytes that the engine has taken but the object has not do not count as sent yet: `owed` of them are on the way, of
-- which the program may offer fewer when it comes back.
local function sendrange(self, name, started, data, first, final)
  local engine = self.engine
  local method = engine[name]
  while true do
    local known = math.min(self.owed, math.max(0, final - first + 1))
    local last, message, sent, detail = method(engine, data, first + known, final)
    local upto = last or sent
    local want = waits[message] and message or (not message and "flush") or nil
    if message and not want then
      flush(self, started)
      return nil, message, upto - known, detail
    end
    local ok = progress(self, want ~= "flush" and want or nil, started)
    if self.cut then return nil, self.cut, first - 1, { kind = "closed", reason = self.cut } end
    local unsent = self.unsent or engine:pendingout() > 0
    self.owed = self.owed - known
    if unsent and not ok then
      self.owed = self.owed + math.max(0, upto - first + 1)
      return nil, "wantwrite", first - 1, detail
    end
    if last then return last, nil, nil end
    if not ok then return nil, message, upto, detail end
    first = upto + 1
  end
end

local function sending(name)
  return function(self, data, i, j)
    if type(data) == "number" then data = tostring(data) end
    local first, final = span(data, i, j)
    if not first then return self.engine[name](self.engine, data, i, j) end
    return sendrange(self, name, core.now(), data, first, final)
  end
end

--- As conn:send and conn:write.
Tunnel.send = sending "send"
Tunnel.write = sending "write"

--- As conn:sendfile.
function Tunnel:sendfile(file, offset, count)
  local started, sent = core.now(), 0
  local ok, message, _, detail = self.engine:sendfile(file, offset, 0)
  if not ok then return nil, message, 0, detail end
  local status
  status, message, detail = core.filestatus(file)
  if not status then return nil, message, 0, detail end
  offset, count = tonumber(offset) or 0, count ~= -1 and count or nil
  local left = status.size - offset
  if count and not (tonumber(count) and count <= left) then return self.engine:sendfile(file, offset, count) end
  left = tonumber(count) or left
  while sent < left do
    local block, last
    if sent > 0 and late(self, started) then return nil, "wantwrite", sent, writing end
    block, message, detail = core.readat(file, math.min(PIECE, left - sent), offset + sent)
    if block == "" then
      return nil, CUT, sent, { kind = "system", reason = CUT }
    elseif not block then
      return nil, message, sent, detail
    end
    last, message, ok, detail = sendrange(self, "send", started, block, 1, #block)
    if not last then return nil, message, sent + ok, detail end
    sent = sent + last
  end
  return sent
end

--- As an engine's reset: the object stays, and whatever was on its way is forgotten.
function Tunnel:reset()
  local ok, message, detail = self.engine:reset()
  if not ok then return ok, message, detail end
  self.record, self.owed = "", 0
  self.held, self.unsent, self.ended, self.failure, self.last, self.cut = nil, nil, nil, nil, nil, nil
  return true
end

--- As conn:lasterror.
function Tunnel:lasterror()
  return self.last or self.engine:lasterror()
end

--- As conn:settimeout.
function Tunnel:settimeout(seconds, mode)
  self.engine:settimeout(seconds, mode) -- looks at the arguments
  local block, total = self.engine:gettimeout()
  self.block, self.total = block >= 0 and block or nil, total >= 0 and total or nil
  return 1
end

function Tunnel:gettimeout() return self.block or -1, self.total or -1 end

--- Is there something to read that select on the object's descriptor would not tell of?
function Tunnel:dirty()
  local object = self.object
  return self.held ~= nil or self.engine:dirty() or (object.dirty and object:dirty()) or false
end

--- Sends close_notify if that needs no waiting, and closes the object.
function Tunnel:close()
  self.engine:close()
  self.closed, self.block, self.total = true, 0, nil
  local ok, raised = true, nil
  if not self.ended then ok, raised = guard.call(flush, self, core.now()) end
  if self.object.close then self.object:close() end
  if not ok then error(raised, 0) end
end

-- Of the socket below, where there is one.
for _, name in ipairs { "getfd", "getsockname", "getpeername", "getfamily" } do
  Tunnel[name] = function(self)
    local method = self.object[name]
    if method then return method(self.object) end
    return self.engine[name](self.engine)
  end
end

local limits = { maxreceive = true, maxinput = true, maxoutput = true }

for _, name in ipairs { "getoption", "setoption" } do
  Tunnel[name] = function(self, option, value)
    local target = self.engine
    if not limits[option] and self.object[name] then target = self.object end
    return target[name](target, option, value)
  end
end

local meta = { __name = "SSL:Tunnel", __index = Tunnel }

meta.__tostring = function(self) return "SSL tunnel over " .. tostring(self.object) end
meta.__close = function(self) self:close() end

-- All other methods are the engine's.
local function complete(engine)
  for name, method in pairs(getmetatable(engine).__index) do
    if Tunnel[name] == nil then
      Tunnel[name] = function(self, ...) return method(self.engine, ...) end
    end
  end
end

--- Puts TLS on an object. Does no I/O: call dohandshake next.
-- @param engine what ssl.engine gave
-- @param object has send(data, i) and receive(n) as LuaSocket's tcp objects; settimeout and close are used when it has
-- them. Without settimeout the object's own patience counts.
-- @treturn table with the methods of a connection
function M.wrap(engine, object)
  complete(engine)
  local streams = object.lasterror ~= nil and object.read ~= nil -- one of ours, whose read takes what is there
  local at = setmetatable({}, { __mode = "v" })
  return setmetatable({ engine = engine, object = object, streams = streams, at = at, record = "", owed = 0 }, meta)
end

return M
