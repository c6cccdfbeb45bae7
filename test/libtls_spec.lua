-- Contexts of the libtls facade: connecting, accepting, data, the end, and what they answer in every state.

local S = require "support"
local P = require "tlspair"
local config = require "libtls.config"
local ocspkit = require "ocspkit"
local process = require "process"
local socket = require "socket"
local tls = require "libtls"

local function count(...) return select("#", ...) end

-- Methods that answer in every state, with arguments.
local calls = {
  accept_fds = { -1, -1 }, accept_socket = { -1 }, connect_fds = { -1, -1 }, connect_socket = { -1 },
  connect = { "localhost" }, connect_servername = { "localhost" }, read = { 10 }, write = { "x" }, handshake = {},
  close = {}, conn_version = {}, conn_cipher = {}, conn_cipher_strength = {}, conn_servername = {},
  conn_alpn_selected = {}, conn_session_resumed = {}, peer_cert_provided = {}, peer_cert_contains_name = { "x" },
  peer_cert_hash = {}, peer_cert_issuer = {}, peer_cert_subject = {}, peer_cert_notbefore = {},
  peer_cert_notafter = {}, peer_cert_chain_pem = {}, peer_ocsp_url = {}, peer_ocsp_cert_status = {},
  peer_ocsp_crl_reason = {}, peer_ocsp_response_status = {}, peer_ocsp_result = {}, peer_ocsp_this_update = {},
  peer_ocsp_next_update = {}, peer_ocsp_revocation_time = {}, ocsp_process_response = { "x" },
  sendfile = { 9999, 1 }, reset = {},
}

local function callall(ctx)
  for name, arguments in pairs(calls) do
    if name ~= "reset" then ctx[name](ctx, S.unpack(arguments)) end
  end
  ctx:reset()
end

describe("libtls", function()
  after_each(P.finish)

  it("has libtls' constants", function()
    local values = { WANT_POLLIN = -2, WANT_POLLOUT = -3, TLS_v10 = 2, TLS_v11 = 4, TLS_v12 = 8, TLS_v13 = 16,
      TLS_v1x = 30, TLS_DEFAULT = 24, OCSP_CERT_GOOD = 0, OCSP_CERT_REVOKED = 1, OCSP_CERT_UNKNOWN = 2,
      OCSP_RESPONSE_SUCCESSFUL = 0, OCSP_RESPONSE_MALFORMED = 1, OCSP_RESPONSE_INTERNALERROR = 2,
      OCSP_RESPONSE_TRYLATER = 3, OCSP_RESPONSE_SIGREQUIRED = 4, OCSP_RESPONSE_UNAUTHORIZED = 5,
      CRL_REASON_UNSPECIFIED = 0, CRL_REASON_KEY_COMPROMISE = 1, CRL_REASON_CA_COMPROMISE = 2,
      CRL_REASON_AFFILIATION_CHANGED = 3, CRL_REASON_SUPERSEDED = 4, CRL_REASON_CESSATION_OF_OPERATION = 5,
      CRL_REASON_CERTIFICATE_HOLD = 6, CRL_REASON_REMOVE_FROM_CRL = 8, CRL_REASON_PRIVILEGE_WITHDRAWN = 9,
      CRL_REASON_AA_COMPROMISE = 10, TLS_API = 20200120, MAX_SESSION_ID_LENGTH = 32, TICKET_KEY_SIZE = 48 }
    for name, value in pairs(values) do assert.are.equal(value, tls[name], name) end
    for name, value in pairs(tls) do
      if type(value) == "number" then assert.are.equal(values[name], value, name) end
    end
  end)

  it("hides what it holds, and shows what it is", function()
    local ctx = tls.client(assert(config.new()))
    assert.is_false(getmetatable(ctx))
    assert.truthy(tostring(ctx):match("^libtls: 0x%x+$"))
    for _, object in ipairs { ctx, assert(config.new()), assert(tls.server(P.serverconfig())) } do
      assert.are.equal("userdata", type(object))
      assert.is_false(pcall(next, object))
      assert.is_false(pcall(function() object.field = 1 end))
      assert.is_nil(object.field)
      for _, f in ipairs { S.ssl.newcontext, S.ssl.wrap, S.ssl.engine } do assert.is_false(pcall(f, object, object)) end
    end
  end)

  it("wants a configuration", function()
    for _, make in ipairs { tls.client, tls.server } do
      for _, bad in ipairs { {}, "x", 1, true } do S.raises("libtls.config expected", make, bad) end
      S.raises("bad argument #1", make)
    end
  end)

  it("raises for arguments of another type, and counts itself as the first", function()
    local ctx = tls.client(P.clientconfig())
    for name in pairs(calls) do
      S.raises("bad argument #1 to '" .. name .. "' (libtls expected", ctx[name], {})
      S.raises("bad argument #1", ctx[name])
    end
    for _, name in ipairs { "connect", "connect_servername", "write", "peer_cert_contains_name",
      "ocsp_process_response" } do
      S.raises("bad argument #2 to '" .. name .. "' (string expected", ctx[name], ctx)
    end
    for _, name in ipairs { "connect_fds", "connect_socket", "accept_fds", "accept_socket" } do
      S.raises("bad argument #2 to '" .. name .. "' (integer expected, got table", ctx[name], ctx, {})
    end
    S.raises("argument #3", ctx.connect_fds, ctx, 1, "x")
    S.raises("argument #4", ctx.connect_fds, ctx, 1, 1, {})
    S.raises("argument #3", ctx.connect_socket, ctx, 1, {})
    S.raises("integer expected", ctx.read, ctx, "x")
    for _, junk in ipairs { {}, ctx } do
      S.raises("argument #2 to 'sendfile' (integer expected", ctx.sendfile, ctx, junk, 1)
    end
    S.raises("argument #3", ctx.sendfile, ctx, 1)
  end)

  it("refuses servers without a fitting key pair", function()
    local ctx, message = tls.server(assert(config.new()))
    assert.is_nil(ctx)
    assert.are.equal("private/public key mismatch", message)
    for _, key in ipairs { S.pem "serverBkey", "", "junk", S.cert "serverAkey", S.pem "serverAkey-encrypted" } do
      ctx, message = tls.server(P.serverconfig(function(cfg) cfg:set_key(key) end))
      assert.is_nil(ctx)
      assert.are.equal("failed to load private key", message)
    end
    ctx, message = tls.server(P.serverconfig(function(cfg) cfg:clear_keys() end))
    assert.is_nil(ctx)
    assert.are.equal("private/public key mismatch", message)
    ctx, message = tls.server(P.serverconfig(function(cfg) cfg:add_keypair(S.pem "serverB", S.pem "serverAkey") end))
    assert.is_nil(ctx)
    assert.are.equal("failed to load private key", message)
  end)

  it("speaks TLS 1.3 over borrowed descriptors", function()
    local c, s, a = P.connected()
    assert.are.equal("TLSv1.3", c:conn_version())
    assert.are.equal("TLS_AES_256_GCM_SHA384", c:conn_cipher())
    assert.are.equal(256, c:conn_cipher_strength())
    assert.are.same({ false, "handshake already completed" }, { c:handshake() })
    assert.are.same({ false, "context already connected" }, { c:connect_socket(a:getfd(), "localhost") })
    assert.are.same({ 5, nil, false }, { c:write "hello" })
    assert.are.equal("hello", P.read(s))
    assert.are.same({ nil, nil, true, tls.WANT_POLLIN }, { s:read() })
    assert.are.same({ 0, nil, false }, { c:write "" })
    P.write(s, "after an empty write")
    assert.are.equal("after", P.read(c, 5))
    assert.are.equal(0, count(c:read(0)))
    assert.are.equal(" an empty write", P.read(c, -1))
    assert.is_true(c:close())
    assert.is_true(c:close())
    assert.are.equal(0, count(P.read(s)))
    assert.is_true(s:close())
    assert.is_true(a:getfd() >= 0 and a:send("the socket is still the program's") ~= nil)
  end)

  it("shakes hands where data is read or written first", function()
    local c, s = P.contexts()
    assert.are.same({ nil, nil, true, tls.WANT_POLLIN }, { s:read() })
    assert.are.same({ 0, nil, true, tls.WANT_POLLIN }, { c:write "early" })
    local got
    S.poll(function()
      if not got then got = s:read() end
      return c:write("early") == 5
    end)
    assert.are.equal("early", got or P.read(s))
  end)

  it("writes a record at a time and reads at most one", function()
    local c, s = P.connected()
    local data = ("0123456789"):rep(5000)
    assert.are.same({ 16384, nil, true, tls.WANT_POLLOUT }, { c:write(data) })
    assert.are.equal(8192, #P.read(s))
    assert.are.equal(8192, #P.read(s, 100000))
  end)

  it("goes on with a record that the socket did not take", function()
    local c, s = P.connected()
    local data, sent, blocked = ("x"):rep(16384), 0, false
    for _ = 1, 2000 do
      local n, message, again, want = c:write(data)
      assert.is_nil(message)
      sent = sent + n
      if n == 0 then
        assert.is_true(again)
        assert.are.equal(tls.WANT_POLLOUT, want)
        blocked = true
        break
      end
    end
    assert.is_true(blocked)
    local got = 0
    S.poll(function()
      local part = s:read(16384)
      got = got + (part and #part or 0)
      if blocked then
        local n = c:write(data)
        sent, blocked = sent + n, n == 0
      end
      return not blocked and got == sent
    end)
  end)

  it("sends parts of files", function()
    local c, s = P.connected()
    local path = S.tmpfile(("abcdefghij"):rep(2000))
    local f = assert(io.open(path, "rb"))
    assert.are.same({ 10, nil, false }, { c:sendfile(f, 10) })
    assert.are.equal("abcdefghij", P.read(s))
    assert.are.equal("ab", f:read(2)) -- its position is its own
    assert.are.same({ 3, nil, true, tls.WANT_POLLOUT }, { c:sendfile(f, 10, 19997) })
    assert.are.equal("hij", P.read(s))
    assert.are.same({ 16384, nil, true, tls.WANT_POLLOUT }, { c:sendfile(f, 20000) })
    assert.are.equal(0, (c:sendfile(f, 10, 20000)))
    for _, n in ipairs { 0, -1 } do assert.are.same({ nil, "Invalid argument" }, { c:sendfile(f, n) }) end
    assert.are.same({ nil, "Invalid argument" }, { c:sendfile(f, 1, -1) })
    f:close()
    os.remove(path)
    assert.are.same({ nil, "Bad file descriptor" }, { c:sendfile(f, 1) })
    assert.are.same({ nil, "Bad file descriptor" }, { c:sendfile(9999, 1) })
    assert.are.same({ nil, "Bad file descriptor" }, { c:sendfile(-1, 1) })
  end)

  it("tells a cut stream from an ended one at close", function()
    local c, s, a = P.connected()
    a:shutdown("send")
    assert.are.equal(0, count(P.read(s)))
    assert.are.same({ false, "EOF without close notify" }, { s:close() })
    assert.is_true(s:close())
    assert.truthy(c:conn_version()) -- lives on
  end)

  it("answers in the words of the state that it is in", function()
    local client = tls.client(P.clientconfig())
    local server = assert(tls.server(P.serverconfig()))
    assert.are.same({ false, "context not connected" }, { client:handshake() })
    assert.are.same({ nil, "context not connected" }, { client:read() })
    assert.are.same({ nil, "context not connected" }, { client:write "x" })
    assert.are.same({ nil, "not a server context" }, { client:accept_socket(1) })
    assert.are.same({ false, "invalid file descriptors" }, { client:connect_fds(-1, 1, "x") })
    assert.are.same({ false, "server name not specified" }, { client:connect_socket(1) })
    assert.are.same({ false, "no port provided" }, { client:connect "localhost" })
    assert.is_true(client:close())
    assert.are.same({ false, "invalid operation for context" }, { server:handshake() })
    assert.are.same({ false, "invalid operation for context" }, { server:close() })
    assert.are.same({ nil, "invalid operation for context" }, { server:read() })
    assert.are.same({ false, "not a client context" }, { server:connect("localhost", 1) })
    assert.are.same({ false, "not a client context" }, { server:connect_socket(1, "x") })
    assert.are.same({ nil, "invalid file descriptors" }, { server:accept_fds(-1, 1) })
    assert.are.equal(0, count(server:reset()))
  end)

  it("survives every method in every state", function()
    callall(tls.client(P.clientconfig()))
    callall(assert(tls.server(P.serverconfig())))
    local c, s = P.contexts()
    callall(c)
    callall(s)
    c, s = P.connected()
    s:close()
    callall(c)
    callall(s)
    callall(c)
    local _, _, refused, peer = P.try(nil, nil, { name = "other.test" })
    callall(refused)
    callall(peer)
    c = tls.client(P.clientconfig())
    c:connect_socket(9999, "localhost")
    local ok, message = c:handshake()
    assert.is_false(ok)
    assert.are.equal("handshake failed: Bad file descriptor", message)
    callall(c)
  end)

  it("connects anew after reset", function()
    local c = P.connected()
    assert.are.equal(0, count(c:reset()))
    assert.are.equal(0, count(c:conn_version()))
    local again = P.connected(c)
    assert.are.equal("TLSv1.3", again:conn_version())
  end)

  it("does not touch the descriptors of a context that was dropped", function()
    local c, s, a, b = P.connected()
    P.write(s, "x")
    P.read(c)
    c, s = nil, nil -- luacheck: ignore
    S.collect()
    b:settimeout(0)
    assert.are.same({ nil, "timeout", "" }, { b:receive(1) })
    assert(a:send("y"))
    b:settimeout(5)
    assert.are.equal("y", b:receive(1))
  end)

  it("blocks on blocking descriptors, two of them", function()
    local out = S.fresh([[
      local S = require "support"
      local P = require "tlspair"
      local tls = require "libtls"
      local server = arg[1] == "server"
      local ctx
      if server then ctx = assert(tls.server(P.serverconfig()):accept_fds(5, 6))
      else
        ctx = tls.client(P.clientconfig())
        assert(ctx:connect_fds(6, 5, "localhost"))
      end
      print((ctx:handshake()))
      print(ctx:write(server and "from the server" or "from the client"))
      print((ctx:read()))
      print((ctx:close()))
    ]], [[d=$(mktemp -d); mkfifo $d/a $d/b; exec 5<>$d/a 6<>$d/b; rm -r $d; both() { t=$(mktemp); cat >$t;
      ("$@" $t server </dev/null >$t.s 2>&1; cat $t.s) & ("$@" $t client </dev/null >$t.c 2>&1);
      wait; cat $t.c; rm $t $t.s $t.c; }; run() { shift 2; i=$1; both timeout 30 $i; }; run]])
    local _, trues = out:gsub("true", "")
    assert.are.equal(4, trues, out)
    assert.truthy(out:find("from the server", 1, true))
    assert.truthy(out:find("from the client", 1, true))
  end)

  it("connects by itself, and owns that socket", function()
    local program, port = ocspkit.openssl("serverA")
    local before = S.descriptors()
    for _, arguments in ipairs { { "localhost", tostring(port) }, { "localhost:" .. port },
      { "127.0.0.1", port, "localhost" } } do
      local c = tls.client(P.clientconfig())
      local connect = arguments[3] and c.connect_servername or c.connect
      assert(connect(c, S.unpack(arguments, 1, 3)))
      assert(c:handshake())
      assert.are.equal("localhost", c:conn_servername())
      P.write(c, "GET / HTTP/1.0\r\n\r\n")
      assert.truthy(c:read():find("^HTTP/1.0 200"))
      assert.is_true(c:close())
      assert.is_true(c:close())
    end
    ocspkit.stop(program)
    assert.are.equal(before, S.descriptors())
    local c = tls.client(P.clientconfig())
    assert.are.same({ false, "connect: Connection refused" }, { c:connect("127.0.0.1", ocspkit.freeport()) })
  end)

  it("serves openssl s_client", function()
    local listener = assert(socket.bind("127.0.0.1", 0))
    listener:settimeout(20)
    local _, port = listener:getsockname()
    local program = process.start { "openssl", "s_client", "-connect", "127.0.0.1:" .. port, "-CAfile", S.cert "rootA",
      "-verify_return_error", "-servername", "localhost", "-quiet" }
    local sock = assert(listener:accept())
    local ctx = assert(assert(tls.server(P.serverconfig())):accept_socket(sock:getfd()))
    P.write(ctx, "hello from libtls\n")
    program:expect("hello from libtls")
    assert.are.equal("localhost", ctx:conn_servername())
    ctx:close()
    sock:close()
    listener:close()
    program:kill()
  end)

  it("does not die of a peer that has gone", function()
    local out = S.fresh [[
      local P = require "tlspair"
      local c, s, a, b = P.connected()
      b:close()
      for _ = 1, 100 do c:write(("x"):rep(16384)) end
      print("alive", (c:write("x")))
    ]]
    assert.truthy(out:find("^alive"), out)
  end)

  it("keeps memory flat", function()
    local grown = S.growth([[
      local P = require "tlspair"
      local tls = require "libtls"
      local server = assert(tls.server(P.serverconfig()))
      local cfg = P.clientconfig()
      return function()
        local c, s = P.connected(tls.client(cfg), server)
        c:write("x")
        P.read(s)
        P.finish()
      end
    ]], 100, 300)
    assert.is_true(grown < 1500, grown)
  end)
end)
