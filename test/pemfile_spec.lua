-- Files of certificates and lists that the system cannot read to their end. The fault driver (test/faults) fails each
-- read of such files in turn; here it is the first, by a file of Linux's that opens and cannot be read.

local S = require "support"
local context = require "ssl.context"

local UNREADABLE = "/proc/self/mem"

local function unreadable()
  local f = io.open(UNREADABLE, "rb")
  local text, _, code
  if f then
    text, _, code = f:read(1)
    f:close()
  end
  return f and not text and code == 5
end

local function any() return assert(context.create "any") end

local function write(...)
  local parts = {}
  for i, name in ipairs { ... } do parts[i] = S.pem(name) end
  local path = os.tmpname()
  local f = assert(io.open(path, "wb"))
  f:write(table.concat(parts))
  f:close()
  return path
end

describe("a file that cannot be read", function()
  local calls = {
    { "CA locations", function() return context.locations(any(), UNREADABLE) end },
    { "CA locations", function() return context.locations(any(), UNREADABLE, S.cert "capath") end },
    { "revocation list", function() return context.crls(any(), UNREADABLE) end },
    { "certificate", function() return context.loadcert(any(), UNREADABLE) end },
  }
  for i, t in ipairs(calls) do
    it(("is an error of the system, no end: %s (%d)"):format(t[1], i), function()
      if not unreadable() then return pending("no file here that opens and cannot be read") end
      local ok, message, detail = t[2]()
      assert.is_false(ok)
      assert.equal(("error loading %s (Input/output error)"):format(t[1]), message)
      assert.equal("system", detail.kind)
      assert.equal(UNREADABLE, detail.file)
    end)
  end
end)

describe("a file of authorities", function()
  local function verifies(path)
    local E = require "engines"
    local c = assert(S.ssl.engine(S.client { cafile = path, servername = "localhost" }))
    return pcall(E.shake, c, assert(S.ssl.engine(S.server())))
  end

  it("is read to its end", function()
    local path = write("rootB", "rootA")
    finally(function() os.remove(path) end)
    assert.is_true((verifies(path)))
  end)

  it("may have other things in it, which ask for no password", function()
    local path = write("rsakey-encrypted", "rootB", "crlA", "serverAkey", "rootA")
    finally(function() os.remove(path) end)
    assert.is_true((verifies(path)))
  end)

  it("has at least one", function()
    local path = write("serverAkey")
    finally(function() os.remove(path) end)
    local ok, message = context.locations(any(), path)
    assert.is_false(ok)
    assert.equal("error loading CA locations (no certificate or crl found)", message)
  end)
end)
