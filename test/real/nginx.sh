# shellcheck shell=bash
# shellcheck disable=SC2154 # pid is set by start()
# nginx with TLS, fetched by ssl.https: GET, POST, large and chunked bodies, client certificates, refusals.
# start_nginx also serves the http and luarocks parts. The requests themselves are in https_client.lua.

nginx_ready=
nginx_modules() { nginx -V 2>&1 | grep -o -- '--modules-path=[^ ]*' | cut -d= -f2; }

launch_nginx() {
  local user=
  [ "$(id -u)" -ne 0 ] || user="user root;"
  read -r NGINX_PORT NGINX_WRONGHOST NGINX_MUTUAL CLOSED_PORT NGINX_UPSTREAM <<<"$(free_ports 5)"
  sed -e "s|@MODULES@|$(nginx_modules)|; s|@USER@|$user|; s|@TMP@|$TMP|; s|@CERTS@|$CERTS|" \
    -e "s|@PORT@|$NGINX_PORT|g; s|@WRONGHOST@|$NGINX_WRONGHOST|; s|@MUTUAL@|$NGINX_MUTUAL|; s|@UPSTREAM@|$NGINX_UPSTREAM|" \
    test/real/nginx.conf.in >"$TMP/nginx.conf"
  start "$TMP/nginx.log" nginx -e stderr -p "$TMP" -c "$TMP/nginx.conf"
  started "$pid" "$TMP/nginx.log" "$NGINX_PORT" "$NGINX_WRONGHOST" "$NGINX_MUTUAL"
}

# Starts nginx once; sets NGINX_PORT, NGINX_WRONGHOST, NGINX_MUTUAL, CLOSED_PORT (nobody listens there) and NGINX_UPSTREAM
# (where nginx looks for a server of ours).
start_nginx() {
  [ -z "$nginx_ready" ] || return 0
  mkdir -p "$TMP/www"
  printf 'a page of nginx\n' >"$TMP/www/page.txt"
  openssl rand -out "$TMP/www/big.bin" $((10 * 1024 * 1024))
  openssl ocsp -index "$CERTS/rootA.index" -CA "$CERTS/rootA.pem" -issuer "$CERTS/rootA.pem" -cert "$CERTS/serverA.pem" \
    -rsigner "$CERTS/ocspA.pem" -rkey "$CERTS/ocspAkey.pem" -ndays 1 -noverify -respout "$TMP/staple.der" >/dev/null 2>&1
  try_start launch_nginx || { not_ok "nginx starts" "$(tail -n 3 "$TMP/nginx.log")"; return 1; }
  nginx_ready=yes
  export NGINX_PORT NGINX_WRONGHOST NGINX_MUTUAL CLOSED_PORT NGINX_UPSTREAM
}

test_nginx() {
  start_nginx || return 0
  local version
  for version in 5.4 5.1; do
    run_program "nginx, Lua $version" "$version" "lua$version" test/real/https_client.lua
    run_program "behind nginx, Lua $version" "$version" "lua$version" test/real/upstream.lua
  done
}
