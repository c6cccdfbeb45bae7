-- doc/errors.md says what programs see: it is made anew and compared.

local S = require "support"

local function made()
  local p = assert(io.popen(S.interpreter() .. " tools/errors.lua 2>&1"))
  local text = p:read("*a")
  p:close()
  return text
end

local function whole(mistake, title)
  assert.matches("\n    %S[^\n]*\n      message  %S", mistake, nil, nil, title)
  if not mistake:find(" raises\n", 1, true) then assert.matches("\n      kind     %l+", mistake, nil, nil, title) end
  assert.matches("\n\n[%u`][^\n]+", mistake, nil, nil, title)
end

describe("doc/errors.md", function()
  local text = made()

  it("is what tools/errors.lua makes", function()
    local p = assert(io.popen("openssl version"))
    local version = p:read("*l")
    p:close()
    if not version:find("^OpenSSL 3%.0%.") then return pending("later releases of OpenSSL have other words") end
    assert.equal(S.read("doc/errors.md"), text) -- `make errors-doc` brings it up to date
  end)

  it("has each mistake with a message, its kind and a remedy", function()
    local n = -1 -- the preface
    for mistake in (text:gsub("\n## [^\n]*\n", "\n") .. "\n### "):gmatch("(.-)\n### ") do
      n = n + 1
      local title = mistake:match("^[^\n]+")
      if n > 0 then whole(mistake, title) end
    end
    assert.is_true(n >= 40, "only " .. n)
  end)

  it("names nothing of this machine, and nothing that is unknown", function()
    for _, wrong in ipairs { "(null)", "0x", S.certdir, "/tmp", "127.0.0.1:", "nil\n" } do
      assert.is_nil(text:find(wrong, 1, true), wrong)
    end
  end)
end)
