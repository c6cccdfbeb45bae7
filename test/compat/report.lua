-- A busted output handler for run.lua: appends one line an event to the file named by COMPAT_REPORT, flushed at once,
-- so that the reader knows which test an interpreter died in. "start NAME", then "success|failure|error|pending NAME
-- TAB MESSAGE". Nothing is printed.

local busted = require "busted"

local function oneline(message)
  if type(message) ~= "string" then message = tostring(message) end
  return (message:gsub("%s+", " "))
end

return function()
  local handler = require "busted.outputHandlers.base"()
  local file = assert(io.open(assert(os.getenv("COMPAT_REPORT")), "a"))

  local function write(kind, name, message)
    file:write(kind, " ", oneline(name), "\t", oneline(message or ""), "\n")
    file:flush()
    return nil, true
  end

  function handler.testStart(element) return write("start", handler.getFullName(element)) end

  function handler.testEnd(element, _, status)
    local lists = { failure = handler.failures, error = handler.errors, pending = handler.pendings }
    local list = lists[status]
    local last = list and list[#list]
    return write(status, handler.getFullName(element), last and last.message)
  end

  function handler.outside(element, _, message)
    if element.descriptor ~= "it" then write("error", "(outside a test) " .. tostring(element.name), message) end
    return nil, true
  end

  busted.subscribe({ "test", "start" }, handler.testStart, { predicate = handler.cancelOnPending })
  busted.subscribe({ "test", "end" }, handler.testEnd, { predicate = handler.cancelOnPending })
  busted.subscribe({ "error" }, handler.outside)
  busted.subscribe({ "failure" }, handler.outside)
  return handler
end
