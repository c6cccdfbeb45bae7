#!/bin/sh
# Everything that reads the sources without running them; any finding fails. `make lint` calls it, with
# the compiler's flags in COMPILE_FLAGS.
set -u
status=0
jobs=${JOBS:-2}    # checkers at a time

step() {
  name=$1
  shift
  if "$@"; then
    echo "$name: ok"
  else
    echo "$name: FAILED"
    status=1
  fi
}

# No file over 500 lines.
sizes() {
  find src lua test tools certs samples bench -type f \( -name '*.[ch]' -o -name '*.lua' -o -name '*.sh' \) \
    -exec awk 'FNR == 501 { print FILENAME ": over 500 lines"; bad = 1 } END { exit bad }' {} +
}

# The rockspec and the Makefile build the same files.
rockspec() {
  listed=$(grep -o '"\(src\|lua\)/[^"]*\.\(c\|lua\)"' luasec-scm-1.rockspec | tr -d '"' | sort)
  present=$(ls src/*.c lua/*.lua lua/*/*.lua 2>/dev/null | sort)
  [ "$listed" = "$present" ] || {
    printf 'in the rockspec:\n%s\nin the tree:\n%s\n' "$listed" "$present"
    return 1
  }
  version=$(sed -n 's/.*_VERSION = "\([^"]*\)".*/\1/p' lua/ssl.lua)
  sed -e "s/^version = .*/version = \"$version-1\"/; s/^  branch = .*/  tag = \"v$version\",/" luasec-scm-1.rockspec |
    cmp -s - "luasec-$version-1.rockspec" || {
    echo "luasec-$version-1.rockspec is not what tools/rockspec.sh makes of luasec-scm-1.rockspec"
    return 1
  }
}

# Whatever has a #! line. SC1090, SC1091 and SC2154 are about files that a script reads in, SC3013 about -nt,
# which every shell has.
shell() {
  # shellcheck disable=SC2046
  shellcheck -S warning -e SC1090,SC1091,SC2154,SC3013 \
    $(find certs tools test bench samples .ci -type f \( -name '*.sh' -o -name '*.bash' -o -path .ci/run \) -exec grep -l '^#!' {} +)
}

cpp() {
  cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr \
    --error-exitcode=1 --suppress=missingIncludeSystem -j "$jobs" src
}

# One process a file.
tidy() {
  # shellcheck disable=SC2016
  find src -name '*.c' | sort | xargs -P "$jobs" -I{} sh -c \
    'out=$(clang-tidy --quiet "$0" -- $COMPILE_FLAGS 2>/dev/null) || { printf "%s\n" "$out"; exit 1; }' {}
}

# The other compiler's warnings.
clang_warnings() {
  for file in src/*.c; do
    # shellcheck disable=SC2086
    clang $COMPILE_FLAGS -fsyntax-only "$file" || return 1
  done
}

step luacheck luacheck --quiet --no-color . bin/luasec
step "file sizes" sizes
step "rockspec files" rockspec
step shellcheck shell
step cppcheck cpp
step "clang warnings" clang_warnings
step clang-tidy tidy
exit $status
