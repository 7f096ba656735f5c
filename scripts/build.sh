#!/usr/bin/env bash
# Configures and builds into build/ (build/bin/grpo, build/bin/grpo-train). Extra arguments go to cmake's build step.
set -euo pipefail
cd "$(dirname "$0")/.."

# One compile job per GB of free memory and per core: a LibTorch source takes about 1 GB to compile.
memory_gb=$(awk '/MemAvailable/ {print int($2 / 1048576)}' /proc/meminfo)
jobs=$(nproc)
[ "$memory_gb" -lt "$jobs" ] && jobs=$((memory_gb > 0 ? memory_gb : 1))
# A build folder that was copied or moved with its checkout would build the other checkout.
if [ -f build/CMakeCache.txt ] && ! grep -qx "CMAKE_HOME_DIRECTORY:INTERNAL=$PWD" build/CMakeCache.txt; then
  rm -rf build/CMakeCache.txt build/CMakeFiles
fi
[ -f build/build.ninja ] && [ -f build/CMakeCache.txt ] || cmake --preset release
cmake --build build -j "$jobs" "$@"
