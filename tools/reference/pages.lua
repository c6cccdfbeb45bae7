-- What the reference is made of: its pages, the objects on them, and since when a name exists. The names themselves
-- come from the comments of the sources.

local M = {}

--- The pages in their order. sections: what begins with a prefix, under a title; class is the editor's name for the
-- object, module the one that require loads. tables: the tables described on the page. inner: what a module has for its
-- neighbours' use, and no program's.
M.pages = {
  { file = "ssl", title = "The module ssl",
    text = [[`local ssl = require "ssl"`. Connections, contexts and what they are made of.]],
    sections = { { prefix = "ssl.", module = "ssl" }, { prefix = "ssl.x509.", module = "ssl.x509",
      title = "The module ssl.x509", inner = { "selfsigned" } } },
    tables = { "ssl.Detail", "ssl.SelfSigned" } },
  { file = "connection", title = "Connections",
    text = "What `ssl.wrap`, `ssl.connect` and `ssl.engine` return: `conn`. Every method answers in every state; " ..
      "after `close` what needs a connection fails with \"closed\". The collector closes a connection that is " ..
      "dropped, and so does Lua 5.4's `local conn <close>`.",
    sections = { { prefix = "conn:", class = "ssl.Connection" } }, tables = { "ssl.Info", "ssl.OcspStatus" } },
  { file = "context", title = "Contexts",
    text = "What `ssl.newcontext` returns: `ctx`, the settings of many connections, read once. The table that it " ..
      "was made from is described under [settings](settings.md).",
    sections = { { prefix = "ctx:", class = "ssl.Context" } }, tables = { "ssl.Stats", "ssl.TicketKey" } },
  { file = "certificate", title = "Certificates",
    text = "What `ssl.loadcertificate`, `conn:getpeercertificate` and their relatives return: `cert`.",
    sections = { { prefix = "cert:", class = "ssl.Certificate" } }, tables = { "ssl.NamePart" } },
  { file = "session", title = "Sessions", text = "What `conn:getsession` and `ssl.loadsession` return: `session`.",
    sections = { { prefix = "session:", class = "ssl.Session" } }, tables = {} },
  { file = "config", title = "The module ssl.config",
    text = "`ssl.config`, or `require \"ssl.config\"`, is a table:", sections = {},
    tables = { "ssl.Config", "ssl.GroupInfo" } },
  { file = "https", title = "The module ssl.https",
    text = "`local https = require \"ssl.https\"`: HTTPS with the interface of LuaSocket's `socket.http`. The " ..
      "server and its name are verified unless the request or the program says otherwise.",
    sections = { { prefix = "https.", module = "ssl.https" } }, tables = { "ssl.https.Request" } },
  { file = "libtls", title = "The modules libtls and libtls.config",
    text = "They run programs written for lua-libtls; [what differs](../libtls.md). `config` is what " ..
      "`libtls.config.new` returns, `tls` what `libtls.client`, `libtls.server` and `tls:accept_fds` do.",
    sections = { { prefix = "libtls.", module = "libtls" },
      { prefix = "libtls.config.", module = "libtls.config", title = "The module libtls.config",
        inner = { "check", "has", "pem", "ticketkeys" } },
      { prefix = "config:", class = "libtls.Config", title = "Configurations" },
      { prefix = "tls:", class = "libtls.Context", title = "Contexts and connections" } }, tables = {} },
  { file = "mbedtls", title = "The modules mbedtls and mbedtls.ssl",
    text = "They run programs written for lua-mbedtls: `require \"mbedtls\".ssl` as of its release 0.2, `require " ..
      "\"mbedtls.ssl\"` as of 0.1. `mbed` is what `newcontext` returns.",
    sections = { { prefix = "mbedtls.", module = "mbedtls" }, { prefix = "mbedtls.ssl.", module = "mbedtls.ssl" },
      { prefix = "mbed:", class = "mbedtls.Context", title = "Contexts" } }, tables = {} },
}

--- Objects that have no methods.
M.opaque = { ["mbedtls.Config"] = "What newconfig returns." }

local function set(names)
  local t = {}
  for name in names:gmatch("%S+") do t[name] = true end
  return t
end

--- What LuaSec 1.3 has, by section.
M.luasec = {
  ["ssl."] = set "_COPYRIGHT _VERSION config loadcertificate newcontext wrap",
  ["ssl.x509."] = set "load",
  ["ctx:"] = set "setverifyext",
  ["conn:"] = set [[close dirty dohandshake exportkeyingmaterial getalpn getfd getfinished getlocalcertificate
    getlocalchain getpeercertificate getpeerchain getpeerfinished getpeerverification getsniname getstats info receive
    send setdane setstats settimeout settlsa sni want]],
  ["cert:"] = set [[digest extensions getsignaturename issued issuer notafter notbefore pem pubkey serial setencode
    subject validat]],
  ["https."] = set "PORT TIMEOUT _COPYRIGHT _VERSION request tcp",
  settings = set [[alpn cafile capath certificate certificates ciphers ciphersuites curve curveslist dane depth dhparam
    key mode options password protocol psk verify verifyext]],
}

--- Since when there is what LuaSec has not.
M.first = "1.4.0"

--- The entries of a section, in the order of their names; of modules functions behind values.
function M.entries(found, section)
  local list = {}
  for _, entry in ipairs(found) do
    local rest = entry.name:sub(1, #section.prefix) == section.prefix and entry.name:sub(#section.prefix + 1)
    if rest and entry.kind ~= "table" and not rest:find("[.:]") then
      entry.short = rest
      entry.since = (M.luasec[section.prefix] or {})[rest] and "LuaSec" or M.first
      list[#list + 1] = entry
    end
  end
  table.sort(list, function(a, b) return a.short < b.short end)
  return list
end

--- The description of a table.
function M.table(found, name)
  for _, entry in ipairs(found) do
    if entry.kind == "table" and entry.name == name then return entry end
  end
  error("no comment describes the table " .. name)
end

return M
