-- Certificates made by hand, byte by byte, to hold what no tool would put into them: wrong string types, repeated
-- extensions, dates in odd forms. Their signatures are junk; nothing here verifies one.

local mime = require "mime"

local M = {}

local function length(n)
  if n < 128 then return string.char(n) end
  local bytes = ""
  while n > 0 do
    bytes = string.char(n % 256) .. bytes
    n = math.floor(n / 256)
  end
  return string.char(128 + #bytes) .. bytes
end

--- A value: the tag byte, then whatever strings make its content.
function M.tlv(tag, ...)
  local content = table.concat({ ... })
  return string.char(tag) .. length(#content) .. content
end

function M.seq(...) return M.tlv(0x30, ...) end
function M.set(...) return M.tlv(0x31, ...) end
function M.null() return M.tlv(0x05) end

--- An INTEGER of the given content bytes.
function M.int(bytes) return M.tlv(0x02, bytes) end

local function base128(n)
  local bytes = string.char(n % 128)
  n = math.floor(n / 128)
  while n > 0 do
    bytes = string.char(128 + n % 128) .. bytes
    n = math.floor(n / 128)
  end
  return bytes
end

--- An OBJECT IDENTIFIER from its dotted form.
function M.oid(dotted)
  local first, second, rest = dotted:match("^(%d+)%.(%d+)(.*)$")
  local bytes = { base128(first * 40 + second) }
  for arc in rest:gmatch("%d+") do bytes[#bytes + 1] = base128(tonumber(arc)) end
  return M.tlv(0x06, table.concat(bytes))
end

--- Tags of the string types.
M.tags = {
  utf8 = 0x0c, numeric = 0x12, printable = 0x13, t61 = 0x14, ia5 = 0x16, visible = 0x1a, general = 0x1b,
  universal = 0x1c, bmp = 0x1e, octet = 0x04, bit = 0x03,
}

--- A string of a type named in tags.
function M.str(kind, s) return M.tlv(M.tags[kind], s) end

--- A Name of { {oid, value as DER}, ... }.
function M.name(attributes)
  local sets = {}
  for i, a in ipairs(attributes) do sets[i] = M.set(M.seq(M.oid(a[1]), a[2])) end
  return M.seq(table.concat(sets))
end

--- A GeneralName; kind is its tag number, 0 to 8. Types 0, 3, 4 and 5 are constructed.
function M.general(kind, ...)
  local constructed = kind == 0 or kind == 3 or kind == 4 or kind == 5
  return M.tlv(0x80 + (constructed and 0x20 or 0) + kind, ...)
end

--- An otherName with a value of any type.
function M.other(oid, value) return M.general(0, M.oid(oid), M.tlv(0xa0, value)) end

--- An extension; content is the DER inside its OCTET STRING.
function M.extension(oid, content) return M.seq(M.oid(oid), M.tlv(0x04, content)) end

--- A subjectAltName extension of these GeneralNames.
function M.san(...) return M.extension("2.5.29.17", M.seq(...)) end

local keys = {
  ed25519 = M.seq(M.seq(M.oid "1.3.101.112"), M.tlv(0x03, "\0" .. ("k"):rep(32))),
}

--- A certificate in DER. Fields, all optional: subject and issuer (see name), serial, notbefore, notafter (DER of a
--- time), key (DER), algorithm (oid of the signature), extensions (array of DER).
function M.cert(t)
  local name = M.name { { "2.5.4.3", M.str("utf8", "made by hand") } }
  local algorithm = M.seq(M.oid(t.algorithm or "1.3.101.112"))
  local extensions = t.extensions and M.tlv(0xa3, M.seq(table.concat(t.extensions))) or ""
  local body = M.seq(
    M.tlv(0xa0, M.int "\2"), M.int(t.serial or "\1"), algorithm, t.issuer and M.name(t.issuer) or name,
    M.seq(t.notbefore or M.tlv(0x17, "200101000000Z"), t.notafter or M.tlv(0x17, "491231235959Z")),
    t.subject and M.name(t.subject) or name, t.key or keys.ed25519, extensions)
  return M.seq(body, algorithm, M.tlv(0x03, "\0" .. ("s"):rep(64)))
end

--- Any DER as PEM text.
function M.pem(der, label)
  label = label or "CERTIFICATE"
  local lines = (mime.b64(der) or ""):gsub(("."):rep(64), "%0\n"):gsub("\n$", "")
  return "-----BEGIN " .. label .. "-----\n" .. lines .. "\n-----END " .. label .. "-----\n"
end

return M
