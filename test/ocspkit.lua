-- OCSP responses for the specs: from `openssl ocsp`, and made by hand where it would never say such a thing: any times,
-- any status, any signer. Those made by hand are signed by `openssl dgst`.

local ssl = require "ssl"
local der = require "der"
local process = require "process"
local socket = require "socket"
local S = require "support"

local M = {}

--- What src/ocsp.c and src/ocsp_check.c say of a response, by what is wrong with it.
M.texts = {
  missing = "the server sent no OCSP response",
  revoked = "the certificate is revoked, says its CA's OCSP response",
  unknown = "the OCSP responder does not know the certificate",
  unreadable = "the OCSP response cannot be read",
  refused = "the OCSP responder gave an error instead of an answer",
  foreign = "the OCSP response is about another certificate",
  noissuer = "the OCSP response cannot be checked without the certificate's issuer",
  unsigned = "the OCSP response is not signed by the certificate's issuer or a responder that it delegated",
  early = "the OCSP response is not valid yet",
  stale = "the OCSP response is out of date",
}

local function shell(command)
  local ok, _, code = os.execute(command)
  assert(ok == true or ok == 0, command .. " failed: " .. tostring(code))
end

function M.certificate(name) return assert(ssl.loadcertificate(S.pem(name))) end

--- What `openssl ocsp`, as the responder of a CA, says about a certificate of the test PKI. t: cert, the name; issuer
--- ("rootA"); signer (the issuer); more: options; index: a file.
function M.respond(t)
  local issuer = t.issuer or "rootA"
  local out = os.tmpname()
  local signer = t.signer or issuer
  shell(("openssl ocsp -index %s -CA %s -issuer %s -rsigner %s -rkey %s %s -cert %s -noverify -respout %s >%s 2>&1")
    :format(t.index or S.cert("rootA.index"), S.cert(issuer), S.cert(issuer), S.cert(signer), S.cert(signer .. "key"),
      t.more or "-ndays 7", S.cert(t.cert), out, "/dev/null"))
  local response = S.read(out)
  os.remove(out)
  return response
end

-- ---- reading DER

-- The value at a position: its tag, where its content begins, where it ends.
local function value(s, at)
  local tag, n = s:byte(at, at + 1)
  at = at + 2
  if n >= 128 then
    local count = n - 128
    n = 0
    for i = 0, count - 1 do n = n * 256 + s:byte(at + i) end
    at = at + count
  end
  return tag, at, at + n - 1
end

-- The i-th member of the SEQUENCE that a string is, whole.
local function member(s, i)
  local _, at = value(s, 1)
  for _ = 2, i do
    local _, _, last = value(s, at)
    at = last + 1
  end
  local _, _, last = value(s, at)
  return s:sub(at, last)
end

-- The name in a certificate.
local function subject(name) return member(member(M.certificate(name):der(), 1), 6) end

-- The CertID in a request: OCSPRequest, TBSRequest, requestList, Request, CertID.
local function certid(request)
  for _ = 1, 4 do request = member(request, 1) end
  return request
end
M.certid = certid

-- ---- making DER

--- A GeneralizedTime `seconds` from now.
function M.time(seconds) return der.tlv(0x18, os.date("!%Y%m%d%H%M%SZ", os.time() + seconds)) end

local function status(t)
  if t.status == "revoked" then
    local reason = t.reason and der.tlv(0xa0, der.tlv(0x0a, string.char(t.reason))) or ""
    return der.tlv(0xa1, t.revoked or M.time(-86400), reason)
  end
  return der.tlv(t.status == "unknown" and 0x82 or 0x80)
end

local function single(t)
  local id = t.id or certid(assert(M.certificate(t.cert):ocsprequest(M.certificate(t.issuer or "rootA"))))
  local next = t.nextupdate ~= false and der.tlv(0xa0, M.time(t.nextupdate or 86400)) or ""
  return der.seq(id, status(t), t.thistime or M.time(t.thisupdate or -60), next)
end

local function sign(data, key)
  local file = S.tmpfile(data)
  shell(("openssl dgst -sha256 -sign %s -out %s.sig %s"):format(S.cert(key), file, file))
  local signature = S.read(file .. ".sig")
  os.remove(file)
  os.remove(file .. ".sig")
  return signature
end

--- A whole response around a basic one; `code` as in RFC 6960, 0 for success.
function M.envelope(code, basic)
  if not basic then return der.seq(der.tlv(0x0a, string.char(code))) end
  local bytes = der.seq(der.oid "1.3.6.1.5.5.7.48.1.1", der.tlv(0x04, basic))
  return der.seq(der.tlv(0x0a, string.char(code)), der.tlv(0xa0, bytes))
end

--- A response made by hand. t: cert, issuer ("rootA"), signer (the issuer; its key is EC), certs: names to send along;
--- status ("good"), reason (a number), revoked and thistime (DER of the time), thisupdate (-60), nextupdate (a day;
--- false: none) in seconds from now; id: another CertID in DER; several: an array of such tables for more than one
--- answer; spoil: a wrong signature.
function M.craft(t)
  local singles = {}
  for i, one in ipairs(t.several or { t }) do singles[i] = single(one) end
  local signer = t.signer or t.issuer or "rootA"
  local data = der.seq(der.tlv(0xa1, subject(signer)), M.time(-60), der.seq(table.concat(singles)))
  local signature = sign(t.spoil and data .. "x" or data, signer .. "key")
  local certs = {}
  for i, name in ipairs(t.certs or {}) do certs[i] = M.certificate(name):der() end
  return M.envelope(0, der.seq(data, der.seq(der.oid "1.2.840.10045.4.3.2"), der.tlv(0x03, "\0" .. signature),
    certs[1] and der.tlv(0xa0, der.seq(table.concat(certs))) or ""))
end

-- ---- servers that staple whatever they are told to

--- Starts `openssl s_server`; `response` in DER, nil for none; `more`: arguments. Returns the program, and its port.
-- From 3.6 on it staples only what is about its certificate.
function M.openssl(name, response, ...)
  local command = { "openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", S.cert(name), "-key",
    S.cert((name:gsub("%-leaf$", "")) .. "key"), "-www", ... }
  local file = response and S.tmpfile(response)
  if file then
    command[#command + 1] = "-status_file"
    command[#command + 1] = file
  end
  local program = process.start(command)
  local port = program:expect("^ACCEPT [%d.]+:(%d+)$")
  return program, tonumber(port), file
end

--- A port that was free a moment ago.
function M.freeport()
  local probe = assert(socket.bind("127.0.0.1", 0))
  local _, port = probe:getsockname()
  probe:close()
  return tonumber(port)
end

--- Starts gnutls-serv, which staples any bytes.
function M.gnutls(name, response)
  local port, file = M.freeport(), S.tmpfile(response)
  local program = process.start { "gnutls-serv", "--x509certfile", S.cert(name), "--x509keyfile", S.cert(name .. "key"),
    "--ocsp-response", file, "--ignore-ocsp-response-errors", "-p", port }
  program:expect("listening on IPv4")
  return program, port, file
end

--- Ends what openssl or gnutls began.
function M.stop(program, file)
  program:kill()
  if file then os.remove(file) end
end

--- Connects to a port and shakes hands: the connection, and what dohandshake answered.
function M.connect(port, cfg)
  local sock = assert(socket.connect("127.0.0.1", port))
  local conn = assert(ssl.wrap(sock, cfg))
  conn:settimeout(20)
  return conn, conn:dohandshake()
end

return M
