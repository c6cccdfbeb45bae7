-- What releases of OpenSSL and Lua say or do differently, for the specs that look at it.

local M = {}

local pipe = assert(io.popen("openssl version"))
M.version = pipe:read("*a"):match("^OpenSSL (%d+%.%d+%.%d+%S*)") -- "3.0.11", of the command and of its library
pipe:close()

local major, minor = M.version:match("^(%d+)%.(%d+)")

--- Is the OpenSSL that runs this release or a later one? since(3, 2)
function M.since(wanted, least)
  major, minor = tonumber(major), tonumber(minor)
  return major > wanted or (major == wanted and minor >= least)
end

--- What OpenSSL says of an alert that SSL 3.0 had too: alert "handshake failure".
function M.alert(name) return (M.since(3, 2) and "ssl/tls" or "sslv3") .. " alert " .. name end

--- What it says of a certificate whose time has not come.
M.notyet = "certificate is not yet valid" .. (M.since(3, 6) and " or the system clock is incorrect" or "")

--- An attribute of a name as its command prints it: attribute("CN", "rsa"), as a pattern.
function M.attribute(kind, value) return kind .. (M.since(3, 2) and "=" or " = ") .. value end

--- The group that two of its ends choose by default.
M.group = { tlsv1_2 = "x25519", tlsv1_3 = M.since(3, 5) and "X25519MLKEM768" or "x25519" }

--- The error value nil as pcall gives it: Lua 5.5 has words in its place.
M.nothing = select(2, pcall(error, nil))

return M
