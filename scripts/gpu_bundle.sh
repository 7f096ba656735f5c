#!/usr/bin/env bash
# Packs what a bare machine with a GPU needs for scripts/gpu_check.sh: our programs with the libraries they need, golden numbers, the
# embedded model. Not LibTorch and CUDA, which that machine has with python3's torch (2.11.0+cu130), and not the C and C++ runtimes.
#
#   scripts/gpu_bundle.sh [--no-build] [--host-device] [--architectures LIST] [FILE]      (90-real: Hopper; build-gpu/gpu_bundle.tar.xz)
#
# --no-build: what lies in build-gpu is packed as it is. --host-device: with the CUDA device of host memory (tests/device), on which
# gpu_check.sh --rehearse runs where there is no GPU.
#
# There, in any folder:
#   python3 -m tarfile -e gpu_bundle.tar.xz . && bash gpu_bundle/scripts/gpu_check.sh --no-build --out results
set -euo pipefail
cd "$(dirname "$0")/.."

readonly largest_mib=55 # what such a machine's owner may let travel
build=1 host_device=0 architectures=90-real file=build-gpu/gpu_bundle.tar.xz
while [ $# -gt 0 ]; do
  case $1 in --architectures) [ $# -gt 1 ] || { echo "gpu_bundle: $1 lacks its value" >&2; exit 2; } ;; esac
  case $1 in
    --no-build) build=0 ;;
    --host-device) host_device=1 ;;
    --architectures) architectures=$2; shift ;;
    -*) echo "gpu_bundle: unknown option $1" >&2; exit 2 ;;
    *) file=$1 ;;
  esac
  shift
done

# The modules whose tests have suites that run on a GPU.
mapfile -t modules < <(grep -rlE '^(TEST[_A-Z]*|INSTANTIATE_[_A-Z]*)\(Gpu' tests | cut -d/ -f2 | sort -u)
tests=("${modules[@]/#/grpo_}")
programs=(grpo grpo_dist_worker grpo_gpu_rollout_bench grpo_gpu_update_bench grpo_step_bench "${tests[@]/%/_test}")
libraries=(libgrpo_kernels_cuda.so libgrpo_nccl.so)
targets=("${programs[@]}" grpo_kernels_cuda grpo_nccl)
[ "$host_device" = 0 ] || targets+=(grpo_host_operators grpo_device_nccl)

if [ "$build" = 1 ]; then
  scripts/setup.sh
  # No path of this machine stays in a program: what it finds here it would not find there.
  cmake --preset release -B build-gpu -DGRPO_WITH_CUDA=ON -DGRPO_WITH_PARQUET=OFF -DGRPO_WITH_PROMETHEUS=OFF -DGRPO_WITH_CURL=OFF -DCMAKE_SKIP_RPATH=ON \
    -DCMAKE_CUDA_ARCHITECTURES="$architectures" >/dev/null
fi
torch_lib=$(dirname "$(sed -n 's/^TORCH_CPU_LIBRARY:[A-Z]*=//p' build-gpu/CMakeCache.txt)")
if [ "$build" = 1 ]; then LD_LIBRARY_PATH=$torch_lib cmake --build build-gpu --target "${targets[@]}"; fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bundle=$work/gpu_bundle
mkdir -p "$bundle/bin" "$bundle/lib/grpo-train" "$bundle/tests/golden" "$bundle/configs"
cp "${programs[@]/#/build-gpu/bin/}" "$bundle/bin"
cp "${libraries[@]/#/build-gpu/lib/}" "$bundle/lib"
ln -s grpo "$bundle/bin/grpo-train"
if [ "$host_device" = 1 ]; then
  mkdir "$bundle/lib/host_device"
  cp build-gpu/lib/libgrpo_host_*.so build-gpu/lib/host_device/* "$bundle/lib/host_device"
fi

# Paths of the shared libraries that the programs need, but for LibTorch's, CUDA's and those that every machine has.
readonly runtime='lib(c|m|dl|rt|pthread|util|resolv|stdc\+\+|gcc_s|gomp)\.so|ld-linux'
readonly cuda='lib(cu(da|dart|blas|blasLt|dnn|fft|file|pti|rand|solver|sparse|sparseLt)|nv[A-Za-z_]+|nccl)\.so'
linked() {
  find "$bundle" -type f \( -path "*/bin/*" -o -name "*.so*" \) -print0 |
    LD_LIBRARY_PATH=$bundle/lib:$bundle/lib/host_device:$torch_lib xargs -0 ldd | awk '$2 == "=>"' | sort -u
}
needed() { linked | awk '$3 ~ /^\// {print $3}' | sort -u | grep -vE "^($torch_lib|$bundle)/|/($runtime|$cuda)"; }
# What is found neither here nor with LibTorch and CUDA there would end the check before it has begun.
missing=$(linked | awk '$3 == "not" {print $1}' | sort -u | grep -vE "^($cuda)" || true)
[ -z "$missing" ] || { echo "gpu_bundle: not found on this machine: ${missing//$'\n'/ }" >&2; exit 1; }
needed | while read -r library; do cp -L "$library" "$bundle/lib/grpo-train"; done
strip "${programs[@]/#/$bundle/bin/}" "${libraries[@]/#/$bundle/lib/}" "$bundle"/lib/grpo-train/*

cp -r tests/golden/{models,optim,step} "$bundle/tests/golden"
cp -r configs/quickstart configs/quickstart_2grpo.yaml "$bundle/configs"
mkdir "$bundle/scripts"
cp -r scripts/gpu_check.sh scripts/bench_gpu_peers.py scripts/gpu "$bundle/scripts"
rm -rf "$bundle/scripts/gpu/__pycache__"
git describe --always --dirty >"$bundle/bundle.txt"

mkdir -p "$(dirname "$file")"
tar -C "$work" -c --owner=0 --group=0 --sort=name gpu_bundle | xz -6 -T0 >"$file"
mib=$(($(stat -c %s "$file") / 1048576 + 1))
echo "gpu_bundle: wrote $file, $mib MiB ($(du -sm "$bundle" | cut -f1) MiB unpacked)"
[ "$mib" -le "$largest_mib" ] || { echo "gpu_bundle: more than $largest_mib MiB" >&2; exit 1; }
