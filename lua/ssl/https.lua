--- HTTPS requests: LuaSocket's socket.http over TLS. Verifies the server and its name unless told not to.
-- @module ssl.https

local socket = require "socket"
local ssl = require "ssl"
local ltn12 = require "ltn12"
local http = require "socket.http"
local url = require "socket.url"

local M = {
  _VERSION = ssl._VERSION,
  _COPYRIGHT = ssl._COPYRIGHT,
  --- Port used when the URL names none.
  PORT = 443,
  --- Seconds that each wait for the server may take; read at each request.
  TIMEOUT = 60,
  --- What `verify` is when a request does not say: "none" turns verification off for the whole program.
  verify = "peer",
}

local function defaults()
  return { protocol = "any", options = { "all", "no_sslv2", "no_sslv3", "no_tlsv1" }, verify = M.verify }
end

local function copy(t)
  local new = {}
  for k, v in pairs(t) do new[k] = v end
  return new
end

-- The settings of a request's connections: its own keys, then the defaults.
local function settings(params)
  local cfg = copy(params or {})
  for k, v in pairs(defaults()) do
    if not cfg[k] then cfg[k] = v end
  end
  cfg.mode = "client"
  return cfg
end

local function withport(uri)
  return url.build(url.parse(uri, { port = M.PORT }))
end

-- LuaSocket sees a socket whose methods are the TLS connection's once it is connected.
local function adopt(object, conn)
  for name, method in pairs(getmetatable(conn).__index) do
    if type(method) == "function" then
      object[name] = function(_, ...) return method(conn, ...) end
    end
  end
end

-- What proves who we are, and what the caller said of the host he asked, is for that host alone.
local ownhost = { "certificates", "certificate", "key", "password", "pkcs12", "servername", "verifyname" }

-- The settings for a connection to `host` when the caller asked for `asked`, another one after a redirect.
local function forhost(cfg, host, asked)
  local this = copy(cfg)
  if asked and host:lower() ~= asked:lower() then
    for _, name in ipairs(ownhost) do this[name] = nil end
  end
  if this.servername == nil then this.servername = host end
  return this
end

-- Throws as LuaSocket's socket.try does, with the socket closed.
local function connect(object, cfg, host, port)
  local try = socket.newtry(function() object.sock:close() end)
  local context = try(ssl.newcontext(cfg))
  try(object.sock:connect(host, port))
  -- LuaSocket sends request line, headers and body one by one: without this, each waits for the server's delayed ACK.
  object.sock:setoption("tcp-nodelay", true)
  object.sock = try(ssl.wrap(object.sock, context))
  object.sock:settimeout(M.TIMEOUT)
  try(object.sock:dohandshake())
  adopt(object, object.sock)
  return 1
end

local function factory(cfg, asked)
  return function()
    local object = { sock = socket.try(socket.tcp()) }
    function object:settimeout() return self.sock:settimeout(M.TIMEOUT) end
    function object:connect(host, port) return connect(self, forhost(cfg, host, asked), host, port) end
    function object:close() return self.sock:close() end
    return object
  end
end

-- LuaSocket follows a redirect with a new request that has the sink of the first but no key of ours, and asks M.tcp for
-- its socket: the factory is found again by the sink, while the request lasts.
local running = setmetatable({}, { __mode = "k" })

--- What LuaSocket's http wants as `create`: makes sockets that speak TLS when they connect.
-- @tparam[opt] table params settings as for ssl.newcontext; keys it does not know are passed over; left as it is
-- @treturn function factory: no arguments, returns an object with LuaSocket's tcp methods
function M.tcp(params)
  return params and params.sink and running[params.sink] or factory(settings(params))
end

-- A table for socket.http out of the two forms that request takes.
local function asrequest(target, body, sink)
  if type(target) ~= "string" then return copy(target) end
  local request = { url = target, sink = sink }
  if body then
    request.method = "POST"
    request.source = ltn12.source.string(body)
    request.headers = { ["content-length"] = #body, ["content-type"] = "application/x-www-form-urlencoded" }
  end
  return request
end

local function refusal(request)
  if http.PROXY or request.proxy then return "proxy not supported" end
  if request.redirect then return "redirect not supported" end
  if request.create then return "create function not permitted" end
  local scheme = url.parse(request.url, { scheme = "https" }).scheme
  if scheme ~= "https" then
    return "ssl.https speaks https, not " .. scheme .. ": use socket.http, or an https URL"
  end
end

local perform = socket.protect(function(request) return http.request(request) end)

--- Makes a request.
-- @param target a URL (GET; POST when there is a body), or a table of socket.http's request fields and of settings for
-- ssl.newcontext; left as it is
-- @tparam[opt] string body
-- @treturn[1] string|number the body for a URL, 1 for a table
-- @treturn[1] number status code
-- @treturn[1] table headers
-- @treturn[1] string status line
-- @treturn[2] nil
-- @treturn[2] string what is wrong
function M.request(target, body)
  local chunks = {}
  local request = asrequest(target, body, ltn12.sink.table(chunks))
  local no = refusal(request)
  if no then return nil, no end
  request.url = withport(request.url)
  local sink = request.sink or ltn12.sink.null()
  request.sink = function(...) return sink(...) end
  request.create = factory(settings(request), url.parse(request.url).host)
  running[request.sink] = request.create
  local result, code, headers, status = perform(request)
  running[request.sink] = nil
  if type(target) == "string" then return result and table.concat(chunks), code, headers, status end
  return result, code, headers, status
end

return M
