-- A Prosody plugin for the tests: no name is looked up in the real DNS. It takes the place of Prosody's
-- asynchronous resolver, below its service resolver, so that Prosody's own SRV handling and connecting run
-- unchanged. The setting
--   loopback_dns = { ["two.test"] = 15269 }
-- answers SRV _xmpp-server._tcp.two.test with that port, and A two.test with 127.0.0.1. Everything else has
-- no records.

-- luacheck: ignore 143/module
module:set_global();

local adns = require "net.adns";
local ports = module:get_option("loopback_dns", {});

local function srv(name)
  local host = name:match("^_xmpp%-server%._tcp%.(.+)$");
  if not ports[host] then return {}; end
  return { { srv = { target = host, port = ports[host], priority = 0, weight = 0 } } };
end

local function a(name)
  return ports[name] and { { a = "127.0.0.1" } } or {};
end

local resolver = {};
resolver.__index = resolver;

function resolver:lookup(callback, name, kind) -- luacheck: ignore 212/self
  module:log("debug", "loopback lookup of %s %s", kind, name);
  if kind == "SRV" then callback(srv(name));
  elseif kind == "A" then callback(a(name));
  else callback({}); end
end

adns.resolver = function () return setmetatable({}, resolver); end
