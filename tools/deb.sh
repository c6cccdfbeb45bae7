#!/bin/sh
# Makes the Debian package: a copy of the tree with packaging/debian as debian/, dpkg-buildpackage, lintian. The package
# is left in build/deb.
#
#   tools/deb.sh
#
# DEB_BUILD_OPTIONS as for dpkg-buildpackage. The version is that of lua/ssl.lua.
set -eu
version=$(sed -n 's/.*_VERSION = "\([^"]*\)".*/\1/p' lua/ssl.lua)
top=$PWD/build/deb
tree=$top/lua-sec-openssl3-$version
rm -rf "$top"
mkdir -p "$tree/tools"
cp -R Makefile bin src lua doc samples packaging README.md CHANGELOG.md LICENSE "$tree"
cp tools/luasec.bash "$tree/tools"
cp -R packaging/debian "$tree/debian"
stamp=$(date -R -d "@${SOURCE_DATE_EPOCH:-$(date +%s)}")
cat >"$tree/debian/changelog" <<END
lua-sec-openssl3 ($version) unstable; urgency=medium

  * See CHANGELOG.md.

 -- $(sed -n 's/^Maintainer: //p' packaging/debian/control)  $stamp
END

cd "$tree"
dpkg-buildpackage --no-sign --build=binary >"$top/log" 2>&1 || { tail -n 40 "$top/log" >&2; exit 1; }
cd "$top"
lintian --fail-on error,warning --allow-root ./*.changes
# The files that programs and other packages look for.
dpkg-deb --contents ./lua-sec-openssl3_*.deb >contents
for v in 5.1 5.2 5.3 5.4; do
  for path in "share/lua/$v/ssl.lua" "share/lua/$v/ssl/https.lua" "lib/.*/lua/$v/ssl.so"; do
    grep -q "\./usr/$path" contents || { echo "the package has no /usr/$path" >&2; exit 1; }
  done
done
ls ./*.deb
