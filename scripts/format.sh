#!/usr/bin/env bash
# Formats every C++ and CUDA source of the repository as .clang-format says.
#
#   scripts/format.sh           rewrite the files
#   scripts/format.sh --check   name the files that differ, and exit 1 if there is one
#
# clang-format's results differ between its versions, so only the one below is asked; CLANG_FORMAT names another program of
# that version. Exit 77 where there is none (ctest counts that as skipped).
set -euo pipefail
cd "$(dirname "$0")/.."
readonly major=14

tool() {
  local name
  for name in "${CLANG_FORMAT:-}" "clang-format-$major" clang-format; do
    if [[ -n $name ]] && "$name" --version 2>/dev/null | grep -q "version $major\."; then
      echo "$name"
      return
    fi
  done
  echo "clang-format $major is not installed" >&2
  exit 77
}

format=$(tool)
mapfile -d '' -t files < <(find cmake docs include src tests \( -name '*.cpp' -o -name '*.h' -o -name '*.cu' -o -name '*.cuh' \) -print0 | sort -z)
if [[ ${1:-} != --check ]]; then
  printf '%s\0' "${files[@]}" | xargs -0 -n 20 -P "$(nproc)" "$format" -i
  exit
fi
differing=$(printf '%s\0' "${files[@]}" | xargs -0 -n 20 -P "$(nproc)" "$format" --dry-run 2>&1 |
  sed -n 's/^\([^ :]*\):[0-9]*:[0-9]*: warning.*/\1/p' | sort -u)
if [[ -n $differing ]]; then
  echo "these differ from .clang-format; scripts/format.sh mends them:"
  echo "$differing"
  exit 1
fi
echo "${#files[@]} files are formatted"
