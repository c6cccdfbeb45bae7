-- The table of doc/performance.md as bars: what plain C and this library take of LuaSec's time or memory, row by row.

local M = {}

local WIDTH, LEFT, ROW, TOP = 760, 250, 40, 34
local FULL = WIDTH - LEFT - 90 -- what LuaSec takes

local function number(cell) return cell and tonumber(cell:match("^%s*([%d.]+)")) end

local function cells(line)
  local list = {}
  for cell in line:gmatch("|([^|]*)") do list[#list + 1] = cell:match("^%s*(.-)%s*$") end
  return list
end

--- The rows that have all three figures: name, c, ours, luasec.
-- @tparam string markdown
function M.rows(markdown)
  local header, body = markdown:match("\n(| workload[^\n]*)\n|[-| ]+\n(.-)\n\n")
  if not header then return {} end
  local at, rows = {}, {}
  for i, name in ipairs(cells(header)) do at[name] = i end
  for line in (body .. "\n"):gmatch("(|[^\n]*)\n") do
    local row = cells(line)
    local c, ours, luasec = number(row[at["plain C"]]), number(row[at.ours]), number(row[at.LuaSec])
    if c and ours and luasec and luasec > 0 then
      local name = row[1]:gsub("`", ""):gsub(", [mun]s$", "")
      rows[#rows + 1] = { name = name, c = c, ours = ours, luasec = luasec }
    end
  end
  return rows
end

local function escape(text) return (text:gsub("&", "&amp;"):gsub("<", "&lt;")) end

-- One bar; a longer one than there is room for ends at the edge, and its label says how long it is.
local function bar(out, y, share, class)
  local width = math.min(share, 1.08) * FULL
  out[#out + 1] = ('<rect class="%s" x="%d" y="%d" width="%.1f" height="13"/>'):format(class, LEFT, y, width)
  out[#out + 1] = ('<text class="share" x="%.1f" y="%d">%.0f %%</text>'):format(LEFT + width + 5, y + 11, share * 100)
end

--- The picture.
-- @tparam string markdown
-- @treturn string SVG; "" when the table is not there
function M.svg(markdown)
  local rows = M.rows(markdown)
  if #rows == 0 then return "" end
  local height = TOP + #rows * ROW + 10
  local out = {
    ('<svg class="bars" viewBox="0 0 %d %d" role="img" aria-label="Time beside LuaSec\'s">'):format(WIDTH, height),
    ('<text x="%d" y="16">of what LuaSec takes:</text>'):format(LEFT),
    ('<rect class="ours" x="%d" y="5" width="13" height="13"/><text x="%d" y="16">ours</text>'):format(LEFT + 170,
      LEFT + 188),
    ('<rect class="c" x="%d" y="5" width="13" height="13"/><text x="%d" y="16">plain C</text>'):format(LEFT + 240,
      LEFT + 258),
  }
  for i, row in ipairs(rows) do
    local y = TOP + (i - 1) * ROW
    out[#out + 1] = ('<text class="name" x="%d" y="%d">%s</text>'):format(LEFT - 10, y + 18, escape(row.name))
    bar(out, y, row.ours / row.luasec, "ours")
    bar(out, y + 15, row.c / row.luasec, "c")
  end
  out[#out + 1] = ('<line x1="%d" y1="%d" x2="%d" y2="%d"/>'):format(LEFT + FULL, TOP - 6, LEFT + FULL, height - 8)
  return table.concat(out, "\n") .. "\n</svg>\n"
end

return M
