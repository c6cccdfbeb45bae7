-- Runs one case in a process of its own, whatever library is on the path: prints "ok", "skip: …" or "wrong: …" last.
-- lua test/history/child.lua FILE ROW [ARGUMENT...]

io.stdout:setvbuf("no")
local case = dofile("test/history/" .. arg[1] .. ".lua")[tonumber(arg[2])]
local ok, message = pcall(case.run, (table.unpack or unpack)(arg, 3)) -- luacheck: ignore
if ok then
  print("ok")
elseif type(message) == "table" and message.skip then
  print("skip: " .. message.skip)
else
  print("wrong: " .. tostring(message):gsub("%s+", " "):sub(1, 300))
end
