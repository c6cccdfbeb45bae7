#!/bin/bash
# Runs the suite (or the specs given) on a library built for gcov and on interpreters that note the lines of lua/ that
# run, and reports what was not reached. `make coverage` calls it with LUA, BUSTED, CC, LUA_CFLAGS, BUILD and the paths.
# tools/coverage.lua counts and judges.
#
# Processes that specs start count too, but for those that end by SIGKILL. Everything is written for all to write,
# because one spec runs an interpreter as another user. Tests named after memory compare resident sizes, which
# counters make grow; speed is nobody's business here.
set -u
out=build/coverage
lines=$out/lines
rm -rf "$out"
rm -f "$BUILD"/*.gcda
umask 0
mkdir -p "$lines" || exit 1
chmod a+rwx "$BUILD" "$out" "$lines"
luac=${LUAC:-${LUA/lua/luac}}
# shellcheck disable=SC2086
$CC -D_DEFAULT_SOURCE -std=c11 -Wall -Wextra -O2 $LUA_CFLAGS -shared -fPIC -Wl,-z,nodelete \
  -o "$out/linehook.so" tools/linehook.c || exit 1

status=0
LUA_INIT="assert(package.loadlib('$PWD/$out/linehook.so', 'luaopen_linehook'))()" LINES_OUT=$PWD/$lines \
  "$LUA" "$BUSTED" "$@" || status=1

gcov --branch-probabilities --branch-counts --stdout --relative-only --object-directory "$BUILD" "$BUILD"/*.gcda \
  >"$out/c.txt" 2>"$out/gcov.log" || { cat "$out/gcov.log"; exit 1; }
for file in lua/*.lua lua/*/*.lua; do
  "$luac" -l -p "$file" >>"$out/listing.txt" || exit 1
done
"$LUA" tools/coverage.lua "$out/c.txt" "$out/listing.txt" "$lines"/*.lines || status=1
exit $status
