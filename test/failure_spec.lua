-- The values with which everything written in Lua fails.

local failure = require "ssl.failure"
local support = require "support"

local pack = support.pack

describe("a failure", function()
  it("of a setting is false, a sentence, a detail", function()
    assert.same({ n = 3, false, "no", { kind = "config", reason = "no" } }, pack(failure.setting("no")))
    assert.same({ n = 3, false, "no", { kind = "config", reason = "no", hint = "yes" } },
      pack(failure.setting("no", "yes")))
  end)

  it("of anything else is nil, a sentence, a detail with more fields", function()
    assert.same({ n = 3, nil, "no", { kind = "system", reason = "no" } }, pack(failure.of("system", "no")))
    local fields = { host = "a" }
    assert.same({ n = 3, nil, "no", { kind = "verify", reason = "no", host = "a" } },
      pack(failure.of("verify", "no", fields)))
    assert.same({ host = "a" }, fields)
  end)

  it("is what settings of every kind answer, and calls", function()
    local ssl = require "ssl"
    local settings = {
      { cipherz = "x" }, { sessions = { id = 1 } }, { sni = { [""] = "x" } }, { ocsp = 1 },
    }
    for i, cfg in ipairs(settings) do
      cfg.mode, cfg.protocol = "server", "any"
      local ctx, message, detail = ssl.newcontext(cfg)
      assert.is_nil(ctx, i)
      assert.same({ kind = "config", reason = message }, { kind = detail.kind, reason = detail.reason }, message)
    end
    local conn, message, detail = ssl.connect("127.0.0.1", 1, { timeout = {} })
    assert.same({ n = 3, nil, message, { kind = "config", reason = message } }, pack(conn, message, detail))
    assert.matches("timeout", message)
  end)
end)
