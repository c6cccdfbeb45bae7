/*
 * options.c: the names of OpenSSL's SSL_OP_* flags: the suffix in lower case. Every name that
 * LuaSec ever knew stays one; those that mean nothing to OpenSSL 3 are 0. Setting the flags is
 * context.c's.
 */
#include "tls.h"

#include <stdlib.h>
#include <string.h>

/* Flags of later releases. Their bits are part of the library's binary interface, so that a library built with the headers
   of 3.0 has them when it runs on one that knows them. SSL_CTX_set_options(3). */
#ifndef SSL_OP_NO_TX_CERTIFICATE_COMPRESSION
#define SSL_OP_NO_TX_CERTIFICATE_COMPRESSION SSL_OP_BIT(32)
#define SSL_OP_NO_RX_CERTIFICATE_COMPRESSION SSL_OP_BIT(33)
#endif
#ifndef SSL_OP_ENABLE_KTLS_TX_ZEROCOPY_SENDFILE
#define SSL_OP_ENABLE_KTLS_TX_ZEROCOPY_SENDFILE SSL_OP_BIT(34)
#endif
#ifndef SSL_OP_PREFER_NO_DHE_KEX
#define SSL_OP_PREFER_NO_DHE_KEX SSL_OP_BIT(35)
#endif
#ifndef SSL_OP_LEGACY_EC_POINT_FORMATS
#define SSL_OP_LEGACY_EC_POINT_FORMATS SSL_OP_BIT(36)
#endif

/* Sorted by strcmp, for the search below. The third column is the first release that knows a flag. */
const tls_option tls_options[] = {
  {"all", SSL_OP_ALL, 0},
  {"allow_client_renegotiation", SSL_OP_ALLOW_CLIENT_RENEGOTIATION, 0},
  {"allow_no_dhe_kex", SSL_OP_ALLOW_NO_DHE_KEX, 0},
  {"allow_unsafe_legacy_renegotiation", SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION, 0},
  {"cipher_server_preference", SSL_OP_CIPHER_SERVER_PREFERENCE, 0},
  {"cisco_anyconnect", SSL_OP_CISCO_ANYCONNECT, 0},
  {"cleanse_plaintext", SSL_OP_CLEANSE_PLAINTEXT, 0},
  {"cookie_exchange", SSL_OP_COOKIE_EXCHANGE, 0},
  {"cryptopro_tlsext_bug", SSL_OP_CRYPTOPRO_TLSEXT_BUG, 0},
  {"disable_tlsext_ca_names", SSL_OP_DISABLE_TLSEXT_CA_NAMES, 0},
  {"dont_insert_empty_fragments", SSL_OP_DONT_INSERT_EMPTY_FRAGMENTS, 0},
  {"enable_ktls", SSL_OP_ENABLE_KTLS, 0},
  {"enable_ktls_tx_zerocopy_sendfile", SSL_OP_ENABLE_KTLS_TX_ZEROCOPY_SENDFILE, TLS_RELEASE(3, 2)},
  {"enable_middlebox_compat", SSL_OP_ENABLE_MIDDLEBOX_COMPAT, 0},
  {"ephemeral_rsa", 0, 0},
  {"ignore_unexpected_eof", SSL_OP_IGNORE_UNEXPECTED_EOF, 0},
  {"legacy_ec_point_formats", SSL_OP_LEGACY_EC_POINT_FORMATS, TLS_RELEASE(3, 6)},
  {"legacy_server_connect", SSL_OP_LEGACY_SERVER_CONNECT, 0},
  {"microsoft_big_sslv3_buffer", 0, 0},
  {"microsoft_sess_id_bug", 0, 0},
  {"msie_sslv2_rsa_padding", 0, 0},
  {"netscape_ca_dn_bug", 0, 0},
  {"netscape_challenge_bug", 0, 0},
  {"netscape_demo_cipher_change_bug", 0, 0},
  {"netscape_reuse_cipher_change_bug", 0, 0},
  {"no_anti_replay", SSL_OP_NO_ANTI_REPLAY, 0},
  {"no_compression", SSL_OP_NO_COMPRESSION, 0},
  {"no_dtls_mask", SSL_OP_NO_DTLS_MASK, 0},
  {"no_dtlsv1", SSL_OP_NO_DTLSv1, 0},
  {"no_dtlsv1_2", SSL_OP_NO_DTLSv1_2, 0},
  {"no_encrypt_then_mac", SSL_OP_NO_ENCRYPT_THEN_MAC, 0},
  {"no_extended_master_secret", SSL_OP_NO_EXTENDED_MASTER_SECRET, 0},
  {"no_query_mtu", SSL_OP_NO_QUERY_MTU, 0},
  {"no_renegotiation", SSL_OP_NO_RENEGOTIATION, 0},
  {"no_rx_certificate_compression", SSL_OP_NO_RX_CERTIFICATE_COMPRESSION, TLS_RELEASE(3, 2)},
  {"no_session_resumption_on_renegotiation", SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION, 0},
  {"no_ssl_mask", SSL_OP_NO_SSL_MASK, 0},
  {"no_sslv2", 0, 0},
  {"no_sslv3", SSL_OP_NO_SSLv3, 0},
  {"no_ticket", SSL_OP_NO_TICKET, 0},
  {"no_tlsv1", SSL_OP_NO_TLSv1, 0},
  {"no_tlsv1_1", SSL_OP_NO_TLSv1_1, 0},
  {"no_tlsv1_2", SSL_OP_NO_TLSv1_2, 0},
  {"no_tlsv1_3", SSL_OP_NO_TLSv1_3, 0},
  {"no_tx_certificate_compression", SSL_OP_NO_TX_CERTIFICATE_COMPRESSION, TLS_RELEASE(3, 2)},
  {"pkcs1_check_1", 0, 0},
  {"pkcs1_check_2", 0, 0},
  {"prefer_no_dhe_kex", SSL_OP_PREFER_NO_DHE_KEX, TLS_RELEASE(3, 3)},
  {"prioritize_chacha", SSL_OP_PRIORITIZE_CHACHA, 0},
  {"safari_ecdhe_ecdsa_bug", SSL_OP_SAFARI_ECDHE_ECDSA_BUG, 0},
  {"single_dh_use", 0, 0},
  {"single_ecdh_use", 0, 0},
  {"ssleay_080_client_dh_bug", 0, 0},
  {"sslref2_reuse_cert_type_bug", 0, 0},
  {"tls_block_padding_bug", 0, 0},
  {"tls_d5_bug", 0, 0},
  {"tls_rollback_bug", SSL_OP_TLS_ROLLBACK_BUG, 0},
  {"tlsext_padding", SSL_OP_TLSEXT_PADDING, 0},
  {NULL, 0, 0}
};

static int compare(const void *name, const void *option)
{
  return strcmp(name, ((const tls_option *)option)->name);
}

const tls_option *tls_option_find(const char *name)
{
  size_t count = sizeof tls_options / sizeof tls_options[0] - 1;
  return bsearch(name, tls_options, count, sizeof tls_options[0], compare);
}
