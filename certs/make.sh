#!/bin/sh
# A whole public key infrastructure for the tests, the demo and the samples, made in seconds.
#
#   certs/make.sh [OUTDIR]      OUTDIR defaults to build/certs
#
# Does nothing when OUTDIR is complete, was made by this very script and lasts another day. Otherwise
# everything is made in a folder beside it, which is then renamed: nobody sees half a PKI.
# Needs a POSIX shell and the openssl command (3.0 or newer). No key here guards anything real, and
# none is ever committed. Keys are EC P-256 and leaves hang under rootA unless the table says otherwise.
#
# Each NAME.pem has its key in NAMEkey.pem, unless it is marked (no key). Every leaf without a remark
# has one name, DNS:localhost, and serves as server and client.
#
#   rootA, rootB            the two roots; each one's chain is refused by the other
#   serverA                 CN=serverA, DNS:localhost, DNS:server.test, IP:127.0.0.1, IP:::1
#   clientA                 client only; email:client@client.test
#   serverB, clientB        the same under rootB; DNS:localhost, DNS:serverb.test
#   interA                  an intermediate CA under rootA
#   chainA                  leaf under interA and then interA; DNS:chain.test, DNS:localhost
#   chainA-leaf             the leaf of chainA alone: the intermediate is missing (chainAkey.pem)
#   reversedA               the same two in the wrong order: interA, then the leaf (chainAkey.pem)
#   rsa                     RSA-2048
#   rsa1024                 RSA-1024: too small for security level 2
#   ec384, ed25519          other kinds of key
#   sha1                    signed with SHA-1
#   expired, notyet         valid in 2020 only; from 2045 on
#   wronghost               DNS:other.test
#   wildcard                DNS:*.wild.test
#   wildcards               *.wild.test, w*.part.test, *.*.two.test, www.*.mid.test, *
#   ip                      IP:127.0.0.1 and IP:::1, no DNS name
#   dnsip                   DNS:127.0.0.1 and no IP name: must not match the address
#   nosan                   CN=localhost, no alternative name at all
#   nosubject               empty subject, DNS:localhost (critical)
#   nul                     DNS name with a NUL inside: localhost NUL .evil.test
#   manysan                 1000 DNS names: host1.many.test ... host1000.many.test
#   altname                 email, URI, DNS, IPv4, IPv6, directory name, registered id; OCSP and CRL addresses
#   xmpp                    otherName XmppAddr and SRVName (RFC 6120, RFC 4985), and DNS:im.example.test
#   unicode                 subject in UTF8String: O=Prüf GmbH, CN=žluťoučký 語
#   bmp                     the same in BMPString
#   bigserial               serial number of 20 bytes
#   selfsigned              signed by itself, DNS:localhost, DNS:self.test
#   revoked                 listed in crlA.pem
#   muststaple              demands an OCSP response (RFC 7633)
#   ocspA                   signs OCSP answers for rootA
#   crlA.pem                rootA's revocation list, with revoked; crlA-empty.pem without
#   rootA-crl.pem           rootA + crlA.pem; rootA-crl-empty.pem likewise
#   rootA.index             rootA's list of what it issued, in `openssl ca` form (for `openssl ocsp`)
#   bundleAB.pem            rootA + rootB (no key)
#   capath/                 rootA under its hash
#   serverAkey-encrypted.pem  PKCS#8, AES-256, passphrase "secret"
#   rsakey-encrypted.pem, rsakey-legacy.pem   the same for rsa: PKCS#8, and PEM's own encryption
#   rsakey-traditional.pem  "BEGIN RSA PRIVATE KEY", not encrypted
#   serverA.p12             PKCS#12 with key, certificate and rootA; passphrase "secret"
#   chainA.p12              PKCS#12 with key, leaf and interA; passphrase "secret"
#   serverA.der, serverAkey.der   not PEM
#   dhparam2048.pem         the group ffdhe2048 as "BEGIN DH PARAMETERS"
#   cut.pem, cutkey.pem     PEM that ends in the middle
#   badbase64.pem           PEM with a broken body
#   empty.pem, junk.pem     no byte; no PEM
set -eu
LC_ALL=C
export LC_ALL
umask 022

out=${1:-build/certs}
self=$0
stamp=$(cksum <"$self" | tr ' ' -)

is_complete() {
  [ "$(cat "$out/.made" 2>/dev/null)" = "$stamp" ] &&
    openssl x509 -in "$out/serverA.pem" -noout -checkend 86400 >/dev/null 2>&1
}

is_complete && exit 0
command -v openssl >/dev/null || { echo "certs/make.sh: the openssl command is missing, install openssl" >&2; exit 1; }

# One maker at a time. A lock whose owner is gone is taken over.
mkdir -p "$(dirname "$out")"
lock=$out.lock
waited=0
until mkdir "$lock" 2>/dev/null; do
  owner=$(cat "$lock/pid" 2>/dev/null || echo 0)
  if [ "$waited" -ge 60 ] || { [ "$owner" != 0 ] && ! kill -0 "$owner" 2>/dev/null; }; then
    rm -rf "$lock"
  fi
  waited=$((waited + 1))
  sleep 1
done
echo $$ >"$lock/pid"
dir=$out.new.$$
trap 'rm -rf "$dir" "$lock"' EXIT
trap 'exit 1' HUP INT TERM
is_complete && exit 0

rm -rf "$dir"
mkdir -p "$dir/capath" "$dir/ca"
log=$dir/ca/log

fail() {
  echo "certs/make.sh: $1 failed" >&2
  cat "$log" >&2
  exit 1
}

# All that openssl says goes to a log, shown only if it fails.
ssl() {
  openssl "$@" >"$log" 2>&1 || fail "openssl $*"
}

# Settings of `openssl ca` for the authority named $1.
authority() {
  : >"$dir/ca/$1.index"
  echo "unique_subject = no" >"$dir/ca/$1.index.attr"
  echo 1000 >"$dir/ca/$1.serial"
  echo 01 >"$dir/ca/$1.crlnumber"
  cat >"$dir/ca/$1.conf" <<END
[ca]
default_ca = it
[it]
database = $dir/ca/$1.index
serial = $dir/ca/$1.serial
crlnumber = $dir/ca/$1.crlnumber
new_certs_dir = $dir/ca
certificate = $dir/$1.pem
private_key = $dir/$1key.pem
default_days = 800
default_crl_days = 800
default_md = sha256
policy = any
preserve = yes
[any]
countryName = optional
organizationName = optional
commonName = optional
END
}

cat >"$dir/ca/req.conf" <<'END'
[req]
distinguished_name = none
string_mask = ${ENV::STRING_MASK}
utf8 = yes
prompt = no
[none]
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign, digitalSignature
subjectKeyIdentifier = hash
[self]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash
subjectAltName = DNS:localhost, DNS:self.test
END
STRING_MASK=utf8only
export STRING_MASK
subject=    # of the next leaves; empty: CN is their name

ec256='-algorithm EC -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:named_curve'
org=/C=XX/O=Test

# Key of NAME with the genpkey options that follow.
key() {
  key_name=$1
  shift
  ssl genpkey "$@" -out "$dir/${key_name}key.pem"
}

# Self-signed certificate: NAME, section of req.conf, days.
own() {
  # shellcheck disable=SC2086
  key "$1" $ec256
  ssl req -new -x509 -config "$dir/ca/req.conf" -extensions "$2" -days "$3" \
    -key "$dir/$1key.pem" -subj "$org/CN=$1" -utf8 -out "$dir/$1.pem"
}

# Has the authority $1 sign NAME ($2), whose key exists, with subject $3 and the extensions on
# standard input; what follows are more options for `openssl ca`.
sign() {
  sign_ca=$1 sign_name=$2 sign_subject=$3
  shift 3
  { printf 'subjectKeyIdentifier = hash\nauthorityKeyIdentifier = keyid\n'
    cat
  } >"$dir/ca/ext"
  ssl req -new -config "$dir/ca/req.conf" -key "$dir/${sign_name}key.pem" -utf8 \
    -subj "$sign_subject" -out "$dir/ca/csr"
  ssl ca -batch -config "$dir/ca/$sign_ca.conf" -in "$dir/ca/csr" -notext -utf8 \
    -extfile "$dir/ca/ext" -out "$dir/$sign_name.pem" "$@"
}

usage='keyUsage = critical, digitalSignature, keyEncipherment'
server="basicConstraints = critical, CA:FALSE
$usage
extendedKeyUsage = serverAuth, clientAuth"
client="basicConstraints = critical, CA:FALSE
$usage
extendedKeyUsage = clientAuth"

# Ordinary leaf: authority, NAME, alternative names ("" for none), more options for `openssl ca`.
# A key that exists already is used.
leaf() {
  leaf_ca=$1 leaf_name=$2 leaf_san=$3
  shift 3
  # shellcheck disable=SC2086
  [ -f "$dir/${leaf_name}key.pem" ] || key "$leaf_name" $ec256
  { echo "$server"
    [ -z "$leaf_san" ] || echo "subjectAltName = $leaf_san"
  } | sign "$leaf_ca" "$leaf_name" "${subject:-$org/CN=$leaf_name}" "$@"
}

clientleaf() {
  # shellcheck disable=SC2086
  key "$2" $ec256
  printf '%s\nsubjectAltName = %s\n' "$client" "$3" | sign "$1" "$2" "$org/CN=$2"
}

# --- authorities
own rootA root 3650
own rootB root 3650
authority rootA
authority rootB
# shellcheck disable=SC2086
key interA $ec256
sign rootA interA "$org/CN=interA" -days 1600 <<'END'
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
END
authority interA

# --- the usual pairs
local_names=DNS:localhost
leaf rootA serverA DNS:localhost,DNS:server.test,IP:127.0.0.1,IP:::1
leaf rootB serverB DNS:localhost,DNS:serverb.test
clientleaf rootA clientA email:client@client.test
clientleaf rootB clientB email:client@clientb.test
leaf interA chainA DNS:chain.test,DNS:localhost
mv "$dir/chainA.pem" "$dir/chainA-leaf.pem"
cat "$dir/chainA-leaf.pem" "$dir/interA.pem" >"$dir/chainA.pem"
cat "$dir/interA.pem" "$dir/chainA-leaf.pem" >"$dir/reversedA.pem"
cat "$dir/rootA.pem" "$dir/rootB.pem" >"$dir/bundleAB.pem"
own selfsigned self 800

# --- kinds of key and signature
key rsa -algorithm RSA -pkeyopt rsa_keygen_bits:2048
leaf rootA rsa DNS:localhost,DNS:rsa.test,IP:127.0.0.1
key rsa1024 -algorithm RSA -pkeyopt rsa_keygen_bits:1024
leaf rootA rsa1024 $local_names
key ec384 -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -pkeyopt ec_param_enc:named_curve
leaf rootA ec384 $local_names
key ed25519 -algorithm ED25519
leaf rootA ed25519 $local_names
leaf rootA sha1 $local_names -md sha1

# --- validity
leaf rootA expired $local_names -startdate 20200101000000Z -enddate 20201231235959Z
leaf rootA notyet $local_names -startdate 20450101000000Z -enddate 20451231235959Z

# --- names
leaf rootA wronghost DNS:other.test
leaf rootA wildcard 'DNS:*.wild.test'
leaf rootA wildcards 'DNS:*.wild.test,DNS:w*.part.test,DNS:*.*.two.test,DNS:www.*.mid.test,DNS:*'
leaf rootA ip IP:127.0.0.1,IP:::1
leaf rootA dnsip DNS:127.0.0.1
subject=$org/CN=localhost
leaf rootA nosan ''
subject=/
leaf rootA nosubject critical,DNS:localhost
subject=
# SEQUENCE { [2] "localhost\0.evil.test" }: the text form cannot hold a NUL.
nul_name=$(printf 'localhost\0.evil.test' | od -An -v -tx1 | tr -s ' \n' ':' | sed 's/^://; s/:$//')
leaf rootA nul "DER:30:16:82:14:$nul_name"
leaf rootA manysan "DNS:host1.many.test$(awk 'BEGIN {
  for (i = 2; i <= 1000; i++) printf(",DNS:host%d.many.test", i) }')"
next_serial=$(cat "$dir/ca/rootA.serial")
echo 7FEEDDCCBBAA99887766554433221100FFEEDDCC >"$dir/ca/rootA.serial"
leaf rootA bigserial $local_names
echo "$next_serial" >"$dir/ca/rootA.serial"
subject="/C=XX/O=Prüf GmbH/CN=žluťoučký 語"
STRING_MASK=MASK:0x2002
leaf rootA unicode $local_names
STRING_MASK=MASK:0x0802
leaf rootA bmp $local_names
STRING_MASK=utf8only
subject=

# shellcheck disable=SC2086
key altname $ec256
sign rootA altname "$org/CN=altname" <<END
$server
authorityInfoAccess = OCSP;URI:http://ocsp.test/, caIssuers;URI:http://ca.test/rootA.der
crlDistributionPoints = URI:http://crl.test/rootA.crl
subjectAltName = @names
[names]
email = admin@altname.test
URI = https://altname.test/path
DNS.1 = altname.test
DNS.2 = www.altname.test
IP.1 = 192.0.2.1
IP.2 = 2001:db8::1
RID = 1.2.3.4
dirName = directory
[directory]
C = XX
CN = directory name
END
# shellcheck disable=SC2086
key xmpp $ec256
sign rootA xmpp "$org/CN=im.example.test" <<END
$server
subjectAltName = @names
[names]
otherName.1 = 1.3.6.1.5.5.7.8.5;UTF8:im.example.test
otherName.2 = 1.3.6.1.5.5.7.8.7;IA5STRING:_xmpp-client.im.example.test
otherName.3 = 1.3.6.1.5.5.7.8.7;IA5STRING:_xmpp-server.im.example.test
DNS.1 = im.example.test
DNS.2 = conference.im.example.test
DNS.3 = localhost
END

# --- revocation
crl() {
  ssl ca -gencrl -config "$dir/ca/rootA.conf" -out "$dir/$1.pem"
  cat "$dir/rootA.pem" "$dir/$1.pem" >"$dir/rootA-${1#crlA-}.pem"
}
leaf rootA revoked $local_names
crl crlA-empty
mv "$dir/rootA-empty.pem" "$dir/rootA-crl-empty.pem"
ssl ca -config "$dir/ca/rootA.conf" -revoke "$dir/revoked.pem" -crl_reason keyCompromise
crl crlA
mv "$dir/rootA-crlA.pem" "$dir/rootA-crl.pem"
# shellcheck disable=SC2086
key muststaple $ec256
printf '%s\nsubjectAltName = %s\ntlsfeature = status_request\n' "$server" "$local_names" |
  sign rootA muststaple "$org/CN=muststaple"
# shellcheck disable=SC2086
key ocspA $ec256
sign rootA ocspA "$org/CN=ocspA" <<'END'
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, OCSPSigning
noCheck = ignored
END
cp "$dir/ca/rootA.index" "$dir/rootA.index"

# --- other forms of the same
ssl pkcs8 -topk8 -v2 aes-256-cbc -iter 2048 -passout pass:secret \
  -in "$dir/serverAkey.pem" -out "$dir/serverAkey-encrypted.pem"
ssl pkcs8 -topk8 -v2 aes-256-cbc -iter 2048 -passout pass:secret \
  -in "$dir/rsakey.pem" -out "$dir/rsakey-encrypted.pem"
ssl rsa -traditional -aes256 -passout pass:secret -in "$dir/rsakey.pem" -out "$dir/rsakey-legacy.pem"
ssl rsa -traditional -in "$dir/rsakey.pem" -out "$dir/rsakey-traditional.pem"
ssl pkcs12 -export -passout pass:secret -inkey "$dir/serverAkey.pem" -in "$dir/serverA.pem" \
  -certfile "$dir/rootA.pem" -name serverA -out "$dir/serverA.p12"
ssl pkcs12 -export -passout pass:secret -inkey "$dir/chainAkey.pem" -in "$dir/chainA-leaf.pem" \
  -certfile "$dir/interA.pem" -name chainA -out "$dir/chainA.p12"
ssl x509 -in "$dir/serverA.pem" -outform DER -out "$dir/serverA.der"
ssl pkey -in "$dir/serverAkey.pem" -outform DER -out "$dir/serverAkey.der"
ssl genpkey -genparam -algorithm DH -pkeyopt group:ffdhe2048 -out "$dir/dhparam2048.pem"
cp "$dir/rootA.pem" "$dir/capath/$(openssl x509 -in "$dir/rootA.pem" -noout -hash).0"
sed -n 1,5p "$dir/serverA.pem" >"$dir/cut.pem"
sed -n 1,2p "$dir/serverAkey.pem" >"$dir/cutkey.pem"
sed '3s/^..../%%%%/' "$dir/serverA.pem" >"$dir/badbase64.pem"
: >"$dir/empty.pem"
echo "this is no certificate" >"$dir/junk.pem"

rm -rf "$dir/ca"
echo "$stamp" >"$dir/.made"
rm -rf "$out.old.$$"
[ ! -e "$out" ] || mv "$out" "$out.old.$$"
mv "$dir" "$out"
rm -rf "$out.old.$$"
