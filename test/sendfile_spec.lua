-- conn:sendfile: parts of files, resumed after timeouts, and everything that is no file to send.

local S = require "support"
local socket = require "socket"

local content = {}
for i = 1, 30000 do content[i] = ("line %08d of a file\n"):format(i) end
content = table.concat(content)

local path, file, c, s

local function put(text)
  local p = S.tmpfile(text)
  S.atend(finally, function() os.remove(p) end)
  return p
end

-- What arrives at s while f, which sends on c, is called until it has sent all.
local function arrives(n, f)
  local chunks, got, done = {}, 0, false
  S.poll(function()
    if not done then done = f() end
    local part, message, partial = s:receive(n - got)
    if not part and not S.wants(message) then error(message) end
    part = part or partial
    chunks[#chunks + 1] = part
    got = got + #part
    return done and got == n
  end, "the file")
  return table.concat(chunks)
end

-- Sends a part of the file in as many calls as it takes, and compares.
local function sends(what, offset, count, want)
  local sent, calls = 0, 0
  local got = arrives(#want, function()
    calls = calls + 1
    local n, message, partial, detail
    if count then
      n, message, partial, detail = c:sendfile(what, offset + sent, count - sent)
    else
      n, message, partial, detail = c:sendfile(what, offset + sent)
    end
    if not n then
      assert.equal("wantwrite", message)
      assert.equal("want", detail.kind)
    end
    sent = sent + (n or partial)
    return n
  end)
  assert.is_true(got == want)
  assert.equal(#want, sent)
  return calls
end

-- One call that must fail without sending anything, after which the connection goes on.
local function refused(text, kind, ...)
  local n, message, sent, detail = c:sendfile(...)
  assert.is_nil(n)
  assert.equal(text, message)
  assert.equal(0, sent)
  assert.equal(kind, detail.kind)
  assert.equal("data", S.transfer(c, s, "data"))
end

describe("conn:sendfile", function()
  before_each(function()
    path = S.tmpfile(content)
    file = assert(io.open(path, "rb"))
    c, s = S.connected()
  end)
  after_each(function()
    pcall(file.close, file)
    os.remove(path)
    c:close()
    s:close()
  end)

  it("sends a whole file, and parts", function()
    sends(file, 0, nil, content)
    sends(file, 0, #content, content)
    local parts = { { 0, 1 }, { 1, 1 }, { 16383, 3 }, { 16384, 16384 }, { 65535, 65538 }, { #content - 1, 1 } }
    for _, part in ipairs(parts) do
      sends(file, part[1], part[2], content:sub(part[1] + 1, part[1] + part[2]))
    end
    sends(file, #content - 5, nil, content:sub(-5))
  end)

  it("leaves the position of the file alone", function()
    assert.equal("line 00000001 of a file", file:read("*l"))
    sends(file, 100, 50, content:sub(101, 150))
    assert.equal("line 00000002 of a file", file:read("*l"))
    assert.equal(48, file:seek())
  end)

  it("sends nothing of nothing", function()
    assert.equal(0, c:sendfile(file, 0, 0))
    assert.equal(0, c:sendfile(file, #content))
    assert.equal(0, c:sendfile(file, #content, 0))
    local empty = assert(io.open(put ""))
    assert.equal(0, c:sendfile(empty))
    empty:close()
  end)

  it("sends what was just written to the handle", function()
    local p = put ""
    local f = assert(io.open(p, "w+"))
    f:write("fresh from the buffer")
    sends(f, 0, nil, "fresh from the buffer")
    f:close()
  end)

  it("takes the number of a descriptor", function()
    local p = assert(io.popen("ls -l /proc/" .. S.pid() .. "/fd"))
    local list = p:read("*a")
    p:close()
    local fd = assert(tonumber(list:match("(%d+) %-> " .. path:gsub("%p", "%%%0"))), list)
    sends(fd, 10, 100, content:sub(11, 110))
    sends(fd, 0, nil, content)
  end)

  it("is counted by getstats", function()
    local before = select(2, c:getstats())
    sends(file, 0, nil, content)
    assert.equal(#content, select(2, c:getstats()) - before)
  end)

  it("mixes with send", function()
    local big = assert(io.open(put(content:rep(20)), "rb"))
    local total, at = 20 * #content, 0
    -- Alternately by sendfile and by send, going on from wherever the other one stopped.
    local turn, waited = 0, 0
    assert(c:setoption("send-buffer-size", 32768))
    local got = arrives(total, function()
      turn = turn + 1
      local n, message, partial
      local count = math.min(100000, total - at)
      if turn % 2 == 0 then
        n, message, partial = c:sendfile(big, at, count)
      else
        big:seek("set", at)
        n, message, partial = c:send(big:read(count))
      end
      if not n then
        assert.equal("wantwrite", message)
        waited = waited + 1
      end
      at = at + (n or partial)
      return at == total
    end)
    big:close()
    assert.is_true(got == content:rep(20))
    assert.is_true(waited > 0)
  end)

  it("stops at the timeout, and goes on from there", function()
    local huge = put(content:rep(30))
    local f = assert(io.open(huge, "rb"))
    c:settimeout(0.1)
    local began = socket.gettime()
    local n, message, sent, detail = c:sendfile(f)
    local took = socket.gettime() - began
    assert.is_nil(n)
    assert.equal("wantwrite", message)
    assert.equal("want", detail.kind)
    assert.is_true(sent > 0 and sent < 30 * #content)
    assert.is_true(took >= 0.05 and took < 3, took)
    c:settimeout(0)
    local rest = 30 * #content
    local got = arrives(rest, function()
      local more, why, part = c:sendfile(f, sent)
      if not more then assert.equal("wantwrite", why) end
      sent = sent + (more or part)
      return more
    end)
    f:close()
    assert.is_true(got == content:rep(30))
  end)

  it("is bounded by a total timeout while the peer reads slowly", function()
    local f = assert(io.open(put(content:rep(30)), "rb"))
    c:settimeout(nil)
    c:settimeout(0.1, "t")
    local began = socket.gettime()
    assert.equal("wantwrite", select(2, c:sendfile(f)))
    assert.is_true(socket.gettime() - began < 3)
    f:close()
  end)

  it("refuses what is no part of the file", function()
    local few = "the file has fewer bytes than are to be sent"
    refused(few, "config", file, 0, #content + 1)
    refused(few, "config", file, 1, #content)
    refused(few, "config", file, 0, 2 ^ 53)
    refused(few, "config", file, #content, 1)
    refused("the offset is beyond the end of the file", "config", file, #content + 1)
    refused("the offset is beyond the end of the file", "config", file, 2 ^ 53, 0)
  end)

  it("refuses what is no regular file", function()
    local no = "sendfile sends regular files: read a pipe, a socket or a device and send what comes"
    local pipe = assert(io.popen("true"))
    refused(no, "config", pipe)
    pipe:close()
    local null = assert(io.open("/dev/zero"))
    refused(no, "config", null, 0, 10)
    null:close()
    local dir = io.open(S.certdir)
    if dir then
      refused("Is a directory", "system", dir)
      dir:close()
    end
    refused(no, "config", c:getfd())
    refused("Bad file descriptor", "system", 1000000)
  end)

  it("refuses closed handles and those that cannot be read", function()
    file:close()
    refused("the file is closed", "config", file)
    local f = assert(io.open(put "text", "w"))
    f:write("text")
    refused("Bad file descriptor", "system", f)
    f:close()
  end)

  it("tells what was written to the handle and does not fit on the disk", function()
    local full = io.open("/dev/full", "r+b")
    if not full then return pending("there is no /dev/full") end
    assert(full:write("x"))
    local n, message, sent, detail = c:sendfile(full)
    assert.is_nil(n)
    assert.equal("No space left on device", message)
    assert.equal(0, sent)
    assert.equal("system", detail.kind)
    full:close()
    c:send("y\n")
    assert.equal("y", (S.receive(s)))
  end)

  it("sends more than 4 GiB, of which 32 bits count a byte", function()
    local p = put("")
    if os.execute(("truncate -s %.0f %s"):format(2 ^ 32 + 1, p)) == nil then pending("no truncate here") end
    local f = assert(io.open(p, "rb"))
    local n, message, sent = c:sendfile(f)
    f:close()
    assert.is_nil(n)
    assert.equal("wantwrite", message)
    assert.is_true(sent > 1)
  end)

  it("tells a file that became shorter on the way", function()
    local p = put(content:rep(30))
    local f = assert(io.open(p, "rb"))
    local n, message, sent = c:sendfile(f)
    assert.is_nil(n)
    assert.equal("wantwrite", message)
    assert(io.open(p, "wb")):close()
    local asked = 30 * #content - sent
    n, message = c:sendfile(f, sent, asked)
    assert.is_nil(n)
    assert.equal("the offset is beyond the end of the file", message)
    f:close()
  end)

  -- A regular file of Linux that says it has a page, and has a few bytes.
  it("tells a file that ends before it should", function()
    local f = io.open("/sys/devices/system/cpu/online", "rb")
    if not f then pending("no such file here") end
    local text = f:read("*a")
    local n, message, sent, detail = c:sendfile(f, 0, 1000)
    assert.is_nil(n)
    assert.equal("the file ended early: it was cut short while it was sent", message)
    assert.equal(#text, sent)
    assert.equal("system", detail.kind)
    assert.equal(text, (S.receive(s, #text)))
    assert.equal("data", S.transfer(c, s, "data"))
    f:close()
  end)

  it("raises for other arguments", function()
    for _, bad in ipairs { "text", {}, true, print } do
      S.raises("file handle or descriptor expected", c.sendfile, c, bad)
    end
    S.raises("file handle or descriptor expected", c.sendfile, c)
    S.raises("file handle or descriptor expected", c.sendfile, c, s)
    S.raises("invalid file descriptor", c.sendfile, c, -1)
    S.raises("invalid file descriptor", c.sendfile, c, 2 ^ 40)
    for _, bad in ipairs { -1, 0.5, 2 ^ 60, 0 / 0, -math.huge, math.huge } do
      S.raises("number of bytes expected", c.sendfile, c, file, bad)
      if bad ~= -1 then S.raises("number of bytes expected", c.sendfile, c, file, 0, bad) end
    end
    S.raises("number expected", c.sendfile, c, file, "x")
    S.raises("number expected", c.sendfile, c, file, 0, {})
    S.raises("SSL:Connection expected", c.sendfile, {}, file)
  end)

  it("answers closed where there is no connection", function()
    local function closed(conn)
      local n, message, sent, detail = conn:sendfile(file)
      assert.is_nil(n)
      assert.equal("closed", message)
      assert.equal(0, sent)
      assert.is_table(detail)
    end
    local a, b = S.wrapped()
    closed(a)
    b:close()
    a:close()
    closed(a)
    a, b = S.wrapped(S.client { cafile = S.cert("rootB") })
    S.shake(a, b)
    closed(a)
    assert.is_true(c:shutdown("send"))
    closed(c)
    local n, message
    S.reset(c)
    S.poll(function()
      n, message = s:sendfile(file)
      return not n and not S.wants(message)
    end)
    assert.is_string(message)
    closed(s)
  end)

  it("takes no memory", function()
    local grown = S.growth(([[
      local f = assert(io.open(%q, "rb"))
      local c, s = S.connected()
      return function()
        local sent, got = 0, 0
        S.poll(function()
          if sent < %d then
            local all, message, part = c:sendfile(f, sent)
            assert(all or S.wants(message), message)
            sent = sent + (all or part)
          end
          local _, _, partial = s:receive(%d + 1)
          got = got + #partial
          return got == %d
        end)
        S.collect()
      end
    ]]):format(path, #content, #content, #content), 20, 60)
    assert.is_true(grown < 1500, grown)
  end)
end)

describe("kernel TLS", function()
  -- Listed only where the kernel's module is loaded.
  local function available()
    local f = io.open("/proc/sys/net/ipv4/tcp_available_ulp")
    local text = f and f:read("*a") or ""
    if f then f:close() end
    return text:find("%f[%w]tls%f[%W]")
  end

  it("is used by sendfile when it is there", function()
    if not available() then pending("this kernel has no TLS (modprobe tls, CONFIG_TLS)") end
    local options = { options = "enable_ktls", ciphers = "ECDHE+AESGCM", protocol = "tlsv1_2" }
    path = S.tmpfile(content)
    file = assert(io.open(path, "rb"))
    c, s = S.connected(S.client(options), S.server(options))
    if not c:info("ktls") then pending("OpenSSL was built without kernel TLS") end
    assert.matches("^[sb][eo]", c:info("ktls"))
    sends(file, 0, nil, content)
    sends(file, 1000, 5000, content:sub(1001, 6000))
    assert.equal("back", S.transfer(s, c, "back"))
    file:close()
    os.remove(path)
  end)

  it("asked for in vain changes nothing", function()
    local options = { options = "enable_ktls" }
    path = S.tmpfile(content)
    file = assert(io.open(path, "rb"))
    c, s = S.connected(S.client(options), S.server(options))
    local ktls = c:info("ktls")
    assert.is_true(ktls == nil or ktls == "send" or ktls == "both" or ktls == "receive")
    sends(file, 0, nil, content)
    file:close()
    os.remove(path)
  end)
end)
