--- `luasec bench host:port`: how long handshakes with a server take, full ones and resumed ones.
-- @module luasec.bench

local socket = require "socket"
local ssl = require "ssl"
local args = require "luasec.args"
local dial = require "ssl.dial"
local look = require "luasec.look"
local output = require "luasec.output"

local M = {}

M.options = {
  { name = "--seconds", value = "SECONDS", text = "how long each of the two runs takes (3)" },
  { name = "--ca", value = "FILE", text = "trust the CAs in FILE (the system's)" },
  { name = "--name", value = "NAME", text = "ask for NAME and verify it (the host)" },
  { name = "--insecure", text = "verify nothing" },
  { name = "--protocol", value = "VERSION", among = { any = true, tlsv1_2 = true, tlsv1_3 = true },
    text = "any, tlsv1_2, tlsv1_3" },
  { name = "--json", text = "for programs" },
}

local ONE = 10 -- seconds that one connection may take

-- With TLS 1.3 the next connection's ticket comes behind the handshake. Whatever else reading answers is no matter.
local function ticket(conn)
  conn:settimeout(0.05, "t")
  conn:read(1)
end

local function once(ctx, host, port, resume)
  local deadline = dial.deadline(ONE)
  local sock, message, detail = dial.dial(host, port, deadline)
  if not sock then return nil, message, detail end
  sock:setoption("tcp-nodelay", true)
  local conn = assert(ssl.wrap(sock, ctx))
  conn:settimeout(dial.left(deadline), "t")
  local began = socket.gettime()
  local ok
  ok, message, detail = conn:dohandshake()
  local seconds, resumed = socket.gettime() - began, ok and conn:sessionreused()
  if ok and resume and conn:info("protocol") == "TLSv1.3" then ticket(conn) end
  conn:close()
  if not ok then return nil, message, detail end
  return seconds, resumed
end

local function progress(label, count, left)
  io.stderr:write(("\r%-8s %d handshakes, %.0f s to go "):format(label, count, left))
end

-- Handshakes one after the other until the time is over; at least one.
local function series(ctx, host, port, label, given)
  local times, resumed, showing = {}, 0, output.terminal(2)
  local deadline = dial.deadline(given.seconds or 3)
  repeat
    local seconds, again, detail = once(ctx, host, port, label == "resumed")
    if not seconds then return nil, again, detail end
    times[#times + 1] = seconds
    if again then resumed = resumed + 1 end
    if showing then progress(label, #times, dial.left(deadline)) end
  until dial.left(deadline) <= 0
  if showing then io.stderr:write("\r", (" "):rep(60), "\r") end
  table.sort(times)
  local sum = 0
  for _, t in ipairs(times) do sum = sum + t end
  local function at(share) return times[math.max(1, math.ceil(share * #times))] * 1000 end
  return { handshakes = #times, resumed = resumed, mean = sum / #times * 1000, median = at(0.5), p95 = at(0.95) }
end

local function text(name, r)
  return ("%-8s %6d handshakes (%d resumed)  mean %.2f ms  median %.2f ms  95%% under %.2f ms\n"):format(name,
    r.handshakes, r.resumed, r.mean, r.median, r.p95)
end

local function context(given, host, sessions)
  local cfg = look.settings(given, host)
  cfg.sessions, cfg.ocsp = sessions, nil
  return ssl.newcontext(cfg)
end

local function complain(message, detail)
  local hint = detail and detail.hint and ": " .. output.safe(detail.hint) or ""
  io.stderr:write("luasec: ", output.safe(message), hint, "\n")
end

--- Runs the command; answers its exit status.
function M.run(given)
  if not given[1] then return nil, "bench needs a host:port" end
  local host, port = args.address(given[1], 443)
  if not host then return nil, ("%s is no host:port"):format(given[1]) end
  local report = {}
  for _, label in ipairs { "full", "resumed" } do
    local ctx, message, detail = context(given, host, label == "resumed" or nil)
    if not ctx then
      complain(message, detail)
      return 1
    end
    report[label], message, detail = series(ctx, host, port, label, given)
    if not report[label] then
      complain(message, detail)
      local kind = detail and detail.kind
      return kind == "verify" and 4 or (kind == "system" or kind == "timeout") and 2 or 3
    end
  end
  io.stdout:write(given.json and output.json(report) or text("full", report.full) .. text("resumed", report.resumed))
  return 0
end

return M
