-- What README.md promises: what its programs print, and its make targets. Its table is for others_spec.lua.

local S = require "support"
local printed = require "printed"

local function find(pattern) return printed.find("README.md", pattern) end

-- What a program of the README prints that is run against its server.
local function against(program)
  local serving, port = printed.serve(find("local listener"))
  local out, status = printed.start(program, port)()
  assert.equal(0, status, out)
  return out, serving()
end

describe("README.md", function()
  it("has a client and a server that understand each other", function()
    local out, said = against(find('mode = "client"'))
    assert.equal("HTTP/1.0 200 OK\r\n\r\nhello\n\n", out)
    assert.equal("", said)
  end)

  it("has a client in one call", function()
    assert.equal("TLSv1.3\ttrue\n", (against(find("ssl%.connect%("))))
  end)

  it("has an HTTPS request", function()
    local out = against(find('require "ssl%.https"') .. " print(ok)")
    assert.equal("200\tHTTP/1.0 200 OK\n1\n", out)
  end)

  it("names every make target that it tells of", function()
    local makefile = S.read("Makefile")
    for _, path in ipairs { "README.md", "CONTRIBUTING.md" } do
      for target in S.read(path):gmatch("`make ([%a-]+)") do
        assert.is_truthy(makefile:find("\n[%a -]*" .. target:gsub("%-", "%%-") .. "[%a -]*:"), "no target " .. target)
      end
    end
  end)

  it("tells the version that there is in one place only", function()
    assert.matches("^%d+%.%d+%.%d+$", S.ssl._VERSION)
    local p = assert(io.popen("grep -rnF '\"" .. S.ssl._VERSION .. "\"' lua src Makefile"))
    local out = p:read("*a")
    p:close()
    assert.matches("^lua/ssl%.lua:%d+:[^\n]*\n$", out)
  end)
end)
