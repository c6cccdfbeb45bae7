-- Other people's TLS at the other end, in both roles, over TLS 1.2 and 1.3, the client verifying the server's
-- certificate and name: OpenSSL's and GnuTLS's tools, NSS's tstclnt and selfserv, Botan, curl, Node and Python. `make
-- interop`. Debian 12's Botan, 2.19, has no TLS 1.3. The peers are this folder's programs where the package has none.

local socket = require "socket"
local S = require "support"
local process = require "process"
local ssl = S.ssl

local ROOT = S.cert("rootA")
local CERT, KEY = S.cert("serverA"), S.cert("serverAkey")
local GNUTLS = "NORMAL:-VERS-ALL:+VERS-TLS"

local database -- NSS's, with rootA and serverA in it

local function run(command)
  local p = assert(io.popen(command .. " 2>&1; echo \"exit $?\""))
  local text = p:read("*a")
  p:close()
  assert(text:find("exit 0\n$"), command .. ": " .. text)
end

setup(function()
  database = os.tmpname()
  os.remove(database)
  run(("mkdir -p %s/other"):format(database)) -- one that knows no root
  for _, name in ipairs { database, database .. "/other" } do
    run(("certutil -N -d sql:%s --empty-password"):format(name))
  end
  run(("certutil -A -d sql:%s -n rootA -t C,, -i %s"):format(database, ROOT))
  run(("pk12util -d sql:%s -i %s -W secret"):format(database, S.cert("serverA.p12")))
end)
teardown(function() os.execute("rm -r '" .. database .. "'") end)

-- Commands of clients, which send "hello" when it is typed, or say what they fetched; v is "1.2" or "1.3".
local clients = {
  { "openssl s_client", function(port, v, root)
    return ("openssl s_client -connect 127.0.0.1:%d -servername localhost -verify_hostname localhost " ..
      "-verify_return_error -CAfile %s -tls%s -quiet"):format(port, root, (v:gsub("%.", "_")))
  end },
  { "gnutls-cli", function(port, v, root)
    return ("gnutls-cli --port %d --x509cafile %s --priority %s%s localhost"):format(port, root, GNUTLS, v)
  end },
  { "NSS tstclnt", function(port, v, root)
    return ("tstclnt -h 127.0.0.1 -a localhost -p %d -d sql:%s -V tls%s:tls%s -f")
      :format(port, root == ROOT and database or database .. "/other", v, v)
  end },
  { "botan tls_client", function(port, _, root)
    return ("botan tls_client localhost --port=%d --trusted-cas=%s --skip-system-cert-store"):format(port, root)
  end, only = "1.2", says = "issuer not found" }, -- it goes on in spite of it
  { "curl", function(port, v, root)
    return ("curl -sS --cacert %s --tlsv%s --tls-max %s --resolve localhost:%d:127.0.0.1 https://localhost:%d/")
      :format(root, v, v, port, port)
  end },
  { "Node", function(port, v, root) return ("node test/interop/client.js %d %s %s"):format(port, v, root) end },
  { "Python", function(port, v, root) return ("python3 test/interop/client.py %d %s %s"):format(port, v, root) end },
}

local servers = {
  { "openssl s_server", function(port, v)
    return ("openssl s_server -accept 127.0.0.1:%d -cert %s -key %s -tls%s -www"):format(port, CERT, KEY,
      (v:gsub("%.", "_")))
  end },
  { "gnutls-serv", function(port, v)
    return ("gnutls-serv --http --port %d --x509certfile %s --x509keyfile %s --priority %s%s"):format(port, CERT, KEY,
      GNUTLS, v)
  end },
  { "NSS selfserv", function(port, v)
    return ("selfserv -n serverA -p %d -d sql:%s -V tls%s:tls%s"):format(port, database, v, v)
  end },
  { "botan tls_server", function(port)
    return ("botan tls_server %s %s --port=%d"):format(CERT, KEY, port)
  end, only = "1.2" },
  { "Node", function(port, v) return ("node test/interop/server.js %d %s %s %s"):format(port, v, CERT, KEY) end },
  { "Python", function(port, v)
    return ("python3 test/interop/server.py %d %s %s %s"):format(port, v, CERT, KEY)
  end },
}

local contexts = {}
for _, v in ipairs { "1.2", "1.3" } do
  contexts[v] = assert(ssl.newcontext(S.server { protocol = "tlsv" .. v:gsub("%.", "_") }))
end

-- One client served: what it sent, or the failure of the handshake.
local function serve(listener, context)
  local conn = assert(ssl.wrap(assert(listener:accept()), context))
  conn:settimeout(20)
  local ok, message, detail = conn:dohandshake()
  local version, line, partial = ok and conn:info("protocol"), nil, nil -- luacheck: ignore 231
  if ok then
    line, message, partial, detail = conn:receive("*l")
    if line and line:find("^GET ") then
      repeat until conn:receive("*l") == ""
      conn:send("HTTP/1.1 200 OK\r\nContent-Length: 11\r\nConnection: close\r\n\r\n")
    end
    if line then conn:send("hello back\n") end
  end
  return line, message, detail, version, conn
end

local function listen()
  local listener = assert(socket.bind("127.0.0.1", 0))
  listener:settimeout(20)
  return listener, select(2, listener:getsockname())
end

describe("a client of another kind,", function()
  for _, client in ipairs(clients) do
    for _, v in ipairs { "1.2", "1.3" } do
      if not client.only or client.only == v then
        it(("%s, over TLS %s"):format(client[1], v), function()
          local listener, port = listen()
          local peer = process.dialogue("%s", client[2](port, v, ROOT))
          if client[1] ~= "curl" then peer:write("hello\n") end
          local line, message, _, version, conn = serve(listener, contexts[v])
          listener:close()
          assert.equal("TLSv" .. v, version, tostring(message) .. "\n" .. peer:text())
          assert.is_truthy(line == "hello" or line == "GET / HTTP/1.1", line)
          conn:close()
          peer:sees("hello back")
          peer:signal("TERM") -- NSS's does not end by itself
          peer:finish()
        end)

        it(("%s, refuses a root that it does not know over TLS %s"):format(client[1], v), function()
          local listener, port = listen()
          local peer = process.dialogue("%s", client[2](port, v, S.cert("rootB")))
          if client[1] ~= "curl" then peer:write("hello\n") end -- NSS's shakes hands only then
          local line, message, detail, _, conn = serve(listener, contexts[v])
          listener:close()
          conn:close()
          local text = peer:finish()
          if client.says then return assert.matches(client.says, text) end
          assert.is_nil(line)
          assert.is_truthy(detail and (detail.kind == "alert" or detail.kind == "closed" or detail.kind == "truncated"
            or detail.kind == "system"), tostring(message))
        end)
      end
    end
  end
end)

-- A port that is free now; the server may lose it to another process, and then does not come up.
local function start(server, v)
  for _ = 1, 3 do
    local listener, port = listen()
    listener:close()
    local peer = process.dialogue("%s", server[2](port, v))
    for _ = 1, 400 do
      local probe = socket.connect("127.0.0.1", port)
      if probe then
        probe:close()
        return peer, port
      end
      socket.sleep(0.025)
    end
    peer:signal("TERM")
    peer:finish()
  end
  error("the server does not come up")
end

describe("a server of another kind,", function()
  for _, server in ipairs(servers) do
    for _, v in ipairs { "1.2", "1.3" } do
      if not server.only or server.only == v then
        it(("%s, over TLS %s"):format(server[1], v), function()
          local peer, port = start(server, v)
          local flags = { verify = "peer", cafile = ROOT, protocol = "any", servername = "localhost", timeout = 20 }
          local conn, message = ssl.connect("127.0.0.1", port, flags)
          local answer
          if conn then
            assert.equal("TLSv" .. v, conn:info("protocol"))
            assert.is_true(conn:getpeerverification())
            conn:send("GET / HTTP/1.0\r\n\r\n")
            answer = conn:receive("*l")
            conn:close()
          end
          flags.cafile = S.cert("rootB")
          local wrong, _, detail = ssl.connect("127.0.0.1", port, flags)
          peer:signal("TERM")
          local text = peer:finish()
          assert.is_truthy(conn, tostring(message) .. "\n" .. text)
          answer = tostring(answer)
          assert.is_truthy(answer:find("^HTTP/1") or answer:find("^GET /"), answer .. "\n" .. text)
          assert.is_nil(wrong)
          assert.equal("verify", detail.kind)
        end)
      end
    end
  end
end)
