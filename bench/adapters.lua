-- One adapter a library: the few calls that the benchmark needs, each library by its own names. What is measured, and
-- what a workload does with these calls, is in bench.lua.
--
-- adapters.NAME() loads the library, or prints "A reason" and ends the process when it is absent, and returns a table:
--   version, file                  what was loaded, and from where
--   context(server)                a context with the test PKI's certificate for a server
--   tcp(port)                      a connected socket
--   connect(port, ctx, session)    a connection with its handshake done
--   listen()                       listener, port
--   accept(listener, ctx)          a connection with its handshake done
--   methods(conn)                  send, receive: functions whose first argument is conn
--   close(conn)
-- and where the library can:
--   session(conn)                  the session to resume; nosession is true where a full handshake stands in for it
--   parse(cafile)                  a client's context that trusts the file
--   connectown(port, cafile)       a connection with a context of its own, made from settings
--   engine(ctx)                    a connection without a socket
--   idle(conn)                     takes what is there without waiting

local certs = os.getenv("CERTS") or "build/certs"
local BUFFER = 32768

local adapters = {}

function adapters.absent(reason)
  print("A " .. reason)
  os.exit(0)
end

local function try(name)
  local ok, module = pcall(require, name)
  if not ok then adapters.absent("no module " .. name) end
  return module
end

--- The file that require takes a C module from.
local function found(name)
  for template in package.cpath:gmatch("[^;]+") do
    local path = template:gsub("%?", name)
    local f = io.open(path, "rb")
    if f then
      f:close()
      return path
    end
  end
  return "unknown"
end

--- TCP by LuaSocket.
local function sockets(A, socket)
  function A.tcp(port)
    local sock = socket.tcp()
    assert(sock:connect("127.0.0.1", port))
    return sock
  end

  function A.listen()
    local listener = assert(socket.bind("127.0.0.1", 0, 128))
    local _, port = listener:getsockname()
    return listener, port
  end
end

--- LuaSec and whatever has its API.
local function luasec(ssl, socket)
  local A = { version = "ssl " .. ssl._VERSION, file = found("ssl") }

  --- One cipher suite and one group, as plain C has them: what else a ClientHello offers costs both sides.
  function A.context(server)
    local cfg = { mode = server and "server" or "client", protocol = "tlsv1_3", verify = "none",
      ciphersuites = "TLS_AES_128_GCM_SHA256", curveslist = "X25519" }
    if server then cfg.certificate, cfg.key = certs .. "/serverA.pem", certs .. "/serverAkey.pem" end
    return assert(ssl.newcontext(cfg))
  end

  sockets(A, socket)

  function A.connect(port, ctx, session)
    local conn = assert(ssl.wrap(A.tcp(port), ctx))
    if session then assert(conn:setsession(session)) end
    assert(conn:dohandshake())
    return conn
  end

  local function authority(path) return { mode = "client", protocol = "tlsv1_3", verify = "peer", cafile = path } end
  function A.parse(path) return assert(ssl.newcontext(authority(path))) end
  function A.connectown(port, path) return A.connect(port, authority(path)) end

  function A.accept(listener, ctx)
    local conn = assert(ssl.wrap(assert(listener:accept()), ctx))
    assert(conn:dohandshake())
    return conn
  end

  function A.methods(conn) return conn.send, conn.receive end
  function A.close(conn) conn:close() end

  function A.idle(conn)
    conn:settimeout(0)
    local _, err = conn:receive(1)
    assert(err == "wantread", err)
  end
  return A
end

function adapters.ours()
  local ssl, socket = require("ssl"), require("socket")
  if (ssl._COPYRIGHT or ""):find("LuaSec %d") then error("LUA_PATH and LUA_CPATH lead to LuaSec") end
  local A = luasec(ssl, socket)
  function A.engine(ctx) return assert(ssl.engine(ctx)) end
  local probe = require("ssl.core").create(A.context(false))
  if probe.getsession and probe.setsession then
    function A.session(conn) return (assert(conn:getsession())) end
  end
  probe:close()
  return A
end

function adapters.luasec()
  local ssl, socket = try("ssl"), try("socket")
  if not (ssl._COPYRIGHT or ""):find("LuaSec %d") then adapters.absent("the system's ssl is not LuaSec") end
  local A = luasec(ssl, socket)
  A.nosession = true -- its only client handshake is the full one
  return A
end

--- bare.c. Only what handshakes and lines need.
function adapters.bare()
  local bare, socket = require("bare"), require("socket")
  local A = { version = "bare", file = found("bare"), context = bare.context }
  sockets(A, socket)

  --- The descriptor changes hands, as wrap has it.
  local function shake(sock, ctx, server, session)
    local fd = sock:getfd()
    sock:setfd(-1)
    return bare.handshake(ctx, fd, server, session)
  end

  function A.connect(port, ctx, session) return shake(A.tcp(port), ctx, false, session) end
  function A.accept(listener, ctx) return shake(assert(listener:accept()), ctx, true) end
  function A.methods() return nil, bare.receive end
  A.session, A.close = bare.session, bare.close
  return A
end

function adapters.cqueues()
  local cqueues, socket = try("cqueues"), try("cqueues.socket")
  local context, x509 = try("openssl.ssl.context"), try("openssl.x509")
  local pkey, store = try("openssl.pkey"), try("openssl.x509.store")
  local A = { version = "cqueues " .. tostring(cqueues.VERSION), file = found("_openssl"), cqueues = cqueues }

  local function read(name)
    local f = assert(io.open(certs .. "/" .. name))
    local text = f:read("*a")
    f:close()
    return text
  end

  function A.context(server)
    local ctx = context.new("TLS", server)
    if server then
      ctx:setCertificate(x509.new(read("serverA.pem")))
      ctx:setPrivateKey(pkey.new(read("serverAkey.pem")))
    end
    ctx:setVerify(context.VERIFY_NONE)
    return ctx
  end

  function A.parse(path)
    local ctx = context.new("TLS", false)
    ctx:setStore(store.new():add(path))
    return ctx
  end

  local function prepare(sock, ctx)
    sock:setmode("bf", "bn")
    sock:setbufsiz(BUFFER, BUFFER)
    assert(sock:starttls(ctx))
    return sock
  end

  function A.tcp(port)
    local sock = assert(socket.connect("127.0.0.1", port))
    assert(sock:connect())
    return sock
  end

  function A.connect(port, ctx) return prepare(A.tcp(port), ctx) end

  function A.listen()
    local listener = assert(socket.listen("127.0.0.1", 0))
    assert(listener:listen())
    local _, _, port = listener:localname()
    return listener, port
  end

  function A.accept(listener, ctx) return prepare(assert(listener:accept()), ctx) end
  function A.methods(conn) return conn.write, conn.read end

  function A.close(conn)
    conn:shutdown("w")
    conn:close()
  end
  return A
end

return adapters
