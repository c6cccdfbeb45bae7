--- I/O contexts of the mbedtls facade: an engine, and the program's callbacks that carry its bytes. The callbacks run
-- under no C function, so that they may yield. What differs between the two dialects is the word for the peer's
-- close_notify.
-- @module mbedtls.context

local guard = require "ssl.guard"
local ssl = require "ssl"
local config = require "mbedtls.config"

local M = {}

local HEADER = 5 -- bytes of a record's header, the last two of which are the length of its body
local DATAGRAM = 16717 -- the largest datagram that mbedTLS asks for
local RECORD = 16384 -- most bytes in one record

-- Context -> its state.
local known = setmetatable({}, { __mode = "k" })

local Context = {}

-- Results that leave a context as it is.
local INVALID = "invalid operation"

-- ---- life

-- A fresh start. Without memory for one the context is stale, and what comes next tries again: what was must not go on.
local function renew(self)
  self.unsent, self.owed, self.record, self.held, self.peerid = "", nil, "", nil, nil
  self.listened, self.started, self.connected = false, false, false
  if self.engine and not self.stale and self.engine:reset() then return true end
  local ctx, message = config.contextof(self.config, self.hostname)
  local engine
  if ctx then engine, message = ssl.engine(ctx) end
  if engine then
    self.engine, self.stale = engine, false
    return true
  end
  if self.engine then self.engine:close() end
  self.stale = true
  return nil, message
end

local function fresh(self)
  if self.started or not self.stale then return true end
  return renew(self)
end

-- ---- callbacks

-- Calls one with the reference before its argument. True, result; or nil, what it raised, in a table.
local function call(self, f, argument)
  local ok, result
  if self.ref ~= nil then
    ok, result = guard.call(f, self.ref, argument)
  else
    ok, result = guard.call(f, argument)
  end
  if ok then return true, result end
  return nil, { raised = result }
end

-- Hands all that the engine has to say to the write callback. True; or nil, message.
local function flush(self)
  while true do
    if self.unsent == "" then self.unsent = self.engine:drain() end
    if self.unsent == "" then return true end
    local ok, n = call(self, self.wcb, self.unsent)
    if not ok then return nil, n end
    if type(n) ~= "number" or n % 1 ~= 0 or n < 0 or n > #self.unsent then return nil, "invalid write result" end
    if n == 0 then return nil, "want-write" end
    self.unsent = self.unsent:sub(n + 1)
  end
end

-- How many bytes to ask for: of TLS what the record at hand lacks, and never one more, for which a callback that blocks
-- would wait.
local function lacking(self)
  if self.config.dtls then return DATAGRAM end
  local record = self.record
  if #record < HEADER then return HEADER - #record end
  local high, low = record:byte(4, 5)
  return HEADER + high * 256 + low - #record
end

local function ask(self)
  local size = lacking(self)
  local ok, data = call(self, self.rcb, size)
  if not ok then return nil, data end
  if type(data) ~= "string" or #data > size then return nil, "invalid read result" end
  if data == "" then return nil, "want-read" end
  return data
end

local function fill(self)
  local data, message = self.held, nil
  self.held = nil
  if not data then data, message = ask(self) end
  if not data then return nil, message end
  if not self.config.dtls then
    self.record = self.record .. data
    if #self.record >= HEADER and lacking(self) == 0 then self.record = "" end
  end
  return self.engine:feed(data)
end

-- ---- one operation

-- Whatever is none of the words that leave a context alone resets it, after the peer has been sent the alert. A
-- connection that has failed before says "closed", which is one of them: the reason is what it was.
local function fail(self, message, detail)
  if detail and detail.kind == "closed" then return nil, self.closed end
  flush(self)
  renew(self)
  return nil, message == "closed" and detail and detail.reason or message
end

-- Runs step() until it is done, carrying bytes. step answers a result, or nil or false, message, detail.
local function pump(self, step)
  local timer = self.config.dtls and self.engine:dtlstimeout()
  if timer == 0 then self.engine:handletimeout() end
  while true do
    local result, message, detail = step()
    -- What is fatal is said now, even if the alert does not get out: asked again, the engine would not tell it.
    if not result and message ~= "wantread" and message ~= "wantwrite" then return fail(self, message, detail) end
    local ok, why = flush(self)
    if not ok then
      if result then return result, why end
      return nil, why
    end
    if result then return result end
    if message == "wantread" then
      ok, why = fill(self)
      if not ok then return nil, why end
    end
  end
end

-- A server of DTLS has to know its peer before it answers: the first step of its handshake.
local function listen(self)
  if not self.held then
    local data, message = ask(self)
    if not data then return nil, message end
    self.held = data
  end
  if not self.peerid then return nil, INVALID end
  local ok, message, detail = self.engine:feed(self.held)
  self.held = nil
  if ok then ok, message, detail = self.engine:listen(self.peerid) end
  if ok then
    self.listened = true
    return true
  end
  if message == "wantread" then return nil, "want-read" end
  return fail(self, message == "retry" and "hello verification required" or message, detail)
end

local function shake(self)
  local engine = self.engine
  self.started = true
  local ok, why = pump(self, function() return engine:dohandshake() end)
  if ok and why then return nil, why end -- done, but the last flight is not out
  self.connected = ok or false
  return ok, why
end

-- What comes before read and write.
local function ready(self)
  local ok, message = fresh(self)
  if not ok then return nil, message end
  if self.config.dtls and self.config.server and not self.listened then
    if self.held then return nil, INVALID end
    local data, why = ask(self)
    if not data then return nil, why end
    self.held = data
    return nil, INVALID
  end
  return shake(self)
end

-- ---- methods

local function outofrange(name, position)
  error(("bad argument #%d to '%s' (value out of range)"):format(position, name), 0)
end

local function checknumber(name, position, value)
  local n = tonumber(value)
  if type(value) == "boolean" or not n then
    error(("bad argument #%d to '%s' (number expected, got %s)"):format(position, name, type(value)), 0)
  end
  return n
end

local function handshake(self)
  local ok, message = fresh(self)
  if not ok then return nil, message end
  if self.config.dtls and self.config.server and not self.listened then return listen(self) end
  return shake(self)
end

local function read(self, size)
  size = checknumber("read", 1, size)
  if size < 0 then outofrange("read", 1) end
  if size == 0 then return "" end
  local ok, message = ready(self)
  if not ok then return nil, message end
  local engine = self.engine
  local data, why = pump(self, function() return engine:read(math.min(size, RECORD)) end)
  return data, not data and why or nil
end

local function checkwhole(name, position, value)
  local n = checknumber(name, position, value)
  if n % 1 ~= 0 then
    error(("bad argument #%d to '%s' (whole number expected, got %s)"):format(position, name, n), 0)
  end
  return n
end

-- The range of data that write was given: first, last.
local function range(data, pos, len)
  if type(data) == "number" then data = tostring(data) end
  if type(data) ~= "string" then
    error(("bad argument #1 to 'write' (string expected, got %s)"):format(type(data)), 0)
  end
  pos = pos == nil and 1 or checkwhole("write", 2, pos)
  if pos < 1 or pos > #data + 1 then outofrange("write", 2) end
  len = len == nil and #data - pos + 1 or checkwhole("write", 3, len)
  if len < 0 or len > #data - pos + 1 then outofrange("write", 3) end
  return data, pos, len
end

-- A record that the callback has not taken whole is owed: the next write, whatever its data, goes on with it.
local function settle(self)
  local ok, message = flush(self)
  if not ok then return nil, message end
  local n = self.owed
  self.owed = nil
  return n
end

local function write(self, data, pos, len)
  data, pos, len = range(data, pos, len)
  if self.owed then return settle(self) end
  if len == 0 then return 0 end
  if self.config.dtls and len > RECORD then return nil, INVALID end
  local ok, message = ready(self)
  if not ok then return nil, message end
  local engine = self.engine
  local last, why = pump(self, function()
    local sent, wrong, _, detail = engine:write(data, pos, pos + math.min(len, RECORD) - 1)
    return sent, wrong, detail
  end)
  if not last then return nil, why end
  local n = math.floor(last - pos + 1) -- a whole number's type, where Lua has one
  if why then
    self.owed = n
    return nil, why
  end
  return n
end

local function closenotify(self)
  if not self.connected then return true end
  local ok, message, detail = self.engine:shutdown()
  if not ok and message ~= "wantread" and message ~= "wantwrite" then return fail(self, message, detail) end
  return flush(self)
end

-- A method of a context: not while one of its own callbacks runs. What a callback raised is returned.
local function finish(self, ok, result, ...)
  self.busy = false
  if not ok then error(result, 0) end
  local message = ...
  if result == nil and type(message) == "table" and select("#", ...) > 0 then return nil, message.raised end
  return result, ...
end

local function check(ctx, name)
  local self = known[ctx]
  if not self then
    error(("bad argument #1 to '%s' (mbedtls.ssl.context expected, got %s)"):format(name, type(ctx)), 3)
  end
  if self.busy then error("context is busy", 3) end
  return self
end

local function method(name, f)
  Context[name] = function(ctx, ...)
    local self = check(ctx, name)
    self.busy = true
    return finish(self, guard.call(f, self, ...))
  end
end

--- mbed:handshake() -> true | nil, message
-- Shakes hands. "want-read" or "want-write", here and below: the function answered "" or took nothing; call again. A
-- server of DTLS answers "hello verification required" when it has asked for a cookie.
method("handshake", handshake)
--- mbed:read(size: integer) -> data: string | nil, message
-- Up to size bytes, after the handshake, which it does first where it is to be done. "close-notify" at the end of the
-- stream; "closed" with `require "mbedtls.ssl"`.
method("read", read)
--- mbed:write(data: string [, pos: integer [, len: integer]]) -> sent: integer | nil, message
-- Sends len bytes of data from pos on, a record at the most; answers how many were sent.
method("write", write)
--- mbed:closenotify() -> true | nil, message
--- mbed:close() -> true | nil, message
-- Sends close_notify.
method("closenotify", closenotify)
method("close", closenotify)

--- mbed:gettimeout() -> seconds: number | nil
-- DTLS: seconds until the last flight is to be sent again by a call; nil when no timer runs.
function Context:gettimeout()
  self = check(self, "gettimeout")
  if not self.config.dtls then return nil end
  return (self.engine:dtlstimeout())
end

local function checkcallbacks(name, position, rcb, wcb)
  for i, f in pairs { rcb == nil, wcb == nil } do
    if f then error(("bad argument #%d to '%s' (value is nil)"):format(position + i - 1, name), 3) end
  end
end

--- mbed:setbio(read: function, write: function [, ref: any]) -> nothing
-- Other functions in place of newcontext's.
function Context:setbio(rcb, wcb, ref)
  self = check(self, "setbio")
  checkcallbacks("setbio", 1, rcb, wcb)
  self.rcb, self.wcb, self.ref = rcb, wcb, ref
end

--- mbed:setpeerid(id: string|number) -> nothing
-- What tells a client of a DTLS server apart, such as address and port.
function Context:setpeerid(id)
  self = check(self, "setpeerid")
  if not self.config.dtls or not self.config.server then error("operation not supported", 2) end
  if type(id) ~= "string" and type(id) ~= "number" then
    error(("bad argument #1 to 'setpeerid' (string expected, got %s)"):format(type(id)), 2)
  end
  self.peerid = tostring(id)
end

--- mbed:sethostname(name: string|nil) -> nothing
-- The server's name: sent as SNI, and verified with CA certificates; nil: none.
function Context:sethostname(...)
  self = check(self, "sethostname")
  if self.config.server then error("operation not supported", 2) end
  if select("#", ...) == 0 then error("bad argument #1 to 'sethostname' (value expected)", 2) end
  local name = ...
  if name ~= nil and type(name) ~= "string" then
    error(("bad argument #1 to 'sethostname' (string expected, got %s)"):format(type(name)), 2)
  end
  local ok, message = config.contextof(self.config, name)
  if not ok then error(message, 2) end
  self.hostname, self.stale = name, true
  ok, message = fresh(self) -- a session that has begun keeps the name it had
  if not ok then error(message, 2) end
end

--- mbed:reset() -> nothing
-- Makes the context new, for another connection.
function Context:reset()
  renew(check(self, "reset"))
end

-- ----

local meta = { __metatable = false, __name = "mbedtls.ssl.context", __index = Context }

--- Makes a context.
-- @param handle of a configuration
-- @tparam function rcb
-- @tparam function wcb
-- @param[opt] ref passed to both before their argument when it is not nil
-- @tparam string closed the dialect's word for the peer's close_notify
-- @return the context
-- @raise handle is none, a callback is nil
function M.new(handle, rcb, wcb, ref, closed)
  local cfg = config.of(handle)
  if not cfg then
    error(("bad argument #1 to 'newcontext' (mbedtls.ssl.config expected, got %s)"):format(type(handle)), 3)
  end
  checkcallbacks("newcontext", 2, rcb, wcb)
  local self = { config = cfg, rcb = rcb, wcb = wcb, ref = ref, closed = closed, busy = false, handle = handle }
  local ok, message = renew(self)
  if not ok then error(message, 3) end
  local ctx = setmetatable({}, meta)
  known[ctx] = self
  return ctx
end

return M
