-- COUNT connections at once in luv's event loop: none says anything before all have shaken hands, then each sends a
-- text and waits until it has come back.
--   lua samples/luv/client.lua build/certs PORT COUNT

local uv = require "luv"
local ssl = require "ssl"

local certs, port, count = arg[1], tonumber(arg[2]), tonumber(arg[3])
local context = assert(ssl.newcontext {
  mode = "client", protocol = "tlsv1_2+", verify = "peer", cafile = certs .. "/rootA.pem", servername = "localhost",
})
local waiting, answered = {}, 0

local function talk(number)
  local tcp, conn = uv.new_tcp(), assert(ssl.engine(context))
  local text, got, ready = ("connection %d says so\n"):format(number):rep(1000), "", false

  local function finish(message)
    if message then io.stderr:write(("connection %d: %s\n"):format(number, message)) end
    conn:close()
    tcp:read_stop()
    tcp:write(conn:drain(), function() tcp:close() end)
  end

  local function onread(_, bytes)
    if bytes then assert(conn:feed(bytes)) else conn:feedeof() end
    local ok, message = conn:dohandshake()
    if ok and not ready then
      ready, waiting[#waiting + 1] = true, function()
        assert(conn:send(text))
        tcp:write(conn:drain())
      end
      if #waiting == count then for _, begin in ipairs(waiting) do begin() end end
    end
    while ok do
      ok, message = conn:read()
      got = got .. (ok or "")
    end
    if got == text then
      answered = answered + 1
      return finish()
    end
    if message ~= "wantread" then return finish(message) end
    tcp:write(conn:drain())
  end

  tcp:connect("127.0.0.1", port, function(failed)
    if failed then return finish(failed) end
    conn:dohandshake()
    tcp:write(conn:drain())
    tcp:read_start(onread)
  end)
end

for number = 1, count do talk(number) end
uv.run()
print(("%d connections at once, %d answers"):format(#waiting, answered))
