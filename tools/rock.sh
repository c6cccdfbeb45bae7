#!/bin/sh
# Checks the rockspec and installs from it into a tree of its own, then loads every module from there.
#
#   tools/rock.sh LUA_ABI      5.1 5.2 5.3 5.4 5.5
set -eu
abi=$1
tree=$PWD/build/rock-$abi
rm -rf "$tree"
for spec in luasec-*.rockspec; do luarocks lint "$spec"; done

# luarocks compiles beside the sources; a copy keeps the tree clean.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -R src lua bin luasec-scm-1.rockspec LICENSE "$work"
log=$work/log
multiarch=$(${CC:-cc} -print-multiarch 2>/dev/null || true)
(cd "$work" && luarocks --lua-version "$abi" make --tree "$tree" --deps-mode none \
  ${multiarch:+OPENSSL_LIBDIR="/usr/lib/$multiarch" CRYPTO_LIBDIR="/usr/lib/$multiarch"} \
  luasec-scm-1.rockspec >"$log" 2>&1) || { cat "$log" >&2; exit 1; }

cd "$tree"
lua=$(command -v "lua$abi" || command -v lua)
export LUA_PATH="$tree/share/lua/$abi/?.lua;;" LUA_CPATH="$tree/lib/lua/$abi/?.so;;"
bin/luasec --version
"$lua" - "$tree" <<'END'
local tree = ...
for _, name in ipairs { "ssl", "ssl.core", "ssl.context", "ssl.x509", "ssl.config", "ssl.https" } do
  require(name)
end
for _, f in ipairs { require("ssl").wrap, require("ssl.https").request } do
  local source = debug.getinfo(f, "S").source
  assert(source:find("@" .. tree .. "/", 1, true) == 1, "loaded from " .. source)
end
local maps = io.open("/proc/self/maps")
if maps then
  for line in maps:lines() do
    local library = line:match("%s(/%S*/ssl%.so)")
    assert(not library or library:find(tree .. "/", 1, true) == 1, library)
  end
end
print("rock: " .. _VERSION .. " loads luasec " .. require("ssl")._VERSION .. " from " .. tree)
END
