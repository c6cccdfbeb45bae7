-- The reference and the editor's types: they are what tools/reference.lua makes of the sources, they name everything
-- that the modules have and nothing else, and their examples run.

local S = require "support"
local ssl = S.ssl

package.path = "tools/?.lua;" .. package.path
local reference = require "reference"
local pages = require "reference.pages"
local rows = require("ssl.options").rows

local made, found = reference.make()

-- What there is: name -> true. With names of the library's own that are no program's.
local function names(object, inner)
  local set = {}
  for name in pairs(object) do set[name] = true end
  for _, name in ipairs(inner or {}) do
    assert(set[name], name .. " is not there")
    set[name] = nil
  end
  return set
end

local function methods(object) return names(getmetatable(object).__index) end

local function session()
  local c, s = S.connected(S.client { protocol = "tlsv1_2" })
  local kept = assert(c:getsession())
  c:close()
  s:close()
  return kept
end

local objects = {
  ["conn:"] = function() return methods(assert(ssl.engine(S.client()))) end,
  ["ctx:"] = function() return methods(assert(ssl.newcontext(S.server()))) end,
  ["cert:"] = function() return methods(ssl.loadcertificate(S.pem "serverA")) end,
  ["session:"] = function() return methods(session()) end,
}

-- The facades' objects are tables with locked metatables; their methods are an upvalue's.
local function upvalue(f, wanted)
  for i = 1, 60 do
    local name, value = debug.getupvalue(f, i)
    if name == wanted then return value end
    if not name then return nil end
  end
end

objects["config:"] = function()
  local meta = upvalue(require("libtls.config").new, "meta")
  return names(meta.__index)
end
objects["tls:"] = function()
  local new = upvalue(require("libtls.context").client, "new")
  return names(upvalue(new, "meta").__index)
end
objects["mbed:"] = function() return names(upvalue(require("mbedtls.context").new, "meta").__index) end

local function live(section)
  if section.module then return names(require(section.module), section.inner) end
  return objects[section.prefix]()
end

-- What the comments describe: name -> true; TLS_* stands for all that begin so.
local function described(section, there)
  local set = {}
  for _, entry in ipairs(pages.entries(found, section)) do
    assert.is_nil(set[entry.short], entry.name .. " is described twice")
    local prefix = entry.short:match("^(.+)%*$")
    if prefix then
      for name in pairs(there) do
        if name:sub(1, #prefix) == prefix then set[name] = true end
      end
    else
      set[entry.short] = true
    end
  end
  return set
end

local function sections()
  local list = {}
  for _, page in ipairs(pages.pages) do
    for _, section in ipairs(page.sections) do
      list[#list + 1] = section
      section.page = page.file
    end
  end
  return list
end

describe("the reference", function()
  it("is what tools/reference.lua makes", function() -- `make reference` brings it up to date
    local count = 0
    for path, text in pairs(made) do
      assert.equal(text, S.read(path), path .. " is old: make reference")
      count = count + 1
    end
    assert.is_true(count > 15)
  end)

  it("has no page that is made from nothing any more", function()
    local p = assert(io.popen("ls doc/reference/*.md types/*.lua types/*/*.lua"))
    for path in p:lines() do assert.is_truthy(made[path], path .. " is not made by tools/reference.lua") end
    p:close()
  end)

  for _, section in ipairs(sections()) do
    it("describes all of " .. section.prefix .. " and nothing else", function()
      local there = live(section)
      assert.same(there, described(section, there))
    end)
  end

  it("puts each name that a comment describes on a page", function()
    local shown = {}
    for _, section in ipairs(sections()) do
      for _, entry in ipairs(pages.entries(found, section)) do shown[entry] = true end
    end
    for _, page in ipairs(pages.pages) do
      for _, name in ipairs(page.tables) do shown[pages.table(found, name)] = true end
    end
    for _, entry in ipairs(found) do assert.is_truthy(shown[entry], entry.file .. ": " .. entry.name) end
  end)

  it("says something of each", function()
    for _, entry in ipairs(found) do
      if entry.kind ~= "table" then assert.is_true(#entry.text > 8, entry.name .. " has no text") end
      for _, f in ipairs(entry.fields or {}) do assert.is_truthy(f.type, entry.name .. "." .. f.name) end
    end
  end)

  it("has every setting, with a type, a default and a text", function()
    local page = made["doc/reference/settings.md"]
    for _, row in ipairs(rows) do
      local at = assert(page:find("### `" .. row.name .. "`", 1, true), row.name)
      assert.is_truthy(page:find("\nType: `[^\n]+`. Default: [^\n]+. OpenSSL: 3%.[^\n]+. Since ", at), row.name)
      assert.is_true(#row.text > 8, row.name)
    end
  end)

  it("has links that lead somewhere", function()
    for path, text in pairs(made) do
      for target in text:gmatch("%]%(([^)#]+)") do
        local file = "doc/reference/" .. target
        if path:find("%.md$") then assert.is_truthy(io.open(file), path .. " leads to " .. target) end
      end
    end
    local index = made["doc/reference/README.md"]
    for file, anchor in index:gmatch("%]%(([%w]+)%.md#([^)]+)%)") do
      local headings = {}
      for heading in made["doc/reference/" .. file .. ".md"]:gmatch("\n### ([^\n]+)") do
        headings[heading:lower():gsub("[^%w_ -]", ""):gsub(" ", "-")] = true
      end
      assert.is_truthy(headings[anchor], file .. ".md has no " .. anchor)
    end
  end)

  it("tells what LuaSec has, which the installed one agrees with", function()
    local out = S.fresh([[
      package.path = package.path:gsub("[^;]*lua/%?%.lua;", "", 1)
      package.path, package.cpath = package.path:gsub("test/%?%.lua;", ""), package.cpath:gsub("build/[^;]*;", "")
      local ok, ssl = pcall(require, "ssl")
      if not ok or ssl.connect then return print("none") end
      local cert = ssl.loadcertificate(io.open(os.getenv "CERTS" .. "/serverA.pem"):read("*a"))
      local ctx = ssl.newcontext { mode = "client", protocol = "any" }
      for prefix, t in pairs { ["ssl."] = ssl, ["https."] = require "ssl.https", ["ssl.x509."] = require "ssl.x509",
        ["cert:"] = getmetatable(cert).__index, ["ctx:"] = getmetatable(ctx).__index,
        ["conn:"] = getmetatable((require "ssl.core".create(ctx))).__index } do
        for name in pairs(t) do print(prefix .. "\t" .. name) end
      end]], "CERTS=" .. S.certdir)
    if out == "none" then return pending("LuaSec is not installed") end
    local seen = 0
    for prefix, name in out:gmatch("(%S+)\t(%S+)") do
      assert.is_true(pages.luasec[prefix][name], prefix .. name .. " is LuaSec's")
      seen = seen + 1
    end
    assert.is_true(seen >= 45, out)
  end)
end)

describe("the types", function()
  it("declare every function that the reference has, and load", function()
    for path, text in pairs(made) do
      if path:find("^types/") then
        local chunk = assert((rawget(_G, "loadstring") or load)(text, "=" .. path))
        assert.equal("table", type(chunk()))
      end
    end
    for _, section in ipairs(sections()) do
      local owner = section.module and "M." or section.class:match("%w+$") .. ":"
      local all = ""
      for path, text in pairs(made) do
        if path:find("^types/") then all = all .. text end
      end
      for _, entry in ipairs(pages.entries(found, section)) do
        if entry.kind == "function" then
          assert.is_truthy(all:find("\nfunction " .. owner .. entry.short .. "(", 1, true), entry.name)
        end
      end
    end
  end)

  it("use no class that they do not declare", function()
    local classes = {}
    for path, text in pairs(made) do
      if path:find("^types/") then
        for name in text:gmatch("%-%-%-@class ([%w.]+)") do classes[name] = true end
      end
    end
    for path, text in pairs(made) do
      if path:find("^types/") then
        for line in text:gmatch("%-%-%-@[prf]%l+ ([^\n]+)") do
          for name in line:gmatch("ssl%.%u%w+") do assert.is_true(classes[name], path .. ": " .. name) end
        end
      end
    end
    for _, row in ipairs(rows) do
      assert.is_truthy(made["types/ssl.lua"]:find("\n---@field " .. row.name .. "? ", 1, true), row.name)
    end
  end)
end)

describe("the examples", function()
  local run = require "exampleset"
  local left = {}
  for _, page in ipairs(pages.pages) do
    if page.sections[1] then
      local examples, order = reference.examples(page.file)
      for _, section in ipairs(page.sections) do
        for _, entry in ipairs(pages.entries(found, section)) do
          if not examples[entry.name] then left[#left + 1] = entry.name end
          examples[entry.name] = nil
        end
      end
      for name in pairs(examples) do left[#left + 1] = name .. ", which there is not" end
      for _, example in ipairs(order) do
        it("of " .. example.names .. " runs", function() run.run(page.file, example) end)
      end
    end
  end

  it("are there for every name", function() assert.same({}, left) end)
end)
