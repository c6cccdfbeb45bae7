-- The rows of ssl.options: data that the reference and the checks are made from.

local S = require "support"
local context = require "ssl.context"
local options = require "ssl.options"

describe("ssl.options", function()
  local kinds = { string = 1, array = 1, path = 1, ["function"] = 1, number = 1, boolean = 1, table = 1,
    ["false"] = 1 }
  local byname = {}
  for i, row in ipairs(options.rows) do byname[row.name] = i end

  it("has a row for every setting of LuaSec", function()
    for _, name in ipairs { "protocol", "mode", "certificates", "key", "certificate", "password", "cafile", "capath",
      "ciphers", "ciphersuites", "verify", "options", "depth", "dhparam", "curveslist", "curve", "verifyext", "alpn",
      "psk", "dane" } do
      assert.is_number(byname[name], name)
    end
  end)

  for _, row in ipairs(options.rows) do
    it("row " .. row.name .. " is whole", function()
      assert.matches("^%l[%l%d]*$", row.name)
      assert.equal(row, options.rows[byname[row.name]]) -- named once
      assert.is_string(row.text)
      assert.is_nil(row.text:find("\n"))
      for kind in (row.type .. "|"):gmatch("(.-)|") do
        assert.is_truthy(kinds[kind])
      end
      if row.of then
        assert.is_nil(row.apply)
        assert.is_function(options.rows[byname[row.of]].apply)
      end
    end)

    if row.apply and not row.required then
      it("row " .. row.name .. " does nothing for nil and false", function()
        for _, mode in ipairs { "client", "server" } do
          local ctx = assert(context.create "any")
          context.setmode(ctx, mode)
          local cfg = { protocol = "any", mode = mode }
          assert.is_true((row.apply(ctx, nil, cfg)))
          if row.name ~= "readahead" then assert.is_true((row.apply(ctx, false, cfg))) end
        end
      end)
    end
  end

  it("are applied in LuaSec's order", function()
    local last = 0
    for _, name in ipairs { "mode", "certificates", "cafile", "ciphers", "ciphersuites", "verify", "options", "depth",
      "dhparam", "curveslist", "verifyext", "alpn", "psk", "dane" } do
      assert.is_true(byname[name] > last, name)
      last = byname[name]
    end
  end)

  it("still lists the option names, for programs that ask LuaSec's module of this name", function()
    assert.equal(require("ssl.config").options, options.options)
  end)

  it("makes the contexts of ssl.newcontext", function()
    local ctx = assert(options.newcontext(S.client()))
    local c, s = S.connected(ctx)
    c:close()
    s:close()
  end)
end)
