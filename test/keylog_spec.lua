-- The setting keylog: to a file, to a function, to $SSLKEYLOGFILE; what it logs decrypts what went over the wire.

local S = require "support"
local capture = require "capture"
local context = require "ssl.context"
local socket = require "socket"
local ssl = S.ssl

local tshark = os.execute("command -v tshark >/dev/null 2>&1")
tshark = tshark == true or tshark == 0

-- The path of a file that does not exist.
local function fresh()
  local path = os.tmpname()
  os.remove(path)
  S.atend(finally, function() os.remove(path) end)
  return path
end

local function sorted(text)
  local lines = {}
  for line in text:gmatch("[^\n]+") do
    if not line:find("^#") then lines[#lines + 1] = line end
  end
  table.sort(lines)
  return lines
end

local LABELS = {
  tlsv1_2 = { "CLIENT_RANDOM" },
  tlsv1_3 = { "CLIENT_HANDSHAKE_TRAFFIC_SECRET", "CLIENT_TRAFFIC_SECRET_0", "EXPORTER_SECRET",
    "SERVER_HANDSHAKE_TRAFFIC_SECRET", "SERVER_TRAFFIC_SECRET_0" },
}

local function labels(lines)
  local list = {}
  for i, line in ipairs(lines) do list[i] = assert(line:match("^([%u%d_]+) %x+ %x+$"), line) end
  table.sort(list)
  return list
end

local function mode(path)
  local p = assert(io.popen("stat -c %a " .. path))
  local text = p:read("*l")
  p:close()
  return text
end

describe("keylog", function()
  for version, want in pairs(LABELS) do
    it("logs the same on both sides, to a file and to a function: " .. version, function()
      local path, lines = fresh(), {}
      local c, s = S.connected(S.client { protocol = version, keylog = path },
        S.server { keylog = function(...)
          assert.equal(1, select("#", ...))
          lines[#lines + 1] = (...)
        end })
      assert.equal("data", S.transfer(c, s, "data"))
      table.sort(lines)
      assert.same(want, labels(lines))
      assert.same(lines, sorted(S.read(path)))
      assert.equal("600", mode(path))
    end)

    it("decrypts a capture: " .. version, function()
      if not tshark then pending("tshark is not installed") end
      local path, file, pieces = fresh(), fresh(), {}
      local c, s, relay = S.relayed(S.client { protocol = version, keylog = path })
      function relay.move(_, from, to, way)
        local data, _, partial = from:receive(65536)
        data = data or partial
        if #data > 0 then
          pieces[#pieces + 1] = { way, data }
          assert(to:send(data))
        end
      end
      local cr, sr
      S.poll(function()
        relay:pump()
        cr, sr = cr or c:dohandshake(), sr or s:dohandshake()
        return cr and sr
      end)
      local function pump() relay:pump() end
      assert(c:send("a very secret question\n"))
      assert.equal("a very secret question", (S.receive(s, "*l", nil, pump)))
      assert(s:send("a very secret answer\n"))
      assert.equal("a very secret answer", (S.receive(c, "*l", nil, pump)))
      local f = assert(io.open(file, "wb"))
      f:write(capture.pcap(pieces))
      f:close()
      local function follow(options)
        local command = "HOME=/nonexistent tshark -r %s %s -q -z follow,tls,ascii,0 2>&1"
        local p = assert(io.popen(command:format(file, options)))
        local text = p:read("*a")
        p:close()
        return text
      end
      local text = follow("-o tls.keylog_file:" .. path)
      assert.matches("a very secret question", text, 1, true)
      assert.matches("a very secret answer", text, 1, true)
      assert.is_nil(follow(""):find("secret", 1, true))
    end)

    it("agrees with openssl s_client -keylogfile: " .. version, function()
      local listener = assert(socket.bind("127.0.0.1", 0))
      listener:settimeout(20)
      local ours, theirs = fresh(), fresh()
      local command = "timeout 30 openssl s_client -connect 127.0.0.1:%d -keylogfile %s </dev/null 2>&1"
      local p = assert(io.popen(command:format(select(2, listener:getsockname()), theirs)))
      local conn = assert(ssl.wrap(assert(listener:accept()), S.server { protocol = version, keylog = ours }))
      listener:close()
      conn:settimeout(20)
      assert(conn:dohandshake())
      conn:receive("*a")
      conn:close()
      p:read("*a")
      p:close()
      assert.same(sorted(S.read(theirs)), sorted(S.read(ours)))
      assert.is_true(#sorted(S.read(ours)) > 0)
    end)
  end

  it("is taken from the environment only when it is true", function()
    local chunk = [[
      local S = require "support"
      local ok, message, detail = S.ssl.newcontext(S.client { keylog = %s })
      print(ok and true or message, detail and detail.kind)
      if ok then print((S.try(ok))[1]) end
    ]]
    local unset = "keylog = true needs a path in the environment variable SSLKEYLOGFILE\tconfig"
    local path = fresh()
    assert.equal(unset, S.fresh(chunk:format("true")))
    assert.equal(unset, S.fresh(chunk:format("true"), "SSLKEYLOGFILE="))
    assert.equal("true\tnil\ntrue", S.fresh(chunk:format("nil"), "SSLKEYLOGFILE=" .. path))
    assert.equal("true\tnil\ntrue", S.fresh(chunk:format("false"), "SSLKEYLOGFILE=" .. path))
    assert.is_nil(io.open(path))
    assert.equal("true\tnil\ntrue", S.fresh(chunk:format("true"), "SSLKEYLOGFILE=" .. path))
    assert.is_true(#sorted(S.read(path)) > 0)
  end)

  it("appends, and contexts share a file", function()
    local path = fresh()
    local f = assert(io.open(path, "wb"))
    f:write("# mine\n")
    f:close()
    local cr = S.try(S.client { protocol = "tlsv1_2", keylog = path }, S.server { keylog = path })
    assert.is_true(cr[1])
    local text = S.read(path)
    assert.equal("# mine\n", text:sub(1, 7))
    local lines = sorted(text)
    assert.equal(2, #lines)
    assert.equal(lines[1], lines[2])
  end)

  it("takes whole lines from several processes", function()
    local path = fresh()
    local ends = {}
    for i = 1, 4 do
      ends[i] = S.beside([[
        local S = require "support"
        for _ = 1, 25 do assert(S.try(S.client { keylog = arg[1], protocol = "tlsv1_3" })[1]) end
        print "done"
      ]], path)
    end
    for _, finish in ipairs(ends) do assert.equal("done\n", finish()) end
    local lines = sorted(S.read(path))
    assert.equal(4 * 25 * 5, #lines)
    labels(lines)
  end)

  it("logs for the contexts that SNI selects", function()
    local base, other = {}, {}
    local function into(t) return function(line) t[#t + 1] = line end end
    local silent = assert(ssl.newcontext(S.server()))
    local own = assert(ssl.newcontext(S.server { keylog = into(other) }))
    local ctx = assert(ssl.newcontext(S.server { keylog = into(base) }))
    local function try(name)
      local c, s = S.wrapped(S.client { protocol = "tlsv1_3" }, ctx)
      c:sni(name)
      s:sni { silent = silent, own = own }
      assert.is_true(S.shake(c, s)[1])
    end
    try "silent"
    assert.same(LABELS.tlsv1_3, labels(base))
    assert.same({}, other)
    try "own"
    assert.same(LABELS.tlsv1_3, labels(other))
    assert.equal(5, #base)
    -- The silent one stays silent where it is used by itself.
    assert.is_true(S.try(S.client { protocol = "tlsv1_3" }, silent)[1])
    assert.equal(5, #base)
  end)

  it("goes on after the context was closed", function()
    local path = fresh()
    local ctx = assert(ssl.newcontext(S.client { keylog = path, protocol = "tlsv1_2" }))
    local c, s = S.wrapped(ctx)
    S.finalize(ctx)
    assert.is_true(S.shake(c, s)[1])
    assert.equal(1, #sorted(S.read(path)))
  end)

  it("closes its file with the context", function()
    local path = fresh()
    S.collect()
    local before = S.descriptors()
    for _ = 1, 20 do assert(ssl.newcontext(S.client { keylog = path })) end
    S.collect()
    assert.equal(before, S.descriptors())
  end)
end)

describe("keylog refuses", function()
  local function refused(text, value)
    local ctx, message, detail = ssl.newcontext(S.client { keylog = value })
    assert.is_nil(ctx)
    assert.equal(text, message)
    return detail
  end

  it("what cannot be opened, naming it", function()
    local detail = refused("error opening key log '/nowhere/keys' (No such file or directory)", "/nowhere/keys")
    assert.equal("system", detail.kind)
    assert.equal("/nowhere/keys", detail.file)
    refused(("error opening key log '%s' (Is a directory)"):format(S.certdir), S.certdir)
    refused("error opening key log '' (No such file or directory)", "")
    refused("error opening key log (the path contains a NUL byte)", "a\0b")
    local long = ("x"):rep(100000)
    refused(("error opening key log '%s' (File name too long)"):format(long), long)
  end)

  it("a pipe that nobody reads, without waiting", function()
    local path = fresh()
    os.execute("mkfifo " .. path)
    refused(("error opening key log '%s' (No such device or address)"):format(path), path)
  end)

  it("other types", function()
    refused("invalid keylog (string, function or boolean expected, got number)", 5)
    refused("invalid keylog (string, function or boolean expected, got table)", {})
    S.raises("string expected", context.setkeylog, assert(context.create "any"), {})
  end)
end)

describe("a key log that cannot be written", function()
  it("ends the handshake and says why", function()
    for _, version in ipairs { "tlsv1_2", "tlsv1_3" } do
      local c, s = S.wrapped(S.client { protocol = version, keylog = "/dev/full" })
      local cr = S.shake(c, s)
      assert.is_false(cr[1])
      assert.equal("keylog callback failed: error writing to '/dev/full' (No space left on device)", cr[2])
      assert.equal("callback", cr[3].kind)
      assert.equal("closed", select(2, c:receive()))
    end
  end)

  -- A limit for the size of files lets a line be written in part; the signal of the next one is ignored.
  it("ends the handshake when only a part of a line fits", function()
    local path = os.tmpname()
    finally(function() os.remove(path) end)
    local out = S.fresh(([[
      local S = require "support"
      local f = assert(io.open(%q, "wb"))
      f:write(("#"):rep(1000) .. "\n")
      f:close()
      local c, s = S.wrapped(S.client { keylog = %q })
      local ok, message, detail = S.unpack((S.shake(c, s)))
      print(ok, message, detail.kind)
    ]]):format(path, path), "ulimit -f 2; trap '' XFSZ; GCOV_PREFIX=/dev/null") -- gcov's files would not fit
    local want = "false\tkeylog callback failed: error writing to '" .. path
      .. "' (only a part of a line could be written)\tcallback"
    assert.equal(want, out:sub(1, #want))
  end)

  it("is asked once", function()
    local n = 0
    local c, s = S.wrapped(S.client(), S.server { keylog = function()
      n = n + 1
      error "no"
    end })
    assert.is_false(select(2, S.shake(c, s))[1])
    assert.equal(1, n)
  end)
end)
