---@meta mbedtls.ssl
-- Made by `make reference` from the comments of the sources: change those.

---@class module.mbedtls.ssl
local M = {}

---ssl.cookie and ssl.checkcookie.
---@param peerid string
---@param cookie string
---@return boolean
function M.checkcookie(peerid, cookie) end

---ssl.cookie and ssl.checkcookie.
---@param peerid string
---@return string|nil cookie
---@return string|nil message
---@return ssl.Detail|nil detail
function M.getcookie(peerid) end

---A configuration. What follows the mode is, each of them or nil: with `require "mbedtls".ssl` the CA certificates, the certificate, its key, all in PEM or names of files, a PSK identity and the key in hexadecimal digits; with `require "mbedtls.ssl"` a file of CA certificates and one with certificate and key. A server without a certificate and a PSK makes one of its own. With CA certificates peers are verified. It raises whatever is wrong.
---@param mode "tls-client"|"tls-server"|"dtls-client"|"dtls-server"
---@param ... string|nil
---@return mbedtls.Config config
function M.newconfig(mode, ...) end

---A connection that carries its bytes by two functions: read(ref, n) answers up to n bytes, "" for none at the moment; write(ref, data) answers how many bytes it took. Without ref they are called without it. Both may yield.
---@param config mbedtls.Config
---@param read function
---@param write function
---@param ref? any
---@return mbedtls.Context context
function M.newcontext(config, read, write, ref) end

---@class mbedtls.Context
local Context = {}

---Sends close_notify.
---@return true|nil
---@return string|nil message
function Context:close() end

---Sends close_notify.
---@return true|nil
---@return string|nil message
function Context:closenotify() end

---DTLS: seconds until the last flight is to be sent again by a call; nil when no timer runs.
---@return number|nil seconds
function Context:gettimeout() end

---Shakes hands. "want-read" or "want-write", here and below: the function answered "" or took nothing; call again. A server of DTLS answers "hello verification required" when it has asked for a cookie.
---@return true|nil
---@return string|nil message
function Context:handshake() end

---Up to size bytes, after the handshake, which it does first where it is to be done. "close-notify" at the end of the stream; "closed" with `require "mbedtls.ssl"`.
---@param size integer
---@return string|nil data
---@return string|nil message
function Context:read(size) end

---Makes the context new, for another connection.
function Context:reset() end

---Other functions in place of newcontext's.
---@param read function
---@param write function
---@param ref? any
function Context:setbio(read, write, ref) end

---The server's name: sent as SNI, and verified with CA certificates; nil: none.
---@param name string|nil
function Context:sethostname(name) end

---What tells a client of a DTLS server apart, such as address and port.
---@param id string|number
function Context:setpeerid(id) end

---Sends len bytes of data from pos on, a record at the most; answers how many were sent.
---@param data string
---@param pos? integer
---@param len? integer
---@return integer|nil sent
---@return string|nil message
function Context:write(data, pos, len) end

---What newconfig returns.
---@class mbedtls.Config

return M
