-- Sessions of the libtls facade: tickets and their keys, and the file that a client keeps its session in.

local S = require "support"
local P = require "tlspair"
local core = require "ssl.core"
local tls = require "libtls"

-- A client in a process of its own, with a session file as its descriptor 5, that connects to `tries` servers made by
-- this chunk and prints whether each resumed. `client`, `server`: code that changes a configuration.
local function run(client, server, tries, more)
  local out = S.fresh(([[
    local S = require "support"
    local P = require "tlspair"
    local core = require "ssl.core"
    local tls = require "libtls"
    local scfg = P.serverconfig(function(cfg) %s end)
    local ccfg = P.clientconfig(function(cfg) assert(cfg:set_session_fd(5)) %s end)
    local server = assert(tls.server(scfg))
    for i = 1, %d do
      local c, s = P.connected(tls.client(ccfg), server)
      P.write(s, "x")
      assert(P.read(c) == "x")
      io.write(tostring(c:conn_session_resumed()), tostring(s:conn_session_resumed()), " ")
      c:close()
      s:close()
      P.finish()
      %s
    end
  ]]):format(server, client, tries, more or ""), [[f=$(mktemp); exec 5<>$f; rm $f;]])
  return (out:gsub(" $", ""))
end

describe("libtls' sessions", function()
  after_each(P.finish)

  local lasting = "assert(cfg:set_session_lifetime(3600))"
  local both = { ["TLS 1.2"] = "cfg:set_protocols(8)", ["TLS 1.3"] = "cfg:set_protocols(16)" }

  for name, code in pairs(both) do
    it("resume by tickets from a file, of " .. name, function()
      assert.are.equal("falsefalse truetrue truetrue", run(code, lasting, 3))
    end)

    it("are off without a lifetime, of " .. name, function()
      assert.are.equal("falsefalse falsefalse", run(code, "", 2))
    end)
  end

  it("go on while ticket keys change, as long as the old one is in the ring", function()
    local keyed = lasting .. " assert(cfg:add_ticket_key(1, ('k'):rep(48)))"
    assert.are.equal("falsefalse truetrue truetrue truetrue",
      run("", keyed, 4, "assert(scfg:add_ticket_key(i + 1, ('k'):rep(47) .. i))"))
    assert.are.equal("falsefalse falsefalse", run("", keyed, 2,
      "for j = 2, 5 do assert(scfg:add_ticket_key(i * 10 + j, ('k'):rep(47) .. j)) end"))
  end)

  it("pass from server to server that share ticket keys and id", function()
    local keyed = lasting .. " cfg:set_session_id('farm') cfg:add_ticket_key(7, ('k'):rep(48))"
    local another = "server = assert(tls.server(P.serverconfig(function(cfg) %s end)))"
    assert.are.equal("falsefalse truetrue", run("", keyed, 2, another:format(keyed)))
    assert.are.equal("falsefalse falsefalse", run("", keyed, 2,
      another:format(lasting .. " cfg:set_session_id('farm') cfg:add_ticket_key(7, ('z'):rep(48))")))
  end)

  it("change their keys by themselves", function()
    -- With a lifetime of four seconds, three later there is a new key.
    local now = os.time()
    local config = require "libtls.config"
    local handle = assert(config.new())
    assert(handle:set_session_lifetime(100))
    local state = config.check("test", 1, handle)
    local real = os.time
    finally(function() os.time = real end) -- luacheck: ignore 122
    local counts, first = {}, nil
    for i, later in ipairs { 0, 74, 75, 99, 150, 1000 } do
      os.time = function() return now + later end -- luacheck: ignore 122
      local keys = assert(config.ticketkeys(state))
      first = first or keys[1].name
      counts[i] = #keys
      if later < 75 then assert.are.equal(first, keys[1].name) else assert.are_not.equal(first, keys[1].name) end
      assert.are.equal(16, #keys[1].name)
      assert.are.equal(32, #keys[1].aes)
      assert.are.equal(32, #keys[1].hmac)
    end
    assert.are.same({ 1, 1, 2, 2, 2, 1 }, counts)
  end)

  it("do not resume for another name", function()
    local out = run("", lasting, 2, [[
      ccfg:set_ca_file(S.cert "rootA")
      local c, s, a, b = P.contexts(tls.client(ccfg), server, { name = "other.test" })
      local cr = P.shake(c, s, a, b)
      assert(not cr[1] and cr[2]:find("not present in server certificate"), cr[2])
    ]])
    assert.truthy(out:find("^falsefalse"), out)
  end)

  it("are one PEM block in their file, which junk is not", function()
    local out = S.fresh([[
      local P = require "tlspair"
      local core = require "ssl.core"
      local tls = require "libtls"
      local server = assert(tls.server(P.serverconfig(function(cfg) cfg:set_session_lifetime(60) end)))
      local ccfg = P.clientconfig(function(cfg) assert(cfg:set_session_fd(5)) end)
      local c, s = P.connected(tls.client(ccfg), server)
      P.write(s, "x")
      P.read(c)
      c:close()
      local text = core.readat(5, 100000, 0)
      print(text:match("^(%-%-%-%-%-BEGIN [%u ]+)%-%-%-%-%-\n.*\n%-%-%-%-%-END SSL SESSION PARAMETERS%-%-%-%-%-\n$"))
      core.rewrite(5, "junk")
      print(tls.client(ccfg):connect_socket(1, "localhost"))
      ccfg:set_session_fd(-1)
      print((P.connected(tls.client(ccfg), server):conn_session_resumed()))
    ]], [[f=$(mktemp); exec 5<>$f; rm $f;]])
    assert.are.equal("-----BEGIN SSL SESSION PARAMETERS\nfalse\tfailed to parse session\nfalse", out)
  end)

  it("say at close that they could not be written", function()
    local out = S.fresh([[
      local P = require "tlspair"
      local tls = require "libtls"
      local server = assert(tls.server(P.serverconfig(function(cfg) cfg:set_session_lifetime(60) end)))
      local ccfg = P.clientconfig(function(cfg) assert(cfg:set_session_fd(5)) end)
      local c, s = P.connected(tls.client(ccfg), server)
      P.write(s, "x")
      print(P.read(c))
      print(c:close())
    ]], [[f=$(mktemp); exec 5<$f; rm $f;]])
    assert.truthy(out:find("^x\nfalse\tfailed to write session file: "), out)
  end)

  it("are left alone by connections without any", function()
    local c = P.connected(nil, function(cfg) cfg:set_session_lifetime(60) end)
    assert.is_false(c:conn_session_resumed())
    assert.is_true(c:close())
    assert.are.equal(48, tls.TICKET_KEY_SIZE)
    assert.are.equal(48, #core.random(tls.TICKET_KEY_SIZE))
  end)
end)
