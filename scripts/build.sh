#!/usr/bin/env bash
# Configures and builds into build/ (build/bin/grpo, build/bin/grpo-train), or with --preset NAME first into build-NAME/.
# Extra arguments go to cmake's build step.
set -euo pipefail
cd "$(dirname "$0")/.."
preset=release folder=build
if [ "${1:-}" = --preset ]; then
  [ $# -gt 1 ] || { echo "build: --preset lacks its name" >&2; exit 2; }
  preset=$2 folder=build-$2
  shift 2
fi

# One compile job per GB of free memory and per core: a LibTorch source takes about 1 GB to compile.
memory_gb=$(awk '/MemAvailable/ {print int($2 / 1048576)}' /proc/meminfo)
jobs=$(nproc)
[ "$memory_gb" -lt "$jobs" ] && jobs=$((memory_gb > 0 ? memory_gb : 1))
# A build folder that was copied or moved with its checkout would build the other checkout.
if [ -f "$folder/CMakeCache.txt" ] && ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$PWD" "$folder/CMakeCache.txt"; then
  rm -rf "$folder/CMakeCache.txt" "$folder/CMakeFiles"
fi
[ -f "$folder/build.ninja" ] && [ -f "$folder/CMakeCache.txt" ] || cmake --preset "$preset"
cmake --build "$folder" -j "$jobs" "$@"
