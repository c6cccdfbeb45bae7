#!/bin/sh
# CA files for the benchmark: 16 copies, ca-0.pem ... ca-15.pem, of 144 certificates, as many as a system's bundle has.
#
#   bench/ca.sh CERTS [OUTDIR]      CERTS is the test PKI, whose rootA is the last of the 144; OUTDIR build/bench/ca
#
# Each has its own name and key (half EC P-256, half RSA-2048), so that every run on every machine parses the same kind
# of file. Does nothing when OUTDIR is complete and ends with this very rootA.
set -eu
LC_ALL=C
export LC_ALL

certs=$1
out=${2:-build/bench/ca}
copies=16
stamp=$(cksum <"$certs/rootA.pem")
[ "$(cat "$out/.made" 2>/dev/null)" = "$stamp" ] && exit 0

mkdir -p "$out"
dir=$(mktemp -d "$out/new.XXXXXX")
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM

# A few RSA keys are enough: what is parsed is the certificate.
for k in 0 1 2 3; do
  openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$dir/rsa$k.pem"
done
i=1
while [ $i -lt 144 ]; do
  key=$dir/rsa$((i % 4)).pem
  if [ $((i % 2)) = 0 ]; then
    key=$dir/ec.pem
    openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$key"
  fi
  openssl req -x509 -new -key "$key" -days 3650 -subj "/C=XX/O=Benchmark Trust Services/CN=Root CA number $i" \
    -addext "keyUsage=critical,keyCertSign,cRLSign" >>"$dir/bundle"
  i=$((i + 1))
done
cat "$certs/rootA.pem" >>"$dir/bundle"

i=0
while [ $i -lt $copies ]; do
  cp "$dir/bundle" "$dir/copy"
  mv "$dir/copy" "$out/ca-$i.pem"
  i=$((i + 1))
done
echo "$stamp" >"$out/.made"
