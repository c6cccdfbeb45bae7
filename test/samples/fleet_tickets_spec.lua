-- samples/fleet-tickets: servers that share the keys of session tickets, and a client that goes from one to the other.

local fleet = require "fleet"

local function server(keys, certs)
  return fleet.server("samples/fleet-tickets/server.lua", certs or fleet.certs, keys)
end

describe("a fleet that shares ticket keys", function()
  local keys
  before_each(function()
    keys = os.tmpname()
    os.remove(keys)
    fleet.rotate(keys)
  end)
  after_each(function()
    fleet.killall()
    os.remove(keys)
  end)

  it("resumes at a server that never saw the client", function()
    local one, two = server(keys), server(keys)
    local answers = fleet.client(0.5, one, two):finish()
    assert.same({ one.port, "full" }, { answers[1].port, answers[1].answer })
    assert.same({ two.port, "resumed" }, { answers[2].port, answers[2].answer })
    assert.is_true(#answers > 4)
    for i = 2, #answers do assert.equal("resumed", answers[i].answer) end
  end)

  it("takes new keys while it runs, and still resumes", function()
    local one, two = server(keys), server(keys)
    local client = fleet.client(3, one, two)
    for _ = 1, 5 do
      for _ = 1, 6 do client:answer() end
      fleet.rotate(keys)
    end
    local answers = client:finish()
    for i = 2, #answers do assert.equal("resumed", answers[i].answer) end
  end)

  it("does not resume at a server with other keys", function()
    local others = os.tmpname()
    fleet.rotate(others)
    local one, two = server(keys), server(others)
    local answers = fleet.client(0.3, one, two):finish()
    os.remove(others)
    assert.same({ "full", "full", "full" }, { answers[1].answer, answers[2].answer, answers[3].answer })
  end)

  it("answers every request when a server is killed", function()
    local one, two = server(keys), server(keys)
    local client = fleet.client(2, one, two)
    for _ = 1, 10 do client:answer() end
    two:kill()
    local answers = client:finish()
    assert.is_true(#answers > 20)
    for i = 12, #answers do assert.equal(one.port, answers[i].port) end
    for i = 2, #answers do
      assert.equal("resumed", answers[i].answer)
      assert.is_true(answers[i].ms < 2000, answers[i].ms)
    end
  end)
end)
