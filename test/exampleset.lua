-- What the examples of the reference find when they run: one function a page, which answers the names that the page's
-- file in doc/examples tells of. A note behind an example's names chooses among the states of a connection.

local S = require "support"
local ssl = S.ssl
local web = require "web"
local https = require "ssl.https"

local M = {}

local undo = {} -- what is to be done when the example has run

local function later(f) undo[#undo + 1] = f end

local function session()
  local c, s = S.connected(S.client { protocol = "tlsv1_2" })
  local made = assert(c:getsession())
  c:close()
  s:close()
  return made
end

function M.ssl(text)
  local env = { ca = S.cert "rootA", pem = S.pem "serverA" }
  if text:find("session", 1, true) then env.session = session() end
  if text:find("sock,", 1, true) then
    env.sock, env.other = S.tcp()
    later(function() env.other:close() end)
  end
  if text:find("port,", 1, true) then
    local server = web.scripted("tls bye")
    later(function() server:ended() end)
    env.port = server.port
  end
  return env
end

local states = {}

function states.connected()
  local c, s = S.connected(S.client { servername = "localhost" })
  c:settimeout(5)
  assert(s:send("hello\n"))
  return c, s
end

function states.poll()
  local c, s = states.connected()
  c:settimeout(0)
  return c, s
end

states["new"] = function() return S.wrapped() end

function states.engine() return assert(ssl.engine(S.client())), assert(ssl.engine(S.server())) end

function states.dane() return assert(ssl.engine(S.client { dane = true })), assert(ssl.engine(S.server())) end

function states.dtls()
  local c = assert(ssl.engine(S.client { protocol = "dtls" }))
  local s = assert(ssl.engine(S.server { protocol = "dtls" }))
  c:dohandshake()
  assert(s:feed(c:drain()))
  return c, s
end

function M.connection(_, note)
  local c, s = states[note ~= "" and note or "connected"]()
  later(function()
    c:close()
    s:close()
  end)
  return { conn = c, peer = s, ca = S.cert "rootA" }
end

function M.context()
  local count = 0
  local function bytes(n)
    return function()
      count = count + 1
      return ("%02d"):format(count):rep(n / 2)
    end
  end
  return {
    ctx = assert(ssl.newcontext(S.server())), certfile = S.cert "serverA", keyfile = S.cert "serverAkey",
    key16 = bytes(16), key32 = bytes(32),
  }
end

function M.certificate()
  return { cert = ssl.loadcertificate(S.pem "serverA"), issuer = ssl.loadcertificate(S.pem "rootA") }
end

function M.session() return { session = session() } end

function M.https(text)
  local env = { https = https, ca = S.cert "rootA" }
  local timeout, verify = https.TIMEOUT, https.verify
  later(function() https.TIMEOUT, https.verify = timeout, verify end)
  if text:find("url = url", 1, true) then
    local server = web.scripted(web.hello)
    later(function() server:ended() end)
    env.url = server:url()
  end
  return env
end

function M.libtls()
  local pair = require "tlspair"
  local c, s, a, b = pair.contexts()
  later(function()
    c:reset()
    s:reset()
    a:close()
    b:close()
  end)
  local client, server = pair.shake(c, s, a, b)
  assert(client[1] and server[1])
  assert(s:write("hello\n") == 6)
  local fd, peerfd = S.tcp()
  later(function()
    fd:close()
    peerfd:close()
  end)
  return {
    libtls = require "libtls", config = require "libtls.config", cfg = pair.clientconfig(), tls = c, peer = s,
    ca = S.cert "rootA", certfile = S.cert "serverA", keyfile = S.cert "serverAkey",
    fd = fd:getfd(), peerfd = peerfd:getfd(),
  }
end

function M.mbedtls()
  local mbedtls = require "mbedtls"
  local a, b = S.tcp()
  a:settimeout(0)
  later(function()
    a:close()
    b:close()
  end)
  local function receive(n)
    local data, _, partial = a:receive(n)
    return data or partial or ""
  end
  local function send(data) return a:send(data) or 0 end
  local config = mbedtls.ssl.newconfig("tls-client", S.pem "rootA")
  return {
    mbedtls = mbedtls, ca = S.pem "rootA", sock = a, receive = receive, send = send,
    mbed = mbedtls.ssl.newcontext(config, receive, send),
  }
end

-- The example as a function, whose globals are env's, then Lua's.
local function compile(example, env)
  env.ssl = ssl
  env.print = function(...)
    for i = 1, select("#", ...) do tostring((select(i, ...))) end
  end
  setmetatable(env, { __index = function(_, name)
    return _G[name] ~= nil and _G[name] or error(example.names .. " uses " .. name .. ", which is nothing", 2)
  end })
  local name = "=" .. example.names
  if not rawget(_G, "setfenv") then return assert(load(example.text, name, "t", env)) end
  return rawget(_G, "setfenv")(assert(rawget(_G, "loadstring")(example.text, name)), env)
end

--- Runs an example of a page; raises what it raises.
function M.run(page, example)
  local ok, message = pcall(function() compile(example, M[page](example.text, example.note))() end)
  for i = #undo, 1, -1 do
    undo[i]()
    undo[i] = nil
  end
  if not ok then error(message, 0) end
end

return M
