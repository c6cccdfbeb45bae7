-- Makes a static site of the Markdown files: `make doc` runs it. cmark-gfm makes the HTML; here headings get their
-- anchors, links to pages the names they have in the site, and every page its frame, with a search that needs no
-- server. A link that leads nowhere ends it with an error.
--   lua tools/site.lua DIRECTORY

local M = {}

local function read(path)
  local f = assert(io.open(path, "rb"))
  local text = f:read("*a")
  f:close()
  return text
end

local function write(path, text)
  assert(os.execute("mkdir -p '" .. path:match("^(.*)/") .. "'"))
  local f = assert(io.open(path, "wb"))
  assert(f:write(text))
  assert(f:close())
end

local function list(command)
  local p, files = assert(io.popen(command)), {}
  for line in p:lines() do files[#files + 1] = line end
  p:close()
  return files
end

-- ---- which pages there are

-- The order of the navigation; what else is there comes behind.
local order = { "README.md", "doc/features.md", "doc/reference/README.md", "doc/moving.md", "doc/nonblocking.md",
  "doc/trust.md", "doc/servers.md", "doc/dtls.md", "doc/debugging.md", "doc/errors.md", "doc/libtls.md",
  "doc/mbedtls.md", "doc/platforms.md", "samples/README.md", "doc/performance.md", "doc/reliability.md",
  "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md" }

local reference = { "ssl", "settings", "connection", "context", "certificate", "session", "config", "https", "libtls",
  "mbedtls" }

--- The sources of the pages.
function M.sources()
  local all, seen = {}, {}
  local function add(path)
    if not seen[path] then
      seen[path], all[#all + 1] = true, path
    end
  end
  for _, path in ipairs(order) do
    add(path)
    for _, page in ipairs(path == "doc/reference/README.md" and reference or {}) do
      add("doc/reference/" .. page .. ".md")
    end
  end
  for _, path in ipairs(list("ls doc/*.md doc/reference/*.md")) do add(path) end
  return all
end

-- README.md is its directory's index.
local function target(path) return (path:gsub("README%.md$", "index.md"):gsub("%.md$", ".html")) end

-- ---- text

local function plain(html)
  return (html:gsub("<[^>]*>", ""):gsub("&lt;", "<"):gsub("&gt;", ">"):gsub("&quot;", '"'):gsub("&amp;", "&"))
end

local entities = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }

local function escape(text) return (text:gsub('[&<>"]', entities)) end

-- GitHub's way to make an anchor of a heading.
local function anchor(text) return (text:lower():gsub("[^%w_ \128-\255-]", ""):gsub(" ", "-")) end

-- `dir/a/../b` without its detour.
local function normal(path)
  local n
  repeat path, n = path:gsub("[^/]+/%.%./", "", 1) until n == 0
  return (path:gsub("^%./", ""))
end

-- The way from one page to a file of the site.
local function from(page, file)
  return ("../"):rep(select(2, page:gsub("/", ""))) .. file
end

-- ---- a page

local function render(path)
  local p = assert(io.popen("cmark-gfm --unsafe -e table -e autolink '" .. path .. "'"))
  local html = p:read("*a")
  assert(p:close(), "cmark-gfm failed on " .. path)
  return html
end

-- Headings with their anchors. Answers the HTML, the set of anchors, an array of { level, text, anchor, at }.
local function headings(html)
  local ids, found = {}, {}
  html = html:gsub("<h(%d)>(.-)</h%d>", function(level, inner)
    local text = plain(inner)
    local id = anchor(text)
    while ids[id] do id = id .. "-1" end
    ids[id], found[#found + 1] = true, { level = tonumber(level), text = text, anchor = id }
    return ('<h%s id="%s"><a href="#%s">%s</a></h%s>'):format(level, id, id, inner, level)
  end)
  return html, ids, found
end

-- A folder of samples: its programs.
local function programs(folder)
  local out = { "<h1>", escape(folder), "</h1>\n" }
  for _, path in ipairs(list("ls " .. folder .. "/*.*")) do
    local name = path:match("[^/]+$")
    out[#out + 1] = ("<h2>%s</h2>\n<pre><code>%s</code></pre>\n"):format(escape(name), escape(read(path)))
  end
  return table.concat(out)
end

--- Reads every page. An array, in which a source leads to its page too: { source, target, html, ids, headings, title }.
function M.read()
  local pages = {}
  local function add(path, page, html)
    page.source = path
    page.html, page.ids, page.headings = headings(html)
    page.title = page.headings[1] and page.headings[1].text or path
    pages[path], pages[#pages + 1] = page, page
  end
  for _, path in ipairs(M.sources()) do
    add(path, { target = target(path), listed = true }, render(path))
  end
  for _, folder in ipairs(list("ls -d samples/*/")) do
    folder = folder:gsub("/$", "")
    add(folder, { target = folder .. "/index.html" }, programs(folder))
  end
  return pages
end

-- A link to a page, as the site has it.
local function address(file, id)
  if file ~= "" then
    file = file:gsub("README%.md$", "index.md"):gsub("%.md$", ".html"):gsub("/$", "")
    if not file:find("%.html$") then file = file .. "/index.html" end
  end
  return file .. (id ~= "" and "#" .. id or "")
end

-- A link of a page as the site has it. Files of the tree are copied to where they are linked from.
local function relink(page, pages, link, copies, broken)
  if link:find("^%a+:") then return link end
  local file, id = link:match("^([^#]*)#?(.*)$")
  local dir = page.source:match("^(.*/)") or ""
  local path = file == "" and page.source or normal(dir .. file):gsub("/$", "")
  local to = pages[path]
  if to then
    if id ~= "" and not to.ids[id] then broken[#broken + 1] = page.source .. ": " .. link end
    return address(file, id)
  end
  local f = io.open(path, "rb")
  if not f or not f:read(1) then
    broken[#broken + 1] = page.source .. ": " .. link
  else
    copies[path] = true
  end
  if f then f:close() end
  return link
end

-- ---- the frame

local function navigation(page, pages)
  local out = { "<ul>" }
  for _, one in ipairs(pages) do
    local here = one == page and ' aria-current="page"' or ""
    local class = one.source:find("^doc/reference/%l") and ' class="sub"' or ""
    local item = ('<li%s><a href="%s"%s>%s</a></li>'):format(class, from(page.target, one.target), here,
      escape(one.title))
    if one.listed then out[#out + 1] = item end
  end
  return table.concat(out, "\n") .. "\n</ul>"
end

local frame = read("tools/site/frame.html")

local function dress(page, pages)
  local fields = {
    title = escape(page.title), root = from(page.target, ""), navigation = navigation(page, pages), body = page.html,
  }
  return (frame:gsub("{{(%l+)}}", fields))
end

-- ---- the search

local function quote(text)
  return '"' .. text:gsub('[%c"\\<]', function(c) return ("\\u%04x"):format(c:byte()) end) .. '"'
end

-- One entry for each heading: its page's title, itself, the address, the text up to the next one.
local function index(pages)
  local out = {}
  for _, page in ipairs(pages) do
    local rest = page.html
    for _, h in ipairs(page.headings) do
      local at = rest:find('id="' .. h.anchor .. '"', 1, true)
      rest = rest:sub(at)
      local text = plain(rest:match("</h%d>(.-)%f[<]<h%d id=") or rest:match("</h%d>(.*)$") or "")
      out[#out + 1] = ("[%s,%s,%s,%s]"):format(quote(page.title), quote(h.text), quote(page.target .. "#" .. h.anchor),
        quote(text:gsub("%s+", " "):sub(1, 400)))
    end
  end
  return "var pages = [\n" .. table.concat(out, ",\n") .. "\n];\n" .. read("tools/site/search.js")
end

--- Writes the site.
-- @tparam string dir
-- @treturn number how many pages
function M.write(dir)
  local pages, copies, broken, count = M.read(), {}, {}, 0
  local search = index(pages)
  for _, page in ipairs(pages) do
    local function link(before, to) return before .. relink(page, pages, to, copies, broken) end
    page.html = page.html:gsub('(<a href=")([^"]*)', link):gsub('(<img src=")([^"]*)', link)
    page.html = page.html:gsub("<table>", '<div class="wide"><table>'):gsub("</table>", "</table></div>")
    count = count + 1
  end
  table.sort(broken)
  if #broken > 0 then error("links that lead nowhere:\n  " .. table.concat(broken, "\n  "), 0) end
  for _, page in ipairs(pages) do write(dir .. "/" .. page.target, dress(page, pages)) end
  for path in pairs(copies) do write(dir .. "/" .. path, read(path)) end
  write(dir .. "/search.js", search)
  write(dir .. "/style.css", read("tools/site/style.css"))
  return count
end

if arg and arg[0] and arg[0]:find("site%.lua$") then
  local dir = assert(arg[1], "a directory is missing")
  print(("%d pages in %s"):format(M.write(dir), dir))
end

return M
