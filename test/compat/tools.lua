-- What the compat specs share beyond test/support.lua: exact comparison of whole result lists, children of the
-- same interpreter for what may crash, and a few settings. Uses LuaSec's API only. No test lives here.

local support = require "support"

local M = {}

local pack = support.pack

--- Checks that a call returned exactly these values, their number included.
-- `results` is what support.pack made of the call.
function M.returned(results, ...)
  local want = pack(...)
  local same = results.n == want.n
  for i = 1, want.n do same = same and results[i] == want[i] end
  if same then return true end
  error("expected " .. M.show(want) .. ", got " .. M.show(results), 2)
end

--- Checks the first values of a call only: a failure may carry further detail at its end. `results` may also be a
-- list without n, as support.shake returns.
function M.begins(results, ...)
  local want = pack(...)
  local same = true
  for i = 1, want.n do same = same and results[i] == want[i] end
  if same then return true end
  error("expected to begin with " .. M.show(want) .. ", got " .. M.show(results), 2)
end

--- Checks that a call failed with `first` (nil or false) and a message that matches the Lua pattern.
function M.failed(results, first, pattern)
  local msg = results[2]
  if results[1] == first and type(msg) == "string" and msg:find(pattern) then return msg end
  error("expected " .. tostring(first) .. ", '" .. pattern .. "', got " .. M.show(results), 2)
end

function M.show(list)
  local t = {}
  for i = 1, list.n or 3 do t[i] = type(list[i]) == "string" and ("%q"):format(list[i]) or tostring(list[i]) end
  return "(" .. table.concat(t, ", ") .. ")"
end

--- Checks that f(...) raises an error whose text matches the pattern; returns the text.
function M.raises(pattern, f, ...)
  local ok, err = pcall(f, ...)
  if ok then error("expected an error that matches '" .. pattern .. "'", 2) end
  if not tostring(err):find(pattern) then
    error("expected an error that matches '" .. pattern .. "', got " .. tostring(err), 2)
  end
  return err
end

--- The interpreter that runs this test.
function M.interpreter()
  local i = 0
  while arg[i - 1] do i = i - 1 end
  return i < 0 and arg[i] or "lua"
end

local function quote(s) return "'" .. s:gsub("'", "'\\''") .. "'" end

--- Receives on a non-blocking connection until the result is not "wantread"; returns the last results, packed.
-- With `partial`: until the partial result is that string.
function M.receive(conn, pattern, prefix, partial)
  local r = { n = 3, nil, nil, prefix }
  support.poll(function()
    r = pack(conn:receive(pattern, r[3]))
    return r[1] or r[3] == partial or not support.wants(r[2])
  end, "receive")
  return r
end

--- Runs a chunk in a fresh interpreter with the same paths, at most `seconds` (default 20).
-- Returns what it wrote (both streams) and its exit status: 124 is the time bound, 128 + n a signal.
function M.child(code, seconds, before)
  local name = os.tmpname()
  local f = assert(io.open(name, "w"))
  f:write(code)
  f:close()
  local p = assert(io.popen(("{ %s timeout %d %s %s; } 2>&1; s=$?; echo; echo status:$s"):format(before or "",
    seconds or 20, quote(M.interpreter()), quote(name))))
  local out, status = p:read("*a"):match("^(.*)\nstatus:(%d+)\n$")
  p:close()
  os.remove(name)
  return out, tonumber(status)
end

--- Runs a chunk in a fresh interpreter and checks that it ended by itself, with status 0.
function M.survives(code, seconds)
  local out, status = M.child(code, seconds)
  if status ~= 0 then error("exit status " .. tostring(status) .. ": " .. out, 2) end
  return out
end

--- Options that hold a connection to TLS 1.2.
M.TLS12 = { protocol = "tlsv1_2" }

--- A new table with the pairs of all arguments, later ones win.
function M.join(...)
  local t = {}
  for i = 1, select("#", ...) do
    for k, v in pairs((select(i, ...)) or {}) do t[k] = v end
  end
  return t
end

--- Closes whatever it is given; nil and false are passed over.
function M.close(...)
  for i = 1, select("#", ...) do
    local conn = select(i, ...)
    if conn then conn:close() end
  end
end

--- Two connected sockets, the second left plain: client connection (not handshaken, non-blocking), plain server.
function M.halfwrapped(cfg)
  local c, s = support.tcp()
  local conn = assert(support.ssl.wrap(c, cfg or support.anyclient()))
  conn:settimeout(0)
  s:settimeout(5)
  return conn, s
end

--- Empties OpenSSL's error queue by the one call that LuaSec clears it in, a handshake's step. Old entries would
-- otherwise show in later messages there (its spec has a test for that; no other test shall suffer from it).
function M.clear()
  local c, s = M.halfwrapped()
  c:dohandshake()
  c:close()
  s:close()
end

--- Steps one handshake until it ends; returns its results packed.
function M.finish(conn)
  local r
  support.poll(function()
    r = pack(conn:dohandshake())
    return r[1] or not support.wants(r[2])
  end, "handshake")
  return r
end

M.unpack = support.unpack
M.pack = pack

return M
