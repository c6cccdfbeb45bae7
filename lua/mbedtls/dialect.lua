--- The functions that the two dialects of lua-mbedtls' SSL module have in common.
-- @module mbedtls.dialect

local ssl = require "ssl"
local config = require "mbedtls.config"
local context = require "mbedtls.context"

local M = {}

--- mbedtls.ssl.newconfig(mode: "tls-client"|"tls-server"|"dtls-client"|"dtls-server", ...: string|nil) ->
--   config: mbedtls.Config
-- A configuration. What follows the mode is, each of them or nil: with `require "mbedtls".ssl` the CA certificates, the
-- certificate, its key, all in PEM or names of files, a PSK identity and the key in hexadecimal digits; with
-- `require "mbedtls.ssl"` a file of CA certificates and one with certificate and key. A server without a certificate
-- and a PSK makes one of its own. With CA certificates peers are verified. It raises whatever is wrong.
--- mbedtls.ssl.newcontext(config: mbedtls.Config, read: function, write: function [, ref: any]) ->
--   context: mbedtls.Context
-- A connection that carries its bytes by two functions: read(ref, n) answers up to n bytes, "" for none at the moment;
-- write(ref, data) answers how many bytes it took. Without ref they are called without it. Both may yield.
--- mbedtls.ssl.getcookie(peerid: string) -> cookie: string | nil, message, detail
--- mbedtls.ssl.checkcookie(peerid: string, cookie: string) -> boolean
-- ssl.cookie and ssl.checkcookie.

-- The module of a dialect. dialect.closed: the word for the peer's close_notify; dialect.newconfig(config, ...).
function M.new(dialect)
  return {
    newconfig = function(...) return dialect.newconfig(config, ...) end,
    newcontext = function(cfg, rcb, wcb, ref) return context.new(cfg, rcb, wcb, ref, dialect.closed) end,
    getcookie = ssl.cookie,
    checkcookie = ssl.checkcookie,
  }
end

return M
