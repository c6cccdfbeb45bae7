#!/bin/bash
# Runs one target of test/fuzz, or tells what all runs so far have come to. `make fuzz` calls it, with the paths set.
#
#   tools/fuzz.sh DIR run NAME SECONDS     DIR/target on test/fuzz/NAME.lua; not zero when something is found
#   tools/fuzz.sh DIR merge NAME           what is new in DIR's inputs goes to test/fuzz/corpus/NAME, 32 files of it, 8 KB in all, at most
#   tools/fuzz.sh DIR table                a row a target, from the logs in DIR
#
# DIR/corpus/NAME holds the inputs that were worth keeping, DIR/NAME-* the findings, DIR/log/NAME-* the logs.
set -u
dir=$1 what=$2
committed=test/fuzz/corpus
readonly most=8000 files=32

# No input takes a minute, nor all of them 2 GB. Leaks are looked for at the end: what the collector has not yet freed would have
# libFuzzer look after each input, at tenfold the time.
options=(-max_len=4096 -timeout=60 -rss_limit_mb=2048 -detect_leaks=0 -print_final_stats=1)
export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1

run() {
  local name=$1 seconds=$2 log seeds TIMEFORMAT="seconds: %R of the clock, of the processor %U %S"
  log=$dir/log/$name-$(date +%Y%m%d-%H%M%S).log
  seeds=$dir/seeds/$name
  mkdir -p "$dir/log" "$dir/corpus/$name" "$seeds" "$committed/$name"
  echo "fuzz $name: $seconds s"
  { time FUZZ_TARGET=$name FUZZ_SEEDS=$seeds "$dir/target" "${options[@]}" -max_total_time="$seconds" \
    -artifact_prefix="$dir/$name-" "$dir/corpus/$name" "$committed/$name" "$seeds" >"$log" 2>&1
  } 2>>"$log"
  local status=$?
  if [ "$status" -ne 0 ]; then
    echo "fuzz $name: FAILED with status $status; the end of $log:"
    tail -n 60 "$log"
  fi
  return "$status"
}

# libFuzzer's merge keeps one input for each thing that none before it did; of those, by size, every so-manieth is taken.
merge() {
  local name=$1 file
  local made=$dir/merged/$name
  rm -rf "$made"
  mkdir -p "$made" "$committed/$name"
  FUZZ_TARGET=$name "$dir/target" "${options[@]}" -merge=1 "$made" "$committed/$name" "$dir/corpus/$name" \
    >"$dir/log/merge-$name" 2>&1 || { tail -n 20 "$dir/log/merge-$name"; return 1; }
  find "$made" -type f -printf '%s %p\n' | sort -n | awk -v most="$most" -v files="$files" '
    { size[NR] = $1; path[NR] = $2 }
    END {
      for (i = 1; i <= NR; i += NR > files ? NR / files : 1) {
        total += size[int(i)]
        if (total <= most) print path[int(i)]
      }
    }' | while read -r file; do
    cp -n "$file" "$committed/$name/"
  done
}

# Of every log: the executions, the seconds by the clock and of the processor, the edges and features reached.
table() {
  local name logs
  echo "| target | runs | time | processor | executions | edges in src/ | features | inputs kept | findings |"
  echo "|---|---|---|---|---|---|---|---|---|"
  for script in test/fuzz/*.lua; do
    name=$(basename "$script" .lua)
    logs=("$dir/log/$name"-*.log)
    [ -e "${logs[0]}" ] || continue
    awk -v name="$name" '
      FNR == 1 { runs++ }
      /^#[0-9]+\t/ {
        for (i = 2; i < NF; i++) {
          if ($i == "cov:" && $(i + 1) > cov) cov = $(i + 1)
          if ($i == "ft:" && $(i + 1) > ft) ft = $(i + 1)
          if ($i == "corp:") { split($(i + 1), c, "/"); corp = c[1] }
        }
      }
      /^seconds: / { seconds += $2; cpu += $9 + $10 }
      /^stat::number_of_executed_units:/ { units += $2 }
      /^SUMMARY: |deadly signal/ { if (FILENAME != last) found++; last = FILENAME }
      END {
        printf "| %s | %d | %.2f h | %.2f h | %d | %d | %d | %d | %d |\n", name, runs, seconds / 3600, cpu / 3600, units, cov, ft, corp, found
      }' "${logs[@]}"
  done
}

case $what in
  run) run "$3" "$4" ;;
  merge) merge "$3" ;;
  table) table ;;
  *) echo "tools/fuzz.sh: no verb named $what" >&2; exit 1 ;;
esac
