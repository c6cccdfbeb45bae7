#!/bin/sh
# Writes the lists of files in the rockspec anew from the tree: the C sources and the Lua modules.
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
