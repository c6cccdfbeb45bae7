#!/bin/sh
# Installs the Debian packages that a job needs, and only those that are missing.
#
#   tools/deps.sh GROUP...     build demo samples test judged interop capture load compat real lint valgrind fuzz rock
#                              deb doc bench all
#
# LUA_VERSION (5.1 5.2 5.3 5.4 5.5 luajit, default 5.4) chooses the Lua; the group all takes those of Debian 12.
# Returns at once when nothing is missing. Services that come along are not started. A root without
# /etc/hosts (as debootstrap leaves it) gets one, since the tests talk to localhost.
# On a system without dpkg it only looks for the commands, and says what to install.
set -eu

lua_packages() {
  case $1 in
    luajit) echo luajit libluajit-5.1-dev ;;
    5.1) echo lua5.1 liblua5.1-0-dev ;;
    *) echo "lua$1" "liblua$1-dev" ;;
  esac
}

packages() {
  case $1 in
    build) echo gcc libc6-dev make pkg-config libssl-dev; lua_packages "${LUA_VERSION:-5.4}" ;;
    demo) echo openssl lua-socket ;;
    samples) echo openssl ca-certificates lua-socket lua-busted redis-server lua-redis lua-luv lua-cqueues lua-copas \
      curl ;;
    test) echo openssl ca-certificates lua-socket lua-busted lua-luaossl lua-sec gnutls-bin libgnutls28-dev libtls-dev \
      python3 faketime cmark-gfm ;;
    judged) echo testssl.sh sslscan ;;
    interop) echo openssl gnutls-bin libnss3-tools botan curl python3 nodejs ;;
    capture) echo tshark ;; # with it, a spec decrypts what it captured
    load) echo openssl lua-socket lua-cqueues ;;
    compat) echo openssl ca-certificates lua-socket lua-busted lua-sec ;;
    real) echo openssl ca-certificates lua-socket lua-expat lua-filesystem prosody nginx-light python3-slixmpp gnutls-bin \
      luarocks lua-copas lua-event tinyproxy libnginx-mod-stream zip unzip curl procps \
      tpm2-openssl tpm2-tools swtpm libtss2-tcti-swtpm0 ;;
    lint) echo lua-check cppcheck clang-tidy clang shellcheck ;;
    valgrind) echo valgrind libc6-dbg ;;
    fuzz) echo clang libclang-rt-14-dev openssl lua-socket ;;
    rock) echo luarocks ;;
    deb) echo build-essential pkg-config libssl-dev dpkg-dev debhelper lintian fakeroot debootstrap
      for v in 5.1 5.2 5.3 5.4; do lua_packages $v; done ;;
    doc) echo cmark-gfm ;; # the site
    bench) echo openssl lua-socket lua-sec lua-luaossl lua-cqueues valgrind strace ;;
    all)
      for group in build demo samples test judged interop capture load compat real lint valgrind fuzz rock deb doc bench; do
        packages $group
      done
      for version in 5.1 5.2 5.3 5.4 luajit; do lua_packages $version; done ;;
    *) echo "tools/deps.sh: no group named $1" >&2; exit 1 ;;
  esac
}

wanted=
for group in "$@"; do
  more=$(packages "$group")
  wanted="$wanted $more"
done
# shellcheck disable=SC2086
wanted=$(printf '%s\n' $wanted | sort -u)

if ! command -v dpkg-query >/dev/null; then
  missing=
  for command in "${CC:-cc}" pkg-config openssl; do
    command -v "$command" >/dev/null || missing="$missing $command"
  done
  case " $* " in *" test "* | *" compat "*) command -v busted >/dev/null || missing="$missing busted" ;; esac
  [ -z "$missing" ] && exit 0
  echo "tools/deps.sh knows Debian's packages only. Please install:$missing" \
    "(and Lua with its headers, OpenSSL 3's headers, LuaSocket)." >&2
  exit 1
fi

# shellcheck disable=SC2086
installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $wanted 2>/dev/null |
  sed -n 's/^installed //p' | sort -u)
missing=
for package in $wanted; do
  case "
$installed
" in
    *"
$package
"*) ;;
    *) missing="$missing $package" ;;
  esac
done
[ -n "$missing" ] || [ ! -e /etc/hosts ] || exit 0

as_root=
if [ "$(id -u)" != 0 ]; then
  as_root=sudo
  if ! { command -v sudo >/dev/null && sudo true; }; then
    echo "tools/deps.sh: packages are missing, and there is no sudo to install them by. As root:" >&2
    echo "  apt-get install --no-install-recommends$missing" >&2
    exit 1
  fi
fi

if [ ! -e /etc/hosts ]; then
  echo "writing /etc/hosts: there is none"
  printf '127.0.0.1 localhost\n::1 localhost\n' | $as_root tee /etc/hosts >/dev/null
fi
[ -n "$missing" ] || exit 0

echo "installing:$missing"
policy=/usr/sbin/policy-rc.d
log=$(mktemp)
mine=
cleanup() {
  rm -f "$log"
  [ -z "$mine" ] || $as_root rm -f "$policy"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM
if [ ! -e "$policy" ]; then
  mine=yes
  printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
  $as_root chmod 755 "$policy"
fi

apt() {
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 "$@" \
    </dev/null >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
}
apt update
# shellcheck disable=SC2086
apt install --no-install-recommends $missing
