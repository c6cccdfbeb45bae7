# shellcheck shell=bash
# What every part of the real-use tests needs: the library's paths, counting, processes with bounded waits,
# and ports. Sourced by run.sh. Nothing that belongs to one program only (Prosody, nginx, ...) lives here.

passed=0 failed=0 skipped=0
pids=()
WAIT_SECONDS=20

ok()     { echo "ok - $1"; passed=$((passed + 1)); }
not_ok() { echo "not ok - $1: $2"; failed=$((failed + 1)); }
skip()   { echo "skip - $1: $2"; skipped=$((skipped + 1)); }

# check NAME REASON COMMAND...: ok when the command succeeds.
check() {
  local name=$1 reason=$2
  shift 2
  if "$@"; then ok "$name"; else not_ok "$name" "$reason"; fi
}

has()    { grep -Eq -- "$1" "$2" 2>/dev/null; }
has_no() { ! has "$1" "$2"; }

# expected_so LUA_VERSION: the real path of the ssl.so that a program on that Lua must load.
expected_so() {
  if [ "$LIBRARY" = ours ]; then
    readlink -f "$ROOT/$BUILD/$1/ssl.so"
  else
    "lua$1" -e 'for t in package.cpath:gmatch("[^;]+") do
      local p = t:gsub("%?", "ssl"); local f = io.open(p); if f then print(p) break end end' | xargs readlink -f
  fi
}

# with_library LUA_VERSION COMMAND...: runs a command with the chosen library first on Lua's path.
with_library() {
  local version=$1 path="$ROOT/test/real/?.lua;;" cpath=";;"
  shift
  if [ "$LIBRARY" = ours ]; then
    path="$ROOT/lua/?.lua;$path" cpath="$ROOT/$BUILD/$version/?.so;;"
  fi
  LUA_PATH=$path LUA_CPATH=$cpath EXPECT_SO=$(expected_so "$version") "$@"
}

# loaded_by PID LUA_VERSION: the process has mapped the expected ssl.so, and no other.
loaded_by() {
  local maps
  maps=$(grep -oE '/[^ ]*(ssl|-sec)\.so[^ ]*' "/proc/$1/maps" | grep -vE '/lib(ssl|crypto)\.so' | sort -u)
  [ "$maps" = "$(expected_so "$2")" ] || { echo "# process $1 has loaded: ${maps:-no ssl.so}"; return 1; }
}

# run_program NAME LUA_VERSION COMMAND...: runs a program on the chosen library. It prints "ok - ", "not ok -
# " and "skip - " lines itself; they are counted. One that prints none, or ends badly without a failed line,
# is a failure too.
run_program() {
  local name=$1 version=$2 log status=0 good bad skips
  shift 2
  log=$(mktemp "$TMP/program.XXXXXX")
  with_library "$version" timeout -k 5 90 "$@" >"$log" 2>&1 || status=$?
  grep -E '^(ok|not ok|skip) - ' "$log" | sed "s/ - / - $name: /"
  good=$(grep -c '^ok - ' "$log")
  bad=$(grep -c '^not ok - ' "$log")
  skips=$(grep -c '^skip - ' "$log")
  passed=$((passed + good)) failed=$((failed + bad)) skipped=$((skipped + skips))
  if [ "$bad" -gt 0 ] || [ "$status" -ne 0 ] || [ "$good" -eq 0 ]; then
    grep -vE '^(ok|not ok|skip) - ' "$log" | tail -n 15 | sed 's/^/# /'
  fi
  if [ "$bad" -eq 0 ] && { [ "$status" -ne 0 ] || [ "$good" -eq 0 ]; }; then
    not_ok "$name" "ended with status $status after $good passed tests"
  fi
}

# wait_until COMMAND...: polls until the command succeeds; false after WAIT_SECONDS.
wait_until() {
  local end=$((SECONDS + WAIT_SECONDS))
  until "$@"; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.05
  done
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# started PID LOG PORT...: every port answers and the process lives; false at once when it died or found a
# port taken.
started() {
  local pid=$1 log=$2 end=$((SECONDS + WAIT_SECONDS)) port
  shift 2
  for port in "$@"; do
    until listens "$port"; do
      kill -0 "$pid" 2>/dev/null || return 1
      [ "$SECONDS" -lt "$end" ] || return 1
      sleep 0.05
    done
  done
  kill -0 "$pid" 2>/dev/null && has_no '[Aa]ddress already in use' "$log"
}

# start LOG COMMAND...: runs a server in the background; its process id is in $pid and it is stopped at the
# end.
start() {
  local log=$1
  shift
  "$@" >"$log" 2>&1 </dev/null &
  pid=$!
  pids+=("$pid")
}

# stop PID...: ends processes that start() began, by force after five seconds.
stop() {
  local p end
  for p in "$@"; do kill -TERM "$p" 2>/dev/null; done
  for p in "$@"; do
    end=$((SECONDS + 5))
    while kill -0 "$p" 2>/dev/null; do
      [ "$SECONDS" -lt "$end" ] || kill -KILL "$p" 2>/dev/null
      sleep 0.02
    done
    wait "$p" 2>/dev/null
  done
}

# try_start FUNCTION: up to three attempts, because a chosen port may be taken between choice and use. A
# failed attempt's processes are stopped, those of earlier parts are not.
try_start() {
  local attempt before=${#pids[@]}
  for attempt in 1 2 3; do
    "$1" && return 0
    echo "# $1: attempt $attempt failed"
    stop "${pids[@]:$before}"
    pids=("${pids[@]:0:$before}")
  done
  return 1
}

# free_ports N: N different TCP ports of 127.0.0.1 that the kernel says are free, on one line.
free_ports() {
  lua5.4 -e 'local socket, held, ports = require "socket", {}, {}
    for i = 1, tonumber(arg[1]) do
      held[i] = assert(socket.bind("127.0.0.1", 0))
      ports[i] = select(2, held[i]:getsockname())
    end
    print(table.concat(ports, " "))' /dev/null "$1"
}

# issue NAME ROOT SUBJECTALTNAME: $TMP/NAME.pem and NAMEkey.pem, for servers and clients, signed by a root of
# the test PKI.
issue() {
  printf '[req]\ndistinguished_name=dn\n[dn]\n' >"$TMP/req.cnf"
  openssl req -config "$TMP/req.cnf" -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 60 \
    -CA "$CERTS/$2.pem" -CAkey "$CERTS/$2key.pem" -subj "/CN=$1" -addext "subjectAltName=$3" \
    -addext "extendedKeyUsage=serverAuth,clientAuth" -addext "basicConstraints=critical,CA:FALSE" \
    -keyout "$TMP/$1key.pem" -out "$TMP/$1.pem" 2>"$TMP/issue.log" || { cat "$TMP/issue.log" >&2; return 1; }
}
