-- Examples of the reference. test/reference_spec.lua runs each by itself, with libtls and config, its modules; ca,
-- certfile and keyfile, names of files; cfg, a configuration; tls, a client's connection whose handshake is done, and
-- peer, the server's end; fd and peerfd, the descriptors of a connected pair of sockets.

--- libtls.client, tls:connect_socket, tls:connect_fds
local cfg = assert(config.new())
assert(cfg:set_ca_file(ca))
local client = libtls.client(cfg)
assert(client:connect_socket(fd, "localhost")) -- or client:connect_fds(fd, fd, "localhost")

--- libtls.server, tls:accept_socket, tls:accept_fds
local cfg = assert(config.new())
assert(cfg:set_keypair_file(certfile, keyfile))
local server = assert(libtls.server(cfg))
local connection = assert(server:accept_socket(peerfd)) -- or server:accept_fds(peerfd, peerfd)

--- libtls.WANT_POLLIN, libtls.WANT_POLLOUT, tls:handshake
local ok, message, want = tls:handshake()
if want == libtls.WANT_POLLIN then print "wait until the descriptor is readable, and call again" end

--- libtls.TLS_v12, libtls.TLS_v13, config:set_protocols
assert(cfg:set_protocols(libtls.TLS_v12, libtls.TLS_v13))

--- libtls.TLS_v10, libtls.TLS_v11, libtls.TLS_v1x, libtls.TLS_DEFAULT
assert(libtls.TLS_v1x == libtls.TLS_v10 + libtls.TLS_v11 + libtls.TLS_DEFAULT)

--- libtls.OCSP_CERT_*, tls:peer_ocsp_cert_status, tls:peer_ocsp_result
if tls:peer_ocsp_cert_status() == libtls.OCSP_CERT_REVOKED then print(tls:peer_ocsp_result()) end

--- libtls.OCSP_RESPONSE_*, tls:peer_ocsp_response_status
print(tls:peer_ocsp_response_status() == libtls.OCSP_RESPONSE_SUCCESSFUL)

--- libtls.CRL_REASON_*, tls:peer_ocsp_crl_reason
print(tls:peer_ocsp_crl_reason() == libtls.CRL_REASON_KEY_COMPROMISE)

--- libtls.TLS_API, libtls.MAX_SESSION_ID_LENGTH, libtls.TICKET_KEY_SIZE
print(libtls.TLS_API, libtls.MAX_SESSION_ID_LENGTH, libtls.TICKET_KEY_SIZE)

--- libtls.config.new
local cfg = assert(config.new())

--- libtls.config.parse_protocols
assert(cfg:set_protocols(config.parse_protocols("tlsv1.2,tlsv1.3")))

--- libtls.config.default_ca_cert_file
print(config.default_ca_cert_file())

--- libtls.config.load_file
local pem = assert(config.load_file(keyfile))
assert(cfg:set_key(pem))

--- config:set_alpn
assert(cfg:set_alpn("h2,http/1.1"))

--- config:set_ca, config:set_ca_file, config:set_ca_path
assert(cfg:set_ca_file(ca))

--- config:set_crl, config:set_crl_file
print(cfg:set_crl_file("/nowhere"))

--- config:set_cert, config:set_cert_file, config:set_key, config:set_key_file
assert(cfg:set_cert_file(certfile))
assert(cfg:set_key_file(keyfile))

--- config:set_ocsp_staple, config:set_ocsp_staple_file
print(cfg:set_ocsp_staple_file("/nowhere"))

--- config:set_keypair, config:set_keypair_file, config:add_keypair, config:add_keypair_file
assert(cfg:set_keypair_file(certfile, keyfile))

--- config:clear_keys
cfg:clear_keys()

--- config:set_ciphers
assert(cfg:set_ciphers("secure"))

--- config:set_dheparams
assert(cfg:set_dheparams("auto"))

--- config:set_ecdhecurve, config:set_ecdhecurves
assert(cfg:set_ecdhecurves("X25519,P-256"))

--- config:set_verify_depth
assert(cfg:set_verify_depth(3))

--- config:insecure_noverifycert, config:insecure_noverifyname, config:insecure_noverifytime, config:verify
cfg:insecure_noverifyname() -- for a test
cfg:verify() -- all of it again

--- config:verify_client, config:verify_client_optional
cfg:verify_client()

--- config:prefer_ciphers_client, config:prefer_ciphers_server
cfg:prefer_ciphers_client()

--- config:ocsp_require_stapling
cfg:ocsp_require_stapling()

--- config:set_session_id, config:set_session_lifetime
assert(cfg:set_session_id("shop"))
assert(cfg:set_session_lifetime(3600))

--- config:set_session_fd
assert(cfg:set_session_fd(-1))

--- config:add_ticket_key
assert(cfg:add_ticket_key(1, ("k"):rep(48))) -- random bytes, in earnest

--- tls:connect, tls:connect_servername
local client = libtls.client(cfg)
print(client:connect("localhost:1")) -- nobody listens there

--- tls:read
local data, message, again, want = tls:read()
if again then print("wait for", want) else print(data, message) end

--- tls:write
local sent, message, again = tls:write("hello\n")
print(sent, message, again)

--- tls:sendfile
local file = assert(io.open(certfile, "rb"))
print(tls:sendfile(file, 100))
file:close()

--- tls:close
local ok, message, want = tls:close()
print(ok, message, want)

--- tls:reset
tls:reset()

--- tls:ocsp_process_response
local ok, message = tls:ocsp_process_response("what the responder answered")
print(ok, message)

--- tls:peer_ocsp_this_update, tls:peer_ocsp_next_update, tls:peer_ocsp_revocation_time
print(tls:peer_ocsp_this_update(), tls:peer_ocsp_next_update(), tls:peer_ocsp_revocation_time())

--- tls:peer_ocsp_url
print(tls:peer_ocsp_url())

--- tls:conn_version, tls:conn_cipher, tls:conn_cipher_strength
print(tls:conn_version(), tls:conn_cipher(), tls:conn_cipher_strength())

--- tls:conn_servername, tls:conn_alpn_selected, tls:conn_session_resumed
print(peer:conn_servername(), tls:conn_session_resumed())

--- tls:peer_cert_provided, tls:peer_cert_contains_name
assert(tls:peer_cert_provided() and tls:peer_cert_contains_name("localhost"))

--- tls:peer_cert_hash, tls:peer_cert_subject, tls:peer_cert_issuer
print(tls:peer_cert_hash(), tls:peer_cert_subject(), tls:peer_cert_issuer())

--- tls:peer_cert_notbefore, tls:peer_cert_notafter
print(os.date("%Y-%m-%d", tls:peer_cert_notafter()))

--- tls:peer_cert_chain_pem
print((tls:peer_cert_chain_pem()))
