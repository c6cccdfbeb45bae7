-- The samples that are a small service: HTTPS through a proxy, certificates renewed at run time, WebSockets, and the
-- ACME challenge by ALPN.

local S = require "support"
local process = require "process"
local ssl = require "ssl"

local certs = S.certdir
local rootA, rootB = S.cert "rootA", S.cert "rootB"
local running = {}

local function start(...)
  local program = process.lua(...)
  running[#running + 1] = program
  return program, program:expect("^(%d+)$")
end

local function run(...)
  local output, status = process.lua(...):wait()
  return output, status
end

local function killall()
  for i = #running, 1, -1 do table.remove(running, i):kill() end
end

describe("samples/https-proxy", function()
  after_each(killall)
  local client = "samples/https-proxy/client.lua"

  it("gets a page through a tunnel", function()
    local _, port = start("samples/demo/server.lua", certs, 2)
    local _, proxy = start("samples/https-proxy/proxy.lua", 0)
    local url, through = "https://localhost:" .. port .. "/page", "http://127.0.0.1:" .. proxy
    local output, status = run(client, url, through, rootA)
    assert.equal(0, status, output)
    assert.matches("^HTTP/1.1 200 OK\nYou asked: GET /page HTTP/1.1\n", output)
    assert.same({ "failed: certificate verify failed", 1 }, { run(client, url, through, rootB) })
  end)

  it("says what the proxy says", function()
    local _, proxy = start("samples/https-proxy/proxy.lua", 0)
    local through = "http://127.0.0.1:" .. proxy
    local output, status = run(client, "https://elsewhere.test/", through, rootA)
    assert.equal(1, status)
    assert.matches("^failed: .*403", output)
    output, status = run(client, "https://localhost:1/", through, rootA)
    assert.equal(1, status)
    assert.matches("^failed: .*502", output)
    assert.equal(2, (select(2, run(client))))
  end)
end)

describe("samples/reload", function()
  after_each(killall)

  it("shows the new certificate as soon as it is whole", function()
    local certificate, key = S.tmpfile(S.pem "serverA"), S.tmpfile(S.pem "serverAkey")
    finally(function()
      os.remove(certificate)
      os.remove(key)
    end)
    local function put(path, text) assert(os.rename(S.tmpfile(text), path)) end
    local server, port = start("samples/reload/server.lua", certificate, key, 0, 0.1)
    local function shown() return (run("samples/reload/client.lua", rootA, port)) end
    assert.matches("^serverA, until ", shown())
    put(certificate, S.pem "ec384")
    server:expect("^not yet: ")
    assert.matches("^serverA, until ", shown())
    put(key, S.pem "ec384key")
    server:expect("^reloaded$")
    assert.matches("^ec384, until ", shown())
    assert.equal("refused: certificate verify failed", (run("samples/reload/client.lua", rootB, port)))
    put(certificate, "junk")
    server:expect("^not yet: ")
    assert.matches("^ec384, until ", shown())
    assert.equal(2, (select(2, run("samples/reload/server.lua"))))
  end)
end)

describe("samples/websocket", function()
  after_each(killall)
  local client = "samples/websocket/client.lua"

  it("has the right SHA-1", function()
    local sha1 = dofile("samples/websocket/sha1.lua")
    local function hex(s) return (sha1(s):gsub(".", function(c) return ("%02x"):format(c:byte()) end)) end
    assert.equal("da39a3ee5e6b4b0d3255bfef95601890afd80709", hex "")
    assert.equal("a9993e364706816aba3e25717850c26c9cd0d89d", hex "abc") -- FIPS 180's
    for _, n in ipairs { 55, 56, 63, 64, 65, 119, 200 } do
      local p = assert(io.popen("head -c " .. n .. " /dev/zero | tr '\\0' x | sha1sum"))
      local want = p:read("*a"):match("^%x+")
      p:close()
      assert.equal(want, hex(("x"):rep(n)))
    end
  end)

  it("sends back short and long texts", function()
    local server, port = start("samples/websocket/server.lua", certs, 0, 4)
    assert.same({ "hello", 0 }, { run(client, rootA, port) })
    for _, n in ipairs { 125, 126, 60000 } do
      local text = ("0123456789"):rep(6000):sub(1, n)
      assert.same({ text, 0 }, { run(client, rootA, port, text) })
    end
    local output, status = server:wait()
    assert.equal(0, status)
    assert.equal(4, select(2, output:gsub("\ndone", "")))
  end)

  it("is a WebSocket to curl, and nothing to others", function()
    local server, port = start("samples/websocket/server.lua", certs, 0, 4)
    local url = "https://localhost:" .. port .. "/"
    local function curl(...) return (process.start { "curl", "-s", "-i", "-m", "20", "--http1.1", ... }:wait()) end
    -- The key and its answer are RFC 6455's example.
    local output = curl("--cacert", rootA, "--max-time", "1", "-H", "Upgrade: websocket", "-H", "Connection: Upgrade",
      "-H", "Sec-WebSocket-Version: 13", "-H", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", url)
    assert.matches("HTTP/1.1 101 ", output, 1, true)
    assert.matches("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", output, 1, true)
    assert.matches("HTTP/1.1 426 ", curl("--cacert", rootA, url), 1, true)
    assert.same({ "failed: certificate verify failed", 1 }, { run(client, rootB, port) })
    assert.same({ "hello", 0 }, { run(client, rootA, port) })
    assert.equal(0, (select(2, server:wait())))
    local _, other = start("samples/demo/server.lua", certs, 1)
    assert.same({ "failed: HTTP/1.1 200 OK", 1 }, { run(client, rootA, other) })
  end)
end)

describe("samples/acme-alpn", function()
  after_each(killall)
  local authorization = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA.nP1qzpXGymHBrUEepNY9HCsQk7K8KhOypzEt62jcerQ"

  it("answers for its domain and nothing else", function()
    local server, port = start("samples/acme-alpn/responder.lua", "www.a.test", authorization, 0, 5)
    local function validate(domain, what)
      return (run("samples/acme-alpn/validator.lua", domain, what or authorization, port, "127.0.0.1"))
    end
    assert.equal("valid", validate "www.a.test")
    assert.equal("invalid: another key authorization, or none", validate("www.a.test", "x.y"))
    assert.matches("^invalid: ", validate "b.test")
    -- What RFC 8737 demands is what openssl reads, too; and nobody else gets a handshake.
    local text = process.start { "sh", "-c", "openssl s_client -connect 127.0.0.1:" .. port ..
      " -servername www.a.test -alpn acme-tls/1 </dev/null 2>/dev/null | openssl x509 -noout -text" }:wait()
    assert.matches("1.3.6.1.5.5.7.1.31: critical", text, 1, true)
    assert.matches("DNS:www.a.test", text, 1, true)
    local conn, message = ssl.connect("127.0.0.1", port, { protocol = "tlsv1_2+", servername = "www.a.test",
      alpn = "http/1.1", timeout = 10 })
    assert.is_nil(conn)
    assert.matches("no application protocol", message)
    local output, status = server:wait()
    assert.equal(0, status)
    assert.equal(3, select(2, output:gsub("looked at by 127.0.0.1", "")), output)
  end)

  it("runs nothing that stands in its arguments", function()
    for _, bad in ipairs { { "a.test;id", "x" }, { "a.test", "$(id)" }, { "a.test", "x'y" }, {} } do
      local output, status = run("samples/acme-alpn/responder.lua", S.unpack(bad))
      assert.equal(2, status)
      assert.matches("^usage: ", output)
    end
    assert.matches("^usage: ", (run("samples/acme-alpn/validator.lua", "a.test", "'x")))
  end)
end)
