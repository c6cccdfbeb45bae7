-- A helper for busted (--helper=test/gchook.lua) under which the collector works all the time, wherever Lua code runs:
-- a step every few instructions, callbacks and coroutines included, and a full collection now and then. `make gc` runs
-- specs with it, so that whatever C keeps without telling Lua is gone when it is used next. GC=generational or
-- incremental is the collector's mode, where Lua has modes.

local STEP = 40 -- instructions of Lua's machine between two steps
local FULL = 500 -- steps between two full collections

local steps = 0

local function hook()
  steps = steps + 1
  if steps % FULL == 0 then collectgarbage() else collectgarbage("step", 1) end
end

-- A hook is for one coroutine only.
local create = coroutine.create

function coroutine.create(f) -- luacheck: ignore 122
  local thread = create(f)
  debug.sethook(thread, hook, "", STEP)
  return thread
end

local function answer(ok, ...)
  if ok then return ... end
  error((...), 0)
end

function coroutine.wrap(f) -- luacheck: ignore 122
  local thread = coroutine.create(f)
  return function(...) return answer(coroutine.resume(thread, ...)) end
end

pcall(collectgarbage, os.getenv("GC") or "incremental")
debug.sethook(hook, "", STEP)
