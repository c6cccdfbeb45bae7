-- README.md's table of what other libraries do: each row as a question, asked in an interpreter that finds only the
-- packages. Of lua-libtls and lua-mbedtls there are none: what their documentation has, the modules of these names here
-- have, and are asked for. Nothing here can ask lua-openssl.

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

-- Whether the interface has what a row is about.
local libtls = [[
  local config = require "libtls.config"
  local cfg = config.new()
  local function has(object, name) return pcall(function() return assert(object[name]) end) end
  local ctx = require "libtls".client(cfg)
  local function say(name, answer) print(name .. "\t" .. (answer and "yes" or "no")) end
  say("runs programs for LuaSec", has(ctx, "dohandshake"))
  say("sends and receives like LuaSocket", has(ctx, "send") and has(ctx, "receive"))
  say("checks the host's name in the handshake", has(ctx, "connect_servername") and has(cfg, "insecure_noverifyname"))
  say("says in a table why it failed", type((select(2, cfg:set_ca_file("/nowhere")))) == "table")
  say("TLS without a socket, or over any object", has(ctx, "connect_cbs"))
  say("client resumes sessions", has(cfg, "set_session_fd"))
  say("ticket keys shared by a fleet", has(cfg, "add_ticket_key"))
  say("OCSP stapling", has(cfg, "set_ocsp_staple") and has(cfg, "ocsp_require_stapling"))
  say("DTLS connections", (tonumber((config.parse_protocols "dtlsv1.2")) or 0) > 0)
  say("key log for Wireshark", has(cfg, "set_keylog"))
  say("ALPN", has(cfg, "set_alpn"))
  say("an HTTPS module that verifies unless told otherwise", pcall(require, "libtls.https"))
]]

local mbedtls = [[
  local ssl = require "mbedtls".ssl
  local ctx = ssl.newcontext(ssl.newconfig "tls-client", function() return "" end, function(data) return #data end)
  local function method(name) return pcall(function() return assert(ctx[name]) end) end
  local function say(name, answer) print(name .. "\t" .. (answer and "yes" or "no")) end
  say("runs programs for LuaSec", method "dohandshake")
  say("sends and receives like LuaSocket", method "send" and method "receive")
  say("checks the host's name in the handshake", method "sethostname")
  say("says in a table why it failed", type((select(2, ctx:handshake()))) == "table")
  say("TLS without a socket, or over any object", method "setbio")
  say("client resumes sessions", method "setsession")
  say("ticket keys shared by a fleet", method "setticketkeys")
  say("OCSP stapling", method "getocsp")
  say("DTLS connections", pcall(ssl.newconfig, "dtls-client"))
  say("key log for Wireshark", method "setkeylog")
  say("ALPN", method "getalpn")
  say("an HTTPS module that verifies unless told otherwise", pcall(require, "mbedtls.https"))
]]

-- A column of the table in README.md: row -> word.
local function column(name)
  local head, body = S.read("README.md"):match("\n(| | this |[^\n]*)\n|[-|]+\n(.-)\n\n")
  local function words(row)
    local list = {}
    for word in row:gmatch("|%s*([^|]-)%s*%f[|]") do list[#list + 1] = word end
    return list
  end
  local number
  for i, word in ipairs(words(head)) do number = word == name and i or number end
  assert.is_truthy(number, "no column " .. name)
  local cells, count = {}, 0
  for row in body:gmatch("[^\n]+") do
    local list = words(row)
    cells[list[1]], count = list[number], count + 1
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
  for _, one in ipairs {
    { name = "this", program = luasec },
    { name = "LuaSec 1.2", program = luasec, before = packages },
    { name = "luaossl", program = luaossl, before = packages },
    { name = "lua-libtls", program = libtls },
    { name = "lua-mbedtls", program = mbedtls },
  } do
    it("is right about " .. one.name, function()
      local set, out = answers(one.program, one.before)
      if not set then return pending(one.name .. " is not installed") end
      assert.same(column(one.name), set, out)
    end)
  end

  it("has three words", function()
    for row, word in pairs(column("lua-openssl")) do
      assert.is_truthy(({ yes = true, no = true, ["?"] = true })[word], row .. ": " .. word)
    end
  end)
end)
