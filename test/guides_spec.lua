-- The programs in README.md and the guides of doc/, run as they are printed; and their links.

local S = require "support"
local printed = require "printed"

local files = { "README.md", "CONTRIBUTING.md" }
do
  local p = assert(io.popen("ls doc/*.md"))
  for line in p:lines() do files[#files + 1] = line end
  p:close()
end

local httpserver = printed.find("README.md", "local listener")

local function run(block)
  local finish, port = nil, 0
  if block.needs == "client" then finish, port = printed.serve(httpserver) end
  if block.needs == "client udp" then finish, port = printed.serveudp() end
  local out, status = printed.start(block.text, port)()
  local said, serverstatus
  if finish then said, serverstatus = finish() end
  assert.equal(0, status, out)
  assert.equal(0, serverstatus or 0, said)
end

-- Where a link of a file leads, as a path of the tree.
local function place(path, target)
  local dir = path:match("^(.*/)") or ""
  local whole = dir .. target
  local n
  repeat whole, n = whole:gsub("[^/]+/%.%./", "", 1) until n == 0
  return whole
end

local function anchors(path)
  local set = {}
  for heading in ("\n" .. S.read(path)):gmatch("\n#+ ([^\n]+)") do
    set[heading:lower():gsub("[^%w_ -]", ""):gsub(" ", "-")] = true
  end
  return set
end

describe("the programs of", function()
  local count = 0
  for _, path in ipairs(files) do
    for i, block in ipairs(printed.blocks(path)) do
      count = count + 1
      if block.needs == "server" then
        it(path .. " number " .. i .. " serve", function()
          local finish, port = printed.serve(block.text)
          local client = printed.start(printed.find("README.md", 'mode = "client"'), port)
          local out, status = client()
          assert.equal(0, status, out)
          out, status = finish()
          assert.equal(0, status, out)
        end)
      else
        it(path .. " number " .. i .. " run", function() run(block) end)
      end
    end
  end

  it("all files are found", function() assert.is_true(count >= 20, "only " .. count) end)
end)

describe("the links of", function()
  for _, path in ipairs(files) do
    it(path .. " lead somewhere", function()
      local text = S.read(path):gsub("\n```.-\n```", "")
      for target in text:gmatch("%]%(([^)]+)%)") do
        if not target:find("^https?://") then
          local file, anchor = target:match("^([^#]*)#?(.*)$")
          local at = file == "" and path or place(path, file)
          local f = io.open(at)
          assert.is_truthy(f, path .. " leads to " .. target)
          f:close()
          if anchor ~= "" then assert.is_truthy(anchors(at)[anchor], path .. " leads to " .. target) end
        end
      end
    end)
  end
end)

describe("the guides", function()
  it("say how their programs are run, if those need a server", function()
    for _, path in ipairs(files) do
      local needy = false
      for _, block in ipairs(printed.blocks(path)) do needy = needy or block.needs:find("client", 1, true) end
      if needy and path ~= "README.md" then
        assert.is_truthy(S.read(path):find("](../README.md#a-client-that-verifies)", 1, true), path)
      end
    end
  end)

  it("are all named in README.md", function()
    local readme = S.read("README.md")
    for _, path in ipairs(files) do
      if path ~= "README.md" then assert.is_truthy(readme:find("](" .. path, 1, true), path) end
    end
  end)
end)
