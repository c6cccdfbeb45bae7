--- lua-mbedtls' entry point. Its member ssl takes PEM text, keys of their own, pre-shared keys, and says
-- "close-notify". Runs programs written for it; its modules for hashes and base64 are not here.
-- @module mbedtls

--- mbedtls._NAME: string
--- mbedtls._VERSION: string
-- The name and the release of lua-mbedtls that it follows.
--- mbedtls.ssl: table
-- The SSL module.
return {
  _NAME = "lua-mbedtls",
  _VERSION = "0.2.2",
  ssl = require("mbedtls.dialect").new {
    closed = "close-notify",
    newconfig = function(config, ...) return config.new(...) end,
  },
}
