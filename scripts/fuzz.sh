#!/usr/bin/env bash
# Builds the fuzz targets (tests/fuzz, and the verifier's) with clang's libFuzzer, AddressSanitizer and UndefinedBehaviorSanitizer,
# and runs one after the other until each has used so many seconds of processor time:
#   scripts/fuzz.sh [SECONDS [TARGET...]]      600 and all of them unless said; TARGET is config, http, verifier, ...
# They begin with their seeds and with what earlier runs found worth keeping (build-asan/corpus). Whatever breaks a target is kept
# in build-asan/findings/TARGET and makes the exit code 1; it belongs among the seeds once its cause is mended.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-600}
[[ $seconds =~ ^[0-9]+$ ]] || { echo "fuzz: $seconds is no number of seconds, which come before the targets" >&2; exit 2; }
[ $# -eq 0 ] || shift
targets=("$@")
goals=("${targets[@]/#/grpo_fuzz_}")
[ $# -gt 0 ] || goals=(grpo_fuzzers)
scripts/build.sh --preset asan --target "${goals[@]}"
[ $# -gt 0 ] || mapfile -t targets < <(find build-asan/bin -name 'grpo_fuzz_*' -printf '%f\n' | sed s/^grpo_fuzz_// | sort)

export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1
export UBSAN_OPTIONS=print_stacktrace=1
TIMEFORMAT='%U %S'
failed=0

# slice TARGET SECONDS: runs it for so long and prints the processor time that it used.
slice() {
  local seeds=tests/fuzz/seeds/$1
  [ -d "$seeds" ] || seeds=tests/data/$1_seeds
  { time "build-asan/bin/grpo_fuzz_$1" "build-asan/corpus/$1" "$seeds" -artifact_prefix="build-asan/findings/$1/" -max_total_time="$2" \
    -max_len=4096 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 >>"build-asan/logs/$1" 2>&1; } 2>&1
}

# forget_halts TARGET: an input that took long only because the machine was halted or overloaded, as it does not when it is tried
# again, is no finding. True when nothing else was found.
forget_halts() {
  local input
  for input in build-asan/findings/"$1"/*; do
    [[ $input == */timeout-* || $input == */slow-unit-* ]] && "build-asan/bin/grpo_fuzz_$1" -timeout=10 "$input" >>build-asan/logs/"$1" 2>&1 && rm "$input" || return
  done
}

for target in "${targets[@]}"; do
  mkdir -p build-asan/corpus/"$target" build-asan/findings/"$target" build-asan/logs
  : >build-asan/logs/"$target"
  used=0  # hundredths of a second: on a busy machine a minute may bring less than one
  broke=0
  while [ "$used" -lt $((100 * seconds)) ]; do
    left=$((seconds - used / 100))
    spent=$(slice "$target" $((left < 60 ? left : 60))) || forget_halts "$target" || { broke=1; break; }
    used=$((used + $(awk '{print int(100 * ($1 + $2) + 1)}' <<<"$spent")))
  done
  forget_halts "$target" || true
  runs=$(awk '/^stat::number_of_executed_units/ {sum += $2} END {print sum + 0}' build-asan/logs/"$target")
  findings=$(find build-asan/findings/"$target" -type f | wc -l)
  covered=$(sed -nE 's/.* cov: ([0-9]+) .*/\1/p' build-asan/logs/"$target" | tail -1)
  printf '%-16s %6d s of processor time, %10d runs, %6d edges, %d findings\n' "$target" $((used / 100)) "$runs" "${covered:-0}" "$findings"
  [ "$findings" -eq 0 ] || failed=1
  if [ "$broke" -eq 1 ]; then
    failed=1
    echo "$target ended by itself; the end of build-asan/logs/$target says why"
  fi
done
exit "$failed"
