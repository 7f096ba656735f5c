#!/usr/bin/env bash
# Checks a model folder against Hugging Face transformers: that it loads there, that `grpo score` gives the same
# log-probabilities in float32, and that `grpo tokenize` gives the same ids. One line a check; exit 1 on a difference.
#
#   scripts/check_transformers.sh MODEL_DIR [--grpo build/bin/grpo] [--tolerance X] [--seed N]
#
# The first run installs torch and transformers into the cache (GRPO_CACHE moves it): about 2.6 GB down, 5 GB on disk.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

cache=${GRPO_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/grpo-train}
tools=$cache/python-transformers-5.23.0-$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if [ ! -f "$tools/.complete" ]; then
  # Two of these at once: the second one waits and finds the first one's work. scripts/setup.sh has the same lock.
  mkdir -p "$cache"
  exec 9>"$cache/.lock"
  flock 9
  if [ ! -f "$tools/.complete" ]; then
    echo "check_transformers: installing torch 2.11.0 and transformers 5.23.0 into $tools (once)"
    rm -rf "$tools"
    # As a variable, since the pip of Ubuntu 22.04 does not know the option.
    PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --no-warn-conflicts --target "$tools" \
      torch==2.11.0 transformers==5.23.0 sentencepiece
    touch "$tools/.complete"
  fi
  exec 9>&-
fi
PYTHONPATH=$tools exec python3 -s "$root/scripts/check_transformers.py" --grpo "$root/build/bin/grpo" "$@"
