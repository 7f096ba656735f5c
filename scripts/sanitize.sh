#!/usr/bin/env bash
# scripts/test.sh --sanitize asan|tsan [MODULE...]: the unit tests of all modules, or of those named, under a sanitizer. LibTorch,
# Arrow and the system's libraries are not instrumented: tests/sanitize/ says which reports of theirs are left out, and why.
# Ends with "N programs clean, N not"; what was found is in build-KIND/logs.
set -euo pipefail
cd "$(dirname "$0")/.."

kind=${1:-}
case $kind in
  asan | tsan) shift ;;
  *) echo "usage: scripts/test.sh --sanitize asan|tsan [MODULE...]" >&2; exit 2 ;;
esac
scripts/setup.sh
targets=(grpo_unit_tests)
[ $# -eq 0 ] || targets=("${@/%/_test}") targets=("${targets[@]/#/grpo_}")
scripts/build.sh --preset "$kind" --target "${targets[@]}"

# Tests ask for more memory than there is, to see what is said then.
export ASAN_OPTIONS=allocator_may_return_null=1:detect_stack_use_after_return=1:strict_string_checks=1:check_initialization_order=1
export LSAN_OPTIONS=suppressions=$PWD/tests/sanitize/leaks.supp:print_suppressions=0
export UBSAN_OPTIONS=print_stacktrace=1
# detect_deadlocks: the detector ends a program when it counts 64 locks of one thread, as it did in the trainer's tests; whose they were was not found out.
# ignore_noninstrumented_modules: the order that LibTorch, Gloo, Arrow and OpenMP keep among themselves is not seen.
export TSAN_OPTIONS=detect_deadlocks=0:ignore_noninstrumented_modules=1:allocator_may_return_null=1:die_after_fork=0
# The addresses that ThreadSanitizer reserves collide with what newer kernels choose at random.
fixed=()
[ "$kind" = asan ] || ! setarch "$(uname -m)" -R true 2>/dev/null || fixed=(setarch "$(uname -m)" -R)

# Devices need a GPU; the threads of an emulated block are stacks of one thread, which ThreadSanitizer takes for corruption.
filter='-Gpu*'
[ "$kind" = asan ] || filter+=':EmulatedBlock.*:*DeviceKernels.*:*UpdateKernels.*'

mkdir -p "build-$kind/logs"
if [ $# -gt 0 ]; then
  programs=("${targets[@]/#/build-$kind/bin/}")
else
  programs=("build-$kind"/bin/grpo_*_test "build-$kind"/bin/grpo_replay_*)
fi
clean=0 found=()
for program in "${programs[@]}"; do
  name=$(basename "$program")
  arguments=(--gtest_brief=1 "--gtest_filter=$filter")
  case $name in grpo_replay_*) arguments=("tests/fuzz/seeds/${name#grpo_replay_}") ;; esac
  log=build-$kind/logs/$name.log
  status=0
  "${fixed[@]}" "$program" "${arguments[@]}" >"$log" 2>&1 || status=$?
  if [ "$status" -eq 0 ]; then
    clean=$((clean + 1))
    echo "clean: $name $(sed -nE 's/^\[  PASSED  \] ([0-9]+ tests?).*/\1/p' "$log")"
  else
    found+=("$name")
    echo "not clean: $name, exit code $status, see $log"
  fi
done
echo "$clean programs clean, ${#found[@]} not${found:+: ${found[*]}}"
[ ${#found[@]} -eq 0 ]
