---@meta mbedtls
-- Made by `make reference` from the comments of the sources: change those.

---@class module.mbedtls
---@field _NAME string The name and the release of lua-mbedtls that it follows.
---@field _VERSION string The name and the release of lua-mbedtls that it follows.
---@field ssl table The SSL module.
local M = {}

return M
