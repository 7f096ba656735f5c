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

mode="" build=1 out=build/gpu_check pages=docs/benchmarks programs=build/bin host_device=build/lib preload=""
if [ -f bundle.txt ]; then mode=--quick build=0 out=gpu_check pages=$out programs=bin; fi
while [ $# -gt 0 ]; do
  case $1 in
    --quick | --rehearse) mode=$1 ;;
    --no-build) build=0 ;;
    --out) out=$2 pages=$2; shift ;;
    --host-device) host_device=$2; shift ;;
    *) echo "gpu_check: unknown option $1" >&2; exit 2 ;;
  esac
  shift
done

# A bundle holds our libraries. LibTorch lies in python3's packages, and what it needs of CUDA beside it.
find_libraries() {
  local packages folder folders
  packages=$(python3 -c 'import importlib.util, os; print(os.path.dirname(os.path.dirname(importlib.util.find_spec("torch").origin)))') ||
    { echo "gpu_check: python3 has no torch" >&2; exit 1; }
  folders=$PWD/lib/grpo-train:$packages/torch/lib
  for folder in "$packages"/nvidia/*/lib; do folders+=:$folder; done
  export LD_LIBRARY_PATH=$folders${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} # the driver's folder may be named there
  export GRPO_SOURCE_DIR=$PWD
}

if [ "$build" = 1 ]; then
  scripts/setup.sh
  scripts/build.sh
fi
[ ! -f bundle.txt ] || find_libraries

gpu=rehearsal
if [ "$mode" = --rehearse ]; then
  pages=$out
  [ ! -f "$host_device/libgrpo_host_operators.so" ] ||
    preload=$(realpath "$host_device/libgrpo_host_cudart.so"):$(realpath "$host_device/libgrpo_host_operators.so")
else
  "$programs/grpo" doctor --output "${TMPDIR:-/tmp}" | grep 'cuda kernels *usable' ||
    { echo "gpu_check: no usable GPU here; build/bin/grpo doctor says why" >&2; exit 1; }
  gpu=$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -1) || gpu="a GPU"
fi
commit=$(cat bundle.txt 2>/dev/null || git rev-parse --short HEAD 2>/dev/null || echo unknown)
driver=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>/dev/null | head -1) || driver=unknown
page=$(echo "$gpu" | tr 'A-Z ' 'a-z_' | tr -cd 'a-z0-9_').md

status=0
python3 -u scripts/gpu/check.py --programs "$PWD/$programs" --out "$out" --page "$page" --title "$gpu" ${mode:+"$mode"} \
  ${preload:+--preload "$preload"} \
  --line "Written by \`scripts/gpu_check.sh $mode\` on $(date -u +%Y-%m-%d), commit $commit, driver $driver." || status=$?
if [ "$pages" != "$out" ]; then
  mkdir -p "$pages"
  cp "$out/$page" "$pages"
  echo "gpu_check: wrote $pages/$page"
fi
exit "$status"
