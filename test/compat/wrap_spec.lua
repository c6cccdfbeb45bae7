-- ssl.wrap and ssl.core.create/setfd: what may be wrapped, who owns the descriptor afterwards, and the refusals.

local T = require "compat.tools"
local support = require "support"
local ssl = require "ssl"
local core = require "ssl.core"

local pack = support.pack

local function isconn(r)
  if type(r[1]) ~= "userdata" then error("refused: " .. T.show(r), 2) end
  assert.is_truthy(tostring(r[1]):find("^SSL connection: 0x%x+$"))
  return r[1]
end

describe("compat wrap", function()
  local c, s
  before_each(function() c, s = support.tcp() end)
  after_each(function() T.close(c, s) end)

  it("takes a table of settings", function() isconn(pack(ssl.wrap(c, support.anyclient()))):close() end)

  it("takes a context, many times", function()
    local ctx = assert(ssl.newcontext(support.anyclient()))
    isconn(pack(ssl.wrap(c, ctx))):close()
    isconn(pack(ssl.wrap(s, ctx))):close()
  end)

  it("reports bad settings as newcontext does, and leaves the socket alone", function()
    local fd = c:getfd()
    T.begins(pack(ssl.wrap(c, support.anyclient { protocol = "foo" })), nil, "invalid protocol (foo)")
    assert.equal(fd, c:getfd())
    assert.equal(1, c:send("x"))
    assert.equal("x", s:receive(1))
  end)

  it("raises 'invalid context' for anything else", function()
    for _, v in ipairs { 1, "client", true, print } do T.raises("invalid context", ssl.wrap, c, v) end
    T.raises("invalid context", ssl.wrap, c)
    T.raises("bad argument #1 to .*invalid context", core.create, s)
  end)

  it("raises for objects of this library that are no context", function()
    local conn = assert(ssl.wrap(c, support.anyclient()))
    T.raises("invalid context", core.create, conn)
    T.raises("invalid context", core.create, ssl.loadcertificate(support.pem "serverA"))
    conn:close()
  end)

  it("leaves the socket alone when it raises", function()
    local fd = c:getfd()
    pcall(ssl.wrap, c, 1)
    assert.equal(fd, c:getfd())
  end)

  it("takes the descriptor from the socket object", function()
    local fd = c:getfd()
    local conn = assert(ssl.wrap(c, support.anyclient()))
    assert.equal(fd, conn:getfd())
    assert.equal(-1, c:getfd())
    T.begins(pack(c:send("x")), nil, "closed", 0)
    conn:close()
  end)

  it("does no input or output", function()
    local conn = assert(ssl.wrap(c, support.anyclient()))
    s:settimeout(0.05)
    T.begins(pack(s:receive(1)), nil, "timeout", "")
    conn:close()
    s:settimeout(5)
    T.begins(pack(s:receive(1)), nil, "closed", "")
  end)

  it("takes any object with getfd and setfd", function()
    local fd = c:getfd()
    local object = { setfd = function(self, n) self.fd = n end, getfd = function(self) return self.fd end, fd = fd }
    local conn = isconn(pack(ssl.wrap(object, support.anyclient())))
    assert.equal(core.SOCKET_INVALID, object.fd)
    assert.equal(fd, conn:getfd())
    c:setfd(core.SOCKET_INVALID)
    conn:close()
  end)

  it("takes a closed socket, whose handshake then fails", function()
    c:close()
    local conn = isconn(pack(ssl.wrap(c, support.anyclient())))
    T.failed(pack(conn:dohandshake()), false, "^%a")
    conn:close()
  end)

  it("reports the bad descriptor of a closed socket in the system's words", function()
    c:close()
    local conn = assert(ssl.wrap(c, support.anyclient()))
    T.begins(pack(conn:dohandshake()), false, "Bad file descriptor")
    conn:close()
  end)

  it("makes connections that block without bound, whatever the socket's timeout was", function()
    c:settimeout(0)
    local conn = assert(ssl.wrap(c, support.anyclient()))
    s:send(("x"):rep(16)) -- no TLS: the handshake ends in an error, but it waits for the bytes
    local r = pack(conn:dohandshake())
    assert.is_false(r[1])
    assert.is_false(support.wants(r[2]))
    conn:close()
  end)

  it("takes no descriptor from a connection in place of a socket", function()
    -- In a child: a library that closes a descriptor twice here would disturb whichever test opened it next.
    T.survives [[
      local support = require "support"
      local ssl = support.ssl
      local c, s = support.tcp()
      local conn = assert(ssl.wrap(c, support.anyclient()))
      local fd = conn:getfd()
      pcall(ssl.wrap, conn, support.anyclient())
      support.collect()
      assert(conn:getfd() == fd)
      s:settimeout(0.05)
      local _, err = s:receive(1)
      assert(err == "timeout", err)
    ]]
  end)

  it("keeps the context alive as long as the connection", function()
    local called = 0
    do
      local ctx = assert(ssl.newcontext(support.server {
        alpn = function() called = called + 1 return nil end }))
      s = assert(ssl.wrap(s, ctx))
    end
    support.collect()
    s:settimeout(0)
    c = assert(ssl.wrap(c, support.client { alpn = "h2" }))
    c:settimeout(0)
    local cr, sr = support.shake(c, s)
    assert.is_true(cr[1] and sr[1])
    assert.equal(1, called)
  end)

  it("lets connections be collected without close, and closes the descriptor then", function()
    do
      local conn = assert(ssl.wrap(c, support.anyclient())) -- luacheck: ignore
    end
    c = nil
    s:settimeout(0.01)
    support.poll(function()
      support.collect()
      local _, err = s:receive(1)
      return err == "closed"
    end, "the collector to close the descriptor")
  end)
end)

describe("compat core.create and setfd", function()
  local ctx = assert(ssl.newcontext(support.anyclient()))

  it("make a connection without descriptor first", function()
    local conn = core.create(ctx)
    assert.equal(-1, conn:getfd())
    assert.is_false(conn:dirty())
    conn:close()
  end)

  it("may set the descriptor again before the handshake", function()
    local c, s = support.tcp()
    local conn = core.create(ctx)
    T.returned(pack(core.setfd(conn, c:getfd())))
    T.returned(pack(core.setfd(conn, s:getfd())))
    assert.equal(s:getfd(), conn:getfd())
    s:setfd(-1)
    conn:close()
    c:close()
  end)

  it("refuse a descriptor after the handshake and after close", function()
    local c, s = support.connected()
    T.raises("bad argument #1.*invalid SSL object state", core.setfd, c, 0)
    T.close(c, s)
    T.raises("bad argument #1.*invalid SSL object state", core.setfd, c, 0)
  end)

  it("fail for a context without mode", function()
    local context = require "ssl.context"
    T.begins(pack(core.create(context.create("any"))), nil, "invalid mode")
  end)

  it("work by hand as wrap does", function()
    local c, s = support.tcp()
    local serverctx = assert(ssl.newcontext(support.server()))
    local client, server = core.create(ctx), core.create(serverctx)
    core.setfd(client, c:getfd())
    core.setfd(server, s:getfd())
    c:setfd(-1)
    s:setfd(-1)
    client:settimeout(0)
    server:settimeout(0)
    local cr, sr = support.shake(client, server)
    assert.is_true(cr[1] and sr[1])
    assert.equal("ping", support.transfer(client, server, "ping"))
    T.close(client, server)
  end)

  it("answer for the handshake of a connection that has no descriptor", function()
    local conn = core.create(ctx)
    T.failed(pack(conn:dohandshake()), false, "^%a")
    conn:close()
  end)

  it("keep a context's callbacks working for a connection that outlives it", function()
    T.survives [[
      local support = require "support"
      local core, ssl = require "ssl.core", require "ssl"
      local c, s = support.tcp()
      local server = core.create(assert(ssl.newcontext(support.server { alpn = function() return "h2" end })))
      local client = core.create(assert(ssl.newcontext(support.anyclient { alpn = "h2" })))
      support.collect()
      core.setfd(client, c:getfd()) c:setfd(-1)
      core.setfd(server, s:getfd()) s:setfd(-1)
      client:settimeout(0) server:settimeout(0)
      local cr, sr = support.shake(client, server)
      assert(cr[1], cr[2]) assert(sr[1], sr[2])
      assert(client:getalpn() == "h2")
    ]]
  end)
end)
