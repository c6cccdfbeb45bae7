-- The programs of test/fuzz/corpus and some at random, through the same driver that the fuzzer has: on every Lua,
-- without the fuzzer. `make fuzz` looks for new ones.

local E = require "engines"

local run = dofile "test/fuzz/engine.lua"

local function contents(path)
  local file = assert(io.open(path, "rb"))
  local bytes = file:read("*a")
  file:close()
  return bytes
end

describe("the fuzzer's driver", function()
  it("gets through each program of the corpus", function()
    local pipe = assert(io.popen("ls test/fuzz/corpus"))
    local count = 0
    for name in pipe:lines() do
      local ok, message = pcall(run, contents("test/fuzz/corpus/" .. name))
      assert(ok, name .. ": " .. tostring(message))
      count = count + 1
    end
    pipe:close()
    assert.is_true(count > 20)
  end)

  it("gets through programs at random", function()
    for seed = 1, 60 do
      local random, bytes = E.random(seed * 7919), {}
      for i = 1, random(60) do bytes[i] = string.char(random(256) - 1) end
      local ok, message = pcall(run, table.concat(bytes))
      assert(ok, "seed " .. seed .. ": " .. tostring(message))
    end
  end)

  it("would tell of an answer without its shape", function()
    local ssl = require "ssl"
    local methods = getmetatable(ssl.engine { mode = "client", protocol = "any" }).__index
    local original = methods.dohandshake
    finally(function() methods.dohandshake = original end)
    for _, answer in ipairs { { false }, { nil, "" }, { false, "x (null)" }, { nil, "bad", {} } } do
      methods.dohandshake = function() return answer[1], answer[2], answer[3] end
      assert.is_false((pcall(run, "\0\2\2")))
    end
  end)
end)
