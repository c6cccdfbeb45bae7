# shellcheck shell=bash
# A private key that never leaves its token: an emulated TPM (swtpm), reached through OpenSSL's provider for it
# (tpm2-openssl) by the setting key = "store:handle:..." of a server. Debian 12 has no provider for PKCS#11; the way through
# OSSL_STORE is the same. The servers are token_server.lua, asked by token_client.lua.

TOKEN_HANDLE=0x81000010

# The TPM has room for few objects at a time, and nobody here who swaps them.
token_make_key() {
  tpm2_createprimary -Q -C o -c "$1/primary" && tpm2_flushcontext -t &&
    tpm2_create -Q -C "$1/primary" -G ecc256 -p secret -u "$1/public" -r "$1/private" \
      -a 'sign|fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda' && tpm2_flushcontext -t &&
    tpm2_load -Q -C "$1/primary" -u "$1/public" -r "$1/private" -c "$1/key" &&
    tpm2_evictcontrol -Q -C o -c "$1/key" "$TOKEN_HANDLE" && tpm2_flushcontext -t &&
    tpm2_readpublic -Q -c "$TOKEN_HANDLE" -f pem -o "$1/public.pem"
}

# Its certificate: the request is another key's, whose place the token's takes.
token_certify() {
  printf 'subjectAltName=DNS:localhost\nbasicConstraints=critical,CA:FALSE\n' >"$1/extensions"
  openssl req -new -key "$CERTS/serverAkey.pem" -subj /CN=token -out "$1/request.pem" &&
    openssl x509 -req -in "$1/request.pem" -force_pubkey "$1/public.pem" -CA "$CERTS/rootA.pem" \
      -CAkey "$CERTS/rootAkey.pem" -days 30 -extfile "$1/extensions" -out "$1/token.pem"
}

# Signatures are the token's work; hashes and ciphers are not.
token_config() {
  cat <<'END'
openssl_conf = all
[all]
providers = providers
alg_section = algorithms
[providers]
default = on
tpm2 = on
[on]
activate = 1
[algorithms]
default_properties = ?provider=tpm2,tpm2.digest!=yes,tpm2.cipher!=yes
END
}

test_token() {
  local dir=$TMP/token
  if [ "$LIBRARY" != ours ]; then
    skip token "$LIBRARY has no stores"
    return 0
  fi
  if ! command -v swtpm tpm2_createprimary >/dev/null; then
    skip token "swtpm and tpm2-tools are not installed"
    return 0
  fi
  mkdir -p "$dir/state"
  start "$dir/swtpm.log" swtpm socket --tpm2 --tpmstate "dir=$dir/state" --flags not-need-init,startup-clear \
    --server "type=unixio,path=$dir/tpm" --ctrl "type=unixio,path=$dir/tpm.ctrl"
  wait_until test -S "$dir/tpm.ctrl" || { not_ok "token: an emulated TPM starts" "$(tail -n 3 "$dir/swtpm.log")"; return 0; }
  export TPM2TOOLS_TCTI="swtpm:path=$dir/tpm" TPM2OPENSSL_TCTI="swtpm:path=$dir/tpm"
  if ! { token_make_key "$dir" && token_certify "$dir"; } >"$dir/make.log" 2>&1; then
    not_ok "token: a key and its certificate are made" "$(tail -n 3 "$dir/make.log")"
    return 0
  fi
  token_config >"$dir/openssl.cnf"
  run_program "token" 5.4 env TOKEN="$dir" TOKEN_KEY="store:handle:$TOKEN_HANDLE?pass" lua5.4 test/real/token_client.lua
}
