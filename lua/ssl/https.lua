--- HTTPS requests with socket.http's interface. Verifies the server and its name unless told not to; goes through HTTP
-- proxies, follows redirects, and has one deadline for all of it. The bytes of an exchange are ssl.http1's, the tunnel
-- ssl.proxy's, the contexts come from ssl.contexts; here is what a request means.
-- @module ssl.https

local socket = require "socket"
local ssl = require "ssl"
local ltn12 = require "ltn12"
local mime = require "mime"
local http = require "socket.http"
local url = require "socket.url"
local address = require "ssl.address"
local check = require "ssl.check"
local contexts = require "ssl.contexts"
local dial = require "ssl.dial"
local failure = require "ssl.failure"
local http1 = require "ssl.http1"
local proxies = require "ssl.proxy"

local refuse = failure.of

--- https._VERSION: string
-- ssl._VERSION.
--- https._COPYRIGHT: string
-- ssl._COPYRIGHT.
local M = {
  _VERSION = ssl._VERSION,
  _COPYRIGHT = ssl._COPYRIGHT,
  --- https.PORT: integer
  -- The port when the URL names none.
  PORT = 443,
  --- https.TIMEOUT: number
  -- Seconds that each wait for the server may take, 60; read at each request. For a limit to the whole of a request
  -- there is its field timeout.
  TIMEOUT = 60,
  --- https.verify: "peer"|"none"
  -- What verify is when a request does not say: "none" turns verification off for the whole program.
  verify = "peer",
}

local MAXREDIRECTS, UNLIMITED = 5, 50

local function copy(t)
  local new = {}
  for k, v in pairs(t) do new[k] = v end
  return new
end

-- ---- settings

local function defaults()
  return { protocol = "any", options = { "all", "no_sslv2", "no_sslv3", "no_tlsv1" } }
end

-- A value of verify that says something: false, nil and an empty array turn nothing off.
local function said(verify) return (type(verify) ~= "table" or next(verify) ~= nil) and verify end

-- The settings of a request's connections: its own keys but those of the request, then the defaults.
local function settings(params)
  local cfg = {}
  for k, v in pairs(contexts.copy(params or {})) do
    if not check.passedalong[k] then cfg[k] = v end
  end
  for k, v in pairs(defaults()) do
    if not cfg[k] then cfg[k] = v end
  end
  cfg.verify = said(cfg.verify) or said(M.verify) or "peer"
  if cfg.sessions == nil then cfg.sessions = true end
  cfg.mode = "client"
  return cfg
end

-- What proves who we are, and what the caller said of the host he asked, is for that host alone.
local ownhost = { "certificates", "certificate", "key", "password", "pkcs12", "psk", "servername", "verifyname" }

-- The same of what is sent by HTTP.
local ownheaders = { "authorization", "cookie", "host" }

-- Whom to trust in the place of a proxy that has no settings of its own.
local trust = { "cafile", "capath", "cadata", "crlfile", "crldata", "verifyext", "depth" }

-- Without SNI (servername = false) the certificate must be for the host all the same.
local function withservername(cfg, host)
  if cfg.servername or cfg.servername == false and cfg.verifyname ~= nil then return cfg end
  local this = copy(cfg)
  this[cfg.servername == nil and "servername" or "verifyname"] = dial.name(host)
  return this
end

-- ---- connections

local function wait(deadline) return math.min(deadline, dial.deadline(tonumber(M.TIMEOUT))) end

local connect

-- Request, chunks of a body and their ends are sent one by one: without nodelay each waits for a delayed
-- acknowledgement.
local function reach(host, port, proxy, deadline)
  local sock, message, detail
  if not proxy then
    sock, message, detail = dial.dial(host, port, wait(deadline))
    if sock then sock:setoption("tcp-nodelay", true) end
    return sock, message, detail
  end
  if proxy.tls then
    sock, message, detail = connect(proxy.cfg, proxy.host, proxy.port, nil, deadline)
  else
    sock, message, detail = dial.dial(proxy.host, proxy.port, wait(deadline))
  end
  if not sock then return proxies.unreachable(proxy, message, detail) end
  sock:setoption("tcp-nodelay", true)
  return proxies.tunnel(sock, proxy, host, port, wait(deadline))
end

-- A connection with its handshake done; or nil, message, detail, and nothing is left open.
function connect(cfg, host, port, proxy, deadline)
  local context, message, detail = contexts.get(withservername(cfg, host))
  if not context then return nil, message, detail end
  local sock
  sock, message, detail = reach(host, port, proxy, deadline)
  if not sock then return nil, message, detail end
  local conn
  conn, message, detail = ssl.wrap(sock, context)
  if not conn then
    sock:close()
    return nil, message, detail
  end
  conn:settimeout(M.TIMEOUT)
  conn:settimeout(dial.left(deadline), "t")
  local ok
  ok, message, detail = conn:dohandshake()
  if ok then return conn end
  conn:close()
  if detail.kind == "want" and dial.over(deadline) then return refuse("timeout", "timeout", { host = host }) end
  return nil, message, detail
end

-- ---- the object that LuaSocket's http wants as its socket

-- Its methods are the TLS connection's once it is connected.
local function adopt(object, conn, deadline)
  for name, method in pairs(getmetatable(conn).__index) do
    if type(method) == "function" then
      object[name] = function(_, ...) return method(conn, ...) end
    end
  end
  if not deadline then return conn:settimeout(nil, "t") end
  local function late()
    local left = dial.left(deadline)
    conn:settimeout(left, "t")
    return left <= 0 and select(3, refuse("timeout", "timeout"))
  end
  function object.receive(_, pattern, prefix)
    local detail = late()
    if detail then return nil, detail.reason, prefix or "", detail end
    return conn:receive(pattern, prefix)
  end
  function object.send(_, data, first, last)
    local detail = late()
    if detail then return nil, detail.reason, math.max(0, (tonumber(first) or 1) - 1), detail end
    return conn:send(data, first, last)
  end
end

-- LuaSocket connects to the proxy, and means the host of the request. It sends the proxy's credentials with the
-- request, which is the server's to see.
local function behind(asked, proxy, host, port)
  if not asked.host or host ~= proxy.host or tonumber(port) ~= proxy.port then return host, port end
  if proxy.auth then
    return refuse("config", "socket.http would send the credentials for the proxy to the server: use ssl.https.request")
  end
  return asked.host, tonumber(asked.port) or M.PORT
end

-- Without the word by which a handshake goes on in spite of what is wrong.
local function strictly(verifyext)
  local names = {}
  for _, name in ipairs(type(verifyext) == "table" and verifyext or { verifyext }) do
    if name ~= "lsec_continue" then names[#names + 1] = name end
  end
  return names[1] and names
end

-- A proxy is named by its URL, or by a table of that and of settings for TLS to it. nil without message: no proxy. It
-- is verified even where the server is not: it may be given credentials that are not the server's business.
local function theproxy(params, auth)
  local given = params.proxy
  if given == nil then given = http.PROXY end
  if not given then return nil end
  local own = type(given) == "table" and given or nil
  local proxy, message, detail = proxies.parse(own and own.url or given, auth)
  if not proxy then return nil, message, detail end
  if not own then
    own = {}
    for _, name in ipairs(trust) do own[name] = params[name] end
    own.verifyext = strictly(own.verifyext)
  end
  proxy.cfg = proxy.tls and settings(own)
  return proxy
end

local function open(params, asked, cfg, host, port, deadline)
  local proxy, message, detail = theproxy(params)
  if message then return nil, message, detail end
  if proxy then
    host, port, detail = behind(asked, proxy, host, port)
    if not host then return nil, port, detail end
  end
  return connect(cfg, host, port, proxy, deadline or math.huge)
end

--- https.tcp([params: ssl.Settings]) -> create: function
-- What LuaSocket's http wants as `create`: makes objects with LuaSocket's tcp methods that speak TLS when they connect;
-- connect throws as socket.try does. params: settings as for ssl.newcontext, proxy, and timeout, seconds from now for
-- all; keys it does not know are passed over; it is left as it was.
function M.tcp(params)
  params = params or {}
  local cfg = settings(params)
  local asked = { host = params.host, port = params.port } -- LuaSocket overwrites these with the proxy's
  local deadline = tonumber(params.timeout) and dial.deadline(tonumber(params.timeout))
  return function()
    local object = { sock = socket.try(socket.tcp()) }
    function object:settimeout() return self.sock:settimeout(M.TIMEOUT) end
    function object:close() return self.sock:close() end
    function object:connect(host, port)
      self.sock:close()
      local conn = socket.try(open(params, asked, cfg, host, port, deadline))
      self.sock = conn
      adopt(self, conn, deadline)
      return 1
    end
    return object
  end
end

-- ---- a request

-- A table of socket.http's out of the two forms that request takes.
local function asrequest(target, body, sink)
  if type(target) == "table" then return contexts.copy(target) end
  local request = { url = target, sink = sink }
  if body then
    request.method = "POST"
    body = tostring(body)
    request.source = ltn12.source.string(body)
    request.headers = { ["content-length"] = #body, ["content-type"] = "application/x-www-form-urlencoded" }
  end
  return request
end

local function isnot(request, name, kind)
  return ("invalid %s (%s expected, got %s)"):format(name, kind, type(request[name]))
end

local function refusal(request)
  if request.create then return "create function not permitted" end
  local scheme = request.scheme or address.scheme(request.url) or "https"
  if tostring(scheme):lower() ~= "https" then
    return ("ssl.https speaks https, not %s: use socket.http, or an https URL"):format(tostring(scheme))
  end
  if request.headers ~= nil and type(request.headers) ~= "table" then
    return isnot(request, "headers", "table")
  end
  if request.method ~= nil and type(request.method) ~= "string" then return isnot(request, "method", "string") end
  for _, name in ipairs { "path", "params", "query", "user" } do
    local value = request[name]
    if value and type(value) ~= "string" and type(value) ~= "number" then return isnot(request, name, "string") end
  end
  if request.timeout and not tonumber(request.timeout) then return isnot(request, "timeout", "number") end
end

-- The path and query to ask for. Fields of the request override the URL's.
local function resource(request, a)
  if request.uri then return tostring(request.uri) end
  local path = tostring(request.path or a.path)
  if path == "" then path = "/" end
  if request.params then path = path .. ";" .. request.params end
  local query = request.query or a.query
  return ((query and path .. "?" .. query or path):gsub(" ", "%%20")) -- a blank would end the target
end

-- Where a request goes: host, port, target, and the user and password for there, who may be in the URL or in fields of
-- the request. Its password may be that of its key instead.
local function place(request)
  local password = request.password
  if not request.user and (request.key or request.pkcs12 or request.certificates) then password = nil end
  password = type(password) == "string" and url.unescape(password) or nil -- as LuaSocket does
  local fields = { host = request.host, port = request.port, user = request.user, password = password }
  local here, message = address.parse(request.url, M.PORT, fields)
  if not here then return refuse("config", message) end
  here.target = resource(request, here)
  return here
end

local function headers(call)
  local here = call.here
  local h = {
    ["user-agent"] = http.USERAGENT, host = address.hostport(here.host, here.port, M.PORT),
    connection = "close, TE", te = "trailers",
  }
  if here.user and here.password then h.authorization = "Basic " .. (mime.b64(here.user .. ":" .. here.password)) end
  for name, value in pairs(call.headers) do h[name] = value end
  if call.source and not h["content-length"] then h["transfer-encoding"] = h["transfer-encoding"] or "chunked" end
  if h["transfer-encoding"] then h["content-length"] = nil end -- RFC 9112 section 6.2
  return h
end

-- What is left of one request through all of its redirects.
local function newcall(request)
  local call = {
    method = request.method or "GET", headers = {}, source = request.source, step = request.step,
    sink = request.sink or ltn12.sink.null(), cfg = settings(request),
    deadline = dial.deadline(tonumber(request.timeout)),
    follow = request.redirect ~= false, hops = request.maxredirects,
  }
  if call.method == "" then call.method = "GET" end
  if call.hops == nil then call.hops = MAXREDIRECTS elseif call.hops == false then call.hops = UNLIMITED end
  call.hops = tonumber(call.hops) or 0
  for name, value in pairs(request.headers or {}) do call.headers[tostring(name):lower()] = value end
  local auth = call.headers["proxy-authorization"]
  call.headers["proxy-authorization"] = nil
  local message, detail
  call.here, message, detail = place(request)
  if not call.here then return nil, message, detail end
  call.proxy, message, detail = theproxy(request, auth and tostring(auth))
  if message then return nil, message, detail end
  return call
end

local function redirected(call, code, location)
  return call.follow and not call.source and call.hops > 0 and (call.method == "GET" or call.method == "HEAD") and
    (code == 301 or code == 302 or code == 303 or code == 307 or code == 308) and location and location:find("%S")
end

-- The absolute form of a redirect's location.
local function follow(here, location)
  local target = here.target:match("^/.*") or "/"
  return address.resolve("https://" .. address.hostport(here.host, here.port) .. target, location)
end

-- Turns a call to where a redirect leads. false: not a place for us, the answer is given as it is; nil, message,
-- detail: it must not go there.
local function turn(call, code, location)
  local here, uri = call.here, follow(call.here, location)
  local fields = { host = here.host, status = code, location = uri }
  local scheme = address.scheme(uri)
  if scheme == "http" then
    local message = ("the server %s redirects to an http:// URL, which is not encrypted, and not followed; " ..
      "redirect = false gives its answer"):format(here.host)
    return refuse("protocol", message, fields)
  end
  if scheme ~= "https" then return false end
  local there, message = address.parse(uri, M.PORT)
  if not there then
    message = ("the server %s redirects to a URL that is none: %s"):format(here.host, message)
    return refuse("protocol", message, fields)
  end
  there.target = resource({}, there)
  if there.host:lower() ~= here.host:lower() or there.port ~= here.port then
    for _, name in ipairs(ownhost) do call.cfg[name] = nil end
    for _, name in ipairs(ownheaders) do call.headers[name] = nil end
  elseif not there.user then
    there.user, there.password = here.user, here.password
  end
  call.here, call.hops, call.location = there, call.hops - 1, location
  return true
end

-- One exchange on a connection. Answers true when a redirect is to be followed; else request's results.
local function exchange(call, conn)
  local link = http1.link(conn, call.deadline)
  local ok, message, detail = link:request {
    method = call.method, target = call.here.target, headers = headers(call), source = call.source, step = call.step,
  }
  if not ok then return nil, message, detail end
  local code, answer, status = link:answer()
  if not code then return nil, answer, status end
  if redirected(call, code, answer.location) then
    ok, message, detail = turn(call, code, answer.location)
    if ok or ok == nil then return ok, message, detail end
  end
  ok, message, detail = link:body(call.method, code, answer, call.sink, call.step)
  if not ok then return nil, message, detail end
  answer.location = answer.location or call.location
  return 1, code, answer, status
end

-- The connection is closed when an exchange has ended, be it by an error that the caller's source or sink raised.
local function closing(conn, ok, ...)
  conn:close()
  if not ok then error((...), 0) end
  return ...
end

local function hop(call)
  local conn, message, detail = connect(call.cfg, call.here.host, call.here.port, call.proxy, call.deadline)
  if not conn then return nil, message, detail end
  return closing(conn, pcall(exchange, call, conn))
end

local function run(call)
  local result, code, answer, status
  repeat
    result, code, answer, status = hop(call)
  until result ~= true
  return result, code, answer, status
end

-- For sources and sinks that throw as socket.try does.
local perform = socket.protect(function(request)
  local call, message, detail = newcall(request)
  if not call then return nil, message, detail end
  return run(call)
end)

--- table ssl.https.Request : ssl.Settings
-- The fields of LuaSocket's http.request beside settings for ssl.newcontext.
-- - url: string
-- - method: string -- "GET"
-- - headers: table<string, string>
-- - source: function -- LTN12 source of the body
-- - sink: function -- LTN12 sink for the answer's body
-- - step: function -- LTN12 pump step
-- - redirect: boolean -- false: redirects are not followed
-- - maxredirects: integer|false -- how many are followed, 5; false: up to 50
-- - proxy: string|table|false -- "http://user:password@host:port", https for TLS to the proxy; a table of such a url
--   and of settings for that TLS, without which the proxy is verified by the CAs of the request; false: none, where
--   http.PROXY has one
-- - timeout: number -- seconds for all of the request, from the look-up of the name to the last byte of the last answer
-- - user: string -- for HTTP authentication, with password
local function badargument(fmt, ...) error(("bad argument #1 to 'request' (%s)"):format(fmt:format(...)), 3) end

--- https.request(target: string|ssl.https.Request [, body: string]) ->
--   body: string|1, code: integer, headers: table<string, string>, status: string | nil, message, detail
-- Makes a request: GET of a URL, POST when there is a body; or what a table says, which is left as it was. Answers the
-- body for a URL, 1 for a table. "timeout" is the message when the request's timeout is over, "wantread" or "wantwrite"
-- when TIMEOUT is. What the source or the sink raise is raised.
function M.request(target, body)
  local kind = type(target)
  if kind ~= "string" and kind ~= "table" then badargument("URL or table expected, got %s", kind) end
  if kind == "string" and body and type(body) ~= "string" and type(body) ~= "number" then
    error(("bad argument #2 to 'request' (string expected, got %s)"):format(type(body)), 2)
  end
  local chunks = {}
  local request = asrequest(target, body, ltn12.sink.table(chunks))
  if type(request.url) ~= "string" or request.url == "" then badargument("its URL is missing") end
  local no = refusal(request)
  if no then return refuse("config", no) end
  local result, code, answer, status = perform(request)
  if result and type(target) == "string" then result = table.concat(chunks) end
  return result, code, answer, status
end

return M
