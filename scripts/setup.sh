#!/usr/bin/env bash
# Makes the machine able to build: system packages, then LibTorch and Arrow in a cache outside the checkout.
# Idempotent; takes well under a second when all is in place. GRPO_CACHE moves the cache.
# --tests: also what only tests use and may do without (they then skip, saying so), where this user can install it.
set -euo pipefail
cd "$(dirname "$0")/.."

cache=${GRPO_CACHE:-${XDG_CACHE_HOME:-${HOME:?setup: HOME is not set; name a cache folder with GRPO_CACHE}/.cache}/grpo-train}
cache=$(realpath -m "$cache")
torch_dir=$cache/libtorch-2.11.0

packages=(g++ cmake ninja-build ccache pkg-config git python3 python3-pip unzip xz-utils
  nlohmann-json3-dev libyaml-cpp-dev libspdlog-dev libcli11-dev libpcre2-dev libutf8proc-dev
  libsentencepiece-dev libgmp-dev libflint-dev liblzma-dev zlib1g-dev libzstd-dev libcsv-dev libxxhash-dev libgloo-dev prometheus-cpp-dev libmicrohttpd-dev libcurl4-openssl-dev libboost-context-dev libgtest-dev libgmock-dev libbenchmark-dev)
# Arb is part of FLINT from Ubuntu 24.04 and Debian 13 on; before that it is a package of its own. A fresh machine has no
# package lists yet, so this is asked again after apt-get update.
add_arb() {
  if ! ls /usr/include/flint/arb.h /usr/include/arb.h >/dev/null 2>&1 && apt-cache show libflint-arb-dev >/dev/null 2>&1; then
    packages+=(libflint-arb-dev)
  fi
}

missing() {
  dpkg-query -W -f='${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null | sed -n 's/^installed //p' | sort -u >"$1"
  printf '%s\n' "${packages[@]}" | sort -u | comm -23 - "$1"
}

install_packages() {
  command -v dpkg-query >/dev/null || { echo "setup: not a Debian or Ubuntu machine; install the equivalents of: ${packages[*]}" >&2; return 0; }
  local need list sudo=""
  list=$(mktemp)
  add_arb
  need=$(missing "$list")
  [ -z "$need" ] && { rm -f "$list"; return 0; }
  [ "$(id -u)" -eq 0 ] || sudo="sudo -n"
  if [ -n "$sudo" ] && ! sudo -n true 2>/dev/null; then
    echo "setup: these packages are missing and this user may not install them:" >&2
    echo "  sudo apt-get install -y" $need >&2
    exit 1
  fi
  echo "setup: installing" $need
  $sudo apt-get update -qq
  add_arb
  # shellcheck disable=SC2046  # packages are words
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(missing "$list") >/dev/null
  rm -f "$list"
}

# What tests skip without: a browser for the report's page (Ubuntu has it only as a snap, which most containers cannot run:
# not asked for there), network namespaces between two "hosts", what the example graders
# use (jq, bwrap), and checks of the launchers' scripts, of formatting and of what clang-tidy sees.
install_for_tests() {
  [ "$(id -u)" -eq 0 ] && grep -qxE 'ID=(debian|ubuntu)' /etc/os-release 2>/dev/null || return 0
  local want=()
  command -v ip >/dev/null || want+=(iproute2)
  command -v shellcheck >/dev/null || want+=(shellcheck)
  command -v jq >/dev/null || want+=(jq)
  command -v bwrap >/dev/null || want+=(bubblewrap)
  command -v clang-format >/dev/null || want+=(clang-format-14)
  command -v clang-tidy >/dev/null || want+=(clang-tidy)
  python3 -c 'import yaml' 2>/dev/null || want+=(python3-yaml)
  python3 -c 'import jinja2' 2>/dev/null || want+=(python3-jinja2)
  if grep -qx ID=debian /etc/os-release && ! command -v chromium >/dev/null; then want+=(chromium); fi
  [ ${#want[@]} -gt 0 ] || return 0
  echo "setup: installing for the tests:" "${want[@]}"
  apt-get update -qq || true
  env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${want[@]}" >/dev/null ||
    echo "setup: not installed; the tests that use them will be skipped" >&2
}

# download PINS FOLDER: the wheels that PINS names, whichever Linux they were built for.
download() {
  local tag platforms=()
  for tag in manylinux_2_28 manylinux_2_27 manylinux_2_26 manylinux_2_25 manylinux_2_24 manylinux_2_18 manylinux_2_17 manylinux2014; do
    platforms+=(--platform "${tag}_x86_64")
  done
  TMPDIR=$2 python3 -m pip download --quiet --no-cache-dir --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
    --python-version 3.11 --implementation cp --abi cp311 --abi none "${platforms[@]}" -r "$1" -d "$2"
}

# fetch PINS FOLDER WHAT [PATTERN...]: FOLDER holds what the wheels of PINS contain (of it, what matches the patterns).
fetch() {
  local pins=$1 folder=$2 what=$3 sum work wheel
  shift 3
  sum=$(sha256sum "$pins" | cut -d' ' -f1)
  [ "$(cat "$folder/.complete" 2>/dev/null)" = "$sum" ] && return 0
  [ "$(uname -m)" = x86_64 ] || { echo "setup: no wheels for $(uname -m); point CMAKE_PREFIX_PATH at a LibTorch" >&2; exit 1; }
  echo "setup: fetching $what into $cache (once)"
  mkdir -p "$cache"
  # Two setups at once: the second waits and finds the first one's work.
  exec 9>"$cache/.lock"
  flock 9
  [ "$(cat "$folder/.complete" 2>/dev/null)" = "$sum" ] && return 0
  work=$(mktemp -d "$cache/.fetch-XXXXXX")
  # shellcheck disable=SC2064  # as it is now: the variable is this function's
  trap "rm -rf ${work@Q}" EXIT
  mkdir "$work/wheels" "$work/tree"
  download "$pins" "$work/wheels"
  for wheel in "$work"/wheels/*.whl; do
    echo "setup: unpacking $(basename "$wheel" | cut -d- -f1,2)"
    unzip -q -o "$wheel" "$@" -d "$work/tree"
  done
  echo "$sum" >"$work/tree/.complete"
  rm -rf "$folder"
  mv "$work/tree" "$folder"
  rm -rf "$work"
  trap - EXIT
  exec 9>&-
}

has_own_libtorch() {
  [ -n "${CMAKE_PREFIX_PATH:-}" ] && [ -f "${CMAKE_PREFIX_PATH%%:*}/include/ATen/ATen.h" ]
}

has_gpu() { [ -e /dev/nvidiactl ] || [ "${GRPO_GPU_LIBRARIES:-0}" = 1 ]; }

install_packages
if [ "${1:-}" = --tests ]; then
  install_for_tests
  scripts/gguf_tools.sh >/dev/null || echo "setup: no Python packages for GGUF; the tests that use them will be skipped" >&2
fi
has_own_libtorch || fetch cmake/wheels.txt "$torch_dir" "LibTorch 2.11.0 (600 MB)"
# Headers of FlashInfer's attention kernels, where CUDA kernels are built.
if command -v nvcc >/dev/null || [ -x /usr/local/cuda/bin/nvcc ]; then
  fetch cmake/wheels_cuda.txt "$cache/flashinfer-0.7.2.post1" "FlashInfer's headers (60 MB)" \
    'flashinfer/data/include/*' 'flashinfer/data/cccl/*' '*/licenses/*'
fi
# LibTorch's CUDA part looks for these beside itself, in ../../nvidia.
if has_gpu && ! has_own_libtorch; then
  fetch cmake/wheels_gpu.txt "$cache/nvidia-13.0" "the CUDA libraries that LibTorch uses (2 GB)" 'nvidia/*'
  cp -rsf "$cache/nvidia-13.0/nvidia" "$torch_dir/"  # links to its files, made at once: there are thousands
fi
