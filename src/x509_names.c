/*
 * x509_names.c: the names in a certificate: subject, issuer, alternative names, and the
 * responder's address. Whether a name is among them is x509_check.c's question.
 */
#include "x509.h"

#include <arpa/inet.h>
#include <string.h>

#include <openssl/asn1.h>
#include <openssl/crypto.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>

/* ---- strings ----------------------------------------------------------------------------------*/

/* How strings of one certificate are given, and where their UTF-8 forms live meanwhile. */
typedef struct encoder {
  bool utf8;
  tls_box *text;
} encoder;

static void free_text(void *p)
{
  OPENSSL_free(p);
}

/* Pushes the box that it needs. */
static encoder new_encoder(lua_State *L)
{
  encoder enc;
  enc.text = tls_newbox(L, free_text);
  enc.utf8 = tls_selfcertificate(L)->utf8;
  return enc;
}

/* Pushes a string: its bytes, or its UTF-8 form, which is nil when the bytes are no string of their
   type. */
static void push_string(lua_State *L, const encoder *enc, const ASN1_STRING *s)
{
  unsigned char *text = NULL;
  if (!enc->utf8) {
    lua_pushlstring(L, (const char *)ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
    return;
  }
  int len = ASN1_STRING_to_UTF8(&text, s);
  if (len < 0) {
    tls_error_clear();
    lua_pushnil(L);
    return;
  }
  enc->text->p = text;
  lua_pushlstring(L, (const char *)text, (size_t)len);
  tls_emptybox(enc->text);
}

/* Pushes an object identifier in numbers, or by its long name if it has one; nil when OpenSSL
   cannot write it. */
static void push_oid(lua_State *L, const ASN1_OBJECT *oid, bool numbers)
{
  char text[128];
  int len = OBJ_obj2txt(text, sizeof text, oid, numbers);
  if (len < 0) {
    tls_error_clear();
    lua_pushnil(L);
  } else if ((size_t)len < sizeof text) {
    lua_pushlstring(L, text, (size_t)len);
  } else {
    char *longer = lua_newuserdata(L, (size_t)len + 1);
    OBJ_obj2txt(longer, len + 1, oid, numbers);
    lua_pushlstring(L, longer, (size_t)len);
    lua_remove(L, -2);
  }
}

/* ---- subject and issuer -----------------------------------------------------------------------*/

static void push_name(lua_State *L, const encoder *enc, const X509_NAME *name)
{
  int count = X509_NAME_entry_count(name);
  lua_createtable(L, count, 0);
  for (int i = 0; i < count; i++) {
    const X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, i);
    const ASN1_OBJECT *oid = X509_NAME_ENTRY_get_object(entry);
    lua_createtable(L, 0, 3);
    push_oid(L, oid, true);
    lua_setfield(L, -2, "oid");
    push_oid(L, oid, false);
    lua_setfield(L, -2, "name");
    push_string(L, enc, X509_NAME_ENTRY_get_data(entry));
    lua_setfield(L, -2, "value");
    lua_rawseti(L, -2, i + 1);
  }
}

/* table ssl.NamePart
   - oid: string
   - name: string -- OpenSSL's long name, "commonName"
   - value: string -- as setencode says */
/* cert:subject() -> name: ssl.NamePart[]
   cert:issuer() -> name: ssl.NamePart[]
   The parts of the name in the certificate's order. */
int tls_names_subject(lua_State *L)
{
  const X509 *cert = tls_holdcertificate(L);
  encoder enc = new_encoder(L);
  push_name(L, &enc, X509_get_subject_name(cert));
  return 1;
}

int tls_names_issuer(lua_State *L)
{
  const X509 *cert = tls_holdcertificate(L);
  encoder enc = new_encoder(L);
  push_name(L, &enc, X509_get_issuer_name(cert));
  return 1;
}

/* ---- alternative names ------------------------------------------------------------------------*/

/* Appends the value on top of the stack to a list; nil is dropped. */
static void append(lua_State *L, int list)
{
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
  } else {
    lua_rawseti(L, list, (int)lua_rawlen(L, list) + 1);
  }
}

/* Replaces the key on top of the stack by the table of that key, made if it is missing. */
static void subtable(lua_State *L, int t)
{
  lua_pushvalue(L, -1);
  lua_rawget(L, t);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -2);
    lua_rawset(L, t);
  }
  lua_remove(L, -2);
}

static void add_string(lua_State *L, const encoder *enc, int t, const char *key,
                       const ASN1_STRING *s)
{
  lua_pushstring(L, key);
  subtable(L, t);
  push_string(L, enc, s);
  append(L, lua_absindex(L, -2));
  lua_pop(L, 1);
}

static void add_address(lua_State *L, int t, const ASN1_OCTET_STRING *ip)
{
  char text[INET6_ADDRSTRLEN];
  int len = ASN1_STRING_length(ip);
  int family = len == 4 ? AF_INET : AF_INET6;
  lua_pushliteral(L, "iPAddress");
  subtable(L, t);
  if ((len == 4 || len == 16) && inet_ntop(family, ASN1_STRING_get0_data(ip), text, sizeof text)) {
    lua_pushstring(L, text);
    append(L, lua_absindex(L, -2));
  }
  lua_pop(L, 1);
}

/* An otherName can hold a value of any type; ASN1_TYPE is a union, whose other members are no
   strings at all. */
static bool is_text(const ASN1_TYPE *value)
{
  switch (ASN1_TYPE_get(value)) {
  case V_ASN1_UTF8STRING:
  case V_ASN1_IA5STRING:
  case V_ASN1_PRINTABLESTRING:
  case V_ASN1_T61STRING:
  case V_ASN1_BMPSTRING:
  case V_ASN1_UNIVERSALSTRING:
  case V_ASN1_VISIBLESTRING:
  case V_ASN1_NUMERICSTRING:
  case V_ASN1_GENERALSTRING:
    return true;
  default:
    return false;
  }
}

static void add_other(lua_State *L, const encoder *enc, int t, const OTHERNAME *other)
{
  if (!is_text(other->value)) {
    return;
  }
  push_oid(L, other->type_id, true);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    return;
  }
  subtable(L, t);
  push_oid(L, other->type_id, false);
  lua_setfield(L, -2, "name");
  push_string(L, enc, other->value->value.asn1_string);
  append(L, lua_absindex(L, -2));
  lua_pop(L, 1);
}

static void add_name(lua_State *L, const encoder *enc, int t, const GENERAL_NAME *name)
{
  switch (name->type) {
  case GEN_OTHERNAME: add_other(L, enc, t, name->d.otherName); break;
  case GEN_EMAIL: add_string(L, enc, t, "rfc822Name", name->d.ia5); break;
  case GEN_DNS: add_string(L, enc, t, "dNSName", name->d.ia5); break;
  case GEN_URI: add_string(L, enc, t, "uniformResourceIdentifier", name->d.ia5); break;
  case GEN_IPADD: add_address(L, t, name->d.iPAddress); break;
  default: break; /* directoryName, registeredID, x400Address, ediPartyName */
  }
}

static void free_names(void *p)
{
  GENERAL_NAMES_free(p);
}

/* Pushes the table of one kind of extension, which is in the result table from its first occurrence
   on. */
static void extension_table(lua_State *L, int result, X509_EXTENSION *ext)
{
  const ASN1_OBJECT *oid = X509_EXTENSION_get_object(ext);
  push_oid(L, oid, true);
  subtable(L, result);
  push_oid(L, oid, false);
  lua_setfield(L, -2, "name");
}

static void add_extension(lua_State *L, const encoder *enc, tls_box *box, int result,
                          X509_EXTENSION *ext)
{
  GENERAL_NAMES *names = X509V3_EXT_d2i(ext);
  if (names == NULL) {
    tls_error_clear();
    return;
  }
  box->p = names;
  extension_table(L, result, ext);
  int t = lua_gettop(L);
  for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
    add_name(L, enc, t, sk_GENERAL_NAME_value(names, i));
  }
  lua_pop(L, 1);
  tls_emptybox(box);
}

/* cert:extensions() -> extensions: table<string, table>
   By OID the alternative names: { ["2.5.29.17"] = {name=, dNSName={...}, rfc822Name=, uniformResourceIdentifier=,
   iPAddress=, [otherName's oid] = {name=, ...}} }, of all such extensions that can be read. */
int tls_names_extensions(lua_State *L)
{
  X509 *cert = tls_holdcertificate(L);
  encoder enc = new_encoder(L);
  tls_box *box = tls_newbox(L, free_names);
  lua_newtable(L);
  int result = lua_gettop(L);
  int i = -1;
  while ((i = X509_get_ext_by_NID(cert, NID_subject_alt_name, i)) >= 0) {
    add_extension(L, &enc, box, result, X509_get_ext(cert, i));
  }
  return 1;
}

/* ---- addresses --------------------------------------------------------------------------------*/

static void free_urls(void *p)
{
  X509_email_free(p);
}

/* cert:ocspurl() -> url: string | nil
   The first address of an OCSP responder. */
int tls_names_ocspurl(lua_State *L)
{
  tls_box *box = tls_newbox(L, free_urls);
  STACK_OF(OPENSSL_STRING) *urls = X509_get1_ocsp(tls_selfcertificate(L)->cert);
  box->p = urls;
  if (sk_OPENSSL_STRING_num(urls) > 0) {
    lua_pushstring(L, sk_OPENSSL_STRING_value(urls, 0));
  } else {
    lua_pushnil(L);
  }
  tls_emptybox(box);
  tls_error_clear();
  return 1;
}

/* ---- names in one line ------------------------------------------------------------------------*/

/* cert:oneline([which: "subject"|"issuer"]) -> name: string
   The subject's name, or with "issuer" the issuer's, in OpenSSL's old form of one line, "/C=DE/CN=name" with bytes
   that are not printable as \\xHH; for showing, not for decisions. X509_NAME_oneline(3). */
int tls_names_oneline(lua_State *L)
{
  static const char *const names[] = {"subject", "issuer", NULL};
  tls_selfcertificate(L);
  luaL_optstring(L, 2, NULL); /* LuaJIT's luaL_checkoption takes the default for any other type */
  bool issuer = luaL_checkoption(L, 2, "subject", names) == 1;
  tls_box *box = tls_newbox(L, free_text);
  X509 *cert = tls_selfcertificate(L)->cert; /* only now: a finalizer may have closed it */
  tls_error_clear();
  box->p = X509_NAME_oneline(issuer ? X509_get_issuer_name(cert) : X509_get_subject_name(cert), NULL, 0);
  if (box->p == NULL) {
    return tls_fail_nil(L, tls_fail_queue(L, "error reading name", NULL));
  }
  lua_pushstring(L, box->p);
  tls_emptybox(box);
  return 1;
}
