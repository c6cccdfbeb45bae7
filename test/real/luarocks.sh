# shellcheck shell=bash
# LuaRocks installing a rock over HTTPS from nginx. The rock is made on the fly: a rockspec, its source
# archive and the manifest. wget and curl are shadowed by programs that only note that they were called, and
# nginx's access log names the agent: both show that ssl.https did the downloads.

TINY=tiny-1.0

# A rocks server in $TMP/www/rocks.
make_rocks_server() {
  local rocks=$TMP/www/rocks source=$TMP/source/$TINY
  mkdir -p "$rocks" "$source" "$TMP/shadow"
  echo 'return { answer = 42 }' >"$source/tiny.lua"
  tar -C "$TMP/source" -czf "$rocks/$TINY.tar.gz" "$TINY"
  cat >"$rocks/$TINY-1.rockspec" <<END
package = "tiny"
version = "1.0-1"
source = { url = "https://127.0.0.1:$NGINX_PORT/rocks/$TINY.tar.gz" }
build = { type = "builtin", modules = { tiny = "tiny.lua" } }
END
  echo 'fs_use_modules = true' >"$TMP/luarocks-config.lua"
  for tool in wget curl; do
    printf '#!/bin/sh\necho "%s $*" >>"%s/shadow/calls"\nexit 1\n' "$tool" "$TMP" >"$TMP/shadow/$tool"
    chmod +x "$TMP/shadow/$tool"
  done
  HOME=$TMP/source "$(command -v lua5.4)" /usr/bin/luarocks-admin make_manifest "$rocks" >"$TMP/manifest.log" 2>&1
  [ -f "$rocks/manifest-5.4" ]
}

# luarocks_on LUA_VERSION TREE ARGUMENT...: proof.lua notes which ssl.so was mapped, in TREE.proof. Each run
# has a HOME of its own, so that neither the user's configuration nor the cache of an earlier run takes part.
luarocks_on() {
  local version=$1 tree=$2
  shift 2
  HOME=$tree.home LUAROCKS_CONFIG=$TMP/luarocks-config.lua PATH=$TMP/shadow:$PATH LUA_INIT=@$ROOT/test/real/proof.lua \
    PROOF=$tree.proof with_library "$version" timeout -k 5 60 "$(command -v "lua$version")" /usr/bin/luarocks --tree "$tree" \
    --only-server "https://127.0.0.1:$NGINX_PORT/rocks" "$@" >"$tree.log" 2>&1
}

tiny_answers() {
  [ "$(LUA_PATH="$2/share/lua/$1/?.lua" "lua$1" -e 'io.write(require("tiny").answer)' 2>&1)" = 42 ]
}

luarocks_installs() {
  local version=$1 name="luarocks, Lua $1" tree=$TMP/tree-$1 agents=$TMP/agents-$1
  : >"$TMP/access.log"
  SSL_CERT_FILE=$CERTS/rootA.pem luarocks_on "$version" "$tree" install tiny
  check "$name: installs over HTTPS" "$(tail -n 2 "$tree.log" | tr '\n' ' ')" tiny_answers "$version" "$tree"
  check "$name: runs on the expected ssl.so" "loaded $(cat "$tree.proof" 2>/dev/null)" \
    [ "$(cat "$tree.proof" 2>/dev/null)" = "$(expected_so "$version")" ]
  grep "/rocks/" "$TMP/access.log" >"$agents"
  check "$name: fetched manifest, rockspec and source" "$(cat "$agents")" rocks_fetched "$version" "$agents"
  check "$name: by ssl.https alone" "$(cat "$agents")" only_luasocket "$agents"
}

rocks_fetched() {
  has "GET /rocks/$TINY-1.rockspec HTTP/1.1\" 200" "$2" && has "GET /rocks/$TINY.tar.gz HTTP/1.1\" 200" "$2" &&
    has "GET /rocks/manifest(-$1)?(\.zip)? HTTP/1.1\" 200" "$2"
}

only_luasocket() { [ ! -e "$TMP/shadow/calls" ] && ! grep -v 'via LuaSocket"$' "$1"; }

# The server's certificate is under no root of the system: nothing may be installed.
luarocks_refuses() {
  local version=$1 name="luarocks, Lua $1: refuses an unknown CA" tree=$TMP/untrusted-$1
  if [ "$LIBRARY" = luasec ]; then skip "$name" "LuaSec does not verify by default"; return; fi
  luarocks_on "$version" "$tree" install tiny
  check "$name" "$(tail -n 2 "$tree.log" | tr '\n' ' ')" has 'certificate verify failed' "$tree.log"
  check "$name, installs nothing" "the rock was installed" [ ! -e "$tree/share/lua/$version/tiny.lua" ]
}

test_luarocks() {
  start_nginx || return 0
  make_rocks_server || { not_ok "luarocks: a rocks server is made" "$(tail -n 3 "$TMP/manifest.log")"; return 0; }
  local version
  for version in 5.4 5.1; do
    luarocks_installs "$version"
    luarocks_refuses "$version"
  done
}
