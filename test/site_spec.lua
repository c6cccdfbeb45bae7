-- The site that `make doc` makes: every page is in its navigation and in the search, every link leads to a file of the
-- site and to a place in it, and a link that leads nowhere ends the making.

local S = require "support"

local function command(line)
  local p = assert(io.popen(line .. " 2>&1; echo status=$?"))
  local out, status = p:read("*a"):match("^(.*)status=(%d+)\n$")
  p:close()
  return out, tonumber(status)
end

local missing = select(2, command("cmark-gfm --version")) ~= 0
local dir = "build/site-test"

local function files(pattern)
  local list = {}
  local found = command(("find %s -type f -name '%s'"):format(dir, pattern))
  for path in found:gmatch("[^\n]+") do list[#list + 1] = path end
  return list
end

local function normal(path)
  local n
  repeat path, n = path:gsub("[^/]+/%.%./", "", 1) until n == 0
  return path
end

describe("the site", function()
  it("is made, and its links lead somewhere", function()
    if missing then return pending("cmark-gfm is not installed") end
    command("rm -rf " .. dir)
    local out, status = command(S.interpreter() .. " tools/site.lua " .. dir)
    assert.equal(0, status, out)
    local text, count = {}, 0
    for _, path in ipairs(files("*")) do text[path] = S.read(path) end
    for _, path in ipairs(files("*.html")) do
      count = count + 1
      for link in text[path]:gmatch('[hs][rr][ec]f?="([^"]*)"') do
        if not link:find("^%a+:") then
          local file, id = link:match("^([^#]*)#?(.*)$")
          local to = file == "" and path or normal(path:match("^(.*/)") .. file)
          assert.is_truthy(text[to], path .. " leads to " .. link)
          local place = id == "" or text[to]:find('id="' .. id .. '"', 1, true)
          assert.is_truthy(place, path .. " leads to " .. link)
        end
      end
      assert.is_truthy(text[path]:find('name="viewport"', 1, true))
      assert.is_nil(text[path]:find("{{", 1, true), path)
    end
    assert.is_true(count >= 30, "only " .. count)
    assert.is_truthy(text[dir .. "/search.js"]:find('"doc/reference/connection.html#connreadmax"', 1, true))
    command("rm -rf " .. dir)
  end)

  it("is not made when a link leads nowhere", function()
    if missing then return pending("cmark-gfm is not installed") end
    local work = os.tmpname()
    command(("rm -f %s; mkdir %s; cp -R *.md LICENSE doc samples tools certs %s"):format(work, work, work))
    local f = assert(io.open(work .. "/doc/trust.md", "a"))
    f:write("\n[nowhere](none.md) [no place](servers.md#none) [good](servers.md)\n")
    f:close()
    local out, status = command(("cd %s && %s tools/site.lua site"):format(work, S.interpreter()))
    command("rm -rf " .. work)
    assert.equal(1, status)
    assert.matches("links that lead nowhere:\n  doc/trust%.md: none%.md\n  doc/trust%.md: servers%.md#none\n", out)
    assert.is_nil(out:find("servers.md\n", 1, true))
  end)
end)
