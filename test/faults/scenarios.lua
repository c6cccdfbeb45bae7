-- What the fault driver tries: lives of connections on engines, each a scenario; `others` has those of other kinds.
-- Trust is the point of the last ones: what a fault hits may fail, but never let somebody in.

package.path = "test/faults/?.lua;lua/?.lua;test/?.lua;" .. package.path

local H = require "harness"
local ssl = require "ssl"
local cert = H.cert
H.ssl = ssl

local function with(cfg, extra)
  for k, v in pairs(extra or {}) do cfg[k] = v end
  return cfg
end

local function client(extra)
  local cfg = { mode = "client", protocol = "any", verify = "peer", cafile = cert "rootA", servername = "localhost" }
  return with(cfg, extra)
end

local function server(extra)
  return with({ mode = "server", protocol = "any", certificate = cert "serverA", key = cert "serverAkey" }, extra)
end
H.client, H.server = client, server

local function contexts(ccfg, scfg)
  return function() return { c = assert(ssl.newcontext(ccfg)), s = assert(ssl.newcontext(scfg)) } end
end

local data = ("0123456789abcdef"):rep(1300) -- more than a record
local versions = { "tlsv1_3", "tlsv1_2" }

local function verified(conn)
  H.hold(H.look(conn, "getpeerverification") == true, "connected, but not verified")
end

-- Handshake, data both ways, the end; the pair.
local function life(t, look)
  local c, s = H.engine(t.c), H.engine(t.s)
  H.shake(c, s)
  if look then look(c, s) end
  H.transfer(c, s, data)
  H.transfer(s, c, "answer\n")
  H.bye(c, s)
end

for _, version in ipairs(versions) do
  H.scenario { name = version, setup = contexts(client { protocol = version }, server()), run = function(t)
    life(t, verified)
  end }
end

-- ---- every callback

local psk = ("k"):rep(32)

local function ocspresponse()
  return require("ocspkit").respond { cert = "serverA" }
end

-- A context whose every function is a Lua function; some of them need TLS 1.2 or a context of its own.
local function talkative(version)
  local kept, lines = {}, 0
  local response = ocspresponse()
  local inner = assert(ssl.newcontext(server { alpn = function() return "b" end, protocol = version,
    sessions = { get = function(id) return kept[id] end, set = function(id, text) kept[id] = text end,
      remove = function(id) kept[id] = nil end } }))
  local scfg = server { protocol = version, alpn = function(list) return list[#list] end,
    keylog = function() lines = lines + 1 end,
    sni = function(name) return name == "localhost" and inner or nil end, ocsp = function() return response end,
    verify = { "peer", "fail_if_no_peer_cert" }, cafile = cert "rootA",
    sessions = { get = function(id) return kept[id] end, set = function(id, text) kept[id] = text end,
      remove = function(id) kept[id] = nil end } }
  local ccfg = client { protocol = version, alpn = { "a", "b" }, ocsp = "request", certificate = cert "clientA",
    key = cert "clientAkey", keylog = function() lines = lines + 1 end, alpnstrict = true }
  return { c = assert(ssl.newcontext(ccfg)), s = assert(ssl.newcontext(scfg)) }
end

for _, version in ipairs(versions) do
  H.scenario { name = "callbacks-" .. version, setup = function() return talkative(version) end, run = function(t)
    life(t, function(c)
      verified(c)
      H.hold(H.look(c, "getalpn") == "b", "connected without the protocol")
      H.look(c, "getocsp")
    end)
  end }
  H.scenario { name = "staple-" .. version, setup = function()
    local response = ocspresponse()
    return { c = assert(ssl.newcontext(client { protocol = version, ocsp = "require" })),
      s = assert(ssl.newcontext(server { ocsp = function() return response end })) }
  end, run = function(t) life(t, verified) end }
  H.scenario { name = "mutual-" .. version, setup = contexts(
    client { protocol = version, certificate = cert "clientA", key = cert "clientAkey" },
    server { verify = { "peer", "fail_if_no_peer_cert" }, cafile = cert "rootA" }),
  run = function(t)
    life(t, function(c, s)
      verified(c)
      verified(s)
      local certificate = H.must(H.ask(s, "getpeercertificate"))
      H.look(certificate, "subject")
      H.look(c, "getpeerchain")
      H.look(c, "info")
    end)
  end }
  H.scenario { name = "psk-" .. version, setup = contexts(
    { mode = "client", protocol = version, ciphers = "PSK", psk = function() return "me", psk end },
    { mode = "server", protocol = version, ciphers = "PSK", psk = function(id) return id == "me" and psk end }),
  run = function(t) life(t) end }
  H.scenario { name = "fixedpsk-" .. version, setup = contexts(
    { mode = "client", protocol = version, psk = { identity = "me", key = psk } },
    { mode = "server", protocol = version, psk = { identity = "me", key = psk } }),
  run = function(t)
    life(t, function(_, s) H.hold(H.look(s, "getpskidentity") == "me", "connected without the identity") end)
  end }
  H.scenario { name = "resume-" .. version, setup = contexts(client { protocol = version },
    server { ticketkeys = { { name = ("n"):rep(16), aes = ("a"):rep(32), hmac = ("h"):rep(32) } } }),
  run = function(t)
    local c, s = H.engine(t.c), H.engine(t.s)
    H.shake(c, s)
    H.transfer(s, c, "answer\n")
    local session = H.must(H.ask(c, "getsession"))
    local text = H.must(H.ask(session, "export"))
    local again = H.must(H.call("loadsession", ssl.loadsession, text))
    c, s = H.engine(t.c), H.engine(t.s)
    H.must(H.ask(c, "setsession", again))
    H.shake(c, s)
    verified(c)
    H.transfer(c, s, data)
  end }
  H.scenario { name = "cache-" .. version, setup = contexts(client { protocol = version, sessions = true }, server()),
    run = function(t)
      for _ = 1, 2 do
        local c, s = H.engine(t.c), H.engine(t.s)
        H.shake(c, s)
        verified(c)
        H.transfer(s, c, "answer\n")
        H.bye(c, s)
      end
    end }
  local both = contexts(client { protocol = version }, server())
  H.scenario { name = "receive-" .. version, setup = both, run = function(t)
    local c, s = H.engine(t.c), H.engine(t.s)
    H.shake(c, s)
    H.must(H.ask(s, "send", "one\r\ntwo\n" .. data))
    if version == "tlsv1_3" then H.must(H.ask(s, "keyupdate")) end
    H.must(H.ask(s, "write", "rest"))
    H.ask(s, "shutdown")
    H.carry(s, c)
    H.hold(H.must(H.ask(c, "receive", "*l")) == "one", "another line came")
    H.hold(H.must(H.ask(c, "receive", "*l", "prefix")) == "prefixtwo", "another line came")
    H.hold(H.must(H.ask(c, "receive", 100)) == data:sub(1, 100), "other bytes came")
    H.hold(H.must(H.ask(c, "read", 5)) == data:sub(101, 105), "other bytes came")
    H.hold(H.must(H.ask(c, "receive", "*a")) == data:sub(106) .. "rest", "other bytes came at the end")
    H.must(H.ask(c, "getchannelbinding", "tls-exporter"))
    H.must(H.ask(c, "exportkeyingmaterial", "EXPERIMENTAL", 32))
  end }
end

-- ---- who must not get in, whatever fails

-- Handshakes; the scenario went well when one side refused, and none may be let in: `who` is the side that must refuse.
local function refused(t, who)
  local c, s = H.engine(t.c), H.engine(t.s)
  local conn, other = who == "server" and s or c, who == "server" and c or s
  for _ = 1, 12 do
    H.ask(other, "dohandshake")
    H.carry(other, conn)
    local ok, message = H.ask(conn, "dohandshake")
    if ok then H.violated("somebody was let in") end
    if not H.wants(message) then
      H.hold(H.look(conn, "getpeerverification") ~= true or t.unverified, "refused, and yet verified")
      return
    end
    H.carry(conn, other)
  end
  H.stop("nobody refused")
end

for _, version in ipairs(versions) do
  local plain = { wrongname = { client { servername = "wrong.test", protocol = version }, server() },
    wrongaddress = { client { verifyname = "192.0.2.1", protocol = version }, server() },
    wrongca = { client { cafile = cert "rootB", protocol = version }, server() },
    expired = { client { protocol = version }, server { certificate = cert "expired", key = cert "expiredkey" } },
    revoked = { client { protocol = version, crlfile = cert "crlA" },
      server { certificate = cert "revoked", key = cert "revokedkey" } },
    notrequested = { client { protocol = version },
      server { verify = { "peer", "fail_if_no_peer_cert" }, cafile = cert "rootA" }, "server" },
    strangers = { client { protocol = version, certificate = cert "clientB", key = cert "clientBkey" },
      server { verify = { "peer", "fail_if_no_peer_cert" }, cafile = cert "rootA" }, "server" } }
  for _, name in ipairs { "wrongname", "wrongaddress", "wrongca", "expired", "revoked", "notrequested", "strangers" } do
    local t = plain[name]
    H.scenario { name = name .. "-" .. version, setup = contexts(t[1], t[2]), run = function(pair)
      refused(pair, t[3])
    end }
  end
end

-- The certificate is good and the stapled response says that it is revoked.
H.scenario { name = "stapled-revoked", setup = function()
  local response = require("ocspkit").respond { cert = "revoked" }
  local t = contexts(client { ocsp = "require" },
    server { certificate = cert "revoked", key = cert "revokedkey", ocsp = function() return response end })()
  t.unverified = true
  return t
end, run = refused }

require "others"

return H.list
