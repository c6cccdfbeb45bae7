# shellcheck shell=bash
# shellcheck disable=SC2154 # pid is set by start()
# Debian's Prosody: logins, messages between servers with verified certificates, refusals, its HTTPS port,
# prosodyctl.
#
#   one.test    trusts rootA, certificate under rootA, backend epoll
#   two.test    trusts rootA, certificate under rootA, backend event (lua-event)
#   three.test  trusts both roots, but its own certificate is under rootB: one.test must refuse it in both directions
#
# The clients are in xmpp_client.py (slixmpp) and binding_client.py (gnutls-cli), the DNS is mod_loopback_dns.lua.

PROSODY_LUA=$(sed -n '1s/.*lua\([0-9.]*\).*/\1/p' /usr/bin/prosody)

# An account of authentication "internal_plain": DIR USER DOMAIN.
prosody_account() {
  local accounts=$1/data/${3/./%2e}/accounts
  mkdir -p "$accounts"
  printf 'return { ["password"] = "secret"; };\n' >"$accounts/$2.dat"
}

# prosody_config NAME BACKEND USER CAFILE DNS "C2S C2S_TLS S2S HTTPS"
prosody_config() {
  local name=$1 dir=$TMP/prosody-$1 c2s tls s2s https user
  read -r c2s tls s2s https <<<"$6"
  mkdir -p "$dir/www"
  printf 'a page of Prosody\n' >"$dir/www/page.txt"
  for user in $3; do prosody_account "$dir" "$user" "$name.test"; done
  prosody_account "$dir" romeo localhost
  sed -e "s|@BACKEND@|$2|; s|@PLUGINS@|$ROOT/test/real|; s|@DIR@|$dir|; s|@DNS@|$5|; s|@CAFILE@|$4|" \
    -e "s|@C2S@|$c2s|; s|@C2S_TLS@|$tls|; s|@S2S@|$s2s|; s|@HTTPS@|$https|; s|@DOMAIN@|$name.test|" \
    -e "s|@CERTS@|$CERTS|g; s|@CERT@|$TMP/$name.test.pem|; s|@KEY@|$TMP/$name.testkey.pem|" \
    test/real/prosody.cfg.lua.in >"$dir/prosody.cfg.lua"
}

# prosody_start NAME PORT...
prosody_start() {
  local name=$1
  shift
  with_library "$PROSODY_LUA" start "$TMP/prosody-$name.log" /usr/bin/prosody -F --config "$TMP/prosody-$name/prosody.cfg.lua"
  started "$pid" "$TMP/prosody-$name.log" "$@"
}

launch_prosodies() {
  local ports one two three dns
  read -r -a ports <<<"$(free_ports 12)"
  one=${ports[*]:0:4} two=${ports[*]:4:4} three=${ports[*]:8:4}
  dns="[\"one.test\"] = ${ports[2]}; [\"two.test\"] = ${ports[6]}; [\"three.test\"] = ${ports[10]}"
  prosody_config one epoll "romeo benvolio" "$CERTS/rootA.pem" "$dns" "$one"
  prosody_config two event juliet "$CERTS/rootA.pem" "$dns" "$two"
  prosody_config three select tybalt "$CERTS/bundleAB.pem" "$dns" "$three"
  # shellcheck disable=SC2086 # lists of ports
  { prosody_start one $one && one_pid=$pid && prosody_start two $two && two_pid=$pid && prosody_start three $three; } || return 1
  three_pid=$pid
  export ONE_PORTS=$one TWO_PORTS=$two THREE_PORTS=$three
}

# prosody_logged TEST NAME PATTERN: NAME's log says so, or will soon.
prosody_logged() {
  check "prosody: $1" "no line with '$3' in the log of $2.test" wait_until has "$3" "$TMP/prosody-$2.log"
}

# What the logs must say after the clients have done their work.
prosody_logs() {
  prosody_logged "one.test runs on epoll" one 'using the epoll backend'
  prosody_logged "two.test runs on lua-event" two 'using the libevent .*backend'
  prosody_logged "three.test runs on select" three 'using the select backend'
  prosody_logged "names TLS 1.3 to its clients" one 'c2s[0-9a-f]+.*Stream encrypted \(TLSv1\.3 with TLS_'
  prosody_logged "names TLS 1.3 between servers" one 's2sout[0-9a-f]+.*Stream encrypted \(TLSv1\.3 with TLS_'
  prosody_logged "offers channel binding on TLS 1.2" one "Channel binding 'tls-unique' supported"
  [ "$LIBRARY" != ours ] ||
    prosody_logged "offers more channel bindings on TLS 1.3" one "Channel bindings beyond tls-unique supported on TLSv1\.3"
  prosody_logged "one.test verified two.test's chain" one 's2sout.*certificate chain validation result: valid'
  prosody_logged "one.test verified two.test's name" one 's2sout.*certificate identity validation result: valid'
  prosody_logged "two.test logged one.test in by its certificate" two 'Accepting SASL EXTERNAL identity from one.test'
  prosody_logged "one.test logged two.test in by its certificate" one 'Accepting SASL EXTERNAL identity from two.test'
  prosody_logged "one.test says why it refuses to call three.test" one \
    's2sout.*Forbidding insecure connection to/from three.test because its certificate is not trusted'
  prosody_logged "one.test says why it refuses three.test's call" one \
    's2sin.*Forbidding insecure connection to/from three.test because its certificate is not trusted'
  check "prosody: no Lua error in the logs" "$(grep -hE 'Traceback|stack traceback' "$TMP"/prosody-*.log | head -n 1)" \
    [ -z "$(grep -lE 'Traceback|stack traceback' "$TMP"/prosody-{one,two,three}.log)" ]
}

prosody_checks_certificates() {
  with_library "$PROSODY_LUA" timeout -k 5 60 /usr/bin/prosodyctl --config "$TMP/prosody-one/prosody.cfg.lua" check certs \
    >"$TMP/prosodyctl.log" 2>&1
  check "prosodyctl check certs" "$(tail -n 3 "$TMP/prosodyctl.log" | tr '\n' ' ')" has 'All checks passed' "$TMP/prosodyctl.log"
}

test_prosody() {
  if ! { issue one.test rootA DNS:one.test && issue two.test rootA DNS:two.test &&
    issue three.test rootB DNS:three.test; }; then
    not_ok "prosody: certificates are made" "openssl failed"
    return 0
  fi
  try_start launch_prosodies || { not_ok "prosody: three servers start" "$(tail -n 3 "$TMP"/prosody-*.log)"; return 0; }
  ok "prosody: three servers start"
  run_program "prosody clients" "$PROSODY_LUA" /usr/bin/python3 test/real/xmpp_client.py
  if [ "$LIBRARY" = ours ]; then
    run_program "prosody, channel bindings" "$PROSODY_LUA" /usr/bin/python3 test/real/binding_client.py
  else
    skip "prosody, channel bindings" "$LIBRARY has no getchannelbinding"
  fi
  run_program "prosody's HTTPS port" "$PROSODY_LUA" "lua$PROSODY_LUA" test/real/prosody_page.lua
  check "prosody: one.test runs on the expected ssl.so" "see above" loaded_by "$one_pid" "$PROSODY_LUA"
  check "prosody: two.test runs on the expected ssl.so" "see above" loaded_by "$two_pid" "$PROSODY_LUA"
  check "prosody: three.test runs on the expected ssl.so" "see above" loaded_by "$three_pid" "$PROSODY_LUA"
  prosody_logs
  prosody_checks_certificates
}
