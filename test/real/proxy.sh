# shellcheck shell=bash
# shellcheck disable=SC2154 # pid is set by start()
# ssl.https behind tinyproxy, which wants a user and a password and opens tunnels to
# nginx's port only. The requests are in proxy_client.lua.

launch_tinyproxy() {
  PROXY_PORT=$(free_ports 1)
  sed -e "s|@PORT@|$PROXY_PORT|; s|@NGINX@|$NGINX_PORT|; s|@CLOSED@|$CLOSED_PORT|" \
    test/real/tinyproxy.conf.in >"$TMP/tinyproxy.conf"
  start "$TMP/tinyproxy.log" tinyproxy -d -c "$TMP/tinyproxy.conf"
  started "$pid" "$TMP/tinyproxy.log" "$PROXY_PORT"
}

# What the proxy noted: tunnels, and no request that it could read.
only_tunnels() { has 'CONNECT 127.0.0.1:' "$TMP/tinyproxy.log" && has_no '(GET|POST) ' "$TMP/tinyproxy.log"; }

test_proxy() {
  start_nginx || return 0
  if [ "$LIBRARY" = luasec ]; then skip "proxy" "LuaSec has no proxies"; return 0; fi
  try_start launch_tinyproxy || { not_ok "tinyproxy starts" "$(tail -n 3 "$TMP/tinyproxy.log")"; return 0; }
  export PROXY_PORT
  local version
  for version in 5.4 5.1; do
    run_program "tinyproxy, Lua $version" "$version" "lua$version" test/real/proxy_client.lua
  done
  check "tinyproxy: saw nothing but tunnels" "$(grep -E 'GET|POST' "$TMP/tinyproxy.log" | head -n 3)" only_tunnels
}
