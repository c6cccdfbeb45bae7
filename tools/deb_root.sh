#!/bin/sh
# Tries the package that tools/deb.sh left in build/deb, in a Debian of its own in a directory, made by debootstrap unless
# it is there: the stock Prosody is installed, then the package, which takes lua-sec's place; then Prosody must still be
# there, run on it, and answer the sample client. Needs root's rights. What it made stays: remove the directory afterwards.
#
#   tools/deb_root.sh ROOT
set -eu
root=$1
package=$(echo build/deb/lua-sec-openssl3_*.deb)
[ -f "$package" ] || { echo "there is no package: run tools/deb.sh first" >&2; exit 1; }
[ -e "$root/etc/debian_version" ] || debootstrap --variant=minbase bookworm "$root" >"$root.log" 2>&1 || {
  tail "$root.log" >&2
  exit 1
}

inside() { DEBIAN_FRONTEND=noninteractive LC_ALL=C chroot "$root" "$@"; }
quietly() { inside "$@" >"$root.log" 2>&1 || { tail -n 20 "$root.log" >&2; exit 1; }; }

printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" # no service starts by itself
chmod +x "$root/usr/sbin/policy-rc.d"
cp /etc/resolv.conf "$root/etc/resolv.conf"
grep -q localhost "$root/etc/hosts" 2>/dev/null || echo '127.0.0.1 localhost' >>"$root/etc/hosts"
quietly apt-get update -q
quietly apt-get install -q -y --no-install-recommends prosody lua-sec
cp "$package" "$root/tmp/package.deb"
quietly apt-get install -q -y --no-install-recommends /tmp/package.deb

installed() { inside dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed; }
installed prosody || { echo "prosody was removed" >&2; exit 1; }
installed lua-sec-openssl3 || { echo "the package is not installed" >&2; exit 1; }
! installed lua-sec || { echo "lua-sec was not removed" >&2; exit 1; }

# A certificate that is its own authority, and a port that is free.
cat >"$root/tmp/prepare.lua" <<'END'
local ssl = require "ssl"
local certificate, key = assert(ssl.selfsigned { names = { "localhost" } })
for path, text in pairs { ["/tmp/cert.pem"] = certificate, ["/tmp/key.pem"] = key } do
  local f = assert(io.open(path, "w"))
  f:write(text)
  f:close()
end
local port = select(2, assert(require("socket").bind("127.0.0.1", 0)):getsockname())
local f = assert(io.open("/tmp/prosody.cfg.lua", "w"))
f:write(([[
modules_enabled = { "saslauth", "tls" }
modules_disabled = { "s2s" }
interfaces = { "127.0.0.1" }
c2s_ports = { %s }
c2s_require_encryption = true
authentication = "internal_hashed"
data_path = "/tmp"
pidfile = "/tmp/prosody.pid"
ssl = { certificate = "/tmp/cert.pem", key = "/tmp/key.pem" }
VirtualHost "localhost"
]]):format(port))
f:close()
print(port)
END
port=$(inside lua5.4 /tmp/prepare.lua)
inside chown prosody /tmp/key.pem
inside prosodyctl about | grep -E '^ *LuaSec' || { echo "prosodyctl knows of no LuaSec" >&2; exit 1; }
[ "$(inside luasec --version)" ] || { echo "luasec does not run" >&2; exit 1; }

chroot "$root" runuser -u prosody -- prosody -F --config /tmp/prosody.cfg.lua >"$root.prosody.log" 2>&1 &
pid=$!
trap 'kill $pid 2>/dev/null || true; wait $pid || true' EXIT
examples=/usr/share/doc/lua-sec-openssl3/examples/samples
said=
tries=0
while [ "$tries" -lt 50 ]; do
  said=$(inside lua5.4 "$examples/starttls-xmpp/client.lua" /tmp/cert.pem "$port" localhost 2>&1) && break
  tries=$((tries + 1))
  sleep 0.2
done
echo "$said"
echo "$said" | grep -q '^channel binding: 32 bytes$' || { cat "$root.prosody.log" >&2; exit 1; }
echo "Prosody runs on $(basename "$package")"
