# shellcheck shell=bash
# shellcheck disable=SC2154 # pid is set by start()
# ssl.https behind tinyproxy, which wants a user and a password and opens tunnels to nginx's port only; directly, and
# by TLS through an nginx in front of it. The requests are in proxy_client.lua.

launch_tinyproxy() {
  PROXY_PORT=$(free_ports 1)
  sed -e "s|@PORT@|$PROXY_PORT|; s|@NGINX@|$NGINX_PORT|; s|@CLOSED@|$CLOSED_PORT|" \
    test/real/tinyproxy.conf.in >"$TMP/tinyproxy.conf"
  start "$TMP/tinyproxy.log" tinyproxy -d -c "$TMP/tinyproxy.conf"
  started "$pid" "$TMP/tinyproxy.log" "$PROXY_PORT"
}

launch_tlsproxy() {
  local user=
  [ "$(id -u)" -ne 0 ] || user="user root;"
  TLSPROXY_PORT=$(free_ports 1)
  sed -e "s|@MODULES@|$(nginx_modules)|; s|@USER@|$user|; s|@TMP@|$TMP|; s|@CERTS@|$CERTS|" \
    -e "s|@PORT@|$TLSPROXY_PORT|; s|@PROXY@|$PROXY_PORT|" test/real/tlsproxy.conf.in >"$TMP/tlsproxy.conf"
  start "$TMP/tlsproxy.log" nginx -e stderr -p "$TMP" -c "$TMP/tlsproxy.conf"
  started "$pid" "$TMP/tlsproxy.log" "$TLSPROXY_PORT"
}

# What the proxy noted: tunnels, and no request that it could read.
only_tunnels() { has 'CONNECT 127.0.0.1:' "$TMP/tinyproxy.log" && has_no '(GET|POST) ' "$TMP/tinyproxy.log"; }

test_proxy() {
  start_nginx || return 0
  if [ "$LIBRARY" = luasec ]; then skip "proxy" "LuaSec has no proxies"; return 0; fi
  try_start launch_tinyproxy || { not_ok "tinyproxy starts" "$(tail -n 3 "$TMP/tinyproxy.log")"; return 0; }
  try_start launch_tlsproxy || { not_ok "the proxy's nginx starts" "$(tail -n 3 "$TMP/tlsproxy.log")"; return 0; }
  export PROXY_PORT TLSPROXY_PORT
  local version
  for version in 5.4 5.1; do
    run_program "tinyproxy, Lua $version" "$version" env PROXY="http://%s127.0.0.1:$PROXY_PORT" \
      "lua$version" test/real/proxy_client.lua
    run_program "tinyproxy by TLS, Lua $version" "$version" env PROXY="https://%s127.0.0.1:$TLSPROXY_PORT" \
      "lua$version" test/real/proxy_client.lua
  done
  check "tinyproxy: saw nothing but tunnels" "$(grep -E 'GET|POST' "$TMP/tinyproxy.log" | head -n 3)" only_tunnels
}
