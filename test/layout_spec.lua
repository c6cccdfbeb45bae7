-- What a new reader is told of the tree is all of it: CONTRIBUTING.md names each file of src, `make help` each target.

local S = require "support"

local function words(text)
  local set = {}
  for word in text:gmatch("[%w_.-]+") do set[word] = true end
  return set
end

local function lines(command)
  local list = {}
  for line in S.run(command):gmatch("[^\n]+") do list[#list + 1] = line end
  return list
end

describe("CONTRIBUTING.md", function()
  it("names each C file once, and none that is not there", function()
    local table = S.read("CONTRIBUTING.md"):match("| of `src/` | files |\n|%-%-%-|%-%-%-|\n(.-)\n\n")
    local named = {}
    for row in table:gmatch("[^\n]+") do
      for name in row:match("^|.*|(.*)|$"):gmatch("%S+") do
        assert.is_nil(named[name], name)
        named[name] = true
      end
    end
    local there = { ["compat.h"] = true }
    for _, path in ipairs(lines "ls src/*.c") do there[path:match("^src/(.*)%.c$")] = true end
    assert.same(there, named)
  end)
end)

describe("make help", function()
  -- Targets that others call, and names by which other Makefiles call `all`.
  local inner = words "FORCE linux bsd macosx suite asan-suite coverage-suite tsan-run bench-built"

  it("is the head of the Makefile, with every target", function()
    local help = S.run "env -u MAKEFLAGS -u MFLAGS make --no-print-directory help 2>&1"
    assert.matches("^Builds ssl%.so.*build/asan%-5%.4 etc%.\n$", help)
    local told = words(help)
    local count = 0
    for list in S.read("Makefile"):gsub("\\\n", " "):gmatch("\n%.PHONY:([^\n]*)") do
      for name in pairs(words(list:gsub("%$%b()", ""))) do
        count = count + 1
        assert.is_true(inner[name] or told[name], name)
      end
    end
    assert.is_true(count > 30)
  end)
end)
