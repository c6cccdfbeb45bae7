-- src/cookie.c: cookies that show that a peer receives what is sent to its address.

local S = require "support"
local ssl = S.ssl

describe("ssl.cookie", function()
  it("is for one peer, and in letters", function()
    local cookie = ssl.cookie("192.0.2.1:5000")
    assert.equal(44, #cookie)
    assert.truthy(cookie:match("^[%w+/]+=$"))
    assert.is_true(ssl.checkcookie("192.0.2.1:5000", cookie))
    assert.is_false(ssl.checkcookie("192.0.2.1:5001", cookie))
    assert.is_true(ssl.checkcookie("", ssl.cookie("")))
    assert.is_true(ssl.checkcookie("a\0b", ssl.cookie("a\0b")))
    assert.is_false(ssl.checkcookie("a\0c", ssl.cookie("a\0b")))
    assert.is_true(ssl.checkcookie(5, ssl.cookie("5")))
  end)

  it("takes nothing else for a cookie", function()
    local cookie = ssl.cookie("p")
    for i = 1, #cookie do
      local other = cookie:sub(i, i) == "A" and "B" or "A"
      assert.is_false(ssl.checkcookie("p", cookie:sub(1, i - 1) .. other .. cookie:sub(i + 1)))
    end
    for _, junk in ipairs { "", "x", cookie .. "=", cookie:sub(1, -2), ("!"):rep(44), ("\0"):rep(44), " " .. cookie } do
      assert.is_false(ssl.checkcookie("p", junk))
    end
    assert.has_error(function() ssl.cookie() end)
    assert.has_error(function() ssl.cookie({}) end)
    assert.has_error(function() ssl.checkcookie("p") end)
  end)

  it("is good for a minute", function()
    if not os.execute("command -v faketime >/dev/null") then pending("faketime is not installed") end
    -- A clock that runs a hundred times as fast.
    local said = S.fresh([[
      if not (os.getenv("LD_PRELOAD") or ""):find("faketime") then io.write("real") os.exit() end
      local ssl = require "ssl"
      local core = require "ssl.core"
      local began, cookie, good, bad = core.now(), ssl.cookie("p"), true, false
      for _ = 1, 1e6 do
        local age = core.now() - began
        local ok = ssl.checkcookie("p", cookie)
        if age < 58 and core.now() - began < 58 then good = good and ok end
        if age > 63 then bad = ok break end
      end
      io.write(tostring(good), " ", tostring(bad), " ", tostring(core.now() - began > 63))
    ]], "faketime -f '+0 x100'")
    if said == "real" then pending("the interpreter is preloaded with something else than faketime") end
    assert.equal("true false true", said)
  end)

  it("is another process's no more", function()
    local theirs = S.fresh([[io.write(require("ssl").cookie("p"))]])
    assert.equal(44, #theirs)
    assert.is_false(ssl.checkcookie("p", theirs))
  end)
end)
