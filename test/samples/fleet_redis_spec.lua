-- samples/fleet-redis: servers whose sessions are in a real Redis, which dies, hangs and comes back.

local fleet = require "fleet"

local function server(redis) return fleet.server("samples/fleet-redis/server.lua", fleet.certs, redis.port) end

-- How many of the answers from the i-th on are this one.
local function count(answers, wanted, i)
  local n = 0
  for j = i or 1, #answers do n = n + (answers[j].answer == wanted and 1 or 0) end
  return n
end

-- None waited for longer than Redis is given, with room for a busy machine.
local function prompt(answers)
  for _, answer in ipairs(answers) do assert.is_true(answer.ms < 2500, answer.ms .. " ms") end
end

describe("a fleet with its sessions in Redis", function()
  after_each(fleet.killall)

  it("resumes at a server that never saw the client", function()
    local redis = fleet.redis()
    local one, two = server(redis), server(redis)
    local answers = fleet.client(0.5, one, two):finish()
    assert.same({ one.port, "full" }, { answers[1].port, answers[1].answer })
    assert.same({ two.port, "resumed" }, { answers[2].port, answers[2].answer })
    assert.equal(#answers - 1, count(answers, "resumed"))
  end)

  it("answers every request when Redis is killed, and resumes when it is back", function()
    local redis = fleet.redis()
    local one, two = server(redis), server(redis)
    local client = fleet.client(6, one, two)
    for _ = 1, 10 do client:answer() end
    redis:kill()
    local full = client:untilanswer("full")
    redis = fleet.redis(redis.port)
    assert.is_true(full > 0)
    client:untilanswer("resumed")
    local answers = client:finish()
    prompt(answers)
    assert.equal(10, count(answers, "resumed", #answers - 9)) -- by now each server has asked it again
    one:kill()
    assert.matches("without Redis: ", (one:wait()))
    redis:kill()
  end)

  it("answers every request when Redis hangs", function()
    local redis = fleet.redis()
    local one, two = server(redis), server(redis)
    local client = fleet.client(4, one, two)
    for _ = 1, 10 do client:answer() end
    redis:signal("STOP")
    client:untilanswer("full")
    for _ = 1, 5 do client:answer() end
    redis:signal("CONT")
    client:untilanswer("resumed")
    prompt(client:finish())
  end)

  it("answers every request when a server is killed", function()
    local redis = fleet.redis()
    local one, two = server(redis), server(redis)
    local client = fleet.client(2, one, two)
    for _ = 1, 10 do client:answer() end
    one:kill()
    local answers = client:finish()
    prompt(answers)
    assert.is_true(#answers > 20)
    for i = 12, #answers do assert.equal(two.port, answers[i].port) end
  end)

  it("starts without Redis", function()
    local one = server { port = 1 }
    local answers = fleet.client(0.3, one):finish()
    assert.equal(#answers, count(answers, "full"))
    assert.is_true(#answers > 2)
  end)
end)
