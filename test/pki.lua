-- Certificates for the specs of ssl.x509: those of the test PKI by name, and ones made by hand.

local x509 = require "ssl.x509"
local der = require "der"

local M = {}

M.certdir = os.getenv("CERTS") or "build/certs"

--- Where memory is watched by a tool that keeps freed blocks, resident memory says nothing; the tool does.
local preload = os.getenv("LD_PRELOAD") or ""
M.watched = preload:find("asan") ~= nil or preload:find("vgpreload") ~= nil

M.unpack = table.unpack or unpack -- luacheck: ignore

function M.read(name)
  local f = assert(io.open(M.certdir .. "/" .. name, "rb"))
  local s = f:read("*a")
  f:close()
  return s
end

function M.load(name) return assert(x509.load(M.read(name .. ".pem"))) end

--- A certificate made by hand; see der.cert.
function M.make(t) return assert(x509.load(der.pem(der.cert(t)))) end

function M.count(t)
  local n = 0
  for _ in pairs(t) do n = n + 1 end
  return n
end

--- Arguments with which every method answers without raising. issued is missing: it wants a certificate.
M.calls = {
  subject = {}, issuer = {}, extensions = {}, setencode = { "utf8" }, serial = {}, notbefore = {}, notafter = {},
  validat = { 1800000000 }, digest = { "sha256" }, pem = {}, pubkey = {}, getsignaturename = {}, der = {},
  notbeforetime = {}, notaftertime = {}, ocspurl = {}, checkhost = { "localhost" }, checkip = { "127.0.0.1" },
  checkemail = { "a@b.test" },
}

--- Calls a method with those.
function M.call(c, method) return c[method](c, M.unpack(M.calls[method])) end

return M
