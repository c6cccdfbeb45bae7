#!/bin/sh
# Writes the lists of files in the rockspec anew from the tree: the C sources and the Lua modules. Beside it, the rockspec
# of the release that lua/ssl.lua names, which differs in its version and where its sources are.
set -eu
spec=luasec-scm-1.rockspec
find src -name '*.c' | LC_ALL=C sort >"$spec.c"
find lua -name '*.lua' | LC_ALL=C sort >"$spec.lua"
awk -v c="$spec.c" -v lua="$spec.lua" '
  skipping && /^ *},$/ { skipping = 0 }
  skipping { next }
  { print }
  /^ *sources = {$/ {
    while ((getline file < c) > 0) printf("        \"%s\",\n", file)
    skipping = 1
  }
  /^    lua = {$/ {
    while ((getline file < lua) > 0) {
      name = file
      sub(/^lua\//, "", name)
      sub(/\.lua$/, "", name)
      gsub(/\//, ".", name)
      printf("      [\"%s\"] = \"%s\",\n", name, file)
    }
    skipping = 1
  }' "$spec" >"$spec.new"
rm -f "$spec.c" "$spec.lua"
mv "$spec.new" "$spec"

version=$(sed -n 's/.*_VERSION = "\([^"]*\)".*/\1/p' lua/ssl.lua)
rm -f luasec-[0-9]*.rockspec
sed -e "s/^version = .*/version = \"$version-1\"/; s/^  branch = .*/  tag = \"v$version\",/" "$spec" \
  >"luasec-$version-1.rockspec"
