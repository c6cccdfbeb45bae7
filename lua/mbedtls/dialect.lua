--- The functions that the two dialects of lua-mbedtls' SSL module have in common.
-- @module mbedtls.dialect

local ssl = require "ssl"
local config = require "mbedtls.config"
local context = require "mbedtls.context"

local M = {}

--- The module of a dialect.
-- @tparam table dialect closed: the word for the peer's close_notify; newconfig(config, ...)
-- @treturn table
function M.new(dialect)
  return {
    newconfig = function(...) return dialect.newconfig(config, ...) end,
    newcontext = function(cfg, rcb, wcb, ref) return context.new(cfg, rcb, wcb, ref, dialect.closed) end,
    getcookie = ssl.cookie,
    checkcookie = ssl.checkcookie,
  }
end

return M
