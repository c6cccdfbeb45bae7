#!/bin/bash
# Runs specs (all of them without arguments) under AddressSanitizer, its leak detector and
# UndefinedBehaviorSanitizer. `make asan` calls it with LUA, BUSTED and the paths to an ssl.so that is built
# for them.
#
# The runtimes are preloaded into the interpreter, by a wrapper of its name that comes first on PATH: so the
# interpreters that specs start have them too, and no other program has.
#
# Specs that load luaossl run by themselves, with the slow unwinder: only whole stacks tell luaossl's own
# leaks, which lsan.supp names, from ours. ASAN_UNWIND=slow gives whole stacks everywhere.
#
# HELPER is busted's --helper; under one that collects all the time, a stack that overflows takes for ever.
set -u
cc=${CC:-cc}
bin=$PWD/build/asan-bin
lua=$(command -v "$LUA") || exit 1
name=${LUA##*/}
mkdir -p "$bin"
$cc -D_DEFAULT_SOURCE -shared -fPIC -o "$bin/unpreload.so" tools/unpreload.c || exit 1
cat >"$bin/$name" <<END
#!/bin/bash
export LD_PRELOAD="$($cc -print-file-name=libasan.so) $($cc -print-file-name=libubsan.so) $bin/unpreload.so"
exec -a "$name" "$lua" "\$@"
END
chmod +x "$bin/$name"
export PATH=$bin:$PATH

# Line buffering, because the leak detector ends the process before C's own buffers are written. Tests named
# after memory compare resident sizes, which the sanitizer's quarantine makes grow; leaks are found without them.
run() {
  local fast=1
  [ "$1" != slow ] || fast=0
  shift
  LUA=$name LUA_INIT='io.stdout:setvbuf("line")' \
    ASAN_OPTIONS="detect_leaks=1:fast_unwind_on_malloc=$fast" \
    UBSAN_OPTIONS=print_stacktrace=1 \
    LSAN_OPTIONS="suppressions=$PWD/tools/lsan.supp:print_suppressions=0" \
    "$name" "$BUSTED" ${HELPER:+--helper="$HELPER" --filter-out=overflows} --filter-out=memory "$@"
}

if [ $# -gt 0 ]; then specs=("$@"); else mapfile -t specs < <(find test -name '*_spec.lua' ! -path 'test/samples/*' | sort); fi
quick=() slow=()
for spec in "${specs[@]}"; do
  if grep -qE 'require *\(?"openssl\.' "$spec"; then slow+=("$spec"); else quick+=("$spec"); fi
done
status=0
[ "${#quick[@]}" -eq 0 ] || run "${ASAN_UNWIND:-fast}" "${quick[@]}" || status=1
[ "${#slow[@]}" -eq 0 ] || run slow "${slow[@]}" || status=1
exit $status
