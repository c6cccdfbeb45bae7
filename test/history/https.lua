-- Bugs of others around HTTPS and the defaults of clients and servers.

local socket = require "socket"
local S = require "support"
local kit = require "history.kit"
local https = require "ssl.https"
local check = kit.check

local rows = {}

-- An HTTPS server in a process of its own: the next connection sends `answer` and ends as `how` says. Its port.
local function scripted(how, answer)
  local path = S.tmpfile([[
    local socket, S = require "socket", require "support"
    local listener = assert(socket.bind("127.0.0.1", 0))
    listener:settimeout(10)
    io.stdout:write(select(2, listener:getsockname()), "\n")
    io.stdout:flush()
    local how, answer = arg[1], arg[2]:gsub("|", "\r\n")
    local conn = assert(S.ssl.wrap(assert(listener:accept()), S.server()))
    conn:settimeout(10)
    if not conn:dohandshake() then os.exit() end
    repeat until conn:receive("*l") == ""
    conn:send(answer)
    if how == "close" then conn:close() else S.raw(conn, function(sock) sock:shutdown("both") end) end]])
  local p = assert(io.popen(kit.command(path, how, answer)))
  local port = p:read("*l")
  return port, function()
    p:close()
    os.remove(path)
  end
end

local function fetch(port, extra)
  local parts = {}
  local request = { url = ("https://localhost:%s/"):format(port), cafile = S.cert("rootA"), verify = "peer",
    protocol = "any", sink = function(chunk)
      parts[#parts + 1] = chunk
      return 1
    end }
  for k, v in pairs(extra or {}) do request[k] = v end
  local ok, code = https.request(request)
  return ok, code, table.concat(parts)
end

local CHUNKED = "HTTP/1.1 200 OK|Transfer-Encoding: chunked||5|hello|7|, world|"
local LENGTH = "HTTP/1.1 200 OK|Content-Length: 12||hello, world"

rows[6] = {
  subject = "an answer that is complete counts though the connection is cut behind it, one that is not fails",
  where = "luasec#211, luarocks#1879, cpython#87960, cpython#90471, openssl#18866",
  run = function()
    for _, case in ipairs {
      { "chunks, close_notify", "close", CHUNKED .. "0||", "hello, world" },
      { "chunks, cut behind them", "cut", CHUNKED .. "0||", "hello, world" },
      { "length, cut behind it", "cut", LENGTH, "hello, world" },
      { "chunks, cut before the last", "cut", CHUNKED },
      { "length, cut before its end", "cut", LENGTH:sub(1, -4) },
      { "no length, cut", "cut", "HTTP/1.1 200 OK||hello" },
    } do
      local port, finish = scripted(case[2], case[3])
      local ok, code, body = fetch(port)
      finish()
      if case[4] then
        check(ok and code == 200 and body == case[4], "%s: %s, %s, %q", case[1], tostring(ok), tostring(code), body)
      else
        check(not ok, "%s: it succeeds with %q", case[1], body)
        kit.sentence(code, case[1])
      end
    end
  end,
}

rows[13] = {
  subject = "a time-out of HTTPS holds in the handshake as well",
  where = "luasec#112, luasec#168, luasec#109",
  run = function()
    -- The system accepts for it, and nobody ever answers.
    local listener, port = kit.listen()
    https.TIMEOUT = 0.5
    local before = socket.gettime()
    local ok, message = fetch(port)
    local took = socket.gettime() - before
    check(not ok, "it succeeds")
    kit.sentence(message, "a silent server")
    check(took > 0.4 and took < 3, "a silent server: %.2f s", took)
    listener:close()
    -- Half of the server's flight comes, then nothing.
    local path = S.tmpfile([[
      local S, socket = require "support", require "socket"
      local listener = assert(socket.bind("127.0.0.1", 0))
      listener:settimeout(10)
      io.stdout:write(select(2, listener:getsockname()), "\n")
      io.stdout:flush()
      local client = assert(listener:accept())
      client:settimeout(0)
      local inner, outer = S.tcp()
      local server = assert(S.ssl.wrap(outer, S.server()))
      server:settimeout(0)
      inner:settimeout(0)
      S.poll(function()
        local _, _, hello = client:receive(65536)
        if hello and #hello > 0 then inner:send(hello) end
        server:dohandshake()
        local _, _, flight = inner:receive(65536)
        if not flight or #flight < 300 then return false end
        client:send(flight:sub(1, 300))
        return true
      end)
      client:settimeout(10)
      client:receive("*a")]])
    local p = assert(io.popen(kit.command(path)))
    port = p:read("*l")
    before = socket.gettime()
    ok, message = fetch(port)
    took = socket.gettime() - before
    p:close()
    os.remove(path)
    check(not ok, "it succeeds")
    kit.sentence(message, "a server that stalls")
    check(took > 0.4 and took < 3, "a server that stalls in its flight: %.2f s", took)
  end,
}

rows[14] = {
  subject = "the default of a client is no man in the middle: chain and host name are checked",
  where = "luasec#161, luasec#216, copas#222, lua-http#54, lua-http#48",
  run = function()
    local port, stop = kit.webserver("wronghost")
    local ok, code = https.request { url = ("https://localhost:%d/"):format(port), cafile = S.cert("rootA") }
    stop()
    check(not ok, "a certificate of another name: it answers %s", tostring(code))
    port, stop = kit.webserver("serverA")
    ok, code = https.request { url = ("https://localhost:%d/"):format(port), cafile = S.cert("rootB") }
    local known, status = https.request { url = ("https://localhost:%d/"):format(port), cafile = S.cert("rootA") }
    stop()
    check(not ok, "a certificate of another root: it answers %s", tostring(code))
    check(known and status == 200, "the right one: %s", tostring(status))
  end,
}

-- What s_client says of a handshake at this version with a server of these settings.
local function offered(version, cfg)
  local listener, port = kit.listen()
  local peer = kit.openssl("s_client -connect 127.0.0.1:%d %s -cipher ALL:@SECLEVEL=0 </dev/null", port, version)
  local conn = assert(S.ssl.wrap(assert(listener:accept()), cfg))
  conn:settimeout(10)
  local ok = conn:dohandshake()
  conn:close()
  listener:close()
  peer.finish()
  return ok
end

rows[32] = {
  subject = "what nobody chose is safe: no TLS before 1.2, and verification",
  where = "lua-http#216, copas#222",
  run = function()
    local cfg = S.server { options = { "all", "no_tlsv1", "no_tlsv1_1" } } -- the README's server
    check(offered("-tls1_2", cfg) and offered("-tls1_3", cfg), "TLS 1.2 and 1.3 are not served")
    for _, version in ipairs { "-tls1", "-tls1_1" } do
      check(not offered(version, cfg), "%s is served", version)
      check(not offered(version, S.server()), "%s is served by default", version)
    end
    local port, stop = kit.webserver("selfsigned")
    local ok, code = https.request(("https://localhost:%d/"):format(port))
    stop()
    check(not ok, "HTTPS to a stranger: it answers %s", tostring(code))
  end,
}

return rows
