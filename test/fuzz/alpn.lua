-- What the fuzzer does with ALPN and server names: lists of Lua and their form on the wire, what functions answer,
-- and ClientHellos made by hand whose extensions are the fuzzer's. A list must arrive as it was given, a malformed
-- one must reach no function, and both ends must agree on what was chosen.

local ssl = require "ssl"
local context = require "ssl.context"
local kit = require "fuzzkit"

local psk = { identity = "me", key = ("k"):rep(32) }
local certificate, key = assert(ssl.selfsigned { key = "ec" })

local function same(a, b)
  if #a ~= #b then return false end
  for i = 1, #a do
    if a[i] ~= b[i] then return false end
  end
  return true
end

-- ---- the wire, RFC 7301 section 3.1 and RFC 6066 section 3, by rules of our own

-- The strings of a sequence with lengths of `size` bytes; nil when it is malformed.
local function unpackwire(wire)
  local list, at = {}, 1
  while at <= #wire do
    local n = wire:byte(at)
    if n == 0 or at + n > #wire then return nil end
    list[#list + 1] = wire:sub(at + 1, at + n)
    at = at + n + 1
  end
  return list
end

local function packwire(list)
  local parts = {}
  for i, name in ipairs(list) do parts[i] = string.char(#name) .. name end
  return table.concat(parts)
end

local function short(s) return #s < 2 and 0 or s:byte() * 256 + s:byte(2) end

-- What an extension's body offers; nil when it is malformed.
local function offeredby(body)
  if #body < 4 or short(body) ~= #body - 2 then return nil end
  return unpackwire(body:sub(3))
end

local function nameof(body)
  if #body < 5 or short(body) ~= #body - 2 or body:byte(3) ~= 0 or short(body:sub(4)) ~= #body - 5 then return nil end
  local name = body:sub(6)
  if #name > 255 or name:find("\0", 1, true) then return nil end
  return name
end

-- ---- lists as programs give them

-- Members may be of any length, and a few are no strings at all.
local function list(input)
  local made = {}
  for i = 1, input:byte() % 40 do
    local kind = input:byte()
    if kind < 200 then made[i] = input:string(kind % 24)
    elseif kind < 240 then made[i] = ("n"):rep(input:short() % 300)
    else made[i] = input:one { 5, true, {}, print, "" } end
  end
  if input:byte() == 255 then -- more than there is room for
    for i = #made + 1, 300 do made[i] = ("m"):rep(255) end
  end
  return made
end

-- The length on the wire; nil when a member cannot go there.
local function valid(names)
  local n = 0
  for _, name in ipairs(names) do
    if type(name) ~= "string" or name == "" or #name > 255 then return nil end
    n = n + #name + 1
  end
  return n > 0 and n or nil
end

local function chosen(wanted, offered)
  if not valid(wanted) then return nil end
  for _, name in ipairs(wanted) do
    for _, other in ipairs(offered) do
      if name == other then return name end
    end
  end
end

local function handshake(client, server)
  local c, s = assert(ssl.engine(client)), assert(ssl.engine(server))
  local cok, sok, message
  for _ = 1, 6 do
    cok, message = kit.shaped("dohandshake", c:dohandshake())
    s:feed(c)
    sok = kit.shaped("dohandshake", s:dohandshake())
    c:feed(s)
    if cok and sok then break end
  end
  return cok and sok, c, s, message
end

local function settings(mode, alpn)
  return { mode = mode, protocol = "tlsv1_3", psk = psk, verify = "none", alpn = alpn }
end

local function agree(client, offered, answer)
  local seen
  local sctx = assert(ssl.newcontext(settings("server", function(names)
    seen = names
    collectgarbage "step"
    return answer()
  end)))
  local ok, c, s = handshake(client, sctx)
  if not ok then return end
  assert(seen and same(seen, offered), "the list is not what was offered")
  assert(c:getalpn() == s:getalpn(), "client and server do not agree")
  return true, c:getalpn()
end

-- ---- what an input may be

local function lists(input)
  local offered, wanted = list(input), list(input)
  local size = valid(offered)
  local client, message, detail = ssl.newcontext(settings("client", offered))
  assert((client ~= nil) == (size ~= nil and size <= 65535), "a list of " .. tostring(size) .. " bytes")
  if not client then return kit.failure("newcontext", message, detail) end
  local server = ssl.newcontext(settings("server", wanted))
  assert((server ~= nil) == (valid(wanted) ~= nil), "a server's list")
  local form = input:byte() % 3
  local answer = form == 0 and wanted or form == 1 and wanted[1] or input:one { 5, true, print, "", { {} } }
  local ok, name = agree(client, offered, function() return answer end)
  if ok and type(answer) ~= "number" then
    local expect = type(answer) == "table" and answer or { answer }
    assert(name == chosen(expect, offered), "chosen: " .. tostring(name))
  end
  if not server then return end
  local done, c, s = handshake(client, server)
  assert(not done or c:getalpn() == chosen(wanted, offered) and s:getalpn() == c:getalpn(), "by a list")
end

-- The C functions under the setting, with bytes as they come.
local function wires(input)
  local offered, answer = input:string(input:byte()), input:rest()
  local client = assert(ssl.newcontext(settings("client")))
  local ok, message, detail = context.setalpn(client, offered)
  assert(ok == (unpackwire(offered) ~= nil), "setalpn")
  if not ok then return kit.failure("setalpn", message, detail) end
  local server, seen = assert(ssl.newcontext(settings("server"))), nil
  assert(context.setalpncb(server, function(wire)
    seen = wire
    return answer
  end))
  local done, c, s = handshake(client, server)
  assert(done, "the handshake fails by a list of protocols")
  assert(seen == offered or offered == "" and seen == nil, "setalpncb: another wire")
  local name = s:getalpn()
  assert(name == c:getalpn())
  local expect = unpackwire(answer)
  assert(name == (expect and chosen(expect, unpackwire(offered))), "by wire: " .. tostring(name))
end

local saw
local byhand = assert(ssl.newcontext {
  mode = "server", protocol = "tlsv1_2", certificate = certificate, key = key,
  alpn = function(names)
    saw.alpn = names
    return saw.answer
  end,
  sni = function(name) saw.name = name end,
})

local function vector(s) return string.char(math.floor(#s / 256), #s % 256) .. s end
local function extension(n, body) return string.char(0, n) .. vector(body) end

local function hello(sni, alpn)
  local extensions = extension(10, "\0\2\0\23") .. extension(11, "\1\0") .. extension(13, "\0\2\4\3") ..
    (sni and extension(0, sni) or "") .. (alpn and extension(16, alpn) or "")
  local body = "\3\3" .. ("r"):rep(32) .. "\0" .. vector "\192\43\192\44" .. "\1\0" .. vector(extensions)
  return "\22\3\1" .. vector("\1\0" .. vector(body))
end

-- An extension's body: well-formed or nearly so, or just bytes.
local function body(input, frame)
  local bytes = input:string(input:byte())
  local way = input:byte() % 4
  if way == 0 then return nil end
  return way == 1 and bytes or frame(bytes)
end

local function hellos(input)
  local sni = body(input, function(name) return vector("\0" .. vector(name)) end)
  local alpn = body(input, function(bytes) return vector(bytes) end)
  saw = { answer = input:rest() }
  local server = assert(ssl.engine(byhand))
  assert(server:feed(hello(sni, alpn)))
  local _, message = kit.shaped("dohandshake", server:dohandshake())
  local name, offered = sni and nameof(sni), alpn and offeredby(alpn)
  assert(saw.alpn == nil or offered and same(saw.alpn, offered), "a function got another list")
  assert(saw.name == nil or saw.name == name, "a function got another name")
  if (sni == nil or name) and (alpn == nil or offered) then
    assert(message == "wantread", "a good hello is refused: " .. tostring(message))
    assert((server:getsniname() or "") == (name or ""), "another name")
    assert(alpn == nil or saw.alpn, "the function was not asked")
  end
  server:close()
end

local ways = { lists, wires, hellos }

local function run(bytes)
  local input = kit.input(bytes)
  ways[input:byte() % #ways + 1](input)
end

local function seeds()
  local h2 = packwire { "h2", "http/1.1" }
  return {
    "\0\2\2h2\8http/1.1\0\2\2h2\8http/1.1\0\0", "\0\1\2h2\0\1\2h2\0\1", "\0\1\2h2\255\1\2h2\0\2\1", "\0\0\0\0\0",
    "\0\2\2h2\250\4\0\1\210\1\0\0\0", "\1" .. string.char(#h2) .. h2 .. h2, "\1\0", "\1\3\2h2\255", "\1\2\0\1",
    "\2\6a.test\2" .. string.char(#h2) .. h2 .. "\2h2", "\2\0\0" .. string.char(#h2) .. h2 .. "\2x",
    "\2\6a\0test\2\0\0", "\2\9\0\7\0\0\4name\1\7\0\5\4name\1", "\2\0\2\0\2",
  }
end

return kit.target { run = run, seeds = seeds, lines = true }
