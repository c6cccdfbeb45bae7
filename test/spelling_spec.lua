-- Misspelt settings are refused, by newcontext and by wrap.

local S = require "support"
local spelling = require "ssl.spelling"
local options = require "ssl.options"

describe("spelling.distance", function()
  for _, row in ipairs {
    { "", "", 0 }, { "a", "", 1 }, { "", "ab", 2 }, { "verify", "verify", 0 }, { "verfy", "verify", 1 },
    { "veryify", "verify", 1 }, { "verifi", "verify", 1 }, { "vreify", "verify", 1 }, { "cafiel", "cafile", 1 },
    { "kitten", "sitting", 3 }, { "ca", "abc", 3 }, { "CAfile", "cafile", 2 },
  } do
    it(("of '%s' and '%s' is %d"):format(row[1], row[2], row[3]), function()
      assert.equal(row[3], spelling.distance(row[1], row[2]))
      assert.equal(row[3], spelling.distance(row[2], row[1]))
    end)
  end
end)

describe("newcontext", function()
  local function try(key, extra)
    local cfg = S.client(extra)
    cfg[key] = "x"
    return S.ssl.newcontext(cfg)
  end

  for _, row in ipairs {
    { "verfy", "verify" }, { "verifyetx", "verifyext" }, { "ca_file", "cafile" }, { "cafille", "cafile" },
    { "option", "options" }, { "protcol", "protocol" }, { "ciphersuite", "ciphersuites" },
    { "curvelist", "curveslist" },
    { "certifcates", "certificates" }, { "passwrod", "password" }, { "moed", "mode" }, { "serverName", "servername" },
  } do
    it(("refuses '%s' and suggests '%s'"):format(row[1], row[2]), function()
      local ctx, message, detail = try(row[1])
      assert.is_nil(ctx)
      assert.equal(("unknown setting '%s': did you mean '%s'?"):format(row[1], row[2]), message)
      assert.equal("config", detail.kind)
    end)
  end

  it("refuses a near miss of every setting", function()
    for _, row in ipairs(options.rows) do
      if #row.name >= 4 then
        local miss = row.name:sub(1, 1) .. row.name
        assert.matches("did you mean '" .. row.name .. "'", (select(2, try(miss))))
      end
    end
  end)

  it("ignores what resembles nothing, as LuaSec does, unless strict", function()
    for _, key in ipairs { "foo", "ke", "x", "my_application_data", "" } do
      assert.is_truthy((try(key)))
    end
    local ctx, message = try("foo", { strict = true })
    assert.is_nil(ctx)
    assert.equal("unknown setting 'foo'", message)
    assert.is_truthy(S.ssl.newcontext(S.client { strict = true }))
  end)

  it("ignores keys that are no strings, and what programs pass along", function()
    local cfg = S.client { "x", [print] = 1, [false] = 2 }
    assert.is_truthy(S.ssl.newcontext(cfg))
    for _, key in ipairs { "url", "sink", "source", "method", "headers", "step", "redirect", "create", "host", "port",
      "path", "user", "scheme", "wrap", "maxredirects" } do
      assert.is_truthy((try(key, { strict = true })), key)
    end
  end)

  it("says so before it raises for what is missing", function()
    assert.matches("did you mean 'protocol'", (select(2, S.ssl.newcontext { mode = "client", protocl = "any" })))
  end)
end)
