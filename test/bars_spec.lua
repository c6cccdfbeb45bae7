-- The bars of doc/performance.svg: made of doc/performance.md's table, by tools/bars.lua.

local S = require "support"
package.path = "tools/?.lua;" .. package.path
local bars = require "bars"

local function document(rows)
  return "# P\n\n| workload, CPU | plain C | ours | LuaSec | A |\n|---|---|---|---|---|\n" .. rows .. "\n\nmore\n"
end

describe("the bars", function()
  it("are made of the rows that have all figures", function()
    local rows = document("| a & `b`, us | 2 | 4 (3-5) | 8 * | x |\n| c | 1 | 2 | absent | x |\n" ..
      "| d, ms | 3 | 30 | 10 | x |")
    assert.same({
      { name = "a & b", unit = "us", c = 2, ours = 4, luasec = 8 },
      { name = "d", unit = "ms", c = 3, ours = 30, luasec = 10 },
    }, bars.rows(rows))
    local svg = bars.svg(rows)
    assert.is_truthy(svg:find(">a &amp; b</text>", 1, true))
    assert.is_truthy(svg:find("a &amp; b: 50 %. d: 300 %.</desc>", 1, true))
    for _, share in ipairs { ">50 %<", ">25 %<", ">300 %<", ">30 %<" } do
      assert.is_truthy(svg:find(share, 1, true), share)
    end
  end)

  it("end in the picture, however long", function()
    local svg = bars.svg(document("| a, us | 1 | 100000 | 1 | x |\n| b, us | 1 | 1 | 1000 | x |"))
    for x, width in svg:gmatch('<rect class="[oc][%a]*" x="(%d+)" y="%d+" width="([%d.]+)"') do
      assert.is_true(x + width < 440)
    end
    assert.is_truthy(svg:find(">under 1 %<", 1, true))
  end)

  it("are not made of a page without the table", function()
    assert.has_error(function() bars.svg("# nothing\n") end, "no table of workloads")
    assert.same({}, bars.rows(""))
  end)

  it("come with figures for README.md", function()
    local rows = document("| a `b`, us | 2 | 4 (3-5) | 8 * | x |\n| c, 9, KiB | 1 | 2 | 1.50 | x |")
    local form = "one\n\n| | LuaSec | this |\n|---|---|---|\n| a `b` | %s | %s, so |\n| c, 9 | %s as | %s |\n\ntwo 1\n"
    local readme = form:format("1 ms", "2 ms", "7.5 us", "3 us")
    local wanted = form:format("8 us", "4 us", "1.5 KiB", "2 KiB")
    assert.same({ wanted, 2 }, { bars.figures(readme, rows) })
    local other = readme:gsub("c, 9", "d")
    assert.has_error(function() bars.figures(other, rows) end, "doc/performance.md has no figures for d")
    assert.has_error(function() bars.figures("", rows) end, "README.md has no figures")
  end)

  it("in doc/performance.svg are those of doc/performance.md", function()
    local markdown = S.read("doc/performance.md")
    assert.is_true(#bars.rows(markdown) >= 15)
    assert.is_true(bars.svg(markdown) == S.read("doc/performance.svg"), "make pictures")
    local readme, count = bars.figures(S.read("README.md"), markdown)
    assert.equal(6, count)
    assert.is_true(readme == S.read("README.md"), "make pictures")
  end)
end)
