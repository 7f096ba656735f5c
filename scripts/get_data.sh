#!/usr/bin/env bash
# Puts public problem sets into data/, as the configurations name them.
#
#   scripts/get_data.sh                 what configs/qwen* and r1distill* name: math500 math_train dapo_math_sub
#   scripts/get_data.sh aime25 amc23    other sets
#   scripts/get_data.sh --list          every set, and where it comes from
#
# The sets come from the Hugging Face hub with its own tool `hf` (python3 -m pip install huggingface_hub; it reads HF_TOKEN,
# HF_HOME, HF_ENDPOINT and proxies as usual). On a machine that cannot reach the hub, download on another one with the line
# that this script prints, copy the folder to data/.download/NAME, and run this again: it converts what it finds there.
set -euo pipefail
cd "$(dirname "$0")/.."

# name | data set on the hub | files | where problem and answer are | other arguments of convert_problems.py
table='
math500       | HuggingFaceH4/MATH-500          | *.jsonl           | --problem problem --answer answer |
math_train    | EleutherAI/hendrycks_math       | *train*.parquet   | --problem problem --answer box:solution | --without data/math500.jsonl
dapo_math_sub | open-r1/DAPO-Math-17k-Processed | en/*.parquet      | --problem prompt --answer solution,reward_model.ground_truth | --without data/math500.jsonl --count 7500
gsm8k_train   | openai/gsm8k                    | main/train*       | --problem question --answer hashes:answer |
gsm8k_test    | openai/gsm8k                    | main/test*        | --problem question --answer hashes:answer |
aime25        | math-ai/aime25                  | *test*            | --problem problem,question --answer answer |
amc23         | math-ai/amc23                   | *test*            | --problem question,problem --answer answer |
minerva_math  | math-ai/minervamath             | *test*            | --problem question,problem --answer answer |
olympiadbench | math-ai/olympiadbench           | *test*            | --problem question,problem --answer final_answer,answer |
'
# dapo_math_sub: the paper trains on a subset of DAPO-Math-17k and does not publish its rows. These are 7,500 English ones,
# as many as MATH has, chosen by a hash, without repeats and without MATH-500's problems.

field() { printf '%s\n' "$table" | awk -F'|' -v name="$1" -v n="$2" '{gsub(/ /, "", $1)} $1 == name {gsub(/^ +| +$/, "", $n); print $n}'; }
names() { printf '%s\n' "$table" | awk -F'|' 'NF > 1 {gsub(/ /, "", $1); print $1}'; }

# A command as a person would type it: quotes where the shell needs them only.
show() { printf ' '; for word in "$@"; do [[ $word =~ ^[[:alnum:]_./,:=@-]+$ ]] && printf ' %s' "$word" || printf " '%s'" "$word"; done; echo; }

# files_of FOLDER: what it has of a set, one file a line.
files_of() { find "$1" -type f \( -name '*.jsonl' -o -name '*.json' -o -name '*.parquet' \) -not -path '*/.cache/*' 2>/dev/null | sort; }

fetch() {
  local name=$1 folder=data/.download/$1
  [ -n "$(files_of "$folder")" ] && return 0
  local command=(hf download "$(field "$name" 2)" --repo-type dataset --include "$(field "$name" 3)" --local-dir)
  if ! command -v hf >/dev/null; then
    echo "get_data: no tool \`hf\` here (python3 -m pip install huggingface_hub). Run this, here or on another machine:" >&2
    show "${command[@]}" "$folder" >&2
    return 1
  fi
  # A set may have several files, and a download that was interrupted some of them: the folder gets its name when all are there.
  rm -rf "$folder.part"
  if "${command[@]}" "$folder.part" && [ -n "$(files_of "$folder.part")" ]; then
    mv -T "$folder.part" "$folder" # refused where somebody has put other files there
    return
  fi
  echo "get_data: could not fetch $name. Where the hub can be reached, run this and copy $folder here:" >&2
  show "${command[@]}" "$folder" >&2
  return 1
}

get() {
  local name=$1 files arguments without
  [ -n "$(field "$name" 2)" ] || { echo "get_data: no set is called $name; known: $(names | tr '\n' ' ')" >&2; return 2; }
  [ -f "data/$name.jsonl" ] && { echo "get_data: data/$name.jsonl is in place"; return 0; }
  read -ra arguments <<<"$(field "$name" 4) $(field "$name" 5)"
  # The set whose problems are to be left out has to be there first.
  without=$(sed -nE 's|.*--without data/([^ ]+)\.jsonl.*|\1|p' <<<"${arguments[*]}")
  if [ -n "$without" ] && [ ! -f "data/$without.jsonl" ]; then get "$without" || return 1; fi
  fetch "$name" || return 1
  mapfile -t files < <(files_of "data/.download/$name")
  scripts/convert_problems.py --input "${files[@]}" "${arguments[@]}" --output "data/$name.jsonl.new" || return 1
  mv "data/$name.jsonl.new" "data/$name.jsonl"
}

if [ "${1:-}" = --list ]; then
  for name in $(names); do printf '%-14s %s\n' "$name" "$(field "$name" 2)"; done
  exit 0
fi
mkdir -p data
[ $# -gt 0 ] || set -- math500 math_train dapo_math_sub
for name in "$@"; do get "$name"; done
