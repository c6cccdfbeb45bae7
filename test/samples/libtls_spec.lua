-- samples/libtls/server.lua: a server written for lua-libtls, asked by curl and by ssl.https.

local process = require "process"

local certs = os.getenv("CERTS") or "build/certs"

describe("a server written for lua-libtls", function()
  it("answers curl and ssl.https, and goes on after a client that does not trust it", function()
    local server = process.lua("samples/libtls/server.lua", certs, 3)
    local port = server:expect("^(%d+)$")
    local text = process.start({ "curl", "-s", "-m", 20, "--cacert", certs .. "/rootA.pem",
      "https://localhost:" .. port .. "/one" }):wait()
    assert.matches("/one by TLSv1.3", text, 1, true)
    server:expect("^answered")
    process.start({ "curl", "-s", "-m", 20, "https://localhost:" .. port .. "/two" }):wait()
    server:expect("^failed: handshake failed: ")
    local body, status = require("ssl.https").request { url = "https://localhost:" .. port .. "/three",
      cafile = certs .. "/rootA.pem", sink = function() return 1 end }
    assert.equal(1, body)
    assert.equal(200, status)
    assert.equal(0, (select(2, server:wait())))
  end)
end)
