---@meta libtls.config
-- Made by `make reference` from the comments of the sources: change those.

---@class module.libtls.config
local M = {}

---The file with the certificates of authorities that OpenSSL was built to look at, whether it exists or not. X509_get_default_cert_file(3).
---@return string path
function M.default_ca_cert_file() end

---Reads a file into a string; with a password the private key in it comes out without encryption, as PKCS#8.
---@param path string
---@param password? string
---@return string|nil data
---@return string|nil message
function M.load_file(path, password) end

---Makes a configuration: certificate, name and time are verified; TLS 1.2 and 1.3.
---@return libtls.Config|nil config
---@return string|nil message
function M.new() end

---Reads a list of protocol names with commas or colons, tlsv1.0 to tlsv1.3, tlsv1, all, legacy, default, secure; "!" in front of one takes it away. Answers the sum of their constants.
---@param list string
---@return integer|-1 protocols
---@return string|nil message
function M.parse_protocols(list) end

return M
