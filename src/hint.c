/*
 * hint.c: what to do about the commonest failures, in a sentence each. OpenSSL's reasons say what it stumbled over; these
 * say what is usually behind it.
 */
#include "tls.h"

#include <openssl/err.h>

typedef struct row {
  int code;
  const char *hint;
} row;

/* By SSL_R_ reason of our own OpenSSL. */
static const row ours[] = {
  {SSL_R_WRONG_VERSION_NUMBER, "the peer does not speak TLS here: is the port right, or is a STARTTLS command due first?"},
  {SSL_R_HTTP_REQUEST, "the client speaks plain HTTP to a TLS port"},
  {SSL_R_HTTPS_PROXY_REQUEST, "the client takes this TLS port for an HTTP proxy"},
  {SSL_R_NO_SHARED_CIPHER, "the two sides have no cipher in common: has the server a certificate and key, do the ciphers and "
                           "protocol versions of both overlap?"},
  {SSL_R_UNSUPPORTED_PROTOCOL, "the peer speaks no protocol version that is allowed here: see the setting protocol"},
  {SSL_R_NO_PROTOCOLS_AVAILABLE, "no protocol version is left: see the settings protocol and options"},
  {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, "the client sent no certificate: it needs the settings certificate and key"},
  {SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, "the key of the certificate, the protocol version and the security level allow no "
                                          "signature: TLS 1.0 and 1.1 need @SECLEVEL=0 in ciphers"},
  {SSL_R_UNEXPECTED_EOF_WHILE_READING, "the peer ended the connection without close_notify: what came may be cut short"},
  {SSL_R_DH_KEY_TOO_SMALL, "the Diffie-Hellman parameters are too weak for the security level: use 2048 bits or more"},
  {SSL_R_EE_KEY_TOO_SMALL, "the certificate's key is too weak for the security level: use RSA of 2048 bits or more, or EC"},
  {SSL_R_CA_MD_TOO_WEAK, "a CA's certificate is signed with a hash that is too weak, such as SHA-1"},
  {SSL_R_UNSAFE_LEGACY_RENEGOTIATION_DISABLED, "the server lacks secure renegotiation (RFC 5746)"},
};

/* By alert, RFC 8446 section 6: what the peer thinks is wrong with us. */
static const row alerts[] = {
  {SSL_AD_HANDSHAKE_FAILURE, "the peer found nothing in common: protocol versions, ciphers, groups, or a certificate it wants"},
  {SSL_AD_BAD_CERTIFICATE, "the peer refuses our certificate"},
  {SSL_AD_UNSUPPORTED_CERTIFICATE, "the peer refuses our certificate's kind or purpose"},
  {SSL_AD_CERTIFICATE_REVOKED, "the peer says that our certificate is revoked"},
  {SSL_AD_CERTIFICATE_EXPIRED, "the peer says that our certificate has expired"},
  {SSL_AD_UNKNOWN_CA, "the peer does not trust the CA of our certificate, or misses its intermediate certificates"},
  {SSL_AD_PROTOCOL_VERSION, "the peer allows none of our protocol versions: see the setting protocol"},
  {SSL_AD_UNRECOGNIZED_NAME, "the server does not serve the name that was sent as SNI"},
  {SSL_AD_CERTIFICATE_REQUIRED, "the server wants a client certificate: settings certificate and key"},
  {SSL_AD_NO_APPLICATION_PROTOCOL, "the peer accepts none of the protocols offered by alpn"},
  {SSL_AD_BAD_CERTIFICATE_STATUS_RESPONSE, "the client refuses the OCSP response stapled, or misses one: setting ocsp"},
  {SSL_AD_UNKNOWN_PSK_IDENTITY, "the server does not know this PSK identity"},
};

/* By X509_V_ERR_ of the certificate refused. */
static const row verdicts[] = {
  {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, "no trusted CA issued it: name the CA by cafile, or have the peer send its "
                                                 "intermediate certificates"},
  {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, "the certificate of the CA above is not among the trusted ones"},
  {X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, "the peer sent a single certificate whose CA is not trusted here"},
  {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, "it is self-signed: name it by cafile to trust it"},
  {X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, "the chain ends in a CA that is not trusted here: name it by cafile to trust it"},
  {X509_V_ERR_CERT_HAS_EXPIRED, "it has expired: renew it, or set the clock of this machine"},
  {X509_V_ERR_CERT_NOT_YET_VALID, "it is not valid yet: is the clock of this machine right?"},
  {X509_V_ERR_CERT_CHAIN_TOO_LONG, "the chain is longer than the setting depth allows"},
  {X509_V_ERR_INVALID_PURPOSE, "its extended key usage is not for this side of TLS"},
  {X509_V_ERR_CERT_REVOKED, "its CA has revoked it"},
  {X509_V_ERR_UNABLE_TO_GET_CRL, "revocation is checked, but no CRL of its CA was loaded"},
  {X509_V_ERR_CRL_HAS_EXPIRED, "the CRL is out of date"},
  {X509_V_ERR_EE_KEY_TOO_SMALL, "its key is too weak for the security level"},
  {X509_V_ERR_CA_KEY_TOO_SMALL, "a CA's key is too weak for the security level"},
  {X509_V_ERR_CA_MD_TOO_WEAK, "a CA's certificate is signed with a hash that is too weak"},
  {X509_V_ERR_DANE_NO_MATCH, "none of the TLSA records matches what the server sent"},
  {X509_V_ERR_HOSTNAME_MISMATCH, "it has no subject alternative name for the host; the common name does not count"},
  {X509_V_ERR_IP_ADDRESS_MISMATCH, "it has no such IP address among its subject alternative names"},
};

static const char *find(const row *rows, size_t n, int code)
{
  for (size_t i = 0; i < n; i++) {
    if (rows[i].code == code) {
      return rows[i].hint;
    }
  }
  return NULL;
}

#define FIND(rows, code) find(rows, sizeof(rows) / sizeof *(rows), code)

const char *tls_hint(const tls_error *e)
{
  if (e->verify != X509_V_OK) {
    return FIND(verdicts, e->verify);
  }
  if (ERR_GET_LIB(e->code) != ERR_LIB_SSL) {
    return NULL;
  }
  int reason = ERR_GET_REASON(e->code);
  return reason > SSL_AD_REASON_OFFSET ? FIND(alerts, reason - SSL_AD_REASON_OFFSET) : FIND(ours, reason);
}
