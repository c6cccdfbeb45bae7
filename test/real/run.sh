#!/bin/bash
# Real programs on this library: Prosody, nginx and tinyproxy with ssl.https, LuaRocks, Copas, lua-event and
# LuaSocket, as Debian packages them, and a key in an emulated TPM, on loopback only. Each part proves which
# ssl.so its process has loaded.
#
#   test/real/run.sh [PART...]            parts: prosody nginx http proxy luarocks loops token (default: all)
#   LIBRARY=luasec test/real/run.sh       the same with the installed LuaSec package, to tell our faults from theirs
#   BUILD=build                           where <Lua version>/ssl.so is; needs 5.1 and 5.4
#   KEEP=1                                leaves the temporary folder with configurations and logs
#
# Ends with "N passed, N failed, N skipped"; the exit status is 0 when nothing failed.
set -u
ROOT=$(cd "$(dirname "$0")/../.." && pwd)
BUILD=${BUILD:-build}
LIBRARY=${LIBRARY:-ours}
CERTS=$ROOT/build/certs
cd "$ROOT" || exit 1

# Nothing of the caller's may decide which library is loaded, what is trusted or how hosts are reached.
for name in $(compgen -e | grep -E '^(LUA_|LUAROCKS_)'); do unset "$name"; done
unset SSL_CERT_FILE SSL_CERT_DIR SSLKEYLOGFILE OPENSSL_CONF
unset http_proxy https_proxy no_proxy all_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY
export LC_ALL=C LIBRARY CERTS

case $LIBRARY in
  ours)
    for version in 5.1 5.4; do
      [ -f "$BUILD/$version/ssl.so" ] || { echo "$BUILD/$version/ssl.so is missing: make LUA_VERSION=$version"; exit 1; }
    done ;;
  luasec) ;;
  *) echo "LIBRARY must be ours or luasec, not '$LIBRARY'"; exit 1 ;;
esac
certs/make.sh "$CERTS" || exit 1

TMP=$(mktemp -d "${TMPDIR:-/tmp}/real.XXXXXX") || exit 1
export TMP
. test/real/lib.sh

finish() {
  stop "${pids[@]}"
  if [ -n "${KEEP:-}" ]; then echo "# kept $TMP"; else rm -rf "$TMP"; fi
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# shellcheck source=/dev/null
for part in nginx http proxy luarocks loops prosody token; do . "test/real/$part.sh"; done
if [ $# -gt 0 ]; then parts=("$@"); else parts=(nginx http proxy luarocks loops prosody token); fi
for part in "${parts[@]}"; do
  began=$SECONDS
  "test_$part" || not_ok "$part" "the part ended early"
  echo "# $part took $((SECONDS - began)) s"
done

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
