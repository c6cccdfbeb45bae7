--- Contexts of the libtls facade: clients, servers, and the connections that servers accept. The states are libtls':
-- connected, handshake complete; what conn_* and peer_* tell is in libtls.peer and libtls.ocsp.
-- @module libtls.context

local args = require "libtls.args"
local config = require "libtls.config"
local context = require "ssl.context"
local core = require "ssl.core"
local ocsp = require "libtls.ocsp"
local peer = require "libtls.peer"
local server = require "libtls.server"
local sessionfile = require "libtls.sessionfile"
local settings = require "libtls.settings"

local M = { WANT_POLLIN = -2, WANT_POLLOUT = -3 }

local BUFSIZ = 8192
local RECORD = 16384

local known = setmetatable({}, { __mode = "k" })
local Context = {}
local meta = args.metatable("libtls", Context, known)

local wants = { wantread = M.WANT_POLLIN, wantwrite = M.WANT_POLLOUT }

local function method(name, f)
  Context[name] = function(ctx, ...) return f(args.handle(name, 1, "libtls", known, ctx), ...) end
end

local function new(state)
  local ctx = core.handle(meta)
  known[ctx] = state
  return ctx
end

-- ---- making

--- libtls.client(config: libtls.Config) -> tls: libtls.Context
-- A client. Its configuration is looked at when it connects.
function M.client(cfg)
  return new { kind = "client", config = config.check("client", 1, cfg) }
end

--- libtls.server(config: libtls.Config) -> tls: libtls.Context | nil, message
-- A server, which accepts connections. Of what is set on its configuration later these count, for the connections that
-- it accepts then: ticket keys, the session lifetime, the switches of verification, the main certificate's staple.
function M.server(cfg)
  local state = config.check("server", 1, cfg)
  local made, message = server.new(state)
  if not made then return nil, message end
  return new { kind = "server", config = state, server = made }
end

-- The context of a configuration for clients, made again when something was set since.
local function clientcontext(cfg)
  if cfg.madeversion ~= cfg.version then
    local ctx, message = settings.context(cfg, "client")
    if not ctx then return nil, message end
    cfg.made, cfg.madeversion = ctx, cfg.version
  end
  return cfg.made
end

-- ---- servers

local function checkfds(name, r, w)
  r, w = args.integer(name, 2, r), args.integer(name, name == "accept_fds" and 3 or 2, w)
  if r < 0 or w < 0 or r > 2147483647 or w > 2147483647 then return nil end
  return r, w
end

local function accept(self, name, r, w)
  r, w = checkfds(name, r, w)
  if self.kind ~= "server" then return nil, "not a server context" end
  if not r then return nil, "invalid file descriptors" end
  local ok, message = server.refresh(self.server)
  if not ok then return nil, message end
  local conn
  conn, message = core.create(self.server.ctx)
  if not conn then return nil, message end
  core.setfds(conn, r, w)
  return new { kind = "connection", config = self.config, conn = conn, connected = true }
end

--- tls:accept_fds(r: integer, w: integer) -> connection: libtls.Context | nil, message
--- tls:accept_socket(fd: integer) -> connection: libtls.Context | nil, message
-- A server's connection on descriptors, which stay the program's.
method("accept_fds", function(self, r, w) return accept(self, "accept_fds", r, w) end)
method("accept_socket", function(self, fd) return accept(self, "accept_socket", fd, fd) end)

-- ---- clients

-- A connection for a server name, without a descriptor yet.
local function prepare(self, name)
  if self.kind ~= "client" then return nil, "not a client context" end
  if self.connected then return nil, "context already connected" end
  if self.config.verifyname and not name then return nil, "server name not specified" end
  local ctx, message = clientcontext(self.config)
  if not ctx then return nil, message end
  local conn, ok
  conn, message = core.create(ctx)
  if not conn then return nil, message end
  name = name and name:gsub("([^.])%.$", "%1")
  if name and not context.isip(name) then
    ok, message = conn:sni(name)
    if ok == false then return nil, message end
  end
  ok, message = sessionfile.offer(self.config, conn)
  if not ok then return nil, message end
  return conn, name
end

local function connected(self, conn, name)
  self.conn, self.servername, self.connected = conn, name, true
  self.complete, self.eof, self.rejected, self.ocsp = false, false, nil, nil
  return true
end

local function connectfds(self, called, r, w, name)
  name = args.optstring(called, called == "connect_fds" and 4 or 3, name)
  if not r then return false, "invalid file descriptors" end
  local conn, message = prepare(self, name)
  if not conn then return false, message end
  core.setfds(conn, r, w)
  return connected(self, conn, message)
end

--- tls:connect_fds(r: integer, w: integer [, servername: string]) -> true | false, message
--- tls:connect_socket(fd: integer [, servername: string]) -> true | false, message
-- A client's connection on descriptors, which stay the program's, and the name to verify.
method("connect_fds", function(self, r, w, name)
  r, w = args.integer("connect_fds", 2, r), args.integer("connect_fds", 3, w)
  if r < 0 or w < 0 or r > 2147483647 or w > 2147483647 then r = nil end
  return connectfds(self, "connect_fds", r, w, name)
end)

method("connect_socket", function(self, fd, name)
  fd = args.integer("connect_socket", 2, fd)
  if fd < 0 or fd > 2147483647 then fd = nil end
  return connectfds(self, "connect_socket", fd, fd, name)
end)

-- "host:port", "[v6]:port".
local function split(host)
  local name, port = host:match("^%[([^%]]+)%]:([^:]+)$")
  if not name then name, port = host:match("^([^:]+):([^:]+)$") end
  return name, port
end

local function dial(host, port)
  local sock, message = require("socket").connect(host, port)
  if sock then return sock end
  return nil, "connect: " .. message:gsub("^%l", string.upper)
end

-- Connects by itself; the socket is the connection's, and waiting is the library's.
local function connecthost(self, host, port, name)
  if self.kind ~= "client" then return false, "not a client context" end
  if not port then
    host, port = split(host)
    if not host then return false, "no port provided" end
  else
    host = host:match("^%[(.+)%]$") or host
  end
  local conn, message = prepare(self, name or host)
  if not conn then return false, message end
  local sock, why = dial(host, port)
  if not sock then return false, why end
  local fd = sock:getfd()
  sock:setfd(core.SOCKET_INVALID)
  core.setfd(conn, fd)
  self.owned = true
  return connected(self, conn, message)
end

--- tls:connect(host: string [, port: string]) -> true | false, message
--- tls:connect_servername(host: string [, port: string [, servername: string]]) -> true | false, message
-- Connects a client to host, "host:port" when there is no port. servername: the name to verify in its place.
method("connect", function(self, host, port)
  return connecthost(self, args.string("connect", 2, host), args.optstring("connect", 3, port))
end)

method("connect_servername", function(self, host, port, name)
  return connecthost(self, args.string("connect_servername", 2, host), args.optstring("connect_servername", 3, port),
    args.optstring("connect_servername", 4, name))
end)

-- ---- handshake

-- Why a handshake that TLS is content with is refused all the same; nil when it is not.
local function refusal(self)
  local cfg, cert = self.config, self.conn:getpeercertificate()
  if cfg.verifyname then
    if not cert then return "no server certificate" end
    if not self.servername then return "server name not specified" end -- names are verified only since it connected
    if not peer.matches(cert, self.servername) then
      return ("name `%s' not present in server certificate"):format(self.servername)
    end
  end
  local facts = self.conn:getocsp()
  if facts and cfg.verifycert and cfg.verifytime then
    if facts.verified then self.ocsp = facts end
    return ocsp.refusal(facts)
  end
end

local function reject(self, message)
  self.rejected = message
  return false, message
end

-- What to say of a handshake that failed.
local function failure(self, message, detail)
  local facts = self.kind == "client" and self.conn:getocsp()
  if facts and facts.verified then self.ocsp = facts end
  if not detail or detail.kind ~= "verify" then return reject(self, "handshake failed: " .. message) end
  local why = facts and ocsp.refusal(facts)
  if why then return reject(self, why) end
  if facts and facts.verdict == "unknown" then return reject(self, "ocsp verify failed: unknown cert") end
  if not facts and self.config.requirestaple and detail.reason and detail.reason:find("OCSP", 1, true) then
    return reject(self, "no stapled OCSP response provided")
  end
  return reject(self, "certificate verification failed: " .. (detail.reason or message))
end

-- True; or false, message; or false, nil, what to wait for.
local function handshake(self)
  if self.kind == "server" then return false, "invalid operation for context" end
  if not self.connected then return false, "context not connected" end
  if self.complete then return false, "handshake already completed" end
  if self.rejected then return false, self.rejected end
  local ok, message, detail = self.conn:dohandshake()
  if not ok then
    if wants[message] then return false, nil, wants[message] end
    return failure(self, message, detail)
  end
  message = self.kind == "client" and refusal(self)
  if message then return reject(self, message) end
  self.complete = true
  if self.kind == "client" then
    ok, message = sessionfile.save(self.config, self.conn)
    if not ok then return false, message end
  end
  return true
end

--- tls:handshake() -> true | false, message: string? [, want: integer]
-- Shakes hands. want, behind no message: libtls.WANT_POLLIN or WANT_POLLOUT, wait for that and call again.
method("handshake", handshake)

-- ---- data

-- The handshake that read and write begin with. True; or what they answer then.
local function ready(self)
  if self.complete then return true end
  return handshake(self)
end

-- The end of the peer's stream, with or without close_notify.
local function ended(self, detail)
  local kind = detail and detail.kind
  if kind == "truncated" then self.eof = true end
  return kind == "truncated" or kind == "closed"
end

local function read(self, size)
  local ok, message, want = ready(self)
  if not ok then
    if want then return nil, nil, true, want end
    return nil, message
  end
  if size == 0 then return end
  local data, detail
  data, message, detail = self.conn:read(size)
  if data and not self.saved and self.kind == "client" then
    self.saved = true
    sessionfile.save(self.config, self.conn) -- close does it again, and tells of a failure; here the data counts more
  end
  if data then return data end
  if wants[message] then return nil, nil, true, wants[message] end
  if ended(self, detail) then return end
  return nil, "read failed: " .. message
end

--- tls:read([size: integer]) -> data: string | nil, message: string?, again: boolean, want: integer | nothing
-- Up to size bytes, 8192 unless told. Nothing at the end of the stream. again: wait for want and call again.
method("read", function(self, size)
  size = args.optinteger("read", 2, size, BUFSIZ)
  return read(self, math.min(size < 0 and BUFSIZ or size, RECORD))
end)

-- One record. What it answers: see libtls' tls_write.
local function write(self, data)
  local ok, message, want = ready(self)
  if not ok then
    if want then return 0, nil, true, want end
    return nil, message
  end
  if data == "" then return 0, nil, false end
  local last, why, _, detail = self.conn:write(data)
  if last then
    last = math.floor(last) -- a whole number's type, where Lua has one
    if last == #data then return last, nil, false end
    return last, nil, true, M.WANT_POLLOUT
  end
  if wants[why] then return 0, nil, true, wants[why] end
  if ended(self, detail) then return end
  return nil, "write failed: " .. why
end

--- tls:write(data: string) -> sent: integer, nil, again: boolean, want: integer? | nil, message | nothing
-- Sends what fits into a record. again: wait for want and call again with the rest.
method("write", function(self, data) return write(self, args.string("write", 2, data)) end)

--- tls:sendfile(file: file*|integer, bytes: integer [, offset: integer]) ->
--   sent: integer, nil, again: boolean, want: integer? | nil, message | nothing
-- Sends bytes of a file from offset on, as write does.
method("sendfile", function(self, file, bytes, offset)
  if not io.type(file) then file = args.integer("sendfile", 2, file) end
  bytes = args.integer("sendfile", 3, bytes)
  offset = args.optinteger("sendfile", 4, offset, 0)
  if bytes < 1 or offset < 0 then return nil, "Invalid argument" end
  if type(file) == "number" and (file < 0 or file > 2147483647) then return nil, "Bad file descriptor" end
  local data, message = core.readat(file, math.min(bytes, RECORD), offset)
  if not data then return nil, message end
  if data == "" then return 0 end
  local function answer(n, why, again, want)
    if n and n > 0 then return n, nil, n ~= bytes, n ~= bytes and M.WANT_POLLOUT or nil end
    return n, why, again, want
  end
  return answer(write(self, data))
end)

-- ---- the end

local function notify(self)
  if not self.complete and not self.rejected then return true end
  local ok, message, detail = self.conn:shutdown("send")
  if ok or wants[message] or (detail and (detail.kind == "closed" or detail.kind == "truncated")) then
    return ok, nil, wants[message]
  end
  return nil, "shutdown failed: " .. message
end

--- tls:close() -> true | false, message: string?, want: integer?
-- Sends close_notify; what connect opened is closed too. want: wait for it and call again.
method("close", function(self)
  if self.kind == "server" then return false, "invalid operation for context" end
  if not self.connected then return true end
  local saved, problem = true, nil
  if self.complete and self.kind == "client" then saved, problem = sessionfile.save(self.config, self.conn) end
  local _, message, want = notify(self)
  if want then return false, nil, want end
  if self.owned then
    self.conn:close()
    self.connected, self.complete, self.owned = false, false, false
  end
  if self.eof then
    self.eof = false
    return false, "EOF without close notify"
  end
  if message or not saved then return false, message or problem end
  return true
end)

--- tls:reset() -> nothing
-- Lets go of the connection; the context can connect again.
method("reset", function(self)
  if self.conn then self.conn:close() end
  self.conn, self.connected, self.complete, self.owned, self.servername = nil, false, false, false, nil
  self.eof, self.rejected, self.ocsp, self.saved = false, nil, nil, nil
end)

-- ---- what there is to tell

--- tls:ocsp_process_response(der: string) -> true | false, message
-- Looks at an OCSP response that the program fetched; the methods peer_ocsp_* tell of it then.
method("ocsp_process_response", function(self, der)
  der = args.string("ocsp_process_response", 2, der)
  if not self.complete then return false, "handshake not completed" end
  local facts = self.conn:ocspcheck(der)
  if not facts then return false, "the peer has not provided a certificate" end
  if facts.verified then self.ocsp = facts end
  local why = ocsp.refusal(facts)
  if why then return false, why end
  return true
end)

ocsp.addto(method)
peer.addto(method)

return M
