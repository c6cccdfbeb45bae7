-- Channel bindings are those of GnuTLS, for both roles: test/peer/gnutls_binding.c is compiled where its headers are.

local S = require "support"
local socket = require "socket"
local process = require "process"

local types = { "tls-exporter", "tls-unique", "tls-server-end-point" }

local function hex(s) return (s:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) end

local function lines(p)
  local all = {}
  for line in p:lines() do all[#all + 1] = line end
  p:close()
  return all
end

-- What our side says; nil where it refuses.
local function ours(sock, cfg)
  local conn = assert(S.ssl.wrap(sock, cfg))
  conn:settimeout(10)
  assert(conn:dohandshake())
  local values = {}
  for i, kind in ipairs(types) do
    local value = conn:getchannelbinding(kind)
    values[i] = value and hex(value)
  end
  conn:close()
  return values
end

describe("channel bindings", function()
  local program

  setup(function() program = process.compile("test/peer/gnutls_binding.c", "gnutls") end)
  teardown(function() os.remove(program or "") end)

  -- A server of ours, a client of GnuTLS's.
  local function serving(priority, cfg)
    local listener = assert(socket.bind("127.0.0.1", 0))
    listener:settimeout(10)
    local command = ("%s client %s %d"):format(program, priority, select(2, listener:getsockname()))
    local child = assert(io.popen("LD_PRELOAD= " .. command))
    local sock = assert(listener:accept())
    listener:close()
    return ours(sock, S.server(cfg)), lines(child)
  end

  local function calling(priority, cfg)
    local certificate = cfg.certificate or S.cert("serverA")
    local command = ("%s server %s %s %s"):format(program, priority, certificate, cfg.key or S.cert("serverAkey"))
    local child = assert(io.popen("LD_PRELOAD= " .. command))
    local sock = assert(socket.connect("127.0.0.1", tonumber(child:read("*l"))))
    return ours(sock, S.client()), lines(child)
  end

  for role, run in pairs { server = serving, client = calling } do
    it("are GnuTLS's in TLS 1.3, as " .. role, function()
      if not program then return pending("GnuTLS's headers are not installed") end
      local mine, theirs = run("NORMAL:-VERS-ALL:+VERS-TLS1.3", {})
      assert.equal(theirs[1], mine[1])
      assert.is_nil(mine[2])
      assert.equal(theirs[3], mine[3])
    end)

    it("are GnuTLS's in TLS 1.2, as " .. role, function()
      if not program then return pending("GnuTLS's headers are not installed") end
      local mine, theirs = run("NORMAL:-VERS-ALL:+VERS-TLS1.2", {})
      assert.same(theirs, mine)
    end)

    for _, name in ipairs { "rsa", "ec384", "ed25519" } do
      it(("of the certificate %s are GnuTLS's, as %s"):format(name, role), function()
        if not program then return pending("GnuTLS's headers are not installed") end
        local mine, theirs = run("NORMAL", { certificate = S.cert(name), key = S.cert(name .. "key") })
        assert.equal(theirs[3], mine[3])
      end)
    end
  end
end)
