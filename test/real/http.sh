# shellcheck shell=bash
# LuaSocket's own http.request on https:// addresses: it finds ssl.https by itself. Requests are in
# http_client.lua.

test_http() {
  start_nginx || return 0
  local version
  for version in 5.4 5.1; do
    run_program "LuaSocket http, Lua $version" "$version" "lua$version" test/real/http_client.lua
    run_program "LuaSocket http, Lua $version, SSL_CERT_FILE" "$version" \
      env SSL_CERT_FILE="$CERTS/rootA.pem" "lua$version" test/real/http_client.lua trusted
  done
}
