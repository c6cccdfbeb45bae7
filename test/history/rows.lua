-- The forty rows in order, each { file, number, subject, where, also }: `also` names specs that go further, as
-- "x_spec: beginning of a test's name", or a make target.

local FILES = { "callbacks", "certificates", "streams", "https", "sessions" }

local ALSO = {
  [1] = { "callback_spec: Q11 belongs to a context whose coroutine is dead" },
  [2] = { "life_spec: of all contexts in the middle of a handshake does not matter" },
  [3] = { "states_spec: answers every method one after the other", "failed_spec: bytes that are no TLS" },
  [4] = { "make tsan" },
  [6] = { "https_framing_spec: takes a complete body whichever way the connection ends",
    "tunnel_spec: tells truncation from the end" },
  [7] = { "handshake_spec: close_notify, cut, reset, alert and garbage are five things" },
  [8] = { "handshake_spec: that waits says for what" },
  [9] = { "keyupdate_spec: changes keys while data go both ways",
    "openssl_spec: keys are updated while both sides write" },
  [10] = { "wait_spec: dohandshake ends in time; it can go on" },
  [11] = { "wait_spec: receive ends in time, with what came before" },
  [12] = { "stream_spec: tells of a record that the socket no longer has" },
  [13] = { "https_deadline_spec: in the look-up of the name", "deadline_spec: leaves time for the second address" },
  [14] = { "farm_spec: ssl.https,", "names_spec: are asked by very many rows",
    "https_spec: verifies the chain by default" },
  [15] = { "names_spec: are asked by very many rows", "connect_spec: checks an address against IP SANs" },
  [16] = { "x509_names_spec: takes other names of every character string type" },
  [17] = { "x509_names_spec: keeps a NUL in a name", "connect_spec: refuses empty names, NULs and leading dots" },
  [18] = { "x509_spec: stays flat over many calls of each method" },
  [20] = { "error_spec: hold at most eight entries of the queue" },
  [21] = { "life_spec: in any order leaves the rest working", "store_spec: does not share what one context adds" },
  [22] = { "states_spec: closes more than once, by every door" },
  [24] = { "callback_spec: collects garbage" },
  [25] = { "callback_spec: Q10 yields", "callback_spec: answers with a wrong type or too much" },
  [26] = { "psk_spec: take keys of 1 to 512 bytes and identities of 1 to 255" },
  [27] = { "alpn_spec: tells the client by an alert when it fails" },
  [28] = { "openssl_spec: works in a connection of its own", "session_spec: resume with a client certificate" },
  [29] = { "session_spec: carry a bad verdict along", "cache_spec: answers with the same bad verdict" },
  [30] = { "verify_spec: follows the flags at the time of the handshake" },
  [31] = { "renegotiation_spec: refuses it in spite of OpenSSL's configuration file", "make judged" },
  [32] = { "make judged" },
  [33] = { "wait_spec: are as good as any" },
  [34] = { "receive_spec: gathers no more than maxreceive" },
  [35] = { "send_spec: is retried with shorter, longer and single bytes" },
  [36] = { "shutdown_spec: sends close_notify behind all data when the socket was full" },
  [37] = { "transport_spec: does not kill the process, SIGPIPE at its default" },
  [38] = { "states_spec: answers every method one after the other", "make compat" },
  [39] = { "credentials_spec: is never asked for on the terminal" },
}

local rows = {}
for _, file in ipairs(FILES) do
  for number, row in pairs(require("history." .. file)) do
    assert(not rows[number], "two rows have one number")
    rows[number] = { file = file, number = number, subject = row.subject, where = row.where, also = ALSO[number] or {} }
  end
end
return rows
