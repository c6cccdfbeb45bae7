-- What is shown of the table in doc/performance.md: doc/performance.svg, what this library and plain C take of LuaSec's
-- time or memory, row by row; and the figures in README.md. `make pictures` writes both; a spec fails when they are not
-- the table's.
--   lua tools/bars.lua DIRECTORY

local M = {}

local WIDTH, LEFT, ROW, TOP, TALL = 480, 12, 46, 66, 11
local FULL = 380 -- what LuaSec takes

local HEAD = [[
<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d"
  font-family="sans-serif" font-size="14">
<title>Time and memory beside LuaSec's</title>
<desc>For each workload two bars: what this library takes of what LuaSec takes, and what plain C takes of it. %s</desc>
<style>
.paper { fill: #fff; } text { fill: #222; } .ours { fill: #2f7fd6; } .c { fill: #9aa7b5; }
.share { font-size: 11px; paint-order: stroke; stroke: #fff; stroke-width: 3px; }
line { stroke: #222; stroke-dasharray: 3 3; }
@media (prefers-color-scheme: dark) {
  .paper { fill: #14181d; } text { fill: #dfe5ec; } .c { fill: #6c7886; }
  .share { stroke: #14181d; } line { stroke: #dfe5ec; }
}
</style>
<rect class="paper" width="%d" height="%d"/>
<rect class="ours" x="%d" y="12" width="13" height="13"/><text x="%d" y="23">this library</text>
<rect class="c" x="%d" y="12" width="13" height="13"/><text x="%d" y="23">plain C</text>
<text x="%d" y="45" text-anchor="end">LuaSec: 100 %%</text>]]

local function number(cell) return cell and tonumber(cell:match("^%s*([%d.]+)")) end

local function cells(line)
  local list = {}
  for cell in line:gmatch("|([^|]*)") do list[#list + 1] = cell:match("^%s*(.-)%s*$") end
  return list
end

--- The rows that have all three figures: name, unit, c, ours, luasec.
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
      local name, unit = row[1]:gsub("`", ""):match("^(.*), (%S+)$")
      rows[#rows + 1] = { name = name or row[1], unit = unit, c = c, ours = ours, luasec = luasec }
    end
  end
  return rows
end

local function escape(text) return (text:gsub("&", "&amp;"):gsub("<", "&lt;")) end

-- One bar; a longer one than there is room for ends at the edge, and its label says how long it is.
local function bar(out, y, share, class)
  local width = math.min(share, 1.1) * FULL
  out[#out + 1] = ('<rect class="%s" x="%d" y="%d" width="%.1f" height="%d"/>'):format(class, LEFT, y, width, TALL)
  local percent = share < 0.01 and "under 1 %" or ("%.0f %%"):format(share * 100)
  out[#out + 1] = ('<text class="share" x="%.1f" y="%d">%s</text>'):format(LEFT + width + 4, y + 10, percent)
end

--- The picture.
-- @tparam string markdown
-- @treturn string SVG
function M.svg(markdown)
  local rows, out, told = M.rows(markdown), {}, {}
  if #rows == 0 then error("no table of workloads", 0) end
  local height = TOP + #rows * ROW + 6
  out[1] = "" -- the head, once it is known what the rows say
  out[2] = ('<line x1="%d" y1="50" x2="%d" y2="%d"/>'):format(LEFT + FULL, LEFT + FULL, height - 6)
  for i, row in ipairs(rows) do
    local y, share = TOP + (i - 1) * ROW, row.ours / row.luasec
    out[#out + 1] = ('<text x="%d" y="%d">%s</text>'):format(LEFT, y + 10, escape(row.name))
    bar(out, y + 15, share, "ours")
    bar(out, y + 15 + TALL, row.c / row.luasec, "c")
    told[i] = ("%s: %.0f %%."):format(escape(row.name), share * 100)
  end
  out[1] = HEAD:format(WIDTH, height, WIDTH, height, table.concat(told, " "), WIDTH, height, LEFT, LEFT + 18,
    LEFT + 120, LEFT + 138, LEFT + FULL)
  return table.concat(out, "\n") .. "\n</svg>\n"
end

--- README.md with the table's figures: of each cell that begins with a number, the number and its unit.
-- @tparam string readme
-- @tparam string markdown doc/performance.md
-- @treturn string the README
-- @treturn number how many rows it has
function M.figures(readme, markdown)
  local measured, count = {}, 0
  for _, row in ipairs(M.rows(markdown)) do measured[row.name] = row end
  local from, to, head, body = readme:find("\n(| | LuaSec | this |\n[-|]+\n)(.-\n)\n")
  if not from then error("README.md has no figures", 0) end
  body = body:gsub("| ([^|]+) | [%d.]+ %a+([^|]*) | [%d.]+ %a+([^|]*) |\n", function(name, behind, last)
    local row = measured[name:gsub("`", "")]
    if not row then error("doc/performance.md has no figures for " .. name, 0) end
    count = count + 1
    return ("| %s | %s %s%s | %s %s%s |\n"):format(name, row.luasec, row.unit, behind, row.ours, row.unit, last)
  end)
  return readme:sub(1, from) .. head .. body .. readme:sub(to), count
end

local function file(path, text)
  local f = assert(io.open(path, text and "w" or "r"))
  local all = text and assert(f:write(text)) or f:read("*a")
  f:close()
  return all
end

if arg and arg[0] and arg[0]:find("bars%.lua$") then
  local dir = assert(arg[1], "a directory is missing")
  local markdown = file(dir .. "/doc/performance.md")
  local readme = M.figures(file(dir .. "/README.md"), markdown)
  file(dir .. "/doc/performance.svg", M.svg(markdown))
  file(dir .. "/README.md", readme)
end

return M
