-- The pictures of doc/: each says in words what it shows, is readable in the dark, and stands in a page. And what
-- doc/lifetimes.svg shows: who keeps whom alive.

local S = require "support"
local ssl = S.ssl

local function files(pattern)
  local p, list = assert(io.popen("ls " .. pattern)), {}
  for line in p:lines() do list[#list + 1] = line end
  p:close()
  return list
end

describe("the pictures", function()
  local pages = {}
  for _, path in ipairs(files("doc/*.md")) do pages[#pages + 1] = S.read(path) end
  pages = table.concat(pages)

  for _, path in ipairs(files("doc/*.svg")) do
    it(path .. " tells what it shows", function()
      local svg = S.read(path)
      assert.matches("<title>[^<]+</title>\n<desc>[^<]+</desc>", svg)
      assert.is_truthy(svg:find("prefers-color-scheme: dark", 1, true))
      assert.is_true(tonumber(svg:match('^<svg [^>]*width="(%d+)"')) <= 480, "too wide for a phone")
      assert.is_truthy(pages:find("](" .. path:match("[^/]+$") .. ")", 1, true), "no page shows it")
    end)
  end
end)

describe("what lives how long", function()
  local function collected(weak)
    S.collect()
    return weak[1] == nil
  end

  it("a connection keeps its context, and the context its functions", function()
    local lines = 0
    local log = function() lines = lines + 1 end
    local functions = setmetatable({ log }, { __mode = "v" })
    local context = assert(ssl.newcontext(S.client { keylog = log }))
    local contexts = setmetatable({ context }, { __mode = "v" })
    local c, s = S.wrapped(context, S.server())
    log, context = nil, nil -- luacheck: ignore 311
    assert.is_false(collected(contexts))
    assert.is_false(collected(functions))
    S.shake(c, s)
    assert.is_true(lines > 0)
    c:close()
    assert.is_false(collected(contexts))
    c = nil -- luacheck: ignore 311
    assert.is_true(collected(contexts))
    assert.is_true(collected(functions))
    s:close()
  end)

  it("certificates and sessions outlive the connection that gave them", function()
    local c, s = S.connected(S.client { sessions = true }, S.server())
    assert.equal("x", S.transfer(s, c, "x")) -- what brings the ticket along
    local certificate, session = c:getpeercertificate(), assert(c:getsession())
    local connections = setmetatable({ c }, { __mode = "v" })
    c:close()
    assert.equal("closed", select(2, c:receive(1)))
    assert.equal("table", type(c:lasterror()))
    c = nil -- luacheck: ignore 311
    assert.is_true(collected(connections))
    assert.is_truthy(certificate:checkhost("localhost"))
    assert.is_true(#assert(session:export()) > 100)
    s:close()
  end)

  it("connections go on when their context is closed", function()
    local context = assert(ssl.newcontext(S.client()))
    local c, s = S.wrapped(context, S.server())
    S.finalize(context)
    S.shake(c, s)
    assert.equal("x", S.transfer(c, s, "x"))
    assert.is_false(pcall(ssl.engine, context)) -- which makes no new ones
    c:close()
    s:close()
  end)
end)
