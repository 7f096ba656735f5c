#!/usr/bin/env bash
# Makes the machine able to build: system packages, then LibTorch and Arrow in a cache outside the checkout.
# Idempotent; takes well under a second when all is in place. GRPO_CACHE moves the cache.
set -euo pipefail
cd "$(dirname "$0")/.."

cache=${GRPO_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/grpo-train}
torch_dir=$cache/libtorch-2.11.0

packages=(g++ cmake ninja-build ccache pkg-config git python3 python3-pip unzip xz-utils
  nlohmann-json3-dev libyaml-cpp-dev libspdlog-dev libcli11-dev libpcre2-dev libutf8proc-dev
  libsentencepiece-dev libflint-dev liblzma-dev libxxhash-dev libgtest-dev libgmock-dev libbenchmark-dev)
# Arb is part of FLINT from Ubuntu 24.04 and Debian 13 on; before that it is a package of its own.
if apt-cache show libflint-arb-dev >/dev/null 2>&1; then packages+=(libflint-arb-dev); fi

missing() {
  local name
  for name in "${packages[@]}"; do
    dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null | grep -qx installed || echo "$name"
  done
}

install_packages() {
  command -v dpkg-query >/dev/null || { echo "setup: not a Debian or Ubuntu machine; install the equivalents of: ${packages[*]}" >&2; return 0; }
  local need sudo=""
  need=$(missing)
  [ -z "$need" ] && return 0
  [ "$(id -u)" -eq 0 ] || sudo="sudo -n"
  if [ -n "$sudo" ] && ! sudo -n true 2>/dev/null; then
    echo "setup: these packages are missing and this user may not install them:" >&2
    echo "  sudo apt-get install -y" $need >&2
    exit 1
  fi
  echo "setup: installing" $need
  $sudo apt-get update -qq
  # A fresh machine has no package lists until now, so ask again about the packages that depend on the release.
  if apt-cache show libflint-arb-dev >/dev/null 2>&1; then packages+=(libflint-arb-dev); fi
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(missing) >/dev/null
}

fetch_libtorch() {
  [ -f "$torch_dir/.complete" ] && return 0
  [ -n "${CMAKE_PREFIX_PATH:-}" ] && [ -f "${CMAKE_PREFIX_PATH%%:*}/include/ATen/ATen.h" ] && return 0
  echo "setup: fetching LibTorch 2.11.0 into $cache (about 600 MB, once)"
  mkdir -p "$cache"
  local work tag platforms=()
  work=$(mktemp -d "$cache/.fetch-XXXXXX")
  trap "rm -rf '$work'" EXIT
  for tag in manylinux_2_28 manylinux_2_27 manylinux_2_26 manylinux_2_25 manylinux_2_24 manylinux_2_17 manylinux2014; do
    platforms+=(--platform "${tag}_x86_64")
  done
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
    --python-version 3.11 --implementation cp --abi cp311 --abi none "${platforms[@]}" \
    -r cmake/wheels.txt -d "$work/wheels"
  mkdir "$work/tree"
  local wheel
  for wheel in "$work"/wheels/*.whl; do
    echo "setup: unpacking $(basename "$wheel" | cut -d- -f1,2)"
    unzip -q -o "$wheel" -d "$work/tree"
  done
  touch "$work/tree/.complete"
  rm -rf "$torch_dir"
  mv "$work/tree" "$torch_dir"
  rm -rf "$work"
  trap - EXIT
}

install_packages
fetch_libtorch
