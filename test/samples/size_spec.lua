-- What holds for every sample: short enough to be read at once, and told about at its head.

local function lines(path)
  local list = {}
  for line in io.lines(path) do list[#list + 1] = line end
  return list
end

local function folders()
  local names = {}
  local p = io.popen("cd samples && LC_ALL=C ls -d */")
  for name in p:lines() do names[#names + 1] = name:sub(1, -2) end
  p:close()
  return names
end

describe("each program among the samples", function()
  local paths = io.popen("find samples -name '*.lua' ! -path 'samples/demo/*' | sort")
  for path in paths:lines() do
    it("is short and says what it does: " .. path, function()
      local text = lines(path)
      assert.is_true(#text < 60, #text .. " lines")
      assert.matches("^%-%- %u", text[1])
    end)
  end
  paths:close()

  it("has a spec that runs it", function()
    for _, name in ipairs(folders()) do
      local found = io.popen("grep -l samples/" .. name .. "/ test/samples/*_spec.lua")
      assert.is_truthy(found:read("*l"), "nothing runs samples/" .. name)
      found:close()
    end
  end)

  it("is in the list of samples/README.md", function()
    local listed = {}
    for line in io.lines("samples/README.md") do
      local name, link, text = line:match("^| %[([%w-]+)%]%(([%w-]+)%) | (.+) |$")
      if name then
        assert.equal(name, link)
        assert.is_true(#text > 10)
        listed[#listed + 1] = name
      end
    end
    assert.same(folders(), listed)
  end)
end)
