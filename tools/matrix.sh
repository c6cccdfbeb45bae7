#!/bin/bash
# Builds and tests HEAD in Debian systems other than this one: made with debootstrap, thrown away afterwards. That shows
# what later releases of OpenSSL and Lua, other compilers, 32-bit integers and the other order of bytes do to it.
#
#   tools/matrix.sh [--keep] [NAME...]
#
#   trixie    Debian 13: OpenSSL 3.5, Lua 5.1 to 5.4, LuaJIT
#   sid       OpenSSL 3.6 or later, also Lua 5.5
#   i386      Debian 12 for 32-bit x86
#   s390x     Debian 12 for a big-endian machine, emulated: needs qemu-user-static; part of the suite, since it is slow
#
# Without a name the first three. As root, with the Debian package debootstrap; the mirror is the one of this machine's own
# apt. A root lives under build/matrix/NAME and takes about a GB; --keep leaves it there for the next time. Each cell is one
# Lua, compiler and set of flags; a line tells its result, its log stays in build/matrix. The last line is
# "N passed, N failed, N skipped". Narrow it down by MATRIX_CELLS='5.4:gcc:-O2 5.5:clang:-O3' and MATRIX_SPECS='test/...'.
set -u
cd "$(dirname "$0")/.." || exit 1
export LC_ALL=C
work=$PWD/build/matrix
keep=
passed=0 failed=0 skipped=0

# What reaches most of the C in little time: for flags that the whole suite need not be run with.
short=
for spec in alpn callback context credentials crl dtls engine error groups handshake hint inspect ocsp_check options psk \
  receive send session sessionstore sni ssl staple tickets trust verify x509 x509_check x509_names; do
  short="$short test/${spec}_spec.lua"
done
flags="5.4:gcc:-O0 5.4:gcc:-O3_-D_FORTIFY_SOURCE=3 5.4:clang:-O3"

die() {
  echo "tools/matrix.sh: $1" >&2
  exit 1
}

# NAME: the suite of Debian, its architecture, the cells that run everything, and those that run the short list.
describe() {
  case $1 in
    trixie) suite=trixie arch=amd64 whole="5.4:gcc:-O2 luajit:gcc:-O2 5.1:gcc:-O2 5.3:gcc:-O2" brief="5.2:gcc:-O2 $flags" ;;
    sid) suite=sid arch=amd64 whole="5.5:gcc:-O2 5.4:gcc:-O2 luajit:gcc:-O2" brief="5.1:gcc:-O2 5.5:clang:-O3 $flags" ;;
    i386) suite=bookworm arch=i386 whole="5.4:gcc:-O2 5.1:gcc:-O2 luajit:gcc:-O2" brief="$flags" ;;
    s390x) suite=bookworm arch=s390x whole="" brief="5.4:gcc:-O2 5.1:gcc:-O2" ;;
    *) die "no system named $1" ;;
  esac
}

mirror() {
  apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' 'Component: main' |
    awk '$2 !~ /-/ { print $1; exit }'
}

# A handler of the kernel for foreign programs, which also works in a root of its own (F) and lasts as long as the mount.
binfmt=
handler=
emulate() {
  local magic
  command -v "qemu-$1-static" >/dev/null || die "the system $1 needs the Debian package qemu-user-static"
  [ -z "$binfmt" ] || return 0
  binfmt=$(mktemp -d)
  mount -t binfmt_misc none "$binfmt" || { rmdir "$binfmt"; binfmt=; die "this kernel has no binfmt_misc, which $1 needs"; }
  [ ! -e "$binfmt/qemu-$1" ] || return 0
  magic=$(grep -o '^:.*:[^:]*$' "/usr/lib/binfmt.d/qemu-$1.conf" | sed 's/:[^:]*:[^:]*$//')
  printf '%s:%s:OCF' "$magic" "$(command -v "qemu-$1-static")" >"$binfmt/register" ||
    die "binfmt_misc took no handler for $1"
  handler=qemu-$1
}

# shellcheck disable=SC2317
restore() {
  [ -n "$binfmt" ] || return 0
  [ -z "$handler" ] || echo -1 >"$binfmt/$handler"
  umount "$binfmt" && rmdir "$binfmt"
}
trap restore EXIT
trap 'exit 1' HUP INT TERM

# Runs a line of shell in the root. The mounts are of a name space of its own and end with it.
inside() {
  local root=$1
  shift
  # shellcheck disable=SC2016
  unshare -m sh -c 'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" &&
    exec chroot "$0" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 sh -c "$1"' "$root" "$*"
}

make_root() {
  local name=$1 root=$work/$1 file
  if [ ! -x "$root/usr/bin/make" ]; then
    rm -rf --one-file-system "$root"
    debootstrap --arch="$arch" --variant=minbase --include=make,ca-certificates "$suite" "$root" "$(mirror)" \
      >"$work/$name-root.log" 2>&1 || { tail -5 "$work/$name-root.log" >&2; return 1; }
    # The way to the mirror: proxies and the like.
    for file in $(grep -ls Acquire /etc/apt/apt.conf.d/*); do cp "$file" "$root/etc/apt/apt.conf.d/"; done
  fi
  cp /etc/resolv.conf "$root/etc/"
  rm -rf "$root/root/luasec"
  git clone -q --no-hardlinks . "$root/root/luasec"
}

# One cell: SYSTEM LUA:COMPILER:FLAGS SPECS; no specs are all.
cell() {
  local name=$1 lua compiler cflags log status p=0 f=0 e=0 s=0
  IFS=: read -r lua compiler cflags <<<"$2"
  cflags=${cflags//_-/ -}
  log=$work/$name-$lua-$compiler${cflags// /}.log
  log=${log//=/}
  inside "$work/$name" "cd /root/luasec && LUA_VERSION=$lua tools/deps.sh build test &&
    { command -v $compiler >/dev/null || apt-get install -q -y --no-install-recommends $compiler >/dev/null; } &&
    make -s certs && make -s -j2 all LUA_VERSION=$lua CC=$compiler CFLAGS='$cflags -g' &&
    if \$(command -v lua$lua || command -v $lua) -e 'require \"busted.core\"'; then
      timeout 7200 make -s suite LUA_VERSION=$lua CC=$compiler CFLAGS='$cflags -g' SPECS='$3'
    else
      echo 'no busted for this Lua: the library is loaded' &&
        LUA_CPATH=build/$lua/?.so lua$lua -e 'assert(require \"ssl.x509\".load(io.open(\"build/certs/rootA.pem\"):read \"*a\"))'
    fi" >"$log" 2>&1 </dev/null
  status=$?
  read -r p f e s <<<"$(sed 's/\x1b\[[0-9;]*m//g' "$log" | awk '/^[0-9]+ success(es)? \// { print $1, $4, $7, $10 }')"
  f=$((${f:-0} + ${e:-0}))
  if [ -z "${p:-}" ]; then
    p=0
    if [ "$status" -eq 0 ]; then p=1; else f=1; fi
  fi
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + ${s:-0}))
  printf '%-7s %-7s %-6s %-26s %5d passed %4d failed %4d skipped%s\n' "$name" "$lua" "$compiler" "$cflags" "$p" "$f" \
    "${s:-0}" "$([ -z "$3" ] || echo '  (some specs)')"
}

system() {
  local name=$1 one
  describe "$name"
  [ "$arch" != s390x ] || emulate s390x
  make_root "$name" || { failed=$((failed + 1)); echo "$name: no root: build/matrix/$name-root.log"; return; }
  for one in ${MATRIX_CELLS:-$whole}; do cell "$name" "$one" "${MATRIX_SPECS:-}"; done
  [ -n "${MATRIX_CELLS:-}" ] || for one in $brief; do cell "$name" "$one" "${MATRIX_SPECS:-$short}"; done
  echo "$name: $(inside "$work/$name" 'openssl version; dpkg-query -W -f "LuaSocket \${Version}" lua-socket' | tr '\n' ' ')"
  [ -n "$keep" ] || rm -rf --one-file-system "${work:?}/$name"
}

names=
for argument in "$@"; do
  case $argument in
    --keep) keep=yes ;;
    -*) die "no option named $argument" ;;
    *) describe "$argument"; names="$names $argument" ;;
  esac
done
[ "$(id -u)" = 0 ] || die "it makes roots and mounts: run it as root"
command -v debootstrap >/dev/null || die "it needs the Debian package debootstrap"
mkdir -p "$work"
for name in ${names:-trixie sid i386}; do system "$name"; done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
