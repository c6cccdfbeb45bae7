-- samples/dtls: a thousand peers on one UDP socket.

local process = require "process"

local certs = os.getenv("CERTS") or "build/certs"

describe("a server of DTLS on one UDP socket", function()
  it("serves a thousand peers", function()
    local server = process.lua("samples/dtls/server.lua", certs, 5)
    local port = server:expect("^(%d+)$")
    local clients = {}
    for i = 1, 4 do clients[i] = process.lua("samples/dtls/client.lua", certs, port, 250) end
    for _, client in ipairs(clients) do assert.equal("250 of 250", (client:wait())) end
    local text, status = server:wait()
    assert.equal(0, status)
    assert.matches("\n1000 peers$", text)
  end)
end)
