/*
 * hint.c: what to do about the commonest failures, in a sentence each. OpenSSL's reasons say what it stumbled over; these
 * say what is usually behind it.
 */
#include "tls.h"

#include <errno.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>

typedef struct row {
  int code;
  const char *hint;
} row;

/* By SSL_R_ reason of our own OpenSSL. */
static const row ours[] = {
  {SSL_R_WRONG_VERSION_NUMBER, "the peer does not speak TLS here: is the port right, or is a STARTTLS command due first?"},
  {SSL_R_HTTP_REQUEST, "the client speaks plain HTTP to a TLS port"},
  {SSL_R_HTTPS_PROXY_REQUEST, "the client takes this TLS port for an HTTP proxy"},
  {SSL_R_NO_SHARED_CIPHER, "the two sides have no cipher in common: has the server a certificate and key, do ciphers, groups and "
                           "protocol versions of both overlap?"},
  {SSL_R_UNSUPPORTED_PROTOCOL, "the peer speaks no protocol version that is allowed here: see the setting protocol"},
  {SSL_R_NO_PROTOCOLS_AVAILABLE, "no protocol version is left: see the settings protocol and options"},
  {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, "the client sent no certificate: it needs the settings certificate and key"},
  {SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, "the key of the certificate, the protocol version and the security level allow no "
                                          "signature: TLS 1.0 and 1.1 need @SECLEVEL=0 in ciphers"},
  {SSL_R_UNEXPECTED_EOF_WHILE_READING, "the peer ended the connection without close_notify: what came may be cut short"},
  {SSL_R_DH_KEY_TOO_SMALL, "the Diffie-Hellman parameters are too weak for the security level: use 2048 bits or more"},
  {SSL_R_EE_KEY_TOO_SMALL, "the certificate's key is too weak for the security level: use RSA of 2048 bits or more, or EC"},
  {SSL_R_CA_MD_TOO_WEAK, "the certificate, or a CA's, is signed with a hash that is too weak, such as SHA-1"},
  {SSL_R_NO_SUITABLE_KEY_SHARE, "the two sides have no group for the key exchange in common: see the settings groups and curve"},
  {SSL_R_NO_SUITABLE_GROUPS, "the two sides have no group for the key exchange in common: see the settings groups and curve"},
  {SSL_R_NO_CIPHER_MATCH, "no name in it is a cipher of this OpenSSL: ciphers takes OpenSSL's names for TLS 1.2, ciphersuites "
                          "those for TLS 1.3"},
  {SSL_R_INVALID_COMMAND, "no name in it is a cipher of this OpenSSL: ciphers takes OpenSSL's names for TLS 1.2, ciphersuites "
                          "those for TLS 1.3"},
  {SSL_R_CALLBACK_FAILED, "the client's SNI names a host that is not served here"},
  {SSL_R_NO_APPLICATION_PROTOCOL, "the client offers none of the protocols in alpn"},
  {SSL_R_PSK_IDENTITY_NOT_FOUND, "the psk function gave no key for this identity"},
  {SSL_R_NO_CERTIFICATE_ASSIGNED, "load a certificate first, then its private key"},
  {SSL_R_VERSION_TOO_LOW, "the security level allows no such old version"},
  {SSL_R_UNSAFE_LEGACY_RENEGOTIATION_DISABLED, "the server lacks secure renegotiation (RFC 5746)"},
};

/* Alerts by number, RFC 8446 section 6 and the older RFCs that IANA's registry names: their names there, and what the peer
   thinks is wrong with us. */
static const struct {
  int code;
  const char *name, *hint;
} alerts[] = {
  {SSL_AD_CLOSE_NOTIFY, "close_notify", NULL},
  {SSL_AD_UNEXPECTED_MESSAGE, "unexpected_message", NULL},
  {SSL_AD_BAD_RECORD_MAC, "bad_record_mac", "what arrived at the peer is not what was sent: with a PSK, the two keys differ"},
  {SSL_AD_DECRYPTION_FAILED, "decryption_failed", NULL},
  {SSL_AD_RECORD_OVERFLOW, "record_overflow", NULL},
  {SSL_AD_DECOMPRESSION_FAILURE, "decompression_failure", NULL},
  {SSL_AD_HANDSHAKE_FAILURE, "handshake_failure",
   "the peer found nothing in common: protocol versions, ciphers, groups, or a certificate it wants"},
  {SSL_AD_NO_CERTIFICATE, "no_certificate", NULL},
  {SSL_AD_BAD_CERTIFICATE, "bad_certificate", "the peer refuses our certificate: its names, its dates, or its form"},
  {SSL_AD_UNSUPPORTED_CERTIFICATE, "unsupported_certificate", "the peer refuses our certificate's kind or purpose"},
  {SSL_AD_CERTIFICATE_REVOKED, "certificate_revoked", "the peer says that our certificate is revoked"},
  {SSL_AD_CERTIFICATE_EXPIRED, "certificate_expired", "the peer says that our certificate has expired"},
  {SSL_AD_CERTIFICATE_UNKNOWN, "certificate_unknown", "the peer refuses our certificate, and does not say why"},
  {SSL_AD_ILLEGAL_PARAMETER, "illegal_parameter", NULL},
  {SSL_AD_UNKNOWN_CA, "unknown_ca", "the peer does not trust the CA of our certificate, or misses its intermediate certificates"},
  {SSL_AD_ACCESS_DENIED, "access_denied", "the peer takes our certificate, and still does not let us in"},
  {SSL_AD_DECODE_ERROR, "decode_error", NULL},
  {SSL_AD_DECRYPT_ERROR, "decrypt_error", "a signature or a key did not fit: with a PSK, the two keys differ"},
  {SSL_AD_EXPORT_RESTRICTION, "export_restriction", NULL},
  {SSL_AD_PROTOCOL_VERSION, "protocol_version", "the peer allows none of our protocol versions: see the setting protocol"},
  {SSL_AD_INSUFFICIENT_SECURITY, "insufficient_security", "the peer wants stronger ciphers or groups than ours"},
  {SSL_AD_INTERNAL_ERROR, "internal_error", "something went wrong at the peer: its log may say what"},
  {SSL_AD_INAPPROPRIATE_FALLBACK, "inappropriate_fallback", "the peer speaks a newer protocol version than the one offered"},
  {SSL_AD_USER_CANCELLED, "user_canceled", NULL},
  {SSL_AD_NO_RENEGOTIATION, "no_renegotiation", NULL},
  {SSL_AD_MISSING_EXTENSION, "missing_extension", NULL},
  {SSL_AD_UNSUPPORTED_EXTENSION, "unsupported_extension", NULL},
  {SSL_AD_CERTIFICATE_UNOBTAINABLE, "certificate_unobtainable", NULL},
  {SSL_AD_UNRECOGNIZED_NAME, "unrecognized_name", "the server does not serve the name that was sent as SNI"},
  {SSL_AD_BAD_CERTIFICATE_STATUS_RESPONSE, "bad_certificate_status_response",
   "the client refuses the OCSP response stapled, or misses one: setting ocsp"},
  {SSL_AD_BAD_CERTIFICATE_HASH_VALUE, "bad_certificate_hash_value", NULL},
  {SSL_AD_UNKNOWN_PSK_IDENTITY, "unknown_psk_identity", "the server does not know this PSK identity"},
  {SSL_AD_CERTIFICATE_REQUIRED, "certificate_required", "the server wants a client certificate: settings certificate and key"},
  {SSL_AD_NO_APPLICATION_PROTOCOL, "no_application_protocol", "the peer accepts none of the protocols offered by alpn"},
};

/* By errno of a file that could not be read. */
static const row files[] = {
  {ENOENT, "is the path right? One without a leading / is looked up from where the program was started"},
  {EACCES, "the user that the program runs as may not read it"},
  {EISDIR, "it is a directory: name a file in it"},
  {EMFILE, "the program has too many files open"},
};

static const char wrong_password[] = "the password is wrong, or the file is damaged";

/* By PEM_R_ and X509_R_ reasons. */
static const row pems[] = {
  {PEM_R_NO_START_LINE, "there is nothing of the kind wanted in it: PEM has a line like -----BEGIN CERTIFICATE----- before each"},
  {PEM_R_BAD_END_LINE, "it is cut short, or was damaged on its way"},
  {PEM_R_BAD_BASE64_DECODE, "it is cut short, or was damaged on its way"},
  {PEM_R_BAD_PASSWORD_READ, wrong_password},
};

static const row x509s[] = {
  {X509_R_KEY_VALUES_MISMATCH, "the certificate was made for another private key: name the two that belong together"},
  {X509_R_KEY_TYPE_MISMATCH, "the certificate was made for another private key: name the two that belong together"},
  {X509_R_NO_CERTIFICATE_OR_CRL_FOUND, "it has no certificate in PEM"},
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
  {X509_V_ERR_CA_MD_TOO_WEAK, "it, or a CA's certificate, is signed with a hash that is too weak, such as SHA-1"},
  {X509_V_ERR_DANE_NO_MATCH, "none of the TLSA records matches what the server sent"},
  {X509_V_ERR_APPLICATION_VERIFICATION, "psk is set and verify is none: a certificate must not take the place of the key"},
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

/* The alert that the peer sent, as an index of alerts; -1 for other failures and for alerts that have no name. */
static int find_alert(const tls_error *e)
{
  int code = tls_alert(e);
  for (size_t i = 0; code >= 0 && i < sizeof alerts / sizeof *alerts; i++) {
    if (alerts[i].code == code) {
      return (int)i;
    }
  }
  return -1;
}

int tls_alert(const tls_error *e)
{
  bool alert = e->kind == TLS_KIND_ALERT && ERR_GET_LIB(e->code) == ERR_LIB_SSL;
  return alert ? ERR_GET_REASON(e->code) - SSL_AD_REASON_OFFSET : -1;
}

const char *tls_alert_name(const tls_error *e)
{
  int i = find_alert(e);
  return i >= 0 ? alerts[i].name : NULL;
}

const char *tls_hint_closed(const tls_connection *c)
{
  if (c->state == TLS_STATE_CLOSED) {
    return "this program has closed the connection";
  }
  if (c->state == TLS_STATE_NEW) {
    return c->failed ? "the handshake failed: lasterror says why" : "the handshake is not done: call dohandshake first";
  }
  return NULL;
}

static const char *hint_by_code(unsigned long code)
{
  switch (ERR_GET_LIB(code)) { /* ERR_LIB_SYS has no hint here */
  case ERR_LIB_SSL:
    return FIND(ours, ERR_GET_REASON(code));
  case ERR_LIB_PEM:
    return FIND(pems, ERR_GET_REASON(code));
  case ERR_LIB_X509:
    return FIND(x509s, ERR_GET_REASON(code));
  case ERR_LIB_PKCS12:
    return ERR_GET_REASON(code) == PKCS12_R_MAC_VERIFY_FAILURE ? wrong_password : NULL;
  case ERR_LIB_OSSL_DECODER:
    return ERR_GET_REASON(code) == ERR_R_UNSUPPORTED ? "it is no private key in a form that OpenSSL knows" : NULL;
  default:
    return NULL;
  }
}

const char *tls_hint(const tls_error *e)
{
  if (e->verify != X509_V_OK) {
    return FIND(verdicts, e->verify);
  }
  if (e->kind == TLS_KIND_ALERT) {
    int i = find_alert(e);
    return i >= 0 ? alerts[i].hint : NULL;
  }
  if (e->file != NULL && e->sys != 0) {
    return FIND(files, e->sys);
  }
  if (e->text != NULL && strcmp(e->text, "bad decrypt") == 0) {
    return wrong_password;
  }
  return hint_by_code(e->code);
}
