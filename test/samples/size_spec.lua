-- What holds for every sample: short enough to be read at once, and told about at its head.

local function lines(path)
  local list = {}
  for line in io.lines(path) do list[#list + 1] = line end
  return list
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
    local folders = io.popen("ls samples")
    for name in folders:lines() do
      local found = io.popen("grep -l samples/" .. name .. "/ test/samples/*_spec.lua")
      assert.is_truthy(found:read("*l"), "nothing runs samples/" .. name)
      found:close()
    end
    folders:close()
  end)
end)
