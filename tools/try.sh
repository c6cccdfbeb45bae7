#!/bin/sh
# Follows README.md and the guides as somebody new would: in a Debian 12 of its own, which has nothing but what README says
# to install, typing what they print. Needs root's rights, debootstrap and a Debian mirror. Ends at the first thing that does
# not work. What it made stays in DIRECTORY, the bare system for the next time: remove it afterwards.
#
#   tools/try.sh DIRECTORY [STEP...]
#
#   guides     README's Install, then each program of README and doc/*.md: clients against README's server (default)
#   prosody    the same Install and Debian's Prosody, as README says; a client logs in by STARTTLS (default)
#   opt        Prosody with the library under /opt/luasec, by the two variables of README (default)
#   rock       by LuaRocks (default)
#   deb        Prosody with the package of `make deb` instead, which has many build dependencies
set -eu
dir=${1:?which directory}
shift
[ $# -gt 0 ] || set -- guides prosody opt rock
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
root=$dir/root log=$dir/log pids=
pid=
trap 'for pid in $pids; do kill "$pid" 2>/dev/null || true; done' EXIT
trap 'exit 1' HUP INT TERM

fail() { tail -n 20 "$log" >&2; echo "try.sh: $*" >&2; exit 1; }

# Commands as README prints them, typed by root in the tree; services are not there to be started.
type_in() {
  { echo 'set -e; cd /root/luasec; sudo() { "$@"; }; systemctl() { :; }'; cat; } >"$root/tmp/typed"
  chroot "$root" /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
    DEBIAN_FRONTEND=noninteractive bash /tmp/typed >"$log" 2>&1 || fail "this failed: $(sed 1d "$root/tmp/typed")"
}

# What a heading of README has in its Nth block of commands.
block() {
  awk -v heading="## $1" -v want="$2" '/^## / { on = $0 == heading } !on { next }
    /^```/ { inside = !inside; if (inside) n++; next } inside && n == want' README.md
}
printed() { grep -o "$1[^\`]*" README.md; }

# A system of its own, from the bare one: hosts, the mirror's clock and this tree are all that it is given.
fresh() {
  if [ ! -d "$dir/bare" ]; then
    debootstrap --variant=minbase bookworm "$dir/bare.part" >"$log" 2>&1 || fail "no bare system"
    mv "$dir/bare.part" "$dir/bare"
  fi
  rm -rf "$root"
  cp -a "$dir/bare" "$root"
  cp /etc/resolv.conf "$root/etc"
  printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts"
  printf 'APT::Get::Assume-Yes "true";\nAcquire::Check-Valid-Until "false";\nAcquire::Check-Date "false";\n' \
    >"$root/etc/apt/apt.conf.d/99try"
  printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" # no service starts by itself
  chmod 755 "$root/usr/sbin/policy-rc.d"
  mkdir "$root/root/luasec"
  tar --exclude=./build --exclude=./.git -cf - . | tar -C "$root/root/luasec" -xf -
}

free_port() { chroot "$root" lua5.4 -e 'print((select(2, require "socket".bind("127.0.0.1", 0):getsockname())))'; }

# Waits for somebody to listen; to ask by a connection would be to be served.
listens() {
  tries=0
  until grep -qi ":$(printf %04X "$1") [0-9A-F:]* 0A " /proc/net/tcp; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || fail "nobody listens on port $1"
    sleep 0.1
  done
}

# lua FILE: in build/certs, with `port` set above the program as README says.
lua() {
  { echo "port = $port"; cat "$1"; } >"$root/root/luasec/build/certs/$(basename "$1")"
  chroot "$root" sh -c "cd /root/luasec/build/certs && exec timeout 60 lua5.4 $(basename "$1")"
}

# The programs that a file prints: PROGRAMS/N.lua, and what each needs in N.needs.
programs() {
  rm -rf "$dir/programs"
  mkdir "$dir/programs"
  awk -v dir="$dir/programs" '/^```lua/ { n++; sub(/^```lua */, ""); print >(dir "/" n ".needs"); inside = 1; next }
    /^```/ { inside = 0 } inside { print >(dir "/" n ".lua") }' "$1"
}

one_program() {
  port=$(free_port)
  case $2 in
    client)
      lua "$dir/server.lua" >>"$log" 2>&1 &
      pids="$pids $!"
      listens "$port" ;;
    "client udp")
      chroot "$root" sh -c 'cd /root/luasec && exec timeout 60 lua5.4 samples/dtls/server.lua build/certs 1' >"$dir/udp" &
      pids="$pids $!"
      until grep -q . "$dir/udp"; do kill -0 "$!" || fail "the server of datagrams ended"; sleep 0.1; done
      port=$(head -n 1 "$dir/udp") ;;
    server) return ;; # is what the clients talk to
  esac
  lua "$1" >"$log" 2>&1 || fail "$3 does not run: $(cat "$1")"
  [ -z "$pids" ] || wait # the server has served
  pids=
}

try_guides() {
  block Install 1 | type_in
  echo "make certs" | type_in
  programs README.md
  cp "$(grep -l 'local listener' "$dir"/programs/*.lua)" "$dir/server.lua"
  for file in README.md doc/*.md; do
    programs "$file"
    count=0
    for program in "$dir"/programs/*.lua; do
      [ -f "$program" ] || continue
      one_program "$program" "$(cat "${program%.lua}.needs")" "$file"
      count=$((count + 1))
    done
    [ "$count" = 0 ] || echo "$file: $count programs run"
  done
}

# Debian's Prosody with a certificate and an account, run as systemd would, with the variables that are given; a login.
log_in() {
  cat >"$root/tmp/login.lua" <<'END'
local socket, ssl = require "socket", require "ssl"
assert(ssl.connect, "this is another library")
local conn = assert(socket.connect("127.0.0.1", tonumber(arg[1])))
local function expect(pattern)
  local text = ""
  repeat text = text .. assert(conn:receive(1)) until text:find(pattern)
end
local function open()
  assert(conn:send("<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xmlns='jabber:client' " ..
    "xmlns:stream='http://etherx.jabber.org/streams'>"))
  expect "</stream:features>"
end
conn:settimeout(30)
open()
conn:send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
expect "<proceed[^>]*>"
conn = assert(ssl.wrap(conn, { mode = "client", protocol = "any", verify = "peer", servername = "localhost",
  cafile = "/root/luasec/build/certs/rootA.pem" }))
conn:settimeout(30)
assert(conn:dohandshake())
open()
conn:send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" .. require "mime".b64("\0a\0pw") .. "</auth>")
expect "<success[^>]*>"
print("logged in by STARTTLS, " .. conn:info("protocol"))
END
  type_in <<'END'
make certs
cp build/certs/serverA.pem /etc/prosody/certs/localhost.crt
cp build/certs/serverAkey.pem /etc/prosody/certs/localhost.key
chgrp prosody /etc/prosody/certs/*
chmod 640 /etc/prosody/certs/*
printf 'pw\npw\n' | prosodyctl adduser a@localhost
install -d -o prosody /run/prosody
END
  port=$(free_port)
  sed -i "1i c2s_ports = { $port } s2s_ports = {}" "$root/etc/prosody/prosody.cfg.lua"
  chroot "$root" env "$@" runuser -u prosody -- prosodyctl about | grep 'LuaSec:.*1\.[4-9]' || fail "Prosody has another library"
  chroot "$root" env "$@" setpriv --reuid prosody --regid prosody --clear-groups prosody -F >"$log" 2>&1 &
  pids=$!
  listens "$port"
  chroot "$root" env "$@" timeout 60 lua5.4 /tmp/login.lua "$port"
  kill "$pids"
  wait "$pids" || true
  pids=
}

try_prosody() {
  echo "sudo apt-get install prosody" | type_in
  block Install 1 | type_in
  block "Under Prosody" 1 | type_in
  log_in -u LUA_PATH
}

try_opt() {
  echo "sudo apt-get install prosody" | type_in
  block Install 1 | sed 's/make install.*/& PREFIX=\/opt\/luasec/' | type_in
  block "Under Prosody" 2 | sed -n 's/^Environment=//p' | xargs printf '%s\n' >"$dir/variables"
  log_in "$(sed -n 1p "$dir/variables")" "$(sed -n 2p "$dir/variables")"
}

try_rock() {
  block Install 1 | sed '/^make/d; /make install/d' | type_in
  { echo "sudo apt-get install luarocks"; printed "sudo luarocks"; } | type_in
  echo 'cd / && luasec --version && lua5.4 -e "assert(require [[ssl]].connect)"' | type_in
}

try_deb() {
  echo "sudo apt-get install prosody make openssl lua5.4" | type_in
  { echo "make deb"; printed "sudo apt-get install ./build"; } | type_in
  log_in -u LUA_PATH
}

for step; do
  fresh
  "try_$step"
  echo "$step: ok"
done
