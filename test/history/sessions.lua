-- Bugs of others around resumption, renegotiation and what processes share.

local S = require "support"
local kit = require "history.kit"
local ssl, check = S.ssl, kit.check

local rows = {}

local CERT = ("-cert %s -key %s"):format(S.cert("clientA"), S.cert("clientAkey"))

local function verifying(extra)
  local cfg = S.server { verify = { "peer", "fail_if_no_peer_cert" }, cafile = S.cert("rootA") }
  for k, v in pairs(extra or {}) do cfg[k] = v end
  return assert(ssl.newcontext(cfg))
end

local function count(text, what)
  local _, n = text:gsub(what:gsub("%p", "%%%0"), "")
  return n
end

-- Serves s_client once; `look` sees the connection. Returns what s_client said.
local function visit(ctx, arguments, look)
  local listener, port = kit.listen()
  local peer = kit.openssl("s_client -connect 127.0.0.1:%d -CAfile %s %s -ign_eof", port, S.cert("rootA"), arguments)
  local conn = kit.accept(listener, ctx)
  listener:close()
  if look then look(conn) end
  conn:send("hello\n")
  conn:close()
  return peer.finish()
end

-- Two visits, the second with the session of the first; whether it was resumed.
local function twice(version, ctx, look, other)
  local session = os.tmpname()
  local first = visit(ctx, ("%s %s -sess_out %s"):format(version, CERT, session), look)
  local second = visit(other or ctx, ("%s %s -sess_in %s"):format(version, CERT, session), look)
  os.remove(session)
  check(count(first, "hello") == 1 and count(second, "hello") == 1, "s_client says %s", first .. second)
  check(not second:find("alert"), "s_client says %s", second)
  return count(second, "Reused, ") == 1
end

local VERSIONS = { "-tls1_2", "-tls1_3" }

rows[28] = {
  subject = "clients with certificates resume, by tickets and by ids, over TLS 1.2 and 1.3",
  where = "luasec#207, dotnet/runtime#75435, msquic#3780, openssl#5175",
  run = function()
    for _, version in ipairs(VERSIONS) do
      twice(version, verifying(), function(conn)
        check(conn:getpeerverification() == true, "%s: the client is not verified", version)
        check(conn:getpeercertificate(), "%s: the client's certificate is gone", version)
      end)
    end
  end,
}

-- The errors of getpeerverification as one string.
local function errors(conn)
  local ok, list = conn:getpeerverification()
  check(ok == false, "getpeerverification answers %s", tostring(ok))
  check(type(list) == "table", "the errors are a %s: %s", type(list), tostring(list))
  local texts = {}
  for depth, texts_of in pairs(list) do
    for _, text in ipairs(texts_of) do texts[#texts + 1] = tostring(depth) .. text end
  end
  table.sort(texts)
  return table.concat(texts, ";")
end

rows[29] = {
  subject = "what was wrong with a certificate is still known after resumption, and not taken elsewhere",
  where = "envoy#28758, envoy#21235, http-extensions#1992",
  run = function()
    local resumed
    for _, version in ipairs(VERSIONS) do
      local seen = {}
      local lax = verifying { cafile = S.cert("rootB"), verifyext = { "lsec_continue" } }
      resumed = twice(version, lax, function(conn) seen[#seen + 1] = errors(conn) end) or resumed
      check(seen[1] == seen[2] and seen[1] ~= "", "%s: first %q, then %q", version, seen[1], seen[2])
      check(not twice(version, assert(ssl.newcontext(S.server())), nil, verifying()),
        "%s: a session that verified nobody is resumed where that is demanded", version)
    end
    check(resumed, "nothing was resumed")
  end,
}

rows[30] = {
  subject = "the verdict is the same whatever flags of verification are set",
  where = "lua-openssl#31",
  run = function()
    for _, flags in ipairs { { "lsec_continue" }, { "lsec_continue", "lsec_ignore_purpose" } } do
      local c, s = S.connected(S.client { verifyext = flags },
        S.server { certificate = S.cert("expired"), key = S.cert("expiredkey") })
      check(errors(c):find("expired"), "the errors are %q", errors(c))
      check(errors(c) == errors(c), "asked twice, it changes")
      c:close()
      s:close()
    end
  end,
}

rows[31] = {
  subject = "clients cannot renegotiate with a server that did not say so",
  where = "luaossl#205, luaossl#26, lua-http#216, proftpd#1076",
  run = function()
    for _, options in ipairs { { "all" }, { "all", "no_tlsv1" }, {} } do
      local listener, port = kit.listen()
      local peer = kit.openssl("s_client -connect 127.0.0.1:%d -tls1_2 -CAfile %s", port, S.cert("rootA"))
      local conn = kit.accept(listener, assert(ssl.newcontext(S.server { options = options })))
      listener:close()
      peer:write("one\n")
      check(conn:receive() == "one", "no data")
      peer:write("R\n")
      local data, message = conn:receive()
      check(data == nil and message ~= "wantread", "it goes on: %s", tostring(message))
      conn:close()
      local text = peer.finish()
      check(text:find("RENEGOTIATING") and text:find("no renegotiation"), "s_client says %s", text)
    end
  end,
}

-- Without LuaSocket, which ignores the signal for the whole process.
local WRITER = [[
  local library = ...
  local ssl, core = require "ssl", require "ssl.core"
  assert(not package.loaded["socket.core"])
  local system = {}
  for _, name in ipairs { "pair", "shut", "pipedefault" } do
    system[name] = assert(package.loadlib(library, "sys_" .. name))
  end
  local a, b = system.pair()
  local function made(fd, cfg)
    local conn = assert(core.create(assert(ssl.newcontext(cfg))))
    core.setfd(conn, fd)
    conn:settimeout(0)
    return conn
  end
  local c = made(a, { mode = "client", protocol = "any", verify = "none" })
  local s = made(b, { mode = "server", protocol = "any", certificate = %q, key = %q })
  local cdone, sdone
  for _ = 1, 1000 do
    cdone, sdone = cdone or c:dohandshake(), sdone or s:dohandshake()
  end
  assert(cdone and sdone and c:send("x") == 1 and s:receive(1) == "x")
  if %q == "program's" then system.pipedefault() end
  system.shut(b)
  for _ = 1, 3 do
    local n, message = c:send("y")
    assert(not n and type(message) == "string" and message ~= "wantwrite", message)
  end
  c:close()
  io.write("alive")]]

rows[37] = {
  subject = "writing to a peer that has gone does not end the process, SIGPIPE at its default",
  where = "dnsperf#66, stumpless#260",
  run = function()
    local library = kit.compile("system.c", "-shared -fPIC")
    for _, whose in ipairs { "system's", "program's" } do
      local chunk = S.tmpfile(WRITER:format(S.cert("serverA"), S.cert("serverAkey"), whose))
      local text = kit.output("env --default-signal=PIPE " .. kit.command(chunk, library) .. "; echo \" $?\"")
      os.remove(chunk)
      check(text == "alive 0\n", "the %s default: %s", whose, text)
    end
    os.remove(library)
  end,
}

-- The random bytes that a client's hello begins with.
local function random()
  local sock, peer = S.tcp()
  local conn = assert(ssl.wrap(sock, S.anyclient()))
  conn:settimeout(0)
  conn:dohandshake()
  peer:settimeout(5)
  local hello = assert(peer:receive(43))
  conn:close()
  peer:close()
  return (hello:sub(12, 43):gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

-- What a child of fork does and answers, as a string.
local function forked(system, f)
  local path = os.tmpname()
  local pid = system.fork()
  if pid == 0 then
    local ok, answer = pcall(f)
    local file = io.open(path, "w")
    file:write(ok and tostring(answer) or "raised " .. tostring(answer))
    file:close()
    system.quit(0)
  end
  check(system.wait(pid) == 0, "the child crashes")
  local answer = S.read(path)
  os.remove(path)
  return answer
end

rows[40] = {
  subject = "children of fork: other random numbers, the same ticket keys, and no end of the parent's connections",
  where = "no report is known",
  run = function()
    local system = kit.system()
    random()
    local one, two = forked(system, random), forked(system, random)
    check(#one == 64 and one ~= two and one ~= random(), "two processes have the same random numbers: %s, %s", one, two)
    -- A ticket of a child is good in the parent.
    local ctx = assert(ssl.newcontext(S.server()))
    local session = os.tmpname()
    forked(system, function() visit(ctx, "-tls1_3 -sess_out " .. session) end)
    local text = visit(ctx, "-tls1_3 -sess_in " .. session)
    os.remove(session)
    check(count(text, "Reused, ") == 1, "the ticket of a child is not taken")
    -- What a child inherits and lets go of stays the parent's.
    for _, how in ipairs { "collected", "closed" } do
      local c, s = S.connected()
      check(forked(system, function()
        if how == "closed" then
          c:close()
          s:close()
        else
          S.finalize(c)
          S.finalize(s)
        end
        return "done"
      end) == "done", "the child fails")
      check(S.transfer(c, s, "still here") == "still here" and S.transfer(s, c, "and here") == "and here", "no data")
      c:close()
      s:close()
    end
    -- A child that was given a connection ends it as anybody.
    local c, s = S.connected()
    forked(system, function()
      s:send("from the child")
      s:close()
    end)
    local data, message = S.receive(c, 14)
    check(data == "from the child", "the child's data: %s", tostring(message))
    data, message = S.receive(c, 1)
    check(data == nil and message == "closed", "the child's end: %s", tostring(message))
    c:close()
  end,
}

return rows
