-- An echo server in luv's event loop: libuv carries the bytes, an engine does the TLS. Prints its port, serves COUNT
-- connections, all at once if they come so.
--   lua samples/luv/server.lua build/certs COUNT

local uv = require "luv"
local ssl = require "ssl"

local certs, count = arg[1], tonumber(arg[2])
local MUCH = 262144 -- bytes on their way to a client, above which nothing more is read from it
local context = assert(ssl.newcontext {
  mode = "server", protocol = "tlsv1_2+",
  certificate = certs .. "/serverA.pem", key = certs .. "/serverAkey.pem",
})

-- Does what can be done now. Returns why it stopped: "wantread", or the connection is over.
local function step(conn)
  local ok, message = conn:dohandshake() -- true at once when it is done
  while ok do
    local data
    data, message = conn:read()
    ok = data and conn:send(data)
  end
  return message
end

local function serve(tcp)
  local conn, onread = assert(ssl.engine(context)), nil
  local function resume(failed)
    if not failed and not tcp:is_closing() then tcp:read_start(onread) end
  end
  function onread(_, bytes)
    if bytes then assert(conn:feed(bytes)) else conn:feedeof() end
    local message = step(conn)
    if message == "wantread" then
      tcp:write(conn:drain(), resume)
      if tcp:get_write_queue_size() > MUCH then tcp:read_stop() end
      return
    end
    if message ~= "closed" then io.stderr:write("connection lost: ", message, "\n") end
    conn:close() -- its close_notify, or the alert that says why, is still to be sent
    tcp:read_stop()
    tcp:write(conn:drain(), function() tcp:close() end)
  end
  tcp:read_start(onread)
end

local listener = uv.new_tcp()
assert(listener:bind("127.0.0.1", 0))
assert(listener:listen(128, function()
  local tcp = uv.new_tcp()
  assert(listener:accept(tcp))
  serve(tcp)
  count = count - 1
  if count == 0 then listener:close() end
end))
io.stdout:setvbuf("line")
print(listener:getsockname().port)
uv.run()
