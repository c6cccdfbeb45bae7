-- What the cases of this folder share beyond test/support.lua. LuaSec's API only: every case also runs on LuaSec.

local socket = require "socket"
local S = require "support"

local M = {}

--- Ends the case: what it needs is not there.
function M.skip(reason) error({ skip = reason }, 0) end

--- Fails the case unless `ok`.
function M.check(ok, what, ...)
  if not ok then error(select("#", ...) > 0 and what:format(...) or what, 0) end
  return ok
end

--- A message for people: a sentence of printable bytes.
function M.sentence(message, of)
  M.check(type(message) == "string", "%s: the message is a %s", of, type(message))
  M.check(#message > 2 and not message:find("[%z\1-\31\127-\255]"), "%s: the message is %q", of, message)
  M.check(not message:find("(null)", 1, true), "%s: the message has (null): %s", of, message)
end

--- The command line of a Lua program of this folder or of a chunk's file, with a bound on its time.
function M.command(path, ...)
  local words = { "timeout -k 1 30", S.interpreter(), path }
  for i = 1, select("#", ...) do words[#words + 1] = "'" .. tostring((select(i, ...))) .. "'" end
  return table.concat(words, " ")
end

local function output(command)
  local p = assert(io.popen(command .. " 2>&1"))
  local text = p:read("*a")
  p:close()
  return text
end
M.output = output

local function package_name()
  return rawget(_G, "jit") and "luajit" or "lua" .. _VERSION:match("%d%.%d")
end

--- Compiles a C file of this folder for this Lua; `flags` go to the compiler. The path of what came out, which the
-- caller removes.
function M.compile(name, flags)
  local lua = package_name()
  local known = output("pkg-config --exists " .. lua .. " && echo yes") == "yes\n"
  if not known then M.skip("there are no headers of " .. lua) end
  local path = os.tmpname()
  local compiler = "${CC:-cc} -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror"
  local libraries = flags:gsub("LUALIBS", "$(pkg-config --libs " .. lua .. ")")
  local text = output((compiler .. " -o %s test/history/%s $(pkg-config --cflags %s) %s")
    :format(path, name, lua, libraries))
  M.check(text == "", "the compiler says: %s", text)
  return path
end

--- system.c's functions, loaded from the file that compile made, or from one made for this process alone.
function M.system(path)
  local made = not path and M.compile("system.c", "-shared -fPIC")
  local names, functions = { "fork", "wait", "quit", "pair", "shut", "pipedefault", "failat", "calls" }, {}
  for _, name in ipairs(names) do functions[name] = assert(package.loadlib(path or made, "sys_" .. name)) end
  if made then os.remove(made) end
  return functions
end

--- Starts openssl with these arguments ("s_client …"); an object with write, and finish, which answers all it printed.
function M.openssl(arguments, ...)
  local out = os.tmpname()
  local p = assert(io.popen(("LD_PRELOAD= timeout 30 openssl %s >%s 2>&1"):format(arguments:format(...), out), "w"))
  return {
    write = function(_, text)
      p:write(text)
      p:flush()
    end,
    text = function() return S.read(out) end,
    finish = function()
      p:close()
      local text = S.read(out)
      os.remove(out)
      return text
    end,
  }
end

--- A listening socket and its port.
function M.listen()
  local listener = assert(socket.bind("127.0.0.1", 0))
  listener:settimeout(20)
  return listener, select(2, listener:getsockname())
end

--- The next connection of a listener, its handshake done.
function M.accept(listener, ctx)
  local conn = assert(S.ssl.wrap(assert(listener:accept()), ctx))
  conn:settimeout(20)
  local ok, message = conn:dohandshake()
  M.check(ok, "the server's handshake: %s", tostring(message))
  return conn
end

--- An openssl s_server that serves one file-less page with this certificate; its port, and a function that ends it.
function M.webserver(certificate)
  local out = os.tmpname()
  local command = "sh -c 'echo $$ >%s.pid; exec timeout 30 openssl s_server -accept 0 -www -cert %s -key %s' >%s 2>&1"
  local p = assert(io.popen(command:format(out, S.cert(certificate), S.cert(certificate .. "key"), out), "w"))
  local port
  S.poll(function()
    port = S.read(out):match("ACCEPT [^\n]-:(%d+)\n")
    if not port then socket.sleep(0.02) end
    return port
  end, "s_server")
  return tonumber(port), function()
    os.execute("kill " .. S.read(out .. ".pid"))
    p:close()
    os.remove(out)
    os.remove(out .. ".pid")
  end
end

--- The growth of resident memory in KiB over `n` calls of f, after as many to warm up.
function M.growth(n, f)
  for _ = 1, n do f() end
  S.collect()
  local before = S.rss() or M.skip("there is no /proc")
  for _ = 1, n do f() end
  S.collect()
  return S.rss() - before
end

--- A full collection by steps, between two calls of a case.
function M.churn()
  collectgarbage()
  collectgarbage("step", 100)
end

return M
