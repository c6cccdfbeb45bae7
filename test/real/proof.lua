-- Run by LUA_INIT ahead of a program that is not ours: notes, in the file $PROOF, which ssl.so is mapped
-- after "ssl" was loaded.

local require_as_found = require
local path = assert(os.getenv("PROOF"))

local function note()
  local t = require_as_found "realtest"
  local f = assert(io.open(path, "w"))
  f:write(t.loaded(), "\n")
  f:close()
end

function _G.require(name)
  local first, second = require_as_found(name)
  if name == "ssl" then note() end
  return first, second
end
