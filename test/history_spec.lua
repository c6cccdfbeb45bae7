-- Bugs that other TLS libraries for Lua had, each reproduced in a process of its own (test/history/*.lua; `make
-- history` runs the same on LuaSec), and the table of them in doc/reliability.md, which must name what there is.

local S = require "support"
local rows = require "history.rows"

local MEMORY = { [18] = true, [19] = true, [23] = true, [34] = true } -- compare resident sizes

describe("a bug of others:", function()
  for number, row in ipairs(rows) do
    it(row.subject .. (MEMORY[number] and " (memory)" or ""), function()
      local p = assert(io.popen(("timeout -k 1 60 %s test/history/child.lua %s %d 2>&1")
        :format(S.interpreter(), row.file, number)))
      local text = p:read("*a")
      p:close()
      local reason = text:match("^skip: ([^\n]*)\n$")
      if reason then return pending(reason) end
      assert.equal("ok\n", text)
    end)
  end

  it("there are forty", function() assert.equal(40, #rows) end)
end)

describe("the table of them", function()
  local page = S.read("doc/reliability.md")

  it("has every row, with the result that it has here", function()
    for number, row in ipairs(rows) do
      local line = ("\n| %d | %s | %s | holds | "):format(number, row.subject, row.where)
      assert.is_truthy(page:find(line, 1, true), "not in doc/reliability.md: " .. line)
    end
  end)

  it("names tests that exist", function()
    local makefile = S.read("Makefile")
    for _, row in ipairs(rows) do
      for _, name in ipairs(row.also) do
        local target, spec, test = name:match("^make (%S+)$"), name:match("^([%w_]+): (.+)$")
        if target then
          assert.is_truthy(makefile:find("\n" .. target .. "[ :]"), name)
        else
          local text = S.read("test/" .. spec .. ".lua") -- the name may be put together from two literals
          assert.is_truthy(text:find('it%("') and text:find(test, 1, true), name)
        end
        assert.is_truthy(page:find(name, 1, true), "not in doc/reliability.md: " .. name)
      end
    end
  end)
end)
