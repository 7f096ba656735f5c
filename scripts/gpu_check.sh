#!/usr/bin/env bash
# What only a machine with a GPU can show: runs the tests labelled `gpu` and the benchmarks and writes
# docs/benchmarks/<gpu>.md with what they printed.
#
#   scripts/gpu_check.sh [--quick | --rehearse] [--no-build] [--out FOLDER]
#
# --quick: the tests, and the 1.5B shape only. --no-build: what lies in build/ is run as it is. --out: where the page goes.
# --rehearse: on a machine without a GPU, the benchmarks with a tiny shape on the CPU, to see that they work; prints the page.
set -euo pipefail
cd "$(dirname "$0")/.."

quick=0 build=1 out=docs/benchmarks rehearse=0
while [ $# -gt 0 ]; do
  case $1 in
    --quick) quick=1 ;;
    --no-build) build=0 ;;
    --rehearse) rehearse=1 ;;
    --out) out=$2; shift ;;
    *) echo "gpu_check: unknown option $1" >&2; exit 2 ;;
  esac
  shift
done

if [ "$rehearse" = 0 ]; then
  command -v nvidia-smi >/dev/null || { echo "gpu_check: no nvidia-smi: this machine has no GPU" >&2; exit 1; }
  gpu=$(nvidia-smi --query-gpu=name --format=csv,noheader | head -1)
  page=$out/$(echo "$gpu" | tr 'A-Z ' 'a-z_' | tr -cd 'a-z0-9_').md
  mkdir -p "$out"
fi

if [ "$build" = 1 ]; then
  scripts/setup.sh
  scripts/build.sh
  cmake --build build --target grpo_gpu_rollout_bench grpo_gpu_update_bench grpo_step_bench
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0

run_tests() {
  local binary
  for binary in build/bin/grpo_*_test; do
    "$binary" --gtest_filter='Gpu*' --gtest_brief=0 2>&1 || status=1
  done
}

# The tests once more under the tool that finds accesses out of bounds and races in shared memory.
run_sanitizer() {
  local tool
  command -v compute-sanitizer >/dev/null || { echo "compute-sanitizer is not installed"; return; }
  for tool in memcheck racecheck; do
    echo "compute-sanitizer --tool $tool grpo_kernels_test"
    compute-sanitizer --tool "$tool" --error-exitcode 9 build/bin/grpo_kernels_test --gtest_filter='Gpu*' 2>&1 | tail -3 || status=1
  done
}

# Each with the arguments that follow.
run_shape() {
  local model=$1
  shift
  build/bin/grpo_gpu_rollout_bench decode "$model" "$@" || status=1
  build/bin/grpo_gpu_rollout_bench rollout "$model" "$@" || status=1
  build/bin/grpo_gpu_update_bench "$model" "$@" || status=1
  build/bin/grpo_step_bench "$model" bf16 "$@" || status=1
}

run_peers() {
  if python3 -c 'import torch, transformers' 2>/dev/null; then
    python3 scripts/bench_gpu_peers.py "$@" || status=1
  else
    echo '{"bench": "transformers", "skipped": "not installed here"}'
  fi
}

run_benchmarks() {
  local model
  for model in 1.5b $([ "$quick" = 1 ] || echo 7b); do run_shape "$model"; done
  build/bin/grpo_step_bench 1.5b-short bf16 --plain || status=1 # TRL's step is measured with the same
  build/bin/grpo_gpu_rollout_bench exact 1.5b || status=1
  run_peers
}

if [ "$rehearse" = 1 ]; then
  run_shape tiny --device cpu >"$work/benchmarks"
  build/bin/grpo_gpu_rollout_bench exact tiny --device cpu >>"$work/benchmarks" || status=1
  run_peers --tiny --device cpu >>"$work/benchmarks"
  python3 scripts/bench_table.py <"$work/benchmarks"
  exit "$status"
fi

# No pipe: in one, a function runs in a process of its own, and the status it sets is lost.
for part in tests sanitizer benchmarks; do
  "run_$part" >"$work/$part"
  cat "$work/$part"
done

{
  echo "# $gpu"
  echo
  echo "Written by \`scripts/gpu_check.sh\` on $(date -u +%Y-%m-%d), commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown)," \
    "driver $(nvidia-smi --query-gpu=driver_version --format=csv,noheader | head -1)," \
    "$(nvcc --version 2>/dev/null | sed -n 's/.*release \([0-9.]*\).*/CUDA \1/p')."
  echo
  echo "## Tests"
  echo
  echo '```'
  grep -E '^\[ +(PASSED|FAILED|SKIPPED) |log-prob:' "$work/tests" || true
  echo '```'
  echo
  echo "## compute-sanitizer"
  echo
  echo '```'
  cat "$work/sanitizer"
  echo '```'
  echo
  echo "## Rollouts and updates"
  echo
  python3 scripts/bench_table.py <"$work/benchmarks"
} >"$page"
echo "gpu_check: wrote $page"
exit "$status"
