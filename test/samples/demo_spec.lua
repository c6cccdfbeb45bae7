-- samples/demo: everything in one run.

local process = require "process"

describe("the demo", function()
  it("gets through all of its steps", function()
    local output, status = process.lua("samples/demo/demo.lua"):wait()
    assert.equal(0, status, output)
    assert.matches("refused%s+certificate verify failed", output)
    assert.matches("All of it held%.$", output)
  end)

  it("has a server that refuses and goes on when a client is no client", function()
    local socket = require "socket"
    local server = process.lua("samples/demo/server.lua", os.getenv("CERTS") or "build/certs", 1)
    local sock = assert(socket.connect("127.0.0.1", server:expect("^(%d+)$")))
    sock:settimeout(10)
    sock:send("GET / HTTP/1.0\r\n\r\n")
    assert.matches("^handshake refused: ", (server:line()))
    sock:close()
    assert.equal(0, (select(2, server:wait())))
  end)
end)
