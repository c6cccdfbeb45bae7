-- Puts a new key in front of those in the file and keeps the two before it: tickets made with them stay good until the
-- next rotations. Run it as often as half of a session's lifetime; the file is replaced in one step.
--   lua samples/fleet-tickets/rotate.lua FILE

local path = assert(arg[1], "which file?")

local random = assert(io.open("/dev/urandom", "rb"))
local fresh = random:read(16 + 32 + 32) -- name, aes, hmac
random:close()

local file = io.open(path, "rb")
local old = file and file:read(2 * #fresh) or ""
if file then file:close() end

local mask = io.popen("umask 077 && cat >'" .. path .. ".new'", "w") -- for the servers' eyes only
mask:write(fresh, old)
mask:close()
assert(os.rename(path .. ".new", path))
