-- Bugs of others around waiting, ends of streams, failed connections and descriptors.

local socket = require "socket"
local S = require "support"
local kit = require "history.kit"
local ssl, check, pack = S.ssl, kit.check, S.pack

local rows = {}

local function closed(...)
  for i = 1, select("#", ...) do (select(i, ...)):close() end
end

-- What each method may answer on a connection that is not connected: how many arguments, and the first value or values.
local METHODS = {
  { "receive", { "*l" }, nil }, { "receive", { 10, "prefix" }, nil }, { "receive", { "*a" }, nil },
  { "send", { "text" }, nil }, { "dohandshake", {}, false }, { "getpeercertificate", {}, nil }, { "getpeerchain", {} },
  { "getpeerverification", {}, false }, { "getpeerfinished", {}, nil }, { "getfinished", {}, nil }, { "info", {} },
  { "exportkeyingmaterial", { "EXPERIMENTAL", 8 }, nil }, { "getalpn", {}, nil }, { "getsniname", {} },
  { "dirty", {}, false }, { "want", {} }, { "getfd", {} }, { "settimeout", { 0 } }, { "getstats", {} },
  { "setstats", {} }, { "sni", { "a.test" } }, { "close", {} }, { "getfd", {} }, { "dohandshake", {}, false },
  { "receive", { 5 }, nil }, { "send", { "x" }, nil }, { "close", {} },
}

local function every(conn, state)
  for _, row in ipairs(METHODS) do
    local name, arguments, first = row[1], row[2], row[3]
    if conn[name] then
      local ok, r = pcall(function() return pack(conn[name](conn, S.unpack(arguments))) end)
      check(ok or not tostring(r):find("attempt to"), "%s: %s raises %s", state, name, tostring(r))
      check(not ok or #row < 3 or r[1] == first, "%s: %s answers %s", state, name, tostring(ok and r[1]))
      if name == "receive" or name == "send" then
        check(ok and type(r[2]) == "string", "%s: %s has no message", state, name)
        local partial = name == "send" and 0 or arguments[2] or ""
        check(r[3] == partial, "%s: %s has %s as its third value", state, name, tostring(r[3]))
      end
    end
  end
  check(tostring(conn):find("SSL"), "%s: tostring", state)
end

rows[3] = {
  subject = "every method after a failed handshake answers what it should",
  where = "luasec#73",
  run = function()
    local c, s = S.wrapped(S.client { cafile = S.cert("rootB") })
    check(not S.shake(c, s)[1], "the handshake succeeds")
    every(c, "client")
    every(s, "server")
    c, s = S.wrapped()
    S.raw(s, function(sock) sock:send("this is no TLS at all, and long enough for a record\n") end)
    S.poll(function() return select(2, c:dohandshake()) ~= "wantread" end)
    every(c, "garbage")
    s:close()
  end,
}

-- In a process with system.c before libc: every n-th call on the client's socket fails with errno 0.
local function failing(system)
  for n = 1, 400 do
    local c, s = S.wrapped()
    system.failat(c:getfd(), n)
    local ended, got = false, ""
    for _ = 1, 300 do
      local ok, message = c:dohandshake()
      if not ok and not S.wants(message) then
        kit.sentence(message, "call " .. n)
        ended = true
        break
      end
      if s:dohandshake() and ok then break end
    end
    for i = 1, ended and 0 or 40 do
      if i == 20 then s:close() end
      s:send("data\n")
      local _, message = c:send("data\n")
      if message and not S.wants(message) then kit.sentence(message, "send, call " .. n) end
      local data, what, partial = c:receive("*l")
      got = got .. (data and data .. "\n" or partial)
      if what and not S.wants(what) then
        kit.sentence(what, "receive, call " .. n)
        ended = true
        break
      end
    end
    check(ended, "call %d fails and the connection goes on for ever", n)
    check(got == ("data\n"):rep(#got / 5), "call %d: received %q", n, got)
    local calls = system.calls()
    closed(c, s)
    if calls < n then return check(n > 5, "only %d calls were made", calls) end
  end
  error("there is no end of calls", 0)
end

rows[5] = {
  subject = "a call of the system that fails without errno is an error, and nothing spins",
  where = "luasec#172",
  run = function(path)
    if path then return failing(kit.system(path)) end
    local library = kit.compile("system.c", "-shared -fPIC -ldl")
    local text = kit.output(("LD_PRELOAD=%s timeout -k 1 20 %s test/history/child.lua streams 5 %s; echo status $?")
      :format(library, S.interpreter(), library))
    os.remove(library)
    if os.getenv("ASAN_OPTIONS") then kit.skip("nothing can be preloaded beside the sanitizers") end
    check(not text:find("status 124"), "it did not end: it calls again for ever")
    check(text == "ok\nstatus 0\n", "%s", text)
  end,
}

-- All that a receive on a stream that ended so answers, as one string.
local function ending(how)
  local c, s = S.connected(S.client { protocol = "tlsv1_2" })
  check(s:send("tail") == 4, "send")
  if how == "close" then
    s:close()
  elseif how == "reset" then
    S.receive(c, 4)
    S.reset(s)
  else
    S.raw(s, function(sock) sock:shutdown("both") end)
  end
  local r
  S.poll(function()
    r = pack(c:receive("*l", r and r[3]))
    return not S.wants(r[2])
  end)
  local again = pack(c:receive("*l"))
  check(again[1] == nil and again[2] == "closed", "%s: the next receive answers %s", how, tostring(again[2]))
  closed(c, s)
  local detail = type(r[4]) == "table" and r[4] or {}
  return ("%s %s %s"):format(tostring(r[2]), tostring(detail.kind), tostring(detail.reason)), r[3]
end

rows[7] = {
  subject = "the end, truncation and reset of a stream are told apart",
  where = "pyopenssl#229",
  run = function()
    local seen = {}
    for _, how in ipairs { "close", "cut", "reset" } do
      local answer, partial = ending(how)
      check(how == "reset" or partial == "tail", "%s: the last bytes are %q", how, tostring(partial))
      check(not seen[answer], "%s is answered like %s: %s", how, tostring(seen[answer]), answer)
      seen[answer] = how
    end
  end,
}

rows[8] = {
  subject = "wantread and wantwrite name the side that is waited for",
  where = "luasec#40, luasec#28",
  run = function()
    local c, s = S.wrapped()
    local ok, message = c:dohandshake()
    check(ok == false and message == "wantread", "dohandshake answers %s, %s", tostring(ok), tostring(message))
    for _ = 1, 20 do -- the socket is writable all the time; that helps nothing
      check(#select(2, socket.select(nil, { c }, 0)) == 1, "not writable")
      check(select(2, c:dohandshake()) == "wantread", "progress without anything to read")
    end
    S.shake(c, s)
    local data, what, partial = c:receive(5, "a")
    check(data == nil and what == "wantread" and partial == "a", "receive answers %s, %s", tostring(data),
      tostring(what))
    local big, last = ("x"):rep(2 ^ 23), 0
    S.poll(function()
      data, what, last = c:send(big, last + 1)
      return data == nil and what == "wantwrite" and #select(2, socket.select(nil, { c }, 0)) == 0
    end, "a full socket")
    for _ = 1, 20 do
      local _, again, index = c:send(big, last + 1)
      check(again == "wantwrite" and index == last, "progress on a full socket: %s, %s", tostring(again),
        tostring(index))
    end
    s:send("from the other side") -- something to read is no room to write
    local _, again = c:send(big, last + 1)
    check(again == "wantwrite", "after data came: %s", tostring(again))
    closed(c, s)
  end,
}

rows[9] = {
  subject = "reading that must write and writing that must read, through one-byte pipes",
  where = "luasec#155",
  run = function()
    local c, s, pipe = S.relayed()
    if not c.keyupdate then kit.skip("has no way to change keys") end
    local cdone, sdone
    S.poll(function()
      pipe:pump()
      cdone = cdone or c:dohandshake()
      sdone = sdone or s:dohandshake()
      return cdone and sdone
    end)
    pipe.chunk = 1
    local text = ("0123456789abcdef"):rep(64)
    local function speaker(conn)
      local sent, got, asked = 0, "", false
      return function()
        if sent >= #text / 2 and not asked then
          local ok, message = conn:keyupdate()
          asked = ok
          if not ok then check(S.wants(message), "keyupdate: %s", tostring(message)) end
        elseif sent < #text then
          local n, message, last = conn:send(text, sent + 1, math.min(#text, sent + 100))
          if not n then check(S.wants(message), "send: %s", tostring(message)) end
          sent = n or last
        end
        if #got < #text then
          local data, message, partial = conn:receive(#text - #got)
          if not data then check(S.wants(message), "receive: %s", tostring(message)) end
          got = got .. (data or partial)
        end
        return got == text and sent == #text and asked
      end
    end
    local one, two = coroutine.wrap(function()
      local step = speaker(c)
      while not step() do coroutine.yield() end
      while true do coroutine.yield(true) end
    end), speaker(s)
    S.poll(function()
      for _ = 1, 20 do pipe:pump() end
      local a, b = one(), two()
      return a and b
    end, "both sides")
    closed(c, s, pipe)
  end,
}

rows[10] = {
  subject = "after a handshake that timed out nothing moves as plain text",
  where = "copas#189, copas#198, luasec#141",
  run = function()
    for _, cfg in ipairs { S.anyclient(), S.server() } do
      local sock, peer = S.tcp()
      local conn = assert(ssl.wrap(sock, cfg))
      conn:settimeout(0.05)
      local ok, message = conn:dohandshake()
      check(ok == false and S.wants(message), "the handshake answers %s", tostring(message))
      local n, what = conn:send("secret plain text")
      check(n == nil and type(what) == "string", "send answers %s", tostring(n))
      peer:settimeout(0.05)
      peer:send("plain answer\n")
      local data, _, partial = conn:receive("*l")
      check(data == nil and (partial or "") == "", "received %q", tostring(data or partial))
      conn:close()
      local _, _, all = peer:receive("*a")
      check(not (all or ""):find("secret", 1, true), "plain text went out")
      peer:close()
    end
  end,
}

rows[11] = {
  subject = "a connection goes on after each of a hundred time-outs",
  where = "copas#208, copas#209",
  run = function()
    local c, s = S.connected()
    for i = 1, 100 do
      c:settimeout(0.001)
      local data, message, partial = c:receive("*l", "a")
      check(data == nil and message == "wantread" and partial == "a", "time-out %d: %s", i, tostring(message))
      c:settimeout(10)
      local line = ("line %d"):format(i)
      s:send(line .. "\n")
      check(c:receive("*l", "") == line, "line %d", i)
      c:send(line .. "\n")
      check(S.receive(s) == line, "line %d back", i)
    end
    closed(c, s)
  end,
}

rows[12] = {
  subject = "a flooding peer does not starve another, and select is told of what is held back",
  where = "copas#139, copas#142, luaevent#6",
  run = function()
    local listener, port = kit.listen()
    local path = S.tmpfile([[
      local S = require "support"
      local c = assert(S.ssl.wrap(assert(require "socket".connect("127.0.0.1", arg[1])), S.client()))
      c:settimeout(20)
      assert(c:dohandshake())
      local block = ("flood\n"):rep(50000)
      repeat until not c:send(block)]])
    local flooder = io.popen(kit.command(path, port) .. " 2>&1")
    local flood = kit.accept(listener, assert(ssl.newcontext(S.server())))
    flood:settimeout(0)
    local c, s = S.connected()
    local worst, lines, held = 0, 0, 0
    local asked, answered = nil, 0
    local deadline = socket.gettime() + 20
    while (answered < 50 or lines < 100) and socket.gettime() < deadline do
      if not asked then
        asked = socket.gettime()
        c:send("ping\n")
      end
      for _, conn in ipairs((socket.select({ flood, s }, nil, 5))) do
        local data, _, partial = conn:receive("*l")
        if conn == s then
          if data then s:send("pong\n") end
        elseif data or #partial > 0 then
          lines = lines + 1
          held = held + (flood:dirty() and 1 or 0)
        end
      end
      if c:receive("*l") then
        worst = math.max(worst, socket.gettime() - asked)
        asked, answered = nil, answered + 1
      end
    end
    closed(flood, c, s, listener)
    flooder:close()
    os.remove(path)
    check(answered >= 50 and worst < 3, "%d answers, the slowest after %.3f s", answered, worst)
    check(lines >= 100 and held > 0, "%d lines, dirty after %d of them", lines, held)
  end,
}

rows[33] = {
  subject = "descriptors far above 1,024 shake hands, wait and carry data",
  where = "luasocket#186, hindsight#129",
  run = function(inside)
    if not inside then
      local command = kit.command("test/history/child.lua", "streams", 33, "inside")
      local text = kit.output("ulimit -n 6000 2>/dev/null; " .. command)
      if text:find("too few descriptors") then kit.skip("ulimit -n cannot be raised here") end
      return check(text == "ok\n", "%s", text)
    end
    local held = {}
    for _ = 1, 5000 do held[#held + 1] = check(io.open("/dev/null"), "too few descriptors") end
    local listener, port = kit.listen()
    local path = S.tmpfile([[
      local S = require "support"
      local c = assert(S.ssl.wrap(assert(require "socket".connect("127.0.0.1", arg[1])), S.client()))
      c:settimeout(20)
      assert(c:dohandshake())
      require "socket".sleep(0.1)
      c:send(assert(c:receive("*l")) .. "\n")]])
    local peer = io.popen(kit.command(path, port) .. " 2>&1")
    local conn = kit.accept(listener, assert(ssl.newcontext(S.server()))) -- waits in the handshake, too
    check(conn:getfd() > 5000, "the descriptor is %d", conn:getfd())
    conn:settimeout(0.05)
    local _, message = conn:receive()
    check(message == "wantread", "a wait of 50 ms ends with %s", tostring(message))
    conn:settimeout(10)
    check(conn:send("far up\n") and conn:receive() == "far up", "no echo")
    conn:close()
    check(peer:read("*a") == "", "the peer complains")
    peer:close()
    os.remove(path)
  end,
}

rows[34] = {
  subject = "a line without end does not eat the memory",
  where = "luasocket#463, copas#196",
  run = function()
    for _, pattern in ipairs { "*l", "*a" } do
      local cctx = assert(ssl.newcontext(S.client { maxreceive = 2 ^ 20 }))
      local c, s = S.connected(cctx)
      c:settimeout(0)
      local before = S.rss() or kit.skip("there is no /proc")
      local block, prefix, message = ("x"):rep(2 ^ 18), nil, nil
      for _ = 1, 1000 do
        local data, what, partial = c:receive(pattern, prefix)
        check(data == nil, "it ends")
        check(S.rss() - before < 40 * 1024, "%s: %d KiB taken, and no end of it", pattern, S.rss() - before)
        prefix, message = partial, what
        if not S.wants(what) then break end
        s:send(block)
      end
      check(message and not S.wants(message), "%s: %s at the end", pattern, tostring(message))
      closed(c, s)
    end
  end,
}

rows[35] = {
  subject = "a send is taken up again with fresh and shorter strings, byte for byte right",
  where = "filesync.koplugin#54",
  run = function()
    local text = {}
    for i = 1, 2 ^ 20 do text[i] = ("%08x\n"):format(i) end
    text = table.concat(text)
    local c, s = S.connected()
    check(c:send("") == 0, "nothing sent is not 0")
    local got, sent, size = {}, 0, 0
    local take = { 2 ^ 22, 1, 17, 100000, 3 }
    local turn = 0
    S.poll(function()
      for _ = 1, sent < #text and 4 or 0 do
        turn = turn + 1
        local piece = text:sub(sent + 1, sent + take[turn % #take + 1]) -- a string of its own
        local n, message, last = c:send(piece)
        if not n then check(S.wants(message), "send: %s", tostring(message)) end
        sent = sent + (n or last)
        if not n and turn % 7 == 0 then collectgarbage() end
      end
      local data, message, partial = s:receive(200000)
      if not data then check(S.wants(message), "receive: %s", tostring(message)) end
      got[#got + 1] = data or partial
      size = size + #got[#got]
      return size >= #text
    end, "all bytes")
    check(table.concat(got) == text, "other bytes came")
    closed(c, s)
  end,
}

rows[36] = {
  subject = "close says close_notify, and does not wait for a peer that does not read",
  where = "luasec#181, tokio-openssl#31, openssl#5466",
  run = function()
    local c, s = S.connected(S.client { protocol = "tlsv1_2" })
    c:close()
    local _, message, _, detail = S.receive(s)
    check(message == "closed" and (not detail or detail.kind == "closed"), "the peer sees %s", tostring(message))
    s:close()
    c, s = S.connected()
    local big, last = ("x"):rep(2 ^ 23), 0
    S.poll(function()
      local n, what, index = c:send(big, last + 1)
      last = index
      return not n and what == "wantwrite" and #select(2, socket.select(nil, { c }, 0)) == 0
    end, "a full socket")
    c:settimeout(5)
    local before = socket.gettime()
    c:close()
    check(socket.gettime() - before < 1, "close took %.1f s", socket.gettime() - before)
    s:close()
  end,
}

rows[38] = {
  subject = "every method of new and closed connections, and of what is none, answers or raises; nothing crashes",
  where = "void-packages#5558, luasec#106",
  run = function()
    local c, s = S.wrapped()
    every(c, "new")
    every(c, "closed")
    s:close()
    c, s = S.connected()
    s:close()
    c:close()
    every(c, "closed after data")
    for name, method in pairs(getmetatable(c).__index) do
      for _, wrong in ipairs { false, 12, "text", {}, io.stdout, print } do
        local ok, message = pcall(method, wrong)
        check(not ok and tostring(message):find("bad argument #1"), "%s of a %s: %s", name, type(wrong),
          tostring(message))
      end
      check(not pcall(method), "%s of nothing", name)
    end
  end,
}

return rows
