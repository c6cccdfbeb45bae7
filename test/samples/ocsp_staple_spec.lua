-- samples/ocsp-staple: a server that keeps its staple fresh, asking `openssl ocsp` or a responder that says anything,
-- and a client that insists on it.

local S = require "support"
local kit = require "ocspkit"
local process = require "process"

local running = {}

local function start(f, ...)
  local program = f(...)
  running[#running + 1] = program
  return program
end

local function server(responder, seconds)
  local program = start(process.lua, "samples/ocsp-staple/server.lua", S.cert("serverA"), S.cert("serverAkey"),
    S.cert("rootA"), responder, seconds or 60)
  return program, program:expect("^port (%d+)$")
end

local function client(port, cafile)
  local program = process.lua("samples/ocsp-staple/client.lua", "localhost", port, cafile or S.cert("rootA"))
  local output, status = program:wait()
  return status == 0, output
end

-- A list of what rootA issued: serverA as it is, revoked, or not there.
local function index(how)
  local lines = {}
  local serial = kit.certificate "serverA":serial()
  for text in io.lines(S.cert("rootA.index")) do
    local line = text
    if line:match("^V\t%w+\t\t" .. serial .. "\t") then
      if how == "revoked" then line = line:gsub("^V(\t%w+\t)", "R%1" .. os.date("!%y%m%d%H%M%SZ") .. ",superseded") end
      if how == "unknown" then line = nil end
    end
    lines[#lines + 1] = line
  end
  return table.concat(lines, "\n") .. "\n"
end

-- Under another name first: the responder never sees half a list.
local function put(path, text)
  assert(os.rename(S.tmpfile(text), path))
end

-- openssl's responder with a list of ours; its address.
local function responder(list, port)
  local program = start(process.start, { "openssl", "ocsp", "-port", port or "0", "-index", list,
    "-CA", S.cert("rootA"), "-rsigner", S.cert("ocspA"), "-rkey", S.cert("ocspAkey"), "-ndays", "1" })
  port = program:expect("^ACCEPT .*:(%d+) ")
  return program, "http://127.0.0.1:" .. port .. "/", port
end

local function scripted(bytes, ...)
  local file = S.tmpfile(bytes)
  local program = start(process.lua, "test/peer/ocsp_responder.lua", file, ...)
  return "http://127.0.0.1:" .. program:expect("^port (%d+)$") .. "/", file
end

describe("samples/ocsp-staple", function()
  local list

  before_each(function()
    list = os.tmpname()
    put(list .. ".attr", "unique_subject = no\n")
  end)

  after_each(function()
    for i = #running, 1, -1 do table.remove(running, i):kill() end
    os.remove(list)
    os.remove(list .. ".attr")
  end)

  it("staples a good response, which the client demands", function()
    put(list, index("good"))
    local _, address = responder(list)
    local stapler, port = server(address)
    stapler:expect("^stapling: good$")
    local ok, output = client(port)
    assert.is_true(ok, output)
    assert.matches("status: good", output)
    assert.matches("until: %d%d%d%d%-%d%d%-%d%d", output)
    assert.matches("the server says: hello", output)
    ok, output = client(port, S.cert("rootB"))
    assert.is_false(ok)
    assert.matches("refused: certificate verify failed", output)
  end)

  for how, reason in pairs { revoked = "certificate revoked", unknown = "OCSP unknown cert" } do
    it("is refused with a certificate that is " .. how, function()
      put(list, index(how))
      local _, address = responder(list)
      local stapler, port = server(address)
      stapler:expect("^stapling: " .. how .. "$")
      local ok, output = client(port)
      assert.is_false(ok)
      assert.matches("reason: " .. reason, output)
    end)
  end

  it("fetches again, through an outage of the responder, and learns of a revocation", function()
    put(list, index("good"))
    local asked, address, responderport = responder(list)
    local stapler, port = server(address, 0.2)
    stapler:expect("^stapling: good$")
    asked:kill()
    stapler:expect("^no new response: the responder answers connection refused$")
    local ok, output = client(port)
    assert.is_true(ok, output)
    put(list, index("revoked"))
    responder(list, responderport)
    stapler:expect("^stapling: revoked$")
    ok, output = client(port)
    assert.is_false(ok)
    assert.matches("refused: the certificate is revoked", output)
  end)

  -- What a responder answers -> what the server says.
  local bad = {
    ["the OCSP response is out of date"] = kit.craft { cert = "serverA", thisupdate = -86400, nextupdate = -3600 },
    ["the OCSP response is about another certificate"] = kit.craft { cert = "clientA" },
    ["the OCSP response is not signed by the certificate's issuer or a responder that it delegated"] =
      kit.craft { cert = "serverA", signer = "serverA", certs = { "serverA" } },
    ["the OCSP responder gave an error instead of an answer"] = kit.envelope(3),
    ["the OCSP response cannot be read"] = "garbage",
  }
  for message, response in pairs(bad) do
    it("does not staple it when " .. message, function()
      local address, file = scripted(response)
      local stapler, port = server(address, 0.2)
      stapler:expect("^no new response: " .. message:gsub("%p", "%%%0") .. "$")
      local ok, output = client(port)
      assert.is_false(ok)
      assert.matches("refused: the server sent no OCSP response", output)
      -- It asks again, and staples once there is something to staple.
      put(file, kit.craft { cert = "serverA" })
      stapler:expect("^stapling: good$")
      ok, output = client(port)
      assert.is_true(ok, output)
      os.remove(file)
    end)
  end

  it("serves while the responder is down, or no responder", function()
    local address, file = scripted("", "503")
    local nobody = "http://127.0.0.1:" .. kit.freeport() .. "/"
    for answer, url in pairs { ["503"] = address, ["connection refused"] = nobody } do
      local stapler, port = server(url)
      stapler:expect("^no new response: the responder answers " .. answer .. "$")
      local ok, output = client(port)
      assert.is_false(ok)
      assert.matches("refused: the server sent no OCSP response", output)
    end
    os.remove(file)
  end)
end)
