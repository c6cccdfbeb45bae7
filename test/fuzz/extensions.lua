-- What the fuzzer does with extensions: the input is a list of DER values, which become the contents of the
-- extensions of a certificate made by hand, alternative names first. The table of extensions() must be well-
-- formed, and hold the names that stand in the DER, in their order and byte for byte; a host that is not among
-- them must never match.

local ssl = require "ssl"
local der = require "der"
local kit = require "fuzzkit"
local tlv = require "fuzztlv"

local SAN = "2.5.29.17"
local oids = { SAN, "1.3.6.1.5.5.7.1.1", SAN, "2.5.29.30", "1.3.6.1.5.5.7.1.24", "2.5.29.19", "2.5.29.15", "2.5.29.37",
  "2.5.29.18", "2.5.29.31" }

local function build(contents)
  local extensions = {}
  for i, content in ipairs(contents) do extensions[i] = der.extension(oids[(i - 1) % #oids + 1], content) end
  return der.pem(der.cert { extensions = extensions })
end

-- ---- the model

local fields = { [0x81] = "rfc822Name", [0x82] = "dNSName", [0x86] = "uniformResourceIdentifier" }

-- What extensions() says of one list of GeneralNames; nil where OpenSSL reads more than DER in it.
local function expected(node)
  local want = { rfc822Name = {}, dNSName = {}, uniformResourceIdentifier = {}, iPAddress = {} }
  if node.tag ~= 0x30 or node.content and node.content ~= "" then return nil end
  for _, name in ipairs(node.children or {}) do
    local list = want[fields[name.tag]]
    if name.children and name.tag < 0xa0 or name.tag >= 0xa1 and name.tag <= 0xa2 or name.tag == 0xa6
      or name.tag == 0xa7 then
      return nil
    end
    if list then list[#list + 1] = name.content end
    if name.tag == 0x87 and (#name.content == 4 or #name.content == 16) then table.insert(want.iPAddress, true) end
  end
  return want
end

local function compare(got, want)
  for kind, list in pairs(want) do
    local names = got[kind] or {}
    if #names ~= #list then error(("%d of kind %s instead of %d"):format(#names, kind, #list)) end
    for i, value in ipairs(list) do
      if value ~= true and names[i] ~= value then error(("%s %d is not what stands there"):format(kind, i)) end
    end
  end
end

-- ---- what must hold of the table

local function address(s) return s:find("^%d+%.%d+%.%d+%.%d+$") or s:find("^[%x:.]+$") and s:find(":", 1, true) end

local function checklist(kind, list)
  for key, value in pairs(list) do
    assert(type(value) == "string", kind .. " holds a " .. type(value))
    assert(type(key) == "number" and key <= #list or key == "name" and kind:find("^%d"), kind .. ": " .. tostring(key))
    if kind == "iPAddress" then assert(address(value), "no address: " .. value) end
  end
end

local known = { dNSName = true, rfc822Name = true, uniformResourceIdentifier = true, iPAddress = true }

local function wellformed(extensions, isutf8)
  for oid, extension in pairs(extensions) do
    assert(oid == SAN and extension.name == "X509v3 Subject Alternative Name", tostring(oid))
    for kind, list in pairs(extension) do
      if kind ~= "name" then
        assert(known[kind] or kind:find("^%d+[%d.]*$"), "kind of name: " .. kind)
        checklist(kind, list)
        for _, value in ipairs(isutf8 and rawget(_G, "utf8") and list or {}) do
          assert(utf8.len(value, 1, -1, true), "no UTF-8") -- luacheck: ignore 113
        end
      end
    end
  end
end

-- ---- hosts

local STRANGER = "never.made.invalid"

-- The names that match by themselves alone.
local function ordinary(name) return #name < 200 and name:find("^[a-z][a-z0-9]*%.[a-z][a-z0-9.]*[a-z]$") end

local function checkhosts(cert, bytes, names)
  if not bytes:lower():find("invalid", 1, true) then
    assert(not cert:checkhost(STRANGER), "a stranger is let in")
    assert(not ssl.checkhostname(cert, STRANGER))
  end
  assert(not cert:checkip("203.0.113.77") or bytes:find("\203\0\113\77", 1, true), "a stranger's address is let in")
  for i = 1, math.min(#names, 20) do
    if ordinary(names[i]) and not names[i]:find("..", 1, true) then
      assert(cert:checkhost(names[i]), "its own name does not match: " .. names[i])
    end
  end
end

-- ---- the target

local function run(bytes)
  local nodes = tlv.parse(bytes)
  local contents = {}
  for i, node in ipairs(nodes or {}) do contents[i] = tlv.write { node } end
  if not nodes then contents[1] = bytes end
  local cert = kit.shaped("loadcertificate", ssl.loadcertificate(build(contents)))
  if not cert then return end
  local found = cert:extensions()
  wellformed(found)
  local want = nodes and #nodes < 3 and nodes[1] and expected(nodes[1])
  if want and found[SAN] then compare(found[SAN], want) end
  -- Of two lists of names OpenSSL matches none.
  checkhosts(cert, bytes, #contents < 3 and found[SAN] and found[SAN].dNSName or {})
  cert:setencode "utf8"
  wellformed(cert:extensions(), true)
  local url = cert:ocspurl()
  assert(url == nil or type(url) == "string")
  kit.shaped("cadata", ssl.newcontext { mode = "client", protocol = "any", verify = "peer", cadata = cert:pem() })
end

local function mutate(bytes, max, seed, native) return tlv.mutate(bytes, max, kit.random(seed), native) end

local function seeds()
  local g, all = der.general, {}
  local list = {
    der.seq(g(2, "a.test"), g(2, "*.b.test"), g(1, "a@b.test"), g(6, "http://c.test/"), g(7, "\127\0\0\1"),
      g(7, ("\0"):rep(15) .. "\1"), g(8, "\85\29\17"), g(4, der.name { { "2.5.4.3", der.str("utf8", "d") } })),
    der.seq(der.other("1.3.6.1.5.5.7.8.5", der.str("utf8", "xmpp.test")), der.other("1.2.3", der.int "\5"),
      der.other("1.3.6.1.5.5.7.8.7", der.str("ia5", "_x.test"))),
    der.seq(g(2, "nul\0.test"), g(2, ""), g(2, "127.0.0.1"), g(7, "\1\2\3"), g(5, der.tlv(0xa1, der.str("utf8", "p")))),
    der.seq(der.seq(der.oid "1.3.6.1.5.5.7.48.1", g(6, "http://ocsp.test/"))),
    der.seq(der.tlv(0xa0, der.seq(g(2, "c.test")))), der.seq(der.int "\5"), der.seq(der.tlv(1, "\255")),
    der.tlv(3, "\5\160"), der.seq(der.oid "1.3.6.1.5.5.7.3.1"),
  }
  for i, bytes in ipairs(list) do all[i] = bytes end
  all[#all + 1] = table.concat(list)
  for kind in pairs(der.tags) do all[#all + 1] = der.seq(der.other("1.2.3.4", der.str(kind, "\0a\0b"))) end
  return all
end

return kit.target { run = run, mutate = mutate, seeds = seeds }
