#!/usr/bin/env bash
# Puts the Python packages gguf and numpy into the cache (GRPO_CACHE moves it; 23 MB, once) and prints the folder for PYTHONPATH:
# a folder rather than a virtual environment, since that needs pip only and not the package python3-venv.
set -euo pipefail
cache=${GRPO_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/grpo-train}
tools=$cache/python-gguf-$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if [ ! -f "$tools/.complete" ]; then
  # Two of these at once: the second one waits and finds the first one's work. scripts/setup.sh has the same lock.
  mkdir -p "$cache"
  exec 9>"$cache/.lock"
  flock 9
  if [ ! -f "$tools/.complete" ]; then
    echo "gguf_tools: installing gguf and numpy into $tools" >&2
    rm -rf "$tools"
    # As a variable, since the pip of Ubuntu 22.04 does not know the option.
    PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --no-warn-conflicts --target "$tools" gguf==0.19.0 numpy >&2
    touch "$tools/.complete"
  fi
  exec 9>&-
fi
echo "$tools"
