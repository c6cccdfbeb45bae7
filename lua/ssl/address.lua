--- URLs for ssl.https, by RFC 3986: taken apart, checked, and resolved against another one. No network here.
-- LuaSocket's url.parse ends the authority at a slash only, so that it would take "https://a?@b" for the host b.
-- @module ssl.address

local M = {}

-- Scheme, authority, path and query of a URL or a relative reference; the fragment is for the reader alone.
local function split(uri)
  local parts = {}
  uri = uri:gsub("#.*$", "")
  uri = uri:gsub("^(%a[%w+.-]*):", function(scheme) parts.scheme = scheme:lower() return "" end)
  uri = uri:gsub("^//([^/?]*)", function(authority) parts.authority = authority return "" end)
  uri = uri:gsub("%?(.*)$", function(query) parts.query = query return "" end)
  parts.path = uri
  return parts
end

local function join(parts)
  local uri = parts.path
  if parts.query then uri = uri .. "?" .. parts.query end
  if parts.authority then uri = "//" .. parts.authority .. uri end
  return parts.scheme .. ":" .. uri
end

-- RFC 3986 section 5.2.4, for a path that begins with a slash.
local function removedots(path)
  local out = {}
  for segment in path:gmatch("/([^/]*)") do
    if segment == ".." then out[#out] = nil elseif segment ~= "." then out[#out + 1] = segment end
  end
  if path:find("/%.%.?$") then out[#out + 1] = "" end
  return "/" .. table.concat(out, "/")
end

local function merge(base, path)
  if path:sub(1, 1) == "/" then return removedots(path) end
  return removedots((base.path:match("^.*/") or "/") .. path)
end

--- A line of a peer's without blanks at both ends. It may be long: a pattern that tries every end for every blank takes
-- seconds.
-- @tparam string line
-- @treturn string
function M.trim(line) return line:match("^.*%S", (line:find("%S"))) or "" end

--- Resolves a reference, RFC 3986 section 5.2. What a URL cannot hold, such as a blank, is escaped.
-- @tparam string base an absolute URL
-- @tparam string reference
-- @treturn string an absolute URL
function M.resolve(base, reference)
  reference = M.trim(reference):gsub("[^\33-\126]", function(c) return ("%%%02X"):format(c:byte()) end)
  local b, r = split(base), split(reference)
  if r.scheme then return reference end
  r.scheme = b.scheme
  if not r.authority then
    r.authority = b.authority
    if r.path == "" then
      r.path, r.query = b.path, r.query or b.query
    else
      r.path = merge(b, r.path)
    end
  end
  return join(r)
end

--- The scheme of a URL.
-- @tparam string uri
-- @treturn string|nil in lower case; nil if it has none
function M.scheme(uri) return split(uri).scheme end

local function unescape(text)
  return text and (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- user:password@host:port; an IPv6 address in brackets. A host that cannot be is left to badhost.
local function authority(text)
  local a = {}
  local userinfo, rest = text:match("^([^@]*)@(.*)$")
  if userinfo then
    local user, password = userinfo:match("^(.-):(.*)$")
    a.user, a.password = unescape(user or userinfo), unescape(password)
  end
  rest = rest or text
  a.host, a.port = rest:match("^(.*):([^:%]]*)$")
  a.host = a.host or rest
  if a.port == "" then a.port = nil end
  if a.host:find(":", 1, true) then
    a.host = a.host:match("^%[([%x:.]+)%]$") or "[" .. rest:gsub("^%[", "") -- which no host has
  end
  return a
end

local function badhost(host)
  return type(host) ~= "string" or host == "" or host:find("[%c%s\"<>\\^`{|}/?#@%[%]%%]") or
    (host:find(":", 1, true) and not host:find("^[%x:.]+$"))
end

--- Takes a URL apart into what a connection needs.
-- @tparam string uri
-- @tparam number port when the URL has none
-- @tparam[opt] table explicit fields that override the URL's: host, port, user, password
-- @treturn[1] table host (an IPv6 address without brackets), port (a number), path, and, where there, scheme, query,
-- user and password (unescaped)
-- @treturn[2] nil
-- @treturn[2] string what is wrong
function M.parse(uri, port, explicit)
  explicit = explicit or {}
  if uri:find("%c") then return nil, "the URL has a line end or another control character in it" end
  local parts = split(uri)
  local a = authority(parts.authority or "")
  a.scheme, a.path, a.query = parts.scheme, parts.path, parts.query
  for _, name in ipairs { "host", "port", "user", "password" } do a[name] = explicit[name] or a[name] end
  if a.host == "" then a.host = nil end
  if type(a.host) == "string" and a.host:find("@", 1, true) then -- what is before it may belong to a password
    return nil, "invalid host (an @ in a user or password is written %40)"
  end
  if a.host == nil then return nil, "the URL names no host" end
  if badhost(a.host) then return nil, "invalid host '" .. tostring(a.host) .. "'" end
  local number = tonumber(a.port or port)
  if not number or number % 1 ~= 0 or number < 1 or number > 65535 or
    type(a.port) == "string" and a.port:find("%D") then -- tonumber reads "0x50", too, and "4e2"
    return nil, "invalid port '" .. tostring(a.port or port) .. "'"
  end
  a.port = math.floor(number)
  return a
end

--- host:port as HTTP writes it, RFC 9110 section 7.2.
-- @tparam string host an IPv6 address without brackets gets them
-- @tparam number port
-- @tparam[opt] number default the port that is left out
-- @treturn string
function M.hostport(host, port, default)
  if host:find(":", 1, true) then host = "[" .. host .. "]" end
  if port == default then return host end
  return ("%s:%d"):format(host, port)
end

return M
