-- Methods while a finalizer closes their connection: each value that a method makes may run the collector, and that a
-- finalizer of the program's, such as that of an object which wraps the connection and which nobody holds any more.

local S = require "support"

local client = S.client { cafile = S.cert("rootB"), verifyext = "lsec_continue" }

-- Garbage that calls f when it is finalized, and single steps of the collector until then, at most so many; how many.
local function approach(f, most)
  local ended, n = false, 0
  collectgarbage()
  collectgarbage("stop")
  S.litter(function()
    ended = true
    f()
  end)
  repeat
    n = n + 1
    collectgarbage("step", 0)
  until ended or n >= most
  return n
end

-- Calls method with a collector that works all the time and is about to finalize garbage which closes the connection;
-- `check` sees its result.
local function meddle(method, check, rounds)
  if _VERSION == "Lua 5.4" then
    collectgarbage("incremental", 100, 400, 6)
    finally(function() collectgarbage("incremental", 200, 100, 13) end)
  end
  for i = 1, rounds do
    local c, s = S.wrapped(client, S.server())
    S.shake(c, s)
    local cycle = approach(function() end, 1e6)
    approach(function() c:close() end, math.max(1, cycle - i * i))
    collectgarbage("restart")
    check(method(c))
    c:close()
    s:close()
  end
end

local subjects = {
  getpeerchain = function(c)
    local chain, message = c:getpeerchain()
    if not chain then return message end
    local names = {}
    for i, cert in ipairs(chain) do names[i] = cert:serial() end
    return table.concat(names, " ")
  end,
  getpeerverification = function(c)
    local ok, problems = c:getpeerverification()
    if ok or type(problems) == "string" then return problems end
    return problems[1][1]
  end,
  info = function(c)
    local info, message = c:info()
    return info and info.cipher .. info.group .. info.protocol or message
  end,
  exportkeyingmaterial = function(c)
    local bytes, message = c:exportkeyingmaterial("label", 50000)
    return bytes and #bytes or message
  end,
  getsession = function(c)
    local session, message = c:getsession()
    return session and "session" or message or "none"
  end,
  getocsp = function(c)
    local status, message = c:getocsp()
    return status or message or "none"
  end,
}

describe("a connection that a finalizer closes in the middle of", function()
  for name, method in pairs(subjects) do
    it(name .. " gives all or nothing", function()
      local c, s = S.connected(client, S.server())
      local expected = method(c)
      c:close()
      s:close()
      meddle(method, function(got) assert.is_true(got == expected or got == "closed", got) end, 19)
    end)
  end
end)

describe("a connection that was asked", function()
  it("gives its memory back when it is closed, not when the collector comes", function()
    local out = S.fresh [[
      local S = require "support"
      local E = require "engines"
      local pair = E.maker()
      local function visit()
        local c, s = pair()
        E.shake(c, s)
        for _, conn in ipairs { c, s } do
          assert(conn:info("cipher"))
          conn:getocsp()
          conn:close()
        end
      end
      for _ = 1, 20 do visit() end
      collectgarbage()
      collectgarbage("stop")
      local before, heap = S.rss(), collectgarbage("count")
      for _ = 1, 200 do visit() end
      print(before and S.rss() - before - (collectgarbage("count") - heap))
    ]]
    if out == "nil" then return pending("no /proc here to look at the memory") end
    assert.is_true((tonumber(out) or error(out)) < 3000, out)
  end)
end)
