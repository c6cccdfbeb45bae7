--- lua-mbedtls' SSL module as of its release 0.1: settings from files, "closed". Runs programs written for it.
-- @module mbedtls.ssl

return require("mbedtls.dialect").new {
  closed = "closed",
  newconfig = function(config, mode, cacert, cert) return config.new(mode, cacert, cert) end,
}
