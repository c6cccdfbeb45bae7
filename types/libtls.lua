---@meta libtls
-- Made by `make reference` from the comments of the sources: change those.

---@class module.libtls
---@field CRL_REASON_AA_COMPROMISE integer What peer_ocsp_crl_reason answers, RFC 5280 section 5.3.1: UNSPECIFIED, KEY_COMPROMISE and the others.
---@field CRL_REASON_AFFILIATION_CHANGED integer What peer_ocsp_crl_reason answers, RFC 5280 section 5.3.1: UNSPECIFIED, KEY_COMPROMISE and the others.
---@field CRL_REASON_CA_COMPROMISE integer What peer_ocsp_crl_reason answers, RFC 5280 section 5.3.1: UNSPECIFIED, KEY_COMPROMISE and the others.
---@field CRL_REASON_CERTIFICATE_HOLD integer What peer_ocsp_crl_reason answers, RFC 5280 section 5.3.1: UNSPECIFIED, KEY_COMPROMISE and the others.
---@field CRL_REASON_CESSATION_OF_OPERATION integer What peer_ocsp_crl_reason answers, RFC 5280 section 5.3.1: UNSPECIFIED, KEY_COMPROMISE and the others.
---@field CRL_REASON_KEY_COMPROMISE integer What peer_ocsp_crl_reason answers, RFC 5280 section 5.3.1: UNSPECIFIED, KEY_COMPROMISE and the others.
---@field CRL_REASON_PRIVILEGE_WITHDRAWN integer What peer_ocsp_crl_reason answers, RFC 5280 section 5.3.1: UNSPECIFIED, KEY_COMPROMISE and the others.
---@field CRL_REASON_REMOVE_FROM_CRL integer What peer_ocsp_crl_reason answers, RFC 5280 section 5.3.1: UNSPECIFIED, KEY_COMPROMISE and the others.
---@field CRL_REASON_SUPERSEDED integer What peer_ocsp_crl_reason answers, RFC 5280 section 5.3.1: UNSPECIFIED, KEY_COMPROMISE and the others.
---@field CRL_REASON_UNSPECIFIED integer What peer_ocsp_crl_reason answers, RFC 5280 section 5.3.1: UNSPECIFIED, KEY_COMPROMISE and the others.
---@field MAX_SESSION_ID_LENGTH integer Bytes: the longest session id, a ticket key.
---@field OCSP_CERT_GOOD integer What peer_ocsp_cert_status answers: GOOD, REVOKED, UNKNOWN.
---@field OCSP_CERT_REVOKED integer What peer_ocsp_cert_status answers: GOOD, REVOKED, UNKNOWN.
---@field OCSP_CERT_UNKNOWN integer What peer_ocsp_cert_status answers: GOOD, REVOKED, UNKNOWN.
---@field OCSP_RESPONSE_INTERNALERROR integer What peer_ocsp_response_status answers: SUCCESSFUL, MALFORMED, INTERNALERROR, TRYLATER, SIGREQUIRED, UNAUTHORIZED.
---@field OCSP_RESPONSE_MALFORMED integer What peer_ocsp_response_status answers: SUCCESSFUL, MALFORMED, INTERNALERROR, TRYLATER, SIGREQUIRED, UNAUTHORIZED.
---@field OCSP_RESPONSE_SIGREQUIRED integer What peer_ocsp_response_status answers: SUCCESSFUL, MALFORMED, INTERNALERROR, TRYLATER, SIGREQUIRED, UNAUTHORIZED.
---@field OCSP_RESPONSE_SUCCESSFUL integer What peer_ocsp_response_status answers: SUCCESSFUL, MALFORMED, INTERNALERROR, TRYLATER, SIGREQUIRED, UNAUTHORIZED.
---@field OCSP_RESPONSE_TRYLATER integer What peer_ocsp_response_status answers: SUCCESSFUL, MALFORMED, INTERNALERROR, TRYLATER, SIGREQUIRED, UNAUTHORIZED.
---@field OCSP_RESPONSE_UNAUTHORIZED integer What peer_ocsp_response_status answers: SUCCESSFUL, MALFORMED, INTERNALERROR, TRYLATER, SIGREQUIRED, UNAUTHORIZED.
---@field TICKET_KEY_SIZE integer Bytes: the longest session id, a ticket key.
---@field TLS_API integer The date of libtls' interface that this one follows.
---@field TLS_DEFAULT integer Versions for config:set_protocols; v1x is all four, DEFAULT the last two.
---@field TLS_v10 integer Versions for config:set_protocols; v1x is all four, DEFAULT the last two.
---@field TLS_v11 integer Versions for config:set_protocols; v1x is all four, DEFAULT the last two.
---@field TLS_v12 integer Versions for config:set_protocols; v1x is all four, DEFAULT the last two.
---@field TLS_v13 integer Versions for config:set_protocols; v1x is all four, DEFAULT the last two.
---@field TLS_v1x integer Versions for config:set_protocols; v1x is all four, DEFAULT the last two.
---@field WANT_POLLIN integer What handshake, read, write and close wait for: the descriptor to become readable, or writable.
---@field WANT_POLLOUT integer What handshake, read, write and close wait for: the descriptor to become readable, or writable.
local M = {}

---A client. Its configuration is looked at when it connects.
---@param config libtls.Config
---@return libtls.Context tls
function M.client(config) end

---A server, which accepts connections. Of what is set on its configuration later these count, for the connections that it accepts then: ticket keys, the session lifetime, the switches of verification, the main certificate's staple.
---@param config libtls.Config
---@return libtls.Context|nil tls
---@return string|nil message
function M.server(config) end

---@class libtls.Config
local Config = {}

---Certificate, key and OCSP response at once; add: a further pair, which a server chooses by the name asked for.
---@param cert string
---@param key string
---@param staple? string
---@return true|false
---@return string|nil message
function Config:add_keypair(cert, key, staple) end

---Certificate, key and OCSP response at once; add: a further pair, which a server chooses by the name asked for.
---@param cert string
---@param key string
---@param staple? string
---@return true|false
---@return string|nil message
function Config:add_keypair_file(cert, key, staple) end

---A key of 48 bytes for session tickets, by which new ones are encrypted from now on.
---@param revision integer
---@param key string
---@return true|false
---@return string|nil message
function Config:add_ticket_key(revision, key) end

---Lets go of the private keys.
function Config:clear_keys() end

---Switches: what is not verified; all of it again; that a server asks clients for certificates; whose order of ciphers counts; that a client demands a stapled OCSP response.
function Config:insecure_noverifycert() end

---Switches: what is not verified; all of it again; that a server asks clients for certificates; whose order of ciphers counts; that a client demands a stapled OCSP response.
function Config:insecure_noverifyname() end

---Switches: what is not verified; all of it again; that a server asks clients for certificates; whose order of ciphers counts; that a client demands a stapled OCSP response.
function Config:insecure_noverifytime() end

---Switches: what is not verified; all of it again; that a server asks clients for certificates; whose order of ciphers counts; that a client demands a stapled OCSP response.
function Config:ocsp_require_stapling() end

---Switches: what is not verified; all of it again; that a server asks clients for certificates; whose order of ciphers counts; that a client demands a stapled OCSP response.
function Config:prefer_ciphers_client() end

---Switches: what is not verified; all of it again; that a server asks clients for certificates; whose order of ciphers counts; that a client demands a stapled OCSP response.
function Config:prefer_ciphers_server() end

---The protocols to offer or to choose from, with commas.
---@param protocols string
---@return true|false
---@return string|nil message
function Config:set_alpn(protocols) end

---Whom to trust: certificates in PEM, a file of them, a directory of hashed names.
---@param pem string
---@return true|false
---@return string|nil message
function Config:set_ca(pem) end

---Whom to trust: certificates in PEM, a file of them, a directory of hashed names.
---@param path string
---@return true|false
---@return string|nil message
function Config:set_ca_file(path) end

---Whom to trust: certificates in PEM, a file of them, a directory of hashed names.
---@param directory string
---@return true|false
---@return string|nil message
function Config:set_ca_path(directory) end

---Our certificate with its chain, its key, and the OCSP response to staple.
---@param pem string
---@return true|false
---@return string|nil message
function Config:set_cert(pem) end

---Our certificate with its chain, its key, and the OCSP response to staple.
---@param path string
---@return true|false
---@return string|nil message
function Config:set_cert_file(path) end

---"secure" (default), "compat", "legacy", "insecure", or a cipher list of OpenSSL's, openssl-ciphers(1).
---@param list string
---@return true|false
---@return string|nil message
function Config:set_ciphers(list) end

---Revocation lists; peers that no list tells of are refused then.
---@param pem string
---@return true|false
---@return string|nil message
function Config:set_crl(pem) end

---Revocation lists; peers that no list tells of are refused then.
---@param path string
---@return true|false
---@return string|nil message
function Config:set_crl_file(path) end

---Diffie-Hellman parameters of TLS 1.2: none, as strong as the key, 1024 bits.
---@param how "none"|"auto"|"legacy"
---@return true|false
---@return string|nil message
function Config:set_dheparams(how) end

---The groups of the key exchange, with commas or colons; "default": X25519, P-256, P-384.
---@param name string
---@return true|false
---@return string|nil message
function Config:set_ecdhecurve(name) end

---The groups of the key exchange, with commas or colons; "default": X25519, P-256, P-384.
---@param names string
---@return true|false
---@return string|nil message
function Config:set_ecdhecurves(names) end

---Our certificate with its chain, its key, and the OCSP response to staple.
---@param pem string
---@return true|false
---@return string|nil message
function Config:set_key(pem) end

---Our certificate with its chain, its key, and the OCSP response to staple.
---@param path string
---@return true|false
---@return string|nil message
function Config:set_key_file(path) end

---Certificate, key and OCSP response at once; add: a further pair, which a server chooses by the name asked for.
---@param cert string
---@param key string
---@param staple? string
---@return true|false
---@return string|nil message
function Config:set_keypair(cert, key, staple) end

---Certificate, key and OCSP response at once; add: a further pair, which a server chooses by the name asked for.
---@param cert string
---@param key string
---@param staple? string
---@return true|false
---@return string|nil message
function Config:set_keypair_file(cert, key, staple) end

---Our certificate with its chain, its key, and the OCSP response to staple.
---@param der string
---@return true|false
---@return string|nil message
function Config:set_ocsp_staple(der) end

---Our certificate with its chain, its key, and the OCSP response to staple.
---@param path string
---@return true|false
---@return string|nil message
function Config:set_ocsp_staple_file(path) end

---The versions to speak: libtls.TLS_v12 and the like, or what parse_protocols answers.
---@param ... integer
---@return true
function Config:set_protocols(...) end

---A regular file with mode 0600 that keeps a client's session; -1: none.
---@param fd integer
---@return true|false
---@return string|nil message
function Config:set_session_fd(fd) end

---Up to 32 bytes that servers which resume each other's sessions have in common.
---@param id string
---@return true|false
---@return string|nil message
function Config:set_session_id(id) end

---How long a server's tickets count, up to a day; 0, the default: no tickets.
---@param seconds integer
---@return true|false
---@return string|nil message
function Config:set_session_lifetime(seconds) end

---The most intermediate certificates in a chain, 6.
---@param depth integer
---@return true|false
---@return string|nil message
function Config:set_verify_depth(depth) end

---Switches: what is not verified; all of it again; that a server asks clients for certificates; whose order of ciphers counts; that a client demands a stapled OCSP response.
function Config:verify() end

---Switches: what is not verified; all of it again; that a server asks clients for certificates; whose order of ciphers counts; that a client demands a stapled OCSP response.
function Config:verify_client() end

---Switches: what is not verified; all of it again; that a server asks clients for certificates; whose order of ciphers counts; that a client demands a stapled OCSP response.
function Config:verify_client_optional() end

---@class libtls.Context
local Context = {}

---A server's connection on descriptors, which stay the program's.
---@param r integer
---@param w integer
---@return libtls.Context|nil connection
---@return string|nil message
function Context:accept_fds(r, w) end

---A server's connection on descriptors, which stay the program's.
---@param fd integer
---@return libtls.Context|nil connection
---@return string|nil message
function Context:accept_socket(fd) end

---Sends close_notify; what connect opened is closed too. want: wait for it and call again.
---@return true|false
---@return string|nil|nil message
---@return integer|nil|nil want
function Context:close() end

---What was negotiated, once the handshake is done.
---@return string|nil protocol
function Context:conn_alpn_selected() end

---What was negotiated, once the handshake is done.
---@return string|nil cipher
function Context:conn_cipher() end

---What was negotiated, once the handshake is done.
---@return integer bits
function Context:conn_cipher_strength() end

---What was negotiated, once the handshake is done.
---@return string|nil name
function Context:conn_servername() end

---What was negotiated, once the handshake is done.
---@return boolean
function Context:conn_session_resumed() end

---What was negotiated, once the handshake is done.
---@return string|nil version
function Context:conn_version() end

---Connects a client to host, "host:port" when there is no port. servername: the name to verify in its place.
---@param host string
---@param port? string
---@return true|false
---@return string|nil message
function Context:connect(host, port) end

---A client's connection on descriptors, which stay the program's, and the name to verify.
---@param r integer
---@param w integer
---@param servername? string
---@return true|false
---@return string|nil message
function Context:connect_fds(r, w, servername) end

---Connects a client to host, "host:port" when there is no port. servername: the name to verify in its place.
---@param host string
---@param port? string
---@param servername? string
---@return true|false
---@return string|nil message
function Context:connect_servername(host, port, servername) end

---A client's connection on descriptors, which stay the program's, and the name to verify.
---@param fd integer
---@param servername? string
---@return true|false
---@return string|nil message
function Context:connect_socket(fd, servername) end

---Shakes hands. want, behind no message: libtls.WANT_POLLIN or WANT_POLLOUT, wait for that and call again.
---@return true|false
---@return string|nil|nil message
---@return integer|nil|nil want
function Context:handshake() end

---Looks at an OCSP response that the program fetched; the methods peer_ocsp_* tell of it then.
---@param der string
---@return true|false
---@return string|nil message
function Context:ocsp_process_response(der) end

---The peer's certificate; times in seconds since 1970, -1 when there is none.
---@return string|nil pem
---@return string|nil message
function Context:peer_cert_chain_pem() end

---The peer's certificate; times in seconds since 1970, -1 when there is none.
---@param name string
---@return boolean
function Context:peer_cert_contains_name(name) end

---The peer's certificate; times in seconds since 1970, -1 when there is none.
---@return string|nil hash
function Context:peer_cert_hash() end

---The peer's certificate; times in seconds since 1970, -1 when there is none.
---@return string|nil name
function Context:peer_cert_issuer() end

---The peer's certificate; times in seconds since 1970, -1 when there is none.
---@return integer time
function Context:peer_cert_notafter() end

---The peer's certificate; times in seconds since 1970, -1 when there is none.
---@return integer time
function Context:peer_cert_notbefore() end

---The peer's certificate; times in seconds since 1970, -1 when there is none.
---@return boolean
function Context:peer_cert_provided() end

---The peer's certificate; times in seconds since 1970, -1 when there is none.
---@return string|nil name
function Context:peer_cert_subject() end

---What the last OCSP response that could be believed says, in libtls' constants; times in seconds since 1970.
---@return integer|nil status
---@return string|nil message
function Context:peer_ocsp_cert_status() end

---What the last OCSP response that could be believed says, in libtls' constants; times in seconds since 1970.
---@return integer|nil reason
---@return string|nil message
function Context:peer_ocsp_crl_reason() end

---What the last OCSP response that could be believed says, in libtls' constants; times in seconds since 1970.
---@return integer|nil time
---@return string|nil message
function Context:peer_ocsp_next_update() end

---What the last OCSP response that could be believed says, in libtls' constants; times in seconds since 1970.
---@return integer|nil status
---@return string|nil message
function Context:peer_ocsp_response_status() end

---What the last OCSP response that could be believed says, in libtls' constants; times in seconds since 1970.
---@return string|nil result
---@return string|nil message
function Context:peer_ocsp_result() end

---What the last OCSP response that could be believed says, in libtls' constants; times in seconds since 1970.
---@return integer|nil time
---@return string|nil message
function Context:peer_ocsp_revocation_time() end

---What the last OCSP response that could be believed says, in libtls' constants; times in seconds since 1970.
---@return integer|nil time
---@return string|nil message
function Context:peer_ocsp_this_update() end

---The peer's certificate; times in seconds since 1970, -1 when there is none.
---@return string|nil url
---@return string|nil message
function Context:peer_ocsp_url() end

---Up to size bytes, 8192 unless told. Nothing at the end of the stream. again: wait for want and call again.
---@param size? integer
---@return string|nil data
---@return string|nil|nil message
---@return boolean|nil again
---@return integer|nil want
function Context:read(size) end

---Lets go of the connection; the context can connect again.
function Context:reset() end

---Sends bytes of a file from offset on, as write does.
---@param file file*|integer
---@param bytes integer
---@param offset? integer
---@return integer|nil sent
---@return nil|string message
---@return boolean|nil again
---@return integer|nil|nil want
function Context:sendfile(file, bytes, offset) end

---Sends what fits into a record. again: wait for want and call again with the rest.
---@param data string
---@return integer|nil sent
---@return nil|string message
---@return boolean|nil again
---@return integer|nil|nil want
function Context:write(data) end

return M
