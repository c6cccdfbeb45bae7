---@meta ssl.config
-- Made by `make reference` from the comments of the sources: change those.

---@type ssl.Config
local M = {}

return M
