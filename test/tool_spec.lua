-- The command luasec, run as a program: what it prints of servers good and bad, its exit statuses, the server of files,
-- the measurement.

local S = require "support"
local web = require "web"
local socket = require "socket"
local https = require "ssl.https"
local args = require "luasec.args"
local ocspkit = require "ocspkit"
local output = require "luasec.output"
local serve = require "luasec.serve"

local ca = S.cert "rootA"

-- Output and errors together, and the exit status.
local function luasec(arguments, before)
  local p = assert(io.popen(("%s timeout 30 %s bin/luasec %s 2>&1; echo status=$?"):format(before or "",
    S.interpreter(), arguments)))
  local out, status = p:read("*a"):match("^(.*)status=(%d+)\n$")
  p:close()
  return out, tonumber(status)
end

-- Looks at a server that follows a script.
local function look(script, options, cert, host)
  local server = cert and web.scripted({ cert }, script) or web.scripted(script)
  local out, status = luasec(("%s:%d %s"):format(host or "localhost", server.port, options or "--ca " .. ca))
  server:ended()
  return out, status
end

-- JSON as Lua's own tables would be, by another program's reader.
local function parsed(json)
  local path = S.tmpfile(json)
  local p = assert(io.popen(([[python3 -c '
import json, sys
d = json.load(open(sys.argv[1]))
for k in sorted(d):
  print(k, json.dumps(d[k]))
' %s 2>&1]]):format(path)))
  local out = p:read("*a")
  p:close()
  os.remove(path)
  return out
end

describe("luasec host:port", function()
  it("shows what was agreed on and the certificates, verified", function()
    local out, status = look("tls bye")
    assert.equal(0, status, out)
    assert.matches("\nverified +yes, for localhost\n", out)
    assert.matches("\nprotocol +TLSv1%.3\n", out)
    assert.matches("\ncertificate +serverA\n", out)
    assert.matches("\n  names +localhost", out)
    assert.matches("\n  sha256 +%x+\n", out)
    assert.is_nil(out:find("\27", 1, true)) -- no terminal
  end)

  it("says why not, and what to do", function()
    local cases = {
      { "expired", nil, "certificate has expired", "Z (expired " },
      { "notyet", nil, "certificate is not yet valid", "Z (not yet valid)" },
      { "wronghost", nil, "hostname mismatch", "the certificate is for" },
      { "serverB", nil, "unable to get local issuer certificate", "name the CA by --ca" },
      { "selfsigned", nil, "self-signed certificate", "name it by --ca" },
      { "revoked", ("--ca %s --crl %s"):format(ca, S.cert "crlA"), "certificate revoked", "its CA has revoked it" },
    }
    for _, case in ipairs(cases) do
      local out, status = look("tls bye", case[2], case[1])
      assert.equal(4, status, out)
      assert.matches("FAILED", out)
      assert.is_truthy(out:lower():find(case[3], 1, true), out)
      assert.is_truthy(out:find(case[4] or "", 1, true), out)
      assert.matches("\ncertificate ", out) -- it is shown all the same
    end
  end)

  it("says when a certificate is valid, in OpenSSL's own reckoning", function()
    local out = look("tls bye", nil, "serverA")
    local p = assert(io.popen("openssl x509 -noout -dates -dateopt iso_8601 -in " .. S.cert "serverA"))
    local dates = p:read("*a"):gsub("(%d) (%d)", "%1T%2")
    p:close()
    local from, to = dates:match("notBefore=(%S+)%s+notAfter=(%S+)")
    assert.is_truthy(out:find((" %s to %s ("):format(from, to), 1, true), out .. dates)
  end)

  it("says what is known of revocation", function()
    local out, status = look("tls bye", ("--ca %s --crl %s"):format(ca, S.cert "crlA"))
    assert.equal(0, status, out)
    assert.matches("\nrevocation +not in %S+crlA%.pem\n", out)
    assert.matches("\nrevocation +not known: ", (look("tls bye")))
    assert.is_nil((look("tls bye", "--insecure")):find("revocation", 1, true))
  end)

  it("says what the server staples", function()
    local server, port, file = ocspkit.openssl("serverA", ocspkit.respond { cert = "serverA" })
    local json, status = luasec(("localhost:%d --json --ca %s"):format(port, ca))
    local text = luasec(("localhost:%d --ca %s"):format(port, ca))
    ocspkit.stop(server, file)
    assert.equal(0, status, json)
    local day = "%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ"
    assert.matches('"status": "good"', parsed(json))
    assert.matches('"thisupdate": "' .. day, parsed(json))
    assert.matches('"nextupdate": "' .. day, parsed(json))
    assert.matches("\nstapled +good %(", text)
  end)

  it("shows everything without verifying when told so", function()
    local out, status = look("tls bye", "--insecure", "expired")
    assert.equal(0, status, out)
    assert.matches("\nverified +no, as you wish\n", out)
  end)

  it("has a status for each stage", function()
    local out, status = luasec("localhost:1")
    assert.equal(2, status, out)
    assert.matches("nothing listens on this port", out)
    out, status = luasec(("x"):rep(70)) -- longer than names can be: no name server is asked
    assert.equal(2, status, out)
    assert.matches("host not found\n  because +no name server knows the name", out)
    out, status = look("send=" .. web.escape("HTTP/1.0 400 Bad\r\n\r\n") .. " stall")
    assert.equal(3, status, out)
    assert.matches("does not speak TLS here: .*is %-%-starttls due first", out)
    out, status = look("tls bye", "--protocol tlsv1_2 --timeout 5 --ca " .. ca, nil)
    assert.equal(0, status, out)
    out, status = look("stall", "--timeout 1 --ca " .. ca)
    assert.equal(3, status, out)
    assert.matches("does it speak TLS", out)
    out, status = luasec("localhost:1 --ca /nowhere")
    assert.equal(1, status, out)
    local _, times = out:gsub("No such file or directory", "")
    assert.equal(1, times, out)
  end)

  it("answers wrong usage with what is right", function()
    for arguments, words in pairs {
      [""] = "a host is missing", ["a b"] = "too many arguments", ["--jsn a"] = "did you mean %-%-json",
      ["a --ca"] = "%-%-ca needs FILE", ["a --timeout x"] = "a number of seconds", ["a --timeout -1"] = "a number",
      ["a --starttls ftp"] = "imap, pop3, smtp, xmpp", ["a:b"] = "is no host:port", ["a:99999"] = "is no host:port",
      ["a --json=1"] = "takes no argument", ["serve x"] = "too many", ["bench"] = "needs a host:port",
      ["serve --port 70000"] = "needs a port", ["--color=blue a"] = "always, auto, never",
    } do
      local out, status = luasec(arguments)
      assert.equal(1, status, arguments .. ": " .. out)
      assert.matches(words, out)
      assert.is_nil(out:find("traceback", 1, true))
    end
  end)

  it("has help and a version", function()
    for _, command in ipairs { "", "serve ", "bench " } do
      local out, status = luasec(command .. "--help")
      assert.equal(0, status)
      assert.matches("^Usage: luasec " .. command, out)
      assert.matches("\nExit status: 0 ", out)
      for line in out:gmatch("[^\n]+") do assert.is_true(#line <= 120) end
    end
    assert.equal("luasec " .. S.ssl._VERSION .. "\n", (luasec("--version")))
  end)

  it("prints JSON for programs", function()
    local out = parsed((look("tls bye", "--json --alpn h2,http/1.1 --ca " .. ca)))
    if out:find("python3: not found", 1, true) then return pending("python3 is not installed") end
    assert.matches("\nok true\n", out)
    assert.matches("\nverified true\n", out)
    assert.matches('\nprotocol "TLSv1.3"\n', out)
    assert.matches("\nservername \"localhost\"\n", out)
    assert.matches('"subject": "serverA"', out)
    out = parsed((look("tls bye", "--json --ca " .. ca, "expired")))
    assert.matches("\nok false\n", out)
    assert.matches("\nverified false\n", out)
    assert.matches('"stage": "verify"', out)
  end)

  it("prints PEM", function()
    local out, status = look("tls bye", "--pem --ca " .. ca)
    assert.equal(0, status)
    assert.equal(S.ssl.loadcertificate(S.pem "serverA"):digest("sha256"), S.ssl.loadcertificate(out):digest("sha256"))
  end)

  it("colours when told to", function()
    assert.is_truthy((look("tls bye", "--color always --ca " .. ca)):find("\27[32m", 1, true))
  end)
end)

describe("luasec --starttls", function()
  local function line(text) return "send=" .. web.escape(text .. "\r\n") end
  local stream = "<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xmlns='jabber:client' " ..
    "xmlns:stream='http://etherx.jabber.org/streams'>"
  local features = "send=" .. web.escape("<stream:stream><stream:features><starttls xmlns='x'/></stream:features>")
  local scripts = {
    smtp = ("%s %s body=16 %s %s body=10 %s "):format(line "220-hello", line "220 there", line "250-localhost",
      line "250 STARTTLS", line "220"),
    imap = ("%s body=12 %s %s "):format(line "* OK ready", line "* CAPABILITY IMAP4", line "a OK now"),
    pop3 = ("%s body=6 %s "):format(line "+OK", line "+OK"),
    xmpp = ("body=%d %s body=51 send=%s "):format(#stream, features, web.escape("<proceed xmlns='x'/>")),
  }

  for protocol, script in pairs(scripts) do
    it("begins in plain text with " .. protocol, function()
      local out, status = look(script .. "tls bye", ("--starttls %s --ca %s"):format(protocol, ca))
      assert.equal(0, status, out)
      assert.matches("\nverified +yes", out)
    end)

    it("takes no word of " .. protocol .. " that comes before TLS for one in it", function()
      local early = script:gsub("(send=%S+) $", "%1" .. ("evil"):rep(20) .. " ")
      local out, status = look(early .. "stall", ("--timeout 3 --starttls %s --ca %s"):format(protocol, ca))
      assert.equal(2, status, out)
      assert.matches("more before TLS begins", out)
    end)
  end

  it("says when the server refuses, ends, or has no end", function()
    local options = "--timeout 2 --ca " .. ca .. " --starttls "
    local out, status = look(line "554 go away\27[31m", options .. "smtp")
    assert.equal(2, status)
    assert.matches("the server refuses: 554 go away\\x1B", out)
    assert.matches("speak smtp with STARTTLS on this port", out)
    out, status = look("bye", options .. "imap")
    assert.equal(2, status)
    assert.matches("closed the connection", out)
    out, status = look("flood=" .. web.escape("220-more\r\n"), options .. "smtp")
    assert.equal(2, status)
    assert.matches("has no end", out)
    out, status = look("flood=x", options .. "smtp")
    assert.equal(2, status)
    assert.matches("has no end", out)
    out, status = look("stall", options .. "xmpp")
    assert.equal(2, status)
    assert.matches("timeout", out)
  end)

  it("ends in time when the server dribbles", function()
    for protocol, text in pairs { smtp = "220-more\r\n", xmpp = "<a/>" } do
      local began = socket.gettime()
      local out, status = look("drip=" .. web.escape(text:rep(30)), "--timeout 1 --starttls " .. protocol)
      assert.equal(2, status)
      assert.matches("timeout", out)
      assert.is_true(socket.gettime() - began < 6, socket.gettime() - began)
    end
  end)
end)

-- A server of files in a process of its own: its port, and a function that ends it and answers what it printed. With a
-- number of requests it ends by itself, once the connections that it still waits for have come; else by a signal.
local function serving(options, requests)
  local p = assert(io.popen(("echo $$; exec timeout 60 %s bin/luasec serve --port 0 %s %s 2>&1"):format(S.interpreter(),
    requests and "--requests " .. requests or "", options)))
  local pid, first = p:read("*l"), p:read("*l")
  local port = tonumber(first:match(":(%d+)/"))
  return port, function()
    if not requests then os.execute("kill " .. pid) end
    for _ = 1, requests or 0 do
      local sock = socket.connect("127.0.0.1", port)
      if sock then sock:close() end
    end
    local out = p:read("*a")
    p:close()
    return out
  end
end

describe("luasec serve", function()
  it("serves files, and nothing else", function()
    local trust = os.tmpname()
    local port, stop = serving("--dir test --save " .. trust, 40)
    local function get(path, method)
      local chunks = {}
      local ok, code, headers = https.request { url = ("https://localhost:%d%s"):format(port, path), cafile = trust,
        timeout = 10, redirect = false, method = method, sink = function(c)
          chunks[#chunks + 1] = c
          return 1
        end }
      return ok and code or -1, table.concat(chunks), headers
    end
    local code, body, headers = get("/tool_spec.lua")
    assert.equal(200, code)
    assert.equal(S.read("test/tool_spec.lua"), body)
    assert.equal("application/octet-stream", headers["content-type"])
    code, body = get("/tool_spec.lua", "HEAD")
    assert.same({ 200, "" }, { code, body })
    for _, path in ipairs { "/../README.md", "/%2e%2e/README.md", "/peer/../../README.md", "/nothing", "/.hidden", "/",
      "/tool_spec.lua%00", "/..%5cREADME.md" } do
      assert.equal(404, (get(path)), path)
    end
    code, body, headers = get("/peer")
    assert.same({ 301, "301 Moved Permanently\n", "/peer/" }, { code, body, headers.location })
    assert.equal(405, (get("/tool_spec.lua", "POST")))
    local out = stop()
    os.remove(trust)
    assert.matches("127%.0%.0%.1 200 OK GET /tool_spec%.lua\n", out)
    assert.is_nil(out:find("traceback", 1, true), out)
  end)

  it("goes on when clients talk nonsense, say nothing, or go away", function()
    local port, stop = serving(("--dir test --cert %s --key %s"):format(S.cert "serverA", S.cert "serverAkey"), 20)
    local held = {}
    for i, text in ipairs { "junk\r\n\r\n", "", ("x"):rep(100000) } do
      held[i] = assert(socket.connect("127.0.0.1", port))
      held[i]:send(text)
    end
    held[1]:close()
    for _, text in ipairs { "nonsense\r\n\r\n", ("x"):rep(20000) .. "\r\n\r\n", "GET / HTTP/1.1\r\n" } do
      local conn = assert(S.ssl.connect("localhost", port, { verify = "peer", cafile = ca, timeout = 10 }))
      conn:settimeout(10)
      conn:send(text)
      if text:find("^nonsense") then assert.matches("^HTTP/1.1 400", (conn:receive("*l"))) end
      conn:close()
    end
    local body, code = https.request { url = ("https://localhost:%d/web.lua"):format(port), cafile = ca, timeout = 10 }
    assert.same({ 1, 200 }, { body, code })
    for i = 2, 3 do held[i]:close() end
    local out = stop()
    assert.is_nil(out:find("traceback", 1, true), out)
    assert.matches("handshake failed: ", out)
    assert.matches("\n127%.0%.0%.1 400 Bad Request\n", out)
    assert.matches("\n127%.0%.0%.1 no request\n", out)
  end)

  it("ends after so many connections, when the last has its answer", function()
    local port, stop = serving(("--dir test --cert %s --key %s"):format(S.cert "serverA", S.cert "serverAkey"), 2)
    local first = assert(S.ssl.connect("localhost", port, { verify = "peer", cafile = ca, timeout = 10 }))
    local second = assert(S.ssl.connect("localhost", port, { verify = "peer", cafile = ca, timeout = 10 }))
    for _, conn in ipairs { second, first } do
      conn:settimeout(10)
      conn:send("GET /web.lua HTTP/1.0\r\n\r\n")
      assert.equal("HTTP/1.1 200 OK", (conn:receive("*l")))
      local _, message, rest = conn:receive("*a")
      assert.is_truthy(_ or message == "closed")
      assert.equal(S.read("test/web.lua"), (_ or rest):match("\r\n\r\n(.*)$"))
      conn:close()
    end
    local out = stop()
    local _, count = out:gsub("200 OK GET /web%.lua\n", "")
    assert.equal(2, count, out)
    assert.is_nil(out:find("handshake failed", 1, true), out) -- nothing more was taken
  end)

  it("drops whoever takes more than half a minute", function()
    local lines = {}
    local server = assert(serve.new({ port = 0, dir = "test", cert = S.cert "serverA", key = S.cert "serverAkey" },
      function(text) lines[#lines + 1] = text end))
    local slow = assert(socket.connect("127.0.0.1", server.port))
    S.poll(function()
      server:step()
      return server.count == 1
    end, "the connection")
    local gettime = socket.gettime
    finally(function() socket.gettime = gettime end)
    slow:send("\22")
    for _, case in ipairs { { 29, 1 }, { 31, 0 } } do
      local ahead, count = case[1], case[2]
      socket.gettime = function() return gettime() + ahead end
      server:step()
      assert.equal(count, server.count)
    end
    slow:settimeout(5)
    assert.equal("closed", (select(2, slow:receive(1))))
    slow:close()
    server.listener:close()
    assert.same({}, lines)
  end)

  it("asks for certificates, and the tool without one says so", function()
    local port, stop = serving(("--dir test --cert %s --key %s --ca %s"):format(S.cert "serverA", S.cert "serverAkey",
      ca), 20)
    for _, version in ipairs { "tlsv1_3", "tlsv1_2" } do
      local options = ("localhost:%d --ca %s --protocol %s"):format(port, ca, version)
      local out, status = luasec(options)
      assert.equal(3, status, out)
      assert.matches(version == "tlsv1_3" and "wants a client certificate: %-%-cert and %-%-key" or "FAILED", out)
      out, status = luasec(("%s --cert %s --key %s"):format(options, S.cert "clientA", S.cert "clientAkey"))
      assert.equal(0, status, out)
      assert.matches("\nverified +yes", out)
    end
    stop()
  end)

  it("refuses settings that do not fit", function()
    for options, words in pairs { ["--cert x"] = "belong together", ["--cert /nowhere --key /nowhere"] = "No such file",
      ["--bind 192.0.2.1"] = "cannot listen at 192.0.2.1, port 0: .*assign", ["--save /nowhere/x"] = "No such file",
      ["--requests many"] = "%-%-requests needs a number, not many", ["--requests -1"] = "needs a number, not %-1",
      ["--dir /nowhere"] = "cannot serve the directory /nowhere: No such file",
      ["--dir " .. ca] = "cannot serve the directory .*rootA.*: Not a directory" } do
      local out, status = luasec("serve --port 0 " .. options)
      assert.equal(1, status, out)
      assert.matches(words, out)
    end
  end)
end)

describe("luasec serve", function()
  it("writes an address of IPv6 as a URL has it", function()
    local listener = socket.tcp6 and socket.tcp6()
    if not listener or not listener:bind("::1", 0) then return pending("no IPv6 here") end
    listener:close()
    local out, status = luasec("serve --bind ::1 --port 0 --requests 0")
    assert.equal(0, status, out)
    assert.matches("^serving %. at https://%[::1%]:%d+/\n$", out)
  end)
end)

describe("luasec bench", function()
  it("measures full and resumed handshakes", function()
    local port, stop = serving(("--cert %s --key %s"):format(S.cert "serverA", S.cert "serverAkey"))
    local out, status = luasec(("bench localhost:%d --seconds 0.3 --ca %s"):format(port, ca))
    assert.equal(0, status, out)
    local full, none = out:match("^full +(%d+) handshakes %((%d+) resumed%)")
    local again, resumed = out:match("\nresumed +(%d+) handshakes %((%d+) resumed%)")
    assert.is_true(tonumber(full) >= 1 and none == "0", out)
    assert.is_true(tonumber(resumed) >= tonumber(again) - 1, out)
    assert.equal(4, select(2, luasec(("bench localhost:%d --seconds 0.1 --ca %s"):format(port, S.cert "rootB"))))
    stop()
  end)

  it("says when there is nobody", function()
    local out, status = luasec("bench localhost:1")
    assert.equal(2, status)
    assert.matches("^luasec: connection refused: nothing listens on this port", out)
  end)
end)

describe("its parts", function()
  it("read addresses", function()
    for text, want in pairs {
      ["a"] = { "a", 443 }, ["a:1"] = { "a", 1 }, ["[::1]:5"] = { "::1", 5 }, ["[::1]"] = { "::1", 443 },
      ["::1"] = { "::1", 443 }, ["fe80::1"] = { "fe80::1", 443 }, ["a:"] = { "a", 443 },
    } do
      assert.same(want, { args.address(text, 443) }, text)
    end
    for _, text in ipairs { "", ":1", "a:0", "a:65536", "a:b", "[x", "a b", "[::1]x", "g:1:b" } do
      assert.is_nil(args.address(text, 443), text)
    end
  end)

  it("show what a terminal would obey", function()
    assert.equal("a\\x1B[31m\\x00\\xFF", output.safe("a\27[31m\0\255"))
    assert.equal('"\\u001b\\n\\"\\\\\\\\xFF"\n', output.json("\27\n\"\\\255"))
    assert.equal("[]\n", output.json {})
    assert.equal("null\n", output.json(0 / 0))
    assert.equal("1\n", output.json(1))
  end)

  it("lead no path upwards", function()
    assert.equal("/a/index.html", serve.path("/a/?q#f"))
    assert.equal("/a b", serve.path("/a%20b"))
    for _, target in ipairs { "a", "/..", "/a/../b", "/%2E%2e/", "/.git/config", "/a%00", "/a\\..", "/%2f..", "" } do
      assert.is_nil(serve.path(target), target)
    end
  end)
end)
