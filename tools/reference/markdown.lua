-- The pages of the reference in Markdown.

local pages = require "reference.pages"

local M = {}

local PREFACE = "<!-- Made by `make reference` from the comments of the sources: change those. -->\n\n"

local CONVENTIONS = [[
Times are in seconds, sizes in bytes, unless an entry says otherwise; indexes begin with 1. A failure is `nil` or
`false`, a message and a table that says more, [`ssl.Detail`](ssl.md#ssldetail): nothing raises but the misuse of an
argument, with the words of Lua's own library. "Since LuaSec" is what LuaSec 1.3 has too; the rest came with the release
named.
]]

local function escape(text) return (text:gsub("|", "\\|"):gsub("<", "&lt;")) end

local function code(text) return "`" .. text:gsub("|", "\\|") .. "`" end

-- Outside of code Markdown would take these for markup.
local function prose(text)
  return ((text .. "``"):gsub("([^`]*)(`[^`]*`)", function(plain, quoted)
    plain = plain:gsub("%*", "\\*"):gsub("_", "\\_"):gsub("<", "&lt;"):gsub("%[", "\\[")
    return plain .. (quoted ~= "``" and quoted or "")
  end))
end

local function call(entry)
  local out, open = {}, 0
  for i, p in ipairs(entry.params) do
    local name = (i > 1 and ", " or "") .. p.name
    if p.optional then
      name = (i > 1 and " [" or "[") .. name
      open = open + 1
    end
    out[#out + 1] = name
  end
  return entry.name .. "(" .. table.concat(out) .. ("]"):rep(open) .. ")"
end

local function arguments(entry)
  if #entry.params == 0 then return "" end
  local lines = {}
  for _, p in ipairs(entry.params) do
    lines[#lines + 1] = ("- `%s`: `%s`%s"):format(p.name, p.type, p.optional and ", may be left out" or "")
  end
  return table.concat(lines, "\n") .. "\n\n"
end

local function returns(entry)
  local alternatives = {}
  for _, values in ipairs(entry.results) do
    local names = {}
    for _, v in ipairs(values) do
      local plain = v.name == "message" or v.name == "detail" or not v.name
      names[#names + 1] = plain and "`" .. (v.name or v.type) .. "`" or ("`%s: %s`"):format(v.name, v.type)
    end
    alternatives[#alternatives + 1] = #names > 0 and table.concat(names, ", ") or "nothing"
  end
  return "Returns " .. table.concat(alternatives, "; or ") .. "."
end

local function tail(entry, examples)
  local text = " Since " .. entry.since .. ".\n"
  local example = examples[entry.name]
  if example then text = text .. "\n```lua\n" .. example .. "```\n" end
  return text .. "\n"
end

local function show(entry, examples)
  if entry.kind == "value" then
    return ("### `%s`\n\n%s `%s`.%s"):format(entry.name, prose(entry.text), entry.type, tail(entry, examples))
  end
  return ("### `%s`\n\n%s\n\n%s%s%s"):format(call(entry), prose(entry.text), arguments(entry), returns(entry),
    tail(entry, examples))
end

local function fields(entry)
  local lines = { "### " .. entry.name, "" }
  if entry.text ~= "" then lines[#lines + 1] = prose(entry.text) .. "\n" end
  lines[#lines + 1] = "| field | type | |\n|---|---|---|"
  for _, f in ipairs(entry.fields) do
    lines[#lines + 1] = ("| %s | %s | %s |"):format(code(f.name), code(f.type), escape(prose(f.text)))
  end
  return table.concat(lines, "\n") .. "\n\n"
end

--- One page.
function M.page(page, found, examples)
  local out = { PREFACE, "# ", page.title, "\n\n", page.text, "\n\n" }
  for _, section in ipairs(page.sections) do
    if section.title then out[#out + 1] = "## " .. section.title .. "\n\n" end
    for _, entry in ipairs(pages.entries(found, section)) do out[#out + 1] = show(entry, examples) end
  end
  for _, name in ipairs(page.tables) do out[#out + 1] = fields(pages.table(found, name)) end
  return (table.concat(out):gsub("\n+$", "\n"))
end

local function setting(row)
  local default = row.required and "none: it must be given" or row.default or "none"
  local since = pages.luasec.settings[row.name] and "LuaSec" or pages.first
  local text = ("### `%s`\n\n%s.\n\n"):format(row.name, prose(row.text:gsub("^%l", string.upper)))
  return text .. ("Type: `%s`. Default: %s. OpenSSL: %s. Since %s.\n\n"):format(row.type:gsub("|", " | "),
    prose(default), row.openssl or "3.0", since)
end

--- The page of the settings, from the rows of ssl.options.
function M.settings(rows)
  local sorted, out = {}, { PREFACE, "# Settings\n\nThe fields of the table that `ssl.newcontext`, `ssl.wrap`, " ..
    "`ssl.engine` and `ssl.connect` take. A key that resembles one of these is refused; `strict` refuses every " ..
    "other. `OpenSSL` is the oldest release that has it.\n\n" }
  for i, row in ipairs(rows) do sorted[i] = row end
  table.sort(sorted, function(a, b) return a.name < b.name end)
  for _, row in ipairs(sorted) do out[#out + 1] = setting(row) end
  return (table.concat(out):gsub("\n+$", "\n"))
end

-- GitHub's way to make an anchor of a heading.
local function anchor(heading) return (heading:lower():gsub("[^%w_ -]", ""):gsub(" ", "-")) end

local function index(page, found)
  local links = {}
  for _, section in ipairs(page.sections) do
    for _, entry in ipairs(pages.entries(found, section)) do
      local heading = entry.kind == "function" and call(entry) or entry.name
      links[#links + 1] = ("[%s](%s.md#%s)"):format(prose(entry.short), page.file, anchor(heading))
    end
  end
  local names = #links > 0 and ": " .. table.concat(links, " · ") or ""
  return ("**[%s](%s.md)**%s\n\n"):format(page.title, page.file, names)
end

--- The front page.
function M.index(found, rows)
  local out = { PREFACE, "# Reference\n\n", CONVENTIONS, "\n" }
  for _, page in ipairs(pages.pages) do out[#out + 1] = index(page, found) end
  local names = {}
  for i, row in ipairs(rows) do names[i] = ("[%s](settings.md#%s)"):format(prose(row.name), row.name) end
  table.sort(names)
  out[#out + 1] = "**[Settings](settings.md)**: " .. table.concat(names, " · ") .. "\n\n"
  out[#out + 1] = "What failures look like: [errors](../errors.md).\n"
  return table.concat(out)
end

return M
