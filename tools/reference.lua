-- Makes the reference: doc/reference/*.md and the editor's types/**.lua, out of the comments of src and lua, the rows
-- of ssl.options, and the programs of doc/examples. `make reference` runs it; its argument is the directory to write
-- to.

package.path = "tools/?.lua;" .. package.path

local comments = require "reference.comments"
local markdown = require "reference.markdown"
local pages = require "reference.pages"
local types = require "reference.types"
local rows = require("ssl.options").rows

local M = {}

--- The examples of a page: name -> program. One begins at "--- name, name", with a note in round brackets for who runs
-- them.
function M.examples(file)
  local examples, order, names, note = {}, {}, nil, nil
  local lines = {}
  local function done()
    if not names then return end
    local text = table.concat(lines, "\n"):gsub("^%s+", ""):gsub("%s+$", "") .. "\n"
    order[#order + 1] = { names = names, text = text, note = note }
    for name in names:gmatch("[^%s,]+") do
      assert(not examples[name], "two examples of " .. name)
      examples[name] = text
    end
    lines = {}
  end
  for line in io.lines("doc/examples/" .. file .. ".lua") do
    local heading = line:match("^%-%-%- (.*)$")
    if heading then
      done()
      names, note = heading:match("^([^(]+)%(?([^)]*)")
      names = names:match("^(.-)%s*$")
    elseif names then
      lines[#lines + 1] = line
    end
  end
  done()
  return examples, order
end

--- Everything: path -> text.
function M.make()
  local found, made = comments.read(), {}
  for _, page in ipairs(pages.pages) do
    local examples = page.sections[1] and M.examples(page.file) or {}
    made["doc/reference/" .. page.file .. ".md"] = markdown.page(page, found, examples)
  end
  made["doc/reference/settings.md"] = markdown.settings(rows)
  made["doc/reference/README.md"] = markdown.index(found, rows)
  for name, text in pairs(types.files(found, rows)) do
    made["types/" .. name:gsub("%.", "/") .. ".lua"] = text
  end
  return made, found
end

local function write(dir)
  for path, text in pairs((M.make())) do
    local f = assert(io.open(dir .. "/" .. path, "wb"))
    assert(f:write(text))
    assert(f:close())
  end
end

if arg and arg[0] and arg[0]:find("reference%.lua$") then write(arg[1] or ".") end

return M
