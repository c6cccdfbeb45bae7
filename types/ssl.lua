---@meta ssl
-- Made by `make reference` from the comments of the sources: change those.

---@class module.ssl
---@field _COPYRIGHT string Who holds the rights.
---@field _VERSION string The library's version, by semantic versioning.
---@field config ssl.Config What the OpenSSL that runs can do; the module ssl.config.
local M = {}

---Was the cookie made for this peer, by this process, in the last minute? false for anything else. A failure when memory is too short to tell.
---@param peerid string
---@param cookie string
---@return boolean|false
---@return string|nil message
---@return ssl.Detail|nil detail
function M.checkcookie(peerid, cookie) end

---Is a certificate for this host? RFC 9525: the subject alternative names decide, never the common name; a wildcard stands for one whole label; an IP address must be an IP SAN; one trailing dot is passed over. false for empty names, names with a NUL and names with a leading dot. OpenSSL does the matching: X509_check_host(3), X509_check_ip(3).
---@param cert ssl.Certificate
---@param hostname string
---@return boolean
function M.checkhostname(cert, hostname) end

---Connects, shakes hands and checks the host name. flags: settings for newcontext, of which mode is "client", protocol "tlsv1_2" and verify "none" unless given, and timeout, seconds for all of it from the look-up of the name on. With verify = "peer" the certificate is verified too. Calls with the same settings share a context and resume each other's sessions, unless sessions is false. A server that proves a key of psk needs no certificate. sock is LuaSocket's object, which no longer has the descriptor. After a failure nothing is left open.
---@param host string
---@param port integer|string
---@param flags? ssl.Settings
---@return ssl.Connection|nil conn
---@return table|string sock
---@return ssl.Detail|nil detail
function M.connect(host, port, flags) end

---44 letters of base64 for a peer, told apart by any string such as its address and port. It is good for a minute, in this process. A failure when there is no randomness.
---@param peerid string
---@return string|nil cookie
---@return string|nil message
---@return ssl.Detail|nil detail
function M.cookie(peerid) end

---Makes an engine: a connection without a socket, for programs that carry the bytes themselves. It has every method of a connection, each of which does what it can at once and else answers "wantread" or "wantwrite"; what came from the peer is given to conn:feed, what is to go there is taken from conn:drain.
---@param cfg ssl.Context|ssl.Settings
---@return ssl.Connection|nil conn
---@return string|nil message
---@return ssl.Detail|nil detail
function M.engine(cfg) end

---Looks for a file of CA certificates: $SSL_CERT_FILE, OpenSSL's own default, then the places known from systems.
---@return string|nil path
---@return string|nil message
function M.find_system_ca() end

---The file of CA certificates in use: the one set, or the one found first and remembered.
---@return string|nil path
---@return string|nil message
function M.get_system_ca() end

---Reads the first certificate in the text; ssl.x509.load is the same function.
---@param pem string
---@return ssl.Certificate|nil certificate
---@return string|nil message
---@return ssl.Detail|nil detail
function M.loadcertificate(pem) end

---A session out of what export gave, or out of PEM as `openssl s_client -sess_out` writes it; anything else is a failure.
---@param text string
---@return ssl.Session|nil session
---@return string|nil message
---@return ssl.Detail|nil detail
function M.loadsession(text) end

---Makes a context from a table of settings, which is only read. It raises when protocol or mode is missing, or one of LuaSec's settings has the wrong type.
---@param cfg ssl.Settings
---@return ssl.Context|nil ctx
---@return string|nil message
---@return ssl.Detail|nil detail
function M.newcontext(cfg) end

---Makes a private key and a certificate that it signs itself, both in PEM, the key not encrypted: for tests, development, STARTTLS between servers. A client that is to trust it names it as cadata. Unknown fields raise.
---@param wanted? ssl.SelfSigned
---@return string|nil cert
---@return string key
---@return ssl.Detail|nil detail
function M.selfsigned(wanted) end

---Sets the file of CA certificates for the program; nil: look again; false: use none.
---@param path? string|false
function M.set_system_ca(path) end

---Puts TLS on a connected socket. Does no I/O: call dohandshake next. sock is LuaSocket's, or any object with getfd and setfd: the connection takes over the descriptor and sock is left without one; or any object with send and receive, such as another connection, over which TLS then runs. cfg may be a context of luaossl's. The connection blocks without limit until settimeout says otherwise.
---@param sock table|userdata
---@param cfg ssl.Context|ssl.Settings|userdata
---@return ssl.Connection|nil conn
---@return string|nil message
---@return ssl.Detail|nil detail
function M.wrap(sock, cfg) end

---@class ssl.Settings
---@field protocol? "any"|"tlsv1"|"tlsv1_1"|"tlsv1_2"|"tlsv1_3"|"tlsv1_2+"|"tlsv1_3+"|"dtls"|"dtlsv1_2"|string protocol version: any, tlsv1, tlsv1_1, tlsv1_2, tlsv1_3 (sslv23: any); tlsv1_2+: that or newer; dtls: 1.2 or newer, dtlsv1_2
---@field mode? "client"|"server"|string client or server
---@field certificates? table[] array of tables with certificate, key, password, pkcs12; replaces these four
---@field key? string the private key: a file with PEM or DER; PEM itself; store:URI
---@field certificate? string our certificate, then the intermediates to send: a file with PEM (or DER: one); PEM itself; store:URI
---@field password? string|function password of an encrypted key
---@field pkcs12? table key, certificate and intermediates in one: a table with file (a path) or data (bytes), and password
---@field crlfile? string file with revocation lists in PEM or one in DER; turns crl_check on
---@field crldata? string revocation lists in PEM; turns crl_check on
---@field cafile? string file with trusted CA certificates in PEM; system: the system's
---@field cadata? string trusted CA certificates in PEM
---@field capath? string directory with trusted CA certificates, named by hash
---@field ciphers? string ciphers of TLS 1.2 and older, OpenSSL's cipher list
---@field ciphersuites? string ciphers of TLS 1.3
---@field verify? "none"|"peer"|"client_once"|"fail_if_no_peer_cert"|string|string[] none, peer, client_once, fail_if_no_peer_cert
---@field options? string|string[] OpenSSL's SSL_OP_ options in lower case, as in ssl.config.options
---@field depth? number most intermediate certificates in a peer's chain
---@field dhparam? function function(is_export, bits) returning Diffie-Hellman parameters in PEM
---@field curveslist? string groups for the key exchange, in order, with colons
---@field curve? string the one group for the key exchange
---@field verifyext? "lsec_continue"|"lsec_ignore_purpose"|"crl_check"|"crl_check_chain"|string|string[] lsec_continue, lsec_ignore_purpose, crl_check, crl_check_chain
---@field alpn? string|string[]|function client: protocols to offer; server: protocols in order of preference, or function(offered) returning them
---@field alpnstrict? boolean a handshake without a protocol in common fails
---@field psk? function|table client: function(hint, maxidentity, maxkey) returning identity and key; server: function(identity, maxkey) returning the key, or a table with hint and callback; both: a table with identity and key, without which no certificate counts unless verify asks for one
---@field dane? boolean|string[] lets connections use setdane; array of flags: no_ee_namechecks
---@field groups? string|string[] key exchange groups in order of preference: array, or names with colons
---@field sigalgs? string|string[] signature algorithms in order of preference: array, or names with colons
---@field readahead? boolean false: never take more from the socket than the record at hand, for going on without TLS afterwards
---@field maxreceive? number most bytes that one receive of a line or of everything may gather
---@field servername? string client: the name sent as SNI and, with verify peer, checked in the certificate
---@field keypairs? table[] server: array of tables with certificate, key, password, pkcs12, ocsp; chosen by the client's name
---@field sni? table<string, ssl.Context>|function server: contexts by name (a.test, *.b.test), or function(name, connection) returning one
---@field snistrict? boolean server: names that neither sni nor keypairs know, and clients without a name, are refused
---@field ocsp? string|string[]|function client: request or require an OCSP response of the server; server: the responses in DER to staple, or function(conn, certificate) returning one
---@field sessions? boolean|number|table client: true, or how many sessions to keep for resuming them; server: a table with id, timeout, tickets, and the functions get, set, remove of a store
---@field ticketkeys? ssl.TicketKey[] server: the keys of its session tickets, tables with name (16 bytes), aes and hmac (32 bytes); the first encrypts
---@field keylog? string|function|boolean logs the secrets for decrypting captures: a file to append to; function(line); true: $SSLKEYLOGFILE
---@field strict? boolean refuse every key that is no setting, not only near misses
---@field verifyname? string|false client: the name checked instead of servername; false: none
---@field timeout? number ssl.connect and ssl.https: seconds for all of it

---What a failure returns behind its message: the fields that apply.
---@class ssl.Detail
---@field kind? "verify"|"alert"|"protocol"|"system"|"closed"|"truncated"|"timeout"|"want"|"config"|"callback" what failed: "closed" is the peer's close_notify or our own close, "truncated" a connection that ended without close_notify, "want" a timeout or a non-blocking call that has to be made again, "callback" a function of the program
---@field reason? any why: a text; of a callback the value that it raised
---@field hint? string what is usually behind it, and what to do
---@field code? number the alert's number, OpenSSL's code, errno, or of a verification X509_V_ERR_*
---@field alert? string name of the alert that the peer sent, RFC 8446 section 6
---@field lib? string the part of OpenSSL that failed
---@field depth? number place in the chain of the certificate that was refused, 0 is the peer's own
---@field subject? string that certificate's subject
---@field host? string the name that was expected or could not be reached
---@field names? string the names that the certificate is for
---@field file? string the file that could not be used
---@field status? number the status code of an HTTP answer that ended a request
---@field location? string where an HTTP answer redirects to
---@field proxy? string the proxy that failed
---@field stack? string[] OpenSSL's error queue, oldest first, ERR_error_string_n(3)

---@class ssl.SelfSigned
---@field names? string[] DNS names and IP addresses, { "localhost" }; the first is the common name too
---@field days? number until it expires, 365
---@field key? "ec"|"rsa"|"ed25519" P-256, 2048 bits or Ed25519; "ec"

---What was negotiated; the fields that apply.
---@class ssl.Info
---@field cipher? string OpenSSL's name of the cipher suite
---@field protocol? string "TLSv1.3"
---@field key? string key exchange, "any" with TLS 1.3
---@field authentication? string
---@field encryption? string
---@field mac? string
---@field bits? number bits of the key in use
---@field algbits? number bits of the algorithm
---@field export? boolean false
---@field compression? string
---@field alpn? string the protocol agreed on
---@field servername? string the name that the client sent
---@field group? string the group of the key exchange
---@field sigalg? string what we signed with, "rsa_pss_rsae+SHA256"
---@field peersigalg? string what the peer signed with
---@field resumed? boolean a session was resumed
---@field ktls? "send"|"receive"|"both" the directions that the kernel encrypts

---What an OCSP response says of a certificate; times in seconds since 1970.
---@class ssl.OcspStatus
---@field response? string "successful", the responder's error, or "unreadable"
---@field status? "good"|"revoked"|"unknown"
---@field reason? string why it was revoked
---@field reasoncode? number the same as a number, RFC 5280 section 5.3.1
---@field thisupdate? number
---@field nextupdate? number
---@field revocationtime? number
---@field verified? boolean it is about the certificate, in its time, and signed for its issuer
---@field message? string what is wrong with it
---@field verdict? string the same in a word: "good", "revoked", "unknown", "missing", "unreadable", "refused", "foreign", "noissuer", "unsigned", "early", "stale", "unchecked"
---@field der? string the response itself

---@class ssl.Connection
local Connection = {}

---Sends close_notify when that needs no waiting, closes the descriptor; so do __gc and __close. May be called again. Inside a callback of the connection it takes effect when the call that runs ends. A child of fork(2) that did not use the connection sends nothing: it is its parent's. SSL_shutdown(3).
function Connection:close() end

---Is there something to read that select on the descriptor would not tell of? LuaSocket's tcp:dirty.
---@return boolean
function Connection:dirty() end

---Shakes hands, with verification and the check of the name where the context asks for them. "wantread" or "wantwrite": the timeout is over, call again. Any other failure is final and repeated by later calls. SSL_do_handshake(3).
---@return true|false
---@return string|nil message
---@return ssl.Detail|nil detail
function Connection:dohandshake() end

---Takes what an engine has to send, at most max bytes; of DTLS one whole datagram, whatever max says. Works after a failed handshake and after close, whose alerts the peer should get. "" when there is nothing.
---@param max? integer
---@return string bytes
function Connection:drain(max) end

---Seconds until the last flight is to be sent again: call handletimeout, or dohandshake, then. nil when no timer runs. DTLSv1_get_timeout(3).
---@return number|nil seconds
function Connection:dtlstimeout() end

---N bytes, at most 1 MiB, that only the two ends of this connection can compute; other labels and contexts give others. SSL_export_keying_material(3), RFC 5705, RFC 8446 section 7.5.
---@param label string
---@param n integer
---@param context? string
---@return string|nil bytes
---@return string|nil message
---@return ssl.Detail|nil detail
function Connection:exportkeyingmaterial(label, n, context) end

---Hands an engine what came from the peer; of DTLS one datagram. All of it is taken, or nothing. A failure has the kind "want" when more would wait than `maxinput` allows: read first; or "closed" after close or feedeof. conn:feed(engine) takes what another engine has to send, instead of its drain; what does not fit stays there.
---@param from string|ssl.Connection
---@return true|nil
---@return string|nil message
---@return ssl.Detail|nil detail
function Connection:feed(from) end

---Says that the peer's transport has ended: once what was fed is used up, reading fails as on a closed socket. A failure on a connection with a socket.
---@return true|nil
---@return string|nil message
---@return ssl.Detail|nil detail
function Connection:feedeof() end

---The protocol agreed on, nil if none. SSL_get0_alpn_selected(3).
---@return string|nil protocol
function Connection:getalpn() end

---What binds a login to this connection; a failure when the connection has none of that type, as tls-unique of TLS 1.3. RFC 9266, RFC 5929.
---@param type "tls-exporter"|"tls-unique"|"tls-server-end-point"
---@return string|nil bytes
---@return string|nil message
---@return ssl.Detail|nil detail
function Connection:getchannelbinding(type) end

---The family of the socket; a failure when there is none. LuaSocket's tcp:getfamily.
---@return "inet4"|"inet6"|"unix"|nil family
---@return string|nil message
---@return ssl.Detail|nil detail
function Connection:getfamily() end

---The descriptor; -1 after close and of an engine.
---@return integer fd
function Connection:getfd() end

---The Finished message of the handshake that we sent; nothing before there is one. SSL_get_finished(3).
---@return string|nil bytes
function Connection:getfinished() end

---The n-th certificate of our own chain, 1 is the leaf; nil past the end. SSL_get_certificate(3).
---@param n? integer
---@return ssl.Certificate|nil certificate
---@return string|nil message
---@return ssl.Detail|nil detail
function Connection:getlocalcertificate(n) end

---Array of our own certificate and what is sent with it. SSL_get0_chain_certs(3).
---@return ssl.Certificate[]|nil chain
---@return string|nil message
---@return ssl.Detail|nil detail
function Connection:getlocalchain() end

---On a client what the server's OCSP response says about its certificate, nil alone when none came, which is so on a resumed connection too; "closed" when there is no connection. Answers after a failed handshake too. SSL_get_tlsext_status_ocsp_resp(3).
---@return ssl.OcspStatus|nil status
---@return string|nil message
---@return ssl.Detail|nil detail
function Connection:getocsp() end

---The value of an option of the socket, as LuaSocket's tcp:getoption: a boolean, a number, for "linger" a table, for "error" a message or nil; "maxreceive": bytes, 0 for no limit; "maxinput", "maxoutput" of an engine: bytes. getsockopt(2), socket(7), tcp(7).
---@param name string
---@return boolean|number|table|string|nil value
---@return string|nil message
---@return ssl.Detail|nil detail
function Connection:getoption(name) end

---The n-th certificate that the peer sent, its own is 1; nil past the end. After a failed handshake too: what is wrong with it may be the reason. SSL_get0_peer_certificate(3).
---@param n? integer
---@return ssl.Certificate|nil certificate
---@return string|nil message
---@return ssl.Detail|nil detail
function Connection:getpeercertificate(n) end

---Array of all certificates that the peer sent, its own first. SSL_get_peer_cert_chain(3).
---@return ssl.Certificate[]|nil chain
---@return string|nil message
---@return ssl.Detail|nil detail
function Connection:getpeerchain() end

---The Finished message of the handshake that the peer sent; nothing before there is one. SSL_get_peer_finished(3).
---@return string|nil bytes
function Connection:getpeerfinished() end

---The other end: its address, its port, and the family; of a Unix socket its path alone. LuaSocket's tcp:getpeername, getpeername(2).
---@return string|nil address
---@return integer|string|nil port
---@return "inet"|"inet6"|ssl.Detail|nil family
function Connection:getpeername() end

---true when OpenSSL found nothing wrong, also when no certificate was asked for. problems: what was wrong, a text, or with lsec_continue or lsec_ignore_purpose { [depth + 1] = { text, ... } }. Answers after a failed handshake too. SSL_get_verify_result(3).
---@return true|false
---@return string|table<integer, string[]>|nil problems
function Connection:getpeerverification() end

---The identity of the pre-shared key that the peers agreed on, in this handshake or in the one whose session was resumed; nil when they use none, or the handshake is not done. SSL_get_psk_identity(3).
---@return string|nil identity
function Connection:getpskidentity() end

---A client's session to resume later, nil alone when the server has sent none yet: with TLS 1.3 it comes with the first data, and a new one for each connection. SSL_CTX_sess_set_new_cb(3).
---@return ssl.Session|nil session
---@return string|nil message
---@return ssl.Detail|nil detail
function Connection:getsession() end

---The name the client sent, nil if none. SSL_get_servername(3).
---@return string|nil name
function Connection:getsniname() end

---Our end: its address, its port in digits, and the family; of a Unix socket its path alone. LuaSocket's tcp:getsockname, getsockname(2).
---@return string|nil address
---@return string|nil port
---@return "inet"|"inet6"|ssl.Detail|nil family
function Connection:getsockname() end

---Bytes of plaintext received and sent, and the connection's age in seconds. LuaSocket's tcp:getstats.
---@return number received
---@return number sent
---@return number age
function Connection:getstats() end

---The two timeouts that settimeout sets, "b" then "t", in seconds; negative: none. In every state. LuaSocket's tcp:gettimeout.
---@return number block
---@return number total
function Connection:gettimeout() end

---Sends the last flight again when its timer is over. true if it did, false if there was nothing to do; a failure when the peer has not answered for too long. DTLSv1_handle_timeout(3).
---@return boolean|nil done
---@return string|nil message
---@return ssl.Detail|nil detail
function Connection:handletimeout() end

---A table of what was negotiated, or one field of it. After a failed handshake: what it got to. "closed" before the handshake and when closed. SSL_get_current_cipher(3), SSL_get_pending_cipher(3).
---@param field? string
---@return ssl.Info|string|number|boolean|nil info
---@return string|nil message
---@return ssl.Detail|nil detail
function Connection:info(field) end

---Changes the keys of a TLS 1.3 connection: "both" (the default) sends with new keys from now on and asks the peer to do the same, "send" changes our own alone. A send that waits is finished first. "wantread" or "wantwrite": the timeout is over, call again. SSL_key_update(3), RFC 8446 section 4.6.3.
---@param which? "both"|"send"
---@return true|nil
---@return string|nil message
---@return ssl.Detail|nil detail
function Connection:keyupdate(which) end

---The detail table of the last failure, nil if there was none.
---@return ssl.Detail|nil detail
function Connection:lasterror() end

---Begins a server's handshake with a client that is shown to receive at its address; peerid is any string that tells clients apart, such as address and port. true: call dohandshake; nil, "retry": a cookie is to be drained, the client will come back with it, to this connection or another; nil, "wantread": nothing there; any other message is a failure. Never waits. DTLSv1_listen(3).
---@param peerid string
---@return true|nil
---@return string|nil message
---@return ssl.Detail|nil detail
function Connection:listen(peerid) end

---The table that getocsp gives, for a response about the peer's certificate that the program got in another way. nil alone when the peer has shown no certificate; "closed" when there is no connection. OCSP_basic_verify(3).
---@param der string
---@return ssl.OcspStatus|nil status
---@return string|nil message
---@return ssl.Detail|nil detail
function Connection:ocspcheck(der) end

---How many bytes of plaintext receive would find without asking the socket. Records that were read ahead and not decrypted yet are not counted, though dirty() tells of them. 0 when not connected. SSL_pending(3).
---@return integer bytes
function Connection:pending() end

---How many bytes an engine has to send; of DTLS the length of the next datagram.
---@return integer bytes
function Connection:pendingout() end

---What is there to read, at least one byte and at most max (16384); waits for the first. SSL_read(3).
---@param max? integer
---@return string|nil data
---@return string|nil message
---@return ssl.Detail|nil detail
function Connection:read(max) end

---"*l" a line without its end (default), "*a" all until the peer closes, or a number of bytes; what is received is put behind prefix, which counts. partial: what came so far, to be given back as prefix. "wantread" or "wantwrite": the timeout is over. LuaSocket's tcp:receive, SSL_read(3).
---@param pattern? "*l"|"*a"|integer
---@param prefix? string
---@return string|nil data
---@return nil|string message
---@return nil|string partial
---@return ssl.Detail|nil detail
function Connection:receive(pattern, prefix) end

---Makes an engine new: no handshake, no session, nothing fed or to be drained; the context, the server name and the timeouts stay. A failure when it is closed or busy, or verifies by TLSA records. SSL_new(3).
---@return true|nil
---@return string|nil message
---@return ssl.Detail|nil detail
function Connection:reset() end

---Sends data:sub(i, j). last: the index of the last byte sent; after a timeout, "wantread" or "wantwrite", call again from the next one. LuaSocket's tcp:send, SSL_write(3).
---@param data string
---@param i? integer
---@param j? integer
---@return integer|nil last
---@return nil|string message
---@return nil|integer last
---@return ssl.Detail|nil detail
function Connection:send(data, i, j) end

---Sends `count` bytes of a regular file from `offset` on (0 is its first byte); without count all that the file has when the call begins. file: a handle of Lua's io library, whose position stays what it is, or the number of a descriptor. sent: how many bytes were. After a timeout ("wantwrite") call again with the offset and count of the rest. info("ktls") tells whether the kernel does the work. SSL_sendfile(3), pread(2).
---@param file file*|integer
---@param offset? integer
---@param count? integer
---@return integer|nil sent
---@return string|nil message
---@return integer|nil sent
---@return ssl.Detail|nil detail
function Connection:sendfile(file, offset, count) end

---Was a session resumed? SSL_session_reused(3).
---@return boolean
function Connection:sessionreused() end

---Verify by TLSA records, for this name, which is sent as SNI too. Needs a context with dane. false: it cannot be. SSL_dane_enable(3), RFC 7671.
---@param host string
---@return boolean
function Connection:setdane(host) end

---The largest datagram that a handshake sends, and stops asking the system for it. A size that cannot be is a failure. An engine begins with 1232. DTLS_set_link_mtu(3).
---@param bytes integer
---@return true|nil
---@return string|nil message
---@return ssl.Detail|nil detail
function Connection:setmtu(bytes) end

---As LuaSocket's tcp:setoption, but a number option refuses what is no number; "maxreceive": the most bytes that one receive of a line or of all may gather, 0 or nil: any number; "maxinput", "maxoutput": the most bytes that may wait in an engine to be read, and to be drained (1 MiB); a record more when it is read while a send waits. setsockopt(2).
---@param name string
---@param value? boolean|number|table
---@return 1|nil
---@return string|nil message
---@return ssl.Detail|nil detail
function Connection:setoption(name, value) end

---After what time without an answer a handshake sends a flight again for the first time, from a millisecond to a minute; the waits after that double. Counts for timers that start later. Other times are a failure. DTLS_set_timer_cb(3).
---@param seconds number
---@return true|nil
---@return string|nil message
---@return ssl.Detail|nil detail
function Connection:setretransmit(seconds) end

---Tries to resume it in the handshake to come, which is a full one if the server refuses, or its certificate, which was verified, has expired. A failure when the context verifies in another way than the session's did. SSL_set_session(3).
---@param session ssl.Session
---@return true|nil
---@return string|nil message
---@return ssl.Detail|nil detail
function Connection:setsession(session) end

---What getstats is to count from; absent ones stay. LuaSocket's tcp:setstats.
---@param received? number
---@param sent? number
---@param age? number
---@return 1
function Connection:setstats(received, sent, age) end

---How long dohandshake, send and receive wait; nil or negative: for ever. mode "b" (default): each wait for the peer; "t" or "r": the whole call; only the first letter counts. Each mode has its own value. LuaSocket's tcp:settimeout.
---@param seconds? number
---@param mode? "b"|"t"|"r"
---@return 1
function Connection:settimeout(seconds, mode) end

---One TLSA record to verify by; data: bytes. false: OpenSSL takes no such record, or setdane was not called. SSL_dane_tlsa_add(3), RFC 6698.
---@param usage integer
---@param selector integer
---@param matchingtype integer
---@param data string
---@return boolean
function Connection:settlsa(usage, selector, matchingtype, data) end

---Ends TLS in both directions ("both", the default): sends close_notify and reads up to the peer's, dropping what comes before it. "send" sends close_notify alone: nothing can be sent from then on, and receive goes on to the peer's end of the stream. "receive" reads up to the peer's close_notify alone. "wantread" or "wantwrite": the timeout is over, call again. receive still works between two calls. The descriptor stays open. SSL_shutdown(3).
---@param which? "both"|"send"|"receive"
---@return true|nil
---@return string|nil message
---@return ssl.Detail|nil detail
function Connection:shutdown(which) end

---On a client: the name to send. On a server: contexts by name, looked up when the client's name comes, so later changes of the map count; with strict a name that is not in it ends the handshake. A name that cannot be sent is a failure. SSL_set_tlsext_host_name(3), RFC 6066 section 3.
---@param names string|table<string, ssl.Context>
---@param strict? boolean
---@return false|nil
---@return string|nil message
---@return ssl.Detail|nil detail
function Connection:sni(names, strict) end

---What the last step waited for. SSL_want(3).
---@return "nothing"|"read"|"write"|"x509lookup"
function Connection:want() end

---One step of sending data:sub(i, j), a record at the most. Returns what send does. SSL_write(3).
---@param data string
---@param i? integer
---@param j? integer
---@return integer|nil last
---@return nil|string message
---@return nil|integer last
---@return ssl.Detail|nil detail
function Connection:write(data, i, j) end

---@class ssl.Stats
---@field handshakes? integer those that succeeded
---@field full? integer
---@field resumed? integer
---@field hits? integer client with a cache: handshakes that found a session in it; server: offered sessions that were resumed
---@field misses? integer client: handshakes that found none; server: offered sessions that were not resumed

---@class ssl.TicketKey
---@field name? string 16 bytes
---@field aes? string 32 bytes
---@field hmac? string 32 bytes

---@class ssl.Context
local Context = {}

---Replaces certificate, chain and key, all or nothing: connections made from now on use the new ones, those that exist keep what they have. A certificate takes the place of the one with the same type of key (RSA, EC, Ed25519); one of a type that the context has not is added, and the others stay. cfg: certificate and key, password; or pkcs12; or certificates, an array of tables with these, as newcontext takes them. After a failure the context is what it was.
---@param cfg ssl.Settings
---@return true|nil
---@return string|nil message
---@return ssl.Detail|nil detail
function Context:reload(cfg) end

---At any time, for the connections to come (a server's: for handshakes to come); nil: nothing any more. A client's: "request": ask the server for an OCSP response, and end the handshake when it says that the certificate is revoked; "require": when there is none that says that it is good. A server's: the response in DER to send with its certificate, which it must be about; function(conn, certificate, pair) returning one, or nil, where pair is the index among keypairs, 0 for a certificate that is not from there; or an array, of responses for several certificates and of a function that is asked where none of them fits. SSL_CTX_set_tlsext_status_cb(3).
---@param value string|function|(string|function)[]|nil
---@return true|false
---@return string|nil message
---@return ssl.Detail|nil detail
function Context:setocsp(value) end

---From now on a server's session tickets are encrypted with the first key of the list and accepted by all of them; tickets of any other key mean a full handshake. Each is a table with name (16 bytes), aes and hmac (32 bytes each). To change keys put the new one in front and keep the old one as long as sessions last. All or nothing. SSL_CTX_set_tlsext_ticket_key_evp_cb(3).
---@param keys ssl.TicketKey[]
---@return true|false
---@return string|nil message
---@return ssl.Detail|nil detail
function Context:setticketkeys(keys) end

---"lsec_continue" (go on in spite of verify errors, all of them logged), "lsec_ignore_purpose" (verify whatever comes as a server's certificate), "crl_check", "crl_check_chain". The lsec_ flags are replaced, the CRL flags only ever added. X509_VERIFY_PARAM_set_flags(3).
---@param ... "lsec_continue"|"lsec_ignore_purpose"|"crl_check"|"crl_check_chain"
---@return true|false
---@return string|nil message
---@return ssl.Detail|nil detail
function Context:setverifyext(...) end

---What became of the handshakes of the context's connections since it was made.
---@return ssl.Stats stats
function Context:stats() end

---@class ssl.NamePart
---@field oid? string
---@field name? string OpenSSL's long name, "commonName"
---@field value? string as setencode says

---@class ssl.Certificate
local Certificate = {}

---Is it one of the alternative names? X509_check_email(3).
---@param address string
---@return boolean
function Certificate:checkemail(address) end

---Is it for this DNS name? The strings after it are flags, those of X509_check_host(3) in lower case. Partial wildcards never match, the subject's common name only with "always_check_subject", IP literals not at all (see checkip). One trailing dot of the name is passed over.
---@param name string
---@param ... string
---@return boolean
function Certificate:checkhost(name, ...) end

---Is this IP literal an address among the alternative names? X509_check_ip(3).
---@param address string
---@return boolean
function Certificate:checkip(address) end

---The certificate's bytes, i2d_X509(3).
---@return string|nil der
function Certificate:der() end

---The fingerprint in lower-case hexadecimal, by SHA-1 unless told otherwise. X509_digest(3).
---@param algorithm? "sha1"|"sha256"|"sha512"
---@return string|nil hex
---@return string|nil message
---@return ssl.Detail|nil detail
function Certificate:digest(algorithm) end

---By OID the alternative names: { ["2.5.29.17"] = {name=, dNSName={...}, rfc822Name=, uniformResourceIdentifier=, iPAddress=, [otherName's oid] = {name=, ...}} }, of all such extensions that can be read.
---@return table<string, table> extensions
function Certificate:extensions() end

---OpenSSL's short name of the signature algorithm, "RSA-SHA256"
---@return string name
function Certificate:getsignaturename() end

---Has this certificate issued the subject, by way of the intermediates that follow it? X509_verify_cert(3) with this certificate as the only root, dates included, purposes not; one that is no root itself ends no chain.
---@param subject ssl.Certificate
---@param ... ssl.Certificate
---@return true|nil
---@return string|nil message
---@return ssl.Detail|nil detail
function Certificate:issued(subject, ...) end

---The parts of the name in the certificate's order.
---@return ssl.NamePart[] name
function Certificate:issuer() end

---The beginning and the end of the certificate's time as text: "Nov 21 01:46:50 2026 GMT", or "Bad time value".
---@return string date
function Certificate:notafter() end

---The beginning and the end of the certificate's time in seconds since 1970.
---@return integer|nil time
---@return string|nil message
---@return ssl.Detail|nil detail
function Certificate:notaftertime() end

---The beginning and the end of the certificate's time as text: "Nov 21 01:46:50 2026 GMT", or "Bad time value".
---@return string date
function Certificate:notbefore() end

---The beginning and the end of the certificate's time in seconds since 1970.
---@return integer|nil time
---@return string|nil message
---@return ssl.Detail|nil detail
function Certificate:notbeforetime() end

---The table that conn:getocsp() gives, for a responder's answer about cert: believed (its field `verified`) when it is signed for the issuer, in its time, and about cert. OCSP_basic_verify(3).
---@param issuer ssl.Certificate
---@param der string
---@return ssl.OcspStatus status
function Certificate:ocspcheck(issuer, der) end

---The DER to POST as application/ocsp-request to cert:ocspurl(), without a nonce. issuer: the certificate of the CA that issued cert. OCSP_request_add0_id(3), RFC 6960 appendix A.
---@param issuer ssl.Certificate
---@return string|nil der
---@return string|nil message
---@return ssl.Detail|nil detail
function Certificate:ocsprequest(issuer) end

---The first address of an OCSP responder.
---@return string|nil url
function Certificate:ocspurl() end

---The subject's name, or with "issuer" the issuer's, in OpenSSL's old form of one line, "/C=DE/CN=name" with bytes that are not printable as \\xHH; for showing, not for decisions. X509_NAME_oneline(3).
---@param which? "subject"|"issuer"
---@return string name
function Certificate:oneline(which) end

---The certificate in PEM.
---@return string|nil pem
function Certificate:pem() end

---The public key in PEM, its type (Ed25519 is Unknown, as in LuaSec) and its size in bits.
---@return string|nil pem
---@return "RSA"|"DSA"|"DH"|"EC"|"Unknown"|nil type
---@return integer|nil bits
function Certificate:pubkey() end

---The serial number: upper-case hexadecimal, whole bytes; "0" for zero; "-" in front of a negative one
---@return string serial
function Certificate:serial() end

---How names are given from now on. Only the beginning counts.
---@param encoding "ai5"|"utf8"
---@return boolean known
function Certificate:setencode(encoding) end

---The parts of the name in the certificate's order.
---@return ssl.NamePart[] name
function Certificate:subject() end

---notBefore <= seconds <= notAfter, in seconds since 1970.
---@param seconds number
---@return boolean
function Certificate:validat(seconds) end

---@class ssl.Session
local Session = {}

---The session as a string for ssl.loadsession. It holds the keys of the session: whoever has it can read what a resumed connection says. i2d_SSL_SESSION(3).
---@return string|nil data
---@return string|nil message
---@return ssl.Detail|nil detail
function Session:export() end

---Seconds from now until it is no longer accepted; 0 when that is past. SSL_SESSION_get_timeout(3).
---@return integer seconds
function Session:lifetime() end

---The same as export as text, which the openssl program reads too. PEM_write_bio_SSL_SESSION(3).
---@return string|nil pem
---@return string|nil message
---@return ssl.Detail|nil detail
function Session:pem() end

---What this library and the OpenSSL that runs can do; sets of names, each of which is true. Looked up at the first require "ssl.config".
---@class ssl.Config
---@field options? table<string, boolean> names for the setting options
---@field protocols? table<string, boolean>
---@field algorithms? table<string, boolean> "ec"
---@field capabilities? table<string, boolean|table> what LuaSec's has, and "mlkem"
---@field curves? table<string, boolean> groups by LuaSec's name
---@field groups? table<string, ssl.GroupInfo> names for the setting groups, OSSL_PROVIDER_get_capabilities(3)
---@field sigalgs? table<string, boolean> names for the setting sigalgs

---What a provider tells of a group, provider-base(7).
---@class ssl.GroupInfo
---@field id? integer its number in TLS, RFC 8446 section 4.2.7
---@field bits? integer its security
---@field min? string the oldest version of the protocol that it is for
---@field max? string the newest

return M
