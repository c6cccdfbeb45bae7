--- `luasec host:port`: connects, verifies, and tells what was negotiated and what the server showed.
-- @module luasec.look

local socket = require "socket"
local ssl = require "ssl"
local args = require "luasec.args"
local dial = require "ssl.dial"
local output = require "luasec.output"
local starttls = require "luasec.starttls"

local M = {}

M.options = {
  { name = "--starttls", value = "PROTOCOL", among = { smtp = true, imap = true, pop3 = true, xmpp = true },
    text = "begin in plain text: smtp, imap, pop3 or xmpp" },
  { name = "--ca", value = "FILE", text = "trust the CAs in FILE (the system's)" },
  { name = "--crl", value = "FILE", text = "refuse what the CAs' revocation lists in FILE name" },
  { name = "--name", value = "NAME", text = "ask for NAME and verify it (the host)" },
  { name = "--insecure", text = "show what there is without verifying it" },
  { name = "--alpn", value = "LIST", text = "offer these protocols, with commas: h2,http/1.1" },
  { name = "--protocol", value = "VERSION", among = { any = true, tlsv1_2 = true, tlsv1_3 = true,
    ["tlsv1_2+"] = true }, text = "any, tlsv1_2, tlsv1_3, tlsv1_2+" },
  { name = "--cert", value = "FILE", text = "show this certificate to the server, in PEM" },
  { name = "--key", value = "FILE", text = "its key" },
  { name = "--timeout", value = "SECONDS", text = "for all of it (10)" },
  { name = "--pem", text = "print the server's chain in PEM, and nothing else" },
  { name = "--json", text = "for programs" },
  { name = "--color", value = "WHEN", among = { auto = true, always = true, never = true },
    text = "auto, always, never" },
}

-- ---- the report

local function name(parts)
  for _, part in ipairs(parts) do
    if part.name == "commonName" then return part.value end
  end
  local all = {}
  for i, part in ipairs(parts) do all[i] = part.name .. "=" .. part.value end
  return table.concat(all, ", ")
end

local months = { Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6, Jul = 7, Aug = 8, Sep = 9, Oct = 10, Nov = 11,
  Dec = 12 }

-- "Nov 21 17:18:10 2026 GMT", as ASN1_TIME_print(3) has it, for os.date refuses a year after 2037 on 32-bit systems.
local function moment(text)
  local month, day, clock, year = text:match("^(%a+) +(%d+) ([%d:]+)[%d.]* (%d+)")
  return month and ("%s-%02d-%02dT%sZ"):format(year, months[month], day, clock)
end

-- The same of a time in seconds.
local function instant(time)
  local known, text = pcall(os.date, "!%Y-%m-%dT%H:%M:%SZ", time)
  return known and text or "after 2037"
end

local function describe(cert)
  local names = {}
  local alternative = cert:extensions()["2.5.29.17"] or {}
  for _, kind in ipairs { "dNSName", "iPAddress", "rfc822Name" } do
    for _, value in ipairs(alternative[kind] or {}) do names[#names + 1] = value end
  end
  local _, kind, bits = cert:pubkey()
  local to = cert:notaftertime()
  return {
    subject = name(cert:subject()), issuer = name(cert:issuer()), names = names, serial = cert:serial(),
    from = moment(cert:notbefore() or ""), to = moment(cert:notafter() or ""), sha256 = cert:digest("sha256"),
    days = to and math.floor((to - os.time()) / 86400),
    key = kind and ("%s %.0f"):format(kind, bits), signature = cert:getsignaturename(),
  }
end

local function chain(conn)
  local list = {}
  for i, cert in ipairs(conn:getpeerchain() or {}) do list[i] = describe(cert) end
  return list
end

local function tell(report, conn)
  local info = conn:info()
  if info then
    for _, field in ipairs { "protocol", "cipher", "group", "peersigalg", "alpn", "servername" } do
      report[field] = info[field]
    end
  end
  report.chain = chain(conn)
  local staple = conn:getocsp()
  if staple then
    report.ocsp = { status = staple.status, verdict = staple.verdict,
      thisupdate = staple.thisupdate and instant(staple.thisupdate),
      nextupdate = staple.nextupdate and instant(staple.nextupdate) }
  end
end

-- What a hint calls a setting of the library is an option here.
local settings = {
  { "by cafile", "by --ca" }, { "is a STARTTLS command due", "is --starttls due" },
  { "see the settings? protocol", "see --protocol" }, { "offered by alpn", "of --alpn" },
  { "settings certificate and key", "--cert and --key" },
}

local function inoptions(hint)
  for _, pair in ipairs(settings) do hint = hint and hint:gsub(pair[1], pair[2]) end
  return hint
end

local function failed(report, stage, message, detail)
  detail = detail or {}
  local reason = detail.reason and tostring(detail.reason)
  report.error = { stage = stage, message = message, kind = detail.kind, hint = inoptions(detail.hint),
    reason = reason and not message:find(reason, 1, true) and reason or nil,
    subject = detail.subject, depth = detail.depth }
  report.ok, report.verified = false, false
  return report
end

-- ---- one connection

--- The settings that the options name.
function M.settings(given, host)
  local cfg = {
    mode = "client", protocol = given.protocol or "any", verify = given.insecure and "none" or "peer",
    options = { "all" }, servername = given.name or dial.name(host), ocsp = "request",
    certificate = given.cert, key = given.key, cafile = given.ca, crlfile = given.crl,
  }
  if given.alpn then
    cfg.alpn = {}
    for word in given.alpn:gmatch("[^,]+") do cfg.alpn[#cfg.alpn + 1] = word end
  end
  return cfg
end

local function shake(conn, deadline)
  conn:settimeout(dial.left(deadline), "t")
  local ok, message, detail = conn:dohandshake()
  if not ok and detail.kind == "want" then
    return nil, "timeout", { kind = "timeout", hint = "the server took the connection and did not finish the " ..
      "handshake in time: does it speak TLS on this port?" }
  end
  return ok, message, detail
end

-- With TLS 1.3 the client's handshake is over before the server has seen its certificate, or that it has none: what the
-- server says of it comes a round trip later. Servers that have nothing to say are not waited for long.
local function listen(conn, deadline, seconds)
  if conn:info("protocol") ~= "TLSv1.3" then return true end
  conn:settimeout(math.min(dial.left(deadline), math.max(0.1, math.min(2 * seconds, 1))), "t")
  local data, message, detail = conn:read(1)
  if data or detail.kind ~= "alert" then return true end
  return nil, message, detail
end

local function startplain(sock, deadline, given, host)
  local ok, message = starttls.begin(sock, given.starttls, given.name or host, deadline)
  if ok then return true end
  sock:close()
  local hint = "does the server speak %s with STARTTLS on this port? --starttls knows others; without, TLS comes first"
  return nil, message, { kind = "protocol", hint = hint:format(given.starttls) }
end

--- Looks at a server.
-- @tparam string host
-- @tparam number port
-- @tparam table given options
-- @treturn table the report; its field `conn` is the connection, when there was one, for the caller to close
function M.look(host, port, given)
  local deadline = dial.deadline(given.timeout or 10)
  local report = { host = host, port = port, ok = true, verified = not given.insecure, chain = {} }
  local ctx, message, detail = ssl.newcontext(M.settings(given, host))
  if not ctx then return failed(report, "settings", message, detail) end
  local sock
  sock, message, detail = dial.dial(host, port, deadline)
  if not sock then return failed(report, "connect", message, detail) end
  report.address = sock:getpeername()
  local ok
  if given.starttls then
    ok, message, detail = startplain(sock, deadline, given, host)
    if not ok then return failed(report, "starttls", message, detail) end
  end
  local conn = assert(ssl.wrap(sock, ctx))
  report.conn = conn
  local began = socket.gettime()
  ok, message, detail = shake(conn, deadline)
  local seconds = socket.gettime() - began
  report.milliseconds = seconds * 1000
  tell(report, conn)
  if ok then ok, message, detail = listen(conn, deadline, seconds) end
  if not ok then return failed(report, detail.kind == "verify" and "verify" or "handshake", message, detail) end
  return report
end

-- ---- printing

local function line(out, label, value, paint, colour)
  if value == nil then return end
  value = output.safe(value)
  out[#out + 1] = ("%-12s %s\n"):format(label, colour and paint(colour, value) or value)
end

local function left(cert)
  if os.date("!%Y-%m-%dT%H:%M:%SZ") < cert.from then return "not yet valid" end
  return (cert.days < 0 and "expired %d days ago" or "%d days left"):format(math.abs(cert.days))
end

local function revocation(out, report, crl)
  if report.ocsp then
    line(out, "stapled", ("%s (%s)"):format(report.ocsp.status or "-", report.ocsp.verdict))
  elseif report.verified then
    line(out, "revocation", crl and "not in " .. crl or "not known: the server staples no OCSP response, see --crl")
  end
end

local function certificate(out, i, cert, paint)
  out[#out + 1] = "\n"
  line(out, i == 1 and "certificate" or "issued by", cert.subject, paint, "bold")
  line(out, "  issuer", cert.issuer)
  if cert.names[1] then line(out, "  names", table.concat(cert.names, ", ")) end
  if cert.from and cert.to then
    local colour = cert.days < 0 and "red" or cert.days < 14 and "yellow" or nil
    line(out, "  valid", ("%s to %s (%s)"):format(cert.from, cert.to, left(cert)), paint, colour)
  end
  line(out, "  key", cert.key and cert.key .. ", signed with " .. cert.signature)
  line(out, "  sha256", cert.sha256)
end

--- A report as text. crl: the file with revocation lists that was looked at.
function M.text(report, paint, crl)
  local out = {}
  line(out, "server", ("%s port %d%s"):format(report.host, report.port,
    report.address and " (" .. report.address .. ")" or ""))
  if report.error then
    local e = report.error
    line(out, "FAILED", e.message .. (e.reason and ": " .. e.reason or ""), paint, "red")
    line(out, "  because", e.hint)
    line(out, "  of", e.subject)
  else
    line(out, "verified", report.verified and "yes, for " .. report.servername or "no, as you wish", paint,
      report.verified and "green" or "yellow")
  end
  line(out, "protocol", report.protocol)
  line(out, "cipher", report.cipher)
  line(out, "group", report.group)
  line(out, "signature", report.peersigalg)
  line(out, "alpn", report.alpn)
  revocation(out, report, crl)
  if report.milliseconds then line(out, "handshake", ("%.1f ms"):format(report.milliseconds)) end
  for i, cert in ipairs(report.chain) do certificate(out, i, cert, paint) end
  return table.concat(out)
end

local stages = { settings = 1, connect = 2, starttls = 2, handshake = 3, verify = 4 }

local function pem(conn)
  for _, cert in ipairs(conn and conn:getpeerchain() or {}) do io.stdout:write(cert:pem()) end
end

--- Runs the command; answers its exit status.
function M.run(given)
  local host, port = args.address(given[1], starttls.ports[given.starttls] or 443)
  if not host then return nil, ("%s is no host:port"):format(given[1]) end
  local report = M.look(host, port, given)
  local conn = report.conn
  report.conn = nil
  if given.pem then
    pem(conn)
    if report.error then io.stderr:write("luasec: ", output.safe(report.error.message), "\n") end
  else
    report.servername = report.servername or given.name or dial.name(host)
    io.stdout:write(given.json and output.json(report) or
      M.text(report, output.painter(given.color or "auto"), given.crl))
  end
  if conn then conn:close() end
  return report.error and stages[report.error.stage] or 0
end

return M
