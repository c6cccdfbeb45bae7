-- samples/resume: a session that a client keeps in a file.

local process = require "process"

local certs = os.getenv("CERTS") or "build/certs"

describe("a client that keeps its session", function()
  local file
  before_each(function() file = os.tmpname() end)
  after_each(function() os.remove(file) end)

  local function run(server) return (process.lua("samples/resume/client.lua", certs, server, file):wait()) end

  it("resumes at each later run, and begins anew at another server", function()
    os.remove(file)
    local server = process.lua("samples/resume/server.lua", certs, 3)
    local port = server:expect("^(%d+)$")
    assert.equal("server: welcome\nfull handshake", run(port))
    assert.equal("server: welcome back\nresumed", run(port))
    assert.equal("server: welcome back\nresumed", run(port))
    assert.equal(0, (select(2, server:wait())))
    assert.matches("3 handshakes: 1 full, 2 resumed, 0 offers refused", (server:wait()))

    local other = process.lua("samples/resume/server.lua", certs, 1)
    assert.equal("server: welcome\nfull handshake", run(other:expect("^(%d+)$")))
    assert.matches("1 handshakes: 1 full, 0 resumed, 1 offers refused", (other:wait()))
  end)

  it("begins anew where the file holds something else", function()
    local f = assert(io.open(file, "w"))
    f:write("garbage")
    f:close()
    local server = process.lua("samples/resume/server.lua", certs, 1)
    assert.equal("server: welcome\nfull handshake", run(server:expect("^(%d+)$")))
    server:wait()
  end)
end)
