/*
 * options.c: the names of OpenSSL's SSL_OP_* flags: the suffix in lower case. Every name that
 * LuaSec ever knew stays one; those that mean nothing to OpenSSL 3 are 0. Setting the flags is
 * context.c's.
 */
#include "tls.h"

#include <stdlib.h>
#include <string.h>

/* Sorted by strcmp, for the search below. Those that OpenSSL 3.0 lacks are left out there. */
const tls_option tls_options[] = {
  {"all", SSL_OP_ALL},
  {"allow_client_renegotiation", SSL_OP_ALLOW_CLIENT_RENEGOTIATION},
  {"allow_no_dhe_kex", SSL_OP_ALLOW_NO_DHE_KEX},
  {"allow_unsafe_legacy_renegotiation", SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION},
  {"cipher_server_preference", SSL_OP_CIPHER_SERVER_PREFERENCE},
  {"cisco_anyconnect", SSL_OP_CISCO_ANYCONNECT},
  {"cleanse_plaintext", SSL_OP_CLEANSE_PLAINTEXT},
  {"cookie_exchange", SSL_OP_COOKIE_EXCHANGE},
  {"cryptopro_tlsext_bug", SSL_OP_CRYPTOPRO_TLSEXT_BUG},
  {"disable_tlsext_ca_names", SSL_OP_DISABLE_TLSEXT_CA_NAMES},
  {"dont_insert_empty_fragments", SSL_OP_DONT_INSERT_EMPTY_FRAGMENTS},
  {"enable_ktls", SSL_OP_ENABLE_KTLS},
#ifdef SSL_OP_ENABLE_KTLS_TX_ZEROCOPY_SENDFILE
  {"enable_ktls_tx_zerocopy_sendfile", SSL_OP_ENABLE_KTLS_TX_ZEROCOPY_SENDFILE},
#endif
  {"enable_middlebox_compat", SSL_OP_ENABLE_MIDDLEBOX_COMPAT},
  {"ephemeral_rsa", 0},
  {"ignore_unexpected_eof", SSL_OP_IGNORE_UNEXPECTED_EOF},
#ifdef SSL_OP_LEGACY_EC_POINT_FORMATS
  {"legacy_ec_point_formats", SSL_OP_LEGACY_EC_POINT_FORMATS},
#endif
  {"legacy_server_connect", SSL_OP_LEGACY_SERVER_CONNECT},
  {"microsoft_big_sslv3_buffer", 0},
  {"microsoft_sess_id_bug", 0},
  {"msie_sslv2_rsa_padding", 0},
  {"netscape_ca_dn_bug", 0},
  {"netscape_challenge_bug", 0},
  {"netscape_demo_cipher_change_bug", 0},
  {"netscape_reuse_cipher_change_bug", 0},
  {"no_anti_replay", SSL_OP_NO_ANTI_REPLAY},
  {"no_compression", SSL_OP_NO_COMPRESSION},
  {"no_dtls_mask", SSL_OP_NO_DTLS_MASK},
  {"no_dtlsv1", SSL_OP_NO_DTLSv1},
  {"no_dtlsv1_2", SSL_OP_NO_DTLSv1_2},
  {"no_encrypt_then_mac", SSL_OP_NO_ENCRYPT_THEN_MAC},
  {"no_extended_master_secret", SSL_OP_NO_EXTENDED_MASTER_SECRET},
  {"no_query_mtu", SSL_OP_NO_QUERY_MTU},
  {"no_renegotiation", SSL_OP_NO_RENEGOTIATION},
#ifdef SSL_OP_NO_RX_CERTIFICATE_COMPRESSION
  {"no_rx_certificate_compression", SSL_OP_NO_RX_CERTIFICATE_COMPRESSION},
#endif
  {"no_session_resumption_on_renegotiation", SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION},
  {"no_ssl_mask", SSL_OP_NO_SSL_MASK},
  {"no_sslv2", 0},
  {"no_sslv3", SSL_OP_NO_SSLv3},
  {"no_ticket", SSL_OP_NO_TICKET},
  {"no_tlsv1", SSL_OP_NO_TLSv1},
  {"no_tlsv1_1", SSL_OP_NO_TLSv1_1},
  {"no_tlsv1_2", SSL_OP_NO_TLSv1_2},
  {"no_tlsv1_3", SSL_OP_NO_TLSv1_3},
#ifdef SSL_OP_NO_TX_CERTIFICATE_COMPRESSION
  {"no_tx_certificate_compression", SSL_OP_NO_TX_CERTIFICATE_COMPRESSION},
#endif
  {"pkcs1_check_1", 0},
  {"pkcs1_check_2", 0},
#ifdef SSL_OP_PREFER_NO_DHE_KEX
  {"prefer_no_dhe_kex", SSL_OP_PREFER_NO_DHE_KEX},
#endif
  {"prioritize_chacha", SSL_OP_PRIORITIZE_CHACHA},
  {"safari_ecdhe_ecdsa_bug", SSL_OP_SAFARI_ECDHE_ECDSA_BUG},
  {"single_dh_use", 0},
  {"single_ecdh_use", 0},
  {"ssleay_080_client_dh_bug", 0},
  {"sslref2_reuse_cert_type_bug", 0},
  {"tls_block_padding_bug", 0},
  {"tls_d5_bug", 0},
  {"tls_rollback_bug", SSL_OP_TLS_ROLLBACK_BUG},
  {"tlsext_padding", SSL_OP_TLSEXT_PADDING},
  {NULL, 0}
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
