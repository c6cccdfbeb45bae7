-- README.md's table of what other libraries do: each row as a question, asked in an interpreter that finds only the
-- packages.

local S = require "support"

local packages = [[
  package.path = package.path:gsub("[^;]*lua/%?%.lua;", "", 1)
  package.path, package.cpath = package.path:gsub("test/%?%.lua;", ""), package.cpath:gsub("build/[^;]*;", "")
]]

-- What a library of LuaSec's kind has: printed as name, answer.
local luasec = [[
  local ok, ssl = pcall(require, "ssl")
  if not ok then return print("none") end
  local https = require "ssl.https"
  local cfg = { mode = "client", protocol = "any" }
  local ctx = assert(ssl.newcontext(cfg))
  local conn = require "ssl.core".create(ctx)
  local methods = getmetatable(conn).__index
  local function takes(key, value)
    return (pcall(function()
      assert(ssl.newcontext { mode = "client", protocol = "any", verify = "peer", strict = true, [key] = value })
    end))
  end
  local function say(name, answer) print(name .. "\t" .. (answer and "yes" or "no")) end
  local strict = not takes("nosuchkey", true) -- LuaSec passes over what it does not know
  say("runs programs for LuaSec", ssl.wrap and ssl.newcontext)
  say("sends and receives like LuaSocket", methods.send and methods.receive and methods.settimeout)
  say("checks the host's name in the handshake", strict and takes("servername", "localhost"))
  say("says in a table why it failed",
    type((select(3, ssl.newcontext { mode = "client", protocol = "any", cafile = "/nowhere" }))) == "table")
  say("TLS without a socket, or over any object", ssl.engine)
  say("client resumes sessions", methods.setsession)
  say("ticket keys shared by a fleet", getmetatable(ctx).__index.setticketkeys)
  say("OCSP stapling", methods.getocsp)
  say("DTLS connections", ssl.newcontext { mode = "client", protocol = "dtls" })
  say("key log for Wireshark", strict and takes("keylog", print))
  say("ALPN", methods.getalpn)
  say("an HTTPS module that verifies unless told otherwise", https.verify == "peer")
]]

local luaossl = [[
  local ok, context = pcall(require, "openssl.ssl.context")
  if not ok then return print("none") end
  local ctx = context.new("TLS")
  local conn, ctxm = require "openssl.ssl".new(ctx), getmetatable(ctx).__index
  local methods, params = getmetatable(conn).__index, getmetatable(require "openssl.x509.verify_param".new()).__index
  local function say(name, answer) print(name .. "\t" .. (answer and "yes" or "no")) end
  say("runs programs for LuaSec", methods.dohandshake)
  say("sends and receives like LuaSocket", methods.send and methods.receive)
  say("checks the host's name in the handshake", params.setHost and methods.setParam)
  say("says in a table why it failed", type((select(2, pcall(context.new, "nosuch")))) == "table")
  say("TLS without a socket, or over any object", methods.feed or methods.write)
  say("client resumes sessions", methods.setSession)
  say("ticket keys shared by a fleet", ctxm.setTicketKeys)
  say("OCSP stapling", methods.setTLSextStatusOCSPResp)
  say("DTLS connections", methods.listen or methods.getTimeout)
  say("key log for Wireshark", ctxm.setKeylogCallback)
  say("ALPN", ctxm.setAlpnProtos and methods.getAlpnSelected)
  say("an HTTPS module that verifies unless told otherwise", pcall(require, "openssl.https"))
]]

-- A column of the table in README.md: row -> word.
local function column(number)
  local table_ = S.read("README.md"):match("\n| | this |[^\n]*\n|[-|]+\n(.-)\n\n")
  local cells, count = {}, 0
  for row in table_:gmatch("[^\n]+") do
    local words = {}
    for word in row:gmatch("|%s*([^|]-)%s*%f[|]") do words[#words + 1] = word end
    cells[words[1]], count = words[number + 1], count + 1
  end
  assert.equal(12, count)
  return cells
end

local function answers(program, before)
  local out = S.fresh((before or "") .. program)
  if out == "none" then return nil end
  local set = {}
  for name, word in (out .. "\n"):gmatch("([^\t\n]+)\t(%a+)\n") do set[name] = word end
  return set, out
end

describe("the table beside the others", function()
  for number, one in ipairs {
    { name = "this library", program = luasec },
    { name = "LuaSec", program = luasec, before = packages },
    { name = "luaossl", program = luaossl, before = packages },
  } do
    it("is right about " .. one.name, function()
      local set, out = answers(one.program, one.before)
      if not set then return pending(one.name .. " is not installed") end
      assert.same(column(number), set, out)
    end)
  end
end)
