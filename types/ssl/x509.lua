---@meta ssl.x509
-- Made by `make reference` from the comments of the sources: change those.

---@class module.ssl.x509
local M = {}

---Reads the first certificate in the text. ssl.loadcertificate is the same function.
---@param pem string
---@return ssl.Certificate|nil certificate
---@return string|nil message
---@return ssl.Detail|nil detail
function M.load(pem) end

return M
