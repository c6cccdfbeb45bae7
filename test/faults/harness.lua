-- What the scenarios of the fault driver are made of: calls whose answers are looked at, and what is asked of every
-- object once the fault is over. Its own words in place of assert, since a raised error is a finding here, and memory
-- may be short.

local faults = rawget(_G, "faults") -- the driver's functions

local M = { faults = faults, cert = function(name) return "build/certs/" .. name .. ".pem" end }

local STOP = { "stopped" } -- raised when a call has failed as it may
local reason = "no reason"
local objects, count = {}, 0

local function memory(e) return type(e) == "string" and e:find("not enough memory", 1, true) ~= nil end

local function violated(...)
  faults.pause()
  faults.violated(table.concat({ ... }, " "))
end
M.violated = violated

-- A failure is nil or false and a message that says something; OpenSSL's queue is empty after every call.
local function shaped(name, ok, result, message, ...)
  if not ok then
    if result == STOP or memory(result) then error(result, 0) end
    violated(name, "raised", tostring(result))
  end
  if not faults.clean() then violated(name, "left an error in OpenSSL's queue") end
  local want = ... -- libtls has this one in place of a message
  if not result and message ~= nil or result == false and not want then
    if type(message) ~= "string" or message == "" then violated(name, "failed without a message") end
    if message:find("(null)", 1, true) then violated(name, "says", message) end
  end
  return result, message, ...
end

--- Calls a function, a method; what it answers.
function M.call(name, f, ...) return shaped(name, pcall(f, ...)) end
function M.ask(object, name, ...) return shaped(name, pcall(object[name], object, ...)) end

--- Calls a function that raises its failures, as lua-mbedtls' constructors do; its result.
function M.build(name, f, ...)
  local ok, result = pcall(f, ...)
  if ok then return (shaped(name, ok, result)) end
  if memory(result) then error(result, 0) end
  if type(result) ~= "string" or result == "" then violated(name, "raised no message") end
  M.stop(result)
end

-- The first result of a question whose answer may be false or nil; of a method, or of a function of the module.
function M.look(object, name, ...)
  local ok, result
  if object == M.ssl then ok, result = pcall(object[name], ...) else ok, result = pcall(object[name], object, ...) end
  if not ok then shaped(name, ok, result) end
  if not faults.clean() then violated(name, "left an error in OpenSSL's queue") end
  return result
end

--- Ends the scenario with a failure that a call answered.
function M.stop(message)
  reason = message
  error(STOP, 0)
end

--- The first result of a call that may fail only because of the fault.
function M.must(result, message, ...)
  if not result then M.stop(message or "no message") end
  return result, message, ...
end

--- Something that must be so when nothing has failed.
function M.hold(so, text) if not so then violated(text) end end

--- Remembers an object, which is asked more when the fault is over.
function M.keep(object)
  count = count + 1
  objects[count] = object
  return object
end

function M.wants(message) return message == "wantread" or message == "wantwrite" end

-- ---- pairs of engines

function M.engine(cfg) return M.keep(M.must(M.call("engine", M.ssl.engine, cfg))) end

local function step(conn)
  local ok, message = M.ask(conn, "dohandshake")
  if not ok and not M.wants(message) then M.stop(message) end
  return ok
end

function M.carry(from, to)
  for _ = 1, 200 do
    local piece = M.ask(from, "drain")
    if piece == "" then return end
    M.must(M.ask(to, "feed", piece))
  end
  violated("drain has no end")
end

--- Handshakes two engines, to the end.
function M.shake(client, server)
  local c, s
  for _ = 1, 30 do
    c = c or step(client)
    M.carry(client, server)
    s = s or step(server)
    M.carry(server, client)
    if c and s then return end
  end
  M.stop("the handshake does not end")
end

--- Sends data from one engine to the other, which must be the same there.
function M.transfer(from, to, data)
  local sent, got = 0, ""
  for _ = 1, 200 do
    if sent < #data then
      local n, message, last = M.ask(from, "send", data, sent + 1)
      if not n and not M.wants(message) then M.stop(message) end
      sent = n or last
    end
    M.carry(from, to)
    local part, message, partial = M.ask(to, "receive", #data - #got)
    if not part and not M.wants(message) then M.stop(message) end
    got = got .. (part or partial)
    if #got >= #data then break end
  end
  if got ~= data then
    if #got >= #data then violated("other bytes came than were sent") end
    M.stop("the data does not come")
  end
end

--- Both close_notify alerts.
function M.bye(client, server)
  for _ = 1, 10 do
    local c, cm = M.ask(client, "shutdown")
    if not c and not M.wants(cm) then M.stop(cm) end
    M.carry(client, server)
    local s, sm = M.ask(server, "shutdown")
    if not s and not M.wants(sm) then M.stop(sm) end
    M.carry(server, client)
    if c and s then return end
  end
  M.stop("shutdown does not end")
end

-- ---- what the driver calls

local questions = { "lasterror", "info", "getpeerverification", "getpeercertificate", "getpeerchain", "getlocalchain",
  "getalpn",
  "getsniname", "dirty", "pending", "want", "getstats", "getsession", "sessionreused", "getfinished", "getocsp",
  "getpskidentity", "tostring", "subject", "stats" }

-- Nothing fails any more: an object that a fault has hit answers, and can be closed.
local function finish()
  for i = 1, count do
    local object = objects[i]
    for _, name in ipairs(questions) do
      local known, method = pcall(function() return object[name] end)
      if known and type(method) == "function" then
        local ok, message = pcall(method, object)
        if not ok then error(name .. " raised " .. tostring(message), 0) end
        if not faults.clean() then error(name .. " left an error in OpenSSL's queue", 0) end
      end
    end
    if object.send and object.receive and not object.kept then
      local sent, message = object:send("x")
      if not sent and type(message) ~= "string" then error("send failed without a message", 0) end
      local got
      got, message = object:receive("*l")
      if not got and type(message) ~= "string" then error("receive failed without a message", 0) end
    end
    if object.close then object:close() end
    objects[i] = nil
  end
  count = 0
end

local list = {}

--- Adds a scenario. t: name; setup(), whose result is run's argument, made once and without faults; run(t), which
--- returns nothing when all went well; sockets: calls on sockets fail too; settle(t), after the fault.
function M.scenario(t)
  for i = 1, 40 do objects[i] = false end -- room, so that keep does not allocate
  list[#list + 1] = t
end

local prepared

list.run = function(i)
  local ok, e = pcall(list[i].run, prepared)
  if ok then return "done" end
  if e == STOP then return reason end
  error(e, 0)
end

list.finish = function(i)
  if list[i].settle then list[i].settle(prepared) end
  finish()
end

-- What only the first run makes is made here.
list.prepare = function(i)
  prepared = list[i].setup and list[i].setup() or nil
  for _ = 1, 3 do
    local outcome = list.run(i)
    if outcome ~= "done" then error(list[i].name .. ": " .. outcome, 0) end
    list.finish(i)
  end
  if rawget(_G, "jit") then rawget(_G, "jit").flush() end
  for _ = 1, 3 do collectgarbage() end
end

list.forget = function()
  prepared = nil
  for _ = 1, 3 do collectgarbage() end
end

M.list = list

return M
