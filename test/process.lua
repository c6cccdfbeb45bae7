-- Programs that run beside a spec: started with a time limit, watched by their output, killed by their own process id.

local socket = require "socket"
local support = require "support"

local M = {}

M.SECONDS = 60 -- that any of them may run

local function quote(s) return "'" .. tostring(s):gsub("'", "'\\''") .. "'" end

local function words(list)
  local quoted = {}
  for i, word in ipairs(list) do quoted[i] = quote(word) end
  return table.concat(quoted, " ")
end

local program = {}
program.__index = program

--- The next line that it prints, waiting for it; nil at its end.
function program:line()
  local line = self.pipe and self.pipe:read("*l")
  if line then self.lines[#self.lines + 1] = line end
  return line
end

--- Waits for a line that matches; what it captures. Fails the test when the program ends without one.
function program:expect(pattern)
  for line in function() return self:line() end do
    if line:find(pattern) then return line:match(pattern) end
  end
  error(("no line like %q came:\n%s"):format(pattern, table.concat(self.lines, "\n")), 2)
end

--- Sends it a signal: "TERM", "KILL", "STOP", "CONT".
function program:signal(name)
  if self.pipe then os.execute("kill -" .. name .. " " .. self.pid .. " 2>/dev/null") end
end

--- Waits for its end: all that it printed since its start, and its exit status.
function program:wait()
  if self.pipe then
    for _ in function() return self:line() end do end -- luacheck: ignore 542
    self.pipe:close()
    self.pipe = nil
    self.status = tonumber(table.remove(self.lines):match("^exit status (%d+)$"))
  end
  return table.concat(self.lines, "\n"), self.status
end

--- Ends it at once, if it still runs.
function program:kill()
  self:signal("KILL")
  return self:wait()
end

--- Starts a command, an array of words; its output and errors are what the methods above read. `environment` goes in
-- front of it, as for env.
function M.start(command, environment)
  local script = ("timeout -k 1 %d env %s sh -c 'echo $$; exec \"$@\"' - %s </dev/null 2>&1; echo \"exit status $?\"")
    :format(M.SECONDS, environment or "", words(command))
  local self = setmetatable({ lines = {} }, program)
  self.pipe = assert(io.popen(script))
  self.pid = assert(tonumber(self.pipe:read("*l")))
  return self
end

--- The same for a Lua program and its arguments: words, or an array of them and the environment.
function M.lua(path, ...)
  if type(path) == "string" then return M.start { support.interpreter(), path, ... } end
  local command = { support.interpreter() }
  for i, word in ipairs(path) do command[i + 1] = word end
  return M.start(command, ...)
end

local dialogue = {}
dialogue.__index = dialogue

--- Types into the program's input.
function dialogue:write(text)
  self.pipe:write(text)
  self.pipe:flush()
end

--- What it has printed so far.
function dialogue:text() return support.read(self.out) end

--- Waits for a pattern in what it prints.
function dialogue:sees(pattern)
  support.poll(function()
    if self:text():find(pattern) then return true end
    socket.sleep(0.01)
  end, pattern)
end

--- Sends it a signal.
function dialogue:signal(name) os.execute("kill -" .. name .. " " .. self.pid .. " 2>/dev/null") end

--- Ends its input and waits for its end; all that it printed.
function dialogue:finish()
  self.pipe:close()
  local text = self:text()
  os.remove(self.out)
  return text
end

--- Starts a command, which is written to while it runs; its output and errors go to a file. `command` is a line for the
--- shell, with string.format's `...` in it.
function M.dialogue(command, ...)
  local self = setmetatable({ out = os.tmpname() }, dialogue)
  local script = ("timeout -k 1 %d sh -c 'echo $$ >%s; exec \"$@\"' - %s >>%s 2>&1")
    :format(M.SECONDS, self.out, command:format(...), self.out)
  self.pipe = assert(io.popen(script, "w"))
  support.poll(function()
    self.pid = self:text():match("^(%d+)\n")
    return self.pid
  end, command)
  return self
end

--- Compiles a C program with a library that pkg-config knows: its path, for the caller to remove; nil where the library
-- is not installed.
function M.compile(source, library)
  local path = os.tmpname()
  local command = "pkg-config --exists %s && ${CC:-cc} -std=gnu11 -o %s %s $(pkg-config --cflags --libs %s) 2>&1"
  local p = assert(io.popen(command:format(library, path, source, library) .. " && echo made"))
  local out = p:read("*a")
  p:close()
  if out == "made\n" then return path end
  os.remove(path)
  if out ~= "" then error(out) end
end

return M
