--- lua-libtls' module: runs programs written for it, on OpenSSL 3. Constants, client, server. Configurations are made
-- by libtls.config.
-- @module libtls

local context = require "libtls.context"

--- libtls.WANT_POLLIN: integer
--- libtls.WANT_POLLOUT: integer
-- What handshake, read, write and close wait for: the descriptor to become readable, or writable.
--- libtls.TLS_v10: integer
--- libtls.TLS_v11: integer
--- libtls.TLS_v12: integer
--- libtls.TLS_v13: integer
--- libtls.TLS_v1x: integer
--- libtls.TLS_DEFAULT: integer
-- Versions for config:set_protocols; v1x is all four, DEFAULT the last two.
--- libtls.OCSP_CERT_*: integer
-- What peer_ocsp_cert_status answers: GOOD, REVOKED, UNKNOWN.
--- libtls.OCSP_RESPONSE_*: integer
-- What peer_ocsp_response_status answers: SUCCESSFUL, MALFORMED, INTERNALERROR, TRYLATER, SIGREQUIRED, UNAUTHORIZED.
--- libtls.CRL_REASON_*: integer
-- What peer_ocsp_crl_reason answers, RFC 5280 section 5.3.1: UNSPECIFIED, KEY_COMPROMISE and the others.
--- libtls.TLS_API: integer
-- The date of libtls' interface that this one follows.
--- libtls.MAX_SESSION_ID_LENGTH: integer
--- libtls.TICKET_KEY_SIZE: integer
-- Bytes: the longest session id, a ticket key.
return {
  client = context.client,
  server = context.server,

  WANT_POLLIN = context.WANT_POLLIN,
  WANT_POLLOUT = context.WANT_POLLOUT,

  TLS_v10 = 2,
  TLS_v11 = 4,
  TLS_v12 = 8,
  TLS_v13 = 16,
  TLS_v1x = 30,
  TLS_DEFAULT = 24,

  OCSP_CERT_GOOD = 0,
  OCSP_CERT_REVOKED = 1,
  OCSP_CERT_UNKNOWN = 2,

  OCSP_RESPONSE_SUCCESSFUL = 0,
  OCSP_RESPONSE_MALFORMED = 1,
  OCSP_RESPONSE_INTERNALERROR = 2,
  OCSP_RESPONSE_TRYLATER = 3,
  OCSP_RESPONSE_SIGREQUIRED = 4,
  OCSP_RESPONSE_UNAUTHORIZED = 5,

  CRL_REASON_UNSPECIFIED = 0,
  CRL_REASON_KEY_COMPROMISE = 1,
  CRL_REASON_CA_COMPROMISE = 2,
  CRL_REASON_AFFILIATION_CHANGED = 3,
  CRL_REASON_SUPERSEDED = 4,
  CRL_REASON_CESSATION_OF_OPERATION = 5,
  CRL_REASON_CERTIFICATE_HOLD = 6,
  CRL_REASON_REMOVE_FROM_CRL = 8,
  CRL_REASON_PRIVILEGE_WITHDRAWN = 9,
  CRL_REASON_AA_COMPROMISE = 10,

  TLS_API = 20200120,
  MAX_SESSION_ID_LENGTH = 32,
  TICKET_KEY_SIZE = 48,
}
