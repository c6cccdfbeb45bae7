-- Reporting for the Lua programs of the real-use tests: one line a test, and the proof of which ssl.so this
-- process runs. Nothing about any one program lives here.

local M = {}
local failures = 0

M.ours = os.getenv("LIBRARY") ~= "luasec"

--- Reports one test. `reason` is shown when `good` is false or nil.
function M.check(name, good, reason)
  if good then
    print("ok - " .. name)
  else
    failures = failures + 1
    print("not ok - " .. name .. ": " .. tostring(reason))
  end
end

--- Reports that two values are equal; long strings are named by their length only.
function M.equal(name, got, expected)
  local function show(v)
    v = tostring(v)
    return #v > 200 and #v .. " bytes" or v
  end
  M.check(name, got == expected, "got " .. show(got) .. ", expected " .. show(expected))
end

function M.skip(name, reason) print("skip - " .. name .. ": " .. reason) end

--- Every ssl.so that is mapped into this process, by real path (libssl is not one).
function M.loaded()
  local found, list = {}, {}
  for line in io.lines("/proc/self/maps") do
    local path = line:match("%s(/.*)$")
    local file = path and path:match("[^/]+$")
    if file and (file:find("^ssl%.so") or file:find("%-sec%.so")) and not found[path] then
      found[path] = true
      list[#list + 1] = path
    end
  end
  return table.concat(list, " ")
end

--- Reports whether this process runs on the expected library. Call it when "ssl" has been loaded.
function M.proof() M.equal("runs on the expected ssl.so", M.loaded(), os.getenv("EXPECT_SO")) end

--- Ends the program: status 1 when a test failed.
function M.done() os.exit(failures == 0 and 0 or 1) end

return M
