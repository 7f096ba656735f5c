#!/usr/bin/env bash
# Installs what is missing, builds into build/ and runs every test. Ends with ctest's summary and "N passed, N failed".
#   scripts/test.sh --sanitize asan|tsan [MODULE...]   builds the unit tests into build-asan/ or build-tsan/ and runs them with
#                                                      AddressSanitizer and UndefinedBehaviorSanitizer, or with ThreadSanitizer
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${1:-}" = --sanitize ]; then
  shift
  exec scripts/sanitize.sh "$@"
fi
scripts/setup.sh --tests
scripts/build.sh || { echo "0 passed, 1 failed"; exit 1; }

# Tests run beside each other: a thread that waits for another leaves its core to them soon, as in grpo itself (docs/performance.md).
export GOMP_SPINCOUNT="${GOMP_SPINCOUNT:-10000}"
status=0
log=build/ctest.log
ctest --test-dir build --output-on-failure -j "$(nproc)" --no-tests=error 2>&1 | tee "$log" || status=$?
total=$(sed -nE 's/.*tests passed, [0-9]+ tests failed out of ([0-9]+).*/\1/p' "$log" | tail -1)
failed=$(sed -nE 's/.*tests passed, ([0-9]+) tests failed out of.*/\1/p' "$log" | tail -1)
[ -n "$total" ] || { echo "0 passed, 1 failed"; exit 1; }
skipped=$(grep -c '(Skipped)$' "$log" || true)
# Of them, what runs on CUDA: on a GPU where there is one, else on the host device (tests/device), which the tests labelled device always do.
ctest --test-dir build -N -L '^(gpu|device)$' | sed -nE 's/^ *Test +#[0-9]+: (.*)$/\1/p' >build/gpu_tests
on_cuda=$(sed -nE 's/^ *[0-9]+\/[0-9]+ Test +#[0-9]+: (.*[^ .]) \.+ +Passed .*/\1/p' "$log" | grep -cxFf build/gpu_tests || true)
[ -e /dev/nvidiactl ] && device="a GPU" || device="the host device"
[ ! -s build/gpu_tests ] || echo "$on_cuda of $(wc -l <build/gpu_tests) tests of the CUDA path passed on $device"
echo "$((total - failed - skipped)) passed, $failed failed, $skipped skipped"
exit "$status"
