#!/usr/bin/env bash
# What only a machine with a GPU can show: the tests labelled `gpu`, compute-sanitizer, runs of the trainer, and the benchmarks beside
# their peers. Writes docs/benchmarks/<gpu>.md, again after every stage; the output itself goes to build/gpu_check as it comes.
#
#   scripts/gpu_check.sh [--quick | --rehearse] [--no-build] [--out FOLDER] [--host-device FOLDER]
#
# --quick: what fits into nine minutes (1.5B only). --no-build: what lies in build/ is run as it is. --out: where page and output go.
# --rehearse: on a machine without a GPU, everything with a tiny shape, to see that it works; no page in docs/. On the CUDA device of host
# memory (tests/device) whose libraries lie in FOLDER (build/lib), else on the CPU.
# In a folder that scripts/gpu_bundle.sh has packed there is nothing to build, and a check is a quick one. It needs python3 with torch.
# Exit code 1: a stage failed, or its time was over.
set -euo pipefail
cd "$(dirname "$0")/.."

mode="" build=1 out=build/gpu_check pages=docs/benchmarks programs=build/bin host_device=build/lib libraries="" preload=""
if [ -f bundle.txt ]; then mode=--quick build=0 out=gpu_check pages=$out programs=bin host_device=lib/host_device; fi
while [ $# -gt 0 ]; do
  case $1 in --out | --host-device) [ $# -gt 1 ] || { echo "gpu_check: $1 lacks its value" >&2; exit 2; } ;; esac
  case $1 in
    --quick | --rehearse) mode=$1 ;;
    --no-build) build=0 ;;
    --out) out=$2 pages=$2; shift ;;
    --host-device) host_device=$2; shift ;;
    *) echo "gpu_check: unknown option $1" >&2; exit 2 ;;
  esac
  shift
done

# A bundle holds our libraries. LibTorch lies in python3's packages, and what it needs of CUDA beside it. They are named to our programs
# alone: python3 and the tools of the machine have their own.
find_libraries() {
  local packages folder
  packages=$(python3 -c 'import importlib.util, os; print(os.path.dirname(os.path.dirname(importlib.util.find_spec("torch").origin)))') ||
    { echo "gpu_check: python3 has no torch" >&2; exit 1; }
  libraries=$PWD/lib/grpo-train:$packages/torch/lib
  [ -z "$preload" ] || libraries=$host_device:$libraries
  for folder in "$packages"/nvidia/*/lib; do libraries+=:$folder; done
  libraries+=${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} # the driver's folder may be named there
  export GRPO_SOURCE_DIR=$PWD
}

# Of our programs: what the loader misses here (a library, or a version of the C library).
say_what_is_missing() {
  local program
  for program in "$programs"/grpo* lib/*.so; do
    LD_LIBRARY_PATH=$libraries ldd "$program" 2>&1 | grep 'not found' | sed "s|^|gpu_check: ${program##*/}: |" || true
  done
}

if [ "$build" = 1 ]; then
  scripts/setup.sh
  scripts/build.sh
fi
if [ "$mode" = --rehearse ] && [ -f "$host_device/libgrpo_host_operators.so" ]; then
  host_device=$(realpath "$host_device")
  preload=$host_device/libgrpo_host_cudart.so:$host_device/libgrpo_host_operators.so
fi
if [ -f bundle.txt ]; then
  find_libraries
  say_what_is_missing >&2
fi

# Each is given seconds: where a driver hangs the check must not.
asked_gpu() { timeout 20 nvidia-smi --query-gpu="$1" --format=csv,noheader 2>/dev/null | head -1; }

gpu=rehearsal
if [ "$mode" = --rehearse ]; then
  pages=$out
else
  doctor=$(LD_LIBRARY_PATH=${libraries:-${LD_LIBRARY_PATH:-}} timeout 90 "$programs/grpo" doctor --output "${TMPDIR:-/tmp}" 2>&1) || true
  echo "$doctor"
  grep -q 'cuda kernels *usable' <<<"$doctor" || { echo "gpu_check: no usable GPU here" >&2; exit 1; }
  gpu=$(asked_gpu name) || gpu="a GPU"
fi
commit=$(cat bundle.txt 2>/dev/null || git rev-parse --short HEAD 2>/dev/null || echo unknown)
driver=$(asked_gpu driver_version) || driver=unknown
page=$(echo "$gpu" | tr 'A-Z ' 'a-z_' | tr -cd 'a-z0-9_').md

status=0
[ "$build" = 0 ] || SECONDS=0 # of the check itself
python3 -u scripts/gpu/check.py --programs "$PWD/$programs" --out "$out" --page "$page" --title "$gpu" --spent $SECONDS ${mode:+"$mode"} \
  ${preload:+--preload "$preload"} ${libraries:+--libraries "$libraries"} \
  --line "Written by \`scripts/gpu_check.sh $mode\` on $(date -u +%Y-%m-%d), commit $commit, driver $driver." || status=$?
if [ "$pages" != "$out" ]; then
  mkdir -p "$pages"
  cp "$out/$page" "$pages"
  echo "gpu_check: wrote $pages/$page"
fi
exit "$status"
