-- A Prosody plugin for the tests: SCRAM bound to the TLS channel by all types that the connection has. Prosody 0.12
-- itself knows tls-unique alone, which TLS 1.3 has not; later ones know the others. Does nothing on a library without
-- getchannelbinding.

-- luacheck: ignore 143/module
local types = { "tls-exporter", "tls-server-end-point" };

-- After mod_saslauth, which makes the handler.
module:hook("stream-features", function (event)
  local origin = event.origin;
  local sasl = origin.sasl_handler;
  if not origin.encrypted or not sasl or not sasl.userdata then return; end
  local socket = origin.conn:socket();
  if not socket.getchannelbinding then return; end
  for _, kind in ipairs(types) do
    sasl:add_cb_handler(kind, function (self) return self.userdata["tls-unique"]:getchannelbinding(kind); end);
  end
  module:log("debug", "Channel bindings beyond tls-unique supported on %s", socket:info("protocol"));
end, -1);
